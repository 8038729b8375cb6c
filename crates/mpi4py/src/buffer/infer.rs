//! Which MPI datatype an element is: format strings of the buffer protocol, type codes that users
//! write, `Datatype.fromcode`.

use mpi_abi::Datatype;
use mpi_abi::consts as c;
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;

/// Type codes for C types by `struct`'s, NumPy's and array interface's names.
pub(crate) const CODES_C: &[(&str, Datatype)] = &[
    ("?", c::MPI_C_BOOL),
    ("b", c::MPI_SIGNED_CHAR),
    ("h", c::MPI_SHORT),
    ("i", c::MPI_INT),
    ("l", c::MPI_LONG),
    ("q", c::MPI_LONG_LONG),
    ("B", c::MPI_UNSIGNED_CHAR),
    ("H", c::MPI_UNSIGNED_SHORT),
    ("I", c::MPI_UNSIGNED),
    ("L", c::MPI_UNSIGNED_LONG),
    ("Q", c::MPI_UNSIGNED_LONG_LONG),
    ("f", c::MPI_FLOAT),
    ("d", c::MPI_DOUBLE),
    ("g", c::MPI_LONG_DOUBLE),
    ("F", c::MPI_C_FLOAT_COMPLEX),
    ("D", c::MPI_C_DOUBLE_COMPLEX),
    ("G", c::MPI_C_LONG_DOUBLE_COMPLEX),
    ("b1", c::MPI_C_BOOL),
    ("i1", c::MPI_INT8_T),
    ("i2", c::MPI_INT16_T),
    ("i4", c::MPI_INT32_T),
    ("i8", c::MPI_INT64_T),
    ("u1", c::MPI_UINT8_T),
    ("u2", c::MPI_UINT16_T),
    ("u4", c::MPI_UINT32_T),
    ("u8", c::MPI_UINT64_T),
    ("f4", c::MPI_FLOAT),
    ("c8", c::MPI_C_FLOAT_COMPLEX),
    ("f8", c::MPI_DOUBLE),
    ("c16", c::MPI_C_DOUBLE_COMPLEX),
    ("f16", c::MPI_LONG_DOUBLE),
    ("c32", c::MPI_C_LONG_DOUBLE_COMPLEX),
];

/// Further codes: types that only Fortran has a name for, pointers, characters, dates.
pub(crate) const CODES_MORE: &[(&str, Datatype)] = &[
    ("e", c::MPI_REAL2),
    ("f2", c::MPI_REAL2),
    ("c4", c::MPI_COMPLEX4),
    ("i16", c::MPI_INTEGER16),
    ("Zf", c::MPI_C_FLOAT_COMPLEX),
    ("Zd", c::MPI_C_DOUBLE_COMPLEX),
    ("Zg", c::MPI_C_LONG_DOUBLE_COMPLEX),
    ("n", c::MPI_COUNT),
    ("N", c::MPI_UNSIGNED_LONG),
    ("p", c::MPI_AINT),
    ("P", c::MPI_UNSIGNED_LONG),
    ("c", c::MPI_CHAR),
    ("a", c::MPI_CHAR),
    ("S", c::MPI_CHAR),
    ("S1", c::MPI_CHAR),
    ("s", c::MPI_CHAR),
    ("1s", c::MPI_CHAR),
    ("U", c::MPI_WCHAR),
    ("U1", c::MPI_WCHAR),
    ("u", c::MPI_UINT16_T),
    ("1u", c::MPI_UINT16_T),
    ("w", c::MPI_WCHAR),
    ("1w", c::MPI_WCHAR),
    ("M", c::MPI_INT64_T),
    ("M8", c::MPI_INT64_T),
    ("m", c::MPI_INT64_T),
    ("m8", c::MPI_INT64_T),
];

