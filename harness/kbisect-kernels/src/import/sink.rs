//! Where the files of a kernel go while it is unpacked; compressed modules are unpacked on the way,
//! by a few threads.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::error::ImportError;
use crate::files::at;

/// The largest kernels unpack to some 600 MiB of modules.
const LIMIT_MIB: u64 = 4096;
const WORKERS: usize = 2;
/// Files wait in memory, so that few are to wait.
const QUEUE: usize = 4;
const BLOCK: usize = 128 * 1024;
/// Compressions of modules and package members, by their suffixes.
pub const FORMATS: [&str; 3] = ["xz", "zst", "gz"];

/// What was found so far.
#[derive(Debug, Default)]
pub struct Found {
    pub images: Vec<PathBuf>,
    pub config: Option<PathBuf>,
    pub system_map: Option<PathBuf>,
    /// Releases that have modules.
    pub releases: Vec<String>,
}

/// Takes the files of one kernel into a directory: `image-N`, `config`, `System.map`, and module
/// trees as `tree/lib/modules/RELEASE`.
pub struct Sink {
    dir: PathBuf,
    found: Found,
    queue: Option<SyncSender<Job>>,
    workers: Vec<JoinHandle<Result<(), ImportError>>>,
}

struct Job {
    source: String,
    target: PathBuf,
    data: Vec<u8>,
}

/// What a path of a package or tree is to a kernel.
#[derive(Debug, PartialEq, Eq)]
pub enum Role {
    Image,
    Config,
    SystemMap,
    /// A file below `lib/modules/RELEASE`, with the path there.
    Module {
        release: String,
        /// Path below the release's directory.
        below: PathBuf,
    },
}

impl Role {
    /// Says what a clean relative path is; `None` for what no kernel needs (documentation, ...).
    pub fn of(path: &Path) -> Option<Self> {
        let parts: Vec<&str> = path.iter().map(|part| part.to_str()).collect::<Option<_>>()?;
        let parts = match parts.as_slice() {
            ["usr", "lib", rest @ ..] | ["lib", rest @ ..] if rest.first() == Some(&"modules") => {
                &rest[1..]
            }
            ["boot", name] => return Self::of_boot_file(name),
            _ => return None,
        };
        let [release, below @ ..] = parts else { return None };
        match below {
            [] | ["build" | "source", ..] => None,
            // From Debian's 7.2 on these lie beside the modules.
            [name] if is_image(name) => Some(Self::Image),
            ["config"] => Some(Self::Config),
            ["System.map"] => Some(Self::SystemMap),
            // Written by depmod: ours is made anew.
            [name] if is_depmod_output(name) => None,
            _ => {
                Some(Self::Module { release: (*release).to_owned(), below: below.iter().collect() })
            }
        }
    }

    fn of_boot_file(name: &str) -> Option<Self> {
        if name.starts_with("vmlinuz") || name.starts_with("bzImage") {
            Some(Self::Image)
        } else if name.starts_with("config-") {
            Some(Self::Config)
        } else if name.starts_with("System.map") {
            Some(Self::SystemMap)
        } else {
            None
        }
    }
}

/// Whether a file beside the modules is the kernel's image. Debian's packages of unsigned kernels give
/// it a suffix from 7.3 on.
pub fn is_image(name: &str) -> bool {
    matches!(name, "vmlinuz" | "vmlinuz.unsigned")
}

/// Whether depmod writes a file; the others come with the kernel.
pub fn is_depmod_output(name: &str) -> bool {
    name.starts_with("modules.")
        && !matches!(name, "modules.builtin" | "modules.builtin.modinfo" | "modules.order")
}

