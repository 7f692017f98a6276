//! Colours and shapes. Charts are drawn in colours that only stand for one, and these are then replaced
//! by the style sheet's, which has them for light, dark and paper.

use plotters::style::RGBColor;

/// What something is drawn in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    /// Text.
    Ink,
    /// Axes.
    Axis,
    /// Lines behind the data.
    Grid,
    /// What the device can do.
    Limit,
    /// What has failed.
    Bad,
    /// What had to wait.
    Warn,
    /// What has recovered.
    Good,
    /// A way of being woken.
    Series(u8),
    /// A part of the latency.
    Stage(u8),
}

/// All of them, with the names that they have in the style sheet.
const PAINTS: [(Paint, &str); 17] = [
    (Paint::Ink, "ink-2"),
    (Paint::Axis, "axis"),
    (Paint::Grid, "grid"),
    (Paint::Limit, "limit"),
    (Paint::Bad, "bad"),
    (Paint::Warn, "warn"),
    (Paint::Good, "good"),
    (Paint::Series(0), "way-0"),
    (Paint::Series(1), "way-1"),
    (Paint::Series(2), "way-2"),
    (Paint::Series(3), "way-3"),
    (Paint::Series(4), "way-4"),
    (Paint::Stage(0), "stage-0"),
    (Paint::Stage(1), "stage-1"),
    (Paint::Stage(2), "stage-2"),
    (Paint::Stage(3), "stage-3"),
    (Paint::Stage(4), "stage-4"),
];

impl Paint {
    /// The colour that stands for it.
    pub(super) fn stand_in(self) -> RGBColor {
        let known = PAINTS.iter().position(|(paint, _)| *paint == self);
        // One that is not known is text.
        RGBColor(1, 2, known.unwrap_or(0) as u8)
    }
}

/// Puts the style sheet's colours in place of those that stand for them.
pub(super) fn recolour(svg: &str) -> String {
    let mut coloured = svg.to_owned();
    for (paint, name) in PAINTS {
        let RGBColor(r, g, b) = paint.stand_in();
        let stand_in = format!("\"#{r:02X}{g:02X}{b:02X}\"");
        coloured = coloured.replace(&stand_in, &format!("\"var(--{name})\""));
    }
    coloured
}

/// What a point of a line looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Circle,
    Square,
    Triangle,
    Diamond,
    Cross,
}

/// How a way of being woken is drawn: the same on every page.
pub(super) fn way(name: &str) -> (Paint, Shape) {
    match name {
        "callback" => (Paint::Series(0), Shape::Circle),
        "fd" => (Paint::Series(1), Shape::Square),
        "shared-fd" => (Paint::Series(2), Shape::Triangle),
        "poll" => (Paint::Series(3), Shape::Diamond),
        _ => (Paint::Series(4), Shape::Cross),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_has_its_place_in_the_style_sheet_light_and_dark() {
        let style = include_str!("style.css");
        for (paint, name) in PAINTS {
            let set = style.matches(&format!("--{name}:")).count();
            assert_eq!(set, 3, "{paint:?}: for light, dark and paper");
            let RGBColor(r, g, b) = paint.stand_in();
            let drawn = format!("<a fill=\"#{r:02X}{g:02X}{b:02X}\"/>");
            assert_eq!(recolour(&drawn), format!("<a fill=\"var(--{name})\"/>"));
        }
    }
}
