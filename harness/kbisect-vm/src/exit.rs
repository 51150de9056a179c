//! How programs in guests end.

use kbisect_core::command::CommandEnd;
use kbisect_proto::Exit;

/// How a command ended, for the judge.
pub fn end_of(exit: &Exit) -> CommandEnd {
    match exit {
        Exit::Status(status) => CommandEnd::Status(*status),
        Exit::Signal(signal) => CommandEnd::Signal(*signal),
        Exit::TimedOut => CommandEnd::TimedOut,
        Exit::NotStarted(why) => CommandEnd::NotStarted(why.clone()),
    }
}
