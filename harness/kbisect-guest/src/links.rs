//! Names of network interfaces, and `ip -batch`.

use std::io::Write;
use std::process::{Command, Stdio};

use kbisect_proto::Nic;

use crate::programs::PATH;

/// What `ip` did not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpError {
    /// The line of the batch that failed, from 0, where `ip` said which.
    pub line: Option<usize>,
    pub said: String,
}

impl IpError {
    /// Whether what was to be made is there already.
    pub fn is_taken(&self) -> bool {
        self.said.contains("File exists")
    }

    fn other(said: String) -> Self {
        Self { line: None, said }
    }
}

/// Runs `ip` with lines of commands on its standard input.
pub fn run_ip(mut command: Command, batch: &str) -> Result<(), IpError> {
    if batch.is_empty() {
        return Ok(());
    }
    let mut child = command
        .args(["-batch", "-"])
        .env("PATH", PATH)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| IpError::other(format!("cannot run ip: {error}")))?;
    if let Some(mut input) = child.stdin.take() {
        let _ = input.write_all(batch.as_bytes());
    }
    let output =
        child.wait_with_output().map_err(|error| IpError::other(format!("ip: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(read_error(&String::from_utf8_lossy(&output.stderr)))
}

/// What `ip -batch -` says ends with the place, `Command failed -:3`.
fn read_error(said: &str) -> IpError {
    const PLACE: &str = "Command failed -:";
    let place = |line: &str| line.trim().strip_prefix(PLACE)?.parse::<usize>().ok()?.checked_sub(1);
    let line = said.lines().find_map(place);
    let words: Vec<&str> =
        said.lines().map(str::trim).filter(|line| !line.starts_with(PLACE)).collect();
    IpError { line, said: words.join("\n").trim().to_owned() }
}

/// The name that an interface has while others are given theirs, and after its node is gone.
pub fn parked(mac: [u8; 6]) -> String {
    let [.., a, b, c, d] = mac;
    format!("k{a:02x}{b:02x}{c:02x}{d:02x}")
}

/// Commands that give interfaces their names; each comes with the one that it has. What one is to be
/// called another may be called yet, so that all of them go through a name that nobody has.
pub fn renaming(nics: &[(String, &Nic)]) -> String {
    let moving = || nics.iter().filter(|(current, nic)| *current != nic.name);
    let away =
        moving().map(|(current, nic)| format!("link set dev {current} name {}\n", parked(nic.mac)));
    let back =
        moving().map(|(_, nic)| format!("link set dev {} name {}\n", parked(nic.mac), nic.name));
    away.chain(back).collect()
}

/// Commands that move devices out of the way which nobody asked for: modules make such as `dummy0`
/// and `bond0` when they are loaded. `first` is a number that no device has that was moved before.
pub fn making_way<'a>(first: usize, names: impl Iterator<Item = &'a str>) -> String {
    let lines = names.zip(first..).map(|(name, number)| {
        format!("link set dev {name} down\nlink set dev {name} name kbisect-old{number}\n")
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nic(last: u8, name: &str) -> Nic {
        Nic { mac: [2, 0x6b, 0, 0, 0, last], name: name.to_owned() }
    }

    /// Guards against `File exists` for links whose names are not in the order of their interfaces'.
    #[test]
    fn names_can_be_swapped() {
        let (front, back, third) = (nic(1, "eth0"), nic(2, "eth1"), nic(3, "eth2"));
        let now = |name: &str, nic| (name.to_owned(), nic);
        let nics = [now("eth1", &front), now("eth0", &back), now("eth2", &third)];
        let mut names =
            vec!["eth0", "eth1", "eth2"].into_iter().map(str::to_owned).collect::<Vec<_>>();
        let batch = renaming(&nics);
        for line in batch.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let ["link", "set", "dev", old, "name", new] = words[..] else { panic!("{line}") };
            assert!(!names.iter().any(|name| name == new), "{new} is taken: {batch}");
            let at = names.iter().position(|name| name == old).unwrap();
            names[at] = new.to_owned();
        }
        assert_eq!(names, ["eth1", "eth0", "eth2"]);
        assert!(!batch.contains("eth2"), "what has its name keeps it");
    }

    #[test]
    fn the_line_that_failed_is_told() {
        let error = read_error("RTNETLINK answers: File exists\nCommand failed -:2\n");
        assert_eq!((error.line, error.is_taken()), (Some(1), true));
        assert_eq!(error.said, "RTNETLINK answers: File exists");
        let error = read_error("Error: argument \"foo\" is wrong: invalid id\n");
        assert_eq!((error.line, error.is_taken()), (None, false));
    }
}
