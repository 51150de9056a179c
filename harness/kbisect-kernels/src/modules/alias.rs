//! Module names and alias patterns.

/// The name under which the kernel knows a module: `-` and `_` are the same to it.
pub fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// The name of the module in a file such as `kernel/net/foo-bar.ko.xz`.
pub fn name_of_file(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    normal(file.split_once(".ko").map_or(file, |(name, _)| name))
}

/// Matches a shell pattern (`*`, `?`, `[a-z]`) as modules.alias holds them. Both sides are in
/// normal form, ranges excepted.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // On a mismatch the last star takes in one character more; the stars before it need not.
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
        } else if let Some(next) = step(pattern, p, text[t]) {
            p = next;
            t += 1;
        } else if let Some((after, taken)) = star {
            star = Some((after, taken + 1));
            p = after;
            t = taken + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// Matches one character; gives where the pattern goes on.
fn step(pattern: &[u8], at: usize, c: u8) -> Option<usize> {
    match *pattern.get(at)? {
        b'?' => Some(at + 1),
        b'[' => {
            let end = at + pattern[at..].iter().position(|c| *c == b']')?;
            let set = &pattern[at + 1..end];
            let mut n = 0;
            while n < set.len() {
                if set.get(n + 1) == Some(&b'-') && n + 2 < set.len() {
                    if (set[n]..=set[n + 2]).contains(&c) {
                        return Some(end + 1);
                    }
                    n += 3;
                } else {
                    if set[n] == c {
                        return Some(end + 1);
                    }
                    n += 1;
                }
            }
            None
        }
        other => (other == c).then_some(at + 1),
    }
}

/// Normal form of an alias pattern: ranges keep their `-`.
pub fn normal_pattern(pattern: &str) -> String {
    let mut in_range = false;
    pattern
        .chars()
        .map(|c| {
            in_range = match c {
                '[' => true,
                ']' => false,
                _ => in_range,
            };
            if c == '-' && !in_range { '_' } else { c }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let yes = |p: &str, t: &str| assert!(matches(p.as_bytes(), t.as_bytes()), "{p} {t}");
        let no = |p: &str, t: &str| assert!(!matches(p.as_bytes(), t.as_bytes()), "{p} {t}");
        yes("fs_squashfs", "fs_squashfs");
        yes("pci:v00001AF4d*sv*", "pci:v00001AF4d00001000sv0001");
        yes("a*b*c", "axxbxxbyyc");
        yes("usb:v[0-9A-C]?", "usb:vBx");
        yes("*", "");
        no("usb:v[0-9A-C]?", "usb:vDx");
        no("a*b", "axxc");
        no("a", "");
        no("", "a");
        no("[", "x");
    }

    #[test]
    fn names() {
        assert_eq!(name_of_file("kernel/fs/crc32c-intel.ko.xz"), "crc32c_intel");
        assert_eq!(name_of_file("loop.ko"), "loop");
        assert_eq!(normal_pattern("net-pf-[0-9]-x"), "net_pf_[0-9]_x");
    }
}
