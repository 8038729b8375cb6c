//! Objects of the pickles that [`write`](super::write) makes.
//!
//! Everything else, damaged streams among it, is for the unpickler (`read` says `None`), which then begins anew and
//! raises what it raises. Until then there is nothing to take back: the types made here run no code of anybody's.

use super::opcodes::*;
use pyo3::ffi;
use pyo3::prelude::*;
use std::cell::Cell;
use std::ptr;

/// Memory for so many objects is kept for the next message.
const KEPT: usize = 8 << 10;

thread_local! {
    static SPARE: Cell<Vec<*mut ffi::PyObject>> = const { Cell::new(Vec::new()) };
}

/// The object of a plain pickle; `None`: it is for the unpickler.
pub(super) fn read(py: Python<'_>, bytes: &[u8]) -> Option<Py<PyAny>> {
    let bytes = bytes.strip_prefix(&HEAD)?;
    let stack = SPARE.try_with(Cell::take).unwrap_or_default();
    let mut reader = Reader { bytes, stack, marks: [(0, false); DEEPEST], depth: 0, memo: Vec::new() };
    // SAFETY: the interpreter is held, as `py` shows.
    let object = unsafe { reader.run() };
    if object.is_none() {
        // Lack of memory, a key that has no hash: the unpickler will find it too.
        // SAFETY: the interpreter is held.
        unsafe { ffi::PyErr_Clear() };
    }
    // SAFETY: a new reference to an object.
    object.map(|object| unsafe { Bound::from_owned_ptr(py, object).unbind() })
}

struct Reader<'a> {
    bytes: &'a [u8],
    /// New references. Null is the place of a list whose items are still coming.
    stack: Vec<*mut ffi::PyObject>,
    /// Where the items of containers begin that are not complete, and whether it is a list.
    marks: [(usize, bool); DEEPEST],
    depth: usize,
    /// New references to what comes again, in the order in which it was noted.
    memo: Vec<*mut ffi::PyObject>,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        while let Some(object) = self.stack.pop().or_else(|| self.memo.pop()) {
            // SAFETY: our reference, or null; the interpreter is held.
            unsafe { ffi::Py_XDECREF(object) };
        }
        if self.stack.capacity() <= KEPT {
            let stack = std::mem::take(&mut self.stack);
            let _ = SPARE.try_with(|spare| spare.set(stack));
        }
    }
}

