//! How candidates boot: by which entry, what when that fails, and how long it may take.

use kbisect_core::boot::BootWay;
use kbisect_core::trial::Verdict;
use kbisect_vm::lab::Coming;

use crate::bench::Bench;

fn command_line(bench: &Bench) -> String {
    std::fs::read_to_string(bench.trial_folder().join("candidate/qemu.cmdline")).unwrap()
}

#[test]
fn a_kernel_boots_by_its_pvh_entry_and_as_shipped_where_that_is_asked_for() {
    let mut bench = Bench::new();
    let quick = bench.unpacked("", "at start\n panic as_shipped\n", Coming::Any);
    assert_eq!(quick.verdict, Verdict::Good);
    let booted = quick.booted.unwrap();
    assert_eq!((booted.way, booted.crypto_tests, booted.as_shipped), (BootWay::Pvh, false, false));
    assert!(command_line(&bench).contains("cryptomgr.notests"));

    let shipped = bench.unpacked("at start\n panic by_pvh\n", "", Coming::AsShipped);
    assert_eq!(shipped.verdict, Verdict::Good);
    let booted = shipped.booted.unwrap();
    assert_eq!(
        (booted.way, booted.crypto_tests, booted.as_shipped),
        (BootWay::BzImage, true, true)
    );
    assert!(!command_line(&bench).contains("cryptomgr"), "nothing is left out");
}

#[test]
fn a_kernel_that_does_not_come_up_by_its_pvh_entry_boots_as_shipped_in_the_same_trial() {
    for failing in ["at start\n panic by_pvh\n", "at start\n stderr no ELF\n exit 1\n"] {
        let mut bench = Bench::new();
        let result = bench.unpacked(failing, "", Coming::Any);
        assert_eq!(result.verdict, Verdict::Good, "{failing}");
        let booted = result.booted.unwrap();
        assert_eq!(booted.way, BootWay::BzImage);
        assert!(booted.no_pvh.is_some(), "the reason is told");
        // It is not tried again and again.
        let again = bench.unpacked("at start\n panic by_pvh\n", "", Coming::Any);
        assert_eq!(again.booted.unwrap().way, BootWay::BzImage);
    }
}

#[test]
fn a_kernel_that_boots_neither_way_is_a_skip() {
    let mut bench = Bench::new();
    let result = bench.unpacked("at start\n panic a\n", "at start\n panic b\n", Coming::Any);
    let Verdict::Skip(why) = &result.verdict else { panic!("{}", result.verdict) };
    assert!(why.to_string().ends_with("b_outer"), "what the image as shipped did: {why}");
}

/// It once became "the trial ended without the guest's word that all is done".
#[test]
fn a_boot_that_takes_too_long_is_told_as_that() {
    let mut bench = Bench::new();
    let why = bench.infra("at start\n delay 5300\n boot 6.12.0-fake\n");
    assert!(why.contains("too slow") && why.contains("5 s"), "{why}");
    let why = bench.skip("at start\n mute\n");
    assert!(why.contains("no sign of life within 5 s"), "{why}");
}

#[test]
fn records_say_what_deadlines_were_multiplied_by() {
    let mut bench = Bench::new();
    let deadlines = bench.trial("").deadlines.unwrap();
    assert!(deadlines.slowness >= 1.0 && deadlines.slow == 1.0, "{deadlines:?}");
}
