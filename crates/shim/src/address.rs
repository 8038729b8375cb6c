//! Addresses as numbers (MPI-5.0 section 5.1.5). No engine: plain arithmetic.

use crate::args::Out;
use engine::Result;
use mpi_abi::Aint;
use std::ffi::c_void;

pub(crate) unsafe fn MPI_Get_address(location: *const c_void, address: *mut Aint) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let address = unsafe { Out::new(address, "address") }?;
    address.set(location as Aint);
    Ok(())
}

pub(crate) unsafe fn MPI_Aint_add(base: Aint, disp: Aint) -> Aint {
    base.wrapping_add(disp)
}

pub(crate) unsafe fn MPI_Aint_diff(addr1: Aint, addr2: Aint) -> Aint {
    addr1.wrapping_sub(addr2)
}
