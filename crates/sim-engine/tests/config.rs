//! Device files: what is wrong with one is said in a sentence, with the place.

use sim_engine::{Completions, DeviceConfig, DeviceFileError};

fn error(text: &str) -> DeviceFileError {
    match DeviceConfig::from_toml(text) {
        Ok(config) => panic!("taken: {config:?}"),
        Err(error) => error,
    }
}

#[test]
fn a_value_out_of_range_is_named_with_what_it_may_be() {
    let cases = [
        (
            "engines = 4097",
            "engines is 4097; give 0 (no bound) to 4096",
        ),
        ("workers = 0", "workers is 0; give 1 to 256"),
        ("workers = 257", "workers is 257; give 1 to 256"),
        ("instances = 0", "instances is 0; give 1 to 64"),
        ("instances = 65", "instances is 65; give 1 to 64"),
        (
            "ring_depth_max = 0",
            "ring_depth_max is 0; give 1 to 1048576",
        ),
        (
            "ring_depth_max = 1048577",
            "ring_depth_max is 1048577; give 1 to 1048576",
        ),
        (
            "instances = 3\nring_depth_max = 524288",
            "endpoints × instances × ring_depth_max is 1572864; give at most 1048576 in all",
        ),
        (
            "inline_below_bytes = 1073741825",
            "inline_below_bytes is 1073741825; give at most 1073741824",
        ),
        (
            "link = { fixed_ns = 3_600_000_000_001 }",
            "link time is 3600000000001; give at most an hour (3600000000000 ns)",
        ),
        (
            "link = { per_byte_ns = -0.5 }",
            "link.per_byte_ns is -0.5; give 0 to 1000000",
        ),
        (
            "link = { per_byte_ns = nan }",
            "link.per_byte_ns is NaN; give 0 to 1000000",
        ),
        (
            "service_default = { per_byte_ns = 1000001.0 }",
            "service_default.per_byte_ns is 1000001; give 0 to 1000000",
        ),
        (
            "service = { sha256 = { fixed_ns = 4_000_000_000_000 } }",
            "service.sha256 time is 4000000000000; give at most an hour (3600000000000 ns)",
        ),
        (
            "faults = { slow = { share = 0.5, extra_ns = 3_600_000_000_001 } }",
            "faults.slow time is 3600000000001; give at most an hour (3600000000000 ns)",
        ),
        (
            "faults = { slow = { share = 2.0 } }",
            "faults.slow.share is 2; give a share from 0 to 1",
        ),
        ("endpoints = 17", "endpoints is 17; give 1 to 16"),
        (
            "endpoints = 16\nasym_ring_depth_max = 65537",
            "endpoints × instances × asym_ring_depth_max is 1048592; give at most 1048576 in all",
        ),
        (
            "[jitter]\nkind = 'uniform'\nspread = 1.5",
            "jitter.spread is 1.5; give 0 to 1",
        ),
        (
            "[jitter]\nkind = 'exponential'\nspread = 0.5",
            "jitter.spread is 0.5; give none: only uniform and log-normal have one",
        ),
        (
            "[detection]\nevery_ns = 1_000_000_001",
            "detection.every_ns is 1000000001; give at most a second (1000000000 ns)",
        ),
        (
            "[batch]\nsize = 65",
            "batch.size is 65; give 0 (no batches) to 64",
        ),
        (
            "[batch]\nsize = 8\nflush_ns = 0",
            "batch.flush_ns is 0; give how long a batch that is not full waits, at least 1",
        ),
        (
            "[detection]\ncoalesce_max = 8",
            "detection.coalesce_max is 8; give none, or how long an answer waits for others: coalesce_ns",
        ),
        (
            "[throttle]\nburst = 0",
            "throttle.burst is 0; give at least 1",
        ),
        (
            "[throttle]\nops_per_s = inf",
            "throttle.ops_per_s is inf; give 0 (no bound) to 1000000000",
        ),
        (
            "[heartbeat]\nperiod_ns = 0",
            "heartbeat.period_ns is 0; give 1 to a minute (60000000000 ns)",
        ),
        (
            "[heartbeat]\nmisses = 0",
            "heartbeat.misses is 0; give 1 to 100",
        ),
        (
            "[host]\nop_ns = 1_000_000_001",
            "host.op_ns is 1000000001; give at most a second (1000000000 ns)",
        ),
        (
            "faults = { lost = 0.5, error = 0.5, wrong = 0.5 }",
            "faults.lost + error + wrong is 1.5; give a share from 0 to 1",
        ),
    ];
    for (line, expected) in cases {
        let error = error(&format!("name = \"x\"\n{line}"));
        assert!(matches!(error, DeviceFileError::Range { .. }), "{line}");
        let lines = line.lines().count();
        let found = error.to_string();
        assert_eq!(found, format!("line {}: {expected}", lines + 1), "{line}");
    }
    let shares = [
        "ring_full",
        "lost",
        "error",
        "wrong",
        "duplicate",
        "untold",
        "spurious",
        "throttled",
        "no_descriptor",
        "death",
    ];
    for share in shares {
        for (bad, shown) in [("-0.1", "-0.1"), ("1.1", "1.1"), ("nan", "NaN")] {
            let text = format!("name = \"x\"\nfaults = {{ {share} = {bad} }}");
            let expected = format!("faults.{share} is {shown}; give a share from 0 to 1");
            assert_eq!(error(&text).to_string(), format!("line 2: {expected}"));
        }
    }
    let error = error("name = \"\"");
    assert_eq!(
        error.to_string(),
        "line 1: name is empty; give a name that is not empty, on one line"
    );
}

