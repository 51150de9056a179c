//! Locks between processes (and threads): flock(2) on files that are never removed, since removing
//! a lock file while another waits for it would hand out the lock twice.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::progress::Progress;

/// How often a lock that is held is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// A lock that is held; it ends when it is dropped, and with the process.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its lock alone")] File);

impl Lock {
    /// Takes the lock, waiting for it for as long as the user does not want to stop; what is waited for
    /// is told first when it is held by another.
    pub fn wait(path: &Path, progress: &dyn Progress, what: &str) -> io::Result<Self> {
        let file = open(path)?;
        let mut told = false;
        while !try_lock(&file, FlockOperation::NonBlockingLockExclusive)? {
            if progress.cancelled() {
                return Err(io::Error::other("it was being waited for when the user stopped"));
            }
            if !told {
                progress.note(what);
                told = true;
            }
            std::thread::sleep(LOOK);
        }
        Ok(Self(file))
    }

    /// Takes the lock when nobody holds it.
    pub fn try_now(path: &Path) -> io::Result<Option<Self>> {
        let file = open(path)?;
        let locked = try_lock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(locked.then_some(Self(file)))
    }

    /// Takes a shared lock and notes the time of the use.
    pub fn share(path: &Path) -> io::Result<File> {
        let file = open(path)?;
        retry(|| flock(&file, FlockOperation::LockShared))?;
        file.set_modified(SystemTime::now())?;
        Ok(file)
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

fn try_lock(file: &File, operation: FlockOperation) -> io::Result<bool> {
    match retry(|| flock(file, operation)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

fn retry(mut call: impl FnMut() -> Result<(), Errno>) -> io::Result<()> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result.map_err(io::Error::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::ProgressItem;
    use crate::progress::Silent;

    /// A user who stops once it was said what is waited for.
    #[derive(Default)]
    struct Stops(std::sync::atomic::AtomicBool);

    impl Progress for Stops {
        fn begin(&self, what: &str, total: Option<u64>) -> Box<dyn ProgressItem> {
            Silent.begin(what, total)
        }
        fn note(&self, line: &str) {
            assert_eq!(line, "waiting");
            self.0.store(true, std::sync::atomic::Ordering::SeqCst);
        }
        fn cancelled(&self) -> bool {
            self.0.load(std::sync::atomic::Ordering::SeqCst)
        }
    }

    #[test]
    fn whoever_waits_for_a_lock_can_stop() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = Lock::wait(&path, &Silent, "").unwrap();
        assert!(Lock::wait(&path, &Stops::default(), "waiting").is_err());
        drop(held);
        Lock::wait(&path, &Stops::default(), "waiting").unwrap();
    }
}
