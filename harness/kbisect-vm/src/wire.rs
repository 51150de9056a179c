//! Wires: the links between machines, carried in user space.
//!
//! Each port is a stream socket that QEMU's `-netdev stream` writes frames to, with a 4-byte
//! big-endian length before each (QEMU docs, net/stream.c). The harness reads every frame, writes
//! it to a pcapng file, counts it and passes it on. A stream has back-pressure, so a slow guest
//! makes the sender wait instead of losing frames: a loss on a wire can only be one where the other
//! end is gone, and that is counted.

mod captures;
mod faults;
mod plan;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kbisect_core::disturbed::Whose;
use kbisect_core::flow::{FlowTable, Hop, Noted};
use kbisect_core::framing::{Frames, addresses, whole_frames};
use kbisect_core::pcapng;
use kbisect_core::trial::WireCount;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use self::captures::Captures;
use self::faults::Broken;
pub use self::faults::WireFault;
pub use self::plan::LinkPlan;
use crate::lock::lock;
use crate::pulse::{Pulse, Side};

/// Batches that may wait for a port.
const QUEUE: usize = 64;
/// How long a sender waits for a port that does not take frames, in time that counts.
const PATIENCE: Duration = Duration::from_secs(2);

/// All wires of a lab.
#[derive(Clone)]
pub struct Wires(Arc<Inner>);

struct Inner {
    links: Vec<Link>,
    recording: Mutex<Option<Recorder>>,
    pulse: Pulse,
    cut: AtomicBool,
    /// Counts the recordings: what was late in one is no part of the next.
    recordings: AtomicU64,
    /// Whether frames are thrown away: what a peer still sends of an earlier trial is no part of this one.
    closed: AtomicBool,
}

struct Link {
    plan: LinkPlan,
    hops: Vec<Hop>,
    ports: Mutex<Vec<Option<Port>>>,
    learned: Mutex<HashMap<[u8; 6], usize>>,
    broken: Mutex<Broken>,
}

/// Where frames for a node go.
#[derive(Clone)]
struct Port {
    batches: mpsc::Sender<Batch>,
    side: Side,
}

/// Frames for one port.
#[derive(Default)]
struct Batch {
    /// Each with its length.
    raw: Vec<u8>,
    noted: Vec<Noted>,
}

/// What was recorded in one trial.
#[derive(Debug, Default)]
pub struct Recording {
    /// Frames per flow and hop.
    pub flows: FlowTable,
    /// Frames per wire and sender.
    pub counts: Vec<WireCount>,
    /// Why a capture is not complete, if so.
    pub trouble: Vec<String>,
}

struct Recorder {
    flows: FlowTable,
    /// What was sent into wires that were cut. No wire carried it, so it is no part of the rest.
    refused: FlowTable,
    counts: BTreeMap<Hop, WireCount>,
    captures: Captures,
    pulse: Pulse,
}

impl Wires {
    /// Makes the wires; nothing is attached yet.
    pub fn new(plans: Vec<LinkPlan>, pulse: Pulse) -> Self {
        let links = plans
            .into_iter()
            .map(|plan| Link {
                hops: plan
                    .members
                    .iter()
                    .map(|member| Hop { wire: plan.name.clone(), from: member.clone() })
                    .collect(),
                ports: Mutex::new(vec![None; plan.members.len()]),
                learned: Mutex::default(),
                broken: Mutex::default(),
                plan,
            })
            .collect();
        Self(Arc::new(Inner {
            links,
            recording: Mutex::new(None),
            pulse,
            cut: AtomicBool::new(false),
            recordings: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }))
    }

    /// Member nodes by wire name.
    pub fn members(&self) -> BTreeMap<String, Vec<String>> {
        let of = |link: &Link| (link.plan.name.clone(), link.plan.members.clone());
        self.0.links.iter().map(of).collect()
    }

