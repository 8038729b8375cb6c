//! A rank's part in an operation on a board: what it gives, whose parts it wants, and what it makes of them.
//! Contributions are combined in rank order.
//!
//! A long Allreduce is a sequence of operations, two for each piece of a chunk: in the first one all give the piece, and rank r
//! combines the r-th share of it; in the second one all give the share that they have combined.

use super::ground::Place;
use crate::coll::turn::Called;
use crate::copy::copy;
use crate::op::Reduction;
use shm::coll::{LINE_BYTES, Shape};
use std::ops::Range;

/// See above. Its maker vouches that the memory is valid while the operation is active.
#[derive(Clone, Copy)]
pub(in crate::coll) struct Part {
    /// What was called, as the others must have called it.
    what: u64,
    /// What I contribute.
    mine: *const u8,
    /// Where the result goes, if I want any parts.
    out: *mut u8,
    /// Whose parts I want: of these ranks.
    first: u32,
    end: u32,
    way: Way,
    /// How contributions are combined; none: they have no bytes.
    reduction: Option<Reduction>,
    /// Elements of a contribution, and bytes of one.
    elements: usize,
    element: usize,
    /// The operation so many before this one has to be over before I give my part.
    after: u64,
}

/// What is given, and made of that.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Contributions are given, and combined.
    Whole,
    /// Contributions are given, and each rank combines its share of them.
    Share,
    /// Shares that were combined are given, and put together.
    Spread,
}

/// A rank has given so many bytes as it must not.
pub(in crate::coll) struct Wrong {
    pub(in crate::coll) rank: u32,
    pub(in crate::coll) sent: usize,
    pub(in crate::coll) room: usize,
}

// SAFETY: the pointers are to memory that the user lent for the operation, whichever thread carries it out.
unsafe impl Send for Part {}

impl Part {
    /// Without any bytes.
    pub(in crate::coll) fn empty(wants: Range<u32>) -> Self {
        Self {
            what: 0,
            mine: std::ptr::null(),
            out: std::ptr::null_mut(),
            first: wants.start,
            end: wants.end,
            way: Way::Whole,
            reduction: None,
            elements: 0,
            element: 0,
            after: 0,
        }
    }

    /// `elements` elements of `element` bytes at `mine`, without gaps, to be combined with those of others at `out`. `shared`: in
    /// pieces, of which each rank combines a share; all want the parts of all then.
    #[inline]
    pub(in crate::coll) fn combined(
        wants: Range<u32>,
        reduction: Reduction,
        (elements, element): (usize, usize),
        (mine, out): (*const u8, *mut u8),
        shared: bool,
    ) -> Self {
        let way = if shared { Way::Share } else { Way::Whole };
        Self { way, elements, element, mine, out, reduction: Some(reduction), ..Self::empty(wants) }
    }

    /// It is a part of this collective.
    #[inline]
    pub(in crate::coll) fn is_of(&mut self, called: &Called) {
        self.what = called.what;
    }

    /// Bytes that each rank contributes; none: it has none to contribute.
    #[inline]
    pub(in crate::coll) fn contribution(&self) -> Option<usize> {
        self.reduction.is_some().then_some(self.elements * self.element)
    }

    /// Whether it takes one operation.
    #[inline]
    pub(super) fn is_one(&self) -> bool {
        self.way == Way::Whole
    }

    /// The memory for one that is started again and again.
    pub(super) fn shape(&self, ranks: u32) -> Shape {
        if self.is_one() { Shape::of_one(ranks, self.elements * self.element) } else { Shape::of_long(ranks) }
    }

    /// The operations that a long one takes, in order.
    pub(super) fn operations(self, shape: &Shape) -> impl Iterator<Item = Self> {
        let most = (shape.chunk_bytes() / self.element.max(1)).max(1);
        let pieces = self.elements.div_ceil(most);
        let piece = move |i: usize, way, after| {
            let at = i * most * self.element;
            let (mine, out) = (self.mine.wrapping_add(at), self.out.wrapping_add(at));
            Self { mine, out, elements: most.min(self.elements - i * most), way, after, ..self }
        };
        // Of each piece the share is combined before the next but one is given: nobody waits for what it has asked for just now.
        (0..=pieces).flat_map(move |i| {
            let given = (i < pieces).then(|| piece(i, Way::Share, 0));
            let after = match (i, pieces) {
                (1, 1) => 1,
                (1, _) => 2,
                (i, _) if i == pieces => 2,
                _ => 3,
            };
            let shared = (i > 0).then(|| piece(i - 1, Way::Spread, after));
            given.into_iter().chain(shared)
        })
    }

