//! What programs say when it is the scenario that is wrong, in their own words.
//!
//! Taken from nft 1.0.6, iptables 1.8.9, iproute2 6.1, dash 0.5.12, procps 4.0.2 and coreutils 9.1.
//! What they say of the kernel's answer is left alone: it may be a kernel's fault.

use std::sync::LazyLock;

use regex::Regex;

use crate::command::CommandEnd;
use crate::fault::FaultCause;

/// What was found in a program's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) cause: FaultCause,
    /// Program, key or command.
    pub(super) subject: Option<String>,
    /// File as the guest names it.
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
    pub(super) said: String,
}

/// POSIX: what a shell ends with when a program cannot be executed, and when there is none.
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;

macro_rules! rule {
    ($name:ident, $text:literal) => {
        static $name: LazyLock<Regex> =
            LazyLock::new(|| Regex::new($text).expect("a rule of ours is a regular expression"));
    };
}

rule!(NFT, r"^(?:(?P<file>[^:\s][^:]*):(?P<line>\d+):\d+-\d+: )?Error: (?P<said>.+)$");
rule!(IPTABLES, r"^(?:ip6?tables\S* v[\d.]+ \(\w+\): )?(?P<said>.+)$");
rule!(IPTABLES_LINE, r"^Error occurred at line: (?P<line>\d+)$");
rule!(IPTABLES_COMMIT, r"^ip6?tables\S*: (?P<said>COMMIT expected at line (?P<line>\d+))$");
rule!(IPTABLES_TRY, r"^Try `(?P<program>ip6?tables)\S* -h' or ");
rule!(IP_PLACE, r"^Command failed (?P<file>[^:]+):(?P<line>\d+)$");
rule!(
    SHELL_SYNTAX,
    r"^(?P<shell>(?:\S*/)?(?:ba|da)?sh): (?:line )?(?P<line>\d+): (?P<said>(?i:syntax error).*|\S+: (?:parameter not set|unbound variable))$"
);
rule!(MISSING, r"^\S+: (?:line )?(?:\d+: )?(?:exec: )?(?P<program>[^:]+): (?:command )?not found$");
rule!(
    DENIED,
    r"^\S+: (?:line )?\d+: (?:exec: )?(?P<program>[^:]+): (?:Permission denied|Exec format error)$"
);
rule!(
    MISSING_COREUTILS,
    r"^\S+: (?:failed to run command )?[‘'](?P<program>[^’']+)[’']: (?:No such file or directory|Permission denied)$"
);
rule!(SYSCTL, r"^sysctl: cannot stat /proc/sys/(?P<key>\S+): No such file or directory$");

/// Words of ip(8) about its arguments; the kernel was not asked.
const IP: [&str; 9] = [
    "Error: argument \"",
    "Error: either \"",
    "Error: duplicate \"",
    "is expected rather than \"",
    "Command line is not complete",
    "Not enough information: \"",
    "is unknown, try \"ip ",
    "Error: invalid ",
    "Garbage instead of arguments",
];
/// What ip(8) looked up in the kernel, in words that begin alike.
const IP_LOOKED_UP: [&str; 3] = ["Device does not exist", "Invalid VRF", "Invalid \"netns\" value"];
/// What nft(8) says of the kernel's answers, or of what it looked up there.
const NFT_OF_KERNEL: [&str; 9] = [
    "Could not process rule",
    "No such file or directory",
    "Operation not ",
    "File exists",
    "Device or resource busy",
    "does not exist",
    "Invalid argument",
    "netlink",
    "cache init",
];
/// What iptables says of modules and chains.
const IPTABLES_OF_KERNEL: [&str; 5] = [
    "Couldn't load ",
    "does not exist",
    "missing kernel module",
    "can't initialize",
    "not supported",
];

