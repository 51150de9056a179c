//! What a long action tells its caller.

/// Receives the progress of downloads and imports. One value may be used by several threads.
pub trait Progress: Send + Sync {
    /// Begins an item of work. `total` is in bytes, `None` when it is not known beforehand.
    fn begin(&self, what: &str, total: Option<u64>) -> Box<dyn ProgressItem>;

    /// Passes on one line for the user: a warning, or what is being waited for.
    fn note(&self, line: &str);

    /// Says whether the user wants to stop; a download then ends at the next block.
    fn cancelled(&self) -> bool {
        false
    }
}

/// One item of work; it ends when it is dropped.
pub trait ProgressItem: Send {
    /// Sets how far the item is, in bytes. It can go back when a transfer starts again.
    fn set(&mut self, done: u64);
}

/// Progress that nobody looks at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _what: &str, _total: Option<u64>) -> Box<dyn ProgressItem> {
        Box::new(Silent)
    }
    fn note(&self, _line: &str) {}
}

impl ProgressItem for Silent {
    fn set(&mut self, _done: u64) {}
}
