//! `MPI.Errhandler`: error handlers. Chapter 9.3 of the standard. Those written in Python are made
//! in `callback/errhandler.rs`.

use crate::call::mpi;
use crate::handle::{Handle, handle_class};
use mpi_abi::consts::MPI_ERRHANDLER_NULL;
use pyo3::prelude::*;

handle_class! {
    "Error handler.", Errhandler, MPI_ERRHANDLER_NULL, argument = errhandler, MPI_Errhandler_toint, MPI_Errhandler_fromint
}
handle_class! { @reduce Errhandler }

#[pymethods]
impl Errhandler {
    /// Free(self) -> None
    ///
    /// Free the error handler.
    fn Free(&self, py: Python<'_>) -> PyResult<()> {
        let mut raw = self.raw();
        mpi!(py, MPI_Errhandler_free(&raw mut raw))?;
        crate::callback::errhandler::freed(self, self.raw());
        self.slot().set(MPI_ERRHANDLER_NULL);
        Ok(())
    }

    /// free(self) -> None
    ///
    /// Call `Free` if the error handler is neither null nor predefined.
    fn free(&self, py: Python<'_>) -> PyResult<()> {
        crate::init::free_quietly(self, crate::handle::RawHandle::is_predefined, || self.Free(py))
    }
}

/// The methods that communicators, windows, files and sessions have for their error handler. `swap` turns
/// the handle that Python knows into the one that the library is given, and back.
macro_rules! errhandler_methods {
    ($name:ident, $get:ident, $set:ident, $call:ident) => {
        $crate::errhandler::errhandler_methods! { $name, $get, $set, $call, |raw| raw }
    };
    ($name:ident, $get:ident, $set:ident, $call:ident, $swap:expr) => {
        #[pymethods]
        impl $name {
            #[doc = "Get_errhandler(self) -> Errhandler\n\nThe error handler in force."]
            fn Get_errhandler(&self, py: Python<'_>) -> PyResult<Py<$crate::errhandler::Errhandler>> {
                let mut raw = ::mpi_abi::consts::MPI_ERRHANDLER_NULL;
                $crate::call::mpi!(py, $get($crate::handle::Handle::raw(self), &raw mut raw))?;
                let swap: fn(::mpi_abi::Errhandler) -> ::mpi_abi::Errhandler = $swap;
                $crate::handle::Handle::wrap(py, swap(raw))
            }

            #[doc = "Set_errhandler(self, errhandler: Errhandler) -> None\n\nSet the error handler."]
            fn Set_errhandler(
                &self,
                py: Python<'_>,
                errhandler: $crate::handle::H<$crate::errhandler::Errhandler>,
            ) -> PyResult<()> {
                let swap: fn(::mpi_abi::Errhandler) -> ::mpi_abi::Errhandler = $swap;
                $crate::call::mpi!(py, $set($crate::handle::Handle::raw(self), swap(errhandler.0)))
            }

            #[doc = "Call_errhandler(self, errorcode: int) -> None\n\nCall the error handler with an error code."]
            fn Call_errhandler(&self, py: Python<'_>, errorcode: ::std::ffi::c_int) -> PyResult<()> {
                $crate::call::mpi!(py, $call($crate::handle::Handle::raw(self), errorcode))
            }
        }
    };
}

pub(crate) use errhandler_methods;
