//! What /proc says of a QEMU: whether it is stopped, and whether its threads get a processor.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use kbisect_core::disturbed::{Cause, Whose};

/// How late the loop may be, and how long a QEMU may wait for a processor, before it counts.
pub const LATE: Duration = Duration::from_millis(250);
/// How often new threads are looked for, in looks.
const RESCAN: u32 = 20;
/// A thread that ran for more than this share of the time it waited was not starved.
const RAN: f64 = 0.1;

/// Whose QEMU it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The candidate's.
    Candidate,
    /// The peer's.
    Peer,
}

impl Side {
    pub(super) fn stopped(self) -> Cause {
        match self {
            Self::Candidate => Cause::CandidateStopped,
            Self::Peer => Cause::PeerStopped,
        }
    }

    pub(super) fn starved(self) -> Cause {
        match self {
            Self::Candidate => Cause::CandidateStarved,
            Self::Peer => Cause::PeerStarved,
        }
    }

    /// Who has to live for what this machine does.
    pub(crate) fn whose(self) -> Whose {
        match self {
            Self::Candidate => Whose::Candidate,
            Self::Peer => Whose::Peer,
        }
    }

    pub(super) fn blocked(self) -> Cause {
        match self {
            Self::Candidate => Cause::CandidateBlocked,
            Self::Peer => Cause::PeerBlocked,
        }
    }
}

/// What a look found.
pub(super) enum Looked {
    /// It runs, or has nothing to do.
    Alive,
    /// It is stopped.
    Stopped { since: Instant },
    /// A thread of it waited for a processor.
    Starved { since: Instant },
    /// A thread of it waits for the host's disk or memory.
    Blocked { since: Instant },
}

/// A QEMU that is looked at.
pub(super) struct Watched {
    pub side: Side,
    pub pid: u32,
    /// State of the process, kept open.
    stat: Option<File>,
    threads: Vec<Thread>,
    looks: u32,
    looked: Instant,
    /// Since when it has been stopped, without a break.
    pub stopped: Option<Instant>,
}

struct Thread {
    id: u32,
    file: File,
    ran: Duration,
    waited: Duration,
    stat: Option<File>,
    /// Since when each look found it in a sleep that nothing interrupts.
    blocked: Option<Instant>,
}

impl Watched {
    pub fn new(side: Side, pid: u32) -> Self {
        let stat = File::open(format!("/proc/{pid}/stat")).ok();
        let looked = Instant::now();
        Self { side, pid, stat, threads: Vec::new(), looks: 0, looked, stopped: None }
    }

    pub fn look(&mut self, now: Instant) -> Looked {
        let before = std::mem::replace(&mut self.looked, now);
        if self.looks.is_multiple_of(RESCAN) {
            self.scan();
        }
        self.looks += 1;
        if self.stat.as_ref().and_then(read_state).is_some_and(|state| "Tt".contains(state)) {
            // What it waited for meanwhile is not told apart.
            self.stopped.get_or_insert(before);
            return Looked::Stopped { since: before };
        }
        self.stopped = None;
        let mut longest = Duration::ZERO;
        let mut blocked: Option<Instant> = None;
        for thread in &mut self.threads {
            let state = thread.stat.as_ref().and_then(read_state);
            if let Some(since) = blocked_since(&mut thread.blocked, state, now) {
                blocked = Some(blocked.map_or(since, |earliest| earliest.min(since)));
            }
            let Some((ran, waited)) = read_schedstat(&thread.file) else { continue };
            let run = ran.saturating_sub(thread.ran);
            let wait = waited.saturating_sub(thread.waited);
            (thread.ran, thread.waited) = (ran, waited);
            // The kernel adds a wait when it is over: one that is longer than the time between two
            // looks was one wait. Many short ones are a slow host, not a disturbed one.
            let apart = now.duration_since(before).mul_f64(0.9);
            if wait >= LATE.max(apart) && run <= wait.mul_f64(RAN) {
                longest = longest.max(wait);
            }
        }
        match now.checked_sub(longest) {
            Some(since) if !longest.is_zero() => Looked::Starved { since },
            _ => blocked.map_or(Looked::Alive, |since| Looked::Blocked { since }),
        }
    }

