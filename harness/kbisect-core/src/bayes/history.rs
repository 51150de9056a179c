//! What is searched: a list of versions, or a graph of commits.

use std::collections::BinaryHeap;

/// The versions of a search and how they descend from each other.
///
/// Position 0 is the end that comes first in history, the last position the end that comes last;
/// every other version lies between. The change can have come with any version but the first.
#[derive(Clone, Debug)]
pub struct History {
    len: usize,
    graph: Option<Graph>,
}

/// Why a history cannot be searched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// A search needs two ends.
    #[error("a series of {len} version(s) has no two ends")]
    TooShort {
        /// Versions given.
        len: usize,
    },
    /// Commits have to be given after their parents.
    #[error("commit {index} is given before its parent {parent}")]
    Order {
        /// The commit.
        index: usize,
        /// Its parent.
        parent: usize,
    },
    /// A commit that the newest one does not contain has no part in the search.
    #[error("commit {index} is not an ancestor of the newest one")]
    NotAncestor {
        /// The commit.
        index: usize,
    },
    /// A position lies outside the history.
    #[error("version {index} lies outside the series of {len}")]
    OutOfRange {
        /// The position.
        index: usize,
        /// Versions in the history.
        len: usize,
    },
}

#[derive(Clone, Debug)]
struct Graph {
    parents: Vec<Vec<usize>>,
    children: Vec<Vec<usize>>,
    /// The parent with the most ancestors.
    base: Vec<usize>,
    /// Ancestors that the base does not have: `extras[begins[i]..begins[i + 1]]`. Each commit is
    /// there about once for each merge that brings it in, which is far less than all ancestors.
    extras: Vec<u32>,
    begins: Vec<usize>,
}

impl History {
    /// A list of `len` versions, oldest first.
    pub fn list(len: usize) -> Result<Self, HistoryError> {
        if len < 2 {
            return Err(HistoryError::TooShort { len });
        }
        Ok(Self { len, graph: None })
    }

    /// A graph of commits. `parents[i]` holds positions of the parents of commit `i`, all of them
    /// before `i`. Commit 0 stands for the old end and everything that it contains; a commit
    /// without parents counts as its child.
    ///
    /// # Errors
    /// [`HistoryError`], unless all commits are given after their parents and are ancestors of the
    /// last.
    pub fn graph(parents: Vec<Vec<usize>>) -> Result<Self, HistoryError> {
        let len = parents.len();
        if len < 2 {
            return Err(HistoryError::TooShort { len });
        }
        for (index, of) in parents.iter().enumerate() {
            if let Some(&parent) = of.iter().find(|parent| **parent >= index) {
                return Err(HistoryError::Order { index, parent });
            }
        }
        let mut parents = parents;
        for of in parents.iter_mut().skip(1) {
            of.sort_unstable();
            of.dedup();
            // The old end is an ancestor of everything.
            if of.is_empty() {
                of.push(0);
            }
        }
        let reached = ancestors(&parents, len - 1);
        if let Some(index) = reached.iter().position(|reached| !reached) {
            return Err(HistoryError::NotAncestor { index });
        }
        Ok(Self { len, graph: Some(Graph::new(parents)) })
    }

    /// Number of versions, both ends included.
    #[expect(clippy::len_without_is_empty, reason = "a history has two ends at least")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the versions form a list.
    pub fn is_list(&self) -> bool {
        self.graph.is_none()
    }

    /// The parents of a version; none for the first.
    pub fn parents(&self, index: usize) -> Vec<usize> {
        match &self.graph {
            None => index.checked_sub(1).into_iter().collect(),
            Some(graph) => graph.parents[index].clone(),
        }
    }

    /// The versions that have this one as parent.
    pub fn children(&self, index: usize) -> Vec<usize> {
        match &self.graph {
            None => (index + 1 < self.len).then_some(index + 1).into_iter().collect(),
            Some(graph) => graph.children[index].clone(),
        }
    }

