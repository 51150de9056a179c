//! Who was alive when: the harness's own loop, the QEMUs, the peer's guest.
//!
//! Everything that waits asks here how much of its time counted. A gap is noted when it is over, or
//! while it lasts; the trial's record and its verdict are made from the same gaps.

mod qemu;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use kbisect_core::disturbed::{Cause, Gap, Gaps, Standing, Whose, Window};

pub use self::qemu::Side;
use self::qemu::{LATE, Looked, Watched};
use crate::lock::lock;
use crate::machine::shared::{MachineState, Witness};

/// How often everybody is looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long the peer may be silent before it counts. Four of its heartbeats.
const PEER_SILENT: Duration = Duration::from_secs(2);
/// How long deadlines stand still at most: somebody who never goes on is waited for no longer.
pub const STANDSTILL: Duration = Duration::from_secs(90);
/// How often a deadline that stands still is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Looks after who is alive. Clones share it.
#[derive(Clone)]
pub struct Pulse(Arc<Mutex<State>>);

struct State {
    origin: Instant,
    looked: Instant,
    gaps: Gaps,
    watched: Vec<Watched>,
    /// Guests on the reference kernel that are up, by their QEMU's process.
    peers: BTreeMap<u32, Peer>,
    beats: bool,
}

/// A guest on the reference kernel.
struct Peer {
    /// What its machine is called.
    name: String,
    /// When it last gave a sign of life.
    heard: Instant,
    witness: Witness,
}

impl std::fmt::Debug for Pulse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pulse")
    }
}

impl Default for Pulse {
    fn default() -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(State {
            origin: now,
            looked: now,
            gaps: Gaps::default(),
            watched: Vec::new(),
            peers: BTreeMap::new(),
            beats: false,
        })))
    }
}

impl Pulse {
    /// A trial begins: what was before is forgotten, and times count from now.
    pub fn begin(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        (state.origin, state.looked, state.gaps) = (now, now, Gaps::default());
        state.peers.clear();
        if !std::mem::replace(&mut state.beats, true) {
            drop(state);
            tokio::spawn(beat(Arc::downgrade(&self.0)));
        }
    }

    /// Begins to look at a QEMU, until it is forgotten.
    pub fn watch(&self, side: Side, pid: u32) {
        self.lock().watched.push(Watched::new(side, pid));
    }

