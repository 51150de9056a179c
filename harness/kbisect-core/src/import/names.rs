//! Names that a scenario allows.

/// A name for a node or a link that is not taken: lower case, other characters become `-`.
pub(super) fn unique(wish: &str, taken: impl Fn(&str) -> bool) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let base: String = wish.chars().map(fits).take(28).collect();
    let numbered = (2..).map(|number| format!("{base}-{number}"));
    let mut names = std::iter::once(base.clone()).chain(numbered);
    names.find(|name| !taken(name)).expect("numbers do not end")
}
