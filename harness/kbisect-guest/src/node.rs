//! Nodes: the machine itself, or a set of name spaces with a root of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write as _};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use kbisect_proto::{ASSETS_DIR, Device, FileContent, Nic, NodeSetup, Part};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::kmsg;
use crate::links::{IpError, making_way, parked, renaming, run_ip};
use crate::mounts::{self, LOWER};
use crate::programs::{Entry, PATH, enter_before_exec, fork_into_pid_space};

/// First argument of the role "first process of an isolated node".
pub const HOLDER: &str = "kbisect-node";

/// Most bytes of a file that are read, so that several fit into a message.
const MAX_READ: usize = 64 << 10;

/// A node that was made.
pub struct Node {
    pub name: String,
    /// The process that holds its name spaces; none for a node that is the machine.
    holder: Option<Holder>,
    nics: Vec<Nic>,
}

struct Holder {
    pid: Pid,
    namespaces: Vec<(File, CloneFlags)>,
    // The holder ends when its input does, so that none is left behind if the agent dies.
    _input: std::process::ChildStdin,
}

/// What could not be made of a node.
pub struct Unmade {
    /// What it was about.
    pub part: Part,
    /// The command or key, where one is at fault.
    pub command: String,
    pub said: String,
}

impl Unmade {
    fn new(part: Part, said: impl Into<String>) -> Self {
        Self { part, command: String::new(), said: said.into() }
    }

    /// As `ip` said it of a batch.
    fn of_ip(part: Part, batch: &str, error: IpError) -> Self {
        let command = error.line.and_then(|line| batch.lines().nth(line));
        Self { part, command: command.unwrap_or_default().to_owned(), said: error.said }
    }
}

impl Node {
    /// A node that is the machine, for tests of what runs in nodes.
    #[cfg(test)]
    pub fn machine() -> Self {
        Self { name: "machine".to_owned(), holder: None, nics: Vec::new() }
    }

    /// Makes a node: name spaces if it is isolated, interfaces, devices, sysctls, addresses, files.
    pub fn make(setup: &NodeSetup, files: &BTreeMap<String, Vec<u8>>) -> Result<Self, Unmade> {
        let holder = if setup.isolated { Some(Holder::start(&setup.name)) } else { None };
        let holder = holder.transpose().map_err(|error| Unmade::new(Part::Namespaces, error))?;
        let node = Self { name: setup.name.clone(), holder, nics: setup.nics.clone() };
        if node.holder.is_none() {
            let _ = nix::unistd::sethostname(&setup.name);
            let _ = fs::write("/etc/hosts", hosts(&setup.name));
        }
        node.take_nics(setup)?;
        node.make_devices(&setup.devices)?;
        node.write_sysctls(&setup.sysctl)?;
        node.ip(Part::Network, &setup.network)?;
        node.write_files(files).map_err(|error| Unmade::new(Part::Files, error))?;
        Ok(node)
    }

    /// What a child process needs to enter.
    pub fn entry(&self) -> Entry {
        let namespaces: Vec<(RawFd, CloneFlags)> = self
            .holder
            .iter()
            .flat_map(|holder| &holder.namespaces)
            .map(|(file, kind)| (file.as_raw_fd(), *kind))
            .collect();
        let new_pid_space = namespaces.iter().any(|(_, kind)| *kind == CloneFlags::CLONE_NEWPID);
        Entry { namespaces, new_pid_space }
    }

    /// Puts the calling thread into the node's network.
    pub fn enter_network(&self) -> Result<(), String> {
        for (file, kind) in self.holder.iter().flat_map(|holder| &holder.namespaces) {
            if *kind == CloneFlags::CLONE_NEWNET {
                setns(file.as_fd(), *kind).map_err(|error| format!("setns: {error}"))?;
            }
        }
        Ok(())
    }

    /// The node's root as the agent sees it.
    pub fn root(&self) -> PathBuf {
        match &self.holder {
            Some(holder) => PathBuf::from(format!("/proc/{}/root", holder.pid)),
            None => PathBuf::from("/"),
        }
    }

    /// Path of the node's own `/proc/net`.
    pub fn proc_net(&self) -> PathBuf {
        match &self.holder {
            Some(holder) => PathBuf::from(format!("/proc/{}/net", holder.pid)),
            None => PathBuf::from("/proc/net"),
        }
    }

