//! On whose behalf a source is asked.

use crate::progress::Progress;
use crate::settings::Settings;
use crate::store::Store;

/// On whose behalf a source is asked.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    pub settings: &'a Settings,
    pub store: &'a Store,
    pub progress: &'a dyn Progress,
}