    /// Which versions `index` contains: itself and its ancestors.
    pub fn contained(&self, index: usize) -> Vec<bool> {
        match &self.graph {
            None => (0..self.len).map(|other| other <= index).collect(),
            Some(graph) => ancestors(&graph.parents, index),
        }
    }

    /// For each version, the sums of `weight` over all versions that it contains, the first one left
    /// out.
    pub(super) fn sums<const N: usize>(&self, weight: impl Fn(usize) -> [f64; N]) -> Vec<[f64; N]> {
        let mut sums = vec![[0.0; N]; self.len];
        for index in 1..self.len {
            let base = match &self.graph {
                None => index - 1,
                Some(graph) => graph.base[index],
            };
            let mut sum = sums[base];
            let mut add = |version: usize| {
                sum.iter_mut().zip(weight(version)).for_each(|(sum, more)| *sum += more);
            };
            add(index);
            if let Some(graph) = &self.graph {
                let extras = &graph.extras[graph.begins[index]..graph.begins[index + 1]];
                extras.iter().for_each(|extra| add(*extra as usize));
            }
            sums[index] = sum;
        }
        sums
    }
}

impl Graph {
    fn new(parents: Vec<Vec<usize>>) -> Self {
        let len = parents.len();
        let mut children = vec![Vec::new(); len];
        for (index, of) in parents.iter().enumerate() {
            for parent in of {
                children[*parent].push(index);
            }
        }
        let (mut base, mut extras) = (vec![0; len], Vec::new());
        let mut begins = vec![0, 0];
        let mut sizes = vec![0usize; len];
        let mut walk = Walk::new(len);
        for index in 1..len {
            let first = *parents[index]
                .iter()
                .max_by_key(|parent| sizes[**parent])
                .expect("all but the first have a parent");
            base[index] = first;
            let before = extras.len();
            if parents[index].len() > 1 {
                walk.beyond(&parents, index, first, &mut extras);
            }
            begins.push(extras.len());
            sizes[index] = sizes[first] + extras.len() - before + 1;
        }
        Self { parents, children, base, extras, begins }
    }
}

/// Finds what a merge contains and its base does not, as `git rev-list merge ^base` does: newest
/// first, until nothing is left that the base might lack.
struct Walk {
    /// Mark of the walk that saw a commit last, and whether the base contains it.
    seen: Vec<(usize, bool)>,
    heap: BinaryHeap<usize>,
}

impl Walk {
    fn new(len: usize) -> Self {
        Self { seen: vec![(0, false); len], heap: BinaryHeap::new() }
    }

    fn beyond(&mut self, parents: &[Vec<usize>], merge: usize, base: usize, out: &mut Vec<u32>) {
        self.heap.clear();
        let mut open = 0usize;
        self.visit(merge, base, true, &mut open);
        for parent in &parents[merge] {
            self.visit(merge, *parent, false, &mut open);
        }
        while open > 0 {
            let Some(index) = self.heap.pop() else { break };
            let (_, inside) = self.seen[index];
            if !inside {
                open -= 1;
                // The first version is in everything and no candidate.
                if index != 0 {
                    out.push(u32::try_from(index).expect("fewer than 2^32 commits"));
                }
            }
            for parent in &parents[index] {
                self.visit(merge, *parent, inside, &mut open);
            }
        }
    }

    fn visit(&mut self, mark: usize, index: usize, inside: bool, open: &mut usize) {
        let (seen, known) = self.seen[index];
        if seen != mark {
            self.seen[index] = (mark, inside);
            *open += usize::from(!inside);
            self.heap.push(index);
        } else if inside && !known {
            // Still in the heap: children come before their parents.
            self.seen[index] = (mark, true);
            *open -= 1;
        }
    }
}

fn ancestors(parents: &[Vec<usize>], of: usize) -> Vec<bool> {
    let mut marks = vec![false; parents.len()];
    marks[of] = true;
    for index in (0..=of).rev() {
        if marks[index] {
            for parent in &parents[index] {
                marks[*parent] = true;
            }
        }
    }
    marks
}
