//! What can be typed.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use kbisect_core::run::SymptomName;
use kbisect_core::workers::Workers;

use super::command::ARCHIVES;
use super::commits::ConfigArgs;
use super::doubt::{Budget, budget};
use super::machine::{MachineArgs, PoolArgs, WorkersArgs, workers};
use super::{
    ChangesArgs, ChangesOptions, CheckArgs, CommitArgs, DecodeArgs, DoubtArgs, EvidenceArgs,
    ImportArgs, KernelsArgs, ReportArgs, ScoreArgs, Series, SourceArgs, VerifyArgs, WatchArgs,
    words,
};
use crate::settings::global::NEWEST;
use crate::settings::templates;

/// Find which kernel version broke a network service.
#[derive(Parser, Debug)]
#[command(
    name = "kbisect",
    version = env!("KBISECT_VERSION"),
    about = "Find which kernel version broke a network service",
    long_about = "Find which kernel version broke a network service\n\n\
        kbisect boots candidate kernels in QEMU, starts the real application, replays the rules, sends \
        real traffic, and bisects. It needs no root rights and does not touch the host's network.",
    override_usage = "kbisect GOOD..BAD --scenario NAME [OPTIONS]\n       kbisect COMMAND [OPTIONS]",
    after_help = words::AFTER_HELP
)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// The command; none asks for the next useful step.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Find the kernel of GOOD..BAD that broke a scenario (the word itself can be left out)
    #[command(
        long_about = words::BISECT,
        after_help = words::BISECT_AFTER,
        override_usage = "kbisect GOOD..BAD --scenario NAME [OPTIONS]"
    )]
    Bisect(Box<BisectArgs>),
    /// Run one trial: one kernel, one scenario
    #[command(long_about = words::RUN, after_help = words::RUN_AFTER)]
    Run(RunArgs),
    /// Test kernels with scenarios, against a baseline: the gate before an upgrade
    #[command(long_about = words::CHECK, after_help = words::CHECK_AFTER)]
    Check(CheckArgs),
    /// Go on with a run that was interrupted
    #[command(after_help = words::RESUME_AFTER)]
    Resume(ResumeArgs),
    /// See a bisection of real kernels in a minute: a recording, no machine is started
    Tour(TourArgs),
    /// Try whether another kernel mends what a bisection found, and write that for the ticket
    Verify(VerifyArgs),
    /// Find out what a failure needs: leave out whatever it shows without
    #[command(long_about = words::MINIMIZE, after_help = words::MINIMIZE_AFTER)]
    Minimize(MinimizeArgs),
    /// Stop a run that is under way elsewhere; it can be resumed
    #[command(after_help = words::STOP_AFTER)]
    Stop(StopArgs),
    /// Show a run as its own display does, from another terminal or after the fact
    #[command(after_help = words::WATCH_AFTER)]
    Watch(WatchArgs),
    /// Say what the counts of a run amount to, under the search for failures that show in some runs only
    #[command(after_help = words::SCORE_AFTER)]
    Score(ScoreArgs),
    /// Print the smallest configuration of a git tree's kernel that a scenario can be tried with
    #[command(after_help = words::CONFIG_AFTER)]
    Config(ConfigArgs),
    /// List, fetch, add and remove kernels
    Kernels(KernelsArgs),
    /// List, check and show scenarios
    Scenario(ScenarioArgs),
    /// Build, list and remove root images
    Image(ImageArgs),
    /// Find kernel failures in console logs
    #[command(after_help = words::DETECT_AFTER)]
    Detect(DetectArgs),
    /// Find the source lines of a kernel's trace, in a run or in a console log
    #[command(after_help = words::DECODE_AFTER)]
    Decode(DecodeArgs),
    /// Rank what changed between two kernels, for a run or for a scenario
    #[command(after_help = words::CHANGES_AFTER)]
    Changes(ChangesArgs),
    /// Print the report of a run again, in any form, or bundle everything about it
    #[command(after_help = words::REPORT_AFTER)]
    Report(ReportArgs),
    /// Print the JSON Schema of a document
    #[command(after_help = words::SCHEMA_AFTER)]
    Schema(SchemaArgs),
    /// Say whether this machine is ready, and how fast a trial will be
    #[command(after_help = words::DOCTOR_AFTER)]
    Doctor(DoctorArgs),
    /// Print a script that completes commands in a shell
    #[command(after_help = words::COMPLETIONS_AFTER)]
    Completions(CompletionsArgs),
    /// Make trials for a run that holds this process's standard input and output
    #[command(after_help = words::WORKER_AFTER)]
    Worker(WorkerArgs),
    /// Try a command that is to be a worker
    #[command(after_help = words::POOL_AFTER)]
    Pool(PoolCommandArgs),
    /// Write the manual pages into a folder
    #[command(after_help = words::MAN_AFTER)]
    Man(ManArgs),
}

