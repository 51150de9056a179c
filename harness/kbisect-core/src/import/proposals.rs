//! The checks as text: those that run, and proposals.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::checks::{Seen, Way};
use super::finding::Finding;
use super::forwards::{Forward, Tried, Untried};
use super::host::FilterKind;
use super::known::Known;
use super::made::Made;
use super::nat::{Counted, What};
use super::toml::quoted;

/// What is asked for where port 53 or another UDP port is passed on, and the answer.
pub(super) const NAME: &str = "passed-on.test";
pub(super) const ANSWER: &str = "192.0.2.53";

/// Findings are told one by one up to this many.
const TOLD: usize = 12;

/// What of the rules' translations no check uses.
pub(super) fn untried(known: &Known, tried: &Tried) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for (rule, why) in &tried.untried {
        let translation = &known.translations[*rule];
        let what = match translation.what {
            What::Destination(_) => "what it passes on",
            _ => "the source that it gives",
        };
        let why = match why {
            Untried::Unclear => "the rule says more than is understood here",
            Untried::Nobody => "no node of the scenario can meet it",
            Untried::NoTarget => "no node of the scenario is where it leads to",
            Untried::Enough => "other ports have one",
        };
        let message = format!("{what} has no check: {why}");
        let finding = Finding::at(&translation.file, translation.line, message);
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    let more = findings.len().saturating_sub(TOLD);
    if more > 0 {
        findings.truncate(TOLD);
        findings.push(Finding::new(
            "",
            "",
            format!("{more} more rules that translate have no check"),
        ));
    }
    findings
}

/// Who asks whom through each tunnel: indices of nodes.
pub(super) fn through_tunnels(made: &Made<'_>) -> Vec<(usize, usize)> {
    let plan = made.plan;
    let inside = plan.peers.iter().position(|peer| {
        peer.tunnel.is_empty() && !peer.is_default(false) && peer.back[0] && peer.vrf.is_none()
    });
    let Some(inside) = inside else { return Vec::new() };
    let tunnels = plan.tunnels.iter().filter(|tunnel| {
        let far = &plan.peers[tunnel.far];
        far.back[0] && far.source(false).is_some() && far.vrf == plan.peers[inside].vrf
    });
    tunnels
        .map(|tunnel| {
            // Who may begin is told by the rules, as a rule.
            let enters = ["-i ", "iifname ", "iifname \"", "iif \""];
            let let_in = made.host.filters.iter().filter(|one| one.kind != FilterKind::Ipset).any(
                |filter| {
                    enters
                        .iter()
                        .any(|begin| filter.text.contains(&format!("{begin}{}", tunnel.device)))
                },
            );
            if let_in { (tunnel.far, inside) } else { (inside, tunnel.far) }
        })
        .collect()
}

