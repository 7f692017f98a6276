//! The page of --report: what it shows is what the JSON says, and it can be read on any screen.
//!
//! Looked at with a real browser, where there is one.

#[allow(dead_code, reason = "what makes pictures uses more of it")]
#[path = "common/browser.rs"]
mod browser;
mod common;
#[allow(dead_code, reason = "some of it is asked for")]
#[path = "../src/human.rs"]
mod human;

use std::fs;
use std::path::Path;

use serde_json::Value;

use browser::{Browser, FAULTS, Found, Scheme};
use common::{names, run, run_bad, run_ok, skip, stdout, text};

/// A phone, a tablet, a desktop.
const WIDTHS: [u32; 3] = [360, 820, 1400];
/// The paper, in the style sheet's pixels.
const PAPER: u32 = 1032;

/// Options of runs that are each another kind of page.
const RUNS: [(&str, &[&str]); 5] = [
    (
        "an RSA card, with stages",
        &[
            "sweep",
            "--device",
            "qat-c62x-1",
            "--op",
            "rsa2048-sign",
            "--clock",
            "virtual",
            "--jobs",
            "1,4,64",
            "--notify",
            "all",
            "--total",
            "2000",
        ],
    ),
    (
        "a device on which all fails",
        &[
            "bench",
            "--device",
            "flaky",
            "--clock",
            "virtual",
            "--rate",
            "20000",
            "--jobs",
            "64",
            "--duration",
            "200ms",
        ],
    ),
    (
        "sizes and jobs",
        &[
            "sweep",
            "--jobs",
            "1,8",
            "--sizes",
            "64,1KiB",
            "--notify",
            "callback,fd",
            "--total",
            "300",
        ],
    ),
    (
        "one row",
        &[
            "bench", "--notify", "callback", "--total", "50", "--jobs", "1",
        ],
    ),
    (
        "software",
        &[
            "bench", "--engine", "software", "--notify", "fd", "--total", "200", "--jobs", "7",
        ],
    ),
];

/// Runs it, and returns the page and the JSON of the same run.
fn page_and_json(args: &[&str]) -> (String, Value) {
    let directory = tempfile::tempdir().expect("a directory");
    let out = directory.path().join("out.html");
    let args: Vec<&str> = args
        .iter()
        .copied()
        .chain(["--format", "json", "--report", text(&out)])
        .collect();
    let output = run(&args);
    let json = serde_json::from_slice(&output.stdout).expect("one JSON object");
    (fs::read_to_string(&out).expect("a page"), json)
}

/// The page that `report` makes of this JSON.
fn page_of(json: &Value) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let (file, out) = (
        directory.path().join("run.json"),
        directory.path().join("run.html"),
    );
    fs::write(&file, json.to_string()).expect("a file");
    run_ok(&["report", text(&file), "--out", text(&out)]);
    fs::read_to_string(out).expect("a page")
}

/// What is on the line that the page says has the data.
fn data_of(page: &str) -> Value {
    let mut lines = page.lines().filter(|line| line.starts_with("{\"schema\""));
    let data = lines.next().expect("a line with the data");
    assert_eq!(lines.next(), None);
    serde_json::from_str(data).expect("JSON")
}

/// As the terminal's table has it.
fn show_count(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups = groups.map(|group| std::str::from_utf8(group).expect("digits"));
    groups.collect::<Vec<_>>().join(",")
}

/// The unit of a figure, by its name: what is to be read in its cell.
fn expected(key: &str, value: &Value) -> Option<String> {
    let number = value.as_f64();
    let path: Vec<&str> = key.split('/').skip(1).collect();
    Some(match (&path[..], number) {
        (_, None) if value.is_null() => "–".to_owned(),
        (["ops_per_s" | "rate_per_s"] | ["capacity", "ops_per_s" | "host_ops_per_s"], Some(n)) => {
            human::show_rate(n)
        }
        (["bytes_per_s"], Some(n)) => human::show_byte_rate(n),
        (["latency_us" | "stages_us", ..], Some(n)) => human::show_us(n),
        ([one], Some(n)) if one.ends_with("_us_per_op") => human::show_us(n),
        ([one], Some(n)) if one.ends_with("_s") => human::show_us(n * 1e6),
        (["engine_utilisation" | "offload_ratio"], Some(n)) => format!("{:.0} %", n * 100.0),
        (["in_flight", "mean"] | ["context_switches_per_op"], Some(n)) => {
            human::show_number(n).trim_end().to_owned()
        }
        (["size_bytes"], _) => return None,
        (_, Some(_)) => show_count(value.as_u64()?),
        _ => value.as_str()?.to_owned(),
    })
}

