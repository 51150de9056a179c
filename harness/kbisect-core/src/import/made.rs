//! All that the files are written from.

use super::checks::Way;
use super::forwards::Tried;
use super::host::Host;
use super::known::Known;
use super::plan::Plan;

/// What was decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made<'a> {
    pub(super) host: &'a Host,
    pub(super) known: &'a Known,
    pub(super) plan: &'a Plan,
    /// The first check; none where nobody can be asked.
    pub(super) way: Option<&'a Way>,
    pub(super) tried: &'a Tried,
}
