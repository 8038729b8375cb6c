//! The copy plan of a type: which bytes of an element are data, in the order of the type map,
//! compiled when the type is made. Loops stay loops (a [`Nest`] of up to four, with a run of bytes
//! inside), neighbouring runs are merged, small pieces become lists of runs. `walk` carries
//! plans out; nothing here touches memory.

use std::sync::Arc;

/// Loops of one nest; a subarray of up to five dimensions is one nest, deeper ones become nests of
/// nests.
pub(super) const LOOPS: usize = 4;

/// A part of a type with at most this many runs is written out as runs inside a list.
const WRITE_OUT: usize = 16;

/// A list of at most this many parts inside a list is joined to it, so that chains of structures
/// do not become deep.
const SPLICE: usize = 64;

/// A list of runs that is repeated is written out up to this many runs.
const UNROLL: usize = 256;

/// One loop of a nest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Loop {
    /// Repetitions, at least 2.
    pub(super) count: usize,
    /// Bytes in memory from one to the next.
    pub(super) stride: isize,
    /// Bytes of data in one repetition.
    pub(super) each: usize,
}

/// Runs of equal length at regular distances: loops around one run of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nest {
    /// Offset of the first run.
    pub(super) at: isize,
    /// Bytes of a run.
    pub(super) len: usize,
    /// How many of `loops` are in use.
    pub(super) depth: usize,
    /// Outermost first.
    pub(super) loops: [Loop; LOOPS],
}

impl Nest {
    /// One run.
    pub(super) const fn run(at: isize, len: usize) -> Self {
        Self { at, len, depth: 0, loops: [Loop { count: 0, stride: 0, each: 0 }; LOOPS] }
    }

    /// Bytes of data.
    pub(super) fn size(&self) -> usize {
        if self.depth == 0 { self.len } else { self.loops[0].count * self.loops[0].each }
    }

    /// `count` of these at a distance of `stride`, unless all loops are taken. Where the last run of
    /// one ends at the first of the next, no loop is needed.
    #[inline]
    pub(super) fn repeat(mut self, count: usize, stride: isize) -> Option<Self> {
        if count == 1 {
            return Some(self);
        }
        if self.depth == 0 {
            if usize::try_from(stride) == Ok(self.len) {
                self.len *= count;
                return Some(self);
            }
        } else if self.loops[0].stride.wrapping_mul(self.loops[0].count.cast_signed()) == stride {
            self.loops[0].count *= count;
            return Some(self);
        }
        if self.depth == LOOPS {
            return None;
        }
        let each = self.size();
        self.loops.copy_within(0..LOOPS - 1, 1);
        self.loops[0] = Loop { count, stride, each };
        self.depth += 1;
        Some(self)
    }
}

/// A run of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// Offset.
    pub(super) at: isize,
    /// Bytes.
    pub(super) len: usize,
    /// Bytes of data before it.
    pub(super) from: usize,
}

/// A plan inside a list of plans.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Offset of the plan's origin.
    pub(super) at: isize,
    /// Bytes of data before it.
    pub(super) from: usize,
    /// The plan.
    pub(super) plan: Plan,
}

/// Which bytes of an element are data, and in which order.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    /// None.
    Empty,
    /// Regular.
    Nest(Nest),
    /// Runs of `len` bytes at any offsets.
    Blocks {
        /// Bytes of each.
        len: usize,
        /// Their offsets.
        at: Arc<[isize]>,
    },
    /// Runs of any lengths.
    Runs(Arc<[Run]>),
    /// The same plan several times.
    Repeat {
        /// Offset of the first one's origin.
        at: isize,
        /// How many; 1 where only the offset matters.
        count: usize,
        /// Bytes in memory from one to the next.
        stride: isize,
        /// Bytes of data in each.
        each: usize,
        /// The plan.
        of: Arc<Plan>,
    },
    /// Different plans.
    Parts(Arc<[Part]>),
}

impl Plan {
    /// One run of bytes.
    pub(super) const fn run(len: usize) -> Self {
        Self::Nest(Nest::run(0, len))
    }

    /// Bytes of data.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Nest(nest) => nest.size(),
            Self::Blocks { len, at } => len * at.len(),
            Self::Runs(runs) => runs.last().map_or(0, |r| r.from + r.len),
            Self::Repeat { count, each, .. } => count * each,
            Self::Parts(parts) => parts.last().map_or(0, |p| p.from + p.plan.size()),
        }
    }

    /// Runs of bytes, counted up to a limit that no list reaches.
    fn runs(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Nest(nest) => nest.loops[..nest.depth].iter().fold(1usize, |n, l| n.saturating_mul(l.count)),
            Self::Blocks { at, .. } => at.len(),
            Self::Runs(runs) => runs.len(),
            Self::Repeat { count, of, .. } => of.runs().saturating_mul(*count),
            Self::Parts(parts) => parts.iter().fold(0usize, |n, p| n.saturating_add(p.plan.runs())),
        }
    }

    /// `count` of these at a distance of `stride`.
    pub(super) fn repeat(&self, count: usize, stride: isize) -> Self {
        match self {
            Self::Empty => Self::Empty,
            _ if count == 0 => Self::Empty,
            _ if count == 1 => self.clone(),
            Self::Nest(nest) => match nest.repeat(count, stride) {
                Some(nest) => Self::Nest(nest),
                None => self.repeated(count, stride),
            },
            Self::Repeat { at, count: inner, stride: step, each, of }
                if *inner == 1 || step.wrapping_mul(inner.cast_signed()) == stride =>
            {
                let step = if *inner == 1 { stride } else { *step };
                Self::Repeat { at: *at, count: inner * count, stride: step, each: *each, of: of.clone() }
            }
            _ if self.runs().saturating_mul(count) <= UNROLL => {
                let mut list = List::default();
                for i in 0..count {
                    list.write_out(stride.wrapping_mul(i.cast_signed()), self);
                }
                list.finish()
            }
            _ => self.repeated(count, stride),
        }
    }

    fn repeated(&self, count: usize, stride: isize) -> Self {
        Self::Repeat { at: 0, count, stride, each: self.size(), of: Arc::new(self.clone()) }
    }

    /// The same, `by` bytes further on.
    pub(super) fn shift(&self, by: isize) -> Self {
        match self {
            _ if by == 0 => self.clone(),
            Self::Empty => Self::Empty,
            Self::Nest(nest) => Self::Nest(Nest { at: nest.at.wrapping_add(by), ..*nest }),
            Self::Repeat { at, count, stride, each, of } => {
                Self::Repeat { at: at.wrapping_add(by), count: *count, stride: *stride, each: *each, of: of.clone() }
            }
            _ => Self::Repeat { at: by, count: 1, stride: 0, each: self.size(), of: Arc::new(self.clone()) },
        }
    }
}

