//! One-sided communication: put, get, accumulate and their kin. Chapter 12.3 of the standard.
//!
//! A target is `None` (as the origin, at the start), a displacement, or `[disp]`, `[disp, count]`,
//! `[disp, count, type]`. Buffers of calls without a request must stay until the next synchronisation:
//! that is the program's promise to MPI, nothing here holds them.

use super::Win;
use crate::args;
use crate::buffer::spec::{self, simple};
use crate::buffer::{Access, Msg};
use crate::call::mpi_wait;
use crate::handle::{H, Handle};
use crate::op::Op;
use crate::request::Request;
use mpi_abi as abi;
use mpi_abi::consts::{MPI_PROC_NULL, MPI_REQUEST_NULL, MPI_SUM};
use mpi_abi::{Aint, Count};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use std::ffi::c_int;

type Object<'a, 'py> = &'a Bound<'py, PyAny>;

/// Where at the target.
struct Target {
    disp: Aint,
    count: Count,
    datatype: abi::Datatype,
}

impl Target {
    fn new(object: Option<Object<'_, '_>>, origin: &Msg) -> PyResult<Self> {
        // A strided origin goes to elements that lie side by side.
        let (count, datatype) = origin.plain();
        let mut target = Self { disp: 0, count, datatype };
        let Some(object) = object.filter(|object| !object.is_none()) else {
            return Ok(target);
        };
        if !(object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>()) {
            target.disp = args::aint(object)
                .map_err(|_| PyValueError::new_err("target: expecting a displacement, or a list or tuple"))?;
            return Ok(target);
        }
        let items = args::sequence(object, Ok)?;
        if items.len() > 3 {
            return Err(PyValueError::new_err(format!("target: expecting at most 3 items, got {}", items.len())));
        }
        if let Some(disp) = items.first().filter(|disp| !disp.is_none()) {
            target.disp = args::aint(disp)?;
        }
        if let Some(count) = items.get(1).filter(|count| !count.is_none()) {
            target.count = args::count(count)?;
        }
        if let Some(datatype) = items.get(2).filter(|datatype| !datatype.is_none()) {
            target.datatype = spec::datatype(datatype)?
                .ok_or_else(|| PyValueError::new_err("target: expecting a datatype as the third item"))?;
        }
        Ok(target)
    }
}

/// The origin's buffer; for a target that is nobody only the datatype at the end of a list counts.
fn origin(object: Object<'_, '_>, target_rank: c_int, access: Access) -> PyResult<Msg> {
    if target_rank != MPI_PROC_NULL {
        return simple(object, access, 1);
    }
    let last = match (object.cast::<PyList>(), object.cast::<PyTuple>()) {
        (Ok(list), _) if !list.is_empty() => Some(list.get_item(list.len() - 1)?),
        (_, Ok(tuple)) if !tuple.is_empty() => Some(tuple.get_item(tuple.len() - 1)?),
        _ => None,
    };
    let datatype = match last {
        Some(last) if spec::is_datatype(&last) => spec::datatype(&last)?,
        _ => None,
    };
    let nothing = Msg::nothing();
    Ok(Msg { datatype: datatype.unwrap_or(nothing.datatype), ..nothing })
}

/// Refuses what is not one element of the result's datatype.
fn single(message: &Msg, what: &str, result: &Msg, target_rank: c_int) -> PyResult<()> {
    if target_rank == MPI_PROC_NULL || message.addr.is_null() {
        return Ok(());
    }
    if message.count != 1 {
        return Err(PyValueError::new_err(format!("{what}: expecting a single element, got {}", message.count)));
    }
    if message.datatype != result.datatype {
        return Err(PyValueError::new_err(format!("mismatch in {what} and result MPI datatypes")));
    }
    Ok(())
}

fn op_or_sum(op: Option<H<Op>>) -> abi::Op {
    op.map_or(MPI_SUM, |op| op.0)
}

