//! From Python objects to what MPI wants: address, count, datatype. Everything that reads pointers
//! out of Python objects is in this folder.
//!
//! | file | owns |
//! |---|---|
//! | `acquire` | one object -> [`Memory`]: which of the ways below |
//! | `numpy` | direct reading of `numpy.ndarray` |
//! | `view` | the buffer protocol |
//! | `dlpack`, `cai`, `device` | DLPack and the CUDA array interface; memory that is not the processor's |
//! | `infer` | format strings -> datatypes, the type codes of `Datatype.fromcode` |
//! | `record`, `format`, `ctypes` | structured elements -> datatypes: of NumPy, of the protocol, of ctypes |
//! | `strided`, `layout` | `MPI.strided`: arrays of any strides, as derived datatypes |
//! | `packed` | strided arrays in reductions: by way of a copy |
//! | `made` | the datatypes that these make: kept, and freed in time |
//! | `spec` | `data`, `[data, count, type]` ... -> [`Msg`] |
//! | `vector` | `[data, counts, displs, type]` -> [`MsgV`], `[data, counts, displs, types]` -> [`MsgW`] |
//! | `extent` | does count times datatype fit into the memory |
//! | `object` | the class `MPI.buffer` |
//! | `pool` | memory for received objects, used again |
//!
//! A message keeps what its memory belongs to alive ([`Keep`]); for a nonblocking call the request
//! takes that over.

pub(crate) mod acquire;
mod cai;
mod ctypes;
mod device;
mod dlpack;
pub(crate) mod extent;
mod format;
pub(crate) mod infer;
mod layout;
pub(crate) mod made;
pub(crate) mod numpy;
pub(crate) mod object;
pub(crate) mod packed;
mod pool;
mod record;
pub(crate) mod spec;
pub(crate) mod strided;
pub(crate) mod vector;
mod view;

use crate::callback::op::InUse;
use mpi_abi::{Aint, Count, Datatype};
use pyo3::prelude::*;
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

pub(crate) use acquire::{Access, Memory, acquire};
pub(crate) use view::View;

/// What keeps the memory of a message where it is.
#[derive(Default)]
pub(crate) enum Keep {
    /// Nothing to keep: no memory, or it does not belong to an object.
    #[default]
    Nothing,
    /// An object whose memory does not move while there is a reference.
    Object(Py<PyAny>),
    /// Two of them.
    Two(Py<PyAny>, Py<PyAny>),
    /// An export of the buffer protocol.
    View(#[expect(dead_code, reason = "held, not read")] View),
    /// Memory of elements of a datatype that was made for them.
    Typed(Box<(Keep, Arc<made::Made>)>),
    /// A copy of a strided view.
    Packed(Box<packed::Packed>),
    /// Memory of our own.
    Chunk(#[expect(dead_code, reason = "held, not read")] pool::Chunk),
    /// Several messages of one call.
    Pair(Box<(Keep, Keep)>),
    /// Arrays of counts, displacements and datatypes, with the memory they describe.
    Arrays(#[expect(dead_code, reason = "held, not read")] Box<Arrays>),
    /// The function of an operation.
    Function(#[expect(dead_code, reason = "held, not read")] InUse),
}

/// See [`Keep::Arrays`].
pub(crate) struct Arrays {
    _memory: Keep,
    _counts: Vec<Count>,
    _displs: Vec<Aint>,
    _types: Vec<Datatype>,
}

impl Keep {
    /// An array of counts that belongs to no other message.
    pub(crate) fn counts(counts: Vec<Count>) -> Self {
        Self::Arrays(Box::new(Arrays {
            _memory: Self::Nothing,
            _counts: counts,
            _displs: Vec::new(),
            _types: Vec::new(),
        }))
    }

    /// What an operation needs that goes on after the call.
    pub(crate) fn operation(op: mpi_abi::Op) -> Self {
        InUse::of(op).map_or(Self::Nothing, Self::Function)
    }

    /// Whether there are copies of strided views in it.
    pub(crate) fn has_copies(&self) -> bool {
        match self {
            Self::Packed(_) => true,
            Self::Pair(pair) => pair.0.has_copies() || pair.1.has_copies(),
            _ => false,
        }
    }

    fn each_copy(&mut self, act: fn(&mut packed::Packed)) {
        match self {
            Self::Packed(packed) => act(packed),
            Self::Pair(pair) => {
                pair.0.each_copy(act);
                pair.1.each_copy(act);
            }
            _ => {}
        }
    }

    /// A persistent operation begins: copies of strided views get what is there.
    pub(crate) fn load_copies(&mut self) {
        self.each_copy(packed::Packed::load);
    }

    /// It has ended: the views get what is in the copies.
    pub(crate) fn store_copies(&mut self) {
        self.each_copy(packed::Packed::store);
    }

    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, keep) | (keep, Self::Nothing) => keep,
            (Self::Object(first), Self::Object(second)) => Self::Two(first, second),
            (first, second) => Self::Pair(Box::new((first, second))),
        }
    }
}

/// A message: what an MPI call wants to know of one buffer.
pub(crate) struct Msg {
    pub(crate) addr: *mut c_void,
    pub(crate) count: Count,
    pub(crate) datatype: Datatype,
    pub(crate) keep: Keep,
}

impl Msg {
    /// No memory, no elements.
    pub(crate) const fn nothing() -> Self {
        Self { addr: ptr::null_mut(), count: 0, datatype: mpi_abi::consts::MPI_BYTE, keep: Keep::Nothing }
    }