/// Finds the scenario's fault in what a command left.
pub(super) fn find(end: &CommandEnd, said: &str) -> Option<Found> {
    let status = match end {
        CommandEnd::Status(status) => *status,
        CommandEnd::NotStarted(why) => return not_started(why),
        CommandEnd::Signal(_) | CommandEnd::TimedOut => return None,
    };
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    if matches!(status, NOT_EXECUTABLE | NOT_FOUND) {
        return Some(missing(said));
    }
    nft(said).or_else(|| iptables(status, said)).or_else(|| ip(said)).or_else(|| {
        let syntax = lines().find_map(|line| SHELL_SYNTAX.captures(line));
        if let Some(found) = syntax {
            return Some(Found {
                cause: FaultCause::Syntax,
                subject: Some("the shell".to_owned()),
                file: None,
                line: number(&found["line"]),
                said: found["said"].to_owned(),
            });
        }
        let found = lines().find_map(|line| SYSCTL.captures(line))?;
        Some(Found {
            cause: FaultCause::UnknownSysctl,
            subject: Some(found["key"].replace('/', ".")),
            file: None,
            line: None,
            said: found[0].to_owned(),
        })
    })
}

fn not_started(why: &str) -> Option<Found> {
    let (program, error) = why.trim_start_matches("cannot start ").split_once(": ")?;
    let missing = ["No such file or directory", "Permission denied", "Exec format error"];
    missing.iter().any(|words| error.starts_with(words)).then(|| Found {
        cause: FaultCause::MissingProgram,
        subject: Some(program.to_owned()),
        file: None,
        line: None,
        said: error.to_owned(),
    })
}

fn missing(said: &str) -> Found {
    let named = said.lines().map(str::trim).rev().find_map(|line| {
        [&MISSING, &DENIED, &MISSING_COREUTILS].iter().find_map(|rule| rule.captures(line))
    });
    Found {
        cause: FaultCause::MissingProgram,
        subject: named.as_ref().map(|found| found["program"].to_owned()),
        file: None,
        line: None,
        said: named.map_or_else(|| super::symptoms::one_line(said), |found| found[0].to_owned()),
    }
}

/// nft(8) gives the place of each error; without a file these may be words of ip(8).
fn nft(said: &str) -> Option<Found> {
    let first = said.lines().find_map(|line| NFT.captures(line.trim()))?;
    let words = &first["said"];
    let of_file = first.name("file").is_some();
    let own = of_file || words.starts_with("syntax error");
    if !own || NFT_OF_KERNEL.iter().any(|part| words.contains(part)) && !is_unreadable(words) {
        return None;
    }
    let file = first.name("file").map(|file| file.as_str().to_owned());
    Some(Found {
        cause: FaultCause::Syntax,
        subject: Some("nft".to_owned()),
        line: first.name("line").and_then(|line| number(line.as_str())).filter(|line| *line > 0),
        file: file.filter(|file| file != "internal"),
        said: words.to_owned(),
    })
}

/// A file that nft is to read is not there.
fn is_unreadable(words: &str) -> bool {
    words.starts_with("Could not open file") || words.starts_with("File not found")
}

/// xtables(8): status 2 is a parameter that makes no sense.
fn iptables(status: i32, said: &str) -> Option<Found> {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let found = |said: &str, line| Found {
        cause: FaultCause::Syntax,
        subject: Some("iptables".to_owned()),
        file: None,
        line,
        said: said.to_owned(),
    };
    if let Some(end) = lines().find_map(|line| IPTABLES_COMMIT.captures(line)) {
        return Some(found(&end["said"], number(&end["line"])));
    }
    let line = lines().find_map(|line| IPTABLES_LINE.captures(line));
    let is_it = line.is_some() || lines().any(|line| IPTABLES_TRY.is_match(line));
    if status != 2 || !is_it || IPTABLES_OF_KERNEL.iter().any(|words| said.contains(words)) {
        return None;
    }
    let words = lines().next().and_then(|first| IPTABLES.captures(first))?;
    Some(found(&words["said"], line.and_then(|line| number(&line["line"]))))
}

fn ip(said: &str) -> Option<Found> {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let own = |line: &&str| {
        // A type of device has options of its own.
        (IP.iter().any(|words| line.contains(words))
            || line.contains(": unknown option \"") && line.ends_with("\"?"))
            && !IP_LOOKED_UP.iter().any(|words| line.contains(words))
    };
    let words = lines().find(own)?;
    let place = lines().find_map(|line| IP_PLACE.captures(line));
    let file = place.as_ref().map(|place| place["file"].to_owned());
    Some(Found {
        cause: FaultCause::Syntax,
        subject: Some("ip".to_owned()),
        file: file.filter(|file| file != "-"),
        line: place.and_then(|place| number(&place["line"])),
        said: words.to_owned(),
    })
}

