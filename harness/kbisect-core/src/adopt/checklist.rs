//! Lists in the cmd-checklist form: YAML documents with variables, and with tests that are commands.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{AdoptError, Expected, Note, Reason};
use super::expand::{expanded, used};
use super::names::Names;
use super::remote::{Place, place};
use super::wanted::{Adopted, Made, NewCheck, Wanted};
use super::yaml::{Node, Value, documents};
use crate::scenario::ListedCommand;

/// Users whose commands run in a guest as they do on the host.
const ROOT: [&str; 1] = ["root"];

/// A command that is placed.
struct Placed {
    line: usize,
    node: String,
    command: ListedCommand,
}

/// Makes checks of a list: one for each test, or for each run of its commands on the same node.
///
/// # Errors
/// [`AdoptError`] for what is no such list; single tests that cannot be taken over are left out.
pub fn from_checklist(text: &str, wanted: &Wanted) -> Result<Adopted, AdoptError> {
    let mut list = List {
        wanted,
        env: wanted.env.clone(),
        names: Names::new(&wanted.taken),
        made: Adopted::default(),
        remarked: BTreeSet::new(),
        tests: 0,
    };
    for document in documents(text)? {
        match &document.value {
            Value::Nothing => {}
            Value::List(items) => items.iter().try_for_each(|item| list.item(item))?,
            Value::Text(_) | Value::Map(_) => {
                return Err(AdoptError::Shape { line: document.line, expected: Expected::List });
            }
        }
    }
    match list.tests {
        0 => Err(AdoptError::Nothing { what: "test with `cmd`" }),
        _ => Ok(list.made),
    }
}

struct List<'a> {
    wanted: &'a Wanted,
    env: BTreeMap<String, String>,
    names: Names,
    made: Adopted,
    /// Users and variables that were told of.
    remarked: BTreeSet<String>,
    tests: usize,
}

