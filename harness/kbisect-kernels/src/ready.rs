//! A kernel in the store, ready to boot.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;

use kbisect_core::kernel::Kernel;

use crate::commits::Built;
use crate::import::boot;
use crate::modules::{ModuleTree, Provided};

/// In its directory: the files that it was made from.
pub const SOURCES: &str = "sources";

/// A kernel in the store, ready to boot.
#[derive(Clone, Debug)]
pub struct ReadyKernel {
    /// Identity.
    pub kernel: Kernel,
    /// Its directory in the store. Nothing in there is to be changed.
    pub dir: PathBuf,
    /// The bzImage.
    pub vmlinuz: PathBuf,
    /// The kernel's configuration, when it is known.
    pub config: Option<PathBuf>,
    /// Symbol table, when there is one.
    pub system_map: Option<PathBuf>,
    /// Modules; `None` when all is built in.
    pub modules: Option<ModuleTree>,
    /// Bytes that it takes in the store.
    pub size: u64,
    /// How it was built, where it is a commit of a git tree.
    pub built: Option<Built>,
    /// List of the files that it was made from, one a line, where that is known.
    pub sources: Option<PathBuf>,
    /// Keeps the kernel from being pruned: an open file with a shared lock.
    #[expect(dead_code, reason = "held for its lock alone")]
    pub(crate) lease: Option<Arc<File>>,
}

impl ReadyKernel {
    /// Words that a variant adds to the kernel's command line.
    pub fn cmdline(&self) -> &[String] {
        self.kernel.variant.as_ref().map_or(&[], |variant| &variant.cmdline)
    }

    /// Files of its tree that it was made from, as paths below the tree, where that is known.
    pub fn sources(&self) -> Option<BTreeSet<String>> {
        let text = fs::read_to_string(self.sources.as_ref()?).ok()?;
        let files: BTreeSet<String> = text.lines().map(str::to_owned).collect();
        Some(files).filter(|files| !files.is_empty())
    }

    /// Looks an option up in the kernel's configuration (with or without `CONFIG_`): `y`, `m`, a
    /// number, or a text without its quotes. `None` when it is not set, or the configuration is not
    /// known.
    pub fn config_value(&self, option: &str) -> Option<String> {
        config_value(&fs::read_to_string(self.config.as_ref()?).ok()?, option)
    }

    /// Names what the kernel lacks for a boot under kbisect: neither built in nor a module. Without
    /// modules the configuration answers; without that, nothing is claimed to be missing.
    pub fn missing_for_boot(&self) -> Vec<String> {
        if let Some(tree) = &self.modules {
            return tree.missing.clone();
        }
        let Some(text) = self.config.as_ref().and_then(|path| fs::read_to_string(path).ok()) else {
            return Vec::new();
        };
        boot::missing(|module| {
            let built_in = boot::option_of(module)
                .is_some_and(|o| config_value(&text, o).as_deref() == Some("y"));
            if built_in { Provided::Builtin } else { Provided::Missing }
        })
    }

    /// Says whether the kernel has a feature, by the name of its module: from the module tree, else
    /// from its configuration when `option` names what turns it on. `None` when neither is known.
    pub fn provides(&self, module: &str, option: Option<&str>) -> Option<Provided> {
        if let Some(tree) = &self.modules {
            return Some(tree.provides(module));
        }
        let text = fs::read_to_string(self.config.as_ref()?).ok()?;
        let value = config_value(&text, option?);
        // Without its modules, `m` is as good as nothing.
        Some(if value.as_deref() == Some("y") { Provided::Builtin } else { Provided::Missing })
    }
}

pub(crate) fn config_value(text: &str, option: &str) -> Option<String> {
    let option = option.strip_prefix("CONFIG_").unwrap_or(option);
    text.lines().find_map(|line| {
        let value = line.strip_prefix("CONFIG_")?.strip_prefix(option)?.strip_prefix('=')?;
        Some(value.trim().trim_matches('"').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_values() {
        let text = "# CONFIG_9P_FS is not set\nCONFIG_VIRTIO=y\nCONFIG_VIRTIO_BLK=m\nCONFIG_HZ=250\n\
                    CONFIG_LOCALVERSION=\"-x\"\n";
        let value = |option: &str| config_value(text, option);
        assert_eq!(value("CONFIG_VIRTIO").as_deref(), Some("y"));
        assert_eq!(value("VIRTIO_BLK").as_deref(), Some("m"));
        assert_eq!(value("LOCALVERSION").as_deref(), Some("-x"));
        assert_eq!(value("9P_FS"), None);
        assert_eq!(value("VIRT"), None);
    }
}
