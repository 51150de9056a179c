//! Makes text from guests harmless: for a terminal, for Markdown, for a command line.
//!
//! Consoles, check output and error messages are hostile input. Whatever they hold, a report has no
//! control characters, and no text of theirs opens a heading, a link, a tag or a fence of its own.

use std::fmt::Write;

/// One line for the terminal: line breaks and tabs become blanks, any other control character (and
/// those that turn the writing direction) is spelled out, and what exceeds `max` characters is cut.
pub(crate) fn line(text: &str, max: usize) -> String {
    let mut line = String::new();
    for (count, c) in text.trim().chars().enumerate() {
        if count == max {
            line.push('…');
            break;
        }
        match c {
            '\n' | '\r' | '\t' => line.push(' '),
            c => push_visible(&mut line, c),
        }
    }
    line
}

/// Text of one line for Markdown prose or a table cell: as [`line`], with everything that Markdown
/// or HTML would act on behind a backslash.
pub(crate) fn prose(text: &str, max: usize) -> String {
    let clean: Vec<char> = line(text, max).chars().collect();
    let mut escaped = String::new();
    for (at, &c) in clean.iter().enumerate() {
        let near = |at: Option<usize>| at.and_then(|at| clean.get(at)).copied();
        let (before, after) = (near(at.checked_sub(1)), near(Some(at + 1)));
        let inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let acts = match c {
            '\\' | '`' | '*' | '<' | '[' | ']' | '|' | '#' | '&' | '~' | '@' | '$' => true,
            // Quotations, lists and underlines begin with a line only.
            '>' | '-' | '+' | '=' => at == 0,
            // `nf_conntrack` needs none: inside a word an underscore means nothing.
            '_' => !(inside(before) && inside(after)),
            // Addresses must not become links.
            ':' => after == Some('/'),
            '.' => at >= 3 && clean[at - 3..at].iter().all(|c| c.eq_ignore_ascii_case(&'w')),
            _ => false,
        };
        if acts {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// A code span of one line. Empty text has no code span: a dash stands for it.
pub(crate) fn code(text: &str) -> String {
    let clean = line(text, 2000);
    if clean.is_empty() {
        return "-".to_owned();
    }
    let fence = "`".repeat(longest_run(&clean) + 1);
    let pad = if clean.starts_with('`') || clean.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{clean}{pad}{fence}")
}

/// A code span inside a table. A bar would end the cell even within code, and readers of tables
/// disagree on a backslash before it: a text with a bar is prose.
pub(crate) fn code_cell(text: &str) -> String {
    if text.contains('|') { prose(text, 2000) } else { code(text) }
}

/// A fenced block that its content cannot end, of at most `max` lines, line break included.
pub(crate) fn block(text: &str, language: &str, max: usize) -> String {
    let body = lines(text, max);
    let fence = "`".repeat((longest_run(&body) + 1).max(3));
    format!("{fence}{language}\n{body}{fence}\n")
}

/// At most `max` lines, each ended by a line break, with control characters spelled out.
pub(crate) fn lines(text: &str, max: usize) -> String {
    let mut body = String::new();
    let lines: Vec<&str> = text.trim_matches('\n').lines().collect();
    for line in lines.iter().take(max) {
        for c in line.trim_end_matches('\r').chars() {
            match c {
                '\t' => body.push_str("        "),
                c => push_visible(&mut body, c),
            }
        }
        body.push('\n');
    }
    if lines.len() > max {
        let _ = writeln!(body, "... {} more lines", lines.len() - max);
    }
    body
}

/// A word for a shell: quoted where it has to be.
pub(crate) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=+@%~^".contains(c);
    if !word.is_empty() && !word.starts_with('~') && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// A command line that can be pasted.
pub(crate) fn command_line(words: &[String]) -> String {
    words.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" ")
}

/// The command without the folder that the program was called from: it says nothing elsewhere.
pub(crate) fn as_kbisect(command: &[String]) -> Vec<String> {
    let mut command = command.to_vec();
    if let Some(program) = command.first_mut()
        && let Some((_, name)) = program.rsplit_once('/')
    {
        *program = name.to_owned();
    }
    command
}

/// Nanoseconds since 1970-01-01 UTC as `2026-11-20 12:14:16`; nothing for a time out of range.
pub(crate) fn utc(nanos: u64) -> String {
    let stamp = jiff::Timestamp::from_nanosecond(i128::from(nanos));
    stamp.map(|stamp| stamp.strftime("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default()
}

fn push_visible(to: &mut String, c: char) {
    if c.is_control() || turns_direction(c) {
        let _ = match u32::from(c) {
            byte @ ..=0xff => write!(to, "\\x{byte:02x}"),
            other => write!(to, "\\u{{{other:x}}}"),
        };
    } else {
        to.push(c);
    }
}

/// Line and paragraph separators, marks that turn the writing direction, invisible ones
/// (Unicode Technical Report 36, "bidirectional text spoofing").
fn turns_direction(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Lines of at most so many columns; words, paths and commands stay whole.
pub(crate) fn plain_lines<'a>(width: usize) -> textwrap::Options<'a> {
    textwrap::Options::new(width)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
}

/// A path as a URI has it (RFC 3986).
pub(crate) fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let of = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    path.bytes().map(of).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escape_sequences_are_spelled_out() {
        assert_eq!(line("a\u{1b}[2Jb\u{9b}31m\u{7f}\r\nc", 80), "a\\x1b[2Jb\\x9b31m\\x7f  c");
        assert_eq!(line("safe\u{202e}gpj.exe", 80), "safe\\u{202e}gpj.exe");
        assert_eq!(line("  abcdef ", 3), "abc…");
    }

    #[test]
    fn prose_does_not_act() {
        assert_eq!(prose("nf_conntrack: __list_add", 80), "nf_conntrack: \\_\\_list_add");
        assert_eq!(prose("<img src=x>", 80), "\\<img src=x>");
        assert_eq!(prose("[a](http://b) | @me #1", 80), "\\[a\\](http\\://b) \\| \\@me \\#1");
        assert_eq!(prose("> a -> b", 80), "\\> a -> b");
        assert_eq!(prose("- a - b", 80), "\\- a - b");
        assert_eq!(prose("see www.evil.example", 80), "see www\\.evil.example");
        assert_eq!(prose("\\` **x**", 80), "\\\\\\` \\*\\*x\\*\\*");
    }

    #[test]
    fn code_spans_and_blocks_cannot_be_left() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("a``b`"), "``` a``b` ```");
        assert_eq!(code_cell("a|b"), "a\\|b");
        assert_eq!(block("x\n````\n<b>", "text", 9), "`````text\nx\n````\n<b>\n`````\n");
        assert_eq!(
            block("a\r\nb\tc\u{1b}\nd\ne", "", 3),
            "```\na\nb        c\\x1b\nd\n... 1 more lines\n```\n"
        );
    }

    #[test]
    fn commands_survive_a_shell() {
        let words = ["kbisect", "6.12.43..6.12.96", "--note", "it's $HOME", "~x", ""];
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(
            command_line(&words),
            "kbisect 6.12.43..6.12.96 --note 'it'\\''s $HOME' '~x' ''"
        );
    }

    proptest! {
        #[test]
        fn no_control_character_gets_through(text in any::<String>(), max in 0usize..40) {
            prop_assert!(!line(&text, max).contains(char::is_control));
            prop_assert!(line(&text, max).chars().filter(|c| *c != '\\').count() <= 10 * max + 1);
            prop_assert!(!prose(&text, max).contains(char::is_control));
            prop_assert!(!code(&text).contains(char::is_control));
            prop_assert!(!block(&text, "text", 5).contains(|c: char| c.is_control() && c != '\n'));
        }

        #[test]
        fn only_the_last_line_of_a_block_ends_it(text in "[`\na]{0,40}") {
            let block = block(&text, "", 100);
            let fence = block.lines().next().unwrap();
            let closing = block.lines().skip(1).filter(|line| line.starts_with(fence)).count();
            prop_assert_eq!(closing, 1);
        }
    }
}
