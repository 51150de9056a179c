//! The folder's files as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::finding::Finding;
use super::host::{Filter, FilterKind, Host};
use super::made::Made;
use super::nat::Counted;
use super::network::Network;
use super::peers::Peer;
use super::plan::{MTU, Plan};
use super::toml::{array, clean, inline, quoted};
use super::{filter, proposals, sysctl};
use crate::rules::{self, Counter, Rule};

const LINKS: &str = "links.batch";
const ROUTES: &str = "routes.batch";
const RULES: [&str; 2] = ["ip-rules.v4", "ip-rules.v6"];
const NGINX: &str = "nginx.conf";
const WIREGUARD: &str = "wireguard.sh";

/// Beginnings of the names of modules that change what happens to packets. Those that make an
/// interface when they are loaded (`dummy`, `ifb`, `bonding`) are not among them.
const NETWORK_MODULES: [&str; 17] = [
    "8021q",
    "arp_tables",
    "arpt_",
    "br_netfilter",
    "bridge",
    "ebt",
    "ip6_tables",
    "ip6t_",
    "ip6table",
    "ip_set",
    "ip_tables",
    "ipt_",
    "iptable",
    "nf_",
    "nft_",
    "vrf",
    "xt_",
];
/// Loading of a file this large (bytes) gets more time.
const LARGE: usize = 64 * 1024;

/// The files beside `scenario.toml`.
pub(super) fn assets(made: &Made<'_>) -> BTreeMap<String, Vec<u8>> {
    let Made { host, plan, .. } = *made;
    let mut files = BTreeMap::new();
    let mut add = |name: &str, lines: &[String]| {
        if !lines.is_empty() {
            files.insert(name.to_owned(), format!("{}\n", lines.join("\n")).into_bytes());
        }
    };
    add(LINKS, &plan.late);
    let routes: Vec<String> =
        plan.late_routes.iter().map(|route| format!("route add {route}")).collect();
    add(ROUTES, &routes);
    add(RULES[0], &plan.rules[0]);
    add(RULES[1], &plan.rules[1]);
    for filter in &host.filters {
        files.insert(asset_name(filter).to_owned(), filter.text.clone().into_bytes());
    }
    if made.way.is_some() || made.tried.forwards.iter().any(|forward| !forward.udp) {
        files.insert(NGINX.to_owned(), nginx(made).into_bytes());
    }
    if !plan.tunnels.is_empty() {
        files.insert(WIREGUARD.to_owned(), include_bytes!("wireguard.sh").to_vec());
    }
    files
}

/// The web server's configuration: it listens where ports are passed on to as well.
fn nginx(made: &Made<'_>) -> String {
    let forwards = made.tried.forwards.iter().filter(|forward| !forward.udp);
    let ports: BTreeSet<u16> =
        forwards.map(|forward| forward.to_port).filter(|port| *port != 80).collect();
    let listen: String = ports
        .iter()
        .map(|port| format!("        listen {port};\n        listen [::]:{port};\n"))
        .collect();
    let plain = "        listen [::]:80;\n";
    include_str!("nginx.conf").replacen(plain, &format!("{plain}{listen}"), 1)
}

fn asset_name(filter: &Filter) -> &'static str {
    match filter.kind {
        FilterKind::Ipset => "rules.ipset",
        FilterKind::Iptables => "rules.v4",
        FilterKind::Ip6tables => "rules.v6",
        FilterKind::Nft => "rules.nft",
    }
}

/// The text of `scenario.toml`.
pub(super) fn scenario(name: &str, made: &Made<'_>, warnings: &[Finding]) -> String {
    let Made { host, plan, .. } = *made;
    let mut text = String::new();
    head(&mut text, name, plan, warnings);
    requires(&mut text, host, plan);
    gateway(&mut text, host, plan);
    for (index, peer) in plan.peers.iter().enumerate() {
        node(&mut text, plan, index, peer);
    }
    links(&mut text, plan);
    setup(&mut text, made);
    servers(&mut text, made);
    proposals::checks(&mut text, made);
    text
}

