//! How a machine comes up: it boots, and is saved for the next time; or it goes on from a saved
//! state. Both end with a guest that is awake.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use kbisect_core::trial::{BootId, BootKind};
use kbisect_proto::Request;
use tokio::task::JoinHandle;

use crate::machine::{CallError, Machine, SaveError, Start};
use crate::states::{self, Draft, Guest, Saved, Slot, Unsound};

/// A machine on its way up. Owns what it needs, so that it can be waited for beside other work.
#[derive(Debug)]
pub struct Rise {
    macs: Vec<[u8; 6]>,
    way: Way,
    /// Modules that are loaded before the state is saved.
    preload: Vec<String>,
    patience: Duration,
}

#[derive(Debug)]
enum Way {
    Boot(Option<Draft>),
    Restore { saved: Box<Saved>, slot: Slot },
}

/// A machine that is up, or not.
#[derive(Debug)]
pub struct Risen {
    /// How it came up.
    pub boot: BootKind,
    /// Which boot that was.
    pub boot_id: BootId,
    /// Whether it is up.
    pub result: Result<(), CallError>,
    /// Why its state was not saved, if that went wrong.
    pub note: Option<String>,
    /// Why the guest cannot be asked anything, if that is our own doing.
    pub ours: Option<String>,
    /// The state that the machine came from, or was saved to.
    pub slot: Option<Slot>,
    /// The state that is being put away.
    pub keeping: Option<JoinHandle<io::Result<()>>>,
}

impl Rise {
    /// A machine that boots, and is saved if there is a draft.
    pub fn boot(macs: Vec<[u8; 6]>, draft: Option<Draft>, patience: Duration) -> Self {
        Self { macs, way: Way::Boot(draft), preload: Vec::new(), patience }
    }

    /// A machine that goes on from a saved state.
    pub fn restore(macs: Vec<[u8; 6]>, saved: Saved, slot: Slot, patience: Duration) -> Self {
        let way = Way::Restore { saved: Box::new(saved), slot };
        Self { macs, way, preload: Vec::new(), patience }
    }

    /// Loads these modules before a state is saved.
    #[must_use]
    pub fn loading(self, preload: Vec<String>) -> Self {
        Self { preload, ..self }
    }

    /// Whether the machine boots.
    pub fn boots(&self) -> bool {
        matches!(self.way, Way::Boot(_))
    }

