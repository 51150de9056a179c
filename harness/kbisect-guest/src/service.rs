//! Services: started, watched until ready, reported when they end.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use kbisect_proto::{Command, Event, Exit, Readiness, RequestId};

use crate::agent::Outbox;
use crate::exec::{command_in, exit_of};
use crate::node::Node;

/// Longest output line that is sent in one piece, in bytes.
const LINE: u64 = 4096;
/// How often readiness is looked at.
const POLL: Duration = Duration::from_millis(10);

/// Starts a service and waits until it is ready, ended, or out of time.
pub fn serve(
    node: &Node,
    id: RequestId,
    command: &Command,
    ready: &Readiness,
    timeout: Duration,
    outbox: &Outbox,
) {
    let mut prepared = command_in(node, command);
    prepared.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match prepared.spawn() {
        Ok(child) => child,
        Err(error) => {
            let program = command.argv.first().map_or("", String::as_str);
            outbox.send(&Event::Failed { id, error: format!("cannot start {program}: {error}") });
            return;
        }
    };
    forward_lines(child.stdout.take(), id, outbox);
    forward_lines(child.stderr.take(), id, outbox);
    let ended = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = mpsc::channel();
    {
        let (ended, outbox) = (Arc::clone(&ended), outbox.clone());
        std::thread::spawn(move || {
            let exit =
                child.wait().map_or_else(|error| Exit::NotStarted(error.to_string()), exit_of);
            ended.store(true, Ordering::SeqCst);
            // Said after the answer about readiness, so that the two cannot overtake each other.
            let _ = receiver.recv();
            outbox.send(&Event::ServiceExited { id, exit });
        });
    }
    let deadline = Instant::now() + timeout;
    let answer = loop {
        if is_ready(node, ready) {
            break Event::Ready { id };
        }
        if ended.load(Ordering::SeqCst) {
            break Event::Failed { id, error: "ended before it was ready".to_owned() };
        }
        if Instant::now() > deadline {
            let error = format!("not ready after {:.1} s", timeout.as_secs_f64());
            break Event::Failed { id, error };
        }
        std::thread::sleep(POLL);
    };
    outbox.send(&answer);
    let _ = sender.send(());
}

fn is_ready(node: &Node, ready: &Readiness) -> bool {
    match ready {
        Readiness::Started | Readiness::Output => true,
        Readiness::File(path) => node.root().join(path.trim_start_matches('/')).exists(),
        // Looked up rather than connected to: a connection would be traffic that nobody asked for.
        Readiness::Tcp(port) => bound(node, &["tcp", "tcp6"], *port, Some("0A")),
        Readiness::Udp(port) => bound(node, &["udp", "udp6"], *port, None),
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

fn forward_lines(stream: Option<impl Read + Send + 'static>, id: RequestId, outbox: &Outbox) {
    let Some(stream) = stream else { return };
    let outbox = outbox.clone();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = Vec::new();
            match reader.by_ref().take(LINE).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    if line.last() == Some(&b'\n') {
                        line.pop();
                    }
                    outbox.send(&Event::ServiceOutput { id, line });
                }
            }
        }
    });
}
