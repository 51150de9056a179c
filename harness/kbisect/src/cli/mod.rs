//! The command line: what can be typed, and what it means.

mod args;
mod changes;
mod check;
mod command;
mod commits;
mod doubt;
mod evidence;
mod form;
mod import;
mod kernels;
mod machine;
pub mod man_words;
#[cfg(test)]
mod pages;
mod range;
mod report;
mod seen;
mod short;
mod sources;
mod verify;
pub mod words;

pub use args::{
    AgainArgs, BisectArgs, Cli, Color, Command, CompletionsArgs, DetectArgs, DoctorArgs, Endpoint,
    Global, ImageArgs, ImageCommand, ManArgs, MinimizeArgs, NewScenarioArgs, Placement,
    PoolCommand, ResumeArgs, RunArgs, ScenarioArgs, ScenarioCommand, SchemaArgs, SelftestArgs,
    SettingArgs, ShellOn, StopArgs, TourArgs,
};
pub use changes::{ChangesArgs, ChangesOptions};
pub use check::{CheckArgs, Kernels};
pub use command::command;
pub use commits::{CommitArgs, ConfigArgs};
pub use doubt::{Budget, DoubtArgs};
pub use evidence::{DecodeArgs, EvidenceArgs};
pub use form::{Form, parse};
pub use import::{ImportArgs, ImportFormat};
pub use kernels::{
    AddArgs, DebugArgs, FetchArgs, KernelsArgs, KernelsCommand, ListArgs, PruneArgs,
};
pub use machine::{AccelChoice, Chosen, MachineArgs, PoolArgs, WorkersArgs};
pub use range::{Range, Series};
pub use report::ReportArgs;
pub use seen::{ScoreArgs, WatchArgs};
pub use sources::SourceArgs;
pub use verify::VerifyArgs;
