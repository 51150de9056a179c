//! How a kernel failed, and when two failures are the same.

mod kind;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::kind::SymptomKind;

/// How a kernel failed, comparable between kernels: kind + title + where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Symptom {
    /// Class.
    pub kind: SymptomKind,
    /// One line without numbers that change from run to run.
    pub title: String,
    /// What was seen this time, with the numbers.
    pub detail: String,
    /// Node, wire or check that it was seen at.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Other titles of the same report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alt_titles: Vec<String>,
    /// Functions on the stack, innermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<String>,
    /// Features that the kernel lacks, when that is the failure: nothing was booted then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
    /// Where packets were lost, when that is the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Box<LossPlace>>,
}

/// Where packets were lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LossPlace {
    /// The node that had them and did not use them, or did not hand them on.
    pub node: String,
    /// Which way they went.
    pub packets: Packets,
    /// Node that opened the connection.
    pub client: String,
    /// Node and port that it was for, or the address when no node has it.
    pub server: String,
}

/// Which way packets of a connection go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Packets {
    /// To the server.
    Requests,
    /// Back.
    Replies,
}

/// Why two symptoms count as the same, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Match {
    /// Same class and same title.
    Title,
    /// Their sets of titles intersect.
    AltTitle,
    /// Both are crashes, with functions of the stack in common.
    Stack,
    /// Different failures.
    Different,
}

/// How a symptom compares with the one that is looked for, and what that rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Matching {
    /// The verdict.
    pub how: Match,
    /// `kind: title` of the symptom that is looked for.
    pub target: String,
    /// The title that both have, when it is an alternative one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Functions that both stacks have, when those decide; innermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<String>,
}

/// Most shared functions that are named.
const MAX_SHARED: usize = 8;

impl Symptom {
    /// Compares two symptoms; see [`Symptom::matching`].
    pub fn compare(&self, other: &Self) -> Match {
        self.matching(other).how
    }

    /// Compares a symptom with this one, which is looked for, and says what the answer rests on.
    ///
    /// A crash of the same bug has other words on other kernels (`BUG: stack guard page was hit`
    /// became `Oops: stack guard page`), and a stack that ran over stops in another function each
    /// time. So for crashes two common functions beside the general entry code are enough.
    pub fn matching(&self, other: &Self) -> Matching {
        let found =
            |how, title, functions| Matching { how, target: self.to_string(), title, functions };
        let crash = |symptom: &Self| matches!(symptom.kind, SymptomKind::Panic | SymptomKind::Oops);
        let both_crash = crash(self) && crash(other);
        if self.kind != other.kind && !both_crash {
            return found(Match::Different, None, Vec::new());
        }
        if self.title == other.title {
            return found(Match::Title, None, Vec::new());
        }
        let titles = |symptom: &Self| {
            std::iter::once(symptom.title.clone())
                .chain(symptom.alt_titles.clone())
                .collect::<Vec<_>>()
        };
        if let Some(title) = titles(self).into_iter().find(|title| titles(other).contains(title)) {
            return found(Match::AltTitle, Some(title), Vec::new());
        }
        let mut common: Vec<String> = Vec::new();
        for frame in other.frames.iter().filter(|frame| !is_general(frame)) {
            if self.frames.contains(frame) && !common.contains(frame) {
                common.push(frame.clone());
            }
        }
        if both_crash && common.len() >= 2 {
            common.truncate(MAX_SHARED);
            return found(Match::Stack, None, common);
        }
        found(Match::Different, None, Vec::new())
    }
}

/// Functions that are on nearly every stack and therefore say nothing.
fn is_general(frame: &str) -> bool {
    const PREFIXES: [&str; 12] = [
        "entry_",
        "do_syscall",
        "__x64_sys",
        "__se_sys",
        "__do_sys",
        "x64_sys",
        "asm_",
        "ret_from",
        "kthread",
        "do_softirq",
        "__do_softirq",
        "handle_softirqs",
    ];
    const NAMES: [&str; 14] = [
        "__sys_connect",
        "__sys_connect_file",
        "__local_bh_enable_ip",
        "net_rx_action",
        "process_backlog",
        "__netif_receive_skb",
        "nf_hook_slow",
        "worker_thread",
        "process_one_work",
        "common_interrupt",
        "exc_page_fault",
        "do_exit",
        "dump_stack",
        "panic",
    ];
    PREFIXES.iter().any(|prefix| frame.starts_with(prefix)) || NAMES.contains(&frame)
}

impl fmt::Display for Symptom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.title)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crash(kind: SymptomKind, title: &str, frames: &[&str]) -> Symptom {
        Symptom {
            kind,
            title: title.to_owned(),
            detail: String::new(),
            place: None,
            alt_titles: Vec::new(),
            frames: frames.iter().map(|frame| (*frame).to_owned()).collect(),
            lacks: Vec::new(),
            loss: None,
        }
    }

    #[test]
    fn one_bug_matches_itself_across_kernels_with_other_words() {
        let old = crash(
            SymptomKind::Panic,
            "BUG: stack guard page was hit in nft_do_chain",
            &["nft_do_chain", "nft_synproxy_do_eval", "synproxy_send_tcp"],
        );
        let new = crash(
            SymptomKind::Oops,
            "Oops: stack guard page in ip_output",
            &["ip_output", "synproxy_send_tcp", "nft_synproxy_do_eval"],
        );
        let matching = old.matching(&new);
        assert_eq!(matching.how, Match::Stack);
        assert_eq!(matching.functions, ["synproxy_send_tcp", "nft_synproxy_do_eval"]);
        assert_eq!(old.compare(&old), Match::Title);
    }

    #[test]
    fn an_unrelated_crash_is_another_symptom() {
        let target = crash(SymptomKind::Panic, "panic in a", &["a", "b", "do_syscall_64", "panic"]);
        let other = crash(SymptomKind::Panic, "panic in c", &["c", "d", "do_syscall_64", "panic"]);
        assert_eq!(target.compare(&other), Match::Different);
    }

    #[test]
    fn a_crash_never_matches_lost_packets() {
        let crash = crash(SymptomKind::Panic, "x", &["a", "b"]);
        let lost = Symptom { kind: SymptomKind::LostIngress, ..crash.clone() };
        assert_eq!(crash.compare(&lost), Match::Different);
    }
}
