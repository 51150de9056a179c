//! The ranking: names that a change and the clues have in common, each worth the more, the fewer
//! changes of the range have it (inverse document frequency).

use std::cmp::Reverse;
use std::collections::HashMap;

use super::clues::{Clue, ClueKind, Clues};
use super::model::{ChangeSource, Considered, RankedChange, Ranking, Reason, ReasonKind};
use super::names::{Form, Name, Names};
use super::{Change, Segment, words};

/// Changes that a ranking keeps.
pub const TOP: usize = 20;
/// Names in common that count; further ones count nothing, so that long subjects gain nothing.
const MATCHES: usize = 4;
/// What each further name in common counts of what it would count alone.
const FURTHER: f64 = 0.6;
/// Reasons that are told.
const REASONS: usize = 3;
/// Share of the points that is left to what hardly can be the cause.
const UNLIKELY: f64 = 0.1;

/// Ranks the changes of a segment. Equal scores keep the order of the source.
pub fn rank(
    segment: Segment,
    clues: &Clues,
    source: ChangeSource,
    from: &str,
    to: &str,
) -> Ranking {
    let Segment { changes, notes } = segment;
    let mut scored: Vec<(usize, f64, Vec<Reason>)> = scores(&changes, clues)
        .into_iter()
        .enumerate()
        .filter_map(|(index, scored)| scored.map(|(score, reasons)| (index, score, reasons)))
        .collect();
    let considered = Considered { changes: changes.len(), touching: scored.len() };
    scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let top = scored
        .into_iter()
        .take(TOP)
        .enumerate()
        .map(|(n, (index, score, reasons))| RankedChange {
            rank: n + 1,
            score,
            change: changes[index].clone(),
            reasons,
        })
        .collect();
    Ranking { from: from.to_owned(), to: to.to_owned(), source, considered, top, notes }
}

/// Points of each change, with their reasons; nothing for a change that has no name in common with any clue.
pub(super) fn scores(changes: &[Change], clues: &Clues) -> Vec<Option<(f64, Vec<Reason>)>> {
    let names: Vec<Names> = changes.iter().map(Names::of).collect();
    let rarity = Rarity::of(&names);
    let keys = Keys::of(clues);
    changes.iter().zip(&names).map(|(change, names)| keys.score(change, names, &rarity)).collect()
}

/// How many changes have a name.
struct Rarity<'a> {
    changes: f64,
    of: HashMap<&'a str, u32>,
}

impl<'a> Rarity<'a> {
    fn of(names: &'a [Names]) -> Self {
        let mut of: HashMap<&str, u32> = HashMap::new();
        for names in names {
            let mut seen: Vec<&str> = names.list.iter().map(|name| name.text.as_str()).collect();
            seen.sort_unstable();
            seen.dedup();
            for name in seen {
                *of.entry(name).or_default() += 1;
            }
        }
        Self { changes: names.len() as f64, of }
    }

    /// From 1 for a name that one change has, down to 0 for one that all have.
    fn get(&self, name: &str) -> f64 {
        let having = f64::from(self.of.get(name).copied().unwrap_or(1));
        // One more than there are, so that a range of a single change still has points.
        ((self.changes + 1.0) / having).ln() / (self.changes + 1.0).ln()
    }
}

/// What is looked for, by name.
struct Keys<'a> {
    clues: &'a [Clue],
    of: HashMap<String, Vec<(usize, f64)>>,
}

impl<'a> Keys<'a> {
    fn of(clues: &'a Clues) -> Self {
        let clues = clues.list();
        let mut of: HashMap<String, Vec<(usize, f64)>> = HashMap::new();
        for (n, clue) in clues.iter().enumerate() {
            let mut key = |name: &str, share: f64| {
                let uses = of.entry(name.to_owned()).or_default();
                if uses.iter().all(|(clue, _)| *clue != n) {
                    uses.push((n, share));
                }
            };
            key(&clue.name, 1.0);
            let module = matches!(clue.kind, ClueKind::Module | ClueKind::TraceModule);
            if let Some(core) = words::core_of(&clue.name)
                && !words::is_common(core)
            {
                key(core, if module { 0.8 } else { 0.5 });
            }
            if matches!(clue.kind, ClueKind::Function | ClueKind::Setting) {
                for part in clue.name.split('_').filter(|part| !words::is_common(part)) {
                    key(part, 0.3);
                }
            }
        }
        Self { clues, of }
    }