/// Transfers between one buffer and the target, and their forms with a request.
macro_rules! transfers {
    ($($name:ident $function:ident, $rname:ident $rfunction:ident, $access:ident, $text:literal, $doc:literal;)*) => {
        #[pymethods]
        impl Win {$(
            #[doc = concat!(stringify!($name), "(self, origin: BufSpec, target_rank: int, target: TargetSpec | None = None) -> None\n\n", $doc)]
            #[pyo3(signature = (origin, target_rank, target = None))]
            fn $name(&self, py: Python<'_>, origin: Object<'_, '_>, target_rank: c_int, target: Option<Object<'_, '_>>) -> PyResult<()> {
                let (m, raw) = (self::origin(origin, target_rank, Access::$access)?, self.raw());
                let t = Target::new(target, &m)?;
                mpi_wait!(py, $function(m.addr, m.count, m.datatype, target_rank, t.disp, t.count, t.datatype, raw))
            }

            #[doc = concat!(stringify!($rname), "(self, origin: BufSpec, target_rank: int, target: TargetSpec | None = None) -> Request\n\n", $text)]
            #[pyo3(signature = (origin, target_rank, target = None))]
            fn $rname(&self, py: Python<'_>, origin: Object<'_, '_>, target_rank: c_int, target: Option<Object<'_, '_>>) -> PyResult<Py<Request>> {
                let (m, raw, mut request) = (self::origin(origin, target_rank, Access::$access)?, self.raw(), MPI_REQUEST_NULL);
                let t = Target::new(target, &m)?;
                mpi_wait!(
                    py,
                    $rfunction(m.addr, m.count, m.datatype, target_rank, t.disp, t.count, t.datatype, raw, &raw mut request)
                )?;
                Request::make(py, request, m.keep)
            }
        )*}
    };
}

transfers! {
    Put MPI_Put_c, Rput MPI_Rput_c, Read, "Put data into another process's memory; the request tells when it has left.",
    "Put data into another process's memory.";
    Get MPI_Get_c, Rget MPI_Rget_c, Write, "Get data from another process's memory; the request tells when it is here.",
    "Get data from another process's memory.";
}

#[pymethods]
impl Win {
    /// Accumulate(self, origin: BufSpec, target_rank: int, target: TargetSpec | None = None, op: Op = SUM) -> None
    ///
    /// Combine data with what is in another process's memory.
    #[pyo3(signature = (origin, target_rank, target = None, op = None))]
    fn Accumulate(
        &self,
        py: Python<'_>,
        origin: Object<'_, '_>,
        target_rank: c_int,
        target: Option<Object<'_, '_>>,
        op: Option<H<Op>>,
    ) -> PyResult<()> {
        let (m, raw, op) = (self::origin(origin, target_rank, Access::Read)?, self.raw(), op_or_sum(op));
        let t = Target::new(target, &m)?;
        mpi_wait!(py, MPI_Accumulate_c(m.addr, m.count, m.datatype, target_rank, t.disp, t.count, t.datatype, op, raw))
    }

    /// Raccumulate(self, origin: BufSpec, target_rank: int, target: TargetSpec | None = None, op: Op = SUM) -> Request
    ///
    /// Combine data with what is in another process's memory; the request tells when it has left.
    #[pyo3(signature = (origin, target_rank, target = None, op = None))]
    fn Raccumulate(
        &self,
        py: Python<'_>,
        origin: Object<'_, '_>,
        target_rank: c_int,
        target: Option<Object<'_, '_>>,
        op: Option<H<Op>>,
    ) -> PyResult<Py<Request>> {
        let (m, raw, op) = (self::origin(origin, target_rank, Access::Read)?, self.raw(), op_or_sum(op));
        let (t, mut request) = (Target::new(target, &m)?, MPI_REQUEST_NULL);
        let (addr, count, datatype) = (m.addr, m.count, m.datatype);
        mpi_wait!(
            py,
            MPI_Raccumulate_c(
                addr,
                count,
                datatype,
                target_rank,
                t.disp,
                t.count,
                t.datatype,
                op,
                raw,
                &raw mut request
            )
        )?;
        Request::make(py, request, m.keep)
    }

