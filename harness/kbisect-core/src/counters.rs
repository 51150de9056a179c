//! The kernel's own counters before and after: which of those that tell of losses moved.

use std::collections::BTreeMap;

/// Files below a node's `/proc/net` that hold counters.
pub const FILES: [&str; 5] = ["snmp", "netstat", "softnet_stat", "dev", "stat/nf_conntrack"];

/// Most lines that are shown.
const MAX_LINES: usize = 24;

/// Counters by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<String, u64>);

impl Counters {
    /// Reads one file of [`FILES`]. What is not understood is passed over.
    pub fn read(&mut self, file: &str, text: &str) {
        match file {
            "snmp" | "netstat" => self.read_pairs(text),
            "softnet_stat" => self.read_softnet(text),
            "dev" => self.read_devices(text),
            "stat/nf_conntrack" => self.read_conntrack(text),
            _ => {}
        }
    }

    /// `TcpExt: A B C` followed by `TcpExt: 1 2 3` (proc(5)).
    fn read_pairs(&mut self, text: &str) {
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.chunks_exact(2) {
            let (Some((prefix, names)), Some((again, values))) =
                (pair[0].split_once(':'), pair[1].split_once(':'))
            else {
                continue;
            };
            if prefix != again {
                continue;
            }
            for (name, value) in names.split_whitespace().zip(values.split_whitespace()) {
                if let Ok(value) = value.parse() {
                    self.0.insert(format!("{prefix}.{name}"), value);
                }
            }
        }
    }

    /// A line a processor, in hexadecimal: processed, dropped, time_squeeze, ... (net/core/net-procfs.c).
    fn read_softnet(&mut self, text: &str) {
        for line in text.lines() {
            for (name, value) in
                ["processed", "dropped", "time_squeeze"].iter().zip(line.split_whitespace())
            {
                self.add_hex(format!("softnet.{name}"), value);
            }
        }
    }

    /// A line an interface: 8 columns of reception, 8 of transmission (proc(5)).
    fn read_devices(&mut self, text: &str) {
        const COLUMNS: [&str; 16] = [
            "rx_bytes",
            "rx_packets",
            "rx_errs",
            "rx_drop",
            "rx_fifo",
            "rx_frame",
            "rx_compressed",
            "rx_multicast",
            "tx_bytes",
            "tx_packets",
            "tx_errs",
            "tx_drop",
            "tx_fifo",
            "tx_colls",
            "tx_carrier",
            "tx_compressed",
        ];
        for line in text.lines().skip(2) {
            let Some((device, values)) = line.split_once(':') else { continue };
            for (name, value) in COLUMNS.iter().zip(values.split_whitespace()) {
                if let Ok(value) = value.parse() {
                    self.0.insert(format!("{}.{name}", device.trim()), value);
                }
            }
        }
    }

    /// A line of names, then one a processor in hexadecimal.
    fn read_conntrack(&mut self, text: &str) {
        let mut lines = text.lines();
        let names: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
        for line in lines {
            for (name, value) in names.iter().zip(line.split_whitespace()) {
                self.add_hex(format!("conntrack.{name}"), value);
            }
        }
    }

    fn add_hex(&mut self, name: String, value: &str) {
        if let Ok(value) = u64::from_str_radix(value, 16) {
            let sum = self.0.entry(name).or_default();
            *sum = sum.saturating_add(value);
        }
    }

    /// The counters that rose since `before` and whose names tell of losses, refusals or repairs:
    /// `TcpExt.IPReversePathFilter +3`.
    pub fn that_matter_since(&self, before: &Self) -> Vec<String> {
        let rose = self.0.iter().filter(|(name, _)| matters(name)).filter_map(|(name, after)| {
            let difference = after.saturating_sub(before.0.get(name).copied().unwrap_or(0));
            (difference > 0).then(|| format!("{name} +{difference}"))
        });
        rose.take(MAX_LINES).collect()
    }
}

fn matters(name: &str) -> bool {
    // Multicast that nobody listens to is dropped on every host.
    const NOISE: [&str; 3] = ["rx_multicast", "InMcast", "OutMcast"];
    const TELLING: [&str; 20] = [
        "drop",
        "err",
        "fail",
        "discard",
        "noroute",
        "rst",
        "retrans",
        "timeout",
        "reverse",
        "csum",
        "overflow",
        "abort",
        "prune",
        "invalid",
        "noport",
        "unreach",
        "reset",
        "challenge",
        "synchallenge",
        "early",
    ];
    let lower = name.to_ascii_lowercase();
    !NOISE.iter().any(|noise| name.contains(noise))
        && TELLING.iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(files: &[(&str, &str)]) -> Counters {
        let mut counters = Counters::default();
        for (file, text) in files {
            counters.read(file, text);
        }
        counters
    }

    #[test]
    fn only_what_rose_and_tells_of_losses_is_shown() {
        let before = counters(&[
            ("netstat", "TcpExt: SyncookiesSent IPReversePathFilter TCPHPHits\nTcpExt: 0 1 5\n"),
            ("stat/nf_conntrack", "entries invalid drop\n00000001 00000000 00000000\n"),
        ]);
        let after = counters(&[
            ("netstat", "TcpExt: SyncookiesSent IPReversePathFilter TCPHPHits\nTcpExt: 0 4 50\n"),
            ("stat/nf_conntrack", "entries invalid drop\n0000000f 0000000a 00000000\n"),
        ]);
        let rose = after.that_matter_since(&before);
        assert_eq!(rose, ["TcpExt.IPReversePathFilter +3", "conntrack.invalid +10"]);
    }

    #[test]
    fn processors_are_added_up_and_devices_told_apart() {
        let before = Counters::default();
        let after = counters(&[
            ("softnet_stat", "00000010 00000002 00000000\n00000010 00000001 00000000\n"),
            (
                "dev",
                "Inter-|   Receive  | Transmit\n face |bytes packets errs drop\n  \
                 eth0: 9 9 0 7 0 0 0 4 9 9 0 0 0 0 0 0\n    lo: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n",
            ),
        ]);
        assert_eq!(after.that_matter_since(&before), ["eth0.rx_drop +7", "softnet.dropped +3"]);
    }

    #[test]
    fn garbage_is_passed_over() {
        let text = "z: y\nz: y\nTcpExt: Drops\nTcpExt: x\n:::\n\u{0}";
        for file in FILES {
            let found = counters(&[(file, text)]);
            assert_eq!(
                found.that_matter_since(&Counters::default()),
                Vec::<String>::new(),
                "{file}"
            );
        }
    }
}
