//! The files that are compared, read.

use std::path::PathBuf;

use crate::error::InputError;
use crate::human::printable;
use crate::report::{Report, read};
use crate::simulate::{self, Campaign};

/// What a file is called in what is printed.
#[derive(Debug)]
pub(super) struct Named<T> {
    pub(super) name: String,
    pub(super) what: T,
}

/// All files, of which there are two at least, of one kind.
#[derive(Debug)]
pub(super) enum Sources {
    Reports(Vec<Named<Report>>),
    Campaigns(Vec<Named<Campaign>>),
}

/// Reads all of them.
pub(super) fn read(paths: &[PathBuf]) -> Result<Sources, InputError> {
    let stdin = |path: &&PathBuf| path.as_os_str() == "-";
    if paths.iter().filter(stdin).count() > 1 {
        return Err(InputError::StdinTwice);
    }
    let (mut reports, mut campaigns) = (Vec::new(), Vec::new());
    for path in paths {
        let text = read::text(path)?;
        let name = match path.to_str() {
            Some("-") => "standard input".to_owned(),
            _ => printable(&path.display().to_string()),
        };
        if read::is_campaign(&text) {
            let what = simulate::of_text(path, &text)?;
            campaigns.push(Named { name, what });
        } else {
            let what = read::of_text(path, &text)?;
            reports.push(Named { name, what });
        }
        if let (Some(report), Some(campaign)) = (reports.first(), campaigns.first()) {
            return Err(InputError::OtherKind {
                report: report.name.clone(),
                campaign: campaign.name.clone(),
            });
        }
    }
    Ok(match campaigns.is_empty() {
        true => Sources::Reports(reports),
        false => Sources::Campaigns(campaigns),
    })
}
