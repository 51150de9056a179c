//! Colours, and when to use them.

use std::io::IsTerminal;

use crate::cli::Color;

/// What a piece of text is, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// As it is.
    Plain,
    /// Of less interest.
    Faint,
    /// What one should look at.
    Bright,
    /// Passed.
    Good,
    /// Failed.
    Bad,
    /// Gave no answer; warnings.
    Warning,
}

/// Colours text, or leaves it alone.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// With colours or without.
    pub fn new(on: bool) -> Self {
        Self { on }
    }

    /// As the user and the environment want it, for a stream that is a terminal or not.
    ///
    /// NO_COLOR counts when it is not empty (no-color.org).
    pub fn choose(color: Color, terminal: bool) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self::new(match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !no_color && !is_dumb(),
        })
    }

    /// As [`Paint::choose`] for standard output.
    pub fn for_stdout(color: Color) -> Self {
        Self::choose(color, std::io::stdout().is_terminal())
    }
    /// The text in a colour.
    pub fn ink(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Plain => return text.to_owned(),
            Ink::Faint => "2",
            Ink::Bright => "1;36",
            Ink::Good => "32",
            Ink::Bad => "31",
            Ink::Warning => "33",
        };
        if self.on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// The colour of a verdict's word.
    pub fn verdict(self, word: &str) -> String {
        let ink = match word {
            "good" => Ink::Good,
            "bad" => Ink::Bad,
            _ => Ink::Warning,
        };
        self.ink(ink, word)
    }
}

/// A terminal that cannot move its cursor.
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty())
}
