//! Arenas on systems that refuse something.

use std::collections::HashSet;
use std::io::ErrorKind;

use rustix::io::Errno;

use waitctx::WaitCtx;

use super::fake::{Kernel, become_kernel, kernel};
use super::*;
use crate::{
    InitError, JobOutcome, Pause, PoolConfig, StartError, init_thread, pause_job, pool_stats,
    start_job,
};

const STACK: usize = 64 << 10;

fn arena() -> Arena {
    Arena::new(STACK, false)
}

/// Takes so many stacks, and checks that each is one of its own, with a guard that was installed.
fn take(arena: &mut Arena, count: usize) -> Vec<StackMemory> {
    let mut taken = Vec::new();
    for _ in 0..count {
        let memory = arena.allocate().expect("there is memory");
        for region in &arena.regions {
            assert!(region.cut <= region.guarded && region.guarded <= region.slots);
        }
        taken.push(memory);
    }
    let distinct: HashSet<usize> = taken.iter().map(|m| m.lowest.addr().get()).collect();
    assert_eq!(distinct.len(), count);
    taken
}

/// Whether this process can read the byte at `address`: asked of the system, which answers with an
/// error where an access would end the process. (`/proc/self/mem` reads what has no access rights.)
fn readable(address: usize) -> bool {
    let mut byte = 0_u8;
    let ours = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    let theirs = libc::iovec {
        iov_base: std::ptr::without_provenance_mut(address),
        iov_len: 1,
    };
    let own = libc::pid_t::try_from(std::process::id()).expect("a pid");
    // SAFETY: it writes at most one byte, to `byte`, which nobody else uses.
    let read = unsafe { libc::process_vm_readv(own, &raw const ours, 1, &raw const theirs, 1, 0) };
    read == 1
}

fn assert_guarded(stacks: &[StackMemory], guarded: bool) {
    for memory in stacks {
        let lowest = memory.lowest.addr().get();
        assert!(readable(lowest) && readable(lowest + memory.bytes - 1));
        assert_eq!(!readable(lowest - 1), guarded, "the page below");
    }
}

