//! What the provider is told: by its section of OpenSSL's configuration, and by the environment, which wins.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sim_engine::{Completions, DeviceConfig, Results};

/// Every setting, as it is called in the section; in the environment it is `SIMACCEL_` and the same in
/// capitals.
pub(crate) const NAMES: [&str; 14] = [
    "device",
    "device_with",
    "workers",
    "seed",
    "faults",
    "offload",
    "digest_threshold",
    "cipher_threshold",
    "mac_threshold",
    "timeout_ms",
    "fallback",
    "stats",
    "stats_signal",
    "log",
];

/// Before the names in the environment.
pub(crate) const ENVIRONMENT: &str = "SIMACCEL_";

/// The kinds of operations that can be put on the device, as `offload` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Digest,
    Cipher,
    Mac,
    Sign,
    Decrypt,
    Derive,
}

impl Class {
    pub(crate) const ALL: [(Class, &'static str); 6] = [
        (Class::Digest, "digest"),
        (Class::Cipher, "cipher"),
        (Class::Mac, "mac"),
        (Class::Sign, "sign"),
        (Class::Decrypt, "decrypt"),
        (Class::Derive, "derive"),
    ];
}

/// Where the counts go at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stats {
    None,
    Stderr,
    /// Appended to, a line for each process.
    File(PathBuf),
}

/// How much is said on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Off,
    /// What keeps the provider from being loaded.
    Error,
    /// Each operation that failed, too.
    Warn,
    /// That it was loaded, and with what device.
    Info,
    /// Each operation.
    Debug,
}

/// The settings, checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) device: DeviceConfig,
    pub(crate) seed: u64,
    /// What is put on the device; by [`Class`].
    offload: [bool; Class::ALL.len()],
    /// Fewer bytes in one call than this are done in software.
    pub(crate) digest_threshold: usize,
    pub(crate) cipher_threshold: usize,
    pub(crate) mac_threshold: usize,
    pub(crate) timeout: Option<Duration>,
    /// What the device fails or refuses is done in software.
    pub(crate) fallback: bool,
    pub(crate) stats: Stats,
    pub(crate) stats_signal: Option<i32>,
    pub(crate) log: Level,
}

/// A setting that is none.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("simaccel: {name} = {value}: {why}")]
pub(crate) struct BadSetting {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) why: String,
}

/// What is below this many bytes does not go to the device, unless told otherwise: the least packet that
/// Intel's QAT_Engine offloads.
const THRESHOLD: usize = 2048;

impl Settings {
    /// `given` are names of [`NAMES`] and values, the environment's over the section's.
    pub(crate) fn new(given: &BTreeMap<String, String>) -> Result<Settings, BadSetting> {
        let read = Reader(given);
        let timeout_ms: u64 = read.of("timeout_ms", 10_000, number)?;
        Ok(Settings {
            device: device(&read)?,
            seed: read.of("seed", 0, number)?,
            offload: read.of("offload", [true; Class::ALL.len()], classes)?,
            digest_threshold: read.of("digest_threshold", THRESHOLD, number)?,
            cipher_threshold: read.of("cipher_threshold", THRESHOLD, number)?,
            mac_threshold: read.of("mac_threshold", THRESHOLD, number)?,
            timeout: (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms)),
            fallback: read.of("fallback", false, yes_or_no)?,
            stats: read.of("stats", Stats::None, |text| {
                Ok(match text {
                    "none" | "" => Stats::None,
                    "stderr" => Stats::Stderr,
                    file => Stats::File(PathBuf::from(file)),
                })
            })?,
            stats_signal: read.of("stats_signal", None, signal)?,
            log: read.of("log", Level::Error, level)?,
        })
    }

    /// Whether operations of this class go to the device.
    pub(crate) fn offloads(&self, class: Class) -> bool {
        self.offload[class as usize]
    }
}

/// Reads values by name.
struct Reader<'a>(&'a BTreeMap<String, String>);

