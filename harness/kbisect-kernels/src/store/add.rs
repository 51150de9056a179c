//! Kernels of one's own: `kbisect kernels add`.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use kbisect_core::kernel::{Kernel, KernelId};
use kbisect_core::version::PackageVersion;
use regex::Regex;

use super::{AddError, Lock, Meta, Store, StoreError};
use crate::archive::builds::id_of_packages;
use crate::files::at;
use crate::hash;
use crate::import::bzimage::Banner;
use crate::import::prepare::{self, Modules};
use crate::import::sink::Sink;
use crate::import::tree::Tree;
use crate::import::{ImportError, deb, package};
use crate::progress::Progress;
use crate::ready::ReadyKernel;

/// What to add.
#[derive(Debug, Clone, Default)]
pub struct AddRequest {
    /// One vmlinuz, one or several packages (`.deb`, `.rpm`), or one directory.
    pub inputs: Vec<PathBuf>,
    /// Module tree of a vmlinuz: the directory `lib/modules/RELEASE`, or one that holds it.
    pub modules: Option<PathBuf>,
    /// Name to find it by (`--as`).
    pub name: Option<String>,
    /// Whether the name may be taken away from the kernel that has it.
    pub replace: bool,
    /// Version, in place of the one in the image (`--version`).
    pub version: Option<String>,
}

enum Inputs {
    Packages(Vec<PathBuf>),
    Files(Tree),
}

impl Store {
    /// Adds a kernel from files. The same content twice is one kernel.
    pub fn add(
        &self,
        request: &AddRequest,
        progress: &dyn Progress,
    ) -> Result<ReadyKernel, AddError> {
        let import_error = |error| AddError::of_import(self.dir(), error);
        let version = request.version.as_deref().map(given_version).transpose()?;
        let source = classify(request, self)?;
        let id = source.id().map_err(import_error)?;
        let path = self.lock_of(&id);
        let what = "waiting for another kbisect that is adding the same kernel";
        let _lock = Lock::wait(&path, progress, what).map_err(StoreError::at(&path))?;
        if let Some(name) = &request.name {
            claim_name(self, &id, name, request.replace)?;
        }
        if let Some(ready) = self.get(&id) {
            return relabel(self, ready, request, version);
        }
        let place = source.place();
        self.put(&id, |work, out| {
            let _item = progress.begin(&format!("importing {place}"), None);
            let mut sink = Sink::new(work);
            let modules = source.modules();
            source.feed(&mut sink).map_err(import_error)?;
            let found = sink.finish().map_err(import_error)?;
            let prepared =
                prepare::prepare(work, &found, modules, &place, out).map_err(import_error)?;
            let kernel = describe(&prepared.banner, id.clone(), request, version)?;
            Ok(Meta::new(kernel, Vec::new(), prepared.banner.release, prepared.modules))
        })
    }
}

/// Gives a kernel that is there already the name or version that was asked for now.
fn relabel(
    store: &Store,
    ready: ReadyKernel,
    request: &AddRequest,
    version: Option<PackageVersion>,
) -> Result<ReadyKernel, AddError> {
    if request.name.is_none() && version.is_none() {
        return Ok(ready);
    }
    let Some(mut meta) = Meta::read(&ready.dir) else { return Ok(ready) };
    if let Some(version) = version {
        meta.kernel.version = version.upstream().to_owned();
        meta.kernel.package_version = version;
    }
    meta.kernel.name = request.name.clone().or(meta.kernel.name);
    meta.write(&ready.dir)?;
    Ok(store.get(&ready.kernel.id).unwrap_or(ready))
}

fn classify(request: &AddRequest, store: &Store) -> Result<Inputs, AddError> {
    let inputs = request.inputs.iter().chain(&request.modules);
    if let Some(path) = inputs.clone().find(|path| !path.exists()) {
        return Err(AddError::NotThere(path.clone()));
    }
    let import_error = |error| AddError::of_import(store.dir(), error);
    let modules = request.modules.as_deref();
    match request.inputs.as_slice() {
        [] => Err(AddError::Inputs("nothing was given")),
        [dir] if dir.is_dir() => {
            Tree::of_dir(dir, modules).map(Inputs::Files).map_err(import_error)
        }
        [file] if !looks_like_package(file).map_err(import_error)? => {
            Tree::of_image(file, modules).map(Inputs::Files).map_err(import_error)
        }
        files => {
            for file in files {
                if file.is_dir() || !looks_like_package(file).map_err(import_error)? {
                    return Err(AddError::Inputs("only packages (.deb, .rpm) can be several"));
                }
            }
            if modules.is_some() {
                return Err(AddError::Inputs("a package brings its own modules"));
            }
            Ok(Inputs::Packages(files.to_vec()))
        }
    }
}

fn looks_like_package(path: &Path) -> Result<bool, ImportError> {
    Ok(package::Kind::of(path)?.is_some())
}

impl Inputs {
    /// A package's hash is what the archive's index has too: the same kernel gets the same id.
    fn id(&self) -> Result<KernelId, ImportError> {
        match self {
            Self::Files(tree) => tree.id(),
            Self::Packages(files) => {
                let hashes: Vec<String> = files
                    .iter()
                    .map(|file| hash::of_file(file).map_err(at(file)))
                    .collect::<Result<_, _>>()?;
                Ok(id_of_packages(hashes.iter().map(String::as_str)))
            }
        }
    }

    fn place(&self) -> String {
        match self {
            Self::Files(tree) => tree.place().to_owned(),
            Self::Packages(files) => {
                files.iter().map(|file| deb::file_name(file)).collect::<Vec<_>>().join(", ")
            }
        }
    }

