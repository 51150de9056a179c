//! From a stored kernel and what is to differ to another stored kernel.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kbisect_core::kernel::{Kernel, KernelId, Variant};

use super::VariantError;
use super::check::{self, Replacement};
use crate::files::at;
use crate::hash;
use crate::import::ImportError;
use crate::import::boot::BootModules;
use crate::import::prepare::{self, BOOT, CONFIG, MODULES, SYSTEM_MAP, VMLINUZ};
use crate::import::sink::module_dir;
use crate::modules::{INDEX_FILES, ModuleTree, Provided};
use crate::progress::Progress;
use crate::ready::ReadyKernel;
use crate::store::add::claim_name;
use crate::store::{AddError, Lock, Meta, Store, StoreError};
use crate::tools::Tool;

/// What is to differ from which kernel.
#[derive(Debug, Clone)]
pub struct VariantRequest {
    /// The stock kernel, or another variant.
    pub base: ReadyKernel,
    /// Modules that replace those of the same name: `.ko`, `.ko.xz`, `.ko.zst`, `.ko.gz`.
    pub modules: Vec<PathBuf>,
    /// Words added to the kernel's command line.
    pub cmdline: Vec<String>,
    /// Name to find it by. Without one it would be taken for the stock kernel.
    pub name: String,
    /// Whether the name may be taken away from the kernel that has it.
    pub replace: bool,
}

/// A variant in the store.
#[derive(Debug, Clone)]
pub struct AddedVariant {
    /// The variant.
    pub kernel: ReadyKernel,
    /// What the user should know, one line each.
    pub notes: Vec<String>,
}

impl Store {
    /// Adds a variant of a stored kernel: modules replaced, words added to its command line. What
    /// would keep the kernel from loading a module is found here, not in a trial.
    pub fn add_variant(
        &self,
        request: &VariantRequest,
        progress: &dyn Progress,
    ) -> Result<AddedVariant, VariantError> {
        let base = &request.base;
        if request.modules.is_empty() && request.cmdline.is_empty() {
            let base = base.kernel.label().to_owned();
            return Err(VariantError::NoDifference(base));
        }
        if let Some(word) = request.cmdline.iter().find(|word| !is_word(word)) {
            return Err(VariantError::Word(word.clone()));
        }
        let modules = check::read(&request.modules)?;
        let variant = describe(base, &modules, &request.cmdline);
        let mut notes = Vec::new();
        for module in &modules {
            in_tree(module, base)?;
            notes.extend(check::signature(module, base, &variant.cmdline)?);
        }
        let id = identity(base, &modules, &request.cmdline);
        let path = self.lock_of(&id);
        let what = "waiting for another kbisect that is adding the same kernel";
        let _lock = Lock::wait(&path, progress, what).map_err(StoreError::at(&path))?;
        claim_name(self, &id, &request.name, request.replace)?;
        let kernel = match self.get(&id) {
            Some(ready) => rename(self, ready, &request.name)?,
            None => self.put(&id, |work, out| {
                let what = format!("making {}", request.name);
                let _item = progress.begin(&what, None);
                let kernel = Kernel {
                    source: variant.to_string(),
                    id: id.clone(),
                    name: Some(request.name.clone()),
                    variant: Some(variant),
                    ..base.kernel.clone()
                };
                make(self, base, &modules, kernel, work, out)
            })?,
        };
        Ok(AddedVariant { kernel, notes })
    }
}

/// How the variant differs from the stock kernel, whatever lies between.
fn describe(base: &ReadyKernel, modules: &[Replacement], cmdline: &[String]) -> Variant {
    let mut variant = base.kernel.variant.clone().unwrap_or_else(|| Variant {
        base: base.kernel.package_version.clone(),
        base_id: base.kernel.id.clone(),
        modules: Vec::new(),
        cmdline: Vec::new(),
    });
    variant.modules.extend(modules.iter().map(|module| module.image.name.clone()));
    variant.modules.sort();
    variant.modules.dedup();
    variant.cmdline.extend_from_slice(cmdline);
    variant
}

