//! The `install` script: OpenSSL finds what it has installed.

mod common;

use std::path::PathBuf;
use std::process::Command;

use common::{fresh, has_openssl, plain, provider, stderr, stdout, succeed};

fn script() -> Command {
    let mut command = Command::new(common::root().join("install"));
    command.env_remove("OPENSSL_MODULES").env_remove("DESTDIR");
    command
}

/// Where cargo has put the library.
fn built() -> String {
    let built = provider();
    let directory = built.parent().expect("it is in a directory");
    directory.display().to_string()
}

/// The provider by its name alone, in a directory of modules of this test's.
#[test]
fn openssl_finds_it_in_its_directory_of_modules() {
    if !has_openssl() {
        return;
    }
    let modules = fresh("modules");
    let listed = succeed(
        script()
            .arg(format!("--moduledir={}", modules.display()))
            .args(["--from", &built()]),
    );
    assert_eq!(
        stdout(&listed).trim(),
        modules.join("simaccel.so").display().to_string()
    );
    let ask = |directory: &PathBuf| {
        plain("openssl")
            .args(["list", "-providers", "-provider", "simaccel"])
            .env("OPENSSL_MODULES", directory)
            .output()
            .expect("it can be run")
    };
    let found = ask(&modules);
    assert!(found.status.success(), "{}", stderr(&found));
    assert!(stdout(&found).contains("simaccel"), "{}", stdout(&found));
    assert!(!ask(&fresh("empty")).status.success());
}

/// Every setting, as the source lists them.
fn names() -> Vec<String> {
    let source =
        std::fs::read_to_string(common::root().join("src/config.rs")).expect("it is there");
    let list = source
        .split_once("NAMES: [")
        .and_then(|(_, rest)| rest.split_once("];"))
        .expect("the list of names")
        .0;
    let names: Vec<String> = (list.split('"').skip(1).step_by(2))
        .map(String::from)
        .collect();
    assert!(names.len() > 10, "{names:?}");
    names
}

/// OpenSSL says nothing about a name in the section that nobody asks for.
#[test]
fn the_example_configuration_and_the_page_have_every_setting() {
    let hosts = common::root().join("../../examples/hosts/sim.cnf");
    let text = std::fs::read_to_string(hosts).expect("it is there");
    let (_, section) = text
        .split_once("[simaccel_provider]")
        .expect("the provider's section");
    let section = section.split("\n[").next().expect("a first part");
    let given: Vec<&str> = (section.lines())
        .map(|line| line.trim_start_matches('#'))
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_once(" ="))
        .map(|(name, _)| name)
        .filter(|name| *name != "activate")
        .collect();
    assert_eq!(given, names());
    let page = common::root().join("../../docs/test-your-server.md");
    let page = std::fs::read_to_string(page).expect("it is there");
    for name in names() {
        let row = format!("| `{name}` | `SIMACCEL_{}` |", name.to_uppercase());
        assert!(page.contains(&row), "{row}");
    }
}

/// What the page shows as settings (`SIMACCEL_NAME='VALUE'`), the provider takes.
#[test]
fn what_the_page_sets_can_be_set() {
    if !has_openssl() {
        return;
    }
    let modules = fresh("modules");
    let from = built();
    succeed(
        script()
            .env("OPENSSL_MODULES", &modules)
            .args(["--from", &from]),
    );
    let root = common::root().join("../..");
    let page = std::fs::read_to_string(root.join("docs/test-your-server.md")).expect("it is there");
    let mut found = 0;
    for shown in page.split("SIMACCEL_").skip(1) {
        let Some((name, rest)) = shown.split_once('=') else {
            continue;
        };
        if !name.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
            continue;
        }
        let value = match rest.strip_prefix('\'') {
            Some(quoted) => quoted.split('\'').next(),
            None => rest.split([' ', '`', '\n']).next(),
        };
        let value = value.unwrap_or_default();
        if value.contains('$') {
            continue;
        }
        let output = succeed(
            plain("openssl")
                .args(["list", "-providers"])
                .env("OPENSSL_CONF", root.join("examples/hosts/sim.cnf"))
                .env("OPENSSL_MODULES", &modules)
                .env(format!("SIMACCEL_{name}"), value),
        );
        let said = stderr(&output);
        // That it was loaded, where the page sets `log`.
        let refused = said.lines().any(|line| !line.contains(" loaded, "));
        assert!(!refused, "SIMACCEL_{name}={value}: {said}");
        found += 1;
    }
    assert!(found > 10, "{found}");
}

/// The example's configuration names no path: it finds the module, and takes every setting in it.
#[test]
fn the_example_configuration_finds_it() {
    if !has_openssl() {
        return;
    }
    let modules = fresh("modules");
    succeed(
        script()
            .env("OPENSSL_MODULES", &modules)
            .args(["--from", &built()]),
    );
    let conf = common::root().join("../../examples/hosts/sim.cnf");
    let text = std::fs::read_to_string(&conf).expect("it is there");
    let with_all: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            // A setting that is commented out: "#name = value".
            Some(setting) if !setting.starts_with([' ', '#']) => format!("{setting}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert_ne!(text, with_all);
    let uncommented = fresh("sim.cnf");
    std::fs::write(&uncommented, with_all).expect("the target directory can be written");
    for conf in [conf, uncommented] {
        let output = succeed(
            plain("openssl")
                .args(["list", "-providers"])
                .env("OPENSSL_CONF", &conf)
                .env("OPENSSL_MODULES", &modules),
        );
        assert!(stdout(&output).contains("simaccel"), "{}", stdout(&output));
        assert_eq!(stderr(&output), "", "{}", conf.display());
    }
}

/// A package is made under DESTDIR; a prefix has its modules where OpenSSL's own installation puts them.
#[test]
fn a_package_is_made_under_destdir() {
    let stage = fresh("stage");
    for (option, at) in [
        ("--moduledir=/usr/lib/ossl-modules", "usr/lib/ossl-modules"),
        ("--prefix=/opt/openssl/", "opt/openssl/lib/ossl-modules"),
    ] {
        succeed(
            script()
                .args([option, "--from", &built()])
                .env("DESTDIR", &stage),
        );
        assert!(stage.join(at).join("simaccel.so").exists(), "{option}");
    }
}

#[test]
fn what_it_cannot_do_it_says() {
    let nowhere = fresh("nowhere").display().to_string();
    let file = fresh("file");
    std::fs::write(&file, "").expect("the target directory can be written");
    let below_a_file = format!("{}/below", file.display());
    let built = built();
    let cases: [(&[&str], &str); 6] = [
        (&["--moduledir"], "--moduledir needs a value"),
        (&["--prefix="], "--prefix needs a value"),
        (&["--quickly"], "'--quickly' is not an option"),
        (&["--moduledir", "here"], "must begin with /"),
        (
            &["--moduledir", "/nowhere", "--from", &nowhere],
            "there is no libsimaccel.so in",
        ),
        (
            &["--moduledir", &below_a_file, "--from", &built],
            "choose another --moduledir",
        ),
    ];
    for (args, text) in cases {
        let output = script().args(args).output().expect("it can be run");
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(
            stderr(&output).contains(text),
            "{args:?}: {}",
            stderr(&output)
        );
    }
    let help = succeed(script().arg("--help"));
    assert!(stdout(&help).starts_with("Usage: install"));
}
