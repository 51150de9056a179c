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
    match std::str::from_utf8(raw) {
        Ok(text) => clean_text(text),
        Err(_) => Cow::Owned(clean_text(&String::from_utf8_lossy(raw)).into_owned()),
    }
}

/// As [`clean`], of bytes that are known to be UTF-8.
pub(super) fn clean_text(text: &str) -> Cow<'_, str> {
    let text = text.trim_end_matches(['\r', '\n']).trim_start_matches(['\r', '\0']);
    // No early exit: this way the compiler makes it a vector loop. 0xc2 leads in U+0080 to U+009f,
    // which are control characters too.
    let odd = |b: u8| (b < 0x20 && b != b'\t') || b == 0x7f || b == 0xc2;
    if !text.bytes().fold(false, |dirty, b| dirty | odd(b)) {
        return Cow::Borrowed(text);
    }
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
        if line.stamped {
            line.body = match strip_caller(text) {
                Some((caller, rest)) => {
                    line.caller = caller;
                    rest
                }
                // One space belongs to the prefix, more of them to the message.
                None => line.body.strip_prefix(' ').unwrap_or(line.body),
            };
            if line.caller != Caller::Unknown {
                line.body = line.body.strip_prefix(' ').unwrap_or(line.body);
            } else if let Some(rest) = strip_host(line.body) {
                line.body = rest;
            }
            return line;
        }
        // Most lines begin with one of few characters.
        let rest = match text.as_bytes().first() {
            Some(b'[') => strip_stamp(text)
                .or_else(|| {
                    // Without time stamps the caller stands alone.
                    let (caller, rest) = strip_caller(text)?;
                    line.caller = caller;
                    rest.strip_prefix(' ')
                })
                .inspect(|_| line.stamped = true)
                .or_else(|| strip_clock(text)),
            Some(b'<') => strip_level(text),
            Some(b'*') => strip_dropped(text),
            Some(b'0'..=b'9') => strip_record(text)
                .or_else(|| strip_journal(text))
                .inspect(|_| line.stamped = true)
                .or_else(|| strip_clock(text)),
            Some(b'A'..=b'Z') => {
                strip_journal(text).inspect(|_| line.stamped = true).or_else(|| strip_clock(text))
            }
            Some(b'k') => strip_facility(text).or_else(|| strip_prompt(text)),
            Some(b'|') => text.strip_prefix("| "),
            Some(b'a'..=b'z') => strip_prompt(text),
            // What was no text: noise of the line.
            Some(0xef) => text.strip_prefix('\u{fffd}'),
            _ => None,
        };
        let Some(rest) = rest else { return line };
        line.body = rest;
        if line.stamped {
            // `[   12.3]` may follow what syslog puts in front.
            let text = rest.trim_start_matches(' ');
            if let Some(rest) = text.starts_with('[').then(|| strip_stamp(text)).flatten() {
                line.body = rest;
            }
        }
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
    // Comments of test protocols (TAP) quote whole lines.
    let quotes = !line.stamped && line.body.starts_with("# ");
    for at in brackets.take_while(|_| !quotes).map(|at| at + body_at) {
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

/// `[   12.345678]`, and as dmesg -T, -e and -d print it: `[Mon Jan  1 12:00:00 2024]`,
/// `[Nov20 12:00]`, `[  +0.000012]`.
fn strip_stamp(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'[') {
        return None;
    }
    let skip = |from: usize, wanted: fn(&u8) -> bool| {
        from + bytes[from..].iter().take_while(|b| wanted(b)).count()
    };
    let digits = skip(1, |b| *b == b' ' || *b == b'+');
    let point = skip(digits, u8::is_ascii_digit);
    if point > digits {
        if bytes.get(point) != Some(&b'.') {
            return None;
        }
        let end = skip(point + 1, u8::is_ascii_digit);
        let closed = end > point + 3 && bytes.get(end) == Some(&b']');
        return closed.then(|| &text[end + 1..]);
    }
    if !bytes.get(1).is_some_and(u8::is_ascii_uppercase) {
        return None;
    }
    let (date, rest) = text[1..].split_once(']')?;
    let known = |names: &[&str]| names.contains(&date.get(..3).unwrap_or_default());
    let long = known(&DAYS) && date.as_bytes().get(3) == Some(&b' ') && date.len() < 40;
    let short = known(&MONTHS) && (11..=12).contains(&date.len());
    ((long || short) && date.contains(':')).then_some(rest)
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn strip_caller(text: &str) -> Option<(Caller, &str)> {
    let text = text.strip_prefix('[')?.trim_start_matches(' ');
    let caller = match text.as_bytes().first()? {
        b'T' => Caller::Task,
        b'C' => Caller::Cpu,
        _ => return None,
    };
    let (number, rest) = text[1..].split_once(']')?;
    Some((caller(number.parse().ok()?), rest))
}

/// `<4>`
fn strip_level(text: &str) -> Option<&str> {
    let (level, rest) = text.strip_prefix('<')?.split_once('>')?;
    (level.len() <= 3 && !level.is_empty() && level.bytes().all(|b| b.is_ascii_digit()))
        .then_some(rest)
}

/// `gw login: `: a prompt, which ends no line.
fn strip_prompt(text: &str) -> Option<&str> {
    let end = memchr::memchr(b' ', text.as_bytes()).filter(|end| *end < 64)?;
    text[end..].strip_prefix(" login: ")
}

/// Says whether the stamp of a line shows a kernel that runs for a while: `[   12.345678]`, where the
/// first lines of a boot have `[    0.000000]`.
pub(super) fn is_running(full: &str) -> bool {
    memchr::memchr_iter(b'[', full.as_bytes()).any(|at| {
        let inner = full[at + 1..].split_once(']').map_or("", |(inner, _)| inner).trim_start();
        strip_stamp(&full[at..]).is_some()
            && inner.starts_with(|c: char| c.is_ascii_digit())
            && inner.bytes().any(|b| (b'1'..=b'9').contains(&b))
    })
}

/// `kern  :warn  : `, as dmesg -x prints it.
fn strip_facility(text: &str) -> Option<&str> {
    let (level, rest) = text.strip_prefix("kern  :")?.split_once(':')?;
    (level.len() <= 7).then_some(rest)
}

/// `** 2499 printk messages dropped ** `, which the message that follows is glued to.
fn strip_dropped(text: &str) -> Option<&str> {
    let (count, rest) = text.strip_prefix("** ")?.split_once(" printk messages dropped **")?;
    count.bytes().all(|b| b.is_ascii_digit()).then_some(rest)
}

/// `4,1234,5678901,-;`, as /dev/kmsg and netconsole's extended format have it.
fn strip_record(text: &str) -> Option<&str> {
    let (head, rest) = text.split_once(';').filter(|(head, _)| head.len() < 80)?;
    let mut fields = head.split(',');
    let number = |field: Option<&str>| {
        field.is_some_and(|f| !f.is_empty() && f.bytes().all(|b| b.is_ascii_digit()))
    };
    let numbers = number(fields.next()) && number(fields.next()) && number(fields.next());
    (numbers && fields.next().is_some()).then_some(rest)
}

/// What loggers of serial consoles put in front: `2024-11-20 12:00:01.123 `, `[12:00:01] `,
/// `Nov 20 12:00:01 `, `2024-11-20T12:00:01Z | `.
fn strip_clock(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let bracket = bytes.first() == Some(&b'[');
    let mut at = usize::from(bracket);
    let day = text.get(at..at + 4).is_some_and(|t| t.ends_with(' ') && MONTHS.contains(&&t[..3]));
    if day {
        // `Nov 20 `, `Nov  2 `
        at += 6;
        if bytes.get(at) != Some(&b' ') {
            return None;
        }
        at += 1;
    } else if matches!(bytes.get(at + 4), Some(b'-' | b'/')) {
        at += shaped(&bytes[at..], b"dddd-dd-dd ")
            .or_else(|| shaped(&bytes[at..], b"dddd/dd/dd "))?;
    }
    at += shaped(&bytes[at..], b"dd:dd:dd")?;
    // Fraction and zone.
    at += bytes[at..].iter().take_while(|b| b.is_ascii_digit() || b".,Z+:-".contains(b)).count();
    if bracket {
        bytes.get(at).filter(|b| **b == b']')?;
        at += 1;
    }
    text.get(at..)?.strip_prefix(' ').or_else(|| text.get(at..)?.strip_prefix(": "))
}

/// `Nov 20 12:00:01 host kernel: ` and `2024-11-20T12:00:01.123+00:00 host kernel: `, as syslog and
/// the journal print it.
fn strip_journal(text: &str) -> Option<&str> {
    strip_clock(text).and_then(strip_host)
}

/// `host kernel: `
fn strip_host(text: &str) -> Option<&str> {
    let end = memchr::memchr(b' ', text.as_bytes()).filter(|end| (1..64).contains(end))?;
    let host = text[..end].bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    text[end + 1..].strip_prefix("kernel: ").filter(|_| host)
}

/// The length of a shape at the start of a text: `d` is a digit, a space a space or `T`.
fn shaped(text: &[u8], shape: &[u8]) -> Option<usize> {
    let fits = |(b, s): (&u8, &u8)| match s {
        b'd' => b.is_ascii_digit(),
        b' ' => matches!(b, b' ' | b'T'),
        other => b == other,
    };
    (text.len() >= shape.len() && text.iter().zip(shape).all(fits)).then_some(shape.len())
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
            ("Jan  1 12:00:00 gw kernel: BUG", "BUG", Caller::Unknown, true),
            ("Jan  1 12:00:00 gw systemd[1]: BUG", "gw systemd[1]: BUG", Caller::Unknown, false),
            (
                "Jan 11 12:00:00 gw app: a kernel: BUG",
                "gw app: a kernel: BUG",
                Caller::Unknown,
                false,
            ),
            ("2024-11-20T12:00:01.123456+01:00 gw kernel: BUG", "BUG", Caller::Unknown, true),
            ("2024-11-20T12:00:01,123456+01:00 BUG", "BUG", Caller::Unknown, false),
            ("[   12.345678] gw-1 kernel: BUG: x", "BUG: x", Caller::Unknown, true),
            ("[Nov20 12:00] BUG: x", "BUG: x", Caller::Unknown, true),
            ("[  +0.000012] BUG: x", "BUG: x", Caller::Unknown, true),
            ("[2024-11-20 12:00:01] [    1.000000] BUG", "BUG", Caller::Unknown, true),
            ("12:00:01.123 [    1.000000][   C12]  f+0x1", " f+0x1", Caller::Cpu(12), true),
            ("2024-11-20 12:00:01.123456 | <3>[    1.000000] B", "B", Caller::Unknown, true),
            ("2018/01/09 14:28:48 BUG", "BUG", Caller::Unknown, false),
            ("Nov  2 12:00:01 [    1.000000] BUG", "BUG", Caller::Unknown, true),
            ("kern  :warn  : [    1.000000] BUG", "BUG", Caller::Unknown, true),
            ("4,1234,5678901,-;BUG: x", "BUG: x", Caller::Unknown, true),
            ("4,5;BUG: x", "4,5;BUG: x", Caller::Unknown, false),
            ("[Mon Jan  1 12:00:00 2024] BUG: x", "BUG: x", Caller::Unknown, true),
            ("[    T1] BUG: x", "BUG: x", Caller::Task(1), true),
            ("gw login: BUG: x", "BUG: x", Caller::Unknown, false),
            ("\u{fffd}\u{fffd}BUG: x", "BUG: x", Caller::Unknown, false),
            ("a b login: BUG: x", "a b login: BUG: x", Caller::Unknown, false),
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
