//! Text made safe for the page, and the small pieces that all parts are put together from.

use serde::Serialize;

use crate::human::steers;
use crate::json::by_number;

/// Text of the report for the page: what means something to HTML is written out, and what would steer a
/// terminal or turn the direction of writing is shown as a mark.
pub(super) fn text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars().map(visible) {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// The same for text in a chart, whose backend writes out what means something to SVG.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(visible).collect()
}

fn visible(c: char) -> char {
    match c {
        '\n' | '\t' => ' ',
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// Data for a `<script>` element, on one line. In JSON these characters are found in strings only, where
/// each may be written by its number, and with them written so no text ends the element or opens a
/// comment in it.
pub(super) fn json(data: &impl Serialize) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string(data)?;
    Ok(by_number(&json, |c| {
        matches!(c, '<' | '>' | '&') || steers(c)
    }))
}

/// A whole page.
pub(super) fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        text(title),
        include_str!("style.css"),
    )
}

/// A part of the page: a heading, a line that says what to look for, and what there is to see. `about`
/// and `body` are HTML.
pub(super) fn section(id: &str, heading: &str, about: &str, body: &str) -> String {
    let about = match about {
        "" => String::new(),
        about => format!("<p class=\"about\">{about}</p>\n"),
    };
    format!("<section id=\"{id}\">\n<h2>{heading}</h2>\n{about}{body}</section>\n")
}

/// A list of terms and what they are, both text.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let mut list = "<dl class=\"facts\">\n".to_owned();
    for (term, value) in facts {
        list.push_str(&format!(
            "<div><dt>{}</dt><dd>{}</dd></div>\n",
            text(term),
            text(value)
        ));
    }
    list + "</dl>\n"
}

/// A few figures, large: what it is, the figure, and a line on it.
pub(super) fn tiles(tiles: &[(String, String, String)]) -> String {
    let mut list = "<dl class=\"tiles\">\n".to_owned();
    for (what, figure, line) in tiles {
        list.push_str(&format!(
            "<div><dt>{}</dt><dd>{}</dd><dd class=\"line\">{}</dd></div>\n",
            text(what),
            text(figure),
            text(line)
        ));
    }
    list + "</dl>\n"
}

/// Charts shown at once; more are folded.
const OPEN_MAX: usize = 12;
/// Charts drawn for a part of the page.
pub(super) const CHARTS_MAX: usize = 48;

/// Charts beside each other, of `all` that there could be. What is more than a screen or two is folded,
/// and what is not there is said.
pub(super) fn grid(charts: &[String], all: usize, of: &str) -> String {
    let in_grid = |charts: &[String]| {
        let class = if charts.len() == 1 {
            "grid one"
        } else {
            "grid"
        };
        format!("<div class=\"{class}\">\n{}</div>\n", charts.concat())
    };
    let (open, folded) = charts.split_at(charts.len().min(OPEN_MAX));
    let mut grid = in_grid(open);
    if !folded.is_empty() {
        grid.push_str(&format!(
            "<details><summary>{} more charts</summary>\n{}</details>\n",
            folded.len(),
            in_grid(folded)
        ));
    }
    if all > charts.len() {
        grid.push_str(&format!(
            "<p class=\"note\">{} of {all} {of} are drawn; the figures of all are in the table.</p>\n",
            charts.len()
        ));
    }
    grid
}

/// A chart with its name above it and a note below, both HTML.
pub(super) fn figure(name: &str, chart: &str, note: &str) -> String {
    let note = match note {
        "" => String::new(),
        note => format!("<p class=\"note\">{note}</p>"),
    };
    format!("<figure><figcaption>{name}</figcaption>{chart}{note}</figure>\n")
}

/// A small table. All is HTML; the first cell of a line is its name. Where columns belong together,
/// `groups` has what they are called together, and how many they are.
pub(super) fn small_table(
    groups: &[(&str, usize)],
    header: &[&str],
    lines: &[Vec<String>],
) -> String {
    let mut table = "<div class=\"scroll\"><table class=\"small\"><thead>".to_owned();
    let mut firsts = Vec::new();
    if !groups.is_empty() {
        table.push_str("<tr><th></th>");
        let mut at = 1;
        for (name, columns) in groups {
            table.push_str(&format!(
                "<th scope=\"colgroup\" colspan=\"{columns}\">{name}</th>"
            ));
            firsts.push(at);
            at += columns;
        }
        table.push_str("</tr>");
    }
    let class = |at: usize| match firsts.contains(&at) {
        true => " class=\"first\"",
        false => "",
    };
    table.push_str("<tr>");
    for (at, name) in header.iter().enumerate() {
        table.push_str(&format!("<th scope=\"col\"{}>{name}</th>", class(at)));
    }
    table.push_str("</tr></thead><tbody>\n");
    for line in lines {
        table.push_str("<tr>");
        for (at, cell) in line.iter().enumerate() {
            table.push_str(&match at {
                0 => format!("<th scope=\"row\">{cell}</th>"),
                _ => format!("<td{}>{cell}</td>", class(at)),
            });
        }
        table.push_str("</tr>\n");
    }
    table + "</tbody></table></div>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_a_report_is_markup() {
        assert_eq!(
            text("<b>'a' & \"b\""),
            "&lt;b&gt;&#39;a&#39; &amp; &quot;b&quot;"
        );
        assert_eq!(
            text("a\u{1b}[31mb\u{202e}c\nd"),
            "a\u{fffd}[31mb\u{fffd}c d"
        );
        assert_eq!(plain("<\u{7}\u{1b}>"), "<\u{fffd}\u{fffd}>");
    }

    #[test]
    fn data_does_not_end_its_element_and_stays_what_it_is() {
        let bad = "</script><!-- <script> & \u{2028} ]]> \u{7f}";
        let safe = json(&bad).expect("JSON");
        assert!(
            !safe.contains(['<', '>', '&', '\u{2028}', '\n', '\u{7f}']),
            "{safe}"
        );
        assert_eq!(serde_json::from_str::<String>(&safe).expect("JSON"), bad);
    }

    #[test]
    fn what_is_folded_or_left_out_is_said() {
        let charts = |n: usize| vec!["<figure></figure>".to_owned(); n];
        assert!(!grid(&charts(12), 12, "rows").contains("<details>"));
        let folded = grid(&charts(48), 1000, "rows");
        assert!(folded.contains("36 more charts"));
        assert!(folded.contains("48 of 1000 rows are drawn"));
    }
}
