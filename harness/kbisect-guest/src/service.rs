//! Services: started, watched until ready, started again or reported when they end.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kbisect_proto::{Command, Event, Exit, Readiness, RequestId, Restart};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::exec::{DRAIN, command_in, exit_of};
use crate::node::Node;
use crate::outbox::Outbox;
use crate::probes::http;

/// Longest output line that is sent in one piece, in bytes.
const LINE: u64 = 4096;
/// How often readiness is looked at.
const POLL: Duration = Duration::from_millis(10);
/// How often an HTTP request asks for readiness: each is a connection.
const POLL_HTTP: Duration = Duration::from_millis(100);
/// How long a service that ended stays away before it is started again.
const PAUSE: Duration = Duration::from_millis(100);

/// A service to run.
pub struct Service<'a> {
    /// Number of the request.
    pub id: RequestId,
    /// What to run.
    pub command: &'a Command,
    /// When it counts as ready.
    pub ready: &'a Readiness,
    /// Whether it is started again.
    pub restart: Restart,
    /// How long it may take to become ready.
    pub timeout: Duration,
    /// Where its process group is noted while it runs.
    pub groups: Groups,
}

/// The process groups of the services that run.
#[derive(Clone, Default)]
pub struct Groups(Arc<Mutex<BTreeMap<RequestId, Pid>>>);

impl Groups {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<RequestId, Pid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a signal to a service and all that it started.
    pub fn signal(&self, service: RequestId, signal: i32) -> Result<(), String> {
        let group = self.lock().get(&service).copied();
        let group = group.ok_or_else(|| "the service does not run".to_owned())?;
        let signal = Signal::try_from(signal).map_err(|error| error.to_string())?;
        killpg(group, signal).map_err(|error| error.to_string())
    }
}

