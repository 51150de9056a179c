//! A kernel in the store, ready to boot.

use std::path::PathBuf;

use kbisect_core::kernel::Kernel;

use crate::modules::ModuleTree;

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
}

impl ReadyKernel {
    /// Looks an option up in the kernel's configuration: `y`, `m`, a number or a text without its
    /// quotes. `None` when it is not set or the configuration is not known.
    #[must_use]
    pub fn config_value(&self, _option: &str) -> Option<String> {
        todo!()
    }

    /// Names what the kernel lacks for a boot under kbisect: neither built in nor a module. Without
    /// modules the configuration answers; without that, nothing is claimed to be missing.
    #[must_use]
    pub fn missing_for_boot(&self) -> Vec<String> {
        todo!()
    }
}
