//! Our jobs and libcrypto's own, in one process, in interleaved rounds: `cargo bench -p async-tests`.
//!
//! Absolute times drift with the machine; the ratios are taken round by round, so they hold. Each
//! line gives both medians, and the ratio ours/libcrypto as median [least–most] over the rounds.

#![expect(
    unsafe_code,
    reason = "libcrypto's bare functions, to measure them and not a wrapper"
)]

mod harness;
mod whole_path;

use std::ffi::{c_int, c_void};
use std::hint::black_box;
use std::ptr;

use async_core::{JobOutcome, pause_job, start_job};
use harness::{Pair, Table};
use libcrypto_peer::raw::{ASYNC_FINISH, ASYNC_PAUSE, AsyncJob, PauseJobFn, RawFns};
use libcrypto_peer::{Libcrypto, PeerWaitCtx};
use waitctx::WaitCtx;

const ROUNDS: usize = 15;
const OPERATIONS: u64 = 200_000;

fn main() {
    // Cargo passes --bench; any other word picks lines by name.
    let filter = std::env::args().skip(1).find(|a| !a.starts_with("--"));
    let peer = match Libcrypto::load() {
        Ok(peer) => peer,
        Err(e) => {
            println!("skipped: {e}");
            return;
        }
    };
    println!("ours against {}, {ROUNDS} rounds", peer.version());
    let mut table = Table::new(filter);
    switches(&peer, &mut table);
    whole_path::run(&peer, &mut table);
    table.print();
}

/// What one job costs, without any engine.
fn switches(peer: &Libcrypto, table: &mut Table) {
    let _pool = peer.init_thread(0, 0).expect("libcrypto's pool");
    let peer_ctx = PeerWaitCtx::new(*peer).expect("libcrypto's wait context");
    let raw = peer.raw();
    let ctx = WaitCtx::new();

    table.add(Pair {
        name: "start + finish, empty job",
        rounds: ROUNDS,
        operations: OPERATIONS,
        ours: &mut |n| {
            for i in 0..n {
                let outcome = start_job(&ctx, move || black_box(i)).expect("a job");
                black_box(outcome.finished());
            }
        },
        theirs: &mut |n| {
            for _ in 0..n {
                let mut job = ptr::null_mut();
                assert_eq!(step(&raw, &peer_ctx, &mut job, returns), ASYNC_FINISH);
            }
        },
    });
    table.add(Pair {
        name: "start + pause + resume + finish",
        rounds: ROUNDS,
        operations: OPERATIONS,
        ours: &mut |n| {
            for i in 0..n {
                let outcome = start_job(&ctx, move || {
                    let _ = black_box(pause_job());
                    black_box(i)
                });
                let job = outcome.expect("a job").paused().expect("it pauses");
                black_box(job.resume().finished());
            }
        },
        theirs: &mut |n| {
            for _ in 0..n {
                let mut job = ptr::null_mut();
                assert_eq!(step(&raw, &peer_ctx, &mut job, pauses_once), ASYNC_PAUSE);
                assert_eq!(step(&raw, &peer_ctx, &mut job, pauses_once), ASYNC_FINISH);
            }
        },
    });
    let mut endless = ptr::null_mut();
    assert_eq!(
        step(&raw, &peer_ctx, &mut endless, pauses_for_ever),
        ASYNC_PAUSE
    );
    table.add(Pair {
        name: "pause + resume",
        rounds: ROUNDS,
        operations: OPERATIONS,
        ours: &mut |n| {
            let mut outcome = start_job(&ctx, move || {
                for _ in 0..n {
                    let _ = black_box(pause_job());
                }
            })
            .expect("a job");
            while let JobOutcome::Paused(job) = outcome {
                outcome = job.resume();
            }
        },
        theirs: &mut |n| {
            for _ in 0..n {
                assert_eq!(
                    step(&raw, &peer_ctx, &mut endless, pauses_for_ever),
                    ASYNC_PAUSE
                );
            }
        },
    });
}

/// One call of ASYNC_start_job. The job's argument is the address of ASYNC_pause_job, without a copy
/// (size 0), so that libcrypto allocates nothing.
fn step(
    raw: &RawFns,
    ctx: &PeerWaitCtx,
    job: &mut *mut AsyncJob,
    func: unsafe extern "C" fn(*mut c_void) -> c_int,
) -> c_int {
    let mut ret = 0;
    PAUSE.set(Some(raw.pause_job));
    // SAFETY: not inside a job; `job` is null or what the last call stored; the context outlives
    // the job, or the job is abandoned; the functions below take no argument, keep to their stack
    // and do not unwind.
    unsafe { (raw.start_job)(job, ctx.as_ptr(), &mut ret, Some(func), ptr::null_mut(), 0) }
}

thread_local! {
    static PAUSE: std::cell::Cell<Option<PauseJobFn>> = const { std::cell::Cell::new(None) };
}

fn peer_pause() {
    if let Some(pause) = PAUSE.get() {
        // SAFETY: called by the functions below, which run as jobs of libcrypto's.
        unsafe { pause() };
    }
}

unsafe extern "C" fn returns(_: *mut c_void) -> c_int {
    black_box(1)
}

unsafe extern "C" fn pauses_once(_: *mut c_void) -> c_int {
    peer_pause();
    black_box(1)
}

unsafe extern "C" fn pauses_for_ever(_: *mut c_void) -> c_int {
    loop {
        peer_pause();
    }
}
