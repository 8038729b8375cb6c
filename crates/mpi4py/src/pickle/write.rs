//! Pickles of plain objects: numbers, text and bytes, alone and in tuples, lists and dicts.
//!
//! What is written is a pickle like any other: `pickle.loads` makes an equal object of it. It is made in a
//! third of the time that the pickler takes to be set up, asked about every object and taken down.
//! Whatever is not certain to come out the same is left to the pickler ([`Refused`]): other types and derived
//! ones, containers that contain themselves, deep nesting. A container that comes twice stays one: those that
//! somebody else refers to as well are noted ("memoized"). Text and bytes are not, so the same one twice are two
//! objects afterwards; together they are so short ([`TEXT`]) that this costs nobody anything.
//!
//! What was written when an object turns out to be for the pickler was in vain, half of what the pickler takes: so of
//! long lists a few items are looked at first. (Of dicts only all could be, which costs a third of writing numbers.)
//!
//! No Python code runs in here: types are compared, not asked, so objects cannot change meanwhile.

use super::opcodes::*;
use super::shared::{Met, Shared};
use pyo3::ffi;
use std::cell::Cell;
use std::ptr;

/// Longer containers and longer pickles: the time is that of their items, whoever writes them.
const LONGEST: isize = 64 << 10;
const LARGEST: usize = 1 << 20;
/// Memory up to this size is kept for the next message.
const KEPT: usize = 64 << 10;

/// From so many items on, some are looked at before all are written.
const LONG: isize = 32;
/// How many, the last one among them. A look is a tenth of writing a number.
const LOOKS: isize = 4;
/// Containers in containers that such a look goes into.
const LOOK_INTO: usize = 3;

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A pickle in memory that is used again.
pub(super) struct Stream(Vec<u8>);

impl Stream {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.0);
        if bytes.capacity() <= KEPT {
            // At the end of a thread there is nowhere to keep it.
            let _ = SPARE.try_with(|spare| spare.set(bytes));
        }
    }
}

/// Why an object is for the pickler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is an object of another type in it.
    Type,
    /// It is long, deep, or goes round.
    Shape,
}

/// The pickle of a plain object.
///
/// # Safety
/// A live object; the interpreter is held.
pub(super) unsafe fn write(object: *mut ffi::PyObject) -> Result<Stream, Refused> {
    let mut out = SPARE.try_with(Cell::take).unwrap_or_default();
    out.clear();
    out.extend_from_slice(&HEAD);
    let mut writer = Writer { out: Stream(out), text: TEXT, top: object, shared: Shared::default(), foreign: false };
    // SAFETY: the caller vouches for the object.
    if !unsafe { writer.object(object, 0) } {
        return Err(if writer.foreign { Refused::Type } else { Refused::Shape });
    }
    writer.put(&[STOP]);
    Ok(writer.out)
}

struct Writer {
    out: Stream,
    /// What is left of [`TEXT`].
    text: usize,
    top: *mut ffi::PyObject,
    shared: Shared,
    /// An object of another type was found.
    foreign: bool,
}

/// Gives an item of a list or a tuple.
type Item = unsafe extern "C" fn(*mut ffi::PyObject, isize) -> *mut ffi::PyObject;

/// How the writing of a container begins.
enum Entry {
    /// Its items are to be written, and then it is to be noted if it has a number.
    Items(Option<u32>),
    /// It was written before, and now a reference to that.
    Reference,
    /// It is for the pickler.
    No,
}

