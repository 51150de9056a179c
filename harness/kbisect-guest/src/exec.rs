//! Programs that run to their end, with bounded output and a deadline.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kbisect_proto::{Command, Event, Exit, RequestId};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::node::Node;
use crate::programs::{PATH, enter_before_exec};

/// How long output is still collected after the program ended: a process that it left behind may
/// hold the pipe open for ever.
pub const DRAIN: Duration = Duration::from_millis(150);

/// The last bytes of a stream.
#[derive(Default)]
struct Tail {
    bytes: VecDeque<u8>,
    keep: usize,
}

impl Tail {
    fn push(&mut self, part: &[u8]) {
        self.bytes.extend(part);
        let excess = self.bytes.len().saturating_sub(self.keep);
        self.bytes.drain(..excess);
    }
}

/// Prepares a program to run in a node.
pub fn command_in(node: &Node, command: &Command) -> std::process::Command {
    let mut prepared =
        std::process::Command::new(command.argv.first().map_or("true", String::as_str));
    prepared
        .args(command.argv.iter().skip(1))
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", "/root")
        .env("LC_ALL", "C.UTF-8")
        .env("KBISECT_NODE", &node.name)
        .env("KBISECT_ASSETS", kbisect_proto::ASSETS_DIR);
    enter_before_exec(&mut prepared, node.entry());
    prepared
}

/// Runs a program to its end or its deadline.
pub fn run(node: &Node, id: RequestId, command: &Command, timeout: Duration) -> Event {
    let start = Instant::now();
    let mut prepared = command_in(node, command);
    prepared.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match prepared.spawn() {
        Ok(child) => child,
        Err(error) => {
            let program = command.argv.first().map_or("", String::as_str);
            let exit = Exit::NotStarted(format!("{program}: {error}"));
            return Event::Exited { id, exit, stdout: Vec::new(), stderr: Vec::new(), millis: 0 };
        }
    };
    if let Some(mut input) = child.stdin.take() {
        let data = command.stdin.clone();
        std::thread::spawn(move || input.write_all(&data));
    }
    let keep = command.keep as usize;
    let (stdout, out_done) = collect(child.stdout.take(), keep);
    let (stderr, err_done) = collect(child.stderr.take(), keep);
    let exit = wait(child, timeout);
    let deadline = Instant::now() + DRAIN;
    for done in [out_done, err_done] {
        let _ = done.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
    let millis = start.elapsed().as_millis() as u64;
    Event::Exited { id, exit, stdout: taken(&stdout), stderr: taken(&stderr), millis }
}

/// How a process ended, in the protocol's words.
pub fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Status(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::NotStarted("ended in an unknown way".to_owned()),
    }
}

fn wait(mut child: Child, timeout: Duration) -> Exit {
    let group = Pid::from_raw(child.id().cast_signed());
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(child.wait()));
    match receiver.recv_timeout(timeout) {
        Ok(Ok(status)) => exit_of(status),
        Ok(Err(error)) => Exit::NotStarted(error.to_string()),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            // The program leads its own session, so its group holds all that it started.
            let _ = killpg(group, Signal::SIGKILL);
            let _ = receiver.recv_timeout(Duration::from_secs(2));
            Exit::TimedOut
        }
    }
}

type Collected = (Arc<Mutex<Tail>>, std::sync::mpsc::Receiver<()>);

fn collect(stream: Option<impl Read + Send + 'static>, keep: usize) -> Collected {
    let tail = Arc::new(Mutex::new(Tail { bytes: VecDeque::new(), keep }));
    let (sender, receiver) = channel();
    if let Some(mut stream) = stream {
        let tail = Arc::clone(&tail);
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                if let Ok(mut tail) = tail.lock() {
                    tail.push(&buffer[..count]);
                }
            }
            let _ = sender.send(());
        });
    }
    (tail, receiver)
}

fn taken(tail: &Mutex<Tail>) -> Vec<u8> {
    tail.lock().map(|mut tail| std::mem::take(&mut tail.bytes).into()).unwrap_or_default()
}
