//! Statuses (MPI-5.0 section 3.2.5): the engine's in the ABI's 32 bytes, and the questions to them.
//!
//! `MPI_internal` holds the bytes received in words 0 and 1 (low, high) and the cancelled flag in
//! word 2. All zero is the empty status.

use crate::args::{Out, null};
use crate::counts::CountOut;
use engine::status::Status as Found;
use engine::{Result, with};
use mpi_abi::consts::{MPI_ERR_ARG, MPI_SUCCESS, MPI_UNDEFINED};
use mpi_abi::{Count, Datatype, Status};
use std::ffi::c_int;

fn set_bytes(status: &mut Status, bytes: u64) {
    status.MPI_internal[0] = (bytes as u32).cast_signed();
    status.MPI_internal[1] = ((bytes >> 32) as u32).cast_signed();
}

fn bytes(status: &Status) -> u64 {
    let [low, high, ..] = status.MPI_internal;
    u64::from(low.cast_unsigned()) | u64::from(high.cast_unsigned()) << 32
}

/// Writes all but the error field, as calls that complete one operation do.
///
/// # Safety
/// `place` is MPI_STATUS_IGNORE (null) or valid for a write.
#[inline]
pub(crate) unsafe fn put(place: *mut Status, found: &Found) {
    // SAFETY: the caller vouches for the address.
    let Some(status) = (unsafe { place.as_mut() }) else { return };
    status.MPI_SOURCE = found.source;
    status.MPI_TAG = found.tag;
    set_bytes(status, found.bytes);
    status.MPI_internal[2] = c_int::from(found.cancelled);
}

/// As [`put`], for a request that is null or inactive: the empty status, whose error is part of it.
///
/// # Safety
/// As for [`put`].
pub(crate) unsafe fn put_empty(place: *mut Status) {
    // SAFETY: the caller vouches for the address.
    unsafe {
        put(place, &Found::EMPTY);
        put_error(place, MPI_SUCCESS);
    }
}

/// Writes the error field alone.
///
/// # Safety
/// As for [`put`].
pub(crate) unsafe fn put_error(place: *mut Status, code: c_int) {
    // SAFETY: the caller vouches for the address.
    if let Some(status) = unsafe { place.as_mut() } {
        status.MPI_ERROR = code;
    }
}

/// Writes all but the error field of a status that is there already.
///
/// # Safety
/// As for [`put`].
pub(crate) unsafe fn copy(place: *mut Status, found: &Status) {
    // SAFETY: the caller vouches for the address.
    if let Some(status) = unsafe { place.as_mut() } {
        *status = Status { MPI_ERROR: status.MPI_ERROR, ..*found };
    }
}

/// The place of the `index`-th status of an array, null if there is no array.
pub(crate) fn place_at(array: *mut Status, index: usize) -> *mut Status {
    if array.is_null() { array } else { array.wrapping_add(index) }
}

/// As [`put`], if there is something.
///
/// # Safety
/// As for [`put`].
pub(crate) unsafe fn put_opt(place: *mut Status, found: Option<&Found>) {
    if let Some(found) = found {
        // SAFETY: the caller vouches for the address.
        unsafe { put(place, found) };
    }
}

/// Writes the `index`-th status of an array, with the code of its operation.
///
/// # Safety
/// `array` is MPI_STATUSES_IGNORE (null) or has more than `index` elements.
pub(crate) unsafe fn put_at(array: *mut Status, index: usize, found: &Found, code: c_int) {
    let place = place_at(array, index);
    // SAFETY: the caller vouches for the element.
    unsafe {
        put(place, found);
        put_error(place, code);
    }
}

/// # Safety
/// `status` is null or valid for reads.
unsafe fn get<'a>(status: *const Status) -> Result<&'a Status> {
    // SAFETY: the caller vouches for the address.
    unsafe { status.as_ref() }.ok_or_else(|| null("status"))
}