/// Writes the checks, and those that are proposed in comments.
pub(super) fn checks(text: &mut String, made: &Made<'_>) {
    let plan = made.plan;
    let Some(way) = made.way else {
        // Nobody can be asked: the file is valid, and `scenario check` says what it lacks.
        let _ = write!(
            text,
            "# EDIT: nothing around the host could be asked.\n[[checks]]\nname = \"alive\"\nnode = \"{}\"\nalive = true\n",
            plan.node
        );
        return;
    };
    let client = way.client.map_or(plan.node.as_str(), |index| plan.peers[index].name.as_str());
    let vrf = plan.peers[way.server].vrf.as_deref().filter(|_| way.client.is_none());
    let base = format!("http://{}", host_of(way.address));
    text.push_str(match way.client {
        Some(_) => {
            "# Payload through the host, read and compared: what ping and connect do not see. EDIT: if the\n\
             # rules let another port through, change it here, in nginx.conf and in `ready`.\n"
        }
        None => {
            "# Payload to the host itself: the dumps show nobody on its other side, or it does not forward.\n\
             # EDIT: if the rules let another port through, change it here, in nginx.conf and in `ready`.\n"
        }
    });
    let body = "body = { bytes = 65536, contains = \"1008191\" }";
    let _ = writeln!(text, "[[checks]]\nname = \"payload\"\nnode = \"{client}\"\ntimeout_s = 3");
    let _ = match vrf {
        None => writeln!(text, "http = {{ url = \"{base}/small\", connections = 3, {body} }}\n"),
        Some(vrf) => {
            let run = format!("ip vrf exec {vrf} curl -sSf -m 3 {base}/small | tail -n 1");
            writeln!(
                text,
                "command = {{ run = {}, stdout = \"1008191\", payload = true }}\n",
                quoted(&run)
            )
        }
    };
    sources(text, made, way, client);
    for (number, forward) in (1..).zip(&made.tried.forwards) {
        passed_on(text, made, forward, number);
    }
    for (number, (asks, answers)) in (1..).zip(through_tunnels(made)) {
        let Some(address) = plan.peers[answers].source(false) else { continue };
        let _ = write!(
            text,
            "# Through the tunnel. EDIT: the other way round, if the rules want that.\n\
             [[checks]]\nname = \"tunnel-{number}\"\nnode = \"{}\"\ntimeout_s = 3\n\
             http = {{ url = \"http://{}/small\", {body} }}\n\n",
            plan.peers[asks].name,
            host_of(address)
        );
    }
    counters(text, made);
    proposals(text, made, way, client, &base);
}

/// The server is to see what the rules make of the client.
fn sources(text: &mut String, made: &Made<'_>, way: &Way, client: &str) {
    let base = host_of(way.address);
    let mut check = |name: &str, node: &str, rule: usize, address: IpAddr| {
        let translation = &made.known.translations[rule];
        let _ = write!(
            text,
            "# Behind the rule in line {} of {}, clients are seen as this address.\n\
             [[checks]]\nname = \"{name}\"\nnode = \"{node}\"\ntimeout_s = 3\n\
             http = {{ url = \"http://{base}/address\", body = {{ equals = \"{address}\" }} }}\n\n",
            translation.line,
            super::toml::clean(&translation.file),
        );
    };
    if let (Seen::As(rule, address), Some(_)) = (&way.seen, way.client) {
        check("seen-as", client, *rule, *address);
    }
    for (number, source) in (2..).zip(&made.tried.sources) {
        let node = &made.plan.peers[source.client].name;
        check(&format!("seen-as-{number}"), node, source.rule, source.seen_as);
    }
}

/// A connection to a port that is passed on.
fn passed_on(text: &mut String, made: &Made<'_>, forward: &Forward, number: usize) {
    let (client, server) = (&made.plan.peers[forward.client], &made.plan.peers[forward.server]);
    let translation = &made.known.translations[forward.rule];
    let _ = write!(
        text,
        "# The port that line {} of {} passes on to {}, from outside.\n\
         [[checks]]\nname = \"passed-on-{number}\"\nnode = \"{}\"\ntimeout_s = 3\n",
        translation.line,
        super::toml::clean(&translation.file),
        server.name,
        client.name,
    );
    let _ = match forward.udp {
        true => writeln!(
            text,
            "dns = {{ server = \"{}\", port = {}, name = \"{NAME}\", answer = \"{ANSWER}\" }}\n",
            forward.address, forward.port
        ),
        false => writeln!(
            text,
            "http = {{ url = \"http://{}/small\", body = {{ bytes = 65536, contains = \"1008191\" }} }}\n",
            socket(forward.address, forward.port)
        ),
    };
}

/// What counts the rules that the checks use, each once.
pub(super) fn counted<'a>(made: &Made<'a>) -> Vec<&'a Counted> {
    let first = match made.way {
        Some(Way { seen: Seen::As(rule, _), client: Some(_), .. }) => Some(*rule),
        _ => None,
    };
    let sources = made.tried.sources.iter().map(|source| source.rule);
    let forwards = made.tried.forwards.iter().map(|forward| forward.rule);
    let mut found = Vec::new();
    for rule in first.into_iter().chain(sources).chain(forwards) {
        let counted = made.known.translations[rule].counted.as_ref();
        found.extend(counted.filter(|counted| !found.contains(counted)));
    }
    found
}

