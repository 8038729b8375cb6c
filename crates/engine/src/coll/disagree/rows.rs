//! Under `mpiexec --check`: the counts that this process has given to its last collectives with a row of them that must
//! be the same on all ranks (Reduce_scatter), so that a report can say which one differs.

use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock, PoisonError};

/// So many are remembered of each communicator: who looks for a difference is in the collective in question, or has
/// started some more since.
const KEPT: usize = 16;

/// Rows with the collectives' numbers, the oldest first.
type Kept = VecDeque<(u32, Vec<u64>)>;

/// Those of a communicator. Elsewhere in memory, and only if there is one: what lies beside this is used by every
/// collective.
#[derive(Default)]
pub(in super::super) struct Rows(OnceLock<Box<Mutex<Kept>>>);

impl Rows {
    /// Remembers the row of collective `number`.
    #[cold]
    pub(in super::super) fn keep(&self, number: u32, counts: &[usize]) {
        // Whole even after a panic.
        let mut rows = self.0.get_or_init(Box::default).lock().unwrap_or_else(PoisonError::into_inner);
        if rows.len() == KEPT {
            rows.pop_front();
        }
        rows.push_back((number, counts.iter().map(|count| *count as u64).collect()));
    }

    /// The row of collective `number`; empty if there is none, or it is forgotten.
    pub(super) fn of(&self, number: u32) -> Vec<u64> {
        let Some(rows) = self.0.get() else { return Vec::new() };
        let rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter().find(|(known, _)| *known == number).map(|(_, row)| row.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rows_are_remembered() {
        let rows = Rows::default();
        assert!(rows.of(1).is_empty());
        for number in 1..=KEPT as u32 + 1 {
            rows.keep(number, &[number as usize, 7]);
        }
        assert_eq!((rows.of(1), rows.of(2), rows.of(17)), (vec![], vec![2, 7], vec![17, 7]));
    }
}
