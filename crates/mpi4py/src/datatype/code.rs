//! Type codes of datatypes, as NumPy, `struct` and the array interface write them.

use super::decode::{constant, envelope, original};
use super::{Datatype, extent, size};
use crate::buffer::infer;
use crate::handle::Handle;
use mpi_abi as abi;
use mpi_abi::consts as c;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_typecode, module)?)?;
    module.add_function(wrap_pyfunction!(_typealign, module)?)
}

/// The dictionaries of codes; added when the constants exist.
pub(crate) fn register_codes(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let all = [infer::CODES_C, infer::CODES_MORE].concat();
    for (name, codes) in
        [("_typedict", all.as_slice()), ("_typedict_c", infer::CODES_C), ("_typedict_f", infer::CODES_FORTRAN)]
    {
        let dict = PyDict::new(module.py());
        for &(code, raw) in codes {
            dict.set_item(code, constant(module.py(), raw)?)?;
        }
        module.add(name, dict)?;
    }
    Ok(())
}

/// The code of each predefined datatype that has one.
const CODES: &[(abi::Datatype, &str)] = &[
    (c::MPI_BYTE, "B"),
    (c::MPI_PACKED, "B"),
    (c::MPI_AINT, "p"),
    (c::MPI_OFFSET, "p"),
    (c::MPI_COUNT, "p"),
    (c::MPI_CHAR, "c"),
    (c::MPI_CHARACTER, "c"),
    (c::MPI_WCHAR, "U"),
    (c::MPI_SIGNED_CHAR, "b"),
    (c::MPI_SHORT, "h"),
    (c::MPI_INT, "i"),
    (c::MPI_LONG, "l"),
    (c::MPI_LONG_LONG, "q"),
    (c::MPI_UNSIGNED_CHAR, "B"),
    (c::MPI_UNSIGNED_SHORT, "H"),
    (c::MPI_UNSIGNED, "I"),
    (c::MPI_UNSIGNED_LONG, "L"),
    (c::MPI_UNSIGNED_LONG_LONG, "Q"),
    (c::MPI_FLOAT, "f"),
    (c::MPI_DOUBLE, "d"),
    (c::MPI_LONG_DOUBLE, "g"),
    (c::MPI_C_BOOL, "b1"),
    (c::MPI_INT8_T, "i1"),
    (c::MPI_INT16_T, "i2"),
    (c::MPI_INT32_T, "i4"),
    (c::MPI_INT64_T, "i8"),
    (c::MPI_UINT8_T, "u1"),
    (c::MPI_UINT16_T, "u2"),
    (c::MPI_UINT32_T, "u4"),
    (c::MPI_UINT64_T, "u8"),
    (c::MPI_C_FLOAT_COMPLEX, "F"),
    (c::MPI_C_DOUBLE_COMPLEX, "D"),
    (c::MPI_C_LONG_DOUBLE_COMPLEX, "G"),
    (c::MPI_CXX_BOOL, "?"),
    (c::MPI_CXX_FLOAT_COMPLEX, "F"),
    (c::MPI_CXX_DOUBLE_COMPLEX, "D"),
    (c::MPI_CXX_LONG_DOUBLE_COMPLEX, "G"),
];

/// Fortran's types: the kind of number; the size comes from the library.
const FORTRAN: &[(abi::Datatype, char)] = &[
    (c::MPI_LOGICAL, 'i'),
    (c::MPI_LOGICAL1, 'i'),
    (c::MPI_LOGICAL2, 'i'),
    (c::MPI_LOGICAL4, 'i'),
    (c::MPI_LOGICAL8, 'i'),
    (c::MPI_LOGICAL16, 'i'),
    (c::MPI_INTEGER, 'i'),
    (c::MPI_INTEGER1, 'i'),
    (c::MPI_INTEGER2, 'i'),
    (c::MPI_INTEGER4, 'i'),
    (c::MPI_INTEGER8, 'i'),
    (c::MPI_INTEGER16, 'i'),
    (c::MPI_REAL, 'f'),
    (c::MPI_DOUBLE_PRECISION, 'f'),
    (c::MPI_REAL2, 'f'),
    (c::MPI_REAL4, 'f'),
    (c::MPI_REAL8, 'f'),
    (c::MPI_REAL16, 'f'),
    (c::MPI_COMPLEX, 'c'),
    (c::MPI_DOUBLE_COMPLEX, 'c'),
    (c::MPI_COMPLEX4, 'c'),
    (c::MPI_COMPLEX8, 'c'),
    (c::MPI_COMPLEX16, 'c'),
    (c::MPI_COMPLEX32, 'c'),
];

/// Codes with sizes, and the character and size-less forms of the same type.
const CHARS: &[(&str, &str)] = &[
    ("b1", "?"),
    ("i1", "b"),
    ("i2", "h"),
    ("i4", "i"),
    ("i8", "l"),
    ("u1", "B"),
    ("u2", "H"),
    ("u4", "I"),
    ("u8", "L"),
    ("f2", "e"),
    ("f4", "f"),
    ("f8", "d"),
    ("f16", "g"),
    ("c8", "F"),
    ("c16", "D"),
    ("c32", "G"),
    ("S1", "c"),
    ("U1", "U"),
    ("i8", "q"),
    ("u8", "Q"),
    ("i8", "p"),
];

