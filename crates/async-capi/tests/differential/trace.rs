//! What is seen of a script's run, and how often each thing was seen.

use std::fmt;

macro_rules! what {
    ($($name:ident,)* ; never: $($never:ident,)*) => {
        /// A call with how it ended, or a call that came from the library.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum What {
            $($name,)*
            $($never,)*
        }

        /// All that has to happen, in a test that is not blind.
        const EXPECTED: &[What] = &[$(What::$name),*];
        /// What both may do, and none does.
        const UNEXPECTED: &[What] = &[$(What::$never),*];
    };
}

what! {
    InitOk, InitRefused, CleanupThread, IsCapable,
    StartPause, StartFinish, StartNoJobs, StartErr, ResumePause, ResumeFinish,
    WithoutCtx, SharedCtx, UsedCtx, FourAtOnce,
    ArgsNull, ArgsInPlace, ArgsOnHeap, ArgsAtEnd, JobReturns,
    PauseOutside, PauseBlocked, PauseReturns,
    BlockOutside, BlockInJob, UnblockOutside, UnblockInJob, UnblockAtZero,
    CurrentOutside, CurrentInJob, WaitCtxOfPaused, WaitCtxOfRunning,
    NewCtx, FreeCtx, FreeNull, FdCleanup,
    SetFd, SetFdOfTakenKey, ClearFd, ClearNoFd, GetFd, GetNoFd,
    AllFds, CountFds, OneFd, ChangedFds, CountChangedFds, AddedFd, RemovedFd,
    SetCallback, UnsetCallback, GetCallback, GetNoCallback, CallbackCalled, SetStatus, GetStatus,
    SetLibCtx, SetLibCtxInJob, LibCtxSeen, LibCtxSeenInJob, Error,
    ;
    never: ResumeNoJobs, ResumeErr, WrongFunction, NeverFinished, Impossible,
}

/// One of them, with whatever numbers came with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) what: What,
    /// The running job's number; -1 outside.
    pub(crate) job: i32,
    pub(crate) values: [i64; 4],
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.job {
            -1 => write!(f, "host   ")?,
            job => write!(f, "job {job:2} ")?,
        }
        write!(f, "{:?} {:?}", self.what, self.values)
    }
}

/// How often each thing was seen.
#[derive(Clone)]
pub(crate) struct Coverage {
    counts: [u64; EXPECTED.len() + UNEXPECTED.len()],
}

impl Coverage {
    pub(crate) fn new() -> Coverage {
        Coverage {
            counts: [0; EXPECTED.len() + UNEXPECTED.len()],
        }
    }

    pub(crate) fn add(&mut self, trace: &[Event]) {
        for event in trace {
            self.counts[event.what as usize] += 1;
        }
    }

    pub(crate) fn merge(&mut self, other: &Coverage) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
    }

    /// What never happened and should have.
    pub(crate) fn missing(&self) -> Vec<What> {
        let never = |what: &What| self.counts[*what as usize] == 0;
        EXPECTED.iter().copied().filter(never).collect()
    }

    /// What happened and never should have: libcrypto is outside of what it defines.
    pub(crate) fn unexpected(&self) -> Vec<What> {
        let seen = |what: &What| self.counts[*what as usize] > 0;
        UNEXPECTED.iter().copied().filter(seen).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, what) in EXPECTED.iter().enumerate() {
            let end = if at % 4 == 3 { "\n" } else { "" };
            let name = format!("{what:?}");
            write!(f, "{name:>17}{:>10}{end}", self.counts[*what as usize])?;
        }
        Ok(())
    }
}
