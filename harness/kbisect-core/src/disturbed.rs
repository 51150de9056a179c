//! Time that proves nothing, because something on our own side was not alive in it.
//!
//! Times are milliseconds since the trial's recording began. A *gap* is an interval that was
//! disturbed; a *window* is one that a verdict rests on.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most gaps that are told apart. Later ones are joined to the last, with what was between them.
const MAX_GAPS: usize = 512;
/// Most gaps that a record names.
const MAX_NAMED: usize = 16;
/// Shortest window that decides anything by itself, in milliseconds.
pub const SHORTEST_MS: u64 = 1000;

/// What was not alive.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// kbisect's own loop was late: it was stopped, or had no processor.
    HarnessLate,
    /// The candidate's QEMU was stopped.
    CandidateStopped,
    /// The candidate's QEMU wanted a processor and did not get one.
    CandidateStarved,
    /// The candidate's QEMU waited for the host's disk or memory.
    CandidateBlocked,
    /// The peer's QEMU was stopped.
    PeerStopped,
    /// The peer's QEMU wanted a processor and did not get one.
    PeerStarved,
    /// The peer's QEMU waited for the host's disk or memory.
    PeerBlocked,
    /// The peer machine gave no sign of life.
    PeerSilent,
    /// A frame for the peer could not be handed over.
    FrameUndelivered,
}

impl Cause {
    /// Whether it is for want of a processor.
    pub fn wants_processor(self) -> bool {
        match self {
            Self::HarnessLate | Self::CandidateStarved | Self::PeerStarved | Self::PeerSilent => {
                true
            }
            Self::CandidateStopped
            | Self::CandidateBlocked
            | Self::PeerStopped
            | Self::PeerBlocked
            | Self::FrameUndelivered => false,
        }
    }

    fn concerns(self, whose: Whose) -> bool {
        match whose {
            Whose::Everyone => true,
            Whose::Candidate => match self {
                Self::HarnessLate
                | Self::CandidateStopped
                | Self::CandidateStarved
                | Self::CandidateBlocked => true,
                Self::PeerStopped
                | Self::PeerStarved
                | Self::PeerBlocked
                | Self::PeerSilent
                | Self::FrameUndelivered => false,
            },
            Whose::Peer => match self {
                Self::HarnessLate | Self::PeerStopped | Self::PeerStarved | Self::PeerBlocked => {
                    true
                }
                Self::CandidateStopped
                | Self::CandidateStarved
                | Self::CandidateBlocked
                | Self::PeerSilent
                | Self::FrameUndelivered => false,
            },
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HarnessLate => "kbisect itself did not run",
            Self::CandidateStopped => "the candidate's QEMU was stopped",
            Self::CandidateStarved => "the candidate's QEMU had no processor",
            Self::CandidateBlocked => "the candidate's QEMU waited for the host's disk or memory",
            Self::PeerStopped => "the peer's QEMU was stopped",
            Self::PeerStarved => "the peer's QEMU had no processor",
            Self::PeerBlocked => "the peer's QEMU waited for the host's disk or memory",
            Self::PeerSilent => "the peer machine gave no sign of life",
            Self::FrameUndelivered => "a frame for the peer machine could not be handed over",
        })
    }
}

/// Whose life a window depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Candidate, peer, and what is between them.
    Everyone,
    /// The candidate and who listens to it.
    Candidate,
    /// The peer and who listens to it.
    Peer,
}

/// An interval in which something was not alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// What.
    pub cause: Cause,
    /// Begin, in milliseconds since the trial began.
    pub from_ms: u64,
    /// End.
    pub to_ms: u64,
}

impl Gap {
    /// Its length in milliseconds.
    pub fn ms(self) -> u64 {
        self.to_ms.saturating_sub(self.from_ms)
    }
}

/// An interval that something rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Begin, in milliseconds since the trial began.
    pub from_ms: u64,
    /// End.
    pub to_ms: u64,
}

impl Window {
    /// Its length in milliseconds.
    pub fn ms(self) -> u64 {
        self.to_ms.saturating_sub(self.from_ms)
    }
}

