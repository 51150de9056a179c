//! A cache with scripted kernels and a stub of a root image, and a folder for runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use kbisect_kernels::{AddRequest, Silent, Store, VariantRequest};
use kbisect_vm::image::{Compression, ImageDefinition, ImageManifest};
use serde_json::Value;

/// What the check of the scenario `smoke` sees on a kernel that loses packets.
pub const BAD: &str = "at http\n reply read-timeout\n";
/// A kernel that does not boot.
pub const NO_BOOT: &str = "at start\n panic mount_root\n shutdown guest guest-reset\n exit 0\n";
/// A kernel that panics when packets flow.
pub const PANIC: &str = "at http\n panic nft_fake_eval\n shutdown guest guest-reset\n exit 0\n";

/// A place of its own for a test.
pub struct Place {
    folder: tempfile::TempDir,
}

/// What a command left.
pub struct Ended {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Place {
    /// A place with a healthy reference kernel and nothing else.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Self { folder };
        let definition = ImageDefinition::built_in();
        let images = place.path("cache/images").join(definition.key());
        std::fs::create_dir_all(&images).unwrap();
        std::fs::write(images.join("root.squashfs"), b"stub").unwrap();
        let manifest = ImageManifest {
            schema: "kbisect.image/1".to_owned(),
            key: definition.key(),
            suite: "bookworm".to_owned(),
            architecture: "amd64".to_owned(),
            compression: Compression::Lz4,
            built_at: "2026-01-01T00:00:00Z".to_owned(),
            size_bytes: 4,
            sha256: "0".repeat(64),
            packages: BTreeMap::new(),
        };
        let manifest = serde_json::to_vec(&manifest).unwrap();
        std::fs::write(images.join("image.json"), manifest).unwrap();
        place.kernel(
            "6.1.100",
            &format!("at start\n pid {}\n boot 6.1.100\n", place.path("peer").display()),
        );
        place
    }

    /// A place with the kernels 6.12.1 to 6.12.`count`, each with the script of its number.
    pub fn series(count: u32, script: impl Fn(u32) -> String) -> Self {
        let place = Self::new();
        for number in 1..=count {
            place.kernel(&format!("6.12.{number}"), &script(number));
        }
        place
    }

    /// Adds a kernel that plays a script.
    pub fn kernel(&self, version: &str, script: &str) {
        let image = self.path(&format!("vmlinuz-{version}"));
        std::fs::write(&image, kbisect_fake_qemu::image(version, script)).unwrap();
        let request = AddRequest { inputs: vec![image.clone()], ..AddRequest::default() };
        let store = Store::open(&self.path("cache")).unwrap();
        store.add(&request, &Silent).unwrap();
        std::fs::remove_file(image).unwrap();
    }

    /// Adds a variant of a kernel that differs by one word of its command line.
    pub fn variant(&self, base: &str, word: &str, name: &str) {
        let store = Store::open(&self.path("cache")).unwrap();
        let stored = store.list().unwrap();
        let base = stored.into_iter().find(|ready| ready.kernel.label() == base).unwrap();
        let request = VariantRequest {
            base,
            modules: Vec::new(),
            cmdline: vec![word.to_owned()],
            name: name.to_owned(),
            replace: false,
        };
        store.add_variant(&request, &Silent).unwrap();
    }

    /// A path in the place.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command with the options that keep it in the place; `words` come first.
    pub fn command(&self, words: &str) -> Command {
        self.command_with(words, &kbisect_fake_qemu::path())
    }

    /// As [`Place::command`], with another QEMU.
    pub fn command_with(&self, words: &str, qemu: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kbisect"));
        command
            .args(words.split_whitespace())
            .arg("--offline")
            .arg("--cache")
            .arg(self.path("cache"))
            .arg("--qemu")
            .arg(qemu)
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Resuming takes the accelerator from the run.
        if !words.starts_with("resume") && !words.starts_with("verify") {
            command.args(["--accel", "tcg"]);
        }
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, words: &str) -> Ended {
        Ended::of(self.command(words).output().unwrap())
    }

    /// Runs a command with the words that kbisect printed, and no others.
    pub fn as_printed(&self, words: &str) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kbisect"));
        command
            .args(words.split_whitespace())
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .stdin(Stdio::null());
        Ended::of(command.output().unwrap())
    }

    /// Starts a command.
    pub fn start(&self, words: &str) -> Child {
        self.command(words).spawn().unwrap()
    }

    /// Runs a bisection of a whole series with `--json`.
    pub fn bisect(&self, range: &str, options: &str) -> Ended {
        self.run(&format!("{range} --scenario smoke --json {options}"))
    }

    /// The only run in the results folder.
    pub fn run_folder(&self) -> PathBuf {
        let mut runs: Vec<PathBuf> = std::fs::read_dir(self.path("results"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs.remove(0)
    }

    /// Versions of the trials that were begun, in order, from the journal.
    pub fn begun(&self) -> Vec<String> {
        let folder = self.run_folder();
        let journal = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
            .unwrap();
        let text = std::fs::read_to_string(journal).unwrap();
        let lines: Vec<Value> =
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let plan = &lines[0]["plan"]["series"];
        lines
            .iter()
            .filter(|line| line["event"] == "trial-began")
            .map(|line| {
                let index = usize::try_from(line["index"].as_u64().unwrap()).unwrap();
                plan[index]["kernel"]["version"].as_str().unwrap().to_owned()
            })
            .collect()
    }
}

impl Ended {
    /// Takes what a command left.
    pub fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ended = Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        };
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        ended
    }

    /// The one JSON document on standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        let mut documents = serde_json::Deserializer::from_str(&self.stdout).into_iter::<Value>();
        let document = documents.next().unwrap_or_else(|| panic!("no document\n{}", self.stderr));
        assert!(documents.next().is_none(), "more than one document: {}", self.stdout);
        document.unwrap()
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}

/// Reads a process id that a stand-in writes; waits until it is there.
pub fn pid_in(file: &Path) -> u32 {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Ok(text) = std::fs::read_to_string(file) {
            return text.parse().unwrap();
        }
        assert!(Instant::now() < deadline, "{} was not written", file.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a process is gone: being killed takes a moment.
pub fn is_gone(pid: u32) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
        if matches!(state, Some("Z" | "X") | None) {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
