//! Goes through the data bytes of a plan, any range of them, in the order of the type map. What is
//! done with the runs is the visitor's business (`user_buf` copies them); no memory is touched
//! here. A position is found by division and bisection, so a message can be continued at any byte
//! without remembering anything.

use super::plan::{Nest, Part, Plan, Run};
use std::ops::Range;

/// Takes runs of data bytes, in order.
pub(crate) trait Visit {
    /// `len` bytes at address `at`.
    fn run(&mut self, at: usize, len: usize);

    /// `count` runs of `len` bytes, `stride` bytes apart.
    #[inline]
    fn strided(&mut self, at: usize, len: usize, count: usize, stride: isize) {
        let mut at = at;
        for _ in 0..count {
            self.run(at, len);
            at = at.wrapping_add_signed(stride);
        }
    }

    /// Runs of `len` bytes at these offsets from `at`.
    #[inline]
    fn blocks(&mut self, at: usize, len: usize, offsets: &[isize]) {
        for offset in offsets {
            self.run(at.wrapping_add_signed(*offset), len);
        }
    }
}

/// Calls `f` with offset and length of each run of a plan.
pub(super) fn each_run(plan: &Plan, f: &mut dyn FnMut(isize, usize)) {
    struct Each<'a>(&'a mut dyn FnMut(isize, usize));
    impl Visit for Each<'_> {
        fn run(&mut self, at: usize, len: usize) {
            (self.0)(at.cast_signed(), len);
        }
    }
    whole(plan, 0, &mut Each(f));
}

/// Data bytes `from..to` of `count` elements of `plan` at `base`, `extent` bytes apart.
#[inline]
pub(super) fn elements<V: Visit>(
    plan: &Plan,
    base: usize,
    (count, extent): (usize, isize),
    (from, to): (usize, usize),
    visit: &mut V,
) {
    if from >= to {
        return;
    }
    if let Plan::Nest(one) = plan
        && let Some(all) = one.repeat(count, extent)
    {
        nest_range(&all, 0, base.wrapping_add_signed(all.at), (from, to), visit);
    } else {
        repeat_range(plan, base, (extent, plan.size()), (from, to), visit);
    }
}

/// The address of data bytes `from..to` of an element of `plan` at `base`, if they are a part of one run and finding
/// that out takes no going through runs.
#[inline]
pub(super) fn run_at(plan: &Plan, base: usize, (from, to): (usize, usize)) -> Option<usize> {
    let (at, within, len) = match plan {
        Plan::Nest(nest) => {
            let (mut at, mut rest) = (nest.at, from);
            for this in &nest.loops[..nest.depth] {
                at = at.wrapping_add(this.stride.wrapping_mul((rest / this.each).cast_signed()));
                rest %= this.each;
            }
            (at, rest, nest.len)
        }
        Plan::Blocks { len, at } => (*at.get(from / len)?, from % len, *len),
        Plan::Runs(list) => {
            let run = list.get(list.partition_point(|r| r.from + r.len <= from))?;
            (run.at, from - run.from, run.len)
        }
        _ => return None,
    };
    (to - from <= len - within).then(|| base.wrapping_add_signed(at).wrapping_add(within))
}

/// A range of bytes in a row of equal pieces.
struct Split {
    /// Piece, and the range in it, if the range begins inside a piece.
    head: Option<(usize, (usize, usize))>,
    /// Pieces that are covered whole.
    full: Range<usize>,
    /// Piece, and how many of its bytes, if the range ends inside a piece.
    tail: Option<(usize, usize)>,
}

#[inline]
fn split(each: usize, (from, to): (usize, usize)) -> Split {
    let (first, a) = (from / each, from % each);
    let (last, b) = (to / each, to % each);
    let tail = (b > 0).then_some((last, b));
    if a == 0 {
        Split { head: None, full: first..last, tail }
    } else if first == last {
        Split { head: Some((first, (a, b))), full: last..last, tail: None }
    } else {
        Split { head: Some((first, (a, each))), full: first + 1..last, tail }
    }
}

#[inline]
pub(super) fn step(base: usize, stride: isize, i: usize) -> usize {
    base.wrapping_add_signed(stride.wrapping_mul(i.cast_signed()))
}

/// Bytes `range` of one element.
fn part<V: Visit>(plan: &Plan, base: usize, range: (usize, usize), visit: &mut V) {
    match plan {
        Plan::Empty => {}
        Plan::Nest(nest) => nest_range(nest, 0, base.wrapping_add_signed(nest.at), range, visit),
        Plan::Blocks { len, at } => {
            let Split { head, full, tail } = split(*len, range);
            if let Some((i, (a, b))) = head {
                visit.run(base.wrapping_add_signed(at[i]).wrapping_add(a), b - a);
            }
            visit.blocks(base, *len, &at[full]);
            if let Some((i, b)) = tail {
                visit.run(base.wrapping_add_signed(at[i]), b);
            }
        }
        Plan::Runs(list) => runs_range(list, base, range, visit),
        Plan::Repeat { at, stride, each, of, .. } => {
            repeat_range(of, base.wrapping_add_signed(*at), (*stride, *each), range, visit);
        }
        Plan::Parts(parts) => parts_range(parts, base, range, visit),
    }
}

