//! Sentences in source: string literals of several words, and where they are made.

use regex::Regex;

use super::files::Source;

/// A literal with fewer words is a label.
const WORDS: usize = 4;

/// Calls whose literals are no sentences of a report: errors and their hints, why something holds, and logs.
const CALLS: &str = r"(?x)^(.*::)?(expect|expect_err|context|with_context|anyhow!|bail!|ensure!|panic!
    |unreachable!|debug_assert\w*!|assert\w*!|debug!|info!|warn!|error!|trace!|Error::msg|errors::\w+)$";

/// Files beside `kbisect-report` that may: what can be typed, errors with their hints, what is drawn while
/// a run goes on; and quotations, which are what kernels, programs and services say.
pub fn is_room(name: &str, source: &Source) -> bool {
    let module = source.module.join("::");
    source.module.iter().any(|part| part.contains("error") || part == "tests")
        || match name {
            "kbisect" => module.starts_with("cli::") || module.starts_with("ui::"),
            "kbisect-core" => {
                module.starts_with("console::")
                    || ["changes::changelog", "judge::lacks", "judge::words"].contains(&&*module)
            }
            "kbisect-kernels" => {
                ["commits::said", "discovery::apt", "import::vmlinux"].contains(&&*module)
            }
            _ => false,
        }
}

/// Files that make sentences all the same, by crate. A line goes when the last sentence of its file has moved to
/// `kbisect-report/src/words`; none is added.
pub const STILL_SAY: [(&str, &[&str]); 4] = [
    (
        "kbisect-core",
        &[
            "answer",
            "capture",
            "changes::clues",
            "changes::gitlog",
            "changes::model",
            "changes::range",
            "command",
            "disturbed",
            "fault",
            "flow::account",
            "flow::table",
            "gate::map",
            "import::filter",
            "import::finding",
            "import::host",
            "import::interfaces",
            "import::peers",
            "import::plan",
            "import::proposals",
            "import::read",
            "import::record",
            "import::render",
            "import::routes",
            "inject",
            "judge",
            "judge::scenario",
            "judge::service",
            "judge::time",
            "mark",
            "node_state",
            "options",
            "scenario::actions",
            "scenario::cursor",
            "scenario::faults",
            "scenario::flavours",
            "scenario::kept",
            "scenario::kept_rules",
            "scenario::lint",
            "scenario::parse",
            "scenario::parsed",
            "scenario::probes::alive",
            "scenario::probes::capture",
            "scenario::probes::command",
            "scenario::probes::commands",
            "scenario::probes::connection",
            "scenario::probes::conntrack",
            "scenario::probes::count",
            "scenario::probes::counter",
            "scenario::probes::dns",
            "scenario::probes::http",
            "scenario::probes::https",
            "scenario::probes::idempotent",
            "scenario::probes::kind",
            "scenario::probes::ktap",
            "scenario::probes::plugin",
            "scenario::probes::program",
            "scenario::probes::tcp",
            "scenario::problem",
            "scenario::topology",
            "scenario::ways",
            "scenario::words",
            "selftest::faults",
            "selftest::made",
            "selftest::result",
            "trial",
            "verdict",
            "workers",
            "wrong",
        ],
    ),
    (
        "kbisect-vm",
        &[
            "accel::found",
            "accel::start",
            "guest",
            "image::build",
            "image::definition",
            "image::failure",
            "image::scratch",
            "image::supervise",
            "lab",
            "machine::log",
            "machine::state",
            "machine::watch",
            "network",
            "preparation",
            "qemu",
            "qmp",
            "rise",
            "shell",
            "times",
            "trial",
            "trial::collect",
            "trial::evidence",
            "trial::faults",
            "trial::located",
            "trial::own",
            "trial::peer",
            "trial::probes::alive",
            "trial::probes::capture",
            "trial::probes::guest",
            "trial::probes::idempotent",
            "trial::services",
            "trial::states",
            "trial::steps",
            "wire",
            "wire::captures",
        ],
    ),
    (
        "kbisect-kernels",
        &[
            "archive::builds",
            "archive::index",
            "archive::keyring",
            "catalog::resolve",
            "debug",
            "fetch",
            "git_log",
            "http",
            "http_proxy",
            "import::bzimage",
            "import::cpio",
            "import::deb",
            "import::names",
            "import::rpm",
            "import::sink",
            "modules::image",
            "series_file",
            "sources::archive",
            "sources::cached",
            "sources::mainline",
            "sources::registry",
            "sources::snapshot",
            "sources::store",
            "store",
            "store::add",
            "store::lock",
            "store::variant::check",
            "store::variant::make",
        ],
    ),
    (
        "kbisect",
        &[
            "commands::bundle",
            "commands::detect",
            "commands::doctor",
            "commands::doctor::archive",
            "commands::doctor::host",
            "commands::doctor::machines",
            "commands::doctor::tools",
            "commands::image",
            "commands::kernels",
            "commands::man",
            "commands::scenario",
            "commands::scenario_new",
            "commands::stop",
            "commands::watch",
            "commands::welcome",
            "run::bench",
            "run::busy",
            "run::cells",
            "run::changes",
            "run::check",
            "run::chosen",
            "run::context",
            "run::decode",
            "run::ending",
            "run::executor",
            "run::kept",
            "run::kernels",
            "run::lines",
            "run::plan",
            "run::remote::check",
            "run::remote::line",
            "run::remote::serve",
            "run::remote::wire",
            "run::search",
            "run::symptom",
            "run::trial",
            "settings::global",
            "settings::scenario",
        ],
    ),
];

