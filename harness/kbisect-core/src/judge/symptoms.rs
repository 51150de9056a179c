//! Symptoms, from what was seen.

use crate::trial::{ConsoleReport, Symptom, SymptomKind};

/// Most functions of a stack that a symptom keeps.
const MAX_FRAMES: usize = 32;

pub(super) fn crash(first: &ConsoleReport, fatal: &ConsoleReport) -> Symptom {
    let told = if first.frames.is_empty() { &fatal.frames } else { &first.frames };
    // A recursion repeats its frames until the stack is full; each function once is enough.
    let mut frames: Vec<String> = Vec::new();
    for frame in told {
        if frames.len() < MAX_FRAMES && !frames.contains(frame) {
            frames.push(frame.clone());
        }
    }
    let mut alt_titles = first.alt_titles.clone();
    if fatal.title != first.title && !alt_titles.contains(&fatal.title) {
        alt_titles.push(fatal.title.clone());
    }
    let stopped =
        matches!(fatal.kind, SymptomKind::Panic | SymptomKind::Oops | SymptomKind::Warning);
    let kind = if fatal.fatal && stopped { SymptomKind::Panic } else { first.kind };
    let detail = first.text.lines().next().unwrap_or_default().to_owned();
    Symptom {
        kind,
        title: first.title.clone(),
        detail,
        place: None,
        alt_titles,
        frames,
        lacks: Vec::new(),
        loss: None,
    }
}

pub(super) fn symptom(
    kind: SymptomKind,
    title: String,
    detail: String,
    place: Option<String>,
) -> Symptom {
    Symptom {
        kind,
        title,
        detail,
        place,
        alt_titles: Vec::new(),
        frames: Vec::new(),
        lacks: Vec::new(),
        loss: None,
    }
}

pub(super) fn one_line(text: &str) -> String {
    let line =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" / ");
    line.chars().take(400).collect()
}
