//! Which symptom a run looks for, when the bad end fails in more than one way.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Plan, RunEvent, Tried};
use crate::bayes::FAILURES;
use crate::search::{Direction, Mark};
use crate::trial::{Match, Symptom, SymptomKind, VerdictKind};

/// A symptom as a user names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum SymptomName {
    /// By its place among those that the bad end shows, the most frequent one being 1.
    Number(usize),
    /// By its kind.
    Kind(SymptomKind),
    /// By a part of its title, in letters of either case.
    Title(String),
}

/// Why a symptom cannot be named that way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SymptomNameError {
    /// Nothing was written.
    #[error("no symptom is named")]
    Empty,
    /// The first one is 1.
    #[error("the first symptom is number 1")]
    Zero,
}

/// Who chose the symptom that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChosenBy {
    /// The user, on the command line.
    Named,
    /// The user, when asked.
    Asked,
    /// Nobody: it is the most frequent one.
    MostFrequent,
}

/// A symptom of the bad end, and how often it was seen there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SymptomCount {
    /// The symptom, as it was seen first.
    pub symptom: Symptom,
    /// Runs that ended with it.
    pub runs: u32,
}

/// A choice among symptoms, for the reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SymptomChoice {
    /// Who made it.
    pub by: ChosenBy,
    /// What the bad end had shown by then, the most frequent first.
    pub seen: Vec<SymptomCount>,
}

/// What has to be chosen before the search goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum Due {
    /// The one that the user named was seen.
    Named(Symptom),
    /// The bad end fails in several ways, and none was named.
    Ask,
}

/// A symptom that was named and that the bad end does not show.
#[derive(Clone, Debug, PartialEq)]
pub struct Missing {
    /// How it was named.
    pub name: SymptomName,
    /// What that end shows, the most frequent first.
    pub shown: Vec<SymptomCount>,
}

impl SymptomName {
    /// Whether this is it. A number names none by itself.
    pub fn names(&self, symptom: &Symptom) -> bool {
        match self {
            Self::Number(_) => false,
            Self::Kind(kind) => symptom.kind == *kind,
            Self::Title(part) => {
                let has = |title: &str| title.to_lowercase().contains(&part.to_lowercase());
                has(&symptom.to_string()) || symptom.alt_titles.iter().any(|title| has(title))
            }
        }
    }
}

impl FromStr for SymptomName {
    type Err = SymptomNameError;

    fn from_str(text: &str) -> Result<Self, SymptomNameError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(SymptomNameError::Empty);
        }
        let kind = serde_json::from_value(serde_json::Value::String(text.to_lowercase()));
        match (text.parse(), kind) {
            (Ok(0), _) => Err(SymptomNameError::Zero),
            (Ok(number), _) => Ok(Self::Number(number)),
            (_, Ok(kind)) => Ok(Self::Kind(kind)),
            _ => Ok(Self::Title(text.to_owned())),
        }
    }
}

impl TryFrom<String> for SymptomName {
    type Error = SymptomNameError;

    fn try_from(text: String) -> Result<Self, SymptomNameError> {
        text.parse()
    }
}

impl From<SymptomName> for String {
    fn from(name: SymptomName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for SymptomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Kind(kind) => write!(f, "{kind}"),
            Self::Title(title) => f.write_str(title),
        }
    }
}

/// The symptom that the search looks for: the one that was chosen; else the one that the bad end
/// shows most often, until it showed one three times; where that end is taken for granted, or tried
/// once, that of the first bad trial. Nothing while the one that the user named was not seen.
pub fn target_symptom<'a>(
    events: impl IntoIterator<Item = &'a RunEvent> + Clone,
) -> Option<&'a Symptom> {
    let chosen = |event: &'a RunEvent| match event {
        RunEvent::SymptomChosen { symptom, .. } => Some(symptom.as_ref()),
        _ => None,
    };
    if let Some(symptom) = events.clone().into_iter().find_map(chosen) {
        return Some(symptom);
    }
    let plan = plan_of(events.clone());
    if matches!(name(plan), Some(SymptomName::Kind(_) | SymptomName::Title(_))) {
        return None;
    }
    if let Some(end) = plan.filter(|plan| plan.options.doubt.is_some()).and_then(bad_end)
        && let Some(leading) = seen_at(end, events.clone()).leading()
    {
        return Some(leading);
    }
    events.into_iter().find_map(|event| match event {
        RunEvent::TrialEnded { record, mark: Some(Mark::Bad), taken, .. } => taken.symptom(record),
        _ => None,
    })
}

/// The symptoms of the bad end, the most frequent first.
pub fn symptoms_of_bad_end<'a>(
    events: impl IntoIterator<Item = &'a RunEvent> + Clone,
) -> Vec<SymptomCount> {
    let end = plan_of(events.clone()).and_then(bad_end);
    end.map(|end| seen_at(end, events).counts()).unwrap_or_default()
}

/// What has to be chosen now, if anything.
pub fn choice_due<'a>(events: impl IntoIterator<Item = &'a RunEvent> + Clone) -> Option<Due> {
    let plan = plan_without_choice(events.clone())?;
    let name = name(Some(plan));
    if let Some(name @ (SymptomName::Kind(_) | SymptomName::Title(_))) = name {
        let seen = failures(bad_end(plan), events).find(|symptom| name.names(symptom))?;
        return Some(Due::Named(seen.clone()));
    }
    let seen = seen_at(bad_end(plan)?, events);
    let enough = plan.options.doubt.is_none() || seen.most() >= FAILURES;
    match name {
        _ if !enough => None,
        Some(SymptomName::Number(number)) => {
            let counts = seen.counts();
            counts.get(number - 1).map(|count| Due::Named(count.symptom.clone()))
        }
        // A search that took over from a halving goes on with what that looked for.
        _ if seen.groups.len() > 1 && plan.options.doubt.is_some() => Some(Due::Ask),
        _ => None,
    }
}