    /// Plugs a machine's socket into a port; what was there before is unplugged.
    pub fn attach(
        &self,
        link: usize,
        port: usize,
        side: Side,
        socket: std::os::unix::net::UnixStream,
    ) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        let (reader, writer) = UnixStream::from_std(socket)?.into_split();
        let (batches, receiver) = mpsc::channel(QUEUE);
        lock(&self.0.links[link].ports)[port] = Some(Port { batches, side });
        let receiver_name = self.0.links[link].plan.members[port].clone();
        tokio::spawn(write_frames(Arc::downgrade(&self.0), receiver_name, writer, receiver));
        tokio::spawn(Arc::clone(&self.0).read_frames(link, port, reader));
        Ok(())
    }

    /// Unplugs what is plugged into a port. What is sent there from now on is no machine's fault.
    pub fn detach(&self, link: usize, port: usize) {
        lock(&self.0.links[link].ports)[port] = None;
    }

    /// Starts to record, one pcapng file a wire in `directory`. Wires that were cut are whole again, and
    /// carry nothing until [`Wires::open`].
    pub fn start_recording(&self, directory: &Path) -> io::Result<()> {
        let plans = self.0.links.iter().map(|link| &link.plan);
        let captures = Captures::create(directory, plans)?;
        let counts = self
            .0
            .links
            .iter()
            .flat_map(|link| &link.hops)
            .map(|hop| {
                let count = WireCount {
                    wire: hop.wire.clone(),
                    from: hop.from.clone(),
                    ..WireCount::default()
                };
                (hop.clone(), count)
            })
            .collect();
        self.0.recordings.fetch_add(1, Ordering::SeqCst);
        self.0.cut.store(false, Ordering::SeqCst);
        self.0.links.iter().for_each(|link| *lock(&link.broken) = Broken::default());
        self.0.closed.store(true, Ordering::SeqCst);
        *lock(&self.0.recording) = Some(Recorder {
            flows: FlowTable::default(),
            refused: FlowTable::default(),
            counts,
            captures,
            pulse: self.0.pulse.clone(),
        });
        Ok(())
    }

    /// Lets frames pass: both ends are those of this trial.
    pub fn open(&self) {
        self.0.closed.store(false, Ordering::SeqCst);
    }

    /// Sends a frame as if a port's node had sent it.
    pub async fn inject(&self, link: usize, port: usize, frame: &[u8]) {
        let mut raw = (frame.len() as u32).to_be_bytes().to_vec();
        raw.extend(frame);
        self.0.carry(link, port, &raw).await;
    }

    /// Cuts all wires: no frame passes any more, until the next recording begins. What is sent
    /// counts as undelivered.
    pub fn cut(&self) {
        self.0.cut.store(true, Ordering::SeqCst);
    }

    /// Breaks a link, or mends it, until the next recording begins.
    pub fn break_link(&self, link: usize, fault: WireFault) {
        lock(&self.0.links[link].broken).take(fault);
    }

    /// Whether frames are lost on wires on purpose, or late, or changed.
    #[must_use]
    pub fn are_broken(&self) -> bool {
        self.0.cut.load(Ordering::SeqCst)
            || self.0.links.iter().any(|link| lock(&link.broken).is_broken())
    }

    /// Looks at the flows that were sent into cut wires.
    pub fn with_refused<T>(&self, look: impl FnOnce(&FlowTable) -> T) -> Option<T> {
        lock(&self.0.recording).as_ref().map(|recorder| look(&recorder.refused))
    }

    /// Begins to wait for frames (by [`kbisect_core::flow::fingerprint`]) at a hop.
    pub fn expect(&self, hop: Hop, wanted: &std::collections::BTreeSet<u64>) {
        if let Some(recorder) = lock(&self.0.recording).as_mut() {
            recorder.flows.expect(hop, wanted);
        }
    }

    /// Looks at the flows recorded so far.
    pub fn with_flows<T>(&self, look: impl FnOnce(&FlowTable) -> T) -> Option<T> {
        lock(&self.0.recording).as_ref().map(|recorder| look(&recorder.flows))
    }

    /// Time since the trial began.
    pub fn recorded(&self) -> Duration {
        self.0.pulse.now()
    }

    /// Ends the recording and hands it over, once it is on disk.
    pub async fn stop_recording(&self) -> Recording {
        let Some(recorder) = lock(&self.0.recording).take() else { return Recording::default() };
        let Recorder { flows, counts, captures, .. } = recorder;
        let plans: Vec<LinkPlan> = self.0.links.iter().map(|link| link.plan.clone()).collect();
        let written = tokio::task::spawn_blocking(move || captures.finish(&plans)).await;
        let trouble = written
            .unwrap_or_else(|_| vec!["the captures were not written to their end".to_owned()]);
        Recording { flows, counts: counts.into_values().collect(), trouble }
    }
}

