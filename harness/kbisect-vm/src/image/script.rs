//! The shell text that mmdebstrap runs over the unpacked tree, outside of the chroot, as `sh -c`.

use super::definition::Content;

/// Mount points and directories that the guest's PID 1 relies on.
const DIRECTORIES: [&str; 8] =
    ["/proc", "/sys", "/dev", "/run", "/tmp", "/root", "/lib/modules", "/kbisect"];

/// Returns the script that applies `remove`, `directories` and `files` to the tree in `$1`.
///
/// Inline text and no file: the subordinate user that runs it may be unable to read our files.
pub(super) fn customize(content: &Content) -> String {
    let mut script = String::from("set -eu\nroot=$1\n");
    for pattern in &content.remove {
        // Unquoted on purpose: the shell expands the pattern. Definitions are checked to hold
        // nothing else that a shell acts on.
        script.push_str(&format!("rm -rf \"$root\"{pattern}\n"));
    }
    let directories = DIRECTORIES.into_iter().chain(content.directories.iter().map(String::as_str));
    for directory in directories {
        script.push_str(&format!("mkdir -p \"$root\"{}\n", quote(directory)));
    }
    for (path, text) in &content.files {
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        // A first newline is there so that the text in image.toml can begin on a line of its own.
        let text = text.strip_prefix('\n').unwrap_or(text);
        script.push_str(&format!("mkdir -p \"$root\"{}\n", quote(parent)));
        script.push_str(&format!("rm -f \"$root\"{}\n", quote(path)));
        script.push_str(&format!("printf %s {} >\"$root\"{}\n", quote(text), quote(path)));
        script.push_str(&format!("chmod 0644 \"$root\"{}\n", quote(path)));
    }
    script
}

/// Quotes `text` as one word for a POSIX shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::definition::ImageDefinition;
    use super::*;

    #[test]
    fn the_script_does_to_a_tree_what_the_definition_says() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        std::fs::create_dir_all(at("var/log/apt")).unwrap();
        std::fs::create_dir_all(at("etc")).unwrap();
        std::fs::write(at("var/log/dpkg.log"), "x").unwrap();
        std::fs::write(at("var/log/keep"), "x").unwrap();
        // A link that must be replaced, not written through.
        std::fs::write(at("outside"), "untouched").unwrap();
        std::os::unix::fs::symlink("../outside", at("etc/motd")).unwrap();

        let definition = ImageDefinition::parse(
            r#"
            suite = "bookworm"
            compression = "lz4"
            packages = ["kmod"]
            remove = ["/var/log/*.log", "/var/log/apt", "/never/there/*"]
            directories = ["/srv/www"]
            [files]
            "/etc/motd" = """
it's $HOME `here`
"""
            "/new/place/empty" = ""
            "#,
            "image.toml",
        )
        .unwrap();
        let status = std::process::Command::new("sh")
            .args(["-c", &customize(&definition.content), "hook"])
            .arg(root.path())
            .status()
            .unwrap();

        assert!(status.success());
        assert!(!at("var/log/dpkg.log").exists());
        assert!(!at("var/log/apt").exists());
        assert!(at("var/log/keep").exists());
        assert!(at("srv/www").is_dir());
        assert!(at("lib/modules").is_dir());
        assert_eq!(std::fs::read_to_string(at("etc/motd")).unwrap(), "it's $HOME `here`\n");
        assert_eq!(std::fs::read_to_string(at("outside")).unwrap(), "untouched");
        assert_eq!(std::fs::read_to_string(at("new/place/empty")).unwrap(), "");
        assert_eq!(at("etc/motd").metadata().unwrap().permissions().mode() & 0o777, 0o644);
    }
}
