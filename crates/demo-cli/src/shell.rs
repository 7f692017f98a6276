//! What a package installs beside the program: completions and manual pages.

use std::process::ExitCode;

use clap_complete::Shell;

use crate::cli;
use crate::error::{Error, InputError, RunError};
use crate::out::Out;
use crate::suggest::did_you_mean;

/// Prints the completions for `shell`.
pub(crate) fn completions(shell: Shell, out: &mut Out) -> Result<ExitCode, Error> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "demo-cli", &mut text);
    out.write(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the manual page of `name`, or of the program.
pub(crate) fn man(name: Option<&str>, out: &mut Out) -> Result<ExitCode, Error> {
    let mut program = cli::command();
    program.build();
    let page = match name {
        None => program,
        Some(name) => match program.find_subcommand(name) {
            Some(command) => command.clone().bin_name(format!("demo-cli {name}")),
            None => {
                let commands: Vec<_> = program.get_subcommands().map(|c| c.get_name()).collect();
                return Err(InputError::NoSuchCommand {
                    name: name.to_owned(),
                    meant: did_you_mean(name, commands.iter().copied()),
                    commands: commands.join(", "),
                }
                .into());
            }
        },
    };
    let mut text = Vec::new();
    let rendered = clap_mangen::Man::new(page).render(&mut text);
    rendered.map_err(RunError::Stdout)?;
    out.write(&text)?;
    Ok(ExitCode::SUCCESS)
}
