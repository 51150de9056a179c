//! A small QMP client (QEMU docs/interop/qmp-spec.rst): the greeting, a few commands without
//! answers that matter, and the events that say how a machine ended.

use serde_json::Value;

/// An event that kbisect looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QmpEvent {
    /// QEMU said hello and takes commands.
    Greeting,
    /// The machine goes down; the text is QEMU's `ShutdownCause`.
    Shutdown {
        /// Whether the guest asked for it.
        guest: bool,
        /// `guest-reset`, `guest-shutdown`, `guest-panic`, `host-qmp-quit`, ...
        reason: String,
    },
    /// The guest's kernel said through pvpanic that it panicked.
    GuestPanicked,
    /// The guest's watchdog was not fed in time.
    Watchdog,
    /// The virtual CPUs stopped.
    Stopped,
    /// They go on.
    Resumed,
    /// A file of the host's under a drive could not be read or written.
    DiskFailed {
        /// Drive, as on the command line.
        drive: String,
        /// `read` or `write`.
        operation: String,
        /// What the host said.
        why: String,
    },
    /// A dump of the guest's memory ended; why it failed, if it did.
    DumpEnded(Option<String>),
    /// The machine's state was written, or read; why it failed, if it did.
    StateEnded(Option<String>),
}

/// Bytes that end the negotiation; sent once the greeting is there.
pub const CAPABILITIES: &[u8] = b"{\"execute\":\"qmp_capabilities\"}\n";
/// Ends QEMU.
pub const QUIT: &[u8] = b"{\"execute\":\"quit\"}\n";

/// Stops the virtual CPUs: memory must not change while it is dumped.
pub const STOP: &[u8] = b"{\"execute\":\"stop\"}\n";
/// Lets the virtual CPUs go on.
pub const CONT: &[u8] = b"{\"execute\":\"cont\"}\n";
/// Has QEMU say how writing and reading a state goes; without it there are no such events.
pub const STATE_EVENTS: &[u8] = b"{\"execute\":\"migrate-set-capabilities\",\"arguments\":\
    {\"capabilities\":[{\"capability\":\"events\",\"state\":true}]}}\n";
/// Writes the machine's state into the inherited file of `-add-fd` set 2.
pub const WRITE_STATE: &[u8] = b"{\"execute\":\"migrate\",\"id\":\"state\",\
    \"arguments\":{\"uri\":\"file:/dev/fdset/2\"}}\n";
/// Reads it from there.
pub const READ_STATE: &[u8] = b"{\"execute\":\"migrate-incoming\",\"id\":\"state\",\
    \"arguments\":{\"uri\":\"file:/dev/fdset/2\"}}\n";
/// Names our commands whose refusal matters.
const DUMP_ID: &str = "dump";
const STATE_ID: &str = "state";

/// Dumps the guest's memory into the inherited file of `-add-fd` set 1, in the background.
pub fn dump(format: &str) -> Vec<u8> {
    let command = serde_json::json!({
        "execute": "dump-guest-memory",
        "id": DUMP_ID,
        "arguments": {
            "paging": false,
            "protocol": "file:/dev/fdset/1",
            "format": format,
            "detach": true,
        },
    });
    format!("{command}\n").into_bytes()
}

/// Takes the carrier of an interface, or gives it back.
#[must_use]
pub fn set_link(interface: usize, up: bool) -> Vec<u8> {
    let command = serde_json::json!({
        "execute": "set_link",
        "arguments": { "name": format!("net{interface}"), "up": up },
    });
    format!("{command}\n").into_bytes()
}

/// Longest line that is kept. QEMU's own lines are short; ours is the only client.
const MAX_LINE: usize = 1 << 16;

/// Reads lines of QMP.
#[derive(Debug, Default)]
pub struct QmpReader {
    line: Vec<u8>,
}

impl QmpReader {
    /// Takes bytes as they arrive and gives the events in them. What is not understood is passed
    /// over: an unknown event must not end the session.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<QmpEvent> {
        let mut events = Vec::new();
        for byte in bytes {
            if *byte == b'\n' {
                events.extend(parse(&self.line));
                self.line.clear();
            } else if self.line.len() < MAX_LINE {
                self.line.push(*byte);
            }
        }
        events
    }
}