/// All bytes of one element.
fn whole<V: Visit>(plan: &Plan, base: usize, visit: &mut V) {
    match plan {
        Plan::Empty => {}
        Plan::Nest(nest) => nest_whole(nest, 0, base.wrapping_add_signed(nest.at), visit),
        Plan::Blocks { len, at } => visit.blocks(base, *len, at),
        Plan::Runs(list) => runs_whole(list, base, visit),
        Plan::Repeat { at, count, stride, of, .. } => {
            repeat_whole(of, base.wrapping_add_signed(*at), *stride, 0..*count, visit);
        }
        Plan::Parts(parts) => {
            for p in &**parts {
                whole(&p.plan, base.wrapping_add_signed(p.at), visit);
            }
        }
    }
}

/// Bytes `range` of the loops of a nest from `level` on, whose first run is at `base`.
fn nest_range<V: Visit>(nest: &Nest, level: usize, base: usize, range: (usize, usize), visit: &mut V) {
    if level == nest.depth {
        visit.run(base.wrapping_add(range.0), range.1 - range.0);
        return;
    }
    let this = nest.loops[level];
    let Split { head, full, tail } = split(this.each, range);
    if let Some((i, range)) = head {
        nest_range(nest, level + 1, step(base, this.stride, i), range, visit);
    }
    if !full.is_empty() {
        nest_loop(nest, level, step(base, this.stride, full.start), full.len(), visit);
    }
    if let Some((i, b)) = tail {
        nest_range(nest, level + 1, step(base, this.stride, i), (0, b), visit);
    }
}

fn nest_whole<V: Visit>(nest: &Nest, level: usize, base: usize, visit: &mut V) {
    if level == nest.depth {
        visit.run(base, nest.len);
    } else {
        nest_loop(nest, level, base, nest.loops[level].count, visit);
    }
}

/// `count` repetitions of loop `level`.
fn nest_loop<V: Visit>(nest: &Nest, level: usize, base: usize, count: usize, visit: &mut V) {
    let stride = nest.loops[level].stride;
    if level + 1 == nest.depth {
        visit.strided(base, nest.len, count, stride);
    } else {
        let inner = nest.loops[level + 1].count;
        for i in 0..count {
            nest_loop(nest, level + 1, step(base, stride, i), inner, visit);
        }
    }
}

fn repeat_range<V: Visit>(
    of: &Plan,
    base: usize,
    (stride, each): (isize, usize),
    range: (usize, usize),
    visit: &mut V,
) {
    let Split { head, full, tail } = split(each, range);
    if let Some((i, range)) = head {
        part(of, step(base, stride, i), range, visit);
    }
    repeat_whole(of, base, stride, full, visit);
    if let Some((i, b)) = tail {
        part(of, step(base, stride, i), (0, b), visit);
    }
}

fn repeat_whole<V: Visit>(of: &Plan, base: usize, stride: isize, which: Range<usize>, visit: &mut V) {
    if let Plan::Runs(list) = of {
        // The usual array of structures.
        for i in which {
            runs_whole(list, step(base, stride, i), visit);
        }
    } else {
        for i in which {
            whole(of, step(base, stride, i), visit);
        }
    }
}

#[inline]
fn runs_whole<V: Visit>(list: &[Run], base: usize, visit: &mut V) {
    for r in list {
        visit.run(base.wrapping_add_signed(r.at), r.len);
    }
}

fn runs_range<V: Visit>(list: &[Run], base: usize, (from, to): (usize, usize), visit: &mut V) {
    let first = list.partition_point(|r| r.from + r.len <= from);
    for r in &list[first..] {
        if r.from >= to {
            break;
        }
        let (a, b) = (from.saturating_sub(r.from), (to - r.from).min(r.len));
        visit.run(base.wrapping_add_signed(r.at).wrapping_add(a), b - a);
    }
}

fn parts_range<V: Visit>(parts: &[Part], base: usize, (from, to): (usize, usize), visit: &mut V) {
    // The part that holds byte `from` is the last that begins at or before it.
    let first = parts.partition_point(|p| p.from <= from) - 1;
    for (i, p) in parts.iter().enumerate().skip(first) {
        if p.from >= to {
            break;
        }
        let end = parts.get(i + 1).map_or(usize::MAX, |next| next.from);
        let base = base.wrapping_add_signed(p.at);
        if from <= p.from && end <= to {
            whole(&p.plan, base, visit);
        } else {
            part(&p.plan, base, (from.saturating_sub(p.from), to.min(end) - p.from), visit);
        }
    }
}
