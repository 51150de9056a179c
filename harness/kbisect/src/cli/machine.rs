//! How machines run and how many.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use kbisect_core::boot::{BootWay, MachineChoices};
use kbisect_core::workers::{Workers, WorkersError};
use kbisect_kernels::Settings;

/// How many trials are made at once.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct WorkersArgs {
    /// Trials to run side by side, or `auto`: as many as processors and memory allow [default: 1]
    #[arg(long, value_name = "N|auto", value_parser = workers, help_heading = "Machines")]
    pub workers: Option<Workers>,
}

impl WorkersArgs {
    /// What the user wants.
    #[must_use]
    pub fn wish(&self) -> Workers {
        self.workers.unwrap_or(Workers::Count(NonZeroU32::MIN))
    }
}

pub(super) fn workers(word: &str) -> Result<Workers, String> {
    word.parse().map_err(|error: WorkersError| error.to_string())
}

/// Where trials run.
#[derive(Args, Clone, Debug, Default)]
pub struct MachineArgs {
    /// How QEMU runs the guests; `auto` tries KVM with a real start
    #[arg(long, value_enum, value_name = "HOW", default_value_t, help_heading = "Machines")]
    pub accel: AccelChoice,
    /// QEMU, in place of qemu-system-x86_64 in PATH
    #[arg(long, value_name = "PATH", help_heading = "Machines")]
    pub qemu: Option<PathBuf>,
    /// Folder with the definition of the root image, in place of the built-in one
    #[arg(long, value_name = "DIR", help_heading = "Machines")]
    pub image: Option<PathBuf>,
    /// Make all deadlines this many times as long: for hosts that are slower than they were measured
    #[arg(long, value_name = "FACTOR", value_parser = slow, help_heading = "Machines")]
    pub slow: Option<f64>,
    /// How kernels are booted: unpacked, by their PVH entry, which is quicker and has no random base
    /// address; or as they are shipped [default: pvh, where kernel and QEMU know it]
    #[arg(long, value_enum, value_name = "HOW", help_heading = "Machines")]
    pub boot: Option<BootChoice>,
    /// Let kernels test their cryptography while they boot [default: where the scenario needs it]
    #[arg(long, help_heading = "Machines")]
    pub crypto_tests: bool,
    /// Boot kernels in every trial: never go on from the saved state of an earlier boot
    #[arg(long, help_heading = "Machines")]
    pub cold: bool,
}

/// How kernels are to be booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BootChoice {
    /// Unpacked, by their PVH entry
    Pvh,
    /// As they are shipped
    Bzimage,
}

impl From<BootChoice> for BootWay {
    fn from(choice: BootChoice) -> Self {
        match choice {
            BootChoice::Pvh => Self::Pvh,
            BootChoice::Bzimage => Self::BzImage,
        }
    }
}

impl MachineArgs {
    /// What was chosen of how machines run; options win over the settings.
    #[must_use]
    pub fn choices(&self, settings: &Settings) -> MachineChoices {
        let default = MachineChoices::default();
        MachineChoices {
            slow: self.slow.or(settings.slow).unwrap_or(default.slow),
            boot: self.boot.map(BootWay::from).or(settings.boot).unwrap_or(default.boot),
            crypto_tests: self.crypto_tests,
        }
    }
}

impl From<MachineChoices> for MachineArgs {
    fn from(choices: MachineChoices) -> Self {
        let boot = match choices.boot {
            BootWay::Pvh => BootChoice::Pvh,
            BootWay::BzImage => BootChoice::Bzimage,
        };
        Self {
            slow: Some(choices.slow),
            boot: Some(boot),
            crypto_tests: choices.crypto_tests,
            ..Self::default()
        }
    }
}

fn slow(word: &str) -> Result<f64, String> {
    match word.parse::<f64>() {
        Ok(factor) if (1.0..=1000.0).contains(&factor) => Ok(factor),
        _ => Err("give a number from 1 to 1000".to_owned()),
    }
}

/// How QEMU is to run guests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum AccelChoice {
    /// KVM when it really works, else TCG
    #[default]
    Auto,
    /// Hardware virtualisation
    Kvm,
    /// Emulation
    Tcg,
}
