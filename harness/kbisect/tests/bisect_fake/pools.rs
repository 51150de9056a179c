//! Trials that are made by other processes: the same answer, whatever they are, lack, or do.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::place::{BAD, Ended, Place, is_gone, pid_in};
use crate::scenario_errors::{REFUSED, reference, scenario};

const RUN: &str = "6.12.1..6.12.6 --scenario smoke --json";

fn series(before: impl Fn(&Place, u32) -> String) -> Place {
    let place = Place::new();
    for number in 1..=6 {
        let script = before(&place, number) + if number >= 4 { BAD } else { "" };
        place.kernel(&format!("6.12.{number}"), &script);
    }
    place
}

/// The command of a worker with a cache of its own.
fn worker(place: &Place, cache: &str) -> String {
    let (kbisect, qemu) = (env!("CARGO_BIN_EXE_kbisect"), kbisect_fake_qemu::path());
    let temporary = place.path("temporary");
    std::fs::create_dir_all(&temporary).unwrap();
    format!(
        "env TMPDIR={} {kbisect} worker --offline --cache {} --qemu {}",
        temporary.display(),
        place.path(cache).display(),
        qemu.display()
    )
}

fn bisect(place: &Place, pools: &[&str]) -> Ended {
    let mut command = place.command(RUN);
    pools.iter().for_each(|pool| {
        command.args(["--pool", pool]);
    });
    Ended::of(command.output().unwrap())
}