/// Options that every command takes.
#[derive(Args, Clone, Debug, Default)]
pub struct Global {
    /// Print exactly one JSON document on standard output
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,
    /// Say more; twice: everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,
    /// Say only what is asked for, and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Output")]
    pub quiet: bool,
    /// When to use colours
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        help_heading = "Output"
    )]
    pub color: Color,
    /// Where kernels come from.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// Suite of the archive to look into, in place of the default ones; may be repeated
    #[arg(long = "suite", global = true, value_name = "SUITE", help_heading = ARCHIVES)]
    pub suites: Vec<String>,
    /// Debian mirror, in place of the one in apt's configuration
    #[arg(long, global = true, value_name = "URL", help_heading = ARCHIVES)]
    pub mirror: Option<String>,
    /// Mirror of the security archive
    #[arg(long, global = true, value_name = "URL", help_heading = ARCHIVES)]
    pub security_mirror: Option<String>,
    /// Keyring that signs the archive; may be repeated
    #[arg(long = "keyring", global = true, value_name = "FILE", help_heading = ARCHIVES)]
    pub keyrings: Vec<PathBuf>,
    /// Kernel flavour [default: cloud-amd64]
    #[arg(long, global = true, value_name = "NAME", help_heading = ARCHIVES)]
    pub flavour: Option<String>,
    /// Accept an archive index after its end of validity
    #[arg(long, global = true, help_heading = ARCHIVES)]
    pub allow_expired_index: bool,
    /// Use no network: cached indexes and lists, and stored kernels only
    #[arg(long, global = true, conflicts_with = "refresh", help_heading = ARCHIVES)]
    pub offline: bool,
    /// Fetch indexes and lists again, even when they are fresh
    #[arg(long, global = true, help_heading = ARCHIVES)]
    pub refresh: bool,
    /// Cache directory [default: $XDG_CACHE_HOME/kbisect]
    #[arg(long = "cache", global = true, value_name = "DIR", help_heading = ARCHIVES)]
    pub cache_dir: Option<PathBuf>,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Arguments of a bisection.
