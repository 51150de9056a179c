//! No process outlives its trial.

use kbisect_core::trial::Verdict;
use kbisect_vm::session::SessionError;

use crate::bench::{Bench, is_gone, pid_in, runs};

#[test]
fn machines_of_every_end_are_gone_after_the_trial() {
    let mut bench = Bench::new();
    for (number, end) in
        ["", "at http\n hang\n", "at http\n panic f\n mute\n", "at http\n channel garbage\n"]
            .into_iter()
            .enumerate()
    {
        let pid = bench.file(&format!("pid-{number}"));
        bench.trial(&format!("at start\n pid {}\n boot 6.12.57-fake\n{end}", pid.display()));
        assert!(!runs(pid_in(&pid)), "{end}");
    }
}

#[test]
fn a_machine_that_ignores_quit_is_killed() {
    let mut bench = Bench::new();
    let pid = bench.file("pid");
    let result =
        bench.trial(&format!("at start\n stubborn\n pid {}\n boot 6.12.57-fake\n", pid.display()));
    assert_eq!(result.verdict, Verdict::Good, "how it is switched off says nothing");
    assert!(is_gone(pid_in(&pid)));
}

#[test]
fn a_child_of_a_machine_does_not_outlive_it() {
    let mut bench = Bench::new();
    for (number, end) in ["", "at http\n stubborn\n", "at http\n exit 1\n"].into_iter().enumerate()
    {
        let child = bench.file(&format!("child-{number}"));
        bench.trial(&format!(
            "at start\n grandchild {}\n boot 6.12.57-fake\n{end}",
            child.display()
        ));
        assert!(is_gone(pid_in(&child)), "{end}");
    }
}

#[test]
fn an_interruption_takes_all_machines_down() {
    let mut bench = Bench::with_peer(|folder| {
        format!("at start\n pid {}\n boot 6.1.0\n", folder.join("peer").display())
    });
    let pid = bench.file("pid");
    let (interrupt, flag) = (bench.interrupt.clone(), pid.clone());
    let user = std::thread::spawn(move || {
        pid_in(&flag);
        interrupt.0.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    let script = format!("at start\n boot 6.12.57-fake\nat http\n pid {}\n mute\n", pid.display());
    let result = bench.try_trial(&script);
    user.join().unwrap();
    assert!(matches!(result, Err(SessionError::Interrupted)), "{result:?}");
    assert!(is_gone(pid_in(&pid)));
    assert!(is_gone(pid_in(&bench.file("peer"))));
}

#[test]
fn an_interruption_during_the_boot_takes_the_machine_down() {
    let mut bench = Bench::new();
    let (pid, child) = (bench.file("pid"), bench.file("child"));
    let (interrupt, flag) = (bench.interrupt.clone(), pid.clone());
    let user = std::thread::spawn(move || {
        pid_in(&flag);
        interrupt.0.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    let result = bench.try_trial(&format!(
        "at start\n grandchild {}\n pid {}\n mute\n",
        child.display(),
        pid.display()
    ));
    user.join().unwrap();
    assert!(matches!(result, Err(SessionError::Interrupted)), "{result:?}");
    assert!(is_gone(pid_in(&pid)));
    assert!(is_gone(pid_in(&child)), "what it started goes with it");
}

#[test]
fn a_session_that_is_dropped_takes_its_machines_along() {
    let mut bench = Bench::with_peer(|folder| {
        format!("at start\n pid {}\n boot 6.1.0\n", folder.join("peer").display())
    });
    bench.trial("");
    let pid = pid_in(&bench.file("peer"));
    let Bench { folder, session, .. } = bench;
    drop(session);
    assert!(is_gone(pid));
    drop(folder);
}
