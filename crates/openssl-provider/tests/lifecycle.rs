//! The provider's life in C programs that do what hosts do: hang up, fork, unload, end, run out of descriptors.

mod common;

use common::{Host, Jobs, balanced, c, count, has, has_openssl, of_kind, plain, stdout, succeed};

/// A device that takes its time: jobs are still paused when the program has done something else, also under
/// valgrind on a busy machine.
const SLOW: &str = "device_with = service_default = { fixed_ns = 500000000 }";
/// The same for many operations that are done one after the other.
const MIDDLING: &str = "device_with = service_default = { fixed_ns = 5000000 }";
/// One that takes hardly any.
const QUICK: &str = "device_with = service_default = { fixed_ns = 50000 }";
/// One that never answers while somebody waits for it.
const AN_HOUR: &str = "device_with = service_default = { fixed_ns = 3600000000000 }";
const LOST: &str = "faults = lost = 1.0\ntimeout_ms = 0";

#[test]
fn hosts_that_hang_up_leave_nothing_behind() {
    if !c::can_build() {
        return;
    }
    for jobs in Jobs::BOTH {
        let host = Host::new(jobs, SLOW);
        c::run(&host, "teardown", &[]);
        let counts = host.counts();
        assert_eq!(count(&counts, "submitted"), 1 + 4 * 16, "{counts}");
        assert_eq!(count(&counts, "failed"), 0, "{counts}");
        if has("valgrind") {
            let host = Host::new(jobs, SLOW);
            c::run_under_valgrind(&host, "teardown", &[]);
            host.counts();
        }
    }
}

/// Most of the jobs wait in line for a ring that is full when the host hangs up: their places go to others.
#[test]
fn hosts_that_hang_up_in_line_keep_nobody_out() {
    if !c::can_build() {
        return;
    }
    for jobs in Jobs::BOTH {
        let host = Host::new(
            jobs,
            "device_with = ring_depth_max = 4, service_default = { fixed_ns = 100000000 }\ntimeout_ms = 20000",
        );
        c::run(&host, "teardown", &[]);
        let counts = host.counts();
        // At least the first one, those that were in the ring, and all that were served.
        assert!(count(&counts, "submitted") >= 1 + 4 + 16 + 16, "{counts}");
        assert_eq!(count(&counts, "failed"), 0, "{counts}");
    }
}

#[test]
fn nothing_is_written_to_a_number_that_is_used_again() {
    if !c::can_build() {
        return;
    }
    for jobs in Jobs::BOTH {
        let host = Host::new(jobs, SLOW);
        c::run(&host, "reuse", &[]);
        assert_eq!(count(&host.counts(), "submitted"), 1 + 8 + 2);
        if has("valgrind") {
            c::run_under_valgrind(&Host::new(jobs, SLOW), "reuse", &[]);
        }
    }
}

/// Each kind of host, with how many operations it does beside the first.
const HOSTS: [(&str, u64, &str); 9] = [
    ("poll", 300, QUICK),
    ("edge", 300, QUICK),
    ("callback", 300, QUICK),
    ("callback-freed", 8 + 3, SLOW),
    ("callback-frees", 8 + 2, SLOW),
    ("callback-locks", 2 * 200, QUICK),
    ("spurious", 50, MIDDLING),
    ("busy", 50, MIDDLING),
    ("blocks", 2 * 50, QUICK),
];

#[test]
fn every_kind_of_host_is_served() {
    if !c::can_build() {
        return;
    }
    for jobs in Jobs::BOTH {
        for (mode, ops, settings) in HOSTS {
            let host = Host::new(jobs, settings);
            let total = match mode {
                "blocks" | "callback-locks" => ops / 2,
                _ => ops,
            };
            c::run(&host, "hosts", &[mode, &total.to_string()]);
            let counts = host.counts();
            assert_eq!(count(&counts, "submitted"), 1 + ops, "{mode} {counts}");
            assert_eq!(of_kind(&counts, "sha256", "failed"), 0, "{mode} {counts}");
            if mode == "spurious" || mode == "busy" {
                assert!(count(&counts, "resumed_early") > 0, "{mode} {counts}");
            }
        }
    }
}