impl Sink {
    /// Takes files into `dir`, which exists and is empty.
    pub fn new(dir: &Path) -> Self {
        let (queue, jobs) = sync_channel(QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        let taken = Arc::new(AtomicU64::new(0));
        let workers = (0..WORKERS)
            .map(|_| {
                let (jobs, taken) = (Arc::clone(&jobs), Arc::clone(&taken));
                std::thread::spawn(move || work(&jobs, &taken))
            })
            .collect();
        Self { dir: dir.to_owned(), found: Found::default(), queue: Some(queue), workers }
    }

    /// Takes one file; `source` names its package or directory for messages.
    pub fn put(&mut self, source: &str, role: Role, data: Vec<u8>) -> Result<(), ImportError> {
        let target = match role {
            Role::Image => {
                let target = self.dir.join(format!("image-{}", self.found.images.len()));
                self.found.images.push(target.clone());
                target
            }
            Role::Config => self.found.config.insert(self.dir.join("config")).clone(),
            // Debian's package holds a line that says where the real one is.
            Role::SystemMap if data.len() < 4096 => return Ok(()),
            Role::SystemMap => self.found.system_map.insert(self.dir.join("System.map")).clone(),
            Role::Module { release, below } => {
                let dir = module_dir(&self.dir, &release);
                if !self.found.releases.contains(&release) {
                    self.found.releases.push(release);
                }
                debug_assert!(below.components().all(|c| matches!(c, Component::Normal(_))));
                dir.join(below)
            }
        };
        let job = Job { source: source.to_owned(), target, data };
        let queue = self.queue.as_ref().expect("only `finish` takes the queue");
        if queue.send(job).is_err() {
            // All workers are gone: one of them knows why.
            return Err(self.join().expect_err("workers end early only on errors"));
        }
        Ok(())
    }

    /// Waits until all is written.
    pub fn finish(mut self) -> Result<Found, ImportError> {
        self.join()?;
        Ok(std::mem::take(&mut self.found))
    }

    fn join(&mut self) -> Result<(), ImportError> {
        self.queue = None;
        let mut result = Ok(());
        for worker in self.workers.drain(..) {
            let ended = worker.join().expect("a worker does not panic");
            result = result.and(ended);
        }
        result
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // The caller removes the directory next; nobody may be writing into it then.
        let _ = self.join();
    }
}

/// Where a release's modules are while a kernel is unpacked.
pub fn module_dir(dir: &Path, release: &str) -> PathBuf {
    dir.join("tree/lib/modules").join(release)
}

fn work(jobs: &Mutex<Receiver<Job>>, taken: &AtomicU64) -> Result<(), ImportError> {
    let mut result = Ok(());
    loop {
        // The lock is held while waiting: the other worker waits for the lock instead.
        let job = jobs.lock().expect("no worker panics while it holds it").recv();
        let Ok(job) = job else { return result };
        // After an error the queue is still to be emptied, or the sender would wait for ever.
        if result.is_ok() {
            result = write(job, taken);
        }
    }
}

fn write(job: Job, taken: &AtomicU64) -> Result<(), ImportError> {
    let Job { source, target, data } = job;
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(at(parent))?;
    }
    // kmod in the guest need not know all the formats.
    let (target, format) = match compression_of(&target) {
        Some((plain, format)) => (plain, Some(format)),
        None => (target, None),
    };
    let broken = |error: io::Error| {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let reason = format!("cannot decompress `{name}`: {error}");
        ImportError::Package { file: source.clone(), reason }
    };
    let mut reader: Box<dyn Read + '_> = match format {
        Some(format) => decoder(&format, data.as_slice()).map_err(broken)?,
        None => Box::new(data.as_slice()),
    };
    let mut file = File::create(&target).map_err(at(&target))?;
    let mut block = vec![0; BLOCK];
    loop {
        let n = reader.read(&mut block).map_err(broken)?;
        if n == 0 {
            return Ok(());
        }
        let total = taken.fetch_add(n as u64, Ordering::Relaxed) + n as u64;
        if total > LIMIT_MIB << 20 {
            return Err(ImportError::TooBig { file: source, limit: LIMIT_MIB });
        }
        file.write_all(&block[..n]).map_err(at(&target))?;
    }
}

/// The plain name and the compression of a compressed module.
fn compression_of(target: &Path) -> Option<(PathBuf, String)> {
    let stem = Path::new(target.file_stem()?);
    let format = target.extension()?.to_str()?;
    let module = stem.extension()? == "ko" && FORMATS.contains(&format);
    module.then(|| (target.with_file_name(stem), format.to_owned()))
}

