//! The suite for engine authors: an engine that is right passes, and each that is wrong is caught by
//! the rule that is named for it.

#![cfg(not(loom))]

mod engine;

use std::thread;
use std::time::Duration;

use engine::{BOUND, Bug, Small};
use offload::conformance::{self, Report, Setup, Verdict, check};
use offload::{Op, Output, Request, Response};

fn setup(bug: Bug) -> Setup {
    Setup::new(move || Small::new(bug)).ring_bound(BOUND)
}

/// The rule called `rule`, against an engine with `bug`.
fn against(bug: Bug, rule: &str) -> Report {
    // What hangs is given up after this; an engine that is right needs none of it.
    let setup = setup(bug).patience(Duration::from_millis(500));
    check(&setup.only([rule]))
}

/// Asserts that `rule` catches `bug`, and says so with words of `seen`.
#[track_caller]
fn assert_caught(bug: Bug, rule: &str, seen: &str) {
    let report = against(bug, rule);
    match report.verdict(rule) {
        Some(Verdict::Failed(what)) => {
            assert!(what.contains(seen), "{bug:?} is caught, but: {what}");
        }
        other => panic!("{bug:?} is not caught by {rule}: {other:?}"),
    }
    let text = report.to_string();
    assert!(text.contains(&format!("FAILED   {rule}\n")) && text.contains("why:  "));
    assert!(report.into_result().is_err());
}

/// Asserts that every rule holds, but for these, which cannot be checked.
#[track_caller]
fn assert_conforms(setup: Setup, skipped: &[&str]) {
    // Nobody has to be fast: this only ends a test that hangs.
    let report = check(&setup.patience(Duration::from_secs(60)));
    report.assert();
    let rules = report.rules().iter();
    let skips: Vec<_> = rules
        .filter(|rule| matches!(rule.verdict, Verdict::Skipped(_)))
        .map(|rule| rule.rule)
        .collect();
    assert_eq!(skips, skipped, "{report}");
    assert_eq!(report.rules().len(), conformance::rules().count());
    assert!(report.into_result().is_ok());
}

#[test]
fn an_engine_that_is_right_passes() {
    let skipped = ["inline-agrees", "poll-honours-its-quota"];
    assert_conforms(setup(Bug::None), &skipped);
}

#[test]
fn with_requests_of_its_authors_own() {
    let own = |n: u64| Request::new(Op::Nop, vec![n as u8; 1 + n as usize % 40]);
    let echo = |request: Request| {
        Ok(Response {
            data: request.data,
            output: Output::None,
        })
    };
    let skipped = ["inline-agrees", "poll-honours-its-quota"];
    let setup = setup(Bug::None).requests(own).operations([]).software(echo);
    assert_conforms(setup.operation_count(1000).seed(7), &skipped);

    // They are judged too.
    let wrong = Setup::new(|| Small::new(Bug::WrongResult))
        .requests(own)
        .software(echo);
    let report = check(&wrong.only(["right-results"]));
    assert!(matches!(
        report.verdict("right-results"),
        Some(Verdict::Failed(_))
    ));
}

#[test]
fn with_nothing_to_ask_for() {
    let report = check(&setup(Bug::None).operations([]).only(["no-lost-wake"]));
    let verdict = report.verdict("no-lost-wake");
    assert!(matches!(verdict, Some(Verdict::Skipped(why)) if why.contains("Setup::requests")));
}

#[test]
fn one_that_is_polled() {
    assert_conforms(setup(Bug::Polled), &["inline-agrees"]);
}

#[test]
fn one_without_a_line() {
    let skipped = [
        "inline-agrees",
        "poll-honours-its-quota",
        "room-wakes-each-waiter",
        "line-is-fair",
    ];
    assert_conforms(setup(Bug::NoLine), &skipped);
}

#[test]
fn one_that_throttles() {
    // The rate is hit before the ring is full.
    let skipped = [
        "inline-agrees",
        "poll-honours-its-quota",
        "full-ring-hands-back",
        "room-wakes-each-waiter",
        "line-is-fair",
        "everybody-gets-in",
    ];
    assert_conforms(setup(Bug::Throttles), &skipped);
}

#[test]
fn one_without_a_bound() {
    let skipped = [
        "inline-agrees",
        "poll-honours-its-quota",
        "full-ring-hands-back",
        "ring-bound-holds",
        "room-wakes-each-waiter",
        "line-is-fair",
        "everybody-gets-in",
    ];
    let setup = Setup::new(|| Small::new(Bug::NoBound));
    assert_conforms(setup.operation_count(1000), &skipped);
}

#[test]
fn a_lost_wake() {
    assert_caught(Bug::LostWake, "no-lost-wake", "calls of callbacks");
    assert_caught(Bug::WakesInFours, "no-lost-wake", "calls of callbacks");
    assert_caught(Bug::LostWake, "jobs-woken-by-callback", "jobs are paused");
}

#[test]
fn a_double_completion() {
    assert_caught(Bug::DoubleCompletion, "answered-once", "do not say so");
    assert_caught(Bug::KnownDuplicates, "answered-once", "a second time");
    assert_caught(Bug::TellsTwice, "one-wake-per-operation", "more than once");
    assert_caught(Bug::TellsTwice, "answer-before-wake", "no answer yet");
}