/// The line of its input that a program complains of, as nft(8) and ip(8) tell it.
pub fn line_of(said: &str) -> Option<u32> {
    said.lines().map(str::trim).find_map(|line| {
        let named = |rule: &Regex| rule.captures(line)?.name("line")?.as_str().parse().ok();
        named(&NFT).or_else(|| named(&IP_PLACE))
    })
}

/// Whether iptables knows no such match, target or chain; with some versions that can be the kernel's
/// doing, which others say.
pub(super) fn is_doubtful(said: &str) -> bool {
    let unknown = said.contains("Couldn't load ")
        || said.contains("Chain '") && said.contains("' does not exist");
    unknown && !said.contains("missing kernel module")
}

fn number(digits: &str) -> Option<u32> {
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNTAX: FaultCause = FaultCause::Syntax;
    const MISSES: FaultCause = FaultCause::MissingProgram;

    fn found(status: i32, said: &str) -> Option<(FaultCause, Option<String>, Option<u32>)> {
        let found = find(&CommandEnd::Status(status), said)?;
        Some((found.cause, found.subject, found.line))
    }

    /// As the programs of Debian 12 said it.
    #[test]
    fn typing_errors_are_told_with_their_line() {
        let of = |program: &str, line| Some((SYNTAX, Some(program.to_owned()), line));
        let nft = "/run/kbisect/assets/a.nft:3:10-13: Error: syntax error, unexpected drop\n  countr drop\n         ^^^^";
        assert_eq!(found(1, nft), of("nft", Some(3)));
        for (status, said, expected) in [
            (
                1,
                "a.nft:4:13-15: Error: Could not resolve service: Servname not supported for ai_socktype",
                of("nft", Some(4)),
            ),
            (
                1,
                "a.nft:1:36-36: Error: unknown identifier 'x'\ntable\n   ^\na.nft:2:4-4: Error: syntax error, unexpected '}'",
                of("nft", Some(1)),
            ),
            (1, "a.nft:1:43-48: Error: unknown chain hook", of("nft", Some(1))),
            (1, "a.nft:1:1-16: Error: File not found: /nope", of("nft", Some(1))),
            (
                1,
                "internal:0:0-0: Error: Could not open file \"x.nft\": No such file or directory",
                of("nft", None),
            ),
            (
                1,
                "Error: syntax error, unexpected newline, expecting string\nbogus\n     ^",
                of("nft", None),
            ),
            (
                2,
                "iptables-nft-restore v1.8.9 (nf_tables): unknown option \"--dprt\"\nError occurred at line: 2\nTry `iptables-nft-restore -h' or",
                of("iptables", Some(2)),
            ),
            (
                2,
                "iptables-restore v1.8.9 (nf_tables): host/network `1.2.3.4.5' not found\nError occurred at line: 7\n",
                of("iptables", Some(7)),
            ),
            (
                2,
                "Bad argument `A'\nError occurred at line: 2\nTry `iptables-restore -h'",
                of("iptables", Some(2)),
            ),
            (1, "iptables-restore: COMMIT expected at line 3", of("iptables", Some(3))),
            (
                2,
                "iptables v1.8.9 (nf_tables): unknown option \"--foo\"\nTry `iptables -h' or 'iptables --help' for more information.",
                of("iptables", None),
            ),
            (
                1,
                "Object \"lnk\" is unknown, try \"ip help\".\nCommand failed a.ip:1",
                of("ip", Some(1)),
            ),
            (1, "Error: any valid prefix is expected rather than \"1.2.3.4/33\".", of("ip", None)),
            (255, "Error: either \"to\" is duplicate, or \"vai\" is a garbage.", of("ip", None)),
            (255, "Error: argument \"foo\" is wrong: invalid id", of("ip", None)),
            (
                1,
                "vrf: unknown option \"tabel\"?\nUsage: ... vrf table TABLEID\nCommand failed a.ip:4",
                of("ip", Some(4)),
            ),
            (
                1,
                "Not enough information: \"dev\" argument is required.\nCommand failed a.ip:1",
                of("ip", Some(1)),
            ),
            (255, "Command line is not complete. Try option \"help\"", of("ip", None)),
            (2, "sh: 1: Syntax error: Unterminated quoted string", of("the shell", Some(1))),
            (2, "sh: 3: nope: parameter not set", of("the shell", Some(3))),
        ] {
            assert_eq!(found(status, said), expected, "{said}");
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let of = |program: &str| Some((MISSES, Some(program.to_owned()), None));
        for (status, said, program) in [
            (127, "sh: 1: haproxy: not found", "haproxy"),
            (127, "sh: 1: /nope/x: not found", "/nope/x"),
            (127, "sh: 1: exec: foo: not found", "foo"),
            (127, "bash: line 1: foo: command not found", "foo"),
            (127, "env: ‘foo’: No such file or directory", "foo"),
            (127, "timeout: failed to run command ‘foo’: No such file or directory", "foo"),
            (126, "sh: 1: /etc/passwd: Permission denied", "/etc/passwd"),
        ] {
            assert_eq!(found(status, said), of(program), "{said}");
        }
        assert_eq!(found(127, ""), Some((MISSES, None, None)));
        let end =
            CommandEnd::NotStarted("haproxy: No such file or directory (os error 2)".to_owned());
        let missing = find(&end, "").map(|found| (found.cause, found.subject));
        assert_eq!(missing, Some((MISSES, Some("haproxy".to_owned()))));
        let end = CommandEnd::NotStarted("nginx: Cannot allocate memory (os error 12)".to_owned());
        assert_eq!(find(&end, ""), None);
    }

    /// What the kernel answers may be its fault.
    #[test]
    fn answers_of_the_kernel_are_left_alone() {
        for (status, said) in [
            (
                1,
                "a.nft:3:21-27: Error: Could not process rule: No such file or directory\n  tcp dport 80 jump nowhere",
            ),
            (1, "a.nft:3:7-12: Error: Interface does not exist"),
            (
                1,
                "a.nft:3:1-9: Error: No such file or directory; did you mean table ‘x’ in family ip?",
            ),
            (1, "netlink: Error: cache initialization failed: Operation not supported"),
            (1, "iptables-nft-restore: line 2 failed: No chain/target/match by that name."),
            (
                4,
                "iptables-restore v1.8.9 (nf_tables): \nline 5: RULE_APPEND failed (No such file or directory): rule in chain INPUT",
            ),
            (
                2,
                "Warning: Extension tcp revision 0 not supported, missing kernel module?\niptables-restore v1.8.9 (nf_tables): unknown option \"--dport\"\nError occurred at line: 2",
            ),
            (
                2,
                "iptables-restore v1.8.9 (legacy): Couldn't load match `conlimit':No such file or directory\n\nError occurred at line: 2",
            ),
            (
                3,
                "iptables v1.8.9 (legacy): can't initialize iptables table `raw': Table does not exist (do you need to insmod?)",
            ),
            (1, "Error: Unknown device type.\nCommand failed a.ip:1"),
            (2, "RTNETLINK answers: File exists\nCommand failed a.ip:1"),
            (255, "Error: argument \"br9\" is wrong: Device does not exist"),
            (1, "Cannot find device \"eth9\"\nCommand failed a.ip:2"),
            (1, "Error: Nexthop has invalid gateway.\nCommand failed a.ip:1"),
            (1, "curl: (7) Failed to connect"),
            (1, "Error: connection refused"),
        ] {
            assert_eq!(found(status, said), None, "{said}");
        }
        assert_eq!(find(&CommandEnd::Signal(11), "sh: 1: foo: not found"), None);
    }

    #[test]
    fn an_unknown_sysctl_is_told_with_its_key() {
        let said = "sysctl: cannot stat /proc/sys/net/ipv4/ip_foward: No such file or directory";
        let expected = (FaultCause::UnknownSysctl, Some("net.ipv4.ip_foward".to_owned()), None);
        assert_eq!(found(1, said), Some(expected));
    }
}
