//! From what failed in a trial to what may be wrong with its scenario.

use super::symptoms::one_line;
use super::words::{self, Found};
use crate::command::CommandEnd;
use crate::fault::{FaultCause, FaultPlace, PlaceKind, ScenarioFault};
use crate::scenario::{Check, FILE_NAME, Node, Refusal, Service, Step};

/// How a command of the scenario failed.
#[derive(Clone, Copy, Debug)]
pub struct Failed<'a> {
    /// How it ended.
    pub end: &'a CommandEnd,
    /// What it printed.
    pub said: &'a str,
    /// Folder of the scenario's files in guests, as programs name it.
    pub assets: &'a str,
}

/// A node that could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unprepared {
    /// The node.
    pub node: String,
    /// What could not be made of it.
    pub part: NodePart,
    /// The command or `KEY = VALUE` at fault; may be empty.
    pub command: String,
    /// What was said.
    pub said: String,
}

/// What a node is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodePart {
    /// Name spaces, a root, files: our own affair.
    Own,
    /// Interfaces on links.
    Interfaces,
    /// Virtual devices.
    Devices,
    /// A sysctl that does not take its value.
    Sysctl,
    /// A sysctl that the kernel does not have.
    UnknownSysctl,
    /// Addresses and routes.
    Network,
}

impl std::fmt::Display for Unprepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.part {
            NodePart::Own => "cannot be made",
            NodePart::Interfaces => "cannot name interfaces",
            NodePart::Devices => "cannot make devices",
            NodePart::Sysctl => "cannot set a sysctl",
            NodePart::UnknownSysctl => "the kernel has no such sysctl",
            NodePart::Network => "cannot set addresses and routes",
        };
        write!(f, "node {}: {what}", self.node)?;
        if !self.command.is_empty() {
            write!(f, ": `{}`", self.command)?;
        }
        write!(f, ": {}", self.said)
    }
}

/// Whether the scenario accepts that a step was refused. It is the kernel that may refuse: what a
/// program does not understand, or does not have, is never acceptable.
pub fn accepts(step: &Step, failed: Failed<'_>) -> bool {
    let of_kernel = matches!(failed.end, CommandEnd::Status(_))
        && !words::find(failed.end, failed.said).is_some_and(|found| found.cause.is_certain())
        && !words::is_doubtful(failed.said);
    of_kernel
        && match &step.refusal {
            Refusal::Bad => false,
            Refusal::Accept => true,
            Refusal::AcceptWords(words) => failed.said.contains(words.as_str()),
        }
}

/// What may be wrong with a step that failed.
pub fn fault_of_step(step: &Step, failed: Failed<'_>) -> Option<ScenarioFault> {
    let place = place(PlaceKind::Step, &step.name, &step.node);
    let file = step.action.asset().map(str::to_owned);
    let at = At { place, file, line: step.line };
    if let Some(found) = words::find(failed.end, failed.said) {
        return Some(at.fault(found, failed.assets));
    }
    // Signals and time-outs are no answers.
    matches!(failed.end, CommandEnd::Status(_)).then(|| {
        let taken = failed.said.contains("File exists");
        let cause = if taken { FaultCause::NameTaken } else { FaultCause::Refused };
        at.uncertain(cause, one_line(failed.said))
    })
}

/// What is wrong with the command of a check that failed. What else a check says is the kernel's.
pub fn fault_of_check(check: &Check, failed: Failed<'_>) -> Option<ScenarioFault> {
    let place = place(PlaceKind::Check, &check.name, &check.node);
    let found = words::find(failed.end, failed.said).filter(|found| found.cause.is_certain())?;
    Some(At { place, file: None, line: check.line }.fault(found, failed.assets))
}

/// What is wrong with a check whose program did not understand what the scenario gives it.
pub fn fault_of_given(check: &Check, program: &str, said: String) -> ScenarioFault {
    ScenarioFault {
        cause: FaultCause::Syntax,
        place: place(PlaceKind::Check, &check.name, &check.node),
        file: (check.line > 0).then(|| FILE_NAME.to_owned()),
        line: (check.line > 0).then_some(check.line),
        subject: Some(program.to_owned()),
        said,
    }
}

/// What may be wrong with a check of something that is not there. A kernel can have lost it.
pub fn fault_of_absent(check: &Check, what: String) -> ScenarioFault {
    let place = place(PlaceKind::Check, &check.name, &check.node);
    At { place, file: None, line: check.line }.uncertain(FaultCause::NotThere, what)
}

