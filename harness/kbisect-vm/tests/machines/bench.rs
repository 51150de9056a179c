//! A lab whose machines are stand-ins, each with a script.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kbisect_core::boot::BootWay;
use kbisect_core::job::Limits;
use kbisect_core::scenario::Scenario;
use kbisect_core::trial::{SymptomKind, Verdict};
use kbisect_vm::accel::Accelerator;
use kbisect_vm::lab::{BootFiles, BootPolicy, Coming, LabSettings};
use kbisect_vm::network::Placement;
use kbisect_vm::qemu::Qemu;
use kbisect_vm::session::{Interrupt, Session, SessionError};
use kbisect_vm::states::{self, States};
use kbisect_vm::timing::{Speed, Timing};
use kbisect_vm::trial::{Notice, Order, TrialResult};

/// A step that loads rules, a service on each side, a check of payload and one that the node lives.
const SCENARIO: &str = r#"
schema = "kbisect.scenario/1"
summary = "a client with rules, a server"
[nodes.client]
kernel = "candidate"
[nodes.server]
kernel = "reference"
[links.lan]
client = { name = "eth0", addresses = ["192.0.2.10/24"] }
server = { name = "eth0", addresses = ["192.0.2.1/24"] }
[[setup]]
name = "rules"
node = "client"
nft = "rules.nft"
[[services]]
name = "web"
node = "server"
command = ["nginx"]
ready = { tcp = 80 }
[[services]]
name = "app"
node = "client"
command = ["app"]
[[replay]]
name = "again"
node = "client"
run = "replay-step"
[[checks]]
name = "payload"
node = "client"
timeout_s = 2
http = { url = "http://192.0.2.1/payload", body = { bytes = 65536, contains = "8" } }
[[checks]]
name = "alive"
node = "client"
alive = true
"#;

/// Limits that are reached within a test's patience. Answers of the stand-in take milliseconds.
fn timing() -> Timing {
    Timing {
        boot: Duration::from_secs(5),
        answer: Duration::from_secs(3),
        quiet: Duration::from_millis(300),
        quiet_in_trace: Duration::from_secs(1),
        silence: Duration::from_secs(3),
        ..Timing::new(Speed::of_probe(Duration::ZERO), 1.0)
    }
}

/// A lab in a folder of its own.
pub struct Bench {
    /// The folder.
    pub folder: tempfile::TempDir,
    /// The session; taken down with the bench.
    pub session: Session,
    /// Stops a trial.
    pub interrupt: Interrupt,
    /// What the last trial told.
    pub notices: Vec<Notice>,
    settings: LabSettings,
    trials: u32,
}

impl Bench {
    /// A lab whose peer machine is healthy.
    pub fn new() -> Self {
        Self::with_peer(|_| String::new())
    }

    /// A lab whose peer machine plays a script, made from the bench's folder.
    pub fn with_peer(script: impl FnOnce(&Path) -> String) -> Self {
        Self::with(SCENARIO, script)
    }

    /// A lab with a scenario of the test's own.
    pub fn with(scenario: &str, peer: impl FnOnce(&Path) -> String) -> Self {
        Self::make(scenario, peer, false)
    }

    /// A lab that dumps the memory of candidates that crash or hang.
    pub fn dumping() -> Self {
        Self::make(SCENARIO, |_| String::new(), true)
    }

    /// Takes the lab down and makes it anew.
    pub fn renew(&mut self) {
        let states = States::new(self.folder.path(), states::DEFAULT_LIMIT);
        let settings = LabSettings { states: Some(states), ..self.settings.clone() };
        self.session = Session::new(settings, self.interrupt.clone()).unwrap();
    }

    /// A lab that keeps states of machines.
    pub fn saving(peer: impl FnOnce(&Path) -> String) -> Self {
        let mut bench = Self::with_peer(peer);
        bench.renew();
        bench
    }

    fn make(scenario: &str, peer: impl FnOnce(&Path) -> String, vmcore: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut scenario =
            Scenario::parse("bench", "scenario.toml", scenario).unwrap().scenario().clone();
        scenario.assets.insert("rules.nft".to_owned(), b"table ip t {}\n".to_vec());
        let root = folder.path().join("root.squashfs");
        std::fs::write(&root, b"stub").unwrap();
        let script = peer(folder.path());
        let settings = LabSettings {
            qemu: Qemu::find(Some(&kbisect_fake_qemu::path())).unwrap(),
            // Nothing is emulated, so no deadline needs to be stretched.
            accelerator: Accelerator::Kvm,
            root,
            reference: kernel(folder.path(), "reference", &script),
            scenario: Arc::new(scenario),
            placement: Placement::Split,
            directory: folder.path().join("lab"),
            timing: timing(),
            vmcore,
            boot: BootPolicy { way: BootWay::Pvh, no_pvh: None, crypto_tests: false },
            preload: false,
            states: None,
        };
        let interrupt = Interrupt::default();
        let session = Session::new(settings.clone(), interrupt.clone()).unwrap();
        Self { folder, settings, session, interrupt, notices: Vec::new(), trials: 0 }
    }