impl Inner {
    async fn read_frames(self: Arc<Self>, link: usize, port: usize, mut reader: OwnedReadHalf) {
        let mut buffer = Vec::with_capacity(1 << 16);
        while let Ok(1..) = reader.read_buf(&mut buffer).await {
            let Some(used) = whole_frames(&buffer) else { break };
            if used == 0 {
                continue;
            }
            self.carry(link, port, &buffer[..used]).await;
            buffer.drain(..used);
        }
        // The machine is gone; whoever sends here from now on finds the port empty. A machine that
        // took the port over meanwhile has another sender there, which is closed only with it.
        let mut ports = lock(&self.links[link].ports);
        if ports[port].as_ref().is_some_and(|port| port.batches.is_closed()) {
            ports[port] = None;
        }
    }

    /// Records a batch of whole frames and passes it on.
    async fn carry(&self, link: usize, port: usize, batch: &[u8]) {
        let wire = &self.links[link];
        let frames = || Frames(batch);
        if self.closed.load(Ordering::SeqCst) {
            return;
        }
        if self.cut.load(Ordering::SeqCst) {
            if let Some(recorder) = lock(&self.recording).as_mut() {
                recorder.refuse(&wire.hops[port], frames());
            }
            return;
        }
        let (batch, refused, late) = lock(&wire.broken).pass(port, batch);
        if !refused.is_empty()
            && let Some(recorder) = lock(&self.recording).as_mut()
        {
            recorder.refuse(&wire.hops[port], Frames(&refused));
        }
        if let Some(late) = late {
            let recording = self.recordings.load(Ordering::SeqCst);
            tokio::time::sleep(late).await;
            if self.recordings.load(Ordering::SeqCst) != recording {
                return;
            }
        }
        let batch: &[u8] = &batch;
        if batch.is_empty() {
            return;
        }
        let frames = || Frames(batch);
        let noted = lock(&self.recording)
            .as_mut()
            .map(|recorder| recorder.take(link, port as u32, &wire.hops[port], frames()))
            .unwrap_or_default();
        let noted = |at: usize| noted.get(at).copied().flatten();
        let mut outgoing: Vec<Batch> = Vec::new();
        outgoing.resize_with(wire.plan.members.len(), Batch::default);
        if wire.plan.members.len() == 2 {
            let count = frames().count();
            outgoing[1 - port] =
                Batch { raw: batch.to_vec(), noted: (0..count).filter_map(noted).collect() };
        } else {
            let mut learned = lock(&wire.learned);
            for (at, (raw, frame)) in frames().enumerate() {
                let (to, from) = addresses(frame);
                learned.insert(from, port);
                match learned.get(&to) {
                    Some(target) if *target != port => outgoing[*target].push(raw, noted(at)),
                    Some(_) => {}
                    None => {
                        for target in (0..outgoing.len()).filter(|target| *target != port) {
                            outgoing[target].push(raw, noted(at));
                        }
                    }
                }
            }
        }
        let outgoing = outgoing.into_iter().enumerate();
        for (target, batch) in outgoing.filter(|(_, batch)| !batch.raw.is_empty()) {
            let count = Frames(&batch.raw).count() as u64;
            let began = Instant::now();
            let to = lock(&wire.ports)[target].clone();
            let delivered = match &to {
                Some(to) => {
                    let sent = to.batches.send(batch);
                    matches!(self.pulse.timeout(PATIENCE, Whose::Everyone, sent).await, Ok(Ok(())))
                }
                None => false,
            };
            if delivered {
                continue;
            }
            if to.is_some_and(|to| to.side == Side::Peer) {
                self.pulse.undelivered(began);
            }
            if let Some(recorder) = lock(&self.recording).as_mut() {
                recorder.undelivered(&wire.hops[port], count);
            }
        }
    }
}

impl Batch {
    fn push(&mut self, raw: &[u8], noted: Option<Noted>) {
        self.raw.extend(raw);
        self.noted.extend(noted);
    }
}

