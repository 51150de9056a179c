//! The boots behind trials: how many runs of one count, whether trials that booted as users do and quicker
//! ones, from a saved state or by the PVH entry, agree, and how the next one comes up.

use std::collections::{BTreeMap, BTreeSet};

use crate::bayes::{Answer, RUNS_A_BOOT, Tally};
use crate::boot::Coming;
use crate::trial::{BootId, BootKind, TrialRecord};

/// How much better two rates must explain the answers than one before restored guests are not
/// trusted any more: 20, strong evidence by the usual scale (Kass and Raftery 1995).
const STRONG: f64 = 20.0;

/// Boots in vain (the kernel gave no answer) after which an answer stands without one.
pub(crate) const IN_VAIN: u32 = 3;

/// Runs that count, by version and boot.
#[derive(Clone, Debug, Default)]
pub(crate) struct BootRuns {
    of: BTreeMap<usize, OfVersion>,
}

#[derive(Clone, Debug, Default)]
struct OfVersion {
    /// Failures and passes.
    boots: BTreeMap<BootId, [u32; 2]>,
    /// Those of runs that each had a boot of its own.
    alone: [u32; 2],
}

impl BootRuns {
    /// Takes an answer, and says whether it counts: of one boot only so many do.
    pub(crate) fn add(&mut self, index: usize, answer: Answer, boot: Option<&BootId>) -> bool {
        let at = match answer {
            Answer::Fail => 0,
            Answer::Pass => 1,
            Answer::Other | Answer::Skip | Answer::Infra => return true,
        };
        let version = self.of.entry(index).or_default();
        let counts = match boot {
            Some(boot) => version.boots.entry(boot.clone()).or_default(),
            None => &mut version.alone,
        };
        let counted = boot.is_none() || counts[0] + counts[1] < RUNS_A_BOOT;
        counts[at] += u32::from(counted);
        counted
    }

    /// Takes runs that each had a boot of its own.
    pub(crate) fn add_alone(&mut self, index: usize, fails: u32, passes: u32) {
        let [failed, passed] = &mut self.of.entry(index).or_default().alone;
        *failed += fails;
        *passed += passes;
    }

    /// Boots of a version that failed at least once, and those that passed each time.
    pub(crate) fn of(&self, index: usize) -> [u32; 2] {
        let Some(version) = self.of.get(&index) else { return [0, 0] };
        let mut boots = version.alone;
        for [fails, passes] in version.boots.values() {
            boots[0] += u32::from(*fails > 0);
            boots[1] += u32::from(*fails == 0 && *passes > 0);
        }
        boots
    }

    /// Whether no further run of a boot would count.
    fn is_used_up(&self, index: usize, boot: &BootId, under_way: u32) -> bool {
        let counts = self.of.get(&index).and_then(|version| version.boots.get(boot));
        counts.map_or(0, |[fails, passes]| fails + passes) + under_way >= RUNS_A_BOOT
    }
}

/// What was seen of each version, by how its kernel came up.
#[derive(Clone, Debug, Default)]
pub struct Boots {
    seen: BTreeMap<usize, Seen>,
    runs: BootRuns,
    /// Versions under way.
    pending: Vec<usize>,
    /// Versions whose trial was cut off with kbisect: they are tried as they were, with a boot.
    cut_off: BTreeSet<usize>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    cold: Tally,
    quick: Tally,
    /// The boot of the saved state, if there is one, as the last trial told it.
    saved: Option<BootId>,
}

