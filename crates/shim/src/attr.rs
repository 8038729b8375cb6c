//! Attributes of communicators, types and windows and their keys (MPI-5.0 section 7.7), the old
//! names among them (section 16.1). The engine keeps the values (`engine::attr`); this file calls
//! the user's copy and delete functions, always without the engine's lock.
//!
//! [`copy_all`] and [`delete_all`] are for the functions that duplicate and free an object.

use crate::args::{Out, null};
use crate::errors::returned;
use engine::attr::{Attributes, Entry, Keyval, Owner};
use engine::{Engine, Error, Result, with};
use mpi_abi::consts::{
    MPI_APPNUM, MPI_ERR_WIN, MPI_HOST, MPI_IO, MPI_KEYVAL_INVALID, MPI_LASTUSEDCODE, MPI_TAG_UB, MPI_UNIVERSE_SIZE,
    MPI_WTIME_IS_GLOBAL,
};
use mpi_abi::ffi;
use mpi_abi::{Comm, Datatype, Win};
use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

/// An object that has attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Object {
    /// A communicator.
    Comm(Comm),
    /// A datatype.
    Type(Datatype),
    /// A window.
    Win(Win),
}

impl Object {
    fn owner(self) -> Owner {
        match self {
            Self::Comm(_) => Owner::Comm,
            Self::Type(_) => Owner::Type,
            Self::Win(_) => Owner::Win,
        }
    }

    fn raw(self) -> usize {
        match self {
            Self::Comm(comm) => comm.raw(),
            Self::Type(datatype) => datatype.raw(),
            Self::Win(win) => win.raw(),
        }
    }

    /// The object's attributes, or the error that there is no such object.
    fn attributes(self, e: &mut Engine) -> Result<&mut Attributes> {
        match self {
            Self::Comm(comm) => Ok(&mut e.kept_mut(comm)?.attributes),
            Self::Type(datatype) => {
                e.types.get(datatype)?;
                Ok(e.objects.attributes.entry(datatype.raw()).or_default())
            }
            Self::Win(win) => {
                let known = e.objects.handlers.contains_key(&win.raw());
                let refuse = || Error::new(MPI_ERR_WIN, format!("{:#x} is not the handle of a window", win.raw()));
                known.then_some(()).ok_or_else(refuse)?;
                Ok(e.objects.attributes.entry(win.raw()).or_default())
            }
        }
    }
}

// One C type each for the three kinds of objects: their handles are pointers without a meaning for
// the callee but their bits.
type CopyFunction = unsafe extern "C" fn(usize, c_int, *mut c_void, *mut c_void, *mut c_void, *mut c_int) -> c_int;
type DeleteFunction = unsafe extern "C" fn(usize, c_int, *mut c_void, *mut c_void) -> c_int;

/// The value of `entry` for a copy of `object`; none if the attribute is not copied.
fn copied(object: Object, entry: &Entry) -> Result<Option<usize>> {
    let Keyval { copy, extra, .. } = *entry.keyval;
    match copy {
        0 => Ok(None),
        1 => Ok(Some(entry.value)),
        address => {
            // SAFETY: the address is that of a copy function that the user gave to the function
            // which makes keys of this kind; the handle types are `usize` in a transparent wrapper.
            let function = unsafe { std::mem::transmute::<usize, CopyFunction>(address) };
            let mut value = std::ptr::null_mut::<c_void>();
            let mut flag = 0;
            // SAFETY: the arguments are those that the standard gives to the function; the results
            // go to locals.
            let code = unsafe {
                function(
                    object.raw(),
                    entry.number,
                    extra as *mut c_void,
                    entry.value as *mut c_void,
                    (&raw mut value).cast(),
                    &raw mut flag,
                )
            };
            succeeded(code, "copy", entry.number)?;
            Ok((flag != 0).then_some(value as usize))
        }
    }
}

