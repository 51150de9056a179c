//! What is wrong with a scenario, as opposed to a kernel.
//!
//! Some failures come before the kernel is asked anything: a program that the root image lacks, a
//! typing error in rules. Others look alike on every kernel, the reference kernel included. Neither
//! says anything of a kernel under test.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioFault {
    /// What it is.
    pub cause: FaultCause,
    /// Part of the scenario that failed.
    #[serde(rename = "where")]
    pub place: FaultPlace,
    /// File of the scenario, relative to its folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line of that file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The program, key or command at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What was said of it.
    pub said: String,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultCause {
    /// A program is not in the root image, or is none.
    MissingProgram,
    /// A program does not understand what the scenario has it read.
    Syntax,
    /// A name is taken already.
    NameTaken,
    /// The kernel has no such sysctl.
    UnknownSysctl,
    /// The kernel refused something.
    Refused,
    /// A service did not start, or ended at once.
    ServiceEnded,
    /// What a check asks about is not there.
    NotThere,
}

/// A part of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FaultPlace {
    /// Which kind of part.
    pub kind: PlaceKind,
    /// Its name.
    pub name: String,
    /// The node that it is on.
    pub node: String,
}

/// Which kind of part of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlaceKind {
    /// A node: its interfaces, devices, sysctls, addresses, routes.
    Node,
    /// A step of the set-up or the replay.
    Step,
    /// A service.
    Service,
    /// A check.
    Check,
}

impl FaultCause {
    /// Whether it comes from before a kernel is asked. What a kernel refuses is the scenario's fault
    /// only when the reference kernel refuses it as well.
    pub fn is_certain(self) -> bool {
        match self {
            Self::MissingProgram | Self::Syntax => true,
            Self::NameTaken
            | Self::UnknownSysctl
            | Self::Refused
            | Self::ServiceEnded
            | Self::NotThere => false,
        }
    }
}

impl fmt::Display for FaultPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, node } = self;
        match kind {
            PlaceKind::Node => write!(f, "node {node}"),
            PlaceKind::Step => write!(f, "step `{name}` on {node}"),
            PlaceKind::Service => write!(f, "service `{name}` on {node}"),
            PlaceKind::Check => write!(f, "check `{name}` on {node}"),
        }
    }
}

impl fmt::Display for ScenarioFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{file}:{line}: ")?,
            (Some(file), None) => write!(f, "{file}: ")?,
            (None, _) => {}
        }
        write!(f, "{}: ", self.place)?;
        let Self { said, .. } = self;
        match (self.cause, self.subject.as_deref()) {
            (FaultCause::MissingProgram, Some(program)) => {
                write!(f, "the root image has no program `{program}`")
            }
            (FaultCause::MissingProgram, None) => {
                write!(f, "a program is missing in the root image: {said}")
            }
            (FaultCause::Syntax, Some(program)) => {
                write!(f, "{program} does not understand it: {said}")
            }
            (FaultCause::Syntax, None) => write!(f, "it is not understood: {said}"),
            (FaultCause::UnknownSysctl, Some(key)) => {
                write!(f, "the reference kernel does not know the sysctl {key} either")
            }
            (FaultCause::NameTaken, Some(command)) => {
                write!(f, "`{command}` names what is there already: {said}")
            }
            (FaultCause::Refused, Some(command)) => {
                write!(f, "`{command}` is refused by the reference kernel, too: {said}")
            }
            (FaultCause::UnknownSysctl | FaultCause::NameTaken | FaultCause::Refused, None) => {
                write!(f, "it is refused by the reference kernel, too: {said}")
            }
            (FaultCause::NotThere, _) => write!(f, "{said}, nor with the reference kernel"),
            (FaultCause::ServiceEnded, _) => {
                write!(f, "it fails on the reference kernel, too: {said}")
            }
        }
    }
}

impl ScenarioFault {
    /// What to do about it.
    pub fn hint(&self) -> String {
        let place = match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("line {line} of {file}"),
            (Some(file), None) => file.clone(),
            (None, _) => self.place.to_string(),
        };
        match self.cause {
            FaultCause::MissingProgram => format!(
                "correct the name in {place}, or add the package that has the program: \
                 `image = {{ packages = [{}] }}` in scenario.toml, or --image DIR",
                self.subject.as_deref().map_or("...", package_of)
            ),
            FaultCause::Syntax => format!("correct {place}"),
            FaultCause::NameTaken => format!("give it another name in {place}"),
            FaultCause::UnknownSysctl => format!(
                "correct the key in {place}, or name the module that has it under \
                 `requires.modules`"
            ),
            FaultCause::Refused => {
                format!("correct {place}; `kbisect run KERNEL --shell` lets you try it by hand")
            }
            FaultCause::NotThere => {
                format!("correct the name in {place}, or add a counter of that name to the rules")
            }
            FaultCause::ServiceEnded => {
                format!("see what the service printed, in the trial's folder, and correct {place}")
            }
        }
    }

    /// Whether another trial failed in the same way, at the same place.
    pub(crate) fn is_also_in(&self, other: &Self) -> bool {
        (self.cause, &self.place, &self.subject) == (other.cause, &other.place, &other.subject)
    }
}

/// The package of a program that kbisect itself runs in guests, as scenario files write it.
fn package_of(program: &str) -> &'static str {
    match program {
        "curl" => "\"curl\"",
        "nft" => "\"nftables\"",
        "conntrack" => "\"conntrack\"",
        _ => "...",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever writes `https` runs no curl; what is missing must come with the way to add it.
    #[test]
    fn a_missing_program_of_ours_is_told_with_its_package() {
        let fault = |program: &str| ScenarioFault {
            cause: FaultCause::MissingProgram,
            place: FaultPlace { kind: PlaceKind::Check, name: "x".into(), node: "a".into() },
            file: Some("scenario.toml".to_owned()),
            line: Some(7),
            subject: Some(program.to_owned()),
            said: "No such file or directory".to_owned(),
        };
        let hint = fault("curl").hint();
        assert!(hint.contains("`image = { packages = [\"curl\"] }`"), "{hint}");
        let hint = fault("haproxy").hint();
        assert!(hint.contains("`image = { packages = [...] }`"), "{hint}");
    }
}