/// What a window is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was long enough, and everyone was alive.
    Sound,
    /// Everyone was alive, but it is too short to decide by itself.
    Short,
    /// It proves nothing.
    Disturbed {
        /// The cause of most of it.
        cause: Cause,
        /// How much of the window was disturbed, in milliseconds.
        ms: u64,
    },
}

/// The gaps of a trial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gaps(Vec<Gap>);

impl Gaps {
    /// Adds a gap. One that goes on where the last of its cause ended is the same.
    pub fn add(&mut self, gap: Gap) {
        let same = self.0.iter_mut().rev().find(|known| known.cause == gap.cause);
        if let Some(known) = same
            && gap.from_ms <= known.to_ms
            && gap.to_ms >= known.from_ms
        {
            known.from_ms = known.from_ms.min(gap.from_ms);
            known.to_ms = known.to_ms.max(gap.to_ms);
            return;
        }
        let full = self.0.len() >= MAX_GAPS;
        match self.0.last_mut().filter(|_| full) {
            Some(last) => last.to_ms = last.to_ms.max(gap.to_ms),
            None => self.0.push(gap),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Gap> {
        self.0.iter()
    }

    /// Milliseconds of a window that were disturbed, and of the longest stretch of it.
    pub fn within(&self, window: Window, whose: Whose) -> (u64, u64) {
        let mut parts: Vec<(u64, u64)> = self.parts(window, whose).map(|(_, part)| part).collect();
        parts.sort_unstable();
        let (mut total, mut longest) = (0, 0);
        let mut open: Option<(u64, u64)> = None;
        for (from, to) in parts {
            let joined = match open {
                Some((begin, end)) if from <= end => (begin, end.max(to)),
                _ => {
                    total += open.map_or(0, |(begin, end)| end - begin);
                    (from, to)
                }
            };
            longest = longest.max(joined.1 - joined.0);
            open = Some(joined);
        }
        (total + open.map_or(0, |(begin, end)| end - begin), longest)
    }

    /// What a window is worth: nothing with one gap of more than a quarter of it, or with gaps that
    /// add up to more than half of it.
    pub fn standing(&self, window: Window, whose: Whose) -> Standing {
        let (total, longest) = self.within(window, whose);
        if longest * 4 > window.ms() || total * 2 > window.ms() {
            let most = self.parts(window, whose).max_by_key(|(_, (from, to))| to - from);
            if let Some((cause, _)) = most {
                return Standing::Disturbed { cause, ms: total };
            }
        }
        if window.ms() < SHORTEST_MS { Standing::Short } else { Standing::Sound }
    }

    fn parts(
        &self,
        window: Window,
        whose: Whose,
    ) -> impl Iterator<Item = (Cause, (u64, u64))> + '_ {
        self.0.iter().filter(move |gap| gap.cause.concerns(whose)).filter_map(move |gap| {
            let part = (gap.from_ms.max(window.from_ms), gap.to_ms.min(window.to_ms));
            (part.0 < part.1).then_some((gap.cause, part))
        })
    }

    /// What the record keeps: the longest gaps, in the order in which they began.
    pub fn record(&self, decided: Option<Cause>) -> Disturbed {
        let whole = Window { from_ms: 0, to_ms: u64::MAX };
        let gaps = longest(&self.0, MAX_NAMED);
        Disturbed { gaps, total_ms: self.within(whole, Whose::Everyone).0, decided }
    }
}

/// The longest gaps, in the order in which they began.
pub fn longest(gaps: &[Gap], most: usize) -> Vec<Gap> {
    let mut gaps = gaps.to_vec();
    gaps.sort_by_key(|gap| std::cmp::Reverse(gap.ms()));
    gaps.truncate(most);
    gaps.sort_by_key(|gap| gap.from_ms);
    gaps
}

/// How a trial was disturbed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Disturbed {
    /// The longest gaps, in the order in which they began.
    pub gaps: Vec<Gap>,
    /// Milliseconds in which something was not alive.
    pub total_ms: u64,
    /// What took the verdict away: without it the trial would have told something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Cause>,
}

