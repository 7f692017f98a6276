//! What docs/devices.md says of device files, against the files that are taken.

use sim_engine::{DeviceConfig, FaultName, presets};

const PAGE: &str = include_str!("../../../docs/devices.md");

/// The names that a table of a device file can have, from what is said of one it cannot.
fn names_in(text: &str) -> Vec<String> {
    let error = DeviceConfig::from_toml(text).expect_err("no such name");
    let message = error.to_string();
    let (_, names) = message.split_once("expected ").expect("they are listed");
    names
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_name_of_a_device_file_is_on_the_page() {
    let top = names_in("name = 'x'\nxyz = 1");
    assert!(top.len() > 20, "{top:?}");
    let tables = [
        "link",
        "service_default",
        "service.sha256",
        "jitter",
        "detection",
        "batch",
        "throttle",
        "heartbeat",
        "host",
        "faults",
    ];
    let mut names = top.clone();
    for table in tables {
        let of_table = names_in(&format!("name = 'x'\n[{table}]\nxyz = 1"));
        assert!(!of_table.is_empty(), "{table}");
        names.extend(of_table);
    }
    for name in names {
        let shown = PAGE.contains(&format!("`{name}`")) || PAGE.contains(&format!("[{name}"));
        let scripted = name == "script" && PAGE.contains("[[faults.script]]");
        assert!(shown || scripted, "{name} is not on the page");
    }
    for table in [
        "jitter",
        "detection",
        "batch",
        "throttle",
        "heartbeat",
        "host",
    ] {
        assert!(top.contains(&table.to_owned()));
    }
}

#[test]
fn the_file_on_the_page_is_one() {
    let (_, from) = PAGE.split_once("```toml\n").expect("there is one");
    let (file, _) = from.split_once("```").expect("it ends");
    let config = DeviceConfig::from_toml(file).expect("it is taken");
    assert_eq!(config.faults.script.len(), 2);
}

#[test]
fn every_fault_of_a_script_can_be_written() {
    for fault in FaultName::ALL {
        let name = format!("{fault:?}");
        let mut kebab = String::new();
        for letter in name.chars() {
            if letter.is_uppercase() && !kebab.is_empty() {
                kebab.push('-');
            }
            kebab.push(letter.to_ascii_lowercase());
        }
        let lasts = matches!(fault, FaultName::Slow | FaultName::Late | FaultName::Stall);
        let lasts = if lasts { "for_ns = 1" } else { "" };
        let text = format!("name = 'x'\n[[faults.script]]\nat_op = 3\nfault = '{kebab}'\n{lasts}");
        let config = DeviceConfig::from_toml(&text).expect("a fault");
        assert_eq!(config.faults.script[0].fault, fault);
    }
}

#[test]
fn presets_say_of_every_value_where_it_comes_from() {
    const MARKS: [&str; 9] = [
        "read:",
        "reported",
        "measured",
        "derived",
        "assumed",
        "chosen",
        "not confirmed",
        "the same",
        "as for signing",
    ];
    for preset in presets() {
        if preset.toml.contains("All\n# values are chosen") {
            continue;
        }
        let mut table_has = false;
        for line in preset.toml.lines() {
            let has = MARKS.iter().any(|mark| line.contains(mark));
            if line.starts_with('[') {
                table_has = has;
                continue;
            }
            let plain = ["name", "summary", "workers", "#"];
            if line.is_empty() || plain.iter().any(|p| line.starts_with(p)) {
                continue;
            }
            assert!(has || table_has, "{}: {line}", preset.name);
        }
    }
}