/// The sentences of a file; what its tests, attributes and comments say is none.
pub fn sentences(source: &Source) -> Vec<String> {
    let calls = Regex::new(CALLS).unwrap();
    let hole = Regex::new(r"\{[^{}]*\}|\\.").unwrap();
    let word = Regex::new(r"^[(`'\x22]?[A-Za-z][A-Za-z'/-]*[)`'\x22]?[,.:;?!]?$").unwrap();
    let is_sentence = |literal: &String| {
        let text = hole.replace_all(literal, " ");
        text.split_whitespace().filter(|part| word.is_match(part)).count() >= WORDS
    };
    let text = source.text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    literals(text, |callee| calls.is_match(callee)).into_iter().filter(is_sentence).collect()
}

/// The string literals of a text outside comments, attributes and calls that `skips` names.
fn literals(text: &str, skips: impl Fn(&str) -> bool) -> Vec<String> {
    let (mut found, mut at) = (Vec::new(), 0);
    // What is open: whether literals in it are passed over.
    let mut open: Vec<bool> = Vec::new();
    while at < text.len() {
        let rest = &text[at..];
        let skipped = open.last().copied().unwrap_or_default();
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if let Some((literal, len)) = literal(rest) {
            if !skipped {
                found.push(literal.to_owned());
            }
            at += len;
        } else if let Some(len) = character(rest) {
            at += len;
        } else {
            let c = rest.chars().next().unwrap();
            match c {
                '(' | '{' => open.push(skipped || skips(callee(&text[..at]))),
                '[' => {
                    let before = &text[..at];
                    open.push(skipped || before.ends_with('#') || before.ends_with("#!"));
                }
                ')' | ']' | '}' => drop(open.pop()),
                _ => {}
            }
            at += c.len_utf8();
        }
    }
    found
}

/// The path or macro that a bracket follows.
fn callee(before: &str) -> &str {
    let is_path = |c: char| c.is_alphanumeric() || "_:!".contains(c);
    &before[before.trim_end_matches(is_path).len()..]
}

/// A string literal at the beginning of a text: what is in it, and its length.
fn literal(rest: &str) -> Option<(&str, usize)> {
    let raw = rest.strip_prefix('r').filter(|raw| raw.starts_with(['#', '"']));
    if let Some(raw) = raw {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let body = raw[hashes..].strip_prefix('"')?;
        let end = body.find(&format!("\"{}", "#".repeat(hashes)))?;
        return Some((&body[..end], 1 + hashes + 1 + end + 1 + hashes));
    }
    let body = rest.strip_prefix('"')?;
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some((&body[..at], at + 2)),
            _ => {}
        }
    }
    None
}

/// The length of a character literal at the beginning of a text; a lifetime is none.
fn character(rest: &str) -> Option<usize> {
    let mut chars = rest.strip_prefix('\'')?.char_indices();
    match chars.next()?.1 {
        '\\' => Some(2 + rest[3..].find('\'')? + 2),
        _ => chars.next().filter(|(_, c)| *c == '\'').map(|(at, _)| at + 2),
    }
}
