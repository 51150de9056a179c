//! The script: clauses of actions, each for an event.
//!
//! ```text
//! # The rules are refused; the first request over HTTP panics.
//! at start
//!   boot 6.12.57
//! at exec nft
//!   reply status 1 Error: Could not process rule: Operation not supported
//! at http
//!   panic nft_do_chain
//!   shutdown guest guest-reset
//!   exit 0
//! ```
//!
//! For each event the first clause is played whose word in the command (if there is one) fits; one
//! that begins with `first-time FILE` is passed over once the file is there. A request without a
//! clause, or whose clause has no `reply`, is answered as a healthy guest would. Without `at start`,
//! a healthy boot is played.

use std::path::PathBuf;
use std::time::Duration;

use kbisect_proto::Part;

/// What begins a script inside a kernel image.
pub const MARK: &str = "#!kbisect-fake-qemu";

/// What a clause is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The machine was switched on.
    Start,
    /// It goes on from a state that was saved when it was up. Its `start` is not played then.
    Restored,
    /// `Wake`.
    Wake,
    /// `Settle`.
    Settle,
    /// `Prepare`.
    Prepare,
    /// `Files`.
    Files,
    /// `Exec`.
    Exec,
    /// `Serve`.
    Serve,
    /// `Http`.
    Http,
    /// `Ping`.
    Ping,
    /// `Lacks`.
    Lacks,
    /// `Reset`.
    Reset,
    /// `PowerOff`.
    PowerOff,
}

/// A clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// For which event.
    pub when: When,
    /// What the command or the node must contain; may be empty.
    pub word: String,
    /// What is done.
    pub actions: Vec<Action>,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A healthy boot of this release: banner, marker, hello, heartbeats.
    Boot(String),
    /// A line on the console.
    Print(String),
    /// The marker that user space is up.
    Marker,
    /// The first message, with this protocol version.
    Hello(u32),
    /// Heartbeats begin.
    Heartbeats,
    /// From now on heartbeats say that the kernel runs for so many milliseconds.
    Clock(u64),
    /// A failure in the words of a kernel, in this function.
    Crash(Crash, String),
    /// The event `SHUTDOWN`, from the guest or the host, with a reason.
    Shutdown {
        /// From the guest.
        guest: bool,
        /// Reason.
        reason: String,
    },
    /// The event `GUEST_PANICKED`.
    Pvpanic,
    /// QEMU ends with a status.
    Exit(i32),
    /// A line on standard error.
    Stderr(String),
    /// QEMU kills itself.
    Die,
    /// No heartbeats and no answers any more.
    Hang,
    /// No answers any more; heartbeats go on.
    Mute,
    /// So many MiB on the console.
    Flood(u64),
    /// So many MiB on the console without a line end.
    Endless(u64),
    /// Bytes on the console, whatever they are.
    Bytes(Vec<u8>),
    /// A line on QMP.
    Qmp(String),
    /// So many MiB on QMP without a line end.
    QmpEndless(u64),
    /// Something on the guest channel that is no frame.
    Channel(Lie),
    /// A child that outlives QEMU; its process id is written to this file.
    Grandchild(PathBuf),
    /// Neither SIGTERM nor `quit` end QEMU.
    Stubborn,
    /// QEMU refuses so many orders to let the machine go on.
    RefusesCont(i32),
    /// The answer to a request.
    Reply(Reply),
    /// The service of this request ends with a status, once it is ready.
    ServiceExit(i32),
    /// The service of this request ends by a signal, once it is ready.
    ServiceSignal(i32),
    /// The service of this request ends with a status, once it is ready, and is started again.
    ServiceAgain(i32),
    /// A line that the service of this request prints.
    ServicePrint(String),
    /// So many MiB of lines that the service prints.
    ServiceFlood(u64),
    /// Writes QEMU's process id to a file.
    Pid(PathBuf),
    /// Waits until a file exists.
    Await(PathBuf),
    /// Stops the harness for so long, as an operator or a paused container would.
    StopHarness(Duration),
    /// Is stopped itself for so long.
    StopSelf(Duration),
    /// Kills the process whose number is in a file.
    Kill(PathBuf),
    /// Waits.
    Delay(Duration),
    /// The clause is for the first time only: this file does not exist yet, and is made.
    FirstTime(PathBuf),
    /// Plays the clause only while this file, which another clause made, is there; removes it.
    OnceAfter(PathBuf),
    /// A clause whose machine goes on from a saved state is played, all others are passed over.
    OnlyRestored,
    /// The state cannot be saved, for this reason.
    SaveFails(String),
    /// What becomes of a dump of the memory that is asked for later.
    Dump(Dump),
    /// A frame on a network interface.
    Frame {
        /// Which.
        nic: usize,
        /// The bytes.
        bytes: Vec<u8>,
    },
}

