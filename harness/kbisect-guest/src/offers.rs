//! What the kernel offers, as far as it can be told from within.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use kbisect_proto::Feature;

use crate::mounts::MODULES;
use crate::programs::PATH;

/// The features that the kernel lacks, by name. It has said already that it does not know them, so
/// what cannot be found anywhere is lacking.
pub fn lacking(features: &[Feature]) -> Vec<String> {
    let known = Known::read();
    let missing = features.iter().filter(|feature| !known.offers(feature));
    missing.map(|feature| feature.name.clone()).collect()
}

/// What there is to be read of the kernel.
#[derive(Default)]
struct Known {
    /// Its configuration, where it shows that (`CONFIG_IKCONFIG_PROC`).
    config: Option<String>,
    /// Its module tree: `modules.dep`, `modules.builtin`, `modules.alias` (modules.dep(5) and kmod).
    dep: String,
    builtin: String,
    alias: String,
    /// Its functions, where it shows those (`CONFIG_KALLSYMS`): what is built in and has no parameters
    /// is nowhere else to be seen.
    symbols: String,
}

impl Known {
    fn read() -> Self {
        let tree =
            |name: &str| fs::read_to_string(Path::new(MODULES).join(name)).unwrap_or_default();
        let unpacked = Command::new("gzip")
            .args(["-dc", "/proc/config.gz"])
            .env("PATH", PATH)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output();
        let config = unpacked.ok().filter(|output| output.status.success());
        Self {
            config: config.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()),
            dep: tree("modules.dep"),
            builtin: tree("modules.builtin"),
            alias: tree("modules.alias"),
            symbols: fs::read_to_string("/proc/kallsyms").unwrap_or_default(),
        }
    }

    fn offers(&self, feature: &Feature) -> bool {
        let config = self.config.as_ref().filter(|_| !feature.config.is_empty());
        let values = config.map(|text| {
            feature.config.iter().filter_map(|symbol| value(text, symbol)).collect::<Vec<_>>()
        });
        match values {
            Some(values) if values.contains(&"y") => true,
            Some(values) if values.is_empty() => false,
            // As a module, it has to be there too.
            Some(_) => feature.modules.iter().any(|name| self.has_module(name)),
            None => {
                feature.modules.iter().any(|name| self.has_module(name) || self.has_symbol(name))
            }
        }
    }

    fn has_module(&self, name: &str) -> bool {
        let alias = |line: &str| {
            let mut words = line.split_whitespace();
            words.next() == Some("alias") && words.next() == Some(name)
        };
        let lines = self.dep.lines().map(|line| line.split(':').next().unwrap_or_default());
        lines.chain(self.builtin.lines()).any(|path| is_named(path, name))
            || self.alias.lines().any(alias)
            || Path::new("/sys/module").join(name.replace('-', "_")).exists()
    }

    /// Whether a function is called so, or begins so, as `vrf_newlink` and `nft_connlimit_eval` do.
    fn has_symbol(&self, name: &str) -> bool {
        let name = name.replace('-', "_");
        let prefix = format!("{name}_");
        self.symbols.lines().any(|line| {
            line.split_whitespace()
                .nth(2)
                .is_some_and(|symbol| symbol == name || symbol.starts_with(&prefix))
        })
    }
}

fn is_named(path: &str, name: &str) -> bool {
    let stem = path.rsplit('/').next().and_then(|file| file.split('.').next());
    stem.is_some_and(|stem| stem.replace('-', "_") == name.replace('-', "_"))
}

/// The value of a symbol; none where it is not set.
fn value<'a>(config: &'a str, symbol: &str) -> Option<&'a str> {
    config.lines().find_map(|line| line.strip_prefix(symbol)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vrf() -> Feature {
        Feature {
            name: "vrf".to_owned(),
            config: vec!["CONFIG_NET_VRF".to_owned()],
            modules: vec!["rtnl-link-nosuchvrf".to_owned(), "nosuchvrf".to_owned()],
        }
    }

    #[test]
    fn the_configuration_decides_where_it_is_known() {
        let known = |text: &str| Known { config: Some(text.to_owned()), ..Known::default() };
        assert!(known("CONFIG_NET=y\nCONFIG_NET_VRF=y\n").offers(&vrf()));
        assert!(!known("CONFIG_NET=y\n# CONFIG_NET_VRF is not set\n").offers(&vrf()));
        assert!(!known("CONFIG_NET_VRFX=y\n").offers(&vrf()));
        assert!(!known("CONFIG_NET_VRF=m\n").offers(&vrf()), "its module is not there");
        let tree = Known {
            dep: "kernel/drivers/net/nosuchvrf.ko.xz: \n".to_owned(),
            ..known("CONFIG_NET_VRF=m\n")
        };
        assert!(tree.offers(&vrf()));
    }

    #[test]
    fn else_modules_and_functions_tell() {
        assert!(!Known::default().offers(&vrf()));
        for known in [
            Known { builtin: "kernel/drivers/net/nosuchvrf.ko\n".to_owned(), ..Known::default() },
            Known { alias: "alias rtnl-link-nosuchvrf nosuchvrf\n".to_owned(), ..Known::default() },
            Known { symbols: "ffffffff81 t nosuchvrf_newlink\n".to_owned(), ..Known::default() },
        ] {
            assert!(known.offers(&vrf()));
        }
    }
}
