//! What the linker is told about the shared library.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Never unloaded: the device's threads, and handlers at exit, run in it.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
