//! The scenario that a run keeps as JSON.

use kbisect_core::scenario::Scenario;

pub(super) fn target(input: &[u8]) {
    let Ok(scenario) = Scenario::from_kept(input) else { return };
    // What becomes a part of a path on the host is a plain name.
    let names = scenario.nodes.keys().chain(scenario.links.keys());
    let checks = scenario.checks.iter().map(|check| &check.name);
    for name in names.chain(checks) {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        assert!(!name.is_empty() && name.bytes().all(plain), "{name:?}");
    }
    let json = serde_json::to_vec(&scenario).expect("its own shape");
    assert_eq!(Scenario::from_kept(&json).expect("it was valid"), scenario);
}