/// Tells the user that the value of `entry` goes.
fn delete(object: Object, entry: &Entry) -> Result<()> {
    let Keyval { delete, extra, .. } = *entry.keyval;
    if delete == 0 {
        return Ok(());
    }
    // SAFETY: as in `copied`, for the delete function.
    let function = unsafe { std::mem::transmute::<usize, DeleteFunction>(delete) };
    // SAFETY: the arguments are those that the standard gives to the function.
    let code = unsafe { function(object.raw(), entry.number, entry.value as *mut c_void, extra as *mut c_void) };
    succeeded(code, "delete", entry.number)
}

fn succeeded(code: c_int, what: &str, number: c_int) -> Result<()> {
    returned(code, || format!("the {what} function of attribute key {number}"))
}

/// Gives `new`, a duplicate of `old`, its attributes.
pub(crate) fn copy_all(old: Object, new: Object) -> Result<()> {
    let entries = with(|e| old.attributes(e).map(|attributes| attributes.to_vec()))?;
    for entry in entries {
        if let Some(value) = copied(old, &entry)? {
            with(|e| new.attributes(e).map(|attributes| attributes.put(Entry { value, ..entry })))?;
        }
    }
    Ok(())
}

/// The attributes that a duplicate of `old` gets, up to the first whose copy function fails.
pub(crate) fn copies(old: Object) -> (Attributes, Result<()>) {
    let mut copies = Attributes::default();
    let mut copy = || {
        for entry in with(|e| old.attributes(e).map(|attributes| attributes.to_vec()))? {
            if let Some(value) = copied(old, &entry)? {
                copies.put(Entry { value, ..entry });
            }
        }
        Ok(())
    };
    let outcome = copy();
    (copies, outcome)
}

/// Ends attributes that were copied for an object which is not made after all.
pub(crate) fn drop_copies(object: Object, mut copies: Attributes) {
    while let Some(entry) = copies.pop() {
        // The error of the copying is the one to report.
        let _ = delete(object, &entry);
    }
}

/// Ends all attributes of an object that is about to be freed, the last one first. At an error the
/// attribute concerned and those before it stay.
pub(crate) fn delete_all(object: Object) -> Result<()> {
    while let Some(entry) = with(|e| object.attributes(e).map(Attributes::pop))? {
        end(object, entry)?;
    }
    if !matches!(object, Object::Comm(_)) {
        with(|e| e.objects.attributes.remove(&object.raw()));
    }
    Ok(())
}

/// Ends all attributes of an object that goes whatever its delete functions say; the first error.
pub(crate) fn drop_all(object: Object) -> Result<()> {
    let mut outcome = Ok(());
    while let Some(entry) = with(|e| object.attributes(e).map(Attributes::pop))? {
        outcome = outcome.and(delete(object, &entry));
    }
    outcome
}

/// Calls the delete function of an entry that was taken out, and puts it back if that fails.
fn end(object: Object, entry: Entry) -> Result<()> {
    delete(object, &entry).inspect_err(|_| {
        // The object may be gone by now; then so is the entry.
        let _ = with(|e| object.attributes(e).map(|attributes| attributes.put(entry)));
    })
}

fn create_keyval(owner: Owner, copy: usize, delete: usize, number: *mut c_int, extra: *mut c_void) -> Result<()> {
    let keyval = Keyval { owner, copy, delete, extra: extra as usize };
    // SAFETY: the C caller's word for the address.
    let number = unsafe { Out::new(number, "keyval") }?;
    number.set(with(|e| e.objects.keyvals.create(keyval))?);
    Ok(())
}

fn free_keyval(number: *mut c_int, owner: Owner) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let number = unsafe { Out::new(number, "keyval") }?;
    with(|e| e.objects.keyvals.free(number.get(), owner))?;
    number.set(MPI_KEYVAL_INVALID);
    Ok(())
}

fn set(object: Object, number: c_int, value: *mut c_void) -> Result<()> {
    let (keyval, old) = take(object, number)?;
    if let Some(old) = old {
        end(object, old)?;
    }
    with(|e| {
        object.attributes(e)?.put(Entry { number, keyval, value: value as usize });
        Ok(())
    })
}

/// A key, and the entry under it, taken out of the object.
fn take(object: Object, number: c_int) -> Result<(Arc<Keyval>, Option<Entry>)> {
    with(|e| {
        object.attributes(e)?;
        let keyval = Arc::clone(e.objects.keyvals.find(number, object.owner())?);
        Ok((keyval, object.attributes(e)?.take(number)))
    })
}

