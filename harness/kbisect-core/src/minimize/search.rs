//! Which ingredients are left out next: halving within each kind, then one by one, until none can go.
//!
//! After Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input (2002), with the
//! kinds as its hierarchy.

use std::collections::{BTreeMap, BTreeSet};

/// What is left out.
type Gone = BTreeSet<usize>;

/// What came of trials without the same ingredients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// The failure was the same.
    pub same: u32,
    /// It was not there, or another one.
    pub other: u32,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// A trial without these.
    Try(Gone),
    /// Nothing: the failure needs all but these.
    Done(Gone),
    /// Nothing: the failure does not show with all of them.
    NotReproduced,
}

/// A reduction, as a function of what was tried.
#[derive(Clone, Debug)]
pub struct Reduction {
    /// The ingredients by kind, the largest kinds first.
    pub classes: Vec<Vec<usize>>,
    /// How often a failure that is not there must be missing, before that is believed.
    pub repeats: u32,
}

impl Reduction {
    /// What is wanted next. `tried` is what is known, `pending` what is under way: it is taken to fail
    /// to show the failure, which is what most do.
    #[must_use]
    pub fn next(&self, tried: &BTreeMap<Gone, Tries>, pending: &[Gone]) -> Want {
        let answer = |gone: &Gone| {
            let tries = tried.get(gone).copied().unwrap_or_default();
            let under_way = pending.iter().filter(|other| *other == gone).count() as u32;
            match tries {
                Tries { same: 1.., .. } => Some(true),
                Tries { other, .. } if other + under_way >= self.repeats => Some(false),
                Tries { .. } => None,
            }
        };
        let whole = Gone::new();
        match answer(&whole) {
            None => return Want::Try(whole),
            Some(false) => return Want::NotReproduced,
            Some(true) => {}
        }
        match self.reduce(&answer) {
            Ok(gone) => Want::Done(gone),
            Err(gone) => Want::Try(gone),
        }
    }

    /// The end of the reduction, or what has to be known for it.
    fn reduce(&self, answer: &dyn Fn(&Gone) -> Option<bool>) -> Result<Gone, Gone> {
        let mut gone = Gone::new();
        for class in &self.classes {
            halve(class, class.len(), &mut gone, answer)?;
        }
        // What was needed by something that went later can go now.
        loop {
            let before = gone.len();
            for class in &self.classes {
                halve(class, 1, &mut gone, answer)?;
            }
            if gone.len() == before {
                return Ok(gone);
            }
        }
    }
}

/// Leaves out parts of a kind, of that size and smaller ones.
fn halve(
    class: &[usize],
    size: usize,
    gone: &mut Gone,
    answer: &dyn Fn(&Gone) -> Option<bool>,
) -> Result<(), Gone> {
    let mut left: Vec<usize> = class.iter().filter(|at| !gone.contains(at)).copied().collect();
    let mut size = size.min(left.len());
    while size > 0 {
        let mut at = 0;
        while at < left.len() {
            let end = (at + size).min(left.len());
            let mut less = gone.clone();
            less.extend(&left[at..end]);
            match answer(&less) {
                None => return Err(less),
                Some(true) => {
                    *gone = less;
                    left.drain(at..end);
                }
                Some(false) => at = end,
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2).min(left.len()) };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reduces with an oracle; gives what is left out and how many trials that took.
    fn reduce(reduction: &Reduction, shows: impl Fn(&Gone) -> bool) -> (Want, usize) {
        let (mut tried, mut trials) = (BTreeMap::<Gone, Tries>::new(), 0);
        loop {
            match reduction.next(&tried, &[]) {
                Want::Try(gone) => {
                    trials += 1;
                    assert!(trials < 10_000);
                    let tries = tried.entry(gone.clone()).or_default();
                    if shows(&gone) { tries.same += 1 } else { tries.other += 1 }
                }
                end => return (end, trials),
            }
        }
    }

    fn classes(sizes: &[usize]) -> Vec<Vec<usize>> {
        let mut first = 0;
        let class = |size: &usize| {
            let class = (first..first + size).collect();
            first += size;
            class
        };
        sizes.iter().map(class).collect()
    }

    #[test]
    fn every_pair_is_found_and_nothing_else_is_kept() {
        let reduction = Reduction { classes: classes(&[3, 8, 17]), repeats: 1 };
        for one in 0..28 {
            for two in one..28 {
                let needed = Gone::from([one, two]);
                let (end, trials) = reduce(&reduction, |gone| gone.is_disjoint(&needed));
                let expected: Gone = (0..28).filter(|at| !needed.contains(at)).collect();
                assert_eq!(end, Want::Done(expected));
                assert!(trials <= 40, "{trials} for {needed:?}");
            }
        }
    }

    #[test]
    fn nothing_that_one_could_do_without_is_left() {
        // 5 is needed as long as 9 is there, which goes later.
        let reduction = Reduction { classes: classes(&[6, 6]), repeats: 1 };
        let shows = |gone: &Gone| !gone.contains(&2) && (!gone.contains(&5) || gone.contains(&9));
        let (end, _) = reduce(&reduction, shows);
        assert_eq!(end, Want::Done((0..12).filter(|at| *at != 2).collect()));
    }

    #[test]
    fn a_failure_that_is_not_there_is_no_failure() {
        let reduction = Reduction { classes: classes(&[4]), repeats: 3 };
        assert_eq!(reduce(&reduction, |_| false), (Want::NotReproduced, 3));
    }

    #[test]
    fn what_is_under_way_is_not_begun_twice() {
        let reduction = Reduction { classes: classes(&[4]), repeats: 1 };
        let tried = BTreeMap::from([(Gone::new(), Tries { same: 1, other: 0 })]);
        let Want::Try(first) = reduction.next(&tried, &[]) else { panic!() };
        let Want::Try(second) = reduction.next(&tried, std::slice::from_ref(&first)) else {
            panic!()
        };
        assert_ne!(first, second);
        assert_eq!(first.len(), 4);
    }
}