    /// Reads files; those that cannot be read are left out.
    pub fn read(&self, paths: &[String]) -> Vec<FileContent> {
        let place = |path: &str| match path.strip_prefix("/proc/net/") {
            Some(rest) => self.proc_net().join(rest),
            None => self.root().join(path.trim_start_matches('/')),
        };
        paths
            .iter()
            .filter_map(|path| {
                let mut data = match path.as_str() {
                    kmsg::PATH => kmsg::read()?,
                    _ => fs::read(place(path)).ok()?,
                };
                // What was logged last says most; of everything else the beginning.
                match path.as_str() {
                    kmsg::PATH => drop(data.drain(..data.len().saturating_sub(2 * MAX_READ))),
                    _ => data.truncate(MAX_READ),
                }
                Some(FileContent { path: path.clone(), data })
            })
            .collect()
    }

    /// Gives the interfaces back to the machine and kills everything in the node.
    ///
    /// The interfaces are moved, not left to the end of the network name space: a connection that was
    /// cut off keeps that alive for as long as it sends its last data again, a minute or more.
    pub fn take_apart(&self) -> Result<(), String> {
        let Some(holder) = &self.holder else {
            return Err(format!("node {} is the machine itself and cannot be reset", self.name));
        };
        let mut batch = String::new();
        // What lies on an interface (a VLAN, say) would stay in the old name space and hold its place.
        for device in self.virtual_devices() {
            batch += &format!("link del dev {device}\n");
        }
        for nic in &self.nics {
            // PID 1 is in the machine's own network; names may be taken there.
            batch += &format!("link set dev {} netns 1 name {}\n", nic.name, parked(nic.mac));
        }
        let mut command = Command::new("ip");
        command.arg("-force");
        let network: Vec<(RawFd, CloneFlags)> = holder
            .namespaces
            .iter()
            .filter(|(_, kind)| *kind == CloneFlags::CLONE_NEWNET)
            .map(|(file, kind)| (file.as_raw_fd(), *kind))
            .collect();
        enter_before_exec(&mut command, Entry { namespaces: network, new_pid_space: false });
        // An interface that a step renamed comes back with the name space, later.
        let _ = run_ip(command, &batch);
        kill(holder.pid, Signal::SIGKILL)
            .map_err(|error| format!("node {}: kill: {error}", self.name))
    }

