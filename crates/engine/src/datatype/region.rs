//! The memory that elements of a type cover: from first to last byte, run by run, and in common with other
//! elements. For finding buffers that overlap.

use super::Type;
use std::ops::Range;

/// Bytes of elements whose runs are listed in one go.
const SLICE: usize = 1 << 20;

/// Elements at an address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Region<'a> {
    pub(crate) base: usize,
    pub(crate) count: usize,
    pub(crate) kind: &'a Type,
}

impl Region<'_> {
    /// The bytes of memory from first to last, holes included; `None` if there are none.
    #[inline]
    pub(crate) fn span(&self) -> Option<Range<usize>> {
        let (at, len) = match self.kind.dense_run() {
            Some((at, len)) => (at, len.saturating_mul(self.count)),
            None => self.kind.span(self.count),
        };
        let from = self.base.wrapping_add_signed(at);
        (len > 0).then(|| from..from.saturating_add(len))
    }

    /// Adds the runs of bytes to `to`; false: they would be more than `most`.
    pub(crate) fn runs(&self, most: usize, to: &mut Vec<Range<usize>>) -> bool {
        if let Some((at, len)) = self.kind.contiguous_run(self.count) {
            let from = self.base.wrapping_add_signed(at);
            if len > 0 {
                to.push(from..from.saturating_add(len));
            }
            return to.len() <= most;
        }
        let bytes = self.kind.size().saturating_mul(self.count);
        let mut from = 0;
        while from < bytes {
            let end = (from + SLICE).min(bytes);
            self.kind.each_run(self.base as *const u8, self.count, from, end, |at, len| to.push(at..at + len));
            if to.len() > most {
                return false;
            }
            from = end;
        }
        true
    }
}

/// What two ranges have in common.
#[inline]
pub(crate) fn common(one: &Range<usize>, two: &Range<usize>) -> Option<Range<usize>> {
    let both = one.start.max(two.start)..one.end.min(two.end);
    (!both.is_empty()).then_some(both)
}

/// The first bytes that two lists of runs have in common; sorts them.
pub(crate) fn first_common(ours: &mut [Range<usize>], theirs: &mut [Range<usize>]) -> Option<Range<usize>> {
    ours.sort_unstable_by_key(|run| run.start);
    theirs.sort_unstable_by_key(|run| run.start);
    let (mut ours, mut theirs) = (ours.iter().peekable(), theirs.iter().peekable());
    loop {
        let (one, two) = (ours.peek()?, theirs.peek()?);
        if let Some(both) = common(one, two) {
            return Some(both);
        }
        if one.end <= two.end {
            ours.next();
        } else {
            theirs.next();
        }
    }
}
