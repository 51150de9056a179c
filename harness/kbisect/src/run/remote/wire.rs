//! What is said between a run and its workers: a message in JSON and the bytes that belong to it, each after its
//! length.

use std::io::{self, Read, Write};
use std::path::{Component, Path};

use kbisect_core::job::Job;
use kbisect_core::kernel::KernelId;
use kbisect_core::options::MachineChoices;
use kbisect_core::run::RunEvent;
use kbisect_core::trial::TrialRecord;
use kbisect_vm::network::Placement;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Both ends have the same, or they do not talk.
pub const PROTOCOL: u32 = 1;
/// Longest message: a scenario with its files is by far the longest.
pub const MAX_MESSAGE: usize = 64 << 20;
/// Most bytes beside a message.
pub const PIECE: usize = 256 << 10;

/// What a worker is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// Version of the program.
    pub version: String,
    /// Name of the machine.
    pub host: String,
    /// Processors that the process may use.
    pub cpus: usize,
    /// Memory that can be had, in MiB.
    pub memory_mib: Option<u64>,
    /// Version of QEMU.
    pub qemu: String,
    /// `kvm` or `tcg`.
    pub accelerator: String,
    /// Why not KVM.
    pub no_kvm: Option<String>,
    /// Kernels in its store.
    pub kernels: usize,
}

/// What all trials of a run have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Site {
    /// The root image.
    pub image: StoredFile,
    /// Its key.
    pub image_key: String,
    /// The kernel of the reference nodes.
    pub reference: Stored,
    /// Where nodes are put.
    pub placement: Placement,
    /// What was chosen of how machines run.
    pub choices: MachineChoices,
    /// Whether the memory of guests that crashed is kept.
    pub vmcore: bool,
    /// Whether saved states are to have the scenario's modules loaded.
    pub preload: bool,
    /// Whether kernels boot in every trial.
    pub cold: bool,
    /// Whether guests are to be emulated.
    pub emulated: bool,
}

/// A kernel by the files that it has in a store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// Its id.
    pub id: KernelId,
    /// Its files.
    pub files: Vec<StoredFile>,
}

/// A file by its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Name in its folder.
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// SHA-256, lower-case hexadecimal digits.
    pub sha256: String,
}

/// To a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub enum ToWorker {
    /// The run, before all else.
    Begin {
        /// What trials have in common.
        site: Box<Site>,
    },
    /// Make a trial.
    Try {
        /// Which.
        job: Box<Job>,
        /// Folder of its files, below the run's.
        directory: String,
        /// The kernel.
        kernel: Box<Stored>,
    },
    /// Bytes of a file that was asked for; none when it cannot be read.
    Piece {
        /// The file.
        sha256: String,
    },
    /// The trial is of no use any more.
    Cancel,
}

/// From a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub enum FromWorker {
    /// What it is; the first message.
    Hello {
        /// It.
        hello: Box<Hello>,
    },
    /// It needs a file from this byte on.
    Want {
        /// The file.
        sha256: String,
        /// Offset.
        from: u64,
    },
    /// Something happened in a trial.
    Event {
        /// What.
        event: Box<RunEvent>,
    },
    /// Bytes of a trial's file, one after the other.
    File {
        /// Path below the trial's folder.
        path: String,
    },
    /// The trial ended, and all its files were sent; without a record it was cancelled.
    Ended {
        /// What it came to.
        record: Option<Box<TrialRecord>>,
    },
    /// The trial could not be made here.
    Failed {
        /// Why.
        error: String,
    },
    /// It is there.
    Alive,
}

/// Whether a path leads to something below a folder, and nowhere else.
pub fn is_below(path: &str) -> bool {
    let mut parts = Path::new(path).components().peekable();
    parts.peek().is_some()
        && parts.all(|part| matches!(part, Component::Normal(_)))
        && !path.contains('\0')
}