    /// How the machine is to be started.
    pub fn start(&self) -> Start<'_> {
        match &self.way {
            Way::Boot(None) => Start::Boot,
            Way::Boot(Some(draft)) => Start::BootAndSave(draft),
            Way::Restore { saved, .. } => Start::Restore(saved),
        }
    }

    /// Waits until the guest is awake. A state that nothing comes of is thrown away; the caller
    /// boots then. The deadline of a boot can be put off while it is waited for.
    pub async fn up(self, machine: &Machine, deadline: &Cell<Instant>) -> Risen {
        match self.way {
            Way::Boot(draft) => {
                let mut risen = Risen {
                    boot: BootKind::Cold,
                    boot_id: draft.as_ref().map_or_else(states::a_boot, |draft| draft.boot.clone()),
                    result: Ok(()),
                    note: None,
                    ours: None,
                    slot: draft.as_ref().map(|draft| draft.slot.clone()),
                    keeping: None,
                };
                risen.result = loop {
                    let until = deadline.get();
                    let left = until.saturating_duration_since(Instant::now());
                    match machine.hello(left).await {
                        Err(CallError::Deadline) if deadline.get() > until => {}
                        result => break result.map(drop),
                    }
                };
                if risen.result.is_ok() && draft.is_some() {
                    let (id, modules) = (machine.next_id(), self.preload);
                    let settle = Request::Settle { id, modules };
                    risen.result = machine.call(id, &settle, self.patience).await.map(drop);
                    if risen.result == Err(CallError::Deadline) {
                        risen.ours = Some(NOT_SETTLED.to_owned());
                    }
                }
                if let (Ok(()), Some(draft)) = (risen.result, draft) {
                    match save(machine, draft, self.patience).await {
                        Ok(keeping) => risen.keeping = keeping,
                        // What ended the machine is told elsewhere.
                        Err(_) if machine.is_down() => {}
                        // QEMU may hold the guest still, so nothing that it does says anything.
                        Err(why @ SaveError::Deadline { .. }) => risen.ours = Some(not_saved(&why)),
                        Err(why) => risen.note = Some(not_saved(&why)),
                    }
                }
                if risen.result.is_ok() && risen.ours.is_none() {
                    risen.result = machine.wake(&self.macs, None, self.patience).await;
                    // It was up, and was asked for nothing but to go on.
                    let quiet = machine.look(|state| state.reports.is_empty());
                    if quiet && risen.result == Err(CallError::Deadline) {
                        risen.ours = Some(NOT_AWAKE.to_owned());
                    }
                }
                risen
            }
            Way::Restore { saved, slot } => {
                let Saved { content, about, .. } = *saved;
                // Beside the machine's own work; nothing is asked of the guest before it is known.
                let sound = tokio::task::spawn_blocking(move || content.verify());
                let mut result = machine.wake(&self.macs, Some(&about), self.patience).await;
                let (mut note, mut ours) = (None, None);
                match machine.in_time(self.patience, sound).await {
                    Some(Ok(Ok(()))) => {}
                    Some(Ok(Err(Unsound::File(path)))) => ours = Some(changed(&path)),
                    Some(Ok(Err(Unsound::State)) | Err(_)) => result = Err(CallError::Down),
                    None => ours = Some(NOT_READ.to_owned()),
                }
                if result.is_err() && ours.is_none() {
                    slot.forget();
                    note = Some(
                        "the saved state of this kernel could not be gone on from: it was thrown away, and \
                         the kernel booted"
                            .to_owned(),
                    );
                }
                let (boot, boot_id, slot) = (BootKind::Restored, about.boot, Some(slot));
                Risen { boot, boot_id, result, note, ours, slot, keeping: None }
            }
        }
    }
}

/// Saves a machine whose guest is quiet. One whose kernel complained while it booted is not: each
/// trial is to see that for itself. Nor is one whose clock is wrong: its twins would all have that clock.
async fn save(
    machine: &Machine,
    draft: Draft,
    patience: Duration,
) -> Result<Option<JoinHandle<io::Result<()>>>, SaveError> {
    let Some(hello) = machine.look(|state| state.hello.clone()) else { return Ok(None) };
    if machine.look(|state| state.clock_ahead.is_some()) {
        return Ok(None);
    }
    let console = match machine.save(patience).await {
        Ok(console) => console,
        Err(SaveError::Complained) => return Ok(None),
        Err(error) => return Err(error),
    };
    let (release, failed_modules) = (hello.release, hello.failed_modules);
    let guest = Guest { release, failed_modules, uptime_ms: hello.uptime_ms, console };
    Ok(Some(tokio::task::spawn_blocking(move || draft.keep(guest))))
}

/// A guest that did not do what it was asked before its state is saved.
const NOT_SETTLED: &str = "the guest did not load the modules of the scenario in time, before its state was to be saved \
    (--cold makes trials without saved states)";

/// Files that cannot be read in time.
const NOT_READ: &str = "the saved state and the kernel's files could not be read in time to compare them: the host's disk is slow";

/// What is said of a guest that is lost between hello and the trial.
const NOT_AWAKE: &str = "the booted guest said hello, and did not wake when it was asked to";

fn changed(path: &Path) -> String {
    format!(
        "the content of {} is not what it was when a kernel was saved that booted from it, though its size and \
         time are: the disk may be damaged (remove its folder, and it is fetched or built again)",
        path.display()
    )
}

fn not_saved(error: &SaveError) -> String {
    format!("the booted kernel was not saved for later trials: {error}")
}