impl List<'_> {
    /// Variables, or a test.
    fn item(&mut self, item: &Node) -> Result<(), AdoptError> {
        let shape = |line, expected| AdoptError::Shape { line, expected };
        let Value::Map(entries) = &item.value else {
            return Err(shape(item.line, Expected::Item));
        };
        let get = |key: &str| entries.iter().find(|(known, _)| known == key).map(|(_, node)| node);
        if let Some(variables) = get("envvars") {
            self.variables(variables)?;
        }
        let Some(tests) = get("tests") else {
            return match get("envvars") {
                Some(_) => Ok(()),
                None => Err(shape(item.line, Expected::Item)),
            };
        };
        self.tests += 1;
        let title = get("name").and_then(text).unwrap_or_default();
        let Value::List(commands) = &tests.value else {
            return Err(shape(tests.line, Expected::Commands));
        };
        let mut reasons: Vec<(usize, Reason)> = entries
            .iter()
            .filter(|(key, _)| !["name", "tests", "envvars"].contains(&key.as_str()))
            .map(|(key, node)| (node.line, Reason::UnknownKey { key: key.clone() }))
            .collect();
        let mut placed = Vec::new();
        for command in commands {
            match self.command(command, &title)? {
                Ok(command) => placed.push(command),
                Err(reason) => reasons.push((command.line, reason)),
            }
        }
        // A part of a test is another test.
        if reasons.is_empty() {
            self.add(item.line, &title, placed);
        }
        let notes = reasons.into_iter().map(|(line, reason)| note(line, &title, reason));
        self.made.left_out.extend(notes);
        Ok(())
    }

    fn variables(&mut self, variables: &Node) -> Result<(), AdoptError> {
        let expected = Expected::Variables;
        let shape = |line| AdoptError::Shape { line, expected };
        let maps: Vec<&Node> = match &variables.value {
            Value::List(list) => list.iter().collect(),
            Value::Nothing => Vec::new(),
            _ => vec![variables],
        };
        for map in maps {
            let Value::Map(entries) = &map.value else { return Err(shape(map.line)) };
            for (name, value) in entries {
                let value = match &value.value {
                    Value::Text(text) => text.clone(),
                    Value::Nothing => String::new(),
                    Value::List(_) | Value::Map(_) => return Err(shape(value.line)),
                };
                if !self.wanted.env.contains_key(name) {
                    self.env.insert(name.clone(), value);
                }
            }
        }
        Ok(())
    }

    fn command(&mut self, item: &Node, title: &str) -> Result<Result<Placed, Reason>, AdoptError> {
        let line = item.line;
        let Value::Map(entries) = &item.value else {
            return Err(AdoptError::Shape { line, expected: Expected::Command });
        };
        let get = |key: &str| entries.iter().find(|(known, _)| known == key).map(|(_, node)| node);
        let Some(cmd) = get("cmd").and_then(text).filter(|cmd| !cmd.trim().is_empty()) else {
            return Err(AdoptError::Shape { line, expected: Expected::Command });
        };
        let unknown = |(key, _): &&(String, Node)| {
            !["cmd", "retcode", "stdout", "stderr"].contains(&key.as_str())
        };
        if let Some((key, _)) = entries.iter().find(unknown) {
            return Ok(Err(Reason::UnknownKey { key: key.clone() }));
        }
        let status = match get("retcode").map(|node| &node.value) {
            None | Some(Value::Nothing) => None,
            Some(Value::Text(text)) => match text.trim().parse::<u8>() {
                Ok(status) => Some(i32::from(status)),
                Err(_) => return Ok(Err(Reason::Retcode)),
            },
            Some(_) => return Ok(Err(Reason::Retcode)),
        };
        let mut expected = [None, None];
        for (key, slot) in ["stdout", "stderr"].into_iter().zip(&mut expected) {
            *slot = match get(key).map(|node| &node.value) {
                None | Some(Value::Nothing) => None,
                Some(Value::Text(text)) if text.len() <= ListedCommand::MOST_EXPECTED => {
                    Some(text.clone())
                }
                Some(Value::Text(_)) => {
                    return Ok(Err(Reason::TooLong { most: ListedCommand::MOST_EXPECTED }));
                }
                Some(_) => return Ok(Err(Reason::NoText { key })),
            };
        }
        let [stdout, stderr] = expected;
        let placed = self.placed(&cmd, line, title);
        Ok(placed.map(|(node, run)| {
            let command = ListedCommand { run, status, stdout, stderr, payload: false };
            Placed { line, node, command }
        }))
    }

    /// The node that a command runs on, and what runs there.
    fn placed(&mut self, cmd: &str, line: usize, title: &str) -> Result<(String, String), Reason> {
        let cmd = expanded(cmd, &self.env)?;
        if cmd.contains('\0') || cmd.contains("{assets}") {
            return Err(Reason::NoShellText);
        }
        let (node, run) = match place(&cmd)? {
            Place::Here => {
                self.remark_unset(&cmd, line, title);
                (self.wanted.node.clone(), self.with_exports(&cmd))
            }
            Place::There { host, user, command } => {
                let Some(node) = self.wanted.hosts.get(&host) else {
                    let nodes: BTreeSet<&String> = self.wanted.hosts.values().collect();
                    let nodes = nodes.into_iter().cloned().collect();
                    return Err(Reason::UnknownHost { host, nodes });
                };
                if let Some(user) = user.filter(|user| !ROOT.contains(&user.as_str())) {
                    self.remark(
                        &format!("user {user}"),
                        line,
                        title,
                        Reason::User { user: user.clone() },
                    );
                }
                (node.clone(), command)
            }
        };
        if run
            .split(|c: char| c.is_whitespace() || "|;&(`'\"".contains(c))
            .any(|word| word == "sudo")
        {
            self.remark("sudo", line, title, Reason::Sudo);
        }
        Ok((node, run))
    }

    /// A variable can be the shell's own; where nothing in the command sets it, it is empty in a guest.
    fn remark_unset(&mut self, cmd: &str, line: usize, title: &str) {
        const OF_SHELLS: [&str; 5] = ["HOME", "PATH", "PWD", "USER", "KBISECT_ASSETS"];
        for name in used(cmd) {
            let is_set = [format!("{name}="), format!("for {name} "), format!("read {name}")];
            if !OF_SHELLS.contains(&name.as_str())
                && !is_set.iter().any(|set| cmd.contains(set.as_str()))
            {
                self.remark(
                    &format!("variable {name}"),
                    line,
                    title,
                    Reason::Unset { name: name.clone() },
                );
            }
        }
    }

    /// Variables are in the environment of commands too: `${NAME%.*}` is for their shell.
    fn with_exports(&self, cmd: &str) -> String {
        let mut exports = String::new();
        for (name, value) in &self.env {
            if cmd.contains(&format!("${{{name}")) {
                exports.push_str(&format!("export {name}='{}'\n", value.replace('\'', "'\\''")));
            }
        }
        exports + cmd
    }

    /// Says something of the file once.
    fn remark(&mut self, what: &str, line: usize, title: &str, reason: Reason) {
        if self.remarked.insert(what.to_owned()) {
            self.made.remarks.push(note(line, title, reason));
        }
    }

    fn add(&mut self, line: usize, title: &str, placed: Vec<Placed>) {
        let expects = |placed: &Placed| {
            let ListedCommand { status, stdout, stderr, .. } = &placed.command;
            status.is_some() || stdout.is_some() || stderr.is_some()
        };
        if !placed.iter().any(expects) {
            self.made.left_out.push(note(line, title, Reason::ExpectsNothing));
            return;
        }
        let mut parts: Vec<(usize, String, Vec<ListedCommand>)> = Vec::new();
        for Placed { line, node, command } in placed {
            match parts.last_mut() {
                Some((_, last, commands))
                    if *last == node && commands.len() < ListedCommand::MOST =>
                {
                    commands.push(command);
                }
                _ => parts.push((line, node, vec![command])),
            }
        }
        if parts.len() > 1 {
            let reason = Reason::Split { checks: parts.len() };
            self.made.remarks.push(note(line, title, reason));
        }
        for (line, node, commands) in parts {
            let name = self.names.of(title);
            let made = Made::Commands(commands);
            self.made.checks.push(NewCheck { name, node, title: title.to_owned(), line, made });
        }
    }
}

