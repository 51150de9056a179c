//! The part of QEMU's command line that the stand-in understands.

use std::path::PathBuf;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `--version`.
    Version,
    /// A machine.
    Machine(Machine),
}

/// A machine: its kernel and the numbers of the sockets it was handed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Value of `-kernel`.
    pub kernel: PathBuf,
    /// Socket of the serial console.
    pub console: Option<i32>,
    /// Socket of QMP.
    pub qmp: Option<i32>,
    /// Socket of the guest channel.
    pub channel: Option<i32>,
    /// Sockets of the network interfaces.
    pub nics: Vec<i32>,
    /// Whether KVM was asked for.
    pub kvm: bool,
    /// File that the memory can be dumped to.
    pub dump: Option<i32>,
    /// File that the state is written to, or read from.
    pub state: Option<i32>,
    /// Whether it waits for a state to go on from.
    pub incoming: bool,
    /// Whether it pauses where it would end.
    pub pauses: bool,
    /// Whether all that is wanted is the proof that a guest runs.
    pub probe: bool,
}

/// Reads the arguments that follow the program's name.
///
/// # Errors
/// What is missing, or not a number.
pub fn parse(arguments: &[String]) -> Result<Asked, String> {
    if arguments.iter().any(|argument| argument == "--version" || argument == "-version") {
        return Ok(Asked::Version);
    }
    let mut machine = Machine::default();
    for pair in arguments.windows(2) {
        let value = pair[1].as_str();
        match pair[0].as_str() {
            "-kernel" => machine.kernel = PathBuf::from(value),
            "-machine" => machine.kvm = value.contains("accel=kvm"),
            "-chardev" => {
                let socket = Some(number(value, "fd")?);
                match field(value, "id") {
                    Some("console") => machine.console = socket,
                    Some("qmp") => machine.qmp = socket,
                    Some("channel") => machine.channel = socket,
                    other => return Err(format!("unknown chardev {other:?}")),
                }
            }
            "-add-fd" => {
                let file = Some(number(value, "fd")?);
                match field(value, "set") {
                    Some("1") => machine.dump = file,
                    Some("2") => machine.state = file,
                    other => return Err(format!("unknown set {other:?}")),
                }
            }
            "-device" => machine.probe |= value.starts_with("isa-debug-exit"),
            "-incoming" => machine.incoming = true,
            "-action" => machine.pauses = field(value, "shutdown") == Some("pause"),
            "-netdev" => machine.nics.push(number(value, "addr.str")?),
            _ => {}
        }
    }
    Ok(Asked::Machine(machine))
}

fn field<'a>(options: &'a str, name: &str) -> Option<&'a str> {
    options
        .split(',')
        .filter_map(|option| option.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

fn number(options: &str, name: &str) -> Result<i32, String> {
    let text = field(options, name).ok_or_else(|| format!("`{options}` has no {name}"))?;
    text.parse().map_err(|_| format!("`{text}` in `{options}` is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_found() {
        let words = "-name x -kernel /k -chardev socket,id=console,fd=5,server=off -chardev \
                     socket,id=qmp,fd=6,server=off -netdev stream,id=net0,server=off,addr.type=fd,addr.str=9";
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let Ok(Asked::Machine(machine)) = parse(&words) else { panic!("a machine") };
        assert_eq!((machine.console, machine.qmp, machine.channel), (Some(5), Some(6), None));
        assert_eq!(machine.nics, [9]);
        assert_eq!(machine.kernel, PathBuf::from("/k"));
    }

    #[test]
    fn a_socket_that_is_no_number_is_refused() {
        let words = ["-chardev", "socket,id=qmp,fd=x"].map(str::to_owned);
        assert!(parse(&words).is_err());
    }
}
