//! Which processes are workers: commands as they were given, pools of the settings, and Slurm.

use std::collections::BTreeMap;

use kbisect_kernels::{NamedPool, Settings};

use crate::cli::PoolArgs;
use crate::errors;

/// Most workers of one pool.
const MOST: u32 = 256;

/// Workers that are other processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pools {
    /// The command of each.
    pub workers: Vec<Vec<String>>,
    /// Whether no trial is made by the run's own process.
    pub only: bool,
    /// Whether workers may have another accelerator or QEMU than this machine.
    pub mixed: bool,
}

impl Pools {
    /// The workers that were asked for; `only` where this process is to make no trials.
    ///
    /// # Errors
    /// What names none.
    pub fn of(args: &PoolArgs, settings: &Settings, only: bool) -> anyhow::Result<Self> {
        Self::read(&args.pools, &settings.pools, (only, args.mixed))
    }

    /// Reads pools as they were typed: `8x'ssh host kbisect worker'`, the name of one of the settings, or `slurm`.
    ///
    /// # Errors
    /// What is none of these.
    pub fn read(
        typed: &[String],
        named: &BTreeMap<String, NamedPool>,
        (only, mixed): (bool, bool),
    ) -> anyhow::Result<Self> {
        let mut workers = Vec::new();
        for text in typed {
            let (count, text) = counted(text)?;
            let slurm =
                text.strip_prefix("slurm").filter(|rest| rest.is_empty() || rest.starts_with(':'));
            let (count, words) = if let Some(options) = slurm {
                (count.unwrap_or(1), slurm_words(options.trim_start_matches(':')))
            } else if let Some(pool) = named.get(text) {
                (count.unwrap_or(pool.count), words_of(&pool.command)?)
            } else if text.contains([' ', '/']) {
                (count.unwrap_or(1), words_of(text)?)
            } else {
                let known: Vec<&str> = named.keys().map(String::as_str).chain(["slurm"]).collect();
                return Err(errors::usage(
                    format!("there is no pool `{text}`"),
                    format!(
                        "there are {}; or give a command: --pool 'ssh HOST kbisect worker'",
                        known.join(", ")
                    ),
                ));
            };
            if count == 0 || count > MOST {
                return Err(errors::usage(
                    format!("{count} workers of a pool are too few or too many"),
                    format!("give 1 to {MOST}"),
                ));
            }
            workers.extend(std::iter::repeat_n(words, count as usize));
        }
        Ok(Self { only: only && !workers.is_empty(), workers, mixed })
    }
}

/// `8x'...'`: how many, and of what.
fn counted(text: &str) -> anyhow::Result<(Option<u32>, &str)> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    match text[digits..].strip_prefix('x') {
        Some(rest) if digits > 0 => {
            let count = text[..digits].parse().map_err(|_| {
                errors::usage(
                    format!("`{}` is no number of workers", &text[..digits]),
                    "give 1 to 256",
                )
            })?;
            Ok((Some(count), rest))
        }
        _ => Ok((None, text)),
    }
}

fn words_of(text: &str) -> anyhow::Result<Vec<String>> {
    shlex::split(text).filter(|words| !words.is_empty()).ok_or_else(|| {
        errors::usage(
            format!("`{text}` is no command"),
            "its words are split as a shell splits them, and no shell is run: close its quotes",
        )
    })
}

/// A worker by Slurm: `PARTITION`, and options of srun after commas (`--time=2:00:00`).
fn slurm_words(options: &str) -> Vec<String> {
    let mut has_options = false;
    let mut words: Vec<String> =
        ["srun", "--ntasks=1", "--exclusive", "--job-name=kbisect", "--unbuffered"]
            .map(str::to_owned)
            .into();
    for part in options.split(',').filter(|part| !part.is_empty()) {
        match words.last_mut().filter(|_| !part.starts_with('-')) {
            // The value of an option can have commas of its own.
            Some(last) if has_options && last.contains('=') => *last += &format!(",{part}"),
            _ if part.starts_with('-') => {
                has_options = true;
                words.push(part.to_owned());
            }
            _ => words.push(format!("--partition={part}")),
        }
    }
    words.extend(["kbisect", "worker"].map(str::to_owned));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(typed: &str) -> anyhow::Result<Vec<Vec<String>>> {
        let lab = NamedPool { command: "ssh lab 'kbisect' worker".to_owned(), count: 2 };
        let named = [("lab".to_owned(), lab)].into();
        Pools::read(&[typed.to_owned()], &named, (true, false)).map(|pools| pools.workers)
    }

    #[test]
    fn pools_are_commands_names_and_slurm() {
        assert_eq!(read("ssh h kbisect worker").unwrap(), [["ssh", "h", "kbisect", "worker"]]);
        assert_eq!(read("3xssh h 'a b'").unwrap(), vec![vec!["ssh", "h", "a b"]; 3]);
        assert_eq!(read("lab").unwrap(), vec![vec!["ssh", "lab", "kbisect", "worker"]; 2]);
        assert_eq!(read("5xlab").unwrap().len(), 5);
        let slurm = read("2xslurm:debug,--time=10").unwrap();
        assert_eq!(slurm.len(), 2);
        assert_eq!(slurm[0][5..], ["--partition=debug", "--time=10", "kbisect", "worker"]);
    }

    #[test]
    fn what_is_no_pool_is_said() {
        let error = |typed| read(typed).unwrap_err().to_string();
        assert_eq!(error("labb"), "there is no pool `labb`");
        assert_eq!(error("0xlab"), "0 workers of a pool are too few or too many");
        assert_eq!(error("ssh 'h"), "`ssh 'h` is no command");
    }
}
