//! A fixed set of names and beginnings of names, to be searched by halving.

/// What a name belongs to, as bits: that of its entry, and of all entries that begin it.
pub(super) struct Names {
    whole: Vec<(&'static str, u8)>,
    prefixes: Vec<Prefix>,
}

struct Prefix {
    text: &'static str,
    /// With those of all shorter prefixes of it.
    bits: u8,
    /// The longest prefix in the set that begins this one.
    shorter: Option<usize>,
}

impl Names {
    /// The set of these entries; a star at the end of one stands for any rest.
    pub(super) fn new(entries: impl Iterator<Item = (&'static str, u8)>) -> Self {
        let (mut whole, mut texts) = (Vec::new(), Vec::new());
        for (name, bits) in entries {
            match name.strip_suffix('*') {
                Some(text) => texts.push((text, bits)),
                None => whole.push((name, bits)),
            }
        }
        whole.sort_unstable();
        texts.sort_unstable();
        let mut prefixes: Vec<Prefix> = Vec::with_capacity(texts.len());
        for (text, bits) in texts {
            let begins = |prefix: &Prefix| text.starts_with(prefix.text);
            let shorter = prefixes.iter().rposition(begins);
            let inherited = shorter.map_or(0, |i| prefixes[i].bits);
            prefixes.push(Prefix { text, bits: bits | inherited, shorter });
        }
        Self { whole, prefixes }
    }

    /// The bits of a name; 0 if it is not in the set.
    pub(super) fn of(&self, name: &str) -> u8 {
        let exact = self.whole.binary_search_by_key(&name, |(name, _)| name);
        let exact = exact.map_or(0, |i| self.whole[i].1);
        // What sorts between a prefix of a name and the name begins with that prefix too, so the
        // longest one is the entry before the name, or begins that entry.
        let before = self.prefixes.partition_point(|prefix| prefix.text <= name);
        let mut at = before.checked_sub(1);
        while let Some(i) = at {
            let prefix = &self.prefixes[i];
            if name.starts_with(prefix.text) {
                return exact | prefix.bits;
            }
            at = prefix.shorter;
        }
        exact
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_and_all_that_begin_a_name_count() {
        let entries = [
            ("a", 1),
            ("ab*", 2),
            ("abc*", 4),
            ("abcd", 8),
            ("abd*", 16),
            ("abdx*", 32),
            ("b*", 64),
        ];
        let names = Names::new(entries.into_iter());
        for (name, expected) in [
            ("", 0),
            ("a", 1),
            ("aa", 0),
            ("ab", 2),
            ("abb", 2),
            ("abcc", 6),
            ("abcd", 14),
            ("abcde", 6),
            ("abd", 18),
            ("abdy", 18),
            ("abdxx", 50),
            ("abe", 2),
            ("b", 64),
            ("bc", 64),
            ("c", 0),
            ("\u{7f}", 0),
        ] {
            assert_eq!(names.of(name), expected, "{name}");
        }
    }

    #[test]
    fn finds_what_a_search_of_all_entries_finds() {
        let text = "el0_* el0_sync el* list_add* list_add_tail panic die* d die_kernel* memcpy";
        let entries: Vec<(&str, u8)> =
            text.split(' ').enumerate().map(|(i, name)| (name, 1 << (i % 8))).collect();
        let names = Names::new(entries.iter().copied());
        let given = entries.iter().map(|(name, _)| name.trim_end_matches('*'));
        for name in
            given.flat_map(|name| [name.to_owned(), format!("{name}~"), format!("{name}_sync")])
        {
            let holds = |entry: &str| match entry.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == entry,
            };
            let found = entries.iter().filter(|(entry, _)| holds(entry));
            assert_eq!(names.of(&name), found.fold(0, |bits, (_, bit)| bits | bit), "{name}");
        }
    }
}
