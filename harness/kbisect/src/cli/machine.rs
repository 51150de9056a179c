//! How machines run and how many.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueEnum};
use kbisect_core::options::{MachineChoices, MachineOption, OPTIONS};
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
    pub fn wish(&self) -> Workers {
        self.workers.unwrap_or(Workers::Count(NonZeroU32::MIN))
    }
}

/// Workers that are other processes.
#[derive(Args, Clone, Debug, Default)]
pub struct PoolArgs {
    /// Workers that are other processes: a command ('ssh HOST kbisect worker', no shell is run), the name of
    /// a pool of config.toml, or slurm[:PARTITION]; 8x before it for eight of them; may be repeated. This
    /// process makes no trial itself then, unless --workers is given
    #[arg(long = "pool", value_name = "[Nx]COMMAND|NAME|slurm", help_heading = "Machines")]
    pub pools: Vec<String>,
    /// Let workers have another accelerator or QEMU than this machine
    #[arg(long, requires = "pools", help_heading = "Machines")]
    pub mixed: bool,
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
    /// Boot kernels in every trial: never go on from the saved state of an earlier boot
    #[arg(long, help_heading = "Machines")]
    pub cold: bool,
    /// What else was chosen.
    #[command(flatten)]
    pub chosen: Chosen,
}

/// Options of [`OPTIONS`] as they were given.
#[derive(Clone, Debug)]
pub enum Chosen {
    /// Typed: what is not among them is as the settings say.
    Typed(Vec<(&'static MachineOption, String)>),
    /// By a plan, for all of them.
    Planned(MachineChoices),
}

impl Default for Chosen {
    fn default() -> Self {
        Self::Typed(Vec::new())
    }
}

impl Args for Chosen {
    fn augment_args(command: Command) -> Command {
        OPTIONS.iter().fold(command, |command, option| {
            let arg = Arg::new(option.name).long(option.name).help(option.help);
            let arg = arg.help_heading("Machines");
            command.arg(match (option.value, option.values) {
                (None, _) => arg.action(ArgAction::SetTrue),
                (Some(name), []) => {
                    let check = |word: &str| {
                        let word = word.to_owned();
                        (option.set)(&mut MachineChoices::default(), &word).map(|()| word)
                    };
                    arg.value_name(name).value_parser(check)
                }
                (Some(name), values) => {
                    let value = |(value, help): &(&'static str, &'static str)| {
                        PossibleValue::new(*value).help(*help)
                    };
                    let values = PossibleValuesParser::new(values.iter().map(value));
                    arg.value_name(name).value_parser(values)
                }
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Chosen {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |option: &'static MachineOption| {
            let value = match option.value {
                Some(_) => matches.get_one::<String>(option.name).cloned(),
                None => matches.get_flag(option.name).then(|| "true".to_owned()),
            };
            Some((option, value?))
        };
        Ok(Self::Typed(OPTIONS.iter().filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl MachineArgs {
    /// What was chosen of how machines run; options win over the settings.
    pub fn choices(&self, settings: &Settings) -> MachineChoices {
        match &self.chosen {
            Chosen::Planned(choices) => *choices,
            Chosen::Typed(options) => {
                let mut choices = settings.machine;
                for (option, value) in options {
                    // What is no value was refused when it was typed.
                    let _ = (option.set)(&mut choices, value);
                }
                choices
            }
        }
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
