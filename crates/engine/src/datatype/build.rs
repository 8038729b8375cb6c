//! The constructors of types other than arrays (MPI-5.0 section 5.1.2): each checks its arguments
//! and comes down to one of two shapes, regular blocks or a list of blocks. Called by the shim
//! through `table`.

use super::basic::Basic;
use super::plan::{List, Plan};
use super::signature::Signature;
use super::types::{Bounds, Call, Span, Type, too_large};
use crate::error::{Error, Result};
use mpi_abi::consts::{MPI_ERR_ARG, MPI_ERR_COUNT};
use std::sync::Arc;

/// What a type consists of, without the call that made it.
pub(super) struct Shape {
    bounds: Bounds,
    signature: Signature,
    plan: Plan,
}

impl Shape {
    /// The type that `call` made.
    pub(super) fn made_by(self, call: Call) -> Type {
        Type::new(call, self.bounds, self.signature, self.plan)
    }
}

pub(super) fn check_count(count: i64) -> Result<usize> {
    usize::try_from(count)
        .map_err(|_| Error::new(MPI_ERR_COUNT, format!("the count is {count}, and must not be negative")))
}

fn check_len(len: i64) -> Result<usize> {
    let text = || format!("the block length is {len}, and must not be negative");
    usize::try_from(len).map_err(|_| Error::new(MPI_ERR_ARG, text()))
}

fn check_size(size: i128) -> Result<()> {
    if size > i128::from(i64::MAX) { Err(too_large("the size", size)) } else { Ok(()) }
}

fn bytes(elements: i64, of: &Type) -> Result<i64> {
    let wide = i128::from(elements) * of.extent() as i128;
    i64::try_from(wide).map_err(|_| too_large("a displacement", wide))
}

/// `count` blocks of `len` elements of `of`, `stride` bytes apart.
pub(super) fn regular(count: usize, len: usize, stride: i64, of: &Type) -> Result<Shape> {
    check_size(of.size as i128 * count as i128 * len as i128)?;
    let mut span = Span::default();
    if count > 0 && len > 0 {
        let extent = of.extent() as i128;
        let (last_block, last_element) = (i128::from(stride) * (count as i128 - 1), extent * (len as i128 - 1));
        for at in [0, last_block, last_element, last_block + last_element] {
            span.add(of, at);
        }
    }
    let bounds = span.bounds()?;
    Ok(Shape {
        bounds,
        signature: of.signature.repeat(count as u64 * len as u64),
        plan: of.plan.repeat(len, of.extent()).repeat(count, stride as isize),
    })
}

/// Blocks of `len` elements of `of` at byte `at`, in this order.
pub(super) fn list<'a>(blocks: impl Iterator<Item = Result<(i64, usize, &'a Type)>>) -> Result<Shape> {
    let (mut span, mut plan, mut signature) = (Span::default(), List::default(), Signature::EMPTY);
    let (mut size, mut past) = (0i128, None::<(usize, &Type, Plan, Signature)>);
    for block in blocks {
        let (at, len, of) = block?;
        if len == 0 {
            continue;
        }
        size += of.size as i128 * len as i128;
        check_size(size)?;
        span.add(of, at.into());
        span.add(of, i128::from(at) + of.extent() as i128 * (len as i128 - 1));
        // Blocks of one length in a row are the rule: what they have in common is made once.
        let same = past.as_ref().is_some_and(|(n, t, ..)| *n == len && std::ptr::eq(*t, of));
        if !same {
            past = Some((len, of, of.plan.repeat(len, of.extent()), of.signature.repeat(len as u64)));
        }
        if let Some((_, _, one, signed)) = &past {
            plan.push(at as isize, one);
            signature = signature.then(*signed);
        }
    }
    Ok(Shape { bounds: span.bounds()?, signature, plan: plan.finish() })
}

/// The same data, other bounds.
pub(super) fn resized(of: &Type, lb: i64, extent: i64) -> Result<Shape> {
    let ub = i128::from(lb) + i128::from(extent);
    let ub = i64::try_from(ub).map_err(|_| too_large("the upper bound", ub))?;
    Ok(Shape { bounds: Bounds { lb, ub, marked: true, ..of.bounds }, signature: of.signature, plan: of.plan.clone() })
}

fn same_number(what: &str, expected: usize, lengths: &[usize]) -> Result<()> {
    if lengths.iter().all(|n| *n == expected) {
        return Ok(());
    }
    Err(Error::new(MPI_ERR_ARG, format!("{what}: arrays of {lengths:?} elements where {expected} are needed")))
}

