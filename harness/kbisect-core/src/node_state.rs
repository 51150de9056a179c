//! The state that a node is in: its rules, addresses, routes, and who listens; and how two of them differ.

use std::collections::{BTreeMap, BTreeSet};

/// How many bytes of a node's state are kept: a longer one cannot be compared.
pub const KEPT: u32 = 768 << 10;

/// Most lines of a difference that are told.
const MOST: usize = 6;

/// Rules without counters and handles, addresses, routes, and who listens. What only time changes is left out.
const STATE: &str = r#"
set +e
section() { printf '### %s\n' "$1"; }
still() { sed -E 's/ # handle [0-9]+$//; s/ expires [0-9a-z]+//g; s/ (valid|preferred)_lft [0-9a-z]+//g; s/ metric 256 expires.*//'; }
section rules
nft -s list ruleset 2>&1 | still
for family in ip ip6; do
    if grep -q . /proc/net/${family}_tables_names 2>/dev/null; then
        ${family}tables-legacy-save | sed -E 's/^#.*//; s/ \[[0-9]+:[0-9]+\]$//'
    fi
done
section sets
ipset save 2>/dev/null | sed -E 's/ timeout [0-9]+//'
# What the kernel gives itself comes when it likes: link-local addresses, and their routes.
section addresses
ip -o addr show | grep -v ' fe80:' | sed 's/ tentative//' | still
section 'policy rules'
ip rule; ip -6 rule
section routes
ip -4 route show table all | still; ip -6 route show table all | grep -Ev '(^| )(fe80|ff00):' | still
section services
ss -Hlntu | sed -E 's/ +/ /g' | cut -d ' ' -f 1,2,5
true
"#;

/// What prints a node's state. Nothing of the scenario is in it.
#[must_use]
pub fn argv() -> Vec<String> {
    ["sh", "-c", STATE].map(str::to_owned).into()
}

/// How two states differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference<'a> {
    /// Section and line, and whether the second state has it more often.
    lines: Vec<(&'a str, &'a str, bool)>,
}

impl<'a> Difference<'a> {
    /// Compares what two states print. The order of their lines says nothing.
    #[must_use]
    pub fn between(first: &'a str, second: &'a str) -> Self {
        let (first, second) = (lines(first), lines(second));
        let all: BTreeSet<_> = first.keys().chain(second.keys()).collect();
        let differs = all.into_iter().filter_map(|key @ (section, line)| {
            let [was, is] = [&first, &second].map(|lines| lines.get(key).copied().unwrap_or(0));
            (was != is).then_some((*section, *line, is > was))
        });
        Self { lines: differs.collect() }
    }

    /// Whether they are the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// What differs: `rules`, `routes` and the like, in order.
    #[must_use]
    pub fn sections(&self) -> Vec<&'a str> {
        let mut sections: Vec<&str> = self.lines.iter().map(|(section, ..)| *section).collect();
        sections.dedup();
        sections
    }

    /// The first lines with their signs, and how many more there are.
    #[must_use]
    pub fn told(&self) -> (Vec<String>, usize) {
        let sign = |more: bool| if more { '+' } else { '-' };
        let told = self.lines.iter().take(MOST);
        let told = told.map(|(_, line, more)| format!("{} {line}", sign(*more)));
        (told.collect(), self.lines.len().saturating_sub(MOST))
    }
}

/// A state so that equal ones are equal texts.
#[must_use]
pub fn in_order(text: &str) -> String {
    let lines = lines(text).into_iter();
    lines.map(|((section, line), count)| format!("{section}\t{count}\t{line}\n")).collect()
}

/// How often each line is there, by its section.
fn lines(text: &str) -> BTreeMap<(&str, &str), usize> {
    let (mut section, mut found) = ("", BTreeMap::new());
    for line in text.lines() {
        match line.strip_prefix("### ") {
            Some(title) => section = title,
            None if line.trim().is_empty() => {}
            None => *found.entry((section, line.trim())).or_default() += 1,
        }
    }
    found
}
