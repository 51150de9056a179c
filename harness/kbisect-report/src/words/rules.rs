//! What rules of the packet filter counted.

/// The line behind which the rules stand.
pub(crate) fn rules_counted(count: usize) -> String {
    match count {
        1 => "1 rule of the kernel under test counted packets from set-up to end".to_owned(),
        _ => format!("{count} rules of the kernel under test counted packets from set-up to end"),
    }
}

/// What is said below so many of them, where there are more.
pub(crate) fn more_rules(count: usize, shown: usize) -> Option<String> {
    let more = count.checked_sub(shown).filter(|more| *more > 0)?;
    Some(format!("{more} more are in the trial's record."))
}
