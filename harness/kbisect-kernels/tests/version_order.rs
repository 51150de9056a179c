//! Version order is dpkg's.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

use std::cmp::Ordering;
use std::process::Command;

use kbisect_core::version::{PackageVersion, compare};

const VERSIONS: [&str; 25] = [
    "5.10.9-1",
    "5.10.40-1",
    "5.10.218-1",
    "5.10.251-5",
    "6.1.172-1~deb11u1",
    "6.1.172-1",
    "6.1.170-3+deb12u1",
    "6.12.43-1~bpo12+1",
    "6.12.57-1~bpo12+1",
    "6.12.57-1",
    "6.12.57",
    "6.12.90-1~bpo12+1",
    "6.12.90-1",
    "6.12.90-2~bpo12+1",
    "6.12.90-2",
    "6.12.90-10",
    "6.12.115-2~deb12u1",
    "7.2.12-1~bpo13+1",
    "7.3~rc1-1~exp1",
    "7.3~rc7-1~exp1",
    "7.3-1",
    "7.3.1-1",
    "1:5.0-1",
    "6.12.0-00012.gabcdef",
    "6.12.0~rc3-1.a+b",
];

#[test]
fn every_pair_is_ordered_as_dpkg_orders_it() {
    for a in VERSIONS {
        for b in VERSIONS {
            let expected = dpkg(a, b);
            assert_eq!(compare(a, b), expected, "{a} {b}");
            let parsed = |text| PackageVersion::parse(text).unwrap();
            assert_eq!(parsed(a).cmp(&parsed(b)), expected, "{a} {b}");
        }
    }
}

fn dpkg(a: &str, b: &str) -> Ordering {
    let is = |relation: &str| {
        let mut command = Command::new("dpkg");
        let status = command.args(["--compare-versions", a, relation, b]).status();
        status
            .expect("dpkg cannot be started: install the package `dpkg` to run this test")
            .success()
    };
    match (is("lt"), is("eq")) {
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Equal,
        _ => Ordering::Greater,
    }
}
