//! Dumps of a machine's memory, written by QEMU into a file that it inherited.

use std::time::Duration;

use tokio::sync::oneshot;

use super::{Machine, Order};

/// Why there is no dump. Never a reason for a verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DumpError {
    /// QEMU is not there any more.
    #[error("QEMU ended before its memory was dumped")]
    Gone,
    /// It takes too long.
    #[error("the dump was not complete within {seconds} s")]
    Deadline {
        /// The deadline.
        seconds: u64,
    },
    /// QEMU could not write it.
    #[error("QEMU could not dump the memory: {0}")]
    Failed(String),
}

impl Machine {
    /// Stops the machine for good and dumps its memory in `format` (see [`crate::qemu::Qemu`]).
    /// Only for a machine that is down: nothing that it does afterwards may count.
    ///
    /// # Errors
    /// [`DumpError`]; the file may be incomplete then.
    pub async fn dump(&self, format: &'static str, deadline: Duration) -> Result<(), DumpError> {
        let (done, ended) = oneshot::channel();
        if self.orders.send(Order::Dump(format, done)).await.is_err() {
            return Err(DumpError::Gone);
        }
        match self.in_time(deadline, ended).await {
            Some(Ok(None)) => Ok(()),
            Some(Ok(Some(why))) => Err(DumpError::Failed(why)),
            Some(Err(_)) => Err(DumpError::Gone),
            None => Err(DumpError::Deadline { seconds: deadline.as_secs() }),
        }
    }
}