#[test]
fn a_touch_after_the_end() {
    let rule = "nothing-touched-after-the-end";
    assert_caught(Bug::AnswersTheRefused, rule, "refused, and answered later");
    assert_caught(Bug::KeepsContexts, rule, "kept alive");
    assert_caught(Bug::WakesTheEnded, rule, "times more");
    assert_caught(Bug::WakesWhoLeft, rule, "had left the line");
}

#[test]
fn a_forgotten_request() {
    let rule = "every-operation-is-answered";
    assert_caught(Bug::ForgottenRequest, rule, "missing: 1 answers");
    assert_caught(Bug::AnswersAtTheEnd, rule, "missing: 1 answers");
    assert_caught(
        Bug::ForgetsAtTheEnd,
        "shutdown-ends-everything",
        "never answered",
    );
}

#[test]
fn a_wrong_result() {
    assert_caught(Bug::WrongResult, "right-results", "differs from software's");
    assert_caught(Bug::MixesBuffers, "buffer-comes-back", "not its own");
    assert_caught(
        Bug::InlineDiffers,
        "inline-agrees",
        "one result on the spot",
    );
}

#[test]
fn a_bound_that_is_none() {
    assert_caught(Bug::ExceedsTheBound, "ring-bound-holds", "with room for 8");
}

#[test]
fn a_lock_around_the_callback() {
    let rule = "callback-may-use-the-engine";
    assert_caught(Bug::LocksAcrossCallbacks, rule, "");
    let rule = "submit-does-not-block";
    assert_caught(Bug::LocksAcrossCallbacks, rule, "hung for");
}

#[test]
fn a_submit_that_waits() {
    assert_caught(Bug::BlocksInSubmit, "submit-does-not-block", "hung for");
}

#[test]
fn a_refusal_that_loses_the_request() {
    assert_caught(Bug::EatsRefusals, "full-ring-hands-back", "came back");
}

#[test]
fn a_line_that_tells_nobody() {
    assert_caught(Bug::SilentLine, "room-wakes-each-waiter", "wakes for those");
    assert_caught(Bug::SilentLine, "everybody-gets-in", "jobs are paused");
}

#[test]
fn counters_that_lie() {
    let rule = "late-answers-are-orphaned";
    assert_caught(Bug::CountsOrphansAsAnswers, rule, "given up");
    assert_caught(Bug::InFlightFallsTwice, "counters-are-true", "");
}

#[test]
fn support_for_what_is_not_supported() {
    let rule = "supports-agrees-with-submit";
    assert_caught(Bug::TakesEverything, rule, "submit took");
}

#[test]
fn a_poll_out_of_hand() {
    let rule = "poll-honours-its-quota";
    assert_caught(Bug::PollsWithoutQuota, rule, "poll(3) answered");
    assert_caught(Bug::PollWaits, rule, "hung for");
}

/// What each of the other rules catches.
#[test]
fn no_rule_is_there_for_nothing() {
    let others = [
        "completes-before-the-pause",
        "completes-after-the-pause",
        "answer-for-another-thread",
        "outside-a-job",
        "in-a-blocked-job",
        "jobs-woken-by-fd",
        "jobs-woken-by-shared-fd",
        "jobs-polling",
        "spurious-resumes-are-harmless",
        "double-answers-are-harmless",
        "jobs-may-be-cancelled",
        "jobs-may-be-dropped",
        "contexts-may-be-dropped",
        "operations-may-time-out",
        "threads-may-end",
        "random-interleaving",
    ];
    let mut caught: Vec<_> = others.map(|rule| (Bug::ForgottenRequest, rule)).into();
    caught.push((Bug::UnfairLine, "line-is-fair"));
    // They mostly wait for what does not come.
    thread::scope(|scope| {
        for (bug, rule) in caught {
            scope.spawn(move || assert_caught(bug, rule, ""));
        }
    });
}

#[test]
fn the_suite_comes_to_its_end_with_an_engine_that_hangs() {
    for bug in [Bug::ForgottenRequest, Bug::LocksAcrossCallbacks] {
        let setup = setup(bug).patience(Duration::from_millis(50));
        let report = check(&setup);
        assert_eq!(report.rules().len(), conformance::rules().count());
        assert!(report.failed().count() > 2, "{report}");
    }
}

#[test]
fn the_guide_lists_every_rule() {
    let guide = include_str!("../../../../docs/engine-author-guide.md");
    let listed: Vec<_> = guide
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(name, _)| name)
        .collect();
    let rules: Vec<_> = conformance::rules().map(|(name, _)| name).collect();
    assert_eq!(listed, rules);
}

#[test]
fn a_panic() {
    let rule = "every-operation-is-answered";
    assert_caught(
        Bug::Panics,
        rule,
        "a panic while using a fresh engine: a panic in submit",
    );
}

#[test]
#[should_panic(expected = "there is no rule called no-such-rule")]
fn a_rule_that_there_is_not() {
    let _ = setup(Bug::None).only(["no-such-rule"]);
}
