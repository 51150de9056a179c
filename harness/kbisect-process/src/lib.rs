//! Child processes: they die with us, and helpers end within a deadline.

use std::io::{self, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// How often a helper is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Makes `command` lead a process group and die when the thread that starts it does, also on
/// `kill -9`. (The kernel ties the signal to the thread, see prctl(2), so start children from a thread
/// that lives as long as they do.)
pub fn die_with_us(command: &mut Command) {
    signalled_with_us(command, Signal::KILL);
}

/// As [`die_with_us`], for a program that has something to clear away: it gets SIGTERM.
pub fn end_with_us(command: &mut Command) {
    signalled_with_us(command, Signal::TERM);
}

fn signalled_with_us(command: &mut Command, signal: Signal) {
    use std::os::unix::process::CommandExt;
    let parent = rustix::process::getpid();
    command.process_group(0);
    // SAFETY: only system calls between fork and exec.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(signal))?;
            // The parent may have died between fork and prctl.
            if rustix::process::getppid() == Some(parent) {
                Ok(())
            } else {
                Err(io::Error::other("the parent process is gone"))
            }
        });
    }
}

/// Takes a time away from a program that whoever calls us builds packages with: mksquashfs refuses it beside a
/// time that it is given (<https://reproducible-builds.org/specs/source-date-epoch/>).
pub fn without_foreign_time(command: &mut Command) {
    command.env_remove("SOURCE_DATE_EPOCH");
}

/// Kills a whole process group.
pub fn kill_group(leader: u32) {
    if let Some(pid) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
}

/// The flag that ends helpers once it is set: this process is to end, and nobody needs them any more.
pub fn stop_flag() -> Arc<AtomicBool> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    Arc::clone(FLAG.get_or_init(Arc::default))
}

/// What a helper left.
#[derive(Debug)]
pub struct Ended {
    /// How it ended; that of the kill when it said more than was wanted.
    pub status: ExitStatus,
    /// Standard output, to the limit.
    pub stdout: Vec<u8>,
    /// Standard error, to 1 MiB.
    pub stderr: Vec<u8>,
    /// Whether standard output went beyond the limit.
    pub cut: bool,
}

/// Runs a helper program without input to its end, and takes `most` bytes of its output.
///
/// # Errors
/// Those of starting it and of reading; [`io::ErrorKind::TimedOut`] when it is not done within
/// `deadline`, [`io::ErrorKind::Interrupted`] when [`stop_flag`] is set. It and what it started are gone
/// then.
pub fn run_within(command: Command, deadline: Duration, most: u64) -> io::Result<Ended> {
    run_unless(command, deadline, most, &|| false)
}

/// As [`run_within`], and ended as by [`stop_flag`] once `is_moot` says so.
///
/// # Errors
/// As [`run_within`].
pub fn run_unless(
    mut command: Command,
    deadline: Duration,
    most: u64,
    is_moot: &dyn Fn() -> bool,
) -> io::Result<Ended> {
    let stop = stop_flag();
    const MOST_STDERR: u64 = 1 << 20;
    let until = Instant::now() + deadline;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    without_foreign_time(&mut command);
    die_with_us(&mut command);
    let mut child = command.spawn()?;
    let leader = child.id();
    let (out, err) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        let stdout = scope.spawn(move || take(out, most, || kill_group(leader)));
        // Its complaints are no reason to end it.
        let stderr = scope.spawn(move || take(err, MOST_STDERR, || ()));
        let ended = loop {
            match child.try_wait() {
                Ok(Some(status)) => break Ok(status),
                Ok(None) if stop.load(Ordering::SeqCst) || is_moot() => {
                    break Err(io::ErrorKind::Interrupted.into());
                }
                Ok(None) if Instant::now() < until => std::thread::sleep(LOOK),
                Ok(None) => {
                    let seconds = deadline.as_secs();
                    break Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("it was not done within {seconds} s"),
                    ));
                }
                Err(error) => break Err(error),
            }
        };
        // What it started may hold the pipes for longer than it lives.
        kill_group(leader);
        let reaped = child.wait();
        let taken = |thread: std::thread::ScopedJoinHandle<'_, io::Result<(Vec<u8>, bool)>>| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("its output cannot be read")))
        };
        let (stdout, stderr) = (taken(stdout), taken(stderr));
        reaped?;
        let ((stdout, cut), (stderr, _)) = (stdout?, stderr?);
        Ok(Ended { status: ended?, stdout, stderr, cut })
    })
}

