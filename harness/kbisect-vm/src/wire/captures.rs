//! Captures: one pcapng file a wire, written by a thread of their own. A slow disk must not hold up
//! the thread that carries frames.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use kbisect_core::pcapng;

use super::plan::LinkPlan;

/// Bytes of one capture; later frames are counted but not written.
const MAX_CAPTURE: u64 = 256 << 20;
/// Bytes that may wait for the disk.
const MAX_WAITING: usize = 16 << 20;

/// Captures that are being written.
pub(super) struct Captures {
    sender: Sender<(usize, Vec<u8>)>,
    waiting: Arc<AtomicUsize>,
    /// Wires whose capture has ended, because the disk did not keep up.
    behind: Vec<bool>,
    thread: JoinHandle<Vec<String>>,
}

struct Capture {
    wire: String,
    file: File,
    written: u64,
    full: bool,
}

impl Captures {
    /// Makes the files, with their beginning.
    ///
    /// # Errors
    /// Those of creating the files, or the thread.
    pub fn create<'a>(
        directory: &Path,
        links: impl Iterator<Item = &'a LinkPlan>,
    ) -> io::Result<Self> {
        let captures = links
            .map(|link| {
                let path = directory.join(format!("{}.pcapng", link.name));
                let mut file = File::create(path)?;
                let names: Vec<String> =
                    link.members.iter().map(|node| format!("sent by {node}")).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                file.write_all(&pcapng::header(&names))?;
                Ok(Capture { wire: link.name.clone(), file, written: 0, full: false })
            })
            .collect::<io::Result<Vec<_>>>()?;
        let behind = vec![false; captures.len()];
        let (sender, receiver) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let taken = Arc::clone(&waiting);
        let thread = std::thread::Builder::new()
            .name("captures".to_owned())
            .spawn(move || write(captures, &receiver, &taken))?;
        Ok(Self { sender, waiting, behind, thread })
    }

    /// Has packets written. Never waits.
    pub fn push(&mut self, link: usize, bytes: Vec<u8>) {
        if bytes.is_empty() || self.behind[link] {
            return;
        }
        let length = bytes.len();
        if self.waiting.fetch_add(length, Ordering::Relaxed) + length > MAX_WAITING {
            self.waiting.fetch_sub(length, Ordering::Relaxed);
            self.behind[link] = true;
            return;
        }
        // The thread lives as long as this does.
        let _ = self.sender.send((link, bytes));
    }

    /// Waits until all is written. Says why a capture is not complete, if so.
    pub fn finish(self, links: &[LinkPlan]) -> Vec<String> {
        drop(self.sender);
        let mut trouble = self.thread.join().unwrap_or_default();
        for (link, _) in links.iter().zip(&self.behind).filter(|(_, behind)| **behind) {
            trouble.push(format!(
                "the capture of wire {} ends early: the disk did not keep up",
                link.name
            ));
        }
        trouble
    }
}

fn write(
    mut captures: Vec<Capture>,
    receiver: &Receiver<(usize, Vec<u8>)>,
    waiting: &AtomicUsize,
) -> Vec<String> {
    let mut trouble = Vec::new();
    for (link, bytes) in receiver {
        trouble.extend(captures[link].take(&bytes));
        waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
    }
    trouble
}

impl Capture {
    /// Writes packets; says why there will be no more, if so.
    fn take(&mut self, bytes: &[u8]) -> Option<String> {
        if self.full {
            return None;
        }
        let result = self.file.write_all(bytes);
        self.written += bytes.len() as u64;
        let why = match result {
            Err(error) => format!("early: {error}"),
            Ok(()) if self.written > MAX_CAPTURE => format!("at {} MiB", MAX_CAPTURE >> 20),
            Ok(()) => return None,
        };
        self.full = true;
        Some(format!("the capture of wire {} ends {why}", self.wire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_does_not_keep_up_ends_the_capture_and_not_the_frames() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("lan.pcapng");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        let plan = [LinkPlan { name: "lan".to_owned(), members: vec!["a".to_owned()] }];
        // A pipe that nobody empties takes 64 KiB, then blocks who writes to it.
        let mut reader = File::options().read(true).write(true).open(&fifo).unwrap();
        let mut captures = Captures::create(folder.path(), plan.iter()).unwrap();
        for _ in 0..40 {
            captures.push(0, vec![7; 1 << 20]);
        }
        let emptied = std::thread::spawn(move || {
            let mut left = (16_usize << 20) + 1000;
            let mut block = vec![0; 1 << 16];
            while left > (1 << 20) {
                left = left.saturating_sub(io::Read::read(&mut reader, &mut block).unwrap());
            }
            // Whoever writes now finds nobody at the other end any more.
        });
        let trouble = captures.finish(&plan);
        assert!(trouble.iter().any(|line| line.contains("did not keep up")), "{trouble:?}");
        emptied.join().unwrap();
    }
}
