//! Programs that self-tests of the kernel call, and the packages that have them.

use std::collections::BTreeSet;

/// A program, and the package of the root image's archive; nothing where no package has it.
const PACKAGES: [(&str, Option<&str>); 21] = [
    ("bc", Some("bc")),
    ("dig", Some("bind9-dnsutils")),
    ("hping3", Some("hping3")),
    ("jq", Some("jq")),
    ("lldptool", Some("lldpad")),
    ("mausezahn", Some("netsniff-ng")),
    ("nc", Some("netcat-openbsd")),
    ("ncat", Some("ncat")),
    ("ndisc6", Some("ndisc6")),
    ("netperf", None),
    ("ovs-vsctl", Some("openvswitch-switch")),
    ("packetdrill", None),
    ("perl", Some("perl")),
    ("rdisc6", Some("ndisc6")),
    ("smcroutectl", Some("smcroute")),
    ("teamd", Some("libteam-utils")),
    ("traceroute", Some("traceroute")),
    ("traceroute6", Some("traceroute")),
    ("tshark", Some("tshark")),
    ("uuidgen", Some("uuid-runtime")),
    ("xxd", Some("xxd")),
];

/// Small packages of which self-tests use one or the other: whoever needs one gets all, so that one root image
/// serves nearly all scripts.
const TOGETHER: [&str; 6] = ["bc", "jq", "ndisc6", "netcat-openbsd", "netsniff-ng", "traceroute"];

/// The packages of an image for scripts that need these.
pub(super) fn together(packages: &mut BTreeSet<String>) {
    if TOGETHER.iter().any(|package| packages.contains(*package)) {
        packages.extend(TOGETHER.map(str::to_owned));
    }
}

/// The package of a program that the root image does not have by itself.
pub(super) fn package_of(program: &str) -> Option<Option<&'static str>> {
    PACKAGES.iter().find(|(known, _)| *known == program).map(|(_, package)| *package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_in_order_and_packages_have_names() {
        assert!(PACKAGES.is_sorted_by_key(|(program, _)| program));
        for package in PACKAGES.iter().filter_map(|(_, package)| *package) {
            assert!(package.bytes().all(|b| b.is_ascii_lowercase() || b"-0123456789".contains(&b)));
        }
        assert_eq!(package_of("jq"), Some(Some("jq")));
        let mut packages = BTreeSet::from(["tshark".to_owned()]);
        together(&mut packages);
        assert_eq!(packages.len(), 1);
        packages.insert("jq".to_owned());
        together(&mut packages);
        assert_eq!(packages.len(), 1 + TOGETHER.len());
        assert_eq!((package_of("netperf"), package_of("ip")), (Some(None), None));
    }
}
