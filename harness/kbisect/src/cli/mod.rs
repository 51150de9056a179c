//! The command line: what can be typed, and what it means.

mod args;
mod check;
mod doubt;
mod form;
mod kernels;
mod range;
mod words;

#[cfg(test)]
pub use args::SourceName;
pub use args::{
    AccelChoice, BisectArgs, Cli, Color, Command, CompletionsArgs, DecodeArgs, DetectArgs,
    DoctorArgs, Endpoint, EvidenceArgs, Global, ImageArgs, ImageCommand, MachineArgs, ManArgs,
    NewScenarioArgs, Placement, ReportArgs, ResumeArgs, RunArgs, ScenarioArgs, ScenarioCommand,
    SchemaArgs, SelftestArgs, SettingArgs, ShellOn, WatchArgs, WorkersArgs,
};
pub use check::{CheckArgs, Kernels};
pub use doubt::DoubtArgs;
pub use form::{Form, parse};
pub use kernels::{
    AddArgs, DebugArgs, FetchArgs, KernelsArgs, KernelsCommand, ListArgs, PruneArgs,
};
pub use range::{Range, Series};
