//! Rules that no check counts.

use super::*;

const RULES: &str = "table inet t {\n chain c {\n  type nat hook postrouting priority 0\n  counter drop\n  \
    oifname \"a\" counter masquerade comment \"out\"\n  snat to 192.0.2.1\n }\n}\n";

fn scenario(step: &str, check: &str) -> String {
    format!(
        "schema = \"kbisect.scenario/1\"\nsummary = \"x\"\n[nodes.a]\nkernel = \"candidate\"\n[nodes.b]\n\
         kernel = \"reference\"\n[links.l]\na = {{ name = \"eth0\", addresses = [\"192.0.2.1/24\"] }}\n\
         b = {{ name = \"eth0\", addresses = [\"192.0.2.2/24\"] }}\n[[setup]]\n{step}\n[[checks]]\nname = \"p\"\n\
         node = \"a\"\nhttp = {{ url = \"http://192.0.2.2/\", body = {{ bytes = 1 }} }}\n{check}"
    )
}

fn counter(node: &str, of: &str) -> String {
    format!("[[checks]]\nname = \"c\"\nnode = \"{node}\"\ncounter = {{ {of} }}\n")
}

fn warned(step: &str, check: &str) -> Vec<String> {
    let rules = BTreeMap::from([("rules".to_owned(), RULES.as_bytes().to_vec())]);
    warnings(&scenario(step, check), rules)
}

#[test]
fn rules_that_no_check_counts_are_told_once_with_what_to_write() {
    let step = "node = \"a\"\nnft = \"rules\"";
    assert_eq!(
        warned(step, ""),
        [
            "scenarios/x/scenario.toml:10:1: setup[0]: 3 rules are counted by no check, so nothing shows that rules was met: \
          drop in line 4, masquerade in line 5, snat in line 6 (give such a rule a `counter` and a comment, and add a \
          check with `counter = { nft_comment = \"...\" }`, `none = true` for what must not happen; or say `counted = \
          false` at the step)"
        ]
    );
    let one = warned(step, &counter("a", "nft_comment = \"out\""));
    assert!(one.len() == 1 && one[0].contains("1 rule is counted by no check"), "{one:?}");
    assert!(
        one[0].contains("snat in line 6 ("),
        "what drops is content once anything is counted: {one:?}"
    );
}

#[test]
fn a_counter_elsewhere_counts_nothing_here() {
    let step = "node = \"a\"\nnft = \"rules\"";
    for of in [
        "nft_comment = \"in\"",
        "nft = \"out\"",
        "iptables_comment = \"out\", family = \"ip6\"",
        "nft_comment = \"out\", table = \"other\"",
    ] {
        let told = warned(step, &counter("a", of));
        assert!(told[0].contains("3 rules are"), "{of}: {told:?}");
    }
    let told = warned(step, &counter("b", "nft_comment = \"out\""));
    assert!(told[0].contains("3 rules are"), "{told:?}");
}

#[test]
fn what_is_meant_and_what_is_not_under_test_gives_no_warning() {
    assert_eq!(warned("node = \"a\"\nnft = \"rules\"\ncounted = false", ""), [""; 0]);
    assert_eq!(warned("node = \"b\"\nnft = \"rules\"", ""), [""; 0]);
    let broken = scenario("node = \"a\"\nnft = \"rules\"\ncounted = true", "");
    assert!(errors(&broken)[0].contains("only `false` says something"), "{:?}", errors(&broken));
}
