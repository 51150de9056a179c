//! When something on our own side was not alive in a trial, in words.

use kbisect_core::disturbed::{Disturbed, longest};

/// Most gaps that are named one by one.
const MAX_NAMED: usize = 4;

/// One line, or nothing when everyone was alive.
pub(crate) fn disturbed(disturbed: &Disturbed) -> Option<String> {
    if disturbed.is_empty() {
        return None;
    }
    let seconds = |ms: u64| format!("{:.1} s", ms as f64 / 1000.0);
    let named: Vec<String> = longest(&disturbed.gaps, MAX_NAMED)
        .iter()
        .map(|gap| format!("{} for {} at {}", gap.cause, seconds(gap.ms()), seconds(gap.from_ms)))
        .collect();
    let outcome = match disturbed.decided {
        Some(_) => "so there is no verdict",
        None => "which the verdict does not rest on",
    };
    Some(format!("disturbed for {}, {outcome}: {}", seconds(disturbed.total_ms), named.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kbisect_core::disturbed::{Cause, Gap, Gaps};

    #[test]
    fn gaps_are_told_in_one_line() {
        assert_eq!(disturbed(&Disturbed::default()), None);
        let mut gaps = Gaps::default();
        gaps.add(Gap { cause: Cause::HarnessLate, from_ms: 4000, to_ms: 13_000 });
        gaps.add(Gap { cause: Cause::PeerStarved, from_ms: 20_000, to_ms: 20_400 });
        assert_eq!(
            disturbed(&gaps.record(None)).unwrap(),
            "disturbed for 9.4 s, which the verdict does not rest on: kbisect itself did not run for \
             9.0 s at 4.0 s; the peer's QEMU had no processor for 0.4 s at 20.0 s"
        );
        let line = disturbed(&gaps.record(Some(Cause::HarnessLate))).unwrap();
        assert!(line.contains("so there is no verdict"), "{line}");
    }
}
