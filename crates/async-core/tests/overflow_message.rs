//! A job that overflows its stack says so, if that was asked for; every other fault is as it was.

#![cfg(target_os = "linux")]
#![allow(
    unsafe_code,
    reason = "signal handlers, faults and threads of C are what this is about"
)]

mod common;

use std::ffi::{c_int, c_void};
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::{mem, ptr, thread};

use async_core::{PoolConfig, current_job, init_thread, pause_job, report_stack_overflow};
use common::{start, start_paused};

/// Set in the child process: what it does.
const BEHAVIOUR: &str = "ASYNC_CORE_TEST_BEHAVIOUR";
/// What the child says when it is still there.
const SURVIVED: &str = "survived";
/// How the handler of the tests' own ends the process.
const HANDLED: i32 = 33;

const STACK: usize = 128 << 10;

struct Ended {
    status: ExitStatus,
    out: String,
    err: String,
}

/// Runs the test `child` below in a process of its own, where it behaves as told.
fn run_child(behaviour: &str) -> Ended {
    let output = Command::new(std::env::current_exe().expect("it runs"))
        .args(["--exact", "child", "--nocapture"])
        .env(BEHAVIOUR, behaviour)
        .output()
        .expect("it starts");
    Ended {
        status: output.status,
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Calls itself until it has used so much of the stack.
#[inline(never)]
fn recurse(bytes: usize) -> usize {
    #[inline(never)]
    fn down(top: usize, bytes: usize) -> usize {
        let frame = black_box([1_usize; 32]);
        if top.saturating_sub((&raw const frame).addr()) >= bytes {
            return 1;
        }
        down(top, bytes) + black_box(frame)[31]
    }
    let here = 0_u8;
    down((&raw const here).addr(), bytes)
}

/// More than a job's stack, and less than two.
fn overflow() -> usize {
    println!("it is {}", current_job().expect("inside a job").id());
    recurse(STACK + STACK / 2)
}

fn init() {
    init_thread(&PoolConfig {
        stack_bytes: STACK,
        init_jobs: 3,
        ..PoolConfig::default()
    })
    .expect("a sound configuration");
}

fn overflow_in_a_job() {
    init();
    let above = start_paused(pause_job);
    drop(start(|| ()));
    drop(start(overflow));
    drop(above);
}

fn report() {
    report_stack_overflow().expect("the system permits it");
}

/// A thread that Rust's standard library has not made, which has no alternate stack.
fn on_thread_of_c(f: extern "C" fn(*mut c_void) -> *mut c_void) {
    let mut id = 0;
    let id_at = &raw mut id;
    // SAFETY: `f` takes the null that it is given, and the thread is joined below.
    let made = unsafe { libc::pthread_create(id_at, ptr::null(), f, ptr::null_mut()) };
    assert_eq!(made, 0);
    // SAFETY: the thread was made above and is joined once.
    assert_eq!(unsafe { libc::pthread_join(id, ptr::null_mut()) }, 0);
}

extern "C" fn job_on_thread_of_c(_: *mut c_void) -> *mut c_void {
    overflow_in_a_job();
    ptr::null_mut()
}

/// Whether this thread has an alternate stack, and where.
fn alternate_stack() -> Option<usize> {
    // SAFETY: all zeroes is such a description.
    let mut now = unsafe { mem::zeroed::<libc::stack_t>() };
    // SAFETY: it writes a description, and changes nothing.
    assert_eq!(unsafe { libc::sigaltstack(ptr::null(), &raw mut now) }, 0);
    (now.ss_flags & libc::SS_DISABLE == 0).then_some(now.ss_sp.addr())
}

extern "C" fn opens_a_pool(_: *mut c_void) -> *mut c_void {
    assert_eq!(alternate_stack(), None);
    init();
    let ours = alternate_stack().expect("it was made with the pool");
    assert!(start(|| recurse(1000)).finished() > Some(0));
    init();
    assert_eq!(alternate_stack(), Some(ours), "one is enough");
    ptr::null_mut()
}

extern "C" fn calls_in_a_pool(_: *mut c_void) -> *mut c_void {
    init();
    assert_eq!(alternate_stack(), None);
    report();
    assert!(alternate_stack().is_some());
    drop(start(overflow));
    ptr::null_mut()
}

/// Not the page below any stack.
fn fault() {
    let nowhere = black_box(ptr::without_provenance::<u8>(64));
    // SAFETY: none: it is to fault, and the process to end.
    black_box(unsafe { nowhere.read_volatile() });
}

/// How many mappings this process has.
fn mappings() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("it is there");
    maps.lines().count()
}

fn exit(text: &str) -> ! {
    // SAFETY: writes that many bytes of a string; permitted in a handler.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
    // SAFETY: permitted in a handler.
    unsafe { libc::_exit(HANDLED) }
}

extern "C" fn simple_handler(signal: c_int) {
    assert_eq!(signal, libc::SIGSEGV);
    exit("simple handler\n");
}

extern "C" fn full_handler(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    assert_eq!(signal, libc::SIGSEGV);
    assert!(!context.is_null());
    // SAFETY: the system, or who passes it on, hands over a good one.
    match unsafe { (*info).si_addr() }.addr() {
        64 => exit("full handler: 64\n"),
        _ => exit("full handler\n"),
    }
}

/// Puts this in force for SIGSEGV.
fn set_handler(handler: libc::sighandler_t, flags: c_int) {
    // SAFETY: all zeroes is an action without a handler.
    let mut action = unsafe { mem::zeroed::<libc::sigaction>() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    // SAFETY: the handlers of this file do only what a handler may, and are of the type that goes
    // with the flags.
    let set = unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, ptr::null_mut()) };
    assert_eq!(set, 0);
}