fn parse(line: &[u8]) -> Option<QmpEvent> {
    let value: Value = serde_json::from_slice(line).ok()?;
    if value.get("QMP").is_some() {
        return Some(QmpEvent::Greeting);
    }
    if let Some(error) = value.get("error") {
        let why = text_of(error.get("desc"));
        return match value.get("id").and_then(Value::as_str) {
            Some(DUMP_ID) => Some(QmpEvent::DumpEnded(Some(why))),
            Some(STATE_ID) => Some(QmpEvent::StateEnded(Some(why))),
            _ => None,
        };
    }
    match value.get("event")?.as_str()? {
        "SHUTDOWN" => {
            let data = value.get("data")?;
            Some(QmpEvent::Shutdown {
                guest: data.get("guest").and_then(Value::as_bool).unwrap_or(false),
                reason: data.get("reason").and_then(Value::as_str).unwrap_or("unknown").to_owned(),
            })
        }
        "GUEST_PANICKED" => Some(QmpEvent::GuestPanicked),
        "WATCHDOG" => Some(QmpEvent::Watchdog),
        "STOP" => Some(QmpEvent::Stopped),
        "RESUME" => Some(QmpEvent::Resumed),
        "BLOCK_IO_ERROR" => {
            let data = value.get("data")?;
            // The disks are read-only: a write that fails is the guest's doing, and it is told so.
            if data.get("operation").and_then(Value::as_str) == Some("write") {
                return None;
            }
            let word =
                |name: &str| data.get(name).and_then(Value::as_str).filter(|w| !w.is_empty());
            Some(QmpEvent::DiskFailed {
                drive: word("device").or(word("node-name")).unwrap_or("unknown").to_owned(),
                operation: word("operation").unwrap_or("use").to_owned(),
                why: text_of(data.get("reason")),
            })
        }
        "DUMP_COMPLETED" => {
            let data = value.get("data")?;
            let status = data.get("result").and_then(|result| result.get("status"));
            let failed = data.get("error").is_some()
                || status.and_then(Value::as_str).is_some_and(|status| status != "completed");
            Some(QmpEvent::DumpEnded(failed.then(|| text_of(data.get("error")))))
        }
        "MIGRATION" => match value.get("data")?.get("status")?.as_str()? {
            "completed" => Some(QmpEvent::StateEnded(None)),
            "failed" | "cancelled" => Some(QmpEvent::StateEnded(Some(text_of(None)))),
            _ => None,
        },
        _ => None,
    }
}

fn text_of(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or("QEMU does not say why").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_from_any_split() {
        let text = concat!(
            "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n",
            "{\"return\": {}}\r\n",
            "{\"event\": \"NEW_THING\", \"data\": 5}\r\n",
            "not json\r\n",
            "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-reset\"}}\r\n",
        );
        let wanted = [
            QmpEvent::Greeting,
            QmpEvent::Shutdown { guest: true, reason: "guest-reset".to_owned() },
        ];
        for step in [1, 13, text.len()] {
            let mut reader = QmpReader::default();
            let got: Vec<QmpEvent> =
                text.as_bytes().chunks(step).flat_map(|part| reader.push(part)).collect();
            assert_eq!(got, wanted);
        }
    }

    #[test]
    fn the_end_of_a_dump_is_told_and_its_failure_too() {
        let events = |line: &str| QmpReader::default().push(format!("{line}\r\n").as_bytes());
        let done = r#"{"event": "DUMP_COMPLETED", "data": {"result": {"status": "completed"}}}"#;
        assert_eq!(events(done), [QmpEvent::DumpEnded(None)]);
        let full = r#"{"event": "DUMP_COMPLETED", "data": {"result": {"status": "failed"},
            "error": "dump: failed to save memory: No space left on device"}}"#
            .replace('\n', "");
        let [QmpEvent::DumpEnded(Some(why))] = &events(&full)[..] else { panic!("a failure") };
        assert!(why.contains("No space left"), "{why}");
        let refused =
            r#"{"id": "dump", "error": {"class": "GenericError", "desc": "no such format"}}"#;
        assert_eq!(events(refused), [QmpEvent::DumpEnded(Some("no such format".to_owned()))]);
        assert_eq!(events(r#"{"error": {"desc": "another command's"}}"#), []);
        let command = String::from_utf8(dump("kdump-raw-zlib")).expect("text");
        assert!(command.ends_with('\n') && command.contains("kdump-raw-zlib"), "{command}");
    }

    #[test]
    fn the_end_of_a_saved_state_is_told_and_its_failure_too() {
        let events = |line: &str| QmpReader::default().push(format!("{line}\r\n").as_bytes());
        let told = |status: &str| {
            events(&format!(r#"{{"event": "MIGRATION", "data": {{"status": "{status}"}}}}"#))
        };
        assert_eq!(told("completed"), [QmpEvent::StateEnded(None)]);
        assert_eq!(told("active"), []);
        assert!(matches!(&told("failed")[..], [QmpEvent::StateEnded(Some(_))]));
        let refused =
            r#"{"id": "state", "error": {"class": "GenericError", "desc": "no such file"}}"#;
        assert_eq!(events(refused), [QmpEvent::StateEnded(Some("no such file".to_owned()))]);
        for command in [CONT, STATE_EVENTS, WRITE_STATE, READ_STATE] {
            let line = command.strip_suffix(b"\n").expect("a line");
            assert!(serde_json::from_slice::<Value>(line).is_ok(), "{command:?}");
        }
    }

    #[test]
    fn failures_of_the_hosts_disk_name_the_drive() {
        let line = r##"{"event": "BLOCK_IO_ERROR", "data": {"device": "root", "node-name": "#block1",
            "operation": "read", "action": "stop", "nospace": false, "reason": "Input/output error"}}"##
            .replace('\n', "");
        let events = QmpReader::default().push(format!("{line}\r\n").as_bytes());
        let (drive, operation) = ("root".to_owned(), "read".to_owned());
        let why = "Input/output error".to_owned();
        assert_eq!(events, [QmpEvent::DiskFailed { drive, operation, why }]);
    }

    #[test]
    fn an_endless_line_does_not_eat_memory() {
        let mut reader = QmpReader::default();
        for _ in 0..100 {
            reader.push(&[b'x'; 10_000]);
        }
        assert!(reader.line.len() <= MAX_LINE);
    }
}
