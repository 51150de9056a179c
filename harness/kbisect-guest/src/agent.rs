//! The agent: reads requests from the guest channel, a thread for each that takes time.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kbisect_proto::frame::Decoder;
use kbisect_proto::{Event, NodeSetup, PORT_NAME, PROTOCOL, Request, RequestId};

use crate::boot::{Booted, power_off};
use crate::modules::Modules;
use crate::node::{self, Node, Unmade, merge_files};
use crate::outbox::Outbox;
use crate::service::{Groups, Service};
use crate::shell::Terminals;
use crate::{exec, offers, probes, wake, watchdog};

const HEARTBEAT: Duration = Duration::from_millis(500);

#[derive(Default)]
struct State {
    nodes: BTreeMap<String, Arc<Node>>,
    files: BTreeMap<String, Vec<u8>>,
    modules: Modules,
    services: Groups,
    /// Whether the machine is one of its own; until then nothing but answers is sent.
    awake: bool,
}

/// Runs the agent until the machine is switched off.
pub fn run(booted: &Booted) -> ! {
    let Some(port) = open_port(Duration::from_secs(5)) else {
        println!("kbisect-guest: no virtio-serial port named {PORT_NAME}");
        power_off();
    };
    let Ok(mut input) = port.try_clone() else { power_off() };
    let outbox = Outbox::new(port);
    let name = nix::sys::utsname::uname().ok();
    let text = |part: Option<&std::ffi::OsStr>| {
        part.map(|part| part.to_string_lossy().into_owned()).unwrap_or_default()
    };
    if let Some(error) = &booted.root_error {
        outbox.send(&Event::Failed { id: 0, error: error.clone() });
    }
    // The harness files console reports before this line under the boot.
    println!("kbisect-guest: user space is up");
    outbox.send(&Event::Hello {
        protocol: PROTOCOL,
        release: text(name.as_ref().map(|name| name.release())),
        version: text(name.as_ref().map(|name| name.version())),
        uptime_ms: uptime_ms(),
        failed_modules: booted.failed_modules.clone(),
    });
    let mut state = State::default();
    let terminals = Terminals::default();
    let mut decoder = Decoder::new();
    let mut buffer = vec![0; 65536];
    loop {
        match input.read(&mut buffer) {
            // Nobody is at the other end (yet).
            Ok(0) => std::thread::sleep(Duration::from_millis(10)),
            Ok(count) => decoder.push(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                println!("kbisect-guest: cannot read the channel: {error}");
                power_off();
            }
        }
        loop {
            match decoder.next_message::<Request>() {
                Ok(Some(request)) => handle(request, &mut state, &terminals, &outbox),
                Ok(None) => break,
                Err(error) => {
                    println!("kbisect-guest: {error}");
                    power_off();
                }
            }
        }
    }
}

