//! Several requests at once: `Waitall`, `Testany`, `Waitsome` and their kin. Chapter 3.7.5 of the
//! standard. The lower-case forms are in `objects`.

use super::{Request, objects};
use crate::args::length;
use crate::call::{mpi, mpi_wait};
use crate::comm::irecv;
use crate::handle::Handle;
use crate::news::{For, Looks};
use crate::status::{Out, Status};
use mpi_abi as abi;
use mpi_abi::consts::{MPI_STATUSES_IGNORE, MPI_UNDEFINED};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyType};
use std::ffi::c_int;

/// The requests of one call: the objects, and their handles as an array for C.
pub(crate) struct Set<'py> {
    pub(crate) objects: Vec<Bound<'py, Request>>,
    pub(crate) raws: Vec<abi::Request>,
    pub(crate) count: c_int,
    /// None has to do with Python objects.
    plain: bool,
}

impl<'py> Set<'py> {
    pub(crate) fn new(requests: &Bound<'py, PyAny>) -> PyResult<Self> {
        irecv::serve(requests.py())?;
        let (mut raws, mut plain) = (Vec::with_capacity(requests.len().unwrap_or(0)), true);
        let objects = crate::args::sequence(requests, |item| {
            let object = item.cast_into::<Request>()?;
            let request = object.get();
            raws.push(request.raw());
            plain &= request.is_plain();
            Ok(object)
        })?;
        let count = length(raws.len())?;
        Ok(Self { objects, raws, count, plain })
    }

    /// The same, of requests that are waited for: those without a message are served before.
    fn settled(requests: &Bound<'py, PyAny>) -> PyResult<Self> {
        let mut set = Self::new(requests)?;
        if !set.plain || irecv::any() {
            objects::settle_all(&set.objects)?;
            for (object, raw) in set.objects.iter().zip(&mut set.raws) {
                *raw = object.get().raw();
            }
        }
        Ok(set)
    }

    pub(crate) fn pointer(&mut self) -> *mut abi::Request {
        self.raws.as_mut_ptr()
    }

    /// Puts the handles that C left back into the objects.
    pub(crate) fn store(&self) {
        for (object, &raw) in self.objects.iter().zip(&self.raws) {
            object.get().update(object.py(), raw);
        }
    }
}

/// The argument `statuses`: C writes into an array, `store` puts it into the list's objects.
pub(crate) struct Outs<'a, 'py> {
    pub(super) object: Option<&'a Bound<'py, PyAny>>,
    pub(super) raws: Vec<abi::Status>,
}

impl<'a, 'py> Outs<'a, 'py> {
    pub(crate) fn new(object: Option<&'a Bound<'py, PyAny>>, count: usize) -> Self {
        let object = object.filter(|object| !object.is_none());
        let raws = if object.is_some() { vec![abi::Status::empty(); count] } else { Vec::new() };
        Self { object, raws }
    }

    pub(crate) fn pointer(&mut self) -> *mut abi::Status {
        if self.object.is_some() { self.raws.as_mut_ptr() } else { MPI_STATUSES_IGNORE }
    }

    /// Stores the first `count` statuses. A list that is too short grows.
    pub(crate) fn store(&self, count: usize) -> PyResult<()> {
        let Some(object) = self.object else {
            return Ok(());
        };
        let known = object.len()?;
        for (index, raw) in self.raws.iter().take(count).enumerate() {
            if index < known {
                object.get_item(index)?.cast::<Status>()?.get().set(*raw);
            } else if let Ok(list) = object.cast::<PyList>() {
                list.append(Py::new(list.py(), Status::with(*raw))?)?;
            }
        }
        Ok(())
    }
}

#[pymethods]
impl Request {
    /// Waitany(cls, requests: Sequence[Request], status: Status | None = None) -> int
    ///
    /// Wait until one of several operations is over, and say which.
    #[classmethod]
    #[pyo3(signature = (requests, status = None))]
    fn Waitany(
        cls: &Bound<'_, PyType>,
        requests: &Bound<'_, PyAny>,
        status: Option<&Bound<'_, Status>>,
    ) -> PyResult<c_int> {
        let (mut set, mut out, mut index) = (Set::new(requests)?, Out::new(status), MPI_UNDEFINED);
        let (count, pointer, status) = (set.count, set.pointer(), out.pointer());
        let done = wait_any(cls.py(), (count, pointer), &raw mut index, status);
        set.store();
        out.store();
        done?;
        Ok(index)
    }

