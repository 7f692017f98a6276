use super::*;

fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[track_caller]
fn good(pairs: &[(&str, &str)]) -> Settings {
    match Settings::new(&given(pairs)) {
        Ok(settings) => settings,
        Err(bad) => panic!("{bad}"),
    }
}

/// The error, on one line, of a setting that is to blame.
#[track_caller]
fn bad(name: &str, value: &str) -> String {
    bad_among(name, &[(name, value)])
}

#[track_caller]
fn bad_among(name: &str, pairs: &[(&str, &str)]) -> String {
    match Settings::new(&given(pairs)) {
        Ok(_) => panic!("{pairs:?} is taken"),
        Err(error) => {
            assert_eq!(error.name, name, "{error}");
            let text = error.to_string();
            assert!(text.starts_with(&format!("simaccel: {name} = ")), "{text}");
            assert!(!text.contains('\n'), "{text:?}");
            error.why
        }
    }
}

#[test]
fn nothing_said_is_the_defaults() {
    let settings = good(&[]);
    assert_eq!(settings.device.name, "ideal");
    assert_eq!(settings.seed, 0);
    assert!(
        Class::ALL
            .iter()
            .all(|(class, _)| settings.offloads(*class))
    );
    assert_eq!(settings.digest_threshold, 2048);
    assert_eq!(settings.cipher_threshold, 2048);
    assert_eq!(settings.mac_threshold, 2048);
    assert_eq!(settings.timeout, Some(Duration::from_secs(10)));
    assert!(!settings.fallback);
    assert_eq!(settings.stats, Stats::None);
    assert_eq!(settings.stats_signal, None);
    assert_eq!(settings.log, Level::Error);
}

/// Each of the names is read: a value that none of them takes is an error of that one. `stats` takes any file.
#[test]
fn every_name_is_read() {
    for name in NAMES.into_iter().filter(|name| *name != "stats") {
        bad(name, "\u{1}");
    }
}

#[test]
fn every_preset_is_a_device() {
    for preset in sim_engine::presets() {
        assert_eq!(good(&[("device", preset.name)]).device.name, preset.name);
    }
    assert_eq!(good(&[("device", " ideal ")]).device.name, "ideal");
}

#[test]
fn a_device_that_is_none_is_told_with_those_there_are() {
    for value in ["nonsense", "", "/nowhere/at/all.toml"] {
        let why = bad("device", value);
        assert!(why.contains("hsm-cloud") && why.contains("flaky"), "{why}");
    }
}

#[test]
fn device_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("it can be written");
        path.display().to_string()
    };
    let small = file("small.toml", b"name = \"small\"\nring_depth_max = 3\n");
    let device = good(&[("device", &small)]).device;
    assert_eq!((device.name.as_str(), device.ring_depth_max), ("small", 3));

    let why = bad(
        "device",
        &file("typo.toml", b"name = \"x\"\nring_depht_max = 3\n"),
    );
    assert!(
        why.contains("ring_depht_max") && why.contains("line 2"),
        "{why}"
    );
    let why = bad(
        "device",
        &file("out.toml", b"name = \"x\"\nworkers = 100000\n"),
    );
    assert!(why.contains("workers"), "{why}");
    bad("device", &file("empty.toml", b""));
    bad("device", &file("binary.toml", b"name = \"\xff\"\n"));
    let why = bad("device", &file("long.toml", &vec![b'#'; (1 << 20) + 1]));
    assert!(why.contains("1 MiB"), "{why}");
    let why = bad("device", &dir.path().display().to_string());
    assert!(why.contains("regular file"), "{why}");
    // Nobody writes to it: opening it would wait for ever.
    let fifo = dir.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    if made.is_ok_and(|status| status.success()) {
        let why = bad("device", &fifo.display().to_string());
        assert!(why.contains("regular file"), "{why}");
    }
}

#[test]
fn a_device_that_gives_no_results_is_refused() {
    let why = bad("device_with", "results = \"modelled\"");
    assert!(why.contains("auto"), "{why}");
    let why = bad("device_with", "completions = \"poll\"");
    assert!(why.contains("threads"), "{why}");
}