#[test]
fn a_scripted_fault_is_checked_and_has_its_place() {
    let head = "name = 'x'\nendpoints = 2\nengines = 4\n[[faults.script]]\nat_op = 1\nfault = 'lost'\n\n[[faults.script]]\n";
    let cases = [
        (
            "fault = 'lost'\nat_ns = 5",
            10,
            "only stall and death strike at a point",
        ),
        ("fault = 'death'", 8, "either at_op or at_ns"),
        (
            "fault = 'death'\nat_op = 1\nat_ns = 1",
            8,
            "both at_op and at_ns",
        ),
        (
            "fault = 'death'\nat_ns = 1\nendpoint = 2",
            11,
            "less than endpoints",
        ),
        (
            "fault = 'stall'\nat_ns = 1\nfor_ns = 5\nengine = 4",
            12,
            "less than engines",
        ),
        ("fault = 'slow'\nat_op = 1", 8, "how long"),
        ("fault = 'error'\nat_op = 1\nfor_ns = 7", 11, "how long"),
    ];
    for (script, line, says) in cases {
        let text = error(&format!("{head}{script}")).to_string();
        assert!(
            text.starts_with(&format!("line {line}: faults.script[1]")),
            "{text}"
        );
        assert!(text.contains(says), "{text}");
    }
    for script in [
        "fault = 'death'\nat_ns = 1\nendpoint = 1",
        "fault = 'stall'\nat_op = 9\nfor_ns = 5",
        "fault = 'no-descriptor'\nat_op = 9",
    ] {
        let config = DeviceConfig::from_toml(&format!("{head}{script}"));
        assert_eq!(
            config.map(|c| c.faults.script.len()).ok(),
            Some(2),
            "{script}"
        );
    }
}

#[test]
fn the_ends_of_the_ranges_are_in_them() {
    for line in [
        "engines = 0",
        "engines = 4096",
        "workers = 256",
        "instances = 64\nring_depth_max = 16384",
        "ring_depth_max = 1048576",
        "inline_below_bytes = 1073741824",
        "link = { fixed_ns = 3_600_000_000_000, per_byte_ns = 1000000.0 }",
        "faults = { lost = 0.5, error = 0.5 }",
        "faults = { ring_full = 1.0 }",
    ] {
        let config = DeviceConfig::from_toml(&format!("name = \"x\"\n{line}"));
        assert!(config.is_ok(), "{line}: {config:?}");
    }
}

#[test]
fn a_name_that_is_not_known_has_its_place() {
    let error = error("name = \"x\"\n\nenignes = 4\n");
    let text = error.to_string();
    assert!(matches!(error, DeviceFileError::Parse(_)));
    assert!(text.starts_with("line 3, column 1: "), "{text}");
    assert!(
        text.contains("enignes") && text.contains("engines"),
        "{text}"
    );
    assert!(!text.contains('\n'), "one line: {text}");
}

#[test]
fn so_has_one_in_a_table_and_a_value_of_the_wrong_type() {
    let text = error("name = \"x\"\n[faults]\nlots = 0.1\n").to_string();
    assert!(text.starts_with("line 3, column 1: "), "{text}");
    let text = error("name = \"x\"\nengines = \"many\"\n").to_string();
    assert!(text.starts_with("line 2, column 11: "), "{text}");
    let text = error("name = \"x\"\nengines = -1\n").to_string();
    assert!(text.starts_with("line 2, column "), "{text}");
    let text = error("name = \"x\"\ncompletions = \"someday\"\n").to_string();
    assert!(text.contains("before-pause"), "{text}");
    let text = error("name = \n").to_string();
    assert!(text.starts_with("line 1, column "), "{text}");
    let text = error("engines = 1\n").to_string();
    assert!(text.contains("`name`"), "{text}");
}

#[test]
fn an_operation_that_does_not_exist_is_said_with_those_that_do() {
    let error = error("name = \"x\"\n[service.rsa]\nfixed_ns = 1\n");
    assert!(matches!(&error, DeviceFileError::UnknownOp { name, line: Some(2) } if name == "rsa"));
    let text = error.to_string();
    assert!(
        text.starts_with("line 2: [service.rsa] is for no operation"),
        "{text}"
    );
    assert!(
        text.contains("sha256, sha512, hmac-sha256, aes-128-ctr"),
        "{text}"
    );
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = DeviceConfig::from_toml("name = \"x\"").expect("enough");
    assert_eq!(
        (config.engines, config.workers, config.instances),
        (0, 1, 1)
    );
    assert_eq!((config.ring_depth_max, config.inline_below_bytes), (512, 0));
    assert_eq!(config.completions, Completions::Threads);
    assert!(config.faults.is_none());
    assert!(config.service.is_empty());
    assert_eq!(config.summary, "");
}

#[test]
fn a_name_that_would_move_the_cursor_is_refused() {
    for name in ["", r"a\nb", r"\u001b[31mred"] {
        let error = DeviceConfig::from_toml(&format!("name = \"{name}\"")).expect_err("refused");
        let message = error.to_string();
        assert!(!message.chars().any(char::is_control), "{message:?}");
        assert!(message.contains("on one line"), "{message}");
    }
}
