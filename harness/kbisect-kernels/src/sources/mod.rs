//! Where kernels come from: one file for each source, all of them in `registry.rs`.
//!
//! Services whose lists say which versions there are, and not what these consist of, are asked for the
//! packages of one version when that version is wanted. What such a kernel consists of is not known
//! before, so that its id is made of what is: the source's name, the version and the flavour.
//! `meta.json` in the store records the SHA-256 of each package that came.

mod about;
mod archive;
mod asking;
mod cached;
mod download;
mod fetch_error;
mod list_error;
pub(crate) mod mainline;
mod registry;
pub(crate) mod snapshot;
mod source;
mod store;

pub(crate) use about::DEBIAN;
pub use about::Source;
#[cfg(test)]
pub(crate) use archive::candidates;
pub(crate) use asking::Asking;
pub(crate) use cached::queue_file;
pub use fetch_error::FetchError;
pub use list_error::CatalogError;
pub(crate) use registry::implementation;
pub(crate) use source::Trust;
