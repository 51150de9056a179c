//! The map of a range: what each kernel answers, stable series by stable series.
//!
//! Stable series are branches: a fix can be in 6.12.101 and not yet in 6.16.3, which is the higher
//! version. So changes are looked for within a series, and between one series and the next separately.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::boots::deciding;
use super::{GatePlan, GateTrial};
use crate::kernel::{Kernel, KernelId};
use crate::trial::{Match, Symptom, TrialRecord, Verdict};
use crate::version::PackageVersion;

/// What a kernel answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It passes.
    Good,
    /// It fails.
    Bad,
    /// It was tried and cannot answer.
    Skip,
    /// It is known that it cannot be tried.
    LeftOut,
    /// kbisect or the host failed, or the check has not come to it.
    None,
}

/// A kernel on the map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MapKernel {
    /// Upstream version; package version where two kernels on the map have the same.
    pub label: String,
    /// Package version.
    pub package_version: PackageVersion,
    /// Content hash.
    pub id: KernelId,
    /// What it answers.
    pub answer: Answer,
    /// Set when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symptom: Option<Symptom>,
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Number of the trial that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<u32>,
}

/// Kernels of a series, one after the other, that answer alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stretch {
    /// What they answer: good or bad.
    pub answer: Answer,
    /// `kind: title`, when they fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symptom: Option<String>,
    /// Label of the first one.
    pub first: String,
    /// Label of the last one.
    pub last: String,
    /// How many.
    pub kernels: usize,
}

/// A stable series on the map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MapSeries {
    /// Its name: `6.12`.
    pub series: String,
    /// Its kernels, the oldest first.
    pub kernels: Vec<MapKernel>,
    /// The same in short; kernels without an answer are passed over.
    pub stretches: Vec<Stretch>,
}

/// What changes between two kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// The older one passes, the newer one fails.
    Breaks,
    /// The older one fails, the newer one passes.
    Heals,
    /// Both fail, in ways that do not match.
    FailsOtherwise,
}

/// A change point: two kernels with different answers, and no answer between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// What changes.
    pub kind: ChangeKind,
    /// Whether both are of one stable series. Otherwise the newer one is of another branch, and which
    /// of its changes it is cannot be told from their versions.
    pub within_series: bool,
    /// Label of the older kernel.
    pub from: String,
    /// Label of the newer kernel.
    pub to: String,
    /// `kind: title` of the failure that begins or ends.
    pub symptom: String,
    /// Labels of those between them that gave no answer.
    pub unanswered: Vec<String>,
}

/// The history of a scenario over a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Map {
    /// The scenario.
    pub scenario: String,
    /// The series, the oldest first.
    pub series: Vec<MapSeries>,
    /// All change points, in the order of versions.
    pub changes: Vec<Change>,
}

impl Answer {
    /// The word for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Skip => "cannot answer",
            Self::LeftOut => "cannot be tested",
            Self::None => "no answer",
        }
    }

    /// One character.
    #[must_use]
    pub fn sign(self) -> char {
        match self {
            Self::Good => '+',
            Self::Bad => 'X',
            Self::Skip => '?',
            Self::LeftOut => '-',
            Self::None => '!',
        }
    }

    /// All of them.
    pub const ALL: [Self; 5] = [Self::Good, Self::Bad, Self::Skip, Self::LeftOut, Self::None];
}

impl ChangeKind {
    /// The word for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Breaks => "breaks",
            Self::Heals => "heals",
            Self::FailsOtherwise => "fails in another way",
        }
    }
}

impl Map {
    /// Draws the map of each scenario.
    #[must_use]
    pub fn all(plan: &GatePlan, trials: &[GateTrial]) -> Vec<Self> {
        plan.scenarios.iter().map(|scenario| Self::of(plan, trials, &scenario.name)).collect()
    }

