//! What manual pages say of files and variables.

/// Files that are read and written.
pub const FILES: [(&str, &str); 5] = [
    (
        "$XDG_CONFIG_HOME/kbisect/config.toml",
        "Settings; options win over them. ~/.config stands for the variable where it is not set.",
    ),
    (
        "$XDG_CONFIG_HOME/kbisect/scenarios/NAME/",
        "Scenarios of your own, beside those in ./scenarios/NAME/.",
    ),
    (
        "$XDG_CACHE_HOME/kbisect/",
        "Kernels, root images, indexes, saved states and trees of commits. All of it can be made again. ~/.cache stands \
         for the variable where it is not set.",
    ),
    (
        "results/RUN/",
        "A run: report.md, report.html, result.json, journal.jsonl, and the evidence of its trials.",
    ),
    (
        "results/stop",
        "While it exists, runs of that folder stop within two seconds; they can be resumed.",
    ),
];

/// Variables that count.
pub const ENVIRONMENT: [(&str, &str); 5] = [
    ("XDG_CONFIG_HOME, XDG_CACHE_HOME", "Where settings and the cache are."),
    ("NO_COLOR", "Without a value or with one: no colours."),
    ("CI", "The display for terminals is left out: lines are printed."),
    ("http_proxy, https_proxy, no_proxy", "Proxies; they win over those of apt's settings."),
    ("TMPDIR", "Where machines keep what lasts no longer than a trial."),
];

/// Pages of others.
pub const ALSO: [&str; 4] = ["qemu-system-x86_64(1)", "git-bisect(1)", "nft(8)", "iptables(8)"];