fn set_simple() {
    set_handler(simple_handler as *const () as usize, libc::SA_ONSTACK);
}

fn set_full() {
    let flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    set_handler(full_handler as *const () as usize, flags);
}

fn send() {
    // SAFETY: a signal to this thread; what it does is what is tested.
    assert_eq!(unsafe { libc::raise(libc::SIGSEGV) }, 0);
}

/// Does nothing unless it is in a child process.
#[test]
fn child() {
    let Ok(behaviour) = std::env::var(BEHAVIOUR) else {
        return;
    };
    match behaviour.as_str() {
        "not asked for" => overflow_in_a_job(),
        "first job of its thread" => {
            report();
            init();
            drop(start(overflow));
        }
        "job" => {
            report();
            overflow_in_a_job();
        }
        "pool before" => {
            init();
            report();
            overflow_in_a_job();
        }
        "asked for many times" => {
            let threads: Vec<_> = (0..8).map(|_| thread::spawn(report)).collect();
            for thread in threads {
                thread.join().expect("it is permitted");
            }
            report();
            overflow_in_a_job();
        }
        "second thread" => {
            report();
            let _ = thread::spawn(overflow_in_a_job).join();
        }
        "thread of C" => {
            report();
            on_thread_of_c(job_on_thread_of_c);
        }
        "thread of C that asks" => on_thread_of_c(calls_in_a_pool),
        "threads of C that end" => {
            report();
            on_thread_of_c(opens_a_pool);
            let before = mappings();
            for _ in 0..50 {
                on_thread_of_c(opens_a_pool);
            }
            // Each would leave two: a stack and its guard.
            assert!(mappings() < before + 50);
        }
        "after a pause" => {
            report();
            init();
            let job = start_paused(|| {
                let _ = pause_job();
                overflow()
            });
            drop(job.resume());
        }
        "while it is cancelled" => {
            report();
            init();
            let job = start_paused(|| {
                let _ = pause_job();
                overflow()
            });
            job.cancel();
        }
        "resumed by a job" => {
            report();
            init();
            let inner = start_paused(|| {
                let _ = pause_job();
                overflow()
            });
            drop(start(move || inner.resume().finished()));
        }
        "thread's own stack" => {
            report();
            init();
            drop(start(|| ()));
            let own = thread::Builder::new()
                .name("shallow".into())
                .stack_size(STACK);
            let own = own.spawn(|| recurse(usize::MAX)).expect("it starts");
            let _ = own.join();
        }
        "fault" => {
            report();
            fault();
        }
        "fault in a job" => {
            report();
            drop(start(fault));
        }
        "simple handler" => {
            set_simple();
            report();
            drop(start(fault));
        }
        "simple handler, overflow" => {
            set_simple();
            report();
            overflow_in_a_job();
        }
        "full handler" => {
            set_full();
            report();
            fault();
        }
        "full handler, overflow" => {
            set_full();
            report();
            overflow_in_a_job();
        }
        "full handler, set later" => {
            report();
            set_full();
            report();
            drop(start(fault));
        }
        "sent, full handler" => {
            set_full();
            report();
            send();
        }
        "no handler" => {
            set_handler(libc::SIG_DFL, 0);
            report();
            drop(start(fault));
        }
        "no handler, overflow" => {
            set_handler(libc::SIG_DFL, 0);
            report();
            overflow_in_a_job();
        }
        "sent, no handler" => {
            set_handler(libc::SIG_DFL, 0);
            report();
            send();
        }
        "ignored" => {
            set_handler(libc::SIG_IGN, 0);
            report();
            fault();
        }
        "sent, ignored" => {
            set_handler(libc::SIG_IGN, 0);
            report();
            send();
        }
        other => panic!("unknown: {other}"),
    }
    println!("{SURVIVED}");
}

