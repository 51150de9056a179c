//! TOML as text, so that comments can stand between.

use std::fmt::Write as _;

use super::network::Network;

/// `key = [...]`, on one line where it fits; nothing when there are no values.
pub(super) fn array<'a>(text: &mut String, key: &str, values: impl Iterator<Item = &'a str>) {
    let values: Vec<String> = values.map(quoted).collect();
    if values.is_empty() {
        return;
    }
    let one_line = format!("{key} = [{}]", values.join(", "));
    if one_line.len() <= 100 {
        let _ = writeln!(text, "{one_line}");
        return;
    }
    let _ = writeln!(text, "{key} = [");
    for value in values {
        let _ = writeln!(text, "    {value},");
    }
    text.push_str("]\n");
}

/// `[...]` on one line.
pub(super) fn inline(networks: &[Network]) -> String {
    let values: Vec<String> = networks.iter().map(|network| quoted(&network.to_string())).collect();
    format!("[{}]", values.join(", "))
}

/// A TOML basic string.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A text for a comment: one line.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}