    /// Points and reasons; `None` for a change that has no name in common with any clue.
    fn score(
        &self,
        change: &Change,
        names: &Names,
        rarity: &Rarity<'_>,
    ) -> Option<(f64, Vec<Reason>)> {
        let mut matches: Vec<(f64, &Name, usize)> = Vec::new();
        for name in &names.list {
            for (clue, share) in self.of.get(&name.text).into_iter().flatten() {
                let kind = self.clues[*clue].kind;
                let points = kind.weight()
                    * self.clues[*clue].share
                    * share
                    * standing(name, kind, names)
                    * rarity.get(&name.text);
                if points > 0.0 {
                    matches.push((points, name, *clue));
                }
            }
        }
        matches.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut taken: Vec<(f64, &Name, usize)> = Vec::new();
        for one in matches {
            // What was read from one word counts once, and so does a clue.
            let known =
                |other: &(f64, &Name, usize)| other.1.seen == one.1.seen || other.2 == one.2;
            if taken.len() < MATCHES && !taken.iter().any(known) {
                taken.push(one);
            }
        }
        let mut reasons = Vec::new();
        let mut score = 0.0;
        for (n, (points, name, clue)) in taken.iter().enumerate() {
            let points = points * FURTHER.powi(i32::try_from(n).unwrap_or(i32::MAX));
            score += points;
            let clue = &self.clues[*clue];
            reasons.push(Reason {
                kind: ReasonKind::Touches {
                    name: name.seen.clone(),
                    clue: clue.told.clone(),
                    of: clue.kind,
                    within: name.within,
                },
                points: rounded(points),
            });
        }
        let unlikely = unlikely(change, names);
        let full = score;
        unlikely.iter().for_each(|_| score *= UNLIKELY);
        let score = rounded(score);
        if score <= 0.0 {
            return None;
        }
        reasons.sort_by_key(|reason| Reverse((reason.points * 100.0) as i64));
        reasons.truncate(REASONS);
        let lost = rounded(score - full);
        reasons.extend(unlikely.into_iter().map(|kind| Reason { kind, points: lost }));
        Some((score, reasons))
    }
}

/// How much a name counts for the way in which it stands in a change.
fn standing(name: &Name, kind: ClueKind, names: &Names) -> f64 {
    let place = if name.within { 1.5 } else { 1.0 };
    // Apart from functions, all clues are about networks: `reject` of another subsystem is a verb.
    let home = names.network
        || matches!(kind, ClueKind::Function | ClueKind::TraceModule | ClueKind::Given);
    let form = match (name.form, home) {
        (Form::Whole | Form::Core, _) => 1.0,
        (Form::Part, true) => 0.6,
        (Form::Plain, true) => 0.9,
        (Form::Part | Form::Plain, false) if names.placed => 0.0,
        (Form::Part | Form::Plain, false) => 0.15,
    };
    place * form
}

/// What speaks against a change.
fn unlikely(change: &Change, names: &Names) -> Vec<ReasonKind> {
    let mut against = Vec::new();
    if words::is_elsewhere(&change.limited_to) {
        against.push(ReasonKind::OtherMachine { names: change.limited_to.clone() });
    } else if !names.only_below_arch.is_empty() {
        against.push(ReasonKind::OtherMachine { names: names.only_below_arch.clone() });
    }
    if names.no_code {
        against.push(ReasonKind::NoKernelCode);
    }
    against
}

/// Two digits after the point: enough to compare, and the same when it was written and read.
fn rounded(points: f64) -> f64 {
    (points * 100.0).round() / 100.0
}
