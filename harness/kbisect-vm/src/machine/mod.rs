//! A machine: one QEMU process with its console, QMP and guest channel, owned by one task.
//!
//! The task watches all signals and decides when the machine is *down*: it ended, it crashed and
//! the trace is out, or it no longer answers. Everybody who waits for an answer is told at once.

mod dump;
mod log;
mod service;
pub(crate) mod shared;
mod spec;
mod state;
mod watch;

pub use service::ServiceState;
pub use shared::{Hello, MachineState, SaveError, Witness};
pub use spec::MachineSpec;

pub use dump::DumpError;
pub use state::Start;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kbisect_core::console::Scanner;
use kbisect_core::disturbed::Whose;
use kbisect_core::trial::Phase;
use kbisect_proto::frame::{Decoder, encode};
use kbisect_proto::{Event, Request, RequestId};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};

use crate::lock::lock;
use crate::process::{Inherited, die_with_us, inherit, kill_group};
use crate::pulse::Pulse;
use crate::qemu::CommandLine;
use crate::qmp::QmpReader;
use crate::times::Times;

use self::log::Log;
use self::shared::{Order, Shared};
use self::watch::Watch;

/// Why a machine could not be started. Always our own or the host's failure.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Files or sockets.
    #[error("cannot prepare the {machine} machine")]
    Prepare {
        /// Its name.
        machine: String,
        /// Why.
        source: io::Error,
    },
    /// The process.
    #[error("cannot start {path}")]
    Spawn {
        /// QEMU.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Why there is no answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The machine is down; its state says why.
    #[error("the machine is down")]
    Down,
    /// No answer in time, though the machine lives.
    #[error("no answer in time")]
    Deadline,
}

/// A running machine. Dropping it kills it.
pub struct Machine {
    shared: Arc<Shared>,
    outgoing: mpsc::Sender<Vec<u8>>,
    orders: mpsc::Sender<Order>,
    task: tokio::task::JoinHandle<()>,
    name: String,
    times: Times,
    pid: u32,
    started: Instant,
    pulse: Pulse,
    /// Our ends of the interfaces' sockets, in the order of the addresses.
    pub sockets: Vec<std::os::unix::net::UnixStream>,
}

