//! From a commit to a kernel in the store.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use kbisect_core::kernel::Kernel;
use kbisect_process::run_unless;

use super::artefact;
use super::checkout::Workshop;
use super::config::option;
use super::error::BuildError;
use super::made_from::made_from;
use super::order::{BuildOrder, Built};
use super::recipe::{Configuration, Recipe, is_before};
use super::room::make_room;
use super::said::judge;
use super::sandbox::{BUILD, CCACHE, SRC, Sandbox};
use super::toolchain::Toolchain;
use crate::files::{at, free_space};
use crate::hash;
use crate::import::error::is_disk_full;
use crate::import::prepare::{self, Modules};
use crate::import::sink::Sink;
use crate::import::tree::Tree;
use crate::progress::Progress;
use crate::ready::{SOURCES, config_value};
use crate::settings::Settings;
use crate::store::Meta;

/// How long one `make` may take: a distribution's configuration on one slow processor.
const DEADLINE: Duration = Duration::from_secs(4 * 3600);
/// Most bytes that `make` may say.
const MOST_OUTPUT: u64 = 64 << 20;
/// Free space that a build needs, in bytes: files of a tree and objects of a small configuration.
const ROOM: u64 = 2 << 30;
/// Exit status of a sandbox whose program was killed, from here on.
const KILLED: i32 = 128;
/// Most options that are kept as otherwise than wanted.
const MOST_FORCED: usize = 100;
/// Bytes of compiled objects that ccache keeps.
const CCACHE_SIZE: &str = "1G";
/// Objects are found by the files that they were made from: without a run of the preprocessor for each, which takes
/// a third of a first build, and also when those were written a moment ago.
const CCACHE_WAYS: [(&str, &str); 2] = [
    ("CCACHE_DEPEND", "1"),
    ("CCACHE_SLOPPINESS", "time_macros,include_file_mtime,include_file_ctime"),
];
/// The same for each build: what a kernel says of its build is no difference between two.
const STAMPS: [(&str, &str); 4] = [
    ("KBUILD_BUILD_TIMESTAMP", "1970-01-01 00:00:00 +0000"),
    ("KBUILD_BUILD_USER", "kbisect"),
    ("KBUILD_BUILD_HOST", "kbisect"),
    ("KBUILD_BUILD_VERSION", "1"),
];

/// Builds a kernel into `out`; `work` is for what is not kept.
pub(crate) fn build(
    order: &BuildOrder,
    kernel: &Kernel,
    (settings, progress): (&Settings, &dyn Progress),
    work: &Path,
    out: &Path,
) -> Result<Meta, BuildError> {
    let began = Instant::now();
    if let Some(template) = &order.recipe.template {
        return artefact::bring(order, template, kernel, (settings, progress), (work, out));
    }
    let (recipe, places) = (&*order.recipe, &order.recipe.places);
    let shop = Workshop::of(&places.repository, &places.cache);
    // One tree of files, one build at a time: `make` has all processors.
    let _lock = shop.lock(progress)?;
    let label = kernel.label();
    let key = &recipe.key;
    let build = folder(&shop, recipe)?;
    let (missing, as_before) = {
        let _item = progress.begin(&format!("checking out {label}"), None);
        let made = shop.changed(&order.commit, &order.changes, &build)?;
        (shop.bring(&made.commit)?, made.left)
    };
    let ccache = ccache(shop.root(), &recipe.toolchain)?;
    let src = shop.src();
    let root = recipe.toolchain.root.as_deref();
    let sandbox = Sandbox { src: &src, build: &build, ccache: ccache.as_deref(), root };
    let variables = recipe.variables(&kernel.version);
    let _item = progress.begin(&format!("building {label}"), None);
    let make = Make { sandbox, variables: &variables, progress };
    let configuration = make.configure(recipe)?;
    let modules = configuration.lines().any(|line| line == "CONFIG_MODULES=y");
    let last = shop.root().join(format!("failed-{}", key.get(..16).unwrap_or(key)));
    // Before that `make` compiles an object also where the configuration leaves it out.
    if !is_before(&kernel.version, 5, 4) {
        make.try_first(&last)?;
    }
    let made = make.run(if modules { &["bzImage", "modules"] } else { &["bzImage"] });
    if let Err(BuildError::Failed { object: Some(object), .. }) = &made {
        fs::write(&last, object).map_err(at(&last))?;
    }
    made?;
    let tree = work.join("built");
    take(&build, "arch/x86/boot/bzImage", &tree.join("boot/vmlinuz"))?;
    take(&build, ".config", &tree.join("config"))?;
    if modules {
        make.install(&build)?;
        let installed = left(&build, "install/lib/modules")?;
        copy_plain(&installed, &tree.join("lib/modules"))?;
        fs::remove_dir_all(build.join("install")).map_err(at(&build))?;
    }
    // Its name has the release in it.
    let release = read_left(&build, "include/config/kernel.release").unwrap_or_default();
    if is_plain(release.trim()) {
        let map = tree.join(format!("boot/System.map-{}", release.trim()));
        take(&build, "System.map", &map)?;
    }
    let content = content(&tree)?;
    let sources: String = made_from(&build).into_iter().map(|file| file + "\n").collect();
    fs::write(out.join(SOURCES), sources).map_err(at(out))?;
    let mut sink = Sink::new(work);
    let place = format!("the build of {label}");
    Tree::of_dir(&tree, None)?.feed(&mut sink)?;
    let prepared = prepare::prepare(work, &sink.finish()?, Modules::Optional, &place, out)?;
    let mut kernel = kernel.clone();
    kernel.release = Some(prepared.banner.release.clone());
    let built = Built {
        commit: order.commit.clone(),
        compiler: recipe.compiler.clone(),
        content,
        variables: variables.iter().map(|&word| word.to_owned()).collect(),
        forced: forced(&recipe.configuration, &configuration),
        missing: missing.into_iter().take(MOST_FORCED).collect(),
        left: as_before,
        elsewhere: None,
        seconds: began.elapsed().as_secs_f64(),
    };
    let meta = Meta::new(kernel, Vec::new(), prepared.banner.release, prepared.modules);
    Ok(meta.built(built))
}