    /// Names of the devices that no hardware is behind.
    fn virtual_devices(&self) -> Vec<String> {
        let entries =
            fs::read_dir(self.root().join("sys/class/net")).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_name() != "lo" && !entry.path().join("device").exists())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    }

    /// Waits until the interfaces of a node that was taken apart are the machine's again.
    pub fn interfaces_are_back(&self) -> Result<(), String> {
        for nic in &self.nics {
            find_nic(nic.mac, Duration::from_secs(20))?;
        }
        Ok(())
    }

    fn take_nics(&self, setup: &NodeSetup) -> Result<(), Unmade> {
        let unmade = |error| Unmade::new(Part::Interfaces, error);
        let mut found = Vec::new();
        for nic in &setup.nics {
            found.push((find_nic(nic.mac, Duration::from_secs(5)).map_err(unmade)?, nic));
        }
        let own: BTreeSet<&str> = match self.holder {
            Some(_) => BTreeSet::new(),
            None => found.iter().map(|(current, _)| current.as_str()).collect(),
        };
        let wanted = setup.nics.iter().map(|nic| nic.name.as_str());
        self.make_way(wanted.filter(|name| !own.contains(name)))?;
        let batch = match &self.holder {
            Some(holder) => found
                .iter()
                .map(|(current, nic)| {
                    format!("link set dev {current} netns {} name {}\n", holder.pid, nic.name)
                })
                .collect(),
            None => renaming(&found),
        };
        run_ip(Command::new("ip"), &batch)
            .map_err(|error| Unmade::of_ip(Part::Interfaces, &batch, error))
    }

    /// Makes the devices. A module that is loaded for one may make a device of its own first, with
    /// the very name that is asked for; that one gets another name.
    fn make_devices(&self, devices: &[Device]) -> Result<(), Unmade> {
        let mut begin = 0;
        let mut moved = BTreeSet::new();
        loop {
            let lines = devices[begin..].iter().map(|it| format!("link add {}\n", it.arguments));
            let batch: String = lines.collect();
            let Err(error) = self.run_ip(&batch) else { return Ok(()) };
            let Some((at, device)) = error
                .line
                .and_then(|line| Some((begin + line, devices.get(begin + line)?)))
                .filter(|_| error.is_taken())
            else {
                return Err(Unmade::of_ip(Part::Devices, &batch, error));
            };
            let name = device.name.as_str();
            // Its own interfaces and devices, and their other ends, are nobody's default.
            let own = self.nics.iter().any(|nic| nic.name == name)
                || devices[..at]
                    .iter()
                    .any(|it| it.arguments.split_whitespace().any(|word| word == name));
            if own || !moved.insert(name) {
                return Err(Unmade::of_ip(Part::Devices, &batch, error));
            }
            self.make_way(std::iter::once(name))?;
            begin = at;
        }
    }

    /// Gives other names to devices of these names.
    fn make_way<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<(), Unmade> {
        let there = self.devices();
        let taken = names.filter(|name| there.iter().any(|device| device == name));
        let batch = making_way(there.len(), taken);
        self.run_ip(&batch).map_err(|error| Unmade::of_ip(Part::Interfaces, &batch, error))
    }

    fn devices(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root().join("sys/class/net"));
        let names = entries.into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.map(|name| name.to_string_lossy().into_owned()).collect()
    }

    fn ip(&self, part: Part, batch: &str) -> Result<(), Unmade> {
        self.run_ip(batch).map_err(|error| Unmade::of_ip(part, batch, error))
    }

    fn run_ip(&self, batch: &str) -> Result<(), IpError> {
        let mut command = Command::new("ip");
        enter_before_exec(&mut command, self.entry());
        run_ip(command, batch)
    }

    fn write_sysctls(&self, sysctls: &[(String, String)]) -> Result<(), Unmade> {
        if sysctls.is_empty() {
            return Ok(());
        }
        // A thread of its own: /proc/sys/net shows the network of whoever opens it.
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    self.enter_network().map_err(|error| Unmade::new(Part::Sysctl, error))?;
                    for (path, value) in sysctls {
                        let file = format!("/proc/sys/{path}");
                        fs::write(&file, value).map_err(|error| Unmade {
                            part: match Path::new(&file).exists() {
                                true => Part::Sysctl,
                                false => Part::UnknownSysctl,
                            },
                            command: format!("{path} = {value}"),
                            said: error.to_string(),
                        })?;
                    }
                    Ok(())
                })
                .join()
                .unwrap_or_else(|_| {
                    Err(Unmade::new(Part::Sysctl, "the thread that writes them ended early"))
                })
        })
    }

    fn write_files(&self, files: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
        let base = self.root().join(ASSETS_DIR.trim_start_matches('/'));
        for (path, data) in files {
            let target = base.join(path);
            if let Some(parent) = target.parent() {
                let _ = fs::create_dir_all(parent);
            }
            // What is a program begins as one; keepalived for one reads no configuration that could be.
            let is_program = data.starts_with(b"#!") || data.starts_with(b"\x7fELF");
            let mode = if is_program { 0o755 } else { 0o644 };
            let mut options = fs::OpenOptions::new();
            let file = options.write(true).create(true).truncate(true).mode(mode).open(&target);
            file.and_then(|mut file| file.write_all(data))
                .map_err(|error| format!("cannot write {path}: {error}"))?;
        }
        Ok(())
    }
}

impl Holder {
    fn start(name: &str) -> Result<Self, String> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("kbisect-node").arg(HOLDER).arg(name);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // SAFETY: only system calls between fork and exec.
        unsafe {
            command.pre_exec(|| {
                unshare(all_namespaces())?;
                fork_into_pid_space()
            });
        }
        let mut child = command.spawn().map_err(|error| format!("node {name}: {error}"))?;
        let input = child.stdin.take().ok_or("no input")?;
        let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut line = String::new();
        output.read_line(&mut line).map_err(|error| error.to_string())?;
        std::thread::spawn(move || child.wait());
        let pid: i32 = match line.trim().split_once(' ') {
            Some(("ready", pid)) => {
                pid.parse().map_err(|_| format!("node {name}: bad pid {pid}"))?
            }
            _ => return Err(format!("node {name}: {}", line.trim())),
        };
        let mut namespaces = Vec::new();
        // The mount name space comes last: entering it changes the root.
        for (file, kind) in [
            ("net", CloneFlags::CLONE_NEWNET),
            ("uts", CloneFlags::CLONE_NEWUTS),
            ("ipc", CloneFlags::CLONE_NEWIPC),
            ("pid", CloneFlags::CLONE_NEWPID),
            ("mnt", CloneFlags::CLONE_NEWNS),
        ] {
            let path = format!("/proc/{pid}/ns/{file}");
            let file = File::open(&path).map_err(|error| format!("{path}: {error}"))?;
            namespaces.push((file, kind));
        }
        Ok(Self { pid: Pid::from_raw(pid), namespaces, _input: input })
    }
}