impl Recorder {
    /// Records frames that a node sent; gives a note for each, to report when it was handed over.
    fn take(
        &mut self,
        link: usize,
        interface: u32,
        hop: &Hop,
        frames: Frames<'_>,
    ) -> Vec<Option<Noted>> {
        let nanos =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        let at = self.pulse.now();
        let (mut bytes, mut noted) = (Vec::new(), Vec::new());
        if let Some(count) = self.counts.get_mut(hop) {
            for (_, frame) in frames {
                count.frames += 1;
                count.bytes += frame.len() as u64;
                noted.push(self.flows.observe(hop, frame, at));
                pcapng::packet(&mut bytes, interface, nanos, frame);
            }
        }
        self.captures.push(link, bytes);
        noted
    }

    fn hand_over(&mut self, noted: &[Noted], receiver: &str) {
        let at = self.pulse.now();
        for noted in noted {
            self.flows.hand_over(noted, receiver, at);
        }
    }

    fn refuse(&mut self, hop: &Hop, frames: Frames<'_>) {
        let at = self.pulse.now();
        self.undelivered(hop, frames.count() as u64);
        for (_, frame) in frames {
            self.refused.observe(hop, frame, at);
        }
    }

    fn undelivered(&mut self, hop: &Hop, frames: u64) {
        if let Some(count) = self.counts.get_mut(hop) {
            count.undelivered += frames;
        }
    }
}

