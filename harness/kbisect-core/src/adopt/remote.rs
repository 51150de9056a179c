//! Which host a command of a list runs on: the list's own, or one that it calls by ssh.

use std::sync::LazyLock;

use regex::Regex;

use super::error::Reason;
use super::shell::{self, Words};

/// Where a command runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On the list's own host, as it stands.
    Here,
    /// On another.
    There {
        /// Name or address.
        host: String,
        /// User to log in as, if the list says.
        user: Option<String>,
        /// What runs there.
        command: String,
    },
}

/// Options of ssh that a value follows (OpenSSH's ssh(1)).
const WITH_VALUE: &str = "BbcDEeFIiJLlmOoPpQRSWw";
/// Options of ssh that make more than a command: forwarding, no command at all.
const MORE: &str = "DLNRWw";
/// How lists call ssh: by its name, or by a variable that holds its name and options.
const NAMES: [&str; 3] = ["ssh", "$SSH", "${SSH}"];

static WITHIN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?:^|[|;&(`\n]|\$\(|\b(?:sudo|exec|env|time|timeout\s+\S+)\s)\s*(?:\S*/)?(?:ssh|scp|sftp|rsync|\$SSH|\$\{SSH\})\s"#,
    )
    .expect("the expression is constant")
});

/// Tells where a command runs.
///
/// # Errors
/// Why that cannot be told, or why it cannot run there alone.
pub(super) fn place(command: &str) -> Result<Place, Reason> {
    let command = command.trim();
    let first = command.split_whitespace().next().unwrap_or_default();
    let is_ssh = NAMES.contains(&first) || first.ends_with("/ssh");
    if !is_ssh {
        return if WITHIN.is_match(command) { Err(Reason::SshWithin) } else { Ok(Place::Here) };
    }
    let rest = command.get(first.len()..).unwrap_or_default();
    let Words { words, tail, .. } = shell::words(rest)?;
    let mut words = words.into_iter();
    let mut user = None;
    let target = loop {
        let Some(word) = words.next() else { return Err(Reason::NoCommand) };
        let Some(options) = word.strip_prefix('-').filter(|options| !options.is_empty()) else {
            break word;
        };
        let with_value = options.find(|c| WITH_VALUE.contains(c));
        let letters = with_value.map_or(options, |at| &options[..=at]);
        if let Some(option) = letters.chars().find(|c| MORE.contains(*c)) {
            return Err(Reason::SshOption { option });
        }
        // `-ofoo` has its value in the word, `-o foo` behind it.
        let is_last = with_value.is_some_and(|at| at + 1 == options.len());
        let value =
            if is_last { words.next() } else { with_value.map(|at| options[at + 1..].to_owned()) };
        if letters.ends_with('l') {
            user = value;
        }
    };
    let host = match target.rsplit_once('@') {
        Some((name, host)) => {
            user = Some(name.to_owned());
            host.to_owned()
        }
        None => target,
    };
    // ssh joins its arguments, and the shell on the other side reads them again.
    let remote = words.collect::<Vec<_>>().join(" ");
    if remote.trim().is_empty() {
        return Err(Reason::NoCommand);
    }
    let command = match tail.trim() {
        "" => remote,
        tail if goes_along(tail) => format!("(\n{remote}\n) {tail}"),
        tail => return Err(Reason::TwoHosts { part: tail.to_owned() }),
    };
    Ok(Place::There { host, user, command })
}

/// Whether what follows ssh only handles its output, so that it does the same beside the command.
fn goes_along(tail: &str) -> bool {
    let mut plain = shell::unquoted(tail);
    for redirection in [">&", "&>", "<&"] {
        plain = plain.replace(redirection, ">");
    }
    let handles =
        tail.starts_with(['|', '>', '<']) || tail.starts_with(|c: char| c.is_ascii_digit());
    handles
        && !plain.contains([';', '&', '`', '(', ')', '\n', '$'])
        && !plain.contains("||")
        && !WITHIN.is_match(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(host: &str, user: Option<&str>, command: &str) -> Result<Place, Reason> {
        let user = user.map(str::to_owned);
        Ok(Place::There { host: host.to_owned(), user, command: command.to_owned() })
    }

    #[test]
    fn commands_of_other_hosts_are_told() {
        for (command, expected) in [
            ("ping -c 1 ssh.example", Ok(Place::Here)),
            ("systemctl is-active ssh && echo ssh is up", Ok(Place::Here)),
            ("$SSH gw1 'ip a | grep x'", there("gw1", None, "ip a | grep x")),
            (
                "/usr/bin/ssh -o A=b -p22 -tt root@192.0.2.1 ip  a",
                there("192.0.2.1", Some("root"), "ip a"),
            ),
            ("ssh -l admin gw1 \"echo \\$HOME\"", there("gw1", Some("admin"), "echo $HOME")),
            ("ssh gw1 true > /dev/null 2>&1", there("gw1", None, "(\ntrue\n) > /dev/null 2>&1")),
            (
                "ssh gw1 true 2>/dev/null | wc -l",
                there("gw1", None, "(\ntrue\n) 2>/dev/null | wc -l"),
            ),
            ("ssh gw1 x | awk '{a; b}'", there("gw1", None, "(\nx\n) | awk '{a; b}'")),
            ("ssh gw1", Err(Reason::NoCommand)),
            ("ssh -p 22", Err(Reason::NoCommand)),
            ("ssh -L 1:a:2 gw1 x", Err(Reason::SshOption { option: 'L' })),
            ("ssh gw1 x && y", Err(Reason::TwoHosts { part: "&& y".to_owned() })),
            ("ssh gw1 x || y", Err(Reason::TwoHosts { part: "|| y".to_owned() })),
            ("ssh gw1 x | tee $(y)", Err(Reason::TwoHosts { part: "| tee $(y)".to_owned() })),
            ("ssh gw1 x | ssh gw2 y", Err(Reason::TwoHosts { part: "| ssh gw2 y".to_owned() })),
            ("ssh gw1 \"x $Y\"", Err(Reason::Unset { name: "Y".to_owned() })),
            (
                "ssh gw1 \"x $(hostname)\"",
                Err(Reason::Expanded { what: "$(hostname)\"".to_owned() }),
            ),
            ("timeout 5 ssh gw1 x", Err(Reason::SshWithin)),
            ("x=$(ssh gw1 y)", Err(Reason::SshWithin)),
            ("true; scp a gw1:", Err(Reason::SshWithin)),
        ] {
            assert_eq!(place(command), expected, "{command}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_command_has_a_place_or_a_reason(text in "(ssh |\\$SSH )?[-a-zLl@é'\"$`|;&<>()2 \n]{0,30}") {
            let _ = place(&text);
        }
    }
}
