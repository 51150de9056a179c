//! Which options must be set so that others can be.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use super::expression::Expression;
use super::kconfig::{Definition, Options};

/// Deepest nesting of dependencies that is followed at once.
const DEEPEST: usize = 64;
/// How often everything is looked at again, for conditions such as `A || !B` where `B` came later.
const MOST_ROUNDS: usize = 8;
/// What holds on every 64-bit x86 kernel.
const ALWAYS: [&str; 3] = ["X86", "X86_64", "64BIT"];
/// What is never turned on for the sake of another option.
const NEVER: [&str; 4] = ["COMPILE_TEST", "BROKEN", "MODULES", "m"];

/// The options that are set, and what follows from them.
pub struct Closure<'a> {
    options: &'a Options,
    /// Set on purpose.
    set: BTreeSet<String>,
    /// Set, or selected by what is.
    on: BTreeSet<String>,
    /// Off on purpose: nothing may turn them on.
    off: BTreeSet<String>,
    /// Option -> options that select it.
    selectors: BTreeMap<&'a str, Vec<&'a str>>,
    /// What was turned on, and is to be followed.
    queue: VecDeque<String>,
    /// What is wanted, and only others can turn on.
    later: Vec<String>,
}

impl<'a> Closure<'a> {
    /// Of a tree's options; those in `off` stay off.
    pub fn new(options: &'a Options, off: impl IntoIterator<Item = String>) -> Self {
        let mut selectors: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, definitions) in options {
            for (selected, _) in definitions.iter().flat_map(|it| &it.selects) {
                selectors.entry(selected).or_default().push(name);
            }
        }
        let mut closure = Self {
            options,
            set: BTreeSet::new(),
            on: BTreeSet::new(),
            off: off.into_iter().collect(),
            selectors,
            queue: VecDeque::new(),
            later: Vec::new(),
        };
        for name in ALWAYS {
            closure.turn_on(name.to_owned());
        }
        closure
    }

    /// Sets an option; one that only others select, by one of those, once it is known what else is on.
    pub fn want(&mut self, name: &str) {
        if self.is_free(name) {
            self.set(name);
        } else if self.options.contains_key(name) {
            self.later.push(name.to_owned());
        }
    }

    /// Turns on what depends. What is wanted by then counts where one of several would do.
    pub fn settle(&mut self) {
        loop {
            while let Some(name) = self.queue.pop_front() {
                self.follow(&name);
            }
            let Some(name) = self.later.pop() else { return };
            if self.on.contains(&name) {
                continue;
            }
            let selectors = self.selectors.get(name.as_str()).into_iter().flatten().copied();
            match selectors.clone().find(|selector| self.can_be_set(selector)) {
                Some(selector) => self.set(selector),
                None => self.turn_on(name),
            }
        }
    }

    /// Options that are on so far.
    pub fn on(&self) -> impl Iterator<Item = &str> {
        self.on.iter().map(String::as_str)
    }

    /// All options that must be set, in the order of their names.
    pub fn finish(mut self) -> BTreeSet<String> {
        for _ in 0..MOST_ROUNDS {
            let before = self.on.len();
            self.queue = self.on.iter().cloned().collect();
            self.settle();
            if self.on.len() == before {
                break;
            }
        }
        self.set
    }

    fn can_be_set(&self, name: &str) -> bool {
        self.is_free(name) && self.can_be_on(name)
    }

    /// Whether an option can be set by itself.
    fn is_free(&self, name: &str) -> bool {
        self.definitions(name).iter().any(|definition| definition.prompt)
    }

    fn definitions(&self, name: &str) -> &'a [Definition] {
        self.options.get(name).map_or(&[], Vec::as_slice)
    }

    fn set(&mut self, name: &str) {
        if self.off.contains(name) || NEVER.contains(&name) {
            return;
        }
        self.set.insert(name.to_owned());
        self.turn_on(name.to_owned());
    }

    fn turn_on(&mut self, name: String) {
        if self.on.insert(name.clone()) {
            self.queue.push_back(name);
        }
    }

    /// Turns on what an option depends on, and what it selects.
    fn follow(&mut self, name: &str) {
        let definitions = self.definitions(name);
        let conditions = |definition: &'a Definition| -> Vec<&'a Expression> {
            definition.depends.iter().map(Rc::as_ref).chain(&definition.prompt_if).collect()
        };
        // What is selected is on whatever it depends on.
        if self.set.contains(name) {
            let usable = |it: &&'a Definition| conditions(it).iter().all(|it| self.can_be(it, 0));
            let definition = definitions.iter().find(usable).or(definitions.first());
            for condition in definition.into_iter().flat_map(conditions) {
                self.demand(condition, 0);
            }
        }
        for (selected, when) in definitions.iter().flat_map(|it| &it.selects) {
            if when.as_ref().is_none_or(|when| self.holds(when, 0)) {
                self.turn_on(selected.clone());
            }
        }
    }

    /// Turns on what a condition needs.
    fn demand(&mut self, condition: &Expression, depth: usize) {
        if depth > DEEPEST || self.holds(condition, depth) {
            return;
        }
        match condition {
            Expression::All(parts) => parts.iter().for_each(|part| self.demand(part, depth + 1)),
            Expression::Any(parts) => {
                if let Some(part) = parts.iter().find(|part| self.can_be(part, depth + 1)) {
                    self.demand(part, depth + 1);
                }
            }
            Expression::Symbol(name) => self.demand_option(name, depth),
            Expression::Compared { symbol, value, equal } => {
                if is_on(value, *equal) == Some(true) {
                    self.demand_option(symbol, depth);
                }
            }
            Expression::Not(_) | Expression::Unknown => {}
        }
    }

    fn demand_option(&mut self, name: &str, depth: usize) {
        if self.is_free(name) {
            self.set(name);
        } else if let Some(definition) = self.definitions(name).iter().find(|it| it.default) {
            for condition in &definition.depends {
                self.demand(condition, depth + 1);
            }
        }
    }

    /// Whether a condition holds with what is on so far.
    fn holds(&self, condition: &Expression, depth: usize) -> bool {
        match condition {
            Expression::Symbol(name) => self.is_on(name, depth),
            Expression::Compared { symbol, value, equal } => match is_on(value, *equal) {
                Some(on) => self.is_on(symbol, depth) == on,
                None => true,
            },
            Expression::Not(inner) => !self.holds(inner, depth),
            Expression::All(parts) => parts.iter().all(|part| self.holds(part, depth)),
            Expression::Any(parts) => parts.iter().any(|part| self.holds(part, depth)),
            Expression::Unknown => true,
        }
    }

    fn is_on(&self, name: &str, depth: usize) -> bool {
        if self.on.contains(name) || name == "y" {
            return true;
        }
        // What nobody can set follows from its default.
        let follows = |it: &Definition| {
            it.default && it.depends.iter().all(|condition| self.holds(condition, depth + 1))
        };
        depth < 4 && !self.is_free(name) && self.definitions(name).iter().any(follows)
    }

    /// Whether a condition can be met.
    fn can_be(&self, condition: &Expression, depth: usize) -> bool {
        if self.holds(condition, depth) {
            return true;
        }
        match condition {
            Expression::Symbol(name) => self.can_be_on(name),
            Expression::Compared { symbol, value, equal } => {
                is_on(value, *equal) == Some(true) && self.can_be_on(symbol)
            }
            Expression::All(parts) => parts.iter().all(|part| self.can_be(part, depth)),
            Expression::Any(parts) => parts.iter().any(|part| self.can_be(part, depth)),
            Expression::Not(_) | Expression::Unknown => false,
        }
    }

    fn can_be_on(&self, name: &str) -> bool {
        let is_barred = NEVER.contains(&name) || self.off.contains(name);
        !is_barred && self.definitions(name).iter().any(|it| it.prompt || it.default)
    }
}

