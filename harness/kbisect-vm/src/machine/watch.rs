//! The task that owns a machine: reads all signals, and decides when the machine is down.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kbisect_core::console::{self, MilestoneKind, ReportKind, Scanner};
use kbisect_core::disturbed::Standing;
use kbisect_core::judge::MachineEnd;
use kbisect_core::trial::{ConsoleReport, Phase, SymptomKind};
use kbisect_proto::frame::Decoder;
use kbisect_proto::{Event, PROTOCOL};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot};

use super::log::Log;
use super::shared::{Hello, Order, SaveError, Shared};
use crate::lock::lock;
use crate::process::kill_group;
use crate::pulse::{Pulse, STANDSTILL, Side};
use crate::qmp::{self, QmpEvent, QmpReader};
use crate::timing::Timing;

/// Most bytes of QMP that are kept in the log.
const MAX_QMP_LOG: usize = 1 << 20;
/// How far a guest's clock may be ahead. It starts after QEMU does, so it should never be.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);
/// How often the task looks at its timers.
const TICK: Duration = Duration::from_millis(100);
/// How long QEMU may refuse to let a machine go on from its state.
const RESUME_PATIENCE: Duration = Duration::from_secs(60);

/// What QEMU does with the machine's state.
pub(super) enum StateWork {
    /// Nothing.
    None,
    /// It reads it; the machine goes on from there.
    Loading,
    /// It writes it; somebody waits for that.
    Saving(oneshot::Sender<Result<Vec<u8>, SaveError>>),
}

pub(super) struct Watch {
    pub shared: Arc<Shared>,
    pub child: Child,
    pub pid: u32,
    pub console: Option<UnixStream>,
    pub channel: Option<tokio::net::unix::OwnedReadHalf>,
    pub qmp: Option<tokio::net::unix::OwnedReadHalf>,
    pub qmp_writer: OwnedWriteHalf,
    pub orders: mpsc::Receiver<Order>,
    /// Who waits for the dump that is being written.
    pub dumping: Option<oneshot::Sender<Option<String>>>,
    pub state: StateWork,
    /// How long the guest was up before QEMU was started.
    pub born: Duration,
    /// Whether QEMU pauses where it would end: after a restart that nobody asked for.
    pub pauses: bool,
    /// Since when QEMU was told to let the machine go on, while it has not said that it does.
    pub resuming: Option<Instant>,
    /// The virtual CPUs stand still, and we did not ask for it.
    pub paused: bool,
    pub log: Log,
    pub scanner: Scanner,
    pub decoder: Decoder,
    pub qmp_lines: QmpReader,
    pub banners: u32,
    pub shutdown: Option<(bool, String)>,
    pub quitting: bool,
    pub last_console: Instant,
    pub timing: Timing,
    pub pulse: Pulse,
    pub side: Side,
    pub silence: Duration,
    pub started: Instant,
    pub qemu_log: PathBuf,
    pub console_log_path: PathBuf,
    pub qmp_log: File,
    pub qmp_written: usize,
}

