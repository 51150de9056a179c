//! The log of all that ran in the guests of a trial: who did what, when, and how it ended.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use kbisect_proto::{Event, Request};
use serde::Serialize;

use crate::exit::end_of;

/// Name of the log in a trial's folder.
pub const FILE: &str = "commands.jsonl";
/// Most bytes that one trial's log takes; what comes after that is left out.
const MOST: u64 = 8 << 20;

/// Lines of JSON, one for each command, in the order in which they ended.
#[derive(Debug)]
pub struct CommandLog {
    file: File,
    written: u64,
}

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    /// When it began, in milliseconds since 1970-01-01 UTC.
    at_ms: u64,
    took_ms: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    node: &'a str,
    #[serde(flatten)]
    what: What<'a>,
    exit: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum What<'a> {
    /// Program and arguments.
    Command(&'a [String]),
    /// The same, for a program that stays.
    Service(&'a [String]),
    /// The node was made: lines of `ip link add`, `sysctl` and `ip -batch`.
    Made(Vec<String>),
    /// A check that the guest's program makes itself.
    Probe(&'a str),
    /// A signal to a service.
    Signal(i32),
}

impl CommandLog {
    /// Begins the log of a trial in its folder.
    pub fn create(folder: &Path) -> io::Result<Self> {
        Ok(Self { file: File::create(folder.join(FILE))?, written: 0 })
    }

    /// Adds what ended now. That a line cannot be written is no reason to end a trial.
    pub fn add(&mut self, request: &Request, answer: Result<&Event, String>, took_ms: u64) {
        let exit = exit_of(answer);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_ms = (now.as_millis() as u64).saturating_sub(took_ms);
        let mut line = |node: &str, what: What<'_>| {
            self.write(&Line { at_ms, took_ms, node, what, exit: &exit });
        };
        match request {
            Request::Exec { node, command, .. } => line(node, What::Command(&command.argv)),
            Request::Serve { node, command, .. } => line(node, What::Service(&command.argv)),
            Request::Probe { node, probe, .. } => line(node, What::Probe(probe.kind())),
            Request::Shell { node, .. } => line(node, What::Command(&["sh".to_owned()])),
            Request::Signal { signal, .. } => line("", What::Signal(*signal)),
            Request::Prepare { nodes, .. } => {
                for setup in nodes {
                    let devices = setup.devices.iter();
                    let devices = devices.map(|it| format!("ip link add {}", it.arguments));
                    let sysctl =
                        setup.sysctl.iter().map(|(key, value)| format!("sysctl {key}={value}"));
                    let network = setup.network.lines().map(|line| format!("ip {line}"));
                    line(&setup.name, What::Made(devices.chain(sysctl).chain(network).collect()));
                }
            }
            _ => {}
        }
    }

    fn write(&mut self, line: &Line<'_>) {
        let Ok(mut text) = serde_json::to_vec(line) else { return };
        text.push(b'\n');
        if self.written + text.len() as u64 <= MOST && self.file.write_all(&text).is_ok() {
            self.written += text.len() as u64;
        }
    }
}

fn exit_of(answer: Result<&Event, String>) -> String {
    match answer {
        Ok(Event::Exited { exit, .. } | Event::ServiceExited { exit, .. }) => {
            end_of(exit).to_string()
        }
        Ok(Event::Ready { .. }) => "ready".to_owned(),
        Ok(Event::Failed { error, .. }) => error.clone(),
        Ok(Event::NotPrepared { said, .. }) => said.clone(),
        Ok(_) => "done".to_owned(),
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use kbisect_proto::{Command, Exit};

    use super::*;

    #[test]
    fn each_command_is_a_line_and_the_log_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = CommandLog::create(folder.path()).unwrap();
        let exec = |argv: &[&str]| Request::Exec {
            id: 1,
            node: "gw".to_owned(),
            command: Command {
                argv: argv.iter().map(|it| (*it).to_owned()).collect(),
                stdin: Vec::new(),
                keep: 0,
            },
            timeout_ms: 1,
        };
        let exited = |status| Event::Exited {
            id: 1,
            exit: Exit::Status(status),
            stdout: Vec::new(),
            stderr: Vec::new(),
            millis: 1,
        };
        log.add(&exec(&["nft", "-f", "x\ny"]), Ok(&exited(1)), 5);
        log.add(&Request::Ping { id: 2 }, Ok(&Event::Done { id: 2 }), 1);
        log.add(&exec(&["sleep"]), Err("the machine is down".to_owned()), 5);
        let large = "x".repeat(MOST as usize);
        log.add(&exec(&[&large]), Ok(&exited(0)), 5);
        let text = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(lines[0]["command"], serde_json::json!(["nft", "-f", "x\ny"]));
        assert_eq!((&lines[0]["node"], &lines[0]["took_ms"]), (&"gw".into(), &5.into()));
        assert!(lines[0]["exit"].as_str().unwrap().contains('1'), "{text}");
        assert_eq!(lines[1]["exit"], "the machine is down");
    }
}
