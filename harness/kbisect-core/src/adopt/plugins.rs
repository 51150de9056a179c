//! Definitions of monitoring plugins: `command[NAME]=LINE` of NRPE, `define command { ... }` of Nagios.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::error::{AdoptError, Broken, Note, Reason};
use super::expand::MOST_BYTES;
use super::names::Names;
use super::shell::{self, Words};
use super::wanted::{Adopted, Made, NewCheck, Wanted};
use super::yaml;

/// Where Debian has the plugins, and what `$USER1$` stands for.
const FOLDER: &str = "/usr/lib/nagios/plugins";

static NRPE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\s*command\[(?P<name>[^\]]+)\]\s*=\s*(?P<line>.+)$").expect("it is constant")
});
static MACRO: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\$(?P<name>[A-Za-z0-9_]*)\$").expect("it is constant"));

/// A definition.
struct Definition {
    line: usize,
    name: String,
    command: String,
}

/// Makes a check of each definition.
///
/// # Errors
/// [`AdoptError`] for a file without one; single definitions that cannot be taken over are left out.
pub fn from_plugins(text: &str, wanted: &Wanted) -> Result<Adopted, AdoptError> {
    if text.len() > yaml::MOST_BYTES {
        return Err(AdoptError::TooMuch { line: 1, most: yaml::MOST_BYTES, what: "bytes" });
    }
    let definitions = definitions(text);
    if definitions.is_empty() {
        return Err(AdoptError::Nothing { what: "`command[NAME]=...` or `define command`" });
    }
    let mut made = Adopted::default();
    let mut names = Names::new(&wanted.taken);
    for Definition { line, name, command } in definitions {
        let note = |reason| Note { line, title: name.clone(), reason };
        let argv = resolved(&command, &wanted.env).and_then(|command| argv(&command));
        match argv {
            Err(reason) => made.left_out.push(note(reason)),
            Ok((argv, had_sudo)) => {
                if had_sudo {
                    made.remarks.push(note(Reason::WithoutSudo));
                }
                made.checks.push(NewCheck {
                    name: names.of(&name),
                    node: wanted.node.clone(),
                    title: name,
                    line,
                    made: Made::Plugin(argv),
                });
            }
        }
    }
    Ok(made)
}

fn definitions(text: &str) -> Vec<Definition> {
    let mut found = Vec::new();
    // Name and line of the block that is open.
    let mut block: Option<(Option<String>, Option<String>, usize)> = None;
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(named) = NRPE.captures(line) {
            let (name, command) =
                (named["name"].trim().to_owned(), named["line"].trim().to_owned());
            found.push(Definition { line: number, name, command });
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let begins =
            line.split(|c: char| c.is_whitespace() || c == '{').filter(|word| !word.is_empty());
        if begins.take(2).eq(["define", "command"]) {
            block = Some((None, None, number));
        } else if line == "}" {
            if let Some((Some(name), Some(command), line)) = block.take() {
                found.push(Definition { line, name, command });
            }
        } else if let (Some((name, command, _)), Some(value)) = (
            &mut block,
            line.split_once(char::is_whitespace).map(|(_, value)| value.trim().to_owned()),
        ) {
            match words.first().copied() {
                Some("command_name") => *name = Some(value),
                Some("command_line") => *command = Some(value),
                _ => {}
            }
        }
    }
    found
}

/// Replaces macros: `$USER1$`, `$ARG1$`, `$HOSTADDRESS$`; `$$` is a dollar.
fn resolved(command: &str, env: &BTreeMap<String, String>) -> Result<String, Reason> {
    let mut unset = None;
    let text = MACRO.replace_all(command, |found: &Captures<'_>| {
        let name = &found["name"];
        match env.get(name).map(String::as_str) {
            Some(value) => value.to_owned(),
            None if name == "USER1" => FOLDER.to_owned(),
            None if name.is_empty() => "$".to_owned(),
            None => {
                unset.get_or_insert(name.to_owned());
                String::new()
            }
        }
    });
    match unset {
        Some(name) => Err(Reason::UnsetMacro { name }),
        None if text.len() > MOST_BYTES => Err(Reason::TooLong { most: MOST_BYTES }),
        None => Ok(text.into_owned()),
    }
}

