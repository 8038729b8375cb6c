//! Error codes, classes and strings (MPI-5.0 sections 9.4 and 9.5). The engine's part is
//! `engine::errcode`; how a failed call gets its code is in `errors.rs`.

use crate::args::{self, Out};
use engine::{Error, Result, with};
use mpi_abi::consts::{MPI_ERR_ARG, MPI_MAX_ERROR_STRING};
use std::ffi::{c_char, c_int};

pub(crate) unsafe fn MPI_Error_class(errorcode: c_int, errorclass: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let errorclass = unsafe { Out::new(errorclass, "errorclass") }?;
    errorclass.set(with(|e| e.objects.codes.class(errorcode)));
    Ok(())
}

pub(crate) unsafe fn MPI_Error_string(errorcode: c_int, string: *mut c_char, resultlen: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let resultlen = unsafe { Out::new(resultlen, "resultlen") }?;
    let known = with(|e| e.objects.codes.is_known(errorcode).then(|| e.objects.codes.text(errorcode)));
    let Some(text) = known else {
        return Err(Error::new(MPI_ERR_ARG, format!("{errorcode} is no error code of MPI or of this program")));
    };
    // SAFETY: the C caller's word for a buffer of MPI_MAX_ERROR_STRING bytes.
    unsafe { args::put_result(string, MPI_MAX_ERROR_STRING, &text, "string", &resultlen) }
}

pub(crate) unsafe fn MPI_Add_error_class(errorclass: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let errorclass = unsafe { Out::new(errorclass, "errorclass") }?;
    errorclass.set(with(|e| e.objects.codes.add_class())?);
    Ok(())
}

pub(crate) unsafe fn MPI_Add_error_code(errorclass: c_int, errorcode: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let errorcode = unsafe { Out::new(errorcode, "errorcode") }?;
    errorcode.set(with(|e| e.objects.codes.add_code(errorclass))?);
    Ok(())
}

pub(crate) unsafe fn MPI_Add_error_string(errorcode: c_int, string: *const c_char) -> Result<()> {
    // SAFETY: the C caller's word for the string.
    let text = unsafe { args::text(string, "string") }?;
    with(|e| e.objects.codes.set_string(errorcode, text))
}

pub(crate) unsafe fn MPI_Remove_error_class(errorclass: c_int) -> Result<()> {
    with(|e| e.objects.codes.remove_class(errorclass))
}

pub(crate) unsafe fn MPI_Remove_error_code(errorcode: c_int) -> Result<()> {
    with(|e| e.objects.codes.remove_code(errorcode))
}

pub(crate) unsafe fn MPI_Remove_error_string(errorcode: c_int) -> Result<()> {
    with(|e| e.objects.codes.remove_string(errorcode))
}