impl Type {
    /// A predefined type that is one value.
    pub(crate) fn from_basic(basic: &'static Basic) -> Self {
        value(basic).made_by(Call::Basic(basic))
    }

    /// A copy (MPI_Type_dup).
    pub fn dup(of: &Arc<Self>) -> Self {
        let shape = Shape { bounds: of.bounds, signature: of.signature, plan: of.plan.clone() };
        shape.made_by(Call::Dup(of.clone()))
    }

    /// `count` elements in a row.
    pub fn contiguous(count: i64, of: &Arc<Self>) -> Result<Self> {
        Ok(regular(1, check_count(count)?, 0, of)?.made_by(Call::Contiguous { count, of: of.clone() }))
    }

    /// `count` blocks of `len` elements, `stride` extents apart.
    pub fn vector(count: i64, len: i64, stride: i64, of: &Arc<Self>) -> Result<Self> {
        let shape = regular(check_count(count)?, check_len(len)?, bytes(stride, of)?, of)?;
        Ok(shape.made_by(Call::Vector { count, len, stride, of: of.clone() }))
    }

    /// `count` blocks of `len` elements, `stride` bytes apart.
    pub fn hvector(count: i64, len: i64, stride: i64, of: &Arc<Self>) -> Result<Self> {
        let shape = regular(check_count(count)?, check_len(len)?, stride, of)?;
        Ok(shape.made_by(Call::Hvector { count, len, stride, of: of.clone() }))
    }

    /// Blocks of `lens[i]` elements at `at[i]` extents.
    pub fn indexed(lens: Vec<i64>, at: Vec<i64>, of: &Arc<Self>) -> Result<Self> {
        same_number("indexed", lens.len(), &[at.len()])?;
        let shape = list(lens.iter().zip(&at).map(|(n, at)| Ok((bytes(*at, of)?, check_len(*n)?, &**of))))?;
        Ok(shape.made_by(Call::Indexed { lens: lens.into(), at: at.into(), of: of.clone() }))
    }

    /// Blocks of `lens[i]` elements at byte `at[i]`.
    pub fn hindexed(lens: Vec<i64>, at: Vec<i64>, of: &Arc<Self>) -> Result<Self> {
        same_number("hindexed", lens.len(), &[at.len()])?;
        let shape = list(lens.iter().zip(&at).map(|(n, at)| Ok((*at, check_len(*n)?, &**of))))?;
        Ok(shape.made_by(Call::Hindexed { lens: lens.into(), at: at.into(), of: of.clone() }))
    }

    /// Blocks of `len` elements at `at[i]` extents.
    pub fn indexed_block(len: i64, at: Vec<i64>, of: &Arc<Self>) -> Result<Self> {
        let n = check_len(len)?;
        let shape = list(at.iter().map(|at| Ok((bytes(*at, of)?, n, &**of))))?;
        Ok(shape.made_by(Call::IndexedBlock { len, at: at.into(), of: of.clone() }))
    }

    /// Blocks of `len` elements at byte `at[i]`.
    pub fn hindexed_block(len: i64, at: Vec<i64>, of: &Arc<Self>) -> Result<Self> {
        let n = check_len(len)?;
        let shape = list(at.iter().map(|at| Ok((*at, n, &**of))))?;
        Ok(shape.made_by(Call::HindexedBlock { len, at: at.into(), of: of.clone() }))
    }

    /// `lens[i]` elements of `of[i]` at byte `at[i]`.
    pub fn structure(lens: Vec<i64>, at: Vec<i64>, of: Vec<Arc<Self>>) -> Result<Self> {
        same_number("struct", lens.len(), &[at.len(), of.len()])?;
        let blocks = lens.iter().zip(&at).zip(&of);
        let shape = list(blocks.map(|((n, at), of)| Ok((*at, check_len(*n)?, &**of))))?;
        Ok(shape.made_by(Call::Struct { lens: lens.into(), at: at.into(), of: of.into() }))
    }

    /// The same data between other bounds.
    pub fn resized(of: &Arc<Self>, lb: i64, extent: i64) -> Result<Self> {
        Ok(resized(of, lb, extent)?.made_by(Call::Resized { lb, extent, of: of.clone() }))
    }
}

/// One value.
pub(super) fn value(basic: &'static Basic) -> Shape {
    let size = basic.size() as i64;
    Shape {
        bounds: Bounds { lb: 0, ub: size, true_lb: 0, true_ub: size, marked: false, align: basic.repr.align() },
        signature: Signature::of(basic),
        plan: Plan::run(basic.size()),
    }
}
