//! A datatype: what it was made by (for envelope and contents), its bounds, its signature and its
//! copy plan. Never changed after it is made; whether it is committed belongs to the handle
//! (`table`). Called by everything that moves typed data.

use super::basic::Basic;
use super::plan::Plan;
use super::signature::Signature;
use crate::error::{Error, Result};
use crate::p2p::unfit::OBJECT;
use mpi_abi::Datatype;
use mpi_abi::consts::{self, MPI_ERR_VALUE_TOO_LARGE};
use std::ffi::c_int;
use std::sync::Arc;

/// The call that made a type, with its arguments.
#[derive(Debug)]
pub(super) enum Call {
    Basic(&'static Basic),
    Pair {
        value: &'static Basic,
        index: &'static Basic,
        at: usize,
        named: (Datatype, &'static str),
    },
    F90 {
        combiner: c_int,
        p: c_int,
        r: c_int,
        basic: &'static Basic,
    },
    Dup(Arc<Type>),
    Contiguous {
        count: i64,
        of: Arc<Type>,
    },
    Vector {
        count: i64,
        len: i64,
        stride: i64,
        of: Arc<Type>,
    },
    Hvector {
        count: i64,
        len: i64,
        stride: i64,
        of: Arc<Type>,
    },
    Indexed {
        lens: Box<[i64]>,
        at: Box<[i64]>,
        of: Arc<Type>,
    },
    Hindexed {
        lens: Box<[i64]>,
        at: Box<[i64]>,
        of: Arc<Type>,
    },
    IndexedBlock {
        len: i64,
        at: Box<[i64]>,
        of: Arc<Type>,
    },
    HindexedBlock {
        len: i64,
        at: Box<[i64]>,
        of: Arc<Type>,
    },
    Struct {
        lens: Box<[i64]>,
        at: Box<[i64]>,
        of: Box<[Arc<Type>]>,
    },
    Subarray {
        sizes: Box<[i64]>,
        subsizes: Box<[i64]>,
        starts: Box<[i64]>,
        order: c_int,
        of: Arc<Type>,
        inner: Arc<Type>,
    },
    Darray {
        place: [c_int; 2],
        gsizes: Box<[i64]>,
        dims: Box<[[c_int; 3]]>,
        order: c_int,
        of: Arc<Type>,
        inner: Arc<Type>,
    },
    Resized {
        lb: i64,
        extent: i64,
        of: Arc<Type>,
    },
}

/// Where a type begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) lb: i64,
    pub(super) ub: i64,
    /// Of the data alone; both 0 where there is none.
    pub(super) true_lb: i64,
    pub(super) true_ub: i64,
    /// Whether MPI_Type_create_resized set `lb` and `ub`, here or in a part: such bounds are kept
    /// when the type becomes part of another (section 5.1.7).
    pub(super) marked: bool,
    /// Largest alignment of a basic value.
    pub(super) align: usize,
}

/// A datatype.
#[derive(Debug)]
pub struct Type {
    pub(super) size: usize,
    pub(super) bounds: Bounds,
    pub(super) signature: Signature,
    pub(super) plan: Plan,
    /// Offset and length, if any number of elements lie in memory without holes.
    dense: Option<(isize, usize)>,
    /// Whether a large-count function made it.
    pub(super) large: bool,
    pub(super) call: Call,
}

/// The bounds of a type in the making, wide enough not to overflow.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Span {
    data: Option<(i128, i128)>,
    /// The parts as long as their extents are.
    parts: Option<(i128, i128)>,
    marks: Option<(i128, i128)>,
    align: usize,
}

fn widen(span: &mut Option<(i128, i128)>, low: i128, high: i128) {
    *span = Some(span.map_or((low, high), |(a, b)| (a.min(low), b.max(high))));
}

impl Span {
    /// Includes an element of `of` at `at`.
    pub(super) fn add(&mut self, of: &Type, at: i128) {
        let b = &of.bounds;
        if of.size > 0 {
            widen(&mut self.data, at + i128::from(b.true_lb), at + i128::from(b.true_ub));
            widen(&mut self.parts, at + i128::from(b.lb), at + i128::from(b.ub));
            self.align = self.align.max(b.align);
        }
        if b.marked {
            widen(&mut self.marks, at + i128::from(b.lb), at + i128::from(b.ub));
        }
    }

