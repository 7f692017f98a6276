//! One chart, drawn by plotters into SVG that follows the page's colours.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::axis::Axis;
use super::html;
use super::theme::{Paint, Shape, recolour};

/// How wide every chart is, in its own pixels: the page makes it as wide as there is room.
pub(super) const WIDTH: u32 = 460;
/// How high most are.
pub(super) const HEIGHT: u32 = 300;
/// The room for the labels of an upright axis.
pub(super) const LEFT: u32 = 78;
/// The room beyond the end of an axis along the bottom.
pub(super) const RIGHT: u32 = 18;
const TOP: u32 = 30;
const BOTTOM: u32 = 48;
/// What an axis along the bottom has.
pub(super) const ACROSS: f64 = (WIDTH - LEFT - RIGHT) as f64;
/// What an upright axis has.
pub(super) const UP: f64 = (HEIGHT - TOP - BOTTOM) as f64;
/// Text, in the chart's pixels. plotters writes a size divided by this factor.
const TEXT: f64 = 15.0 * 1.24;

/// What a chart shows.
#[derive(Clone, Debug)]
pub(super) enum Mark {
    /// A line through points.
    Line(Vec<(f64, f64)>, Paint),
    /// Points of one shape.
    Points(Vec<(f64, f64)>, Paint, Shape),
    /// A filled rectangle, from one corner to the other.
    Bar((f64, f64), (f64, f64), Paint),
    /// A line that is no data.
    Dashed((f64, f64), (f64, f64), Paint),
}

/// A chart without its data.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    /// What it shows, for who cannot see it.
    pub(super) says: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) height: u32,
    /// The room for the labels of the upright axis.
    pub(super) left: u32,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

impl Chart {
    pub(super) fn new(says: String, x: Axis, y: Axis) -> Chart {
        Chart {
            says,
            x,
            y,
            height: HEIGHT,
            left: LEFT,
        }
    }

    /// Draws it. The values of `marks` are those of the axes, not yet places.
    pub(super) fn draw(&self, marks: &[Mark]) -> String {
        let size = (WIDTH, self.height);
        svg(size, &self.says, |area| self.draw_on(area, marks))
    }

    fn draw_on(&self, area: &Area<'_>, marks: &[Mark]) -> Drawn {
        let text = |paint: Paint| ("sans-serif", TEXT).into_font().color(&paint.stand_in());
        let top = match self.y.name.is_empty() {
            true => 8,
            false => TOP,
        };
        area.draw(&Text::new(self.y.name.clone(), (2, 2), text(Paint::Ink)))?;
        let mut chart = ChartBuilder::on(area)
            .margin_top(top)
            .margin_right(RIGHT)
            .set_label_area_size(LabelAreaPosition::Left, self.left)
            .set_label_area_size(LabelAreaPosition::Bottom, BOTTOM)
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        chart
            .configure_mesh()
            .bold_line_style(Paint::Grid.stand_in())
            .light_line_style(TRANSPARENT)
            .axis_style(Paint::Axis.stand_in())
            .x_desc(self.x.name.clone())
            .label_style(text(Paint::Ink))
            .draw()?;
        let place = |(x, y): (f64, f64)| (self.x.at(x), self.y.at(y));
        for mark in marks {
            match mark {
                Mark::Line(points, paint) => {
                    let points = points.iter().map(|p| place(*p));
                    chart.draw_series(LineSeries::new(points, stroke(*paint)))?;
                }
                Mark::Points(points, paint, shape) => {
                    let points = points.iter().map(|p| place(*p));
                    let filled = paint.stand_in().filled();
                    match shape {
                        Shape::Circle => {
                            chart.draw_series(points.map(|at| Circle::new(at, 5, filled)))?
                        }
                        Shape::Cross => {
                            chart.draw_series(points.map(|at| Cross::new(at, 4, stroke(*paint))))?
                        }
                        shape => chart.draw_series(points.map(|at| {
                            EmptyElement::at(at) + Polygon::new(outline(*shape), filled)
                        }))?,
                    };
                }
                Mark::Bar(from, to, paint) => {
                    let corners = [place(*from), place(*to)];
                    let filled = paint.stand_in().filled();
                    chart.draw_series([Rectangle::new(corners, filled)])?;
                }
                Mark::Dashed(from, to, paint) => {
                    let ends = [place(*from), place(*to)];
                    let line = DashedLineSeries::new(ends, 7, 5, stroke(*paint));
                    chart.draw_series(line)?;
                }
            }
        }
        Ok(())
    }
}

fn stroke(paint: Paint) -> ShapeStyle {
    paint.stand_in().stroke_width(2)
}

