//! Completion of requests (MPI-5.0 section 3.7). The engine's part is `engine::request`.

use crate::args::{self, Out, int};
use crate::errors::blame;
use crate::grequest;
use crate::status::{copy, place_at, put, put_at, put_empty, put_error};
use engine::errhandler::Object;
use engine::request::wait::{self, Any, AnyStatus, Outcome, Seen};
use engine::{Error, Result, with};
use mpi_abi::consts::{MPI_ERR_IN_STATUS, MPI_REQUEST_NULL, MPI_SUCCESS, MPI_UNDEFINED};
use mpi_abi::{Comm, Request, Status};
use std::ffi::c_int;

/// Stores a new request.
pub(crate) fn give(place: &Out<Request>, raw: usize) {
    place.set(Request(raw));
}

/// A request and what became of it: writes the status, clears the handle, gives the error.
///
/// # Safety
/// `status` is null or valid for a write.
unsafe fn conclude(outcome: Outcome, request: &Out<Request>, status: *mut Status) -> Result<()> {
    if outcome.freed {
        request.set(MPI_REQUEST_NULL);
    }
    // SAFETY: the caller vouches for the address.
    unsafe { report(outcome, status) }
}

/// Writes the status of a request that a wait or test has completed; gives its error.
///
/// # Safety
/// `status` is null or valid for a write.
#[inline]
unsafe fn report(outcome: Outcome, status: *mut Status) -> Result<()> {
    if outcome.general.is_some() || outcome.is_idle() {
        // SAFETY: the caller vouches for the address.
        return unsafe { report_rare(&outcome, status) };
    }
    // SAFETY: the caller vouches for the address.
    unsafe { put(status, &outcome.status) };
    match outcome.error {
        Some(error) => Err(blame(Object::Comm(Comm(outcome.comm)), *error)),
        None => Ok(()),
    }
}

/// As [`report`], for generalized requests and those that are null or inactive.
///
/// # Safety
/// As for [`report`].
#[cold]
unsafe fn report_rare(outcome: &Outcome, status: *mut Status) -> Result<()> {
    let Some(functions) = &outcome.general else {
        // SAFETY: the caller vouches for the address.
        unsafe { put_empty(status) };
        return Ok(());
    };
    let (found, result) = grequest::end(functions);
    // SAFETY: the caller vouches for the address.
    unsafe { copy(status, &found) };
    result
}

pub(crate) unsafe fn MPI_Wait(request: *mut Request, status: *mut Status) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let request = unsafe { Out::new(request, "request") }?;
    let outcome = wait::wait(request.get().0)?;
    // SAFETY: the C caller's word for the address.
    unsafe { conclude(outcome, &request, status) }
}

pub(crate) unsafe fn MPI_Test(request: *mut Request, flag: *mut c_int, status: *mut Status) -> Result<()> {
    // SAFETY: the C caller's word for the addresses.
    let (request, flag) = unsafe { (Out::new(request, "request")?, Out::new(flag, "flag")?) };
    let outcome = wait::test(request.get().0)?;
    flag.set_flag(outcome.is_some());
    match outcome {
        // SAFETY: the C caller's word for the address.
        Some(outcome) => unsafe { conclude(outcome, &request, status) },
        None => Ok(()),
    }
}

/// An array of requests that goes both ways.
struct Requests(*mut Request, Vec<usize>);

impl Requests {
    /// # Safety
    /// `array` is null, or valid for reads and writes of `count` elements.
    unsafe fn new(count: c_int, array: *mut Request) -> Result<Self> {
        // SAFETY: the caller vouches for the array.
        let requests = unsafe { args::array(array.cast_const(), count, "array_of_requests") }?;
        Ok(Self(array, requests.iter().map(|r| r.0).collect()))
    }

    fn clear(&self, index: usize) {
        debug_assert!(index < self.1.len());
        // SAFETY: `index` is one of the array's (it came from its length), which is valid (`new`).
        unsafe { self.0.add(index).write(MPI_REQUEST_NULL) };
    }

    /// Concludes one that succeeded: its status, its handle cleared.
    ///
    /// # Safety
    /// `statuses` is null or has an element `place`.
    #[inline]
    unsafe fn settle(&self, place: usize, index: usize, outcome: &Outcome, statuses: *mut Status) {
        if outcome.freed && !wait::is_null(self.1[index]) {
            self.clear(index);
        }
        // SAFETY: the caller vouches for the array.
        unsafe { put_at(statuses, place, &outcome.status, MPI_SUCCESS) };
    }

