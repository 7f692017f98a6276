//! When the record of changed wait fds is reset: when a pause returns after a resume, and at no
//! other time.

mod common;

use async_core::{
    Cancelled, Job, JobOutcome, Pause, block_pause, current_job, pause_job, start_job,
};
use common::on_own_thread;
use waitctx::{Key, WaitCtx, WaitFd};

/// The numbers added and removed in this round.
fn changes(ctx: &WaitCtx) -> (Vec<i32>, Vec<i32>) {
    let changes = ctx.changes();
    (changes.added, changes.removed)
}

/// Sets a wait fd under the running job's context. It is never opened: only numbers are recorded.
fn set(key: Key, number: i32) {
    let ctx = current_job().expect("in a job").wait_ctx();
    ctx.set_wait_fd(key, WaitFd::foreign(number))
        .expect("a new key");
}

fn clear(key: Key) {
    let ctx = current_job().expect("in a job").wait_ctx();
    let _ = ctx.clear_fd(key).expect("it is set");
}

fn pause() {
    assert_eq!(pause_job(), Ok(Pause::Resumed));
}

fn start<R: 'static>(ctx: &WaitCtx, closure: impl FnOnce() -> R + 'static) -> JobOutcome<R> {
    start_job(ctx, closure).expect("there is a slot")
}

fn paused<R>(outcome: JobOutcome<R>) -> Job<R> {
    outcome.paused().expect("it pauses")
}

const NONE: [i32; 0] = [];

#[test]
fn a_round_ends_when_the_pause_returns() {
    on_own_thread(|| {
        let ctx = WaitCtx::new();
        let (a, b) = (Key::new(), Key::new());
        let job = paused(start(&ctx, move || {
            set(a, 11);
            pause();
            let ctx = current_job().expect("in a job").wait_ctx();
            assert!(!ctx.has_changes(), "it is reset when the pause returns");
            set(b, 22);
            assert_eq!(changes(&ctx), (vec![22], vec![]));
            pause();
            clear(a);
            pause();
            ctx.all_fds()
        }));
        assert_eq!(changes(&ctx), (vec![11], vec![]));
        assert_eq!(changes(&ctx), (vec![11], vec![]), "reading changes nothing");
        let job = paused(job.resume());
        assert_eq!(changes(&ctx), (vec![22], vec![]));
        let job = paused(job.resume());
        assert_eq!(changes(&ctx), (vec![], vec![11]));
        assert_eq!(job.resume().finished(), Some(vec![22]));
        assert_eq!(changes(&ctx), (vec![], vec![]));
    });
}

#[test]
fn a_start_does_not_reset_it() {
    on_own_thread(|| {
        let ctx = WaitCtx::new();
        let key = Key::new();
        ctx.set_wait_fd(key, WaitFd::foreign(11)).expect("new");
        let job = paused(start(&ctx, move || {
            let ctx = current_job().expect("in a job").wait_ctx();
            assert_eq!(changes(&ctx), (vec![11], vec![]));
            pause();
            assert_eq!(changes(&ctx), (vec![], vec![]));
        }));
        assert_eq!(changes(&ctx), (vec![11], vec![]));
        assert_eq!(job.resume().finished(), Some(()));
    });
}

#[test]
fn a_finish_does_not_reset_it_and_the_next_job_reports_what_is_left() {
    on_own_thread(|| {
        let ctx = WaitCtx::new();
        let (a, b) = (Key::new(), Key::new());
        // Without a pause.
        assert_eq!(start(&ctx, move || set(a, 11)).finished(), Some(()));
        assert_eq!(changes(&ctx), (vec![11], vec![]));
        // With one, and a change behind it.
        let job = paused(start(&ctx, move || {
            pause();
            set(b, 22);
            clear(a);
        }));
        assert_eq!(changes(&ctx), (vec![11], vec![]), "of the job before");
        assert_eq!(job.resume().finished(), Some(()));
        assert_eq!(changes(&ctx), (vec![22], vec![11]));
        let job = paused(start(&ctx, pause));
        assert_eq!(changes(&ctx), (vec![22], vec![11]), "at the first pause");
        assert_eq!(job.resume().finished(), Some(()));
        assert_eq!(changes(&ctx), (vec![], vec![]));
        assert_eq!(ctx.all_fds(), [22]);
    });
}

