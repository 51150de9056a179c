//! What would keep a kernel from loading a module, found before the boot.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::VariantError;
use crate::hash;
use crate::modules::{ModuleImage, Signature, read_file};
use crate::ready::ReadyKernel;

/// Symbols named in a message; the rest would say nothing new.
const SYMBOLS: usize = 3;

/// A module that is to replace one of the stock kernel.
#[derive(Debug)]
pub struct Replacement {
    pub path: PathBuf,
    pub image: ModuleImage,
    /// Its content, uncompressed.
    pub bytes: Vec<u8>,
    pub sha256: String,
}

/// Reads the modules, sorted by name.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Replacement>, VariantError> {
    let mut modules: BTreeMap<String, Replacement> = BTreeMap::new();
    for path in paths {
        let bytes =
            read_file(path).map_err(|source| VariantError::Read { path: path.clone(), source })?;
        let image = ModuleImage::parse(&bytes, &stem(path))
            .map_err(|reason| VariantError::NotAModule { path: path.clone(), reason })?;
        let module = image.name.clone();
        let sha256 = hash::of_bytes(&bytes);
        let new = Replacement { path: path.clone(), image, bytes, sha256 };
        if let Some(first) = modules.insert(module.clone(), new) {
            return Err(VariantError::Twice { module, first: first.path, second: path.clone() });
        }
    }
    Ok(modules.into_values().collect())
}

/// Checks a signature against what the kernel asks for; gives what the user should know. Whether
/// the kernel knows the key cannot be told without booting it.
pub fn signature(
    module: &Replacement,
    base: &ReadyKernel,
    cmdline: &[String],
) -> Result<Option<String>, VariantError> {
    let name = base.kernel.label();
    let set = |option: &str| base.config_value(option).as_deref() == Some("y");
    let enforced_by = enforcing_word(cmdline)
        .map(|word| format!("`{word}` on its command line"))
        .or_else(|| set("MODULE_SIG_FORCE").then(|| "CONFIG_MODULE_SIG_FORCE".to_owned()));
    let refused =
        |reason: String| Err(VariantError::Signature { path: module.path.clone(), reason });
    let file = module.path.display();
    match (module.image.signature, enforced_by) {
        // To the kernel this is an error of its own, whether it wants signatures or not.
        (Signature::Damaged, by) if by.is_some() || set("MODULE_SIG") => {
            refused(format!("ends with a damaged signature, which {name} refuses"))
        }
        (Signature::Absent, Some(by)) => {
            refused(format!("is not signed, and {name} loads signed modules only ({by})"))
        }
        (Signature::Present, Some(by)) => Ok(Some(format!(
            "{name} loads signed modules only ({by}); whether it knows the key of `{file}` is not seen \
             before it is loaded"
        ))),
        (Signature::Absent, None) if set("MODULE_SIG") => Ok(Some(format!(
            "`{file}` is not signed: {name} loads it all the same, and counts as tainted then"
        ))),
        _ => Ok(None),
    }
}

/// Compares a module with the one that it replaces.
pub fn against(
    module: &Replacement,
    original: &[u8],
    base: &ReadyKernel,
) -> Result<(), VariantError> {
    let found = &module.image;
    let vermagic = |wanted: &str| {
        Err(VariantError::Vermagic {
            path: module.path.clone(),
            base: base.kernel.label().to_owned(),
            found: found.vermagic.trim_end().to_owned(),
            wanted: wanted.trim_end().to_owned(),
        })
    };
    let Ok(original) = ModuleImage::parse(original, &found.name) else {
        // Without the stock module's own word the release is what must fit.
        let release = base.kernel.release.as_deref().unwrap_or_default();
        return if found.release() == release { Ok(()) } else { vermagic(release) };
    };
    if found.vermagic != original.vermagic {
        return vermagic(&original.vermagic);
    }
    let mut symbols: Vec<String> = found
        .versions
        .iter()
        .filter(|(name, checksum)| original.versions.get(*name).is_some_and(|c| c != *checksum))
        .map(|(name, _)| name.clone())
        .collect();
    if symbols.is_empty() {
        return Ok(());
    }
    let more = symbols.len().saturating_sub(SYMBOLS);
    symbols.truncate(SYMBOLS);
    if more > 0 {
        symbols.push(format!("{more} more"));
    }
    let path = module.path.clone();
    Err(VariantError::Symbols { path, base: base.kernel.label().to_owned(), symbols })
}

/// The word of a command line that makes the kernel refuse unsigned modules
/// (Documentation/admin-guide/module-signing.rst, security/lockdown).
fn enforcing_word(cmdline: &[String]) -> Option<&str> {
    cmdline.iter().map(String::as_str).find(|word| match word.split_once('=') {
        Some(("module.sig_enforce", value)) => matches!(value, "1" | "y" | "Y"),
        Some(("lockdown", value)) => matches!(value, "integrity" | "confidentiality"),
        None => *word == "module.sig_enforce",
        Some(_) => false,
    })
}

/// The name of a module file without `.ko` and its compression.
fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split_once(".ko").map_or(&*name, |(stem, _)| stem).to_owned()
}
