//! The command line: benchmarks of pausable jobs on a simulated accelerator, and small tools that
//! send real work through it.
//!
//! A straight pipeline: [`cli`] takes the arguments, each command checks them into typed options,
//! runs, and reports. Exit status: 0 all went well, 1 something did not, 2 bad input.

#![forbid(unsafe_code)]

mod bench;
mod cli;
mod color;
mod compare;
mod devices;
mod digest;
mod encrypt;
mod engine;
mod error;
mod example;
mod explain;
mod human;
mod json;
mod live;
mod out;
mod page;
mod progress;
mod report;
mod shell;
mod simulate;
mod suggest;
mod system;
mod target;
mod units;

use std::process::ExitCode;

use crate::cli::{Asked, Command};
use crate::error::Error;
use crate::out::Out;

fn main() -> ExitCode {
    // Only the words of a crash depend on it.
    let _ = async_core::report_stack_overflow();
    let result = cli::parse().and_then(run);
    match result {
        Ok(code) => code,
        Err(error) => {
            // Nobody to tell if this cannot be written either.
            let _ = out::complain(&error);
            error.exit_code()
        }
    }
}

fn run(asked: Asked) -> Result<ExitCode, Error> {
    let mut out = Out::stdout();
    let command = match asked {
        Asked::Command(command) => *command,
        Asked::Text(text) => {
            out.write(text.as_bytes())?;
            out.finish()?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    let code = match command {
        Command::Bench(args) => bench::bench(args, &mut out)?,
        Command::Watch(args) => bench::watch(args, &mut out)?,
        Command::Sweep(args) => bench::sweep(args, &mut out)?,
        Command::Explain(args) => explain::run(&args, &mut out)?,
        Command::Report(args) => page::from_file(&args)?,
        Command::Simulate(args) => simulate::run(&args, &mut out)?,
        Command::Compare(args) => compare::run(&args, &mut out)?,
        Command::Digest(args) => digest::run(args, &mut out)?,
        Command::Encrypt(args) => encrypt::run(args)?,
        Command::Example => example::run(&mut out)?,
        Command::Devices(args) => devices::devices(&args, &mut out)?,
        Command::Engines => devices::engines(&mut out)?,
        Command::Completions { shell } => shell::completions(shell, &mut out)?,
        Command::Man { command } => shell::man(command.as_deref(), &mut out)?,
    };
    out.finish()?;
    Ok(code)
}
