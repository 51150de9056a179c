//! The questions of `kbisect scenario new` on a terminal.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use crate::output;
use crate::settings::templates::{self, Files};

/// An answer that cannot be used is asked for again, so many times.
const ASKED: usize = 3;

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Answers {
    pub template: &'static str,
    pub folder: PathBuf,
    /// Networks of the template and those that take their places.
    pub networks: Vec<([u8; 3], [u8; 3])>,
}

/// Asks which template, what it is called, and where its networks are. `folder` is given where the command
/// line said it. None when the input ends or no answer can be used.
pub fn interview(input: &mut impl BufRead, folder: Option<&Path>) -> Option<Answers> {
    let names: Vec<&'static str> = templates::names().collect();
    output::say("Which kind of scenario?");
    for (number, name) in (1..).zip(&names) {
        let summary = templates::summary(name).unwrap_or_default();
        output::say(&format!("  {number}  {name:<10} {summary}"));
    }
    let question = format!("1 to {}, or a name [gateway]: ", names.len());
    let template = ask(input, &question, "gateway", |answer| match answer.parse::<usize>() {
        Ok(number) => names.get(number.checked_sub(1)?).copied(),
        Err(_) => names.iter().copied().find(|name| *name == answer),
    })?;
    let folder = match folder {
        Some(folder) => folder.to_owned(),
        None => {
            let question = format!("Its name (the folder is scenarios/NAME) [{template}]: ");
            let name = ask(input, &question, template, |answer| {
                let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
                let fits = (1..=32).contains(&answer.len()) && answer.bytes().all(plain);
                let free = !Path::new("scenarios").join(answer).exists();
                (fits && free).then(|| answer.to_owned())
            })?;
            Path::new("scenarios").join(name)
        }
    };
    let files: Files = templates::files(template)?;
    let mut networks: Vec<([u8; 3], [u8; 3])> = Vec::new();
    for old in templates::networks(&files) {
        let [a, b, c] = old;
        let shown = format!("{a}.{b}.{c}.0/24");
        let question = format!("The template's network {shown} is to be [{shown}]: ");
        let taken: Vec<[u8; 3]> = networks.iter().map(|(_, new)| *new).collect();
        let new = ask(input, &question, &shown, |answer| {
            templates::network(answer).filter(|new| !taken.contains(new))
        })?;
        networks.push((old, new));
    }
    Some(Answers { template, folder, networks })
}

/// Asks until there is an answer that makes sense; Enter alone is the one in brackets.
fn ask<T>(
    input: &mut impl BufRead,
    question: &str,
    usual: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    for _ in 0..ASKED {
        output::prompt(question);
        let mut line = String::new();
        if input.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let answer = line.trim();
        let found = read(if answer.is_empty() { usual } else { answer });
        if found.is_some() {
            return found;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(typed: &str) -> Option<Answers> {
        interview(&mut typed.as_bytes(), None)
    }

    #[test]
    fn enter_alone_is_enough() {
        let found = answers("\n\n\n\n").unwrap();
        assert_eq!((found.template, found.folder), ("gateway", PathBuf::from("scenarios/gateway")));
        assert_eq!(found.networks.first(), Some(&([192, 0, 2], [192, 0, 2])));
    }

    #[test]
    fn what_was_typed_is_taken_and_nonsense_is_asked_for_again() {
        let found =
            answers("9\nipvs\nBig Name\nbig\n10.1.2.5\n10.1.2.0/24\n10.1.2.0\n10.1.3\n").unwrap();
        assert_eq!((found.template, found.folder), ("ipvs", PathBuf::from("scenarios/big")));
        assert_eq!(
            found.networks,
            [([192, 0, 2], [10, 1, 2]), ([198, 51, 100], [10, 1, 3])],
            "no network stands for two"
        );
    }

    #[test]
    fn an_input_that_ends_is_no_answer() {
        for typed in ["", "1\n", "x\nx\nx\n", "client\nmine\n"] {
            assert_eq!(answers(typed), None, "{typed}");
        }
    }
}
