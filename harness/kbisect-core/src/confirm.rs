//! Whether the answer of a halving is more than chance: both sides of the change are tried again.
//!
//! Either side is repeated twice, once by a boot as shipped, and until the answer holds with the probability of the
//! stop rule, in the model of the search under doubt: half of its prior is on kernels that always answer
//! the same, so that few repeats do where they agree. Where they do not, that search goes on.

use crate::bayes::{Answer, NoisySearch};
use crate::boot::Coming;
use crate::boots::{Boots, IN_VAIN};
use crate::search::{Direction, Outcome};
use crate::trial::BootId;

/// Repeats of either side, at the least.
pub(crate) const REPEATS: u32 = 2;
/// Repeats after which a side tells no more.
const ENOUGH: u32 = 12;

/// What a trial told, as far as a confirmation looks at it.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub index: usize,
    pub answer: Answer,
    /// Whether the kernel was started, and came up quickly: a boot as shipped has to confirm it.
    pub started: bool,
    pub quick: bool,
    pub boot_id: Option<BootId>,
}

/// What is to be done about an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Standing {
    /// This version is tried again.
    Lacks {
        index: usize,
        coming: Coming,
        /// Trials that are lacking with this one, at the least.
        left: usize,
    },
    /// Trials under way decide.
    UnderWay,
    /// Nothing more would tell.
    Settled,
}

/// How sure an answer is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Confirmation {
    /// Probability that the change came with one of the kernels that the answer names.
    pub probability: f64,
    /// Whether the sides were repeated as often as they have to be, and agreed.
    pub is_confirmed: bool,
    /// Repeats in all.
    pub repeats: u32,
}

/// One side of a change.
#[derive(Clone, Copy, Debug)]
struct Side {
    index: usize,
    /// Answers after the first one, and those of them that a boot gave.
    repeats: u32,
    boots: u32,
    /// Repeats that gave no answer.
    vain: u32,
    under_way: u32,
}

impl Side {
    /// The side of a version; nothing where it was taken for granted, or judged without being started.
    fn new(index: usize, told: &[Told], boots: &Boots) -> Option<Self> {
        let answers = |told: &&Told| matches!(told.answer, Answer::Pass | Answer::Fail);
        let mut own = told.iter().filter(|told| told.index == index);
        own.find(answers).filter(|first| first.started)?;
        let mut side =
            Self { index, repeats: 0, boots: 0, vain: 0, under_way: boots.under_way(index) };
        for repeat in own {
            match repeat.answer {
                Answer::Pass | Answer::Fail => {
                    side.repeats += 1;
                    side.boots += u32::from(!repeat.quick);
                }
                Answer::Other | Answer::Skip => side.vain += 1,
                Answer::Infra => {}
            }
        }
        Some(side)
    }

    fn is_open(&self) -> bool {
        self.vain < IN_VAIN
    }

    fn expected(&self) -> u32 {
        self.repeats + self.under_way
    }

    fn missing(&self) -> u32 {
        REPEATS.saturating_sub(self.expected())
    }
}

/// An answer under examination.
pub(crate) struct Examination<'a> {
    /// The model of the search under doubt, with all trials.
    pub search: NoisySearch,
    pub told: &'a [Told],
    pub boots: &'a Boots,
    pub direction: Direction,
    /// Probability at which an answer holds.
    pub stop: f64,
}

impl Examination<'_> {
    /// What an answer still lacks.
    pub(crate) fn standing(&self, outcome: &Outcome) -> Standing {
        let Some((sides, possible)) = self.around(outcome) else { return Standing::Settled };
        let any_under_way = sides.iter().any(|side| side.under_way > 0);
        let open: Vec<Side> = sides.into_iter().filter(Side::is_open).collect();
        let left = open.iter().map(|side| side.missing() as usize).sum::<usize>().max(1);
        if let Some(side) = open.iter().find(|side| side.boots == 0 && side.under_way == 0) {
            return Standing::Lacks { index: side.index, coming: Coming::AsShipped, left };
        }
        let again = open.iter().find(|side| side.missing() > 0).or_else(|| {
            let short = open.iter().filter(|side| side.expected() < ENOUGH);
            let fewest = short.min_by_key(|side| side.expected());
            fewest.filter(|_| self.expected(&open, &possible) < self.stop)
        });
        match again {
            Some(side) => {
                let coming = self.boots.come_up(side.index);
                Standing::Lacks { index: side.index, coming, left }
            }
            None if any_under_way => Standing::UnderWay,
            None => Standing::Settled,
        }
    }

    /// How sure an answer is now.
    pub(crate) fn confirmation(&self, outcome: &Outcome) -> Option<Confirmation> {
        let (sides, possible) = self.around(outcome)?;
        let probability = self.search.probability(&possible);
        // What was taken for granted was not seen.
        let answered = |index: usize| {
            let answers = |told: &Told| matches!(told.answer, Answer::Pass | Answer::Fail);
            self.told.iter().any(|told| told.index == index && answers(told))
        };
        let (old, new) = neighbours(outcome)?;
        let repeated = |side: &Side| side.repeats >= REPEATS && side.boots > 0;
        Some(Confirmation {
            probability,
            is_confirmed: answered(old)
                && answered(new)
                && sides.iter().all(repeated)
                && probability >= self.stop,
            repeats: sides.iter().map(|side| side.repeats).sum(),
        })
    }

    /// The sides of the change, the bad one first, and where it may have come.
    fn around(&self, outcome: &Outcome) -> Option<(Vec<Side>, Vec<usize>)> {
        let (old, new) = neighbours(outcome)?;
        let possible = match outcome {
            Outcome::Range { possible, .. } => possible.clone(),
            _ => vec![new],
        };
        let (bad, good) = match self.direction {
            Direction::Regression => (new, old),
            Direction::Fix => (old, new),
        };
        let side = |index| Side::new(index, self.told, self.boots);
        Some(([bad, good].into_iter().filter_map(side).collect(), possible))
    }

    /// The probability of an answer once the trials under way answered as those before.
    fn expected(&self, sides: &[Side], possible: &[usize]) -> f64 {
        let mut search = self.search.clone();
        for side in sides {
            let fails = self
                .told
                .iter()
                .any(|told| told.index == side.index && told.answer == Answer::Fail);
            let answer = if fails { Answer::Fail } else { Answer::Pass };
            for _ in 0..side.under_way {
                // It was tried, so it is in the series.
                let _ = search.record(side.index, answer);
            }
        }
        search.probability(possible)
    }
}

/// The versions on both sides of a change, the older one first.
fn neighbours(outcome: &Outcome) -> Option<(usize, usize)> {
    match outcome {
        Outcome::Found { last_old, first_new }
        | Outcome::FoundDespiteSkips { last_old, first_new, .. }
        | Outcome::Range { last_old, first_new, .. } => Some((*last_old, *first_new)),
        Outcome::NotReproduced | Outcome::GoodFails | Outcome::EndSkipped { .. } => None,
    }
}
