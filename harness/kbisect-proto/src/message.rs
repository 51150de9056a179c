//! The messages.

use serde::{Deserialize, Serialize};

use crate::probes::{HttpRequest, ProbeAnswer, ProbeRequest};

/// Number that ties events to the request that caused them.
pub type RequestId = u32;

/// Harness -> guest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Makes a machine that was just booted, or restored from a saved state, one of its own: sets
    /// the time, stirs in randomness, gives the interfaces their addresses. The guest sends nothing
    /// between [`Event::Hello`] and this, so that it can be saved in between; heartbeats begin
    /// with it. Answered by [`Event::Done`].
    Wake {
        /// Number of this request.
        id: RequestId,
        /// Nanoseconds since 1970-01-01 UTC.
        unix_nanos: u64,
        /// Random bytes for the kernel's generator.
        entropy: Vec<u8>,
        /// Hardware addresses for the interfaces, which booted with [`crate::boot_address`]es.
        macs: Vec<[u8; 6]>,
    },
    /// Has everything in memory that trials use, before the machine's state is saved: loads modules,
    /// and runs the programs that make nodes once. Answered by [`Event::Done`].
    Settle {
        /// Number of this request.
        id: RequestId,
        /// Modules to load; one that does not exist is passed over.
        modules: Vec<String>,
    },
    /// Makes the nodes; answered by [`Event::Done`] or by [`Event::NotPrepared`].
    Prepare {
        /// Number of this request.
        id: RequestId,
        /// Modules to load first; one that does not exist is passed over.
        modules: Vec<String>,
        /// The nodes of this machine.
        nodes: Vec<NodeSetup>,
        /// Files for [`crate::ASSETS_DIR`] of every node.
        files: Vec<FileContent>,
    },
    /// Asks which features the kernel lacks; answered by [`Event::Lacking`].
    Lacks {
        /// Number of this request.
        id: RequestId,
        /// Features that may be missing.
        features: Vec<Feature>,
    },
    /// Kills everything in the nodes and takes them apart, so that the machine is as it was after
    /// boot; answered by [`Event::Done`].
    Reset {
        /// Number of this request.
        id: RequestId,
    },
    /// Adds files to [`crate::ASSETS_DIR`] of every node of a later [`Request::Prepare`].
    Files {
        /// Number of this request.
        id: RequestId,
        /// Files or parts of files.
        files: Vec<FileContent>,
    },
    /// Runs a program to its end; answered by [`Event::Exited`].
    Exec {
        /// Number of this request.
        id: RequestId,
        /// Node to run in.
        node: String,
        /// What to run.
        command: Command,
        /// Milliseconds until it is killed.
        timeout_ms: u64,
    },
    /// Starts a service; answered by [`Event::Ready`], by [`Event::Failed`] when it cannot be started
    /// or is not ready in time, or by an [`Event::ServiceExited`] that is the last one.
    Serve {
        /// Number of this request, and of the service from then on.
        id: RequestId,
        /// Node to run in.
        node: String,
        /// What to run.
        command: Command,
        /// When it counts as ready.
        ready: Readiness,
        /// Whether it is started again when it ends.
        restart: Restart,
        /// Milliseconds until it must be ready.
        timeout_ms: u64,
    },
    /// Sends a signal to a service and all that it started; answered by [`Event::Done`], or by
    /// [`Event::Failed`] when it does not run.
    Signal {
        /// Number of this request.
        id: RequestId,
        /// Number of the service.
        service: RequestId,
        /// Number of the signal (signal(7)).
        signal: i32,
    },
    /// Makes a check from a node; answered by [`Event::Probed`].
    Probe {
        /// Number of this request.
        id: RequestId,
        /// Node to run in.
        node: String,
        /// What is done.
        probe: ProbeRequest,
    },
    /// Reads files of a node, `/proc/net` as the node sees it; answered by [`Event::Contents`].
    Read {
        /// Number of this request.
        id: RequestId,
        /// Node to read in.
        node: String,
        /// Absolute paths.
        paths: Vec<String>,
    },
    /// Opens an interactive shell with a terminal; its output comes as [`Event::Terminal`], its end
    /// as [`Event::Exited`].
    Shell {
        /// Number of this request, and of the terminal from then on.
        id: RequestId,
        /// Node to run in.
        node: String,
        /// Terminal rows.
        rows: u16,
        /// Terminal columns.
        columns: u16,
        /// `TERM` of the user's terminal.
        term: String,
    },
    /// Input for a terminal.
    Terminal {
        /// The terminal.
        id: RequestId,
        /// What was typed.
        data: Vec<u8>,
    },
    /// The user's terminal changed its size.
    Resize {
        /// The terminal.
        id: RequestId,
        /// Rows.
        rows: u16,
        /// Columns.
        columns: u16,
    },
    /// Asks for a sign of life; answered by [`Event::Done`].
    Ping {
        /// Number of this request.
        id: RequestId,
    },
    /// Powers the machine off.
    PowerOff,
}

/// A file, or the next part of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileContent {
    /// Path below [`crate::ASSETS_DIR`].
    pub path: String,
    /// Content of this part; parts of one path are appended in order.
    pub data: Vec<u8>,
}