fn head(text: &mut String, name: &str, plan: &Plan, warnings: &[Finding]) {
    text.push_str(
        "# Made by `kbisect scenario new --from-host` from dumps of a host. It is a beginning: the host's\n\
         # own set-up is as it was, but who is around it, and what they run, is guessed from its routes.\n\
         # Look for EDIT, then try it on a kernel that is known to be good:\n#\n",
    );
    let _ = writeln!(
        text,
        "#     kbisect scenario check ./{0}\n#     kbisect run KERNEL --scenario ./{0}",
        clean(name)
    );
    if !warnings.is_empty() {
        text.push_str("#\n# What was left out or should be looked at:\n");
        for warning in warnings {
            let _ = writeln!(text, "#   {}", clean(&warning.to_string()));
        }
    }
    text.push_str("\nschema = \"kbisect.scenario/1\"\n");
    text.push_str("# EDIT: say what it tests.\n");
    let _ =
        writeln!(text, "summary = {}", quoted(&format!("{} as its dumps describe it", plan.node)));
    text.push_str("description = \"\"\"\nAround the host, as its routes tell:\n\n");
    for peer in &plan.peers {
        let addresses = list(&peer.addresses);
        let vrf = peer.vrf.iter().map(|vrf| format!(", VRF {vrf}")).collect::<String>();
        let _ = writeln!(text, "    {}  {addresses} towards {}{vrf}", peer.name, peer.towards);
        if !peer.networks.is_empty() {
            let shown: Vec<Network> = peer.networks.iter().take(8).copied().collect();
            let more = peer.networks.len() - shown.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let _ = writeln!(text, "        in front of {}{more}", list(&shown));
        }
    }
    text.push_str("\"\"\"\n\n");
}