impl Machine {
    /// Starts QEMU. Returns as soon as the process runs.
    pub fn start(spec: &MachineSpec, start: &Start<'_>) -> Result<Self, StartError> {
        let began = Instant::now();
        let prepare = |source| StartError::Prepare { machine: spec.name.clone(), source };
        std::fs::create_dir_all(&spec.directory).map_err(prepare)?;
        let pairs = (0..3 + spec.macs.len())
            .map(|_| Inherited::new())
            .collect::<io::Result<Vec<_>>>()
            .map_err(prepare)?;
        let vmcore = spec.vmcore.as_ref().map(File::create).transpose().map_err(prepare)?;
        let nics = spec.nics(pairs[3..].iter().map(Inherited::number));
        let line = CommandLine {
            console: pairs[0].number(),
            qmp: pairs[1].number(),
            channel: pairs[2].number(),
            vmcore: vmcore.as_ref().map(AsRawFd::as_raw_fd),
            state: start.file(),
            ..spec.command_line(&nics)
        };
        let arguments = line.arguments();
        record_command_line(&spec.directory, &spec.qemu.path, &arguments).map_err(prepare)?;
        std::fs::write(spec.directory.join("cmdline"), line.kernel_arguments() + "\n")
            .map_err(prepare)?;
        let log = File::create(spec.directory.join("qemu.log")).map_err(prepare)?;
        let mut command = std::process::Command::new(&spec.qemu.path);
        command.args(&arguments).stdin(Stdio::null());
        command.stdout(log.try_clone().map_err(prepare)?).stderr(log);
        die_with_us(&mut command);
        let files = vmcore.as_ref().map(AsRawFd::as_raw_fd).into_iter().chain(start.descriptor());
        inherit(&mut command, pairs.iter().map(Inherited::number).chain(files).collect());
        let mut command = Command::from(command);
        command.kill_on_drop(true);
        let child = command
            .spawn()
            .map_err(|source| StartError::Spawn { path: spec.qemu.path.clone(), source })?;
        let pid = child.id().unwrap_or_default();
        let mut sockets: Vec<_> = pairs.into_iter().map(|pair| pair.ours).collect();
        let nic_sockets = sockets.split_off(3);
        let console_log = File::create(spec.directory.join("console.log")).map_err(prepare)?;
        let times = File::create(spec.directory.join("console.times")).map_err(prepare)?;
        let qmp_log = File::create(spec.directory.join("qmp.log")).map_err(prepare)?;
        let mut streams = sockets.into_iter().map(|socket| {
            socket.set_nonblocking(true)?;
            UnixStream::from_std(socket)
        });
        let mut next = || streams.next().unwrap_or_else(|| Err(io::Error::other("no socket")));
        let (console, qmp, channel) =
            (next().map_err(prepare)?, next().map_err(prepare)?, next().map_err(prepare)?);
        let started = Instant::now();
        spec.pulse.watch(spec.side, pid);
        let shared = Arc::new(Shared::new(started));
        let (outgoing, to_guest) = mpsc::channel(64);
        let (orders, given) = mpsc::channel(1);
        let (channel_reader, channel_writer) = channel.into_split();
        tokio::spawn(write_channel(channel_writer, to_guest));
        let (qmp_reader, qmp_writer) = qmp.into_split();
        let watch = Watch {
            shared: Arc::clone(&shared),
            child,
            pid,
            console: Some(console),
            channel: Some(channel_reader),
            qmp: Some(qmp_reader),
            qmp_writer,
            orders: given,
            dumping: None,
            state: start.work(),
            born: start.born(),
            pauses: spec.vmcore.is_some(),
            resuming: None,
            paused: false,
            log: Log {
                file: console_log,
                times,
                parts: 0,
                noted: 0,
                written: 0,
                marker: None,
                tail: Vec::new(),
            },
            scanner: Scanner::new(),
            decoder: Decoder::new(),
            qmp_lines: QmpReader::default(),
            banners: 0,
            shutdown: None,
            quitting: false,
            last_console: started,
            timing: spec.timing,
            pulse: spec.pulse.clone(),
            side: spec.side,
            silence: spec.timing.silence,
            started,
            qemu_log: spec.directory.join("qemu.log"),
            console_log_path: spec.directory.join("console.log"),
            qmp_log,
            qmp_written: 0,
        };
        let task = tokio::spawn(watch.run(start.console()));
        spec.times.add(&spec.name, "start of QEMU".to_owned(), began);
        let (name, times) = (spec.name.clone(), spec.times.clone());
        let pulse = spec.pulse.clone();
        let sockets = nic_sockets;
        Ok(Self { shared, outgoing, orders, task, name, times, pid, started, pulse, sockets })
    }

    /// A copy of what is known.
    pub fn state(&self) -> MachineState {
        lock(&self.shared.state).clone()
    }

    /// Looks at what is known without copying it.
    pub fn look<T>(&self, look: impl FnOnce(&MachineState) -> T) -> T {
        look(&lock(&self.shared.state))
    }

    /// Whether it is down.
    pub fn is_down(&self) -> bool {
        self.look(|state| state.end.is_some())
    }

    /// Waits until the trace of a crash that began on the console is complete; at once when there
    /// is none. The machine is down afterwards, or `deadline` passed.
    pub async fn settled(&self, deadline: Duration) {
        if self.look(|state| state.crashed) {
            let _ = self.in_time(deadline, self.down()).await;
        }
    }

    /// Waits for something, at most as long as this in time that counts.
    pub async fn in_time<T>(&self, deadline: Duration, work: impl Future<Output = T>) -> Option<T> {
        self.pulse.timeout(deadline, Whose::Everyone, work).await.ok()
    }

    /// Who can tell later whether it is down.
    pub fn witness(&self) -> Witness {
        Witness(Arc::clone(&self.shared))
    }

