//! Attributes of communicators. Chapter 7.7 of the standard.
//!
//! Here are those that the library sets itself; attributes with Python values and the functions that
//! copy and delete them are in `callback.rs`.

use super::Comm;
use crate::call::mpi;
use crate::handle::Handle;
use mpi_abi::consts::{MPI_APPNUM, MPI_IO, MPI_LASTUSEDCODE, MPI_TAG_UB, MPI_UNIVERSE_SIZE, MPI_WTIME_IS_GLOBAL};
use pyo3::prelude::*;
use std::ffi::{c_int, c_void};
use std::ptr;

#[pymethods]
impl Comm {
    /// Get_attr(self, keyval: int) -> int | Any | None
    ///
    /// Value of an attribute, or `None` when it is not set.
    fn Get_attr(&self, py: Python<'_>, keyval: c_int) -> PyResult<Py<PyAny>> {
        let (mut value, mut flag) = (ptr::null_mut::<c_void>(), 0);
        mpi!(py, MPI_Comm_get_attr(self.raw(), keyval, (&raw mut value).cast(), &raw mut flag))?;
        if flag == 0 {
            return Ok(py.None());
        }
        match keyval {
            MPI_TAG_UB | MPI_IO | MPI_WTIME_IS_GLOBAL | MPI_UNIVERSE_SIZE | MPI_APPNUM | MPI_LASTUSEDCODE
                if !value.is_null() =>
            {
                // SAFETY: for these keys the value is the address of an int.
                let number = unsafe { value.cast::<c_int>().read() };
                Ok(number.into_pyobject(py)?.into_any().unbind())
            }
            _ => Ok(value.addr().into_pyobject(py)?.into_any().unbind()),
        }
    }
}