fn note(line: usize, title: &str, reason: Reason) -> Note {
    Note { line, title: title.to_owned(), reason }
}

fn text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Nothing | Value::List(_) | Value::Map(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        let hosts = [("gw1", "gateway"), ("gateway", "gateway"), ("vm", "vm"), ("192.0.2.9", "vm")];
        Wanted {
            file: "checks.yaml".to_owned(),
            node: "monitor".to_owned(),
            hosts: hosts.map(|(host, node)| (host.to_owned(), node.to_owned())).into(),
            timeout_s: 10.0,
            ..Wanted::default()
        }
    }

    fn made(text: &str) -> Adopted {
        from_checklist(text, &wanted()).expect("it is a list")
    }

    fn left_out(text: &str) -> Vec<String> {
        made(text).left_out.iter().map(ToString::to_string).collect()
    }

    const LIST: &str = r#"---
- envvars:
    - SSH: "ssh -o BatchMode=yes"
    - GW: gw1
    - ADDRESS: 198.51.100.1
---
- name: "a VM reaches the internet"
  tests:
    - cmd: ping -c 1 $ADDRESS > /dev/null
      retcode: 0
    - cmd: $SSH root@$GW "ip -br a | wc -l"
      retcode: 0
      stdout: "3"
      stderr: ""
- name: nothing
  tests:
    - cmd: true
      retcode: 0
      stdout:
