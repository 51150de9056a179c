//! One real kernel, by each of the other ways: the snapshot service, the mainline builds, rpm packages.
//! The services are servers on this host that have their layouts; the kernel is Debian's.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kbisect_kernels::{Catalog, Options, PackageRef, Settings, Silent, Store};
use serde_json::Value;

use crate::host::{Ended, Host};
use crate::layouts::deb::{Entry, file, xz};
use crate::layouts::mainline::{self, Layout};
use crate::layouts::rpm::{self, Compressor};
use crate::layouts::server::Server;
use crate::layouts::snapshot::{Binary, Snapshot};

const KERNEL: &str = "5.10.262-1";

/// A real kernel package, unpacked, and a cache that holds the root image and no kernel.
struct Place {
    host: Host,
    deb: PathBuf,
    package: PackageRef,
    release: String,
}

impl Place {
    fn new() -> Self {
        let host = Host::hold();
        // The one thing that all trials share with those of the user's cache.
        let Ended { .. } = command("image build", None);
        let options = Options {
            cache_dir: std::env::var_os("KBISECT_TEST_CACHE").map(PathBuf::from),
            ..Options::default()
        };
        let settings = Settings::discover(&options).unwrap();
        let store = Store::open(&settings.cache_dir).unwrap();
        let catalog = Catalog::load(&settings, &store, &Silent).unwrap();
        let candidate = catalog.resolve(KERNEL).expect("the archive has it: `kbisect doctor`");
        let package = candidate.packages.first().cloned().expect("the archive has it still");
        let cache = host.path("cache");
        fs::create_dir(&cache).unwrap();
        symlink(settings.cache_dir.join("images"), cache.join("images")).unwrap();
        let deb = host.path("kernel.deb");
        run_tool(
            Command::new("/usr/lib/apt/apt-helper")
                .arg("download-file")
                .arg(&package.url)
                .arg(&deb)
                .arg(format!("SHA256:{}", package.sha256)),
        );
        let tree = host.path("tree");
        run_tool(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&tree));
        let release = candidate.kernel.release.clone().unwrap();
        Self { host, deb, package, release }
    }

    /// Files of the kernel's tree below a directory, with their paths from the tree's root.
    fn files(&self, below: &str) -> Vec<(String, PathBuf)> {
        let root = self.host.path("tree");
        let mut found = Vec::new();
        let mut left = vec![root.join(below)];
        while let Some(dir) = left.pop() {
            for entry in fs::read_dir(dir).unwrap().flatten() {
                let (path, kind) = (entry.path(), entry.file_type().unwrap());
                if kind.is_dir() {
                    left.push(path);
                } else if kind.is_file() {
                    let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                    found.push((name, path));
                }
            }
        }
        found.sort();
        found
    }

    fn cache(&self) -> PathBuf {
        self.host.path("cache")
    }

    /// One trial of the kernel; the kernel of the reference nodes is the same.
    fn smoke(&self, kernel: &str, options: &str) -> Value {
        let words = format!(
            "run {kernel} --reference {kernel} --scenario smoke --cache {} {options}",
            self.cache().display()
        );
        let good = self.host.run(&words).document(0);
        assert_eq!(good["verdict"], "good", "{good}");
        assert_eq!(good["release"], self.release.as_str());
        self.host.assert_no_machine_left();
        good
    }
}

fn command(words: &str, cache: Option<&Path>) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbisect"));
    command.args(words.split_whitespace()).arg("--json").stdin(Stdio::null());
    match (cache, std::env::var_os("KBISECT_TEST_CACHE")) {
        (Some(cache), _) => drop(command.arg("--cache").arg(cache)),
        (None, Some(cache)) => drop(command.arg("--cache").arg(cache)),
        (None, None) => {}
    }
    Ended::of(words, &command.output().unwrap())
}

fn run_tool(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
}

#[test]
fn a_kernel_of_the_snapshot_service_boots() {
    let place = Place::new();
    let mut service = Snapshot::default();
    let source = KERNEL.replace('-', "+");
    service.add("linux", KERNEL, None);
    service.add("linux", "5.10.40-1", None);
    service.add("linux", "5.10.70-1", None);
    let data = fs::read(&place.deb).unwrap();
    let (name, version) = (place.package.name.clone(), KERNEL.to_owned());
    service.add("linux-signed-amd64", &source, Some(Binary { name, version, data }));
    let root = place.host.path("service");
    service.write(&root);
    let server = Server::start(&root);
    // The archive has the kernel as well, and would be preferred: there is none at this address.
    let options =
        format!("--source snapshot --snapshot-url {0} --mirror {0}/none --suite none", server.url);
    let plan =
        format!("5.10.40..5.10.262 --scenario cloudgw --dry-run --reference {KERNEL} {options}");
    let plan = place.host.run(&format!("{plan} --cache {}", place.cache().display())).document(0);
    let series: Vec<&str> = plan["series"]
        .as_array()
        .unwrap()
        .iter()
        .map(|planned| planned["kernel"]["package_version"].as_str().unwrap())
        .collect();
    assert_eq!(series, ["5.10.40-1", "5.10.70-1", KERNEL]);
    let good = place.smoke(KERNEL, &options);
    assert_eq!(good["kernel"]["source"], "snapshot");
    assert!(good["repeat"].as_str().unwrap().contains("--source snapshot"), "{}", good["repeat"]);
    // Nobody can test what was never built: that is no failure of the host.
    let words = format!("run 5.10.40 --reference {KERNEL} --scenario smoke {options}");
    let skip =
        place.host.run(&format!("{words} --cache {}", place.cache().display())).document(125);
    assert!(skip.to_string().contains("snapshot service has no package"), "{skip}");
    // What is stored needs no network any more.
    place.smoke(KERNEL, &format!("{options} --offline"));
}