    fn of(plan: &GatePlan, trials: &[GateTrial], scenario: &str) -> Self {
        let tried = plan.kernels.iter().map(|kernel| (kernel, None));
        let left = plan.left_out.iter().map(|left| (&left.kernel, Some(&left.reason)));
        let mut all: Vec<(&Kernel, Option<&String>)> = tried.chain(left).collect();
        all.sort_by(|(a, _), (b, _)| a.package_version.cmp(&b.package_version));
        let mut labels: BTreeMap<&str, usize> = BTreeMap::new();
        for (kernel, _) in &all {
            *labels.entry(kernel.label()).or_default() += 1;
        }
        let mut series: Vec<MapSeries> = Vec::new();
        for (kernel, left_out) in &all {
            let label = match labels.get(kernel.label()) {
                Some(1) => kernel.label().to_owned(),
                _ => kernel.package_version.to_string(),
            };
            let kernel_on_map = match left_out {
                Some(reason) => MapKernel::of(kernel, label, Answer::LeftOut, Some(reason)),
                None => tried_kernel(kernel, label, deciding(trials, scenario, kernel)),
            };
            let name = kernel.series();
            match series.last_mut().filter(|last| last.series == name) {
                Some(last) => last.kernels.push(kernel_on_map),
                None => series.push(MapSeries {
                    series: name,
                    kernels: vec![kernel_on_map],
                    stretches: Vec::new(),
                }),
            }
        }
        for one in &mut series {
            one.stretches = stretches(&one.kernels);
        }
        let changes = changes(&series);
        Self { scenario: scenario.to_owned(), series, changes }
    }

    /// The kernels, the oldest first.
    pub fn kernels(&self) -> impl Iterator<Item = &MapKernel> {
        self.series.iter().flat_map(|series| &series.kernels)
    }

    /// How many kernels give an answer.
    #[must_use]
    pub fn count(&self, answer: Answer) -> usize {
        self.kernels().filter(|kernel| kernel.answer == answer).count()
    }

    /// Series in which more than one change point lies: no halving tells their history.
    #[must_use]
    pub fn back_and_forth(&self) -> Vec<&str> {
        let turns = |series: &&MapSeries| {
            series.stretches.windows(2).filter(|pair| pair[0].answer != pair[1].answer).count() > 1
        };
        self.series.iter().filter(turns).map(|series| series.series.as_str()).collect()
    }

    /// Kernels without an answer by the reason, each with the labels; the reasons in the order in which
    /// they first come up.
    #[must_use]
    pub fn unanswered(&self) -> Vec<(Answer, &str, Vec<&str>)> {
        let mut found: Vec<(Answer, &str, Vec<&str>)> = Vec::new();
        for kernel in self.kernels().filter(|kernel| !kernel.has_answer()) {
            let (answer, reason) = (kernel.answer, kernel.reason.as_deref().unwrap_or_default());
            match found.iter_mut().find(|entry| (entry.0, entry.1) == (answer, reason)) {
                Some(entry) => entry.2.push(&kernel.label),
                None => found.push((answer, reason, vec![&kernel.label])),
            }
        }
        found
    }
}

impl MapKernel {
    fn of(kernel: &Kernel, label: String, answer: Answer, reason: Option<&str>) -> Self {
        Self {
            label,
            package_version: kernel.package_version.clone(),
            id: kernel.id.clone(),
            answer,
            symptom: None,
            reason: reason.map(str::to_owned),
            trial: None,
        }
    }

    /// Whether it passes or fails.
    #[must_use]
    pub fn has_answer(&self) -> bool {
        matches!(self.answer, Answer::Good | Answer::Bad)
    }

    /// Whether both give the same answer: failures have to match.
    fn agrees(&self, other: &Self) -> bool {
        match (&self.symptom, &other.symptom) {
            (Some(one), Some(two)) => one.matching(two).how != Match::Different,
            _ => self.answer == other.answer,
        }
    }
}

fn tried_kernel(kernel: &Kernel, label: String, record: Option<&TrialRecord>) -> MapKernel {
    let Some(record) = record else {
        return MapKernel::of(kernel, label, Answer::None, None);
    };
    let trial = Some(record.number);
    let (answer, symptom, reason) = match record.verdict() {
        Verdict::Good => (Answer::Good, None, None),
        Verdict::Bad(symptom) => (Answer::Bad, Some(symptom), None),
        Verdict::Skip(why) => (Answer::Skip, None, Some(why.to_string())),
        Verdict::Infra(reason) => (Answer::None, None, Some(reason)),
        Verdict::Scenario(fault) => (Answer::None, None, Some(fault.to_string())),
    };
    MapKernel { symptom, trial, ..MapKernel::of(kernel, label, answer, reason.as_deref()) }
}

fn stretches(kernels: &[MapKernel]) -> Vec<Stretch> {
    let answered: Vec<&MapKernel> = kernels.iter().filter(|kernel| kernel.has_answer()).collect();
    answered
        .chunk_by(|a, b| a.agrees(b))
        .map(|alike| {
            let (first, last) = (alike[0], alike[alike.len() - 1]);
            Stretch {
                answer: first.answer,
                symptom: first.symptom.as_ref().map(ToString::to_string),
                first: first.label.clone(),
                last: last.label.clone(),
                kernels: alike.len(),
            }
        })
        .collect()
}