/// Every row of the table against that of the JSON: what differs.
fn differences(found: &Found, json: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    let rows = json["rows"].as_array().expect("rows");
    let shown = found.value["rows"].as_array().expect("lines");
    assert_eq!(shown.len(), rows.len());
    let mut compared = 0;
    for (cells, row) in shown.iter().zip(rows) {
        for cell in cells.as_array().expect("cells") {
            let part = |at: usize| cell[at].as_str().expect("text");
            let (key, exact, seen) = (part(0), part(1), part(2));
            let value = row.pointer(key).unwrap_or(&Value::Null);
            let is = match value {
                Value::String(word) => word.clone(),
                other => other.to_string(),
            };
            if exact != is {
                differences.push(format!("{key}: {exact} for {is}"));
            }
            if let Some(expected) = expected(key, value) {
                if seen != expected {
                    differences.push(format!("{key}: {seen} is read for {expected}"));
                }
                compared += 1;
            }
        }
        for same in found.value["same"].as_array().expect("a list") {
            let key = same[0].as_str().expect("a key");
            if row.pointer(key) != Some(&same[1]) {
                differences.push(format!("{key}: not the same in all rows"));
            }
        }
    }
    assert!(compared >= 15 * rows.len(), "{compared}");
    let data = found.value["data"].as_str().expect("the data");
    let data: Value = serde_json::from_str(data).expect("JSON");
    if &data != json {
        differences.push("the data is another".to_owned());
    }
    differences
}

fn assert_self_contained(page: &str, what: &str) {
    let shown = page.split("<script").next().expect("a page");
    for beyond in ["http:", "https:", "@import", "url(", "//"] {
        let found = shown
            .find(beyond)
            .map(|at| &shown[at..shown.len().min(at + 60)]);
        assert_eq!(found, None, "{what}");
    }
    assert_eq!(page.matches("<script").count(), 1, "{what}: only data");
}

#[test]
fn the_page_shows_what_the_json_says_and_can_be_read_on_any_screen() {
    let browser = Browser::find();
    for (n, (what, args)) in RUNS.into_iter().enumerate() {
        let (page, json) = page_and_json(args);
        assert_self_contained(&page, what);
        assert_eq!(data_of(&page), json, "{what}");
        // A page of what was saved is the page of the run.
        assert!(page_of(&json) == page, "{what}: another page from the JSON");
        let Some(browser) = &browser else {
            skip(what, "no chromium here to look at the page with");
            continue;
        };
        // Those with the most colours are looked at in the dark too.
        let schemes: &[Scheme] = match n {
            0 | 1 => &[Scheme::Light, Scheme::Dark],
            _ => &[Scheme::Light],
        };
        for &scheme in schemes {
            for found in browser.measure(&page, &WIDTHS, scheme) {
                found.assert_clean(&format!("{what}, {scheme:?}"));
                assert_eq!(differences(&found, &json), [] as [&str; 0], "{what}");
                assert_eq!(found.value["charts"], found.value["figures"], "{what}");
            }
        }
    }
}

#[test]
fn the_page_can_be_printed() {
    let Some(browser) = Browser::find() else {
        skip("the page on paper", "no chromium here");
        return;
    };
    for (what, args) in &RUNS[..2] {
        let (page, _) = page_and_json(args);
        let paper = page.replace("@media print", "@media all");
        let found = &browser.measure(&paper, &[PAPER], Scheme::Dark)[0];
        for kind in FAULTS.iter().filter(|kind| **kind != "tiny") {
            assert_eq!(found.faults(kind), [] as [Value; 0], "{what}: {kind}");
        }
        assert!(browser.print(&page).starts_with(b"%PDF-"), "{what}");
    }
}

#[test]
fn all_parts_are_there_in_their_order() {
    let Some(browser) = Browser::find() else {
        skip("the parts of a page", "no chromium here");
        return;
    };
    let (page, _) = page_and_json(RUNS[1].1);
    let found = &browser.measure(&page, &[1400], Scheme::Light)[0];
    let headings = [
        "sha256 on the device flaky",
        "This run is not a success",
        "Verdict",
        "Options and machine",
        "Throughput and latency by jobs in flight",
        "callback against fd",
        "Latency distributions",
        "Where the time goes",
        "Faults and retries over time",
        "All figures",
        "The data",
    ];
    assert_eq!(found.value["headings"], serde_json::json!(headings));
}