/// What stands for a line in a legend.
pub(super) fn swatch(paint: Paint, shape: Option<Shape>) -> String {
    svg((30, 16), "", |area| {
        let filled = paint.stand_in().filled();
        let Some(shape) = shape else {
            area.draw(&Rectangle::new([(4, 2), (26, 14)], filled))?;
            return Ok(());
        };
        area.draw(&PathElement::new([(1, 8), (29, 8)], stroke(paint)))?;
        match shape {
            Shape::Circle => area.draw(&Circle::new((15, 8), 5, filled))?,
            Shape::Cross => area.draw(&Cross::new((15, 8), 4, stroke(paint)))?,
            shape => {
                let corners = outline(shape).into_iter().map(|(x, y)| (x + 15, y + 8));
                area.draw(&Polygon::new(corners.collect::<Vec<_>>(), filled))?;
            }
        }
        Ok(())
    })
}

/// The same for a line that is no data.
pub(super) fn dashed_swatch(paint: Paint) -> String {
    svg((30, 16), "", |area| {
        for from in [1, 11, 21] {
            area.draw(&PathElement::new([(from, 8), (from + 7, 8)], stroke(paint)))?;
        }
        Ok(())
    })
}

/// The corners of a shape that has some, around its middle.
fn outline(shape: Shape) -> Vec<(i32, i32)> {
    match shape {
        Shape::Triangle => vec![(0, -6), (6, 5), (-6, 5)],
        Shape::Diamond => vec![(0, -6), (6, 0), (0, 6), (-6, 0)],
        _ => vec![(-4, -4), (4, -4), (4, 4), (-4, 4)],
    }
}

/// Draws on an empty area of this size. Without words it is left out of what is read aloud.
fn svg(size: (u32, u32), says: &str, draw: impl FnOnce(&Area<'_>) -> Drawn) -> String {
    let mut drawn = String::new();
    {
        let area = SVGBackend::with_string(&mut drawn, size).into_drawing_area();
        let done = draw(&area).and_then(|()| Ok(area.present()?));
        if done.is_err() {
            // Nothing that a string backend does fails; if it did, the figures are in the table.
            return "<p class=\"note\">This chart could not be drawn.</p>".to_owned();
        }
    }
    // The page sets the size and the font.
    let inside = drawn.split_once('>').map_or("", |(_, inside)| inside);
    let inside = recolour(inside)
        .replace(" opacity=\"1\"", "")
        .replace(" font-family=\"sans-serif\"", "")
        .replace(&format!(" font-size=\"{}\"", TEXT / 1.24), "")
        .replace(" stroke-width=\"1\"", "")
        .replace("\n</text>", "</text>")
        .replace("\">\n", "\">");
    let (width, height) = size;
    let role = match html::text(says) {
        says if says.is_empty() => "aria-hidden=\"true\"".to_owned(),
        says => format!("role=\"img\" aria-label=\"{says}\""),
    };
    format!(
        "<svg viewBox=\"0 0 {width} {height}\" {role}>{}",
        inside.trim_start()
    )
}

#[cfg(test)]
mod tests {
    use super::super::axis::Along;
    use super::*;
    use crate::human::show_us;

    fn drawn(points: &[(f64, f64)]) -> String {
        let axis = |along| Axis::log("t <µs>", points.iter().map(|p| p.0), along, show_us);
        let chart = Chart::new(
            "a \"chart\" of <b>".to_owned(),
            axis(Along::X(ACROSS)),
            axis(Along::Y(UP)),
        );
        let shapes = [Shape::Circle, Shape::Square, Shape::Diamond, Shape::Cross];
        let mut marks = vec![
            Mark::Line(points.to_vec(), Paint::Series(0)),
            Mark::Dashed((f64::NAN, 0.0), (1.0, 1.0), Paint::Limit),
            Mark::Bar((0.0, f64::INFINITY), (1.0, 1.0), Paint::Stage(3)),
        ];
        let series = |shape| Mark::Points(points.to_vec(), Paint::Series(1), shape);
        marks.extend(shapes.map(series));
        chart.draw(&marks)
    }

    #[test]
    fn any_points_make_a_chart_in_the_pages_colours() {
        let points: [&[(f64, f64)]; 5] = [
            &[],
            &[(1.0, 1.0)],
            &[(f64::NAN, f64::NAN)],
            &[(0.0, f64::INFINITY), (-1.0, f64::MAX)],
            &[(1.0, 2.0), (1e9, 3e-9)],
        ];
        for points in points {
            let svg = drawn(points);
            assert!(
                svg.starts_with("<svg viewBox=\"0 0 460 300\" role=\"img\""),
                "{svg}"
            );
            assert!(svg.trim_end().ends_with("</svg>"), "{svg}");
            assert!(svg.contains("a &quot;chart&quot; of &lt;b&gt;"), "{svg}");
            assert!(!svg.contains("<µs>") && !svg.contains('#'), "{svg}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn a_swatch_is_not_read_aloud() {
        let swatch = swatch(Paint::Series(2), Some(Shape::Triangle));
        assert!(swatch.contains("aria-hidden") && swatch.contains("var(--way-2)"));
    }
}