/// # Safety
/// `status` is null or valid for reads and writes.
unsafe fn get_mut<'a>(status: *mut Status) -> Result<&'a mut Status> {
    // SAFETY: the caller vouches for the address.
    unsafe { status.as_mut() }.ok_or_else(|| null("status"))
}

pub(crate) unsafe fn MPI_Get_count(status: *const Status, datatype: Datatype, count: CountOut) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let bytes = bytes(unsafe { get(status) }?);
    let found = with(|e| e.types.get(datatype).map(|kind| kind.count_of(bytes)))?;
    let value = found.map_or(Count::from(MPI_UNDEFINED), u64::cast_signed);
    if count.is_null() {
        return Err(null("count"));
    }
    // SAFETY: not null; the C caller's word for the address.
    unsafe { count.set(value) };
    Ok(())
}

pub(crate) unsafe fn MPI_Get_elements(status: *const Status, datatype: Datatype, count: CountOut) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let bytes = bytes(unsafe { get(status) }?);
    let found = with(|e| e.types.get(datatype).map(|kind| kind.elements_of(bytes)))?;
    let value = found.map_or(Count::from(MPI_UNDEFINED), u64::cast_signed);
    if count.is_null() {
        return Err(null("count"));
    }
    // SAFETY: not null; the C caller's word for the address.
    unsafe { count.set(value) };
    Ok(())
}

pub(crate) unsafe fn MPI_Get_elements_x(status: *const Status, datatype: Datatype, count: *mut Count) -> Result<()> {
    // SAFETY: the C caller's word for the addresses.
    unsafe { MPI_Get_elements(status, datatype, CountOut::from(count)) }
}

pub(crate) unsafe fn MPI_Status_set_elements(status: *mut Status, datatype: Datatype, count: Count) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let status = unsafe { get_mut(status) }?;
    let elements = u64::try_from(count)
        .map_err(|_| engine::Error::new(MPI_ERR_ARG, format!("{count} elements: the number must not be negative")))?;
    let found = with(|e| e.types.get(datatype).map(|kind| kind.bytes_of(elements)))?;
    let Some(found) = found else {
        let text = format!("{elements} basic elements do not fit into whole bytes of the type");
        return Err(engine::Error::new(MPI_ERR_ARG, text));
    };
    set_bytes(status, found);
    Ok(())
}

pub(crate) unsafe fn MPI_Status_set_elements_x(status: *mut Status, datatype: Datatype, count: Count) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    unsafe { MPI_Status_set_elements(status, datatype, count) }
}

pub(crate) unsafe fn MPI_Status_set_cancelled(status: *mut Status, flag: c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    unsafe { get_mut(status) }?.MPI_internal[2] = c_int::from(flag != 0);
    Ok(())
}

pub(crate) unsafe fn MPI_Test_cancelled(status: *const Status, flag: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the addresses.
    let (status, flag) = unsafe { (get(status)?, Out::new(flag, "flag")?) };
    flag.set_flag(status.MPI_internal[2] != 0);
    Ok(())
}

macro_rules! fields {
    ($($get:ident $set:ident $field:ident $name:literal;)*) => {$(
        pub(crate) unsafe fn $get(status: *const Status, value: *mut c_int) -> Result<()> {
            // SAFETY: the C caller's word for the addresses.
            let (status, value) = unsafe { (get(status)?, Out::new(value, $name)?) };
            value.set(status.$field);
            Ok(())
        }

        pub(crate) unsafe fn $set(status: *mut Status, value: c_int) -> Result<()> {
            // SAFETY: the C caller's word for the address.
            unsafe { get_mut(status) }?.$field = value;
            Ok(())
        }
    )*};
}

fields! {
    MPI_Status_get_source MPI_Status_set_source MPI_SOURCE "source";
    MPI_Status_get_tag MPI_Status_set_tag MPI_TAG "tag";
    MPI_Status_get_error MPI_Status_set_error MPI_ERROR "error";
}
