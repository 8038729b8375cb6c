//! The user's buffers of a collective as plain runs of bytes: a run that is contiguous already is
//! used in place, elements with holes are packed into memory of our own and unpacked at the end.

use super::apart::Piece;
use crate::datatype::Type;
use crate::datatype::region::Region;
use crate::payload::Payload;
use crate::{Engine, Result, with};
use mpi_abi::Datatype;
use std::sync::Arc;

/// A buffer argument: address, elements, type. The shim checked it; the caller of the collective
/// vouches for the memory.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// Address, or `IN_PLACE`.
    pub base: *mut u8,
    /// Elements.
    pub count: usize,
    /// Their type.
    pub datatype: Datatype,
}

/// Bytes to read.
pub(super) struct Source {
    pub ptr: *const u8,
    pub len: usize,
    /// Packed, with where that came from.
    own: Option<(Box<[u8]>, Payload)>,
}

/// Bytes to write; `commit` brings them to the user's memory.
pub(super) struct Target {
    pub ptr: *mut u8,
    pub len: usize,
    own: Option<Box<[u8]>>,
    payload: Payload,
}

/// A type with what its elements' places need.
#[derive(Clone)]
pub(super) struct Shape {
    kind: Arc<Type>,
    pub size: usize,
    pub extent: isize,
}

impl Engine {
    fn shape(&self, datatype: Datatype) -> Result<Shape> {
        let kind = Arc::clone(self.types.committed(datatype)?);
        let (size, extent) = (kind.size(), kind.extent());
        Ok(Shape { kind, size, extent })
    }
}

impl Shape {
    pub(super) fn of(datatype: Datatype) -> Result<Self> {
        with(|e| e.shape(datatype))
    }

    /// The memory of `count` elements at element `at` from `base`.
    pub(super) fn piece(&self, base: *mut u8, at: isize, count: usize) -> Piece<'_> {
        Piece::Elements(Region { base: base.addr().wrapping_add_signed(at * self.extent), count, kind: &self.kind })
    }

    /// The payload of `count` elements at element `at` from `base`.
    ///
    /// # Safety
    /// As for [`Payload::new`].
    pub(super) unsafe fn payload(&self, base: *mut u8, at: isize, count: usize) -> Payload {
        // SAFETY: the caller vouches for the memory.
        unsafe { Payload::new(base.wrapping_offset(at * self.extent), count, &self.kind) }
    }

    /// # Safety
    /// As for [`Payload::new`].
    pub(super) unsafe fn source(&self, base: *mut u8, at: isize, count: usize) -> Source {
        // SAFETY: the caller vouches for the memory.
        let payload = unsafe { self.payload(base, at, count) };
        let len = payload.len();
        if let Some(run) = payload.run() {
            return Source { ptr: run, len, own: None };
        }
        let own = payload.to_bytes();
        Source { ptr: own.as_ptr(), len, own: Some((own, payload)) }
    }

    /// # Safety
    /// As for [`Payload::new`].
    pub(super) unsafe fn target(&self, base: *mut u8, at: isize, count: usize) -> Target {
        // SAFETY: the caller vouches for the memory.
        let payload = unsafe { self.payload(base, at, count) };
        let len = payload.len();
        if let Some(run) = payload.run() {
            return Target { ptr: run, len, own: None, payload };
        }
        // What the collective does not write keeps its old value.
        let mut own = payload.to_bytes();
        Target { ptr: own.as_mut_ptr(), len, own: Some(own), payload }
    }
}

impl Arg {
    /// # Safety
    /// The buffer is valid for reads.
    pub(super) unsafe fn source(&self) -> Result<Source> {
        if let Some(size) = with(|e| e.types.basic_size(self.datatype)) {
            return Ok(Source { ptr: self.base, len: size * self.count, own: None });
        }
        // SAFETY: the caller vouches for the memory.
        Ok(unsafe { Shape::of(self.datatype)?.source(self.base, 0, self.count) })
    }

    /// # Safety
    /// The buffer is valid for reads and writes.
    pub(super) unsafe fn target(&self) -> Result<Target> {
        if let Some(size) = with(|e| e.types.basic_size(self.datatype)) {
            let len = size * self.count;
            return Ok(Target { ptr: self.base, len, own: None, payload: Payload::EMPTY });
        }
        // SAFETY: the caller vouches for the memory.
        Ok(unsafe { Shape::of(self.datatype)?.target(self.base, 0, self.count) })
    }
}

impl Source {
    /// The user's memory.
    pub(super) fn piece(&self) -> Option<Piece<'_>> {
        match &self.own {
            None => Some(Piece::run(self.ptr, self.len)),
            Some((_, payload)) => Piece::of(payload),
        }
    }
}

impl Target {
    /// The user's memory.
    pub(super) fn piece(&self) -> Option<Piece<'_>> {
        if self.own.is_some() { Piece::of(&self.payload) } else { Some(Piece::run(self.ptr, self.len)) }
    }

    /// Brings the bytes to the user's memory.
    pub(super) fn commit(mut self) {
        if let Some(own) = &self.own {
            // SAFETY: `own` is as long as we say and overlaps nothing.
            unsafe { self.payload.write(0, own.as_ptr(), own.len()) };
        }
    }
}