    /// Testany(cls, requests: Sequence[Request], status: Status | None = None) -> tuple[int, bool]
    ///
    /// Ask whether one of several operations is over, and which.
    #[classmethod]
    #[pyo3(signature = (requests, status = None))]
    fn Testany(
        cls: &Bound<'_, PyType>,
        requests: &Bound<'_, PyAny>,
        status: Option<&Bound<'_, Status>>,
    ) -> PyResult<(c_int, bool)> {
        let (mut set, mut out) = (Set::new(requests)?, Out::new(status));
        let (mut index, mut flag) = (MPI_UNDEFINED, 0);
        let (count, pointer, status) = (set.count, set.pointer(), out.pointer());
        let done = mpi_wait!(cls.py(), MPI_Testany(count, pointer, &raw mut index, &raw mut flag, status));
        set.store();
        out.store();
        done?;
        Ok((index, flag != 0))
    }

    /// Get_status_any(cls, requests: Sequence[Request], status: Status | None = None) -> tuple[int, bool]
    ///
    /// Ask whether one of several operations is over, and leave the requests as they are.
    #[classmethod]
    #[pyo3(signature = (requests, status = None))]
    pub(crate) fn Get_status_any(
        cls: &Bound<'_, PyType>,
        requests: &Bound<'_, PyAny>,
        status: Option<&Bound<'_, Status>>,
    ) -> PyResult<(c_int, bool)> {
        let (mut set, mut out) = (Set::new(requests)?, Out::new(status));
        let (mut index, mut flag) = (MPI_UNDEFINED, 0);
        let (count, pointer, status) = (set.count, set.pointer(), out.pointer());
        let done =
            mpi_wait!(cls.py(), MPI_Request_get_status_any(count, pointer, &raw mut index, &raw mut flag, status));
        out.store();
        done?;
        Ok((index, flag != 0))
    }

    /// Waitall(cls, requests: Sequence[Request], statuses: list[Status] | None = None) -> Literal[True]
    ///
    /// Wait until all of several operations are over.
    #[classmethod]
    #[pyo3(signature = (requests, statuses = None))]
    fn Waitall(
        cls: &Bound<'_, PyType>,
        requests: &Bound<'_, PyAny>,
        statuses: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let mut set = Set::settled(requests)?;
        let mut outs = Outs::new(statuses, set.raws.len());
        let (count, pointer, statuses) = (set.count, set.pointer(), outs.pointer());
        let done = mpi_wait!(cls.py(), MPI_Waitall(count, pointer, statuses));
        set.store();
        outs.store(set.raws.len())?;
        done?;
        Ok(true)
    }

    /// Testall(cls, requests: Sequence[Request], statuses: list[Status] | None = None) -> bool
    ///
    /// Ask whether all of several operations are over, and finish them if they are.
    #[classmethod]
    #[pyo3(signature = (requests, statuses = None))]
    fn Testall(
        cls: &Bound<'_, PyType>,
        requests: &Bound<'_, PyAny>,
        statuses: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let mut set = Set::new(requests)?;
        let (mut outs, mut flag) = (Outs::new(statuses, set.raws.len()), 0);
        let (count, pointer, statuses) = (set.count, set.pointer(), outs.pointer());
        let done = mpi_wait!(cls.py(), MPI_Testall(count, pointer, &raw mut flag, statuses));
        set.store();
        if flag != 0 || done.is_err() {
            outs.store(set.raws.len())?;
        }
        done?;
        Ok(flag != 0)
    }

