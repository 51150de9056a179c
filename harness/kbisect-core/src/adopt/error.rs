//! What an import has to say about a file, and what to do about it.

use std::fmt;

use crate::scenario::words;

/// No check can be made of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdoptError {
    /// It is not YAML.
    #[error("line {line}: this is not YAML: {said}")]
    Yaml {
        /// From 1.
        line: usize,
        /// The parser's words.
        said: String,
    },
    /// It uses what files of checks do not need.
    #[error("line {line}: {what} are not taken over")]
    Refused {
        /// From 1.
        line: usize,
        /// What it is, in the plural.
        what: &'static str,
    },
    /// There is more of it than any list of checks has.
    #[error("line {line}: more than {most} {what}")]
    TooMuch {
        /// From 1.
        line: usize,
        /// The most.
        most: usize,
        /// Of what.
        what: &'static str,
    },
    /// It has another shape.
    #[error("line {line}: expected {expected}")]
    Shape {
        /// From 1.
        line: usize,
        /// What should be there.
        expected: Expected,
    },
    /// There is nothing in it.
    #[error("there is no {what} in it")]
    Nothing {
        /// What was looked for.
        what: &'static str,
    },
}

/// What should be at a place of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Expected {
    /// A document.
    #[error("a list")]
    List,
    /// An item of one.
    #[error("`envvars`, or `name` and `tests`")]
    Item,
    /// What a test is made of.
    #[error("a list of commands under `tests`")]
    Commands,
    /// One of these.
    #[error("a `cmd`")]
    Command,
    /// Variables.
    #[error("`NAME: VALUE` under `envvars`")]
    Variables,
    /// Keys that differ.
    #[error("each key once")]
    OneKey,
    /// Keys that are texts.
    #[error("a text as key")]
    TextKey,
}

/// Why no shell understands a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A quote that is open at the end.
    #[error("a quote is not closed")]
    Quote,
    /// A backslash at the end.
    #[error("nothing follows the last `\\`")]
    Backslash,
    /// No word at all.
    #[error("there is no command")]
    Empty,
}

impl AdoptError {
    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Yaml { .. } => "correct the file; YAML in templates has to be rendered first",
            Self::Refused { .. } => "write out in the file what they stand for",
            Self::TooMuch { .. } => "split the file",
            Self::Shape { .. } => {
                "a list has documents of `- envvars: [...]` and of `- name: ...` with `tests: [...]`, \
                 each test a `cmd` with `retcode`, `stdout`, `stderr`; see scenarios/README.md"
            }
            Self::Nothing { .. } => {
                "name the file that has them; `kbisect scenario import --help` has examples"
            }
        }
    }
}

/// Most scripts of one import of self-tests.
pub(super) const MOST_SCRIPTS: usize = 200;

/// Why no self-test is taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelfTestError {
    /// There is no such script.
    #[error("there is no self-test `{}` in it", words::shown(.name))]
    NoScript {
        /// As it was named.
        name: String,
        /// What is like it.
        near: Vec<String>,
    },
    /// It is no path below the folder of self-tests.
    #[error("`{}` leads out of the folder of self-tests", words::shown(.0))]
    Outside(String),
    /// It is no script.
    #[error("`{}` is no script: it does not begin with `#!`", words::shown(.0))]
    NoText(String),
    /// The folder names none.
    #[error("the Makefile in `{}` names no script", words::shown(.0))]
    NoScripts(String),
    /// There are more than anybody waits for.
    #[error("{0} scripts are more than {MOST_SCRIPTS}")]
    TooMany(usize),
}

impl SelfTestError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoScript { near, .. } if !near.is_empty() => {
                format!(
                    "did you mean {}? Another version of the kernel may have it: --tree",
                    near.join(" or ")
                )
            }
            Self::NoScript { .. } | Self::Outside(_) => {
                "name it as in the kernel's tools/testing/selftests: net/fib_tests.sh".to_owned()
            }
            Self::NoText(_) => {
                "name a shell script; helpers in C come along by themselves".to_owned()
            }
            Self::NoScripts(_) => "name scripts one by one".to_owned(),
            Self::TooMany(_) => "name fewer, or make several scenarios".to_owned(),
        }
    }
}

/// Something that was left out, or should be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Line of the file, from 1; 0 for what is about no line.
    pub line: usize,
    /// What it is about, as the file calls it.
    pub title: String,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        if !self.title.is_empty() {
            write!(f, "`{}`: ", words::shown(&self.title))?;
        }
        write!(f, "{}", self.reason)
    }
}

