//! Options of how machines run. Each is declared here, once: the command line, config.toml, plans, and the
//! commands that are printed all follow from [`OPTIONS`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::boot::BootWay;

/// What the user chose of how machines run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MachineChoices {
    /// Factor on every deadline.
    pub slow: f64,
    /// How kernels are booted where nothing speaks against it.
    pub boot: BootWay,
    /// Kernels test their cryptography while they boot.
    pub crypto_tests: bool,
}

impl Default for MachineChoices {
    fn default() -> Self {
        Self { slow: 1.0, boot: BootWay::Pvh, crypto_tests: false }
    }
}

/// An option of how machines run.
#[derive(Debug)]
pub struct MachineOption {
    /// Its name, without dashes in front; also the key in config.toml.
    pub name: &'static str,
    /// What stands for its value in a help text; a switch has none.
    pub value: Option<&'static str>,
    /// The values that there are, with a help text each, where they are a list.
    pub values: &'static [(&'static str, &'static str)],
    /// The help text.
    pub help: &'static str,
    /// Whether config.toml may have it.
    pub in_config: bool,
    /// Sets it to a value; `true` for a switch. Errors say which values there are.
    pub set: fn(&mut MachineChoices, &str) -> Result<(), String>,
    /// Its value, where that is not the default.
    pub get: fn(&MachineChoices) -> Option<String>,
}

/// All of them, in the order of the help text.
pub static OPTIONS: [MachineOption; 3] = [
    MachineOption {
        name: "slow",
        value: Some("FACTOR"),
        values: &[],
        help: "Make all deadlines this many times as long: for hosts that are slower than they were \
               measured",
        in_config: true,
        set: |choices, value| match value.parse::<f64>() {
            Ok(factor) if (1.0..=1000.0).contains(&factor) => {
                choices.slow = factor;
                Ok(())
            }
            _ => Err("give a number from 1 to 1000".to_owned()),
        },
        get: |choices| (choices.slow > 1.0).then(|| choices.slow.to_string()),
    },
    MachineOption {
        name: "boot",
        value: Some("HOW"),
        values: &[("pvh", "Unpacked, by their PVH entry"), ("bzimage", "As they are shipped")],
        help: "How kernels are booted: unpacked, by their PVH entry, which is quicker and has no random \
               base address; or as they are shipped [default: pvh, where kernel and QEMU know it]",
        in_config: true,
        set: |choices, value| {
            let ways = [BootWay::Pvh, BootWay::BzImage];
            let way = ways.into_iter().find(|way| way.word() == value);
            choices.boot = way.ok_or_else(|| "give pvh or bzimage".to_owned())?;
            Ok(())
        },
        get: |choices| (choices.boot != BootWay::Pvh).then(|| choices.boot.word().to_owned()),
    },
    MachineOption {
        name: "crypto-tests",
        value: None,
        values: &[],
        help: "Let kernels test their cryptography while they boot [default: where the scenario needs it]",
        in_config: false,
        set: |choices, _| {
            choices.crypto_tests = true;
            Ok(())
        },
        get: |choices| choices.crypto_tests.then(|| "true".to_owned()),
    },
];

impl MachineChoices {
    /// The options that say the same on a command line.
    pub fn options(&self) -> Vec<String> {
        let mut words = Vec::new();
        for option in &OPTIONS {
            let Some(value) = (option.get)(self) else { continue };
            words.push(format!("--{}", option.name));
            words.extend(option.value.map(|_| value));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_option_sets_is_what_its_words_say() {
        for (option, value, words) in [
            (&OPTIONS[0], "2.5", &["--slow", "2.5"][..]),
            (&OPTIONS[1], "bzimage", &["--boot", "bzimage"]),
            (&OPTIONS[2], "true", &["--crypto-tests"]),
        ] {
            let mut choices = MachineChoices::default();
            assert_eq!((option.get)(&choices), None, "{}", option.name);
            (option.set)(&mut choices, value).unwrap();
            assert_eq!(choices.options(), words);
        }
        let mut choices = MachineChoices::default();
        for (option, value) in [(&OPTIONS[0], "0.5"), (&OPTIONS[0], "x"), (&OPTIONS[1], "fast")] {
            assert!((option.set)(&mut choices, value).is_err(), "{} {value}", option.name);
        }
        for option in &OPTIONS {
            for (value, _) in option.values {
                (option.set)(&mut choices, value).unwrap();
            }
        }
    }
}