/// The whole configuration that a commit's tree makes of a recipe's, as `make` writes it.
///
/// # Errors
/// Files that cannot be had, a tree that cannot be configured, a missing program.
pub fn configured(
    recipe: &Recipe,
    commit: &str,
    version: &str,
    progress: &dyn Progress,
) -> Result<String, BuildError> {
    let places = &recipe.places;
    let shop = Workshop::of(&places.repository, &places.cache);
    let _lock = shop.lock(progress)?;
    let _item =
        progress.begin(&format!("configuring {}", commit.get(..12).unwrap_or(commit)), None);
    shop.bring(commit)?;
    let (src, build) = (shop.src(), folder(&shop, recipe)?);
    let root = recipe.toolchain.root.as_deref();
    let sandbox = Sandbox { src: &src, build: &build, ccache: None, root };
    Make { sandbox, variables: &recipe.variables(version), progress }.configure(recipe)
}

/// The folder in which everything is built that a recipe is for, where there is room.
fn folder(shop: &Workshop, recipe: &Recipe) -> Result<PathBuf, BuildError> {
    let (cache, key) = (&recipe.places.cache, &recipe.key);
    if free_space(cache).is_some_and(|free| free < ROOM) {
        return Err(BuildError::NoRoom { path: cache.clone(), gib: ROOM >> 30 });
    }
    let build = shop.root().join(format!("build-{}", key.get(..16).unwrap_or(key)));
    if !build.exists() {
        fs::create_dir_all(&build).map_err(at(&build))?;
        make_room(cache, shop.root(), &build)?;
    }
    Ok(build)
}

/// `make` in the sandbox.
#[derive(Clone, Copy)]
struct Make<'a> {
    sandbox: Sandbox<'a>,
    variables: &'a [&'static str],
    progress: &'a dyn Progress,
}