/// The code of a datatype, `None` if it has none.
fn code(py: Python<'_>, raw: abi::Datatype) -> PyResult<Option<String>> {
    if raw == c::MPI_DATATYPE_NULL {
        return Ok(None);
    }
    if let Some((_, code)) = CODES.iter().find(|(known, _)| *known == raw) {
        return Ok(Some((*code).to_owned()));
    }
    if let Some((_, kind)) = FORTRAN.iter().find(|(known, _)| *known == raw) {
        return Ok(Some(format!("{kind}{}", size(py, raw)?)));
    }
    if raw.is_predefined() {
        return Ok(None);
    }
    if let Some(original) = original(py, raw)? {
        let code = code(py, original)?;
        if !original.is_predefined() {
            Datatype::wrap(py, original)?.bind(py).call_method0("free")?;
        }
        return Ok(code);
    }
    let kind = match envelope(py, raw)?.4 {
        c::MPI_COMBINER_F90_INTEGER => 'i',
        c::MPI_COMBINER_F90_REAL => 'f',
        c::MPI_COMBINER_F90_COMPLEX => 'c',
        _ => return Ok(None),
    };
    Ok(Some(format!("{kind}{}", size(py, raw)?)))
}

/// One character for a code.
fn as_char(code: &str) -> String {
    let found = CHARS.iter().find(|(sized, _)| *sized == code);
    found.map_or_else(|| code.to_owned(), |(_, char)| (*char).to_owned())
}

/// Kind and size for a code.
fn as_sized(code: &str) -> String {
    let found = CHARS.iter().find(|(_, char)| *char == code);
    found.map_or_else(|| code.to_owned(), |(sized, _)| (*sized).to_owned())
}

#[pymethods]
impl Datatype {
    /// tocode(self) -> str
    ///
    /// Type code or type string of a predefined datatype.
    fn tocode(&self, py: Python<'_>) -> PyResult<String> {
        code(py, self.raw())?.ok_or_else(|| PyValueError::new_err("the datatype has no character code or type string"))
    }

    /// fromcode(cls, code: str) -> Datatype
    ///
    /// Predefined datatype of a type code or type string.
    #[classmethod]
    #[pyo3(signature = (code))]
    fn fromcode<'py>(cls: &Bound<'py, PyType>, code: &str) -> PyResult<Bound<'py, Self>> {
        let py = cls.py();
        let found = match infer::by_code(code) {
            Some(raw) => constant(py, raw)?,
            None => None,
        };
        found.ok_or_else(|| PyValueError::new_err(format!("cannot map code '{code}' to an MPI datatype")))
    }

    /// typestr: str
    ///
    /// Type string, as in the array interface.
    #[getter]
    fn typestr(&self, py: Python<'_>) -> PyResult<String> {
        if self.raw() == c::MPI_DATATYPE_NULL {
            return Ok(String::new());
        }
        match code(py, self.raw())? {
            Some(code) => Ok(as_sized(&code)),
            None => Ok(format!("V{}", extent(py, self.raw())?.1)),
        }
    }

    /// typechar: str
    ///
    /// Type code of one character.
    #[getter]
    fn typechar(&self, py: Python<'_>) -> PyResult<String> {
        if self.raw() == c::MPI_DATATYPE_NULL {
            return Ok(String::new());
        }
        Ok(code(py, self.raw())?.map_or_else(|| "V".to_owned(), |code| as_char(&code)))
    }
}

/// _typecode(datatype: Datatype) -> str | None
///
/// Type code or type string of a datatype.
#[pyfunction]
fn _typecode(py: Python<'_>, datatype: crate::handle::H<Datatype>) -> PyResult<Option<String>> {
    code(py, datatype.0)
}

/// _typealign(datatype: Datatype) -> int | None
///
/// Alignment of a predefined datatype.
#[pyfunction]
fn _typealign(py: Python<'_>, datatype: crate::handle::H<Datatype>) -> PyResult<Option<i64>> {
    let raw = datatype.0;
    Ok(match raw {
        c::MPI_DATATYPE_NULL => None,
        c::MPI_SHORT_INT | c::MPI_2INT | c::MPI_FLOAT_INT => Some(4),
        c::MPI_LONG_INT => Some(size(py, c::MPI_LONG)?),
        c::MPI_DOUBLE_INT => Some(8),
        c::MPI_LONG_DOUBLE_INT => Some(size(py, c::MPI_LONG_DOUBLE)?),
        _ => match code(py, raw)? {
            None => None,
            Some(code) if matches!(as_char(&code).as_str(), "F" | "D" | "G") => Some(size(py, raw)? / 2),
            Some(_) => Some(size(py, raw)?),
        },
    })
}