    /// Get_accumulate(self, origin: BufSpec, result: BufSpec, target_rank: int, target: TargetSpec | None = None, op: Op = SUM) -> None
    ///
    /// Fetch what is in another process's memory and combine data with it.
    #[pyo3(signature = (origin, result, target_rank, target = None, op = None))]
    fn Get_accumulate(
        &self,
        py: Python<'_>,
        origin: Object<'_, '_>,
        result: Object<'_, '_>,
        target_rank: c_int,
        target: Option<Object<'_, '_>>,
        op: Option<H<Op>>,
    ) -> PyResult<()> {
        let (m, raw, op) = (self::origin(origin, target_rank, Access::Read)?, self.raw(), op_or_sum(op));
        let r = self::origin(result, target_rank, Access::Write)?;
        let t = Target::new(target, &r)?;
        mpi_wait!(
            py,
            MPI_Get_accumulate_c(
                m.addr,
                m.count,
                m.datatype,
                r.addr,
                r.count,
                r.datatype,
                target_rank,
                t.disp,
                t.count,
                t.datatype,
                op,
                raw
            )
        )
    }

    /// Rget_accumulate(self, origin: BufSpec, result: BufSpec, target_rank: int, target: TargetSpec | None = None, op: Op = SUM) -> Request
    ///
    /// Fetch what is in another process's memory and combine data with it; the request tells when it is here.
    #[pyo3(signature = (origin, result, target_rank, target = None, op = None))]
    fn Rget_accumulate(
        &self,
        py: Python<'_>,
        origin: Object<'_, '_>,
        result: Object<'_, '_>,
        target_rank: c_int,
        target: Option<Object<'_, '_>>,
        op: Option<H<Op>>,
    ) -> PyResult<Py<Request>> {
        let (m, raw, op) = (self::origin(origin, target_rank, Access::Read)?, self.raw(), op_or_sum(op));
        let r = self::origin(result, target_rank, Access::Write)?;
        let (t, mut request) = (Target::new(target, &r)?, MPI_REQUEST_NULL);
        mpi_wait!(
            py,
            MPI_Rget_accumulate_c(
                m.addr,
                m.count,
                m.datatype,
                r.addr,
                r.count,
                r.datatype,
                target_rank,
                t.disp,
                t.count,
                t.datatype,
                op,
                raw,
                &raw mut request
            )
        )?;
        Request::make(py, request, m.keep.and(r.keep))
    }

    /// Fetch_and_op(self, origin: BufSpec, result: BufSpec, target_rank: int, target_disp: int = 0, op: Op = SUM) -> None
    ///
    /// Fetch one element of another process's memory and combine another one with it.
    #[pyo3(signature = (origin, result, target_rank, target_disp = 0, op = None))]
    fn Fetch_and_op(
        &self,
        py: Python<'_>,
        origin: Object<'_, '_>,
        result: Object<'_, '_>,
        target_rank: c_int,
        target_disp: Aint,
        op: Option<H<Op>>,
    ) -> PyResult<()> {
        let (m, raw, op) = (self::origin(origin, target_rank, Access::Read)?, self.raw(), op_or_sum(op));
        let r = self::origin(result, target_rank, Access::Write)?;
        single(&m, "origin", &r, target_rank)?;
        single(&r, "result", &r, target_rank)?;
        let datatype = r.datatype;
        mpi_wait!(py, MPI_Fetch_and_op(m.addr, r.addr, datatype, target_rank, target_disp, op, raw))
    }

    /// Compare_and_swap(self, origin: BufSpec, compare: BufSpec, result: BufSpec, target_rank: int, target_disp: int = 0) -> None
    ///
    /// Fetch one element of another process's memory and replace it if it is as expected.
    #[pyo3(signature = (origin, compare, result, target_rank, target_disp = 0))]
    fn Compare_and_swap(
        &self,
        py: Python<'_>,
        origin: Object<'_, '_>,
        compare: Object<'_, '_>,
        result: Object<'_, '_>,
        target_rank: c_int,
        target_disp: Aint,
    ) -> PyResult<()> {
        let (m, raw) = (self::origin(origin, target_rank, Access::Read)?, self.raw());
        let c = self::origin(compare, target_rank, Access::Read)?;
        let r = self::origin(result, target_rank, Access::Write)?;
        for (message, what) in [(&m, "origin"), (&c, "compare"), (&r, "result")] {
            single(message, what, &r, target_rank)?;
        }
        let datatype = r.datatype;
        mpi_wait!(py, MPI_Compare_and_swap(m.addr, c.addr, r.addr, datatype, target_rank, target_disp, raw))
    }
}
