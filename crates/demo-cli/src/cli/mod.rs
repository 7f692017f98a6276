//! The arguments, as they are typed.

pub(crate) mod examples;
mod load;
mod tools;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand, ValueEnum};

use crate::color;
use crate::compare::CompareArgs;
use crate::error::{Error, InputError};

pub(crate) use self::load::{
    BenchArgs, ClockName, CompletionName, EngineArgs, EngineName, Format, LoadArgs, NotifyArg,
    NotifyName, PlantedPanic, ResultsName, RuntimeName, SweepArgs,
};
pub(crate) use self::tools::{
    DevicesArgs, DigestArgs, DigestName, EncryptArgs, ExplainArgs, ExplainFormat, ReportArgs,
    SimulateArgs, SimulateFormat,
};

/// Pausable crypto jobs on a simulated accelerator.
#[derive(Debug, Parser)]
#[command(name = "demo-cli", version, max_term_width = 100, after_help = examples::PROGRAM)]
struct Cli {
    /// Whether there are colours; unless given, the terminal, NO_COLOR and CLICOLOR decide.
    #[arg(long, value_enum, global = true, default_value_t = ColorName::Auto, value_name = "WHEN")]
    color: ColorName,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Keep many jobs in flight on an engine and measure each way of being woken.
    ///
    /// Keeps --jobs jobs in flight, as 'openssl speed -async_jobs' does: each job runs one
    /// operation, and a job that has finished is replaced until --duration is over or --total
    /// operations are done. Every response is compared with what plain software computes; the
    /// exit status is 1 if one is wrong, or if an operation, a job or a file descriptor is
    /// unaccounted for at the end.
    #[command(after_help = examples::BENCH)]
    Bench(BenchArgs),
    /// Run a bench row for each combination of jobs, sizes and ways, in one report.
    ///
    /// Takes lists where 'bench' takes one value, and otherwise the same options.
    #[command(after_help = examples::SWEEP)]
    Sweep(SweepArgs),
    /// Tell the life of one operation, or of one job, from a trace of 'bench --trace'.
    ///
    /// From when the operation was due until its job went on: each step in words, what it waited
    /// for, how it fared beside the others of its row, and a small timeline.
    #[command(after_help = examples::EXPLAIN)]
    Explain(ExplainArgs),
    /// Make the page of --report from results that were saved with --format json.
    #[command(after_help = examples::REPORT)]
    Report(ReportArgs),
    /// Watch a bench row while it runs: rings, engines, throughput, latency, faults.
    ///
    /// As 'bench --live', with one way of being woken and for a minute unless told otherwise. Press q
    /// to end it sooner; the table and the verdict follow.
    #[command(
        after_help = examples::WATCH,
        mut_arg("duration", |arg| arg.default_value("1m")),
        mut_arg("notify", |arg| arg.default_value("callback")),
        mut_arg("live", |arg| arg.hide(true))
    )]
    Watch(BenchArgs),
    /// Search for schedules that break something: random applications on a faulty device.
    ///
    /// Each seed is a run in virtual time: jobs are started, cancelled, dropped and resumed unasked,
    /// operations run in jobs and outside, rings fill up, the device fails, stalls, dies and is shut
    /// down, and everything that is to hold is checked. The exit status is 1 if a seed fails; the
    /// lowest one is printed, with the trace of the smallest run of it that fails.
    #[command(after_help = examples::SIMULATE)]
    Simulate(SimulateArgs),
    /// Compare results of 'bench', 'sweep' or 'simulate': how much slower, and what has changed.
    ///
    /// Rows are matched by what they ran. What is one value throughout one file and another throughout
    /// the other (the device, say) does not keep rows apart: it is listed as changed. Ratios are the
    /// other's figure ÷ the base's: above 1 is slower. Where 'bench' or 'sweep' ran with --repeat they are
    /// of the medians, with the least and the most over the repeats; a ratio whose spread includes 1 is
    /// no difference seen. Without repeats the spread is that of the time per operation within the run.
    #[command(after_help = examples::COMPARE)]
    Compare(CompareArgs),
    /// Print SHA-256 or SHA-512 digests, as sha256sum and sha512sum do.
    ///
    /// The files go through the engine in many jobs at once, each file as one request. The output
    /// is that of sha256sum, byte for byte, in the order of the arguments. A file of more than 1 GiB
    /// is refused. Digests are not checked against software: a device file with faults gives wrong
    /// ones.
    #[command(after_help = examples::DIGEST)]
    Digest(DigestArgs),
    /// Encrypt or decrypt a file, as openssl enc does.
    ///
    /// Counter mode is cut into pieces that run in many jobs at once; block chaining cannot be.
    /// The result is that of 'openssl enc -K KEY -iv IV', byte for byte, and gets its name only
    /// when it is complete. It is not authenticated, as that of openssl enc is not, and it is not
    /// checked against software: a device file with faults gives a wrong one.
    #[command(after_help = examples::ENCRYPT)]
    Encrypt(EncryptArgs),
    /// Run the example of OpenSSL's manual page ASYNC_start_job, step by step.
    Example,
    /// List the simulated devices that ship, show one, or check a device file.
    #[command(after_help = examples::DEVICES)]
    Devices(DevicesArgs),
    /// List the engines.
    Engines,
    /// Print completions for a shell.
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page of the program, or of one of its commands.
    #[command(after_help = examples::MAN)]
    Man {
        /// The command; none for the program.
        command: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorName {
    /// Where they can be seen and are not unwanted.
    Auto,
    /// Also into files and pipes.
    Always,
    /// Nowhere.
    Never,
}

/// What was asked for.
#[derive(Debug)]
pub(crate) enum Asked {
    /// To run a command.
    Command(Box<Command>),
    /// To see a text: the help, the version.
    Text(String),
}

/// clap's description of the whole command line.
pub(crate) fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Parses this process's arguments.
pub(crate) fn parse() -> Result<Asked, Error> {
    color::choose(asked_color(std::env::args_os()));
    match Cli::try_parse() {
        Ok(cli) => Ok(Asked::Command(Box::new(cli.command))),
        Err(e) if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            let text = e.render();
            let text = match color::Paint::stdout().is_on() {
                true => text.ansi().to_string(),
                false => text.to_string(),
            };
            Ok(Asked::Text(text))
        }
        Err(e) => Err(InputError::Usage(one_sentence(
            &e,
            &named(std::env::args_os().map(|a| a.to_string_lossy().into_owned())),
        ))
        .into()),
    }
}

