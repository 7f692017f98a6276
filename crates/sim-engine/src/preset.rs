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
            summary: "one endpoint of an Intel C62x: ten engines, asymmetric rings of 64",
            toml: include_str!("presets/qat-c62x-1.toml"),
        },
        Preset {
            name: "qat-c62x-3",
            summary: "a full Intel C62x: three endpoints of ten engines each, 100,000 RSA-2048 a second",
            toml: include_str!("presets/qat-c62x-3.toml"),
        },
        Preset {
            name: "qat-dh895x",
            summary: "an Intel DH895xCC: twelve engines, 40,000 RSA-2048 a second",
            toml: include_str!("presets/qat-dh895x.toml"),
        },
        Preset {
            name: "sw-mb8",
            summary: "multi-buffer software: batches of eight, a flush timer of 10 ms",
            toml: include_str!("presets/sw-mb8.toml"),
        },
        Preset {
            name: "hsm-cloud",
            summary: "two cloud HSMs: a millisecond away, 2,000 RSA-2048 a second, errors beyond",
            toml: include_str!("presets/hsm-cloud.toml"),
        },
        Preset {
            name: "hsm-usb",
            summary: "a key in a USB port: one operation at a time, 139 ms for RSA-2048",
            toml: include_str!("presets/hsm-usb.toml"),
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
