//! A worker: takes trials on standard input, and tells what comes of them on standard output. It asks for what it
//! lacks, keeps that in its cache, and leaves nothing else.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use kbisect_core::job::{Job, Subject};
use kbisect_core::run::RunEvent;
use kbisect_core::scenario::Scenario;
use kbisect_core::trial::TrialRecord;
use kbisect_kernels::{PruneRule, ReadyKernel, Silent, Store, is_sha256, sha256_of};
use kbisect_vm::accel::{self, Accelerator, Probe, Wish};
use kbisect_vm::image;
use kbisect_vm::qemu::Qemu;
use kbisect_vm::session::Interrupt;
use kbisect_vm::states::{self, States};
use rustix::fs::FlockOperation;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tempfile::{NamedTempFile, TempDir};

use super::wire::{
    FromWorker, Hello, MAX_MESSAGE, PIECE, PROTOCOL, Site, Stored, StoredFile, ToWorker, is_below,
    receive, send,
};
use crate::cli::Global;
use crate::errors;
use crate::run::bench::{Bench, Parts};
use crate::run::kernels::{Cancellable, boot_files};
use crate::run::workers::available_mib;
use crate::ui::Ui;

/// How often a worker says that it is there.
const ALIVE: Duration = Duration::from_secs(2);
/// How long machines have to end once nobody listens.
const GRACE: Duration = Duration::from_secs(8);
const LOOK: Duration = Duration::from_millis(50);
/// How long a piece may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pieces that are asked for at once.
const WINDOW: u64 = 8;
/// Largest file that is taken: root images have 60 MB, kernels 100.
const MAX_FILE: u64 = 4 << 30;
/// Kernels that are kept, in bytes.
const KEPT_KERNELS: u64 = 16 << 30;
/// Files that are kept beside kernels, in bytes.
const KEPT: u64 = 4 << 30;

type Out = Arc<Mutex<io::Stdout>>;

/// Serves until standard input ends.
///
/// # Errors
/// No QEMU; a peer that is no run of this version.
pub fn serve(global: &Global, qemu: Option<&Path>) -> anyhow::Result<()> {
    let settings = global.settings()?;
    let store = global.store(&settings)?;
    let qemu = Qemu::find(qemu)?;
    let cache = &settings.cache_dir;
    let probe = accel::probe(&qemu.path, cache, Wish::Auto);
    let (scratch, _mine) = scratch()?;
    let (interrupt, cancel) = (Interrupt::default(), Interrupt::default());
    let out: Out = Arc::new(Mutex::new(io::stdout()));
    let ended = Arc::new(AtomicBool::new(false));
    let (queue, end) = listen(&interrupt, &cancel, scratch.path().to_owned());
    // Whoever runs workers ends them so.
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    thread::spawn(move || signals.forever().take(1).for_each(|_| end()));
    say(&out, &FromWorker::Hello { hello: Box::new(hello(&qemu, &probe, &store)) }, &[])?;
    let (out_too, ended_too) = (Arc::clone(&out), Arc::clone(&ended));
    thread::spawn(move || {
        while !ended_too.load(Ordering::SeqCst) && say(&out_too, &FromWorker::Alive, &[]).is_ok() {
            thread::sleep(ALIVE);
        }
    });
    let (cache, waiting) = (cache.clone(), RefCell::default());
    let brought = Store::open(&cache.join("content"))?;
    let compared = RefCell::default();
    let worker =
        Worker { out, queue, store, brought, compared, cache, scratch, interrupt, cancel, waiting };
    let served = worker.serve(qemu, probe);
    ended.store(true, Ordering::SeqCst);
    // Nobody is left to be told.
    if worker.interrupt.is_set() { Ok(()) } else { served }
}

/// Reads what the run says. Once it says nothing any more, all ends soon.
fn listen(
    interrupt: &Interrupt,
    cancel: &Interrupt,
    scratch: PathBuf,
) -> (Receiver<Heard>, impl Fn() + Send + 'static) {
    let (tell, queue): (SyncSender<Heard>, _) = sync_channel(2 * WINDOW as usize);
    let (interrupt, cancel) = (interrupt.clone(), cancel.clone());
    let cancelled = cancel.clone();
    let end = move || {
        interrupt.0.store(true, Ordering::SeqCst);
        cancelled.0.store(true, Ordering::SeqCst);
        kbisect_process::stop_flag().store(true, Ordering::SeqCst);
        thread::sleep(GRACE);
        let _ = fs::remove_dir_all(&scratch);
        std::process::exit(crate::exit::INTERRUPTED.into());
    };
    let at_end = end.clone();
    thread::spawn(move || {
        let mut from = io::stdin().lock();
        while let Ok(Some((message, bytes))) = receive::<ToWorker>(&mut from, MAX_MESSAGE) {
            match message {
                ToWorker::Cancel => cancel.0.store(true, Ordering::SeqCst),
                other => {
                    // Here, where messages are in order: a cancellation may follow at once.
                    if matches!(other, ToWorker::Try { .. }) {
                        cancel.0.store(false, Ordering::SeqCst);
                    }
                    if tell.send((other, bytes)).is_err() {
                        break;
                    }
                }
            }
        }
        drop(tell);
        at_end();
    });
    (queue, end)
}

