//! C arguments that are not handles: addresses for results, arrays, strings. Used by all chapters.
//!
//! What can be checked is checked (null, negative lengths); that a pointer which is not null is
//! valid for what the standard says of it is the C caller's word, and the one fact that every
//! `unsafe` block here rests on.

use engine::{Error, Result};
use mpi_abi::consts::MPI_ERR_ARG;
use std::ffi::{CStr, c_char, c_int};

/// Where a result goes.
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// The address `place` of the parameter `name`.
    ///
    /// # Safety
    /// `place` is null, or valid for a write until the call of MPI returns.
    pub(crate) unsafe fn new(place: *mut T, name: &str) -> Result<Self> {
        if place.is_null() { Err(null(name)) } else { Ok(Self(place)) }
    }

    /// Stores the result.
    pub(crate) fn set(&self, value: T) {
        // SAFETY: not null (`new`) and valid for a write (the caller of `new`).
        unsafe { self.0.write(value) }
    }
}

impl<T: Copy> Out<T> {
    /// What the caller left there, for parameters that go both ways.
    pub(crate) fn get(&self) -> T {
        // SAFETY: not null (`new`) and valid (the caller of `new`); a parameter that goes both ways
        // is initialised by the C caller.
        unsafe { self.0.read() }
    }
}

impl Out<c_int> {
    /// Stores a truth value as C does.
    pub(crate) fn set_flag(&self, value: bool) {
        self.set(c_int::from(value));
    }
}

/// The error for a parameter that must not be null.
#[cold]
pub(crate) fn null(name: &str) -> Error {
    Error::new(MPI_ERR_ARG, format!("the address for {name} is null"))
}

/// `n` as the length that it is for.
pub(crate) fn length(n: c_int, name: &str) -> Result<usize> {
    usize::try_from(n).map_err(|_| Error::new(MPI_ERR_ARG, format!("{name} is {n}, but must not be negative")))
}

/// The array `first` of `n` elements.
///
/// # Safety
/// `first` is null, or valid for reads of `n` elements for as long as the result is used.
pub(crate) unsafe fn array<'a, T>(first: *const T, n: c_int, name: &str) -> Result<&'a [T]> {
    let len = usize::try_from(n)
        .map_err(|_| Error::new(MPI_ERR_ARG, format!("the length of {name} is {n}, but must not be negative")))?;
    match len {
        0 => Ok(&[]),
        _ if first.is_null() => Err(Error::new(MPI_ERR_ARG, format!("{name} is null, but should have {n} elements"))),
        // SAFETY: not null (above), valid for `n` elements (the caller).
        _ => Ok(unsafe { std::slice::from_raw_parts(first, len) }),
    }
}

/// The array `first` of `n` elements, to be filled or changed.
///
/// # Safety
/// `first` is null, or valid for reads and writes of `n` elements that nobody else uses while the
/// result is used.
pub(crate) unsafe fn array_mut<'a, T>(first: *mut T, n: c_int, name: &str) -> Result<&'a mut [T]> {
    // SAFETY: the caller's duty includes it.
    let len = unsafe { array(first.cast_const(), n, name) }?.len();
    if len == 0 {
        return Ok(&mut []);
    }
    // SAFETY: not null (`array` has looked), valid for `n` elements and ours alone (the caller).
    Ok(unsafe { std::slice::from_raw_parts_mut(first, len) })
}

/// Fills the array `place` of `room` elements, as far as there are `values` and room.
///
/// # Safety
/// `place` is null, or valid for writes of `room` elements.
pub(crate) unsafe fn put_array<T: Copy>(place: *mut T, room: c_int, values: &[T], name: &str) -> Result<()> {
    let values = &values[..values.len().min(length(room, &format!("the length of {name}"))?)];
    if values.is_empty() {
        return Ok(());
    }
    if place.is_null() {
        return Err(null(name));
    }
    // SAFETY: not null (above) and valid for `room` elements (the caller), which are not fewer; the engine's memory
    // and the caller's do not overlap.
    unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), place, values.len()) };
    Ok(())
}

/// The bytes of a string, without the zero at its end.
///
/// # Safety
/// `text` is null, or points to a string that ends in a zero and stays as it is while the result
/// is used.
pub(crate) unsafe fn bytes<'a>(text: *const c_char, name: &str) -> Result<&'a [u8]> {
    if text.is_null() {
        return Err(null(name));
    }
    // SAFETY: not null (above), ends in a zero (the caller).
    Ok(unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// A string as text; bytes that are no UTF-8 are replaced.
///
/// # Safety
/// As [`bytes`].
pub(crate) unsafe fn text(text: *const c_char, name: &str) -> Result<String> {
    // SAFETY: the caller's duty is the same.
    let bytes = unsafe { bytes(text, name) }?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// Copies `value` and a zero to `place`, which has room for `room` bytes with the zero; what does
/// not fit is cut. Gives how many bytes were copied, without the zero.
///
/// # Safety
/// `place` is null, or valid for writes of `room` bytes.
pub(crate) unsafe fn put_string(place: *mut c_char, room: usize, value: &[u8], name: &str) -> Result<usize> {
    if room == 0 {
        return Ok(0);
    }
    if place.is_null() {
        return Err(null(name));
    }
    let len = value.len().min(room - 1);
    // SAFETY: `len` is less than `room`, for which `place` is valid (the caller); the engine's
    // memory and the caller's do not overlap.
    unsafe {
        std::ptr::copy_nonoverlapping(value.as_ptr(), place.cast(), len);
        place.add(len).write(0);
    }
    Ok(len)
}

/// Copies a result to a buffer of the size that the ABI fixes for it, and its length to `resultlen`.
///
/// # Safety
/// `place` is null, or valid for writes of `room` bytes.
pub(crate) unsafe fn put_result(
    place: *mut c_char,
    room: c_int,
    value: &str,
    name: &str,
    resultlen: &Out<c_int>,
) -> Result<()> {
    let room = length(room, "the room for a result")?;
    let fits = engine::naming::cut(value, room.saturating_sub(1));
    // SAFETY: the caller's duty is the same.
    let len = unsafe { put_string(place, room, fits.as_bytes(), name) }?;
    resultlen.set(int(len));
    Ok(())
}

/// A number that fits: ranks, sizes of groups and lengths of short strings do.
pub(crate) fn int(value: impl TryInto<c_int>) -> c_int {
    value.try_into().unwrap_or(c_int::MAX)
}
