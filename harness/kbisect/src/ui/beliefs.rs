//! What a search under doubt believes, as the display tells it: rates, a table of versions, runs left.

use std::time::Duration;

use kbisect_core::bayes::{Belief, Estimate, Notice, RunsLeft};
use kbisect_core::mark::remark;
use kbisect_core::method::Method;
use kbisect_core::run::{Plan, RunEvent, Tried, target_symptom};
use kbisect_core::trial::{Symptom, TrialRecord};

use kbisect_report::words::{not_counted, notice_text, notice_texts};

use super::paint::{Ink, Paint};
use super::time::time;

/// Columns of a bar, on a terminal that is as wide as that and on others.
const BAR: usize = 24;
const WIDE: usize = 100;
const NARROW_BAR: usize = 10;
/// A version that is this likely the culprit is named beside the others.
const LIKELY: f64 = 0.005;
/// Versions that a line names.
const NAMED: usize = 3;

/// Follows the events of a run, and knows at each point what its search believes.
#[derive(Debug, Default)]
pub struct Beliefs {
    /// The plan, and trials without what is large in them.
    events: Vec<RunEvent>,
    target: Option<Symptom>,
    method: Option<Method>,
    belief: Option<Belief>,
    told: Vec<Notice>,
    /// Notices that were not there before the last event.
    fresh: Vec<Notice>,
}

impl Beliefs {
    pub fn take(&mut self, event: &RunEvent) {
        self.fresh.clear();
        match event {
            // One that halves may go over to the search under doubt.
            RunEvent::Began { .. } => {
                self.events = vec![event.clone()];
                self.again();
            }
            RunEvent::TrialEnded { tried: Tried::Version { index }, record, mark, taken }
                if !self.events.is_empty() =>
            {
                let (record, taken) = (Box::new(slim(record)), taken.clone());
                self.events.push(RunEvent::TrialEnded {
                    tried: Tried::Version { index: *index },
                    record,
                    mark: *mark,
                    taken,
                });
                self.step();
            }
            RunEvent::BudgetSet { .. } if !self.events.is_empty() => {
                self.events.push(event.clone());
                self.again();
            }
            RunEvent::SymptomChosen { .. } if !self.events.is_empty() => {
                self.events.push(event.clone());
                self.step();
            }
            _ => {}
        }
    }

    /// What is believed now; nothing in a run that halves.
    pub fn belief(&self) -> Option<&Belief> {
        self.belief.as_ref()
    }

    /// Sentences about what was noticed with the last event.
    pub fn news(&self) -> Vec<String> {
        let label = |at: usize| self.label(at).to_owned();
        self.fresh.iter().map(|notice| notice_text(notice, &label)).collect()
    }

    /// All that was noticed so far.
    pub fn notices(&self) -> Vec<String> {
        let label = |at: usize| self.label(at).to_owned();
        notice_texts(&self.told, &label)
    }

    /// The likeliest culprits and what is left in one line: `6.12.5 62 %, 6.12.6 30 %; 8 to 40 more
    /// runs`.
    pub fn brief(&self) -> Option<String> {
        let belief = self.belief()?;
        let named: Vec<String> = by_probability(belief)
            .into_iter()
            .filter(|at| belief.versions[*at].culprit >= LIKELY)
            .take(NAMED)
            .map(|at| format!("{} {}", self.label(at), percent(belief.versions[at].culprit)))
            .collect();
        let credible = belief.credible.len();
        let mut text = match named.is_empty() || credible > belief.versions.len() / 2 {
            true => format!("one of {credible} versions"),
            false => named.join(", "),
        };
        text.push_str(&left_words(belief.left));
        Some(text)
    }

    /// Runs that were made.
    pub fn runs(&self) -> Option<String> {
        let versions = &self.belief()?.versions;
        Some(match versions.iter().map(|version| version.tally.runs()).sum() {
            1 => "1 run".to_owned(),
            runs => format!("{runs} runs"),
        })
    }

