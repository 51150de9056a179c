//! The rules of the search: what comes next, and when it is over.

use super::estimate::capacity;
use super::gain::{Choice, Pick};
use super::noisy::{NoisySearch, assumptions};
use super::step::{Ending, NoisyStep, Purpose, RangeReason, Why};
use super::stop::{Class, FAILURES, Lack, Wanted, lacking, likeliest};
use crate::search::Direction;

/// Information, in nats, that is not worth a run.
const NOTHING: f64 = 1e-9;
/// A search ends without an answer after this many times the runs that it should take.
const PATIENCE: f64 = 20.0;

impl NoisySearch {
    /// Says what to do next. Without another call in between it always says the same.
    pub fn next(&self) -> NoisyStep {
        if let Some(ending) = self.ends_ending() {
            return NoisyStep::Done(ending);
        }
        let lead = self.lead();
        if let Some(ending) = self.settled(&lead) {
            return NoisyStep::Done(ending);
        }
        if self.is_spent() {
            return if self.pending.is_empty() {
                NoisyStep::Done(self.give_up(RangeReason::Budget))
            } else {
                NoisyStep::Wait
            };
        }
        if let Some(step) = self.reproduce().or_else(|| self.recheck()) {
            return step;
        }
        if let Some(step) = self.confirm(&lead) {
            return step;
        }
        match self.choose() {
            Some(pick) if pick.gain > NOTHING && !self.is_hopeless() => {
                let (index, purpose) = (pick.version, Purpose::Cut);
                let bits = pick.gain / std::f64::consts::LN_2;
                let reason = Why::Tells((bits * 100.0).round() as u32);
                NoisyStep::Try { index, purpose, reason, boot: false }
            }
            _ if !self.pending.is_empty() => NoisyStep::Wait,
            _ => NoisyStep::Done(self.give_up(RangeReason::Exhausted)),
        }
    }

    /// Whether the bad end showed the symptom often enough.
    fn is_reproduced(&self) -> bool {
        self.settings.assume_bad || self.tallies[self.bad_end()].fails >= FAILURES
    }

    pub(super) fn under_way(&self, version: usize) -> u32 {
        self.pending.iter().filter(|pending| **pending == version).count() as u32
    }

    /// Whether all runs of the budget were made, those under way included.
    pub(crate) fn is_spent(&self) -> bool {
        let under_way = self.pending.len() as u32;
        self.settings.budget.is_some_and(|budget| self.runs() + under_way >= budget)
    }

    /// Whether more runs were made than any answer should take.
    fn is_hopeless(&self) -> bool {
        let unknown = (self.history.len() as f64).ln() + 5.0;
        f64::from(self.runs()) > PATIENCE * unknown / capacity(self.settings.p_min, 0.0)
    }

    /// How the search ends if an end is not what it has to be.
    fn ends_ending(&self) -> Option<Ending> {
        let (bad, good) = (self.bad_end(), self.good_end());
        if self.barred.contains(&bad) && !self.settings.assume_bad {
            return Some(Ending::EndSkipped { which: Purpose::BadEnd });
        }
        if self.barred.contains(&good) && !self.settings.assume_good {
            return Some(Ending::EndSkipped { which: Purpose::GoodEnd });
        }
        let tally = self.tallies[bad];
        // A symptom that others come before shows no more often than that.
        let runs = match self.settings.p_min {
            1.0.. => tally.counted(),
            _ => tally.runs() - tally.again,
        };
        let is_rarer = self.patience.get(tally.fails as usize).is_some_and(|most| runs >= *most);
        (!self.is_reproduced() && is_rarer).then_some(Ending::NotReproduced { tally })
    }

    /// What is all but certain.
    fn lead(&self) -> Lead {
        let stop = self.settings.stop;
        if !self.is_reproduced() {
            return Lead::None;
        }
        if self.posterior.all_bad.mass >= stop {
            return Lead::AllBad;
        }
        if self.posterior.noise.mass >= stop {
            return Lead::Noise;
        }
        likeliest(&self.history, &self.atoms, &self.posterior, &self.frontiers)
            .filter(|class| class.mass >= stop)
            .map_or(Lead::None, |class| {
                let lacks = self.lacks(&class);
                Lead::Class(class, lacks)
            })
    }

    /// What the comparison around a class still needs.
    fn lacks(&self, class: &Class) -> Vec<Lack> {
        let (mut bad, mut good) = match self.settings.direction {
            Direction::Regression => (class.after.clone(), class.before.clone()),
            Direction::Fix => (class.before.clone(), class.after.clone()),
        };
        if self.settings.assume_good {
            good.retain(|version| *version != self.good_end());
        }
        bad.retain(|version| !self.barred.contains(version) || *version == self.bad_end());
        lacking(&bad, &good, |version| self.seen(version), &self.likelihood, self.settings.chance())
    }

