use std::io::{Read, Write};

use super::*;

fn key(name: &str) -> StateKey {
    StateKey { hash: name.to_owned(), files: Vec::new() }
}

fn guest() -> Guest {
    Guest {
        release: "6.12.0".to_owned(),
        failed_modules: Vec::new(),
        uptime_ms: 900,
        console: b"user space is up".to_vec(),
    }
}

fn save(states: &States, name: &str, kernel: &Path, bytes: &[u8]) {
    let mut draft = states.begin(&key(name), kernel).unwrap().expect("there is room");
    draft.file.write_all(bytes).unwrap();
    draft.keep(guest()).unwrap();
}

struct Fixture {
    dir: tempfile::TempDir,
    states: States,
    kernel: PathBuf,
}

fn place(limit: u64) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let kernel = dir.path().join("vmlinuz");
    fs::write(&kernel, b"kernel").unwrap();
    Fixture { states: States::new(dir.path(), limit), kernel, dir }
}

#[test]
fn what_was_saved_is_found_and_nothing_else() {
    let Fixture { states, kernel, dir: _dir } = place(DEFAULT_LIMIT);
    save(&states, "one", &kernel, b"memory");
    let mut found = states.find(&key("one")).expect("it was saved");
    let mut state = Vec::new();
    found.file.read_to_end(&mut state).unwrap();
    assert_eq!(state, b"memory");
    assert_eq!((found.about.release.as_str(), found.about.uptime_ms), ("6.12.0", 900));
    assert_eq!(found.console, b"user space is up");
    assert!(states.find(&key("two")).is_none());
}

#[test]
fn a_draft_that_is_dropped_leaves_nothing() {
    let Fixture { states, kernel, dir } = place(DEFAULT_LIMIT);
    let draft = states.begin(&key("one"), &kernel).unwrap().expect("there is room");
    drop(draft);
    assert!(states.find(&key("one")).is_none());
    assert_eq!(fs::read_dir(dir.path().join("states")).unwrap().count(), 0);
}

#[test]
fn a_damaged_state_is_removed_and_not_used() {
    for damage in [&b"memor"[..], b""] {
        let Fixture { states, kernel, dir } = place(DEFAULT_LIMIT);
        save(&states, "one", &kernel, b"memory");
        fs::write(dir.path().join("states/one/state"), damage).unwrap();
        assert!(states.find(&key("one")).is_none());
        assert!(!dir.path().join("states/one").exists());
    }
    let Fixture { states, kernel, dir } = place(DEFAULT_LIMIT);
    save(&states, "one", &kernel, b"memory");
    fs::write(dir.path().join("states/one/about.json"), b"{").unwrap();
    assert!(states.find(&key("one")).is_none());
}

#[test]
fn content_is_compared_and_once_is_enough_while_nothing_changes() {
    let Fixture { states, kernel, dir } = place(DEFAULT_LIMIT);
    let key = StateKey { hash: "one".to_owned(), files: vec![kernel.clone()] };
    let mut draft = states.begin(&key, &kernel).unwrap().expect("there is room");
    draft.file.write_all(b"memory").unwrap();
    draft.keep(guest()).unwrap();
    let verify = || states.find(&key).expect("it was saved").content.verify();
    assert_eq!(verify(), Ok(()));
    let state = dir.path().join("states/one/state");
    let changed = fs::metadata(&state).unwrap().modified().unwrap();
    let write = |path: &Path, bytes: &[u8], time| {
        fs::write(path, bytes).unwrap();
        File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
    };
    // Inode, size and time are as they were, so it was read before.
    write(&state, b"memorx", changed);
    assert_eq!(verify(), Ok(()));
    let later = changed + std::time::Duration::from_millis(1);
    write(&state, b"memorx", later);
    assert_eq!(verify(), Err(Unsound::State));
    write(&state, b"memory", later + std::time::Duration::from_millis(1));
    assert_eq!(verify(), Ok(()));
    write(&kernel, b"kernex", later);
    assert_eq!(verify(), Err(Unsound::File(kernel)));
}

#[test]
fn the_cache_keeps_what_was_used_last() {
    let Fixture { states, kernel, dir: _dir } = place(25);
    save(&states, "one", &kernel, b"0123456789");
    save(&states, "two", &kernel, b"0123456789");
    assert!(states.find(&key("one")).is_some(), "used now");
    save(&states, "three", &kernel, b"0123456789");
    assert!(states.find(&key("two")).is_none());
    assert!(states.find(&key("one")).is_some() && states.find(&key("three")).is_some());
    assert_eq!(states.held(), (20, 2));
}

#[test]
fn a_state_goes_with_its_kernel() {
    let Fixture { states, kernel, dir } = place(DEFAULT_LIMIT);
    save(&states, "one", &kernel, b"0123456789");
    let other = dir.path().join("other");
    fs::write(&other, b"kernel").unwrap();
    save(&states, "two", &other, b"0123456789");
    fs::remove_file(&kernel).unwrap();
    assert_eq!(states.prune(DEFAULT_LIMIT), 10);
    assert!(states.find(&key("one")).is_none());
    assert!(states.find(&key("two")).is_some());
}

#[test]
fn the_key_is_of_what_the_guest_sees() {
    let Fixture { kernel, dir, .. } = place(1);
    let file = |name: &str| {
        let path = dir.path().join(name);
        fs::write(&path, name).unwrap();
        path
    };
    let (root, modules, boot) = (file("root"), file("modules"), file("boot"));
    let qemu = Qemu { path: file("qemu"), version: "10.0.2".to_owned() };
    let nics = [crate::qemu::NicSpec { mac: kbisect_proto::boot_address(0), socket: 7 }];
    let line = CommandLine {
        name: "candidate",
        accelerator: Accelerator::Tcg,
        kernel: &kernel,
        initramfs: Path::new("/run/one/initramfs"),
        root: &root,
        modules: Some(&modules),
        memory_mib: 256,
        cpus: 1,
        cmdline: &[],
        console: 3,
        qmp: 4,
        channel: 5,
        nics: &nics,
        vmcore: None,
        state: None,
    };
    let key = |line: &CommandLine<'_>| States::key(&qemu, line, Some(&boot), &[]).unwrap();
    let first = key(&line);
    let elsewhere = [crate::qemu::NicSpec { mac: nics[0].mac, socket: 9 }];
    let same = CommandLine {
        name: "peer",
        initramfs: Path::new("/run/two/initramfs"),
        console: 13,
        nics: &elsewhere,
        state: Some(StateFile::Load(8)),
        ..line.clone()
    };
    assert_eq!(key(&same), first, "numbers and folders of one run do not count");
    let words = ["threadirqs".to_owned()];
    let others = [
        CommandLine { memory_mib: 512, ..line.clone() },
        CommandLine { cpus: 2, ..line.clone() },
        CommandLine { cmdline: &words, ..line.clone() },
        CommandLine { nics: &[], ..line.clone() },
        CommandLine { modules: None, ..line.clone() },
        CommandLine { vmcore: Some(3), ..line.clone() },
    ];
    for other in &others {
        assert_ne!(key(other), first, "{other:?}");
    }
    fs::write(&kernel, b"another kernel").unwrap();
    assert_ne!(key(&line), first);
}