/// Whether this system has the guard advice; where it has not, what needs it is left out.
fn has_advice() -> bool {
    become_kernel(Kernel::default());
    let mut arena = arena();
    take(&mut arena, 1);
    let has = arena.guard() == Some(Guard::Advised);
    become_kernel(Kernel::default());
    if !has {
        use std::io::Write;
        let line = "a test of guard pages was left out: this kernel has no guard advice\n";
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
    has
}

#[test]
fn guards_come_in_batches_that_grow() {
    if !has_advice() {
        return;
    }
    let mut arena = arena();
    let mut stacks = take(&mut arena, 1);
    assert_eq!(kernel().batches, 1);
    assert_eq!(arena.regions[0].guarded, MIN_BATCH);
    stacks.extend(take(&mut arena, MIN_BATCH - 1));
    assert_eq!(kernel().batches, 1);
    stacks.extend(take(&mut arena, 5000 - MIN_BATCH));
    // 16, 16, 32, .. 512 up to 1024 slots, a call each; then 1024 at a time.
    let calls = kernel();
    assert!(calls.batches <= 20, "{} calls", calls.batches);
    assert_eq!((calls.advices, calls.protects, calls.pidfds), (0, 0, 0));
    assert_guarded(&stacks, true);
    // What is released needs no new guard.
    let again = stacks.pop().expect("there are some");
    // SAFETY: it came from this arena and nobody uses it.
    unsafe { arena.release(again) };
    assert_guarded(&take(&mut arena, 1), true);
    assert_eq!(kernel().batches, calls.batches);
}

#[test]
fn a_kernel_without_the_sentinel_gets_a_pidfd_for_one_call() {
    if !has_advice() {
        return;
    }
    let open_fds = || {
        std::fs::read_dir("/proc/self/fd")
            .expect("it is there")
            .count()
    };
    become_kernel(Kernel {
        sentinel: Some(Errno::BADF),
        ..Kernel::default()
    });
    let mut arena = arena();
    let stacks = take(&mut arena, 100);
    let calls = kernel();
    assert_eq!(calls.batches, 2 * calls.pidfds);
    assert_eq!((calls.advices, calls.protects), (0, 0));
    assert_guarded(&stacks, true);
    // Other tests open and close files at the same time, but not hundreds.
    let before = open_fds();
    take(&mut arena, 20_000);
    assert!(kernel().pidfds > calls.pidfds);
    assert!(open_fds() < before + 20);
}

#[test]
fn no_descriptor_is_left_for_a_pidfd() {
    if !has_advice() {
        return;
    }
    become_kernel(Kernel {
        sentinel: Some(Errno::BADF),
        pidfd: Some(Errno::MFILE),
        ..Kernel::default()
    });
    let mut arena = arena();
    let mut stacks = take(&mut arena, 10);
    assert_eq!((kernel().advices, kernel().protects), (10, 0));
    // When there are descriptors again, it goes on in batches.
    become_kernel(Kernel::default());
    stacks.extend(take(&mut arena, 90));
    assert_eq!(kernel().advices, 0);
    assert!(kernel().batches > 0);
    assert_guarded(&stacks, true);
}

#[test]
fn a_batch_that_is_done_in_part_is_gone_on_with() {
    if !has_advice() {
        return;
    }
    become_kernel(Kernel {
        batch_limit: 3,
        ..Kernel::default()
    });
    let mut arena = arena();
    let stacks = take(&mut arena, 50);
    assert_guarded(&stacks, true);
    // 16 and 32 slots in threes and what is left of them, and the first two.
    assert_eq!(kernel().batches, 6 + 11 + 1);
    assert_eq!((kernel().advices, kernel().protects), (0, 0));
}

#[test]
fn a_kernel_without_the_batch_call_guards_one_by_one() {
    if !has_advice() {
        return;
    }
    for refusal in [Errno::NOSYS, Errno::INVAL, Errno::PERM] {
        become_kernel(Kernel {
            batch: Some(refusal),
            ..Kernel::default()
        });
        let mut arena = arena();
        let stacks = take(&mut arena, 40);
        let calls = kernel();
        assert_eq!((calls.batches, calls.advices, calls.protects), (1, 40, 0));
        assert_eq!(arena.guard(), Some(Guard::Advised));
        assert_guarded(&stacks, true);
    }
}

/// Before Linux 6.13; or the arena's memory is locked.
fn without_advice() -> Kernel {
    Kernel {
        batch: Some(Errno::INVAL),
        advise: Some(Errno::INVAL),
        ..Kernel::default()
    }
}

#[test]
fn a_kernel_without_the_guard_advice_takes_access_rights() {
    become_kernel(without_advice());
    let mut arena = arena();
    let stacks = take(&mut arena, 40);
    let calls = kernel();
    assert_eq!((calls.batches, calls.advices, calls.protects), (1, 1, 40));
    assert_eq!(arena.guard(), Some(Guard::Protected));
    assert_guarded(&stacks, true);
    // It sticks, though it would work now.
    become_kernel(Kernel::default());
    take(&mut arena, 20);
    assert_eq!((kernel().batches, kernel().advices), (0, 0));
    assert_eq!(arena.guard(), Some(Guard::Protected));
}

#[test]
fn memory_is_locked_while_the_arena_grows() {
    if !has_advice() {
        return;
    }
    let mut arena = arena();
    let stacks = take(&mut arena, MIN_BATCH);
    assert_eq!(arena.guard(), Some(Guard::Advised));
    become_kernel(without_advice());
    assert_guarded(&take(&mut arena, 1), true);
    assert_eq!(arena.guard(), Some(Guard::Protected));
    assert_guarded(&stacks, true);
}

#[test]
fn no_guard_at_all_is_refused() {
    become_kernel(Kernel {
        protect: Some(Errno::NOMEM),
        ..without_advice()
    });
    let mut arena = arena();
    for _ in 0..2 {
        let error = arena.allocate().expect_err("no guard");
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        assert!(error.to_string().contains("vm.max_map_count"), "{error}");
        assert_eq!((arena.guard(), arena.cut), (None, 0));
    }
    // Mappings were freed elsewhere.
    become_kernel(without_advice());
    assert_guarded(&take(&mut arena, 3), true);
    assert_eq!(arena.guard(), Some(Guard::Protected));
}

#[test]
fn no_guard_at_all_is_permitted() {
    become_kernel(without_advice());
    let mut arena = Arena::new(STACK, true);
    let guarded = take(&mut arena, 3);
    assert_eq!(arena.guard(), Some(Guard::Protected));
    become_kernel(Kernel {
        protect: Some(Errno::NOMEM),
        ..Kernel::default()
    });
    let unguarded = take(&mut arena, 3);
    assert_eq!(arena.guard(), Some(Guard::Unguarded));
    assert_eq!(kernel().protects, 1);
    assert_guarded(&guarded, true);
    assert_guarded(&unguarded, false);
}

/// No memory for a page table: neither a reason to do without guards nor to change the way.
#[test]
fn memory_is_short_for_a_while() {
    if !has_advice() {
        return;
    }
    for allow_unguarded in [false, true] {
        become_kernel(Kernel {
            batch: Some(Errno::NOMEM),
            advise: Some(Errno::NOMEM),
            ..Kernel::default()
        });
        let mut arena = Arena::new(STACK, allow_unguarded);
        let error = arena.allocate().expect_err("no memory");
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        assert_eq!(kernel().protects, 0);
        become_kernel(Kernel::default());
        assert_guarded(&take(&mut arena, 20), true);
        assert_eq!(arena.guard(), Some(Guard::Advised));
        assert_eq!(kernel().advices, 0);
    }
}

#[test]
fn address_space_is_short() {
    let slot = STACK + rustix::param::page_size();
    become_kernel(Kernel {
        map: Some((3 * slot, Errno::NOMEM)),
        ..Kernel::default()
    });
    let mut arena = arena();
    let mut stacks = take(&mut arena, 20);
    // 2 of the 16 that it would like, and so on.
    assert_eq!(arena.regions.len(), 10);
    become_kernel(Kernel {
        map: Some((0, Errno::NOMEM)),
        ..Kernel::default()
    });
    let error = arena.allocate().expect_err("no address space");
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    become_kernel(Kernel::default());
    stacks.extend(take(&mut arena, 100));
    assert_guarded(&stacks, true);
}

/// A million stacks with guards are made, in few mappings. Address space and page tables only: no
/// stack is touched.
#[cfg(target_pointer_width = "64")]
#[test]
fn a_million_stacks_need_few_mappings() {
    if !has_advice() {
        return;
    }
    let mut arena = arena();
    let mut last = None;
    for _ in 0..1_000_000 {
        last = Some(arena.allocate().expect("there is address space"));
    }
    assert_eq!((arena.cut, arena.regions.len()), (1_000_000, 27));
    assert_guarded(&[last.expect("a million were made")], true);
    let ours = |line: &&str| {
        let start = line.split('-').next().unwrap_or_default();
        let start = usize::from_str_radix(start, 16).expect("an address");
        arena.regions.iter().any(|r| {
            let at = r.start.addr().get();
            (at..at + r.slots * arena.slot_bytes()).contains(&start)
        })
    };
    let maps = std::fs::read_to_string("/proc/self/maps").expect("it is there");
    assert!(maps.lines().filter(ours).count() <= arena.regions.len());
}

/// The same, as a user of the pool meets it.
#[test]
fn a_pool_whose_guards_are_refused() {
    become_kernel(without_advice());
    let start = || start_job(&WaitCtx::new(), pause_job);
    let paused = || start().expect("a stack").paused().expect("it pauses");
    let mut jobs = vec![paused(), paused()];
    become_kernel(Kernel {
        protect: Some(Errno::NOMEM),
        ..without_advice()
    });
    let Err(StartError::Stack { closure, source }) = start() else {
        panic!("there is no guard for it");
    };
    assert!(source.to_string().contains("allow_unguarded"), "{source}");
    assert_eq!(closure(), Ok(Pause::NotInJob));
    let pool = || pool_stats().map(|stats| (stats.in_use, stats.idle, stats.guard));
    assert_eq!(pool(), Some((2, 0, Some(Guard::Protected))));
    let up_front = PoolConfig {
        init_jobs: 3,
        ..PoolConfig::default()
    };
    let refused = init_thread(&up_front);
    assert!(matches!(
        refused,
        Err(InitError::Stack {
            made: 0,
            init_jobs: 3,
            ..
        })
    ));
    // A job that ends leaves its stack, guard in place.
    let outcome = jobs.remove(0).resume();
    assert!(matches!(outcome, JobOutcome::Finished(Ok(Pause::Resumed))));
    jobs.push(paused());
    assert_eq!(pool(), Some((2, 0, Some(Guard::Protected))));

    // The user permits it: other stacks from then on.
    init_thread(&PoolConfig {
        // SAFETY: the jobs here call a function or two.
        allow_unguarded: Some(unsafe { Unguarded::promise() }),
        ..up_front.clone()
    })
    .expect("nothing is refused");
    assert_eq!(pool(), Some((2, 3, Some(Guard::Unguarded))));
    jobs.push(paused());
    // And takes it back: none of those is left.
    become_kernel(without_advice());
    init_thread(&up_front).expect("nothing is refused");
    assert_eq!(pool(), Some((3, 3, Some(Guard::Protected))));
    for job in jobs {
        assert_eq!(job.resume().finished(), Some(Ok(Pause::Resumed)));
    }
    assert_eq!(pool(), Some((0, 3, Some(Guard::Protected))));
}

/// Guards that are mappings of their own do not take all that the process may have.
#[test]
fn mappings_are_left_to_the_rest_of_the_program() {
    if calls::max_mappings() > 200_000 {
        println!("skipped: so many mappings are allowed here that it takes minutes to use them up");
        return;
    }
    become_kernel(Kernel {
        batch: Some(Errno::INVAL),
        advise: Some(Errno::INVAL),
        ..Kernel::default()
    });
    let mut arena = Arena::new(STACK, false);
    let mut made = 0;
    let error = loop {
        match arena.allocate() {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    assert!(
        made > 1000 && made * 2 + 4096 <= calls::max_mappings() + 2,
        "{made}"
    );
    std::thread::spawn(|| ()).join().expect("no panic");
    // They are given back.
    drop(arena);
    let mut arena = Arena::new(STACK, false);
    for _ in 0..100 {
        arena.allocate().expect("there is room again");
    }
}
