//! What `make` and the compiler say when a build fails.

use super::error::BuildError;
use super::sandbox::{BUILD, SRC};

/// Most characters of a compiler's error.
const MOST_SAID: usize = 300;

/// What a failed `make` means: a fault of the host, or the first error of the compiler.
pub fn judge(said: &str, status: &str) -> BuildError {
    const HOST: [&str; 7] = [
        "No space left on device",
        "Cannot allocate memory",
        "virtual memory exhausted",
        "Killed signal terminated program",
        "Disk quota exceeded",
        "] Killed",
        "] Terminated",
    ];
    const PROGRAMS: [(&str, &str); 6] = [
        ("flex", "flex"),
        ("bison", "bison"),
        ("bc", "bc"),
        ("gcc", "gcc"),
        ("ld", "binutils"),
        ("perl", "perl"),
    ];
    let line = |text: &str| said.lines().find(|line| line.contains(text)).map(clean);
    if let Some(said) = HOST.iter().find_map(|text| line(text)) {
        return BuildError::Host { said };
    }
    for (program, package) in PROGRAMS {
        let gone = [format!("{program}: not found"), format!("{program}: command not found")];
        if gone.iter().any(|text| line(text).is_some()) {
            return BuildError::Missing { program, package };
        }
    }
    for (header, package) in
        [("libelf.h", "libelf-dev"), ("gelf.h", "libelf-dev"), ("openssl/", "libssl-dev")]
    {
        if said.lines().any(|line| line.contains("No such file") && line.contains(header)) {
            return BuildError::Missing { program: header, package };
        }
    }
    let errors = [" error: ", "error: ", "undefined reference", "*** ", "Error "];
    let first = errors.iter().find_map(|text| line(text));
    let object = said.lines().find_map(object);
    BuildError::Failed { said: first.unwrap_or_else(|| status.to_owned()), object }
}

/// `net/core/dev.o` of `make[3]: *** [/src/scripts/Makefile.build:280: net/core/dev.o] Error 1`.
fn object(line: &str) -> Option<String> {
    let (rule, _) = line.split_once("*** [")?.1.split_once("] Error ")?;
    let name = rule.rsplit(' ').next()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./+".contains(c);
    let is_one = name.ends_with(".o") && !name.starts_with(['-', '/']) && !name.contains("..");
    (is_one && name.chars().all(plain)).then(|| name.to_owned())
}

/// One line of what a program of the tree said.
fn clean(line: &str) -> String {
    let inside = line.replace(&format!("{SRC}/"), "").replace(&format!("{BUILD}/"), "");
    inside.trim().chars().filter(|c| !c.is_control()).take(MOST_SAID).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_told_and_the_hosts_faults_are_not_the_commits() {
        let said = "  warning: unused\nnet/a.c:5:3: error: 'x' undeclared\n/src/net/b.c:1: error: later\n\
                    make[2]: *** [net/a.o] Error 1\n";
        let BuildError::Failed { said, .. } = judge(said, "exit status: 2") else { panic!() };
        assert_eq!(said, "net/a.c:5:3: error: 'x' undeclared");
        let object = |said: &str| match judge(said, "x") {
            BuildError::Failed { object, .. } => object,
            _ => panic!("{said}"),
        };
        let make = "make[3]: *** [/src/scripts/Makefile.build:280: net/core/dev.o] Error 1\n";
        assert_eq!(object(make).as_deref(), Some("net/core/dev.o"));
        assert_eq!(object("make[2]: *** [net/a.o] Error 1\n").as_deref(), Some("net/a.o"));
        for hostile in ["--eval=x.o", "/etc/x.o", "../x.o", "a;b.o", "net"] {
            assert_eq!(object(&format!("make: *** [{hostile}] Error 2\n")), None);
        }
        let BuildError::Failed { said, .. } = judge("", "exit status: 2") else { panic!() };
        assert_eq!(said, "exit status: 2");
        let link = "ld: net/a.o: in function `f':\n/src/net/a.c:9: undefined reference to `g'\n";
        let BuildError::Failed { said, .. } = judge(link, "x") else { panic!() };
        assert_eq!(said, "net/a.c:9: undefined reference to `g'");
        let full = "net/a.c:5:3: fatal error: error writing to /tmp/x.s: No space left on device\n";
        assert!(matches!(judge(full, "x"), BuildError::Host { .. }));
        let killed = "gcc: fatal error: Killed signal terminated program cc1\n";
        assert!(!judge(killed, "x").is_final());
        let make = "make[2]: *** [/src/scripts/Makefile.build:280: net/a.o] Killed\n";
        assert!(!judge(make, "x").is_final());
        let flex = "/bin/sh: 1: flex: not found\nmake[3]: *** [x] Error 127\n";
        assert!(matches!(judge(flex, "x"), BuildError::Missing { program: "flex", .. }));
        let elf = "objtool/elf.h:10:10: fatal error: gelf.h: No such file or directory\n";
        assert!(matches!(judge(elf, "x"), BuildError::Missing { package: "libelf-dev", .. }));
        assert!(judge("a.c:1: error: x", "x").is_final());
    }
}
