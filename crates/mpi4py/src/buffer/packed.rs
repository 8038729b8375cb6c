//! Strided views in reductions. MPI's operations take predefined datatypes only, so the elements go
//! by way of a contiguous copy: made here, written back into the view when the message is dropped,
//! which a blocking call and the request of a nonblocking one do when they are over. A persistent request says when it
//! begins ([`Packed::load`]) and when it has ended ([`Packed::store`]).

use super::layout::{Loop, Piece};
use super::made::Made;
use super::spec::simple;
use super::{Access, Keep, Msg};
use mpi_abi::{Count, Datatype};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;

/// What one of a strided view's datatypes stands for: elements of `datatype`, of `size` bytes each.
pub(super) struct Plain {
    pub(super) elements: Count,
    pub(super) datatype: Datatype,
    pub(super) size: Count,
    pub(super) pieces: Vec<Piece>,
    /// Bytes from one of the datatype to the next, where there are several.
    pub(super) step: Count,
}

/// Which of the forms of a collective is called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Blocking,
    /// The operation goes on after the call.
    Nonblocking,
    /// It begins and ends many times.
    Persistent,
}

/// A copy of a view's elements, side by side.
pub(crate) struct Packed {
    copy: Vec<u128>,
    view: *mut u8,
    /// Of the view's datatype.
    count: usize,
    made: Arc<Made>,
    access: Access,
    /// An operation works on the copy: the view does not have its result yet.
    live: bool,
    _memory: Keep,
}

// SAFETY: the address is only followed with the interpreter held, and `_memory` keeps what is there.
unsafe impl Send for Packed {}
// SAFETY: there is no method on a shared `Packed`.
unsafe impl Sync for Packed {}

/// A buffer of a reduction: as `simple`, strided ones by way of a copy.
#[inline]
pub(crate) fn operand(object: &Bound<'_, PyAny>, access: Access, blocks: c_int, form: Form) -> PyResult<Msg> {
    let message = simple(object, access, blocks);
    // Looked at in place: moving a message costs more than making it.
    if let Ok(Msg { keep: Keep::Typed(_), .. }) = &message {
        return reducible(message?, access, blocks, form);
    }
    message
}

/// The message is `blocks` times as long as it says.
#[cold]
fn reducible(message: Msg, access: Access, blocks: c_int, form: Form) -> PyResult<Msg> {
    let (memory, made) = match message.keep {
        Keep::Typed(pair) if pair.1.plain.is_some() => *pair,
        keep => return Ok(Msg { keep, ..message }),
    };
    let Some(plain) = &made.plain else { return Err(PyTypeError::new_err("not a strided view")) };
    let count = usize::try_from(message.count * Count::from(blocks.max(1)))?;
    let bytes = usize::try_from(plain.elements * plain.size)? * count;
    let (elements, datatype) = (plain.elements * message.count, plain.datatype);
    let mut packed = Packed {
        copy: vec![0; bytes.div_ceil(size_of::<u128>())],
        view: message.addr.cast(),
        count,
        made,
        access,
        live: form != Form::Persistent,
        _memory: memory,
    };
    packed.copy_elements(Direction::FromView);
    let addr = packed.copy.as_mut_ptr().cast::<c_void>();
    Ok(Msg { addr, count: elements, datatype, keep: Keep::Packed(Box::new(packed)) })
}

#[derive(Clone, Copy)]
enum Direction {
    FromView,
    ToView,
}

impl Packed {
    /// An operation begins: the copy gets what is in the view.
    pub(super) fn load(&mut self) {
        self.live = true;
        self.copy_elements(Direction::FromView);
    }

    /// It has ended: the view gets the result.
    pub(super) fn store(&mut self) {
        if std::mem::take(&mut self.live) && self.access == Access::Write {
            self.copy_elements(Direction::ToView);
        }
    }

    fn copy_elements(&mut self, direction: Direction) {
        let Some(plain) = &self.made.plain else { return };
        let mut dense = self.copy.as_mut_ptr().cast::<u8>();
        for index in 0..self.count {
            for piece in &plain.pieces {
                let at = piece.at + plain.step * index as Count;
                let view = self.view.wrapping_byte_offset(at as isize);
                // SAFETY: the view's elements lie where its strides say, which `_memory` keeps alive and the interpreter
                // lock keeps others from; the copy has room for all elements of all pieces, in this order.
                dense = unsafe { copy(&piece.layout.loops, plain.size as usize, view, dense, direction) };
            }
        }
    }
}

impl Drop for Packed {
    fn drop(&mut self) {
        self.store();
    }
}

/// Copies the elements of loops, and returns where the next ones go.
///
/// # Safety
/// All elements at `view`, and as many bytes at `dense`, may be read or written.
unsafe fn copy(loops: &[Loop], size: usize, view: *mut u8, dense: *mut u8, direction: Direction) -> *mut u8 {
    let run = match loops {
        [] => Some(size),
        [only] if only.step == size as Count => Some(size * only.count as usize),
        _ => None,
    };
    if let Some(bytes) = run {
        // SAFETY: the caller's promise; the copy is memory of our own, so they do not overlap.
        unsafe {
            match direction {
                Direction::FromView => ptr::copy_nonoverlapping(view, dense, bytes),
                Direction::ToView => ptr::copy_nonoverlapping(dense, view, bytes),
            }
        }
        return dense.wrapping_add(bytes);
    }
    let (mut view, mut dense) = (view, dense);
    if let Some((outer, inner)) = loops.split_first() {
        for _ in 0..outer.count {
            // SAFETY: the caller's promise, for the elements of one step.
            dense = unsafe { copy(inner, size, view, dense, direction) };
            view = view.wrapping_byte_offset(outer.step as isize);
        }
    }
    dense
}