impl Reader<'_> {
    fn of<T>(
        &self,
        name: &str,
        otherwise: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, BadSetting> {
        match self.0.get(name) {
            None => Ok(otherwise),
            Some(value) => parse(value.trim()).map_err(|why| self.bad(name, why)),
        }
    }

    fn bad(&self, name: &str, why: String) -> BadSetting {
        BadSetting {
            name: name.to_owned(),
            value: self.0.get(name).map(on_one_line).unwrap_or_default(),
            why,
        }
    }
}

/// The device: a preset or a file, and what is said of it beside.
fn device(read: &Reader<'_>) -> Result<DeviceConfig, BadSetting> {
    let mut table = match read.of("device", None, |text| device_table(text).map(Some))? {
        Some(table) => table,
        None => device_table("ideal").map_err(|why| read.bad("device", why))?,
    };
    let mut config = checked(&table).map_err(|why| read.bad("device", why))?;
    // One after the other, so that each error is that of the setting it is in.
    let mut add = |name: &str, with: toml::Table| -> Result<(), BadSetting> {
        merge(&mut table, with);
        config = checked(&table).map_err(|why| read.bad(name, why))?;
        Ok(())
    };
    if let Some(with) = read.of("device_with", None, |text| pairs(text).map(Some))? {
        add("device_with", with)?;
    }
    if let Some(faults) = read.of("faults", None, |text| pairs(text).map(Some))? {
        add("faults", one("faults", toml::Value::Table(faults)))?;
    }
    if let Some(workers) = read.of("workers", None, |text| number::<u32>(text).map(Some))? {
        add(
            "workers",
            one("workers", toml::Value::Integer(workers.into())),
        )?;
    }
    Ok(config)
}

fn one(name: &str, value: toml::Value) -> toml::Table {
    [(name.to_owned(), value)].into_iter().collect()
}

/// The device of a file's settings, if it is one that programs can be served with.
fn checked(table: &toml::Table) -> Result<DeviceConfig, String> {
    let text = toml::to_string(table).map_err(|error| on_one_line(&error))?;
    let config = DeviceConfig::from_toml(&text).map_err(|error| on_one_line(&error))?;
    if config.results == Results::Modelled {
        return Err(
            "results = modelled has no results to give; programs need real ones: take auto"
                .to_owned(),
        );
    }
    if config.completions == Completions::Poll {
        return Err(
            "completions = poll needs a program that polls the device, and OpenSSL's do not: take threads"
                .to_owned(),
        );
    }
    Ok(config)
}

fn on_one_line(error: &impl ToString) -> String {
    let text = error.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The longest device file that is read, in bytes: those of the presets have some 2 KiB.
const DEVICE_FILE_MAX: u64 = 1 << 20;

/// A preset's settings, or a file's.
fn device_table(text: &str) -> Result<toml::Table, String> {
    let preset = sim_engine::presets()
        .iter()
        .find(|preset| preset.name == text);
    let file = match preset {
        Some(preset) => preset.toml.to_owned(),
        None => {
            let path = Path::new(text);
            let names = || {
                let names: Vec<_> = sim_engine::presets().iter().map(|p| p.name).collect();
                names.join(", ")
            };
            let metadata = std::fs::metadata(path).map_err(|error| {
                format!("neither a preset ({}) nor a device file: {error}", names())
            })?;
            if !metadata.is_file() || metadata.len() > DEVICE_FILE_MAX {
                return Err("not a device file: give a regular file of at most 1 MiB".to_owned());
            }
            std::fs::read_to_string(path)
                .map_err(|error| format!("the device file cannot be read: {error}"))?
        }
    };
    // For its errors, which name the line.
    DeviceConfig::from_toml(&file).map_err(|error| on_one_line(&error))?;
    file.parse()
        .map_err(|error: toml::de::Error| error.message().to_owned())
}

/// Settings as a device file has them, on one line: `error = 0.05, lost = 0.01`.
fn pairs(text: &str) -> Result<toml::Table, String> {
    const HOW: &str = "write `error = 0.05, lost = 0.01`";
    let wrapped: toml::Table = format!("pairs = {{ {} }}", quoted(text))
        .parse()
        .map_err(|error: toml::de::Error| format!("{}; {HOW}", on_one_line(&error.message())))?;
    let mut tables = wrapped.into_iter();
    match (tables.next(), tables.next()) {
        (Some((_, toml::Value::Table(pairs))), None) => Ok(pairs),
        _ => Err(HOW.to_owned()),
    }
}

/// With quotes around each word that is a value: OpenSSL takes them away when it reads its configuration.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 16);
    let mut rest = text;
    // After an equals sign, or within a list.
    let mut value = false;
    while let Some(next) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let len = match next {
            // To the closing one, or to the end.
            '"' | '\'' => rest[1..].find(next).map_or(rest.len(), |at| at + 2),
            _ if is_word(next) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            _ => next.len_utf8(),
        };
        let (word, after) = rest.split_at(len);
        if value && next.is_ascii_alphabetic() && !matches!(word, "true" | "false" | "inf" | "nan")
        {
            quoted.extend(["\"", word, "\""]);
        } else {
            quoted.push_str(word);
        }
        value = next == '=' || (value && next.is_whitespace());
        rest = after;
    }
    quoted
}

