//! Memory of devices. The built-in engine copies with the processor, so memory that it cannot read is
//! an error here, with the name of the device, and not a crash there. Other libraries may know better.

use crate::call::is_built_in;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use std::ffi::c_void;

/// Names of DLPack's kinds of devices.
fn name(kind: i32) -> Option<&'static str> {
    Some(match kind {
        1 => "cpu",
        2 => "cuda",
        3 => "cuda_host",
        4 => "opencl",
        7 => "vulkan",
        8 => "metal",
        9 => "vpi",
        10 => "rocm",
        11 => "rocm_host",
        13 => "cuda_managed",
        14 => "oneapi",
        15 => "webgpu",
        16 => "hexagon",
        17 => "maia",
        18 => "trn",
        _ => return None,
    })
}

/// DLPack's number of CUDA devices.
pub(super) const CUDA: i32 = 2;
/// In place of a device's number: which one is not known.
pub(super) const UNKNOWN: i32 = -1;

/// A device, as other packages write it: `cuda:0`.
fn text((kind, id): (i32, i32)) -> String {
    match name(kind) {
        Some(name) if id == UNKNOWN => format!("a {name} device"),
        Some(name) => format!("{name}:{id}"),
        None => format!("a device of kind {kind}, number {id}"),
    }
}

/// Refuses memory that the processor cannot read, where the library would read it.
pub(super) fn check(addr: *const c_void, nbytes: isize, device: (i32, i32)) -> PyResult<()> {
    if nbytes <= 0 || !is_built_in() {
        return Ok(());
    }
    let last = addr.wrapping_byte_offset(nbytes - 1);
    if readable(addr) && readable(last) {
        return Ok(());
    }
    Err(PyTypeError::new_err(format!(
        "the array is on {}: this MPI library reaches memory of the processor only; copy the array to it (PyTorch: \
         a.cpu(), CuPy: cupy.asnumpy(a), JAX: numpy.asarray(a)), or use an MPI library that knows the device \
         (MPI4PY_LIBMPI)",
        text(device)
    )))
}

/// Whether the processor can read at an address: the kernel tries.
fn readable(addr: *const c_void) -> bool {
    // The word that the byte is in.
    let word = addr.map_addr(|addr| addr & !7);
    if word.is_null() {
        return false;
    }
    // SAFETY: there is no change of the mask number -1, so the call fails: with EFAULT if the kernel could not read the
    // new mask's 8 bytes, which it does first, else with EINVAL. It reads from the address and writes nowhere.
    let done = unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, -1_i64, word, std::ptr::null_mut::<c_void>(), size_of::<u64>())
    };
    !(done == -1 && std::io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT))
}