fn delete_one(object: Object, number: c_int) -> Result<()> {
    let (_, entry) = take(object, number)?;
    entry.map_or(Ok(()), |entry| end(object, entry))
}

/// What C gets as the value of `number`, if it is set.
fn get(object: Object, number: c_int, value: *mut c_void, flag: *mut c_int) -> Result<()> {
    if value.is_null() {
        return Err(null("attribute_val"));
    }
    // SAFETY: the C caller's word for the address.
    let flag = unsafe { Out::new(flag, "flag") }?;
    let found = with(|e| {
        object.attributes(e)?;
        if matches!(object, Object::Comm(_))
            && let Some(value) = predefined(e, number)
        {
            return Ok(value);
        }
        e.objects.keyvals.find(number, object.owner())?;
        Ok::<_, Error>(object.attributes(e)?.get(number))
    })?;
    flag.set_flag(found.is_some());
    if let Some(found) = found {
        // SAFETY: `attribute_val` is the address of a pointer, says the C caller.
        unsafe { value.cast::<*mut c_void>().write(found as *mut c_void) };
    }
    Ok(())
}

/// The values of the predefined keys of communicators: C gets the address of an `int` that stays.
/// The outer `None` is any other key; the inner one a key that is not set.
fn predefined(e: &Engine, number: c_int) -> Option<Option<usize>> {
    static VALUES: [AtomicI32; 7] = [const { AtomicI32::new(0) }; 7];
    let (slot, value) = match number {
        MPI_TAG_UB => (0, Some(engine::p2p::TAG_UB)),
        MPI_HOST => (1, Some(mpi_abi::consts::MPI_PROC_NULL)),
        MPI_IO => (2, Some(mpi_abi::consts::MPI_ANY_SOURCE)),
        MPI_WTIME_IS_GLOBAL => (3, Some(1)),
        MPI_APPNUM => (4, e.world.as_ref().map(|_| 0)),
        MPI_UNIVERSE_SIZE => (5, e.world.as_ref().map(|world| world.size.cast_signed())),
        MPI_LASTUSEDCODE => (6, Some(e.objects.codes.last_used())),
        _ => return None,
    };
    Some(value.map(|value| {
        VALUES[slot].store(value, Ordering::Relaxed);
        VALUES[slot].as_ptr() as usize
    }))
}

pub(crate) unsafe fn MPI_Comm_create_keyval(
    comm_copy_attr_fn: Option<ffi::MPI_Comm_copy_attr_function>,
    comm_delete_attr_fn: Option<ffi::MPI_Comm_delete_attr_function>,
    comm_keyval: *mut c_int,
    extra_state: *mut c_void,
) -> Result<()> {
    let (copy, delete) = (comm_copy_attr_fn.map_or(0, |f| f as usize), comm_delete_attr_fn.map_or(0, |f| f as usize));
    create_keyval(Owner::Comm, copy, delete, comm_keyval, extra_state)
}

pub(crate) unsafe fn MPI_Comm_free_keyval(comm_keyval: *mut c_int) -> Result<()> {
    free_keyval(comm_keyval, Owner::Comm)
}

pub(crate) unsafe fn MPI_Comm_set_attr(comm: Comm, comm_keyval: c_int, attribute_val: *mut c_void) -> Result<()> {
    set(Object::Comm(comm), comm_keyval, attribute_val)
}

pub(crate) unsafe fn MPI_Comm_get_attr(
    comm: Comm,
    comm_keyval: c_int,
    attribute_val: *mut c_void,
    flag: *mut c_int,
) -> Result<()> {
    get(Object::Comm(comm), comm_keyval, attribute_val, flag)
}

pub(crate) unsafe fn MPI_Comm_delete_attr(comm: Comm, comm_keyval: c_int) -> Result<()> {
    delete_one(Object::Comm(comm), comm_keyval)
}

