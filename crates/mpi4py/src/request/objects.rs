//! `wait`, `test`, `waitall` ... in lower case: they return the objects of the operations. Chapter
//! 3.7 of the standard underneath.
//!
//! A request of `irecv` may have no message yet (`comm/irecv.rs`); before a handle is given to MPI
//! such requests are served, and those that still wait are left out.

use super::sets::{Outs, Set};
use super::{Owner, Request};
use crate::call::{mpi, mpi_wait};
use crate::comm::irecv::{self, Entry};
use crate::handle::Handle;
use crate::news::{For, Looks};
use crate::status::Status;
use mpi_abi as abi;
use mpi_abi::consts::{MPI_REQUEST_NULL, MPI_STATUS_IGNORE, MPI_UNDEFINED};
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ffi::c_int;
use std::sync::Arc;

type List<'a, 'py> = &'a Bound<'py, PyAny>;

#[inline]
fn entry_of(request: &Request) -> Option<Arc<Entry>> {
    if request.is_plain() { None } else { entry_in(request) }
}

fn entry_in(request: &Request) -> Option<Arc<Entry>> {
    match &*request.owner() {
        Owner::Object(operation) => operation.entry().cloned(),
        Owner::Shared(original) => entry_of(original.get()),
        _ => None,
    }
}

/// Puts the handle of a receive that has its message now into the object.
fn sync(request: &Request) -> Option<Arc<Entry>> {
    let entry = entry_of(request)?;
    if let Some(raw) = entry.request() {
        request.slot().set(raw);
    }
    Some(entry)
}

/// Whether the request is a receive that has no message yet.
pub(super) fn is_waiting(py: Python<'_>, request: &Request) -> PyResult<bool> {
    irecv::serve(py)?;
    Ok(sync(request).is_some_and(|entry| entry.is_waiting()))
}

/// Waits until the request has a handle that MPI can wait for.
pub(super) fn settle(py: Python<'_>, request: &Request) -> PyResult<()> {
    if let Some(entry) = entry_of(request) {
        if entry.is_waiting() {
            irecv::wait_for(py, &entry)?;
        }
        sync(request);
    }
    serve_until_over(py, request.raw())
}

/// While other receives have no message, the end of an operation is not waited for in MPI: the other
/// side may be waiting for one of them to be matched.
fn serve_until_over(py: Python<'_>, raw: abi::Request) -> PyResult<()> {
    let (mut flag, mut looks) = (0, Looks::default());
    while irecv::any() {
        looks.look();
        irecv::serve(py)?;
        mpi!(py, MPI_Request_get_status(raw, &raw mut flag, MPI_STATUS_IGNORE))?;
        if flag != 0 {
            break;
        }
        looks.wait(py, For::Request(raw))?;
    }
    Ok(())
}