#[test]
fn every_kind_of_host_is_clean_under_valgrind() {
    if !c::can_build() || !has("valgrind") {
        return;
    }
    for jobs in Jobs::BOTH {
        for (mode, ..) in HOSTS {
            // Where whose jobs they are makes a difference.
            if jobs == Jobs::Ours && !mode.starts_with("callback") {
                continue;
            }
            let host = Host::new(jobs, SLOW);
            c::run_under_valgrind(&host, "hosts", &[mode, "3"]);
            host.counts();
        }
    }
}

#[test]
fn a_cancelled_job_s_operation_is_a_clean_error() {
    if !c::can_build() {
        return;
    }
    let host = Host::new(Jobs::Ours, SLOW);
    let output = c::run(&host, "cancel", &[]);
    assert!(
        stdout(&output).contains("the job was cancelled"),
        "{}",
        stdout(&output)
    );
    let counts = host.counts();
    assert_eq!(count(&counts, "orphaned"), 1, "{counts}");
    assert_eq!(count(&counts, "abandoned"), 1, "{counts}");
}

#[test]
fn each_forked_process_has_its_own_device() {
    if !c::can_build() {
        return;
    }
    for jobs in Jobs::BOTH {
        let host = Host::new(
            jobs,
            "device_with = service_default = { fixed_ns = 100000000 }",
        );
        c::run(&host, "fork", &[]);
        let all = host.all_counts();
        all.iter().for_each(balanced);
        let mut submitted: Vec<u64> = all.iter().map(|c| count(c, "submitted")).collect();
        submitted.sort_unstable();
        assert_eq!(submitted, [1, 10, 11, 2 + 10 + 1], "{all:?}");
        let mut pids: Vec<u64> = all.iter().map(|c| count(c, "pid")).collect();
        pids.sort_unstable();
        pids.dedup();
        assert_eq!(pids.len(), 4, "{all:?}");
    }
}

#[test]
fn speed_forks() {
    if !has_openssl() {
        return;
    }
    for jobs in Jobs::BOTH {
        let host = Host::new(jobs, "");
        let args = "speed -elapsed -multi 2 -async_jobs 4 -evp sha256 -seconds 1 -bytes 4096";
        host.openssl(&args.split(' ').collect::<Vec<_>>());
        // Its processes end by exit(), each with a line.
        let all = host.all_counts();
        assert_eq!(all.len(), 2, "{all:?}");
        for counts in all {
            balanced(&counts);
            assert!(of_kind(&counts, "sha256", "in_jobs") > 100, "{counts}");
        }
    }
}

/// The same settings in a configuration that loads nothing by itself.
fn loads_nothing(host: &Host) {
    let text = std::fs::read_to_string(&host.conf).expect("it was written");
    let text = text.replace("\nactivate = 1", "");
    std::fs::write(&host.conf, text).expect("it can be written");
}

#[test]
fn a_provider_that_is_unloaded_with_operations_on_its_way_can_be_loaded_again() {
    if !c::can_build() {
        return;
    }
    for jobs in Jobs::BOTH {
        let host = Host::new(jobs, SLOW);
        loads_nothing(&host);
        c::run(&host, "unload", &["unload"]);
        // OpenSSL 3 keeps what it has loaded until its library context goes.
        assert_eq!(count(&host.counts(), "submitted"), 3 * 9);
        let host = Host::new(jobs, SLOW);
        c::run(&host, "unload", &["context"]);
        let all = host.all_counts();
        all.iter().for_each(balanced);
        let submitted: Vec<u64> = all.iter().map(|c| count(c, "submitted")).collect();
        assert_eq!(submitted, [8, 8, 8], "{all:?}");
        if has("valgrind") {
            let host = Host::new(jobs, SLOW);
            loads_nothing(&host);
            c::run_under_valgrind(&host, "unload", &["unload"]);
            c::run_under_valgrind(&Host::new(jobs, SLOW), "unload", &["context"]);
        }
    }
}

