//! Arguments that are neither buffers nor handles: integers, sequences of integers, strings, and
//! text that C gives back.

use mpi_abi::{Aint, Count};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use std::ffi::{c_char, c_int};

/// A sequence of C integers; arrays of them (NumPy or others) are sequences too.
pub(crate) struct Ints(pub(crate) Vec<c_int>);

impl Ints {
    /// The length as C wants it.
    pub(crate) fn count(&self) -> PyResult<c_int> {
        length(self.0.len())
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Ints {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        sequence(&object, |item| item.extract::<c_int>()).map(Self)
    }
}

/// A sequence of booleans or integers, as C's logical values.
pub(crate) struct Flags(pub(crate) Vec<c_int>);

impl<'a, 'py> FromPyObject<'a, 'py> for Flags {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        sequence(&object, |item| item.is_truthy().map(c_int::from)).map(Self)
    }
}

/// A sequence of counts.
pub(crate) struct Counts(pub(crate) Vec<Count>);

impl<'a, 'py> FromPyObject<'a, 'py> for Counts {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        sequence(&object, |item| count(&item)).map(Self)
    }
}

/// One integer as a count. Accepts what has `__index__`, as the interpreter itself does.
#[inline]
pub(crate) fn count(object: &Bound<'_, PyAny>) -> PyResult<Count> {
    // SAFETY: a live object and the interpreter held.
    let value = unsafe { ffi::PyLong_AsLongLong(object.as_ptr()) };
    if value == -1
        && let Some(error) = PyErr::take(object.py())
    {
        return Err(error);
    }
    Ok(value)
}

/// One integer as a difference of addresses.
#[inline]
pub(crate) fn aint(object: &Bound<'_, PyAny>) -> PyResult<Aint> {
    Aint::try_from(count(object)?).map_err(|_| PyOverflowError::new_err("value too large for an address"))
}

/// The items of a sequence, each converted.
pub(crate) fn sequence<'py, T>(
    object: &Bound<'py, PyAny>,
    mut convert: impl FnMut(Bound<'py, PyAny>) -> PyResult<T>,
) -> PyResult<Vec<T>> {
    // Not `collect`: of results it does not know the number, and grows in steps.
    if let Ok(list) = object.cast::<PyList>() {
        let mut items = Vec::with_capacity(list.len());
        for item in list.iter() {
            items.push(convert(item)?);
        }
        return Ok(items);
    }
    if let Ok(tuple) = object.cast::<PyTuple>() {
        let mut items = Vec::with_capacity(tuple.len());
        for item in tuple.iter() {
            items.push(convert(item)?);
        }
        return Ok(items);
    }
    let length = object.len()?;
    let mut items = Vec::with_capacity(length);
    for index in 0..length {
        items.push(convert(object.get_item(index)?)?);
    }
    Ok(items)
}

/// A length as C's `int`.
pub(crate) fn length(length: usize) -> PyResult<c_int> {
    c_int::try_from(length).map_err(|_| PyOverflowError::new_err(format!("{length} items are too many for the call")))
}

/// Text that a C function wrote into `buffer`, which ends in NUL.
pub(crate) fn text(buffer: &[c_char]) -> String {
    let bytes: Vec<u8> = buffer.iter().take_while(|&&c| c != 0).map(|c| c.to_ne_bytes()[0]).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The error for an argument of the wrong type.
pub(crate) fn expected(what: &str, got: &Bound<'_, PyAny>) -> PyErr {
    match got.get_type().name() {
        Ok(name) => PyTypeError::new_err(format!("expecting {what}, not '{name}'")),
        Err(error) => error,
    }
}
