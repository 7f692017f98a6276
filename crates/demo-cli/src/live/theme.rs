//! What is drawn how. The terminal's own sixteen colours, so that it fits the user's; none where none
//! are wanted.

use ratatui::style::{Color, Modifier, Style};

/// The styles of the screen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theme {
    colours: bool,
}

impl Theme {
    pub(super) const fn new(colours: bool) -> Theme {
        Theme { colours }
    }

    fn colour(self, colour: Color) -> Style {
        match self.colours {
            true => Style::new().fg(colour),
            false => Style::new(),
        }
    }

    /// What there is to be read.
    pub(super) fn text(self) -> Style {
        Style::new()
    }

    /// A number that is looked at first.
    pub(super) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The title of a panel, whose frame stands back.
    pub(super) fn title(self) -> Style {
        self.colour(Color::Reset).add_modifier(Modifier::BOLD)
    }

    /// Names of numbers, and what else may stand back.
    pub(super) fn quiet(self) -> Style {
        match self.colours {
            true => self.colour(Color::DarkGray),
            false => Style::new().add_modifier(Modifier::DIM),
        }
    }

    /// The program's name, and keys.
    pub(super) fn badge(self) -> Style {
        match self.colours {
            true => Style::new()
                .fg(Color::Black)
                .bg(Color::Cyan)
                .add_modifier(Modifier::BOLD),
            false => Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD),
        }
    }

    /// Something that must not be missed: the picture stands still, the run ends.
    pub(super) fn alert(self) -> Style {
        match self.colours {
            true => Style::new()
                .fg(Color::Black)
                .bg(Color::Yellow)
                .add_modifier(Modifier::BOLD),
            false => Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD),
        }
    }

    pub(super) fn throughput(self) -> Style {
        self.colour(Color::Cyan)
    }

    pub(super) fn p50(self) -> Style {
        self.colour(Color::Green)
    }

    pub(super) fn p99(self) -> Style {
        self.colour(Color::Magenta)
    }

    pub(super) fn rings(self) -> Style {
        self.colour(Color::Blue)
    }

    pub(super) fn engines(self) -> Style {
        self.colour(Color::Green)
    }

    pub(super) fn good(self) -> Style {
        self.colour(Color::Green)
    }

    pub(super) fn warning(self) -> Style {
        self.colour(Color::Yellow)
    }

    pub(super) fn bad(self) -> Style {
        self.colour(Color::Red)
    }
}
