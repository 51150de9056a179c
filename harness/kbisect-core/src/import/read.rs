//! From the files of a dump to the host.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Finding, ImportError};
use super::host::{Filter, FilterKind, Host, Route};
use super::record::Record;
use super::routes::{self, Tables, Trouble};
use super::sniff::{self, Kind};
use super::{filter, interfaces, sysctl};

/// Routes beyond this are a routing daemon's: no scenario is made of them.
const ROUTES_MOST: usize = 20_000;
/// As many findings of one sort are told one by one.
const TOLD: usize = 20;

/// Reads all dumps. Gives the host and what had to be left out.
pub(super) fn read(
    dumps: &BTreeMap<String, Vec<u8>>,
    ignored: &BTreeSet<String>,
) -> Result<(Host, Vec<Finding>), ImportError> {
    let mut parts = Parts::default();
    let mut errors = Vec::new();
    for (file, content) in dumps {
        let sorted = match std::str::from_utf8(content) {
            Ok(text) => parts.sort(file, text),
            Err(error) => {
                let before = &content[..error.valid_up_to()];
                let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
                Err(Finding::at(file, line, "not UTF-8 text"))
            }
        };
        errors.extend(sorted.err());
    }
    if parts.interfaces.is_empty() && errors.is_empty() {
        let message = "no dump of `ip -j -d addr show`: nothing tells of interfaces";
        errors.push(Finding::new("", "", message));
    } else if parts.routes.is_empty() && !parts.routes_dumped && errors.is_empty() {
        let message = "no dump of `ip -j route show table all`: nothing tells of routes";
        errors.push(Finding::new("", "", message));
    }
    let mut host = parts.host;
    let read = interfaces::read(&parts.interfaces, ignored, &mut host);
    let mut warnings = parts.warnings;
    warnings.extend(read.warnings);
    errors.extend(read.errors);
    let mut left_out = Vec::new();
    let mut sort = |trouble: Trouble| match trouble {
        Trouble::LeftOut(finding) => left_out.push(finding),
        Trouble::Broken(finding) => errors.push(finding),
    };
    if parts.routes.len() > ROUTES_MOST {
        let many = parts.routes.len();
        let message = format!("{many} routes: more than {ROUTES_MOST} cannot be imported");
        sort(Trouble::Broken(Finding::new(&parts.routes[0].file, "", message)));
        parts.routes.clear();
    }
    // Dumps of one family and of both can overlap; nothing is twice in the kernel's own table.
    let mut seen = BTreeSet::new();
    for record in &parts.routes {
        match routes::route(record, &parts.tables) {
            Ok(Some(route)) if seen.insert(route.words()) => host.routes.push(route),
            Ok(_) => {}
            Err(trouble) => sort(trouble),
        }
    }
    // A gateway has to be reachable when the route that uses it is added.
    host.routes.sort_by_key(Route::needs_others);
    for (record, v6) in &parts.rules {
        host.rules_dumped[usize::from(*v6)] = true;
        match routes::rule(record, *v6, &parts.tables) {
            Ok(rule) if host.rules.contains(&rule) => {}
            Ok(rule) => host.rules.push(rule),
            Err(trouble) => sort(trouble),
        }
    }
    host.neighbours = parts.neighbours.iter().filter_map(routes::neighbour).collect();
    if !errors.is_empty() {
        errors.truncate(TOLD);
        return Err(ImportError::Dumps { findings: errors, ignorable: read.unknown });
    }
    warnings.extend(few(left_out, "routes and rules"));
    warnings.extend(few(host.prune(), "routes and rules"));
    warnings.extend(filter::settle(&mut host));
    warnings.extend(missing(&host));
    Ok((host, warnings))
}

/// The first of many findings, and how many there are more.
fn few(mut findings: Vec<Finding>, what: &str) -> Vec<Finding> {
    let more = findings.len().saturating_sub(TOLD);
    if more > 0 {
        findings.truncate(TOLD);
        findings.push(Finding::new("", "", format!("{more} more {what} are left out")));
    }
    findings
}

/// What a host as a rule has, and these dumps do not.
fn missing(host: &Host) -> Vec<Finding> {
    let mut missing = Vec::new();
    if host.sysctl.is_empty() {
        missing.push("no dump of `sysctl -a`: the scenario has the kernel's own values");
    }
    if host.filters.is_empty() {
        missing.push("no packet filter rules: neither nft's nor iptables' dump has any");
    }
    if !host.rules_dumped[0] {
        missing.push("no dump of `ip -j rule`: the scenario has the kernel's own rules");
    }
    missing.into_iter().map(|message| Finding::new("", "", message)).collect()
}

/// The dumps by what they are.
#[derive(Default)]
struct Parts {
    host: Host,
    interfaces: Vec<Record>,
    routes: Vec<Record>,
    routes_dumped: bool,
    /// With the family: IPv6 or not.
    rules: Vec<(Record, bool)>,
    neighbours: Vec<Record>,
    tables: Tables,
    warnings: Vec<Finding>,
}

impl Parts {
    fn sort(&mut self, file: &str, text: &str) -> Result<(), Finding> {
        let kind = if sniff::is_json(text) {
            let records = Record::read_all(file, text)?;
            let kind = sniff::of_records(&records);
            match kind {
                Some(Kind::Interfaces) => self.interfaces.extend(records),
                Some(Kind::Routes) => self.routes.extend(records),
                Some(Kind::Neighbours) => self.neighbours.extend(records),
                Some(Kind::Rules) => {
                    let v6 = is_v6(file, text);
                    self.rules.extend(records.into_iter().map(|record| (record, v6)));
                }
                // No routes is an answer too.
                Some(_) => self.routes_dumped |= file.contains("route"),
                None => {}
            }
            kind
        } else {
            sniff::of_text(file, text)
        };
        let filter = match kind {
            Some(Kind::Nft) => FilterKind::Nft,
            Some(Kind::Iptables) => FilterKind::Iptables,
            Some(Kind::Ip6tables) => FilterKind::Ip6tables,
            Some(Kind::Ipset) => FilterKind::Ipset,
            Some(Kind::Sysctl) => {
                self.host.sysctl.extend(sysctl::read(text));
                return Ok(());
            }
            Some(Kind::Modules) => {
                let names = text.lines().filter_map(|line| line.split_whitespace().next());
                self.host.modules.extend(names.map(str::to_owned));
                return Ok(());
            }
            Some(Kind::Wireguard) => {
                let port = |line: &str| {
                    let (name, port) = line.split_once(char::is_whitespace)?;
                    Some((name.to_owned(), port.trim().parse().ok()?))
                };
                self.host.wireguard.extend(text.lines().filter_map(port));
                return Ok(());
            }
            Some(Kind::Tables) => {
                self.tables.add(text);
                return Ok(());
            }
            None => {
                let message = "not looked at: its content is none of the known dumps";
                self.warnings.push(Finding::new(file, "", message));
                return Ok(());
            }
            Some(_) => return Ok(()),
        };
        if let Some(other) = self.host.filters.iter().find(|other| other.kind == filter) {
            let message = format!("the same kind of rules as `{}`: keep one of them", other.file);
            return Err(Finding::new(file, "", message));
        }
        let filter = Filter { kind: filter, file: file.to_owned(), text: text.to_owned() };
        self.host.filters.push(filter);
        Ok(())
    }
}

/// Whether rules are IPv6's: their addresses tell, or the name does. IPv4 alone has rule 32767.
fn is_v6(file: &str, text: &str) -> bool {
    !text.contains("32767") && (file.contains('6') || text.contains("::"))
}
