//! What the store writes about a kernel: `meta.json` in its directory.

use std::fs;
use std::path::{Path, PathBuf};

use kbisect_core::kernel::Kernel;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::candidate::PackageRef;
use crate::commits::Built;
use crate::files;
use crate::import::boot::BootModules;
use crate::import::prepare::{BOOT, CONFIG, MODULES, SYSTEM_MAP, VMLINUZ};
use crate::modules::ModuleTree;
use crate::ready::{ReadyKernel, SOURCES};

const SCHEMA: &str = "kbisect.kernel/1";

/// Metadata of a stored kernel.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Meta {
    schema: String,
    pub kernel: Kernel,
    /// Where it was fetched from.
    #[serde(default)]
    pub packages: Vec<PackageRef>,
    /// How it was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built: Option<Built>,
    /// Release of the image; that of the module tree is the same.
    pub release: String,
    /// Boot modules, when there is a module tree.
    pub modules: Option<MetaModules>,
    pub size: u64,
}

/// What is known of a module tree.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MetaModules {
    /// File names in the boot archive, in order.
    pub boot_order: Vec<String>,
    pub missing: Vec<String>,
}

impl From<BootModules> for MetaModules {
    fn from(boot: BootModules) -> Self {
        Self { boot_order: boot.order, missing: boot.missing }
    }
}

impl Meta {
    /// Name of its file.
    pub const FILE: &str = "meta.json";

    /// Describes a kernel; its size is filled in when it is put into the store.
    pub fn new(
        kernel: Kernel,
        packages: Vec<PackageRef>,
        release: String,
        modules: Option<BootModules>,
    ) -> Self {
        let modules = modules.map(MetaModules::from);
        Self { schema: SCHEMA.to_owned(), kernel, packages, built: None, release, modules, size: 0 }
    }

    /// Says how it was built.
    pub fn built(self, built: Built) -> Self {
        Self { built: Some(built), ..self }
    }

    /// Reads the metadata of a directory; `None` when it holds no whole kernel.
    pub fn read(dir: &Path) -> Option<Self> {
        let meta = Self::parse(&dir.join(Self::FILE))?;
        let whole = dir.file_name().is_some_and(|name| *name == *meta.kernel.id.0)
            && dir.join(VMLINUZ).is_file()
            && (meta.modules.is_none() || dir.join(MODULES).is_file());
        whole.then_some(meta)
    }

    /// Reads a file of metadata; `None` when it is none of this version's.
    pub fn parse(path: &Path) -> Option<Self> {
        let meta: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        (meta.schema == SCHEMA).then_some(meta)
    }

    /// Writes the metadata in one step.
    pub fn write(&self, dir: &Path) -> Result<(), StoreError> {
        let path = dir.join(Self::FILE);
        let mut json = serde_json::to_vec_pretty(self).expect("plain texts and numbers");
        json.push(b'\n');
        files::write_atomically(&path, &json).map_err(StoreError::at(&path))
    }

    /// Makes a value for callers, without a lease.
    pub fn into_ready(self, dir: PathBuf) -> ReadyKernel {
        let existing = |name: &str| Some(dir.join(name)).filter(|path| path.is_file());
        ReadyKernel {
            vmlinuz: dir.join(VMLINUZ),
            config: existing(CONFIG),
            system_map: existing(SYSTEM_MAP),
            modules: self.modules.map(|modules| ModuleTree {
                release: self.release,
                image: dir.join(MODULES),
                boot_archive: dir.join(BOOT),
                boot_order: modules.boot_order,
                missing: modules.missing,
                index: dir.clone(),
                lookup: Default::default(),
            }),
            size: self.size,
            sources: existing(SOURCES),
            lease: None,
            built: self.built,
            kernel: self.kernel,
            dir,
        }
    }
}
