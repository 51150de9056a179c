//! `kbisect run`: one trial, its exit code, its document, its memory.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::place::{BAD, Ended, NO_BOOT, PANIC, Place, is_gone, pid_in};

#[test]
fn the_exit_code_is_safe_for_git_bisect_run() {
    let place = Place::series(5, |number| {
        match number {
            1 => "",
            2 => BAD,
            3 => PANIC,
            4 => NO_BOOT,
            _ => "at http\n stderr oom\n exit 1\n",
        }
        .to_owned()
    });
    for (kernel, code, verdict, kind) in [
        ("6.12.1", 0, "good", None),
        ("6.12.2", 1, "bad", Some("check-failed")),
        ("6.12.3", 1, "bad", Some("panic")),
        ("6.12.4", 125, "skip", None),
        ("6.12.5", 201, "infra", None),
    ] {
        let ended = place.run(&format!("run {kernel} --scenario smoke --json")).code(code);
        let result = ended.json();
        assert_eq!(result["schema"], "kbisect.run/1");
        assert_eq!(result["verdict"], verdict, "{kernel}");
        assert_eq!(result["symptom"]["kind"].as_str(), kind, "{kernel}");
        let run_dir = result["run_dir"].as_str().unwrap();
        let written = std::fs::read_to_string(format!("{run_dir}/result.json")).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), result);
        assert!(result["timings_s"]["boot"].is_f64(), "{}", result["timings_s"]);
        let check = &result["checks"][0];
        for field in ["name", "status", "detail"] {
            assert!(check[field].is_string(), "{kernel}: {check}");
        }
    }
    for (words, least) in [
        ("run 9.9.9 --scenario smoke", 128),
        ("run 6.12.1 --scenario nowhere", 128),
        ("run 6.12.1", 128),
        ("run 6.12.1 --scenario smoke --reference 9.9.9", 128),
    ] {
        let ended = place.run(words);
        assert!(ended.code >= least, "{words} ended with {}: git would blame a commit", ended.code);
    }
}

#[test]
fn ctrl_c_in_a_single_trial_blames_nobody() {
    let place = Place::new();
    let script = format!("at http\n pid {}\n mute\n", place.path("held").display());
    place.kernel("6.12.1", &script);
    let run = place.start("run 6.12.1 --scenario smoke --json");
    let held = pid_in(&place.path("held"));
    let pid = Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let ended = Ended::of(run.wait_with_output().unwrap()).code(130);
    assert!(is_gone(held) && is_gone(pid_in(&place.path("peer"))));
    assert_eq!(ended.json()["schema"], "kbisect.error/1");
}

#[test]
fn guests_that_flood_do_not_fill_our_memory() {
    let place = Place::new();
    let done = place.path("measured");
    let script = format!(
        "at http\n flood 300\n service-flood 20\n qmp-endless 100\n pid {}\n await {}\n",
        place.path("flooded").display(),
        done.display()
    );
    place.kernel("6.12.1", &script);
    let run = place.start("run 6.12.1 --scenario smoke --json");
    pid_in(&place.path("flooded"));
    let status = std::fs::read_to_string(format!("/proc/{}/status", run.id())).unwrap();
    std::fs::write(done, b"").unwrap();
    let ended = Ended::of(run.wait_with_output().unwrap()).code(0);
    assert_eq!(ended.json()["verdict"], "good");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches("kB").trim().parse().unwrap();
    assert!(kib < 64 << 10, "the harness took {kib} KiB");
}

#[test]
fn a_wish_for_a_shell_needs_no_terminal_when_all_is_well() {
    let place = Place::series(1, |_| String::new());
    place.run("run 6.12.1 --scenario smoke --shell --json").code(0);
}