impl Boots {
    /// Takes the answer of a trial. Records without a word on it are of before there were states.
    pub fn record(&mut self, index: usize, record: &TrialRecord, answer: Answer) {
        if let Some(at) = self.pending.iter().position(|pending| *pending == index) {
            self.pending.remove(at);
        }
        let seen = self.seen.entry(index).or_default();
        // A boot as shipped leaves no state behind; another one may have.
        let leaves = record.booted.as_ref().is_none_or(|booted| !booted.as_shipped);
        if record.boot == Some(BootKind::Restored) || (record.boot.is_some() && leaves) {
            seen.saved.clone_from(&record.boot_id);
        }
        let counts = if record.is_quick() { &mut seen.quick } else { &mut seen.cold };
        if self.runs.add(index, answer, record.boot_id.as_ref()) {
            counts.add(answer);
        }
    }

    /// Notes which trials began and were cut off.
    pub fn cut_off(&mut self, indexes: impl IntoIterator<Item = usize>) {
        self.cut_off.extend(indexes);
    }

    /// Notes that a trial begins.
    pub fn begin(&mut self, index: usize) {
        self.pending.push(index);
    }

    /// Whether restored guests fail at another rate than booted ones: a Bayes factor of one rate for
    /// each version against two, under Jeffreys' prior.
    pub fn disagree(&self) -> bool {
        self.seen.values().map(Seen::log_factor).sum::<f64>() >= STRONG.ln()
    }

    /// How the next trial of a version comes up: as shipped where quick trials are not trusted or one was
    /// cut off, and by a new boot where enough runs of the saved one counted.
    pub fn come_up(&self, index: usize) -> Coming {
        let seen = self.seen.get(&index);
        let never = seen.is_none_or(|seen| seen.cold.counted() == 0);
        if self.disagree() || (never && self.cut_off.contains(&index)) {
            return Coming::AsShipped;
        }
        let under_way = self.under_way(index);
        match seen.and_then(|seen| seen.saved.as_ref()) {
            Some(saved) if self.runs.is_used_up(index, saved, under_way) => Coming::Renew,
            _ => Coming::Any,
        }
    }

    /// Whether what was seen of a version rests on saved states alone, and a boot may still show it.
    pub fn lacks_boot(&self, index: usize) -> bool {
        self.seen.get(&index).is_some_and(|seen| {
            seen.quick.counted() > 0
                && seen.cold.counted() == 0
                && seen.cold.others + seen.cold.skips < IN_VAIN
        })
    }

    /// Trials of a version that are under way.
    pub fn under_way(&self, index: usize) -> u32 {
        self.pending.iter().filter(|pending| **pending == index).count() as u32
    }
}