pub(crate) unsafe fn MPI_Type_create_keyval(
    type_copy_attr_fn: Option<ffi::MPI_Type_copy_attr_function>,
    type_delete_attr_fn: Option<ffi::MPI_Type_delete_attr_function>,
    type_keyval: *mut c_int,
    extra_state: *mut c_void,
) -> Result<()> {
    let (copy, delete) = (type_copy_attr_fn.map_or(0, |f| f as usize), type_delete_attr_fn.map_or(0, |f| f as usize));
    create_keyval(Owner::Type, copy, delete, type_keyval, extra_state)
}

pub(crate) unsafe fn MPI_Type_free_keyval(type_keyval: *mut c_int) -> Result<()> {
    free_keyval(type_keyval, Owner::Type)
}

pub(crate) unsafe fn MPI_Type_set_attr(
    datatype: Datatype,
    type_keyval: c_int,
    attribute_val: *mut c_void,
) -> Result<()> {
    set(Object::Type(datatype), type_keyval, attribute_val)
}

pub(crate) unsafe fn MPI_Type_get_attr(
    datatype: Datatype,
    type_keyval: c_int,
    attribute_val: *mut c_void,
    flag: *mut c_int,
) -> Result<()> {
    get(Object::Type(datatype), type_keyval, attribute_val, flag)
}

pub(crate) unsafe fn MPI_Type_delete_attr(datatype: Datatype, type_keyval: c_int) -> Result<()> {
    delete_one(Object::Type(datatype), type_keyval)
}

pub(crate) unsafe fn MPI_Win_create_keyval(
    win_copy_attr_fn: Option<ffi::MPI_Win_copy_attr_function>,
    win_delete_attr_fn: Option<ffi::MPI_Win_delete_attr_function>,
    win_keyval: *mut c_int,
    extra_state: *mut c_void,
) -> Result<()> {
    let (copy, delete) = (win_copy_attr_fn.map_or(0, |f| f as usize), win_delete_attr_fn.map_or(0, |f| f as usize));
    create_keyval(Owner::Win, copy, delete, win_keyval, extra_state)
}

pub(crate) unsafe fn MPI_Win_free_keyval(win_keyval: *mut c_int) -> Result<()> {
    free_keyval(win_keyval, Owner::Win)
}

pub(crate) unsafe fn MPI_Win_set_attr(win: Win, win_keyval: c_int, attribute_val: *mut c_void) -> Result<()> {
    set(Object::Win(win), win_keyval, attribute_val)
}

pub(crate) unsafe fn MPI_Win_get_attr(
    win: Win,
    win_keyval: c_int,
    attribute_val: *mut c_void,
    flag: *mut c_int,
) -> Result<()> {
    get(Object::Win(win), win_keyval, attribute_val, flag)
}

pub(crate) unsafe fn MPI_Win_delete_attr(win: Win, win_keyval: c_int) -> Result<()> {
    delete_one(Object::Win(win), win_keyval)
}

// The names of MPI-1, for communicators.

pub(crate) unsafe fn MPI_Keyval_create(
    copy_fn: Option<ffi::MPI_Copy_function>,
    delete_fn: Option<ffi::MPI_Delete_function>,
    keyval: *mut c_int,
    extra_state: *mut c_void,
) -> Result<()> {
    let (copy, delete) = (copy_fn.map_or(0, |f| f as usize), delete_fn.map_or(0, |f| f as usize));
    create_keyval(Owner::Comm, copy, delete, keyval, extra_state)
}

pub(crate) unsafe fn MPI_Keyval_free(keyval: *mut c_int) -> Result<()> {
    free_keyval(keyval, Owner::Comm)
}

pub(crate) unsafe fn MPI_Attr_put(comm: Comm, keyval: c_int, attribute_val: *mut c_void) -> Result<()> {
    set(Object::Comm(comm), keyval, attribute_val)
}

pub(crate) unsafe fn MPI_Attr_get(
    comm: Comm,
    keyval: c_int,
    attribute_val: *mut c_void,
    flag: *mut c_int,
) -> Result<()> {
    get(Object::Comm(comm), keyval, attribute_val, flag)
}

pub(crate) unsafe fn MPI_Attr_delete(comm: Comm, keyval: c_int) -> Result<()> {
    delete_one(Object::Comm(comm), keyval)
}
