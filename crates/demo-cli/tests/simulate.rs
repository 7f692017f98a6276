//! `demo-cli simulate`: seeds that pass, bugs that are found, and campaigns in parts.

mod common;

use common::{stderr, stdout};

/// What a run printed, and its exit status.
struct Run {
    code: i32,
    out: String,
    err: String,
}

fn run(args: &[&str]) -> Run {
    let output = common::run(args);
    Run {
        code: output.status.code().expect("not killed"),
        out: stdout(&output),
        err: stderr(&output),
    }
}

/// The last line that starts with `head`, without it.
fn after<'a>(text: &'a str, head: &str) -> &'a str {
    let line = text.lines().rev().find_map(|line| line.strip_prefix(head));
    line.unwrap_or_else(|| panic!("no line starts with {head:?} in:\n{text}"))
}

#[test]
fn seeds_pass_on_every_preset_with_bounded_engines() {
    for device in ["flaky", "qat-c62x-3", "sw-mb8", "hsm-cloud", "hsm-usb"] {
        let seeds = if device == "flaky" { "0..300" } else { "0..40" };
        let run = run(&["simulate", "--seeds", seeds, "--device", device]);
        assert_eq!(run.code, 0, "{device}: {}{}", run.out, run.err);
        assert!(run.out.contains(" passed, "), "{device}: {}", run.out);
    }
}

/// Each bug of the device is found, and its seed shows it again, in the smallest run and in the whole
/// one.
#[test]
fn planted_bugs_are_found_and_their_seeds_replay() {
    for bug in [
        "lost-wake",
        "forgotten",
        "wrong-result",
        "counted-twice",
        "ring-leak",
    ] {
        let found = run(&["simulate", "--seeds", "0..300", "--plant", bug]);
        assert_eq!(found.code, 1, "{bug}: {}", found.out);
        let failure = found.out.lines().find(|line| line.contains(" failed: "));
        let (seed, problem) = failure
            .and_then(|line| line.strip_prefix("seed ")?.split_once(" failed: "))
            .unwrap_or_else(|| panic!("{bug}: {}", found.out));
        let again = run(&["simulate", "--seed", seed, "--plant", bug]);
        assert_eq!(again.code, 1, "{bug}");
        assert_eq!(again.out, format!("seed {seed} failed: {problem}\n"));

        let command = after(&found.out, "to see it again: demo-cli ");
        let words: Vec<&str> = command.split(' ').collect();
        let smallest = run(&words);
        assert_eq!(smallest.code, 1, "{bug}: {command}");
        assert!(smallest.out.contains("FOUND: "), "{bug}: {}", smallest.out);
        // The trace that was printed is the one that comes again.
        let trace: Vec<&str> = found
            .out
            .lines()
            .skip_while(|line| !line.starts_with("the smallest run"))
            .skip(1)
            .take_while(|line| !line.starts_with("to see it again"))
            .collect();
        let printed = trace.join("\n");
        assert!(
            smallest.out.starts_with(&printed),
            "{bug}: {}",
            smallest.out
        );
        // Without the bug the seed passes.
        let without = run(&["simulate", "--seed", seed]);
        assert_eq!(without.code, 0, "{bug}: {}", without.out);
    }
}

/// A device that is polled, one that answers before the pause, and one with a ring of one.
#[test]
fn seeds_pass_on_other_devices() {
    let directory = tempfile::tempdir().expect("a directory");
    let flaky = stdout(&common::run(&["devices", "--show", "flaky"]));
    for (name, lines) in [
        ("polled", "completions = 'poll'"),
        ("before-pause", "completions = 'before-pause'"),
        ("narrow", "instances = 2\nasym_ring_depth_max = 1"),
        ("many", "endpoints = 16\ninstance_choice = 'thread'"),
    ] {
        let path = directory.path().join(name);
        std::fs::write(&path, format!("{lines}\n{flaky}")).expect("written");
        let path = path.to_str().expect("plain");
        let run = run(&["simulate", "--seeds", "0..200", "--device", path]);
        assert_eq!(run.code, 0, "{name}: {}{}", run.out, run.err);
    }
}