impl Make<'_> {
    /// Makes `.config`, and gives its text. What is as before is left, so that nothing is built again.
    fn configure(&self, recipe: &Recipe) -> Result<String, BuildError> {
        let build = self.sandbox.build;
        let wanted = match &recipe.configuration {
            Configuration::Fragment(text) => {
                put(build, "kbisect.config", text)?;
                "allnoconfig"
            }
            Configuration::Whole(text) => {
                put(build, ".config", text)?;
                "olddefconfig"
            }
        };
        self.run(&[wanted])?;
        read_left(build, ".config")
    }

    /// Compiles the object on which the last build failed: whether it still does shows in seconds, and a
    /// commit beside one that cannot be built is seldom better.
    fn try_first(&self, last: &Path) -> Result<(), BuildError> {
        let Ok(object) = fs::read_to_string(last) else { return Ok(()) };
        match self.run(&[&object]) {
            Err(BuildError::Failed { said, object: Some(again) }) if again == object => {
                Err(BuildError::Failed { said, object: Some(again) })
            }
            Err(error @ (BuildError::Cancelled | BuildError::Host { .. })) => Err(error),
            // It compiles, or is no part of this commit.
            _ => Ok(fs::remove_file(last).map_err(at(last))?),
        }
    }

    fn install(&self, build: &Path) -> Result<(), BuildError> {
        let install = build.join("install");
        if install.exists() {
            fs::remove_dir_all(&install).map_err(at(&install))?;
        }
        self.run(&["modules_install"])
    }

    fn run(&self, targets: &[&str]) -> Result<(), BuildError> {
        let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut environment = STAMPS.to_vec();
        environment.push(("KCONFIG_ALLCONFIG", "/build/kbisect.config"));
        if self.sandbox.ccache.is_some() {
            environment.extend([("CCACHE_DIR", CCACHE), ("CCACHE_MAXSIZE", CCACHE_SIZE)]);
            environment.extend(CCACHE_WAYS);
        }
        let mut command = self.sandbox.command("make", &environment);
        command.args(["-C", SRC, &format!("O={BUILD}"), &format!("-j{jobs}")]);
        command.args(["LOCALVERSION=", &format!("INSTALL_MOD_PATH={BUILD}/install")]);
        command.args(["INSTALL_MOD_STRIP=1", "DEPMOD=true"]);
        if self.sandbox.ccache.is_some() {
            command.arg("CC=ccache gcc");
        }
        command.args(self.variables).args(targets);
        run(command, self.progress)
    }
}

fn run(command: Command, progress: &dyn Progress) -> Result<(), BuildError> {
    // A starved guest looks like a regression, and this most likely runs beside one.
    let mut polite = Command::new("nice");
    polite
        .env("LC_ALL", "C")
        .args(["-n", "10"])
        .arg(command.get_program())
        .args(command.get_args());
    let is_moot = || progress.cancelled();
    let ended = run_unless(polite, DEADLINE, MOST_OUTPUT, &is_moot).map_err(|error| match error
        .kind()
    {
        io::ErrorKind::Interrupted => BuildError::Cancelled,
        _ => BuildError::Host { said: error.to_string() },
    })?;
    if ended.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&ended.stderr);
    if text.contains("'bwrap'") && ended.status.code() == Some(127) {
        return Err(BuildError::Missing { program: "bwrap", package: "bubblewrap" });
    }
    if let Some(said) = text.lines().find_map(|line| line.strip_prefix("bwrap: ")) {
        return Err(match said.strip_prefix("execvp ") {
            Some(program) if program.starts_with("make") => {
                BuildError::Missing { program: "make", package: "make" }
            }
            _ => BuildError::Sandbox { said: said.to_owned() },
        });
    }
    // Killed, or ended since it said more than anybody reads: nothing that the commit is to blame for.
    if ended.cut || ended.status.code().is_none_or(|code| code >= KILLED) {
        return Err(BuildError::Host { said: ended.status.to_string() });
    }
    Err(judge(&text, &ended.status.to_string()))
}

/// The folder of ccache, if that is installed: one for each tree, whose code can write to it.
fn ccache(cache: &Path, toolchain: &Toolchain) -> Result<Option<PathBuf>, BuildError> {
    if !toolchain.has_ccache() {
        return Ok(None);
    }
    let folder = cache.join("ccache");
    fs::create_dir_all(&folder).map_err(at(&folder))?;
    Ok(Some(folder))
}

/// What a build left below its folder. A link could lead anywhere.
fn left(build: &Path, name: &str) -> Result<PathBuf, BuildError> {
    let mut below = build.to_owned();
    for part in Path::new(name).components() {
        below.push(part);
        match fs::symlink_metadata(&below) {
            Ok(meta) if !meta.is_symlink() => {}
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(at(&below)(error).into());
            }
            Ok(_) | Err(_) => return Err(BuildError::NoFile(name.to_owned())),
        }
    }
    Ok(below)
}

/// Reads a file that a build left.
fn read_left(build: &Path, name: &str) -> Result<String, BuildError> {
    let path = left(build, name)?;
    if !path.is_file() {
        return Err(BuildError::NoFile(name.to_owned()));
    }
    Ok(fs::read_to_string(&path).map_err(at(&path))?)
}

/// Writes a file for a build, in place of whatever an earlier one left under its name.
fn put(build: &Path, name: &str, text: &str) -> Result<(), BuildError> {
    let path = build.join(name);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(at(&path)(error).into());
        }
        _ => {}
    }
    let mut file = fs::File::create_new(&path).map_err(at(&path))?;
    Ok(file.write_all(text.as_bytes()).map_err(at(&path))?)
}