fn changes(series: &[MapSeries]) -> Vec<Change> {
    let mut found = Vec::new();
    let mut last: Option<(&str, &MapKernel)> = None;
    let mut unanswered: Vec<String> = Vec::new();
    for (name, kernel) in series.iter().flat_map(|s| s.kernels.iter().map(move |k| (&*s.series, k)))
    {
        if !kernel.has_answer() {
            unanswered.push(kernel.label.clone());
            continue;
        }
        let between = std::mem::take(&mut unanswered);
        if let Some((series, older)) = last.replace((name, kernel))
            && !older.agrees(kernel)
        {
            let kind = match (older.answer, kernel.answer) {
                (Answer::Good, _) => ChangeKind::Breaks,
                (_, Answer::Good) => ChangeKind::Heals,
                _ => ChangeKind::FailsOtherwise,
            };
            let symptom = kernel.symptom.as_ref().or(older.symptom.as_ref());
            found.push(Change {
                kind,
                within_series: series == name,
                from: older.label.clone(),
                to: kernel.label.clone(),
                symptom: symptom.map(ToString::to_string).unwrap_or_default(),
                unanswered: between,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::SymptomKind;

    fn symptom(title: &str) -> Symptom {
        Symptom {
            kind: SymptomKind::CheckFailed,
            title: title.to_owned(),
            detail: String::new(),
            place: None,
            alt_titles: Vec::new(),
            frames: Vec::new(),
            lacks: Vec::new(),
            loss: None,
        }
    }

    /// A series by the signs of its kernels; other letters are failures of that name.
    fn series(name: &str, signs: &str) -> MapSeries {
        let kernel = |(number, sign): (usize, char)| {
            let answer = match sign {
                '+' => Answer::Good,
                '?' => Answer::Skip,
                '-' => Answer::LeftOut,
                _ => Answer::Bad,
            };
            let version = format!("{name}.{}", number + 1);
            MapKernel {
                label: version.clone(),
                package_version: PackageVersion::parse(&version).unwrap(),
                id: KernelId(version),
                answer,
                symptom: (answer == Answer::Bad).then(|| symptom(&sign.to_string())),
                reason: None,
                trial: None,
            }
        };
        let kernels: Vec<_> = signs.chars().enumerate().map(kernel).collect();
        let stretches = stretches(&kernels);
        MapSeries { series: name.to_owned(), kernels, stretches }
    }

    fn told(list: &[MapSeries]) -> Vec<(ChangeKind, bool, String, usize)> {
        let line = |change: Change| {
            let ends = format!("{}..{}", change.from, change.to);
            (change.kind, change.within_series, ends, change.unanswered.len())
        };
        changes(list).into_iter().map(line).collect()
    }

    #[test]
    fn each_turn_of_a_history_is_a_change_point() {
        let list = [series("6.1", "++"), series("6.12", "+?XX-+"), series("6.16", "?X")];
        let expected = [
            (ChangeKind::Breaks, true, "6.12.1..6.12.3".to_owned(), 1),
            (ChangeKind::Heals, true, "6.12.4..6.12.6".to_owned(), 1),
            (ChangeKind::Breaks, false, "6.12.6..6.16.2".to_owned(), 1),
        ];
        assert_eq!(told(&list), expected);
        let map = Map { scenario: "s".to_owned(), changes: changes(&list), series: list.to_vec() };
        assert_eq!(map.back_and_forth(), ["6.12"]);
        assert_eq!((map.count(Answer::Bad), map.count(Answer::Skip)), (3, 2));
    }

    #[test]
    fn failures_that_do_not_match_are_told_apart() {
        let list = [series("6.12", "XXYY+")];
        let expected = [
            (ChangeKind::FailsOtherwise, true, "6.12.2..6.12.3".to_owned(), 0),
            (ChangeKind::Heals, true, "6.12.4..6.12.5".to_owned(), 0),
        ];
        assert_eq!(told(&list), expected);
        let lengths: Vec<_> = list[0].stretches.iter().map(|s| s.kernels).collect();
        assert_eq!(lengths, [2, 2, 1]);
    }

    #[test]
    fn what_gives_no_answer_is_no_change() {
        assert_eq!(told(&[series("6.12", "?--"), series("6.16", "++?+")]), []);
        assert!(stretches(&series("6.12", "?-").kernels).is_empty());
    }
}
