//! Words of a shell command, as far as they can be told without running a shell.

use super::error::{Broken, Reason};

/// The words of a command up to its first operator.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words<'t> {
    pub(super) words: Vec<String>,
    /// What follows, the operator included: a pipe, a redirection, another command.
    pub(super) tail: &'t str,
    /// Whether a shell would look for files that fit a word.
    pub(super) globs: bool,
}

/// Takes a command apart.
///
/// # Errors
/// What a shell would expand, and quotes that are not closed.
pub(super) fn words(text: &str) -> Result<Words<'_>, Reason> {
    let (mut words, mut globs) = (Vec::new(), false);
    let mut word: Option<String> = None;
    let mut at = 0;
    let rest = |at: usize| text.get(at..).unwrap_or_default();
    while let Some(c) = rest(at).chars().next() {
        let begun = at;
        at += c.len_utf8();
        match c {
            ' ' | '\t' => words.extend(word.take()),
            '#' if word.is_none() => {
                at = text.len();
            }
            '|' | '&' | ';' | '<' | '>' | '(' | ')' | '\n' => {
                let is_digit =
                    |word: &String| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
                // `2>` names what is redirected.
                let number = word.take_if(|word| matches!(c, '<' | '>') && is_digit(word));
                let begun = begun - number.map_or(0, |number| number.len());
                words.extend(word);
                return Ok(Words { words, tail: rest(begun), globs });
            }
            '\'' => {
                let end = rest(at).find('\'').ok_or(Reason::Broken { what: Broken::Quote })?;
                word.get_or_insert_default().push_str(&rest(at)[..end]);
                at += end + 1;
            }
            '"' => at = quoted(text, at, word.get_or_insert_default())?,
            '\\' => match rest(at).chars().next() {
                Some('\n') => at += 1,
                Some(next) => {
                    word.get_or_insert_default().push(next);
                    at += next.len_utf8();
                }
                None => return Err(Reason::Broken { what: Broken::Backslash }),
            },
            '$' | '`' => {
                expands(c, rest(at))?;
                word.get_or_insert_default().push(c);
            }
            _ => {
                globs |= matches!(c, '*' | '?' | '[' | '{' | '~');
                word.get_or_insert_default().push(c);
            }
        }
    }
    words.extend(word);
    Ok(Words { words, tail: "", globs })
}

/// Reads on up to the quote that closes; gives the place behind it.
fn quoted(text: &str, mut at: usize, word: &mut String) -> Result<usize, Reason> {
    let rest = |at: usize| text.get(at..).unwrap_or_default();
    while let Some(c) = rest(at).chars().next() {
        at += c.len_utf8();
        match c {
            '"' => return Ok(at),
            '\\' => match rest(at).chars().next() {
                Some('\n') => at += 1,
                Some(next @ ('$' | '`' | '"' | '\\')) => {
                    word.push(next);
                    at += 1;
                }
                _ => word.push('\\'),
            },
            '$' | '`' => {
                expands(c, rest(at))?;
                word.push(c);
            }
            _ => word.push(c),
        }
    }
    Err(Reason::Broken { what: Broken::Quote })
}

/// Whether a shell expands what begins with `$` or a backtick.
fn expands(c: char, rest: &str) -> Result<(), Reason> {
    let next = rest.chars().next();
    let is_name = |c: char| c.is_ascii_alphabetic() || c == '_';
    if c == '$' && next.is_some_and(is_name) {
        let name = rest.chars().take_while(|c| is_name(*c) || c.is_ascii_digit()).collect();
        return Err(Reason::Unset { name });
    }
    if c == '`' || next.is_some_and(|c| c.is_ascii_digit() || "({?$!#@*-".contains(c)) {
        let what = c.to_string() + &rest.chars().take(12).collect::<String>();
        return Err(Reason::Expanded { what });
    }
    Ok(())
}

/// A text without what stands in quotes.
pub(super) fn unquoted(text: &str) -> String {
    let mut plain = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => drop(chars.next()),
            (c, Some(open)) if c == open => quote = None,
            ('$' | '`', Some('"')) => plain.push(c),
            (_, Some(_)) => {}
            ('\'' | '"', None) => quote = Some(c),
            (c, None) => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_taken_apart() {
        for (text, expected, tail) in [
            ("a  'b c' \"d \\\" e\" f\\ g", &["a", "b c", "d \" e", "f g"][..], ""),
            ("a '' # comment", &["a", ""], ""),
            ("a#b", &["a#b"], ""),
            ("a b|c", &["a", "b"], "|c"),
            ("a 2>/dev/null", &["a"], "2>/dev/null"),
            ("a b2>x", &["a", "b2"], ">x"),
            ("a \"c; d\"; e", &["a", "c; d"], "; e"),
            ("a 'x'\"y\"z", &["a", "xyz"], ""),
            ("a \"$ 5\" cost$", &["a", "$ 5", "cost$"], ""),
            ("a \\\n b", &["a", "b"], ""),
        ] {
            let found = words(text).expect("plain words");
            assert_eq!(
                (found.words.as_slice(), found.tail),
                (&expected.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()[..], tail),
                "{text}"
            );
        }
        for (text, reason) in [
            ("a \"$X\"", Reason::Unset { name: "X".to_owned() }),
            ("a $(b)", Reason::Expanded { what: "$(b)".to_owned() }),
            ("a \"`b`\"", Reason::Expanded { what: "`b`\"".to_owned() }),
            ("a \"b", Reason::Broken { what: Broken::Quote }),
            ("a 'b", Reason::Broken { what: Broken::Quote }),
            ("a \\", Reason::Broken { what: Broken::Backslash }),
        ] {
            assert_eq!(words(text), Err(reason), "{text}");
        }
        assert!(words("a *.x").expect("words").globs);
        assert!(!words("a '*.x'").expect("words").globs);
        assert_eq!(unquoted("| awk '{print; $1}' \"$(x);\" \\; y"), "| awk  $  y");
    }

    proptest::proptest! {
        #[test]
        fn any_command_is_taken_apart(text in "[ab 1é'\"$`\\\\|;&<>()#{}\n]{0,30}") {
            if let Ok(found) = words(&text) {
                assert!(text.ends_with(found.tail));
            }
            let _ = unquoted(&text);
        }
    }
}