impl Service<'_> {
    /// Starts the service, says when it is ready, ended, or out of time, and stays until it has ended
    /// for good.
    pub fn serve(&self, node: &Node, outbox: &Outbox) {
        let id = self.id;
        let mut waiting = Some(Instant::now() + self.timeout);
        let mut starts = 0;
        loop {
            let (mut child, printed) = match self.start(node, outbox) {
                Ok(started) => started,
                Err(error) if waiting.is_some() => {
                    outbox.send(&Event::Failed { id, error });
                    return;
                }
                Err(error) => {
                    let exit = Exit::NotStarted(error);
                    outbox.send(&Event::ServiceExited { id, exit, again: false });
                    return;
                }
            };
            starts += 1;
            let group = Pid::from_raw(child.id().cast_signed());
            self.groups.lock().insert(id, group);
            let exit = self.watch(node, &mut child, &mut waiting, outbox);
            // Its number can be another one's from here on.
            self.groups.lock().remove(&id);
            let again = self.is_wanted_again(&exit, starts);
            if again {
                // What it left behind may hold its port or its lock.
                let _ = killpg(group, Signal::SIGKILL);
            }
            let deadline = Instant::now() + DRAIN;
            for end in printed {
                let _ = end.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            }
            outbox.send(&Event::ServiceExited { id, exit, again });
            if !again {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn start(&self, node: &Node, outbox: &Outbox) -> Result<(Child, [Receiver<()>; 2]), String> {
        let mut prepared = command_in(node, self.command);
        prepared.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = prepared.spawn().map_err(|error| {
            let program = self.command.argv.first().map_or("", String::as_str);
            format!("cannot start {program}: {error}")
        })?;
        let out = forward_lines(child.stdout.take(), self.id, outbox);
        let err = forward_lines(child.stderr.take(), self.id, outbox);
        Ok((child, [out, err]))
    }

    /// Waits until the service ended. While somebody is `waiting` for it (until that time), says once
    /// that it is ready or that it is not.
    fn watch(
        &self,
        node: &Node,
        child: &mut Child,
        waiting: &mut Option<Instant>,
        outbox: &Outbox,
    ) -> Exit {
        let id = self.id;
        let failed = |error: std::io::Error| Exit::NotStarted(error.to_string());
        let pause = if matches!(self.ready, Readiness::Http { .. }) { POLL_HTTP } else { POLL };
        while let Some(deadline) = *waiting {
            if is_ready(node, self.ready) {
                outbox.send(&Event::Ready { id });
                *waiting = None;
                break;
            }
            match child.try_wait() {
                Ok(Some(status)) => return exit_of(status),
                Ok(None) => {}
                Err(error) => return failed(error),
            }
            if Instant::now() > deadline {
                let error = format!("not ready after {:.1} s", self.timeout.as_secs_f64());
                outbox.send(&Event::Failed { id, error });
                *waiting = None;
                break;
            }
            std::thread::sleep(pause);
        }
        child.wait().map_or_else(failed, exit_of)
    }

    fn is_wanted_again(&self, exit: &Exit, starts: u32) -> bool {
        match self.restart {
            Restart::No => false,
            Restart::OnFailure(limit) => *exit != Exit::Status(0) && starts <= limit,
            Restart::Always(limit) => starts <= limit,
        }
    }
}

fn is_ready(node: &Node, ready: &Readiness) -> bool {
    match ready {
        Readiness::Started | Readiness::Output => true,
        Readiness::File(path) => node.root().join(path.trim_start_matches('/')).exists(),
        // Looked up rather than connected to: a connection would be traffic that nobody asked for.
        Readiness::Tcp(port) => bound(node, &["tcp", "tcp6"], *port, Some("0A")),
        Readiness::Udp(port) => bound(node, &["udp", "udp6"], *port, None),
        Readiness::Http { probe, status, bytes } => {
            let attempts = node.enter_network().map_or_else(|_| Vec::new(), |()| http::run(probe));
            attempts.last().is_some_and(|attempt| {
                attempt.error.is_none()
                    && attempt.status == Some(*status)
                    && attempt.body_matches
                    && bytes.is_none_or(|bytes| attempt.bytes == bytes)
            })
        }
    }
}

/// Whether a socket is bound to the port, from the tables of `/proc/net` (see proc(5)): second
/// column `address:port` in hexadecimal, fourth column the state, `0A` being LISTEN.
fn bound(node: &Node, tables: &[&str], port: u16, state: Option<&str>) -> bool {
    let wanted = format!(":{port:04X}");
    tables.iter().any(|table| {
        let text = std::fs::read_to_string(node.proc_net().join(table)).unwrap_or_default();
        text.lines().skip(1).any(|line| {
            let mut columns = line.split_whitespace();
            columns.nth(1).is_some_and(|local| local.ends_with(&wanted))
                && state.is_none_or(|state| columns.nth(1) == Some(state))
        })
    })
}

/// Sends what a stream carries, line by line. The receiver hears of its end.
fn forward_lines(
    stream: Option<impl Read + Send + 'static>,
    id: RequestId,
    outbox: &Outbox,
) -> Receiver<()> {
    let (sender, receiver) = channel();
    let outbox = outbox.clone();
    std::thread::spawn(move || {
        let Some(stream) = stream else { return };
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = Vec::new();
            match reader.by_ref().take(LINE).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => break,
                Ok(_) => {
                    if line.last() == Some(&b'\n') {
                        line.pop();
                    }
                    outbox.send(&Event::ServiceOutput { id, line });
                }
            }
        }
        let _ = sender.send(());
    });
    receiver
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use kbisect_proto::HttpRequest;
    use kbisect_proto::frame::Decoder;

    use super::*;

    const SOON: Duration = Duration::from_secs(60);

    /// Runs a shell text as a service to its end; gives what was sent.
    fn serve(script: &str, ready: &Readiness, restart: Restart, timeout: Duration) -> Vec<Event> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let outbox = Outbox::new(OwnedFd::from(theirs).into());
        let reader = std::thread::spawn(move || {
            let (mut ours, mut decoder, mut events) = (ours, Decoder::new(), Vec::new());
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = ours.read(&mut buffer) {
                decoder.push(&buffer[..count]);
                while let Some(event) = decoder.next_message::<Event>().unwrap() {
                    events.push(event);
                }
            }
            events
        });
        let argv = ["sh", "-euc", script].map(str::to_owned).to_vec();
        let command = Command { argv, stdin: Vec::new(), keep: 0 };
        Service { id: 5, command: &command, ready, restart, timeout, groups: Groups::default() }
            .serve(&Node::machine(), &outbox);
        drop(outbox);
        reader.join().unwrap()
    }

    fn exited(exit: Exit, again: bool) -> Event {
        Event::ServiceExited { id: 5, exit, again }
    }

    fn said(line: &str) -> Event {
        Event::ServiceOutput { id: 5, line: line.as_bytes().to_vec() }
    }

    #[test]
    fn the_end_comes_last_and_says_how() {
        let events = serve("echo no; exit 3", &Readiness::Tcp(1), Restart::No, SOON);
        assert_eq!(events, [said("no"), exited(Exit::Status(3), false)]);
        let events = serve("kill -SEGV $$", &Readiness::Udp(1), Restart::No, SOON);
        assert_eq!(events, [exited(Exit::Signal(11), false)]);
    }

    #[test]
    fn a_program_that_is_not_there_cannot_be_started() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let command = Command { argv: vec!["/nowhere".to_owned()], stdin: Vec::new(), keep: 0 };
        let ready = &Readiness::Started;
        let service = Service {
            id: 5,
            command: &command,
            ready,
            restart: Restart::Always(9),
            timeout: SOON,
            groups: Groups::default(),
        };
        service.serve(&Node::machine(), &Outbox::new(OwnedFd::from(theirs).into()));
        let mut bytes = Vec::new();
        (&ours).read_to_end(&mut bytes).unwrap();
        let mut decoder = Decoder::new();
        decoder.push(&bytes);
        let event = decoder.next_message::<Event>().unwrap();
        assert!(matches!(event, Some(Event::Failed { id: 5, .. })), "{event:?}");
        assert_eq!(decoder.next_message::<Event>().unwrap(), None);
    }

    #[test]
    fn a_file_makes_it_ready() {
        let folder = std::env::temp_dir().join(format!("kbisect-service-{}", std::process::id()));
        let ready = Readiness::File(folder.display().to_string());
        let script = format!("sleep 0.1; mkdir {0}; sleep 0.1; rmdir {0}", folder.display());
        let events = serve(&script, &ready, Restart::No, SOON);
        assert_eq!(events, [Event::Ready { id: 5 }, exited(Exit::Status(0), false)]);
    }

    #[test]
    fn one_that_is_not_ready_in_time_is_said_to_be_so_once_and_still_watched() {
        let time = Duration::from_millis(50);
        let script = "sleep 0.3";
        let events = serve(script, &Readiness::Tcp(1), Restart::No, time);
        let [Event::Failed { error, .. }, Event::ServiceExited { again: false, .. }] = &events[..]
        else {
            panic!("{events:?}");
        };
        assert_eq!(error, "not ready after 0.1 s");
    }

    #[test]
    fn it_is_started_again_as_often_as_allowed() {
        let ready = &Readiness::Started;
        let events = serve("exit 2", ready, Restart::OnFailure(2), SOON);
        let ends: Vec<&Event> =
            events.iter().filter(|event| matches!(event, Event::ServiceExited { .. })).collect();
        let ended = |again| exited(Exit::Status(2), again);
        assert_eq!(ends, [&ended(true), &ended(true), &ended(false)]);
        assert_eq!(events.iter().filter(|event| matches!(event, Event::Ready { .. })).count(), 1);
        let events = serve("exit 0", ready, Restart::OnFailure(2), SOON);
        assert_eq!(events, [Event::Ready { id: 5 }, exited(Exit::Status(0), false)]);
        let events = serve("exit 0", ready, Restart::Always(1), SOON);
        assert_eq!(events.last(), Some(&exited(Exit::Status(0), false)));
        assert_eq!(events.len(), 3);
    }

    #[test]
    fn a_restart_may_come_before_it_is_ready() {
        let file = std::env::temp_dir().join(format!("kbisect-again-{}", std::process::id()));
        let ready = Readiness::File(file.display().to_string());
        // The first start leaves a trace that the second one finds.
        let script = format!(
            "if test -e {0}.1; then touch {0}; sleep 0.2; else touch {0}.1; exit 1; fi",
            file.display()
        );
        let events = serve(&script, &ready, Restart::OnFailure(1), SOON);
        std::fs::remove_file(&file).unwrap();
        std::fs::remove_file(format!("{}.1", file.display())).unwrap();
        let expected =
            [exited(Exit::Status(1), true), Event::Ready { id: 5 }, exited(Exit::Status(0), false)];
        assert_eq!(events, expected);
    }

    #[test]
    fn http_readiness_needs_the_status_and_the_body() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // Refuses first, then answers with another body, then as it should.
        std::thread::spawn(move || {
            for (status, body) in [(503, "ok"), (200, "not yet"), (200, "ok")] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 512];
                let _ = stream.read(&mut request);
                let answer =
                    format!("HTTP/1.0 {status} x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                std::io::Write::write_all(&mut stream, answer.as_bytes()).unwrap();
            }
        });
        let probe = HttpRequest {
            host: address.ip(),
            port: address.port(),
            path: "/".to_owned(),
            connections: 1,
            timeout_ms: 5000,
            equals: Some("ok".to_owned()),
            contains: None,
        };
        let ready = Readiness::Http { probe, status: 200, bytes: Some(2) };
        let asked = Instant::now();
        let events = serve("sleep 0.5", &ready, Restart::No, SOON);
        assert_eq!(events.first(), Some(&Event::Ready { id: 5 }), "{events:?}");
        assert!(asked.elapsed() >= 2 * POLL_HTTP, "it was asked three times");
    }
}
