//! The program that a check runs: its command line, which no shell reads, and what it prints.

use super::super::assets::AssetRef;
use super::super::cursor::Item;
use super::super::kept_rules::{Checked, invalid, texts};
use super::super::words;
use super::kind::Reading;

/// Most words of a command line.
const MOST_WORDS: usize = 64;
/// What only a shell understands.
const OF_A_SHELL: &str = "'\"\\`$&|;<>()*?";

/// Reads a command line: a text of words between blanks, or an array of words.
pub(super) fn read(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<Vec<String>> {
    let words: Vec<String> = if item.is_array() {
        let elements = item.elements();
        elements.iter().for_each(|element| AssetRef::scan(element, reading.assets));
        elements.iter().filter_map(|element| element.parsed(words::command_word)).collect()
    } else {
        AssetRef::scan(item, reading.assets);
        item.parsed(plain_words)?
    };
    match fits(&words) {
        Ok(()) => Some(words),
        Err(message) => {
            item.wrong(message);
            None
        }
    }
}

/// The program and its arguments. `assets` is the folder of the scenario's files in the guest.
pub(super) fn argv(run: &[String], assets: &str) -> Vec<String> {
    run.iter().map(|word| word.replace("{assets}", assets)).collect()
}

pub(super) fn check_kept(key: &str, run: &[String]) -> Checked {
    texts(key, run, words::command_word)?;
    fits(run).map_err(|message| invalid(key, message))
}

/// A text of one line, without what a terminal would take for an order.
pub(super) fn clean(text: &str, most: usize) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control() && *c != '\u{fffd}').collect();
    plain.trim().chars().take(most).collect()
}

fn plain_words(text: &str) -> Result<Vec<String>, String> {
    // Whoever quotes a word expects a shell to read it.
    if let Some(c) = text.chars().find(|c| OF_A_SHELL.contains(*c) || c.is_control()) {
        let c = c.escape_debug();
        return Err(format!("no shell reads `{c}`: write the words as an array of texts"));
    }
    text.split_whitespace().map(words::command_word).collect()
}

fn fits(run: &[String]) -> Result<(), String> {
    if run.first().is_none_or(|program| program.trim().is_empty()) {
        return Err("the program's name is missing".to_owned());
    }
    if run.len() > MOST_WORDS {
        return Err(format!("must have at most {MOST_WORDS} words, not {}", run.len()));
    }
    Ok(())
}
