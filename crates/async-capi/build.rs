//! What the linker is told about the shared library.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Programs that link it look for this name, not for the one without a number.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libasync_capi.so.0");
    // Never unloaded: paused jobs, thread destructors and handlers at exit point into it.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