/// What may be wrong with a service that did not start, or ended before it was ready.
pub fn fault_of_service(service: &Service, failed: Failed<'_>) -> Option<ScenarioFault> {
    let place = place(PlaceKind::Service, &service.name, &service.node);
    let at = At { place, file: None, line: service.line };
    match failed.end {
        CommandEnd::TimedOut => return None,
        CommandEnd::Status(_) | CommandEnd::Signal(_) | CommandEnd::NotStarted(_) => {}
    }
    match words::find(failed.end, failed.said).filter(|found| found.cause.is_certain()) {
        Some(found) => Some(at.fault(found, failed.assets)),
        None => Some(at.uncertain(FaultCause::ServiceEnded, one_line(failed.said))),
    }
}

/// What may be wrong with a node that could not be made.
pub fn fault_of_node(name: &str, node: &Node, unprepared: &Unprepared) -> Option<ScenarioFault> {
    let Unprepared { part, command, said, .. } = unprepared;
    let own = words::find(&CommandEnd::Status(1), said).filter(|found| found.cause.is_certain());
    let quoted = said.split('"').nth(1).filter(|word| !word.is_empty());
    // ip(8) does not say which line it did not understand; the word is in it.
    let is_it = |text: &str| match (command.is_empty(), quoted) {
        (false, _) => command.ends_with(text),
        (true, Some(word)) => text.split_whitespace().any(|other| other == word),
        (true, None) => false,
    };
    let list = |key: &str, lines: &[String]| {
        let at = lines.iter().position(|line| is_it(line))?;
        Some((format!("{key}[{at}]"), lines[at].clone()))
    };
    let key = command.split(" = ").next().unwrap_or_default();
    let (cause, found) = match part {
        NodePart::Own => return None,
        NodePart::UnknownSysctl => (FaultCause::UnknownSysctl, sysctl(node, key)),
        NodePart::Sysctl => (FaultCause::Refused, sysctl(node, key)),
        NodePart::Devices | NodePart::Network | NodePart::Interfaces => {
            let taken = said.contains("File exists");
            let cause = if taken { FaultCause::NameTaken } else { FaultCause::Refused };
            let found = list("devices", &node.devices).or_else(|| list("routes", &node.routes));
            (cause, found)
        }
    };
    let line = found.as_ref().and_then(|(key, _)| node.lines.get(key)).or(node.lines.get(""));
    let at = At {
        place: place(PlaceKind::Node, name, name),
        file: None,
        line: line.copied().unwrap_or_default(),
    };
    let subject = found.map(|(_, text)| text).or(Some(command.clone())).filter(|it| !it.is_empty());
    let fault = match own {
        Some(own) => at.fault(Found { file: None, line: None, ..own }, ""),
        None => ScenarioFault { subject, ..at.uncertain(cause, one_line(said)) },
    };
    Some(fault)
}

/// The key of a sysctl as the scenario has it, by its path below `/proc/sys`.
fn sysctl(node: &Node, path: &str) -> Option<(String, String)> {
    let same = |key: &&String| key.replace('.', "/") == path || **key == path;
    let key = node.sysctl.keys().find(same)?;
    Some((format!("sysctl.{key}"), key.clone()))
}

fn place(kind: PlaceKind, name: &str, node: &str) -> FaultPlace {
    FaultPlace { kind, name: name.to_owned(), node: node.to_owned() }
}

/// Where something stands: the file of the scenario that is read, else a line of its own file.
struct At {
    place: FaultPlace,
    file: Option<String>,
    line: u32,
}

impl At {
    fn fault(self, found: Found, assets: &str) -> ScenarioFault {
        let named = found.file.as_deref().and_then(|path| path.strip_prefix(assets));
        let named = named.map(|path| path.trim_start_matches('/').to_owned());
        // A line number is one of what was read. The shell counts the lines of its own script.
        let (file, line) = match (named.or(self.file), found.line) {
            (Some(file), line) if found.cause == FaultCause::Syntax => (file, line),
            _ => (FILE_NAME.to_owned(), Some(self.line).filter(|line| *line > 0)),
        };
        ScenarioFault {
            cause: found.cause,
            place: self.place,
            file: Some(file),
            line,
            subject: found.subject,
            said: found.said,
        }
    }

    fn uncertain(self, cause: FaultCause, said: String) -> ScenarioFault {
        let (file, line) = match self.file {
            Some(file) => (file, None),
            None => (FILE_NAME.to_owned(), Some(self.line).filter(|line| *line > 0)),
        };
        ScenarioFault { cause, place: self.place, file: Some(file), line, subject: None, said }
    }
}
