//! Exit codes. They are a contract: scripts and `git bisect run` rely on them.

use std::process::ExitCode;

/// bisect: the culprit was found. Other commands: all went well. run: good.
pub const OK: u8 = 0;
/// bisect: ended without a culprit. run: bad.
pub const NO_CULPRIT: u8 = 1;
/// scenario selftest: a blind check, or a verdict that was not expected.
pub const NOT_AS_EXPECTED: u8 = 1;
/// run: the kernel is bad.
pub const BAD: u8 = 1;
/// check: something regressed, or could not be tested.
pub const REGRESSED: u8 = 1;
/// The command line, a scenario, or a version in it cannot be used.
pub const USAGE: u8 = 2;
/// kbisect itself or the host failed: no answer (`EX_UNAVAILABLE` of sysexits.h).
pub const INFRASTRUCTURE: u8 = 69;
/// run: the kernel cannot answer; `git bisect run` skips the commit.
pub const SKIP: u8 = 125;
/// Stopped by the user, as a shell reports SIGINT.
pub const INTERRUPTED: u8 = 130;
/// run: as [`USAGE`]. From 128 on `git bisect run` stops instead of blaming the commit.
pub const RUN_USAGE: u8 = 200;
/// run: as [`INFRASTRUCTURE`].
pub const RUN_INFRASTRUCTURE: u8 = 201;

/// run: the scenario is wrong, so that no kernel can answer.
pub const RUN_SCENARIO: u8 = 202;
/// bisect, check: as [`RUN_SCENARIO`].
pub const SCENARIO: u8 = 2;

/// Why a command failed, as far as the exit code tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// What was asked for makes no sense, or names what is not there.
    Usage,
    /// kbisect or the host failed.
    Infrastructure,
    /// The user stopped it.
    Interrupted,
    /// The scenario is wrong.
    Scenario,
}

impl Class {
    /// The exit code of a failed command; `run` has codes of its own.
    pub fn code(self, is_run: bool) -> u8 {
        match (self, is_run) {
            (Self::Usage, false) => USAGE,
            (Self::Usage, true) => RUN_USAGE,
            (Self::Infrastructure, false) => INFRASTRUCTURE,
            (Self::Infrastructure, true) => RUN_INFRASTRUCTURE,
            (Self::Interrupted, _) => INTERRUPTED,
            (Self::Scenario, false) => SCENARIO,
            (Self::Scenario, true) => RUN_SCENARIO,
        }
    }
}

/// Turns a code of this module into what `main` returns.
pub fn code(code: u8) -> ExitCode {
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_run_never_blames_a_commit() {
        for class in [Class::Usage, Class::Infrastructure, Class::Interrupted, Class::Scenario] {
            assert!(class.code(true) >= 128, "git bisect run takes 1 to 127 as bad or skip");
        }
    }
}