impl Seen {
    fn log_factor(&self) -> f64 {
        // ln B(1/2 + f, 1/2 + s) - ln B(1/2, 1/2), as rising factorials.
        let rising = |from: f64, n: u32| (0..n).map(|i| (from + f64::from(i)).ln()).sum::<f64>();
        let weight = |fails: u32, passes: u32| {
            rising(0.5, fails) + rising(0.5, passes) - rising(1.0, fails + passes)
        };
        let (a, b) = (self.cold, self.quick);
        weight(a.fails, a.passes) + weight(b.fails, b.passes)
            - weight(a.fails + b.fails, a.passes + b.passes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trial of a boot; one that is named by a letter alone went on from a saved state.
    fn record(boot: &str) -> TrialRecord {
        let kind = if boot.starts_with("cold") { "cold" } else { "restored" };
        let record = serde_json::json!({
            "number": 1, "verdict": "good", "checks": [], "timings_s": {}, "wall_s": 1.0, "symptom": null,
            "kernel": { "version": "6.1.1", "package_version": "6.1.1-1", "flavour": "amd64",
                "source": "debian", "id": "0" },
            "directory": "trials/1", "accelerator": "tcg", "repeat": "kbisect run 6.1.1",
            "boot": kind, "boot_id": boot,
        });
        serde_json::from_value(record).unwrap()
    }

    fn boots(seen: &[(usize, &str, Answer, u32)]) -> Boots {
        let mut boots = Boots::default();
        for (index, boot, answer, times) in seen {
            for time in 0..*times {
                // Each run has a boot of its own but those of a boot that is named by a letter.
                let boot = if boot.len() == 1 {
                    (*boot).to_owned()
                } else {
                    format!("{boot}{index}-{time}")
                };
                boots.record(*index, &record(&boot), *answer);
            }
        }
        boots
    }
    use Answer::{Fail, Pass, Skip};

    #[test]
    fn rates_differ_only_when_chance_does_not_explain_it() {
        let of = |cf, cp, rf, rp| {
            let seen = [
                ("cold-f", Fail, cf),
                ("cold-p", Pass, cp),
                ("saved-f", Fail, rf),
                ("saved-p", Pass, rp),
            ];
            boots(&seen.map(|(boot, answer, times)| (1, boot, answer, times))).disagree()
        };
        assert!(!of(0, 1, 1, 0), "one run each");
        assert!(!of(3, 7, 2, 8));
        assert!(!of(0, 3, 4, 9));
        assert!(of(0, 12, 9, 3));
        assert!(of(8, 0, 0, 8));
        // Each version adds its part.
        let part = [("cold", Pass, 2), ("saved", Fail, 2)];
        let of = |versions: usize| {
            let all =
                (0..versions).flat_map(|at| part.map(|(boot, answer, n)| (at, boot, answer, n)));
            boots(&all.collect::<Vec<_>>()).disagree()
        };
        assert!(!of(1) && of(3));
    }

    #[test]
    fn three_runs_of_a_boot_count_and_then_a_new_one_is_needed() {
        let mut boots = boots(&[(1, "a", Fail, 2)]);
        assert_eq!(boots.come_up(1), Coming::Any);
        boots.begin(1);
        assert_eq!(boots.come_up(1), Coming::Renew, "the third one is under way");
        boots.record(1, &record("a"), Fail);
        assert_eq!(boots.come_up(1), Coming::Renew);
        assert_eq!(boots.come_up(2), Coming::Any, "another version");
        for _ in 0..9 {
            boots.record(1, &record("a"), Fail);
        }
        for boot in ["cold-1", "cold-2"] {
            boots.record(1, &record(boot), Pass);
        }
        assert!(!boots.disagree(), "no more than three of those runs count");
        assert_eq!(boots.come_up(1), Coming::Any, "the last one may have been saved");
        let mut runs = BootRuns::default();
        let (a, b) = (BootId("a".to_owned()), BootId("b".to_owned()));
        let answers = [Fail, Pass, Fail, Fail, Pass];
        assert_eq!(
            answers.map(|answer| runs.add(1, answer, Some(&a))),
            [true, true, true, false, false]
        );
        assert!(
            runs.add(1, Pass, Some(&b)) && runs.add(1, Pass, None) && runs.add(2, Pass, Some(&a))
        );
        assert_eq!(runs.of(1), [1, 2], "a boot that failed once is none that passed");
    }

    #[test]
    fn what_was_cut_off_boots() {
        let mut boots = boots(&[(1, "a", Fail, 1), (2, "cold", Fail, 1)]);
        boots.cut_off([1, 2]);
        assert_eq!((boots.come_up(1), boots.come_up(2)), (Coming::AsShipped, Coming::Any));
    }

    #[test]
    fn what_saved_states_alone_showed_lacks_a_boot() {
        let lacks = |seen: &[(usize, &str, Answer, u32)]| boots(seen).lacks_boot(5);
        assert!(lacks(&[(5, "a", Pass, 1)]));
        assert!(lacks(&[(5, "a", Pass, 1), (5, "cold", Skip, IN_VAIN - 1)]));
        assert!(!lacks(&[(5, "a", Pass, 1), (5, "cold", Skip, IN_VAIN)]), "it cannot be had");
        assert!(!lacks(&[(5, "a", Pass, 1), (5, "cold", Pass, 1)]));
        assert!(!lacks(&[(5, "cold", Pass, 1)]));
        assert!(!lacks(&[]), "taken for granted");
    }
}