fn list(networks: &[Network]) -> String {
    networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn requires(text: &mut String, host: &Host, plan: &Plan) {
    let mut needed = plan.modules.clone();
    let mut optional: BTreeSet<&str> = BTreeSet::new();
    for filter in &host.filters {
        let (these, those) = filter::modules(filter);
        needed.extend(these);
        optional.extend(those);
    }
    let wanted = sysctls(host);
    if wanted.iter().any(|(key, _)| key.starts_with("net.netfilter.nf_conntrack_")) {
        // Without the module the sysctl does not exist.
        needed.insert("nf_conntrack");
    }
    if wanted.iter().any(|(key, _)| key.starts_with("net.bridge.")) {
        needed.insert("br_netfilter");
    }
    let plain = |name: &str| {
        name.len() <= 56
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    };
    let loaded = host.modules.iter().map(String::as_str);
    optional.extend(
        loaded.filter(|name| {
            plain(name) && NETWORK_MODULES.iter().any(|begin| name.starts_with(begin))
        }),
    );
    optional.retain(|name| !needed.contains(name));
    if !needed.is_empty() || !optional.is_empty() {
        text.push_str("[requires]\n");
    }
    if !needed.is_empty() {
        array(text, "modules", needed.iter().copied());
    }
    if !optional.is_empty() {
        text.push_str(
            "# What the host had loaded, or older kernels have apart; loaded where it exists.\n",
        );
        array(text, "optional_modules", optional.iter().copied());
    }
    if !needed.is_empty() || !optional.is_empty() {
        text.push('\n');
    }
    if !plan.cmdline.is_empty() {
        text.push_str("# The host's own dummy0 is made below; the module would make one by itself.\n[candidate]\n");
        array(text, "cmdline", plan.cmdline.iter().map(String::as_str));
        text.push('\n');
    }
}

/// The sysctls of the host that the scenario sets.
fn sysctls(host: &Host) -> Vec<(String, String)> {
    let interfaces: BTreeSet<&str> =
        host.interfaces.iter().map(|i| i.name.as_str()).filter(|name| *name != "lo").collect();
    sysctl::wanted(&host.sysctl, &interfaces)
}

fn gateway(text: &mut String, host: &Host, plan: &Plan) {
    let _ = writeln!(text, "# The host.\n[nodes.{}]\nkernel = \"candidate\"", plan.node);
    text.push_str("role = \"the host that the dumps are of\"\n");
    array(text, "devices", plan.devices.iter().map(String::as_str));
    if !plan.late_routes.is_empty() {
        let _ = writeln!(text, "# More are in {ROUTES}, which the set-up loads.");
    }
    array(text, "routes", plan.routes.iter().map(String::as_str));
    text.push('\n');
    if !plan.addresses.is_empty() {
        let _ = writeln!(text, "[nodes.{}.addresses]", plan.node);
        for (device, addresses) in &plan.addresses {
            let _ = writeln!(text, "{} = {}", quoted(device), inline(addresses));
        }
        text.push('\n');
    }
    let wanted = sysctls(host);
    if !wanted.is_empty() {
        text.push_str("# Those of the host that change what happens to packets, where they are not the kernel's own.\n");
    }
    if !plan.assumed.is_empty() {
        text.push_str(
            "# EDIT: no dump tells whether the host forwards; it has somebody on two sides.\n",
        );
    }
    let wanted: Vec<(String, String)> = wanted.into_iter().chain(plan.assumed.clone()).collect();
    if !wanted.is_empty() {
        let _ = writeln!(text, "[nodes.{}.sysctl]", plan.node);
        for (key, value) in wanted {
            let value = match value.parse::<i64>() {
                Ok(number) if number.to_string() == value => value,
                _ => quoted(&value),
            };
            let _ = writeln!(text, "{} = {value}", quoted(&key));
        }
        text.push('\n');
    }
}

fn node(text: &mut String, plan: &Plan, index: usize, peer: &Peer) {
    let far = plan.tunnels.iter().find(|tunnel| tunnel.far == index);
    let leads = plan.tunnels.iter().any(|tunnel| tunnel.gateway == index);
    let what = match (peer.default, peer.is_hop) {
        _ if far.is_some() => "other end of",
        ([false, false], true) => "next hop on",
        ([false, false], false) => "host on",
        _ => "default gateway on",
    };
    let _ = writeln!(text, "# EDIT: {what} {}.", peer.towards);
    if !peer.behind.is_empty() {
        text.push_str("# One address of each network behind it is on its `lo`: the node stands for those hosts too.\n");
    }
    match (peer.services.len(), peer.default == [false, false]) {
        (0, _) => {}
        (1, false) => text.push_str(
            "# The other address on `lo` is one that nobody knows: a server on the internet.\n",
        ),
        (_, false) => text.push_str(
            "# The other addresses on `lo` are ones that nobody knows: hosts on the internet.\n",
        ),
        (_, true) => text.push_str(
            "# It is also at the other addresses on `lo`, which ports are passed on to.\n",
        ),
    }
    if peer.default != [false, false] {
        text.push_str("# It knows the networks on the other side of the host: drop those that the real one does not.\n");
    }
    let _ = writeln!(text, "[nodes.{}]\nkernel = \"reference\"", peer.name);
    let _ = writeln!(text, "role = {}", quoted(&format!("{what} {}", peer.towards)));
    if leads {
        text.push_str("sysctl = { \"net.ipv4.ip_forward\" = 1 }\n");
    }
    let mut devices = Vec::new();
    devices.extend(far.map(|tunnel| format!("{} type wireguard", tunnel.device)));
    let mut lower = "eth0".to_owned();
    for (id, protocol) in &peer.tags {
        let name = format!("{lower}.{id}");
        let protocol: String = protocol.iter().map(|name| format!(" protocol {name}")).collect();
        devices.push(format!("link {lower} name {name} type vlan{protocol} id {id}"));
        lower = name;
    }
    if !devices.is_empty() {
        array(text, "devices", devices.iter().map(String::as_str));
    }
    let mut addresses: Vec<String> = Vec::new();
    if !peer.tags.is_empty() || far.is_some() {
        addresses.push(format!("{} = {}", quoted(&peer.device()), inline(&peer.addresses)));
    }
    let lo: Vec<Network> =
        peer.behind.iter().chain(&peer.services).map(|address| Network::host(*address)).collect();
    if !lo.is_empty() {
        addresses.push(format!("lo = {}", inline(&lo)));
    }
    if !addresses.is_empty() {
        let _ = writeln!(text, "addresses = {{ {} }}", addresses.join(", "));
    }
    let way = far.map(|tunnel| {
        format!("{} via {} dev eth0", Network::host(tunnel.host), tunnel.through.address)
    });
    array(text, "routes", way.iter().chain(&peer.routes).map(String::as_str));
    text.push('\n');
}

fn links(text: &mut String, plan: &Plan) {
    for (link, wire) in &plan.links {
        let _ = writeln!(text, "[links.{link}]");
        let addresses = match wire.addresses.as_slice() {
            [] => String::new(),
            addresses => format!(", addresses = {}", inline(addresses)),
        };
        let master = wire.master.iter().map(|name| format!(", master = {}", quoted(name)));
        let mtu = mtu(wire.mtu);
        let _ = writeln!(
            text,
            "{} = {{ name = {}{addresses}{}{mtu} }}",
            plan.node,
            quoted(&wire.name),
            master.collect::<String>()
        );
        for peer in plan.peers.iter().filter(|peer| peer.link == *link) {
            let addresses = match peer.tags.is_empty() {
                true => format!(", addresses = {}", inline(&peer.addresses)),
                false => String::new(),
            };
            let _ = writeln!(text, "{} = {{ name = \"eth0\"{addresses}{mtu} }}", peer.name);
        }
        text.push('\n');
    }
    for tunnel in &plan.tunnels {
        let (gateway, far) = (&plan.peers[tunnel.gateway].name, &plan.peers[tunnel.far].name);
        let _ = write!(
            text,
            "# The way to the other end of {}.\n[links.{}]\n\
             {gateway} = {{ name = \"{}\", addresses = {} }}\n\
             {far} = {{ name = \"eth0\", addresses = {} }}\n\n",
            tunnel.device,
            tunnel.link,
            tunnel.interface,
            inline(&[tunnel.through]),
            inline(&[tunnel.address])
        );
    }
}

fn mtu(mtu: u32) -> String {
    match mtu {
        MTU => String::new(),
        68..=65_535 => format!(", mtu = {mtu}"),
        _ => String::new(),
    }
}

fn setup(text: &mut String, made: &Made<'_>) {
    let Made { host, plan, .. } = *made;
    let counted = proposals::counted(made);
    let mut step = |name: &str, action: &str, file: &str, size: usize| {
        let _ = writeln!(
            text,
            "[[setup]]\nname = \"{name}\"\nnode = \"{}\"\n{action} = {}",
            plan.node,
            quoted(file)
        );
        if size > LARGE {
            text.push_str("timeout_s = 120\n");
        }
        let rules = match action {
            "nft" => host.filters.iter().find(|one| one.kind == FilterKind::Nft),
            "iptables-restore" => host.filters.iter().find(|one| one.kind == FilterKind::Iptables),
            "ip6tables-restore" => {
                host.filters.iter().find(|one| one.kind == FilterKind::Ip6tables)
            }
            _ => None,
        };
        if rules.is_some_and(|filter| has_uncounted(filter, &counted)) {
            text.push_str(
                "# EDIT: rules that no check counts can be passed by unnoticed. Give those that matter a\n\
                 # comment (and nft's a `counter`), add checks with `counter`, and take this line away.\n\
                 counted = false\n",
            );
        }
        text.push('\n');
    };
    if !plan.late.is_empty() {
        step("finish the devices", "ip-batch", LINKS, 0);
    }
    for (v6, lines) in plan.rules.iter().enumerate().filter(|(_, lines)| !lines.is_empty()) {
        // `ip -batch` has no word for the family, and a rule does not always tell it.
        let (name, run) = match v6 {
            0 => ("policy rules", format!("ip -4 -batch \"$KBISECT_ASSETS/{}\"", RULES[0])),
            _ => ("policy rules, IPv6", format!("ip -6 -batch \"$KBISECT_ASSETS/{}\"", RULES[1])),
        };
        step(name, "run", &run, lines.len() * 100);
    }
    if !plan.late_routes.is_empty() {
        step("routes", "ip-batch", ROUTES, plan.late_routes.len() * 100);
    }
    for filter in &host.filters {
        let file = asset_name(filter);
        let size = filter.text.len();
        match filter.kind {
            FilterKind::Ipset => {
                let run = format!("ipset restore -f \"$KBISECT_ASSETS/{file}\"");
                step("load the host's sets", "run", &run, size);
            }
            FilterKind::Iptables => {
                step("load the host's IPv4 rules", "iptables-restore", file, size)
            }
            FilterKind::Ip6tables => {
                step("load the host's IPv6 rules", "ip6tables-restore", file, size);
            }
            FilterKind::Nft => step("load the host's nft rules", "nft", file, size),
        }
    }
    for tunnel in &plan.tunnels {
        let (own, far) = (plan.node.as_str(), plan.peers[tunnel.far].name.as_str());
        let there = tunnel.address.address;
        for (node, other, endpoint) in [(own, far, there), (far, own, tunnel.host)] {
            let run = format!(
                "sh \"$KBISECT_ASSETS/{WIREGUARD}\" {} {} {node} {other} {endpoint}",
                tunnel.device, tunnel.port
            );
            let _ = write!(
                text,
                "[[setup]]\nname = \"keys of {} on {node}\"\nnode = \"{node}\"\nrun = {}\n\n",
                tunnel.device,
                quoted(&run)
            );
        }
    }
}

/// Whether `scenario check` would warn of rules that no check counts.
fn has_uncounted(filter: &Filter, counted: &[&Counted]) -> bool {
    let rules = match filter.kind {
        FilterKind::Nft => rules::read_nft(&filter.text).rules,
        FilterKind::Iptables => rules::read_iptables(&filter.text, false).rules,
        FilterKind::Ip6tables => rules::read_iptables(&filter.text, true).rules,
        FilterKind::Ipset => return false,
    };
    let counts = |rule: &Rule| {
        counted.iter().any(|counted| match (counted.key, &rule.counter) {
            ("nft", Counter::Named(name)) => *name == counted.name,
            ("nft", _) | (_, Counter::None) => false,
            _ => rule.comment.as_ref() == Some(&counted.name),
        })
    };
    !rules::uncounted(&rules, counts).is_empty()
}

/// Servers: one for the first check, and one wherever a port is passed on to.
fn servers(text: &mut String, made: &Made<'_>) {
    let plan = made.plan;
    let mut ports: BTreeMap<usize, BTreeSet<u16>> = BTreeMap::new();
    if let Some(way) = made.way {
        ports.entry(way.server).or_default().insert(80);
    }
    for forward in made.tried.forwards.iter().filter(|forward| !forward.udp) {
        ports.entry(forward.server).or_default().insert(forward.to_port);
    }
    // The other end of a tunnel asks or answers too.
    for (_, server) in proposals::through_tunnels(made) {
        ports.entry(server).or_default().insert(80);
    }
    let first = made.way.map(|way| way.server);
    let order =
        first.into_iter().chain(ports.keys().copied().filter(|index| Some(*index) != first));
    for (number, index) in order.enumerate() {
        let node = &plan.peers[index].name;
        let Some(port) = ports.get(&index).and_then(|ports| ports.first()) else { continue };
        let name = if number == 0 { "web".to_owned() } else { format!("web-{}", number + 1) };
        let _ = write!(
            text,
            "[[setup]]\nname = \"make the payloads{}: numbered lines, 64 KiB and 2 MiB\"\nnode = \"{node}\"\n\
             run = \"seq 1000000 1008191 > /tmp/small; seq 1000000 1262143 > /tmp/large\"\n\n\
             [[services]]\nname = \"{name}\"\nnode = \"{node}\"\n\
             command = [\"nginx\", \"-e\", \"stderr\", \"-c\", \"{{assets}}/{NGINX}\"]\n\
             ready = {{ tcp = {port} }}\n\n",
            if number == 0 { String::new() } else { format!(" on {node}") }
        );
    }
    let mut done = BTreeSet::new();
    for forward in made.tried.forwards.iter().filter(|forward| forward.udp) {
        if !done.insert((forward.server, forward.to_port)) {
            continue;
        }
        let node = &plan.peers[forward.server].name;
        let _ = write!(
            text,
            "[[services]]\nname = \"dns-{}\"\nnode = \"{node}\"\n\
             command = [\"dnsmasq\", \"-k\", \"-C\", \"/dev/null\", \"--no-resolv\", \"--no-hosts\", \
             \"--user=root\", \"--port={}\", \"--address=/{}/{}\"]\nready = {{ udp = {} }}\n\n",
            done.len(),
            forward.to_port,
            proposals::NAME,
            proposals::ANSWER,
            forward.to_port
        );
    }
}