#[test]
fn a_job_that_overflows_is_named() {
    for behaviour in [
        "job",
        "first job of its thread",
        "pool before",
        "asked for many times",
        "second thread",
        "thread of C",
        "thread of C that asks",
        "after a pause",
        "while it is cancelled",
        "resumed by a job",
        "simple handler, overflow",
        "full handler, overflow",
        "no handler, overflow",
    ] {
        let Ended { status, out, err } = run_child(behaviour);
        let all = format!("{behaviour}: {status}\n{out}\n{err}");
        assert_eq!(status.signal(), Some(libc::SIGABRT), "{all}");
        let (_, id) = out.split_once("it is ").expect(&all);
        let id = id.lines().next().expect(&all);
        let message = format!(
            "\njob {id} has overflowed its stack of {STACK} bytes; raise PoolConfig::stack_bytes, in C ASYNC_CAPI_STACK_BYTES\n"
        );
        assert!(err.contains(&message), "{all}");
        assert_eq!(err.matches("overflowed").count(), 1, "{all}");
        assert!(!out.contains(SURVIVED), "{all}");
    }
}

#[test]
fn nothing_is_said_unless_asked_for() {
    let Ended { status, err, .. } = run_child("not asked for");
    assert!(status.signal().is_some(), "{status}");
    assert!(!err.contains("overflowed"), "{err}");
}

#[test]
fn the_overflow_of_a_thread_is_left_to_rust() {
    let Ended { status, out, err } = run_child("thread's own stack");
    assert_eq!(status.signal(), Some(libc::SIGABRT), "{status}\n{err}");
    assert!(
        err.contains("'shallow'") && err.contains("has overflowed its stack"),
        "{err}"
    );
    assert!(!err.contains("job"), "{err}");
    assert!(!out.contains(SURVIVED), "{out}");
}

#[test]
fn other_faults_end_as_before() {
    for behaviour in [
        "fault",
        "fault in a job",
        "no handler",
        "sent, no handler",
        "ignored",
    ] {
        let Ended { status, out, err } = run_child(behaviour);
        let all = format!("{behaviour}: {status}\n{out}\n{err}");
        assert_eq!(status.signal(), Some(libc::SIGSEGV), "{all}");
        assert!(!err.contains("overflowed"), "{all}");
        assert!(!out.contains(SURVIVED), "{all}");
    }
    let Ended { status, out, err } = run_child("sent, ignored");
    assert!(
        status.success() && out.contains(SURVIVED),
        "{status}\n{out}\n{err}"
    );
}

#[test]
fn the_handler_that_was_there_is_called() {
    for (behaviour, says) in [
        ("simple handler", "simple handler"),
        ("full handler", "full handler: 64"),
        ("full handler, set later", "full handler: 64"),
        ("sent, full handler", "full handler"),
    ] {
        let Ended { status, out, err } = run_child(behaviour);
        let all = format!("{behaviour}: {status}\n{out}\n{err}");
        assert_eq!(status.code(), Some(HANDLED), "{all}");
        assert!(err.contains(says) && !err.contains("overflowed"), "{all}");
        assert!(!out.contains(SURVIVED), "{all}");
    }
}

#[test]
fn an_alternate_stack_is_freed_with_its_thread() {
    let Ended { status, out, err } = run_child("threads of C that end");
    assert!(
        status.success() && out.contains(SURVIVED),
        "{status}\n{out}\n{err}"
    );
}