/// Type codes for Fortran types.
pub(crate) const CODES_FORTRAN: &[(&str, Datatype)] = &[
    ("l", c::MPI_LOGICAL),
    ("i", c::MPI_INTEGER),
    ("r", c::MPI_REAL),
    ("s", c::MPI_REAL),
    ("d", c::MPI_DOUBLE_PRECISION),
    ("c", c::MPI_COMPLEX),
    ("z", c::MPI_DOUBLE_COMPLEX),
    ("i1", c::MPI_INTEGER1),
    ("i2", c::MPI_INTEGER2),
    ("i4", c::MPI_INTEGER4),
    ("i8", c::MPI_INTEGER8),
    ("r4", c::MPI_REAL4),
    ("r8", c::MPI_REAL8),
    ("r16", c::MPI_REAL16),
    ("c8", c::MPI_COMPLEX8),
    ("c16", c::MPI_COMPLEX16),
    ("c32", c::MPI_COMPLEX32),
];

/// The datatype of a code that a user wrote.
pub(crate) fn by_code(code: &str) -> Option<Datatype> {
    CODES_C.iter().chain(CODES_MORE).find(|(name, _)| *name == code).map(|(_, datatype)| *datatype)
}

/// As [`by_code`], with the error that a wrong code raises.
pub(crate) fn code(code: &str) -> PyResult<Datatype> {
    by_code(code).ok_or_else(|| PyKeyError::new_err(format!("cannot map '{code}' to MPI datatype")))
}

/// What a format string means.
pub(crate) enum Found {
    Type(Datatype),
    /// Known, but stored in the other byte order.
    Swapped,
    Unknown,
}

/// The datatype for a format of the buffer protocol and the size of an element.
pub(crate) fn by_format(format: &[u8], itemsize: isize) -> Found {
    match (format, itemsize) {
        (b"B", 1) => return Found::Type(c::MPI_UNSIGNED_CHAR),
        (b"d", 8) => return Found::Type(c::MPI_DOUBLE),
        (b"i", 4) => return Found::Type(c::MPI_INT),
        (b"f", 4) => return Found::Type(c::MPI_FLOAT),
        _ => {}
    }
    let (order, code) = match format {
        [order @ (b'@' | b'=' | b'<' | b'>' | b'!' | b'|'), code @ ..] => (*order, code),
        code => (b'@', code),
    };
    let swapped = if cfg!(target_endian = "little") { matches!(order, b'>' | b'!') } else { order == b'<' };
    if swapped && itemsize > 1 {
        return Found::Swapped;
    }
    let Ok(code) = std::str::from_utf8(code) else {
        return Found::Unknown;
    };
    // Integers by size: `l` with an explicit byte order is not C's long, and ctypes does not care.
    let datatype = match (code, itemsize) {
        ("b" | "h" | "i" | "l" | "q" | "n", _) if native(code) != Some(itemsize) => signed(itemsize),
        ("B" | "H" | "I" | "L" | "Q" | "N", _) if native(code) != Some(itemsize) => unsigned(itemsize),
        _ => by_code(code),
    };
    datatype.map_or(Found::Unknown, Found::Type)
}

fn native(code: &str) -> Option<isize> {
    let size = match code {
        "b" | "B" => 1,
        "h" | "H" => 2,
        "i" | "I" => 4,
        "l" | "L" => size_of::<std::ffi::c_long>(),
        "q" | "Q" => 8,
        "n" | "N" => size_of::<isize>(),
        _ => return None,
    };
    isize::try_from(size).ok()
}

fn signed(size: isize) -> Option<Datatype> {
    Some(match size {
        1 => c::MPI_INT8_T,
        2 => c::MPI_INT16_T,
        4 => c::MPI_INT32_T,
        8 => c::MPI_INT64_T,
        _ => return None,
    })
}

fn unsigned(size: isize) -> Option<Datatype> {
    Some(match size {
        1 => c::MPI_UINT8_T,
        2 => c::MPI_UINT16_T,
        4 => c::MPI_UINT32_T,
        8 => c::MPI_UINT64_T,
        _ => return None,
    })
}
