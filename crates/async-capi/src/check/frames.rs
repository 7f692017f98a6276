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
    let of_the_program = |frame: &&Frame| !is_ours(&frame.function);
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
fn is_ours(function: &str) -> bool {
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
                .any(|name| function.starts_with(name) || path.starts_with(name)))
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
        assert!(is_ours(&expected[0].function));
        assert!(expected[1..].iter().all(|f| !is_ours(&f.function)));
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
