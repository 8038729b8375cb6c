//! `MPI.Op`: reductions. Chapter 6.9 of the standard. The predefined ones can be called on Python
//! values; those written in Python are made in `callback/op.rs`.

use crate::buffer::Access;
use crate::buffer::packed::{Form, operand};
use crate::call::{mpi, mpi_wait};
use crate::handle::{Handle, handle_class};
use mpi_abi as abi;
use mpi_abi::consts as c;
use mpi_abi::consts::MPI_OP_NULL;
use pyo3::basic::CompareOp;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBool;

handle_class! { "Reduction operation.", Op, MPI_OP_NULL, argument = op, MPI_Op_toint, MPI_Op_fromint }

/// A predefined operation on two Python values; `None` if the handle is none of those.
pub(crate) fn apply<'py>(
    raw: abi::Op,
    x: &Bound<'py, PyAny>,
    y: &Bound<'py, PyAny>,
) -> Option<PyResult<Bound<'py, PyAny>>> {
    Some(match raw {
        c::MPI_MAX => y.rich_compare(x, CompareOp::Gt).and_then(|greater| pick(&greater, y, x)),
        c::MPI_MIN => y.rich_compare(x, CompareOp::Lt).and_then(|less| pick(&less, y, x)),
        c::MPI_SUM => x.add(y),
        c::MPI_PROD => x.mul(y),
        c::MPI_BAND => x.bitand(y),
        c::MPI_BOR => x.bitor(y),
        c::MPI_BXOR => x.bitxor(y),
        c::MPI_LAND => logical(x, y, |x, y| x && y),
        c::MPI_LOR => logical(x, y, |x, y| x || y),
        c::MPI_LXOR => logical(x, y, |x, y| x != y),
        c::MPI_MAXLOC => with_place(x, y, CompareOp::Gt),
        c::MPI_MINLOC => with_place(x, y, CompareOp::Lt),
        c::MPI_REPLACE => Ok(y.clone()),
        c::MPI_NO_OP => Ok(x.clone()),
        _ => return None,
    })
}

fn pick<'py>(
    condition: &Bound<'py, PyAny>,
    yes: &Bound<'py, PyAny>,
    no: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    Ok(if condition.is_truthy()? { yes.clone() } else { no.clone() })
}

fn logical<'py>(
    x: &Bound<'py, PyAny>,
    y: &Bound<'py, PyAny>,
    combine: impl Fn(bool, bool) -> bool,
) -> PyResult<Bound<'py, PyAny>> {
    let value = combine(x.is_truthy()?, y.is_truthy()?);
    Ok(PyBool::new(x.py(), value).to_owned().into_any())
}

/// Pairs of value and place: the better value, among equals the lower place.
fn with_place<'py>(x: &Bound<'py, PyAny>, y: &Bound<'py, PyAny>, better: CompareOp) -> PyResult<Bound<'py, PyAny>> {
    let (u, i): (Bound<'py, PyAny>, Bound<'py, PyAny>) = (x.get_item(0)?, x.get_item(1)?);
    let (v, j): (Bound<'py, PyAny>, Bound<'py, PyAny>) = (y.get_item(0)?, y.get_item(1)?);
    let first = if u.rich_compare(&v, better)?.is_truthy()? {
        true
    } else if v.rich_compare(&u, better)?.is_truthy()? {
        false
    } else {
        !j.lt(&i)?
    };
    let pair = if first { (u, i) } else { (v, j) };
    Ok(pair.into_pyobject(x.py())?.into_any())
}

#[pymethods]
impl Op {
    fn __call__<'py>(&self, x: &Bound<'py, PyAny>, y: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        apply(self.raw(), x, y)
            .or_else(|| crate::callback::op::apply(self.raw(), x, y))
            .unwrap_or_else(|| Err(PyValueError::new_err("the operation cannot be called on Python values")))
    }

    /// Free(self) -> None
    ///
    /// Free the operation.
    fn Free(&self, py: Python<'_>) -> PyResult<()> {
        let mut raw = self.raw();
        mpi!(py, MPI_Op_free(&raw mut raw))?;
        crate::callback::op::freed(self, self.raw());
        self.slot().set(raw);
        Ok(())
    }

    /// free(self) -> None
    ///
    /// Call `Free` if the operation is neither null nor predefined.
    fn free(&self, py: Python<'_>) -> PyResult<()> {
        crate::init::free_quietly(self, crate::handle::RawHandle::is_predefined, || self.Free(py))
    }

    /// Is_commutative(self) -> bool
    ///
    /// Whether the order of the operands does not matter.
    fn Is_commutative(&self, py: Python<'_>) -> PyResult<bool> {
        let mut flag = 0;
        mpi!(py, MPI_Op_commutative(self.raw(), &raw mut flag))?;
        Ok(flag != 0)
    }

    /// is_commutative: bool
    ///
    /// Whether the order of the operands does not matter.
    #[getter]
    fn is_commutative(&self, py: Python<'_>) -> PyResult<bool> {
        self.Is_commutative(py)
    }

    /// is_predefined: bool
    ///
    /// Whether the operation is one of MPI's own.
    #[getter]
    fn is_predefined(&self) -> bool {
        self.raw().is_predefined()
    }

    /// Reduce_local(self, inbuf: BufSpec, inoutbuf: BufSpec) -> None
    ///
    /// Apply the operation to two buffers of this process.
    fn Reduce_local(&self, py: Python<'_>, inbuf: &Bound<'_, PyAny>, inoutbuf: &Bound<'_, PyAny>) -> PyResult<()> {
        let raw = self.raw();
        let s = operand(inbuf, Access::Read, 1, Form::Blocking)?;
        let r = operand(inoutbuf, Access::Write, 1, Form::Blocking)?;
        if s.datatype != r.datatype {
            return Err(PyValueError::new_err("mismatch in input and output MPI datatypes"));
        }
        if s.count != r.count {
            return Err(PyValueError::new_err(format!(
                "mismatch in input count {} and output count {}",
                s.count, r.count
            )));
        }
        mpi_wait!(py, MPI_Reduce_local_c(s.addr, r.addr, r.count, r.datatype, raw))
    }
}
