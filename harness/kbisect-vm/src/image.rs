//! Root images: the pinned user space that every kernel boots into.
//!
//! An image is defined by a folder under `images/`, built with mmdebstrap as an ordinary user or as
//! root, packed as squashfs, and kept in the cache under the hash of its definition. Nothing of the
//! host is touched: the chroot lives in namespaces of its own, and dies with this process.

mod build;
mod command;
mod definition;
mod failure;
mod fs;
mod manifest;
mod scratch;
mod script;
mod supervise;

use std::path::{Path, PathBuf};

pub use self::build::ImageProgress;
pub use self::definition::{Compression, DefinitionError, ImageDefinition};
pub use self::failure::{BuildCause, ImageError};
pub use self::manifest::ImageManifest;

/// Where the packages of an image come from; taken by the caller from the host's apt configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSources {
    /// Base address of a mirror that holds the definition's suite.
    pub mirror_url: String,
    /// Base address of a mirror that holds `SUITE-security`; none leaves security updates out.
    pub security_url: Option<String>,
    /// Keyring that signs both; a file that can be read by this user is enough.
    pub keyring: PathBuf,
    /// Further apt settings of the host that the download depends on, such as
    /// `Acquire::http::Proxy "http://proxy:3128"` or `Acquire::Check-Valid-Until "false"`.
    pub apt_options: Vec<String>,
}

/// A root image that is ready to be attached to a machine, read-only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The squashfs file.
    pub path: PathBuf,
    /// Hash of the definition, builder version and architecture: 64 hexadecimal digits.
    pub key: String,
    /// What is in it.
    pub manifest: ImageManifest,
}

/// Returns the image with a key (see [`Image::key`]) from the cache, if there is one.
pub fn stored(cache_dir: &Path, key: &str) -> Option<Image> {
    let is_key = key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
    let directory = is_key.then(|| image_directory(cache_dir, key))?;
    let manifest = ImageManifest::read(&directory.join(manifest::FILE))?;
    let path = directory.join(build::SQUASHFS);
    let size = std::fs::metadata(&path).ok()?.len();
    (manifest.key == key && manifest.size_bytes == size).then(|| Image {
        path,
        key: key.to_owned(),
        manifest,
    })
}

/// Returns the image of `definition` from the cache, if it has been built.
pub fn find_image(definition: &ImageDefinition, cache_dir: &Path) -> Option<Image> {
    stored(cache_dir, &definition.key())
}

/// Returns the image of `definition`, building it first if the cache lacks it.
///
/// Blocks until done, a minute or so for a build; a second process that wants the same image waits
/// for the first. `progress` is called from this thread. A failed or killed build leaves nothing
/// under the image's name: at most a log, which the error names, and a scratch directory, which the
/// next build removes.
///
/// # Errors
/// [`ImageError`] names the tool, file or step that failed, the build log, and what to do about it.
pub fn ensure_image(
    definition: &ImageDefinition,
    cache_dir: &Path,
    sources: &ImageSources,
    progress: &mut dyn FnMut(ImageProgress),
) -> Result<Image, ImageError> {
    if let Some(image) = find_image(definition, cache_dir) {
        return Ok(image);
    }
    let key = definition.key();
    let images = images_directory(cache_dir);
    fs::create_dir_all(&images)?;
    let _lock = fs::lock(&images.join(format!("{key}.lock")), || progress(ImageProgress::Waiting))?;
    // Another process may have built it while this one waited.
    if let Some(image) = find_image(definition, cache_dir) {
        return Ok(image);
    }
    build::build(definition, &images, &key, sources, progress)?;
    find_image(definition, cache_dir).ok_or_else(|| ImageError::Vanished {
        path: image_directory(cache_dir, &key).join(build::SQUASHFS),
    })
}

fn images_directory(cache_dir: &Path) -> PathBuf {
    cache_dir.join("images")
}

fn image_directory(cache_dir: &Path, key: &str) -> PathBuf {
    images_directory(cache_dir).join(key)
}
