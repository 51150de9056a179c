//! Hypotheses that no trial so far can tell apart.
//!
//! A trial of version x splits the hypotheses into those whose culprit x contains and the rest. With
//! some tens of versions tried, thousands of commits fall into some tens of groups; all arithmetic
//! is done on those.

use super::history::History;
use crate::weights::Weights;

/// The groups of hypotheses, split by the versions that were tried.
#[derive(Clone, Debug)]
pub(super) struct Atoms {
    /// Versions that were tried, in order for a list.
    slots: Vec<usize>,
    atoms: Vec<Atom>,
    /// Graph: atom of each version; unused for version 0, which is no candidate.
    of: Vec<u32>,
    len: usize,
}

/// Candidates of which each tried version contains either all or none.
#[derive(Clone, Debug)]
pub(super) struct Atom {
    /// Number of candidates.
    pub size: usize,
    /// List: the first candidate.
    pub first: usize,
    /// Slots whose versions contain these candidates, as bits.
    inside: Vec<u64>,
}

impl Atom {
    /// Whether the version of a slot contains these candidates.
    pub(super) fn is_inside(&self, slot: usize) -> bool {
        self.inside.get(slot / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// The slots whose versions contain these candidates.
    pub(super) fn inside(&self) -> impl Iterator<Item = usize> + '_ {
        self.inside.iter().enumerate().flat_map(|(at, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                (rest != 0).then(|| {
                    let bit = rest.trailing_zeros() as usize;
                    rest &= rest - 1;
                    at * 64 + bit
                })
            })
        })
    }

    fn put(&mut self, slot: usize) {
        if self.inside.len() <= slot / 64 {
            self.inside.resize(slot / 64 + 1, 0);
        }
        self.inside[slot / 64] |= 1 << (slot % 64);
    }
}

impl Atoms {
    pub(super) fn new(history: &History) -> Self {
        let len = history.len();
        let whole = Atom { size: len - 1, first: 1, inside: Vec::new() };
        let of = if history.is_list() { Vec::new() } else { vec![0; len] };
        Self { slots: Vec::new(), atoms: vec![whole], of, len }
    }

    pub(super) fn slots(&self) -> &[usize] {
        &self.slots
    }

    pub(super) fn slot(&self, version: usize) -> Option<usize> {
        self.slots.iter().position(|slot| *slot == version)
    }

    pub(super) fn all(&self) -> &[Atom] {
        &self.atoms
    }

    /// Number of candidates in all.
    pub(super) fn candidates(&self) -> usize {
        self.len - 1
    }

    /// What the candidates of each atom weigh together.
    pub(super) fn weigh(&self, weights: &Weights) -> Vec<f64> {
        let mut sums = vec![0.0; self.atoms.len()];
        (1..self.len).for_each(|at| sums[self.of(at)] += weights.get(at));
        sums
    }

    pub(super) fn of(&self, candidate: usize) -> usize {
        if self.of.is_empty() {
            self.atoms.partition_point(|atom| atom.first <= candidate) - 1
        } else {
            self.of[candidate] as usize
        }
    }

    /// Splits by a version, unless that was done before.
    pub(super) fn split(&mut self, history: &History, version: usize) {
        if self.slot(version).is_some() {
            return;
        }
        if history.is_list() {
            self.slots.push(version);
            self.slots.sort_unstable();
            self.rebuild();
        } else {
            self.slots.push(version);
            self.refine(&history.contained(version));
        }
    }

    /// List: one atom between each two neighbouring slots.
    fn rebuild(&mut self) {
        self.atoms.clear();
        let mut first = 1;
        for (slot, end) in self.slots.iter().copied().enumerate() {
            if end >= first {
                self.atoms.push(self.between(first, end, slot));
                first = end + 1;
            }
        }
        if first < self.len {
            self.atoms.push(self.between(first, self.len - 1, self.slots.len()));
        }
    }

    /// The candidates `first..=last`, contained by the slots from `from` on.
    fn between(&self, first: usize, last: usize, from: usize) -> Atom {
        let mut atom = Atom { size: last + 1 - first, first, inside: Vec::new() };
        (from..self.slots.len()).for_each(|slot| atom.put(slot));
        atom
    }

    /// Graph: splits each atom into what the newest slot contains and what it does not.
    fn refine(&mut self, contained: &[bool]) {
        let slot = self.slots.len() - 1;
        let mut hit = vec![0usize; self.atoms.len()];
        for (candidate, _) in contained.iter().enumerate().skip(1).filter(|(_, inside)| **inside) {
            hit[self.of[candidate] as usize] += 1;
        }
        // Where the contained part goes: the same atom if that is all of it.
        let mut target: Vec<usize> = (0..hit.len()).collect();
        for (atom, hits) in hit.into_iter().enumerate() {
            if hits == 0 {
                continue;
            }
            if hits == self.atoms[atom].size {
                self.atoms[atom].put(slot);
                continue;
            }
            let mut part = self.atoms[atom].clone();
            part.size = hits;
            part.put(slot);
            self.atoms[atom].size -= hits;
            target[atom] = self.atoms.len();
            self.atoms.push(part);
        }
        for (candidate, _) in contained.iter().enumerate().skip(1).filter(|(_, inside)| **inside) {
            let atom = self.of[candidate] as usize;
            self.of[candidate] = u32::try_from(target[atom]).expect("fewer atoms than commits");
        }
    }
}