    /// The lines below the bars, of at most `width` columns and `height` rows: rates and the credible
    /// range, then a row for each version that was tried or is likely.
    pub fn table(&self, width: usize, height: usize, paint: Paint) -> Vec<String> {
        let Some(belief) = self.belief() else { return Vec::new() };
        let mut lines = vec![paint.ink(Ink::Faint, &cut(&rates(belief), width))];
        if let Some(range) = self.range(belief) {
            lines.push(paint.ink(Ink::Faint, &cut(&range, width)));
        }
        lines.truncate(height);
        let room = height.saturating_sub(lines.len());
        let shown = shown(belief, room);
        let labels = shown.iter().map(|at| self.label(*at).chars().count()).max().unwrap_or(0);
        let most = shown.iter().map(|at| belief.versions[*at].culprit).fold(0.0, f64::max);
        for at in shown {
            let version = &belief.versions[at];
            let runs = match version.tally.counted() {
                0 => "untried".to_owned(),
                counted => format!("{}/{counted} failed", version.tally.fails),
            };
            let head = format!(
                "  {:<labels$} {runs:>13}  {:>7} ",
                self.label(at),
                percent(version.culprit)
            );
            let room = width.saturating_sub(head.chars().count());
            let widest = if width < WIDE { NARROW_BAR } else { BAR };
            let share = if most > 0.0 { version.culprit / most } else { 0.0 };
            let bar = if room >= widest { bar(share, widest) } else { String::new() };
            let why = not_counted(version.tally).map(|why| format!("  not counted: {why}"));
            let why = cut(&why.unwrap_or_default(), room.saturating_sub(widest));
            let ink = if version.bad > 0.5 { Ink::Bad } else { Ink::Good };
            // Blanks are no part of the coloured text: escape codes have no width.
            let gap = if why.is_empty() { 0 } else { widest - bar.chars().count() };
            let bar = if bar.is_empty() { bar } else { paint.ink(ink, &bar) };
            lines.push(format!("{}{bar}{:gap$}{why}", cut(&head, width), "").trim_end().to_owned());
        }
        lines
    }

    /// Time that the runs left will take, as a range, when a run takes `mean`.
    pub fn time_left(&self, mean: Duration) -> Option<String> {
        let left = self.belief()?.left;
        let of = |runs: u32| time(mean.saturating_mul(runs));
        (left.high > 0).then(|| format!("{} to {} left", of(left.low), of(left.high)))
    }

    fn range(&self, belief: &Belief) -> Option<String> {
        let (first, last) = (*belief.credible.first()?, *belief.credible.last()?);
        let n = belief.credible.len();
        let what = match n {
            1 => format!("it came with {}", self.label(first)),
            n if n == last - first + 1 => {
                format!("it came with one of {n}, {} to {}", self.label(first), self.label(last))
            }
            n => {
                format!(
                    "it came with one of {n} from {} to {}",
                    self.label(first),
                    self.label(last)
                )
            }
        };
        let ends = belief.good_end_bad + belief.nothing;
        let doubt =
            if ends > 0.02 { format!("; {} with none", percent(ends)) } else { String::new() };
        Some(format!("  95 %: {what}{}{doubt}", left_words(belief.left)))
    }

    /// What people call a version; its package's where another one is called the same.
    fn label(&self, at: usize) -> &str {
        let series = self.plan().map(|plan| plan.series.as_slice()).unwrap_or_default();
        let Some(planned) = series.get(at) else { return "?" };
        let label = planned.kernel.label();
        if series.iter().filter(|other| other.kernel.label() == label).count() > 1 {
            planned.kernel.package_version.as_str()
        } else {
            label
        }
    }

    fn plan(&self) -> Option<&Plan> {
        match self.events.first() {
            Some(RunEvent::Began { plan }) => Some(plan),
            _ => None,
        }
    }

    /// Takes the last event into the search, from the start if it changed what is looked for.
    fn step(&mut self) {
        let target = target_symptom(&self.events);
        let same = target == self.target.as_ref();
        let last = match (self.events.last(), self.method.as_mut(), same) {
            (
                Some(RunEvent::TrialEnded { tried: Tried::Version { index }, record, mark, taken }),
                Some(method),
                true,
            ) => method.take(*index, record, remark(record, (*mark, taken), target)),
            _ => false,
        };
        if last {
            self.look();
        } else {
            self.target = target.cloned();
            self.again();
        }
    }

