//! The page of `simulate`: how many seeds passed, and the smallest run of the one that did not.

use crate::human::{show_number, show_us};
use crate::simulate::Campaign;
use crate::units::show_count;

use super::{data, html};

/// Lines of a trace that are shown; the run that they are of can be seen again.
const TRACE_MAX: usize = 2000;

/// What `simulate` came to.
pub(crate) struct Simulated<'a> {
    pub(crate) campaign: &'a Campaign,
    /// What happens in the smallest run that fails, line by line, and the command that shows it again.
    pub(crate) smallest: Option<(&'a [String], &'a str)>,
    /// What else is wrong.
    pub(crate) leak: Option<&'a str>,
}

/// The page.
pub(super) fn page(result: &Simulated<'_>) -> String {
    let campaign = result.campaign;
    let title = format!("simulated faults of the device {}", campaign.device);
    let seeds: Vec<String> = campaign
        .seeds
        .iter()
        .map(|(start, end)| format!("{start}..{end}"))
        .collect();
    let mut body = format!(
        "<header>\n<p class=\"kind\">demo-cli simulate</p>\n<h1>{}</h1>\n<p class=\"about\">Random \
         applications on a faulty device in virtual time, a seed each: {} jobs a seed, at most {} in \
         flight, seeds {}.</p>\n</header>\n",
        html::text(&title),
        show_count(campaign.total),
        show_count(campaign.jobs as u64),
        seeds.join(", ")
    );
    body.push_str(&verdict(result));
    body.push_str(&html::tiles(&tiles(campaign)));
    if let Some((trace, again)) = result.smallest {
        body.push_str(&smallest(trace, again));
    }
    let who = "<code>demo-cli simulate --merge</code> reads it";
    body.push_str(&data(campaign, "campaign", who));
    html::page(&title, &body)
}

fn verdict(result: &Simulated<'_>) -> String {
    let mut wrong = Vec::new();
    if let Some(failure) = &result.campaign.failure {
        wrong.push(format!("seed {} failed: {}", failure.seed, failure.problem));
    }
    wrong.extend(result.leak.map(str::to_owned));
    if wrong.is_empty() {
        return "<section id=\"verdict\">\n<h2>Verdict</h2>\n<ul class=\"verdict\"><li>Every seed \
                passed: each job ended once, each operation was answered once, and nothing was left \
                over.</li></ul>\n</section>\n"
            .to_owned();
    }
    let list = wrong
        .iter()
        .map(|line| format!("<li>{}</li>\n", html::text(line)));
    format!(
        "<section class=\"box wrong\" role=\"alert\">\n<h2>This is not a success</h2>\n<ul>\n{}</ul>\n</section>\n",
        list.collect::<String>()
    )
}

fn tiles(campaign: &Campaign) -> Vec<(String, String, String)> {
    let number = |number: f64| show_number(number).trim_end().to_owned();
    let tile = |what: &str, figure: String, line: &str| (what.to_owned(), figure, line.to_owned());
    let seeds = campaign
        .seeds
        .iter()
        .map(|(start, end)| end.saturating_sub(*start));
    let seeds = seeds.fold(0_u64, u64::saturating_add);
    let failed = match &campaign.failure {
        None => "none failed".to_owned(),
        Some(failure) => format!("of {}; seed {} failed", show_count(seeds), failure.seed),
    };
    let mut tiles = vec![
        tile("Seeds passed", show_count(campaign.passed), &failed),
        tile(
            "Operations",
            number(campaign.operations as f64),
            "in all seeds",
        ),
        tile("Time", show_us(campaign.seconds * 1e6), "of this machine"),
    ];
    if campaign.seconds > 0.0 {
        let rate = number(campaign.passed as f64 / campaign.seconds);
        tiles.push(tile("Seeds a second", rate, "over all threads"));
    }
    tiles
}

fn smallest(trace: &[String], again: &str) -> String {
    let mut lines = String::new();
    for line in trace.iter().take(TRACE_MAX) {
        lines.push_str(&html::text(line));
        lines.push('\n');
    }
    if trace.len() > TRACE_MAX {
        lines.push_str(&format!("… and {} more lines\n", trace.len() - TRACE_MAX));
    }
    let about = format!(
        "What happens, event by event, with as few jobs as still fail. To see it again: <code>{}</code>",
        html::text(again)
    );
    let body = format!("<pre>{lines}</pre>\n");
    html::section("trace", "The smallest run that fails", &about, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_cannot_be_missed_and_is_no_markup() {
        let json = r#"{"schema":1,"device":"</script><b>","jobs":8,"total":16,"seeds":[[0,9]],"passed":3,
            "operations":40,"seconds":0.5,"failure":{"seed":3,"problem":"<i> was lost"}}"#;
        let campaign: Campaign = serde_json::from_str(json).expect("a campaign");
        let trace = ["0 ns <u>".to_owned()];
        let page = page(&Simulated {
            campaign: &campaign,
            smallest: Some((&trace, "demo-cli simulate --seed 3")),
            leak: None,
        });
        for markup in ["<b>", "<i>", "<u>"] {
            assert!(!page.contains(markup), "{markup}");
        }
        assert_eq!(page.matches("</script>").count(), 1);
        assert!(page.contains("seed 3 failed: &lt;i&gt; was lost"));
        assert!(page.contains("demo-cli simulate --seed 3"));
    }
}
