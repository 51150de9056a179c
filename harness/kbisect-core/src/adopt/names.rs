//! Names of checks, made of titles.

use std::collections::BTreeSet;

use crate::scenario::words;

/// Most bytes of a name that is made of a title.
const MOST: usize = 32;

/// Gives names that nobody has yet.
pub(super) struct Names {
    taken: BTreeSet<String>,
    most: usize,
}

impl Names {
    pub(super) fn new(taken: &BTreeSet<String>) -> Self {
        Self { taken: taken.clone(), most: MOST }
    }

    /// Names that are as long as those of checks can be.
    pub(super) fn of_checks(taken: &BTreeSet<String>) -> Self {
        Self { taken: taken.clone(), most: words::CHECK_NAME }
    }

    /// A name for a title.
    pub(super) fn of(&mut self, title: &str) -> String {
        let plain = plain(title, self.most);
        let plain = if plain.is_empty() { "check".to_owned() } else { plain };
        let mut name = plain.clone();
        for number in 2.. {
            if self.taken.insert(name.clone()) {
                break;
            }
            let suffix = format!("-{number}");
            let begin = plain.get(..plain.len().min(self.most - suffix.len())).unwrap_or_default();
            name = format!("{}{suffix}", begin.trim_end_matches('-'));
        }
        name
    }
}

/// A title in the characters of names, cut between words.
fn plain(title: &str, most: usize) -> String {
    let mut name = String::new();
    for word in title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        let separator = usize::from(!name.is_empty());
        if name.len() + separator + word.len() > most {
            if name.is_empty() {
                name.push_str(&word[..most]);
            }
            break;
        }
        if separator > 0 {
            name.push('-');
        }
        name.push_str(word);
    }
    name.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_become_names() {
        let mut names = Names::new(&BTreeSet::from(["check-http".to_owned()]));
        for (title, name) in [
            ("VM (no floating IP) can contact the internet", "vm-no-floating-ip-can-contact"),
            ("VM (no floating IP) can contact the moon", "vm-no-floating-ip-can-contact-2"),
            ("check_http", "check-http-2"),
            ("", "check"),
            ("\u{1b}[31m é", "31m"),
            (&"x".repeat(99), &"x".repeat(32)),
            (&"x".repeat(98), &format!("{}-2", "x".repeat(30))),
        ] {
            assert_eq!(names.of(title), name, "{title}");
        }
    }
}