/// What `--color` says, whatever is wrong with the rest: a complaint has colours too.
fn asked_color(args: impl Iterator<Item = std::ffi::OsString>) -> ColorName {
    let mut asked = ColorName::Auto;
    let mut args = args.peekable();
    while let Some(arg) = args.next() {
        let value = match arg.to_str() {
            Some("--") => break,
            Some("--color") => args.peek().and_then(|next| next.to_str()),
            Some(other) => other.strip_prefix("--color="),
            None => None,
        };
        let name = value.and_then(|value| ColorName::from_str(value, false).ok());
        asked = name.unwrap_or(asked);
    }
    asked
}

/// The program with the command that was meant, if one was: whose help is of use.
fn named(args: impl Iterator<Item = String>) -> String {
    let program = command();
    let mut words = args.skip(1).filter(|word| !word.starts_with('-'));
    match words.find_map(|word| {
        program
            .find_subcommand(word)
            .map(|c| c.get_name().to_owned())
    }) {
        Some(command) => format!("demo-cli {command}"),
        None => "demo-cli".to_owned(),
    }
}

/// clap writes a small page; here is the sentence at its top.
fn one_sentence(error: &clap::Error, name: &str) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "no command was given; see 'demo-cli --help'".to_owned();
    }
    let page = error.render().to_string();
    let lines = page
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty());
    let sentence = lines.collect::<Vec<_>>().join(" ").replace(" tip: ", "; ");
    let sentence = sentence.strip_prefix("error: ").unwrap_or(&sentence);
    format!("{sentence}; see '{name} --help'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_holds_together() {
        command().debug_assert();
    }

    #[test]
    fn every_example_of_the_help_can_be_typed() {
        let mut program = command();
        program.build();
        let pages = std::iter::once(&program).chain(program.get_subcommands());
        let mut seen = 0;
        for page in pages.filter_map(|command| command.get_after_help()) {
            let page = page.to_string();
            for line in page.lines().filter(|line| line.starts_with("  demo-cli ")) {
                let typed = line.split(['|', '>', '#']).next().unwrap_or(line);
                if let Err(error) = Cli::try_parse_from(typed.split_whitespace()) {
                    panic!("{line}: {error}");
                }
                seen += 1;
            }
        }
        assert!(seen > 20, "{seen} examples");
    }

    #[test]
    fn colours_are_asked_for_before_anything_else_is_understood() {
        let asked = |args: &[&str]| asked_color(args.iter().map(|&arg| arg.into()));
        assert_eq!(asked(&["demo-cli", "bnech"]), ColorName::Auto);
        assert_eq!(
            asked(&["demo-cli", "bnech", "--color=never"]),
            ColorName::Never
        );
        assert_eq!(
            asked(&["demo-cli", "--color", "always", "x"]),
            ColorName::Always
        );
        assert_eq!(
            asked(&["demo-cli", "--color", "--", "never"]),
            ColorName::Auto
        );
        assert_eq!(asked(&["demo-cli", "--", "--color=never"]), ColorName::Auto);
    }

    #[test]
    fn complaints_are_one_line() {
        let lines: [&[&str]; 6] = [
            &["demo-cli"],
            &["demo-cli", "bnech"],
            &["demo-cli", "bench", "--job", "5"],
            &["demo-cli", "bench", "--size", "0"],
            &["demo-cli", "bench", "--notify", "smoke"],
            &["demo-cli", "encrypt"],
        ];
        for line in lines {
            let error = Cli::try_parse_from(line).expect_err("bad input");
            let name = named(line.iter().map(|&word| word.to_owned()));
            let sentence = one_sentence(&error, &name);
            assert!(
                line.get(1) != Some(&"bench") || sentence.ends_with("see 'demo-cli bench --help'")
            );
            assert!(!sentence.contains('\n'), "{sentence}");
            assert!(sentence.len() > 20, "{sentence}");
        }
    }
}