#[test]
fn what_is_wrong_with_a_page_is_found() {
    let Some(browser) = Browser::find() else {
        skip("planted mistakes", "no chromium here");
        return;
    };
    let (page, json) = page_and_json(RUNS[2].1);
    let plants = [
        (
            "wide",
            "<header>",
            "<div style=\"width:3000px\">wide</div><header>",
        ),
        (
            "overlapping",
            ">1</text>",
            ">1 and more than there is room for</text>",
        ),
        (
            "outside",
            "<text x=\"2\" y=\"2\"",
            "<text x=\"-40\" y=\"2\"",
        ),
        ("pale", "--ink-2: #465364", "--ink-2: #a5b0bd"),
        (
            "tiny",
            "svg text { font-size: 16px; }",
            "svg text { font-size: 9px; }",
        ),
        (
            "fetched",
            "<header>",
            "<img src=\"http://127.0.0.1:9/x.png\" alt=\"\"><header>",
        ),
    ];
    for (kind, from, to) in plants {
        assert!(page.contains(from), "{kind}: nothing to plant in");
        let planted = page.replace(from, to);
        let planted = match kind {
            "overlapping" => {
                planted.replace(">8</text>", ">8 and more than there is room for</text>")
            }
            _ => planted,
        };
        let found = &browser.measure(&planted, &[360], Scheme::Light)[0];
        assert_ne!(found.faults(kind), [] as [Value; 0], "{kind} is not found");
    }
    let rate = json["rows"][0]["ops_per_s"].to_string();
    let is = format!("data-value=\"{rate}\">");
    for (from, to) in [
        (&is, format!("data-value=\"{rate}1\">")),
        (&is, format!("{is}1")),
    ] {
        assert!(page.contains(from.as_str()), "nothing to plant in");
        let found = &browser.measure(&page.replace(from.as_str(), &to), &[820], Scheme::Light)[0];
        assert_eq!(differences(found, &json).len(), 1, "{to} is not found");
    }
    let loud = page.replace(
        "<header>",
        "<script>console.warn('planted')</script><header>",
    );
    let found = &browser.measure(&loud, &[360], Scheme::Light)[0];
    assert!(
        found.said.iter().any(|line| line.contains("planted")),
        "{:?}",
        found.said
    );
}

/// Text that would be markup, if it were let.
const HOSTILE: &str = "</script><!--<b class=planted>x</b> \u{1b}[31m & \"quoted\" 'too'";

#[test]
fn no_text_of_a_report_becomes_markup() {
    let (_, mut json) = page_and_json(RUNS[1].1);
    json["options"]["device"] = HOSTILE.into();
    json["host"]["kernel"] = HOSTILE.into();
    json["error"] = HOSTILE.into();
    json["verdict"] = serde_json::json!([HOSTILE]);
    for row in json["rows"].as_array_mut().expect("rows") {
        row["device"] = HOSTILE.into();
        row["problems"] = serde_json::json!([HOSTILE]);
        row["device_events"][0]["what"] = HOSTILE.into();
    }
    json["rows"][0]["notify"] = HOSTILE.into();
    json["rows"][1]["completion"] = HOSTILE.into();
    let page = page_of(&json);
    assert_eq!(page.matches("</script>").count(), 1);
    assert!(
        !page.contains("<b class=planted") && !page.contains("<!--") && !page.contains('\u{1b}')
    );
    assert_eq!(data_of(&page), json);
    let Some(browser) = Browser::find() else {
        skip("hostile names in a browser", "no chromium here");
        return;
    };
    let found = &browser.measure(&page, &[360], Scheme::Light)[0];
    assert_eq!(found.value["markup"], 0);
    assert_eq!(found.said, [] as [String; 0]);
    assert_eq!(found.faults("wide"), [] as [Value; 0]);
}

#[test]
fn figures_that_no_run_has_make_a_page_too() {
    let (_, json) = page_and_json(RUNS[0].1);
    let values = [
        serde_json::json!(0),
        serde_json::json!(-1.5),
        serde_json::json!(1e308),
        serde_json::json!(5e-324),
    ];
    for value in &values {
        let mut json = json.clone();
        json["options"]["duration_s"] = value.clone();
        for row in json["rows"].as_array_mut().expect("rows") {
            for key in ["ops_per_s", "bytes_per_s", "wall_s"] {
                row[key] = value.clone();
            }
            for key in ["mean", "p50", "p90", "p99", "p999", "max"] {
                row["latency_us"][key] = value.clone();
                row["stages_us"]["queue"][key] = value.clone();
            }
            row["over_time"]["slot_s"] = value.clone();
            row["capacity"]["ops_per_s"] = value.clone();
            row["capacity"]["jobs_enough"] = u64::MAX.into();
            row["latency_counts"] = serde_json::json!([[value, u64::MAX], [value, 7]]);
            row["completed"] = u64::MAX.into();
            row["failed"] = u64::MAX.into();
        }
        let page = page_of(&json);
        assert!(!page.contains("NaN"), "{value}");
        let mut none = json.clone();
        for row in none["rows"].as_array_mut().expect("rows") {
            row["completed"] = 0.into();
            row["latency_counts"] = serde_json::json!([]);
        }
        page_of(&none);
        none["rows"] = serde_json::json!([]);
        assert!(page_of(&none).contains("No row was completed"), "{value}");
    }
}

