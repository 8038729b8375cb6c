//! Where the elements of a strided view lie: loops of steps in bytes, and what can be said of them
//! without memory and without MPI. Elements are numbered in C order: the last index runs fastest.

use mpi_abi::Count;

/// `count` steps of `step` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loop {
    pub(super) count: Count,
    pub(super) step: Count,
}

/// Loops, the outermost first, none of them of one step. No loop: one element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) loops: Vec<Loop>,
    /// Elements.
    pub(super) total: Count,
}

/// Some elements, one after the other: a layout at an offset.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) at: Count,
    pub(super) layout: Layout,
}

impl Layout {
    /// Of a view with this shape and these strides. `None`: more elements than there can be.
    pub(super) fn new(dims: impl DoubleEndedIterator<Item = (Count, Count)> + Clone) -> Option<Self> {
        let mut total: Count = 1;
        for (count, _) in dims.clone() {
            // A size of 0 wins, whatever the others are.
            total = if count <= 0 || total == 0 { 0 } else { total.checked_mul(count)? };
        }
        let mut inside_out: Vec<Loop> = Vec::with_capacity(4);
        for (count, step) in dims.rev().filter(|&(count, _)| count > 1) {
            match inside_out.last_mut() {
                // One loop does for two where the inner one ends at the next step of the outer one.
                Some(inner) if inner.step.checked_mul(inner.count) == Some(step) && total > 0 => inner.count *= count,
                _ => inside_out.push(Loop { count, step }),
            }
        }
        inside_out.reverse();
        Some(Self { loops: if total == 0 { Vec::new() } else { inside_out }, total })
    }

    fn of_loops(loops: &[Loop]) -> Self {
        let dims = loops.iter().map(|each| (each.count, each.step));
        // A part of a layout that was counted before.
        Self::new(dims).unwrap_or(Self { loops: Vec::new(), total: 0 })
    }

    /// The same with each element in `count` parts of `size` bytes.
    pub(super) fn split(&self, count: Count, size: Count) -> Option<Self> {
        if self.total == 0 || count == 1 {
            return Some(self.clone());
        }
        let parts = std::iter::once((count, size));
        let mut dims: Vec<_> = self.loops.iter().map(|each| (each.count, each.step)).collect();
        dims.extend(parts);
        Self::new(dims.into_iter())
    }

    /// Whether the elements, of `size` bytes each, lie side by side in their order.
    pub(super) fn is_dense(&self, size: Count) -> bool {
        match self.loops[..] {
            [] => true,
            [Loop { step, .. }] => step == size,
            _ => false,
        }
    }

    /// Whether two of the elements may share bytes. Loops are taken by the length of their steps: each has to step
    /// over all that those before it reach. (Steps that interleave without touching count as sharing.)
    pub(super) fn may_overlap(&self, size: Count) -> bool {
        let mut loops: Vec<(u64, Count)> =
            self.loops.iter().map(|each| (each.step.unsigned_abs(), each.count)).collect();
        loops.sort_unstable();
        let mut reach = i128::from(size);
        for (step, count) in loops {
            if i128::from(step) < reach {
                return true;
            }
            reach += i128::from(step) * (i128::from(count) - 1);
        }
        false
    }

    /// Elements in one step of the outermost loop.
    pub(super) fn unit(&self) -> Count {
        self.loops.get(1..).map_or(1, |inner| inner.iter().map(|each| each.count).product())
    }

    /// One step of the outermost loop, and the distance to the next; of one element `size` bytes.
    pub(super) fn step(&self, size: Count) -> (Self, Count) {
        match self.loops.split_first() {
            Some((outer, inner)) => (Self::of_loops(inner), outer.step),
            None => (self.clone(), size),
        }
    }

    /// `count` elements from number `first` on, as few pieces. They must be there.
    pub(super) fn range(&self, first: Count, count: Count) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if count > 0 {
            cut(&self.loops, 0, first, count, &mut pieces);
        }
        pieces
    }
}

fn cut(loops: &[Loop], at: Count, mut first: Count, mut count: Count, pieces: &mut Vec<Piece>) {
    let Some((outer, inner)) = loops.split_first() else {
        return pieces.push(Piece { at, layout: Layout::of_loops(&[]) });
    };
    let each: Count = inner.iter().map(|each| each.count).product();
    let within = first % each;
    if within > 0 {
        let head = count.min(each - within);
        cut(inner, at + first / each * outer.step, within, head, pieces);
        first += head;
        count -= head;
    }
    let (step, whole) = (first / each, count / each);
    if whole > 0 {
        let mut some = loops.to_vec();
        some[0].count = whole;
        pieces.push(Piece { at: at + step * outer.step, layout: Layout::of_loops(&some) });
    }
    if count % each > 0 {
        cut(inner, at + (step + whole) * outer.step, 0, count % each, pieces);
    }
}