"#;

    #[test]
    fn tests_become_checks_on_the_nodes_that_stand_for_hosts() {
        let found = made(LIST);
        assert_eq!(found.left_out, []);
        let remarks: Vec<String> = found.remarks.iter().map(ToString::to_string).collect();
        assert_eq!(
            remarks,
            [
                "line 7: `a VM reaches the internet`: its commands run on several nodes: it became 2 checks"
            ]
        );
        let places: Vec<(&str, &str, usize)> =
            found.checks.iter().map(|check| (&*check.name, &*check.node, check.line)).collect();
        assert_eq!(
            places,
            [
                ("a-vm-reaches-the-internet", "monitor", 9),
                ("a-vm-reaches-the-internet-2", "gateway", 11),
                ("nothing", "monitor", 17),
            ]
        );
        let Made::Commands(commands) = &found.checks[1].made else { panic!("{found:?}") };
        let expected = ListedCommand {
            run: "ip -br a | wc -l".to_owned(),
            status: Some(0),
            stdout: Some("3".to_owned()),
            stderr: Some(String::new()),
            payload: false,
        };
        assert_eq!(commands, &[expected]);
        let Made::Commands(commands) = &found.checks[0].made else { panic!("{found:?}") };
        assert_eq!(commands[0].run, "ping -c 1 198.51.100.1 > /dev/null");
        let Made::Commands(commands) = &found.checks[2].made else { panic!("{found:?}") };
        assert_eq!(commands[0].stdout, None);
    }

    #[test]
    fn a_variable_that_is_set_already_wins() {
        let env = BTreeMap::from([("GW".to_owned(), "192.0.2.9".to_owned())]);
        let found = from_checklist(LIST, &Wanted { env, ..wanted() }).expect("it is a list");
        assert_eq!(found.checks[1].node, "vm");
    }

    /// Half of a test would be another test.
    #[test]
    fn what_cannot_be_placed_is_named_with_its_line_and_left_out_whole() {
        let list = |cmd: &str| {
            format!(
                "- name: t\n  tests:\n    - cmd: true\n      retcode: 0\n    - cmd: {cmd}\n      retcode: 0\n"
            )
        };
        for (cmd, expected) in [
            ("ssh gw9 true", "line 5: `t`: no node stands for the host `gw9`"),
            (
                "ssh gw1 true && false",
                "line 5: `t`: a part of it runs on the host that calls ssh: `&& false`",
            ),
            (
                "$SSH gw1 \"echo $(id)\"",
                "line 5: `t`: `$(id)\"` is expanded on the host that calls ssh, not on the one that it calls",
            ),
            ("x \"$(ssh gw1 id)\"", "line 5: `t`: it calls ssh, scp or the like in the middle"),
            ("\"ssh gw1 'a\"", "line 5: `t`: no shell understands it: a quote is not closed"),
        ] {
            let found = made(&list(cmd));
            assert_eq!(found.checks, [], "{cmd}");
            assert_eq!(left_out(&list(cmd)), [expected], "{cmd}");
        }
        let hint = made(&list("ssh gw9 true")).left_out[0].reason.hint();
        assert_eq!(hint.as_deref(), Some("--map gw9=NODE (nodes are: gateway, vm)"));
        let key = "- name: t\n  tests:\n    - cmd: x\n      retcode: 0\n      stdout_re: y\n";
        assert_eq!(left_out(key), ["line 3: `t`: unknown key `stdout_re`"]);
        let code = "- name: t\n  tests:\n    - cmd: x\n      retcode: -9\n";
        assert_eq!(left_out(code), ["line 3: `t`: `retcode` must be a number from 0 to 255"]);
        let nothing = "- name: t\n  tests:\n    - cmd: x\n";
        assert_eq!(
            left_out(nothing),
            ["line 1: `t`: nothing is expected of its commands, so it cannot fail"]
        );
        // One that is left out takes no other along.
        let both =
            format!("{}- name: u\n  tests:\n    - cmd: x\n      retcode: 0\n", list("ssh gw9 x"));
        let names: Vec<String> = made(&both).checks.into_iter().map(|check| check.name).collect();
        assert_eq!(names, ["u"]);
    }

    #[test]
    fn what_is_no_list_is_told_with_its_line() {
        for (text, expected) in [
            ("", "there is no test with `cmd` in it"),
            ("- envvars:\n    - A: b\n", "there is no test with `cmd` in it"),
            ("a: b\n", "line 1: expected a list"),
            ("- x\n", "line 1: expected `envvars`, or `name` and `tests`"),
            ("- name: x\n", "line 1: expected `envvars`, or `name` and `tests`"),
            ("- name: x\n  tests: y\n", "line 2: expected a list of commands under `tests`"),
            ("- name: x\n  tests:\n    - retcode: 0\n", "line 3: expected a `cmd`"),
            ("- envvars: [[x]]\n", "line 1: expected `NAME: VALUE` under `envvars`"),
            ("- [\n", "line 2: this is not YAML: "),
        ] {
            let error = from_checklist(text, &wanted()).expect_err(text).to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }

    #[test]
    fn what_shells_expand_is_theirs() {
        let text = "- envvars:\n    - F: a.b\n- name: t\n  tests:\n    - cmd: for i in 1 2; do echo $i ${F%.*} $X; done\n      retcode: 0\n";
        let found = made(text);
        let Made::Commands(commands) = &found.checks[0].made else { panic!("{found:?}") };
        assert_eq!(commands[0].run, "export F='a.b'\nfor i in 1 2; do echo $i ${F%.*} $X; done");
        let remarks: Vec<String> = found.remarks.iter().map(ToString::to_string).collect();
        assert_eq!(remarks, ["line 5: `t`: `$X` is not set"]);
    }
}
