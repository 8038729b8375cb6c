//! Info objects (MPI-5.0 chapter 10). The engine's part is `engine::info`.

use crate::args::{self, Out, int};
use engine::info::{self, Info as Pairs};
use engine::{Error, Result, with};
use mpi_abi::Info;
use mpi_abi::consts::{MPI_ERR_ARG, MPI_INFO_NULL, MPI_MAX_INFO_KEY};
use std::ffi::{c_char, c_int};

pub(crate) unsafe fn MPI_Info_create(info: *mut Info) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let info = unsafe { Out::new(info, "info") }?;
    info.set(with(|e| info::create(&mut e.objects, Pairs::default())));
    Ok(())
}

pub(crate) unsafe fn MPI_Info_create_env(argc: c_int, argv: *mut *mut c_char, info: *mut Info) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let info = unsafe { Out::new(info, "info") }?;
    let mut args = None;
    if !argv.is_null() {
        // SAFETY: the C caller's word for an array of `argc` strings.
        let strings = unsafe { args::array(argv.cast_const(), argc, "argv") }?;
        // SAFETY: the C caller's word for each of the strings; a null one ends the list.
        let texts = strings.iter().take_while(|s| !s.is_null()).map(|s| unsafe { args::text(*s, "argv") });
        args = Some(texts.collect::<Result<Vec<_>>>()?);
    }
    // May be called before MPI is initialised: then nothing is known of the job.
    let size = with(|e| e.world.as_ref().map(|world| world.size));
    let pairs = info::environment(args, size, "MPI_THREAD_MULTIPLE");
    info.set(with(|e| info::create(&mut e.objects, pairs)));
    Ok(())
}

pub(crate) unsafe fn MPI_Info_dup(info: Info, newinfo: *mut Info) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let newinfo = unsafe { Out::new(newinfo, "newinfo") }?;
    let copy = with(|e| {
        let pairs = info::get(&e.objects, info)?.clone();
        Ok::<_, Error>(info::create(&mut e.objects, pairs))
    })?;
    newinfo.set(copy);
    Ok(())
}

pub(crate) unsafe fn MPI_Info_free(info: *mut Info) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let info = unsafe { Out::new(info, "info") }?;
    with(|e| info::free(&mut e.objects, info.get()))?;
    info.set(MPI_INFO_NULL);
    Ok(())
}

pub(crate) unsafe fn MPI_Info_set(info: Info, key: *const c_char, value: *const c_char) -> Result<()> {
    // SAFETY: the C caller's word for both strings.
    let (key, value) = unsafe { (args::bytes(key, "key")?, args::bytes(value, "value")?) };
    with(|e| info::get_mut(&mut e.objects, info)?.set(key, value))
}

pub(crate) unsafe fn MPI_Info_delete(info: Info, key: *const c_char) -> Result<()> {
    // SAFETY: the C caller's word for the string.
    let key = unsafe { args::bytes(key, "key") }?;
    with(|e| info::get_mut(&mut e.objects, info)?.delete(key))
}

/// The value of `key`, if the key is there.
fn value(info: Info, key: &[u8]) -> Result<Option<Vec<u8>>> {
    with(|e| {
        let info = info::get(&e.objects, info)?;
        info::valid_key(key)?;
        Ok(info.get(key).map(<[u8]>::to_vec))
    })
}

pub(crate) unsafe fn MPI_Info_get_string(
    info: Info,
    key: *const c_char,
    buflen: *mut c_int,
    value: *mut c_char,
    flag: *mut c_int,
) -> Result<()> {
    // SAFETY: the C caller's word for the string and the addresses.
    let (key, buflen, flag) =
        unsafe { (args::bytes(key, "key")?, Out::new(buflen, "buflen")?, Out::new(flag, "flag")?) };
    let room = args::length(buflen.get(), "buflen")?;
    let found = self::value(info, key)?;
    flag.set_flag(found.is_some());
    if let Some(found) = found {
        // SAFETY: the C caller's word for a buffer of `buflen` bytes.
        unsafe { args::put_string(value, room, &found, "value") }?;
        buflen.set(int(found.len() + 1));
    }
    Ok(())
}

pub(crate) unsafe fn MPI_Info_get(
    info: Info,
    key: *const c_char,
    valuelen: c_int,
    value: *mut c_char,
    flag: *mut c_int,
) -> Result<()> {
    // SAFETY: the C caller's word for the string and the address.
    let (key, flag) = unsafe { (args::bytes(key, "key")?, Out::new(flag, "flag")?) };
    let longest = args::length(valuelen, "valuelen")?;
    let found = self::value(info, key)?;
    flag.set_flag(found.is_some());
    if let Some(found) = found {
        // SAFETY: the C caller's word for a buffer of `valuelen + 1` bytes.
        unsafe { args::put_string(value, longest + 1, &found, "value") }?;
    }
    Ok(())
}

pub(crate) unsafe fn MPI_Info_get_valuelen(
    info: Info,
    key: *const c_char,
    valuelen: *mut c_int,
    flag: *mut c_int,
) -> Result<()> {
    // SAFETY: the C caller's word for the string and the addresses.
    let (key, valuelen, flag) =
        unsafe { (args::bytes(key, "key")?, Out::new(valuelen, "valuelen")?, Out::new(flag, "flag")?) };
    let found = value(info, key)?;
    flag.set_flag(found.is_some());
    if let Some(found) = found {
        valuelen.set(int(found.len()));
    }
    Ok(())
}

pub(crate) unsafe fn MPI_Info_get_nkeys(info: Info, nkeys: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let nkeys = unsafe { Out::new(nkeys, "nkeys") }?;
    nkeys.set(int(with(|e| info::get(&e.objects, info).map(Pairs::len))?));
    Ok(())
}

pub(crate) unsafe fn MPI_Info_get_nthkey(info: Info, n: c_int, key: *mut c_char) -> Result<()> {
    let found = with(|e| info::get(&e.objects, info)?.nth_key(i64::from(n)).map(<[u8]>::to_vec))?;
    let room = usize::try_from(MPI_MAX_INFO_KEY).map_err(|_| Error::new(MPI_ERR_ARG, ""))?;
    // SAFETY: the C caller's word for a buffer of MPI_MAX_INFO_KEY bytes.
    unsafe { args::put_string(key, room, &found, "key") }.map(|_| ())
}
