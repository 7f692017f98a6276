//! The devices that ship.

/// A device file that ships with the crate.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub summary: &'static str,
    /// The device file, with where each value comes from.
    pub toml: &'static str,
}

/// All of them, the default first.
#[must_use]
pub fn presets() -> &'static [Preset] {
    &[
        Preset {
            name: "ideal",
            summary: "as fast as the host computes; one worker, nothing ever fails",
            toml: include_str!("presets/ideal.toml"),
        },
        Preset {
            name: "dasync",
            summary: "completes before the job pauses, as OpenSSL's test engine did",
            toml: include_str!("presets/dasync.toml"),
        },
        Preset {
            name: "qat-c62x-1",
            summary: "one endpoint of an Intel C62x: ten engines, rings of 512",
            toml: include_str!("presets/qat-c62x-1.toml"),
        },
        Preset {
            name: "flaky",
            summary: "a small device on which everything that can fail does",
            toml: include_str!("presets/flaky.toml"),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DeviceConfig;

    #[test]
    fn every_preset_parses_and_is_what_it_says() {
        for preset in presets() {
            let config = DeviceConfig::from_toml(preset.toml)
                .unwrap_or_else(|e| panic!("{}: {e}", preset.name));
            assert_eq!(config.name, preset.name);
            assert_eq!(config.summary, preset.summary);
            assert_eq!(DeviceConfig::preset(preset.name), Some(config));
        }
        assert_eq!(DeviceConfig::preset("no such device"), None);
    }
}
