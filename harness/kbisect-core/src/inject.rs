//! Faults that are put into a trial on purpose: the proof that its checks can fail, and steps of a
//! fail-over.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A fault, or the end of one. What is done to the wires is done by the harness, all else in a guest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "fault")]
pub enum Fault {
    /// All wires are cut.
    WiresCut,
    /// A link carries nothing any more, and its members see a carrier.
    Cut {
        /// Link.
        link: String,
    },
    /// Frames of one node are lost on a link.
    Drop {
        /// Link.
        link: String,
        /// Node that sends them.
        from: String,
        /// TCP or UDP port that they come from; all of its frames without.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        port: Option<u16>,
    },
    /// Frames of one node come from another port than the one that was asked.
    SourcePort {
        /// Link.
        link: String,
        /// Node that sends them.
        from: String,
        /// TCP or UDP port that they come from.
        port: u16,
    },
    /// Frames of a link arrive later.
    Delay {
        /// Link.
        link: String,
        /// Milliseconds.
        ms: u32,
    },
    /// Some frames of a link are lost.
    Lose {
        /// Link.
        link: String,
        /// How many of a hundred.
        percent: u8,
    },
    /// A link is as it was: nothing is cut, dropped, delayed or lost, and carriers are back.
    Restore {
        /// Link.
        link: String,
    },
    /// A node's interface on a link loses its carrier.
    CarrierOff {
        /// Link.
        link: String,
        /// Node.
        node: String,
    },
    /// The interface has a carrier again.
    CarrierOn {
        /// Link.
        link: String,
        /// Node.
        node: String,
    },
    /// A service is killed (`SIGKILL`).
    Kill {
        /// Service.
        service: String,
    },
    /// A service is asked to end (`SIGTERM`).
    Stop {
        /// Service.
        service: String,
    },
    /// A service stands still (`SIGSTOP`).
    Pause {
        /// Service.
        service: String,
    },
    /// A service that stood still goes on (`SIGCONT`).
    Continue {
        /// Service.
        service: String,
    },
    /// A service that ended is started again.
    Start {
        /// Service.
        service: String,
    },
    /// A service is gone, and another program has its port.
    PortTaken {
        /// Service.
        service: String,
    },
    /// A packet filter rule of a node drops all but its own traffic.
    Filter {
        /// Node.
        node: String,
    },
    /// A node resolves no names.
    NoNames {
        /// Node.
        node: String,
    },
    /// A node can track no further connections.
    ConntrackFull {
        /// Node.
        node: String,
    },
    /// The clock of a node's machine is wrong.
    Clock {
        /// Node.
        node: String,
        /// Seconds ahead; behind, where negative.
        seconds: i64,
    },
    /// A node's disk is full.
    DiskFull {
        /// Node.
        node: String,
    },
    /// The kernel of a node panics.
    Panic {
        /// Node.
        node: String,
    },
    /// The kernel of a node stays in one place until its lock-up detector ends it.
    Lockup {
        /// Node.
        node: String,
    },
    /// A service is started again with another certificate, which is its own issuer.
    Certificate {
        /// Service.
        service: String,
        /// The certificate.
        #[serde(flatten)]
        other: Box<OtherCertificate>,
    },
    /// The power of a node's own machine fails.
    PowerOff {
        /// Node.
        node: String,
    },
    /// A node's own machine boots again: what is set up in the node is set up again, and its services start.
    PowerOn {
        /// Node.
        node: String,
    },
    /// The power of a node's own machine fails, and comes back.
    Reboot {
        /// Node.
        node: String,
    },
    /// A command of the scenario's own does it.
    Run {
        /// Node.
        node: String,
        /// Shell script text.
        command: String,
    },
}

/// A certificate that takes the place of another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct OtherCertificate {
    /// File of the certificate in the service's node.
    pub file: String,
    /// File of its private key; the certificate's own without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What is wrong with it beside its issuer.
    pub wrong: WrongCertificate,
}

/// What can be wrong with a certificate.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum WrongCertificate {
    /// Nothing but its issuer.
    Issuer,
    /// It is for another name.
    Name,
    /// It has been out of date since yesterday.
    Expired,
}

