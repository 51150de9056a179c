//! What is known of one rule.

use super::deed::Deed;

/// The rules of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// In the order of the file.
    pub rules: Vec<Rule>,
    /// Maps and sets of nft that have a name.
    pub maps: Vec<Map>,
    /// Counters of nft that have a name, with the packets that they begin with.
    pub counters: Vec<(String, u64)>,
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Line of the file, from 1.
    pub line: usize,
    /// `ip`, `ip6`, `inet`, ...
    pub family: String,
    /// Table that it is in.
    pub table: String,
    /// Chain that it is in.
    pub chain: String,
    /// Its words without quotes, in order; braces, commas and `;` are words of their own.
    pub words: Vec<String>,
    /// Its comment.
    pub comment: Option<String>,
    /// What counts its packets.
    pub counter: Counter,
    /// The heaviest thing that it does to a packet; none for rules that accept, mark, jump or log.
    pub deed: Option<Deed>,
}

/// What counts the packets of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Counter {
    /// Nothing.
    #[default]
    None,
    /// A counter of the rule's own.
    Own,
    /// A counter with a name, which other rules can share.
    Named(String),
}

/// A map of nft with a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map {
    /// Family of its table.
    pub family: String,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// What it holds.
    pub elements: Vec<Element>,
}

/// One element of a map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Words before the colon.
    pub key: Vec<String>,
    /// Words behind it.
    pub value: Vec<String>,
}

impl Rule {
    /// The word behind the first `word`.
    #[must_use]
    pub fn after(&self, word: &str) -> Option<&str> {
        let at = self.words.iter().position(|other| other == word)?;
        self.words.get(at + 1).map(String::as_str)
    }

    /// Packets that its own counter begins with: a list of rules has what was counted until then.
    #[must_use]
    pub fn packets(&self) -> u64 {
        let at = self.words.iter().position(|word| word == "counter");
        let count = at.and_then(|at| match &self.words[at + 1..] {
            [packets, count, ..] if packets == "packets" => count.parse().ok(),
            _ => None,
        });
        count.unwrap_or(0)
    }

    /// Whether a word is there.
    #[must_use]
    pub fn has(&self, word: &str) -> bool {
        self.words.iter().any(|other| other == word)
    }
}

/// The rules of a file that a check should count and none does: all that translate or limit, since they are
/// what the host is there for, and those that drop where nothing of the file is counted at all.
#[must_use]
pub fn uncounted(rules: &[Rule], counts: impl Fn(&Rule) -> bool) -> Vec<&Rule> {
    let any = rules.iter().any(&counts);
    let missing =
        |rule: &&Rule| rule.deed.is_some_and(|deed| deed.is_function() || !any) && !counts(rule);
    rules.iter().filter(missing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(deed: Option<Deed>, comment: &str) -> Rule {
        let comment = Some(comment.to_owned()).filter(|text| !text.is_empty());
        Rule { deed, comment, counter: Counter::Own, ..Rule::default() }
    }

    #[test]
    fn rules_that_drop_need_one_that_is_counted_and_others_each_their_own() {
        let counts = |rule: &Rule| rule.comment.as_deref() == Some("counted");
        let drops = [rule(Some(Deed::Drop), ""), rule(Some(Deed::Reject), ""), rule(None, "")];
        assert_eq!(uncounted(&drops, counts).len(), 2);
        let one = [drops[0].clone(), rule(None, "counted")];
        assert_eq!(uncounted(&one, counts).len(), 0);
        let nat = [rule(Some(Deed::Snat), "counted"), rule(Some(Deed::Dnat), ""), drops[0].clone()];
        assert_eq!(uncounted(&nat, counts), [&nat[1]]);
        assert_eq!(uncounted(&[rule(None, "")], counts).len(), 0, "what accepts is no matter");
    }
}