    fn modules(&self) -> Modules {
        match self {
            Self::Files(_) => Modules::Optional,
            // `make bindeb-pkg` packs a kernel without any modules too.
            Self::Packages(files) => {
                let debian = files.iter().any(|file| {
                    let name = package::name(file).ok().flatten();
                    name.is_some_and(|name| name.starts_with("linux-binary-"))
                });
                if debian { Modules::Required } else { Modules::Optional }
            }
        }
    }

    fn feed(self, sink: &mut Sink) -> Result<(), ImportError> {
        match self {
            Self::Files(tree) => tree.feed(sink),
            Self::Packages(files) => files.iter().try_for_each(|file| package::unpack(file, sink)),
        }
    }
}

fn describe(
    banner: &Banner,
    id: KernelId,
    request: &AddRequest,
    version: Option<PackageVersion>,
) -> Result<Kernel, AddError> {
    let version = match version {
        Some(version) => version,
        None => version_of(banner)?,
    };
    Ok(Kernel {
        version: version.upstream().to_owned(),
        package_version: version,
        flavour: flavour_of(&banner.release),
        source: "local".to_owned(),
        id,
        release: Some(banner.release.clone()),
        name: request.name.clone(),
        variant: None,
    })
}

/// A Debian kernel names its package's version; another is known by its release.
fn version_of(banner: &Banner) -> Result<PackageVersion, AddError> {
    let debian = banner.debian_version.as_deref().and_then(|v| PackageVersion::parse(v).ok());
    debian
        .or_else(|| version_of_release(&banner.release))
        .ok_or_else(|| AddError::Version(banner.release.clone()))
}

/// Turns `6.12.0-rc3-00012-gabcdef-dirty` into `6.12.0~rc3-00012.gabcdef.dirty`: ordered by the
/// numbers, with the rest as the revision.
fn version_of_release(release: &str) -> Option<PackageVersion> {
    static PARTS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^([0-9]+(?:\.[0-9]+)*)(?:-(rc[0-9]+))?(?:[-+_~.]*)(.*)$")
            .expect("a fixed pattern")
    });
    let parts = PARTS.captures(release)?;
    let mut text = parts[1].to_owned();
    if let Some(candidate) = parts.get(2) {
        text = format!("{text}~{}", candidate.as_str());
    }
    let rest: String =
        parts[3].chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '.' }).collect();
    if !rest.is_empty() {
        text = format!("{text}-{rest}");
    }
    PackageVersion::parse(&text).ok()
}

fn flavour_of(release: &str) -> String {
    static DEBIAN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^[0-9.]+(?:\+deb[0-9.]+|-[0-9]+|-0\.deb[0-9.]+)-([a-z][a-z0-9-]*)$")
            .expect("a fixed pattern")
    });
    DEBIAN.captures(release).map(|found| found[1].to_owned()).unwrap_or_default()
}

fn given_version(text: &str) -> Result<PackageVersion, AddError> {
    PackageVersion::parse(&text.replace("-rc", "~rc"))
        .map_err(|_| AddError::Version(text.to_owned()))
}

/// Makes sure that a name is free for a kernel: no version or id is to hide behind it, it is to be of
/// use on a command line, and no other kernel is to have it. With `replace` the other kernel is
/// called by the name and its id from now on; a variant without any name would pass for the stock
/// kernel.
pub(super) fn claim_name(
    store: &Store,
    id: &KernelId,
    name: &str,
    replace: bool,
) -> Result<(), AddError> {
    let bad = |reason| Err(AddError::Name { name: name.to_owned(), reason });
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    if name.is_empty() || !name.chars().all(plain) || name.starts_with('-') || name.contains("..") {
        return bad("use letters, digits, `-`, `_`, `.` and `+`");
    }
    if PackageVersion::parse(name).is_ok() {
        return bad("it looks like a version");
    }
    if name.len() >= 6 && name.bytes().all(|b| b.is_ascii_hexdigit()) {
        return bad("it looks like an id");
    }
    let holder = store.list()?.into_iter().find(|ready| ready.kernel.name.as_deref() == Some(name));
    match holder {
        Some(ready) if ready.kernel.id != *id && replace => {
            let Some(mut meta) = Meta::read(&ready.dir) else { return Ok(()) };
            meta.kernel.name = Some(format!("{name}.{}", ready.kernel.id.short()));
            Ok(meta.write(&ready.dir)?)
        }
        Some(ready) if ready.kernel.id != *id => Err(AddError::NameTaken {
            name: name.to_owned(),
            holder: ready.kernel.package_version.to_string(),
            id: ready.kernel.id.short().to_owned(),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_releases() {
        let version = |release: &str| version_of_release(release).unwrap().to_string();
        assert_eq!(version("5.10.43"), "5.10.43");
        assert_eq!(version("6.12.0-rc3+"), "6.12.0~rc3");
        assert_eq!(version("6.12.0-rc3-00012-gabcdef-dirty"), "6.12.0~rc3-00012.gabcdef.dirty");
        assert_eq!(version("6.1.9-my_kernel"), "6.1.9-my.kernel");
        let order: Vec<_> = ["6.12.0-rc3", "6.12.0", "6.12.0-1-g1", "6.12.1"]
            .iter()
            .map(|release| version_of_release(release).unwrap())
            .collect();
        assert!(order.is_sorted(), "{order:?}");
    }

    #[test]
    fn flavours_of_releases() {
        for (release, flavour) in [
            ("6.12.57+deb12-cloud-amd64", "cloud-amd64"),
            ("6.12.90+deb12.1-amd64", "amd64"),
            ("6.1.0-53-cloud-amd64", "cloud-amd64"),
            ("6.1.0-0.deb11.48-rt-amd64", "rt-amd64"),
            ("5.10.43", ""),
            ("6.12.0-rc3", ""),
        ] {
            assert_eq!(flavour_of(release), flavour, "{release}");
        }
    }
}
