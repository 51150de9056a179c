//! Where the code of a tree runs: an ordinary user in name spaces of its own, without network, with the
//! host's compiler to read and one folder to write to.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Names of the folders inside.
pub const SRC: &str = "/src";
/// Where it may write.
pub const BUILD: &str = "/build";
/// Results of the compiler that are kept.
pub const CCACHE: &str = "/ccache";
/// Who it is inside.
const ORDINARY: &str = "1000";

/// Folders of a build.
#[derive(Clone, Copy, Debug)]
pub struct Sandbox<'a> {
    /// Read only.
    pub src: &'a Path,
    /// Written to.
    pub build: &'a Path,
    /// Written to by ccache, where that is there.
    pub ccache: Option<&'a Path>,
    /// Whose programs it has; the host's without.
    pub root: Option<&'a Path>,
}

impl Sandbox<'_> {
    /// A program inside; `variables` is all of its environment beside what every build has.
    pub fn command(&self, program: &str, variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new("bwrap");
        command.args(["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]);
        command.args(["--uid", ORDINARY, "--gid", ORDINARY, "--hostname", "kbisect"]);
        let root = self.root.unwrap_or(Path::new("/"));
        let below = |name: &str| root.join(name.trim_start_matches('/'));
        command.arg("--ro-bind").arg(below("/usr")).arg("/usr");
        for name in ["/bin", "/sbin", "/lib", "/lib32", "/lib64"] {
            match fs::read_link(below(name)) {
                Ok(target) => {
                    command.arg("--symlink").arg(target).arg(name);
                }
                Err(_) if below(name).is_dir() => {
                    command.arg("--ro-bind").arg(below(name)).arg(name);
                }
                Err(_) => {}
            }
        }
        // `cc` and the like lead through it.
        for name in ["/etc/alternatives", "/etc/ld.so.cache"] {
            command.arg("--ro-bind-try").arg(below(name)).arg(name);
        }
        command.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]);
        command.arg("--ro-bind").arg(self.src).arg(SRC);
        command.arg("--bind").arg(self.build).arg(BUILD);
        if let Some(ccache) = self.ccache {
            command.arg("--bind").arg(ccache).arg(CCACHE);
        }
        command.args(["--chdir", BUILD, "--clearenv"]);
        let always = [("PATH", "/usr/bin:/usr/sbin:/bin:/sbin"), ("HOME", "/tmp"), ("LC_ALL", "C")];
        for (name, value) in always.iter().chain(variables) {
            command.args(["--setenv", name, value]);
        }
        command.arg("--").arg(program);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_inside_reaches_nothing_else() {
        let (src, build) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let outside = tempfile::NamedTempFile::new_in(std::env::temp_dir()).unwrap();
        fs::write(src.path().join("a"), "source").unwrap();
        let sandbox = Sandbox { src: src.path(), build: build.path(), ccache: None, root: None };
        let say = |text: &str| {
            let mut command = sandbox.command("sh", &[("NAME", "value")]);
            let output = command.args(["-c", text]).output().expect("bwrap is installed");
            (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        assert_eq!(say("cat /src/a; id -u; echo $NAME"), (true, "source1000\nvalue".to_owned()));
        assert!(!say("touch /src/b").0);
        assert!(!say("touch /usr/b").0);
        let (seen, _) = say(&format!("test -e {}", outside.path().display()));
        assert!(!seen, "files of the host are seen");
        // Nothing but the loopback device.
        assert_eq!(say("tail -n +3 /proc/net/dev | grep -v lo:"), (false, String::new()));
        assert!(say("echo x > built").0);
        assert_eq!(fs::read_to_string(build.path().join("built")).unwrap(), "x\n");
        assert_eq!(say("echo ${CARGO_MANIFEST_DIR:-none}"), (true, "none".to_owned()));
    }
}
