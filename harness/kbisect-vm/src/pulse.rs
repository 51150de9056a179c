//! Who was alive when: the harness's own loop, the QEMUs, the peer's guest.
//!
//! Everything that waits asks here how much of its time counted. A gap is noted when it is over, or
//! while it lasts; the trial's record and its verdict are made from the same gaps.

mod qemu;

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
    /// When the peer's guest last gave a sign of life, from when it is up.
    peer_heard: Option<Instant>,
    peer: Option<Witness>,
    beats: bool,
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
            peer_heard: None,
            peer: None,
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
        (state.peer_heard, state.peer) = (None, None);
        if !std::mem::replace(&mut state.beats, true) {
            drop(state);
            tokio::spawn(beat(Arc::downgrade(&self.0)));
        }
    }

    /// Begins to look at a QEMU, instead of the one that was on that side before.
    pub fn watch(&self, side: Side, pid: u32) {
        let mut state = self.lock();
        state.watched.retain(|watched| watched.side != side);
        state.watched.push(Watched::new(side, pid));
    }

    /// How long the QEMU of a side has been stopped (SIGSTOP, a debugger), without a break until now.
    pub fn stopped(&self, side: Side) -> Duration {
        let state = self.lock();
        let watched = state.watched.iter().find(|watched| watched.side == side);
        let since = watched.and_then(|watched| watched.stopped);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The QEMU with this number is gone.
    pub fn forget(&self, pid: u32) {
        self.lock().watched.retain(|watched| watched.pid != pid);
    }

    /// The peer's guest gave a sign of life.
    pub fn hear_peer(&self) {
        let mut state = self.lock();
        if state.peer_heard.is_some() {
            state.note_peer();
            state.peer_heard = Some(Instant::now());
        }
    }

    /// From now on the peer's guest has to give signs of life; or no more.
    pub fn expect_peer(&self, peer: Option<Witness>) {
        let mut state = self.lock();
        state.peer_heard = peer.is_some().then(Instant::now);
        state.peer = peer;
    }

    /// The state of the peer machine, once it is down.
    pub fn peer_end(&self) -> Option<MachineState> {
        let witness = self.lock().peer.clone();
        witness?.down()
    }

    /// How long the peer has been silent, while everybody else was alive.
    pub fn peer_silence(&self) -> Duration {
        let heard = self.lock().peer_heard;
        heard.map_or(Duration::ZERO, |heard| self.lived(heard, Whose::Candidate))
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
        state.note_peer();
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

    fn note_peer(&mut self) {
        // While we ourselves stood still nobody listened to it.
        self.look();
        let Some(heard) = self.peer_heard else { return };
        let now = Instant::now();
        let (gone, _) = self.gaps.within(self.window(heard), Whose::Candidate);
        if now.duration_since(heard).saturating_sub(Duration::from_millis(gone)) > PEER_SILENT {
            self.note(Cause::PeerSilent, heard, now);
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
        pulse.lock().peer_heard = Instant::now().checked_sub(Duration::from_secs(3));
        pulse.lock().origin -= Duration::from_secs(5);
        assert!(pulse.peer_silence() >= Duration::from_secs(3));
        assert!(pulse.gaps().iter().any(|gap| gap.cause == Cause::PeerSilent));
        pulse.hear_peer();
        assert!(pulse.peer_silence() < Duration::from_secs(1));
        pulse.expect_peer(None);
        assert_eq!(pulse.peer_silence(), Duration::ZERO);
    }
}