/// Writes a message.
///
/// # Errors
/// Nobody reads.
pub fn send(to: &mut impl Write, message: &impl Serialize, bytes: &[u8]) -> io::Result<()> {
    let json = serde_json::to_vec(message)?;
    let length = |count: usize| {
        u32::try_from(count).map(u32::to_be_bytes).map_err(|_| io::Error::other("too long"))
    };
    if json.len() > MAX_MESSAGE {
        return Err(io::Error::other("the scenario has too many files for a worker"));
    }
    let mut frame = Vec::with_capacity(8 + json.len() + bytes.len());
    frame.extend(length(json.len())?);
    frame.extend(length(bytes.len())?);
    frame.extend(json);
    frame.extend(bytes);
    to.write_all(&frame)?;
    to.flush()
}

/// Reads a message of at most `longest` bytes; nothing at the end of the stream.
///
/// # Errors
/// A stream that ends within a message, or that makes no sense.
pub fn receive<T: DeserializeOwned>(
    from: &mut impl Read,
    longest: usize,
) -> io::Result<Option<(T, Vec<u8>)>> {
    let mut head = [0_u8; 8];
    if from.read(&mut head[..1])? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut head[1..])?;
    let length =
        |part: &[u8]| part.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
    let (json, bytes) = (length(&head[..4]), length(&head[4..]));
    if json > longest || bytes > PIECE {
        return Err(io::Error::other("what came is no message of a kbisect"));
    }
    // The length is believed only as far as bytes come.
    let mut text = Vec::new();
    from.take(json as u64).read_to_end(&mut text)?;
    let mut with = Vec::new();
    from.take(bytes as u64).read_to_end(&mut with)?;
    if text.len() < json || with.len() < bytes {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let message = serde_json::from_slice(&text).map_err(|error| {
        io::Error::other(format!("what came is no message of this version of kbisect: {error}"))
    })?;
    Ok(Some((message, with)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent() -> Vec<u8> {
        let mut stream = Vec::new();
        let want = FromWorker::Want { sha256: "ab".to_owned(), from: 7 };
        send(&mut stream, &want, b"bytes").unwrap();
        send(&mut stream, &FromWorker::Alive, b"").unwrap();
        stream
    }

    #[test]
    fn messages_arrive_with_their_bytes() {
        let stream = sent();
        let mut from = stream.as_slice();
        let (message, bytes) = receive::<FromWorker>(&mut from, MAX_MESSAGE).unwrap().unwrap();
        assert_eq!(message, FromWorker::Want { sha256: "ab".to_owned(), from: 7 });
        assert_eq!(bytes, b"bytes");
        assert_eq!(
            receive::<FromWorker>(&mut from, MAX_MESSAGE).unwrap().unwrap().0,
            FromWorker::Alive
        );
        assert_eq!(receive::<FromWorker>(&mut from, MAX_MESSAGE).unwrap(), None);
    }

    #[test]
    fn a_stream_that_is_cut_anywhere_ends_or_fails() {
        let stream = sent();
        let first = 8 + stream[3] as usize + 5;
        for cut in 0..stream.len() {
            let mut from = &stream[..cut];
            let mut whole = 0;
            let ended = loop {
                match receive::<FromWorker>(&mut from, MAX_MESSAGE) {
                    Ok(Some(_)) => whole += 1,
                    Ok(None) => break true,
                    Err(_) => break false,
                }
            };
            assert_eq!(ended, cut == 0 || cut == first, "at {cut}");
            assert_eq!(whole, usize::from(cut >= first), "at {cut}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_before_it_is_read() {
        let mut text = &b"Welcome to this machine\n"[..];
        assert!(receive::<FromWorker>(&mut text, MAX_MESSAGE).is_err());
        let mut lie = &[0, 0, 0, 2, 0xff, 0, 0, 0, b'{', b'}'][..];
        assert!(receive::<FromWorker>(&mut lie, MAX_MESSAGE).is_err());
    }
}