    /// The bounds: the marks if there are any, else those of the parts, the end rounded up so that the
    /// next element is aligned (section 5.1: epsilon). A part counts with its own epsilon; the
    /// standard's formula has only the data, but the other libraries do it so and `mpi4py.util.dtlib`
    /// relies on it.
    pub(super) fn bounds(self) -> Result<Bounds> {
        let align = self.align.max(1);
        let (true_lb, true_ub) = self.data.unwrap_or((0, 0));
        let (lb, ub) = self.marks.unwrap_or_else(|| {
            let ((lb, ub), step) = (self.parts.unwrap_or((0, 0)), align as i128);
            (lb, lb + (ub - lb + step - 1) / step * step)
        });
        let fit = |v: i128| i64::try_from(v).map_err(|_| too_large("a bound", v));
        fit(ub - lb)?;
        fit(true_ub - true_lb)?;
        Ok(Bounds {
            lb: fit(lb)?,
            ub: fit(ub)?,
            true_lb: fit(true_lb)?,
            true_ub: fit(true_ub)?,
            marked: self.marks.is_some(),
            align,
        })
    }
}

/// The error for a type beyond 2^63 bytes.
#[cold]
pub(super) fn too_large(what: &str, value: i128) -> Error {
    Error::new(
        MPI_ERR_VALUE_TOO_LARGE,
        format!("{what} of the datatype would be {value} bytes, more than an MPI_Count holds"),
    )
}

impl Type {
    /// A type of these parts.
    pub(super) fn new(call: Call, bounds: Bounds, signature: Signature, plan: Plan) -> Self {
        let size = plan.size();
        let mut new = Self { size, bounds, signature, plan, dense: None, large: false, call };
        new.dense = new.if_dense();
        new
    }

    fn if_dense(&self) -> Option<(isize, usize)> {
        match &self.plan {
            Plan::Empty => Some((0, 0)),
            Plan::Nest(nest) if nest.depth == 0 && usize::try_from(self.extent()) == Ok(nest.len) => {
                Some((nest.at, nest.len))
            }
            _ => None,
        }
    }

    /// Bytes of data in one element (MPI_Type_size).
    #[inline]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Lower bound.
    #[inline]
    pub fn lb(&self) -> i64 {
        self.bounds.lb
    }

    /// Bytes from one element to the next in memory.
    #[inline]
    pub fn extent(&self) -> isize {
        (self.bounds.ub - self.bounds.lb) as isize
    }

    /// Offset of the first data byte of an element.
    #[inline]
    pub fn true_lb(&self) -> i64 {
        self.bounds.true_lb
    }

    /// Bytes from the first to the last data byte.
    #[inline]
    pub fn true_extent(&self) -> i64 {
        self.bounds.true_ub - self.bounds.true_lb
    }

    /// The memory that `count` elements span: offset of its first byte, and its length (for
    /// temporary buffers: place them so that this offset is their beginning).
    pub fn span(&self, count: usize) -> (isize, usize) {
        if count == 0 || self.size == 0 {
            return (0, 0);
        }
        let last = self.extent().saturating_mul(count.cast_signed() - 1);
        let first = (self.bounds.true_lb as isize).saturating_add(last.min(0));
        (first, last.unsigned_abs().saturating_add(self.true_extent().cast_unsigned() as usize))
    }

    /// Largest alignment of a value in it.
    pub fn align(&self) -> usize {
        self.bounds.align
    }

    /// Basic values of an element.
    pub fn signature(&self) -> Signature {
        self.signature
    }

    /// Offset and length of an element, if any number of them is one run of bytes.
    #[inline]
    pub(crate) fn dense_run(&self) -> Option<(isize, usize)> {
        self.dense
    }

    /// Offset and length, if `count` elements are one run of bytes.
    #[inline]
    pub fn contiguous_run(&self, count: usize) -> Option<(isize, usize)> {
        if let Some((at, len)) = self.dense {
            return Some((at, len * count));
        }
        match &self.plan {
            _ if count == 0 => Some((0, 0)),
            Plan::Nest(nest) if nest.depth == 0 && count == 1 => Some((nest.at, nest.len)),
            _ => None,
        }
    }