#[test]
fn what_is_said_beside_the_device() {
    let device = good(&[
        ("device", "hsm-cloud"),
        (
            "device_with",
            "ring_depth_max = 7, service_default = { fixed_ns = 5 }, heartbeat = { misses = 2 }",
        ),
        (
            "faults",
            "error = 0.5, slow = { share = 0.25, extra_ns = 9 }",
        ),
        ("workers", "2"),
    ])
    .device;
    assert_eq!(device.name, "hsm-cloud");
    assert_eq!(device.ring_depth_max, 7);
    assert_eq!(device.service_default.fixed_ns, 5);
    assert_eq!(device.heartbeat.misses, 2);
    assert_eq!(device.faults.error, 0.5);
    assert_eq!(device.faults.slow.share, 0.25);
    assert_eq!(device.workers, 2);
    // One part of a table leaves the others as they are.
    let flaky = good(&[("device", "flaky"), ("faults", "error = 0.5")]).device;
    assert_eq!((flaky.faults.error, flaky.faults.lost), (0.5, 0.0005));
    assert!(good(&[("faults", "")]).device.faults.is_none());
}

/// OpenSSL takes the quotes away.
#[test]
fn words_need_no_quotes() {
    let faults = |text| good(&[("faults", text)]).device.faults;
    let script = faults("script = [{at_op=1, fault=ring-full}, { at_op = 2,fault =  lost }]");
    assert_eq!(
        script,
        faults("script = [{at_op=1, fault=\"ring-full\"}, {at_op=2, fault='lost'}]")
    );
    assert_eq!(script.script.len(), 2);
    let device = good(&[(
        "device_with",
        "jitter = { kind = exponential }, summary = \"a = b\"",
    )])
    .device;
    assert_eq!(device.summary, "a = b");
    for whole in ["a = \"", "= \u{e9}", "a = b\u{e9}", "'", "="] {
        bad("faults", whole);
    }
}

#[test]
fn the_setting_that_is_wrong_is_the_one_that_is_named() {
    let why = bad("faults", "eror = 0.1");
    assert!(why.contains("eror"), "{why}");
    for value in [
        "error = 2",
        "error = -1",
        "error = nan",
        "error",
        "error = 0.6, lost = 0.6",
        "error = 0.1, error = 0.2",
        "error = 0.1 }\nfaults = { lost = 1",
        "0.1",
        "{}",
    ] {
        bad("faults", value);
    }
    bad("device_with", "name = 3");
    bad("device_with", "workers = 0");
    bad("workers", "0");
    bad("workers", "4294967296");
    bad("workers", "-1");
    bad("workers", "1.5");
    bad("workers", "");
    bad("workers", "257");
    bad_among(
        "device_with",
        &[
            ("device_with", "engines = 5000"),
            ("faults", "error = 0.1"),
            ("workers", "2"),
        ],
    );
    bad_among("device", &[("device", "none"), ("workers", "2")]);
}

#[test]
fn numbers() {
    for name in [
        "digest_threshold",
        "cipher_threshold",
        "mac_threshold",
        "seed",
        "timeout_ms",
    ] {
        for value in [
            "",
            "-1",
            "x",
            "1k",
            "1.0",
            "0x10",
            "18446744073709551616",
            "1 2",
        ] {
            let why = bad(name, value);
            assert!(why.contains("whole number"), "{why}");
        }
        good(&[(name, "0")]);
        good(&[(name, "18446744073709551615")]);
    }
    assert_eq!(good(&[("seed", " 7 ")]).seed, 7);
    assert_eq!(good(&[("digest_threshold", "1")]).digest_threshold, 1);
    assert_eq!(good(&[("cipher_threshold", "2")]).cipher_threshold, 2);
    assert_eq!(good(&[("mac_threshold", "3")]).mac_threshold, 3);
    assert_eq!(good(&[("timeout_ms", "0")]).timeout, None);
    assert_eq!(
        good(&[("timeout_ms", "1")]).timeout,
        Some(Duration::from_millis(1))
    );
}

