//! Saving a machine's state, going on from one, and making the machine one of its own.

use std::os::fd::AsRawFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kbisect_proto::{Event, Request};
use tokio::sync::oneshot;

use super::shared::{Hello, Order, SaveError};
use super::watch::StateWork;
use super::{CallError, Machine};
use crate::lock::lock;
use crate::qemu::StateFile;
use crate::states::{About, Draft, Saved};

/// How a machine comes up.
#[derive(Debug)]
pub enum Start<'a> {
    /// It boots.
    Boot,
    /// It boots, and can be saved here.
    BootAndSave(&'a Draft),
    /// It goes on from this state.
    Restore(&'a Saved),
}

impl Start<'_> {
    pub(super) fn descriptor(&self) -> Option<i32> {
        match self {
            Self::Boot => None,
            Self::BootAndSave(draft) => Some(draft.file.as_raw_fd()),
            Self::Restore(saved) => Some(saved.file.as_raw_fd()),
        }
    }

    pub(super) fn file(&self) -> Option<StateFile> {
        let number = self.descriptor()?;
        Some(match self {
            Self::Restore(_) => StateFile::Load(number),
            Self::Boot | Self::BootAndSave(_) => StateFile::Save(number),
        })
    }

    pub(super) fn work(&self) -> StateWork {
        match self {
            Self::Boot | Self::BootAndSave(_) => StateWork::None,
            Self::Restore(_) => StateWork::Loading,
        }
    }

    /// How long the guest was up before.
    pub(super) fn born(&self) -> Duration {
        match self {
            Self::Boot | Self::BootAndSave(_) => Duration::ZERO,
            Self::Restore(saved) => Duration::from_millis(saved.about.uptime_ms),
        }
    }

    /// What its console printed before.
    pub(super) fn console(&self) -> Vec<u8> {
        match self {
            Self::Boot | Self::BootAndSave(_) => Vec::new(),
            Self::Restore(saved) => saved.console.clone(),
        }
    }
}

impl Machine {
    /// Writes the machine's state into the file of its draft, and lets it go on. Only between hello
    /// and [`Machine::wake`]: the guest is quiet then. Gives what the console printed so far.
    pub async fn save(&self, deadline: Duration) -> Result<Vec<u8>, SaveError> {
        let (done, ended) = oneshot::channel();
        if self.orders.send(Order::Save(done)).await.is_err() {
            return Err(SaveError::Gone);
        }
        match self.in_time(deadline, ended).await {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(SaveError::Gone),
            None => Err(SaveError::Deadline { seconds: deadline.as_secs() }),
        }
    }

    /// Makes the machine one of its own: time, randomness, hardware addresses. One that was restored
    /// is up from then on.
    ///
    /// # Errors
    /// [`CallError`]; what the guest says against it is the machine's boot error.
    pub async fn wake(
        &self,
        macs: &[[u8; 6]],
        restored: Option<&About>,
        deadline: Duration,
    ) -> Result<(), CallError> {
        let id = self.next_id();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut entropy = vec![0; 64];
        let request =
            match rustix::rand::getrandom(&mut entropy, rustix::rand::GetRandomFlags::empty()) {
                Ok(_) => {
                    let unix_nanos = now.as_nanos() as u64;
                    Request::Wake { id, unix_nanos, entropy, macs: macs.to_vec() }
                }
                // Without randomness of its own a machine would be its twins' twin.
                Err(_) => return Err(CallError::Down),
            };
        let answer = self.call(id, &request, deadline).await?;
        let mut state = lock(&self.shared.state);
        match answer {
            Event::Done { .. } => {
                if let Some(about) = restored {
                    state.hello.get_or_insert(Hello {
                        release: about.release.clone(),
                        failed_modules: about.failed_modules.clone(),
                        uptime_ms: about.uptime_ms,
                        after: self.started.elapsed(),
                    });
                }
                drop(state);
                self.shared.changed.notify_waiters();
                Ok(())
            }
            other => {
                let why = match other {
                    Event::Failed { error, .. } => error,
                    other => format!("an answer that makes no sense: {other:?}"),
                };
                state.boot_error.get_or_insert(why);
                Err(CallError::Down)
            }
        }
    }
}
