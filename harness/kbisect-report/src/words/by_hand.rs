//! What is about to be done in a trial by hand.

use kbisect_core::by_hand::{Part, Skipped};
use kbisect_core::scenario::{Action, Scenario};

/// Why a trial by hand ends.
pub const NOBODY_ANSWERS: &str =
    "standard input has ended, and nobody else answers: the trial ends here";
/// Most lines of a file that are shown.
const LINES: usize = 200;

/// What is next: where, and what runs there, a line each.
#[must_use]
pub fn planned(scenario: &Scenario, part: Part, at: usize) -> String {
    let (title, commands) = told(scenario, part, at);
    format!("{title}\n{}", indented(&commands))
}

/// All that a trial does, in order.
#[must_use]
pub fn all_planned(scenario: &Scenario) -> Vec<String> {
    let lists = [
        (Part::Nodes, 1),
        (Part::Setup, scenario.setup.len()),
        (Part::Services, scenario.services.len()),
        (Part::Replay, scenario.replay.len()),
        (Part::Checks, scenario.checks.len()),
    ];
    let places = lists.into_iter().flat_map(|(part, count)| (0..count).map(move |at| (part, at)));
    places.map(|(part, at)| planned(scenario, part, at)).collect()
}

/// Notes on what was left out, and on what is left.
#[must_use]
pub fn by_hand(scenario: &Scenario, skipped: &[Skipped], is_scenario: bool) -> Vec<String> {
    let left_out = skipped.iter().map(|it| {
        let (title, _) = told(scenario, it.part, it.at);
        format!("left out by hand: {title}")
    });
    let left = match is_scenario {
        true => "what was done is a scenario: `confirmed/scenario` in the run's folder",
        false => "no check was made, so what was done is no scenario",
    };
    left_out.chain([left.to_owned()]).collect()
}

fn told(scenario: &Scenario, part: Part, at: usize) -> (String, String) {
    match part {
        Part::Nodes => ("the nodes".to_owned(), nodes(scenario)),
        Part::Setup | Part::Replay => {
            let step = if part == Part::Setup { &scenario.setup } else { &scenario.replay };
            let step = &step[at];
            let commands = match &step.action {
                Action::Run(script) => script.trim().to_owned(),
                Action::Fault(fault) => format!("fault: {fault}"),
                Action::Nft(file) => format!("nft -f {file}"),
                Action::IptablesRestore(file) => format!("iptables-restore {file}"),
                Action::Ip6tablesRestore(file) => format!("ip6tables-restore {file}"),
                Action::IpBatch(file) => format!("ip -batch {file}"),
            };
            let times = match step.repeat {
                1 => String::new(),
                times => format!(", {times} times"),
            };
            (format!("{} on {}{times}", step.name, step.node), commands)
        }
        Part::Services => {
            let service = &scenario.services[at];
            let title = format!("service {} on {}", service.name, service.node);
            (title, service.command.join(" "))
        }
        Part::Checks => {
            let check = &scenario.checks[at];
            (format!("check {} on {}", check.name, check.node), check.probe.summary())
        }
    }
}

/// The file that it reads, if it reads one.
#[must_use]
pub fn planned_file(scenario: &Scenario, part: Part, at: usize) -> Option<String> {
    let step = match part {
        Part::Setup => &scenario.setup[at],
        Part::Replay => &scenario.replay[at],
        Part::Nodes | Part::Services | Part::Checks => return None,
    };
    let content = scenario.assets.get(step.action.asset()?)?;
    Some(indented(&String::from_utf8_lossy(content)))
}

/// What makes the nodes, as one would type it.
fn nodes(scenario: &Scenario) -> String {
    let mut lines = Vec::new();
    for (name, node) in &scenario.nodes {
        let mut line = |text: String| lines.push(format!("{name}: {text}"));
        for device in &node.devices {
            line(format!("ip link add {device}"));
        }
        for (key, value) in &node.sysctl {
            line(format!("sysctl -w {key}={value}"));
        }
        for members in scenario.links.values() {
            let Some(interface) = members.get(name) else { continue };
            let dev = &interface.name;
            if let Some(master) = &interface.master {
                line(format!("ip link set dev {dev} master {master}"));
            }
            if let Some(mtu) = interface.mtu {
                line(format!("ip link set dev {dev} mtu {mtu}"));
            }
            for address in &interface.addresses {
                line(format!("ip address add {address} dev {dev}"));
            }
        }
        for (device, addresses) in &node.addresses {
            for address in addresses {
                line(format!("ip address add {address} dev {device}"));
            }
        }
        for route in &node.routes {
            line(format!("ip route add {route}"));
        }
    }
    lines.join("\n")
}

fn indented(text: &str) -> String {
    let plain = |line: &str| line.chars().filter(|c| !c.is_control()).collect::<String>();
    text.lines().take(LINES).map(|line| format!("    {}\n", plain(line))).collect()
}
