//! A random script: plain data, made from a seed and a number. What it does is in `run.rs`, which leaves out
//! what libcrypto leaves undefined at that moment. So any part of a script is a script, and can be run alone.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A step of the host, or of a job: each leaves out what is not for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    /// `ASYNC_init_thread(max, init)`.
    Init {
        max: usize,
        init: usize,
    },
    /// `ASYNC_cleanup_thread()`.
    Cleanup,
    IsCapable,
    NewCtx,
    /// Frees one of the contexts that no job has.
    FreeCtx(u8),
    /// `ASYNC_WAIT_CTX_free(NULL)`.
    FreeNull,
    /// A function on a context.
    Ctx(Which, CtxOp),
    Pause,
    Block,
    Unblock,
    Current,
    /// `ASYNC_get_wait_ctx` of one of the paused jobs, or of the running one.
    WaitCtx(u8),
    /// Another default library context for this thread, or this job.
    LibCtx(u8),
    Start(Start),
    /// Starts a job with arguments too large for any memory.
    StartTooLarge,
    /// Resumes one of the paused jobs; with arguments that are to be ignored, or without any.
    Resume {
        which: u8,
        junk: bool,
    },
}

/// On which context.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Which {
    /// The running job's own.
    Own,
    Nth(u8),
}

/// The functions on contexts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum CtxOp {
    SetFd {
        key: u8,
        fd: i32,
        data: u8,
        cleanup: bool,
    },
    ClearFd(u8),
    GetFd(u8),
    /// Their number only, or the array too.
    AllFds {
        array: bool,
    },
    ChangedFds {
        added: bool,
        removed: bool,
    },
    /// One of two functions, or NULL.
    SetCallback {
        which: u8,
        arg: u8,
    },
    /// Asks for it, and calls it as an engine does.
    GetCallback,
    SetStatus(i32),
    GetStatus,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Start {
    /// NULL, or one of the contexts.
    pub(crate) ctx: Option<u8>,
    /// NULL, or this many bytes made from the number.
    pub(crate) args: Option<(u16, u8)>,
    /// The size that is passed with NULL.
    pub(crate) size_of_null: u8,
    pub(crate) body: Vec<Op>,
    pub(crate) ret: i32,
}

/// The script of this number.
pub(crate) fn script(seed: u64, number: u64) -> Vec<Op> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    let mut draw = Draw { rng };
    let mut ops = Vec::new();
    for _ in 0..draw.below(3) {
        ops.push(Op::NewCtx);
    }
    if draw.below(3) > 0 {
        ops.push(draw.init());
    }
    for _ in 0..4 + draw.below(28) {
        ops.push(draw.host_op());
    }
    ops
}

struct Draw {
    rng: ChaCha8Rng,
}

/// Few keys, so that some are taken twice; few numbers, so that some come again.
const KEYS: u32 = 3;
const FDS: [i32; 6] = [-1, 0, 3, 7, 99, i32::MAX];

impl Draw {
    fn below(&mut self, bound: u32) -> u32 {
        self.rng.next_u32() % bound
    }

    fn byte(&mut self) -> u8 {
        self.rng.next_u32() as u8
    }

    /// Any number.
    fn number(&mut self) -> i32 {
        self.rng.next_u32() as i32
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    fn init(&mut self) -> Op {
        let max = match self.below(8) {
            0 => 0,
            1 => i32::MAX as usize,
            _ => 1 + self.below(4) as usize,
        };
        let init = match self.below(3) {
            0 => 0,
            _ => self.below(4) as usize,
        };
        Op::Init { max, init }
    }

    fn host_op(&mut self) -> Op {
        match self.below(64) {
            0..=1 => self.init(),
            2 => Op::Cleanup,
            3 => Op::StartTooLarge,
            4..=5 => Op::NewCtx,
            6..=8 => Op::FreeCtx(self.byte()),
            9..=21 => Op::Start(self.start()),
            22..=41 => Op::Resume {
                which: self.byte(),
                junk: self.coin(),
            },
            42 => Op::Pause,
            43 => match self.coin() {
                true => Op::Block,
                false => Op::Unblock,
            },
            _ => self.any_op(),
        }
    }

    fn job_op(&mut self) -> Op {
        match self.below(64) {
            0..=15 => Op::Pause,
            16..=17 => Op::Block,
            18..=20 => Op::Unblock,
            21 => self.init(),
            22 => Op::NewCtx,
            23 => Op::FreeCtx(self.byte()),
            _ => self.any_op(),
        }
    }

    /// What both hosts and jobs do.
    fn any_op(&mut self) -> Op {
        match self.below(36) {
            0 => Op::IsCapable,
            1 => Op::FreeNull,
            2..=3 => Op::Current,
            4..=5 => Op::WaitCtx(self.byte()),
            6..=8 => Op::LibCtx(self.below(3) as u8),
            _ => {
                let which = match self.below(3) {
                    0 => Which::Nth(self.byte()),
                    _ => Which::Own,
                };
                Op::Ctx(which, self.ctx_op())
            }
        }
    }

    fn ctx_op(&mut self) -> CtxOp {
        match self.below(28) {
            0..=8 => CtxOp::SetFd {
                key: self.below(KEYS) as u8,
                fd: FDS[self.below(FDS.len() as u32) as usize],
                data: self.byte(),
                cleanup: self.coin(),
            },
            9..=12 => CtxOp::ClearFd(self.below(KEYS) as u8),
            13..=14 => CtxOp::GetFd(self.below(KEYS) as u8),
            15..=16 => CtxOp::AllFds { array: self.coin() },
            17..=22 => CtxOp::ChangedFds {
                added: self.coin(),
                removed: self.coin(),
            },
            23 => CtxOp::SetCallback {
                which: self.below(3) as u8,
                arg: self.byte(),
            },
            24 => CtxOp::GetCallback,
            25..=26 => CtxOp::SetStatus(match self.coin() {
                true => self.below(4) as i32,
                false => self.number(),
            }),
            _ => CtxOp::GetStatus,
        }
    }

    fn start(&mut self) -> Start {
        let size = match self.below(4) {
            0 => self.below(2),
            1 => 62 + self.below(5), // around what ours keeps in place
            2 => self.below(64),
            _ => self.below(2048),
        };
        let ops = match self.below(4) {
            0 => self.below(3),
            _ => self.below(20),
        };
        Start {
            ctx: (self.below(8) > 0).then(|| self.byte()),
            args: (self.below(4) > 0).then(|| (size as u16, self.byte())),
            size_of_null: self.byte(),
            body: (0..ops).map(|_| self.job_op()).collect(),
            ret: self.number(),
        }
    }
}
