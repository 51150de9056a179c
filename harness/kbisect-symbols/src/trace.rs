//! Functions in the lines of a report.

/// A function as a trace names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Module; `None` for the kernel itself.
    pub module: Option<String>,
    /// Name, with the compiler's suffixes.
    pub name: String,
    /// Offset from the function's start, in bytes.
    pub offset: u64,
    /// The function's size as the kernel knows it, padding included.
    pub size: u64,
    /// The instruction itself, not the one that a call returns to.
    pub exact: bool,
}

impl Reference {
    /// Offset of an instruction that belongs to the place: a return address is that of the next
    /// one, which can be another line, or another function.
    pub fn instruction(&self) -> u64 {
        if self.exact { self.offset } else { self.offset.saturating_sub(1) }
    }
}

/// A line that belongs to a trace, without time stamp and caller; `? ` frames do not.
pub fn trace_line(line: &str) -> Option<&str> {
    let body = body_of(line);
    let text = body.trim();
    let mark = text.starts_with('<') && text.ends_with('>') && text.len() <= 16;
    let heading = text.starts_with("Call Trace") || text.starts_with("Call trace");
    (mark || heading || reference(body).is_some()).then_some(body)
}

/// The function of a line: `name+0x1c/0x90 [module]`.
pub fn reference(line: &str) -> Option<Reference> {
    let body = body_of(line).trim();
    if body.starts_with("? ") {
        return None;
    }
    let plus = body.find("+0x")?;
    let start = body[..plus].rfind(|c: char| !is_name(c)).map_or(0, |at| at + 1);
    let name = body.get(start..plus).filter(|name| !name.is_empty() && name.len() <= 512)?;
    if body[..start].trim_end().ends_with('?') {
        return None;
    }
    let (offset, rest) = hex(&body[plus + 3..])?;
    let (size, rest) = hex(rest.strip_prefix("/0x")?)?;
    let module = rest
        .trim_start_matches([')', ' '])
        .strip_prefix('[')
        .and_then(|rest| rest.split([']', ' ', '(']).next())
        .filter(|name| !name.is_empty() && *name != "inline" && name.len() <= 64)
        .map(|name| name.replace('-', "_"));
    let exact = ["RIP:", "EIP", "IP:", "pc :", "epc :", "PC is at"]
        .iter()
        .any(|head| body.starts_with(head));
    (offset < size).then(|| Reference { module, name: name.to_owned(), offset, size, exact })
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$')
}

fn hex(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(text.len());
    Some((u64::from_str_radix(&text[..end], 16).ok()?, &text[end..]))
}

/// The line without `[   12.345678]` and `[  T314]`.
fn body_of(line: &str) -> &str {
    let mut body = line;
    for _ in 0..2 {
        let Some((inside, rest)) =
            body.trim_start().strip_prefix('[').and_then(|rest| rest.split_once(']'))
        else {
            break;
        };
        let inside = inside.trim();
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let stamp = inside.contains('.') && digits(inside);
        let caller = inside.strip_prefix(['T', 'C']).is_some_and(|id| !id.is_empty() && digits(id));
        if !stamp && !caller {
            break;
        }
        body = rest.strip_prefix(' ').unwrap_or(rest);
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_read_from_lines_of_a_trace() {
        let found = |line: &str| {
            let found = reference(line)?;
            Some((found.name, found.offset, found.size, found.module, found.exact))
        };
        let plain = |name: &str, module: Option<&str>, exact| {
            Some((name.to_owned(), 0x1c, 0x90, module.map(str::to_owned), exact))
        };
        for (line, expected) in [
            (" foo+0x1c/0x90", plain("foo", None, false)),
            ("[   12.345678]  foo+0x1c/0x90 [nft-fake]", plain("foo", Some("nft_fake"), false)),
            ("[   12.345678][  T314] foo.isra.0+0x1c/0x90", plain("foo.isra.0", None, false)),
            ("RIP: 0010:foo+0x1c/0x90 [m(OE)]", plain("foo", Some("m"), true)),
            (
                "RIP: 0010:[<ffffffff8123>]  [<ffffffff8123>] foo+0x1c/0x90",
                plain("foo", None, true),
            ),
            ("pc : foo+0x1c/0x90", plain("foo", None, true)),
            (" ? foo+0x1c/0x90", None),
            (" foo+0x91/0x90", None),
            ("eth0: link up", None),
            ("+0x1c/0x90", None),
        ] {
            assert_eq!(found(line), expected, "{line}");
        }
    }

    #[test]
    fn lines_that_tell_of_the_trace_stay() {
        assert_eq!(trace_line("[ 1.000000]  <IRQ>"), Some(" <IRQ>"));
        assert_eq!(trace_line("[ 1.000000] Call Trace:"), Some("Call Trace:"));
        assert_eq!(trace_line("[ 1.000000] Code: 48 8b"), None);
    }
}
