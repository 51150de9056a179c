//! Interactive shells with a terminal of their own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::sync::{Arc, Mutex};

use kbisect_proto::{Command, Event, Exit, RequestId};
use nix::pty::{Winsize, openpty};

use crate::exec::{command_in, exit_of};
use crate::node::Node;
use crate::outbox::Outbox;

nix::ioctl_write_ptr_bad!(set_window_size, nix::libc::TIOCSWINSZ, Winsize);

/// The open terminals.
#[derive(Clone, Default)]
pub struct Terminals(Arc<Mutex<BTreeMap<RequestId, File>>>);

impl Terminals {
    /// Passes on what was typed.
    pub fn input(&self, id: RequestId, data: &[u8]) {
        if let Ok(mut open) = self.0.lock()
            && let Some(terminal) = open.get_mut(&id)
        {
            let _ = terminal.write_all(data);
        }
    }

    /// Passes on a change of size.
    pub fn resize(&self, id: RequestId, rows: u16, columns: u16) {
        if let Ok(open) = self.0.lock()
            && let Some(terminal) = open.get(&id)
        {
            let size = size(rows, columns);
            // SAFETY: the file is a terminal and the structure lives through the call.
            let _ = unsafe { set_window_size(terminal.as_raw_fd(), &raw const size) };
        }
    }

    /// Runs a shell until it ends.
    pub fn run(
        &self,
        node: &Node,
        id: RequestId,
        rows: u16,
        columns: u16,
        term: &str,
        outbox: &Outbox,
    ) {
        let exit =
            self.session(node, id, (rows, columns), term, outbox).unwrap_or_else(Exit::NotStarted);
        if let Ok(mut open) = self.0.lock() {
            open.remove(&id);
        }
        outbox.send(&Event::Exited { id, exit, stdout: Vec::new(), stderr: Vec::new(), millis: 0 });
    }

    fn session(
        &self,
        node: &Node,
        id: RequestId,
        (rows, columns): (u16, u16),
        term: &str,
        outbox: &Outbox,
    ) -> Result<Exit, String> {
        let pty =
            openpty(&size(rows, columns), None).map_err(|error| format!("no terminal: {error}"))?;
        let shell = ["/bin/bash", "/bin/sh"]
            .into_iter()
            .find(|shell| node.root().join(shell.trim_start_matches('/')).exists())
            .unwrap_or("/bin/sh");
        let command =
            Command { argv: vec![shell.to_owned(), "-i".to_owned()], stdin: Vec::new(), keep: 0 };
        let mut prepared = command_in(node, &command);
        prepared.env("TERM", term).env("PS1", format!("{}# ", node.name)).current_dir("/");
        let side = |_: &str| pty.slave.try_clone().map_err(|error| error.to_string());
        prepared.stdin(side("input")?).stdout(side("output")?).stderr(side("error")?);
        // SAFETY: only a system call between fork and exec; runs after the session was made.
        unsafe {
            prepared.pre_exec(|| {
                nix::libc::ioctl(0, nix::libc::TIOCSCTTY, 0);
                Ok(())
            });
        }
        let mut child = prepared.spawn().map_err(|error| format!("{shell}: {error}"))?;
        drop(prepared);
        drop(pty.slave);
        let mut output = File::from(pty.master);
        let input = output.try_clone().map_err(|error| error.to_string())?;
        if let Ok(mut open) = self.0.lock() {
            open.insert(id, input);
        }
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = output.read(&mut buffer) {
            outbox.send(&Event::Terminal { id, data: buffer[..count].to_vec() });
        }
        child.wait().map(exit_of).map_err(|error| error.to_string())
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
