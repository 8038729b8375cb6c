//! Reductions written in Python: `Op.Create`. Chapter 6.9 of the standard.

use super::table::{SIZE, Table, places};
use crate::buffer::object::Buffer;
use crate::call::{Callback, mpi};
use crate::datatype::Datatype;
use crate::handle::{Handle, new_like};
use crate::op::Op;
use mpi_abi as abi;
use mpi_abi::Count;
use mpi_abi::consts::{MPI_COMM_WORLD, MPI_OP_NULL};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ffi::{c_int, c_void};

static TABLE: Table = Table::new();
type Function = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut Count, *mut abi::Datatype);
static PLACES: [Function; SIZE] = places!(reduce);

unsafe extern "C" fn reduce<const INDEX: usize>(
    from: *mut c_void,
    to: *mut c_void,
    count: *mut Count,
    datatype: *mut abi::Datatype,
) {
    let Some(callback) = Callback::enter() else { return };
    let py = callback.python();
    // SAFETY: MPI passes a count and a datatype.
    let (count, datatype) = unsafe { (*count, *datatype) };
    if let Err(error) = call(py, INDEX, (from, to), count, datatype) {
        // The other ranks would go on with wrong values.
        error.display(py);
        // SAFETY: MPI is running: it has called us.
        unsafe { abi::ffi::MPI_Abort(MPI_COMM_WORLD, 1) };
    }
}

type SmallFunction = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_int, *mut abi::Datatype);
static SMALL_PLACES: [SmallFunction; SIZE] = places!(reduce_small);

/// For libraries that know no operations with large counts.
unsafe extern "C" fn reduce_small<const INDEX: usize>(
    from: *mut c_void,
    to: *mut c_void,
    count: *mut c_int,
    datatype: *mut abi::Datatype,
) {
    // SAFETY: MPI passes a count; the rest is passed on.
    unsafe {
        let mut count = Count::from(*count);
        reduce::<INDEX>(from, to, &raw mut count, datatype);
    }
}

fn call(
    py: Python<'_>,
    index: usize,
    (from, to): (*mut c_void, *mut c_void),
    count: Count,
    datatype: abi::Datatype,
) -> PyResult<()> {
    let Some(function) = TABLE.function(py, index) else { return Ok(()) };
    let (mut bound, mut extent, mut low, mut span) = (0, 0, 0, 0);
    mpi!(py, MPI_Type_get_extent_c(datatype, &raw mut bound, &raw mut extent))?;
    mpi!(py, MPI_Type_get_true_extent_c(datatype, &raw mut low, &raw mut span))?;
    let size = if count > 0 { (count - 1) * extent + span } else { 0 };
    let (size, low) = (isize::try_from(size)?, isize::try_from(low)?);
    let buffer =
        |addr: *mut c_void, readonly| Py::new(py, Buffer::at(addr.wrapping_byte_offset(low), size, readonly, None));
    let (from, to) = (buffer(from, true)?, buffer(to, false)?);
    let done = function.call1(py, (&from, &to, Datatype::wrap(py, datatype)?));
    // The memory is MPI's: nothing may look at it later.
    from.get().clear();
    to.get().clear();
    done.map(drop)
}

/// An operation written in Python on two Python values; `None`: it is none of those.
pub(crate) fn apply<'py>(
    raw: abi::Op,
    x: &Bound<'py, PyAny>,
    y: &Bound<'py, PyAny>,
) -> Option<PyResult<Bound<'py, PyAny>>> {
    let py = x.py();
    let (function, _) = TABLE.find(py, raw.raw(), None)?;
    Some(function.bind(py).call1((x, y, py.None())))
}

/// The function of an operation that a request uses: it stays, also if `Op.Free` comes before the request is over.
pub(crate) struct InUse(usize);

impl InUse {
    /// None if the operation is not written in Python.
    pub(crate) fn of(raw: abi::Op) -> Option<Self> {
        if raw.is_predefined() { None } else { TABLE.hold(raw.raw()).map(Self) }
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        TABLE.let_go(self.0);
    }
}

/// After `Op.Free`.
pub(crate) fn freed(op: &Op, raw: abi::Op) {
    TABLE.freed(raw.raw(), std::ptr::from_ref(op).addr());
}

#[pymethods]
impl Op {
    /// Create(cls, function: Callable[[Buffer, Buffer, Datatype], None], commute: bool = False) -> Self
    ///
    /// Make an operation of a Python function.
    #[classmethod]
    #[pyo3(signature = (function, commute = false))]
    fn Create<'py>(
        cls: &Bound<'py, PyType>,
        function: &Bound<'py, PyAny>,
        commute: bool,
    ) -> PyResult<Bound<'py, Self>> {
        let py = cls.py();
        if !function.is_callable() {
            return Err(PyTypeError::new_err("expecting a callable"));
        }
        let index = TABLE.take(function, commute, "operations written in Python")?;
        let make = || -> PyResult<Bound<'py, Self>> {
            let mut raw = MPI_OP_NULL;
            let commutes = c_int::from(commute);
            mpi!(py, MPI_Op_create_c(Some(PLACES[index]), commutes, &raw mut raw))
                .or_else(|_| mpi!(py, MPI_Op_create(Some(SMALL_PLACES[index]), commutes, &raw mut raw)))?;
            let op: Bound<'py, Self> = new_like(cls, raw)?;
            TABLE.own(index, raw.raw(), std::ptr::from_ref(op.get()).addr());
            Ok(op)
        };
        make().inspect_err(|_| TABLE.give_back(index))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let (py, owner) = (slf.py(), std::ptr::from_ref(slf.get()).addr());
        match TABLE.find(py, slf.get().raw().raw(), Some(owner)) {
            Some((function, commute)) => {
                let make = slf.as_any().get_type().getattr("Create")?;
                crate::handle::recipe(make, (function, commute).into_pyobject(py)?)
            }
            None => crate::handle::reduce(slf),
        }
    }
}