fn merge(into: &mut toml::Table, from: toml::Table) {
    for (name, value) in from {
        match (into.get_mut(&name), value) {
            (Some(toml::Value::Table(into)), toml::Value::Table(from)) => merge(into, from),
            (_, value) => {
                into.insert(name, value);
            }
        }
    }
}

fn number<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|error| format!("{error}; give a whole number, not below 0"))
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" | "on" | "true" | "1" => Ok(true),
        "no" | "off" | "false" | "0" => Ok(false),
        _ => Err("give yes or no".to_owned()),
    }
}

fn classes(text: &str) -> Result<[bool; Class::ALL.len()], String> {
    let mut classes = [text == "all"; Class::ALL.len()];
    if matches!(text, "all" | "none") {
        return Ok(classes);
    }
    for word in text.split(',').map(str::trim) {
        let Some((class, _)) = Class::ALL.into_iter().find(|(_, name)| *name == word) else {
            let names = Class::ALL.map(|(_, name)| name).join(", ");
            return Err(format!(
                "there is no {word:?}; give all, none or some of {names}"
            ));
        };
        classes[class as usize] = true;
    }
    Ok(classes)
}

fn level(text: &str) -> Result<Level, String> {
    Ok(match text {
        "off" => Level::Off,
        "error" => Level::Error,
        "warn" => Level::Warn,
        "info" => Level::Info,
        "debug" => Level::Debug,
        _ => return Err("give off, error, warn, info or debug".to_owned()),
    })
}

fn signal(text: &str) -> Result<Option<i32>, String> {
    match text.strip_prefix("SIG").unwrap_or(text) {
        "none" | "" => Ok(None),
        "USR1" => Ok(Some(libc::SIGUSR1)),
        "USR2" => Ok(Some(libc::SIGUSR2)),
        "HUP" => Ok(Some(libc::SIGHUP)),
        "WINCH" => Ok(Some(libc::SIGWINCH)),
        _ => Err("give none, USR1, USR2, HUP or WINCH".to_owned()),
    }
}

/// The settings of the environment.
pub(crate) fn from_environment(
    given: &mut BTreeMap<String, String>,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<(), BadSetting> {
    for (name, value) in environment {
        let name = name.to_string_lossy();
        let Some(name) = name.strip_prefix(ENVIRONMENT) else {
            continue;
        };
        let name = name.to_ascii_lowercase();
        let value = value.into_string().map_err(|value| BadSetting {
            name: name.clone(),
            value: value.to_string_lossy().into_owned(),
            why: "it is not UTF-8".to_owned(),
        })?;
        if !NAMES.contains(&name.as_str()) {
            let why = format!("there is no such setting; there are {}", NAMES.join(", "));
            return Err(BadSetting { name, value, why });
        }
        given.insert(name, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
