//! Why files are no kernel.

use std::io;
use std::path::PathBuf;

use super::vmlinux::ElfError;
use crate::files::FileError;
use crate::tools::ToolError;

/// Why files could not be made into a kernel.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("`{file}` is not a usable package: {reason}")]
    Package { file: String, reason: String },
    #[error("`{file}` is refused: its entry `{entry}` {reason}")]
    Unsafe { file: String, entry: String, reason: &'static str },
    #[error("`{file}` is refused: it unpacks to more than {limit} MiB")]
    TooBig { file: String, limit: u64 },
    #[error("no kernel image in {0}")]
    NoImage(String),
    #[error("several kernel images in {place}: {}", images.join(", "))]
    SeveralImages { place: String, images: Vec<String> },
    #[error("`{}` is not a bootable x86 kernel image: {reason}", path.display())]
    NotBzImage { path: PathBuf, reason: &'static str },
    #[error("`{}` is not a kernel that can be booted unpacked", path.display())]
    NotVmlinux { path: PathBuf, source: ElfError },
    #[error("no modules of {release} in {place}")]
    NoModules { release: String, place: String },
    /// A program failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A file operation failed.
    #[error(transparent)]
    Io(#[from] FileError),
}

impl ImportError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Tool(tool) => tool.hint(),
            Self::NotBzImage { .. } | Self::NotVmlinux { .. } => {
                Some("give the compressed image, in a build tree arch/x86/boot/bzImage".to_owned())
            }
            Self::NoImage(..) => Some(
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
            Self::Unsafe { .. } | Self::TooBig { .. } | Self::NoModules { .. } | Self::Io(_) => {
                None
            }
        }
    }

    /// Whether the file system is full.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Io(error) => is_disk_full(&error.source),
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
