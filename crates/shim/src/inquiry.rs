//! What the library says about itself, and its clock (MPI-5.0 sections 9.1 and 9.6), as far as
//! that needs no engine.

use crate::args::{self, Out};
use engine::Result;
use mpi_abi::consts::{
    MPI_ABI_SUBVERSION, MPI_ABI_VERSION, MPI_MAX_LIBRARY_VERSION_STRING, MPI_SUBVERSION, MPI_VERSION,
};
use std::ffi::{c_char, c_int};

pub(crate) unsafe fn MPI_Get_version(version: *mut c_int, subversion: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for both addresses.
    let (version, subversion) = unsafe { (Out::new(version, "version")?, Out::new(subversion, "subversion")?) };
    version.set(MPI_VERSION);
    subversion.set(MPI_SUBVERSION);
    Ok(())
}

pub(crate) unsafe fn MPI_Get_library_version(version: *mut c_char, resultlen: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let resultlen = unsafe { Out::new(resultlen, "resultlen") }?;
    let text = format!(
        "oxmpi {}, MPI {MPI_VERSION}.{MPI_SUBVERSION}, standard ABI {MPI_ABI_VERSION}.{MPI_ABI_SUBVERSION}",
        env!("CARGO_PKG_VERSION")
    );
    // SAFETY: the C caller's word for a buffer of MPI_MAX_LIBRARY_VERSION_STRING bytes.
    unsafe { args::put_result(version, MPI_MAX_LIBRARY_VERSION_STRING, &text, "version", &resultlen) }
}

/// Profiling libraries put their own function in its place; without one there is nothing to control.
pub(crate) unsafe fn MPI_Pcontrol(_level: c_int) -> Result<()> {
    Ok(())
}

/// Reads the clock that is the same for all processes of a machine.
fn monotonic(read: unsafe extern "C" fn(libc::clockid_t, *mut libc::timespec) -> c_int) -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `read` is clock_gettime or clock_getres, which write one timespec.
    unsafe { read(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

pub(crate) unsafe fn MPI_Wtime() -> f64 {
    monotonic(libc::clock_gettime)
}

pub(crate) unsafe fn MPI_Wtick() -> f64 {
    monotonic(libc::clock_getres)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_on_and_has_a_tick() {
        // SAFETY: these functions have no duties.
        let (a, b, tick) = unsafe { (MPI_Wtime(), MPI_Wtime(), MPI_Wtick()) };
        assert!(b >= a && tick > 0.0 && tick < 0.1);
    }
}