    /// Get_status_all(cls, requests: Sequence[Request], statuses: list[Status] | None = None) -> bool
    ///
    /// Ask whether all of several operations are over, and leave the requests as they are.
    #[classmethod]
    #[pyo3(signature = (requests, statuses = None))]
    pub(crate) fn Get_status_all(
        cls: &Bound<'_, PyType>,
        requests: &Bound<'_, PyAny>,
        statuses: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let mut set = Set::new(requests)?;
        let (mut outs, mut flag) = (Outs::new(statuses, set.raws.len()), 0);
        let (count, pointer, statuses) = (set.count, set.pointer(), outs.pointer());
        let done = mpi_wait!(cls.py(), MPI_Request_get_status_all(count, pointer, &raw mut flag, statuses));
        if flag != 0 || done.is_err() {
            outs.store(set.raws.len())?;
        }
        done?;
        Ok(flag != 0)
    }
}

/// `MPI_Waitany`; while there are operations to be served, in steps.
fn wait_any(
    py: Python<'_>,
    (count, requests): (c_int, *mut abi::Request),
    index: *mut c_int,
    status: *mut abi::Status,
) -> PyResult<()> {
    let (mut looks, mut flag) = (Looks::default(), 0);
    while irecv::any() {
        looks.look();
        irecv::serve(py)?;
        mpi!(py, MPI_Testany(count, requests, index, &raw mut flag, status))?;
        if flag != 0 {
            return Ok(());
        }
        looks.wait(py, For::Any)?;
    }
    mpi_wait!(py, MPI_Waitany(count, requests, index, status))
}

/// `MPI_Waitsome`; while there are operations to be served, in steps.
fn wait_some(
    py: Python<'_>,
    (count, requests): (c_int, *mut abi::Request),
    found: &mut c_int,
    indices: *mut c_int,
    statuses: *mut abi::Status,
) -> PyResult<()> {
    let mut looks = Looks::default();
    while irecv::any() {
        looks.look();
        irecv::serve(py)?;
        mpi!(py, MPI_Testsome(count, requests, &raw mut *found, indices, statuses))?;
        if *found != 0 {
            return Ok(());
        }
        looks.wait(py, For::Any)?;
    }
    mpi_wait!(py, MPI_Waitsome(count, requests, &raw mut *found, indices, statuses))
}

/// `Waitsome` and the two like it: a count and the indices come back.
macro_rules! some {
    ($($name:ident, $function:ident, $waits:literal, $keep:literal, $doc:literal;)*) => {
        #[pymethods]
        impl Request {$(
            #[doc = concat!(stringify!($name), "(cls, requests: Sequence[Request], statuses: list[Status] | None = None) -> ", "list[int] | None\n\n", $doc)]
            #[classmethod]
            #[pyo3(signature = (requests, statuses = None))]
            pub(crate) fn $name(
                cls: &Bound<'_, PyType>,
                requests: &Bound<'_, PyAny>,
                statuses: Option<&Bound<'_, PyAny>>,
            ) -> PyResult<Option<Vec<c_int>>> {
                let mut set = Set::new(requests)?;
                let mut outs = Outs::new(statuses, set.raws.len());
                let mut indices: Vec<c_int> = vec![MPI_UNDEFINED; set.raws.len()];
                let mut found = MPI_UNDEFINED;
                let (count, pointer, statuses) = (set.count, set.pointer(), outs.pointer());
                let places = indices.as_mut_ptr();
                let done = if $waits {
                    wait_some(cls.py(), (count, pointer), &mut found, places, statuses)
                } else {
                    mpi_wait!(cls.py(), $function(count, pointer, &raw mut found, places, statuses))
                };
                if !$keep {
                    set.store();
                }
                let found = usize::try_from(found).ok();
                outs.store(found.unwrap_or(0))?;
                done?;
                Ok(found.map(|found| {
                    indices.truncate(found);
                    indices
                }))
            }
        )*}
    };
}

some! {
    Waitsome, MPI_Waitsome, true, false, "Wait until some of several operations are over, and say which.";
    Testsome, MPI_Testsome, false, false, "Ask which of several operations are over, and finish those.";
    Get_status_some, MPI_Request_get_status_some, false, true,
    "Ask which of several operations are over, and leave the requests as they are.";
}
