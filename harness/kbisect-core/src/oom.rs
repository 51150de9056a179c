//! Processes that the kernel killed for want of memory, from the text of its reports.

/// A process that was killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Killed {
    /// Process id, as the kernel counts.
    pub pid: u32,
    /// Its name: at most 15 bytes of the program's.
    pub name: String,
}

/// Finds the processes that a report says were killed (`dump_header` and `__oom_kill_process` in
/// mm/oom_kill.c: `Killed process 12 (name)`, before 5.0 after a line `Kill process 12 (name)`).
pub fn killed(text: &str) -> Vec<Killed> {
    text.lines().filter_map(killed_in).collect()
}

/// Whether a process of that name runs the program at this path: the kernel keeps 15 bytes.
pub fn is_program(name: &str, program: &str) -> bool {
    let file = program.rsplit('/').next().unwrap_or(program);
    let kept = file.len().min(15);
    !file.is_empty() && name.as_bytes() == &file.as_bytes()[..kept]
}

fn killed_in(line: &str) -> Option<Killed> {
    let (_, rest) = line.split_once("Killed process ")?;
    let (pid, rest) = rest.split_once(" (")?;
    // A name can hold anything, parentheses too: what follows it tells where it ends.
    let end = [") total-vm:", "), UID", "), now"].iter().find_map(|mark| rest.find(mark));
    let end = end.or_else(|| rest.rfind(')'))?;
    Some(Killed { pid: pid.parse().ok()?, name: rest[..end].to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_named_in_the_words_of_each_kernel() {
        let named = |pid, name: &str| vec![Killed { pid, name: name.to_owned() }];
        for (line, expected) in [
            (
                "Out of memory: Killed process 231 (worker) total-vm:90kB, anon-rss:8kB, UID:0",
                named(231, "worker"),
            ),
            (
                "[    9.1] Memory cgroup out of memory: Killed process 7 (a b), UID 0, total-vm:9kB",
                named(7, "a b"),
            ),
            ("Killed process 9 (sh) total-vm:2kB, anon-rss:0kB", named(9, "sh")),
            ("Killed process 9 (odd) name) total-vm:2kB", named(9, "odd) name")),
            ("Killed process 9 (cut", Vec::new()),
            ("Killed process many (x) total-vm:1kB", Vec::new()),
            ("oom_reaper: reaped process 9 (sh), now anon-rss:0kB", Vec::new()),
            ("Out of memory: Kill process 9 (sh) score 900 or sacrifice child", Vec::new()),
        ] {
            assert_eq!(killed(line), expected, "{line}");
        }
    }

    #[test]
    fn the_kernel_keeps_fifteen_bytes_of_a_name() {
        assert!(is_program("nginx", "/usr/sbin/nginx"));
        assert!(is_program("a-very-long-nam", "a-very-long-name-of-a-program"));
        assert!(!is_program("ngin", "nginx"));
        assert!(!is_program("", ""));
    }
}