/// A folder for what a trial leaves until it is sent, and the lock that says that it is in use. What workers left that
/// were killed is removed.
fn scratch() -> anyhow::Result<(TempDir, File)> {
    const BEGINS: &str = "kbisect-worker-";
    const OLD: Duration = Duration::from_secs(60);
    let told = || "cannot make a folder for temporary files";
    let lock = |folder: &Path| -> io::Result<Option<File>> {
        let file = File::create(folder.join("lock"))?;
        let is_free = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        Ok(is_free.then_some(file))
    };
    let own = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let is_one = entry.file_name().to_string_lossy().starts_with(BEGINS);
        // A worker that begins at this moment has not locked its own yet.
        let is_old = |found: &fs::Metadata| {
            found.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age > OLD))
        };
        let is_ours = entry
            .metadata()
            .is_ok_and(|found| found.is_dir() && found.uid() == own && is_old(&found));
        if is_one && is_ours && matches!(lock(&entry.path()), Ok(Some(_))) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let folder = tempfile::Builder::new().prefix(BEGINS).tempdir().with_context(told)?;
    let mine = lock(folder.path()).with_context(told)?;
    Ok((folder, mine.context("a folder for temporary files is in use")?))
}

type Heard = (ToWorker, Vec<u8>);

fn say(out: &Out, message: &FromWorker, bytes: &[u8]) -> io::Result<()> {
    send(&mut *out.lock().unwrap_or_else(PoisonError::into_inner), message, bytes)
}

fn hello(qemu: &Qemu, probe: &Probe, store: &Store) -> Hello {
    Hello {
        protocol: PROTOCOL,
        version: env!("KBISECT_VERSION").to_owned(),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        cpus: thread::available_parallelism().map_or(1, usize::from),
        memory_mib: available_mib(),
        qemu: qemu.version.clone(),
        accelerator: probe.accelerator.to_string(),
        no_kvm: probe.no_kvm.as_ref().map(ToString::to_string),
        kernels: store.list().map_or(0, |kernels| kernels.len()),
    }
}

struct Worker {
    out: Out,
    queue: Receiver<Heard>,
    store: Store,
    /// Kernels that came from runs.
    brought: Store,
    compared: RefCell<BTreeSet<String>>,
    cache: PathBuf,
    scratch: TempDir,
    interrupt: Interrupt,
    cancel: Interrupt,
    /// What was said while a file was waited for.
    waiting: RefCell<VecDeque<ToWorker>>,
}

impl Worker {
    fn serve(&self, qemu: Qemu, probe: Probe) -> anyhow::Result<()> {
        let Some(first) = self.order() else { return Ok(()) };
        let ToWorker::Begin { site } = first else {
            bail!("the run did not begin with what it is")
        };
        // The reference kernel is in use for as long as there is a bench.
        let reference = self.kernel(&site.reference)?;
        let mut bench = self.bench(&site, &reference, qemu, probe)?;
        while let Some(message) = self.order() {
            let ToWorker::Try { job, directory, kernel } = message else { continue };
            let made = match is_below(&directory) {
                true => self.make(&mut bench, &job, &directory, &kernel),
                false => Err(anyhow!("`{directory}` is no folder of a trial")),
            };
            let ended = match made {
                Ok(record) => FromWorker::Ended { record: record.map(Box::new) },
                Err(error) => FromWorker::Failed { error: errors::message(&error) },
            };
            if is_below(&directory) {
                let _ = fs::remove_dir_all(self.scratch.path().join(&directory));
            }
            self.say(&ended, &[])?;
        }
        Ok(())
    }

