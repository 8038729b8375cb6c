//! Synchronisation of windows. Chapter 12.5 of the standard.

use super::Win;
use crate::call::mpi_wait;
use crate::group::Group;
use crate::handle::{H, Handle};
use mpi_abi::consts::MPI_LOCK_EXCLUSIVE;
use pyo3::prelude::*;
use std::ffi::c_int;

/// Calls with some integers and the window.
macro_rules! syncs {
    ($($name:ident $function:ident, $text:literal, ($($arg:ident $(= $default:expr)?),*), $doc:literal;)*) => {
        #[pymethods]
        impl Win {$(
            #[doc = concat!(stringify!($name), "(self", $text, ") -> None\n\n", $doc)]
            #[pyo3(signature = ($($arg $(= $default)?),*))]
            fn $name(&self, py: Python<'_>, $($arg: c_int),*) -> PyResult<()> {
                let raw = self.raw();
                mpi_wait!(py, $function($($arg,)* raw))
            }
        )*}
    };
}

syncs! {
    Fence MPI_Win_fence, ", assertion: int = 0", (assertion = 0), "Separate phases of access; all processes call.";
    Complete MPI_Win_complete, "", (), "End the access that `Start` began.";
    Unlock MPI_Win_unlock, ", rank: int", (rank), "End the access that `Lock` began.";
    Lock_all MPI_Win_lock_all, ", assertion: int = 0", (assertion = 0), "Begin shared access to all processes.";
    Unlock_all MPI_Win_unlock_all, "", (), "End the access that `Lock_all` began.";
    Flush MPI_Win_flush, ", rank: int", (rank), "Wait until all access to a process is over there and here.";
    Flush_all MPI_Win_flush_all, "", (), "Wait until all access is over there and here.";
    Flush_local MPI_Win_flush_local, ", rank: int", (rank), "Wait until all access to a process is over here.";
    Flush_local_all MPI_Win_flush_local_all, "", (), "Wait until all access is over here.";
    Sync MPI_Win_sync, "", (), "Make changes in the window's memory visible.";
}

#[pymethods]
impl Win {
    /// Start(self, group: Group, assertion: int = 0) -> None
    ///
    /// Begin access to the processes of a group.
    #[pyo3(signature = (group, assertion = 0))]
    fn Start(&self, py: Python<'_>, group: H<Group>, assertion: c_int) -> PyResult<()> {
        let (raw, group) = (self.raw(), group.0);
        mpi_wait!(py, MPI_Win_start(group, assertion, raw))
    }

    /// Post(self, group: Group, assertion: int = 0) -> None
    ///
    /// Open the window to the processes of a group.
    #[pyo3(signature = (group, assertion = 0))]
    fn Post(&self, py: Python<'_>, group: H<Group>, assertion: c_int) -> PyResult<()> {
        let (raw, group) = (self.raw(), group.0);
        mpi_wait!(py, MPI_Win_post(group, assertion, raw))
    }

    /// Wait(self) -> Literal[True]
    ///
    /// Wait until the access that `Post` opened is over.
    fn Wait(&self, py: Python<'_>) -> PyResult<bool> {
        let raw = self.raw();
        mpi_wait!(py, MPI_Win_wait(raw))?;
        Ok(true)
    }

    /// Test(self) -> bool
    ///
    /// Ask whether the access that `Post` opened is over.
    fn Test(&self, py: Python<'_>) -> PyResult<bool> {
        let (raw, mut flag) = (self.raw(), 0);
        mpi_wait!(py, MPI_Win_test(raw, &raw mut flag))?;
        Ok(flag != 0)
    }

    /// Lock(self, rank: int, lock_type: int = LOCK_EXCLUSIVE, assertion: int = 0) -> None
    ///
    /// Begin access to one process.
    #[pyo3(signature = (rank, lock_type = MPI_LOCK_EXCLUSIVE, assertion = 0))]
    fn Lock(&self, py: Python<'_>, rank: c_int, lock_type: c_int, assertion: c_int) -> PyResult<()> {
        let raw = self.raw();
        mpi_wait!(py, MPI_Win_lock(lock_type, rank, assertion, raw))
    }
}
