//! The module tree of a kernel: what it provides, and in which order modules load.

mod alias;
pub(crate) mod image;
pub(crate) mod lookup;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub(crate) use image::{ModuleImage, Signature, read_file};
pub(crate) use lookup::{FILES as INDEX_FILES, Lookup};

/// A kernel's modules as the store keeps them.
#[derive(Clone, Debug)]
pub struct ModuleTree {
    /// `uname -r`; the tree belongs at `/lib/modules/RELEASE`.
    pub release: String,
    /// Squashfs image of that directory (its root is the directory itself), modules uncompressed.
    pub image: PathBuf,
    /// newc cpio archive, uncompressed, with the modules needed to mount the root file system and
    /// to talk to the harness: `kbisect/modules/NN-name.ko`, and `kbisect/modules/order`.
    pub boot_archive: PathBuf,
    /// File names in `kbisect/modules/`, in the order in which they are to be inserted.
    pub boot_order: Vec<String>,
    /// Modules needed for the boot that the kernel has neither built in nor as a module. Empty for
    /// a kernel that can be tested.
    pub missing: Vec<String>,
    /// Directory of the text files that depmod made.
    pub(crate) index: PathBuf,
    pub(crate) lookup: Arc<OnceLock<Lookup>>,
}

/// Where a kernel has a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provided {
    /// Built in.
    Builtin,
    /// As a loadable module.
    Module,
    /// Nowhere.
    Missing,
}

/// A kernel lacks a module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("kernel {release} has no module `{module}`")]
pub struct MissingModule {
    /// Release of the kernel.
    pub release: String,
    /// Module name as it was asked for.
    pub module: String,
}

impl ModuleTree {
    /// Says where the kernel has a module, by name (`-` and `_` are the same) or by alias.
    pub fn provides(&self, module: &str) -> Provided {
        self.lookup().provides(module)
    }

    /// Lists the modules to insert so that all of `names` are there: dependencies first, paths
    /// relative to `/lib/modules/RELEASE`. What is built in is left out.
    ///
    /// # Errors
    /// [`MissingModule`] for the first name that the kernel has nowhere.
    pub fn closure(&self, names: &[&str]) -> Result<Vec<PathBuf>, MissingModule> {
        self.lookup()
            .closure(names)
            .map_err(|module| MissingModule { release: self.release.clone(), module })
    }

    /// Where the file of a module is, relative to `/lib/modules/RELEASE`, by its name alone.
    pub(crate) fn file(&self, module: &str) -> Option<&Path> {
        self.lookup().file(module)
    }

    /// The one of all modules whose name is nearly this.
    pub(crate) fn nearest(&self, module: &str) -> Option<String> {
        self.lookup().nearest(module)
    }

    fn lookup(&self) -> &Lookup {
        // The files lie in the store beside the image; should they be gone, all is missing.
        self.lookup.get_or_init(|| Lookup::read(&self.index))
    }
}
