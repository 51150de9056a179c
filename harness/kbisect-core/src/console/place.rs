//! Where a WARN is: the forms of its first line.

/// The place in `CPU: 0 PID: 1 at file.c:12 func+0x1/0x2`, `at file.c:12 func+0x1/0x2()` (before
/// 3.11) and `file.c:12 at func+0x1/0x2, CPU#0: name/1` (since 6.19): file and the rest. The condition
/// that was met may stand before the file (since 6.18): `[!list_empty(&dev->list)] file.c:12`.
pub(super) fn warning_place(rest: &str) -> Option<(&str, &str)> {
    let old = rest.strip_prefix("at ").or_else(|| {
        let after = rest.strip_prefix("CPU: ")?;
        after.split_once(" at ").map(|(_, place)| place)
    });
    let rest = old.unwrap_or(rest);
    let place = |rest| source_place(rest, old.is_some());
    if !rest.starts_with('[') {
        return place(rest);
    }
    // There are brackets in conditions.
    let ends = memchr::memchr_iter(b']', rest.as_bytes()).take(CONDITION_BRACKETS_MAX);
    ends.filter_map(|end| rest[end + 1..].strip_prefix(' ')).find_map(place)
}

/// Closing brackets that are looked at to find the end of a condition.
const CONDITION_BRACKETS_MAX: usize = 64;

fn source_place(rest: &str, old: bool) -> Option<(&str, &str)> {
    let (file, function) = if old {
        rest.split_once(' ').unwrap_or((rest, ""))
    } else {
        rest.split_once(' ').and_then(|(file, rest)| Some((file, rest.strip_prefix("at ")?)))?
    };
    let (path, line) = file.rsplit_once(':')?;
    let numbered = !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit());
    (numbered && !path.is_empty()).then_some((path, function))
}