#[test]
fn a_mainline_build_boots() {
    let place = Place::new();
    let release = &place.release;
    let root = place.host.path("service");
    fs::create_dir(&root).unwrap();
    // Real packages by Debian's own tool, with the files where Ubuntu's packages have them.
    let package = |kind: &str, files: &[(String, PathBuf)]| {
        let name = format!("linux-{kind}-5.10.262-0510262-generic");
        let version = "5.10.262-0510262.202611201200";
        let tree = place.host.path(kind);
        for (path, from) in files {
            let target = tree.join(path);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            let data = fs::read(from).unwrap();
            if path.ends_with(".ko") {
                let target = tree.join(format!("{path}.zst"));
                fs::write(target, zstd::encode_all(data.as_slice(), 1).unwrap()).unwrap();
            } else {
                fs::write(target, data).unwrap();
            }
        }
        fs::create_dir(tree.join("DEBIAN")).unwrap();
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: test <test@example.invalid>\n\
             Description: test\n"
        );
        fs::write(tree.join("DEBIAN/control"), control).unwrap();
        let deb = format!("{name}_{version}_amd64.deb");
        let target = place.host.path(&deb);
        run_tool(
            Command::new("dpkg-deb")
                .args(["-Zzstd", "-z1", "--root-owner-group", "-b"])
                .arg(tree)
                .arg(&target),
        );
        (deb, fs::read(target).unwrap())
    };
    let boot = place.files("boot");
    let (image, rest): (Vec<_>, Vec<_>) =
        boot.into_iter().partition(|(path, _)| path.starts_with("boot/vmlinuz"));
    let mut modules = place.files("lib/modules");
    modules.extend(rest);
    assert!(modules.iter().any(|(path, _)| path.ends_with(".ko")), "{release} has modules");
    let packages = [package("image-unsigned", &image), package("modules", &modules)];
    mainline::write(&root, "v5.10.262", Layout::Now, &packages);
    let server = Server::start(&root);
    let options = format!("--source ubuntu-mainline --ubuntu-mainline-url {}", server.url);
    let good = place.smoke("5.10.262", &options);
    assert_eq!(good["kernel"]["source"], "ubuntu-mainline");
    assert_eq!(good["kernel"]["flavour"], "generic");
}

#[test]
fn a_kernel_of_rpm_packages_boots() {
    let place = Place::new();
    let dir = format!("./lib/modules/{}", place.release);
    let read = |path: &Path| fs::read(path).unwrap();
    let core: Vec<Entry> = place
        .files("boot")
        .iter()
        .map(|(path, from)| {
            let name = path.strip_prefix("boot/").unwrap().split('-').next().unwrap();
            file(format!("{dir}/{name}"), read(from))
        })
        .collect();
    let modules: Vec<Entry> = place
        .files("lib/modules")
        .iter()
        .map(|(path, from)| {
            let data = read(from);
            match path.ends_with(".ko") {
                // Both compressions that distributions use; xz takes its time.
                true if data.len() < 60_000 => file(format!("./{path}.xz"), xz(&data)),
                true => {
                    file(format!("./{path}.zst"), zstd::encode_all(data.as_slice(), 1).unwrap())
                }
                false => file(format!("./{path}"), data),
            }
        })
        .collect();
    let packages =
        [("kernel-core", core), ("kernel-modules-core", modules)].map(|(name, entries)| {
            let path = place.host.path(&format!("{name}.rpm"));
            fs::write(&path, rpm::package(name, Compressor::Zstd, &entries)).unwrap();
            path.display().to_string()
        });
    let words = format!("kernels add {} --as fedora", packages.join(" "));
    let added = command(&words, Some(&place.cache())).document(0);
    let kernel = &added["kernels"][0];
    assert_eq!(kernel["name"], "fedora", "{added}");
    let good = place.smoke("fedora", "--source store");
    assert_eq!(good["kernel"]["source"], "local");
}