async fn write_frames(
    wires: Weak<Inner>,
    node: String,
    mut writer: OwnedWriteHalf,
    mut receiver: mpsc::Receiver<Batch>,
) {
    while let Some(batch) = receiver.recv().await {
        if writer.write_all(&batch.raw).await.is_err() {
            return;
        }
        // Nothing is read between the two: an answer to these frames comes after this note.
        if let Some(wires) = wires.upgrade()
            && let Some(recorder) = lock(&wires.recording).as_mut()
        {
            recorder.hand_over(&batch.noted, &node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream as StdStream;

    fn frame(to: u8, from: u8, fill: u8) -> Vec<u8> {
        let mut frame = vec![fill; 60];
        frame[..6].fill(to);
        frame[6..12].fill(from);
        frame
    }

    fn with_length(frame: &[u8]) -> Vec<u8> {
        let mut out = (frame.len() as u32).to_be_bytes().to_vec();
        out.extend(frame);
        out
    }

    fn plan(members: &[&str]) -> Vec<LinkPlan> {
        let members = members.iter().map(|member| (*member).to_owned()).collect();
        vec![LinkPlan { name: "lan".to_owned(), members }]
    }

    async fn receive(socket: &StdStream, length: usize) -> Vec<u8> {
        let mut socket = socket.try_clone().unwrap();
        tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; length];
            socket.read_exact(&mut bytes).unwrap();
            bytes
        })
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn frames_pass_between_two_ports_and_are_recorded() {
        let directory = tempfile::tempdir().unwrap();
        let wires = Wires::new(plan(&["client", "server"]), Pulse::default());
        let (mut client, a) = StdStream::pair().unwrap();
        let (server, b) = StdStream::pair().unwrap();
        wires.attach(0, 0, Side::Peer, a).unwrap();
        wires.attach(0, 1, Side::Peer, b).unwrap();
        wires.start_recording(directory.path()).unwrap();
        wires.open();
        let sent = with_length(&frame(2, 1, 9));
        // In two parts, to show that frames are put together again.
        client.write_all(&sent[..10]).unwrap();
        client.write_all(&sent[10..]).unwrap();
        assert_eq!(receive(&server, sent.len()).await, sent);
        let recording = wires.stop_recording().await;
        let counts: Vec<(String, u64)> =
            recording.counts.iter().map(|count| (count.from.clone(), count.frames)).collect();
        assert_eq!(counts, [("client".to_owned(), 1), ("server".to_owned(), 0)]);
        let capture = std::fs::read(directory.path().join("lan.pcapng")).unwrap();
        assert!(capture.windows(60).any(|window| window == frame(2, 1, 9)));
    }

    #[tokio::test]
    async fn what_is_sent_before_the_wires_are_opened_belongs_to_no_trial() {
        let directory = tempfile::tempdir().unwrap();
        let wires = Wires::new(plan(&["client", "server"]), Pulse::default());
        let (server, b) = StdStream::pair().unwrap();
        wires.attach(0, 1, Side::Peer, b).unwrap();
        wires.start_recording(directory.path()).unwrap();
        wires.inject(0, 0, &frame(2, 1, 8)).await;
        wires.open();
        wires.inject(0, 0, &frame(2, 1, 9)).await;
        let whole = with_length(&frame(2, 1, 9));
        assert_eq!(receive(&server, whole.len()).await, whole);
        let sent = &wires.stop_recording().await.counts[0];
        assert_eq!((sent.frames, sent.undelivered), (1, 0));
    }

    #[tokio::test]
    async fn a_cut_wire_carries_nothing_until_the_next_recording() {
        let directory = tempfile::tempdir().unwrap();
        let wires = Wires::new(plan(&["client", "server"]), Pulse::default());
        let (server, b) = StdStream::pair().unwrap();
        wires.attach(0, 1, Side::Peer, b).unwrap();
        wires.start_recording(directory.path()).unwrap();
        wires.open();
        wires.cut();
        wires.inject(0, 0, &frame(2, 1, 8)).await;
        let recording = wires.stop_recording().await;
        let sent = &recording.counts[0];
        assert_eq!((sent.frames, sent.undelivered), (0, 1));
        wires.start_recording(directory.path()).unwrap();
        wires.open();
        wires.inject(0, 0, &frame(2, 1, 9)).await;
        // Had the first frame passed, it would come first.
        let whole = with_length(&frame(2, 1, 9));
        assert_eq!(receive(&server, whole.len()).await, whole);
        assert_eq!(wires.stop_recording().await.counts[0].frames, 1);
    }

    #[tokio::test]
    async fn a_frame_that_is_late_arrives_in_its_own_recording_or_never() {
        let directory = tempfile::tempdir().unwrap();
        let wires = Wires::new(plan(&["client", "server"]), Pulse::default());
        let (_server, b) = StdStream::pair().unwrap();
        wires.attach(0, 1, Side::Peer, b).unwrap();
        wires.start_recording(directory.path()).unwrap();
        wires.open();
        wires.break_link(0, WireFault::Delay(Duration::from_millis(20)));
        let late = frame(2, 1, 8);
        let arrives = async {
            wires.inject(0, 0, &late).await;
            wires.stop_recording().await.counts[0].frames
        };
        assert_eq!(arrives.await, 1);
        wires.start_recording(directory.path()).unwrap();
        wires.open();
        wires.break_link(0, WireFault::Delay(Duration::from_millis(20)));
        let ends = async {
            wires.start_recording(directory.path()).unwrap();
            wires.open();
        };
        tokio::join!(wires.inject(0, 0, &late), ends);
        assert_eq!(wires.stop_recording().await.counts[0].frames, 0);
    }

    #[tokio::test]
    async fn a_frame_for_a_machine_that_is_gone_counts_as_undelivered() {
        let directory = tempfile::tempdir().unwrap();
        let wires = Wires::new(plan(&["client", "server"]), Pulse::default());
        let (mut client, a) = StdStream::pair().unwrap();
        wires.attach(0, 0, Side::Peer, a).unwrap();
        wires.start_recording(directory.path()).unwrap();
        wires.open();
        client.write_all(&with_length(&frame(2, 1, 9))).unwrap();
        let undelivered = async {
            loop {
                let seen = lock(&wires.0.recording).as_ref().map(|recorder| {
                    recorder.counts.values().map(|count| count.undelivered).sum::<u64>()
                });
                if seen == Some(1) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), undelivered).await.unwrap();
    }

    #[tokio::test]
    async fn three_ports_learn_where_addresses_are() {
        let wires = Wires::new(plan(&["a", "b", "c"]), Pulse::default());
        let mut ends = Vec::new();
        for port in 0..3 {
            let (ours, theirs) = StdStream::pair().unwrap();
            wires.attach(0, port, Side::Peer, theirs).unwrap();
            ends.push(ours);
        }
        let unknown = with_length(&frame(2, 1, 7));
        ends[0].write_all(&unknown).unwrap();
        assert_eq!(receive(&ends[1], unknown.len()).await, unknown);
        assert_eq!(receive(&ends[2], unknown.len()).await, unknown);
        // b answers a: c must not see it, so the next thing that c gets is the broadcast after it.
        ends[1].write_all(&with_length(&frame(1, 2, 8))).unwrap();
        assert_eq!(receive(&ends[0], unknown.len()).await, with_length(&frame(1, 2, 8)));
        let broadcast = with_length(&frame(0xff, 2, 3));
        ends[1].write_all(&broadcast).unwrap();
        assert_eq!(receive(&ends[2], broadcast.len()).await, broadcast);
    }
}