    fn scan(&mut self) {
        let folder = format!("/proc/{}/task", self.pid);
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let id = entry.file_name().to_string_lossy().parse().unwrap_or_default();
            if self.threads.iter().any(|thread| thread.id == id) {
                continue;
            }
            let Ok(file) = File::open(entry.path().join("schedstat")) else { continue };
            if let Some((ran, waited)) = read_schedstat(&file) {
                let stat = File::open(entry.path().join("stat")).ok();
                self.threads.push(Thread { id, file, ran, waited, stat, blocked: None });
            }
        }
        // A thread that ended cannot be read any more.
        self.threads.retain(|thread| read_schedstat(&thread.file).is_some());
    }
}

/// Since when a thread waits for the host's disk or memory (state D), once that is long.
fn blocked_since(
    since: &mut Option<Instant>,
    state: Option<char>,
    now: Instant,
) -> Option<Instant> {
    if state != Some('D') {
        *since = None;
        return None;
    }
    let since = *since.get_or_insert(now);
    (now.duration_since(since) >= LATE).then_some(since)
}

/// The state of a process (proc_pid_stat(5)).
fn read_state(stat: &File) -> Option<char> {
    let mut buffer = [0; 128];
    let count = stat.read_at(&mut buffer, 0).ok()?;
    parse_state(&String::from_utf8_lossy(&buffer[..count]))
}

fn parse_state(text: &str) -> Option<char> {
    // The name is in brackets, and may hold some itself.
    text.rsplit_once(')')?.1.trim_start().chars().next()
}

/// How long a thread ran and how long it waited (Documentation/scheduler/sched-stats.rst).
fn read_schedstat(file: &File) -> Option<(Duration, Duration)> {
    let mut buffer = [0; 96];
    let count = file.read_at(&mut buffer, 0).ok()?;
    let text = std::str::from_utf8(&buffer[..count]).ok()?;
    let mut words = text.split_whitespace().map(str::parse);
    let mut next = || words.next()?.ok().map(Duration::from_nanos);
    Some((next()?, next()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    use rustix::process::{Pid, Signal, kill_process};

    struct Sleeper(Child);

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_process_that_is_stopped_is_seen_to_be() {
        let child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        let sleeper = Sleeper(child);
        let mut watched = Watched::new(Side::Candidate, sleeper.0.id());
        assert!(matches!(watched.look(Instant::now()), Looked::Alive));
        let pid = Pid::from_child(&sleeper.0);
        kill_process(pid, Signal::STOP).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut stopped = false;
        while !stopped && Instant::now() < deadline {
            stopped = matches!(watched.look(Instant::now()), Looked::Stopped { .. });
        }
        assert!(stopped);
        let since = watched.stopped;
        assert!(since.is_some());
        watched.look(Instant::now());
        assert_eq!(watched.stopped, since, "one stop");
        kill_process(pid, Signal::CONT).unwrap();
        let mut alive = false;
        while !alive && Instant::now() < deadline {
            alive = matches!(watched.look(Instant::now()), Looked::Alive);
        }
        assert!(alive);
        assert_eq!(watched.stopped, None);
    }

    #[test]
    fn a_thread_that_waits_for_the_disk_for_long_is_blocked() {
        let (mut since, start) = (None, Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        for (ms, state, expected) in [
            (0, 'D', None),
            (200, 'D', None),
            (250, 'D', Some(start)),
            (300, 'S', None),
            (350, 'D', None),
            (590, 'D', None),
            (600, 'D', Some(at(350))),
        ] {
            assert_eq!(blocked_since(&mut since, Some(state), at(ms)), expected, "{ms}");
        }
    }

    #[test]
    fn states_are_read_behind_any_name() {
        assert_eq!(parse_state("12 (qemu-system-x86) T 1 2"), Some('T'));
        assert_eq!(parse_state("12 (a) S (b)) R 1 2"), Some('R'));
        assert_eq!(parse_state("12"), None);
    }

    #[test]
    fn a_thread_is_looked_at_by_what_it_ran_and_waited() {
        let file = File::open("/proc/self/schedstat").unwrap();
        let (ran, _) = read_schedstat(&file).unwrap();
        assert!(!ran.is_zero());
    }
}