fn handle(request: Request, state: &mut State, terminals: &Terminals, outbox: &Outbox) {
    match request {
        Request::Wake { id, unix_nanos, entropy, macs } => {
            answer(outbox, id, wake::wake(unix_nanos, &entropy, &macs));
            if !std::mem::replace(&mut state.awake, true) {
                let heart = outbox.clone();
                std::thread::spawn(move || beat(&heart));
                std::thread::spawn(watchdog::feed);
            }
        }
        Request::Settle { id, modules } => {
            state.modules.load(&modules);
            watchdog::load();
            node::run_once();
            answer(outbox, id, Ok(()));
        }
        Request::Prepare { id, modules, nodes, files } => {
            merge_files(&mut state.files, files);
            state.modules.load(&modules);
            outbox.send(&prepare(state, id, &nodes));
        }
        Request::Files { id, files } => {
            merge_files(&mut state.files, files);
            answer(outbox, id, Ok(()));
        }
        Request::Lacks { id, features } => {
            outbox.send(&Event::Lacking { id, names: offers::lacking(&features) });
        }
        Request::Reset { id } => answer(outbox, id, reset(state)),
        Request::Ping { id } => answer(outbox, id, Ok(())),
        Request::Exec { id, node, command, timeout_ms } => {
            with_node(state, outbox, id, &node, move |node, outbox| {
                outbox.send(&exec::run(node, id, &command, Duration::from_millis(timeout_ms)));
            });
        }
        Request::Serve { id, node, command, ready, restart, timeout_ms } => {
            let groups = state.services.clone();
            with_node(state, outbox, id, &node, move |node, outbox| {
                let timeout = Duration::from_millis(timeout_ms);
                let service =
                    Service { id, command: &command, ready: &ready, restart, timeout, groups };
                service.serve(node, outbox);
            });
        }
        Request::Signal { id, service, signal } => {
            answer(outbox, id, state.services.signal(service, signal));
        }
        Request::Probe { id, node, probe } => {
            with_node(state, outbox, id, &node, move |node, outbox| {
                outbox.send(&match node.enter_network() {
                    Ok(()) => Event::Probed { id, answer: probes::run(&probe) },
                    Err(error) => Event::Failed { id, error },
                });
            });
        }
        Request::Read { id, node, paths } => {
            with_node(state, outbox, id, &node, move |node, outbox| {
                outbox.send(&Event::Contents { id, files: node.read(&paths) });
            });
        }
        Request::Shell { id, node, rows, columns, term } => {
            let terminals = terminals.clone();
            with_node(state, outbox, id, &node, move |node, outbox| {
                terminals.run(node, id, rows, columns, &term, outbox);
            });
        }
        Request::Terminal { id, data } => terminals.input(id, &data),
        Request::Resize { id, rows, columns } => terminals.resize(id, rows, columns),
        Request::PowerOff => power_off(),
    }
}

fn beat(heart: &Outbox) -> ! {
    loop {
        std::thread::sleep(HEARTBEAT);
        heart.send(&Event::Heartbeat { uptime_ms: uptime_ms() });
    }
}

fn answer(outbox: &Outbox, id: RequestId, result: Result<(), String>) {
    outbox.send(&match result {
        Ok(()) => Event::Done { id },
        Err(error) => Event::Failed { id, error },
    });
}

fn prepare(state: &mut State, id: RequestId, setups: &[NodeSetup]) -> Event {
    for setup in setups {
        match Node::make(setup, &state.files) {
            Ok(node) => state.nodes.insert(setup.name.clone(), Arc::new(node)),
            Err(Unmade { part, command, said }) => {
                let node = setup.name.clone();
                return Event::NotPrepared { id, node, part, command, said };
            }
        };
    }
    Event::Done { id }
}

/// Takes the nodes apart. A thread that still serves a request may hold a node for a while: it holds
/// an empty shell then, without processes and without interfaces.
fn reset(state: &mut State) -> Result<(), String> {
    state.files.clear();
    let nodes: Vec<Arc<Node>> = std::mem::take(&mut state.nodes).into_values().collect();
    for node in &nodes {
        node.take_apart()?;
    }
    nodes.iter().try_for_each(|node| node.interfaces_are_back())
}

fn with_node(
    state: &State,
    outbox: &Outbox,
    id: RequestId,
    name: &str,
    work: impl FnOnce(&Node, &Outbox) + Send + 'static,
) {
    let Some(node) = state.nodes.get(name).cloned() else {
        outbox.send(&Event::Failed { id, error: format!("no node named {name}") });
        return;
    };
    let outbox = outbox.clone();
    std::thread::spawn(move || work(&node, &outbox));
}

/// Finds and opens the port by its name; the driver may still be registering it.
fn open_port(patience: Duration) -> Option<File> {
    let deadline = Instant::now() + patience;
    loop {
        for entry in fs::read_dir("/sys/class/virtio-ports").into_iter().flatten().flatten() {
            let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
            if name.trim() == PORT_NAME {
                let device = PathBuf::from("/dev").join(entry.file_name());
                if let Ok(port) = OpenOptions::new().read(true).write(true).open(device) {
                    return Some(port);
                }
            }
        }
        if Instant::now() > deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn uptime_ms() -> u64 {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds: f64 =
        text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
    (seconds * 1000.0) as u64
}
