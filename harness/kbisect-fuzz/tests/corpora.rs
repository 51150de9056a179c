//! Replays the corpora of the fuzzers: what they found once stays found.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use kbisect_fuzz::{TARGETS, Target};

/// Corpora hold what somebody wrote or a fuzzer made small: nothing of this size (bytes).
const SEED_MAX: u64 = 64 << 10;

/// Memory is counted for the whole process, so that one target runs at a time.
static ONE: Mutex<()> = Mutex::new(());

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn replay(name: &str) {
    let target = Target::named(name).unwrap();
    let folder = corpus().join(name);
    let seeds = names(&folder);
    assert!(seeds.len() >= 3, "{} holds {} seeds", folder.display(), seeds.len());
    for seed in seeds {
        let path = folder.join(&seed);
        let input = std::fs::read(&path).unwrap();
        assert!(input.len() as u64 <= SEED_MAX, "{} is too large for a seed", path.display());
        // The name of the seed is what a reader of the failure needs first.
        println!("{name}/{seed}");
        let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        target.run(&input);
    }
}

macro_rules! replay {
    ($($name:ident)*) => {
        $(#[test] fn $name() { replay(stringify!($name)); })*

        #[test]
        fn every_target_has_a_test_a_corpus_and_a_program() {
            let targets: BTreeSet<String> =
                TARGETS.iter().map(|target| target.name.to_owned()).collect();
            let tests = [$(stringify!($name)),*].map(str::to_owned);
            assert_eq!(BTreeSet::from(tests), targets);
            assert_eq!(names(&corpus()), targets);
            let programs = names(&corpus().join("../fuzz_targets"));
            let programs: BTreeSet<String> =
                programs.iter().map(|name| name.trim_end_matches(".rs").to_owned()).collect();
            assert_eq!(programs, targets);
            let manifest = std::fs::read_to_string(corpus().join("../Cargo.toml")).unwrap();
            for name in targets {
                assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} in Cargo.toml");
            }
        }
    };
}

replay!(console channel capture dumps checks scenario deb rpm qmp journal flows counters changelog
    kept check_journal index snapshot proxy meta kernel_image modules symbols wire guest_http guest_dns
    redact);
