//! Runs scripts of self-tests once, to learn which cases they have.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use kbisect_core::adopt::{Adopted, Learnt, Wanted, scenario};
use kbisect_core::command::{CommandEnd, Ran};
use kbisect_core::run::RunResult;
use kbisect_core::scenario::{FILE_NAME, KtapFormat, KtapProbe, cases_of};
use kbisect_process::die_with_us;

use super::super::scenario_new;
use crate::cli::Global;
use crate::errors;
use crate::run::reference_id;
use crate::settings::global::run_folder;

/// Name of the scenario that they are run as.
const NAME: &str = "selftests";

/// What each script reported, and the kernel on which it did.
///
/// # Errors
/// When the run came to no end that tells anything.
pub fn learn(
    whole: &Adopted,
    wanted: &Wanted,
    kernel: Option<&str>,
    results: &Path,
    global: &Global,
) -> anyhow::Result<(Learnt, String)> {
    let result = match kernel.map(Path::new).filter(|folder| folder.is_dir()) {
        Some(folder) => made(folder)?,
        None => {
            let work = tempfile::tempdir().context("cannot make a folder for the run")?;
            let folder = work.path().join(NAME);
            let mut files = whole.files.clone();
            files.insert(FILE_NAME.to_owned(), scenario(whole, wanted).into_bytes());
            scenario_new::write(&folder, &files)?;
            run(&folder, kernel, results, global)?
        }
    };
    let outputs = PathBuf::from(&result.run_dir).join(&result.trial.directory).join("output");
    let mut learnt = Learnt { cases: BTreeMap::new(), ended: BTreeMap::new() };
    for check in &whole.checks {
        let Some(ran) = ran(&outputs, &check.name) else { continue };
        let cases = cases_of(&String::from_utf8_lossy(&ran.stdout), KtapFormat::Kselftest);
        let names: Vec<&str> = cases.iter().map(|(name, _)| name.as_str()).collect();
        let rest = KtapProbe {
            run: Vec::new(),
            format: KtapFormat::Kselftest,
            case: None,
            rest: true,
            fail_text: None,
            payload: false,
        };
        if rest.judge(&ran, &names).is_err() {
            learnt.ended.insert(check.title.clone(), ran.end.to_string());
        }
        learnt.cases.insert(check.title.clone(), cases);
    }
    if learnt.cases.is_empty() {
        return Err(errors::infrastructure(
            format!("no self-test was run: the trial is {}", result.trial.verdict),
            format!(
                "see `kbisect report {}`; --learn KERNEL names another kernel, --learn none makes one check of \
                 each script",
                result.run_dir
            ),
        ));
    }
    Ok((learnt, result.trial.kernel.package_version.to_string()))
}

/// A run that was made already.
fn made(folder: &Path) -> anyhow::Result<RunResult> {
    let folder = run_folder(folder, Path::new(""))?;
    let read = std::fs::read(folder.join("result.json")).ok();
    let result: Option<RunResult> = read.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let result = result.ok_or_else(|| {
        errors::usage(
            format!("`{}` holds no result of `kbisect run`", folder.display()),
            "name the folder of a run of the same scripts that came to its end",
        )
    })?;
    Ok(RunResult { run_dir: folder.display().to_string(), ..result })
}

/// A run of kbisect's own, as anybody would begin it: its display, its folder, its way to end.
fn run(
    folder: &Path,
    kernel: Option<&str>,
    results: &Path,
    global: &Global,
) -> anyhow::Result<RunResult> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let kernel = match kernel {
        Some(kernel) => kernel.to_owned(),
        None => reference_id(global)?,
    };
    let mut command = Command::new(program);
    command.args(["run", &kernel, "--json", "--scenario"]).arg(folder);
    command.arg("--results").arg(results).args(global.words());
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    die_with_us(&mut command);
    let output = command.spawn().and_then(std::process::Child::wait_with_output);
    let output = output.context("cannot run the self-tests")?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        errors::infrastructure(
            format!(
                "the run that was to learn the cases of the self-tests failed: {}",
                output.status
            ),
            "it said why above; --learn none runs nothing, and `kbisect image build --scenario FOLDER` then makes \
             the root image that the scripts need",
        )
    })
}

/// What a check's program printed, and how it ended.
fn ran(folder: &Path, check: &str) -> Option<Ran> {
    let stdout = std::fs::read(folder.join(format!("{check}.txt"))).ok()?;
    let end = std::fs::read(folder.join(format!("{check}.end.json"))).ok()?;
    let end: CommandEnd = serde_json::from_slice(&end).ok()?;
    Some(Ran { end, stdout, stderr: Vec::new() })
}
