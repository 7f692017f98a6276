//! Which types may cross threads. Nothing runs: it compiles or it does not.

use libcrypto_peer::raw::RawFns;
use libcrypto_peer::{
    JobOutcome, Libcrypto, LoadError, PeerCallback, PeerError, PeerJob, PeerWaitCtx, ResumeError,
    ThreadGuard,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};

assert_not_impl_any!(PeerJob: Send, Sync);
assert_not_impl_any!(JobOutcome: Send, Sync);
assert_not_impl_any!(ResumeError: Send, Sync);
assert_not_impl_any!(PeerWaitCtx: Send, Sync);
assert_not_impl_any!(ThreadGuard: Send, Sync);

assert_impl_all!(Libcrypto: Send, Sync, Copy);
assert_impl_all!(RawFns: Send, Sync, Copy);
assert_impl_all!(PeerCallback: Send, Sync, Clone);
assert_impl_all!(LoadError: Send, Sync);
assert_impl_all!(PeerError: Send, Sync);
