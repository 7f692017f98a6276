//! Colours, on streams that want them: by `--color`, by `NO_COLOR`, `CLICOLOR` and `CLICOLOR_FORCE`, and
//! by what the stream is.

use std::fmt::Display;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

use crate::cli::ColorName;

const HEADING: Style = Style::new().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const FAINT: Style = Style::new().dimmed();

/// Takes what `--color` says.
pub(crate) fn choose(name: ColorName) {
    let choice = match name {
        ColorName::Auto => ColorChoice::Auto,
        ColorName::Always => ColorChoice::AlwaysAnsi,
        ColorName::Never => ColorChoice::Never,
    };
    choice.write_global();
}

/// How text is painted for one stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    pub(crate) fn stdout() -> Paint {
        Paint {
            on: AutoStream::choice(&std::io::stdout()) != ColorChoice::Never,
        }
    }

    pub(crate) fn stderr() -> Paint {
        Paint {
            on: AutoStream::choice(&std::io::stderr()) != ColorChoice::Never,
        }
    }

    /// Whether it paints at all.
    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    pub(crate) fn heading(self, text: impl Display) -> String {
        self.with(HEADING, text)
    }

    /// Something is wrong.
    pub(crate) fn bad(self, text: impl Display) -> String {
        self.with(BAD, text)
    }

    /// Not what is looked at first.
    pub(crate) fn faint(self, text: impl Display) -> String {
        self.with(FAINT, text)
    }

    fn with(self, style: Style, text: impl Display) -> String {
        match self.on {
            true => format!("{style}{text}{style:#}"),
            false => text.to_string(),
        }
    }
}