    /// Concludes several: statuses with codes, handles cleared, generalized requests ended. With an error in
    /// any the whole is MPI_ERR_IN_STATUS. `outcomes`: place among the statuses, index among the requests.
    ///
    /// # Safety
    /// `statuses` is null or has an element for each place.
    unsafe fn conclude(
        &self,
        outcomes: impl IntoIterator<Item = (usize, usize, Outcome)>,
        statuses: *mut Status,
    ) -> Result<()> {
        let mut failures = Failures(None);
        for (place, index, outcome) in outcomes {
            // SAFETY: the caller vouches for the array.
            unsafe { self.settle(place, index, &outcome, statuses) };
            let error = if let Some(functions) = &outcome.general {
                let (found, result) = grequest::end(functions);
                // SAFETY: the caller vouches for the array.
                unsafe { copy(place_at(statuses, place), &found) };
                result.err()
            } else {
                outcome.error.map(|error| *error)
            };
            // SAFETY: the caller vouches for the array.
            unsafe { failures.note(place_at(statuses, place), index, outcome.comm, error) };
        }
        failures.verdict(self.1.len())
    }
}

/// The first failure among several requests.
struct Failures(Option<(usize, usize, Error)>);

impl Failures {
    /// The request `index` ended with `error`, if it did: its code goes to the status.
    ///
    /// # Safety
    /// `status` is null or valid for a write.
    unsafe fn note(&mut self, status: *mut Status, index: usize, comm: usize, error: Option<Error>) {
        let Some(error) = error else { return };
        // SAFETY: the caller vouches for the address.
        unsafe { put_error(status, with(|e| e.objects.codes.encode(&error))) };
        self.0.get_or_insert((index, comm, error));
    }

    /// MPI_ERR_IN_STATUS if any of the `count` requests failed.
    fn verdict(self, count: usize) -> Result<()> {
        let Some((index, comm, error)) = self.0 else { return Ok(()) };
        let text = format!("request {index} of {count}: {}", error.text);
        Err(blame(Object::Comm(Comm(comm)), Error::new(MPI_ERR_IN_STATUS, text)))
    }
}

fn numbered(outcomes: Vec<Outcome>) -> impl Iterator<Item = (usize, usize, Outcome)> {
    outcomes.into_iter().enumerate().map(|(index, outcome)| (index, index, outcome))
}

pub(crate) unsafe fn MPI_Waitall(
    count: c_int,
    array_of_requests: *mut Request,
    array_of_statuses: *mut Status,
) -> Result<()> {
    // SAFETY: the C caller's word for the arrays.
    unsafe {
        let requests = Requests::new(count, array_of_requests)?;
        let mut others = Vec::new();
        wait::wait_all(
            &requests.1,
            |index, status| {
                requests.clear(index);
                if !array_of_statuses.is_null() {
                    put_at(array_of_statuses, index, status, MPI_SUCCESS);
                }
            },
            |index, outcome| others.push((index, index, outcome)),
        )?;
        if others.is_empty() { Ok(()) } else { requests.conclude(others, array_of_statuses) }
    }
}

pub(crate) unsafe fn MPI_Testall(
    count: c_int,
    array_of_requests: *mut Request,
    flag: *mut c_int,
    array_of_statuses: *mut Status,
) -> Result<()> {
    // SAFETY: the C caller's word for the arrays and the address.
    unsafe {
        let (requests, flag) = (Requests::new(count, array_of_requests)?, Out::new(flag, "flag")?);
        let outcomes = wait::test_all(&requests.1)?;
        flag.set_flag(outcomes.is_some());
        outcomes.map_or(Ok(()), |outcomes| requests.conclude(numbered(outcomes), array_of_statuses))
    }
}

/// Concludes the one request that was found.
///
/// # Safety
/// `status` is null or valid for a write.
unsafe fn conclude_any(any: Any, requests: &Requests, indx: &Out<c_int>, status: *mut Status) -> Result<()> {
    match any {
        Any::NoneActive => {
            indx.set(MPI_UNDEFINED);
            // SAFETY: the caller vouches for the address.
            unsafe { put_empty(status) };
            Ok(())
        }
        Any::Index(index, outcome) => {
            indx.set(int(index));
            if outcome.freed {
                requests.clear(index);
            }
            // SAFETY: the caller vouches for the address.
            unsafe { report(outcome, status) }
        }
    }
}

