//! The suite for engine authors: an engine that is right passes, and each that is wrong is caught by
//! the rule that is named for it.

#![cfg(not(loom))]

mod engine;

use std::thread;
use std::time::Duration;

use engine::{BOUND, Bug, Small};
use offload::conformance::{self, Report, Setup, Verdict, check};

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

#[test]
fn an_engine_that_is_right_passes() {
    // Nobody has to be fast: this only ends a test that hangs.
    let report = check(&setup(Bug::None).patience(Duration::from_secs(60)));
    report.assert();
    let skipped: Vec<_> = report
        .rules()
        .iter()
        .filter(|rule| matches!(rule.verdict, Verdict::Skipped(_)))
        .map(|rule| rule.rule)
        .collect();
    assert_eq!(skipped, ["inline-agrees", "poll-honours-its-quota"]);
    assert_eq!(report.rules().len(), conformance::rules().count());
    assert!(report.into_result().is_ok());
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