/// What becomes of a dump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Dump {
    /// It is written, with a note about the kernel.
    #[default]
    Whole,
    /// It fails half-way, for this reason.
    Fails(String),
    /// The command is refused, for this reason.
    Refused(String),
    /// Nothing is said and nothing is written any more; QEMU ends.
    Dies,
}

/// How a kernel fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// It stops itself.
    Panic,
    /// It goes on.
    Oops,
    /// A `WARNING`.
    Warning,
    /// A soft lock-up.
    Lockup,
}

/// How the guest channel lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Bytes that are no frame.
    Garbage,
    /// A frame of a gigabyte is announced.
    Oversized,
    /// The check sum does not fit.
    BadSum,
    /// A frame that is no message.
    NoMessage,
    /// Half a frame, then nothing.
    Cut,
    /// Answers to requests that were never made.
    Unasked,
    /// Output of two thousand services that were never started, 64 KiB each.
    Strangers,
    /// The channel is closed.
    Close,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// None.
    Nothing,
    /// The program ended with a status and printed this on standard error.
    Status(i32, String),
    /// The program ended with status 0 and printed this on standard output.
    Output(String),
    /// A command ended with this status and printed this.
    Printed(i32, String),
    /// The request failed.
    Failed(String),
    /// The first node could not be made.
    Unprepared {
        /// What of it.
        part: Part,
        /// The command at fault.
        command: String,
        /// What was said.
        said: String,
    },
    /// The kernel lacks these features.
    Lacking(Vec<String>),
    /// The program could not be started, for this reason.
    NotStarted(String),
    /// The program was killed at its deadline.
    TimedOut,
    /// The service ended with a status before it was ready.
    Ended(i32),
    /// The body has so many bytes.
    Body(u64),
    /// The body is not what was asked for.
    OtherBody,
    /// The status code.
    Code(u16),
    /// The first connection failed.
    Http(HttpFailure),
    /// An answer of another kind.
    Nonsense,
}

/// How a connection fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpFailure {
    /// The kernel refused at once.
    Local,
    /// The connection was refused.
    Refused,
    /// No answer to the SYN.
    ConnectTimeout,
    /// Reset after it stood.
    Reset,
    /// Nothing arrived after it stood.
    ReadTimeout,
    /// No HTTP.
    Malformed,
}

/// A script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Its clauses in order.
    pub clauses: Vec<Clause>,
}

impl Script {
    /// Finds the script in the content of a kernel image; a file without one boots healthily.
    ///
    /// # Errors
    /// The line that cannot be understood.
    pub fn of_image(bytes: &[u8]) -> Result<Self, String> {
        let mark = MARK.as_bytes();
        let Some(at) = bytes.windows(mark.len()).position(|window| window == mark) else {
            return Ok(Self::default());
        };
        Self::parse(&String::from_utf8_lossy(&bytes[at + mark.len()..]))
    }

    /// Reads a script.
    ///
    /// # Errors
    /// The line that cannot be understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut script = Self::default();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let refuse = || format!("script: cannot understand `{line}`");
            if let Some(event) = line.strip_prefix("at ") {
                let (when, word) = event.split_once(' ').unwrap_or((event, ""));
                let when = when_of(when).ok_or_else(refuse)?;
                let (word, actions) = (word.trim().to_owned(), Vec::new());
                script.clauses.push(Clause { when, word, actions });
            } else {
                let action = action_of(line).ok_or_else(refuse)?;
                script.clauses.last_mut().ok_or_else(refuse)?.actions.push(action);
            }
        }
        Ok(script)
    }

    /// The clauses that fit an event, in order.
    pub fn find<'a>(&'a self, when: When, text: &'a str) -> impl Iterator<Item = &'a [Action]> {
        self.clauses
            .iter()
            .filter(move |clause| clause.when == when && text.contains(&clause.word))
            .map(|clause| clause.actions.as_slice())
    }
}

