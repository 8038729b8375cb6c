//! Combining contributions, always in rank order, so that the result does not depend on who was early.

use super::Bytes;
use super::build::Builder;
use crate::Result;
use crate::coll::Arg;
use crate::datatype::Type;
use crate::op::Reduction;
use mpi_abi::Op;
use std::sync::Arc;

/// What is to be combined.
#[derive(Clone)]
pub(super) struct Fold {
    pub(super) reduction: Reduction,
    pub(super) kind: Arc<Type>,
}

/// Elements of one rank's contribution.
#[derive(Clone, Copy)]
pub(super) struct Operand {
    /// Where the first one is.
    pub(super) at: *mut u8,
    /// The schedule's own memory, which may be written over.
    pub(super) own: bool,
}

impl Fold {
    /// Elements that there is anything to combine of.
    pub(super) fn of_count(&self, count: usize) -> usize {
        if self.kind.size() == 0 { 0 } else { count }
    }

    /// The address of element `n`, as `base` counts them.
    pub(super) fn element(&self, base: *mut u8, n: usize) -> *mut u8 {
        base.wrapping_offset(self.kind.extent().wrapping_mul(n.cast_signed()))
    }

    /// The bytes of `count` elements from element `at` on.
    pub(super) fn bytes(&self, base: *mut u8, at: usize, count: usize) -> Bytes {
        Bytes::of(base, at.cast_signed(), count, &self.kind)
    }
}

impl Builder<'_> {
    /// The operation on elements of the type of `arg`, which is what all `Combine` steps do from now on.
    pub(super) fn fold(&mut self, op: Op, arg: &Arg) -> Result<Fold> {
        let kind = self.kind(arg.datatype, arg.count)?;
        let fold = Fold { reduction: self.e.ops.reduction(&self.e.types, op, arg.datatype)?, kind };
        self.combine_with(&fold);
        Ok(fold)
    }

    /// Combines `n` elements of each of `operands` into `out`, which is one of them or apart from all. At most one
    /// operand, this process's contribution, is not the schedule's own memory.
    pub(super) fn fold_into(&mut self, fold: &Fold, operands: &[Operand], n: usize, out: *mut u8) {
        let Some((first, rest)) = operands.split_first().filter(|_| n > 0) else { return };
        let user = fold.reduction.is_user();
        let mut so_far = *first;
        for (i, next) in rest.iter().enumerate() {
            let needed_later = rest[i + 1..].iter().any(|later| later.at == out);
            let target = match (user, needed_later) {
                // A predefined operation may write over either operand.
                (false, false) => out,
                (false, true) if so_far.own => so_far.at,
                (false, true) => next.at,
                // A function of the user writes over the second one.
                (true, _) if next.own || next.at == out => next.at,
                (true, _) => {
                    // Not with what lies between elements, which stays as it is in the user's memory.
                    let (from, to) = (fold.bytes(next.at, 0, n), fold.bytes(out, 0, n));
                    self.copy(from, to);
                    self.combine(out, so_far.at, out, n);
                    so_far = Operand { at: out, own: true };
                    continue;
                }
            };
            self.combine(target, so_far.at, next.at, n);
            so_far = Operand { at: target, own: true };
        }
        if so_far.at != out {
            let (from, to) = (fold.bytes(so_far.at, 0, n), fold.bytes(out, 0, n));
            self.copy(from, to);
        }
    }
}
