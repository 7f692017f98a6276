//! The whole matrix: every fault, or none × every way to be woken × fallback or not × both clocks.
//!
//! In every cell a few hundred operations are run by jobs on a device with less room than there are
//! jobs (fewer in real time). Each must end, once, in a way that its own fate on the device allows;
//! the device's counters balance, and nothing is in flight; no job and no descriptor is left. No cell
//! hangs: in virtual time a cell in which nothing will ever happen is found at once.

mod cell;
mod run;

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_core::WakeBy;
use sim_engine::Plant;

use cell::Cell;
use run::run;

/// Descriptors and leaked jobs are the process's: the tests take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check(cells: Vec<Cell>) {
    let _turn = turn();
    let count = cells.len();
    let failed: Vec<String> = cells
        .into_iter()
        .filter_map(|cell| Some(format!("{cell}: {}", run(cell, None).err()?)))
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {count} cells:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

#[test]
fn in_virtual_time() {
    check(Cell::all(false));
}

#[test]
fn in_real_time() {
    check(Cell::all(true));
}

/// The cell without a fault finds each bug that can be built into the device.
#[test]
fn a_bug_in_the_device_fails_its_cell() {
    let _turn = turn();
    for (name, bug) in Plant::ALL {
        let cell = Cell {
            fault: None,
            wake: WakeBy::Callback,
            fallback: false,
            real_time: false,
        };
        run(cell, Some(bug)).expect_err(name);
        run(cell, None).expect("there is no bug in this one");
    }
}
