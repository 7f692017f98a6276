//! The headers in `include/` are what cbindgen makes of the sources.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn generate(config: &str) -> String {
    let config = cbindgen::Config::from_file(root().join("tests/header").join(config))
        .expect("the configuration can be read");
    let bindings = cbindgen::Builder::new()
        .with_crate(root())
        .with_config(config)
        .generate()
        .expect("cbindgen understands the sources");
    let mut text = Vec::new();
    bindings.write(&mut text);
    String::from_utf8(text).expect("a header is text")
}

fn compare(config: &str, header: &str) {
    let made = generate(config);
    let path = root().join("include").join(header);
    if std::env::var_os("WRITE_HEADERS").is_some() {
        std::fs::write(&path, &made).expect("it can be written");
    }
    let kept = std::fs::read_to_string(Path::new(&path)).unwrap_or_default();
    assert!(
        kept == made,
        "{} is not what the sources say; write it with\n    WRITE_HEADERS=1 cargo test -p async-capi --test headers",
        path.display()
    );
}

#[test]
fn openssl_async_h_is_what_the_sources_say() {
    compare("async.toml", "openssl/async.h");
}