#[test]
fn a_seed_does_the_same_each_time() {
    for seed in ["0", "7", "48"] {
        let args = ["simulate", "--seed", seed, "--trace"];
        let (first, second) = (run(&args), run(&args));
        assert!(first.out.lines().count() > 100, "{}", first.out);
        assert_eq!(first.out, second.out);
    }
    let other = run(&["simulate", "--seed", "1", "--trace"]);
    assert_ne!(other.out, run(&["simulate", "--seed", "0", "--trace"]).out);
}

#[test]
fn a_campaign_in_parts_is_the_same_campaign() {
    let directory = tempfile::tempdir().expect("a directory");
    let part = |seeds: &str, name: &str| {
        let args = ["simulate", "--seeds", seeds, "--format", "json"];
        let run = run(&args);
        assert_eq!(run.code, 0, "{}", run.err);
        let path = directory.path().join(name);
        std::fs::write(&path, &run.out).expect("written");
        path.to_str().expect("plain").to_owned()
    };
    let (a, b, c) = (
        part("0..50", "a"),
        part("50..120", "b"),
        part("100..110", "c"),
    );
    let merged = run(&["simulate", "--format", "json", "--merge", &b, &a]);
    assert_eq!(merged.code, 0, "{}", merged.err);
    let merged: serde_json::Value = serde_json::from_str(&merged.out).expect("JSON");
    assert_eq!(merged["seeds"], serde_json::json!([[0, 120]]));
    assert_eq!(merged["passed"], 120);
    let whole = run(&["simulate", "--seeds", "0..120", "--format", "json"]);
    let whole: serde_json::Value = serde_json::from_str(&whole.out).expect("JSON");
    assert_eq!(whole["operations"], merged["operations"]);

    let twice = run(&["simulate", "--merge", &b, &c]);
    assert_eq!(twice.code, 2, "{}", twice.out);
    assert!(twice.err.contains("seed 100 is in two"), "{}", twice.err);
}

#[test]
fn bad_input_is_said_in_one_sentence() {
    let directory = tempfile::tempdir().expect("a directory");
    let not_json = directory.path().join("not.json");
    std::fs::write(&not_json, "{}").expect("written");
    let not_json = not_json.to_str().expect("plain");
    let too_many = directory.path().join("too-many.json");
    let claims = r#"{"schema":1,"device":"x","jobs":1,"total":1,"seeds":[[0,3]],
        "passed":4,"operations":1,"seconds":1.0,"failure":null}"#;
    std::fs::write(&too_many, claims).expect("written");
    let too_many = too_many.to_str().expect("plain");
    let cases: [(&[&str], &str); 9] = [
        (&["simulate", "--seeds", "5..5"], "the one behind the last"),
        (&["simulate", "--seeds", "a..5"], "the one behind the last"),
        (
            &["simulate", "--seeds", "0..18446744073709551615"],
            "the one behind",
        ),
        (&["simulate", "--trace"], "--seed"),
        (&["simulate", "--trace", "--seeds", "0..1"], "--seeds"),
        (
            &["simulate", "--trace", "--seed", "1", "--format", "json"],
            "--trace",
        ),
        (&["simulate", "--merge", too_many], "3 seeds and 4"),
        (&["simulate", "--plant", "worm"], "lost-wake"),
        (&["simulate", "--merge", not_json], "is not a result of"),
    ];
    for (args, says) in cases {
        let run = run(args);
        assert_eq!(run.code, 2, "{args:?}: {}", run.err);
        assert_eq!(run.err.lines().count(), 1, "{args:?}: {}", run.err);
        assert!(run.err.contains(says), "{args:?}: {}", run.err);
    }
}
