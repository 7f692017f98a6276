//! The settings as users give them: in OpenSSL's configuration, in the environment, and wrong; and the counts on a
//! signal.

mod common;

use common::{
    Host, Jobs, balanced, c, count, data, fresh, has_openssl, of_kind, plain, provider, stderr,
    stdout, succeed,
};

/// The digest of a file, with settings in the environment.
fn digest(host: &Host, environment: &[(&str, &str)]) -> std::process::Output {
    let file = data(10_000).display().to_string();
    let mut command = host.command("openssl");
    command.args(["dgst", "-r", "-sha256", &file]);
    command.envs(environment.iter().copied());
    command.output().expect("openssl can be run")
}

#[test]
fn a_wrong_value_keeps_the_provider_from_loading_and_is_told() {
    if !has_openssl() {
        return;
    }
    for (settings, environment, told) in [
        (
            "device = nonsense",
            &[][..],
            "simaccel: device = nonsense: neither a preset (",
        ),
        (
            "faults = eror = 0.1",
            &[],
            "simaccel: faults = eror = 0.1: ",
        ),
        ("workers = many", &[], "simaccel: workers = many: "),
        (
            "seed = 1",
            &[("SIMACCEL_SEED", "x")],
            "simaccel: seed = x: ",
        ),
        (
            "",
            &[("SIMACCEL_DEVISE", "ideal")],
            "simaccel: devise = ideal: there is no such setting",
        ),
    ] {
        let host = Host::new(Jobs::Stock, settings);
        let output = digest(&host, environment);
        let errors = stderr(&output);
        let lines = errors.lines().filter(|line| line.starts_with(told)).count();
        assert_eq!(lines, 1, "{settings} {environment:?}\n{errors}");
        assert_eq!(host.all_counts(), [] as [serde_json::Value; 0]);
    }
}

/// Asked for by name, a provider that cannot be loaded stops `openssl`.
#[test]
fn openssl_stops_where_it_is_told_to_use_the_provider() {
    if !has_openssl() {
        return;
    }
    let (library, file) = (provider(), data(10_000).display().to_string());
    let directory = library
        .parent()
        .expect("it is in one")
        .display()
        .to_string();
    let command = |setting: &str| {
        let mut command = plain("openssl");
        command.args(["dgst", "-r", "-sha256", "-provider-path", &directory]);
        command.args(["-provider", "libsimaccel", "-provider", "default"]);
        command.args(["-propquery", "?provider=simaccel", &file]);
        command
            .env("SIMACCEL_DEVICE", setting)
            .env("SIMACCEL_STATS", "stderr");
        command
    };
    let output = command("nonsense").output().expect("openssl can be run");
    assert!(!output.status.success(), "{output:?}");
    let errors = stderr(&output);
    assert!(errors.contains("simaccel: device = nonsense: "), "{errors}");
    let output = succeed(&mut command("ideal"));
    assert!(
        stderr(&output).contains("\"device\":\"ideal\""),
        "{output:?}"
    );
}

#[test]
fn the_environment_wins_over_the_section() {
    if !has_openssl() {
        return;
    }
    let host = Host::new(Jobs::Stock, "device = hsm-cloud\nlog = info");
    let output = digest(
        &host,
        &[("SIMACCEL_DEVICE", "qat-c62x-1"), ("SIMACCEL_SEED", "3")],
    );
    assert!(output.status.success(), "{output:?}");
    assert_eq!(host.counts()["device"], "qat-c62x-1");
    let errors = stderr(&output);
    assert!(
        errors.contains("simaccel: loaded, with device qat-c62x-1"),
        "{errors}"
    );
    assert!(errors.contains("simaccel: opened qat-c62x-1"), "{errors}");
    assert!(errors.contains("; seed = 3;"), "{errors}");
}

#[test]
fn openssl_lists_it() {
    if !has_openssl() {
        return;
    }
    let host = Host::new(Jobs::Stock, "");
    let listed = stdout(&host.openssl(&["list", "-providers", "-verbose"]));
    let ours = listed.split_once("  simaccel\n").expect("it is listed").1;
    for line in [
        "name: Simulated accelerator".to_owned(),
        format!("version: {}", env!("CARGO_PKG_VERSION")),
        "status: active".to_owned(),
    ] {
        assert!(ours.contains(&line), "{line}: {listed}");
    }
}

#[test]
fn thresholds_and_classes_decide_what_goes_to_the_device() {
    if !has_openssl() {
        return;
    }
    for (settings, expected) in [
        ("", true),
        ("digest_threshold = 100000", false),
        ("offload = sign", false),
        ("offload = digest, sign", true),
    ] {
        let host = Host::new(Jobs::Stock, settings);
        assert!(digest(&host, &[]).status.success());
        let all = host.all_counts();
        let waited: u64 = all.iter().map(|c| of_kind(c, "sha256", "waited")).sum();
        assert_eq!(waited > 0, expected, "{settings} {all:?}");
    }
}

#[test]
fn counts_that_cannot_be_written_harm_nobody() {
    if !has_openssl() {
        return;
    }
    let host = Host::new(Jobs::Stock, "");
    let output = digest(&host, &[("SIMACCEL_STATS", "/nowhere/at/all.json")]);
    assert!(output.status.success(), "{output:?}");
    let errors = stderr(&output);
    assert!(
        errors.contains("simaccel: the counts cannot be written: "),
        "{errors}"
    );
    // One that nobody reads is no reason to wait at the end.
    let fifo = fresh("fifo").display().to_string();
    if plain("mkfifo")
        .arg(&fifo)
        .status()
        .is_ok_and(|s| s.success())
    {
        let output = digest(&host, &[("SIMACCEL_STATS", &fifo)]);
        assert!(output.status.success(), "{output:?}");
        assert!(stderr(&output).contains("the counts cannot be written: "));
    }
    let output = digest(&host, &[("SIMACCEL_STATS", "stderr")]);
    assert!(stderr(&output).contains("{"), "{output:?}");
    let quiet = digest(&host, &[("SIMACCEL_STATS", "none")]);
    assert_eq!(
        (stderr(&quiet), host.all_counts().len()),
        (String::new(), 0)
    );
    assert_eq!(stdout(&quiet)[..64], stdout(&output)[..64]);
}

/// The line of the configuration is read by OpenSSL first, which takes quotes away.
#[test]
fn a_script_of_faults_in_the_configuration() {
    if !has_openssl() {
        return;
    }
    let host = Host::new(
        Jobs::Stock,
        "faults = script = [{ at_op = 0, fault = \"error\" }]",
    );
    let output = digest(&host, &[]);
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(count(&host.counts(), "failed"), 1);
}

#[test]
fn a_signal_tells_the_counts_as_often_as_it_comes() {
    if !c::can_build() {
        return;
    }
    for jobs in Jobs::BOTH {
        let host = Host::new(jobs, "stats_signal = USR2");
        let path = host.counts.display().to_string();
        c::run(&host, "signal", &[&path]);
        let all = host.all_counts();
        all.iter().for_each(balanced);
        let submitted: Vec<u64> = all.iter().map(|c| count(c, "submitted")).collect();
        assert_eq!(submitted, [1, 2, 2, 1, 1, 3], "{all:?}");
        assert_ne!(all[0]["pid"], all[3]["pid"]);
        assert_eq!(all[0]["pid"], all[5]["pid"]);
    }
}
