//! The order of versions against dpkg's, and its laws.

use std::cmp::Ordering;
use std::process::Command;

use kbisect_core::version::{PackageVersion, compare};
use proptest::prelude::*;

/// What `dpkg --compare-versions` says; `None` where there is no dpkg.
fn dpkg(a: &str, b: &str) -> Option<Ordering> {
    for (operator, ordering) in [("lt", Ordering::Less), ("gt", Ordering::Greater)] {
        let output = Command::new("dpkg").args(["--compare-versions", a, operator, b]).output();
        if output.ok()?.status.success() {
            return Some(ordering);
        }
    }
    Some(Ordering::Equal)
}

fn agrees(a: &str, b: &str) {
    let Some(expected) = dpkg(a, b) else {
        eprintln!("SKIPPED: no dpkg on this host to compare {a} with {b}");
        return;
    };
    assert_eq!(compare(a, b), expected, "{a} and {b}");
    assert_eq!(compare(b, a), expected.reverse(), "{b} and {a}");
}

#[test]
fn kernel_versions_are_ordered_as_dpkg_orders_them() {
    let versions = [
        "5.10.40-1",
        "5.10.218-1",
        "6.1~rc3-1",
        "6.1-1",
        "6.1.0-1",
        "6.1.180-1",
        "6.12.9-1",
        "6.12.43-1",
        "6.12.90-1",
        "6.12.90-2",
        "6.12.90-2~bpo12+1",
        "6.12.90-2+deb13u1",
        "6.12.90",
        "6.12.090-2",
        "1:5.10-1",
        "0:6.12.90-2",
        "7.2.12-1",
        "7.2~rc1-1~exp1",
        "6.12.90-2~",
        "6.12.90-2a",
        "6.12.90-2.1",
        "6.12.90+dfsg-2",
        "6.12.90.1-2",
    ];
    for a in versions {
        for b in versions {
            agrees(a, b);
        }
    }
}

#[test]
fn neighbours_are_told_apart() {
    let ascending = [
        "5.10.40",
        "5.10.70",
        "5.10.218-1",
        "6.1~rc3",
        "6.1",
        "6.12.43-1~bpo12+1",
        "6.12.43-1",
        "6.12.43-1+deb13u1",
        "6.12.100-1",
        "1:5.10-1",
    ];
    for (i, a) in ascending.iter().enumerate() {
        for (j, b) in ascending.iter().enumerate() {
            assert_eq!(compare(a, b), i.cmp(&j), "{a} and {b}");
        }
    }
}

/// Versions with few letters: such pairs often share a long start, which is where an order fails.
fn version() -> impl Strategy<Value = String> {
    "([0-2]:)?[0-9]{1,2}([.][0-9a~+]{1,3}){0,3}(-[0-9a~+.]{1,4})?"
}

fn parsed(text: &str) -> Option<PackageVersion> {
    PackageVersion::parse(text).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn any_versions_are_ordered_as_dpkg_orders_them(a in version(), b in version()) {
        agrees(&a, &b);
    }
}

proptest! {
    #[test]
    fn the_order_is_total(a in version(), b in version(), c in version()) {
        prop_assert_eq!(compare(&a, &a), Ordering::Equal);
        prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
        let mut sorted = [&a, &b, &c];
        sorted.sort_by(|x, y| compare(x, y));
        prop_assert_ne!(compare(sorted[0], sorted[2]), Ordering::Greater);
        if compare(&a, &b).is_eq() {
            prop_assert_eq!(compare(&a, &c), compare(&b, &c), "equal ones are interchangeable");
        }
    }

    #[test]
    fn equal_in_order_means_equal(a in version(), b in version()) {
        if let (Some(a), Some(b)) = (parsed(&a), parsed(&b)) {
            prop_assert_eq!(a.cmp(&b).is_eq(), a == b, "Ord has to agree with Eq");
            prop_assert_eq!(a.partial_cmp(&b), Some(a.cmp(&b)));
        }
    }

    #[test]
    fn reading_any_text_is_safe_and_keeps_it(text in "\\PC{0,20}") {
        if let Some(version) = parsed(&text) {
            prop_assert_eq!(version.to_string(), text);
            prop_assert!(!version.upstream().is_empty());
        }
    }
}