impl Watch {
    /// Every arm is cancel-safe: reads of single chunks, a channel, a timer, the child's end.
    pub(super) async fn run(mut self, printed: Vec<u8>) {
        self.on_console(&printed);
        let mut console = vec![0; 1 << 16];
        let mut channel = vec![0; 1 << 16];
        let mut qmp = vec![0; 1 << 12];
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                read = read_some(&mut self.console, &mut console) => self.on_console(&console[..read]),
                read = read_some(&mut self.channel, &mut channel) => self.on_channel(&channel[..read]),
                read = read_some(&mut self.qmp, &mut qmp) => self.on_qmp(&qmp[..read]).await,
                status = self.child.wait() => {
                    // What it may have started goes with it, and lets go of our sockets.
                    kill_group(self.pid);
                    self.drain().await;
                    self.on_exit(status);
                    return;
                }
                Some(order) = self.orders.recv() => self.on_order(order).await,
                _ = tick.tick() => self.on_tick(),
            }
        }
    }

    async fn on_order(&mut self, order: Order) {
        match order {
            Order::Quit => {
                self.quitting = true;
                let _ = self.qmp_writer.write_all(qmp::QUIT).await;
            }
            Order::Dump(format, done) => {
                self.dumping = Some(done);
                let _ = self.qmp_writer.write_all(qmp::STOP).await;
                let _ = self.qmp_writer.write_all(&qmp::dump(format)).await;
            }
            Order::Carrier(interface, up) => {
                let _ = self.qmp_writer.write_all(&qmp::set_link(interface, up)).await;
            }
            Order::Save(done) if self.complains() => {
                let _ = done.send(Err(SaveError::Complained));
            }
            Order::Save(done) => {
                self.state = StateWork::Saving(done);
                for command in [qmp::STOP, qmp::WRITE_STATE] {
                    let _ = self.qmp_writer.write_all(command).await;
                }
            }
        }
    }

    fn on_console(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.last_console = Instant::now();
        self.log.push(bytes);
        if let Some(words) = self.log.left_out() {
            lock(&self.shared.state).console_left_out = Some(words);
        }
        let events = self.scanner.push(bytes);
        self.on_scanned(events);
    }

    fn on_scanned(&mut self, events: Vec<console::Event>) {
        for event in events {
            match event {
                console::Event::Opened { kind, .. } => {
                    if matches!(kind, ReportKind::Panic | ReportKind::Oops) {
                        lock(&self.shared.state).crashed = true;
                    }
                }
                console::Event::Report(report) => self.on_report(*report),
                console::Event::Milestone(milestone) => match milestone.kind {
                    MilestoneKind::LinuxBanner { .. } => {
                        self.banners += 1;
                        if self.banners > 1 {
                            self.down(MachineEnd::Restarted);
                        }
                    }
                    MilestoneKind::Panic => lock(&self.shared.state).crashed = true,
                    MilestoneKind::Restarting
                    | MilestoneKind::PowerDown
                    | MilestoneKind::Halted => {}
                },
            }
        }
    }

    fn on_report(&mut self, report: console::Report) {
        if report.suppressed {
            return;
        }
        let before_user_space = self.log.marker.is_none_or(|marker| report.offset < marker);
        let window = report.class.watches_s().map(|seconds| {
            let now = Instant::now();
            self.pulse.window(now.checked_sub(Duration::from_secs(seconds)).unwrap_or(now))
        });
        let mut state = lock(&self.shared.state);
        state.report_windows.push(window);
        let phase = if before_user_space { Phase::Boot } else { state.phase.max(Phase::Setup) };
        state.reports.push(ConsoleReport {
            console: None,
            kind: symptom_kind(report.kind),
            title: report.title,
            phase,
            fatal: report.fatal,
            line: report.line,
            alt_titles: report.alt_titles,
            frames: report.frames,
            text: report.text,
        });
        drop(state);
        self.shared.changed.notify_waiters();
    }

    fn on_channel(&mut self, bytes: &[u8]) {
        self.decoder.push(bytes);
        loop {
            match self.decoder.next_message::<Event>() {
                Ok(Some(event)) => self.on_event(event),
                Ok(None) => return,
                Err(error) => {
                    self.channel = None;
                    self.down(MachineEnd::ChannelBroken(error.to_string()));
                    return;
                }
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        self.pulse.hear(self.pid);
        let mut state = lock(&self.shared.state);
        state.heard = Instant::now();
        if let Event::Hello { uptime_ms, .. } | Event::Heartbeat { uptime_ms } = event {
            let up = Duration::from_millis(uptime_ms).saturating_sub(self.born);
            let ahead = up.saturating_sub(self.started.elapsed());
            if ahead > CLOCK_TOLERANCE {
                state.clock_ahead = state.clock_ahead.max(Some(ahead));
            }
        }
        match event {
            Event::Hello { protocol, .. } if protocol != PROTOCOL => {
                state.boot_error =
                    Some(format!("the guest speaks protocol {protocol}, not {PROTOCOL}"));
            }
            Event::Hello { release, failed_modules, uptime_ms, .. } => {
                let after = self.started.elapsed();
                let hello = Hello { release, failed_modules, uptime_ms, after };
                state.hello.get_or_insert(hello);
            }
            Event::Heartbeat { .. } => {}
            Event::Failed { id: 0, error } => state.boot_error = Some(error),
            Event::ServiceOutput { id, line } => {
                if let Some(service) = state.services.get_mut(&id) {
                    service.printed(&line);
                }
            }
            Event::ServiceExited { id, exit, again } => {
                if let Some(service) = state.services.get_mut(&id) {
                    service.exited(exit.clone(), again);
                }
                // The last word on one that was not ready yet is the answer to the request for it.
                if let (false, Some(waiting)) = (again, lock(&self.shared.pending).remove(&id)) {
                    let _ = waiting.send(Event::ServiceExited { id, exit, again });
                }
            }
            Event::Terminal { id, data } => {
                if let Some(terminal) = lock(&self.shared.terminals).get(&id) {
                    let _ = terminal.send(data);
                }
            }
            Event::Done { id }
            | Event::Failed { id, .. }
            | Event::Exited { id, .. }
            | Event::Ready { id }
            | Event::Contents { id, .. }
            | Event::NotPrepared { id, .. }
            | Event::Lacking { id, .. }
            | Event::Probed { id, .. } => {
                if let Event::Exited { .. } = event {
                    lock(&self.shared.terminals).remove(&id);
                }
                if let Some(waiting) = lock(&self.shared.pending).remove(&id) {
                    let _ = waiting.send(event);
                }
            }
        }
        drop(state);
        self.shared.changed.notify_waiters();
    }

    async fn on_qmp(&mut self, bytes: &[u8]) {
        // What QEMU said is evidence when a machine ends without a word.
        if self.qmp_written < MAX_QMP_LOG {
            self.qmp_written += bytes.len();
            let _ = self.qmp_log.write_all(bytes);
        }
        for event in self.qmp_lines.push(bytes) {
            match event {
                QmpEvent::Greeting => {
                    let _ = self.qmp_writer.write_all(qmp::CAPABILITIES).await;
                    let _ = self.qmp_writer.write_all(qmp::STATE_EVENTS).await;
                    if matches!(self.state, StateWork::Loading) {
                        let _ = self.qmp_writer.write_all(qmp::READ_STATE).await;
                    }
                }
                QmpEvent::Shutdown { guest, reason } => {
                    lock(&self.shared.state).panicked |= reason == "guest-panic";
                    self.shutdown = Some((guest, reason));
                }
                QmpEvent::Watchdog => lock(&self.shared.state).watchdog = true,
                QmpEvent::GuestPanicked => lock(&self.shared.state).panicked = true,
                QmpEvent::Stopped => {
                    self.paused = self.dumping.is_none() && matches!(self.state, StateWork::None);
                }
                QmpEvent::Resumed => {
                    self.paused = false;
                    self.resuming = None;
                }
                QmpEvent::DiskFailed { drive, operation, why } => {
                    let words = format!("the host could not {operation} the {drive} image: {why}");
                    self.down(MachineEnd::QemuEnded(words));
                }
                QmpEvent::StateEnded(error) => self.on_state(error).await,
                QmpEvent::DumpEnded(error) => {
                    if let Some(done) = self.dumping.take() {
                        let _ = done.send(error);
                    }
                }
            }
        }
    }

    /// QEMU has written or read the machine's state, or could not.
    async fn on_state(&mut self, error: Option<String>) {
        match (std::mem::replace(&mut self.state, StateWork::None), error) {
            (StateWork::None, _) => {}
            (StateWork::Loading, Some(why)) => {
                self.down(MachineEnd::QemuEnded(format!("the saved state cannot be read: {why}")));
            }
            (StateWork::Loading, None) => {
                self.resuming = Some(Instant::now());
                let _ = self.qmp_writer.write_all(qmp::CONT).await;
            }
            (StateWork::Saving(done), error) => {
                // What was printed before belongs to the state; the machine stands still.
                self.drain_console(Duration::from_millis(2)).await;
                self.resuming = Some(Instant::now());
                let _ = self.qmp_writer.write_all(qmp::CONT).await;
                let printed = || {
                    std::fs::read(&self.console_log_path)
                        .map_err(|error| SaveError::Failed(error.to_string()))
                };
                let _ = done.send(match error {
                    Some(why) => Err(SaveError::Failed(why)),
                    None if self.complains() => Err(SaveError::Complained),
                    None => printed(),
                });
            }
        }
    }

    fn on_tick(&mut self) {
        if let Some(since) = self.resuming {
            // On a busy host QEMU tells of a complete state a moment before it takes this order
            // ("migration is not finalized yet"), and the machine would stand still for good.
            let _ = self.qmp_writer.try_write(qmp::CONT);
            lock(&self.shared.state).heard = Instant::now();
            if since.elapsed() > RESUME_PATIENCE {
                self.resuming = None;
                self.down(MachineEnd::QemuEnded(
                    "QEMU did not let the machine go on from its state".to_owned(),
                ));
                return;
            }
        }
        let Timing { quiet, quiet_in_trace, .. } = self.timing;
        let patience = if self.scanner.is_collecting() { quiet_in_trace } else { quiet };
        let quiet = self.pulse.lived(self.last_console, self.side.whose()) > patience;
        let mut state = lock(&self.shared.state);
        if !matches!(self.state, StateWork::None) {
            // QEMU holds the guest for its state: that is no silence of the guest's.
            state.heard = Instant::now();
            return;
        }
        if state.end.is_some() || self.quitting {
            return;
        }
        let stopped = self.pulse.stopped(self.pid);
        if stopped > STANDSTILL {
            drop(state);
            self.down(MachineEnd::QemuEnded(format!(
                "QEMU (process {}) was stopped for {} s by somebody else, and did not go on",
                self.pid,
                stopped.as_secs()
            )));
            return;
        }
        // QEMU is not going to end by itself, and what the console still holds comes first.
        if self.pauses && self.shutdown.is_some() && quiet {
            drop(state);
            let events = self.scanner.finish();
            self.scanner = Scanner::new();
            self.on_scanned(events);
            self.down(self.how_it_ended().unwrap_or_default());
            return;
        }
        if state.crashed && quiet {
            drop(state);
            let events = self.scanner.finish();
            self.scanner = Scanner::new();
            self.on_scanned(events);
            self.down(MachineEnd::Running);
            return;
        }
        // No guest can do that: QEMU does, when the host fails it, and people do.
        if self.paused && self.shutdown.is_none() && quiet {
            drop(state);
            self.down(MachineEnd::QemuEnded(
                "QEMU paused the machine and did not let it go on".to_owned(),
            ));
            return;
        }
        // What the host took from the machine is no silence of the guest's.
        let silent = self.pulse.lived(state.heard, self.side.whose());
        let hang_reported = state
            .reports
            .iter()
            .any(|report| report.kind == SymptomKind::Hang && report.phase > Phase::Boot);
        let limit = if hang_reported || state.watchdog { self.silence / 8 } else { self.silence };
        if state.hello.is_some() && silent > limit && quiet {
            let window = self.pulse.window(state.heard);
            if matches!(self.pulse.standing(window, self.side.whose()), Standing::Disturbed { .. })
            {
                return;
            }
            state.silence = window;
            drop(state);
            self.down(MachineEnd::Silent { seconds: silent.as_secs() as u32 });
        }
    }

    /// Reads what the console still holds after the process ended.
    async fn drain(&mut self) {
        self.drain_console(Duration::from_millis(200)).await;
        let mut buffer = vec![0; 1 << 16];
        while self.qmp.is_some() {
            let read = read_some(&mut self.qmp, &mut buffer);
            match tokio::time::timeout(Duration::from_millis(50), read).await {
                Ok(count) => {
                    let bytes = buffer[..count].to_vec();
                    self.on_qmp(&bytes).await;
                }
                Err(_) => break,
            }
        }
        let events = self.scanner.finish();
        self.on_scanned(events);
    }

    /// Whether the console told of trouble, or is about to.
    fn complains(&self) -> bool {
        self.scanner.has_open() || !lock(&self.shared.state).reports.is_empty()
    }

    async fn drain_console(&mut self, patience: Duration) {
        let mut buffer = vec![0; 1 << 16];
        while self.console.is_some() {
            let read = read_some(&mut self.console, &mut buffer);
            match tokio::time::timeout(patience, read).await {
                Ok(count) => self.on_console(&buffer[..count]),
                Err(_) => break,
            }
        }
    }

    fn on_exit(&mut self, status: io::Result<std::process::ExitStatus>) {
        self.pulse.forget(self.pid);
        let end = match (self.how_it_ended(), self.quitting) {
            (_, true) => MachineEnd::Running,
            (Some(end), false) => end,
            (None, false) => MachineEnd::QemuEnded(self.why_it_ended(status)),
        };
        self.down(end);
    }

    /// What QEMU said of the machine's end.
    fn how_it_ended(&self) -> Option<MachineEnd> {
        let (guest, reason) = self.shutdown.as_ref()?;
        Some(match (guest, reason.as_str()) {
            (true, "guest-shutdown") => MachineEnd::PoweredOff,
            (true, _) => MachineEnd::Restarted,
            (false, reason) => {
                MachineEnd::QemuEnded(format!("QEMU was ended from outside: {reason}"))
            }
        })
    }

    fn why_it_ended(&self, status: io::Result<std::process::ExitStatus>) -> String {
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let log = std::fs::read(&self.qemu_log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let said =
            text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it said nothing");
        format!("QEMU ended by itself ({status}): {said}")
    }

    /// The first reason stays.
    fn down(&mut self, end: MachineEnd) {
        let mut state = lock(&self.shared.state);
        if state.end.is_none() {
            state.end = Some(end);
        }
        drop(state);
        lock(&self.shared.pending).clear();
        lock(&self.shared.terminals).clear();
        self.shared.changed.notify_waiters();
    }
}

/// Reads a chunk; a stream that ended is put aside and never becomes ready again. Cancel-safe.
async fn read_some<R: tokio::io::AsyncRead + Unpin>(
    stream: &mut Option<R>,
    buffer: &mut [u8],
) -> usize {
    let Some(open) = stream else { return std::future::pending().await };
    match open.read(buffer).await {
        Ok(0) | Err(_) => {
            *stream = None;
            0
        }
        Ok(count) => count,
    }
}

fn symptom_kind(kind: ReportKind) -> SymptomKind {
    match kind {
        ReportKind::Panic => SymptomKind::Panic,
        ReportKind::Oops => SymptomKind::Oops,
        ReportKind::Warning => SymptomKind::Warning,
        ReportKind::Hang => SymptomKind::Hang,
        ReportKind::Reboot => SymptomKind::Reboot,
        ReportKind::BootFailed => SymptomKind::BootFailed,
    }
}
