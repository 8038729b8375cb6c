//! How a datatype was made: envelope and contents, as names and arguments of the constructor, and
//! making it again from those (in another process: pickling). Chapter 5.1.13 of the standard.

use super::Datatype;
use crate::call::mpi;
use crate::handle::{self, Handle, module};
use mpi_abi as abi;
use mpi_abi::consts as c;
use mpi_abi::{Aint, Count};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::ffi::c_int;

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_datatype_create, module)?)?;
    module.add_function(wrap_pyfunction!(_datatype_decode, module)?)
}

/// Numbers of integers, addresses, large counts and datatypes in the contents; the combiner.
type Envelope = (Count, Count, Count, Count, c_int);

/// The contents as Python gets them.
type Lists<'py> = (Vec<c_int>, Vec<Aint>, Vec<Count>, Vec<Bound<'py, Datatype>>);

/// The contents themselves.
#[derive(Default)]
struct Contents {
    integers: Vec<c_int>,
    addresses: Vec<Aint>,
    counts: Vec<Count>,
    types: Vec<abi::Datatype>,
}

pub(super) fn envelope(py: Python<'_>, raw: abi::Datatype) -> PyResult<Envelope> {
    let (mut ni, mut na, mut nc, mut nd, mut combiner) = (0, 0, 0, 0, 0);
    mpi!(py, MPI_Type_get_envelope_c(raw, &raw mut ni, &raw mut na, &raw mut nc, &raw mut nd, &raw mut combiner))?;
    Ok((ni, na, nc, nd, combiner))
}

fn contents(py: Python<'_>, raw: abi::Datatype, (ni, na, nc, nd, _): Envelope) -> PyResult<Contents> {
    let mut found = Contents {
        integers: vec![0; usize::try_from(ni)?],
        addresses: vec![0; usize::try_from(na)?],
        counts: vec![0; usize::try_from(nc)?],
        types: vec![c::MPI_DATATYPE_NULL; usize::try_from(nd)?],
    };
    let (integers, addresses) = (found.integers.as_mut_ptr(), found.addresses.as_mut_ptr());
    let (counts, types) = (found.counts.as_mut_ptr(), found.types.as_mut_ptr());
    mpi!(py, MPI_Type_get_contents_c(raw, ni, na, nc, nd, integers, addresses, counts, types))?;
    Ok(found)
}

/// Whether a combiner is one of those whose datatypes must not be freed.
fn is_builtin(combiner: c_int) -> bool {
    matches!(
        combiner,
        c::MPI_COMBINER_NAMED | c::MPI_COMBINER_F90_INTEGER | c::MPI_COMBINER_F90_REAL | c::MPI_COMBINER_F90_COMPLEX
    )
}

/// Whether the library made the datatype, so that it must not be freed.
pub(super) fn is_predefined(py: Python<'_>, raw: abi::Datatype) -> PyResult<bool> {
    if raw.is_predefined() {
        return Ok(true);
    }
    Ok(is_builtin(envelope(py, raw)?.4))
}

/// The object for a datatype in the contents: the constant if it is predefined.
fn object<'py>(py: Python<'py>, raw: abi::Datatype) -> PyResult<Bound<'py, Datatype>> {
    if raw.is_predefined()
        && let Some(constant) = constant(py, raw)?
    {
        return Ok(constant);
    }
    Ok(Datatype::wrap(py, raw)?.into_bound(py))
}