#[derive(Args, Clone, Debug)]
pub struct BisectArgs {
    /// Range of kernels, the older end first; or a .toml file that lists them
    #[arg(value_name = "GOOD..BAD|FILE")]
    pub series: Series,
    /// What decides.
    #[command(flatten)]
    pub trial: TrialArgs,
    /// Look for the kernel that heals: the range is BAD..GOOD
    #[arg(long)]
    pub find_fix: bool,
    /// Look for the kernel that fixed it, where the newest of the series passes
    #[arg(long, conflicts_with_all = ["find_fix", "no_fix", "drill"])]
    pub fix: bool,
    /// Do not try the newest kernel of the series once the answer is known
    #[arg(long)]
    pub no_fix: bool,
    /// The symptom to look for, where the bad end fails in several ways: a part of its title, its kind
    /// (panic, hang, lost-ingress, ...), or its number in the order of how often it shows (needs --flaky)
    /// [default: asked for on a terminal, else the most frequent one]
    #[arg(long, value_name = "TITLE|KIND|N")]
    pub symptom: Option<SymptomName>,
    /// Take this end for granted instead of trying it first; may be repeated
    #[arg(long, value_enum, value_name = "END")]
    pub skip_endpoint: Vec<Endpoint>,
    /// Look into the snapshot service without a question, where a version has left the archive
    #[arg(short, long)]
    pub yes: bool,
    /// Afterwards find the smallest part of the scenario that still fails, as `kbisect minimize` does;
    /// with --json its document follows that of the bisection
    #[arg(long)]
    pub minimize: bool,
    /// How sure the answer has to be.
    #[command(flatten)]
    pub doubt: DoubtArgs,
    /// How many at once.
    #[command(flatten)]
    pub workers: WorkersArgs,
    /// By whom.
    #[command(flatten)]
    pub pool: PoolArgs,
    /// What is made of the answer.
    #[command(flatten)]
    pub changes: ChangesOptions,
    /// Which commits, and how they are built.
    #[command(flatten)]
    pub commits: CommitArgs,
    /// Where it runs.
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Arguments of a single trial.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// The kernel: a version, a release, or the name or id of a stored kernel
    #[arg(value_name = "KERNEL")]
    pub kernel: String,
    /// What decides.
    #[command(flatten)]
    pub trial: TrialArgs,
    /// Compare a failure with that of an earlier trial, as a search does: its trial.json
    #[arg(long, value_name = "FILE")]
    pub like: Option<PathBuf>,
    /// Make the trial so often, and say how often each check failed: the rate of its flakes on this kernel
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(2..=1000),
        conflicts_with_all = ["step", "shell"]
    )]
    pub repeat: Option<u32>,
    /// Show each thing that is about to be done, and ask: yes, skip, shell, abort. What was done is
    /// written out as a scenario
    #[arg(long)]
    pub step: bool,
    /// Open a shell in a node at the point of failure [default: the first candidate node]
    #[arg(long, value_name = "NODE", num_args = 0..=1, require_equals = true)]
    #[expect(clippy::option_option, reason = "absent, present, present with a node")]
    pub shell: Option<Option<String>>,
    /// When to open the shell
    #[arg(long, value_enum, value_name = "WHEN", default_value_t, requires = "shell")]
    pub shell_on: ShellOn,
    /// Where it runs.
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// What a trial is made of, beside its kernel.
#[derive(Args, Clone, Debug)]
pub struct TrialArgs {
    /// Name or folder of the scenario (see `kbisect scenario list`)
    #[arg(short, long, value_name = "NAME")]
    pub scenario: String,
    /// How it is made.
    #[command(flatten)]
    pub setting: SettingArgs,
    /// What is kept of failures.
    #[command(flatten)]
    pub evidence: EvidenceArgs,
}

/// How trials are made, whatever their kernels and scenarios.
#[derive(Args, Clone, Debug)]
pub struct SettingArgs {
    /// Kernel of the reference nodes [default: chosen from what is there]
    #[arg(long, value_name = "VERSION")]
    pub reference: Option<String>,
    /// How nodes are placed on machines: `split` (candidate and peer) or `single` (all in one; needs less memory)
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    pub placement: Placement,
    /// Folder that runs are written to
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
    /// Take trials of earlier runs in that folder in place of new ones: where kernel, scenario, image, reference
    /// kernel, QEMU and host are the same; the reports say which
    #[arg(long)]
    pub reuse: bool,
    /// Print what would be tried and downloaded, and stop
    #[arg(long)]
    pub dry_run: bool,
}

/// An end of the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Endpoint {
    /// The end that passes
    Good,
    /// The end that fails
    Bad,
}

/// How nodes are put on machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Placement {
    /// Candidate nodes on one machine, reference nodes on another
    #[default]
    Split,
    /// All nodes on the candidate machine
    Single,
}

/// When `--shell` opens a shell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ShellOn {
    /// When the kernel is not good
    #[default]
    Fail,
    /// After every trial
    Always,
}