fn when_of(word: &str) -> Option<When> {
    Some(match word {
        "start" => When::Start,
        "restored" => When::Restored,
        "wake" => When::Wake,
        "prepare" => When::Prepare,
        "files" => When::Files,
        "exec" => When::Exec,
        "serve" => When::Serve,
        "http" => When::Http,
        "ping" => When::Ping,
        "lacks" => When::Lacks,
        "settle" => When::Settle,
        "reset" => When::Reset,
        "power-off" => When::PowerOff,
        _ => return None,
    })
}

fn action_of(line: &str) -> Option<Action> {
    let (word, rest) = line.split_once(' ').map_or((line, ""), |(word, rest)| (word, rest.trim()));
    let text = || rest.to_owned();
    Some(match word {
        "boot" => Action::Boot(text()),
        "print" => Action::Print(text()),
        "marker" => Action::Marker,
        "hello" => Action::Hello(rest.parse().ok()?),
        "heartbeats" => Action::Heartbeats,
        "clock" => Action::Clock(rest.parse().ok()?),
        "panic" => Action::Crash(Crash::Panic, text()),
        "oops" => Action::Crash(Crash::Oops, text()),
        "warning" => Action::Crash(Crash::Warning, text()),
        "lockup" => Action::Crash(Crash::Lockup, text()),
        "shutdown" => {
            let (from, reason) = rest.split_once(' ')?;
            Action::Shutdown { guest: from == "guest", reason: reason.to_owned() }
        }
        "pvpanic" => Action::Pvpanic,
        "exit" => Action::Exit(rest.parse().ok()?),
        "stderr" => Action::Stderr(text()),
        "die" => Action::Die,
        "hang" => Action::Hang,
        "mute" => Action::Mute,
        "flood" => Action::Flood(rest.parse().ok()?),
        "endless" => Action::Endless(rest.parse().ok()?),
        "bytes" => Action::Bytes(hex(rest)?),
        "qmp" => Action::Qmp(text()),
        "qmp-endless" => Action::QmpEndless(rest.parse().ok()?),
        "channel" => Action::Channel(lie_of(rest)?),
        "grandchild" => Action::Grandchild(PathBuf::from(rest)),
        "stubborn" => Action::Stubborn,
        "refuses-cont" => Action::RefusesCont(rest.parse().ok()?),
        "reply" => Action::Reply(reply_of(rest)?),
        "service-exit" => Action::ServiceExit(rest.parse().ok()?),
        "service-signal" => Action::ServiceSignal(rest.parse().ok()?),
        "service-again" => Action::ServiceAgain(rest.parse().ok()?),
        "service-print" => Action::ServicePrint(text()),
        "service-flood" => Action::ServiceFlood(rest.parse().ok()?),
        "pid" => Action::Pid(PathBuf::from(rest)),
        "await" => Action::Await(PathBuf::from(rest)),
        "stop-harness" => Action::StopHarness(Duration::from_millis(rest.parse().ok()?)),
        "stop-self" => Action::StopSelf(Duration::from_millis(rest.parse().ok()?)),
        "kill" => Action::Kill(PathBuf::from(rest)),
        "delay" => Action::Delay(Duration::from_millis(rest.parse().ok()?)),
        "first-time" => Action::FirstTime(PathBuf::from(rest)),
        "once-after" => Action::OnceAfter(PathBuf::from(rest)),
        "dump" => Action::Dump(dump_of(rest)?),
        "only-restored" => Action::OnlyRestored,
        "save-fails" => Action::SaveFails(text()),
        "frame" => {
            let (nic, digits) = rest.split_once(' ')?;
            Action::Frame { nic: nic.parse().ok()?, bytes: hex(digits)? }
        }
        _ => return None,
    })
}