/// A program that does something the first time that it is run, and is a worker from then on.
fn first(place: &Place, name: &str, does: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = place.path(name);
    let once = place.path(&format!("{name}-once"));
    let text = format!(
        "#!/bin/sh\nif mkdir {once} 2>/dev/null; then\n{does}\nfi\nexec {worker}\n",
        once = once.display(),
        worker = worker(place, "cache")
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[track_caller]
fn assert_found(result: &Value) {
    assert_eq!(result["outcome"], "found", "{result:#}");
    assert_eq!(result["last_good"]["version"], "6.12.3");
    assert_eq!(result["first_bad"]["version"], "6.12.4");
}

fn temporary(place: &Place) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place.path("temporary")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn workers_that_are_processes_give_the_same_answer_and_leave_nothing() {
    let alone = series(|_, _| String::new());
    let by_itself = alone.run(RUN).code(0).json();
    let place = series(|_, _| String::new());
    let result = bisect(&place, &[&format!("2x{}", worker(&place, "cache"))]).code(0).json();
    assert_found(&by_itself);
    assert_found(&result);
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    for trial in result["trials"].as_array().unwrap() {
        assert_eq!(trial["place"], host.as_str());
        let folder = place.run_folder().join(trial["directory"].as_str().unwrap());
        for file in ["trial.json", "candidate/console.log", "candidate/qemu.cmdline"] {
            assert!(folder.join(file).is_file(), "{file}: {trial:#}");
        }
    }
    let verdicts = |result: &Value, version: &str| {
        let of_it = |trial: &&Value| trial["kernel"]["version"] == version;
        let all = result["trials"].as_array().unwrap();
        all.iter().find(of_it).map(|trial| trial["symptom"].clone())
    };
    assert_eq!(verdicts(&result, "6.12.4"), verdicts(&by_itself, "6.12.4"));
    assert_eq!(temporary(&place), Vec::<PathBuf>::new());
}

#[test]
fn a_worker_with_nothing_gets_all_by_its_content_and_keeps_it() {
    let place = series(|_, _| String::new());
    let command = worker(&place, "elsewhere");
    assert_found(&bisect(&place, &[&command]).code(0).json());
    let own = std::fs::read_dir(place.path("elsewhere/kernels/v1")).unwrap();
    let own = own.filter(|entry| entry.as_ref().unwrap().file_name().len() == 64).count();
    assert_eq!(own, 0, "what a run brings is none of the user's own kernels");
    let kept = std::fs::read_dir(place.path("elsewhere/content/v1")).unwrap();
    let kept: Vec<_> = kept.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    assert_eq!(kept, [b"stub"], "the root image");
    let stored = std::fs::read_dir(place.path("elsewhere/content/kernels/v1")).unwrap();
    let ids = stored.filter(|entry| entry.as_ref().unwrap().file_name().len() == 64).count();
    assert!((4..=7).contains(&ids), "the reference kernel and those that were tried: {ids}");
}

#[test]
fn a_worker_that_dies_lies_or_is_none_costs_one_trial_at_most() {
    let what = [
        ("dies", "exit 3"),
        ("babbles", "echo 'Welcome to this machine'; sleep 60"),
        ("cuts", "printf '\\000\\000\\000\\050\\000\\000\\000\\000{\"say\":\"he'; exit 0"),
        ("lies", "printf '\\000\\000\\000\\037\\377\\377\\377\\377{}'; sleep 60"),
    ];
    for (name, does) in what {
        let place = series(|_, _| String::new());
        let result = bisect(&place, &[&first(&place, name, does)]).code(0).json();
        assert_found(&result);
        let numbers = result["trials"].as_array().unwrap().len();
        let alone = series(|_, _| String::new()).run(RUN).code(0).json();
        assert_eq!(numbers, alone["trials"].as_array().unwrap().len(), "{name}");
    }
}

#[test]
fn where_one_worker_is_none_the_others_make_its_trials() {
    let place = series(|_, _| String::new());
    let ended = bisect(&place, &["/bin/false x", &worker(&place, "cache")]).code(0);
    assert_found(&ended.json());
    assert!(
        ended.stderr.contains("worker 1 is gone: it ended (exit status: 1)"),
        "{}",
        ended.stderr
    );
    // Without any other, the run says why it cannot go on, and goes on with one.
    let place = series(|_, _| String::new());
    let ended = bisect(&place, &["/bin/false x"]).code(69);
    assert!(ended.stderr.contains("no worker is left"), "{}", ended.stderr);
    let run = place.run_folder();
    let mut command = place.command(&format!("resume {} --json", run.display()));
    command.args(["--pool", &worker(&place, "cache")]);
    assert_found(&Ended::of(command.output().unwrap()).code(0).json());
}

#[test]
fn another_version_is_refused() {
    let hello = r#"{"say":"hello","hello":{"protocol":1,"version":"9.9.9","host":"h","cpus":1,"memory_mib":null,"qemu":"1","accelerator":"tcg","no_kvm":null,"kernels":0}}"#;
    let length = hello.len();
    let head = format!(
        "\\\\000\\\\000\\\\{:03o}\\\\{:03o}\\\\000\\\\000\\\\000\\\\000",
        length >> 8,
        length & 255
    );
    let place = series(|_, _| String::new());
    let path = place.path("other");
    std::fs::write(
        &path,
        format!("printf '{}'\nprintf '%s' '{hello}'\nsleep 60\n", head.replace("\\\\", "\\")),
    )
    .unwrap();
    let ended = bisect(&place, &[&format!("sh {}", path.display())]).code(69);
    assert!(ended.stderr.contains("it is kbisect 9.9.9, and this is "), "{}", ended.stderr);
}

#[test]
fn the_end_of_a_run_ends_its_workers() {
    let place = series(|place, number| match number {
        6 => format!("at http\n pid {}\n mute\n", place.path("held").display()),
        _ => String::new(),
    });
    let mut command = place.command(RUN);
    command.args(["--pool", &worker(&place, "cache")]);
    let mut child = command.spawn().unwrap();
    let machine = pid_in(&place.path("held"));
    child.kill().unwrap();
    child.wait().unwrap();
    let since = Instant::now();
    while !is_gone(machine) || !temporary(&place).is_empty() {
        assert!(since.elapsed() < Duration::from_secs(60), "{:?}", temporary(&place));
        std::thread::sleep(Duration::from_millis(20));
    }
    let run = place.run_folder();
    let events = std::fs::read_to_string(run.join("journal.jsonl")).unwrap();
    assert!(!events.contains("\"completed\""), "{events}");
}

#[test]
fn a_pool_of_the_settings_and_one_that_there_is_not() {
    let place = series(|_, _| String::new());
    std::fs::create_dir_all(place.path("config/kbisect")).unwrap();
    let text = format!("[pools.lab]\ncommand = \"{}\"\ncount = 2\n", worker(&place, "cache"));
    std::fs::write(place.path("config/kbisect/config.toml"), text).unwrap();
    assert_found(&bisect(&place, &["lab"]).code(0).json());
    let ended = bisect(&place, &["labb"]).code(2);
    assert!(ended.stderr.contains("there is no pool `labb`"), "{}", ended.stderr);
    assert!(ended.stderr.contains("lab, slurm"), "{}", ended.stderr);
    let checked = place.as_printed("pool check lab").code(0).stdout;
    assert!(checked.contains(" kernels stored") && checked.lines().count() == 1, "{checked}");
}

/// Says something to a worker as a run does.
fn say(to: &mut impl std::io::Write, message: &Value) {
    let json = serde_json::to_vec(message).unwrap();
    to.write_all(&u32::try_from(json.len()).unwrap().to_be_bytes()).unwrap();
    to.write_all(&[0; 4]).unwrap();
    to.write_all(&json).unwrap();
    to.flush().unwrap();
}

/// What a worker says next, but that it is there.
fn heard(from: &mut impl std::io::Read) -> Value {
    loop {
        let mut head = [0; 8];
        from.read_exact(&mut head).unwrap();
        let length = |part: &[u8]| u32::from_be_bytes(part.try_into().unwrap()) as usize;
        let mut body = vec![0; length(&head[..4]) + length(&head[4..])];
        from.read_exact(&mut body).unwrap();
        let message: Value = serde_json::from_slice(&body[..length(&head[..4])]).unwrap();
        if message["say"] != "alive" {
            return message;
        }
    }
}

#[test]
fn a_run_can_have_a_worker_write_and_remove_nothing_elsewhere() {
    use std::io::Write as _;
    let place = series(|_, _| String::new());
    let command = worker(&place, "cache");
    let words: Vec<&str> = command.split(' ').collect();
    let mut child = std::process::Command::new(words[0])
        .args(&words[1..])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let (mut to, mut from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    assert_eq!(heard(&mut from)["say"], "hello");
    let store = kbisect_kernels::Store::open(&place.path("cache")).unwrap();
    let stored = store.list().unwrap();
    let stub = kbisect_kernels::sha256_of(
        &place
            .path("cache/images")
            .join(kbisect_vm::image::ImageDefinition::built_in().key())
            .join("root.squashfs"),
    );
    let kernel = |version: &str| {
        let ready = stored.iter().find(|ready| ready.kernel.version == version).unwrap();
        serde_json::json!({ "id": ready.kernel.id, "files": [] })
    };
    let choices = kbisect_core::options::MachineChoices::default();
    say(
        &mut to,
        &serde_json::json!({ "say": "begin", "site": {
        "image": { "name": "root.squashfs", "size": 4, "sha256": stub.unwrap() },
        "image_key": "0".repeat(64), "reference": kernel("6.1.100"), "placement": "split",
        "choices": choices, "vmcore": false, "preload": true, "cold": true, "emulated": true,
    } }),
    );
    let want = heard(&mut from);
    assert_eq!(want["say"], "want", "{want}");
    let piece =
        serde_json::to_vec(&serde_json::json!({ "say": "piece", "sha256": want["sha256"] }))
            .unwrap();
    to.write_all(&u32::try_from(piece.len()).unwrap().to_be_bytes()).unwrap();
    to.write_all(&4_u32.to_be_bytes()).unwrap();
    to.write_all(&piece).unwrap();
    to.write_all(b"stub").unwrap();
    let text = include_str!("../../../../scenarios/smoke/scenario.toml");
    let scenario =
        kbisect_core::scenario::Scenario::parse("smoke", "x", text).unwrap().scenario().clone();
    let victim = place.path("victim");
    std::fs::create_dir(&victim).unwrap();
    std::fs::write(victim.join("file"), b"x").unwrap();
    let victim = victim.display().to_string();
    let job = |folder: Option<&str>, edit: &dyn Fn(&mut Value)| {
        let ready = stored.iter().find(|ready| ready.kernel.version == "6.12.1").unwrap();
        let mut scenario = serde_json::to_value(&scenario).unwrap();
        edit(&mut scenario);
        serde_json::json!({
            "number": 1, "kernel": ready.kernel, "coming": "as-shipped", "fault": null, "limits": {
                "check_s": null, "ready_s": null }, "shell": null, "by_hand": false,
            "subject": { "name": "x", "scenario": scenario, "files": {}, "folder": folder, "apart": false },
        })
    };
    let coming = serde_json::to_value(kbisect_core::boot::Coming::AsShipped).unwrap();
    let named = |scenario: &mut Value| {
        let services = scenario["services"].as_array_mut().unwrap();
        services[0]["name"] = format!("../../{victim}/x").into();
    };
    let cases: [(&str, Value, &str); 5] = [
        (&victim, job(None, &|_| {}), "is no folder of a trial"),
        ("../../victim", job(None, &|_| {}), "is no folder of a trial"),
        ("trials/001-x", job(Some(&victim), &|_| {}), "folder is no name"),
        ("trials/001-x", job(Some("../x"), &|_| {}), "folder is no name"),
        ("trials/001-x", job(None, &named), "is no name: 1 to 32"),
    ];
    for (directory, mut job, why) in cases {
        job["coming"] = coming.clone();
        say(
            &mut to,
            &serde_json::json!({
                "say": "try", "job": job, "directory": directory, "kernel": kernel("6.12.1"),
            }),
        );
        let answer = heard(&mut from);
        assert_eq!(answer["say"], "failed", "{directory}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(why), "{why}: {answer}");
    }
    drop(to);
    child.wait().unwrap();
    assert_eq!(std::fs::read(place.path("victim/file")).unwrap(), b"x");
    assert_eq!(std::fs::read_dir(place.path("victim")).unwrap().count(), 1);
}

#[test]
fn a_worker_whose_machines_end_by_themselves_is_put_aside() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = series(|_, _| String::new());
    let qemu = place.path("sick-qemu");
    let real = kbisect_fake_qemu::path();
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in *kbisect-candidate*|*kbisect-peer*) exit 1 ;; esac\nexec {} \"$@\"\n",
        real.display()
    );
    std::fs::write(&qemu, text).unwrap();
    std::fs::set_permissions(&qemu, std::fs::Permissions::from_mode(0o755)).unwrap();
    let sick =
        worker(&place, "cache").replace(&real.display().to_string(), &qemu.display().to_string());
    let ended = bisect(&place, &[&sick, &worker(&place, "cache")]).code(0);
    assert_found(&ended.json());
    assert!(ended.stderr.contains("worker 1 is gone: "), "{}", ended.stderr);
}

#[test]
fn a_kernel_of_a_run_that_has_changed_meanwhile_is_brought_again() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = series(|_, _| String::new());
    let command = worker(&place, "elsewhere");
    assert_found(&bisect(&place, &[&command]).code(0).json());
    let mut changed = 0;
    for entry in std::fs::read_dir(place.path("elsewhere/content/kernels/v1")).unwrap() {
        let image = entry.unwrap().path().join("vmlinuz");
        if image.is_file() {
            std::fs::set_permissions(&image, std::fs::Permissions::from_mode(0o644)).unwrap();
            std::fs::write(&image, b"something else").unwrap();
            changed += 1;
        }
    }
    assert!(changed >= 4, "{changed}");
    let mut command = place.command(&format!("{RUN} --results again"));
    command.args(["--pool", &worker(&place, "elsewhere")]);
    assert_found(&Ended::of(command.output().unwrap()).code(0).json());
}

#[test]
fn the_reference_kernel_is_tried_by_whoever_is_there() {
    let place = Place::series(3, |_| REFUSED.to_owned());
    scenario(&place, "");
    reference(&place, REFUSED);
    let mut command =
        place.command("check 6.12.2 6.12.3 --baseline 6.12.1 --scenario ./broken --json");
    command.args(["--pool", "/bin/false x", "--pool", &worker(&place, "cache")]);
    let ended = Ended::of(command.output().unwrap()).code(2);
    assert_eq!(ended.json()["counts"]["scenario_error"], 2, "{}", ended.stdout);
    assert!(ended.stderr.contains("worker 1 is gone"), "{}", ended.stderr);
}
