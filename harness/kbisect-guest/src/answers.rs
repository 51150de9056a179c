//! Answers of servers, read from bytes: DNS messages (RFC 1035) and the heads of HTTP answers.

use std::net::IpAddr;

/// The addresses of the wanted kind; none for a message that is cut short or no answer.
pub fn dns_addresses(bytes: &[u8], kind: u16) -> Option<Vec<IpAddr>> {
    let word = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let (questions, answers) = (word(4)?, word(6)?);
    let mut at = 12;
    for _ in 0..questions {
        at = skip_name(bytes, at)? + 4;
    }
    let mut found = Vec::new();
    for _ in 0..answers {
        at = skip_name(bytes, at)?;
        let (record, length) = (word(at)?, usize::from(word(at + 8)?));
        let data = bytes.get(at + 10..at + 10 + length)?;
        at += 10 + length;
        match (record == kind, data.len()) {
            (true, 4) => found.push(IpAddr::from(<[u8; 4]>::try_from(data).ok()?)),
            (true, 16) => found.push(IpAddr::from(<[u8; 16]>::try_from(data).ok()?)),
            _ => {}
        }
    }
    Some(found)
}

fn skip_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            // A pointer ends the name.
            length if length >= 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

/// What the head of an HTTP answer says: its status, and the length that it announces.
///
/// # Errors
/// Why it is none.
pub fn http_head(head: &[u8]) -> Result<(u16, Option<u64>), String> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.lines();
    let status_line = lines.next().unwrap_or_default();
    let mut words = status_line.split_whitespace();
    let status = match words.next() {
        Some(version) if version.starts_with("HTTP/") => {
            words.next().and_then(|word| word.parse().ok())
        }
        _ => None,
    };
    let status = status.ok_or("the answer is not HTTP")?;
    let announced = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok());
    Ok((status, announced))
}