    /// A file in the bench's folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder of the last trial.
    pub fn trial_folder(&self) -> PathBuf {
        self.file(&format!("trial-{}", self.trials))
    }

    /// Runs a trial whose candidate plays a script.
    pub fn trial(&mut self, script: &str) -> TrialResult {
        self.try_trial(script).unwrap()
    }

    /// As [`Bench::trial`], for a trial that may be interrupted.
    pub fn try_trial(&mut self, script: &str) -> Result<TrialResult, SessionError> {
        self.trials += 1;
        let folder = self.trial_folder();
        std::fs::create_dir(&folder).unwrap();
        let kernel = kernel(self.folder.path(), &format!("candidate-{}", self.trials), script);
        self.trial_of(&kernel, &folder, Coming::Any)
    }

    /// Runs another trial of the same candidate.
    pub fn again(&mut self, name: &str, script: &str, coming: Coming) -> TrialResult {
        self.trials += 1;
        let folder = self.trial_folder();
        std::fs::create_dir(&folder).unwrap();
        let path = self.folder.path().join(name);
        // As in the store, a kernel is not written again.
        let kernel = match path.exists() {
            true => boot_files(path),
            false => kernel(self.folder.path(), name, script),
        };
        self.trial_of(&kernel, &folder, coming).unwrap()
    }

    /// Runs a trial of a kernel that plays one script when it is booted by its PVH entry, and another
    /// when it is booted as it is shipped.
    pub fn unpacked(&mut self, unpacked: &str, packed: &str, coming: Coming) -> TrialResult {
        self.trials += 1;
        let folder = self.trial_folder();
        std::fs::create_dir(&folder).unwrap();
        let vmlinux = kernel(self.folder.path(), "vmlinux", unpacked).vmlinuz;
        let packed = kernel(self.folder.path(), "vmlinuz", packed);
        let kernel = BootFiles { unpacked: Ok(vmlinux), ..packed };
        self.trial_of(&kernel, &folder, coming).unwrap()
    }

    fn trial_of(
        &mut self,
        kernel: &BootFiles,
        folder: &Path,
        coming: Coming,
    ) -> Result<TrialResult, SessionError> {
        let mut notices = Vec::new();
        let mut tell = |notice| notices.push(notice);
        let directory = folder;
        let order = Order {
            kernel,
            directory,
            coming,
            fault: None,
            limits: Limits::default(),
            shell: None,
            hands: None,
        };
        let result = self.session.trial(&order, &mut tell);
        self.notices = notices;
        result
    }

    /// Runs a trial that must be bad, and says how.
    pub fn bad(&mut self, script: &str) -> (SymptomKind, String) {
        match self.trial(script).verdict {
            Verdict::Bad(symptom) => (symptom.kind, symptom.title),
            other => panic!("bad was expected, not {other}\n{}", self.console()),
        }
    }

    /// Runs a trial that must be our own failure, and says why.
    pub fn infra(&mut self, script: &str) -> String {
        match self.trial(script).verdict {
            Verdict::Infra(reason) => reason,
            other => panic!("infra was expected, not {other}\n{}", self.console()),
        }
    }

    /// Runs a trial that the kernel gives no answer in, and says why.
    pub fn skip(&mut self, script: &str) -> String {
        match self.trial(script).verdict {
            Verdict::Skip(why) => why.to_string(),
            other => panic!("skip was expected, not {other}\n{}", self.console()),
        }
    }

    /// The candidate's console in the last trial, for messages.
    pub fn console(&self) -> String {
        let log = std::fs::read(self.trial_folder().join("candidate/console.log"));
        String::from_utf8_lossy(&log.unwrap_or_default()).chars().take(2000).collect()
    }
}

fn kernel(folder: &Path, name: &str, script: &str) -> BootFiles {
    let vmlinuz = folder.join(name);
    std::fs::write(&vmlinuz, kbisect_fake_qemu::image("6.12.57-fake", script)).unwrap();
    boot_files(vmlinuz)
}

fn boot_files(vmlinuz: PathBuf) -> BootFiles {
    let unpacked = Err("a script has nothing to unpack".to_owned());
    BootFiles { vmlinuz, unpacked, boot_modules: None, modules: None, cmdline: Vec::new() }
}

/// Reads a process id that a stand-in writes; waits until it is there.
pub fn pid_in(file: &Path) -> u32 {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Ok(text) = std::fs::read_to_string(file) {
            return text.parse().unwrap();
        }
        assert!(Instant::now() < deadline, "{} was not written", file.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process runs; one that ended and was not waited for does not.
pub fn runs(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
    !matches!(state, Some("Z" | "X") | None)
}

/// Waits until a process is gone: being killed takes a moment.
pub fn is_gone(pid: u32) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while runs(pid) {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}
