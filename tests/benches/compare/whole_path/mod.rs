//! The whole way: submit to the simulated device, pause, be woken, take the answer. The sides of a
//! row share one device with one worker.

#[expect(
    unsafe_code,
    reason = "libcrypto's bare functions, to measure them and not a wrapper"
)]
mod libcrypto;
mod others;
mod ours;

use async_core::WakeBy;
use libcrypto::Theirs;
use libcrypto_peer::Libcrypto;
use offload::{Buffer, Op};
use others::{Inline, Tokio};
use ours::Ours;
use sim_engine::{DeviceConfig, SimDevice};

use crate::harness::{Bound, Row, Side, Table};

const ROUNDS: usize = 15;

const CALLBACK: &str = "callback";
const SHARED_FD: &str = "shared-fd";
const FD: &str = "fd";

/// One operation, as often as is asked, on so many buffers at once.
struct Task {
    op: Op,
    bytes: usize,
    in_flight: usize,
}

impl Task {
    fn buffer(&self) -> Buffer {
        vec![7; self.bytes].into()
    }

    fn buffers(&self) -> Vec<Buffer> {
        (0..self.in_flight).map(|_| self.buffer()).collect()
    }
}

pub(crate) fn run(peer: Option<Libcrypto>, table: &mut Table) {
    table.heading(
        "Operations through the device, one worker; libcrypto with an eventfd per job, tokio with a \
         thread behind mpsc and oneshot",
    );
    for in_flight in [1000, 64] {
        let nop = Task {
            op: Op::Nop,
            bytes: 64,
            in_flight,
        };
        // The bounds are for many in flight.
        let bounds = if in_flight == 1000 {
            bounds(&[("libcrypto", 0.15), ("tokio", 0.35)])
        } else {
            Vec::new()
        };
        row(peer, table, &nop, 30_000, true, &bounds);
    }
    for in_flight in [1000, 64] {
        let sha = Task {
            op: Op::Sha256,
            bytes: 1024,
            in_flight,
        };
        let bounds = bounds(&[("libcrypto", 0.70), ("inline", 1.10)]);
        row(peer, table, &sha, 20_000, false, &bounds);
    }
    for in_flight in [1000, 64] {
        let aes = Task {
            op: Op::Ctr {
                key: [3; 16].into(),
                iv: [5; 16],
            },
            bytes: 4096,
            in_flight,
        };
        let bounds = bounds(&[("libcrypto", 0.60)]);
        row(peer, table, &aes, 20_000, false, &bounds);
    }
}

/// The same for both ways that need no descriptor per job.
fn bounds(others: &[(&'static str, f64)]) -> Vec<Bound> {
    let each = |ours| {
        others.iter().map(move |&(other, at_most)| Bound {
            ours,
            other,
            at_most,
        })
    };
    each(CALLBACK).chain(each(SHARED_FD)).collect()
}

/// One row: against tokio if there is no work, against the same work on the spot if there is.
fn row(
    peer: Option<Libcrypto>,
    table: &mut Table,
    task: &Task,
    operations: u64,
    no_work: bool,
    bounds: &[Bound],
) {
    let what = format!(
        "{} {} B, {} in flight",
        task.op.kind(),
        task.bytes,
        task.in_flight
    );
    let wakes = format!("wakes per 1000 completions, {what}");
    let modes = [
        (CALLBACK, WakeBy::Callback),
        (SHARED_FD, WakeBy::SharedFd),
        (FD, WakeBy::Fd),
    ];
    let config = DeviceConfig::preset("ideal").expect("it ships");
    let device = SimDevice::open(&config, 1).expect("a device");
    let mut ours: Vec<Ours> = modes
        .into_iter()
        // Without work there is one more way to compare.
        .filter(|(name, _)| no_work || *name != FD)
        .filter(|(name, _)| table.wants(&what, name) || table.wants(&wakes, name))
        .map(|(name, wake)| Ours::new(name, &device, task, wake))
        .collect();
    if ours.is_empty() {
        return;
    }
    let mut theirs = peer.map(|peer| Theirs::new(peer, &device, task));
    let (mut tokio, mut inline) = (None, None);
    if no_work {
        tokio = Some(Tokio::new(task));
    } else {
        inline = Some(Inline::new(task));
    }
    let others = [
        theirs
            .as_mut()
            .map(|side| Side::new("libcrypto", |n| side.run(n))),
        tokio
            .as_mut()
            .map(|side| Side::new("tokio", |n| side.run(n))),
        inline
            .as_mut()
            .map(|side| Side::new("inline", |n| side.run(n))),
    ];
    table.row(Row {
        name: &what,
        rounds: ROUNDS,
        operations,
        ours: ours
            .iter_mut()
            .map(|side| Side::new(side.name, |n| side.run(n)))
            .collect(),
        others: others.into_iter().flatten().collect(),
        bounds,
    });
    if task.in_flight == 1000 {
        for side in ours.iter_mut().filter(|side| side.name != FD) {
            let samples = side.take_wakes();
            table.count(&wakes, &samples, 20.0);
        }
    }
    drop((ours, theirs));
    assert!(device.shutdown().counters.balance());
}
