//! The system has no more: of address space, of mappings, of memory that may be locked. Each case
//! runs in a process of its own, as the limits are the process's.

#![cfg(target_os = "linux")]
#![allow(
    unsafe_code,
    reason = "mappings are used up, and memory locked, by calls that are unsafe"
)]

mod common;

use std::error::Error;
use std::fs;
use std::io::Write;
use std::process::Command;
use std::ptr;

use async_core::{
    Cancelled, Guard, InitError, Job, Pause, PoolConfig, StartError, cleanup_thread, init_thread,
    pause_job, pool_stats, start_job,
};
use common::{assert_pool, start, start_paused};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use waitctx::WaitCtx;

/// Set in the child process: what it runs out of.
const CASE: &str = "ASYNC_CORE_TEST_LIMIT";
/// What the child says at the end.
const DONE: &str = "all is well";

/// And what it says when the system does not let it run out of that.
const LEFT_OUT: &str = "left out";

/// Runs `child` in a process of its own.
fn run_child(case: &str) {
    let output = Command::new(std::env::current_exe().expect("it runs"))
        .args(["--exact", "child", "--nocapture"])
        .env(CASE, case)
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains(DONE),
        "{case}: {}\n{said}\n{errors}",
        output.status
    );
    for line in said.lines().filter(|line| line.contains(LEFT_OUT)) {
        // Written past the harness, which hides what a test that passes prints.
        let _ = writeln!(std::io::stderr(), "{case}: {line}");
    }
}

/// Does nothing unless it is in a child process.
#[test]
fn child() {
    match std::env::var(CASE).as_deref() {
        Err(_) => return,
        Ok("address space") => with_address_space_used_up(),
        Ok("mappings") => with_mappings_used_up(),
        Ok("locked") => with_memory_locked(),
        Ok(other) => panic!("unknown: {other}"),
    }
    println!("{DONE}");
}

type Paused = Job<Result<Pause, Cancelled>>;

/// Starts jobs until there is no stack for another, and checks that error.
fn start_until_refused(jobs: &mut Vec<Paused>) {
    jobs.reserve(100_000);
    while jobs.len() < 100_000 {
        let number = jobs.len();
        let closure = move || {
            let result = pause_job();
            assert_eq!(number, std::hint::black_box(number));
            result
        };
        match start_job(&WaitCtx::new(), closure) {
            Ok(outcome) => jobs.push(outcome.paused().expect("it pauses")),
            Err(StartError::Stack { closure, source }) => {
                assert_eq!(source.kind(), std::io::ErrorKind::OutOfMemory, "{source}");
                // The closure is whole: outside a job, its pause does nothing.
                assert_eq!(closure(), Ok(Pause::NotInJob));
                return;
            }
            Err(other) => panic!("{other}"),
        }
    }
    panic!("it is never refused");
}

/// Some jobs run out of what there is, at `exhaust`; the others go on, idle ones are used again,
/// and after `relieve` there are new ones.
fn runs_out(exhaust: impl FnOnce(), relieve: impl FnOnce()) {
    init_thread(&PoolConfig {
        stack_bytes: 256 << 10,
        ..PoolConfig::default()
    })
    .expect("a sound configuration");
    let mut jobs = vec![start_paused(pause_job)];
    exhaust();
    start_until_refused(&mut jobs);
    let count = jobs.len();
    assert_pool(count, 0);

    // Up front, too, as many as are there already and one more.
    let error = init_thread(&PoolConfig {
        stack_bytes: 256 << 10,
        init_jobs: 1,
        ..PoolConfig::default()
    });
    let Err(error @ InitError::Stack { made: 0, .. }) = error else {
        panic!("{error:?}");
    };
    assert!(error.source().is_some());

    let last = jobs.pop().expect("there are some");
    assert_eq!(last.resume().finished(), Some(Ok(Pause::Resumed)));
    assert_pool(count - 1, 1);
    jobs.push(start_paused(pause_job));
    assert_pool(count, 0);

    relieve();
    for _ in 0..40 {
        jobs.push(start_paused(pause_job));
    }
    assert_pool(count + 40, 0);
    for job in jobs {
        assert_eq!(job.resume().finished(), Some(Ok(Pause::Resumed)));
    }
    assert_pool(0, count + 40);
    assert_eq!(cleanup_thread(), Ok(0));
    assert_eq!(start(|| 8).finished(), Some(8));
}

