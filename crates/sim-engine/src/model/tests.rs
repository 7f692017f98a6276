//! The model by itself.

use super::*;

/// A request that is only a number; it may be given up.
#[derive(Debug, PartialEq)]
struct Number(u32, bool);

impl Load for Number {
    type Start = u32;

    fn is_abandoned(&self) -> bool {
        self.1
    }

    fn start(&self) -> Option<u32> {
        Some(self.0)
    }
}

const COURSE: Course = Course {
    kind: OpKind::Nop,
    link_in_ns: 0,
    service_ns: 100,
    stall_ns: 0,
    link_out_ns: 0,
    lost: false,
    kills: false,
};

fn model(rules: Rules) -> Model<Number> {
    Model::new(rules)
}

/// Numbers and times of the answers until `until`, and what else there was.
fn run(model: &mut Model<Number>, until: Nanos) -> Vec<(u32, Nanos)> {
    let mut out = Vec::new();
    model.run(until, &mut out);
    let answers = out.into_iter().filter_map(|out| match out {
        Out::Answered { load, times, .. } => Some((load.0, times.seen)),
        _ => None,
    });
    answers.collect()
}

#[test]
fn two_engines_take_three_requests_in_two_turns() {
    let mut model = model(Rules {
        engines: 2,
        ..Rules::default()
    });
    for n in 0..3 {
        model.submit(0, COURSE, Number(n, false));
    }
    assert_eq!(model.next_at(), Some(0));
    assert_eq!(run(&mut model, 99), []);
    assert_eq!(run(&mut model, 1000), [(0, 100), (1, 100), (2, 200)]);
    // One that comes late finds an engine that has been free for a while.
    model.submit(5000, COURSE, Number(3, false));
    assert_eq!(run(&mut model, 9000), [(3, 5100)]);
    assert!(model.is_empty());
    assert_eq!((model.busy_ns(), model.next_at()), (400, None));
}

#[test]
fn without_a_bound_nobody_waits_and_each_passes_the_link_twice() {
    let mut model = model(Rules::default());
    let course = Course {
        link_in_ns: 7,
        link_out_ns: 11,
        ..COURSE
    };
    for n in 0..50 {
        model.submit(10, course, Number(n, false));
    }
    let answers = run(&mut model, 1000);
    assert!(answers.into_iter().eq((0..50).map(|n| (n, 128))));
}

#[test]
fn the_host_sees_answers_when_it_looks() {
    let mut model = model(Rules {
        detect_every_ns: 1000,
        ..Rules::default()
    });
    model.submit(0, COURSE, Number(0, false));
    model.submit(900, COURSE, Number(1, false));
    model.submit(901, COURSE, Number(2, false));
    assert_eq!(run(&mut model, 5000), [(0, 1000), (1, 1000), (2, 2000)]);
}

#[test]
fn coalesced_answers_are_told_together_by_time_or_by_number() {
    let mut model = model(Rules {
        coalesce_ns: 1000,
        coalesce_max: 3,
        ..Rules::default()
    });
    for (n, at) in [(0, 0), (1, 500), (2, 5000), (3, 5100), (4, 5200), (5, 5300)] {
        model.submit(at, COURSE, Number(n, false));
    }
    let answers = [
        (0, 1100),
        (1, 1100),
        (2, 5300),
        (3, 5300),
        (4, 5300),
        (5, 6400),
    ];
    assert_eq!(run(&mut model, 9000), answers);
}

#[test]
fn a_batch_is_full_or_flushed_and_ends_as_one() {
    let mut model = model(Rules {
        engines: 1,
        batch_size: 3,
        batch_flush_ns: 1000,
        ..Rules::default()
    });
    let other = Course {
        kind: OpKind::Sha256,
        service_ns: 50,
        ..COURSE
    };
    for n in 0..4 {
        model.submit(u64::from(n), COURSE, Number(n, false));
    }
    // Of another kind: in a batch of its own.
    model.submit(4, other, Number(9, false));
    assert_eq!(
        run(&mut model, 9000),
        [(0, 102), (1, 102), (2, 102), (3, 1103), (9, 1153)]
    );
    assert!(model.is_empty());
}

