//! The rules.

mod answers;
mod callbacks;
mod contract;
mod ends;
mod jobs;
mod random;
mod ring;
mod shutdown;
mod ways;

use super::case::{Case, Ran};

/// One rule: its name, what it demands, why, and how it is checked.
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) demands: &'static str,
    pub(super) why: &'static str,
    pub(super) run: fn(&Case) -> Ran,
}

/// Simple ones first: the first that is broken says most.
pub(super) static RULES: &[Rule] = &[
    Rule {
        name: "supports-agrees-with-submit",
        demands: "What supports() denies, submit refuses as unsupported and hands back whole; what \
                  it grants, an idle engine takes on.",
        why: "Software fallback lives from it: an engine that takes what it cannot do, or keeps what \
              it refuses, leaves nothing to fall back with.",
        run: contract::supports_agrees_with_submit,
    },
    Rule {
        name: "every-operation-is-answered",
        demands: "Each operation that was taken on is answered, the last one in an idle engine too.",
        why: "Nothing else notices: engines for OpenSSL wait for a lost response for ever, and a \
              batch that waits to be filled answers its last operations never.",
        run: answers::every_operation_is_answered,
    },
    Rule {
        name: "answered-once",
        demands: "Each operation is answered once, and counted once.",
        why: "A second completion reaches whoever uses the record by then; real stacks have an \
              assertion there, or nothing.",
        run: answers::answered_once,
    },
    Rule {
        name: "right-results",
        demands: "Each answer is what plain software gives, for every operation and at the edges of \
                  its sizes.",
        why: "A wrong private-key result can give the key away (the fault attack on RSA-CRT), and \
              a wrong MAC is a dead connection.",
        run: contract::right_results,
    },
    Rule {
        name: "buffer-comes-back",
        demands: "The buffer of a request comes back with its answer: changed by a cipher, as it was \
                  with a digest.",
        why: "A request owns its buffer: with another's buffer in its place the data of one \
              connection ends up in another.",
        run: contract::buffer_comes_back,
    },
    Rule {
        name: "inline-agrees",
        demands: "What the engine carries out on the spot has the result that it has by submission.",
        why: "Small requests go to software by a threshold: two ways to one result are one too many \
              if they differ.",
        run: contract::inline_agrees,
    },
    Rule {
        name: "no-lost-wake",
        demands: "Whoever waits for an answer is told of it: by callback, ready queue and fd.",
        why: "A failed or forgotten notification is a connection that hangs; nginx re-polls every \
              millisecond for fear of it.",
        run: ways::no_lost_wake,
    },
    Rule {
        name: "one-wake-per-operation",
        demands: "Whoever waits is told once per operation, not more.",
        why: "Each wake too many is a resume too many: loops at full load, and jobs that go on before \
              their answer in code that trusts a wake.",
        run: answers::one_wake_per_operation,
    },
    Rule {
        name: "answer-before-wake",
        demands: "When whoever waits is told, the answer is there.",
        why: "A job that is resumed before its answer pauses again, and nobody wakes it a second \
              time.",
        run: answers::answer_before_wake,
    },
    Rule {
        name: "completes-before-the-pause",
        demands: "An answer that comes before the job pauses is found, with and without the pause.",
        why: "The classic race of completion and pause: with edge-triggered events, or a wake that \
              finds nobody waiting, it is lost.",
        run: jobs::completes_before_the_pause,
    },
    Rule {
        name: "completes-after-the-pause",
        demands: "An answer that comes after the job has paused wakes it.",
        why: "It is what asynchronous means; OpenSSL's own test engine never did it.",
        run: jobs::completes_after_the_pause,
    },
    Rule {
        name: "answer-for-another-thread",
        demands: "An operation may be submitted on one thread and its answer taken on another.",
        why: "All methods may be called from any thread: state kept per thread loses its operations \
              when the application moves them.",
        run: jobs::answer_for_another_thread,
    },
    Rule {
        name: "outside-a-job",
        demands: "Operations outside jobs are answered, several threads at once, polled or not.",
        why: "With no poller but the thread that waits, real engines spin for ever there.",
        run: jobs::outside_a_job,
    },
    Rule {
        name: "in-a-blocked-job",
        demands: "An operation in a job that must not pause is answered while the job waits.",
        why: "Libraries block pausing while they hold a lock: the synchronous way has to work in the \
              middle of the asynchronous one.",
        run: jobs::in_a_blocked_job,
    },
    Rule {
        name: "jobs-woken-by-fd",
        demands: "Jobs that wait on an fd each come to their ends.",
        why: "It is how every OpenSSL program waits.",
        run: ways::jobs_by_fd,
    },
    Rule {
        name: "jobs-woken-by-shared-fd",
        demands: "Jobs that wait on one fd for all come to their ends.",
        why: "Wakes are collected there: one that stays in a batch for ever is lost.",
        run: ways::jobs_by_shared_fd,
    },
    Rule {
        name: "jobs-woken-by-callback",
        demands: "Jobs that wait for a callback come to their ends.",
        why: "Applications with callbacks have no fd to fall back on: Intel's engine does not call \
              it after a full ring, and who waits for it hangs.",
        run: ways::jobs_by_callback,
    },
    Rule {
        name: "jobs-polling",
        demands: "Jobs that nobody wakes, and that look by themselves, come to their ends.",
        why: "An answer must be found by whoever looks, told or not.",
        run: ways::jobs_polling,
    },
    Rule {
        name: "spurious-resumes-are-harmless",
        demands: "Jobs that are resumed for no reason wait on and get their answers.",
        why: "Applications resume on socket events: a result that is taken for there because the \
              job runs is garbage.",
        run: jobs::spurious_resumes_are_harmless,
    },
    Rule {
        name: "double-answers-are-harmless",
        demands: "A second answer, and wakes after the end, change nothing.",
        why: "Real stacks do not handle a second completion: it reaches a record that is somebody \
              else's by then.",
        run: jobs::double_answers_are_harmless,
    },
    Rule {
        name: "submit-does-not-block",
        demands: "submit returns at once, also when the ring is full and the engine's threads are \
                  busy.",
        why: "It runs on the thread that all jobs share: one that sleeps in submit stops every \
              connection (a full ring outside a job slept 50 ms in a real engine).",
        run: callbacks::submit_does_not_block,
    },
    Rule {
        name: "callback-may-use-the-engine",
        demands: "A callback may call every method of the engine, submit above all.",
        why: "A lock held around the callback that submit takes too is a deadlock as soon as an \
              application submits from it.",
        run: callbacks::callback_may_use_the_engine,
    },
    Rule {
        name: "poll-honours-its-quota",
        demands: "poll(n) answers at most n operations, says how many, and never waits.",
        why: "The application's event loop calls it between connections: a poll that drains \
              everything, or waits, stalls them.",
        run: callbacks::poll_honours_its_quota,
    },
    Rule {
        name: "full-ring-hands-back",
        demands: "A refusal for a full ring hands the submission back, and the same one is taken on \
                  when there is room.",
        why: "A partial enqueue that was taken for all or nothing hung storage stacks: the rest was \
              never submitted.",
        run: ring::full_ring_hands_back,
    },
    Rule {
        name: "ring-bound-holds",
        demands: "No more are in flight than the ring has room for, by count and by the counters.",
        why: "An entry too many overwrites one that the device still works on.",
        run: ring::ring_bound_holds,
    },
    Rule {
        name: "room-wakes-each-waiter",
        demands: "Who queues for room is woken when it is there, and is let in with its ticket.",
        why: "Waiting for room without a wake is a busy loop, or a job that never comes back.",
        run: ring::room_wakes_each_waiter,
    },
    Rule {
        name: "line-is-fair",
        demands: "Room goes to who came first.",
        why: "Without an order some connections time out under load while others are served twice.",
        run: ring::line_is_fair,
    },
    Rule {
        name: "everybody-gets-in",
        demands: "Many more jobs than there is room for all come to their ends.",
        why: "An application that waited for a callback after a full ring hung for ever with Intel's \
              engine.",
        run: ring::everybody_gets_in,
    },
    Rule {
        name: "late-answers-are-orphaned",
        demands: "Answers that nobody waits for any more are thrown away and counted as orphaned.",
        why: "Completions for connections that are gone: the biggest family of crashes in real \
              stacks.",
        run: ends::late_answers_are_orphaned,
    },
    Rule {
        name: "jobs-may-be-cancelled",
        demands: "A job may be cancelled with its operation in flight.",
        why: "Real stacks have no way to end such a job: a connection that closes leaks it, or frees \
              what the card still uses.",
        run: ends::jobs_may_be_cancelled,
    },
    Rule {
        name: "jobs-may-be-dropped",
        demands: "A job, and then its context, may be dropped with its operation in flight.",
        why: "Freeing a connection while its operation was on the card is a use after free in the \
              poller's thread.",
        run: ends::jobs_may_be_dropped,
    },
    Rule {
        name: "contexts-may-be-dropped",
        demands: "A context, and the client, may be dropped before the job with its operation in \
                  flight.",
        why: "The engine's wake then goes to an fd number that is another connection's by now.",
        run: ends::contexts_may_be_dropped,
    },
    Rule {
        name: "operations-may-time-out",
        demands: "An operation may be given up when its time is over, and the engine goes on.",
        why: "Engines without time-outs wait for ever; with them the answer still comes, to a \
              record that was freed.",
        run: ends::operations_may_time_out,
    },
    Rule {
        name: "nothing-touched-after-the-end",
        demands: "What has ended is left alone: no wake after the one that was owed, no answer to \
                  what was refused, no context kept alive.",
        why: "Use after free: the poller reads the job of a completion that was already told, and \
              wakes, or closes, what is another's by now.",
        run: ends::nothing_touched_after_the_end,
    },
    Rule {
        name: "shutdown-ends-everything",
        demands: "Shut down with work in flight, the engine answers all of it, and takes on nothing \
                  that it does not answer.",
        why: "A shutdown that waits for what nobody completes never ends (nginx: endless), and one \
              that forgets what is in flight leaves jobs paused for ever.",
        run: shutdown::shutdown_ends_everything,
    },
    Rule {
        name: "threads-may-end",
        demands: "A thread may end with paused jobs; the engine goes on for the others.",
        why: "Pools of jobs are per thread: a completion for a thread that is gone must not touch \
              it.",
        run: shutdown::threads_may_end,
    },
    Rule {
        name: "counters-are-true",
        demands: "Counters never go down, never below nothing, and balance when nothing is in \
                  flight.",
        why: "Applications decide by them when to poll: one that was decremented before it was \
              incremented, or that did not move, starved the poller.",
        run: random::counters_are_true,
    },
    Rule {
        name: "random-interleaving",
        demands: "Many operations on several threads, with cancels, drops and spurious resumes in \
                  random order, all end right, and the counters balance.",
        why: "The bugs that are left are in the combinations.",
        run: random::random_interleaving,
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::RULES;

    #[test]
    fn names_are_unique_and_kebab_case() {
        let names: HashSet<_> = RULES.iter().map(|rule| rule.name).collect();
        assert_eq!(names.len(), RULES.len());
        for name in names {
            let kebab = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(name.chars().all(kebab), "{name}");
        }
    }
}