fn all_namespaces() -> CloneFlags {
    CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWPID
}

/// Finds the name of the interface with this hardware address; its driver may still be at it.
pub fn find_nic(mac: [u8; 6], patience: Duration) -> Result<String, String> {
    let wanted = mac.map(|byte| format!("{byte:02x}")).join(":");
    let deadline = Instant::now() + patience;
    loop {
        for entry in fs::read_dir("/sys/class/net").into_iter().flatten().flatten() {
            let address = fs::read_to_string(entry.path().join("address")).unwrap_or_default();
            if address.trim() == wanted {
                return Ok(entry.file_name().to_string_lossy().into_owned());
            }
        }
        if Instant::now() > deadline {
            return Err(format!("no network interface with the address {wanted}"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn hosts(name: &str) -> String {
    format!("127.0.0.1 localhost {name}\n::1 localhost ip6-localhost\n")
}

/// Runs what makes nodes once, without effect: the second start costs a fifth of the first, under
/// emulation.
pub fn run_once() {
    let mut command = Command::new("sh");
    command.args(["-c", "ip link show dev lo"]).env("PATH", PATH);
    let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// Merges parts of files by path.
pub fn merge_files(into: &mut BTreeMap<String, Vec<u8>>, parts: Vec<FileContent>) {
    for part in parts {
        into.entry(part.path).or_default().extend(part.data);
    }
}

/// The first process of an isolated node: makes the node's root, says so, then reaps for ever.
pub fn holder(arguments: &[String]) -> ExitCode {
    let name = arguments.first().map_or("node", String::as_str);
    match make_root(name) {
        Ok(pid) => println!("ready {pid}"),
        Err(error) => {
            println!("{error}");
            return ExitCode::FAILURE;
        }
    }
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    loop {
        if nix::sys::wait::wait().is_err() {
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn make_root(name: &str) -> Result<String, String> {
    // Still the machine's /proc, so this is the PID that the agent can use.
    let pid = fs::read_link("/proc/self").map_err(|error| format!("/proc/self: {error}"))?;
    let say = |what: &'static str| move |error: nix::Error| format!("{what}: {error}");
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .map_err(say("make the mounts private"))?;
    let base = "/run/kbisect/node";
    for part in ["rw", "root"] {
        fs::create_dir_all(format!("{base}/{part}")).map_err(|error| format!("{base}: {error}"))?;
    }
    let root = format!("{base}/root");
    mounts::overlay(LOWER, &format!("{base}/rw"), &root)?;
    let inside = |path: &str| format!("{root}{path}");
    mounts::mount_kind("tmpfs", &inside("/run"), "mode=755").map_err(say("/run"))?;
    for directory in ["/run/lock", "/run/netns", ASSETS_DIR, mounts::MODULES] {
        let _ = fs::create_dir_all(inside(directory));
    }
    mounts::mount_kind("tmpfs", &inside("/tmp"), "mode=1777").map_err(say("/tmp"))?;
    let bind = MsFlags::MS_BIND;
    mount(Some("/dev"), inside("/dev").as_str(), None::<&str>, bind, None::<&str>)
        .map_err(say("/dev"))?;
    let _ = mount(
        Some(mounts::MODULES),
        inside(mounts::MODULES).as_str(),
        None::<&str>,
        bind,
        None::<&str>,
    );
    mounts::link_modules(&inside("/lib/modules"));
    mounts::mount_kind("proc", &inside("/proc"), "").map_err(say("/proc"))?;
    mounts::mount_kind("sysfs", &inside("/sys"), "").map_err(say("/sys"))?;
    std::env::set_current_dir(&root).map_err(|error| error.to_string())?;
    mount(Some(root.as_str()), "/", None::<&str>, MsFlags::MS_MOVE, None::<&str>)
        .map_err(say("cannot move the root"))?;
    nix::unistd::chroot(".").map_err(say("chroot"))?;
    std::env::set_current_dir("/").map_err(|error| error.to_string())?;
    mounts::late_mounts();
    nix::unistd::sethostname(name).map_err(say("host name"))?;
    let _ = fs::write("/etc/hosts", hosts(name));
    Ok(pid.to_string_lossy().into_owned())
}