/// The module's constant for a predefined datatype.
pub(super) fn constant(py: Python<'_>, raw: abi::Datatype) -> PyResult<Option<Bound<'_, Datatype>>> {
    for (_, value) in module(py)?.dict() {
        if let Ok(datatype) = value.cast_into::<Datatype>()
            && datatype.get().slot().is_constant()
            && datatype.get().raw() == raw
        {
            return Ok(Some(datatype));
        }
    }
    Ok(None)
}

/// The names of the combiners in `decode`'s answers, which are those of the constructors.
const NAMES: &[(c_int, &str)] = &[
    (c::MPI_COMBINER_NAMED, "NAMED"),
    (c::MPI_COMBINER_DUP, "DUP"),
    (c::MPI_COMBINER_CONTIGUOUS, "CONTIGUOUS"),
    (c::MPI_COMBINER_VECTOR, "VECTOR"),
    (c::MPI_COMBINER_HVECTOR, "HVECTOR"),
    (c::MPI_COMBINER_INDEXED, "INDEXED"),
    (c::MPI_COMBINER_HINDEXED, "HINDEXED"),
    (c::MPI_COMBINER_INDEXED_BLOCK, "INDEXED_BLOCK"),
    (c::MPI_COMBINER_HINDEXED_BLOCK, "HINDEXED_BLOCK"),
    (c::MPI_COMBINER_STRUCT, "STRUCT"),
    (c::MPI_COMBINER_SUBARRAY, "SUBARRAY"),
    (c::MPI_COMBINER_DARRAY, "DARRAY"),
    (c::MPI_COMBINER_RESIZED, "RESIZED"),
    (c::MPI_COMBINER_VALUE_INDEX, "VALUE_INDEX"),
    (c::MPI_COMBINER_F90_INTEGER, "F90_INTEGER"),
    (c::MPI_COMBINER_F90_REAL, "F90_REAL"),
    (c::MPI_COMBINER_F90_COMPLEX, "F90_COMPLEX"),
];

/// Reads numbers of one constructor in their order, wherever the library put them: as integers,
/// as addresses or as large counts.
struct Reader<'a> {
    contents: &'a Contents,
    integers: usize,
    counts: usize,
    addresses: usize,
}

impl<'a> Reader<'a> {
    fn new(contents: &'a Contents) -> Self {
        Self { contents, integers: 0, counts: 0, addresses: 0 }
    }

    fn integer(&mut self) -> Count {
        let value = self.contents.integers.get(self.integers).copied().unwrap_or(0);
        self.integers += 1;
        Count::from(value)
    }

    /// A number that is a count in the large form of the constructor.
    fn count(&mut self) -> Count {
        if self.contents.counts.is_empty() {
            return self.integer();
        }
        let value = self.contents.counts.get(self.counts).copied().unwrap_or(0);
        self.counts += 1;
        value
    }

    /// A number that is a count in the large form, and an address in the other.
    fn address(&mut self) -> Count {
        if !self.contents.counts.is_empty() {
            return self.count();
        }
        let value = self.contents.addresses.get(self.addresses).copied().unwrap_or(0);
        self.addresses += 1;
        value as Count
    }

    fn many(&mut self, n: Count, mut read: impl FnMut(&mut Self) -> Count) -> Vec<Count> {
        (0..n).map(|_| read(self)).collect()
    }
}

