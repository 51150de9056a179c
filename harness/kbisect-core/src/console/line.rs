//! From raw console bytes to kernel messages: control sequences and prefixes are taken off.

use std::borrow::Cow;

/// Who printed a line, with `CONFIG_PRINTK_CALLER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// The kernel does not say.
    Unknown,
    /// `[  T123]`
    Task(u32),
    /// `[    C0]`
    Cpu(u32),
}

/// One message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// With its prefix.
    pub full: &'a str,
    /// Without it.
    pub body: &'a str,
    /// Who printed it.
    pub caller: Caller,
    /// Has a kernel time stamp.
    pub stamped: bool,
}

/// Makes text of console bytes: no carriage returns, no escape sequences, no other control
/// characters than tab, valid UTF-8.
pub(super) fn clean(raw: &[u8]) -> Cow<'_, str> {
    let mut raw = raw;
    while let [rest @ .., b'\r' | b'\n'] = raw {
        raw = rest;
    }
    while let [b'\r' | 0, rest @ ..] = raw {
        raw = rest;
    }
    // No early exit: this way the compiler makes it a vector loop.
    let odd = |b: u8| (b < 0x20 && b != b'\t') || b == 0x7f;
    let dirty = raw.iter().fold(false, |dirty, b| dirty | odd(*b));
    if !dirty && let Ok(text) = std::str::from_utf8(raw) {
        return Cow::Borrowed(text);
    }
    if !dirty {
        return String::from_utf8_lossy(raw);
    }
    let text = String::from_utf8_lossy(raw);
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => skip_escape(&mut chars),
            // Redrawn lines: what comes after the return is a line of its own.
            '\r' => out.push('\n'),
            '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Skips the rest of an escape sequence (ECMA-48: CSI and the string commands, else one character).
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => {
            while let Some(c) = chars.peek() {
                if !c.is_ascii() || c.is_control() {
                    break;
                }
                let last = ('\x40'..='\x7e').contains(c);
                chars.next();
                if last {
                    break;
                }
            }
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = chars.next() {
                if c == '\x07' || (c == '\x1b' && chars.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        Some('(' | ')' | '#' | '%' | ' ') => {
            chars.next();
        }
        _ => {}
    }
}

/// Takes the prefixes off the front of a line.
pub(super) fn parse(full: &str) -> Line<'_> {
    let mut line = Line { full, body: full, caller: Caller::Unknown, stamped: false };
    loop {
        let text = line.body.trim_start_matches(' ');
        let rest = if let Some(rest) = strip_stamp(text) {
            line.stamped = true;
            rest
        } else if let Some((caller, rest)) = strip_caller(text).filter(|_| line.stamped) {
            line.caller = caller;
            rest
        } else if line.stamped {
            // One space belongs to the prefix, more of them to the message.
            line.body = line.body.strip_prefix(' ').unwrap_or(line.body);
            return line;
        } else if let Some(rest) = strip_level(text)
            .or_else(|| strip_dropped(text))
            .or_else(|| strip_date(text))
            .or_else(|| strip_syslog(text))
        {
            rest
        } else {
            return line;
        };
        line.body = rest;
    }
}

/// Splits a line where another message starts in its middle (`... bytes[   76.471107] BUG: ...`):
/// consoles lose line ends. The parts are handed to `take`, first to last.
pub(super) fn split<'a>(full: &'a str, mut take: impl FnMut(Line<'a>)) {
    if memchr::memchr(b'\n', full.as_bytes()).is_some() {
        full.split('\n').for_each(|full| split_stamps(full, &mut take));
    } else {
        split_stamps(full, &mut take);
    }
}

fn split_stamps<'a>(full: &'a str, take: &mut impl FnMut(Line<'a>)) {
    let mut line = parse(full);
    // A stamp needs some room behind it.
    let brackets = memchr::memchr_iter(b'[', line.body.as_bytes());
    let body_at = full.len() - line.body.len();
    let mut start = 0;
    for at in brackets.map(|at| at + body_at) {
        if full.as_bytes().get(at + 1) != Some(&b'<') && strip_stamp(&full[at..]).is_some() {
            let before = &full[start..at];
            line = Line { full: before, body: before_body(before, line.body), ..line };
            take(line);
            line = parse(&full[at..]);
            start = at;
        }
    }
    take(line);
}

/// The message of a line that turned out to end early.
fn before_body<'a>(full: &'a str, body: &str) -> &'a str {
    let prefix = (body.as_ptr() as usize).saturating_sub(full.as_ptr() as usize);
    full.get(prefix..).unwrap_or(full)
}

