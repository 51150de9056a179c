//! Child processes that end with us, also when we are killed with -9.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};

use crate::lock::lock;

/// Shell text that starts `"$@"` beside a watchdog. Standard input is a pipe whose other end only
/// the harness holds: a line on it means "all is well, go", its end means that the harness is gone
/// or wants the whole group gone.
///
/// PR_SET_PDEATHSIG would not do: it reaches the direct child alone, and mmdebstrap answers SIGTERM
/// by waiting for its own children.
const WATCHDOG: &str = r#"
exec 3<&0 </dev/null
( read -r _ <&3 || kill -KILL 0 ) >/dev/null 2>&1 &
exec 3<&-
exec "$@"
"#;

/// A child and all its descendants, as one process group. Dropping it kills the group.
pub(super) struct Group {
    leader: Child,
    /// Taken by whoever ends the group.
    lifeline: Lifeline,
    /// Its end tells the thread that watches the deadline that there is nothing left to do.
    #[expect(dead_code, reason = "held for its end alone")]
    done: Sender<()>,
}

type Lifeline = Arc<Mutex<Option<File>>>;

/// Takes what keeps a group alive, if nobody did.
fn taken(lifeline: &Lifeline) -> Option<File> {
    lock(lifeline).take()
}

/// Returns a command for [`Group::spawn`]: `program` behind the watchdog.
pub(super) fn supervised(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", WATCHDOG, "watchdog"]).arg(program);
    kbisect_process::without_foreign_time(&mut command);
    command
}

impl Group {
    /// Starts a command made by [`supervised`], as the leader of a new group, which is ended after so
    /// long.
    ///
    /// # Errors
    /// When the pipe or the process cannot be made.
    pub(super) fn spawn(mut command: Command, deadline: Duration) -> std::io::Result<Self> {
        let (reader, lifeline) = pipe_with(PipeFlags::CLOEXEC)?;
        let leader = command.process_group(0).stdin(reader).spawn()?;
        let lifeline = Arc::new(Mutex::new(Some(File::from(lifeline))));
        let (done, ended) = channel::<()>();
        let watched = Arc::clone(&lifeline);
        std::thread::spawn(move || {
            if ended.recv_timeout(deadline) == Err(RecvTimeoutError::Timeout) {
                drop(taken(&watched));
            }
        });
        Ok(Self { leader, lifeline, done })
    }

    /// Returns the leader, to take its output pipes.
    pub(super) fn leader(&mut self) -> &mut Child {
        &mut self.leader
    }

    /// Returns the process group id, for a further process that is to end with this group.
    pub(super) fn id(&self) -> i32 {
        i32::try_from(self.leader.id()).expect("a process id fits pid_t")
    }

    /// Waits for the leader and dismisses the watchdog.
    pub(super) fn wait(mut self) -> std::io::Result<ExitStatus> {
        let status = self.leader.wait()?;
        if let Some(mut lifeline) = taken(&self.lifeline) {
            // Fails only when the watchdog is gone, and then there is nobody to dismiss.
            let _ = lifeline.write_all(b"\n");
        }
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The end of the lifeline makes the watchdog kill the group.
        if taken(&self.lifeline).is_some() {
            let _ = self.leader.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::process::Stdio;

    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_group_that_hangs_is_ended() {
        let mut command = supervised("/bin/sh");
        command.args(["-c", "trap '' TERM; (trap '' TERM; exec sleep 1000) & wait"]);
        command.stdout(Stdio::piped());
        let mut group = Group::spawn(command, Duration::from_millis(100)).unwrap();
        let mut output = group.leader().stdout.take().unwrap();
        assert_eq!(output.read_to_end(&mut Vec::new()).unwrap(), 0);
        assert!(!group.wait().unwrap().success());
    }

    #[test]
    fn the_exit_status_and_output_are_the_programs_own() {
        let mut command = supervised("/bin/sh");
        command.args(["-c", "echo out; exit 7"]).stdout(Stdio::piped());
        let mut group = Group::spawn(command, LONG).unwrap();
        let mut output = String::new();
        // Ends only if the watchdog does not keep the pipe open.
        group.leader().stdout.take().unwrap().read_to_string(&mut output).unwrap();
        assert_eq!(output, "out\n");
        assert_eq!(group.wait().unwrap().code(), Some(7));
    }

    #[test]
    fn dropping_the_group_ends_grandchildren_that_ignore_sigterm() {
        let mut command = supervised("/bin/sh");
        command
            .args(["-c", "trap '' TERM; (trap '' TERM; echo up; exec sleep 1000) & wait"])
            .stdout(Stdio::piped());
        let mut group = Group::spawn(command, LONG).unwrap();
        let mut output = group.leader().stdout.take().unwrap();
        let mut first = [0; 3];
        output.read_exact(&mut first).unwrap();
        drop(group);
        // The grandchild holds the pipe: its end proves that the grandchild is gone.
        assert_eq!(output.read_to_end(&mut Vec::new()).unwrap(), 0);
    }
}