#[test]
fn a_program_ends_at_once_whatever_is_on_the_device() {
    if !c::can_build() {
        return;
    }
    for jobs in Jobs::BOTH {
        for settings in [AN_HOUR, LOST] {
            for end in ["cleanup", "exit", "return"] {
                for more in [&[end][..], &[end, "thread"]] {
                    // With a thread that waits and may still be at it when the program is gone.
                    let host = Host::new(jobs, settings);
                    let output = host.command(c::build("unload")).args(more).output();
                    let output = output.expect("it can be run");
                    assert!(
                        output.status.code() == Some(0),
                        "{more:?} {settings} {output:?}"
                    );
                    let counts = host.counts();
                    // The thread may not have come to it.
                    let most = 8 + more.len() as u64 - 1;
                    let submitted = count(&counts, "submitted");
                    assert!((8..=most).contains(&submitted), "{counts}");
                }
            }
        }
    }
}

#[test]
fn libcrypto_may_be_a_program_s_own() {
    if !c::can_build() {
        return;
    }
    let host = Host::new(Jobs::Stock, "");
    let libcrypto = c::library(c::LIBCRYPTO)
        .expect("it was there")
        .display()
        .to_string();
    let output = succeed(host.command(c::build("local")).arg(libcrypto));
    assert_eq!(
        stdout(&output).trim(),
        // 100,000 times "a".
        "6d1cf22d7cc09b085dfc25ee1a1f3ae0265804c607bc2074ad253bcc82fd81ee",
    );
    assert_eq!(of_kind(&host.counts(), "sha256", "waited"), 2);
}

/// CPython opens its modules, and so libcrypto, with `RTLD_LOCAL`.
#[test]
fn python_uses_it() {
    if !has("python3") {
        return;
    }
    let script = "import hashlib; print(hashlib.sha256(b'a' * 100000).hexdigest())";
    let alone = stdout(&succeed(plain("python3").args(["-c", script])));
    let host = Host::new(Jobs::Stock, "");
    let ours = stdout(&succeed(host.command("python3").args(["-c", script])));
    assert_eq!(ours, alone);
    if host.all_counts().is_empty() {
        println!("skipped: python3's hashlib does not use OpenSSL 3 with its configuration");
        return;
    }
    assert_eq!(of_kind(&host.counts(), "sha256", "waited"), 1);
}

#[test]
fn without_descriptors_operations_wait_on_the_spot() {
    if !c::can_build() {
        return;
    }
    for jobs in Jobs::BOTH {
        for mode in ["all", "later"] {
            let host = Host::new(jobs, QUICK);
            c::run(&host, "limits", &[mode]);
            let counts = host.counts();
            assert_eq!(of_kind(&counts, "sha256", "waited"), 5 + 1, "{counts}");
            assert!(of_kind(&counts, "sha256", "in_jobs") >= 5, "{counts}");
        }
    }
}

#[test]
fn the_first_job_of_a_program_may_load_it() {
    if !c::can_build() {
        return;
    }
    for jobs in Jobs::BOTH {
        let host = Host::new(jobs, SLOW);
        c::run(&host, "first", &["load"]);
        assert_eq!(of_kind(&host.counts(), "sha256", "in_jobs"), 1);
    }
}

/// A generator whose cipher pauses would be lent to another job in the middle of its work.
#[test]
fn random_numbers_never_pause_in_any_library_context() {
    if !c::can_build() {
        return;
    }
    for jobs in Jobs::BOTH {
        let host = Host::new(jobs, QUICK);
        c::run(&host, "first", &["random"]);
        assert!(host.all_counts().is_empty(), "{:?}", host.all_counts());
    }
}
