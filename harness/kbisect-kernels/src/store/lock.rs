//! Locks between processes (and threads): flock(2) on files that are never removed, since removing
//! a lock file while another waits for it would hand out the lock twice.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// A lock that is held; it ends when it is dropped, and with the process.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its lock alone")] File);

impl Lock {
    /// Takes the lock, waiting for it; `on_wait` is called first when it is held by another.
    pub fn wait(path: &Path, on_wait: impl FnOnce()) -> io::Result<Self> {
        let file = open(path)?;
        if !try_lock(&file, FlockOperation::NonBlockingLockExclusive)? {
            on_wait();
            retry(|| flock(&file, FlockOperation::LockExclusive))?;
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