    /// The predefined type that is one value, if it is one.
    #[inline]
    pub fn basic(&self) -> Option<&'static Basic> {
        match self.call {
            Call::Basic(basic) | Call::F90 { basic, .. } => Some(basic),
            _ => None,
        }
    }

    /// The one predefined type that all values of the type have, if they do (what reductions
    /// on windows need); pairs are none.
    pub fn uniform_basic(&self) -> Option<&'static Basic> {
        match &self.call {
            Call::Basic(basic) | Call::F90 { basic, .. } => Some(basic),
            Call::Pair { .. } => None,
            Call::Struct { lens, of, .. } => {
                let mut used = of.iter().zip(lens).filter(|(t, len)| **len > 0 && t.size > 0);
                let first = used.next()?.0.uniform_basic()?;
                used.all(|(t, _)| t.uniform_basic().is_some_and(|b| b.repr == first.repr)).then_some(first)
            }
            _ => self.call.only_child()?.uniform_basic(),
        }
    }

    /// Whether it is that of the bytes of objects, or pieces of it.
    #[inline]
    pub(crate) fn is_of_objects(&self) -> bool {
        match &self.call {
            Call::Basic(basic) => basic.handle == OBJECT,
            Call::Hindexed { of, .. } => of.predefined_handle() == Some(OBJECT),
            _ => false,
        }
    }

    /// The types of value and index of a pair, and the offset of the index.
    #[inline]
    pub fn pair(&self) -> Option<(&'static Basic, &'static Basic, usize)> {
        match self.call {
            Call::Pair { value, index, at, .. } => Some((value, index, at)),
            _ => None,
        }
    }

    /// Adds to `done` the parts that lie whole in the first `rest` values of one element, which are fewer
    /// than all: the part that they end in, and how many of its values are left.
    pub(super) fn begin(&self, done: &mut Signature, mut rest: u64) -> Option<(&Self, u64)> {
        match &self.call {
            Call::Basic(_) | Call::F90 { .. } => None,
            Call::Pair { value, .. } => {
                *done = done.then(Signature::of(value));
                // A pair has two values: the first was all that is wanted.
                Some((self, rest - 1))
            }
            Call::Struct { lens, of, .. } => {
                for (kind, len) in of.iter().zip(lens) {
                    let part = kind.signature.repeat(len.unsigned_abs());
                    if part.elements > rest {
                        return Some((kind, rest));
                    }
                    *done = done.then(part);
                    rest -= part.elements;
                }
                None
            }
            _ => Some((self.call.only_child()?, rest)),
        }
    }

    /// What a person calls the type, for error texts.
    pub fn describe(&self) -> String {
        self.describe_to(4)
    }

    fn describe_to(&self, levels: u32) -> String {
        let of = |t: &Type| if levels == 0 { "...".to_owned() } else { t.describe_to(levels - 1) };
        match &self.call {
            Call::Basic(basic) => basic.name.to_owned(),
            Call::Pair { named: (_, name), .. } => (*name).to_owned(),
            Call::F90 { basic, p, r, .. } => format!("Fortran kind({p}, {r}) as {}", basic.name),
            Call::Dup(t) | Call::Resized { of: t, .. } => of(t),
            Call::Contiguous { count, of: t } => format!("contiguous({count}) of {}", of(t)),
            Call::Vector { count, len, stride, of: t } => format!("vector({count}, {len}, {stride}) of {}", of(t)),
            Call::Hvector { count, len, stride, of: t } => format!("hvector({count}, {len}, {stride}) of {}", of(t)),
            Call::Indexed { at, of: t, .. } => format!("indexed({} blocks) of {}", at.len(), of(t)),
            Call::Hindexed { at, of: t, .. } => format!("hindexed({} blocks) of {}", at.len(), of(t)),
            Call::IndexedBlock { at, of: t, .. } => format!("indexed_block({} blocks) of {}", at.len(), of(t)),
            Call::HindexedBlock { at, of: t, .. } => format!("hindexed_block({} blocks) of {}", at.len(), of(t)),
            Call::Struct { of: parts, .. } => {
                let names: Vec<_> = parts.iter().take(4).map(|t| of(t)).collect();
                let more = if parts.len() > 4 { ", ..." } else { "" };
                format!("struct({}{more})", names.join(", "))
            }
            Call::Subarray { subsizes, sizes, of: t, .. } => {
                format!("subarray({subsizes:?} in {sizes:?}) of {}", of(t))
            }
            Call::Darray { gsizes, of: t, .. } => format!("darray(of {gsizes:?}) of {}", of(t)),
        }
    }

    /// Whether the type may not be freed: predefined, or selected by Fortran's kind.
    pub fn is_permanent(&self) -> bool {
        matches!(self.call, Call::Basic(_) | Call::Pair { .. } | Call::F90 { .. })
    }

    /// The predefined handle, if there is one.
    pub fn predefined_handle(&self) -> Option<Datatype> {
        match self.call {
            Call::Basic(basic) => Some(basic.handle),
            Call::Pair { named: (handle, _), .. } => Some(handle),
            _ => None,
        }
    }

    /// The combiner (MPI_Type_get_envelope).
    pub fn combiner(&self) -> c_int {
        match self.call {
            Call::Basic(_) | Call::Pair { .. } => consts::MPI_COMBINER_NAMED,
            Call::F90 { combiner, .. } => combiner,
            Call::Dup(_) => consts::MPI_COMBINER_DUP,
            Call::Contiguous { .. } => consts::MPI_COMBINER_CONTIGUOUS,
            Call::Vector { .. } => consts::MPI_COMBINER_VECTOR,
            Call::Hvector { .. } => consts::MPI_COMBINER_HVECTOR,
            Call::Indexed { .. } => consts::MPI_COMBINER_INDEXED,
            Call::Hindexed { .. } => consts::MPI_COMBINER_HINDEXED,
            Call::IndexedBlock { .. } => consts::MPI_COMBINER_INDEXED_BLOCK,
            Call::HindexedBlock { .. } => consts::MPI_COMBINER_HINDEXED_BLOCK,
            Call::Struct { .. } => consts::MPI_COMBINER_STRUCT,
            Call::Subarray { .. } => consts::MPI_COMBINER_SUBARRAY,
            Call::Darray { .. } => consts::MPI_COMBINER_DARRAY,
            Call::Resized { .. } => consts::MPI_COMBINER_RESIZED,
        }
    }
}