impl<'a> Reader<'a> {
    #[inline]
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(*first)
    }

    #[inline]
    fn data(&mut self, length: usize) -> Option<(*const u8, isize)> {
        let (first, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some((first.as_ptr(), length.cast_signed()))
    }

    fn short(&mut self) -> Option<(*const u8, isize)> {
        let [length] = self.take()?;
        self.data(usize::from(length))
    }

    fn long(&mut self) -> Option<(*const u8, isize)> {
        let length = usize::try_from(u32::from_le_bytes(self.take()?)).ok()?;
        // A longer one was not written here, and would be copied twice.
        if length > TEXT { None } else { self.data(length) }
    }

    /// Keeps a new reference; null is an error.
    #[inline]
    fn push(&mut self, object: *mut ffi::PyObject) -> Option<()> {
        if object.is_null() {
            return None;
        }
        self.stack.push(object);
        Some(())
    }

    fn mark(&mut self, list: bool) -> Option<()> {
        *self.marks.get_mut(self.depth)? = (self.stack.len(), list);
        self.depth += 1;
        Some(())
    }

    /// Where the items of the innermost container begin.
    fn pop_mark(&mut self, list: bool) -> Option<usize> {
        self.depth = self.depth.checked_sub(1)?;
        let (from, marked) = self.marks[self.depth];
        (marked == list).then_some(from)
    }

    /// Where the objects begin that belong to the innermost container; the others may not be used.
    fn fence(&self) -> usize {
        self.depth.checked_sub(1).map_or(0, |depth| self.marks[depth].0)
    }

    /// # Safety
    /// The interpreter is held; so for all below.
    unsafe fn run(&mut self) -> Option<*mut ffi::PyObject> {
        loop {
            let [opcode] = self.take()?;
            // SAFETY: the interpreter is held; addresses are those of bytes of the stream with their length.
            unsafe {
                match opcode {
                    BININT1 => {
                        let [value] = self.take()?;
                        self.push(ffi::PyLong_FromLongLong(value.into()))?;
                    }
                    BININT2 => {
                        let value = u16::from_le_bytes(self.take()?);
                        self.push(ffi::PyLong_FromLongLong(value.into()))?;
                    }
                    BININT => {
                        let value = i32::from_le_bytes(self.take()?);
                        self.push(ffi::PyLong_FromLongLong(value.into()))?;
                    }
                    LONG1 => {
                        let [8] = self.take()? else { return None };
                        let value = i64::from_le_bytes(self.take()?);
                        self.push(ffi::PyLong_FromLongLong(value))?;
                    }
                    BINFLOAT => {
                        let value = f64::from_be_bytes(self.take()?);
                        self.push(ffi::PyFloat_FromDouble(value))?;
                    }
                    SHORT_BINUNICODE => {
                        let (addr, length) = self.short()?;
                        self.push(ffi::PyUnicode_FromStringAndSize(addr.cast(), length))?;
                    }
                    BINUNICODE => {
                        let (addr, length) = self.long()?;
                        self.push(ffi::PyUnicode_FromStringAndSize(addr.cast(), length))?;
                    }
                    SHORT_BINBYTES => {
                        let (addr, length) = self.short()?;
                        self.push(ffi::PyBytes_FromStringAndSize(addr.cast(), length))?;
                    }
                    BINBYTES => {
                        let (addr, length) = self.long()?;
                        self.push(ffi::PyBytes_FromStringAndSize(addr.cast(), length))?;
                    }
                    NONE => self.push(ffi::Py_NewRef(ffi::Py_None()))?,
                    NEWTRUE => self.push(ffi::Py_NewRef(ffi::Py_True()))?,
                    NEWFALSE => self.push(ffi::Py_NewRef(ffi::Py_False()))?,
                    EMPTY_TUPLE => self.push(ffi::PyTuple_New(0))?,
                    TUPLE1 => self.tuple(self.stack.len().checked_sub(1)?)?,
                    TUPLE2 => self.tuple(self.stack.len().checked_sub(2)?)?,
                    TUPLE3 => self.tuple(self.stack.len().checked_sub(3)?)?,
                    EMPTY_LIST => {
                        if let Some(rest) = self.bytes.strip_prefix(&[MARK]) {
                            // Made when its length is known.
                            self.bytes = rest;
                            self.stack.push(ptr::null_mut());
                            self.mark(true)?;
                        } else {
                            self.push(ffi::PyList_New(0))?;
                        }
                    }
                    EMPTY_DICT => self.push(ffi::PyDict_New())?,
                    MARK => self.mark(false)?,
                    TUPLE => {
                        let from = self.pop_mark(false)?;
                        self.tuple(from)?;
                    }
                    MEMOIZE => {
                        let top = self.stack.len().checked_sub(1).filter(|top| *top >= self.fence())?;
                        // A live object: null is only below a fence.
                        self.memo.push(ffi::Py_NewRef(self.stack[top]));
                    }
                    BINGET => {
                        let [place] = self.take()?;
                        self.again(place.into())?;
                    }
                    LONG_BINGET => {
                        let place = u32::from_le_bytes(self.take()?);
                        self.again(place as usize)?;
                    }
                    APPENDS => self.list()?,
                    SETITEMS => self.dict()?,
                    STOP => {
                        if self.depth != 0 || self.stack.len() != 1 || !self.bytes.is_empty() {
                            return None;
                        }
                        return self.stack.pop();
                    }
                    _ => return None,
                }
            }
        }
    }

    /// Something that was noted comes again.
    unsafe fn again(&mut self, place: usize) -> Option<()> {
        let object = *self.memo.get(place)?;
        // SAFETY: the memo's objects are live; the interpreter is held.
        self.push(unsafe { ffi::Py_NewRef(object) })
    }

    unsafe fn tuple(&mut self, from: usize) -> Option<()> {
        if from < self.fence() {
            return None;
        }
        // SAFETY: the interpreter is held.
        let tuple = unsafe { ffi::PyTuple_New((self.stack.len() - from).cast_signed()) };
        if tuple.is_null() {
            return None;
        }
        for (index, object) in (0..).zip(self.stack.drain(from..)) {
            // SAFETY: a new tuple of this length, which takes our reference over.
            unsafe { ffi::PyTuple_SetItem(tuple, index, object) };
        }
        self.push(tuple)
    }

    unsafe fn list(&mut self) -> Option<()> {
        let from = self.pop_mark(true)?;
        // SAFETY: the interpreter is held.
        let list = unsafe { ffi::PyList_New((self.stack.len() - from).cast_signed()) };
        if list.is_null() {
            return None;
        }
        for (index, object) in (0..).zip(self.stack.drain(from..)) {
            // SAFETY: a new list of this length, which takes our reference over.
            unsafe { ffi::PyList_SetItem(list, index, object) };
        }
        self.stack[from - 1] = list;
        Some(())
    }

    unsafe fn dict(&mut self) -> Option<()> {
        let from = self.pop_mark(false)?;
        if from <= self.fence() {
            return None;
        }
        let dict = self.stack[from - 1];
        // SAFETY: a live object: null is only below a fence.
        if unsafe { ffi::PyDict_CheckExact(dict) } == 0 || !(self.stack.len() - from).is_multiple_of(2) {
            return None;
        }
        for pair in self.stack[from..].chunks_exact(2) {
            // SAFETY: live objects, of types whose hash and comparison run no code of anybody's.
            if unsafe { ffi::PyDict_SetItem(dict, pair[0], pair[1]) } != 0 {
                return None;
            }
        }
        for object in self.stack.drain(from..) {
            // SAFETY: our references; the dict has its own.
            unsafe { ffi::Py_DECREF(object) };
        }
        Some(())
    }
}
