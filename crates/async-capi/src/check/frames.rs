//! The names of a place's calls. Finding them takes a deep stack and reads files: only on the helper thread.

use std::backtrace::Backtrace;

/// One call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// `<unknown>` where nothing says.
    pub(super) function: String,
    /// `file:line:column`, or `file:line`.
    pub(super) at: Option<String>,
}

/// Innermost first; what belongs to this library alone is left out.
pub(super) fn frames(trace: &Backtrace) -> Vec<Frame> {
    let all = parse(&trace.to_string());
    let of_the_program = |frame: &&Frame| !is_ours(frame);
    if all.iter().any(|frame| of_the_program(&frame)) {
        all.into_iter()
            .filter(|frame| of_the_program(&frame))
            .collect()
    } else {
        all
    }
}

/// Takes the standard library's text apart, which has a line `  12: function` for each call, and maybe a line
/// `at file:line:column` after it. The only way that it has to the names.
fn parse(text: &str) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(at) = line.strip_prefix("at ") {
            if let Some(frame) = frames.last_mut() {
                frame.at = Some(at.to_string());
            }
        } else if let Some((number, function)) = line.split_once(": ")
            && number.bytes().all(|c| c.is_ascii_digit())
        {
            frames.push(Frame {
                function: function.to_string(),
                at: None,
            });
        }
    }
    frames
}

/// Whether a function is between a program and what it calls here.
fn is_ours(frame: &Frame) -> bool {
    let function = frame.function.as_str();
    const CRATES: [&str; 8] = [
        "alloc::",
        "async_capi::",
        "async_core::",
        "core::",
        "corosensei::",
        "std::",
        "waitctx::",
        "__rust",
    ];
    // `<async_core::…::Thread>::start` and `<&mut F as core::…>::call`.
    let path = function.trim_start_matches(['<', '&', '_']);
    let is_c = function.starts_with("ASYNC_") || function.starts_with("async_capi_");
    !is_c
        && (function.contains("stack_init_trampoline")
            || CRATES
                .iter()
                .any(|name| function.starts_with(name) || path.starts_with(name))
            || frame.at.as_deref().is_some_and(is_our_file))
}

/// Functions that were inlined come without a path in release builds: `job_pauses`. Their files tell.
fn is_our_file(at: &str) -> bool {
    const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/");
    const FILES: [&str; 4] = [
        "/crates/async-core/src/",
        "/crates/waitctx/src/",
        "/corosensei-",
        "/rustc/",
    ];
    // What is below the working directory, the standard library writes from there.
    let whole = at.strip_prefix("./").and_then(|below| {
        let directory = std::env::current_dir().ok()?;
        Some(format!("{}/{below}", directory.display()))
    });
    let file = whole.as_deref().unwrap_or(at);
    file.contains(".rs:")
        && (file.starts_with(HERE) || FILES.iter().any(|name| file.contains(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_apart() {
        let text = "   0: async_capi::check::place::here\n             at ./src/check/place.rs:60:16\n   \
                    1: ASYNC_pause_job\n   2: wait_for_device\n             at /src/engine.c:12\n   3: <unknown>\n";
        let frame = |function: &str, at: Option<&str>| Frame {
            function: function.into(),
            at: at.map(Into::into),
        };
        let expected = [
            frame(
                "async_capi::check::place::here",
                Some("./src/check/place.rs:60:16"),
            ),
            frame("ASYNC_pause_job", None),
            frame("wait_for_device", Some("/src/engine.c:12")),
            frame("<unknown>", None),
        ];
        assert_eq!(parse(text), expected);
        assert!(is_ours(&expected[0]));
        assert!(expected[1..].iter().all(|f| !is_ours(f)));
    }

    #[test]
    fn inlined_calls_are_told_by_their_files() {
        let inlined = |at: String| Frame {
            function: "job_pauses".into(),
            at: Some(at),
        };
        let here = env!("CARGO_MANIFEST_DIR");
        let core = "/a/crates/async-core/src/sys/control.rs:183:26";
        for ours in [
            format!("{here}/src/job.rs:430:9"),
            // Tests run in the crate's own directory.
            "./src/job.rs:430:9".into(),
            core.into(),
            "/rustc/0/library/core/src/ops/function.rs:250:5".into(),
            "/registry/corosensei-0.3.4/src/coroutine.rs:305:24".into(),
        ] {
            assert!(is_ours(&inlined(ours.clone())), "{ours}");
        }
        for theirs in [
            "./src/engine.c:445:5",
            "/a/src/job.rs:1:1",
            "/a/corosensei-0.3.4/x.c:1:1",
        ] {
            assert!(!is_ours(&inlined(theirs.into())), "{theirs}");
        }
        let exported = Frame {
            function: "ASYNC_pause_job".into(),
            at: Some(format!("{here}/src/jobs.rs:149:11")),
        };
        assert!(!is_ours(&exported));
    }

    /// The standard library still writes what `parse` reads.
    #[test]
    fn a_real_backtrace_has_this_test() {
        let all = parse(&Backtrace::force_capture().to_string());
        let here = all.iter().find(|frame| {
            frame.function.contains("a_real_backtrace_has_this_test")
                && frame
                    .at
                    .as_deref()
                    .is_some_and(|at| at.contains("frames.rs"))
        });
        assert!(here.is_some(), "{all:?}");
    }
}