    /// Process id of QEMU.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Most memory that QEMU took so far, in MiB (proc(5), `VmHWM`).
    pub fn peak_mib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib >> 10)
    }

    /// When QEMU was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Says which phase the trial is in: console reports are filed under it.
    pub fn set_phase(&self, phase: Phase) {
        lock(&self.shared.state).phase = phase;
    }

    /// Waits until user space says hello.
    ///
    /// # Errors
    /// [`CallError::Down`] when the machine ended before, [`CallError::Deadline`].
    pub async fn hello(&self, deadline: Duration) -> Result<Hello, CallError> {
        let wait = self.until(|state| match (&state.hello, &state.end) {
            (_, Some(_)) => Some(Err(CallError::Down)),
            (Some(hello), None) if state.boot_error.is_none() => Some(Ok(hello.clone())),
            (Some(_), None) => Some(Err(CallError::Down)),
            (None, None) => None,
        });
        let began = Instant::now();
        let result = self.in_time(deadline, wait).await.unwrap_or(Err(CallError::Deadline));
        self.times.add(&self.name, "hello".to_owned(), began);
        result
    }

    /// Waits until the machine is down.
    pub async fn down(&self) {
        self.until(|state| state.end.is_some().then_some(())).await;
    }

    /// Waits until `test` finds something. Cancel-safe.
    pub async fn until<T>(&self, test: impl Fn(&MachineState) -> Option<T>) -> T {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(found) = self.look(&test) {
                return found;
            }
            changed.await;
        }
    }

    /// Announces a service that is about to be asked for.
    pub fn expect_service(&self, id: RequestId, service: ServiceState) {
        lock(&self.shared.state).services.insert(id, service);
    }

    /// Ends the files of what services printed; whatever they still say is dropped.
    pub fn forget_services(&self) {
        let services = std::mem::take(&mut lock(&self.shared.state).services);
        for mut service in services.into_values() {
            service.close();
        }
    }

    /// A number for the next request.
    pub fn next_id(&self) -> RequestId {
        self.shared.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends a request and waits for its answer.
    pub async fn call(
        &self,
        id: RequestId,
        request: &Request,
        deadline: Duration,
    ) -> Result<Event, CallError> {
        self.call_until(id, request, deadline, self.down()).await
    }

    /// As [`Machine::call`], also of a machine that counts as down: after an oops a kernel often
    /// still answers, and what it says then is evidence. No answer says nothing.
    pub async fn call_crashed(
        &self,
        id: RequestId,
        request: &Request,
        deadline: Duration,
    ) -> Result<Event, CallError> {
        self.call_until(id, request, deadline, std::future::pending()).await
    }

    async fn call_until(
        &self,
        id: RequestId,
        request: &Request,
        deadline: Duration,
        given_up: impl Future<Output = ()>,
    ) -> Result<Event, CallError> {
        let began = Instant::now();
        let (sender, receiver) = oneshot::channel();
        lock(&self.shared.pending).insert(id, sender);
        let answer = async {
            self.send(request).await?;
            tokio::select! {
                answer = receiver => answer.map_err(|_| CallError::Down),
                () = given_up => Err(CallError::Down),
            }
        };
        let result = self.in_time(deadline, answer).await.unwrap_or(Err(CallError::Deadline));
        lock(&self.shared.pending).remove(&id);
        let answer = result.as_ref().map_err(ToString::to_string);
        self.times.asked(&self.name, request, answer, began);
        result
    }

    /// Sends a request without waiting for an answer.
    pub async fn send(&self, request: &Request) -> Result<(), CallError> {
        let frame = encode(request).map_err(|_| CallError::Down)?;
        self.outgoing.send(frame).await.map_err(|_| CallError::Down)
    }

    /// Receives the output of a terminal.
    pub fn terminal(&self, id: RequestId) -> mpsc::UnboundedReceiver<Vec<u8>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        lock(&self.shared.terminals).insert(id, sender);
        receiver
    }

    /// Takes the carrier of an interface, by its place in the machine's plan, or gives it back.
    pub async fn set_carrier(&self, interface: usize, up: bool) {
        // One that is gone has no carrier.
        let _ = self.orders.send(Order::Carrier(interface, up)).await;
    }

    /// Switches the machine off and waits until its process is gone. Whatever was printed until
    /// then has been classified.
    pub async fn stop(mut self) -> MachineState {
        let began = Instant::now();
        let _ = self.orders.send(Order::Quit).await;
        let grace = Duration::from_secs(3);
        if tokio::time::timeout(grace, &mut self.task).await.is_err() {
            kill_group(self.pid);
            let _ = tokio::time::timeout(grace, &mut self.task).await;
        }
        self.times.add(&self.name, "end of QEMU".to_owned(), began);
        self.state()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.pulse.forget(self.pid);
        if !self.task.is_finished() {
            // The process is not waited for yet, so the number is still its own.
            kill_group(self.pid);
            self.task.abort();
        }
    }
}

/// Writes the exact command, one argument a line: evidence, and what `--help` of nothing can tell.
fn record_command_line(directory: &Path, qemu: &Path, arguments: &[String]) -> io::Result<()> {
    let mut text = format!("{}\n", qemu.display());
    for argument in arguments {
        text += argument;
        text.push('\n');
    }
    std::fs::write(directory.join("qemu.cmdline"), text)
}

async fn write_channel(mut writer: OwnedWriteHalf, mut frames: mpsc::Receiver<Vec<u8>>) {
    while let Some(frame) = frames.recv().await {
        if writer.write_all(&frame).await.is_err() {
            return;
        }
    }
}