#[test]
fn who_was_given_up_is_not_started_and_can_be_swept_out() {
    let mut model = model(Rules {
        engines: 1,
        batch_size: 2,
        ..Rules::default()
    });
    for n in 0..6 {
        model.submit(0, COURSE, Number(n, n == 2 || n >= 4));
    }
    let mut out = Vec::new();
    model.run(0, &mut out);
    model.sweep(&mut out);
    let skipped: Vec<_> = out
        .iter()
        .filter_map(|out| match out {
            Out::Skipped { load } => Some(load.0),
            _ => None,
        })
        .collect();
    assert_eq!(skipped, [2, 4, 5]);
    assert_eq!(run(&mut model, 1000), [(0, 100), (1, 100), (3, 200)]);

    // Without a sweep they are passed over when their turn comes.
    model.submit(2000, COURSE, Number(7, true));
    model.submit(2000, COURSE, Number(8, false));
    assert_eq!(run(&mut model, 3000), [(8, 2100)]);
    assert!(model.is_empty());
}

#[test]
fn an_engine_that_stands_still_holds_up_what_it_works_on_and_nobody_else() {
    let mut model = model(Rules {
        engines: 2,
        ..Rules::default()
    });
    model.submit(0, COURSE, Number(0, false));
    model.submit(0, COURSE, Number(1, false));
    assert_eq!(run(&mut model, 50), []);
    model.stall(50, 1, 1000);
    model.submit(60, COURSE, Number(2, false));
    assert_eq!(run(&mut model, 2000), [(0, 100), (2, 200), (1, 1100)]);
    // One without work is passed over until it works again.
    model.stall(2000, 0, 500);
    model.stall(2000, 1, 700);
    for n in 3..6 {
        model.submit(2000, COURSE, Number(n, false));
    }
    assert_eq!(run(&mut model, 9000), [(3, 2600), (4, 2700), (5, 2800)]);
    // An operation whose engine stands still first.
    let course = Course {
        stall_ns: 300,
        ..COURSE
    };
    model.submit(10_000, course, Number(6, false));
    assert_eq!(run(&mut model, 20_000), [(6, 10_400)]);
}

#[test]
fn what_was_inside_when_it_died_comes_out_in_order_and_it_is_as_new() {
    let mut model = model(Rules {
        engines: 1,
        ..Rules::default()
    });
    let killer = Course {
        kills: true,
        ..COURSE
    };
    model.submit(0, COURSE, Number(0, false));
    model.submit(1, killer, Number(1, false));
    model.submit(2, COURSE, Number(2, false));
    let mut out = Vec::new();
    model.run(500, &mut out);
    assert!(out.iter().any(|out| matches!(out, Out::Died { at: 100 })));
    assert!(model.is_dead());
    // It takes requests, and nothing happens to them.
    model.submit(600, COURSE, Number(3, false));
    assert_eq!(model.next_at(), None);
    let stranded: Vec<_> = model.reset().into_iter().map(|n| n.0).collect();
    assert_eq!(stranded, [1, 2, 3]);
    assert!(!model.is_dead() && model.is_empty());
    model.submit(700, COURSE, Number(4, false));
    assert_eq!(run(&mut model, 1000), [(4, 800)]);
}

#[test]
fn lost_and_late() {
    let mut model = model(Rules {
        engines: 1,
        ..Rules::default()
    });
    let lost = Course {
        lost: true,
        ..COURSE
    };
    let late = Course {
        link_out_ns: 1000,
        ..COURSE
    };
    model.submit(0, lost, Number(0, false));
    model.submit(0, late, Number(1, false));
    model.submit(0, COURSE, Number(2, false));
    let mut out = Vec::new();
    model.run(150, &mut out);
    assert!(
        out.iter()
            .any(|out| matches!(out, Out::Lost { load } if load.0 == 0))
    );
    // Late, but the engine was free when it was done.
    assert_eq!(run(&mut model, 9000), [(2, 300), (1, 1200)]);
    assert!(model.is_empty());
}