/// Keeps what comes before a limit, and calls `beyond` where there is more.
fn take(pipe: Option<impl Read>, most: u64, beyond: impl FnOnce()) -> io::Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    let Some(mut pipe) = pipe else { return Ok((bytes, false)) };
    pipe.by_ref().take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    let cut = bytes.len() as u64 > most;
    if cut {
        bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        beyond();
        io::copy(&mut pipe, &mut io::sink())?;
    }
    Ok((bytes, cut))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(text: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", text]);
        command
    }

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn status_and_output_are_the_programs_own() {
        let ended = run_within(shell("echo out; echo err >&2; exit 7"), LONG, 100).unwrap();
        assert_eq!((ended.status.code(), ended.cut), (Some(7), false));
        assert_eq!((&ended.stdout[..], &ended.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
    }

    #[test]
    fn a_time_for_other_peoples_packages_is_not_handed_on() {
        let mut command = shell("echo ${SOURCE_DATE_EPOCH:-none}");
        command.env("SOURCE_DATE_EPOCH", "1");
        let ended = run_within(command, Duration::from_secs(10), 100).unwrap();
        assert_eq!(ended.stdout, b"none\n");
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_all_that_it_started() {
        let dir = std::env::temp_dir().join(format!("kbisect-process-{}", std::process::id()));
        let text = format!(
            "trap '' TERM; (echo $BASHPID; exec sleep 1000) & echo $! > {}; sleep 1000",
            dir.display()
        );
        let error = run_within(shell(&text), Duration::from_millis(300), 100).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let pid: i32 = std::fs::read_to_string(&dir).unwrap().trim().parse().unwrap();
        std::fs::remove_file(&dir).unwrap();
        // Killed is not gone: a busy host takes a moment. Left alone it would sleep on.
        let gone = (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        });
        assert!(gone, "process {pid} still runs");
    }

    #[test]
    fn a_program_is_ended_when_nobody_needs_it_any_more() {
        let stop = AtomicBool::new(false);
        let stopped = || stop.load(Ordering::SeqCst);
        let error = std::thread::scope(|scope| {
            let run = scope.spawn(|| run_unless(shell("sleep 1000"), LONG, 100, &stopped));
            std::thread::sleep(Duration::from_millis(100));
            stop.store(true, Ordering::SeqCst);
            run.join().unwrap().unwrap_err()
        });
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }

    #[test]
    fn a_program_that_talks_too_much_is_ended() {
        let ended = run_within(shell("exec yes"), LONG, 1000).unwrap();
        assert_eq!((ended.stdout.len(), ended.cut), (1000, true));
    }

    #[test]
    fn complaints_beyond_the_limit_are_left_out() {
        let text = "head -c 3000000 /dev/zero >&2; echo done";
        let ended = run_within(shell(text), LONG, 1000).unwrap();
        assert!(ended.status.success() && !ended.cut, "{:?}", ended.status);
        assert_eq!((&ended.stdout[..], ended.stderr.len()), (&b"done\n"[..], 1 << 20));
    }

    #[test]
    fn a_grandchild_that_holds_the_output_keeps_nobody() {
        let ended = run_within(shell("sleep 1000 & echo done"), LONG, 1000).unwrap();
        assert_eq!(ended.stdout, b"done\n");
    }
}