/// A plan that is put together from parts in the order of the type map.
#[derive(Debug, Default)]
pub(super) struct List {
    parts: Vec<Part>,
    runs: Vec<Run>,
    /// Bytes of data in `parts`.
    done: usize,
    /// Bytes of data in `runs`.
    open: usize,
}

impl List {
    /// Adds `plan`, its origin at `at`.
    pub(super) fn push(&mut self, at: isize, plan: &Plan) {
        if plan.runs() <= WRITE_OUT {
            self.write_out(at, plan);
        } else if let Plan::Parts(parts) = plan
            && parts.len() <= SPLICE
        {
            for p in &**parts {
                self.push(at.wrapping_add(p.at), &p.plan);
            }
        } else {
            self.close();
            let from = self.done;
            self.done += plan.size();
            self.parts.push(Part { at, from, plan: plan.clone() });
        }
    }

    /// Adds `plan` run by run.
    fn write_out(&mut self, at: isize, plan: &Plan) {
        super::walk::each_run(plan, &mut |offset, len| self.push_run(at.wrapping_add(offset), len));
    }

    fn push_run(&mut self, at: isize, len: usize) {
        if let Some(last) = self.runs.last_mut()
            && last.at.wrapping_add(last.len.cast_signed()) == at
        {
            last.len += len;
        } else {
            self.runs.push(Run { at, len, from: self.open });
        }
        self.open += len;
    }

    /// Makes a part of the runs so far.
    fn close(&mut self) {
        if self.runs.is_empty() {
            return;
        }
        let plan = compact(&self.runs);
        self.runs.clear();
        self.parts.push(Part { at: 0, from: self.done, plan });
        self.done += self.open;
        self.open = 0;
    }

    /// The plan of all parts.
    pub(super) fn finish(mut self) -> Plan {
        self.close();
        match self.parts.len() {
            0 => Plan::Empty,
            1 => self.parts[0].plan.shift(self.parts[0].at),
            _ => Plan::Parts(self.parts.into()),
        }
    }
}

/// The shortest form of a list of runs that is not empty.
fn compact(runs: &[Run]) -> Plan {
    let first = runs[0];
    if runs.len() == 1 {
        return Plan::Nest(Nest::run(first.at, first.len));
    }
    if runs.iter().any(|r| r.len != first.len) {
        return Plan::Runs(runs.into());
    }
    let stride = runs[1].at.wrapping_sub(first.at);
    let regular = runs.windows(2).all(|w| w[1].at.wrapping_sub(w[0].at) == stride);
    match Nest::run(first.at, first.len).repeat(runs.len(), stride) {
        Some(nest) if regular => Plan::Nest(nest),
        _ => Plan::Blocks { len: first.len, at: runs.iter().map(|r| r.at).collect() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_become_one_run() {
        let int = Plan::run(4);
        assert!(matches!(int.repeat(10, 4), Plan::Nest(Nest { len: 40, depth: 0, .. })));
        let mut list = List::default();
        list.push(0, &int);
        list.push(4, &Plan::run(8));
        assert!(matches!(list.finish(), Plan::Nest(Nest { len: 12, depth: 0, .. })));
    }

    #[test]
    fn a_face_of_a_cube_is_one_loop() {
        // The last index fixed in 128 x 128 x 128 doubles.
        let row = Plan::run(8).repeat(128, 1024);
        let Plan::Nest(face) = row.repeat(128, 128 * 1024) else { panic!("irregular") };
        assert_eq!((face.depth, face.loops[0].count, face.size()), (1, 128 * 128, 128 * 128 * 8));
    }

    #[test]
    fn equal_steps_in_a_list_become_a_loop_and_others_blocks() {
        let mut regular = List::default();
        let mut irregular = List::default();
        for i in 0..100isize {
            regular.push(i * 24, &Plan::run(8));
            irregular.push(i * i * 24, &Plan::run(8));
        }
        assert!(matches!(regular.finish(), Plan::Nest(Nest { depth: 1, len: 8, .. })));
        assert!(matches!(irregular.finish(), Plan::Blocks { len: 8, .. }));
    }

    #[test]
    fn a_fifth_loop_goes_around_the_nest() {
        let mut plan = Plan::run(1);
        for i in 1..=5 {
            plan = plan.repeat(3, 5isize.pow(i));
        }
        assert_eq!(plan.size(), 243);
        assert!(matches!(plan, Plan::Repeat { count: 3, .. }));
    }
}