/// Copies a file that a build left.
fn take(build: &Path, name: &str, to: &Path) -> Result<(), BuildError> {
    let from = left(build, name)?;
    if !from.is_file() {
        return Err(BuildError::NoFile(name.to_owned()));
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(at(folder))?;
    }
    match fs::copy(&from, to) {
        Ok(_) => Ok(()),
        Err(error) if is_disk_full(&error) => Err(BuildError::Host { said: error.to_string() }),
        Err(error) => Err(at(&from)(error).into()),
    }
}

/// Copies the plain files of a folder, and no link.
fn copy_plain(from: &Path, to: &Path) -> Result<(), BuildError> {
    fs::create_dir_all(to).map_err(at(to))?;
    for entry in fs::read_dir(from).map_err(at(from))? {
        let entry = entry.map_err(at(from))?;
        let kind = entry.file_type().map_err(at(from))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy_plain(&path, &target)?;
        } else if kind.is_file() {
            fs::copy(&path, &target).map_err(at(&path))?;
        }
    }
    Ok(())
}

/// Hash over the image and the modules.
fn content(tree: &Path) -> Result<String, BuildError> {
    let mut lines = Vec::new();
    let mut folders = vec![tree.join("boot"), tree.join("lib")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(tree).unwrap_or(&path).display().to_string();
            if !name.contains("System.map") {
                lines.push(format!("{name} {}\n", hash::of_file(&path).map_err(at(&path))?));
            }
        }
    }
    lines.sort();
    Ok(hash::of_bytes(lines.concat().as_bytes()))
}

/// Options of a fragment that came out otherwise.
fn forced(configuration: &Configuration, got: &str) -> Vec<String> {
    let Configuration::Fragment(wanted) = configuration else { return Vec::new() };
    let differs = |line: &str| {
        let (name, _) = option(line)?;
        let value = |text: &str| config_value(text, name).filter(|value| value != "n");
        let (wanted, now) = (value(line), value(got));
        let told = |value: Option<String>| value.unwrap_or_else(|| "not set".to_owned());
        (now != wanted).then(|| format!("{name}: {} wanted, {}", told(wanted), told(now)))
    };
    wanted.lines().filter_map(differs).take(MOST_FORCED).collect()
}

fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    !name.is_empty() && name.chars().all(plain) && !name.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_came_out_otherwise_are_told() {
        let wanted = Configuration::Fragment(
            "CONFIG_A=y\nCONFIG_B=y\n# CONFIG_C is not set\n# CONFIG_D is not set\nCONFIG_HZ=100\nCONFIG_S=\"\"\n"
                .to_owned(),
        );
        let got = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=y\nCONFIG_HZ=250\nCONFIG_S=\"\"\nCONFIG_E=y\n";
        let expected = ["B: y wanted, not set", "C: not set wanted, y", "HZ: 100 wanted, 250"];
        assert_eq!(forced(&wanted, got), expected);
        assert_eq!(forced(&Configuration::Whole(String::new()), got), [""; 0]);
    }

    #[test]
    fn links_of_a_build_are_not_followed() {
        let build = tempfile::tempdir().unwrap();
        let secret = build.path().join("secret");
        fs::write(&secret, "secret").unwrap();
        std::os::unix::fs::symlink(&secret, build.path().join("bzImage")).unwrap();
        let to = build.path().join("to/vmlinuz");
        let error = take(build.path(), "bzImage", &to).unwrap_err();
        assert!(error.to_string().contains("no plain file") && !to.exists(), "{error}");
        take(build.path(), "secret", &to).unwrap();
        assert!(read_left(build.path(), "bzImage").is_err());
        std::os::unix::fs::symlink(build.path(), build.path().join("folder")).unwrap();
        assert!(read_left(build.path(), "folder/secret").is_err());
        put(build.path(), "bzImage", "new").unwrap();
        assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
        assert_eq!(read_left(build.path(), "bzImage").unwrap(), "new");
        let modules = build.path().join("modules");
        fs::create_dir(&modules).unwrap();
        fs::write(modules.join("a.ko"), "a").unwrap();
        std::os::unix::fs::symlink("/etc", modules.join("build")).unwrap();
        let copied = build.path().join("copied");
        copy_plain(&modules, &copied).unwrap();
        let names: Vec<_> =
            fs::read_dir(&copied).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["a.ko"]);
    }
}
