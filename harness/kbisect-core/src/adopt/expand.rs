//! Variables of a list of checks: `$NAME` and `${NAME}`, replaced before any shell reads them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::error::Reason;

/// Most bytes of a command.
pub(super) const MOST_BYTES: usize = 32 << 10;
/// How often values that hold variables are looked through.
const MOST_ROUNDS: usize = 8;

static VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\$(?:\{(?P<long>[A-Za-z_][A-Za-z0-9_]*)\}|(?P<short>[A-Za-z_][A-Za-z0-9_]*))")
        .expect("the expression is constant")
});

/// Replaces the variables that are set; others stay for the shell.
pub(super) fn expanded(text: &str, env: &BTreeMap<String, String>) -> Result<String, Reason> {
    let mut text = text.to_owned();
    for _ in 0..MOST_ROUNDS {
        if text.len() > MOST_BYTES {
            break;
        }
        // What is put in may be as long as the bound each time, so it is bounded while it grows.
        let mut left = 4 * MOST_BYTES;
        let next = VARIABLE.replace_all(&text, |found: &Captures<'_>| {
            let value = env.get(name(found)).map_or(&found[0], String::as_str);
            left = left.saturating_sub(value.len());
            if left == 0 { String::new() } else { value.to_owned() }
        });
        if left == 0 {
            return Err(Reason::TooLong { most: MOST_BYTES });
        }
        if next == text {
            break;
        }
        text = next.into_owned();
    }
    if text.len() > MOST_BYTES {
        return Err(Reason::TooLong { most: MOST_BYTES });
    }
    Ok(text)
}

/// Names of variables that a text uses, in its order.
pub(super) fn used(text: &str) -> Vec<String> {
    VARIABLE.captures_iter(text).map(|found| name(&found).to_owned()).collect()
}

fn name<'t>(found: &'t Captures<'_>) -> &'t str {
    let name = found.name("long").or_else(|| found.name("short"));
    name.map_or("", |name| name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn variables_that_are_set_are_replaced() {
        let env = env(&[("A", "1"), ("AB", "2"), ("C", "<$A>"), ("L", "$L")]);
        for (text, expected) in [
            ("$A ${A}b $AB '$A'", "1 1b 2 '1'"),
            ("$C", "<1>"),
            ("$X ${X} $? $$ ${A%.*} $1", "$X ${X} $? $$ ${A%.*} $1"),
            ("$L", "$L"),
        ] {
            assert_eq!(expanded(text, &env).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(used("$A ${B} ${C%x} $1"), ["A", "B"]);
    }

    #[test]
    fn variables_that_grow_are_stopped() {
        let ten = |name: &str| format!("${{{name}}}").repeat(10);
        let values = [ten("B"), ten("C"), ten("D"), ten("E"), ten("F"), "x".repeat(1000)];
        let env =
            ["A", "B", "C", "D", "E", "F"].map(str::to_owned).into_iter().zip(values).collect();
        assert_eq!(expanded("$A", &env), Err(Reason::TooLong { most: MOST_BYTES }));
    }
}