/// The arguments of the constructor.
fn arguments<'py>(py: Python<'py>, combiner: c_int, contents: &Contents) -> PyResult<Bound<'py, PyDict>> {
    let a = PyDict::new(py);
    let mut r = Reader::new(contents);
    match combiner {
        c::MPI_COMBINER_CONTIGUOUS => a.set_item("count", r.count())?,
        c::MPI_COMBINER_VECTOR | c::MPI_COMBINER_HVECTOR => {
            a.set_item("count", r.count())?;
            a.set_item("blocklength", r.count())?;
            let bytes = combiner == c::MPI_COMBINER_HVECTOR;
            a.set_item("stride", if bytes { r.address() } else { r.count() })?;
        }
        c::MPI_COMBINER_INDEXED | c::MPI_COMBINER_HINDEXED | c::MPI_COMBINER_STRUCT => {
            let n = r.count();
            a.set_item("blocklengths", r.many(n, Reader::count))?;
            let bytes = combiner != c::MPI_COMBINER_INDEXED;
            a.set_item("displacements", r.many(n, |r| if bytes { r.address() } else { r.count() }))?;
            if combiner == c::MPI_COMBINER_STRUCT {
                let types: PyResult<Vec<_>> = contents.types.iter().map(|&raw| object(py, raw)).collect();
                a.set_item("datatypes", types?)?;
            }
        }
        c::MPI_COMBINER_INDEXED_BLOCK | c::MPI_COMBINER_HINDEXED_BLOCK => {
            let n = r.count();
            a.set_item("blocklength", r.count())?;
            let bytes = combiner == c::MPI_COMBINER_HINDEXED_BLOCK;
            a.set_item("displacements", r.many(n, |r| if bytes { r.address() } else { r.count() }))?;
        }
        c::MPI_COMBINER_SUBARRAY => {
            let n = r.integer();
            a.set_item("sizes", r.many(n, Reader::count))?;
            a.set_item("subsizes", r.many(n, Reader::count))?;
            a.set_item("starts", r.many(n, Reader::count))?;
            a.set_item("order", r.integer())?;
        }
        c::MPI_COMBINER_DARRAY => {
            a.set_item("size", r.integer())?;
            a.set_item("rank", r.integer())?;
            let n = r.integer();
            a.set_item("gsizes", r.many(n, Reader::count))?;
            a.set_item("distribs", r.many(n, Reader::integer))?;
            a.set_item("dargs", r.many(n, Reader::integer))?;
            a.set_item("psizes", r.many(n, Reader::integer))?;
            a.set_item("order", r.integer())?;
        }
        c::MPI_COMBINER_RESIZED => {
            a.set_item("lb", r.address())?;
            a.set_item("extent", r.address())?;
        }
        c::MPI_COMBINER_VALUE_INDEX => {
            for (name, &raw) in ["value", "index"].into_iter().zip(&contents.types) {
                a.set_item(name, object(py, raw)?)?;
            }
        }
        c::MPI_COMBINER_F90_INTEGER => a.set_item("r", r.integer())?,
        c::MPI_COMBINER_F90_REAL | c::MPI_COMBINER_F90_COMPLEX => {
            a.set_item("p", r.integer())?;
            a.set_item("r", r.integer())?;
        }
        _ => {}
    }
    Ok(a)
}

type Decoded<'py> = (Bound<'py, Datatype>, &'static str, Bound<'py, PyDict>);

fn decode<'py>(datatype: &Bound<'py, Datatype>) -> PyResult<Decoded<'py>> {
    let (py, raw) = (datatype.py(), datatype.get().raw());
    let envelope = envelope(py, raw)?;
    let combiner = envelope.4;
    let name = NAMES.iter().find(|(known, _)| *known == combiner).map(|(_, name)| *name);
    let name = name.ok_or_else(|| PyValueError::new_err(format!("unknown combiner {combiner}")))?;
    if combiner == c::MPI_COMBINER_NAMED {
        return Ok((datatype.clone(), name, PyDict::new(py)));
    }
    let contents = contents(py, raw, envelope)?;
    let arguments = arguments(py, combiner, &contents)?;
    let base = match contents.types.first() {
        Some(&raw) if !matches!(combiner, c::MPI_COMBINER_STRUCT | c::MPI_COMBINER_VALUE_INDEX) => object(py, raw)?,
        _ => object(py, c::MPI_DATATYPE_NULL)?,
    };
    Ok((base, name, arguments))
}

/// The first datatype in the contents, for copies (`Dup`).
pub(super) fn original(py: Python<'_>, raw: abi::Datatype) -> PyResult<Option<abi::Datatype>> {
    let envelope = envelope(py, raw)?;
    if envelope.4 != c::MPI_COMBINER_DUP {
        return Ok(None);
    }
    Ok(contents(py, raw, envelope)?.types.first().copied())
}

#[pymethods]
impl Datatype {
    /// Get_envelope(self) -> tuple[int, int, int, int, int]
    ///
    /// Numbers of integers, addresses, large counts and datatypes in the contents, and the combiner.
    fn Get_envelope(&self, py: Python<'_>) -> PyResult<Envelope> {
        envelope(py, self.raw())
    }

