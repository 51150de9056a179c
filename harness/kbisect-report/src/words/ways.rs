//! What a failure follows.

use kbisect_core::gate::{Follows, Shown, StatesCompared, WaysAnswer};

/// The answer in a sentence.
#[must_use]
pub(crate) fn follows(answer: &WaysAnswer) -> String {
    let Some(symptom) = &answer.symptom else {
        return "No way shows a failure on any of these kernels, so there is nothing to attribute."
            .to_owned();
    };
    let factors = [
        (answer.kernel, "the kernel"),
        (answer.way, "the way"),
        (answer.state, "the state that the ways end in"),
        (answer.application, "the application"),
    ];
    let named = |wanted: Follows| -> Vec<&str> {
        factors.iter().filter(|(follows, _)| *follows == wanted).map(|(_, what)| *what).collect()
    };
    let (yes, no) = (named(Follows::Yes), named(Follows::No));
    let title = &symptom.title;
    match (yes.as_slice(), no.as_slice()) {
        ([], []) => format!("What `{title}` follows is not known."),
        ([], no) => format!("`{title}` does not follow {}.", listed(no, "or")),
        (yes, []) => format!("`{title}` follows {}.", listed(yes, "and")),
        (yes, no) => format!("`{title}` follows {}, not {}.", listed(yes, "and"), listed(no, "or")),
    }
}

/// Why, a sentence for each of the four.
#[must_use]
pub(crate) fn grounds(answer: &WaysAnswer) -> Vec<String> {
    if answer.symptom.is_none() {
        return Vec::new();
    }
    let ways = answer.rows.len() - usize::from(answer.stopped);
    let kernel = match answer.kernel {
        Follows::Yes => "kernel: some kernels show it, others pass by every way",
        Follows::No => "kernel: every kernel shows it",
        Follows::Unknown if answer.kernels.len() == 1 => {
            "kernel: not known, since one was tried; name a second one, such as the one before"
        }
        Follows::Unknown => "kernel: not known, since not every kernel gave an answer",
    };
    let states: Vec<usize> = answer.rows.iter().filter_map(|row| row.state).collect();
    let same = states.len() == ways && states.iter().all(|state| *state == states[0]);
    let ends = match (states.len() == ways, same) {
        (true, true) => "all end in the same state",
        (true, false) => "they end in different states",
        _ => "what state each ends in is not known",
    };
    let way = match (answer.way, answer.state) {
        (Follows::Yes, _) => {
            "way: of ways that end in the same state, some show it and others pass".to_owned()
        }
        (Follows::No, Follows::Yes) => {
            "state: the ways that show it end in one state, those that pass in another".to_owned()
        }
        (Follows::No, _) => format!("way: each of the {ways} ways shows it; {ends}"),
        (Follows::Unknown, _) => format!("way: not known; {ends}"),
    };
    let application = match answer.application {
        Follows::Yes => "application: with the application stopped it does not show",
        Follows::No => "application: it shows with the application stopped, too",
        Follows::Unknown if answer.stopped => "application: not known, since a trial has no answer",
        Follows::Unknown => "application: the scenario runs none under test",
    };
    vec![kernel.to_owned(), way, application.to_owned()]
}

/// What differs between two states, a line for each node.
#[must_use]
pub(crate) fn states_differ(states: &StatesCompared) -> Vec<String> {
    let [first, other] = &states.ways;
    let told = states.nodes.iter().map(|node| {
        let what = match node.sections.as_slice() {
            [] => "the files of their states are not there".to_owned(),
            sections => sections.join(", "),
        };
        let more = if node.more > 0 { format!("; {} more", node.more) } else { String::new() };
        let lines = if node.lines.is_empty() {
            String::new()
        } else {
            format!(": {}{more}", node.lines.join("; "))
        };
        format!("{first} (-) and {other} (+) differ at {} by {what}{lines}", node.node)
    });
    told.collect()
}

/// What a kernel shows by a way.
#[must_use]
pub(crate) fn shown(shown: Shown) -> &'static str {
    match shown {
        Shown::Shows => "shows it",
        Shown::Passes => "passes",
        Shown::Otherwise => "fails otherwise",
        Shown::Unknown => "no answer",
    }
}

/// The table: a head, and a line for each way.
#[must_use]
pub(crate) fn ways_table(answer: &WaysAnswer) -> (Vec<String>, Vec<Vec<String>>) {
    let head = ["way".to_owned(), "state".to_owned()].into_iter().chain(answer.kernels.clone());
    let rows = answer.rows.iter().map(|row| {
        let state = row.state.map_or_else(|| "-".to_owned(), |state| state.to_string());
        let cells = row.kernels.iter().map(|it| shown(*it).to_owned());
        [row.scenario.clone(), state].into_iter().chain(cells).collect()
    });
    (head.collect(), rows.collect())
}

fn listed(names: &[&str], word: &str) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} {word} {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_names_what_it_follows_and_what_it_does_not() {
        let mut answer: WaysAnswer = serde_json::from_value(serde_json::json!({
            "scenario": "s", "kernels": ["1", "2"], "stopped": true,
            "symptom": {"kind": "panic", "title": "panic in f", "detail": ""},
            "rows": [
                {"scenario": "s:a", "kernels": ["passes", "shows"], "state": 1},
                {"scenario": "s:b", "kernels": ["passes", "shows"], "state": 1},
                {"scenario": "s:application-stopped", "kernels": ["passes", "otherwise"], "state": null},
            ],
            "kernel": "yes", "way": "no", "state": "unknown", "application": "yes",
        }))
        .unwrap();
        assert_eq!(
            follows(&answer),
            "`panic in f` follows the kernel and the application, not the way."
        );
        assert_eq!(
            grounds(&answer),
            [
                "kernel: some kernels show it, others pass by every way",
                "way: each of the 2 ways shows it; all end in the same state",
                "application: with the application stopped it does not show",
            ]
        );
        (answer.kernel, answer.application) = (Follows::Unknown, Follows::Unknown);
        assert_eq!(follows(&answer), "`panic in f` does not follow the way.");
        answer.symptom = None;
        assert!(follows(&answer).contains("nothing to attribute"));
    }
}
