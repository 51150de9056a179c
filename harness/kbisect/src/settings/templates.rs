//! Scenarios to begin with: what there is, and one with other addresses.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::shipped::TEMPLATES;

/// Networks for documentation (RFC 5737), a /24 each: what templates are written with.
const NETWORKS: [[u8; 3]; 3] = [[192, 0, 2], [198, 51, 100], [203, 0, 113]];

/// Contents by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The names, in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    TEMPLATES.iter().map(|(name, _)| *name)
}

/// What a template is, in one line: its summary.
pub fn summary(name: &str) -> Option<String> {
    let files = files(name)?;
    let text = String::from_utf8_lossy(files.get("scenario.toml")?).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("summary = "))?;
    Some(line.trim_matches('"').to_owned())
}

/// The files of a template.
pub fn files(name: &str) -> Option<Files> {
    let (_, files) = TEMPLATES.iter().find(|(other, _)| *other == name)?;
    Some(files.iter().map(|(path, content)| ((*path).to_owned(), content.to_vec())).collect())
}

/// The networks that some files use, by their first three numbers.
pub fn networks(files: &Files) -> Vec<[u8; 3]> {
    let used = |network: &[u8; 3]| {
        let begin = begin(*network);
        files.values().any(|content| String::from_utf8_lossy(content).contains(&begin))
    };
    NETWORKS.into_iter().filter(used).collect()
}

/// Puts other networks in the place of some, all at once.
pub fn renumber(files: &mut Files, networks: &[([u8; 3], [u8; 3])]) {
    for content in files.values_mut() {
        let Ok(mut text) = String::from_utf8(content.clone()) else { continue };
        // By way of marks, since a new network can be another's old one.
        for (at, (old, _)) in networks.iter().enumerate() {
            text = text.replace(&begin(*old), &format!("\0{at}\0"));
        }
        for (at, (_, new)) in networks.iter().enumerate() {
            text = text.replace(&format!("\0{at}\0"), &begin(*new));
        }
        *content = text.into_bytes();
    }
}

/// Reads `10.1.2.0/24`, `10.1.2.0` or `10.1.2`; none for what no host can have an address in.
pub fn network(text: &str) -> Option<[u8; 3]> {
    let text = text.trim();
    let text = text.strip_suffix("/24").unwrap_or(text);
    let whole = if text.split('.').count() == 3 { format!("{text}.0") } else { text.to_owned() };
    let [a, b, c, d] = whole.parse::<Ipv4Addr>().ok()?.octets();
    (d == 0 && !matches!(a, 0 | 127 | 224..)).then_some([a, b, c])
}

/// `192.0.2.`, which begins each address of a network.
fn begin([a, b, c]: [u8; 3]) -> String {
    format!("{a}.{b}.{c}.")
}

#[cfg(test)]
mod tests {
    use kbisect_core::scenario::Scenario;

    use super::*;

    fn check(name: &str, mut files: Files) {
        let text = String::from_utf8(files.remove("scenario.toml").unwrap()).unwrap();
        let parsed = Scenario::parse(name, "scenario.toml", &text).unwrap();
        let (scenario, warnings) = parsed.with_assets(files).unwrap();
        assert!(warnings.is_empty(), "{name}: {warnings:#?}");
        assert!(scenario.checks.iter().any(|check| check.probe.verifies_payload()), "{name}");
    }

    #[test]
    fn every_template_is_a_scenario_without_a_warning() {
        let all: Vec<&str> = names().collect();
        assert_eq!(all, ["bridge", "client", "failover", "gateway", "ipvs", "server"]);
        for name in all {
            let files = files(name).unwrap();
            assert!(summary(name).is_some_and(|summary| summary.len() > 20), "{name}");
            assert!(!networks(&files).is_empty(), "{name}");
            check(name, files);
        }
    }

    #[test]
    fn networks_change_their_places_everywhere() {
        let mut files = files("gateway").unwrap();
        let swap = [([192, 0, 2], [198, 51, 100]), ([198, 51, 100], [10, 1, 2])];
        renumber(&mut files, &swap);
        let text = String::from_utf8(files["scenario.toml"].clone()).unwrap();
        assert!(text.contains("198.51.100.10/24") && text.contains("10.1.2.80/24"), "{text}");
        assert!(!text.contains("192.0.2."), "{text}");
        let rules = String::from_utf8(files["rules.nft"].clone()).unwrap();
        assert!(rules.contains("dnat ip to 198.51.100.10:80"), "{rules}");
        check("gateway", files);
    }

    #[test]
    fn networks_are_read_as_people_write_them() {
        for text in ["10.1.2.0/24", "10.1.2.0", "10.1.2", " 10.1.2.0/24 "] {
            assert_eq!(network(text), Some([10, 1, 2]), "{text}");
        }
        for text in
            ["", "10", "10.1.2.5", "10.1.2.0/16", "300.1.2.0", "224.1.2.0", "0.0.0.0", "x", "::"]
        {
            assert_eq!(network(text), None, "{text}");
        }
    }
}