    /// How long a QEMU has been stopped (SIGSTOP, a debugger), without a break until now.
    pub fn stopped(&self, pid: u32) -> Duration {
        let state = self.lock();
        let watched = state.watched.iter().find(|watched| watched.pid == pid);
        let since = watched.and_then(|watched| watched.stopped);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The QEMU with this number is gone.
    pub fn forget(&self, pid: u32) {
        self.lock().watched.retain(|watched| watched.pid != pid);
    }

    /// A guest gave a sign of life.
    pub fn hear(&self, pid: u32) {
        let mut state = self.lock();
        if state.peers.contains_key(&pid) {
            state.note_peers();
            if let Some(peer) = state.peers.get_mut(&pid) {
                peer.heard = Instant::now();
            }
        }
    }

    /// From now on a guest on the reference kernel has to give signs of life.
    pub fn expect(&self, name: &str, pid: u32, witness: Witness) {
        let peer = Peer { name: name.to_owned(), heard: Instant::now(), witness };
        self.lock().peers.insert(pid, peer);
    }

    /// A guest need not give signs of life any more: it is switched off.
    pub fn release(&self, pid: u32) {
        self.lock().peers.remove(&pid);
    }

    /// A machine that runs the reference kernel and is down, by its name.
    pub fn peer_end(&self) -> Option<(String, MachineState)> {
        let state = self.lock();
        state.peers.values().find_map(|peer| Some((peer.name.clone(), peer.witness.down()?)))
    }

    /// The guest on the reference kernel that has been silent longest while everybody else was alive, and how
    /// long.
    pub fn peer_silence(&self) -> Option<(String, Duration)> {
        let state = self.lock();
        let longest = state.peers.values().min_by_key(|peer| peer.heard);
        let (name, heard) = longest.map(|peer| (peer.name.clone(), peer.heard))?;
        drop(state);
        Some((name, self.lived(heard, Whose::Candidate)))
    }

    /// A frame for the peer was not taken, from then until now.
    pub fn undelivered(&self, from: Instant) {
        let mut state = self.lock();
        state.note(Cause::FrameUndelivered, from, Instant::now());
    }

    /// How much of the time since then counts for somebody.
    pub fn lived(&self, since: Instant, whose: Whose) -> Duration {
        let mut state = self.lock();
        state.look();
        // What was before the trial is no time of anybody's.
        let since = since.max(state.origin);
        let window = state.window(since);
        let (gone, _) = state.gaps.within(window, whose);
        since.elapsed().saturating_sub(Duration::from_millis(gone))
    }

    /// What the time since then is worth.
    pub fn standing(&self, window: Window, whose: Whose) -> Standing {
        let mut state = self.lock();
        state.look();
        state.gaps.standing(window, whose)
    }

    /// From then until now, in the trial's time.
    pub fn window(&self, since: Instant) -> Window {
        self.lock().window(since)
    }

    /// Time since the trial began.
    pub fn now(&self) -> Duration {
        self.lock().origin.elapsed()
    }

    /// The gaps so far.
    pub fn gaps(&self) -> Gaps {
        let mut state = self.lock();
        state.look();
        state.note_peers();
        state.gaps.clone()
    }

    /// Waits for something; a deadline in time that counts.
    pub async fn timeout<T>(
        &self,
        limit: Duration,
        whose: Whose,
        work: impl Future<Output = T>,
    ) -> Result<T, Passed> {
        let began = Instant::now();
        tokio::pin!(work);
        loop {
            let left = limit.saturating_sub(self.lived(began, whose));
            let given_up = began.elapsed() > limit + STANDSTILL;
            let look_again = left.clamp(Duration::from_millis(1), LOOK_AGAIN);
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = tokio::time::sleep(look_again) => {}
            }
            if left.is_zero() || given_up {
                return Err(Passed);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

/// A deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed;

async fn beat(state: Weak<Mutex<State>>) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let Some(state) = state.upgrade() else { return };
        let mut state = lock(&state);
        state.look();
        state.look_at_qemus();
    }
}

impl State {
    /// Notes that the loop was late. Whoever comes first after a stop finds it.
    fn look(&mut self) {
        let (before, now) = (self.looked, Instant::now());
        self.looked = now;
        if now.duration_since(before) > TICK + LATE {
            self.note(Cause::HarnessLate, before, now);
        }
    }

    fn look_at_qemus(&mut self) {
        let now = Instant::now();
        let mut found = Vec::new();
        for watched in &mut self.watched {
            match watched.look(now) {
                Looked::Stopped { since } => found.push((watched.side.stopped(), since)),
                Looked::Starved { since } => found.push((watched.side.starved(), since)),
                Looked::Blocked { since } => found.push((watched.side.blocked(), since)),
                Looked::Alive => {}
            }
        }
        for (cause, since) in found {
            self.note(cause, since, now);
        }
    }

    fn note_peers(&mut self) {
        // While we ourselves stood still nobody listened to them.
        self.look();
        let now = Instant::now();
        let heard: Vec<Instant> = self.peers.values().map(|peer| peer.heard).collect();
        for heard in heard {
            let (gone, _) = self.gaps.within(self.window(heard), Whose::Candidate);
            if now.duration_since(heard).saturating_sub(Duration::from_millis(gone)) > PEER_SILENT {
                self.note(Cause::PeerSilent, heard, now);
            }
        }
    }

    fn note(&mut self, cause: Cause, from: Instant, to: Instant) {
        let ms = |at: Instant| at.saturating_duration_since(self.origin).as_millis() as u64;
        let gap = Gap { cause, from_ms: ms(from), to_ms: ms(to) };
        if gap.ms() > 0 {
            self.gaps.add(gap);
        }
    }

    fn window(&self, since: Instant) -> Window {
        let ms = |at: Instant| at.saturating_duration_since(self.origin).as_millis() as u64;
        Window { from_ms: ms(since), to_ms: ms(Instant::now()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_loop_that_was_late_is_found_by_whoever_asks_first() {
        let pulse = Pulse::default();
        pulse.begin();
        let began = Instant::now();
        // The one thread of the loop does nothing else meanwhile.
        std::thread::sleep(Duration::from_millis(600));
        assert!(pulse.lived(began, Whose::Candidate) < Duration::from_millis(300));
        let gaps: Vec<Gap> = pulse.gaps().iter().copied().collect();
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        assert_eq!(gaps[0].cause, Cause::HarnessLate);
        assert!(gaps[0].ms() >= 550, "{gaps:?}");
        pulse.begin();
        assert_eq!(pulse.gaps(), Gaps::default(), "another trial");
    }

    #[tokio::test]
    async fn what_came_while_the_loop_stood_still_is_not_late() {
        let pulse = Pulse::default();
        pulse.begin();
        let (answer, waited) = tokio::sync::oneshot::channel();
        // The answer comes at once; the loop looks at it 600 ms later, behind the deadline of 400.
        tokio::spawn(async move {
            std::thread::sleep(Duration::from_millis(600));
            tokio::time::sleep(Duration::from_millis(20)).await;
            let _ = answer.send(7);
        });
        let limit = Duration::from_millis(400);
        let got = pulse.timeout(limit, Whose::Everyone, waited).await;
        assert_eq!(got.map(Result::ok), Ok(Some(7)));
        let never = std::future::pending::<()>();
        assert_eq!(pulse.timeout(limit, Whose::Everyone, never).await, Err(Passed));
    }

    #[tokio::test]
    async fn a_peer_that_is_silent_is_noted_while_it_lasts() {
        let pulse = Pulse::default();
        pulse.begin();
        let silence = || pulse.peer_silence().map(|(name, silence)| (name, silence.as_secs()));
        pulse.expect("peer", 7, Witness::default());
        pulse.expect("machine of gw2", 8, Witness::default());
        pulse.lock().peers.get_mut(&8).unwrap().heard -= Duration::from_secs(3);
        pulse.lock().origin -= Duration::from_secs(5);
        assert_eq!(silence(), Some(("machine of gw2".to_owned(), 3)));
        assert!(pulse.gaps().iter().any(|gap| gap.cause == Cause::PeerSilent));
        pulse.hear(8);
        assert_eq!(silence().map(|(_, seconds)| seconds), Some(0));
        pulse.release(7);
        pulse.release(8);
        assert_eq!(silence(), None);
    }
}
