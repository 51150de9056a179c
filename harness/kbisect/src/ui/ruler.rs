//! The series as one line: a mark for each kernel.

use super::paint::{Ink, Paint};

/// What is known about one kernel, or about several that share a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    /// Not tried, and of no interest any more.
    Excluded,
    /// May be tried.
    Open,
    /// Gave no answer.
    Skipped,
    /// Passed.
    Good,
    /// Failed as the bad end did.
    Bad,
    /// Being tried.
    Running,
}

impl Cell {
    /// Its mark.
    pub fn letter(self) -> char {
        match self {
            Self::Excluded => '-',
            Self::Open => '.',
            Self::Skipped => 's',
            Self::Good => 'o',
            Self::Bad => 'x',
            Self::Running => '?',
        }
    }

    fn ink(self) -> Ink {
        match self {
            Self::Excluded => Ink::Faint,
            Self::Open => Ink::Plain,
            Self::Skipped => Ink::Warning,
            Self::Good => Ink::Good,
            Self::Bad => Ink::Bad,
            Self::Running => Ink::Bright,
        }
    }
}

/// Draws the cells in at most `width` columns. Of cells that share a column the most telling shows.
pub fn draw(cells: &[Cell], width: usize, paint: Paint) -> String {
    let columns = squeeze(cells, width.max(1));
    columns
        .chunk_by(|a, b| a == b)
        .map(|run| {
            let text: String = run.iter().map(|cell| cell.letter()).collect();
            paint.ink(run[0].ink(), &text)
        })
        .collect()
}

fn squeeze(cells: &[Cell], width: usize) -> Vec<Cell> {
    if cells.len() <= width {
        return cells.to_vec();
    }
    let bound = |column: usize| column * cells.len() / width;
    (0..width)
        .filter_map(|column| cells[bound(column)..bound(column + 1)].iter().max().copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_series_keeps_its_answers() {
        let mut cells = vec![Cell::Excluded; 200];
        cells[0] = Cell::Good;
        cells[101] = Cell::Running;
        cells[199] = Cell::Bad;
        let line = draw(&cells, 20, Paint::new(false));
        assert_eq!(line, "o---------?--------x");
    }

    #[test]
    fn a_short_series_has_a_mark_for_each() {
        let cells = [Cell::Good, Cell::Open, Cell::Skipped, Cell::Bad];
        assert_eq!(draw(&cells, 80, Paint::new(false)), "o.sx");
        assert_eq!(draw(&[], 80, Paint::new(false)), "");
    }

    #[test]
    fn colours_go_around_runs_of_marks() {
        let line = draw(&[Cell::Good, Cell::Good, Cell::Open], 80, Paint::new(true));
        assert_eq!(line, "\u{1b}[32moo\u{1b}[0m.");
    }
}