impl Call {
    /// The type that the new one consists of elements of, for all but structures and the
    /// predefined.
    pub(super) fn only_child(&self) -> Option<&Arc<Type>> {
        match self {
            Self::Dup(of)
            | Self::Contiguous { of, .. }
            | Self::Vector { of, .. }
            | Self::Hvector { of, .. }
            | Self::Indexed { of, .. }
            | Self::Hindexed { of, .. }
            | Self::IndexedBlock { of, .. }
            | Self::HindexedBlock { of, .. }
            | Self::Resized { of, .. } => Some(of),
            Self::Subarray { inner, .. } | Self::Darray { inner, .. } => Some(inner),
            Self::Struct { .. } | Self::Basic(_) | Self::Pair { .. } | Self::F90 { .. } => None,
        }
    }

    fn take_children(&mut self, out: &mut Vec<Arc<Type>>) {
        if matches!(self, Self::Basic(_) | Self::Pair { .. } | Self::F90 { .. }) {
            return;
        }
        match std::mem::replace(self, Self::Basic(&super::basic::BASICS[0])) {
            Self::Dup(of)
            | Self::Contiguous { of, .. }
            | Self::Vector { of, .. }
            | Self::Hvector { of, .. }
            | Self::Indexed { of, .. }
            | Self::Hindexed { of, .. }
            | Self::IndexedBlock { of, .. }
            | Self::HindexedBlock { of, .. }
            | Self::Resized { of, .. } => out.push(of),
            Self::Struct { of, .. } => out.extend(of),
            Self::Subarray { of, inner, .. } | Self::Darray { of, inner, .. } => out.extend([of, inner]),
            Self::Basic(_) | Self::Pair { .. } | Self::F90 { .. } => {}
        }
    }
}

/// Without recursion, so that a chain of a million types made of each other does not exhaust the
/// stack when the last one goes.
impl Drop for Type {
    fn drop(&mut self) {
        let mut orphans = Vec::new();
        self.call.take_children(&mut orphans);
        while let Some(orphan) = orphans.pop() {
            if let Some(mut last) = Arc::into_inner(orphan) {
                last.call.take_children(&mut orphans);
            }
        }
    }
}