/// One node of a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeSetup {
    /// Name, which is also the host name.
    pub name: String,
    /// Whether the node gets name spaces of its own. A machine with one node can do without: then
    /// the node is the machine.
    pub isolated: bool,
    /// Its network interfaces.
    pub nics: Vec<Nic>,
    /// Virtual devices, in the order in which they are made.
    pub devices: Vec<Device>,
    /// sysctls by path below /proc/sys, with `/` as separator, written in order once the devices
    /// exist.
    pub sysctl: Vec<(String, String)>,
    /// Text for `ip -batch -` that sets addresses and routes; may be empty.
    pub network: String,
}

/// A network interface, found by its hardware address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Nic {
    /// Hardware address.
    pub mac: [u8; 6],
    /// Name that it gets.
    pub name: String,
}

/// A virtual device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// What `ip link add` is given.
    pub arguments: String,
}

/// What a node is made of, in the order in which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Its name spaces and its root.
    Namespaces,
    /// Interfaces on links.
    Interfaces,
    /// Virtual devices.
    Devices,
    /// A sysctl that does not take its value.
    Sysctl,
    /// A sysctl that the kernel does not have.
    UnknownSysctl,
    /// Addresses and routes.
    Network,
    /// Files of the scenario.
    Files,
}

/// Something that a kernel offers or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    /// What it is called for people.
    pub name: String,
    /// Symbols of the kernel's configuration, such as `CONFIG_NET_VRF`; one of them is enough.
    pub config: Vec<String>,
    /// Modules, their aliases, or functions of what is built in; one of them is enough.
    pub modules: Vec<String>,
}

/// A program with its arguments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Standard input.
    pub stdin: Vec<u8>,
    /// How many bytes of each of standard output and standard error are kept; the last ones count.
    pub keep: u32,
}

/// When a service counts as ready.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Readiness {
    /// As soon as it was started.
    Started,
    /// When something listens on this TCP port.
    Tcp(u16),
    /// When something is bound to this UDP port.
    Udp(u16),
    /// When a request is answered with this status and, if it is given, a body of this length.
    Http {
        /// The request; its deadline is that of one attempt.
        probe: HttpRequest,
        /// Expected status.
        status: u16,
        /// Expected length of the body in bytes.
        bytes: Option<u64>,
    },
    /// When this file exists.
    File(String),
    /// When the harness says so: it sees the output as [`Event::ServiceOutput`] and matches it.
    /// The guest answers [`Event::Ready`] at once.
    Output,
}

/// Whether a service that ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restart {
    /// Never.
    No,
    /// When it did not end with status 0, at most so many times.
    OnFailure(u32),
    /// At most so many times.
    Always(u32),
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// With this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
    /// It was killed at its deadline.
    TimedOut,
    /// It could not be started.
    NotStarted(String),
}

/// Guest -> harness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// User space is up. Always the first message.
    Hello {
        /// [`crate::PROTOCOL`].
        protocol: u32,
        /// `uname -r`.
        release: String,
        /// `uname -v`.
        version: String,
        /// Milliseconds since the kernel started.
        uptime_ms: u64,
        /// Boot modules that did not load, with the reason.
        failed_modules: Vec<String>,
    },
    /// A sign of life, sent about twice a second from [`Request::Wake`] on.
    Heartbeat {
        /// Milliseconds since the kernel started.
        uptime_ms: u64,
    },
    /// The request was carried out.
    Done {
        /// The request.
        id: RequestId,
    },
    /// The request could not be carried out.
    Failed {
        /// The request.
        id: RequestId,
        /// Why.
        error: String,
    },
    /// A node could not be made.
    NotPrepared {
        /// The request.
        id: RequestId,
        /// The node.
        node: String,
        /// What could not be made of it.
        part: Part,
        /// The command, or `KEY = VALUE`, that is at fault; may be empty.
        command: String,
        /// What was said.
        said: String,
    },
    /// Which features the kernel lacks.
    Lacking {
        /// The request.
        id: RequestId,
        /// Their names.
        names: Vec<String>,
    },
    /// A program ended.
    Exited {
        /// The request.
        id: RequestId,
        /// How.
        exit: Exit,
        /// Its standard output (the last bytes).
        stdout: Vec<u8>,
        /// Its standard error (the last bytes).
        stderr: Vec<u8>,
        /// Milliseconds that it took.
        millis: u64,
    },
    /// A service is ready.
    Ready {
        /// The service.
        id: RequestId,
    },
    /// A line (or a long part of one) that a service printed.
    ServiceOutput {
        /// The service.
        id: RequestId,
        /// The bytes, without the line end.
        line: Vec<u8>,
    },
    /// A service ended. What it printed was sent before.
    ServiceExited {
        /// The service.
        id: RequestId,
        /// How.
        exit: Exit,
        /// Whether it is started again.
        again: bool,
    },
    /// A check was made.
    Probed {
        /// The request.
        id: RequestId,
        /// What came of it.
        answer: ProbeAnswer,
    },
    /// Files that were asked for; those that cannot be read are left out, long ones are cut.
    Contents {
        /// The request.
        id: RequestId,
        /// The files.
        files: Vec<FileContent>,
    },
    /// Output of a terminal.
    Terminal {
        /// The terminal.
        id: RequestId,
        /// The bytes.
        data: Vec<u8>,
    },
}
