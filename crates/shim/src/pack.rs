//! Packing into the user's own buffers (MPI-5.0 section 5.2), native and external32. The engine's
//! part is `engine::datatype`.

use crate::args::{self, null};
use crate::counts::CountOut;
use crate::p2p::{buffer, elements};
use engine::datatype::{Type, message_size};
use engine::{Error, Result, with};
use mpi_abi::consts::{MPI_ERR_ARG, MPI_ERR_BUFFER, MPI_ERR_TRUNCATE};
use mpi_abi::{Comm, Count, Datatype};
use std::ffi::{c_char, c_void};
use std::sync::Arc;

/// The packed buffer of the C caller, from its position on.
struct Packed {
    position: CountOut,
    at: usize,
    from_here: *mut u8,
    room: usize,
}

impl Packed {
    /// # Safety
    /// `position` is null or valid; `base` is null or a buffer of `size` bytes.
    unsafe fn new(base: *mut c_void, size: Count, position: CountOut) -> Result<Self> {
        if position.is_null() {
            return Err(null("position"));
        }
        // SAFETY: not null; the caller's promise.
        let at = unsafe { position.get() };
        if size < 0 || at < 0 || at > size {
            let text = format!("position {at} does not lie in a packed buffer of {size} bytes");
            return Err(Error::new(MPI_ERR_ARG, text));
        }
        let (at, room) = (at as usize, (size - at) as usize);
        Ok(Self { position, at, from_here: base.cast::<u8>().wrapping_add(at), room })
    }

    /// Whether there are `need` bytes, of `count` elements of `kind`.
    fn check(&self, need: usize, count: usize, kind: &Type) -> Result<()> {
        if need > self.room {
            let text = format!(
                "{count} x {} needs {need} bytes; after position {} the packed buffer has {}",
                kind.describe(),
                self.at,
                self.room
            );
            return Err(Error::new(MPI_ERR_TRUNCATE, text));
        }
        if need > 0 && self.from_here.addr() == self.at {
            return Err(Error::new(MPI_ERR_BUFFER, "the packed buffer is null"));
        }
        Ok(())
    }

    /// Moves the position by `n` bytes.
    fn advance(&self, n: usize) -> Result<()> {
        // SAFETY: not null and valid (`new`).
        unsafe { self.position.try_set((self.at + n) as Count) }
    }
}

fn committed(datatype: Datatype) -> Result<Arc<Type>> {
    with(|e| e.types.committed(datatype).cloned())
}

fn check_comm(comm: Comm) -> Result<()> {
    with(|e| e.comm(comm).map(|_| ()))
}

pub(crate) unsafe fn MPI_Pack(
    inbuf: *const c_void,
    incount: Count,
    datatype: Datatype,
    outbuf: *mut c_void,
    outsize: Count,
    position: CountOut,
    comm: Comm,
) -> Result<()> {
    check_comm(comm)?;
    let kind = committed(datatype)?;
    let (base, count) = buffer(inbuf, incount, datatype)?;
    // SAFETY: the C caller's word for buffer and position.
    let packed = unsafe { Packed::new(outbuf, outsize, position) }?;
    let size = message_size(&kind, count)?;
    packed.check(size, count, &kind)?;
    // SAFETY: the C caller's word for the elements; the packed buffer has room (`check`).
    unsafe { kind.pack_at(base, count, 0, packed.from_here, size) };
    packed.advance(size)
}

pub(crate) unsafe fn MPI_Unpack(
    inbuf: *const c_void,
    insize: Count,
    position: CountOut,
    outbuf: *mut c_void,
    outcount: Count,
    datatype: Datatype,
    comm: Comm,
) -> Result<()> {
    check_comm(comm)?;
    let kind = committed(datatype)?;
    let (base, count) = buffer(outbuf, outcount, datatype)?;
    // SAFETY: the C caller's word for buffer and position.
    let packed = unsafe { Packed::new(inbuf.cast_mut(), insize, position) }?;
    let size = message_size(&kind, count)?;
    packed.check(size, count, &kind)?;
    // SAFETY: the C caller's word for the elements; the packed buffer has as much (`check`).
    unsafe { kind.unpack_at(base, count, 0, packed.from_here, size) };
    packed.advance(size)
}

pub(crate) unsafe fn MPI_Pack_size(incount: Count, datatype: Datatype, comm: Comm, size: CountOut) -> Result<()> {
    check_comm(comm)?;
    let bytes = message_size(&*committed(datatype)?, elements(incount)?)?;
    if size.is_null() {
        return Err(null("size"));
    }
    // SAFETY: not null; the C caller's word for the address.
    unsafe { size.set(bytes as Count) };
    Ok(())
}

/// # Safety
/// `datarep` is null or a string.
unsafe fn check_representation(datarep: *const c_char) -> Result<()> {
    // SAFETY: the caller's promise.
    match unsafe { args::bytes(datarep, "datarep") }? {
        b"external32" => Ok(()),
        other => {
            let text = format!(
                "the data representation is {:?}; only \"external32\" is known here",
                String::from_utf8_lossy(other)
            );
            Err(Error::new(MPI_ERR_ARG, text))
        }
    }
}

pub(crate) unsafe fn MPI_Pack_external(
    datarep: *const c_char,
    inbuf: *const c_void,
    incount: Count,
    datatype: Datatype,
    outbuf: *mut c_void,
    outsize: Count,
    position: CountOut,
) -> Result<()> {
    // SAFETY: the C caller's word for the string.
    unsafe { check_representation(datarep) }?;
    let kind = committed(datatype)?;
    let (base, count) = buffer(inbuf, incount, datatype)?;
    // SAFETY: the C caller's word for buffer and position.
    let packed = unsafe { Packed::new(outbuf, outsize, position) }?;
    packed.check(kind.external_size(count)?, count, &kind)?;
    // SAFETY: the C caller's word for the elements; the packed buffer has room (`check`).
    let size = unsafe { kind.pack_external(base, count, packed.from_here, packed.room) }?;
    packed.advance(size)
}

pub(crate) unsafe fn MPI_Unpack_external(
    datarep: *const c_char,
    inbuf: *const c_void,
    insize: Count,
    position: CountOut,
    outbuf: *mut c_void,
    outcount: Count,
    datatype: Datatype,
) -> Result<()> {
    // SAFETY: the C caller's word for the string.
    unsafe { check_representation(datarep) }?;
    let kind = committed(datatype)?;
    let (base, count) = buffer(outbuf, outcount, datatype)?;
    // SAFETY: the C caller's word for buffer and position.
    let packed = unsafe { Packed::new(inbuf.cast_mut(), insize, position) }?;
    packed.check(kind.external_size(count)?, count, &kind)?;
    // SAFETY: the C caller's word for the elements; the packed buffer has as much (`check`).
    let size = unsafe { kind.unpack_external(base, count, packed.from_here, packed.room) }?;
    packed.advance(size)
}

pub(crate) unsafe fn MPI_Pack_external_size(
    datarep: *const c_char,
    incount: Count,
    datatype: Datatype,
    size: CountOut,
) -> Result<()> {
    // SAFETY: the C caller's word for the string.
    unsafe { check_representation(datarep) }?;
    let bytes = committed(datatype)?.external_size(elements(incount)?)?;
    if size.is_null() {
        return Err(null("size"));
    }
    // SAFETY: not null; the C caller's word for the address.
    unsafe { size.set(bytes as Count) };
    Ok(())
}
