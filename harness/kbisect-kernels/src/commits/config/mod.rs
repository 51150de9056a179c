//! The smallest configuration of a kernel that can be asked about a scenario: what every machine needs, what
//! the scenario names, and what these depend on in the tree at hand. All of it is built in.

mod depends;
mod expression;
mod features;
mod kconfig;
mod machine;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use kbisect_core::scenario::KernelNeeds;

use depends::Closure;
use tree::Tree;

/// A configuration for one tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Derived {
    /// Options of the tree by name, without `CONFIG_`: `y`, `n`, a number, or a text in quotes.
    pub options: BTreeMap<String, String>,
    /// Modules and configuration symbols that the scenario requires and the tree does not have.
    pub unknown: Vec<String>,
}

/// Derives the configuration for a source tree. Options that the tree does not have are left out.
///
/// # Errors
/// The folder cannot be read, or is no kernel's source tree.
pub fn derive(tree: &Path, needs: &KernelNeeds) -> io::Result<Derived> {
    let tree = Tree::read(tree)?;
    let mut off: BTreeSet<&str> = machine::OFF.iter().copied().collect();
    let mut wanted: Vec<String> = Vec::new();
    let mut unknown = Vec::new();
    wanted.extend(machine::SET.iter().copied().flatten().map(|name| (*name).to_owned()));
    if needs.crypto_tests {
        wanted.extend(machine::CRYPTO_TESTS.iter().map(|name| (*name).to_owned()));
        off.insert(machine::NO_CRYPTO_TESTS);
    }
    for module in &needs.modules {
        let options = features::of_module(module, &tree);
        if options.is_empty() && !is_in(&wanted, module) {
            unknown.push(module.clone());
        }
        wanted.extend(options.into_iter().map(str::to_owned));
    }
    for module in &needs.optional {
        wanted.extend(features::of_module(module, &tree).into_iter().map(str::to_owned));
    }
    wanted.extend(features::of_words(needs, &tree));
    for symbol in &needs.config {
        off.remove(symbol.as_str());
        match tree.has(symbol) {
            true => wanted.push(symbol.clone()),
            false => unknown.push(format!("CONFIG_{symbol}")),
        }
    }
    let set = close(&tree, &wanted, &off);
    let mut options: BTreeMap<String, String> =
        set.into_iter().map(|name| (name, "y".to_owned())).collect();
    options.extend(off.into_iter().map(|name| (name.to_owned(), "n".to_owned())));
    let values = machine::VALUES.iter();
    options.extend(values.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    options.retain(|name, _| tree.has(name));
    Ok(Derived { options, unknown })
}

/// What must be set for all these, with what belongs to them.
fn close(tree: &Tree, wanted: &[String], off: &BTreeSet<&str>) -> BTreeSet<String> {
    let off = off.iter().map(|name| (*name).to_owned());
    let mut closure = Closure::new(&tree.options, off);
    for name in wanted {
        closure.want(name);
    }
    closure.settle();
    // What belongs to an option may have companions of its own.
    let mut seen = BTreeSet::new();
    loop {
        let new: Vec<String> =
            closure.on().filter(|name| !seen.contains(*name)).map(str::to_owned).collect();
        if new.is_empty() {
            break;
        }
        for companion in new.iter().flat_map(|name| features::companions(name)) {
            closure.want(companion);
        }
        closure.settle();
        seen.extend(new);
    }
    closure.finish()
}

/// Whether a module is what the machine has anyway: `virtio_net`, `overlay`.
fn is_in(wanted: &[String], module: &str) -> bool {
    let upper = module.replace('-', "_").to_ascii_uppercase();
    wanted.contains(&upper)
}

/// The option that a line of a configuration sets, without `CONFIG_`; `n` is the value of one that it leaves out.
pub fn option(line: &str) -> Option<(&str, &str)> {
    match line.strip_prefix("# CONFIG_") {
        Some(unset) => Some((unset.strip_suffix(" is not set")?, "n")),
        None => line.strip_prefix("CONFIG_")?.split_once('='),
    }
}

impl Derived {
    /// Prints it as a file for `make KCONFIG_ALLCONFIG=FILE allnoconfig`.
    pub fn fragment(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.options {
            let _ = match value.as_str() {
                "n" => writeln!(text, "# CONFIG_{name} is not set"),
                _ => writeln!(text, "CONFIG_{name}={value}"),
            };
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn tree(kconfig: &str, makefile: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("net")).unwrap();
        fs::write(dir.path().join("Kconfig"), kconfig).unwrap();
        fs::write(dir.path().join("net/Makefile"), makefile).unwrap();
        dir
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    const KCONFIG: &str = "\
config MODULES
	bool \"modules\"
config NR_CPUS
	int \"cpus\"
config LOCALVERSION
	string \"v\"
config NET
	bool \"net\"
if NET
config FOO
	tristate \"foo\"
	depends on BAR || BAZ
config BAZ
	bool \"baz\"
config NF_TABLES
	tristate \"nf_tables\"
config NFT_CT
	tristate \"ct\"
	depends on NF_TABLES && NF_CONNTRACK
config NF_CONNTRACK
	tristate \"conntrack\"
config NF_CONNTRACK_PROCFS
	bool \"p\"
	depends on NF_CONNTRACK
endif
config UNRELATED
	bool \"u\"
";

    #[test]
    fn the_machine_the_scenario_and_what_they_depend_on() {
        let tree =
            tree(KCONFIG, "obj-$(CONFIG_FOO) += foo.o\nobj-$(CONFIG_NF_TABLES) += nf_tables.o\n");
        let needs = KernelNeeds {
            modules: set(&["foo", "nf_tables", "nosuch", "virtio_net"]),
            optional: set(&["nosuch_either"]),
            config: set(&["NO_SYMBOL"]),
            ..KernelNeeds::default()
        };
        let derived = derive(tree.path(), &needs).unwrap();
        assert_eq!(derived.unknown, ["nosuch", "CONFIG_NO_SYMBOL"]);
        let expected = "\
CONFIG_BAZ=y
CONFIG_FOO=y
CONFIG_LOCALVERSION=\"\"
# CONFIG_MODULES is not set
CONFIG_NET=y
CONFIG_NFT_CT=y
CONFIG_NF_CONNTRACK=y
CONFIG_NF_CONNTRACK_PROCFS=y
CONFIG_NF_TABLES=y
CONFIG_NR_CPUS=8
";
        assert_eq!(derived.fragment(), expected);
    }

    #[test]
    fn a_symbol_that_the_scenario_requires_is_not_turned_off() {
        let tree = tree(KCONFIG, "");
        let needs =
            KernelNeeds { config: set(&["MODULES", "UNRELATED"]), ..KernelNeeds::default() };
        let options = derive(tree.path(), &needs).unwrap().options;
        assert_eq!(options["UNRELATED"], "y");
        assert_ne!(options.get("MODULES").map(String::as_str), Some("n"));
    }

    #[test]
    fn no_tree_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(derive(dir.path(), &KernelNeeds::default()).is_err());
    }
}
