//! The host that the trials run on.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// One trial at a time: two emulated machines are all that two processors can take.
static HOST: Mutex<()> = Mutex::new(());

/// The host, held by one test, with a folder for its runs.
pub struct Host {
    folder: Option<tempfile::TempDir>,
    held: Option<MutexGuard<'static, ()>>,
}

impl Host {
    /// Waits for the host.
    pub fn hold() -> Self {
        let mut host = Self::aside();
        host.take();
        host
    }

    /// A folder for runs alone: for what needs no machine, beside those of other tests.
    pub fn aside() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Self { folder: Some(folder), held: None }
    }

    /// Waits for the host.
    pub fn take(&mut self) {
        self.held = Some(HOST.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The folder that runs are written to.
    pub fn results(&self) -> PathBuf {
        self.folder.as_ref().unwrap().path().join("results")
    }

    /// A path beside the results; commands run there.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.as_ref().unwrap().path().join(name)
    }

    /// The only run.
    pub fn run_folder(&self) -> PathBuf {
        let mut runs: Vec<PathBuf> =
            std::fs::read_dir(self.results()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs.remove(0)
    }

    /// Starts kbisect with `--json`.
    pub fn start(&self, words: &str) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kbisect"));
        command
            .args(words.split_whitespace())
            .arg("--json")
            .arg("--results")
            .arg(self.results())
            .current_dir(self.folder.as_ref().unwrap().path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let own = words.contains("--cache");
        if let Some(cache) = std::env::var_os("KBISECT_TEST_CACHE").filter(|_| !own) {
            command.arg("--cache").arg(cache);
        }
        command.spawn().unwrap()
    }

    /// Runs kbisect to its end.
    pub fn run(&self, words: &str) -> Ended {
        Ended::of(words, &self.start(words).wait_with_output().unwrap())
    }

    /// Asserts that no machine of these runs is left. A killed one takes a moment to go.
    pub fn assert_no_machine_left(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let left = machines(&self.results());
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "QEMU still runs: {left:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // What a failed test left is what its failure is understood from.
        if std::thread::panicking()
            && let Some(folder) = self.folder.take()
        {
            eprintln!("the runs are kept in {}", folder.keep().display());
        }
    }
}

/// Processes whose command line names a file below `folder`, and that are no kbisect.
fn machines(folder: &Path) -> Vec<String> {
    let folder = folder.display().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            (line.contains("qemu") && line.contains(&folder)).then_some(line)
        })
        .collect()
}

/// How a command ended.
pub struct Ended {
    words: String,
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ended {
    /// Takes what a command left. A host that cannot run real machines is said to be one.
    #[track_caller]
    pub fn of(words: &str, output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().unwrap_or(-1);
        let ended = Self {
            words: words.to_owned(),
            code,
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        };
        assert!(
            !matches!(code, 69 | 201),
            "this host cannot run real machines, or cannot get their kernels; tests with real \
             machines are never skipped (`kbisect doctor` says what is missing)\nkbisect {words}\n{}",
            ended.stderr
        );
        ended
    }

    /// The document, after the exit code was asserted.
    #[track_caller]
    pub fn document(&self, code: i32) -> Value {
        let Self { words, stdout, stderr, .. } = self;
        assert_eq!(self.code, code, "kbisect {words}\nstdout: {stdout}\nstderr: {stderr}");
        serde_json::from_str(stdout).unwrap()
    }
}