impl Writer {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.out.0.extend_from_slice(bytes);
    }

    /// # Safety
    /// As for [`write`], and for all of them below.
    unsafe fn object(&mut self, object: *mut ffi::PyObject, depth: usize) -> bool {
        // SAFETY: a live object, and static objects of the interpreter.
        let kind = unsafe { ffi::Py_TYPE(object) };
        // SAFETY: each function is for objects of exactly the type that was found.
        unsafe {
            if kind == &raw mut ffi::PyLong_Type {
                self.int(object)
            } else if kind == &raw mut ffi::PyUnicode_Type {
                self.string(object)
            } else if kind == &raw mut ffi::PyFloat_Type {
                let [a, b, c, d, e, f, g, h] = ffi::PyFloat_AsDouble(object).to_be_bytes();
                self.put(&[BINFLOAT, a, b, c, d, e, f, g, h]);
                true
            } else if kind == &raw mut ffi::PyTuple_Type {
                self.tuple(object, depth)
            } else if kind == &raw mut ffi::PyList_Type {
                self.list(object, depth)
            } else if kind == &raw mut ffi::PyDict_Type {
                self.dict(object, depth)
            } else if object == ffi::Py_None() {
                self.put(&[NONE]);
                true
            } else if object == ffi::Py_True() {
                self.put(&[NEWTRUE]);
                true
            } else if object == ffi::Py_False() {
                self.put(&[NEWFALSE]);
                true
            } else if kind == &raw mut ffi::PyBytes_Type {
                self.bytes(object)
            } else {
                self.foreign = true;
                false
            }
        }
    }

    unsafe fn int(&mut self, object: *mut ffi::PyObject) -> bool {
        let mut overflow = 0;
        // SAFETY: an int; there is no error then.
        let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(object, &raw mut overflow) };
        if overflow != 0 {
            return false;
        }
        if let Ok(value) = u8::try_from(value) {
            self.put(&[BININT1, value]);
        } else if let Ok(value) = u16::try_from(value) {
            let [a, b] = value.to_le_bytes();
            self.put(&[BININT2, a, b]);
        } else if let Ok(value) = i32::try_from(value) {
            let [a, b, c, d] = value.to_le_bytes();
            self.put(&[BININT, a, b, c, d]);
        } else {
            let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
            self.put(&[LONG1, 8, a, b, c, d, e, f, g, h]);
        }
        true
    }

    /// An opcode with a length, which has two forms.
    fn head(&mut self, short: u8, long: u8, length: usize) {
        match (u8::try_from(length), u32::try_from(length)) {
            (Ok(length), _) => self.put(&[short, length]),
            (_, length) => {
                // `TEXT` is far below 4 GiB.
                let [a, b, c, d] = length.unwrap_or(u32::MAX).to_le_bytes();
                self.put(&[long, a, b, c, d]);
            }
        }
    }

    unsafe fn string(&mut self, object: *mut ffi::PyObject) -> bool {
        let mut length = 0;
        // SAFETY: a str. Of one that is not ASCII the interpreter keeps the UTF-8: first its length.
        let addr = unsafe {
            if ffi::PyUnicode_GetLength(object).cast_unsigned() > self.text {
                return false;
            }
            ffi::PyUnicode_AsUTF8AndSize(object, &raw mut length)
        };
        let length = length.cast_unsigned();
        if addr.is_null() {
            // Surrogates.
            // SAFETY: the interpreter is held.
            unsafe { ffi::PyErr_Clear() };
            return false;
        }
        // SAFETY: the str owns that many bytes.
        unsafe { self.data(SHORT_BINUNICODE, BINUNICODE, addr.cast(), length) }
    }

    unsafe fn bytes(&mut self, object: *mut ffi::PyObject) -> bool {
        // SAFETY: bytes, which own so many.
        unsafe {
            let (addr, length) = (ffi::PyBytes_AsString(object), ffi::PyBytes_Size(object));
            self.data(SHORT_BINBYTES, BINBYTES, addr.cast_const().cast(), length.cast_unsigned())
        }
    }

    unsafe fn data(&mut self, short: u8, long: u8, addr: *const u8, length: usize) -> bool {
        let Some(rest) = self.text.checked_sub(length) else { return false };
        self.text = rest;
        self.head(short, long, length);
        // SAFETY: the caller's memory of this length.
        self.put(unsafe { std::slice::from_raw_parts(addr, length) });
        true
    }

    /// Whether a container may be written: not too deep, not too long, not inside of itself.
    #[inline]
    unsafe fn enter(&mut self, object: *mut ffi::PyObject, length: isize, depth: usize) -> Entry {
        if depth >= DEEPEST || length > LONGEST || self.out.0.len() > LARGEST {
            return Entry::No;
        }
        // With one reference, that of the container around it, it cannot come again.
        // SAFETY: a live object.
        if depth == 0 || unsafe { ffi::Py_REFCNT(object) } == 1 {
            return Entry::Items(None);
        }
        if object == self.top {
            return Entry::No;
        }
        match self.shared.meet(object.addr()) {
            Met::New(number) => Entry::Items(Some(number)),
            Met::Open => Entry::No,
            Met::Written(place) => {
                if let Ok(place) = u8::try_from(place) {
                    self.put(&[BINGET, place]);
                } else {
                    let [a, b, c, d] = place.to_le_bytes();
                    self.put(&[LONG_BINGET, a, b, c, d]);
                }
                Entry::Reference
            }
        }
    }

    /// A container is complete.
    #[inline]
    fn leave(&mut self, number: Option<u32>) -> bool {
        if let Some(number) = number {
            self.shared.complete(number);
            self.put(&[MEMOIZE]);
        }
        true
    }

    /// Whether some items of a long container may be plain.
    unsafe fn looks_plain(&mut self, object: *mut ffi::PyObject, length: isize, item: Item) -> bool {
        // SAFETY: indices below the length, which is at most `LONGEST`.
        (1..=LOOKS).all(|look| unsafe { self.may_be_plain(item(object, length * look / LOOKS - 1), 0) })
    }

    /// Whether an object may be plain, as a short look tells: a list as its last item.
    unsafe fn may_be_plain(&mut self, object: *mut ffi::PyObject, depth: usize) -> bool {
        // SAFETY: live objects, static objects of the interpreter, and the last index of a container.
        unsafe {
            let kind = ffi::Py_TYPE(object);
            let (length, last): (_, Item);
            if kind == &raw mut ffi::PyLong_Type {
                let mut overflow = 0;
                ffi::PyLong_AsLongLongAndOverflow(object, &raw mut overflow);
                return overflow == 0;
            } else if kind == &raw mut ffi::PyUnicode_Type {
                return ffi::PyUnicode_GetLength(object).cast_unsigned() <= self.text;
            } else if kind == &raw mut ffi::PyTuple_Type {
                (length, last) = (ffi::PyTuple_Size(object), ffi::PyTuple_GetItem);
            } else if kind == &raw mut ffi::PyList_Type {
                (length, last) = (ffi::PyList_Size(object), ffi::PyList_GetItem);
            } else {
                let plain = kind == &raw mut ffi::PyFloat_Type
                    || kind == &raw mut ffi::PyDict_Type
                    || kind == &raw mut ffi::PyBytes_Type
                    || kind == &raw mut ffi::PyBool_Type
                    || object == ffi::Py_None();
                self.foreign |= !plain;
                return plain;
            }
            length == 0 || depth == LOOK_INTO || self.may_be_plain(last(object, length - 1), depth + 1)
        }
    }

    unsafe fn tuple(&mut self, object: *mut ffi::PyObject, depth: usize) -> bool {
        // SAFETY: a tuple, and indices below its size.
        unsafe {
            let length = ffi::PyTuple_Size(object);
            if length == 0 {
                self.put(&[EMPTY_TUPLE]);
                return true;
            }
            let number = match self.enter(object, length, depth) {
                Entry::Items(number) => number,
                Entry::Reference => return true,
                Entry::No => return false,
            };
            if length >= LONG && !self.looks_plain(object, length, ffi::PyTuple_GetItem) {
                return false;
            }
            if length > 3 {
                self.put(&[MARK]);
            }
            for index in 0..length {
                if !self.object(ffi::PyTuple_GetItem(object, index), depth + 1) {
                    return false;
                }
            }
            self.put(match length {
                1 => &[TUPLE1],
                2 => &[TUPLE2],
                3 => &[TUPLE3],
                _ => &[TUPLE],
            });
            self.leave(number)
        }
    }

    unsafe fn list(&mut self, object: *mut ffi::PyObject, depth: usize) -> bool {
        // SAFETY: a list, and indices below its size: nothing changes it here.
        unsafe {
            let length = ffi::PyList_Size(object);
            let number = match self.enter(object, length, depth) {
                Entry::Items(number) => number,
                Entry::Reference => return true,
                Entry::No => return false,
            };
            if length == 0 {
                self.put(&[EMPTY_LIST]);
                return self.leave(number);
            }
            if length >= LONG && !self.looks_plain(object, length, ffi::PyList_GetItem) {
                return false;
            }
            self.put(&[EMPTY_LIST, MARK]);
            for index in 0..length {
                if !self.object(ffi::PyList_GetItem(object, index), depth + 1) {
                    return false;
                }
            }
            self.put(&[APPENDS]);
            self.leave(number)
        }
    }

    unsafe fn dict(&mut self, object: *mut ffi::PyObject, depth: usize) -> bool {
        // SAFETY: a dict, which nothing changes here: its keys and values live on.
        unsafe {
            let length = ffi::PyDict_Size(object);
            let number = match self.enter(object, length, depth) {
                Entry::Items(number) => number,
                Entry::Reference => return true,
                Entry::No => return false,
            };
            if length == 0 {
                self.put(&[EMPTY_DICT]);
                return self.leave(number);
            }
            self.put(&[EMPTY_DICT, MARK]);
            let (mut at, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
            while ffi::PyDict_Next(object, &raw mut at, &raw mut key, &raw mut value) != 0 {
                if !self.object(key, depth + 1) || !self.object(value, depth + 1) {
                    return false;
                }
            }
            self.put(&[SETITEMS]);
            self.leave(number)
        }
    }
}
