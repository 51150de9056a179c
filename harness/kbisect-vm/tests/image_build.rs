//! Image builds with the real tools, against a mirror that cannot answer. A build that succeeds
//! needs the archive, and is part of the real-VM tests of the program itself.

use std::path::Path;

use kbisect_vm::image::{
    BuildCause, ImageDefinition, ImageError, ImageProgress, ImageSources, ensure_image, find_image,
};

fn definition() -> ImageDefinition {
    let text = "suite = \"bookworm\"\ncompression = \"lz4\"\npackages = [\"busybox\"]\n";
    ImageDefinition::parse(text, "image.toml").expect("the definition is valid")
}

fn sources(directory: &Path) -> ImageSources {
    let keyring = directory.join("keyring.gpg");
    std::fs::write(&keyring, b"").expect("the test directory is writable");
    ImageSources {
        // Port 9 of the loop-back address: refused at once, whatever the network is like.
        mirror_url: "http://127.0.0.1:9/debian".to_owned(),
        security_url: None,
        keyring,
        apt_options: vec!["Acquire::Retries \"0\"".to_owned()],
    }
}

#[test]
fn a_failed_build_names_its_log_and_leaves_nothing_under_the_images_name() {
    let cache = tempfile::tempdir().unwrap();
    let definition = definition();
    let mut steps = Vec::new();
    let error = ensure_image(&definition, cache.path(), &sources(cache.path()), &mut |event| {
        if let ImageProgress::Step(step) = event {
            steps.push(step);
        }
    })
    .unwrap_err();

    assert!(error.hint().is_some(), "{error}");
    let ImageError::Build { cause, lines, log } = &error else { panic!("{error}") };
    assert_eq!(*cause, BuildCause::MirrorUnreachable, "{error}");
    assert!(lines.iter().any(|line| line.contains("127.0.0.1")), "{lines:?}");
    assert!(std::fs::read_to_string(log).unwrap().contains("Connection refused"));
    assert!(steps.iter().any(|step| step.contains("apt-get update")), "{steps:?}");

    assert_eq!(find_image(&definition, cache.path()), None);
    let key = definition.key();
    let mut left: Vec<_> = std::fs::read_dir(cache.path().join("images"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, [format!("{key}.build.log"), format!("{key}.lock")]);
}

#[test]
fn a_keyring_that_cannot_be_read_is_named_before_anything_is_downloaded() {
    let cache = tempfile::tempdir().unwrap();
    let sources = ImageSources { keyring: "/nowhere/keys.gpg".into(), ..sources(cache.path()) };
    let error = ensure_image(&definition(), cache.path(), &sources, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("/nowhere/keys.gpg"), "{error}");
    assert!(error.hint().unwrap().contains("debian-archive-keyring"));
}

#[test]
fn an_image_that_lost_bytes_is_not_found() {
    let cache = tempfile::tempdir().unwrap();
    let definition = definition();
    let directory = cache.path().join("images").join(definition.key());
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("root.squashfs"), b"four").unwrap();
    let manifest = |size: u64| {
        format!(
            r#"{{"schema": "kbisect.image/1", "key": "{}", "suite": "bookworm",
                "architecture": "amd64", "compression": "lz4", "built_at": "", "size_bytes": {size},
                "sha256": "", "packages": {{}}}}"#,
            definition.key()
        )
    };
    std::fs::write(directory.join("image.json"), manifest(4)).unwrap();
    assert!(find_image(&definition, cache.path()).is_some());
    std::fs::write(directory.join("image.json"), manifest(5)).unwrap();
    assert!(find_image(&definition, cache.path()).is_none());
}