pub(crate) unsafe fn MPI_Waitany(
    count: c_int,
    array_of_requests: *mut Request,
    indx: *mut c_int,
    status: *mut Status,
) -> Result<()> {
    // SAFETY: the C caller's word for the array and the addresses.
    unsafe {
        let (requests, indx) = (Requests::new(count, array_of_requests)?, Out::new(indx, "indx")?);
        let any = wait::wait_any(&requests.1)?;
        conclude_any(any, &requests, &indx, status)
    }
}

pub(crate) unsafe fn MPI_Testany(
    count: c_int,
    array_of_requests: *mut Request,
    indx: *mut c_int,
    flag: *mut c_int,
    status: *mut Status,
) -> Result<()> {
    // SAFETY: the C caller's word for the array and the addresses.
    unsafe {
        let (requests, indx) = (Requests::new(count, array_of_requests)?, Out::new(indx, "indx")?);
        let flag = Out::new(flag, "flag")?;
        let any = wait::test_any(&requests.1)?;
        flag.set_flag(any.is_some());
        match any {
            Some(any) => conclude_any(any, &requests, &indx, status),
            None => {
                indx.set(MPI_UNDEFINED);
                Ok(())
            }
        }
    }
}

/// Concludes those that were found.
///
/// # Safety
/// The arrays have as many elements as there are requests.
unsafe fn conclude_some(
    found: wait::Some_,
    requests: &Requests,
    outcount: &Out<c_int>,
    indices: *mut c_int,
    statuses: *mut Status,
) -> Result<()> {
    let Some(found) = found else {
        outcount.set(MPI_UNDEFINED);
        return Ok(());
    };
    outcount.set(int(found.len()));
    if !found.is_empty() && indices.is_null() {
        return Err(args::null("array_of_indices"));
    }
    for (place, (index, _)) in found.iter().enumerate() {
        // SAFETY: not null; the caller vouches for the array.
        unsafe { indices.add(place).write(int(*index)) };
    }
    // SAFETY: the caller vouches for the array.
    unsafe {
        let found = found.into_iter().enumerate().map(|(place, (index, outcome))| (place, index, outcome));
        requests.conclude(found, statuses)
    }
}

pub(crate) unsafe fn MPI_Waitsome(
    incount: c_int,
    array_of_requests: *mut Request,
    outcount: *mut c_int,
    array_of_indices: *mut c_int,
    array_of_statuses: *mut Status,
) -> Result<()> {
    // SAFETY: the C caller's word for the arrays and the address.
    unsafe {
        let (requests, outcount) = (Requests::new(incount, array_of_requests)?, Out::new(outcount, "outcount")?);
        let found = wait::wait_some(&requests.1)?;
        conclude_some(found, &requests, &outcount, array_of_indices, array_of_statuses)
    }
}

pub(crate) unsafe fn MPI_Testsome(
    incount: c_int,
    array_of_requests: *mut Request,
    outcount: *mut c_int,
    array_of_indices: *mut c_int,
    array_of_statuses: *mut Status,
) -> Result<()> {
    // SAFETY: the C caller's word for the arrays and the address.
    unsafe {
        let (requests, outcount) = (Requests::new(incount, array_of_requests)?, Out::new(outcount, "outcount")?);
        let found = wait::test_some(&requests.1)?;
        conclude_some(found, &requests, &outcount, array_of_indices, array_of_statuses)
    }
}

pub(crate) unsafe fn MPI_Request_get_status(request: Request, flag: *mut c_int, status: *mut Status) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let flag = unsafe { Out::new(flag, "flag") }?;
    let found = wait::get_status(request.0)?;
    flag.set_flag(found.is_some());
    match found {
        // SAFETY: the C caller's word for the address.
        Some(seen) => unsafe { show(&seen, status) },
        None => Ok(()),
    }
}

