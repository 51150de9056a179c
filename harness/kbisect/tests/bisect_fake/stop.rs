//! `kbisect stop` and stop files: a run ends in order, and can be resumed.

use crate::place::{Place, is_gone, pid_in};

/// A place whose kernel 6.12.1 stops the first time that it is asked for a page.
fn held() -> Place {
    let place = Place::new();
    let (once, pid) = (place.path("once"), place.path("held"));
    let script =
        format!("at http\n first-time {}\n pid {}\n mute\n", once.display(), pid.display());
    place.kernel("6.12.1", &script);
    place
}

#[test]
fn a_run_is_stopped_from_elsewhere_and_resumed() {
    for by_command in [true, false] {
        let place = held();
        assert!(place.as_printed("stop").code(2).stderr.contains("no run is under way"));
        let mut run = place.start("run 6.12.1 --scenario smoke --json");
        let candidate = pid_in(&place.path("held"));
        let folder = place.run_folder();
        let all = place.path("results/stop");
        if by_command {
            let stopped = place.as_printed("stop").code(0);
            assert!(stopped.stderr.contains("kbisect resume "), "{}", stopped.stderr);
        } else {
            std::fs::write(&all, "").unwrap();
        }
        assert_eq!(run.wait().unwrap().code(), Some(130), "by command: {by_command}");
        assert!(is_gone(candidate), "no machine is left");
        let resume = format!("resume {} --json", folder.display());
        if !by_command {
            let refused = place.run(&resume).code(2);
            assert!(refused.stderr.contains("stops all runs"), "{}", refused.stderr);
            std::fs::remove_file(&all).unwrap();
        }
        assert_eq!(place.run(&resume).code(0).json()["verdict"], "good");
        assert!(!folder.join("stop").exists());
    }
}

#[test]
fn a_stop_file_that_is_there_keeps_runs_from_beginning() {
    let place = held();
    std::fs::create_dir_all(place.path("results")).unwrap();
    std::fs::write(place.path("results/stop"), "").unwrap();
    let refused = place.run("run 6.12.1 --scenario smoke").code(200);
    assert!(refused.stderr.contains("stops all runs"), "{}", refused.stderr);
    let left = std::fs::read_dir(place.path("results")).unwrap().count();
    assert_eq!(left, 1, "no folder of a run that did not begin");
}