    /// A whole array that somebody else keeps alive.
    #[inline]
    pub(crate) fn unkept(array: &numpy::Direct) -> Self {
        Self { addr: array.addr, count: array.count, datatype: array.datatype, keep: Keep::Nothing }
    }

    /// Elements and their datatype in a message with the same data and no gaps between them.
    pub(crate) fn plain(&self) -> (Count, Datatype) {
        match made::plain(&self.keep) {
            Some((elements, datatype)) => (self.count * elements, datatype),
            None => (self.count, self.datatype),
        }
    }

    /// `MPI_IN_PLACE`, with the count and type of the other buffer for functions that look at them.
    pub(crate) fn in_place(like: &Self) -> Self {
        Self { addr: mpi_abi::consts::MPI_IN_PLACE, count: like.count, datatype: like.datatype, keep: Keep::Nothing }
    }
}

/// A message in blocks, one for each rank.
pub(crate) struct MsgV {
    pub(crate) addr: *mut c_void,
    pub(crate) counts: Vec<Count>,
    pub(crate) displs: Vec<Aint>,
    pub(crate) datatype: Datatype,
    pub(crate) keep: Keep,
}

impl MsgV {
    pub(crate) const fn nothing() -> Self {
        Self {
            addr: ptr::null_mut(),
            counts: Vec::new(),
            displs: Vec::new(),
            datatype: mpi_abi::consts::MPI_BYTE,
            keep: Keep::Nothing,
        }
    }

    pub(crate) fn in_place(like: &Self) -> Self {
        Self {
            addr: mpi_abi::consts::MPI_IN_PLACE,
            counts: like.counts.clone(),
            displs: like.displs.clone(),
            datatype: like.datatype,
            keep: Keep::Nothing,
        }
    }

    /// What must live until a nonblocking operation is over.
    pub(crate) fn into_keep(self) -> Keep {
        Keep::Arrays(Box::new(Arrays {
            _memory: self.keep,
            _counts: self.counts,
            _displs: self.displs,
            _types: Vec::new(),
        }))
    }
}

/// A message in blocks, each with its datatype; displacements in bytes.
pub(crate) struct MsgW {
    pub(crate) addr: *mut c_void,
    pub(crate) counts: Vec<Count>,
    pub(crate) displs: Vec<Aint>,
    pub(crate) types: Vec<Datatype>,
    pub(crate) keep: Keep,
}

impl MsgW {
    pub(crate) fn in_place(like: &Self) -> Self {
        Self {
            addr: mpi_abi::consts::MPI_IN_PLACE,
            counts: like.counts.clone(),
            displs: like.displs.clone(),
            types: like.types.clone(),
            keep: Keep::Nothing,
        }
    }

    /// What must live until a nonblocking operation is over.
    pub(crate) fn into_keep(self) -> Keep {
        Keep::Arrays(Box::new(Arrays {
            _memory: self.keep,
            _counts: self.counts,
            _displs: self.displs,
            _types: self.types,
        }))
    }
}
