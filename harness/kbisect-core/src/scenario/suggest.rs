//! Lists of what is allowed, and which of it was probably meant.

/// Lists `allowed` and, if one of them is near `given`, proposes it:
/// `` `client`, `server`; did you mean `client`? ``
pub(super) fn choices<'a>(given: &str, allowed: impl IntoIterator<Item = &'a str>) -> String {
    let allowed: Vec<&str> = allowed.into_iter().collect();
    let mut text = quoted(&allowed);
    if let Some(near) = nearest(given, &allowed) {
        text.push_str(&format!("; did you mean `{near}`?"));
    }
    text
}

/// Lists names between back-quotes; `none` for an empty list.
pub(super) fn quoted(names: &[&str]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The one of `allowed` that differs from `given` by a slip or two, if any.
pub fn nearest<'a>(given: &str, allowed: &[&'a str]) -> Option<&'a str> {
    let lower = given.to_lowercase();
    // A third of the letters, at least one: `cpu` finds `cpus`, and `x` does not find `y`.
    let slips = (lower.chars().count() / 3).max(1);
    allowed
        .iter()
        .map(|name| (distance(&lower, &name.to_lowercase()), *name))
        .filter(|(slip, name)| *slip <= slips && *slip < name.chars().count())
        .min_by_key(|(slip, _)| *slip)
        .map(|(_, name)| name)
}

/// Edit distance in which swapping two neighbours is one slip.
fn distance(a: &str, b: &str) -> usize {
    // A key of megabytes takes long to compare; nothing that long is a slip.
    let (long, other) = (a.chars().count(), b.chars().count());
    if long.abs_diff(other) > 3 || long > 64 {
        return usize::MAX;
    }
    strsim::osa_distance(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_proposed_and_far_ones_are_not() {
        let allowed = ["client", "server", "cpus", "iptables-restore"];
        for (given, meant) in [
            ("clinet", Some("client")),
            ("Server", Some("server")),
            ("cpu", Some("cpus")),
            ("iptables_restore", Some("iptables-restore")),
            ("gateway", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(given, &allowed), meant, "{given}");
        }
    }

    #[test]
    fn choices_name_everything_that_is_allowed() {
        assert_eq!(choices("gw", ["client", "server"]), "`client`, `server`");
        assert_eq!(
            choices("serve", ["client", "server"]),
            "`client`, `server`; did you mean `server`?"
        );
        assert_eq!(choices("serve", []), "none");
    }
}