/// The plan of a run whose symptom is not chosen yet.
fn plan_without_choice<'a>(
    events: impl IntoIterator<Item = &'a RunEvent> + Clone,
) -> Option<&'a Plan> {
    let is_chosen = |event: &RunEvent| matches!(event, RunEvent::SymptomChosen { .. });
    if events.clone().into_iter().any(is_chosen) { None } else { plan_of(events) }
}

/// The symptom that the user named, and what the bad end shows in its place, when no further trial of
/// that end would change it.
pub fn named_is_missing<'a>(
    events: impl IntoIterator<Item = &'a RunEvent> + Clone,
) -> Option<Missing> {
    let plan = plan_without_choice(events.clone())?;
    let name = name(Some(plan))?;
    let seen = seen_at(bad_end(plan)?, events);
    let is_missing = match name {
        SymptomName::Number(number) => {
            let enough = plan.options.doubt.is_none() || seen.most() >= FAILURES;
            enough && seen.groups.len() < *number
        }
        SymptomName::Kind(_) | SymptomName::Title(_) => !seen.groups.is_empty(),
    };
    is_missing.then(|| Missing { name: name.clone(), shown: seen.counts() })
}

fn plan_of<'a>(events: impl IntoIterator<Item = &'a RunEvent>) -> Option<&'a Plan> {
    events.into_iter().find_map(|event| match event {
        RunEvent::Began { plan } => Some(plan.as_ref()),
        _ => None,
    })
}

fn name(plan: Option<&Plan>) -> Option<&SymptomName> {
    plan?.options.symptom.as_ref()
}

/// Position of the bad end, unless it is taken for granted.
fn bad_end(plan: &Plan) -> Option<usize> {
    let (end, assumed) = match plan.direction {
        Direction::Regression => (plan.series.len().checked_sub(1)?, plan.options.assume_new),
        Direction::Fix => (0, plan.options.assume_old),
    };
    (!assumed).then_some(end)
}

/// Symptoms of failed trials: of one version, or of all.
fn failures<'a>(
    at: Option<usize>,
    events: impl IntoIterator<Item = &'a RunEvent>,
) -> impl Iterator<Item = &'a Symptom> {
    events.into_iter().filter_map(move |event| match event {
        RunEvent::TrialEnded { tried: Tried::Version { index }, record, mark: Some(_), taken }
            if at.is_none_or(|at| at == *index)
                && (record.verdict == VerdictKind::Bad || taken.lack.is_some()) =>
        {
            taken.symptom(record)
        }
        _ => None,
    })
}

/// Symptoms in the order in which they were seen first, with their counts.
struct Seen<'a> {
    groups: Vec<(&'a Symptom, u32)>,
}

fn seen_at<'a>(end: usize, events: impl IntoIterator<Item = &'a RunEvent>) -> Seen<'a> {
    let mut groups: Vec<(&Symptom, u32)> = Vec::new();
    let mut settled = None;
    for symptom in failures(Some(end), events) {
        let same = |group: &(&Symptom, u32)| group.0.compare(symptom) != Match::Different;
        let at = groups.iter().position(same).unwrap_or_else(|| {
            groups.push((symptom, 0));
            groups.len() - 1
        });
        groups[at].1 += 1;
        // What comes later does not change what was looked for from here on.
        if groups[at].1 >= FAILURES && settled.is_none() {
            settled = Some(groups[at].0);
        }
    }
    // Stable: of two that are as frequent the one that was seen first comes first.
    groups.sort_by_key(|(_, runs)| std::cmp::Reverse(*runs));
    if let Some(first) = settled {
        groups.sort_by_key(|(symptom, _)| !std::ptr::eq(*symptom, first));
    }
    Seen { groups }
}

impl<'a> Seen<'a> {
    fn leading(&self) -> Option<&'a Symptom> {
        self.groups.first().map(|(symptom, _)| *symptom)
    }

    fn most(&self) -> u32 {
        self.groups.first().map_or(0, |(_, runs)| *runs)
    }

    fn counts(&self) -> Vec<SymptomCount> {
        let count = |(symptom, runs): &(&Symptom, u32)| SymptomCount {
            symptom: (*symptom).clone(),
            runs: *runs,
        };
        self.groups.iter().map(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symptom_is_named_by_number_kind_or_title() {
        let symptom = Symptom {
            kind: SymptomKind::Panic,
            title: "Oops in nft_do_chain".to_owned(),
            detail: String::new(),
            place: None,
            alt_titles: vec!["stack guard page in x".to_owned()],
            frames: Vec::new(),
            lacks: Vec::new(),
            loss: None,
        };
        let named = |text: &str| text.parse::<SymptomName>().unwrap();
        assert_eq!(named("2"), SymptomName::Number(2));
        assert_eq!(named("Lost-Ingress"), SymptomName::Kind(SymptomKind::LostIngress));
        for (text, is_it) in [
            ("panic", true),
            ("oops", false),
            ("oops in nft", true),
            ("panic: Oops", true),
            ("guard page", true),
            ("other", false),
            ("1", false),
        ] {
            assert_eq!(named(text).names(&symptom), is_it, "{text}");
        }
        assert_eq!("0".parse::<SymptomName>(), Err(SymptomNameError::Zero));
        assert_eq!(" ".parse::<SymptomName>(), Err(SymptomNameError::Empty));
        let name = SymptomName::Title("x".to_owned());
        let text = serde_json::to_string(&name).unwrap();
        assert_eq!((text.as_str(), serde_json::from_str(&text).unwrap()), ("\"x\"", name));
    }
}