    /// envelope: tuple[int, int, int, int, int]
    ///
    /// Envelope.
    #[getter]
    fn envelope(&self, py: Python<'_>) -> PyResult<Envelope> {
        envelope(py, self.raw())
    }

    /// Get_contents(self) -> tuple[list[int], list[int], list[int], list[Datatype]]
    ///
    /// Integers, addresses, large counts and datatypes that the datatype was made from.
    fn Get_contents<'py>(&self, py: Python<'py>) -> PyResult<Lists<'py>> {
        let found = contents(py, self.raw(), envelope(py, self.raw())?)?;
        let types: PyResult<Vec<_>> = found.types.iter().map(|&raw| object(py, raw)).collect();
        Ok((found.integers, found.addresses, found.counts, types?))
    }

    /// contents: tuple[list[int], list[int], list[int], list[Datatype]]
    ///
    /// Contents.
    #[getter]
    fn contents<'py>(&self, py: Python<'py>) -> PyResult<Lists<'py>> {
        self.Get_contents(py)
    }

    /// decode(self) -> tuple[Datatype, str, dict[str, Any]]
    ///
    /// The datatype this one was made from, the name of the combiner and its arguments.
    fn decode<'py>(slf: &Bound<'py, Self>) -> PyResult<Decoded<'py>> {
        decode(slf)
    }

    /// combiner: int
    ///
    /// How the datatype was made, one of the COMBINER_* constants.
    #[getter]
    fn combiner(&self, py: Python<'_>) -> PyResult<c_int> {
        Ok(envelope(py, self.raw())?.4)
    }

    /// is_named: bool
    ///
    /// Whether the datatype has a name of its own in MPI.
    #[getter]
    fn is_named(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(envelope(py, self.raw())?.4 == c::MPI_COMBINER_NAMED)
    }

    /// is_predefined: bool
    ///
    /// Whether the library made the datatype.
    #[getter]
    fn is_predefined(&self, py: Python<'_>) -> PyResult<bool> {
        is_predefined(py, self.raw())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if slf.get().raw().is_predefined() {
            return handle::reduce(slf);
        }
        let (base, name, arguments) = decode(slf)?;
        let create = module(py)?.getattr("_datatype_create")?;
        handle::recipe(create, (base, name, arguments, true).into_pyobject(py)?)
    }
}

/// _datatype_create(datatype: Datatype, combiner: str, params: dict[str, Any], free: bool = False) -> Datatype
///
/// Make a datatype from what `decode` gave.
#[pyfunction]
#[pyo3(signature = (datatype, combiner, params, free = false))]
fn _datatype_create<'py>(
    datatype: &Bound<'py, Datatype>,
    combiner: &str,
    params: &Bound<'py, PyDict>,
    free: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = datatype.py();
    if combiner == "NAMED" {
        return Ok(datatype.clone().into_any());
    }
    let prefix = if combiner == "VALUE_INDEX" { "Get_" } else { "Create_" };
    let make = datatype.getattr(format!("{prefix}{}", combiner.to_lowercase()))?;
    let made = make.call((), Some(params))?;
    if free {
        let parts = match params.get_item("datatypes")? {
            Some(parts) => parts.cast_into::<PyList>()?,
            None => PyList::new(py, [datatype])?,
        };
        for part in parts {
            part.call_method0("free")?;
        }
    }
    Ok(made)
}

/// _datatype_decode(datatype: Datatype, mark: bool = False) -> tuple[Datatype, str, dict[str, Any]]
///
/// What `decode` gives; with `mark` the parts may be freed by whoever holds them last.
#[pyfunction]
#[pyo3(signature = (datatype, mark = false))]
fn _datatype_decode<'py>(datatype: &Bound<'py, Datatype>, mark: bool) -> PyResult<Decoded<'py>> {
    let _ = mark;
    decode(datatype)
}
