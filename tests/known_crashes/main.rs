//! The graveyard: what real asynchronous crypto stacks were reported to crash on, to hang on and to
//! get wrong. Each test is named after what went wrong, cites the thread, and shows twice, in virtual
//! time: that a small model of the old design fails on a schedule, and that ours does not.
//!
//! What has its tests elsewhere:
//!
//! | what went wrong | where it was reported | tested in |
//! |---|---|---|
//! | a stack overflows, silently | openssl #6864, lua-nginx-module #1367 | `async-core/tests/guard.rs`, `overflow_message.rs` |
//! | a job is started inside a job | openssl PR #11421, Tongsuo #44 | `async-core/tests/nested_start.rs` |
//! | a job is resumed on another thread | openssl #15063 | `async-core/tests/wrong_thread.rs`: it does not compile |
//! | a blocked pause leaks into the next job | openssl PR #4020, PR #4024 | `async-core/tests/block.rs` |
//! | an argument of no bytes fails silently | openssl PR #29377 | closures have no size to get wrong |
//! | jobs of a pool never come back | openssl #5950, #20445 | `async-core/tests/thread_exit.rs`, `trim.rs` |
//! | no descriptor is left for the wake | QAT_Engine #40 | `offload/tests/no_fd.rs`, `waitctx/tests/emfile.rs` |
//! | `select` ends at descriptor 1024 | QAT_Engine #142 | `tests/million.rs`: epoll and queues |
//! | an fd that is added and removed again and again | asynch_mode_nginx #80, #82 | `waitctx/tests/poller.rs`, `change_record.rs` |
//! | a job cannot be run without a poller's fd | openssl PR #1148 | `async-core/tests/job_set.rs`: `WakeBy::Polling` |

mod completion_races;
mod descriptors;
mod polling;
mod rings;
mod teardown;
mod wakes;

mod old;
mod support;
