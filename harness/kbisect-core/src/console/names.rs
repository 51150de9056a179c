//! A fixed set of patterns for names of functions, searched in one pass over a name.

use aho_corasick::AhoCorasick;

/// Which sets a name belongs to, as bits: those of all patterns that fit it.
pub(super) struct Names {
    texts: AhoCorasick,
    patterns: Vec<Pattern>,
}

struct Pattern {
    bits: u32,
    /// Nothing but underscores comes before it: `__kmalloc` is to `kmalloc` what the kernel calls the
    /// inner half of a function.
    at_start: bool,
    /// Nothing comes after it.
    at_end: bool,
}

impl Names {
    /// The set of these patterns. A star at the start or the end of one stands for anything.
    pub(super) fn new(patterns: impl Iterator<Item = (&'static str, u32)>) -> Self {
        let (mut texts, mut parsed) = (Vec::new(), Vec::new());
        for (pattern, bits) in patterns {
            let (inner, at_end) = match pattern.strip_suffix('*') {
                Some(inner) => (inner, false),
                None => (pattern, true),
            };
            let (text, at_start) = match inner.strip_prefix('*') {
                Some(text) => (text, false),
                None => (inner, true),
            };
            texts.push(text);
            parsed.push(Pattern { bits, at_start, at_end });
        }
        let texts = AhoCorasick::new(texts).expect("a short fixed list of patterns");
        Self { texts, patterns: parsed }
    }

    /// The bits of a name; 0 if no pattern fits.
    pub(super) fn of(&self, name: &str) -> u32 {
        let first = name.len() - name.trim_start_matches('_').len();
        let fits = self.texts.find_overlapping_iter(name).filter_map(|found| {
            let pattern = &self.patterns[found.pattern()];
            let fits = (!pattern.at_start || found.start() <= first)
                && (!pattern.at_end || found.end() == name.len());
            fits.then_some(pattern.bits)
        });
        fits.fold(0, |bits, more| bits | more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything_and_underscores_before_a_name_do_not_count() {
        let patterns = [("lock", 1), ("lock*", 2), ("*lock", 4), ("*lock*", 8), ("*__wake*", 16)];
        let names = Names::new(patterns.into_iter());
        for (name, expected) in [
            ("lock", 15),
            ("__lock", 15),
            ("lock_page", 10),
            ("spin_lock", 12),
            ("raw_spin_lock_irq", 8),
            ("__wake_up", 16),
            ("try_to_wake_up", 0),
            ("loc", 0),
            ("", 0),
            ("___", 0),
        ] {
            assert_eq!(names.of(name), expected, "{name}");
        }
    }
}