/// `[   12.345678]`, and `[Mon Jan  1 12:00:00 2024]` as dmesg -T prints it.
fn strip_stamp(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let digits = inner.trim_start_matches(' ');
    let seconds = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    if seconds.len() < digits.len() {
        let fraction = seconds.strip_prefix('.')?;
        let rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
        return (fraction.len() - rest.len() >= 3).then(|| rest.strip_prefix(']')).flatten();
    }
    if !["Mon ", "Tue ", "Wed ", "Thu ", "Fri ", "Sat ", "Sun "].contains(&inner.get(..4)?) {
        return None;
    }
    let (date, rest) = inner.split_once(']')?;
    (date.contains(':') && date.len() < 40).then_some(rest)
}

fn strip_caller(text: &str) -> Option<(Caller, &str)> {
    let (inner, rest) = text.strip_prefix('[')?.split_once(']')?;
    let inner = inner.trim_start_matches(' ');
    let number = inner.get(1..)?.parse().ok()?;
    match inner.as_bytes().first()? {
        b'T' => Some((Caller::Task(number), rest)),
        b'C' => Some((Caller::Cpu(number), rest)),
        _ => None,
    }
}

/// `<4>`
fn strip_level(text: &str) -> Option<&str> {
    let (level, rest) = text.strip_prefix('<')?.split_once('>')?;
    (level.len() <= 3 && !level.is_empty() && level.bytes().all(|b| b.is_ascii_digit()))
        .then_some(rest)
}

/// `** 2499 printk messages dropped ** `, which the message that follows is glued to.
fn strip_dropped(text: &str) -> Option<&str> {
    let (count, rest) = text.strip_prefix("** ")?.split_once(" printk messages dropped **")?;
    count.bytes().all(|b| b.is_ascii_digit()).then_some(rest)
}

/// `2018/01/09 14:28:48 `, which some collectors put in front.
fn strip_date(text: &str) -> Option<&str> {
    let shape = b"dddd/dd/dd dd:dd:dd ";
    let head = text.as_bytes().get(..shape.len())?;
    let fits = |(b, s): (&u8, &u8)| if *s == b'd' { b.is_ascii_digit() } else { b == s };
    head.iter().zip(shape).all(fits).then(|| &text[shape.len()..])
}

/// `Jan  1 12:00:00 host kernel: `, as syslog and the journal print it.
fn strip_syslog(text: &str) -> Option<&str> {
    let head = text.as_bytes().get(..16)?;
    let clock = head[9] == b':' && head[12] == b':' || head[10] == b'T';
    if !clock || !head[0].is_ascii_alphanumeric() {
        return None;
    }
    let at = text.find(" kernel: ").filter(|at| *at < 120)?;
    Some(&text[at + " kernel: ".len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_prefixes_off() {
        for (full, body, caller, stamped) in [
            ("BUG: x", "BUG: x", Caller::Unknown, false),
            ("[   12.345678] BUG: x", "BUG: x", Caller::Unknown, true),
            ("[   12.345678][  T123] BUG: x", "BUG: x", Caller::Task(123), true),
            ("[1712.345678][    C0]  foo+0x1/0x2", " foo+0x1/0x2", Caller::Cpu(0), true),
            ("<4>[    1.000000] BUG: x", "BUG: x", Caller::Unknown, true),
            ("** 12 printk messages dropped ** [   1.000000] BUG", "BUG", Caller::Unknown, true),
            ("Jan  1 12:00:00 gw kernel: [    1.000000] BUG", "BUG", Caller::Unknown, true),
            ("[Mon Jan  1 12:00:00 2024] BUG: x", "BUG: x", Caller::Unknown, true),
            ("[  OK  ] Started x", "[  OK  ] Started x", Caller::Unknown, false),
            (
                "[<ffffffff81000000>] foo+0x1/0x2",
                "[<ffffffff81000000>] foo+0x1/0x2",
                Caller::Unknown,
                false,
            ),
        ] {
            let line = parse(full);
            assert_eq!((line.body, line.caller, line.stamped), (body, caller, stamped), "{full}");
        }
    }

    #[test]
    fn cleans_control_sequences_and_bad_bytes() {
        assert_eq!(clean(b"\x1b[1;31mBUG:\x1b[0m x\r"), "BUG: x");
        assert_eq!(clean(b"\x1b]0;title\x07BUG: x\x1b(B\x07"), "BUG: x");
        assert_eq!(clean(b"50%\r100%"), "50%\n100%");
        assert_eq!(clean(b"a\xffb\x00"), "a\u{fffd}b");
        assert_eq!(clean(b"\x1b["), "");
        assert_eq!(clean("\x1b[3\u{e4}x".as_bytes()), "\u{e4}x");
    }

    #[test]
    fn splits_where_a_line_end_was_lost() {
        let mut bodies = Vec::new();
        split("failed: 12 bytes[   76.471107] BUG: x [y]", |line| bodies.push(line.body));
        assert_eq!(bodies, ["failed: 12 bytes", "BUG: x [y]"]);
        bodies.clear();
        split("[    1.000000] a [   2.000000] b", |line| bodies.push(line.body));
        assert_eq!(bodies, ["a ", "b"]);
    }
}