/// Hash over the base's id, the modules' contents and the added words: the same difference is the
/// same kernel, whatever it is called and however its files were compressed.
fn identity(base: &ReadyKernel, modules: &[Replacement], cmdline: &[String]) -> KernelId {
    let mut text = format!("variant\nbase {}\n", base.kernel.id);
    for module in modules {
        text.push_str(&format!("module {} {}\n", module.image.name, module.sha256));
    }
    for word in cmdline {
        text.push_str(&format!("word {word}\n"));
    }
    KernelId(hash::of_bytes(text.as_bytes()))
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Refuses a module that the base does not have as one.
fn in_tree(module: &Replacement, base: &ReadyKernel) -> Result<(), VariantError> {
    let name = &module.image.name;
    let (path, kernel) = (module.path.clone(), base.kernel.label().to_owned());
    let tree = base.modules.as_ref();
    if tree.is_some_and(|tree| tree.file(name).is_some()) {
        return Ok(());
    }
    Err(match tree.map(|tree| tree.provides(name)) {
        Some(Provided::Builtin) => {
            VariantError::BuiltIn { path, module: name.clone(), base: kernel }
        }
        _ => VariantError::NotInBase {
            path,
            module: name.clone(),
            base: kernel,
            near: tree.and_then(|tree| tree.nearest(name)),
        },
    })
}

/// Gives a variant that is there already the name that was asked for now.
fn rename(store: &Store, ready: ReadyKernel, name: &str) -> Result<ReadyKernel, StoreError> {
    let Some(mut meta) = Meta::read(&ready.dir) else { return Ok(ready) };
    meta.kernel.name = Some(name.to_owned());
    meta.write(&ready.dir)?;
    Ok(store.get(&ready.kernel.id).unwrap_or(ready))
}

fn make(
    store: &Store,
    base: &ReadyKernel,
    modules: &[Replacement],
    kernel: Kernel,
    work: &Path,
    out: &Path,
) -> Result<Meta, VariantError> {
    let import = |error| VariantError::Add(AddError::of_import(store.dir(), error));
    for name in [VMLINUZ, CONFIG, SYSTEM_MAP] {
        share(base, name, out).map_err(import)?;
    }
    let release = base.modules.as_ref().map(|tree| tree.release.clone());
    let release = release.or_else(|| kernel.release.clone()).unwrap_or_default();
    let boot = match &base.modules {
        Some(tree) if modules.is_empty() => {
            for name in INDEX_FILES.into_iter().chain([MODULES, BOOT]) {
                share(base, name, out).map_err(import)?;
            }
            let (order, missing) = (tree.boot_order.clone(), tree.missing.clone());
            Some(BootModules { order, missing })
        }
        Some(tree) => {
            unpack(tree, work).map_err(import)?;
            for module in modules {
                replace(module, base, tree, work)?;
            }
            let config = base.config.as_ref().and_then(|path| fs::read_to_string(path).ok());
            let boot = prepare::prepare_modules(work, &tree.release, config.as_deref(), out);
            Some(boot.map_err(import)?)
        }
        None => None,
    };
    Ok(Meta::new(kernel, Vec::new(), release, boot))
}

/// Puts a file of the base into the variant: what is equal takes no room twice.
fn share(base: &ReadyKernel, name: &str, out: &Path) -> Result<(), ImportError> {
    let (from, to) = (base.dir.join(name), out.join(name));
    match fs::hard_link(&from, &to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Some file systems have no hard links.
        Err(_) => Ok(fs::copy(&from, &to).map(drop).map_err(at(&from))?),
        Ok(()) => Ok(()),
    }
}

fn unpack(tree: &ModuleTree, work: &Path) -> Result<(), ImportError> {
    let target = module_dir(work, &tree.release);
    let parent = target.parent().unwrap_or(work);
    fs::create_dir_all(parent).map_err(at(parent))?;
    let mut args: Vec<OsString> =
        ["-no-progress", "-no-xattrs", "-dest"].map(OsString::from).to_vec();
    args.extend([target.into(), tree.image.clone().into()]);
    Tool::Unsquashfs.run(&args)?;
    Ok(())
}

fn replace(
    module: &Replacement,
    base: &ReadyKernel,
    tree: &ModuleTree,
    work: &Path,
) -> Result<(), VariantError> {
    let file = tree.file(&module.image.name).unwrap_or(Path::new(""));
    let target = module_dir(work, &tree.release).join(file);
    let read = |path: &Path| fs::read(path).map_err(StoreError::at(path));
    check::against(module, &read(&target)?, base)?;
    // The unpacked file may be read-only.
    fs::remove_file(&target).map_err(StoreError::at(&target))?;
    fs::write(&target, &module.bytes).map_err(StoreError::at(&target))?;
    Ok(())
}