/// A reader that decompresses one of the [`FORMATS`].
pub fn decoder<'a, R: Read + 'a>(format: &str, reader: R) -> io::Result<Box<dyn Read + 'a>> {
    /// Preset 9 needs 65 MiB; far beyond that is an attack.
    const XZ_MEMORY: u64 = 256 << 20;
    Ok(match format {
        "xz" => {
            let flags = liblzma::stream::CONCATENATED;
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, flags)?;
            Box::new(liblzma::read::XzDecoder::new_stream(reader, stream))
        }
        "zst" => Box::new(zstd::stream::read::Decoder::new(reader)?),
        "gz" => Box::new(flate2::read::MultiGzDecoder::new(reader)),
        _ => return Err(io::Error::other("it is compressed in an unknown way")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_of_paths() {
        let role = |path: &str| Role::of(Path::new(path));
        assert_eq!(role("boot/vmlinuz-6.1.0-53-cloud-amd64"), Some(Role::Image));
        assert_eq!(role("usr/lib/modules/7.2.12/vmlinuz"), Some(Role::Image));
        assert_eq!(role("usr/lib/modules/7.3.4/vmlinuz.unsigned"), Some(Role::Image));
        assert_eq!(role("usr/lib/modules/7.2.12/config"), Some(Role::Config));
        let module = Role::Module { release: "6.1".to_owned(), below: "kernel/net/a.ko".into() };
        assert_eq!(role("lib/modules/6.1/kernel/net/a.ko"), Some(module));
        let builtin = Role::Module { release: "6.1".to_owned(), below: "modules.builtin".into() };
        assert_eq!(role("lib/modules/6.1/modules.builtin"), Some(builtin));
        for other in [
            "usr/share/doc/x/changelog.gz",
            "lib/modules/6.1/modules.dep",
            "lib/modules/6.1/build",
            "lib/modules/6.1",
            "lib/modules",
            "boot/grub/vmlinuz",
            "vmlinuz",
        ] {
            assert_eq!(role(other), None, "{other}");
        }
    }

    fn compressed(format: &str, data: &[u8]) -> Vec<u8> {
        match format {
            "xz" => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
            "gz" => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
            _ => zstd::encode_all(data, 1).unwrap(),
        }
    }

    fn module(name: &str) -> Role {
        Role::Module { release: "6.1".to_owned(), below: Path::new("kernel").join(name) }
    }

    #[test]
    fn modules_of_all_formats_end_up_plain() {
        let dir = tempfile::tempdir().unwrap();
        let mut sink = Sink::new(dir.path());
        for format in ["xz", "gz", "zst"] {
            let data = compressed(format, format.as_bytes());
            sink.put("test", module(&format!("{format}.ko.{format}")), data).unwrap();
        }
        sink.put("test", module("plain.ko"), b"plain".to_vec()).unwrap();
        let found = sink.finish().unwrap();
        assert_eq!(found.releases, ["6.1"]);
        let base = module_dir(dir.path(), "6.1").join("kernel");
        for name in ["xz", "gz", "zst", "plain"] {
            assert_eq!(fs::read(base.join(format!("{name}.ko"))).unwrap(), name.as_bytes());
        }
    }

    #[test]
    fn a_damaged_module_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for format in ["xz", "gz", "zst"] {
            let mut data = compressed(format, &[7; 4000]);
            data.truncate(data.len() - 9);
            let mut sink = Sink::new(dir.path());
            sink.put("a.deb", module(&format!("m.ko.{format}")), data).unwrap();
            let error = sink.finish().unwrap_err().to_string();
            assert!(error.contains("a.deb") && error.contains("m.ko"), "{error}");
        }
    }

    #[test]
    fn an_error_does_not_block_the_sender() {
        let dir = tempfile::tempdir().unwrap();
        let mut sink = Sink::new(dir.path());
        for n in 0..10 * QUEUE {
            if sink.put("a.deb", module(&format!("{n}.ko.xz")), b"no xz".to_vec()).is_err() {
                return;
            }
        }
        assert!(sink.finish().is_err());
    }
}
