//! A git tree for tests.

use std::fs;
use std::path::Path;
use std::process::Command;

/// A git tree in a folder of its own, on branch `main`.
pub(super) struct Tree(tempfile::TempDir);

impl Tree {
    pub fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        tree.git("init -q -b main .");
        tree
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs git with words; gives what it says.
    pub fn git(&self, words: &str) -> String {
        let mut command = Command::new("git");
        command.current_dir(self.path()).args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.test",
        ]);
        command.args(words.split(' ')).env("GIT_CONFIG_GLOBAL", "/dev/null");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Commits files; gives the id.
    pub fn commit(&self, subject: &str, files: &[(&str, &str)]) -> String {
        for (name, text) in files {
            let path = self.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        self.git("add -A");
        self.git(&format!("commit -q -m {subject}"));
        self.git("rev-parse HEAD").trim().to_owned()
    }
}