    fn again(&mut self) {
        self.method = self.plan().and_then(|plan| Method::replay(plan, &self.events).ok());
        self.look();
    }

    fn look(&mut self) {
        let Some(search) = self.method.as_ref().and_then(Method::doubt) else { return };
        self.belief = Some(search.belief());
        for notice in search.notices() {
            if !self.told.iter().any(|told| is_same(told, &notice)) {
                self.told.push(notice.clone());
                self.fresh.push(notice);
            }
        }
    }
}

/// A record without what is large in it.
fn slim(record: &TrialRecord) -> TrialRecord {
    TrialRecord {
        reports: Vec::new(),
        checks: Vec::new(),
        accepted: Vec::new(),
        injected: Vec::new(),
        notes: Vec::new(),
        wires: Vec::new(),
        hops: Vec::new(),
        counters: Vec::new(),
        state: Vec::new(),
        states: Default::default(),
        place: None,
        reused: None,
        evidence: Default::default(),
        ..record.clone()
    }
}

/// Whether a notice says nothing new: figures that grow are none.
fn is_same(told: &Notice, now: &Notice) -> bool {
    match (told, now) {
        (Notice::RatesDiffer { .. }, Notice::RatesDiffer { .. }) => true,
        (Notice::SeveralChanges(told), Notice::SeveralChanges(now)) => told.changes == now.changes,
        _ => told == now,
    }
}

fn by_probability(belief: &Belief) -> Vec<usize> {
    let mut order: Vec<usize> = (0..belief.versions.len()).collect();
    let of = |at: usize| belief.versions[at].culprit;
    order.sort_by(|a, b| of(*b).total_cmp(&of(*a)));
    order
}

/// The rows that are worth their room, ascending: the likeliest culprits first, then what was tried
/// nearest to them.
fn shown(belief: &Belief, room: usize) -> Vec<usize> {
    let order = by_probability(belief);
    let top = order.first().copied().unwrap_or(0);
    let tried =
        |at: &usize| belief.versions[*at].tally.runs() + belief.versions[*at].tally.infra > 0;
    let likely = |at: &usize| belief.versions[*at].culprit >= LIKELY;
    let mut near: Vec<usize> = (0..belief.versions.len()).filter(tried).collect();
    near.sort_by_key(|at| at.abs_diff(top));
    // At the start all are as likely: only what was tried tells them apart.
    let flat = order.iter().filter(|at| likely(at)).count() > room
        || 2 * belief.credible.len() > belief.versions.len();
    let likely = order.iter().copied().filter(|at| likely(at) && (!flat || tried(at)));
    // The neighbour that passes belongs to the culprit: it is what the comparison is about.
    let beside = near.iter().copied().take(2);
    let mut rows = Vec::new();
    for at in beside.chain(likely).chain(near.iter().copied()) {
        if rows.len() < room && !rows.contains(&at) {
            rows.push(at);
        }
    }
    rows.sort_unstable();
    rows
}

fn rates(belief: &Belief) -> String {
    let rate = |rate: &Estimate| {
        format!("{} ({} to {})", percent(rate.mean), percent(rate.low), percent(rate.high))
    };
    format!("  bad versions fail in {}, good ones in {}", rate(&belief.p), rate(&belief.q))
}

fn left_words(left: RunsLeft) -> String {
    match left.high {
        0 => String::new(),
        high => format!("; {} to {high} more runs", left.low),
    }
}

fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    let rest = eighths % 8;
    if rest > 0 {
        bar.push(EIGHTHS[rest]);
    }
    bar
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        cut.push('…');
    }
    cut
}

/// A probability in few letters.
fn percent(share: f64) -> String {
    match share * 100.0 {
        p if p > 0.0 && p < 0.1 => "<0.1 %".to_owned(),
        p if p > 99.9 && p < 100.0 => ">99.9 %".to_owned(),
        // What is not certain is never 100 %.
        p if !(9.95..=90.0).contains(&p) && p < 100.0 => format!("{p:.1} %"),
        p => format!("{p:.0} %"),
    }
}

