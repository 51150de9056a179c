//! Why a variant cannot be made.

use std::io;
use std::path::PathBuf;

use crate::store::{AddError, StoreError};

/// Why a variant cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum VariantError {
    /// As for any kernel that is added.
    #[error(transparent)]
    Add(#[from] AddError),
    /// It would be the stock kernel.
    #[error("a variant of {0} needs a module or a command line to differ by")]
    NoDifference(String),
    /// A module cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is no module.
    #[error("`{}` is not a kernel module: {reason}", path.display())]
    NotAModule {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// A module is given twice.
    #[error("the module {module} is given twice: `{}` and `{}`", first.display(), second.display())]
    Twice {
        /// Module name.
        module: String,
        /// One file.
        first: PathBuf,
        /// The other file.
        second: PathBuf,
    },
    /// The stock kernel does not have the module.
    #[error("{base} has no module {module}, so there is nothing that `{}` could replace", path.display())]
    NotInBase {
        /// The file.
        path: PathBuf,
        /// Module name.
        module: String,
        /// The stock kernel.
        base: String,
        /// A module that it has, of nearly the same name.
        near: Option<String>,
    },
    /// The stock kernel has it built in.
    #[error("{module} is built into {base}, so `{}` cannot replace it", path.display())]
    BuiltIn {
        /// The file.
        path: PathBuf,
        /// Module name.
        module: String,
        /// The stock kernel.
        base: String,
    },
    /// The module was built for another kernel.
    #[error(
        "`{}` was built for another kernel: its vermagic is `{found}`, {base} wants `{wanted}`",
        path.display()
    )]
    Vermagic {
        /// The file.
        path: PathBuf,
        /// The stock kernel.
        base: String,
        /// What the module says.
        found: String,
        /// What the stock kernel's own module says.
        wanted: String,
    },
    /// The module was built against another kernel of the same name.
    #[error(
        "`{}` was built against other headers than those of {base}: it disagrees about {}",
        path.display(), symbols.join(", ")
    )]
    Symbols {
        /// The file.
        path: PathBuf,
        /// The stock kernel.
        base: String,
        /// Symbols with different checksums.
        symbols: Vec<String>,
    },
    /// The kernel would not load a module without a valid signature.
    #[error("`{}` {reason}", path.display())]
    Signature {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Something that is no word of a command line.
    #[error("`{}` is not a word of printable ASCII for a kernel command line", .0.escape_default())]
    Word(String),
}

impl VariantError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Add(error) => error.hint(),
            Self::NoDifference(..) => {
                Some("give --module FILE or --cmdline \"WORD ...\"".to_owned())
            }
            Self::NotAModule { .. } => {
                Some("give a file such as vrf.ko, vrf.ko.xz or vrf.ko.zst".to_owned())
            }
            Self::NotInBase { near: Some(near), .. } => Some(format!("did you mean {near}?")),
            Self::BuiltIn { .. } => {
                Some("build a kernel of your own and add it with `kbisect kernels add`".to_owned())
            }
            Self::Vermagic { wanted, .. } => {
                let release = wanted.split_whitespace().next().unwrap_or_default();
                Some(format!("build it against the headers of {release}"))
            }
            Self::Symbols { .. } => {
                Some("build it against the headers of exactly this package version".to_owned())
            }
            Self::Signature { .. } => {
                Some("sign it with a key that the kernel knows, or take another base".to_owned())
            }
            Self::Read { .. }
            | Self::Twice { .. }
            | Self::NotInBase { near: None, .. }
            | Self::Word(..) => None,
        }
    }
}

impl From<StoreError> for VariantError {
    fn from(error: StoreError) -> Self {
        Self::Add(AddError::Store(error))
    }
}
