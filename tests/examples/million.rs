//! A million jobs paused at once: `cargo run --release --example million`, with `-- --jobs N` for
//! another number and `-- --runtime libcrypto` for libcrypto's jobs.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use async_tests::million::{Runtime, run};

const USAGE: &str = "usage: million [--jobs N] [--runtime ours|libcrypto]";

fn main() -> ExitCode {
    let (jobs, runtime) = match options(env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(jobs, runtime) {
        Ok(report) => {
            if let Err(e) = writeln!(io::stdout(), "{report}") {
                eprintln!("the figures could not be written: {e}");
                return ExitCode::FAILURE;
            }
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut words: impl Iterator<Item = String>) -> Result<(usize, Runtime), String> {
    let (mut jobs, mut runtime) = (1_000_000, Runtime::Ours);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(format!("{word} needs a value"))?;
        match (word.as_str(), value.as_str()) {
            ("--jobs", number) => {
                let number = number.parse().ok().filter(|number| *number > 0);
                jobs = number.ok_or(format!("{value} is not a number of jobs; give 1 or more"))?;
            }
            ("--runtime", "ours") => runtime = Runtime::Ours,
            ("--runtime", "libcrypto") => runtime = Runtime::Libcrypto,
            _ => return Err(format!("{word} {value} is not known")),
        }
    }
    Ok((jobs, runtime))
}