/// Whether a comparison asks for an option that is on, or off; neither where it asks for another value.
fn is_on(value: &str, equal: bool) -> Option<bool> {
    match value {
        "y" => Some(equal),
        "n" => Some(!equal),
        // Nothing is a module; what has to be one has to be there at least.
        "m" if equal => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::kconfig;
    use super::*;

    fn closure(text: &str, wanted: &[&str], off: &[&str]) -> Vec<String> {
        let options = kconfig::read("Kconfig", |path| (path == "Kconfig").then(|| text.to_owned()));
        let mut closure = Closure::new(&options, off.iter().map(|name| (*name).to_owned()));
        for name in wanted {
            closure.want(name);
        }
        closure.settle();
        closure.finish().into_iter().collect()
    }

    /// An option with a prompt, and its dependencies.
    fn option(name: &str, depends: &str) -> String {
        match depends {
            "" => format!("config {name}\n\tbool \"{name}\"\n"),
            _ => format!("config {name}\n\tbool \"{name}\"\n\tdepends on {depends}\n"),
        }
    }

    fn all(options: &[(&str, &str)]) -> String {
        options.iter().map(|(name, depends)| option(name, depends)).collect()
    }

    #[test]
    fn dependencies_are_pulled_in_to_the_last() {
        let text = all(&[("A", "B && C"), ("B", "D"), ("C", ""), ("D", ""), ("E", "")]);
        assert_eq!(closure(&text, &["A"], &[]), ["A", "B", "C", "D"]);
        assert_eq!(closure(&text, &["NONE"], &[]), [""; 0]);
    }

    #[test]
    fn of_alternatives_one_that_exists_is_taken() {
        let text = all(&[("A", "GONE || COMPILE_TEST || B || C"), ("B", ""), ("C", "")]);
        let text = text + &option("COMPILE_TEST", "");
        assert_eq!(closure(&text, &["A"], &[]), ["A", "B"]);
        assert_eq!(closure(&text, &["C", "A"], &[]), ["A", "C"], "one is there already");
        assert_eq!(closure(&text, &["A"], &["B"]), ["A", "C"], "the other one is to be off");
    }

    #[test]
    fn a_vrf_needs_the_tables_of_ipv6_where_there_is_ipv6() {
        let text = all(&[
            ("NET_VRF", "IP_TABLES && (IPV6_TABLES || IPV6=n)"),
            ("IP_TABLES", ""),
            ("IPV6_TABLES", "IPV6"),
            ("IPV6", ""),
        ]);
        assert_eq!(closure(&text, &["NET_VRF"], &[]), ["IP_TABLES", "NET_VRF"]);
        let with = ["IPV6", "IPV6_TABLES", "IP_TABLES", "NET_VRF"];
        assert_eq!(closure(&text, &["IPV6", "NET_VRF"], &[]), with);
        assert_eq!(closure(&text, &["NET_VRF", "IPV6"], &[]), with, "whichever comes first");
    }

    #[test]
    fn what_is_wanted_anyway_is_the_alternative_that_is_taken() {
        let text = all(&[("A", "B || C"), ("B", ""), ("C", "")]);
        assert_eq!(closure(&text, &["A", "C"], &[]), ["A", "C"]);
    }

    #[test]
    fn what_is_selected_needs_no_setting_and_may_hold_conditions() {
        let text =
            "config S\n\tbool\nconfig X86\n\tdef_bool y\n\tselect HAVE\nconfig HAVE\n\tbool\n"
                .to_owned()
                + "config A\n\tbool \"a\"\n\tselect S\n"
                + &all(&[("B", "S || C"), ("C", ""), ("D", "HAVE || C")]);
        assert_eq!(closure(&text, &["A", "B", "D"], &[]), ["A", "B", "D"]);
        assert_eq!(closure(&text, &["B"], &[]), ["B", "C"]);
        assert_eq!(closure(&text, &["S"], &[]), ["A"], "only A can turn it on");
        let text =
            text + "config AA\n\tbool \"aa\"\n\tselect S\nconfig AB\n\tbool \"ab\"\n\tselect S\n";
        assert_eq!(closure(&text, &["S", "AB"], &[]), ["AB"], "it is on already");
    }

    #[test]
    fn circles_and_dead_ends_end() {
        let text = all(&[("A", "B"), ("B", "A && GONE && MODULES"), ("MODULES", "")]);
        assert_eq!(closure(&text, &["A"], &["MODULES"]), ["A", "B"]);
    }
}