#[test]
fn a_thousand_rows_are_a_page_that_says_what_it_leaves_out() {
    let (_, mut json) = page_and_json(RUNS[2].1);
    let rows = json["rows"].as_array().expect("rows").clone();
    let many = (0..1000).map(|n| {
        let mut row = rows[n % rows.len()].clone();
        row["jobs"] = (n / 4 + 1).into();
        row
    });
    json["rows"] = many.collect();
    let page = page_of(&json);
    assert!(
        page.contains("48 of 250 combinations are drawn"),
        "what is left out is said"
    );
    assert!(page.contains("more charts</summary>"));
    assert_eq!(page.matches("<tr><th scope=\"row\">").count(), 1000 + 100);
}

#[test]
fn a_page_that_cannot_be_written_is_said_and_leaves_nothing() {
    let short = ["bench", "--total", "50", "--jobs", "2", "--notify", "poll"];
    let with = |out: &str| {
        let mut args = short.to_vec();
        args.extend(["--report", out]);
        run(&args)
    };
    let directory = tempfile::tempdir().expect("a directory");
    let missing = directory.path().join("none").join("out.html");
    let output = with(text(&missing));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stdout(&output), "", "it is said before the run");
    let said = common::complains(&output, 2, &short);
    assert!(said.contains("give --report the name"), "{said}");
    assert!(!names(directory.path()).contains(&"none".to_owned()));

    assert!(with("/dev/null").status.success());
    assert!(run_bad(&["bench", "--report", "-"], 2).contains("--report takes the name of a file"));
    if Path::new("/dev/full").exists() {
        let said = common::complains(&with("/dev/full"), 1, &short);
        assert!(said.contains("/dev/full"), "{said}");
    } else {
        skip("a full disk", "no /dev/full here");
    }
}

#[test]
fn report_refuses_what_is_no_report_and_leaves_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let (file, out) = (
        directory.path().join("in.json"),
        directory.path().join("out.html"),
    );
    let (_, json) = page_and_json(RUNS[3].1);
    let whole = json.to_string();
    let mut other = json.clone();
    other["schema"] = 7.into();
    let cases: [(String, &str); 5] = [
        (String::new(), "it is empty"),
        (whole[..whole.len() / 2].to_owned(), "it ends in the middle"),
        (other.to_string(), "its schema is 7"),
        (
            "{\"schema\":1,\"seeds\":[[0,1]]}".to_owned(),
            "demo-cli simulate",
        ),
        ("not JSON".to_owned(), "expected"),
    ];
    for (content, expected) in cases {
        fs::write(&file, content).expect("a file");
        let said = run_bad(&["report", text(&file), "--out", text(&out)], 2);
        assert!(said.contains(expected), "{said}");
        assert_eq!(names(directory.path()), ["in.json"]);
    }
    fs::write(&file, &whole).expect("a file");
    run_bad(&["report", text(directory.path()), "--out", text(&out)], 2);
    let missing = directory.path().join("none").join("out.html");
    let said = run_bad(&["report", text(&file), "--out", text(&missing)], 2);
    assert!(said.contains("give --out the name"), "{said}");
    run_bad(&["report", text(&file), "--out", "-"], 2);
    if Path::new("/dev/full").exists() {
        run_bad(&["report", text(&file), "--out", "/dev/full"], 1);
    }
}

#[test]
fn a_campaign_is_a_page_with_the_trace_of_what_fails() {
    let directory = tempfile::tempdir().expect("a directory");
    let out = directory.path().join("out.html");
    let page_of = |more: &[&str]| {
        let args: Vec<&str> = [
            "simulate",
            "--format",
            "json",
            "--report",
            text(&out),
            "--seeds",
        ]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
        let output = run(&args);
        let json: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        let page = fs::read_to_string(&out).expect("a page");
        assert_self_contained(&page, "a campaign");
        assert_eq!(data_of(&page), json);
        (page, json)
    };
    let (fine, _) = page_of(&["0..20"]);
    assert!(fine.contains("Every seed passed"));
    let (failed, json) = page_of(&["0..200", "--plant", "forgotten"]);
    assert!(json["failure"]["seed"].is_u64(), "{json}");
    let seed = format!("seed {} failed", json["failure"]["seed"]);
    assert!(
        failed.contains(&seed) && failed.contains("<pre>"),
        "{failed}"
    );
    let Some(browser) = Browser::find() else {
        skip("a campaign in a browser", "no chromium here");
        return;
    };
    for page in [fine, failed] {
        for scheme in [Scheme::Light, Scheme::Dark] {
            for found in browser.measure(&page, &WIDTHS, scheme) {
                for kind in FAULTS {
                    assert_eq!(found.faults(kind), [] as [Value; 0], "{scheme:?}: {kind}");
                }
                assert_eq!(found.said, [] as [String; 0]);
            }
        }
    }
}
