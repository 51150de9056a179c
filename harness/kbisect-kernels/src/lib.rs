//! Where kernels come from: the local store, Debian archives, and services that keep more of them.
//!
//! [`Settings`] say where to look, [`Catalog`] says what there is and puts it in order, and
//! [`Store`] holds what has been fetched or added, ready to boot: variants of stock kernels too. A
//! [`SeriesFile`] lists kernels of all sources in an order of its own. All of it is synchronous: the
//! callers run it on threads of their own.

mod archive;
mod candidate;
mod catalog;
mod chain;
mod changelog;
pub mod commits;
mod debug;
mod discovery;
mod fetch;
mod files;
mod git;
mod git_log;
mod hash;
mod http;
mod http_proxy;
mod import;
mod inspect;
mod modules;
mod progress;
mod proxy;
pub mod readers;
mod ready;
mod series_file;
mod settings;
mod source_tree;
mod source_tree_error;
mod sources;
mod store;
mod tools;

pub use candidate::{Candidate, CandidateState, PackageRef};
pub use catalog::{Catalog, Newest, NewestError, ResolveError};
pub use changelog::{ChangelogError, PackageChangelog, changelog, changelog_file};
pub use commits::{
    BuildError, BuildOrder, Built, COMMIT_PLACE, COMMITS, Change, Commit, CommitRange, Commits,
    Configuration, Elsewhere, HistoryError, QuiltBase, QuiltError, Recipe, Toolchain,
};
pub use debug::{DebugInfo, DebugInfoError};
pub use discovery::{Options, SettingsError};
pub use git_log::{GitLogError, commit_changes, git_log, mending};
pub use hash::{is_sha256, of_file as sha256_of};
pub use inspect::{PackageContents, inspect_package};
pub use modules::{ModuleTree, Provided};
pub use progress::{Progress, ProgressItem, Silent};
pub use proxy::Proxies;
pub use ready::ReadyKernel;
pub use series_file::{SeriesFile, SeriesFileError};
pub use settings::{Mirrors, NamedPool, Service, Settings, SuiteChoice};
pub use source_tree::{SourceTree, WantedSource, prune_sources, source_tree};
pub use source_tree_error::SourceTreeError;
pub use sources::{CatalogError, FetchError, Source};
pub use store::{
    AddError, AddRequest, AddedVariant, PruneReport, PruneRule, Store, StoreError, VariantError,
    VariantRequest,
};