/// The words of a command, and whether sudo was taken off. What needs a shell gets the guest's.
fn argv(command: &str) -> Result<(Vec<String>, bool), Reason> {
    if command.contains('\0') || command.contains("{assets}") {
        return Err(Reason::NoShellText);
    }
    match shell::words(command) {
        Ok(Words { mut words, tail: "", globs: false }) if words.len() <= 64 => {
            let calls = |words: &[String]| {
                words.first().is_some_and(|word| word == "sudo" || word.ends_with("/sudo"))
                    && words.get(1).is_some_and(|word| word.starts_with('/'))
            };
            let had_sudo = calls(&words);
            if had_sudo {
                words.remove(0);
            }
            match words.first() {
                Some(_) => Ok((words, had_sudo)),
                None => Err(Reason::Broken { what: Broken::Empty }),
            }
        }
        Err(reason @ Reason::Broken { .. }) => Err(reason),
        Ok(_) | Err(_) => Ok((["sh", "-c", command].map(str::to_owned).into(), false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        Wanted { node: "monitor".to_owned(), timeout_s: 10.0, ..Wanted::default() }
    }

    #[test]
    fn definitions_of_both_kinds_become_plugins() {
        let text = "# comment\nserver_port=5666\n\
                    command[check_web]=/usr/lib/nagios/plugins/check_http -H 192.0.2.1 -s 'a b'\n\
                    command[check_sum] = /p/a | /p/b $(id)\n\
                    command[check_root]=/usr/bin/sudo /p/check_x -w 5%\n\
                    command[check_arg]=/p/check_x -w $ARG1$\n\
                    command[check_bad]=/p/check_x 'a\n\
                    define command{\n  command_name  check_ping\n  command_line  $USER1$/check_ping -H $HOSTADDRESS$ -p $$5\n}\n";
        let env = BTreeMap::from([("HOSTADDRESS".to_owned(), "192.0.2.7".to_owned())]);
        let found = from_plugins(text, &Wanted { env, ..wanted() }).expect("there are some");
        let argv =
            |words: &[&str]| Made::Plugin(words.iter().map(|word| (*word).to_owned()).collect());
        let made: Vec<(&str, usize, &Made)> =
            found.checks.iter().map(|check| (&*check.name, check.line, &check.made)).collect();
        assert_eq!(
            made,
            [
                (
                    "check-web",
                    3,
                    &argv(&["/usr/lib/nagios/plugins/check_http", "-H", "192.0.2.1", "-s", "a b"])
                ),
                ("check-sum", 4, &argv(&["sh", "-c", "/p/a | /p/b $(id)"])),
                ("check-root", 5, &argv(&["/p/check_x", "-w", "5%"])),
                (
                    "check-ping",
                    8,
                    &argv(&["sh", "-c", "/usr/lib/nagios/plugins/check_ping -H 192.0.2.7 -p $5"])
                ),
            ]
        );
        let left_out: Vec<String> = found.left_out.iter().map(ToString::to_string).collect();
        assert_eq!(
            left_out,
            [
                "line 6: `check_arg`: the macro `$ARG1$` is not set",
                "line 7: `check_bad`: no shell understands it: a quote is not closed",
            ]
        );
        assert_eq!(found.left_out[0].reason.hint().as_deref(), Some("--env ARG1=VALUE"));
        assert_eq!(found.remarks[0].reason, Reason::WithoutSudo);
        assert!(matches!(from_plugins("x=1\n", &wanted()), Err(AdoptError::Nothing { .. })));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "(command\\[a\\]=|define command\\{|command_name |command_line |\\}|[ -~é]{0,12}|\n){0,20}") {
            let _ = from_plugins(&text, &wanted());
        }
    }
}