#[cfg(test)]
mod tests {
    use kbisect_core::bayes::Settings;
    use kbisect_core::search::{Direction, Mark};

    use super::super::view::tests::{began, ended};
    use super::*;

    /// A run under doubt over 12 versions with these trials: position, and whether it failed.
    fn beliefs(trials: &[(usize, Option<Mark>)]) -> Beliefs {
        let mut beliefs = Beliefs::default();
        let RunEvent::Began { mut plan } = began(Direction::Regression, 12) else { panic!() };
        plan.options.doubt = Some(Settings::default());
        beliefs.take(&RunEvent::Began { plan });
        for (number, (index, mark)) in trials.iter().enumerate() {
            beliefs.take(&ended(number as u32 + 1, *index, *mark, 2.0));
        }
        beliefs
    }

    const FAILS: Option<Mark> = Some(Mark::Bad);
    const PASSES: Option<Mark> = Some(Mark::Good);

    #[test]
    fn halving_believes_nothing() {
        let mut beliefs = Beliefs::default();
        beliefs.take(&began(Direction::Regression, 12));
        beliefs.take(&ended(1, 11, FAILS, 2.0));
        assert!(beliefs.belief().is_none() && beliefs.brief().is_none());
        assert!(beliefs.table(80, 10, Paint::new(false)).is_empty());
    }

    #[test]
    fn the_table_fits_and_shows_the_likeliest_and_what_was_tried() {
        let mut trials = vec![(11, FAILS); 3];
        trials.extend([(5, PASSES), (5, PASSES), (5, PASSES), (7, FAILS), (7, PASSES), (6, None)]);
        let beliefs = beliefs(&trials);
        for (width, height) in [(79, 10), (119, 20), (30, 4), (10, 1), (79, 0)] {
            let table = beliefs.table(width, height, Paint::new(false));
            assert!(table.len() <= height, "{table:#?}");
            assert!(table.iter().all(|line| line.chars().count() <= width), "{width}: {table:#?}");
        }
        let table = beliefs.table(79, 10, Paint::new(false));
        assert!(table[0].starts_with("  bad versions fail in "), "{table:#?}");
        assert!(table[1].contains("more runs"), "{table:#?}");
        let row = |label: &str| table.iter().find(|line| line.trim_start().starts_with(label));
        assert!(row("6.12.7 ").is_some_and(|row| row.contains("1/2 failed")), "{table:#?}");
        assert!(row("6.12.5 ").is_some_and(|row| row.contains("0/3 failed")), "{table:#?}");
        let not_counted = row("6.12.6 ").is_some_and(|row| row.contains("1 failure of the host"));
        assert!(not_counted, "{table:#?}");
        // What is left is a range, never one number.
        let left = beliefs.time_left(Duration::from_secs(10)).unwrap();
        assert!(left.contains(" to "), "{left}");
    }

    #[test]
    fn step_by_step_believes_what_the_whole_does() {
        let trials = [
            (11, FAILS),
            (11, FAILS),
            (0, PASSES),
            (11, FAILS),
            (5, FAILS),
            (2, PASSES),
            (8, None),
        ];
        let beliefs = beliefs(&trials);
        let whole = Method::replay(beliefs.plan().unwrap(), &beliefs.events).unwrap();
        assert_eq!(beliefs.belief(), Some(&whole.doubt().unwrap().belief()));
    }

    #[test]
    fn news_is_told_once() {
        let skips = Some(Mark::Skip);
        let mut beliefs = beliefs(&[(11, FAILS), (11, FAILS), (11, FAILS)]);
        assert!(beliefs.news().is_empty());
        beliefs.take(&ended(4, 5, skips, 2.0));
        let news = beliefs.news();
        assert!(news[0].contains("6.12.5 cannot be tested"), "{news:?}");
        beliefs.take(&ended(5, 6, PASSES, 2.0));
        assert!(beliefs.news().is_empty());
    }
}