impl WrongCertificate {
    /// All of them, with their words.
    pub const WORDS: [(&'static str, Self); 3] =
        [("issuer", Self::Issuer), ("name", Self::Name), ("expired", Self::Expired)];

    fn word(self) -> &'static str {
        let found = Self::WORDS.into_iter().find(|(_, it)| *it == self);
        found.map_or("", |(word, _)| word)
    }

    /// The script that puts it in the place of the one in `$1`, with the key in `$2`.
    fn script(self, file: &str, key: &str) -> String {
        let made = match self {
            Self::Issuer => r#"openssl x509 -in "$1" -signkey "$2" -days 30"#,
            Self::Expired => r#"openssl x509 -in "$1" -signkey "$2" -days -1"#,
            Self::Name => {
                r#"openssl req -x509 -key "$2" -subj /CN=wrong.invalid -addext subjectAltName=DNS:wrong.invalid -days 30"#
            }
        };
        // What holds a key as well still does.
        format!(
            "set -- {} {}\nnew=$({made} 2> /dev/null)\n\
             key=$(openssl pkey -in \"$1\" 2> /dev/null || true)\n\
             printf '%s\\n' \"$new\" ${{key:+\"$key\"}} > \"$1\"",
            quoted(file),
            quoted(key)
        )
    }
}

/// A text as one word of a guest's shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What a fault is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// All wires.
    Wires,
    /// A link, on the side of a node where one is named.
    Link(&'a str, Option<&'a str>),
    /// A service.
    Service(&'a str),
    /// A node.
    Node(&'a str),
}

impl Fault {
    /// What it is done to.
    #[must_use]
    pub fn target(&self) -> Target<'_> {
        match self {
            Self::WiresCut => Target::Wires,
            Self::Cut { link }
            | Self::Delay { link, .. }
            | Self::Lose { link, .. }
            | Self::Restore { link } => Target::Link(link, None),
            Self::Drop { link, from, .. } | Self::SourcePort { link, from, .. } => {
                Target::Link(link, Some(from))
            }
            Self::CarrierOff { link, node } | Self::CarrierOn { link, node } => {
                Target::Link(link, Some(node))
            }
            Self::Kill { service }
            | Self::Stop { service }
            | Self::Pause { service }
            | Self::Continue { service }
            | Self::Start { service }
            | Self::PortTaken { service }
            | Self::Certificate { service, .. } => Target::Service(service),
            Self::Filter { node }
            | Self::NoNames { node }
            | Self::ConntrackFull { node }
            | Self::Clock { node, .. }
            | Self::DiskFull { node }
            | Self::Panic { node }
            | Self::Lockup { node }
            | Self::PowerOff { node }
            | Self::PowerOn { node }
            | Self::Reboot { node }
            | Self::Run { node, .. } => Target::Node(node),
        }
    }

    /// The shell script that does it in its node, for faults that are done by one.
    #[must_use]
    pub fn script(&self) -> Option<String> {
        const DROP_ALL: &str = "nft -f - <<'RULES'\n\
            table inet kbisect_fault {\n\
            chain kbisect_in { type filter hook input priority -400; policy accept; iifname != \"lo\" drop; }\n\
            chain kbisect_out { type filter hook output priority -400; policy accept; oifname != \"lo\" drop; }\n\
            chain kbisect_forward { type filter hook forward priority -400; policy drop; }\n\
            }\nRULES";
        // A connection that stands takes the only place: others would be dropped for a new one.
        const CONNTRACK_FULL: &str = "\
            setsid socat TCP-LISTEN:47,bind=127.0.0.1 EXEC:cat < /dev/null > /dev/null 2>&1 &\n\
            for i in $(seq 50); do\n\
            setsid sh -c 'sleep 100000 | socat - TCP:127.0.0.1:47' < /dev/null > /dev/null 2>&1 &\n\
            sleep 0.1\n\
            if grep -q ':002F 0100007F:.* 01 ' /proc/net/tcp; then\n\
            echo 1 > /proc/sys/net/netfilter/nf_conntrack_max; exit 0; fi; done; exit 1";
        // Written until there is no room; that there is none is then seen.
        const DISK_FULL: &str = "\
            full() {\n\
            dd if=/dev/zero of=$1/kbisect-full bs=64k 2> /dev/null || true\n\
            ! dd if=/dev/zero of=$1/kbisect-more bs=4k count=1 2> /dev/null\n\
            }\n\
            if grep -q ' /tmp tmpfs ' /proc/mounts; then\n\
            used=$(df -k /tmp | awk 'END { print $3 }')\n\
            busybox mount -o remount,size=$((used + 256))k /tmp; full /tmp; fi; full /";
        // Filters that each lead to all of the next level, 32 to the power of 7 in the end: a packet on the loopback
        // is looked up in them for hours, in a softirq. Linux follows 8 levels (TC_U32_MAXDEPTH).
        const LOCKUP: &str = "\
            echo 5 > /proc/sys/kernel/watchdog_thresh\n\
            echo 1 > /proc/sys/kernel/softlockup_panic\n\
            tc qdisc add dev lo clsact\n\
            {\n\
            f='filter add dev lo ingress protocol all prio 1'\n\
            for level in 1 2 3 4 5 6 7 8; do echo \"$f handle $level: u32 divisor 1\"; done\n\
            for level in 1 2 3 4 5 6 7; do for i in $(seq 32); do\n\
            echo \"$f u32 ht $level: match u32 0 0 at 0 link $((level + 1)):\"; done; done\n\
            echo \"$f u32 ht 8: match u32 0 0xffffffff at 0 flowid 1:1\"\n\
            echo \"$f u32 ht 800: match u32 0 0 at 0 link 1:\"\n\
            } > /tmp/kbisect-lockup\n\
            tc -batch /tmp/kbisect-lockup\n\
            ip link set lo up\n\
            sync\n\
            ping -c 1 -W 1 127.0.0.1 > /dev/null || true\n\
            sleep 3";
        const NO_NAMES: &str = "nft -f - <<'RULES'\n\
            table inet kbisect_names {\n\
            chain kbisect_out { type filter hook output priority -400; policy accept; udp dport 53 drop; tcp dport 53 drop; }\n\
            }\nRULES";
        Some(match self {
            Self::Filter { .. } => DROP_ALL.to_owned(),
            Self::NoNames { .. } => NO_NAMES.to_owned(),
            Self::ConntrackFull { .. } => CONNTRACK_FULL.to_owned(),
            Self::Clock { seconds, .. } => {
                format!("date -s \"@$(( $(date +%s) + ({seconds}) ))\" > /dev/null")
            }
            Self::DiskFull { .. } => DISK_FULL.to_owned(),
            Self::Panic { .. } => "echo c > /proc/sysrq-trigger".to_owned(),
            Self::Lockup { .. } => LOCKUP.to_owned(),
            Self::Certificate { other, .. } => {
                let OtherCertificate { file, key, wrong } = other.as_ref();
                wrong.script(file, key.as_ref().unwrap_or(file))
            }
            Self::Run { command, .. } => command.clone(),
            _ => return None,
        })
    }

    /// Whether its node's machine is of no use to later trials.
    #[must_use]
    pub fn outlasts_the_trial(&self) -> bool {
        matches!(self, Self::Clock { .. } | Self::ConntrackFull { .. })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WiresCut => f.write_str("wires-cut"),
            Self::Cut { link } => write!(f, "cut {link}"),
            Self::Drop { link, from, port: None } => write!(f, "drop {link} from {from}"),
            Self::Drop { link, from, port: Some(port) } => {
                write!(f, "drop {link} from {from}:{port}")
            }
            Self::SourcePort { link, from, port } => {
                write!(f, "source-port {link} from {from}:{port}")
            }
            Self::Delay { link, ms } => write!(f, "delay {link} {ms} ms"),
            Self::Lose { link, percent } => write!(f, "lose {link} {percent} %"),
            Self::Restore { link } => write!(f, "restore {link}"),
            Self::CarrierOff { link, node } => write!(f, "carrier-off {link} at {node}"),
            Self::CarrierOn { link, node } => write!(f, "carrier-on {link} at {node}"),
            Self::Kill { service } => write!(f, "kill {service}"),
            Self::Stop { service } => write!(f, "stop {service}"),
            Self::Pause { service } => write!(f, "pause {service}"),
            Self::Continue { service } => write!(f, "continue {service}"),
            Self::Start { service } => write!(f, "start {service}"),
            Self::PortTaken { service } => write!(f, "port-taken {service}"),
            Self::Filter { node } => write!(f, "filter {node}"),
            Self::NoNames { node } => write!(f, "no-names {node}"),
            Self::ConntrackFull { node } => write!(f, "conntrack-full {node}"),
            Self::Clock { node, seconds } => write!(f, "clock {node} {seconds:+} s"),
            Self::DiskFull { node } => write!(f, "disk-full {node}"),
            Self::Panic { node } => write!(f, "panic {node}"),
            Self::Lockup { node } => write!(f, "lockup {node}"),
            Self::Certificate { service, other } => {
                write!(f, "certificate {service} {}", other.wrong.word())
            }
            Self::PowerOff { node } => write!(f, "power-off {node}"),
            Self::PowerOn { node } => write!(f, "power-on {node}"),
            Self::Reboot { node } => write!(f, "reboot {node}"),
            Self::Run { node, command } => {
                let first = command.lines().map(str::trim).find(|line| !line.is_empty());
                write!(f, "run {node} {}", first.unwrap_or_default())
            }
        }
    }
}

/// A fault that a scenario declares for its self-test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// Name.
    pub name: String,
    /// The fault.
    pub fault: Fault,
    /// Checks that have to notice it; any of them without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub noticed_by: Vec<String>,
}

impl Declared {
    /// Whether its name, or what it is, has one of the texts in it; of no texts, it is.
    #[must_use]
    pub fn is_one_of(&self, texts: &[String]) -> bool {
        let fault = self.fault.to_string();
        texts.is_empty()
            || texts.iter().any(|text| self.name.contains(text) || fault.contains(text))
    }
}

/// A fault that was put into a trial, or could not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Injected {
    /// The fault.
    pub fault: Fault,
    /// Why it could not be put in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}