#[test]
fn words() {
    for (value, expected) in [
        ("yes", true),
        ("on", true),
        ("true", true),
        ("1", true),
        ("no", false),
        ("off", false),
        ("false", false),
        ("0", false),
    ] {
        assert_eq!(good(&[("fallback", value)]).fallback, expected, "{value}");
    }
    for value in ["", "maybe", "YES", "2"] {
        bad("fallback", value);
    }
    for (value, expected) in [
        ("off", Level::Off),
        ("error", Level::Error),
        ("warn", Level::Warn),
        ("info", Level::Info),
        ("debug", Level::Debug),
    ] {
        assert_eq!(good(&[("log", value)]).log, expected);
    }
    for value in ["", "verbose", "Debug"] {
        bad("log", value);
    }
}

#[test]
fn what_is_offloaded() {
    let on = |value| {
        let settings = good(&[("offload", value)]);
        Class::ALL.map(|(class, _)| settings.offloads(class))
    };
    assert_eq!(on("all"), [true; 6]);
    assert_eq!(on("none"), [false; 6]);
    assert_eq!(on("digest"), [true, false, false, false, false, false]);
    assert_eq!(
        on("sign, decrypt,cipher"),
        [false, true, false, true, true, false]
    );
    assert_eq!(on("derive,mac"), [false, false, true, false, false, true]);
    for value in ["", "digest,", "all,digest", "digests", "sign decrypt"] {
        let why = bad("offload", value);
        assert!(
            why.contains("digest, cipher, mac, sign, decrypt, derive"),
            "{why}"
        );
    }
}

#[test]
fn where_the_counts_go() {
    assert_eq!(good(&[("stats", "stderr")]).stats, Stats::Stderr);
    assert_eq!(good(&[("stats", "none")]).stats, Stats::None);
    assert_eq!(good(&[("stats", "")]).stats, Stats::None);
    assert_eq!(
        good(&[("stats", "/tmp/a b")]).stats,
        Stats::File("/tmp/a b".into())
    );
    for (value, expected) in [
        ("USR1", libc::SIGUSR1),
        ("SIGUSR2", libc::SIGUSR2),
        ("HUP", libc::SIGHUP),
        ("WINCH", libc::SIGWINCH),
    ] {
        assert_eq!(
            good(&[("stats_signal", value)]).stats_signal,
            Some(expected)
        );
    }
    assert_eq!(good(&[("stats_signal", "none")]).stats_signal, None);
    for value in ["KILL", "12", "SIGSIGUSR1", "usr1"] {
        bad("stats_signal", value);
    }
}

#[cfg(unix)]
#[test]
fn the_environment_wins() {
    use std::os::unix::ffi::OsStringExt;

    let os = |text: &str| OsString::from(text);
    let read = |section: &[(&str, &str)], environment: &[(OsString, OsString)]| {
        let mut given = given(section);
        from_environment(&mut given, environment.iter().cloned()).map(|()| given)
    };
    let got = read(
        &[("seed", "1"), ("log", "warn")],
        &[
            (os("SIMACCEL_SEED"), os("2")),
            (os("SIMACCEL_MAC_THRESHOLD"), os("")),
            (os("SIMACCE_LOG"), os("info")),
            (os("XSIMACCEL_LOG"), os("info")),
        ],
    );
    assert_eq!(
        got,
        Ok(given(&[
            ("seed", "2"),
            ("log", "warn"),
            ("mac_threshold", "")
        ]))
    );
    let error = |environment: &[(OsString, OsString)]| match read(&[], environment) {
        Ok(given) => panic!("{given:?}"),
        Err(bad) => bad,
    };
    let bad = error(&[(os("SIMACCEL_SEAD"), os("2"))]);
    assert_eq!(bad.name, "sead");
    assert!(bad.why.contains("digest_threshold"), "{bad}");
    error(&[(os("SIMACCEL_"), os("2"))]);
    let bad = error(&[(
        os("SIMACCEL_STATS"),
        OsString::from_vec(b"/tmp/\xff".to_vec()),
    )]);
    assert_eq!(
        (bad.name.as_str(), bad.why.as_str()),
        ("stats", "it is not UTF-8")
    );
    error(&[(OsString::from_vec(b"SIMACCEL_\xff".to_vec()), os("2"))]);
    // Somebody else's may be anything.
    assert_eq!(
        read(
            &[],
            &[(
                OsString::from_vec(b"\xff".to_vec()),
                OsString::from_vec(b"\xff".to_vec())
            )]
        ),
        Ok(BTreeMap::new())
    );
}
