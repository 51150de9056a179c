//! What becomes of workers.

/// Why a trial does not count whose worker was lost.
pub const ITS_WORKER_IS_GONE: &str = "its worker is gone";

/// What a command has to do to be a worker.
pub const HOW_TO_BE_A_WORKER: &str = "it has to run `kbisect worker` of this version with its own standard input and output: no pseudo terminal, \
     no greeting on standard output";

/// Why a trial does not count whose worker did not come up in time.
pub const ITS_WORKER_IS_NOT_THERE: &str = "its worker is not there yet";

/// A worker is waited for.
#[must_use]
pub fn worker_awaited(number: usize) -> String {
    format!("worker {number} is not there yet, and is waited for")
}

/// A worker is there no more.
#[must_use]
pub fn worker_lost(number: usize, reason: &str) -> String {
    format!("worker {number} is gone: {reason}")
}
