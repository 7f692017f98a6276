//! The fd of a wait context: whose it is, how long it is there, and that it is one.

use async_core::{WakeBy, current_job};
use offload::{OffloadError, Reason};

use crate::old::{Crash, Descriptors, File};
use crate::support::{Host, Rig, assert_right, request};

/// The fds of the running job's context.
fn fds_here() -> Vec<i32> {
    current_job().expect("in a job").wait_ctx().all_fds()
}

/// folly PR #1387. An operation fails, and the error path
/// closes the eventfd, which the application has watched since an operation before.
#[test]
fn an_error_closes_the_eventfd_that_the_application_watches() {
    let old = |fails: bool| -> Result<(), Crash> {
        let rig = Rig::new("");
        let mut fds = Descriptors::default();
        let wake = fds.open(File::Event(0));
        for id in 0..2 {
            let _answer = rig.submit(id).expect("there is room");
            if id == 1 && fails {
                fds.close(wake)?;
            }
            rig.until_ended(id);
            fds.write_one(wake)?;
            fds.read(wake)?;
        }
        Ok(())
    };
    assert_eq!(old(false), Ok(()));
    assert_eq!(old(true), Err(Crash::BadDescriptor));

    let rig = Rig::new(
        "[[faults.script]]\n at_op = 1\n fault = 'throttled'\n\
         [[faults.script]]\n at_op = 2\n fault = 'error'",
    );
    let mut host = Host::new(WakeBy::Fd);
    let client = rig.client.clone();
    host.start(move || {
        assert_right(0, client.run(request(0)));
        let fds = fds_here();
        let refused = client.run(request(1)).expect_err("refused by the script");
        let throttled = Reason::Throttled;
        assert!(matches!(refused, OffloadError::Refused { reason, .. } if reason == throttled));
        client.run(request(2)).expect_err("failed by the script");
        assert_right(3, client.run(request(3)));
        assert_eq!(fds_here(), fds);
    });
    host.run(&rig).expect("the fd is watched to the end");
    let counters = rig.close();
    assert_eq!((counters.completed, counters.failed), (2, 1));
}

/// folly #1292, libevent #403, and seen under HAProxy. Hosts register
/// the fd that they find at the first pause. An engine that takes a new one for each operation wakes
/// nobody at the second; HAProxy crashes.
#[test]
fn the_second_operation_has_another_fd_which_nobody_watches() {
    let old = |cleared_each_time: bool| -> Result<(), Crash> {
        let rig = Rig::new("");
        let mut fds = Descriptors::default();
        let mut wake = fds.open(File::Event(0));
        let watched = wake;
        for id in 0..2 {
            let _answer = rig.submit(id).expect("there is room");
            rig.until_ended(id);
            fds.write_one(wake)?;
            fds.read(watched)?.ok_or(Crash::Hang)?;
            if cleared_each_time {
                // The new one is made before the old one is let go of.
                wake = fds.open(File::Event(0));
            }
        }
        Ok(())
    };
    assert_eq!(old(false), Ok(()));
    assert_eq!(old(true), Err(Crash::Hang));

    // Ours: a host that looks at the fds once, at the first pause, and never again.
    let rig = Rig::new("");
    let mut host = Host::new(WakeBy::Fd);
    let client = rig.client.clone();
    host.start(move || {
        let mut seen = Vec::new();
        for id in 0..10 {
            assert_right(id, client.run(request(id)));
            seen.push(fds_here());
        }
        seen
    });
    let watched = host.fds(0);
    assert_eq!(watched.len(), 1);
    host.run(&rig).expect("each wake comes");
    let (_, seen) = host.done.pop().expect("it has ended");
    assert!(seen.iter().all(|fds| *fds == watched), "{seen:?}");
}