fn with_address_space_used_up() {
    let before = getrlimit(Resource::As);
    let exhaust = || {
        let statm = fs::read_to_string("/proc/self/statm").expect("it is there");
        let pages = statm.split(' ').next().and_then(|n| n.parse::<u64>().ok());
        let used = pages.expect("a number") * rustix::param::page_size() as u64;
        let limit = Rlimit {
            current: Some(used + (40 << 20)),
            maximum: before.maximum,
        };
        setrlimit(Resource::As, limit).expect("it may be lowered");
    };
    let relieve = || {
        setrlimit(
            Resource::As,
            Rlimit {
                current: before.maximum,
                maximum: before.maximum,
            },
        )
        .expect("it may be raised again");
    };
    runs_out(exhaust, relieve);
}

#[test]
fn address_space_runs_out() {
    run_child("address space");
}

fn with_mappings_used_up() {
    let page = rustix::param::page_size();
    let most: usize = fs::read_to_string("/proc/sys/vm/max_map_count")
        .expect("it is there")
        .trim()
        .parse()
        .expect("a number");
    if most > 1 << 20 {
        println!("{LEFT_OUT}: vm.max_map_count is {most}, too many to use up");
        return;
    }
    let pages = 2 * most;
    let (access, flags) = (ProtFlags::READ, MapFlags::PRIVATE | MapFlags::NORESERVE);
    // SAFETY: a new mapping where the system chooses touches no memory in use.
    let start = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), pages * page, access, flags) };
    let start = start.expect("there is address space");
    let exhaust = || {
        for at in (1..pages).step_by(2) {
            // SAFETY: the page is in the mapping, which nobody uses.
            let split = unsafe {
                let page_at = start.byte_add(at * page);
                rustix::mm::mprotect(page_at, page, MprotectFlags::empty())
            };
            if split.is_err() {
                return;
            }
        }
        panic!("there are more mappings than {most}");
    };
    // SAFETY: the mapping is ours and nobody uses it.
    let relieve = || unsafe { rustix::mm::munmap(start, pages * page) }.expect("it is mapped");
    runs_out(exhaust, relieve);
}

#[test]
fn mappings_run_out() {
    run_child("mappings");
}

/// All memory to come is locked, as in daemons that handle keys: there guard advice is refused.
fn with_memory_locked() {
    let before = start_paused(pause_job);
    let advised = pool_stats().expect("a pool").guard;
    let bounded = getrlimit(Resource::Memlock).current.is_some();
    let privileged = rustix::process::geteuid().is_root();
    // SAFETY: it changes how memory is backed, and nothing else.
    let lock = || unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) };
    if (bounded && !privileged) || lock() != 0 {
        println!("{LEFT_OUT}: memory may not be locked here (RLIMIT_MEMLOCK)");
        return;
    }
    let jobs: Vec<_> = (0..40).map(|_| start_paused(pause_job)).collect();
    assert_pool(41, 0);
    let guard = pool_stats().expect("a pool").guard;
    assert_eq!(guard, Some(Guard::Protected), "it was {advised:?}");
    for job in jobs {
        assert_eq!(job.resume().finished(), Some(Ok(Pause::Resumed)));
    }
    assert_eq!(before.resume().finished(), Some(Ok(Pause::Resumed)));
    assert_pool(0, 41);
    // A pool whose memory is locked from the start; and a wipe, which cannot give memory back.
    init_thread(&PoolConfig {
        wipe_stacks: true,
        init_jobs: 2,
        ..PoolConfig::default()
    })
    .expect("there is memory");
    assert_eq!(pool_stats().expect("a pool").guard, Some(Guard::Protected));
    for _ in 0..3 {
        let job = start_paused(pause_job);
        assert_eq!(job.resume().finished(), Some(Ok(Pause::Resumed)));
    }
    assert_pool(0, 2);
}

#[test]
fn memory_is_locked() {
    run_child("locked");
}