/// Writes the status of a request that stays as it is; the error of a generalized request's function.
///
/// # Safety
/// `status` is null or valid for a write.
unsafe fn show(seen: &Seen, status: *mut Status) -> Result<()> {
    let Some(functions) = &seen.general else {
        // SAFETY: the caller vouches for the address.
        unsafe { if seen.idle { put_empty(status) } else { put(status, &seen.status) } };
        return Ok(());
    };
    let (found, result) = grequest::query(functions);
    // SAFETY: the caller vouches for the address.
    unsafe { copy(status, &found) };
    result
}

/// The same for several: place among the statuses, index among the requests.
///
/// # Safety
/// `statuses` is null or has an element for each place.
unsafe fn show_several(
    count: usize,
    seen: impl IntoIterator<Item = (usize, usize, Seen)>,
    statuses: *mut Status,
) -> Result<()> {
    let mut failures = Failures(None);
    for (place, index, seen) in seen {
        let status = place_at(statuses, place);
        // SAFETY: the caller vouches for the array.
        unsafe {
            put_error(status, seen.status.error);
            let error = show(&seen, status).err();
            failures.note(status, index, with(|e| e.self_comm), error);
        }
    }
    failures.verdict(count)
}

pub(crate) unsafe fn MPI_Request_free(request: *mut Request) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let request = unsafe { Out::new(request, "request") }?;
    let functions = wait::free(request.get().0)?;
    request.set(MPI_REQUEST_NULL);
    functions.map_or(Ok(()), |functions| grequest::free(&functions))
}

pub(crate) unsafe fn MPI_Cancel(request: *mut Request) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let request = unsafe { Out::new(request, "request") }?;
    match wait::cancel(request.get().0)? {
        Some((functions, complete)) => grequest::cancel(&functions, complete),
        None => Ok(()),
    }
}

pub(crate) unsafe fn MPI_Request_get_status_all(
    count: c_int,
    array_of_requests: *const Request,
    flag: *mut c_int,
    array_of_statuses: *mut Status,
) -> Result<()> {
    // SAFETY: the C caller's word for the arrays and the address.
    unsafe {
        let (requests, flag) = (Requests::new(count, array_of_requests.cast_mut())?, Out::new(flag, "flag")?);
        let found = wait::get_status_all(&requests.1)?;
        flag.set_flag(found.is_some());
        let seen = found.into_iter().flatten().enumerate().map(|(place, seen)| (place, place, seen));
        show_several(requests.1.len(), seen, array_of_statuses)
    }
}

pub(crate) unsafe fn MPI_Request_get_status_any(
    count: c_int,
    array_of_requests: *const Request,
    indx: *mut c_int,
    flag: *mut c_int,
    status: *mut Status,
) -> Result<()> {
    // SAFETY: the C caller's word for the array and the addresses.
    unsafe {
        let requests = Requests::new(count, array_of_requests.cast_mut())?;
        let (indx, flag) = (Out::new(indx, "indx")?, Out::new(flag, "flag")?);
        let found = wait::get_status_any(&requests.1)?;
        flag.set_flag(found.is_some());
        match found {
            None => indx.set(MPI_UNDEFINED),
            Some(AnyStatus::NoneActive) => {
                indx.set(MPI_UNDEFINED);
                put_empty(status);
            }
            Some(AnyStatus::Index(index, seen)) => {
                indx.set(int(index));
                return show(&seen, status);
            }
        }
    }
    Ok(())
}

pub(crate) unsafe fn MPI_Request_get_status_some(
    incount: c_int,
    array_of_requests: *const Request,
    outcount: *mut c_int,
    array_of_indices: *mut c_int,
    array_of_statuses: *mut Status,
) -> Result<()> {
    // SAFETY: the C caller's word for the arrays and the address.
    unsafe {
        let requests = Requests::new(incount, array_of_requests.cast_mut())?;
        let outcount = Out::new(outcount, "outcount")?;
        let Some(found) = wait::get_status_some(&requests.1)? else {
            outcount.set(MPI_UNDEFINED);
            return Ok(());
        };
        if !found.is_empty() && array_of_indices.is_null() {
            return Err(args::null("array_of_indices"));
        }
        outcount.set(int(found.len()));
        for (place, (index, _)) in found.iter().enumerate() {
            array_of_indices.add(place).write(int(*index));
        }
        let seen = found.into_iter().enumerate().map(|(place, (index, seen))| (place, index, seen));
        show_several(requests.1.len(), seen, array_of_statuses)
    }
}