    #[inline]
    pub(in crate::coll) fn needs_chunk(&self) -> bool {
        self.way != Way::Whole || self.elements * self.element > LINE_BYTES
    }

    /// In how many places of the kind that it needs a rank's parts lie in turn.
    #[inline]
    pub(super) fn depth(&self, shape: &Shape) -> u64 {
        if self.needs_chunk() { shape.chunks() } else { shape.lines() }
    }

    /// Bytes of a chunk that are given and taken; those of lines do not count.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        if self.needs_chunk() { self.elements * self.element } else { 0 }
    }

    /// See `Part`.
    #[inline]
    pub(super) fn after(&self) -> u64 {
        self.after
    }

    /// The ranks whose parts are wanted.
    #[inline]
    pub(super) fn wants(&self) -> Range<u32> {
        self.first..self.end
    }

    /// The elements of `rank`'s share: the first one, and how many.
    #[inline]
    fn share(&self, rank: u32, ranks: u32) -> (usize, usize) {
        let cut = |rank: u32| self.elements * rank as usize / ranks as usize;
        (cut(rank), cut(rank + 1) - cut(rank))
    }

    /// So many bytes `rank` has to give.
    #[inline]
    fn due(&self, rank: u32, ranks: u32) -> usize {
        self.element * if self.way == Way::Spread { self.share(rank, ranks).1 } else { self.elements }
    }

    /// Whether the part of `rank` is there. One of another collective is not, nor one that shows that the rank has another
    /// number of pieces: ranks disagree then, which is found when the wait has lasted (`disagree`).
    #[inline]
    pub(super) fn has_come(&self, place: &Place, rank: u32, number: u64) -> bool {
        place.line(rank, number).published(number).is_some_and(|(what, sent)| {
            what == self.what && (self.way == Way::Whole || sent as usize == self.due(rank, place.ranks()))
        })
    }

    /// The first rank whose part is wanted and has not come, after so many that have.
    #[inline]
    pub(super) fn late(&self, place: &Place, me: u32, number: u64, seen: u32) -> Option<u32> {
        let mut wanted = self.first + seen..self.end;
        wanted.find(|rank| *rank != me && !self.has_come(place, *rank, number))
    }

    /// With one rank there is nothing to wait for: what I contribute is the result.
    ///
    /// # Safety
    /// The memory is valid.
    pub(in crate::coll) unsafe fn keep_own(&self) {
        let len = self.elements * self.element;
        if len > 0 && !self.wants().is_empty() && !self.in_place() {
            // SAFETY: the caller's word; contribution and result are apart (`combined`).
            unsafe { copy(self.out, self.mine, len) };
        }
    }

    /// The address of the bytes of `rank`'s part.
    #[inline]
    fn bytes_of(&self, place: &Place, rank: u32, number: u64) -> *mut u8 {
        let line = || place.line(rank, number).payload();
        if self.needs_chunk() { place.chunk(rank, number).unwrap_or_else(line) } else { line() }
    }

    fn in_place(&self) -> bool {
        std::ptr::eq(self.mine, self.out)
    }

    /// Publishes what I give. `done`: so many operations I am done with.
    ///
    /// # Safety
    /// The operation is active, and my place is free.
    #[inline]
    pub(super) unsafe fn publish(&self, place: &mut Place, me: u32, number: u64, done: u64) {
        let (to, len) = (self.bytes_of(place, me, number), self.due(me, place.ranks()));
        // SAFETY: line and chunk have room for `len` bytes (`needs_chunk`, `operations`); the caller's word for what I give.
        unsafe {
            match self.way {
                Way::Whole => copy(to, self.mine, len),
                _ => self.fill(place, me, to, len),
            }
        }
        let line = place.line(me, number);
        line.set_note(done);
        line.publish(number, self.what, len as u64);
        place.wake_others();
    }

    /// # Safety
    /// As for [`Self::publish`]; `to` has room for `len` bytes.
    unsafe fn fill(&self, place: &mut Place, me: u32, to: *mut u8, len: usize) {
        let (at, count) = self.share(me, place.ranks());
        let (at, end) = (at * self.element, (at + count) * self.element);
        // SAFETY: the caller's word.
        unsafe {
            match self.way {
                Way::Spread => place.fill(to, self.out.add(at), len),
                // Nobody else wants my own share.
                _ if !self.in_place() => {
                    place.fill(to, self.mine, at);
                    place.fill(to.add(end), self.mine.add(end), len - end);
                }
                _ => place.fill(to, self.mine, len),
            }
        }
    }

    /// Makes the result of the parts, which have come; what was wrong.
    ///
    /// # Safety
    /// The operation is active.
    #[inline]
    pub(super) unsafe fn take(&self, place: &mut Place, me: u32, number: u64) -> Option<Wrong> {
        let mut done = u64::MAX;
        for rank in self.wants().filter(|rank| *rank != me) {
            let line = place.line(rank, number);
            let (sent, room) =
                (line.published(number).map_or(0, |(_, sent)| sent as usize), self.due(rank, place.ranks()));
            if sent != room {
                return Some(Wrong { rank, sent, room });
            }
            done = done.min(line.note());
        }
        if self.wants() == (0..place.ranks()) {
            place.all_said(done);
        }
        // SAFETY: the caller's word; the lengths were compared.
        unsafe {
            match self.way {
                Way::Whole => self.combine(place, me, number),
                Way::Share => self.combine_share(place, me, number),
                Way::Spread => self.put_together(place, me, number),
            }
        }
        None
    }

    /// # Safety
    /// As for [`Self::take`], and all parts have the bytes that are due.
    #[inline]
    unsafe fn combine(&self, place: &Place, me: u32, number: u64) {
        let len = self.elements * self.element;
        let Some(reduction) = self.reduction.as_ref().filter(|_| len > 0) else { return };
        let Some(first) = self.wants().next() else { return };
        // My own where it is, unless it lies where the result goes: it would be gone when its turn comes.
        let own = |rank: u32| rank == me && !self.in_place();
        let of = |rank: u32| if own(rank) { self.mine } else { self.bytes_of(place, rank, number).cast_const() };
        // SAFETY: all are valid for `len` bytes, and the same or apart.
        unsafe {
            if self.needs_chunk() {
                if self.wants().len() == 1 {
                    return copy(self.out, of(first), len);
                }
                let mut left = of(first);
                for rank in first + 1..self.end {
                    reduction.apply3(self.out, left, of(rank), self.elements);
                    left = self.out;
                }
            } else {
                // Aligned for every basic type that fits into a line.
                let mut all = [0u128; LINE_BYTES.div_ceil(16)];
                let mut next = [0u128; LINE_BYTES.div_ceil(16)];
                let (all, next) = (all.as_mut_ptr().cast::<u8>(), next.as_mut_ptr().cast::<u8>());
                copy(all, of(first), len);
                for rank in first + 1..self.end {
                    copy(next, of(rank), len);
                    reduction.apply3(all, all, next, self.elements);
                }
                copy(self.out, all, len);
            }
        }
    }

    /// # Safety
    /// As for [`Self::combine`].
    unsafe fn combine_share(&self, place: &Place, me: u32, number: u64) {
        let Some(reduction) = &self.reduction else { return };
        let (at, count) = self.share(me, place.ranks());
        let at = at * self.element;
        let own = |rank: u32| rank == me && !self.in_place();
        let of = |rank: u32| {
            let bytes = if own(rank) { self.mine } else { self.bytes_of(place, rank, number).cast_const() };
            bytes.wrapping_add(at)
        };
        let out = self.out.wrapping_add(at);
        let mut left = of(0);
        for rank in 1..place.ranks() {
            // SAFETY: all are valid for `count` elements, and the same or apart.
            unsafe { reduction.apply3(out, left, of(rank), count) };
            left = out;
        }
    }

    /// # Safety
    /// As for [`Self::combine`].
    unsafe fn put_together(&self, place: &Place, me: u32, number: u64) {
        for rank in (0..place.ranks()).filter(|rank| *rank != me) {
            let (at, count) = self.share(rank, place.ranks());
            let from = self.bytes_of(place, rank, number);
            // SAFETY: the chunk has these bytes, the result room for them. What I contributed there I have given before.
            unsafe { copy(self.out.wrapping_add(at * self.element), from, count * self.element) };
        }
    }
}