fn dump_of(text: &str) -> Option<Dump> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    Some(match word {
        "whole" => Dump::Whole,
        "fails" => Dump::Fails(rest.to_owned()),
        "refused" => Dump::Refused(rest.to_owned()),
        "dies" => Dump::Dies,
        _ => return None,
    })
}

fn lie_of(word: &str) -> Option<Lie> {
    Some(match word {
        "garbage" => Lie::Garbage,
        "oversized" => Lie::Oversized,
        "bad-sum" => Lie::BadSum,
        "no-message" => Lie::NoMessage,
        "cut" => Lie::Cut,
        "unasked" => Lie::Unasked,
        "strangers" => Lie::Strangers,
        "close" => Lie::Close,
        _ => return None,
    })
}

fn reply_of(text: &str) -> Option<Reply> {
    let (word, rest) = text.split_once(' ').map_or((text, ""), |(word, rest)| (word, rest.trim()));
    Some(match word {
        "nothing" => Reply::Nothing,
        "status" => {
            let (status, said) = rest.split_once(' ').unwrap_or((rest, ""));
            Reply::Status(status.parse().ok()?, said.to_owned())
        }
        // A status, and what was printed: `\n` is a line break.
        "lines" => {
            let (status, said) = rest.split_once(' ')?;
            Reply::Printed(status.parse().ok()?, said.replace("\\n", "\n"))
        }
        "output" => Reply::Output(rest.to_owned()),
        "failed" => Reply::Failed(rest.to_owned()),
        // PART COMMAND: WORDS
        "unprepared" => {
            let (part, rest) = rest.split_once(' ')?;
            let (command, said) = rest.split_once(": ")?;
            let part = match part {
                "devices" => Part::Devices,
                "unknown-sysctl" => Part::UnknownSysctl,
                "network" => Part::Network,
                _ => return None,
            };
            Reply::Unprepared { part, command: command.to_owned(), said: said.to_owned() }
        }
        "lacking" => Reply::Lacking(rest.split_whitespace().map(str::to_owned).collect()),
        "not-started" => Reply::NotStarted(rest.to_owned()),
        "timed-out" => Reply::TimedOut,
        "ended" => Reply::Ended(rest.parse().ok()?),
        "body" => Reply::Body(rest.parse().ok()?),
        "other-body" => Reply::OtherBody,
        "code" => Reply::Code(rest.parse().ok()?),
        "nonsense" => Reply::Nonsense,
        "local" => Reply::Http(HttpFailure::Local),
        "refused" => Reply::Http(HttpFailure::Refused),
        "connect-timeout" => Reply::Http(HttpFailure::ConnectTimeout),
        "reset" => Reply::Http(HttpFailure::Reset),
        "read-timeout" => Reply::Http(HttpFailure::ReadTimeout),
        "malformed" => Reply::Http(HttpFailure::Malformed),
        _ => return None,
    })
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_that_fit_come_in_order() {
        let script = Script::parse(
            "at start\n  boot 6.1\nat exec nft\n  reply status 1 no\n\nat exec\n  panic f\n",
        )
        .unwrap();
        let status = [Action::Reply(Reply::Status(1, "no".to_owned()))];
        let panic = [Action::Crash(Crash::Panic, "f".to_owned())];
        assert!(script.find(When::Exec, "nft -f x").eq([&status[..], &panic[..]]));
        assert!(script.find(When::Exec, "true").eq([&panic[..]]));
        assert_eq!(script.find(When::Http, "").count(), 0);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for text in ["at noon\n", "panic f\n", "at start\n explode\n", "at http\n reply maybe\n"] {
            let error = Script::parse(text).unwrap_err();
            assert!(error.contains('`'), "{error}");
        }
    }

    #[test]
    fn a_script_is_found_in_an_image() {
        let image = crate::image("6.12.57", "at ping\n  die\n");
        let script = Script::of_image(&image).unwrap();
        assert!(script.find(When::Ping, "").eq([&[Action::Die][..]]));
        assert_eq!(Script::of_image(b"no script").unwrap(), Script::default());
    }
}