    /// What the run wants next; nothing once it has ended.
    fn order(&self) -> Option<ToWorker> {
        if let Some(waiting) = self.waiting.borrow_mut().pop_front() {
            return Some(waiting);
        }
        while !self.interrupt.is_set() {
            match self.queue.recv_timeout(LOOK) {
                Ok((message, _)) => return Some(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        None
    }

    /// Bytes of a file that was asked for.
    fn piece(&self, file: &StoredFile) -> anyhow::Result<Vec<u8>> {
        loop {
            let (message, bytes) =
                self.queue.recv_timeout(PATIENCE).context("the run sends nothing any more")?;
            match message {
                ToWorker::Piece { sha256 } if sha256 == file.sha256 && !bytes.is_empty() => {
                    return Ok(bytes);
                }
                ToWorker::Piece { .. } => bail!("{} cannot be read where the run is", file.name),
                order => self.waiting.borrow_mut().push_back(order),
            }
        }
    }

    fn say(&self, message: &FromWorker, bytes: &[u8]) -> io::Result<()> {
        say(&self.out, message, bytes)
    }

    fn bench(
        &self,
        site: &Site,
        reference: &ReadyKernel,
        qemu: Qemu,
        probe: Probe,
    ) -> anyhow::Result<Bench> {
        let root = match image::stored(&self.cache, &site.image_key) {
            Some(image) if image.manifest.sha256 == site.image.sha256 => image.path,
            _ => self.kept(&site.image)?,
        };
        let probe = match probe.accelerator {
            Accelerator::Kvm if site.emulated => accel::probe(&qemu.path, &self.cache, Wish::Tcg),
            _ => probe,
        };
        let parts = Parts {
            qemu,
            cache_dir: self.cache.clone(),
            root,
            reference: boot_files(self.store_of(reference), reference),
            placement: site.placement,
            choices: site.choices,
            vmcore: site.vmcore,
            preload: site.preload,
            states: (!site.cold).then(|| States::new(&self.cache, states::DEFAULT_LIMIT)),
            interrupt: self.interrupt.clone(),
            ui: Ui::new(&Global { quiet: true, ..Global::default() }),
        };
        Ok(Bench::new(parts, probe, self.scratch.path(), None, self.cancel.clone()))
    }

    fn make(
        &self,
        bench: &mut Bench,
        job: &Job,
        directory: &str,
        kernel: &Stored,
    ) -> anyhow::Result<Option<TrialRecord>> {
        if job.by_hand || job.shell.is_some() {
            bail!("a worker has no terminal");
        }
        check(&job.subject)?;
        let ready = match self.kernel(kernel) {
            Err(error) if error.is::<Stopped>() => return Ok(None),
            ready => ready?,
        };
        let files = boot_files(self.store_of(&ready), &ready);
        fs::create_dir_all(self.scratch.path().join(directory))?;
        let mut tell = |event: RunEvent| {
            let event = Box::new(event);
            self.say(&FromWorker::Event { event }, &[]).map_err(anyhow::Error::from)
        };
        let record = bench.trial(&files, directory, job, &mut tell)?;
        if record.is_some() {
            let folder = self.scratch.path().join(directory);
            self.send_files(&folder, &folder)?;
        }
        Ok(record)
    }

    /// Sends what a trial left.
    fn send_files(&self, folder: &Path, root: &Path) -> anyhow::Result<()> {
        let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() {
                self.send_files(&path, root)?;
            } else if kind.is_file() {
                let below = path.strip_prefix(root)?.to_string_lossy().into_owned();
                let mut file = File::open(&path)?;
                let mut piece = vec![0; PIECE];
                loop {
                    let count = file.read(&mut piece)?;
                    let message = FromWorker::File { path: below.clone() };
                    self.say(&message, &piece[..count])?;
                    if count == 0 {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// The store that a kernel is in.
    fn store_of(&self, kernel: &ReadyKernel) -> &Store {
        if kernel.dir.starts_with(self.brought.dir()) { &self.brought } else { &self.store }
    }

    /// A kernel of the user's own store, or of those that came from runs: these are believed by their content alone.
    fn kernel(&self, stored: &Stored) -> anyhow::Result<ReadyKernel> {
        if let Some(ready) = self.store.get(&stored.id) {
            return Ok(ready);
        }
        if let Some(ready) = self.brought.get(&stored.id) {
            if self.is_same(&ready, stored) {
                return Ok(ready);
            }
            drop(ready);
            let rule = PruneRule { named: vec![stored.id.clone()], ..PruneRule::default() };
            self.brought.prune(&rule)?;
        }
        let fill = |folder: &Path| {
            for file in &stored.files {
                if Path::new(&file.name).components().count() != 1 || !is_below(&file.name) {
                    bail!("`{}` is no name of a kernel's file", file.name);
                }
                self.fetch(file, &folder.join(&file.name))?;
            }
            Ok(())
        };
        let waiting = Cancellable { shown: Arc::new(Silent), cancel: self.cancel.clone() };
        let ready = self.brought.adopt(&stored.id, &waiting, fill)?;
        // Another worker may have brought it meanwhile, for another run.
        if !self.is_same(&ready, stored) {
            bail!("kernel {} is there with other files", stored.id.short());
        }
        let rule = PruneRule { max_bytes: Some(KEPT_KERNELS), ..PruneRule::default() };
        self.brought.prune(&rule)?;
        Ok(ready)
    }

    /// Whether a kernel has the files that the run says, looked at once.
    fn is_same(&self, ready: &ReadyKernel, stored: &Stored) -> bool {
        let has = |file: &StoredFile| {
            is_below(&file.name)
                && sha256_of(&ready.dir.join(&file.name)).is_ok_and(|it| it == file.sha256)
        };
        let is_known = self.compared.borrow().contains(&stored.id.0);
        let is_same = is_known || stored.files.iter().all(has);
        if is_same && !is_known {
            self.compared.borrow_mut().insert(stored.id.0.clone());
        }
        is_same
    }

    /// A file of the cache, which gets it from the run if it must.
    fn kept(&self, file: &StoredFile) -> anyhow::Result<PathBuf> {
        if !is_sha256(&file.sha256) {
            bail!("`{}` is no SHA-256", file.sha256);
        }
        let folder = self.cache.join("content/v1");
        fs::create_dir_all(&folder)?;
        let path = folder.join(&file.sha256);
        if !path.is_file() {
            self.fetch(file, &path)?;
        }
        // Its time is that of the last use.
        let _ = File::open(&path).and_then(|it| it.set_modified(std::time::SystemTime::now()));
        make_room(&folder, &path);
        Ok(path)
    }

    /// Gets a file from the run.
    fn fetch(&self, file: &StoredFile, path: &Path) -> anyhow::Result<()> {
        if file.size > MAX_FILE {
            bail!("{} has {} bytes, which is more than a worker takes", file.name, file.size);
        }
        let folder = path.parent().context("a file has no folder")?;
        let mut part = NamedTempFile::new_in(folder)?;
        let (mut asked, mut got, mut due) = (0, 0, 0);
        while got < file.size {
            let is_stopped = self.cancel.is_set();
            while !is_stopped && asked < file.size && due < WINDOW {
                let sha256 = file.sha256.clone();
                self.say(&FromWorker::Want { sha256, from: asked }, &[])?;
                asked += PIECE as u64;
                due += 1;
            }
            if is_stopped && due == 0 {
                return Err(Stopped.into());
            }
            let bytes = self.piece(file)?;
            due -= 1;
            part.write_all(&bytes)?;
            got += bytes.len() as u64;
        }
        part.as_file().sync_all()?;
        if sha256_of(part.path())? != file.sha256 {
            bail!("{} arrived with other content than it has", file.name);
        }
        fs::set_permissions(part.path(), Permissions::from_mode(0o644))?;
        part.persist(path)?;
        Ok(())
    }
}

/// Whether nothing of a scenario leads out of the folders of its trial, as in one that is read from a file.
fn check(subject: &Subject) -> anyhow::Result<()> {
    let is_word = |folder: &String| is_below(folder) && Path::new(folder).components().count() == 1;
    if !subject.folder.iter().all(is_word) {
        bail!("the scenario's folder is no name");
    }
    if let Some(file) = subject.scenario.assets.keys().find(|file| !is_below(file)) {
        bail!("`{}` is no file of a scenario", file.escape_debug());
    }
    Scenario::from_kept(&serde_json::to_vec(&*subject.scenario)?)?;
    Ok(())
}

/// What was asked for is of no use any more.
#[derive(Debug, thiserror::Error)]
#[error("it is of no use any more")]
struct Stopped;

/// Removes what was not used for the longest time, but for what is used now.
fn make_room(folder: &Path, used: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .filter_map(|entry| {
            let found = entry.metadata().ok()?;
            Some((found.modified().ok()?, found.len(), entry.path()))
        })
        .collect();
    files.sort();
    let mut all: u64 = files.iter().map(|(_, size, _)| size).sum();
    for (_, size, path) in files {
        if all <= KEPT {
            break;
        }
        if path != used && fs::remove_file(&path).is_ok() {
            all -= size;
        }
    }
}
