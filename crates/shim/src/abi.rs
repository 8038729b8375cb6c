//! What the ABI says about itself, and what a Fortran layer tells the library about its compiler
//! (MPI-5.0 sections 20.2 and 20.4.1).
//!
//! This library is built without a Fortran compiler, so it knows nothing of one until the first
//! `MPI_Abi_set_fortran_*`. The Fortran types of the engine have the sizes that compilers give them
//! without options; an application whose compiler differs is told so instead of getting wrong data.

use crate::args::{Out, null};
use engine::datatype::Basic;
use engine::info::{self, Info as Pairs};
use engine::{Error, Result, with};
use mpi_abi::consts::{
    MPI_ABI_SUBVERSION, MPI_ABI_VERSION, MPI_DOUBLE_PRECISION, MPI_ERR_ABI, MPI_ERR_ARG, MPI_ERR_INFO_VALUE,
    MPI_INFO_NULL, MPI_INTEGER, MPI_LOGICAL, MPI_REAL,
};
use mpi_abi::{Aint, Count, Datatype, Info, Offset};
use std::ffi::{c_int, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The widest `LOGICAL` that has a datatype (`MPI_LOGICAL16`).
const WIDEST_LOGICAL: usize = 16;

/// Keys for sizes, and the types that they speak of.
const SIZES: [(&str, Datatype); 4] = [
    ("mpi_logical_size", MPI_LOGICAL),
    ("mpi_integer_size", MPI_INTEGER),
    ("mpi_real_size", MPI_REAL),
    ("mpi_double_precision_size", MPI_DOUBLE_PRECISION),
];

/// What the application has said; each part is set once and stays.
struct Fortran {
    info: Option<Pairs>,
    booleans: Option<Booleans>,
}

/// The bytes of `.TRUE.` and `.FALSE.` in a `LOGICAL` of `size` bytes.
struct Booleans {
    size: usize,
    yes: [u8; WIDEST_LOGICAL],
    no: [u8; WIDEST_LOGICAL],
}

static FORTRAN: Mutex<Fortran> = Mutex::new(Fortran { info: None, booleans: None });

fn fortran() -> MutexGuard<'static, Fortran> {
    // Each part is set by one assignment, so it is whole even after a panic.
    FORTRAN.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) unsafe fn MPI_Abi_get_version(abi_major: *mut c_int, abi_minor: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for both addresses.
    let (major, minor) = unsafe { (Out::new(abi_major, "abi_major")?, Out::new(abi_minor, "abi_minor")?) };
    major.set(MPI_ABI_VERSION);
    minor.set(MPI_ABI_SUBVERSION);
    Ok(())
}

pub(crate) unsafe fn MPI_Abi_get_info(info: *mut Info) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let info = unsafe { Out::new(info, "info") }?;
    let mut pairs = Pairs::default();
    pairs.put("mpi_aint_size", &size_of::<Aint>().to_string());
    pairs.put("mpi_count_size", &size_of::<Count>().to_string());
    pairs.put("mpi_offset_size", &size_of::<Offset>().to_string());
    info.set(with(|e| info::create(&mut e.objects, pairs)));
    Ok(())
}

pub(crate) unsafe fn MPI_Abi_get_fortran_info(info: *mut Info) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let info = unsafe { Out::new(info, "info") }?;
    let known = fortran().info.clone();
    info.set(known.map_or(MPI_INFO_NULL, |pairs| with(|e| info::create(&mut e.objects, pairs))));
    Ok(())
}

pub(crate) unsafe fn MPI_Abi_set_fortran_info(info: Info) -> Result<()> {
    let pairs = with(|e| info::get(&e.objects, info).cloned())?;
    let mut fortran = fortran();
    if fortran.info.is_some() {
        return Err(Error::new(MPI_ERR_ABI, "the Fortran properties are set already"));
    }
    for (key, datatype) in SIZES {
        let Some(text) = pairs.text(key) else {
            continue;
        };
        let ours = Basic::of(datatype).map_or(0, Basic::size);
        match text.trim().parse::<usize>() {
            Ok(size) if size == ours => {}
            Ok(size) => {
                let text = format!("{key} is {size}, but this library has {ours} bytes for that type");
                return Err(Error::new(MPI_ERR_ABI, text));
            }
            Err(_) => {
                return Err(Error::new(MPI_ERR_INFO_VALUE, format!("{key} is \"{text}\", which is no size")));
            }
        }
    }
    fortran.info = Some(pairs);
    Ok(())
}

/// The number of bytes of a `LOGICAL`, within what the standard has types for.
fn logical_bytes(logical_size: c_int) -> Result<usize> {
    match usize::try_from(logical_size) {
        Ok(size) if size.is_power_of_two() && size <= WIDEST_LOGICAL => Ok(size),
        _ => {
            let text = format!("a LOGICAL of {logical_size} bytes; 1, 2, 4, 8 and 16 are possible");
            Err(Error::new(MPI_ERR_ARG, text))
        }
    }
}

pub(crate) unsafe fn MPI_Abi_set_fortran_booleans(
    logical_size: c_int,
    logical_true: *mut c_void,
    logical_false: *mut c_void,
) -> Result<()> {
    let size = logical_bytes(logical_size)?;
    if logical_true.is_null() || logical_false.is_null() {
        return Err(null("a boolean"));
    }
    let mut fortran = fortran();
    if fortran.booleans.is_some() {
        return Err(Error::new(MPI_ERR_ABI, "the Fortran booleans are set already"));
    }
    let mut booleans = Booleans { size, yes: [0; WIDEST_LOGICAL], no: [0; WIDEST_LOGICAL] };
    // SAFETY: neither is null; each points to a LOGICAL of `size` bytes (the C caller's word), and
    // the arrays have at least as many (`logical_bytes`).
    unsafe {
        logical_true.cast::<u8>().copy_to_nonoverlapping(booleans.yes.as_mut_ptr(), size);
        logical_false.cast::<u8>().copy_to_nonoverlapping(booleans.no.as_mut_ptr(), size);
    }
    fortran.booleans = Some(booleans);
    Ok(())
}

pub(crate) unsafe fn MPI_Abi_get_fortran_booleans(
    logical_size: c_int,
    logical_true: *mut c_void,
    logical_false: *mut c_void,
    is_set: *mut c_int,
) -> Result<()> {
    let size = logical_bytes(logical_size)?;
    // SAFETY: the C caller's word for the address.
    let is_set = unsafe { Out::new(is_set, "is_set") }?;
    if logical_true.is_null() || logical_false.is_null() {
        return Err(null("a boolean"));
    }
    let fortran = fortran();
    // What was said of one size says nothing of another.
    let known = fortran.booleans.as_ref().filter(|b| b.size == size);
    if let Some(booleans) = known {
        // SAFETY: as in `MPI_Abi_set_fortran_booleans`, the other way round.
        unsafe {
            logical_true.cast::<u8>().copy_from_nonoverlapping(booleans.yes.as_ptr(), size);
            logical_false.cast::<u8>().copy_from_nonoverlapping(booleans.no.as_ptr(), size);
        }
    }
    is_set.set_flag(known.is_some());
    Ok(())
}