impl Disturbed {
    /// Whether everyone was alive all the time.
    pub fn is_empty(&self) -> bool {
        self.gaps.is_empty() && self.decided.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(list: &[(Cause, u64, u64)]) -> Gaps {
        let mut gaps = Gaps::default();
        for (cause, from_ms, to_ms) in list {
            gaps.add(Gap { cause: *cause, from_ms: *from_ms, to_ms: *to_ms });
        }
        gaps
    }

    fn standing(list: &[(Cause, u64, u64)], from_ms: u64, to_ms: u64) -> Standing {
        gaps(list).standing(Window { from_ms, to_ms }, Whose::Everyone)
    }

    #[test]
    fn one_gap_of_more_than_a_quarter_proves_nothing() {
        use Cause::HarnessLate as Late;
        assert_eq!(standing(&[(Late, 2000, 3000)], 0, 4000), Standing::Sound);
        let disturbed = Standing::Disturbed { cause: Late, ms: 1001 };
        assert_eq!(standing(&[(Late, 2000, 3001)], 0, 4000), disturbed);
        assert_eq!(standing(&[(Late, 2000, 9000)], 0, 2500).clone(), Standing::Sound.clone());
        assert_eq!(standing(&[(Late, 0, 900), (Late, 4100, 9000)], 1000, 4000), Standing::Sound);
    }

    #[test]
    fn gaps_that_add_up_to_more_than_half_prove_nothing() {
        use Cause::{CandidateStarved as Starved, HarnessLate as Late};
        let short = |count: u64| -> Vec<(Cause, u64, u64)> {
            (0..count).map(|at| (Starved, at * 1000, at * 1000 + 600)).collect()
        };
        assert_eq!(standing(&short(8), 0, 10_000), Standing::Sound, "4.8 of 10 s");
        assert_eq!(
            standing(&short(9), 0, 10_000),
            Standing::Disturbed { cause: Starved, ms: 5400 },
            "5.4 of 10 s"
        );
        // What is told twice was disturbed once.
        let twice: Vec<_> =
            short(8).into_iter().flat_map(|gap| [gap, (Late, gap.1, gap.2)]).collect();
        assert_eq!(standing(&twice, 0, 10_000), Standing::Sound);
        // Gaps of several causes side by side are one stretch.
        let beside = [(Starved, 0, 200), (Late, 200, 400), (Cause::PeerSilent, 390, 600)];
        assert_eq!(
            gaps(&beside).within(Window { from_ms: 0, to_ms: 2000 }, Whose::Everyone).1,
            600
        );
    }

    #[test]
    fn a_short_window_decides_nothing_by_itself() {
        assert_eq!(standing(&[], 0, 999), Standing::Short);
        assert_eq!(standing(&[], 0, 1000), Standing::Sound);
        assert_eq!(standing(&[], 5, 5), Standing::Short, "an empty one is not disturbed");
    }

    #[test]
    fn what_the_peer_does_is_no_part_of_the_candidates_silence() {
        let gaps = gaps(&[(Cause::PeerStopped, 0, 4000), (Cause::PeerSilent, 0, 4000)]);
        let window = Window { from_ms: 0, to_ms: 4000 };
        assert_eq!(gaps.standing(window, Whose::Candidate), Standing::Sound);
        assert_ne!(gaps.standing(window, Whose::Everyone), Standing::Sound);
    }

    #[test]
    fn gaps_are_bounded_and_never_forgotten() {
        let many: Vec<_> = (0..5000).map(|at| (Cause::HarnessLate, at * 10, at * 10 + 1)).collect();
        let gaps = gaps(&many);
        assert!(gaps.iter().count() <= MAX_GAPS);
        let end = Window { from_ms: 49_000, to_ms: 49_990 };
        assert!(matches!(gaps.standing(end, Whose::Everyone), Standing::Disturbed { .. }));
        let record = gaps.record(None);
        assert_eq!(record.gaps.len(), MAX_NAMED);
        assert!(record.gaps.is_sorted_by_key(|gap| gap.from_ms));
    }
}