#[test]
fn a_pause_that_does_not_pause_does_not_reset_it() {
    on_own_thread(|| {
        let ctx = WaitCtx::new();
        let key = Key::new();
        let job = paused(start(&ctx, move || {
            set(key, 11);
            let guard = block_pause();
            assert_eq!(pause_job(), Ok(Pause::Blocked));
            drop(guard);
            let ctx = current_job().expect("in a job").wait_ctx();
            assert_eq!(changes(&ctx), (vec![11], vec![]));
            assert_eq!(pause_job(), Err(Cancelled));
            // That one did pause, and was resumed to be cancelled.
            assert_eq!(changes(&ctx), (vec![], vec![]));
            clear(key);
            assert_eq!(pause_job(), Err(Cancelled));
            assert_eq!(changes(&ctx), (vec![], vec![11]));
        }));
        assert_eq!(pause_job(), Ok(Pause::NotInJob));
        assert_eq!(changes(&ctx), (vec![11], vec![]));
        job.cancel();
        assert_eq!(changes(&ctx), (vec![], vec![11]));
    });
}

#[test]
fn set_and_cleared_in_one_round_leaves_no_trace() {
    on_own_thread(|| {
        let ctx = WaitCtx::new();
        let key = Key::new();
        let job = paused(start(&ctx, move || {
            set(key, 11);
            clear(key);
            pause();
            set(key, 11);
            pause();
            // The same number again: to be taken out before it is put in.
            clear(key);
            set(key, 11);
            pause();
        }));
        assert!(!ctx.has_changes());
        let job = paused(job.resume());
        assert_eq!(changes(&ctx), (vec![11], vec![]));
        let job = paused(job.resume());
        assert_eq!(changes(&ctx), (vec![11], vec![11]));
        assert_eq!(job.resume().finished(), Some(()));
        assert_eq!(changes(&ctx).1, NONE);
    });
}

/// One context for two jobs, which OpenSSL's own test does: resuming either resets it for both.
#[test]
fn jobs_that_share_a_context_share_the_record() {
    on_own_thread(|| {
        let ctx = WaitCtx::new();
        let (a, b) = (Key::new(), Key::new());
        let first = paused(start(&ctx, move || {
            set(a, 11);
            pause();
        }));
        let second = paused(start(&ctx, move || {
            set(b, 22);
            pause();
        }));
        assert_eq!(changes(&ctx), (vec![22, 11], vec![]), "newest first");
        assert_eq!(first.resume().finished(), Some(()));
        assert_eq!(changes(&ctx), (vec![], vec![]));
        assert_eq!(second.resume().finished(), Some(()));
        assert_eq!(ctx.all_fds(), [22, 11]);
    });
}

#[test]
fn a_paused_job_keeps_its_context_alive() {
    on_own_thread(|| {
        let ctx = WaitCtx::new();
        let cleaned = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let told = std::sync::Arc::clone(&cleaned);
        let fd = WaitFd::foreign(11).on_cleanup(move |_, _, number, _| {
            assert_eq!(number, 11);
            told.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        ctx.set_wait_fd(Key::new(), fd).expect("new");
        let job = paused(start(&ctx, pause));
        drop(ctx);
        assert_eq!(job.wait_ctx().all_fds(), [11]);
        assert!(!cleaned.load(std::sync::atomic::Ordering::Relaxed));
        assert_eq!(job.resume().finished(), Some(()));
        assert!(cleaned.load(std::sync::atomic::Ordering::Relaxed));
    });
}

/// A slot that is used again does not take what it knew of one context for what it knows of the next.
#[test]
fn a_record_from_before_the_job_is_reset_in_a_slot_that_was_used_before() {
    on_own_thread(|| {
        let (first, second) = (WaitCtx::new(), WaitCtx::new());
        second.push_wait_fd(Key::new(), WaitFd::foreign(22));
        // Comes to know that nothing has changed since.
        let job = paused(start(&first, pause));
        job.resume().finished().expect("it pauses once");
        assert!(second.has_changes());
        let job = paused(start(&second, pause));
        job.resume().finished().expect("it pauses once");
        assert_eq!(changes(&second), (vec![], vec![]));
    });
}

/// Changes of others send a resume to look at its own context, and what it finds there is its own.
#[test]
fn a_change_of_another_context_resets_no_record_but_its_own() {
    on_own_thread(|| {
        let (first, second) = (WaitCtx::new(), WaitCtx::new());
        let key = Key::new();
        let a = paused(start(&first, move || {
            pause();
            set(key, 11);
            pause();
        }));
        let b = paused(start(&second, || {
            pause();
            pause();
        }));
        let a = paused(a.resume());
        second.push_wait_fd(Key::new(), WaitFd::foreign(22));
        let b = paused(b.resume());
        assert_eq!(changes(&second), (vec![], vec![]));
        assert_eq!(
            changes(&first),
            (vec![11], vec![]),
            "its job was not resumed"
        );
        a.resume().finished().expect("it pauses twice");
        assert_eq!(changes(&first), (vec![], vec![]));
        b.resume().finished().expect("it pauses twice");
    });
}