pub(super) fn settle_all(requests: &[Bound<'_, Request>]) -> PyResult<()> {
    if irecv::any() {
        for request in requests {
            settle(request.py(), request.get())?;
        }
    }
    // Receives that were matched while others were served have their handles only in the entries.
    for request in requests {
        sync(request.get());
    }
    Ok(())
}

/// `Cancel` of a receive without a message; `false`: MPI has to do it.
pub(super) fn cancel(py: Python<'_>, request: &Request) -> PyResult<bool> {
    irecv::serve(py)?;
    match sync(request) {
        Some(entry) if entry.is_waiting() => {
            entry.cancel();
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// `Free` of a receive without a message: it goes on, nobody will wait for it.
pub(super) fn free(py: Python<'_>, request: &Request) -> PyResult<bool> {
    irecv::serve(py)?;
    match sync(request) {
        Some(entry) if entry.request().is_none() => {
            request.slot().set(MPI_REQUEST_NULL);
            drop(request.take_owner());
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// What is to be done after MPI completed the request, or not: its object.
fn complete(py: Python<'_>, request: &Request, raw: abi::Request, status: &mut abi::Status) -> PyResult<Py<PyAny>> {
    request.slot().set(raw);
    if raw != MPI_REQUEST_NULL {
        request.look_whether_ended();
        return Ok(py.None());
    }
    match request.take_owner() {
        Owner::Object(operation) => operation.finish(py, status),
        _ => Ok(py.None()),
    }
}

/// A receive that was cancelled, or could not be started: over without MPI.
fn over(py: Python<'_>, request: &Request, status: &mut abi::Status) -> Option<PyResult<Py<PyAny>>> {
    let entry = entry_of(request)?;
    let result = if let Some(error) = entry.failure() {
        Err(error)
    } else if entry.is_cancelled() {
        *status = abi::Status::empty();
        mpi!(py, MPI_Status_set_cancelled(status, 1)).map(|()| py.None())
    } else {
        return None;
    };
    request.slot().set(MPI_REQUEST_NULL);
    drop(request.take_owner());
    Some(result)
}

/// As `over`, with the status put into the object.
pub(super) fn over_into(
    py: Python<'_>,
    request: &Request,
    out: Option<&Bound<'_, Status>>,
) -> Option<PyResult<Py<PyAny>>> {
    let mut status = abi::Status::empty();
    let result = over(py, request, &mut status)?;
    store(out, &status);
    Some(result)
}

fn store(out: Option<&Bound<'_, Status>>, status: &abi::Status) {
    if let Some(out) = out {
        out.get().set(*status);
    }
}

/// The requests of one call, served, with the handles that MPI may look at.
struct Many<'py> {
    set: Set<'py>,
    /// How many have no message yet.
    waiting: usize,
}

impl<'py> Many<'py> {
    fn new(py: Python<'py>, requests: List<'_, 'py>) -> PyResult<Self> {
        irecv::serve(py)?;
        let mut set = Set::new(requests)?;
        let mut waiting = 0;
        for (object, raw) in set.objects.iter().zip(&mut set.raws) {
            if let Some(entry) = sync(object.get()) {
                *raw = entry.request().unwrap_or(MPI_REQUEST_NULL);
                waiting += usize::from(entry.is_waiting());
            }
        }
        Ok(Self { set, waiting })
    }

    /// One that is over without MPI.
    fn one_over(&self, py: Python<'_>) -> Option<(usize, abi::Status, PyResult<Py<PyAny>>)> {
        let mut status = abi::Status::empty();
        self.set
            .objects
            .iter()
            .enumerate()
            .find_map(|(index, request)| over(py, request.get(), &mut status).map(|result| (index, status, result)))
    }

    fn statuses(&self) -> Vec<abi::Status> {
        vec![abi::Status::empty(); self.set.raws.len()]
    }

    /// Puts back what MPI left of the handles of operations that ended badly.
    fn give_up(&self) {
        for (object, &raw) in self.set.objects.iter().zip(&self.set.raws) {
            if entry_of(object.get()).is_none_or(|entry| entry.request().is_some()) {
                object.get().update(object.py(), raw);
            }
        }
    }

    fn object(&self, py: Python<'_>, index: usize, status: &mut abi::Status) -> PyResult<Py<PyAny>> {
        complete(py, self.set.objects[index].get(), self.set.raws[index], status)
    }

    /// The objects of all, each complete.
    fn all(&self, py: Python<'_>, statuses: &mut [abi::Status]) -> PyResult<Vec<Py<PyAny>>> {
        let mut objects = Vec::with_capacity(statuses.len());
        let mut failed = None;
        for (index, status) in statuses.iter_mut().enumerate() {
            let result = match over(py, self.set.objects[index].get(), status) {
                Some(result) => result,
                None => self.object(py, index, status),
            };
            match result {
                Ok(object) => objects.push(object),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(objects), Err)
    }
}

fn store_all(out: Option<List<'_, '_>>, raws: Vec<abi::Status>) -> PyResult<()> {
    let count = raws.len();
    Outs { object: out.filter(|out| !out.is_none()), raws }.store(count)
}

type Found = (c_int, bool, Py<PyAny>);
type Some_ = (Option<Vec<usize>>, Option<Vec<Py<PyAny>>>);

/// `Testany`; `None`: nothing is over.
fn test_any(py: Python<'_>, requests: List<'_, '_>, out: Option<&Bound<'_, Status>>) -> PyResult<Option<Found>> {
    let mut many = Many::new(py, requests)?;
    if let Some((index, status, result)) = many.one_over(py) {
        store(out, &status);
        return Ok(Some((c_int::try_from(index)?, true, result?)));
    }
    let (mut index, mut flag, mut status) = (MPI_UNDEFINED, 0, abi::Status::empty());
    let (count, pointer) = (many.set.count, many.set.pointer());
    let done = mpi_wait!(py, MPI_Testany(count, pointer, &raw mut index, &raw mut flag, &raw mut status));
    if let Err(error) = done {
        many.give_up();
        return Err(error);
    }
    if flag == 0 || (index == MPI_UNDEFINED && many.waiting > 0) {
        return Ok(None);
    }
    let object = match usize::try_from(index) {
        Ok(place) if index != MPI_UNDEFINED => many.object(py, place, &mut status),
        _ => Ok(py.None()),
    };
    store(out, &status);
    Ok(Some((index, true, object?)))
}

/// `Waitsome` and `Testsome`.
fn some(py: Python<'_>, requests: List<'_, '_>, out: Option<List<'_, '_>>, wait: bool) -> PyResult<Some_> {
    let mut looks = Looks::default();
    loop {
        looks.look();
        let mut many = Many::new(py, requests)?;
        if let Some((index, status, result)) = many.one_over(py) {
            store_all(out, vec![status])?;
            return Ok((Some(vec![index]), Some(vec![result?])));
        }
        let (mut statuses, mut indices) = (many.statuses(), vec![MPI_UNDEFINED; many.set.raws.len()]);
        let (count, pointer, mut found) = (many.set.count, many.set.pointer(), MPI_UNDEFINED);
        let (places, status) = (indices.as_mut_ptr(), statuses.as_mut_ptr());
        let done = if wait && many.waiting == 0 && !irecv::any() {
            mpi_wait!(py, MPI_Waitsome(count, pointer, &raw mut found, places, status))
        } else {
            mpi_wait!(py, MPI_Testsome(count, pointer, &raw mut found, places, status))
        };
        if let Err(error) = done {
            many.give_up();
            return Err(error);
        }
        if found == MPI_UNDEFINED && many.waiting == 0 {
            return Ok((None, None));
        }
        let found = if found == MPI_UNDEFINED { 0 } else { usize::try_from(found)? };
        if found == 0 && wait {
            looks.wait(py, For::Any)?;
            continue;
        }
        let mut objects = Vec::with_capacity(found);
        let mut numbers = Vec::with_capacity(found);
        statuses.truncate(found);
        for (&place, status) in indices.iter().zip(&mut statuses) {
            let place = usize::try_from(place)?;
            numbers.push(place);
            objects.push(many.object(py, place, status)?);
        }
        store_all(out, statuses)?;
        return Ok((Some(numbers), Some(objects)));
    }
}

#[pymethods]
impl Request {
    /// wait(self, status: Status | None = None) -> Any
    ///
    /// Wait until the operation is over and return its object.
    #[pyo3(signature = (status = None))]
    fn wait(&self, py: Python<'_>, status: Option<&Bound<'_, Status>>) -> PyResult<Py<PyAny>> {
        settle(py, self)?;
        let mut found = abi::Status::empty();
        if let Some(result) = over(py, self, &mut found) {
            store(status, &found);
            return result;
        }
        let (mut raw, pointer) = (self.raw(), &raw mut found);
        if let Err(error) = mpi_wait!(py, MPI_Wait(&raw mut raw, pointer)) {
            self.update(py, raw);
            return Err(error);
        }
        store(status, &found);
        complete(py, self, raw, &mut found)
    }

    /// test(self, status: Status | None = None) -> tuple[bool, Any | None]
    ///
    /// Ask whether the operation is over; if it is, return its object too.
    #[pyo3(signature = (status = None))]
    fn test(&self, py: Python<'_>, status: Option<&Bound<'_, Status>>) -> PyResult<(bool, Py<PyAny>)> {
        let mut found = abi::Status::empty();
        if is_waiting(py, self)? {
            return Ok((false, py.None()));
        }
        if let Some(result) = over(py, self, &mut found) {
            store(status, &found);
            return Ok((true, result?));
        }
        let (mut raw, mut flag, pointer) = (self.raw(), 0, &raw mut found);
        if let Err(error) = mpi_wait!(py, MPI_Test(&raw mut raw, &raw mut flag, pointer)) {
            self.update(py, raw);
            return Err(error);
        }
        if flag == 0 {
            return Ok((false, py.None()));
        }
        store(status, &found);
        Ok((true, complete(py, self, raw, &mut found)?))
    }

    /// get_status(self, status: Status | None = None) -> bool
    ///
    /// Ask whether the operation is over, and leave the request as it is.
    #[pyo3(signature = (status = None))]
    fn get_status(&self, py: Python<'_>, status: Option<&Bound<'_, Status>>) -> PyResult<bool> {
        self.Get_status(py, status)
    }

    /// cancel(self) -> None
    ///
    /// Ask for the operation to be cancelled.
    fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        self.Cancel(py)
    }

    /// waitany(cls, requests: Sequence[Request], status: Status | None = None) -> tuple[int, Any]
    ///
    /// Wait until one of several operations is over; say which, and return its object.
    #[classmethod]
    #[pyo3(signature = (requests, status = None))]
    fn waitany(
        cls: &Bound<'_, PyType>,
        requests: List<'_, '_>,
        status: Option<&Bound<'_, Status>>,
    ) -> PyResult<(c_int, Py<PyAny>)> {
        let (py, mut looks) = (cls.py(), Looks::default());
        loop {
            looks.look();
            let mut many = Many::new(py, requests)?;
            if !irecv::any() && many.set.raws.iter().any(|&raw| raw != MPI_REQUEST_NULL) {
                let (mut index, mut found) = (MPI_UNDEFINED, abi::Status::empty());
                let (count, pointer) = (many.set.count, many.set.pointer());
                if let Err(error) = mpi_wait!(py, MPI_Waitany(count, pointer, &raw mut index, &raw mut found)) {
                    many.give_up();
                    return Err(error);
                }
                if index == MPI_UNDEFINED {
                    store(status, &found);
                    return Ok((index, py.None()));
                }
                let object = many.object(py, usize::try_from(index)?, &mut found);
                store(status, &found);
                return Ok((index, object?));
            }
            if let Some((index, _, object)) = test_any(py, requests, status)? {
                return Ok((index, object));
            }
            looks.wait(py, For::Any)?;
        }
    }

    /// testany(cls, requests: Sequence[Request], status: Status | None = None) -> tuple[int, bool, Any | None]
    ///
    /// Ask whether one of several operations is over, which, and return its object.
    #[classmethod]
    #[pyo3(signature = (requests, status = None))]
    fn testany(cls: &Bound<'_, PyType>, requests: List<'_, '_>, status: Option<&Bound<'_, Status>>) -> PyResult<Found> {
        Ok(test_any(cls.py(), requests, status)?.unwrap_or_else(|| (MPI_UNDEFINED, false, cls.py().None())))
    }

    /// waitall(cls, requests: Sequence[Request], statuses: list[Status] | None = None) -> list[Any]
    ///
    /// Wait until all of several operations are over and return their objects.
    #[classmethod]
    #[pyo3(signature = (requests, statuses = None))]
    fn waitall(
        cls: &Bound<'_, PyType>,
        requests: List<'_, '_>,
        statuses: Option<List<'_, '_>>,
    ) -> PyResult<Vec<Py<PyAny>>> {
        let py = cls.py();
        settle_all(&Set::new(requests)?.objects)?;
        let mut many = Many::new(py, requests)?;
        let mut found = many.statuses();
        let (count, pointer, status) = (many.set.count, many.set.pointer(), found.as_mut_ptr());
        if let Err(error) = mpi_wait!(py, MPI_Waitall(count, pointer, status)) {
            many.give_up();
            store_all(statuses, found)?;
            return Err(error);
        }
        let objects = many.all(py, &mut found);
        store_all(statuses, found)?;
        objects
    }

    /// testall(cls, requests: Sequence[Request], statuses: list[Status] | None = None) -> tuple[bool, list[Any] | None]
    ///
    /// Ask whether all of several operations are over; if they are, return their objects.
    #[classmethod]
    #[pyo3(signature = (requests, statuses = None))]
    fn testall(
        cls: &Bound<'_, PyType>,
        requests: List<'_, '_>,
        statuses: Option<List<'_, '_>>,
    ) -> PyResult<(bool, Option<Vec<Py<PyAny>>>)> {
        let (py, mut flag) = (cls.py(), 0);
        let mut many = Many::new(py, requests)?;
        if many.waiting > 0 {
            return Ok((false, None));
        }
        let mut found = many.statuses();
        let (count, pointer, status) = (many.set.count, many.set.pointer(), found.as_mut_ptr());
        if let Err(error) = mpi_wait!(py, MPI_Testall(count, pointer, &raw mut flag, status)) {
            many.give_up();
            return Err(error);
        }
        if flag == 0 {
            return Ok((false, None));
        }
        let objects = many.all(py, &mut found);
        store_all(statuses, found)?;
        Ok((true, Some(objects?)))
    }

    /// waitsome(cls, requests: Sequence[Request], statuses: list[Status] | None = None) -> tuple[list[int] | None, list[Any] | None]
    ///
    /// Wait until some of several operations are over; say which, and return their objects.
    #[classmethod]
    #[pyo3(signature = (requests, statuses = None))]
    fn waitsome(cls: &Bound<'_, PyType>, requests: List<'_, '_>, statuses: Option<List<'_, '_>>) -> PyResult<Some_> {
        some(cls.py(), requests, statuses, true)
    }

    /// testsome(cls, requests: Sequence[Request], statuses: list[Status] | None = None) -> tuple[list[int] | None, list[Any] | None]
    ///
    /// Ask which of several operations are over, and return their objects.
    #[classmethod]
    #[pyo3(signature = (requests, statuses = None))]
    fn testsome(cls: &Bound<'_, PyType>, requests: List<'_, '_>, statuses: Option<List<'_, '_>>) -> PyResult<Some_> {
        some(cls.py(), requests, statuses, false)
    }

    /// get_status_any(cls, requests: Sequence[Request], status: Status | None = None) -> tuple[int, bool]
    ///
    /// Ask whether one of several operations is over, and leave the requests as they are.
    #[classmethod]
    #[pyo3(signature = (requests, status = None))]
    fn get_status_any(
        cls: &Bound<'_, PyType>,
        requests: List<'_, '_>,
        status: Option<&Bound<'_, Status>>,
    ) -> PyResult<(c_int, bool)> {
        let waiting = Many::new(cls.py(), requests)?.waiting;
        let (index, flag) = Self::Get_status_any(cls, requests, status)?;
        Ok(if index == MPI_UNDEFINED && waiting > 0 { (index, false) } else { (index, flag) })
    }

    /// get_status_all(cls, requests: Sequence[Request], statuses: list[Status] | None = None) -> bool
    ///
    /// Ask whether all of several operations are over, and leave the requests as they are.
    #[classmethod]
    #[pyo3(signature = (requests, statuses = None))]
    fn get_status_all(
        cls: &Bound<'_, PyType>,
        requests: List<'_, '_>,
        statuses: Option<List<'_, '_>>,
    ) -> PyResult<bool> {
        Ok(Many::new(cls.py(), requests)?.waiting == 0 && Self::Get_status_all(cls, requests, statuses)?)
    }

    /// get_status_some(cls, requests: Sequence[Request], statuses: list[Status] | None = None) -> list[int] | None
    ///
    /// Ask which of several operations are over, and leave the requests as they are.
    #[classmethod]
    #[pyo3(signature = (requests, statuses = None))]
    fn get_status_some(
        cls: &Bound<'_, PyType>,
        requests: List<'_, '_>,
        statuses: Option<List<'_, '_>>,
    ) -> PyResult<Option<Vec<c_int>>> {
        let waiting = Many::new(cls.py(), requests)?.waiting;
        let found = Self::Get_status_some(cls, requests, statuses)?;
        Ok(if found.is_none() && waiting > 0 { Some(Vec::new()) } else { found })
    }
}
