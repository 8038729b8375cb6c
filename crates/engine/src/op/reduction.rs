//! A reduction ready to be applied: a loop of ours, or the user's function (MPI-5.0 section 6.9.5).
//! Looked up under the engine's lock, applied outside, since user code must not run under it.
//! Called by the collectives, by `Reduce_local`, and by one-sided accumulation.

use super::kernel::{self, Kernel};
use super::pairs;
use super::predefined::{Operation, mismatch};
use crate::copy::copy;
use crate::datatype::Type;
use crate::error::Result;
use mpi_abi::ffi::{MPI_User_function, MPI_User_function_c};
use mpi_abi::{Count, Datatype};
use std::ffi::c_int;
use std::ptr;

/// The function of a user's operation.
#[derive(Debug, Clone, Copy)]
pub enum UserFunction {
    /// Takes an `int` length.
    Int(MPI_User_function),
    /// Takes an `MPI_Count` length.
    Large(MPI_User_function_c),
}

#[derive(Clone, Copy)]
enum Action {
    Kernel(Kernel),
    User(UserFunction, Datatype),
    /// `a` replaces `b`, or the other way round.
    Take {
        a: bool,
    },
}

/// What is done with two rows of elements.
#[derive(Clone, Copy)]
pub struct Reduction {
    action: Action,
    commutative: bool,
    /// Bytes from one element to the next.
    extent: isize,
    /// Offset of the first byte that belongs to an element, and bytes from there to the last.
    span: (isize, usize),
}

impl Reduction {
    /// The predefined operation on elements of `kind`, which is predefined as well. The operations
    /// for one-sided communication are included.
    pub fn predefined(operation: Operation, kind: &Type) -> Result<Self> {
        let action = match (kind.basic(), kind.pair()) {
            (Some(_), _) | (_, Some(_)) if matches!(operation, Operation::Replace | Operation::NoOp) => {
                Some(Action::Take { a: operation == Operation::Replace })
            }
            (Some(basic), _) => kernel::find(operation, basic).map(Action::Kernel),
            (None, Some((value, index, _))) => pairs::find(operation, value, index).map(Action::Kernel),
            _ => None,
        };
        let action = action.ok_or_else(|| mismatch(operation, kind))?;
        Ok(Self { action, commutative: operation.is_commutative(), extent: kind.extent(), span: kind.span(1) })
    }

    /// The user's function on elements of `kind`, which it will be told is `datatype`.
    pub fn user(function: UserFunction, commutative: bool, kind: &Type, datatype: Datatype) -> Self {
        Self { action: Action::User(function, datatype), commutative, extent: kind.extent(), span: kind.span(1) }
    }

    /// Whether the order of the operands does not matter.
    #[inline]
    pub fn is_commutative(&self) -> bool {
        self.commutative
    }

    /// Whether user code runs: not under the engine's lock then.
    #[inline]
    pub fn is_user(&self) -> bool {
        matches!(self.action, Action::User(..))
    }

    /// The handle of the elements' type that the user's function is told.
    #[inline]
    pub fn datatype(&self) -> Option<Datatype> {
        if let Action::User(_, datatype) = self.action { Some(datatype) } else { None }
    }

    /// The same, the user's function being told another handle of the same type.
    #[must_use]
    pub fn on(self, datatype: Datatype) -> Self {
        match self.action {
            Action::User(function, _) => Self { action: Action::User(function, datatype), ..self },
            _ => self,
        }
    }

    /// Bytes from one element to the next, in all operands.
    #[inline]
    pub fn extent(&self) -> isize {
        self.extent
    }

    /// `inout[i] = a[i] op inout[i]`; `a` comes from the lower rank.
    ///
    /// # Safety
    /// `a` is valid for reads and `inout` for reads and writes of `n` elements, both as the user's
    /// memory is laid out (the pointer is to the origin of the first element, which need not be its
    /// first byte), and they do not overlap. A user's function does what MPI asks of it.
    #[inline]
    pub unsafe fn apply(&self, inout: *mut u8, a: *const u8, n: usize) {
        // SAFETY: the caller's promise, which for each form is that of the function called.
        unsafe {
            match self.action {
                Action::Kernel(kernel) => kernel(inout, a, inout, n),
                Action::User(function, datatype) => self.call(function, datatype, a, inout, n),
                Action::Take { a: true } => self.copy(inout, a, n),
                Action::Take { a: false } => {}
            }
        }
    }

    /// `out[i] = a[i] op b[i]`; `a` comes from the lower rank.
    ///
    /// # Safety
    /// As for [`apply`](Self::apply); `out` is `b`, or overlaps neither operand. With a predefined
    /// operation it may also be `a`.
    #[inline]
    pub unsafe fn apply3(&self, out: *mut u8, a: *const u8, b: *const u8, n: usize) {
        // SAFETY: the caller's promise, which for each form is that of the function called.
        unsafe {
            match self.action {
                Action::Kernel(kernel) => kernel(out, a, b, n),
                _ => {
                    if !ptr::eq(out, b) {
                        self.copy(out, b, n);
                    }
                    self.apply(out, a, n);
                }
            }
        }
    }

    /// Copies elements with all that lies between them.
    ///
    /// # Safety
    /// `from` is valid for reads and `to` for writes of `n` elements in memory layout; no overlap.
    unsafe fn copy(&self, to: *mut u8, from: *const u8, n: usize) {
        if n > 0 {
            let last = self.extent * (n.cast_signed() - 1);
            let first = self.span.0 + last.min(0);
            // SAFETY: the bytes lie between the first and the last of the elements.
            unsafe { copy(to.wrapping_offset(first), from.wrapping_offset(first), last.unsigned_abs() + self.span.1) };
        }
    }

    /// Runs the user's function.
    ///
    /// # Safety
    /// As for [`apply`](Self::apply).
    unsafe fn call(&self, function: UserFunction, datatype: Datatype, a: *const u8, inout: *mut u8, n: usize) {
        let (mut datatype, mut done) = (datatype, 0usize);
        // A function with an `int` length sees a longer row in pieces; the loop also calls it for none.
        loop {
            let offset = self.extent.wrapping_mul(done.cast_signed());
            let (a, b) = (a.wrapping_offset(offset).cast_mut().cast(), inout.wrapping_offset(offset).cast());
            match function {
                UserFunction::Int(function) => {
                    let mut len = c_int::try_from(n - done).unwrap_or(c_int::MAX);
                    done += len as usize;
                    // SAFETY: the user's function gets what the caller vouches for, and places of ours
                    // for its other arguments.
                    unsafe { function(a, b, &raw mut len, &raw mut datatype) };
                }
                UserFunction::Large(function) => {
                    let mut len = n as Count;
                    done = n;
                    // SAFETY: as above.
                    unsafe { function(a, b, &raw mut len, &raw mut datatype) };
                }
            }
            if done == n {
                return;
            }
        }
    }
}
