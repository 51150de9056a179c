//! Why files are no kernel.

use std::io;
use std::path::{Path, PathBuf};

use super::vmlinux::ElfError;
use crate::tools::ToolError;

/// Why files could not be made into a kernel.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A package is damaged.
    #[error("`{file}` is not a usable package: {reason}")]
    Package {
        /// File name.
        file: String,
        /// Why.
        reason: String,
    },
    /// A package wants to write where it must not.
    #[error("`{file}` is refused: its entry `{entry}` {reason}")]
    Unsafe {
        /// File name.
        file: String,
        /// Path in the package.
        entry: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More than any kernel unpacks to.
    #[error("`{file}` is refused: it unpacks to more than {limit} MiB")]
    TooBig {
        /// File name.
        file: String,
        /// Limit in MiB.
        limit: u64,
    },
    /// There is no kernel in it.
    #[error("no kernel image in {place}")]
    NoImage {
        /// What was searched.
        place: String,
    },
    /// There are several kernels in it.
    #[error("several kernel images in {place}: {}", images.join(", "))]
    SeveralImages {
        /// What was searched.
        place: String,
        /// Their paths.
        images: Vec<String>,
    },
    /// A file is not a kernel image that can be booted.
    #[error("`{}` is not a bootable x86 kernel image: {reason}", path.display())]
    NotBzImage {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// An ELF file is not a kernel that can be booted.
    #[error("`{}` is not a kernel that can be booted unpacked", path.display())]
    NotVmlinux {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ElfError,
    },
    /// There is no module tree for the image.
    #[error("no modules of {release} in {place}")]
    NoModules {
        /// Release of the image.
        release: String,
        /// What was searched.
        place: String,
    },
    /// A program failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A file operation failed.
    #[error("cannot use `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ImportError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Tool(tool) => tool.hint(),
            Self::NotBzImage { .. } | Self::NotVmlinux { .. } => {
                Some("give the compressed image, in a build tree arch/x86/boot/bzImage".to_owned())
            }
            Self::NoImage { .. } => Some(
                "give the image itself and its modules with --modules, or a directory that holds \
                 boot/vmlinuz-* and lib/modules/*"
                    .to_owned(),
            ),
            Self::SeveralImages { .. } => {
                Some("give one image, and its modules with --modules".to_owned())
            }
            Self::Package { .. } => Some(
                "it is no package, or damaged: get it again, and compare its checksum".to_owned(),
            ),
            Self::Unsafe { .. }
            | Self::TooBig { .. }
            | Self::NoModules { .. }
            | Self::Io { .. } => None,
        }
    }

    /// Whether the file system is full.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => is_disk_full(source),
            // mksquashfs and depmod say it in their own words.
            Self::Tool(ToolError::Failed { detail, .. }) => detail.contains("No space left"),
            _ => false,
        }
    }
}

/// Whether an error means that nothing more can be written.
pub fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Names the file that an error is about.
pub fn at(path: &Path) -> impl FnOnce(io::Error) -> ImportError + '_ {
    move |source| ImportError::Io { path: path.to_owned(), source }
}