/// What a run can be given that goes on with the choices of another one, or with its own.
#[derive(Args, Clone, Debug)]
pub struct AgainArgs {
    /// Folder that runs are written to
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
    /// QEMU, in place of qemu-system-x86_64 in PATH
    #[arg(long, value_name = "PATH")]
    pub qemu: Option<PathBuf>,
    /// Folder with the definition of the root image, if the run was begun with one
    #[arg(long, value_name = "DIR")]
    pub image: Option<PathBuf>,
    /// Trials to run side by side, or `auto` [default: as the run was begun]
    #[arg(long, value_name = "N|auto", value_parser = workers)]
    pub workers: Option<Workers>,
    /// By whom.
    #[command(flatten)]
    pub pool: PoolArgs,
}

/// Arguments of `kbisect resume`.
#[derive(Args, Clone, Debug)]
pub struct ResumeArgs {
    /// The run: its folder, or its name below the results folder
    #[arg(value_name = "RUN", default_value = NEWEST)]
    pub run: PathBuf,
    /// Another budget for the whole run (200runs, 2h), also when the old one is used up
    #[arg(long, value_name = "RUNS|TIME", value_parser = budget)]
    pub budget: Option<Budget>,
    /// Where it runs.
    #[command(flatten)]
    pub again: AgainArgs,
    /// Write JUnit XML here (checks only); the file named when the check began is not used
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// Arguments of `kbisect stop`.
#[derive(Args, Debug)]
pub struct StopArgs {
    /// The run: its folder, or its name below the results folder [default: all that are under way]
    #[arg(value_name = "RUN")]
    pub run: Option<PathBuf>,
    /// Folder that runs are written to
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
}

/// Arguments of `kbisect minimize`.
#[derive(Args, Debug)]
pub struct MinimizeArgs {
    /// The run that failed, a bisection or a single trial: its folder, or its name below the results folder
    #[arg(value_name = "RUN", default_value = NEWEST)]
    pub run: PathBuf,
    /// How trials are made.
    #[command(flatten)]
    pub setting: SettingArgs,
    /// How many at once.
    #[command(flatten)]
    pub workers: WorkersArgs,
    /// Where it runs.
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Arguments of `kbisect scenario`.
#[derive(Args, Debug)]
pub struct ScenarioArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ScenarioCommand,
}

/// What can be done with scenarios.
#[derive(Subcommand, Debug)]
pub enum ScenarioCommand {
    /// List the scenarios that can be named
    List,
    /// Check scenarios without a machine: errors point at file, line and key
    Check {
        /// Names, folders or scenario.toml files
        #[arg(required = true, value_name = "NAME|PATH")]
        scenarios: Vec<String>,
    },
    /// Show what a scenario builds, runs and checks
    Show {
        /// Name, folder or scenario.toml file
        #[arg(value_name = "NAME|PATH")]
        scenario: String,
    },
    /// Prove that its checks can fail, and say which ingredients its failure needs
    #[command(long_about = words::SELFTEST, after_help = words::SELFTEST_AFTER)]
    Selftest(SelftestArgs),
    /// Make a scenario to edit: from dumps of a production host, or from a template
    #[command(after_help = words::NEW_AFTER)]
    New(NewScenarioArgs),
    /// Take over existing checks: command lists, monitoring plugins, KTAP programs, goss files, self-tests of the
    /// kernel
    #[command(long_about = words::IMPORT, after_help = words::IMPORT_AFTER)]
    Import(ImportArgs),
}

/// Arguments of `kbisect scenario selftest`.
#[derive(Args, Debug)]
pub struct SelftestArgs {
    /// Name, folder or scenario.toml file; with `:FLAVOUR` that flavour alone
    #[arg(value_name = "SCENARIO")]
    pub scenario: String,
    /// The kernel to try it on [default: that of the reference nodes]
    #[arg(long, value_name = "KERNEL")]
    pub kernel: Option<String>,
    /// Only cut all wires; put in none of the other faults, one at a time
    #[arg(long)]
    pub no_faults: bool,
    /// Put in only the faults that have this in their names, in the scenario as it is; may be repeated
    #[arg(long, value_name = "TEXT", conflicts_with = "no_faults")]
    pub fault: Vec<String>,
    /// How trials are made.
    #[command(flatten)]
    pub setting: SettingArgs,
    /// How many at once.
    #[command(flatten)]
    pub workers: WorkersArgs,
    /// Where it runs.
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Arguments of `kbisect scenario new`.
#[derive(Args, Debug)]
pub struct NewScenarioArgs {
    /// Folder with the dumps, as scripts/host-dump writes it
    #[arg(long, value_name = "DIR", conflicts_with = "template")]
    pub from_host: Option<PathBuf>,
    /// Kind of scenario to begin with; it runs as it is
    #[arg(long, value_name = "TEMPLATE", value_parser = PossibleValuesParser::new(templates::names()))]
    pub template: Option<String>,
    /// Name of the node that stands for the host of the dumps
    #[arg(long, value_name = "NAME", default_value = "gateway", conflicts_with = "template")]
    pub node: String,
    /// Folder to write; its name is the scenario's [default: scenarios/ and the name of DIR or TEMPLATE]
    #[arg(short, long, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
    /// Leave an interface of the dumps out, with all that hangs on it; may be repeated
    #[arg(long, value_name = "NAME", conflicts_with = "template")]
    pub ignore_interface: Vec<String>,
}

/// Arguments of `kbisect image`.
#[derive(Args, Debug)]
pub struct ImageArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ImageCommand,
}

/// What can be done with root images.
#[derive(Subcommand, Debug)]
pub enum ImageCommand {
    /// Build the root image unless it is there
    Build {
        /// Folder with the image's definition, in place of the built-in one
        #[arg(long, value_name = "DIR")]
        image: Option<PathBuf>,
        /// Scenario whose packages are to be in it; they are built in by whoever runs this, also by root
        #[arg(short, long, value_name = "NAME")]
        scenario: Option<String>,
    },
    /// List the root images in the cache
    List,
    /// Remove root images that the built-in definition does not name
    Prune {
        /// Remove that one too
        #[arg(long)]
        all: bool,
        /// Only say what would go
        #[arg(long)]
        dry_run: bool,
    },
}

/// Arguments of `kbisect detect`.
#[derive(Args, Debug)]
pub struct DetectArgs {
    /// Console logs; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
}

/// Arguments of `kbisect tour`.
#[derive(Args, Debug)]
pub struct TourArgs {
    /// Do not wait between what happens
    #[arg(long)]
    pub fast: bool,
}

/// Arguments of `kbisect schema`.
#[derive(Args, Debug)]
pub struct SchemaArgs {
    /// Document, such as `bisect`; without it the names are listed
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// Arguments of `kbisect completions`.
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// Shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// Arguments of `kbisect man`.
#[derive(Args, Debug)]
pub struct ManArgs {
    /// Folder; it is made if it is not there
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// Arguments of `kbisect doctor`.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// Probe KVM again instead of taking the remembered answer
    #[arg(long)]
    pub again: bool,
    /// Folder that runs would be written to
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
    /// Where trials would run.
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Arguments of `kbisect worker`.
#[derive(Args, Clone, Debug)]
pub struct WorkerArgs {
    /// QEMU, in place of qemu-system-x86_64 in PATH
    #[arg(long, value_name = "PATH")]
    pub qemu: Option<PathBuf>,
}

/// Arguments of `kbisect pool`.
#[derive(Args, Clone, Debug)]
pub struct PoolCommandArgs {
    /// What.
    #[command(subcommand)]
    pub command: PoolCommand,
}

/// Commands below `kbisect pool`.
#[derive(clap::Subcommand, Clone, Debug)]
pub enum PoolCommand {
    /// Start a worker of each kind that is named, and print what it is
    Check {
        /// As for --pool: a command, the name of a pool, or slurm
        #[arg(value_name = "[Nx]COMMAND|NAME|slurm", required = true)]
        pools: Vec<String>,
    },
}