    /// How the search ends if nothing is left to do.
    fn settled(&self, lead: &Lead) -> Option<Ending> {
        let good_tally = self.tallies[self.good_end()];
        match lead {
            Lead::AllBad if good_tally.fails >= FAILURES => {
                let probability = self.posterior.all_bad.mass;
                Some(Ending::GoodFails { tally: good_tally, probability })
            }
            Lead::Noise => Some(Ending::NothingChanged { probability: self.posterior.noise.mass }),
            Lead::Class(class, lacks) if lacks.is_empty() => Some(self.named(class)),
            _ if self.surprises.values().any(|(times, _)| *times > 1) => self
                .several_changes()
                .map(|several| self.give_up(RangeReason::SeveralChanges(several))),
            _ => None,
        }
    }

    fn named(&self, class: &Class) -> Ending {
        if let Some(several) = self.several_changes() {
            return self.give_up(RangeReason::SeveralChanges(several));
        }
        let (probability, skipped) = (class.mass, self.skipped());
        match class.members[..] {
            [first_new] => Ending::Found {
                first_new,
                last_old: self.history.parents(first_new),
                probability,
                skipped,
            },
            _ => Ending::Range {
                why: RangeReason::Untestable,
                possible: class.members.clone(),
                probability,
                skipped,
            },
        }
    }

    /// Nothing can be found unless the bad end fails.
    fn reproduce(&self) -> Option<NoisyStep> {
        let (index, tally) = (self.bad_end(), self.tallies[self.bad_end()]);
        let missing = FAILURES.saturating_sub(tally.fails);
        (!self.is_reproduced() && self.under_way(index) < missing).then_some(NoisyStep::Try {
            index,
            purpose: Purpose::BadEnd,
            reason: Why::BadEndFails(tally),
            boot: false,
        })
    }

    /// A failure where none was expected is looked at again before anything follows from it.
    fn recheck(&self) -> Option<NoisyStep> {
        let due = self.surprises.iter().find(|(index, (_, due))| {
            *due && self.under_way(**index) == 0 && !self.barred.contains(index)
        });
        due.map(|(index, _)| NoisyStep::Try {
            index: *index,
            purpose: Purpose::Recheck,
            reason: Why::Surprise,
            boot: false,
        })
    }

    fn confirm(&self, lead: &Lead) -> Option<NoisyStep> {
        let good_end = self.good_end();
        match lead {
            Lead::None | Lead::Noise => None,
            Lead::AllBad => {
                let tally = self.tallies[good_end];
                let reason = Why::GoodEndFails(tally);
                let missing = FAILURES.saturating_sub(tally.fails);
                Some(if self.under_way(good_end) < missing {
                    NoisyStep::Try {
                        index: good_end,
                        purpose: Purpose::GoodEnd,
                        reason,
                        boot: false,
                    }
                } else {
                    NoisyStep::Wait
                })
            }
            Lead::Class(_, lacks) => {
                let next = lacks.iter().find(|lack| lack.missing > 0);
                Some(next.map_or(NoisyStep::Wait, |lack| NoisyStep::Try {
                    index: lack.version,
                    purpose: Purpose::Confirm,
                    reason: self.why_confirm(lack),
                    boot: lack.boots,
                }))
            }
        }
    }

    fn why_confirm(&self, lack: &Lack) -> Why {
        let tally = self.tallies[lack.version];
        match lack.what {
            Wanted::Failures if tally.fails >= FAILURES => Why::CulpritFailsInBoots,
            Wanted::Failures => Why::CulpritFails(tally),
            Wanted::Passes => Why::NeighbourPasses(lack.missing),
        }
    }

    pub(super) fn choose(&self) -> Option<Pick> {
        let choice = Choice {
            history: &self.history,
            atoms: &self.atoms,
            likelihood: &self.likelihood,
            assumed: assumptions(&self.settings),
            barred: &self.barred,
            vain: &self.vain,
            near_vain: &self.near_vain,
            prepared: &self.prepared,
            costs: self.settings.costs,
            weights: self.weights.as_deref().map(|weights| (weights, self.atoms.weigh(weights))),
        };
        let pending: Vec<usize> =
            self.pending.iter().filter_map(|version| self.atoms.slot(*version)).collect();
        choice.best(&self.slot_counts(), &self.posterior, &pending)
    }
}

/// What is all but certain.
#[derive(Debug)]
enum Lead {
    None,
    AllBad,
    Noise,
    Class(Class, Vec<Lack>),
}
