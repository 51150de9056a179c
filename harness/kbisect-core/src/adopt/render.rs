//! Checks as text of a `scenario.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use super::wanted::{Adopted, Made, Wanted};
use crate::scenario::SCHEMA;

/// The `[[checks]]` that were made.
pub fn fragment(made: &Adopted, wanted: &Wanted) -> String {
    let mut text = String::new();
    for check in &made.checks {
        let _ =
            writeln!(text, "\n# {}:{}: {}", clean(&wanted.file), check.line, clean(&check.title));
        let _ = writeln!(text, "[[checks]]\nname = {}", quoted(&check.name));
        let _ = writeln!(text, "node = {}\ntimeout_s = {}", quoted(&check.node), wanted.timeout_s);
        match &check.made {
            Made::Plugin(run) => {
                let _ = writeln!(text, "plugin = {{ run = {} }}", array(run));
            }
            Made::Ktap(run) => {
                let _ = writeln!(text, "ktap = {{ run = {} }}", array(run));
            }
            Made::SelfTest { run, case, rest, record_only } => {
                if *record_only {
                    text.push_str("record_only = true\n");
                }
                let mut keys =
                    vec![format!("run = {}", array(run)), "format = \"kselftest\"".to_owned()];
                keys.extend(case.iter().map(|case| format!("case = {}", quoted(case))));
                keys.extend(rest.then(|| "rest = true".to_owned()));
                let _ = writeln!(text, "ktap = {{ {} }}", keys.join(", "));
            }
            Made::Commands(commands) => {
                for command in commands {
                    let _ = writeln!(text, "\n[[checks.commands]]\nrun = {}", quoted(&command.run));
                    if let Some(status) = command.status {
                        let _ = writeln!(text, "status = {status}");
                    }
                    for (key, expected) in
                        [("stdout", &command.stdout), ("stderr", &command.stderr)]
                    {
                        if let Some(expected) = expected {
                            let _ = writeln!(text, "{key} = {}", quoted(expected));
                        }
                    }
                }
            }
        }
    }
    text
}

/// A whole `scenario.toml`: the node that runs the file's checks under test, the others on one link with
/// it. Those that stand for an address have it.
pub fn scenario(made: &Adopted, wanted: &Wanted) -> String {
    let mut nodes: BTreeSet<&str> = wanted.hosts.values().map(String::as_str).collect();
    nodes.extend(made.checks.iter().map(|check| check.node.as_str()));
    nodes.insert(&wanted.node);
    let mut own: BTreeMap<&str, Vec<Ipv4Addr>> = BTreeMap::new();
    for (host, node) in &wanted.hosts {
        if let Ok(address) = host.parse() {
            own.entry(node).or_default().push(address);
        }
    }
    let mut text = format!(
        "schema = {}\nsummary = {}\n",
        quoted(SCHEMA),
        quoted(&format!("checks of {}", clean(&wanted.file)))
    );
    if !made.packages.is_empty() {
        let packages: Vec<String> = made.packages.iter().cloned().collect();
        let _ = writeln!(text, "image = {{ packages = {} }}", array(&packages));
    }
    for node in &nodes {
        let kernel = if *node == wanted.node { "candidate" } else { "reference" };
        let _ = writeln!(text, "\n[nodes.{node}]\nkernel = {}", quoted(kernel));
        let others =
            own.iter().filter(|(other, _)| *other != node).flat_map(|(_, addresses)| addresses);
        let routes: Vec<String> = others.map(|address| format!("{address} dev eth0")).collect();
        if !routes.is_empty() {
            let _ = writeln!(text, "routes = {}", array(&routes));
        }
    }
    if nodes.len() > 1 {
        text.push_str("\n[links.lan]\n");
        let taken: BTreeSet<Ipv4Addr> = own.values().flatten().copied().collect();
        let mut free =
            (1..=254).map(|last| Ipv4Addr::new(192, 0, 2, last)).filter(|a| !taken.contains(a));
        for node in &nodes {
            let mut addresses: Vec<String> =
                free.next().iter().map(|a| format!("{a}/24")).collect();
            let own = own.get(node).into_iter().flatten();
            addresses.extend(own.map(|address| format!("{address}/32")));
            let _ =
                writeln!(text, "{node} = {{ name = \"eth0\", addresses = {} }}", array(&addresses));
        }
    }
    text.push_str(&fragment(made, wanted));
    text
}

fn array(words: &[String]) -> String {
    format!("[{}]", words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", "))
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A text for a comment: one line.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::super::wanted::NewCheck;
    use super::*;
    use crate::scenario::{ListedCommand, Scenario};

    fn wanted() -> Wanted {
        let hosts = [("10.0.0.7", "gw"), ("192.0.2.1", "gw"), ("gw", "gw"), ("vm1", "vm")];
        Wanted {
            file: "checks.yaml".to_owned(),
            node: "monitor".to_owned(),
            hosts: hosts.map(|(host, node)| (host.to_owned(), node.to_owned())).into(),
            timeout_s: 2.5,
            ..Wanted::default()
        }
    }

    fn check(node: &str, made: Made) -> NewCheck {
        let title = "a\nb\u{1b}".to_owned();
        NewCheck { name: format!("on-{node}"), node: node.to_owned(), title, line: 3, made }
    }

    /// Whatever is in a command comes back as it was, and opens no other key.
    #[test]
    fn what_is_written_is_read_back() {
        let nasty = "a \"b\" 'c' \"\"\" ''' \\ \n[[checks]]\nname = \"x\"\t\u{7}\r\n é";
        let command = ListedCommand {
            run: nasty.to_owned(),
            status: Some(3),
            stdout: Some(nasty.to_owned()),
            stderr: Some(String::new()),
            payload: false,
        };
        let made = Adopted {
            checks: vec![
                check("gw", Made::Commands(vec![command.clone(), command.clone()])),
                check("monitor", Made::Plugin(vec!["/p/x".to_owned(), nasty.replace('\0', "")])),
            ],
            ..Adopted::default()
        };
        let text = scenario(&made, &wanted());
        let parsed = Scenario::parse("x", "scenario.toml", &text).expect(&text);
        let read = parsed.scenario();
        assert_eq!(read.checks.len(), 2);
        let json = serde_json::to_value(&read.checks[0].probe).expect("plain data");
        let back: Vec<ListedCommand> =
            serde_json::from_value(json["commands"].clone()).expect("a list");
        // TOML has no lone carriage return, so it is escaped; nothing is lost.
        assert_eq!(back, [command.clone(), command]);
        assert_eq!(read.nodes["gw"].routes, Vec::<String>::new());
        assert_eq!(read.nodes["monitor"].routes, ["10.0.0.7 dev eth0", "192.0.2.1 dev eth0"]);
        assert!(
            text.starts_with(
                "schema = \"kbisect.scenario/1\"\nsummary = \"checks of checks.yaml\"\n"
            ),
            "{text}"
        );
        assert!(text.contains("\n# checks.yaml:3: a b \n[[checks]]\n"), "{text}");
    }
}
