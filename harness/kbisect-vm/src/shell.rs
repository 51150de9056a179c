//! An interactive shell in a guest, over the guest channel.

use kbisect_core::job::ShellRequest;
use kbisect_core::verdict::Verdict;
use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use kbisect_proto::Request;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

use crate::machine::Machine;
use crate::trial::Trial;

/// Longest time that a shell is kept open without being asked to end.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How often it is looked whether a shell still wants what is typed.
const LOOK_NANOS: i64 = 50_000_000;

/// Opens a shell if the trial's verdict asks for one, and waits until it ends.
pub async fn offer(trial: &Trial<'_>, request: &ShellRequest) {
    let verdict = trial.verdict();
    if verdict == Verdict::Good && !request.always {
        eprintln!("the verdict is good: no shell (--shell-on always opens one all the same)");
        return;
    }
    let node = request.node.clone().or_else(|| trial.first_candidate_node());
    let Some(node) = node else { return };
    let Some(machine) = trial.machine_of(&node) else {
        eprintln!("no shell: the machine of {node} is down ({verdict})");
        let alive = trial.nodes_up();
        if let Some(first) = alive.first() {
            eprintln!("these nodes are up: {}; a shell in one: --shell={first}", alive.join(", "));
        }
        eprintln!("--vmcore keeps the memory of a machine that crashed");
        return;
    };
    eprintln!("verdict so far: {verdict}");
    eprintln!("shell in {node}; other nodes: --shell=NODE; `exit` ends the trial");
    connect(machine, &node).await;
}

/// Opens a shell in a node in the middle of a trial, and waits until it ends.
pub async fn in_node(machine: Option<&Machine>, node: &str) {
    let Some(machine) = machine else {
        eprintln!("no shell: the machine of {node} is down");
        return;
    };
    eprintln!("shell in {node}; `exit` comes back here");
    connect(machine, node).await;
}

async fn connect(machine: &Machine, node: &str) {
    if let Err(error) = interact(machine, node).await {
        eprintln!("the shell ended: {error}");
    }
}

async fn interact(machine: &Machine, node: &str) -> Result<(), String> {
    let id = machine.next_id();
    let mut output = machine.terminal(id);
    let (rows, columns) = size();
    let term = std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned());
    let _raw = RawMode::enter();
    let (typed, mut input) = mpsc::channel::<Vec<u8>>(16);
    let mut keyboard = Some(typed);
    let request = Request::Shell { id, node: node.to_owned(), rows, columns, term };
    let ended = machine.call(id, &request, DAY);
    tokio::pin!(ended);
    let mut size_now = (rows, columns);
    let mut look = tokio::time::interval(Duration::from_millis(500));
    loop {
        tokio::select! {
            answer = &mut ended => {
                while let Ok(data) = output.try_recv() {
                    show(&data);
                }
                return answer.map(|_| ()).map_err(|error| error.to_string());
            }
            Some(data) = output.recv() => {
                // What is sent before the shell has its terminal is lost: wait for the prompt.
                if let Some(typed) = keyboard.take() {
                    read_keyboard(typed);
                }
                show(&data);
            }
            Some(data) = input.recv() => {
                machine.send(&Request::Terminal { id, data }).await.map_err(|error| error.to_string())?;
            }
            _ = look.tick() => {
                if size() != size_now {
                    size_now = size();
                    let (rows, columns) = size_now;
                    let _ = machine.send(&Request::Resize { id, rows, columns }).await;
                }
            }
        }
    }
}

/// Passes on what comes in on standard input, until the shell ends: what is typed then is for others.
fn read_keyboard(typed: mpsc::Sender<Vec<u8>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 1024];
        // Not buffered: what is read is this shell's.
        let Ok(mut input) = std::io::stdin().as_fd().try_clone_to_owned().map(File::from) else {
            return;
        };
        loop {
            if typed.is_closed() {
                return;
            }
            let mut ready = [PollFd::new(&input, PollFlags::IN)];
            let until = Timespec { tv_sec: 0, tv_nsec: LOOK_NANOS };
            // An interrupted call is made again.
            if !matches!(poll(&mut ready, Some(&until)), Ok(1..)) {
                continue;
            }
            let Ok(count @ 1..) = input.read(&mut buffer) else { break };
            if typed.blocking_send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
        // What is read from a file or a pipe has an end, and a terminal in the guest would never
        // know. An end-of-file character would not survive a change of the terminal's mode.
        let _ = typed.blocking_send(b"\nexit\n".to_vec());
    });
}

/// Shows what the guest's terminal says: beside the other notices, for standard output is for the
/// result, which can be a document.
fn show(data: &[u8]) {
    let mut out = std::io::stderr();
    let _ = out.write_all(data).and_then(|()| out.flush());
}

fn size() -> (u16, u16) {
    tcgetwinsize(std::io::stderr())
        .map_or((24, 80), |size| (size.ws_row.max(1), size.ws_col.max(1)))
}

/// The user's terminal passes every key on; it is put back when this is dropped.
struct RawMode(Termios);

impl RawMode {
    fn enter() -> Option<Self> {
        let input = std::io::stdin();
        if !input.is_terminal() {
            return None;
        }
        let before = tcgetattr(&input).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&input, OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}