/// Rules that translate were met.
fn counters(text: &mut String, made: &Made<'_>) {
    for (number, counted) in (1..).zip(counted(made)) {
        if number == 1 {
            text.push_str("# Rules behind the checks above were met.\n");
        }
        let _ = write!(
            text,
            "[[checks]]\nname = \"counted-{number}\"\nnode = \"{}\"\ncounter = {{ {} = {}{} }}\n\n",
            made.plan.node,
            counted.key,
            quoted(&counted.name),
            // What the dump counted is loaded with it.
            match counted.from {
                0 => String::new(),
                from => format!(", at_least = {}", from.saturating_add(1).min(1 << 53)),
            }
        );
    }
}

fn proposals(text: &mut String, made: &Made<'_>, way: &Way, client: &str, base: &str) {
    let plan = made.plan;
    let vrf = plan.peers[way.server].vrf.as_deref().filter(|_| way.client.is_none());
    text.push_str("# EDIT: proposals. Take away the `#` of those that make sense.\n\n");
    let mut proposals = Proposals { text, count: 0 };
    if vrf.is_none() {
        let large = "body = { bytes = 2097152, contains = \"1262143\" }";
        let http = format!("http = {{ url = \"{base}/large\", {large} }}");
        proposals.add("A large transfer.", "large-transfer", client, &http);
        let source = way.source.filter(|_| way.client.is_some());
        if let (Some(source), Seen::Own | Seen::Unclear) = (source, &way.seen) {
            let why =
                "The server is to see the client's own address, or what the rules make of it.";
            let http = format!(
                "http = {{ url = \"{base}/address\", body = {{ equals = \"{source}\" }} }}"
            );
            proposals.add(why, "seen-as", client, &http);
        }
    }
    if let Some(index) = way.client {
        let behind = plan.peers[index].behind.iter();
        for source in behind.filter(|a| a.is_ipv6() == way.address.is_ipv6()).skip(1) {
            let run = format!("curl -sSf -m 3 --interface {source} {base}/small | tail -n 1");
            let command =
                format!("command = {{ run = \"{run}\", stdout = \"1008191\", payload = true }}");
            proposals.add("From another network behind the same router.", "from", client, &command);
        }
    }
    for (index, peer) in plan.peers.iter().enumerate() {
        let at = peer.source(way.address.is_ipv6()).filter(|_| index != way.server);
        let vrf = peer.vrf == plan.peers[way.server].vrf && peer.tunnel.is_empty();
        let Some(at) = at.filter(|_| vrf) else { continue };
        let why = format!("Inbound, once {} has a `web` service as well.", peer.name);
        let http = format!(
            "http = {{ url = \"http://{}/address\", body = {{ contains = \".\" }} }}",
            host_of(at)
        );
        proposals.add(&why, "inbound", &plan.peers[way.server].name, &http);
    }
    let ping = format!(
        "command = {{ run = \"ping -n -c 1 -W 2 {}\" }}\n# record_only = true",
        way.address
    );
    proposals.add("Recorded only: ping stays green when payload is lost.", "ping", client, &ping);
}

/// Checks that are commented out.
struct Proposals<'a> {
    text: &'a mut String,
    count: usize,
}

impl Proposals<'_> {
    fn add(&mut self, why: &str, name: &str, node: &str, action: &str) {
        self.count += 1;
        let _ = write!(
            self.text,
            "# {why}\n# [[checks]]\n# name = \"{name}-{}\"\n# node = \"{node}\"\n# {action}\n\n",
            self.count
        );
    }
}

fn socket(address: IpAddr, port: u16) -> String {
    match port {
        80 => host_of(address),
        port => SocketAddr::new(address, port).to_string(),
    }
}

fn host_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        // The form with brackets; port 80 is not written.
        IpAddr::V6(_) => {
            let socket = SocketAddr::new(address, 80).to_string();
            socket.trim_end_matches(":80").to_owned()
        }
    }
}
