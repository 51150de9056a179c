//! The checks as text: one that runs, and proposals.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::checks::Way;
use super::plan::Plan;
use super::toml::quoted;

/// Writes the first check, and those that are proposed in comments.
pub(super) fn checks(text: &mut String, plan: &Plan, way: Option<&Way>) {
    let Some(way) = way else {
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
    text.push_str("# EDIT: proposals. Take away the `#` of those that make sense.\n\n");
    let mut proposals = Proposals { text, count: 0 };
    if vrf.is_none() {
        let large = "body = { bytes = 2097152, contains = \"1262143\" }";
        let http = format!("http = {{ url = \"{base}/large\", {large} }}");
        proposals.add("A large transfer.", "large-transfer", client, &http);
        let source = way.seen_as.or(way.source).filter(|_| way.client.is_some());
        if let Some(source) = source {
            let why = match way.seen_as {
                Some(_) => "The server is to see the address that the rules translate to.",
                None => {
                    "The server is to see the client's own address, or what the rules make of it."
                }
            };
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
        let vrf = peer.vrf == plan.peers[way.server].vrf;
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
