//! `devices` and `engines`: what there is to run on.

use std::process::ExitCode;

use sim_engine::{DeviceConfig, presets};

use crate::cli::{DevicesArgs, EngineName};
use crate::engine::{device_file, preset_names};
use crate::error::{Error, InputError};
use crate::out::Out;
use crate::suggest::did_you_mean;

/// Lists the devices that ship, shows one, or checks a file.
pub(crate) fn devices(args: &DevicesArgs, out: &mut Out) -> Result<ExitCode, Error> {
    if let Some(name) = &args.show {
        let preset = presets().iter().find(|p| p.name == name);
        let preset = preset.ok_or_else(|| InputError::NoSuchPreset {
            name: name.clone(),
            presets: preset_names(),
            meant: did_you_mean(name, presets().iter().map(|p| p.name)),
        })?;
        out.write(preset.toml.as_bytes())?;
    } else if let Some(path) = &args.check {
        let config = device_file(path).map_err(|error| match path.to_str() {
            Some(name) if DeviceConfig::preset(name).is_some() => InputError::IsAPreset {
                name: name.to_owned(),
            },
            _ => error,
        })?;
        out.line(format_args!("{}: a good device file", config.name))?;
    } else {
        let width = presets().iter().map(|p| p.name.len()).max().unwrap_or(0);
        for preset in presets() {
            out.line(format_args!("{:width$}  {}", preset.name, preset.summary))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists the engines.
pub(crate) fn engines(out: &mut Out) -> Result<ExitCode, Error> {
    for engine in <EngineName as clap::ValueEnum>::value_variants() {
        let (name, summary) = match engine {
            EngineName::Sim => (
                "sim",
                "a simulated accelerator on threads of its own; see 'demo-cli devices'",
            ),
            EngineName::Software => (
                "software",
                "plain software on the jobs' own thread: no job ever pauses",
            ),
        };
        out.line(format_args!("{name:8}  {summary}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
