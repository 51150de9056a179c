//! What uses the host's processors.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// How long it is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Most programs that are named.
const MAX_NAMED: usize = 3;
/// Below this share of a processor nobody is worth naming.
const SHARE: f64 = 0.2;

/// What to do about a host that is too busy, with the names of what keeps it so.
pub fn hint() -> String {
    let before = ticks();
    std::thread::sleep(LOOK);
    let busy = busiest(&before, &ticks());
    let advice = "use fewer workers (`--workers 1`), or go on when the host is less busy";
    if busy.is_empty() { advice.to_owned() } else { format!("{}; {advice}", busy.join(", ")) }
}

/// Name and processor time of each process, by number.
fn ticks() -> HashMap<u32, (String, u64)> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, parse(&fs::read_to_string(entry.path().join("stat")).ok()?)?))
        })
        .collect()
}

/// Name and processor time in ticks (proc_pid_stat(5), fields 2, 14 and 15).
fn parse(stat: &str) -> Option<(String, u64)> {
    let (head, rest) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some((name, next()? + next()?))
}

/// The programs that used most, in words. Ticks are 10 ms on every Linux that kbisect runs on.
fn busiest(
    before: &HashMap<u32, (String, u64)>,
    after: &HashMap<u32, (String, u64)>,
) -> Vec<String> {
    let mut used: HashMap<&str, (u64, u32)> = HashMap::new();
    for (pid, (name, ticks)) in after {
        let since = before.get(pid).map_or(0, |(_, ticks)| *ticks);
        let program = used.entry(name).or_default();
        program.0 += ticks.saturating_sub(since);
        program.1 += 1;
    }
    let share = |ticks: u64| ticks as f64 * 0.01 / LOOK.as_secs_f64();
    let mut used: Vec<(&str, f64, u32)> = used
        .into_iter()
        .map(|(name, (ticks, count))| (name, share(ticks), count))
        .filter(|(_, share, _)| *share >= SHARE)
        .collect();
    used.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    let words = |(name, share, count): &(&str, f64, u32)| match count {
        1 => format!("{name} uses {share:.1} processors"),
        count => format!("{name} ({count} processes) uses {share:.1} processors"),
    };
    used.iter().take(MAX_NAMED).map(words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_named_by_what_they_used() {
        let at = |list: &[(u32, &str, u64)]| -> HashMap<u32, (String, u64)> {
            list.iter().map(|(pid, name, ticks)| (*pid, ((*name).to_owned(), *ticks))).collect()
        };
        let before = at(&[(1, "cc1", 0), (2, "cc1", 100), (3, "sleep", 5), (4, "make", 0)]);
        let after =
            at(&[(1, "cc1", 50), (2, "cc1", 140), (3, "sleep", 5), (4, "make", 20), (9, "ld", 3)]);
        assert_eq!(
            busiest(&before, &after),
            ["cc1 (2 processes) uses 1.8 processors", "make uses 0.4 processors"]
        );
    }

    #[test]
    fn names_with_brackets_are_read_whole() {
        let stat = "7 (a) (b) R 1 7 7 0 -1 4194304 1 0 0 0 30 12 0 0 20 0 1 0 5 0 0";
        assert_eq!(parse(stat), Some(("a) (b".to_owned(), 42)));
        assert_eq!(parse("7"), None);
    }
}