/// Why something was left out, or should be looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A host that is no node.
    #[error("no node stands for the host `{}`", words::shown(.host))]
    UnknownHost {
        /// As the file names it.
        host: String,
        /// Nodes that there are.
        nodes: Vec<String>,
    },
    /// A variable that nothing sets.
    #[error("`${}` is not set", words::shown(.name))]
    Unset {
        /// Its name.
        name: String,
    },
    /// A macro that nothing sets.
    #[error("the macro `${}$` is not set", words::shown(.name))]
    UnsetMacro {
        /// Its name.
        name: String,
    },
    /// What the shell that calls ssh would expand, on the list's own host.
    #[error("`{}` is expanded on the host that calls ssh, not on the one that it calls", words::shown(.what))]
    Expanded {
        /// The construct.
        what: String,
    },
    /// A quote that is not closed, or the like.
    #[error("no shell understands it: {what}")]
    Broken {
        /// What is wrong.
        what: Broken,
    },
    /// One command on two hosts.
    #[error("a part of it runs on the host that calls ssh: `{}`", words::shown(.part))]
    TwoHosts {
        /// The part.
        part: String,
    },
    /// ssh in the middle of a command.
    #[error("it calls ssh, scp or the like in the middle")]
    SshWithin,
    /// ssh without a command.
    #[error("ssh is given no command")]
    NoCommand,
    /// ssh with an option that means more than a command.
    #[error("ssh option -{option} does more than run a command")]
    SshOption {
        /// The option's letter.
        option: char,
    },
    /// A key that the format does not have.
    #[error("unknown key `{}`", words::shown(.key))]
    UnknownKey {
        /// The key.
        key: String,
    },
    /// A status that no program ends with.
    #[error("`retcode` must be a number from 0 to 255")]
    Retcode,
    /// A list or a map for a text.
    #[error("`{key}` must be a text")]
    NoText {
        /// The key.
        key: &'static str,
    },
    /// What the scenario file takes for something else.
    #[error("a NUL character or `{{assets}}` is in it")]
    NoShellText,
    /// It is too long.
    #[error("it is longer than {most} bytes")]
    TooLong {
        /// The most.
        most: usize,
    },
    /// Commands of one test on several nodes became several checks.
    #[error("its commands run on several nodes: it became {checks} checks")]
    Split {
        /// How many.
        checks: usize,
    },
    /// It expects nothing.
    #[error("nothing is expected of its commands, so it cannot fail")]
    ExpectsNothing,
    /// It calls sudo.
    #[error("sudo is not in the root image")]
    Sudo,
    /// It called sudo.
    #[error("taken over without sudo: everything in a guest runs as root")]
    WithoutSudo,
    /// It logs in as another user.
    #[error("it runs as root, not as `{}`", words::shown(.user))]
    User {
        /// The user.
        user: String,
    },
    /// A self-test's helper could not be built.
    #[error("its helper `{helper}` is not built, so what needs it fails or is skipped: {}", words::shown(.why))]
    Unbuilt {
        /// Path of the helper.
        helper: String,
        /// The compiler's first complaint, or that there is none.
        why: String,
    },
    /// A self-test loads BPF objects.
    #[error("it loads BPF objects, which are not built: {objects}")]
    Objects {
        /// Their paths.
        objects: String,
    },
    /// A self-test calls what no package has.
    #[error("it calls programs that the root image's release has no package of: {programs}")]
    NoPackage {
        /// Their names.
        programs: String,
    },
    /// A self-test did not report when its cases were learnt.
    #[error("its cases are not known: it reported none on {kernel}; it is one check")]
    NoCases {
        /// The kernel.
        kernel: String,
    },
    /// Cases of a self-test were left out when they were learnt.
    #[error("left out by itself on {kernel}, so no check is made: {cases}")]
    Skips {
        /// The kernel.
        kernel: String,
        /// Their names.
        cases: String,
    },
    /// Cases of a self-test failed when they were learnt.
    #[error("failed on {kernel}, so it is recorded and not judged: {cases}")]
    Fails {
        /// The kernel.
        kernel: String,
        /// Their names.
        cases: String,
    },
    /// goss reads other files.
    #[error("it names other files (`gossfile`)")]
    OtherFiles,
}

impl Reason {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownHost { host, nodes } => {
                format!("--map {}=NODE (nodes are: {})", words::shown(host), nodes.join(", "))
            }
            Self::Unset { name } | Self::UnsetMacro { name } => {
                format!("--env {}=VALUE", words::shown(name))
            }
            Self::Expanded { .. } => {
                "put the remote command in single quotes, or give the value with --env".to_owned()
            }
            Self::TwoHosts { .. } | Self::SshWithin => {
                "split it: a command for each host, ssh first".to_owned()
            }
            Self::NoCommand => "give ssh a command, such as `true`".to_owned(),
            Self::SshOption { .. } => "let the other host run the command itself".to_owned(),
            Self::UnknownKey { .. } => {
                "a test has `cmd`, `retcode`, `stdout` and `stderr`".to_owned()
            }
            Self::ExpectsNothing => "give it a `retcode`, a `stdout` or a `stderr`".to_owned(),
            Self::Sudo => {
                "take it off, or add `image = { packages = [\"sudo\"] }` to the scenario".to_owned()
            }
            Self::OtherFiles => "put them into the scenario's folder".to_owned(),
            Self::Unbuilt { .. } => {
                "install `gcc` and `libc6-dev`, or see what the compiler says, and import it again".to_owned()
            }
            Self::Fails { .. } => {
                "--scenario FOLDER:CHECK judges it alone; a kernel on which it passes tells the two apart".to_owned()
            }
            Self::Broken { .. }
            | Self::Objects { .. }
            | Self::NoPackage { .. }
            | Self::NoCases { .. }
            | Self::Skips { .. }
            | Self::Retcode
            | Self::NoText { .. }
            | Self::NoShellText
            | Self::TooLong { .. }
            | Self::Split { .. }
            | Self::WithoutSudo
            | Self::User { .. } => return None,
        })
    }
}
