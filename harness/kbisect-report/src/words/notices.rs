//! What a search under doubt noticed about its answers, in words.

use kbisect_core::bayes::{Notice, Tally};

/// Several notices, one sentence each; neighbours that cannot be tested become one stretch. `label`
/// names a version of the series.
#[must_use]
pub fn notice_texts(notices: &[Notice], label: &dyn Fn(usize) -> String) -> Vec<String> {
    let mut vain: Vec<usize> = notices.iter().filter_map(untestable).collect();
    vain.sort_unstable();
    vain.dedup();
    let mut texts = Vec::new();
    for notice in notices {
        let stretch = untestable(notice).map(|index| stretch(&vain, index));
        match stretch {
            // The first of a stretch tells it, the others are told with it.
            Some((first, last)) if last > first => {
                if untestable(notice) == Some(first) {
                    texts.push(format!(
                        "{} to {} ({} neighbours) cannot be tested for this symptom",
                        label(first),
                        label(last),
                        last - first + 1
                    ));
                }
            }
            _ => texts.push(notice_text(notice, label)),
        }
    }
    texts
}

/// A notice in one sentence, without a final dot.
#[must_use]
pub fn notice_text(notice: &Notice, label: &dyn Fn(usize) -> String) -> String {
    match notice {
        Notice::FailedThoughGood { index, good } => format!(
            "{} failed though it was thought good with more than {:.1} %: it is tried again",
            label(*index),
            (good * 1000.0).floor() / 10.0
        ),
        Notice::RatesDiffer { odds } => format!(
            "bad versions fail at rates that differ ({} likelier than one common rate): --robust gives \
             each a rate of its own",
            times(*odds)
        ),
        Notice::SeveralChanges(several) => {
            let between = |(from, to): &(usize, usize)| match to - from {
                1 => format!("with {}", label(*to)),
                _ => format!("after {} up to {}", label(*from), label(*to)),
            };
            let changes: Vec<String> = several.changes.iter().map(between).collect();
            format!(
                "the symptom comes and goes, with changes {} ({} likelier than a single change): no single \
                 version brought it",
                changes.join(", "),
                times(several.odds)
            )
        }
        Notice::Untestable { index, tally } => {
            format!("{} cannot be tested for this symptom: {}", label(*index), silent(*tally))
        }
    }
}

/// Runs that are not counted, and why; nothing when all count.
#[must_use]
pub fn not_counted(tally: Tally) -> Option<String> {
    let parts = [
        (tally.others, "another symptom"),
        (tally.skips, "no answer"),
        (tally.infra, "failure of the host"),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(runs, _)| *runs > 0)
        .map(|(runs, why)| format!("{runs} {why}"))
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn silent(tally: Tally) -> String {
    let why = not_counted(Tally { infra: 0, ..tally }).unwrap_or_else(|| "no answer".to_owned());
    format!("of {} runs {why}", tally.runs())
}

fn untestable(notice: &Notice) -> Option<usize> {
    match notice {
        Notice::Untestable { index, .. } => Some(*index),
        _ => None,
    }
}

/// The neighbours around one of several ascending positions, as first and last.
fn stretch(all: &[usize], index: usize) -> (usize, usize) {
    let has = |at: usize| all.binary_search(&at).is_ok();
    let (mut first, mut last) = (index, index);
    while first > 0 && has(first - 1) {
        first -= 1;
    }
    while has(last + 1) {
        last += 1;
    }
    (first, last)
}

fn times(odds: f64) -> String {
    match odds {
        odds if odds >= 1e6 => "over a million times".to_owned(),
        odds => format!("{odds:.0} times"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kbisect_core::bayes::SeveralChanges;

    fn label(index: usize) -> String {
        format!("6.12.{index}")
    }

    #[test]
    fn a_stretch_is_told_once() {
        let tally = Tally { others: 6, ..Tally::default() };
        let vain = |index| Notice::Untestable { index, tally };
        let texts = notice_texts(&[vain(5), vain(3), vain(4), vain(9)], &label);
        assert_eq!(
            texts,
            [
                "6.12.3 to 6.12.5 (3 neighbours) cannot be tested for this symptom",
                "6.12.9 cannot be tested for this symptom: of 6 runs 6 another symptom"
            ]
        );
    }

    #[test]
    fn each_kind_names_what_it_is_about() {
        let changes = SeveralChanges { odds: 2e7, changes: vec![(2, 3), (4, 7)] };
        for (notice, said) in [
            (Notice::FailedThoughGood { index: 4, good: 0.99956 }, "more than 99.9 %"),
            (Notice::RatesDiffer { odds: 31.4 }, "(31 times likelier"),
            (Notice::SeveralChanges(changes.clone()), "with 6.12.3, after 6.12.4 up to 6.12.7"),
            (Notice::SeveralChanges(changes), "over a million times"),
        ] {
            let text = notice_text(&notice, &label);
            assert!(text.contains(said), "{text}");
        }
    }
}
