//! Direct reading of `numpy.ndarray`, without the buffer protocol: that costs 75-100 ns for each
//! array, a large part of a call that moves little.
//!
//! The fields read here (`data`, `nd`, `dims`, `strides`, `base`, `descr`, `flags` of an array;
//! `byteorder`, `type_num` of its dtype) have the same place in NumPy 1 and 2; they belong to
//! NumPy's documented C interface. Before the first use they are compared with what NumPy says in
//! Python about two arrays; if anything differs the buffer protocol serves NumPy too.
//! Only objects of exactly this class are read so. What is not plain (not contiguous, another byte
//! order, records) is left to the general way, which knows the errors.

use super::Keep;
use super::acquire::{Access, Element, Kind, Memory};
use super::strided::Spread;
use mpi_abi::consts as c;
use mpi_abi::{Count, Datatype};
use pyo3::exceptions::{PyBufferError, PyRuntimeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};
use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

/// `PyArrayObject`, the part that all versions have.
#[repr(C)]
struct Array {
    head: ffi::PyObject,
    data: *mut c_void,
    nd: c_int,
    dims: *const isize,
    strides: *const isize,
    base: *mut ffi::PyObject,
    descr: *const Descr,
    flags: c_int,
}

/// `PyArray_Descr`, the part that all versions have.
#[repr(C)]
struct Descr {
    head: ffi::PyObject,
    typeobj: *mut c_void,
    kind: c_char,
    code: c_char,
    byteorder: c_char,
    former_flags: c_char,
    type_num: c_int,
}

const C_CONTIGUOUS: c_int = 0x1;
const F_CONTIGUOUS: c_int = 0x2;
const OWNDATA: c_int = 0x4;
const WRITEABLE: c_int = 0x400;

/// NumPy's type numbers 0 to 23: the MPI datatype and the size of an element. Zero: not direct.
static TYPES: [(Datatype, isize); 24] = [
    (c::MPI_C_BOOL, 1),
    (c::MPI_SIGNED_CHAR, 1),
    (c::MPI_UNSIGNED_CHAR, 1),
    (c::MPI_SHORT, 2),
    (c::MPI_UNSIGNED_SHORT, 2),
    (c::MPI_INT, 4),
    (c::MPI_UNSIGNED, 4),
    (c::MPI_LONG, size_of::<std::ffi::c_long>() as isize),
    (c::MPI_UNSIGNED_LONG, size_of::<std::ffi::c_long>() as isize),
    (c::MPI_LONG_LONG, 8),
    (c::MPI_UNSIGNED_LONG_LONG, 8),
    (c::MPI_FLOAT, 4),
    (c::MPI_DOUBLE, 8),
    (c::MPI_LONG_DOUBLE, LONG_DOUBLE),
    (c::MPI_C_FLOAT_COMPLEX, 8),
    (c::MPI_C_DOUBLE_COMPLEX, 16),
    (c::MPI_C_LONG_DOUBLE_COMPLEX, 2 * LONG_DOUBLE),
    (c::MPI_DATATYPE_NULL, 0), // object
    (c::MPI_DATATYPE_NULL, 0), // bytes
    (c::MPI_DATATYPE_NULL, 0), // text
    (c::MPI_DATATYPE_NULL, 0), // record
    (c::MPI_DATATYPE_NULL, 0), // date
    (c::MPI_DATATYPE_NULL, 0), // difference of dates
    (c::MPI_REAL2, 2),
];

/// Size of C's `long double` on the systems this is built for.
const LONG_DOUBLE: isize = 16;

/// The class `numpy.ndarray`: null until NumPy is imported, `UNUSABLE` if its arrays are laid out
/// in a way this module does not know.
static NDARRAY: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());
const UNUSABLE: *mut ffi::PyTypeObject = ptr::without_provenance_mut(1);

/// The orders in which arrays are taken as they lie in memory.
static ORDERS: AtomicI32 = AtomicI32::new(C_CONTIGUOUS | F_CONTIGUOUS);

/// With `mpi4py.rc.strided` arrays in Fortran's order go as strided ones, in C order like all others.
pub(super) fn only_c_order(only: bool) {
    ORDERS.store(if only { C_CONTIGUOUS } else { C_CONTIGUOUS | F_CONTIGUOUS }, Ordering::Relaxed);
}

/// Whether the object is an array that can be read directly.
#[inline]
pub(crate) fn is_array(object: &Bound<'_, PyAny>) -> bool {
    let known = NDARRAY.load(Ordering::Relaxed);
    let class = object.get_type_ptr();
    if class == known {
        return true;
    }
    known.is_null() && look_for_numpy(object.py()) && class == NDARRAY.load(Ordering::Relaxed)
}

/// The memory of an array; `None`: take another way.
pub(crate) fn acquire(object: &Bound<'_, PyAny>, access: Access) -> Option<PyResult<Memory>> {
    if is_array(object) { read(object, access).transpose() } else { None }
}

/// What a message of a whole array is: address, number of elements, datatype.
pub(crate) struct Direct {
    pub(crate) addr: *mut c_void,
    pub(crate) count: Count,
    pub(crate) datatype: Datatype,
}

/// The shortest way, for arrays with nothing unusual; `None`: take another way, which also knows the
/// errors.
#[inline]
pub(crate) fn direct(object: &Bound<'_, PyAny>, access: Access) -> Option<Direct> {
    if !is_array(object) {
        return None;
    }
    // SAFETY: as in `read`.
    let (array, descr) = unsafe {
        let array = &*object.as_ptr().cast::<Array>();
        (array, &*array.descr)
    };
    let &(datatype, size) = TYPES.get(usize::try_from(descr.type_num).ok()?)?;
    let usual = size != 0
        && array.flags & ORDERS.load(Ordering::Relaxed) != 0
        && (access == Access::Read || array.flags & WRITEABLE != 0)
        && (descr.byteorder == NATIVE || descr.byteorder == IRRELEVANT);
    if !usual {
        return None;
    }
    let mut count = 1;
    for dim in 0..usize::try_from(array.nd).unwrap_or(0) {
        // SAFETY: `dims` has `nd` entries.
        count *= unsafe { *array.dims.add(dim) };
    }
    Some(Direct { addr: array.data, count: count as Count, datatype })
}

/// The text of the error for arrays with gaps.
pub(super) const NOT_CONTIGUOUS: &str = "the array is not contiguous: MPI.strided(a) stands for it as it lies (with \
     mpi4py.rc.strided = True it does so by itself); or make a copy (numpy.ascontiguousarray(a))";

/// An array of a class derived from `numpy.ndarray`, as one of that class.
pub(super) fn base_view<'py>(object: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    if is_array(object) {
        return None;
    }
    let class = NDARRAY.load(Ordering::Relaxed);
    if class.is_null() || class == UNUSABLE {
        return None;
    }
    // SAFETY: the class `numpy.ndarray`, which is never freed; both objects are alive.
    let derived = unsafe { ffi::PyObject_TypeCheck(object.as_ptr(), class) } != 0;
    if !derived {
        return None;
    }
    // SAFETY: as above.
    let class = unsafe { Bound::from_borrowed_ptr(object.py(), class.cast()) };
    object.call_method1(pyo3::intern!(object.py(), "view"), (class,)).ok().filter(|plain| is_array(plain))
}

/// Reads an object of the class `numpy.ndarray`.
fn read(object: &Bound<'_, PyAny>, access: Access) -> PyResult<Option<Memory>> {
    // SAFETY: the object's class is exactly numpy.ndarray, whose layout `layout_is_known` has checked;
    // the interpreter is held, so nothing changes the fields meanwhile.
    let array = unsafe { &*object.as_ptr().cast::<Array>() };
    let Some((element, size)) = element(object, array) else { return Ok(None) };
    if array.flags & (C_CONTIGUOUS | F_CONTIGUOUS) == 0 {
        return Err(PyBufferError::new_err(NOT_CONTIGUOUS));
    }
    let dims = sizes(array, array.dims);
    Ok(Some(Memory {
        addr: array.data,
        nbytes: dims.iter().product::<isize>() * size,
        readonly: readonly(array, access)?,
        element,
        kind: if array.flags & OWNDATA == 0 { part(array) } else { Kind::Whole },
        keep: Keep::Object(object.clone().unbind()),
    }))
}

/// What is known of the memory that the array is a part of.
fn part(array: &Array) -> Kind {
    let mut base = array.base;
    loop {
        // SAFETY: an array's base is null or an object that it keeps alive.
        if base.is_null() || unsafe { ffi::Py_TYPE(base) } != NDARRAY.load(Ordering::Relaxed) {
            return Kind::Part;
        }
        // SAFETY: exactly an array, as in `read`.
        let (owner, descr) = unsafe {
            let owner = &*base.cast::<Array>();
            (owner, &*owner.descr)
        };
        if owner.flags & OWNDATA == 0 {
            base = owner.base;
            continue;
        }
        let size = usize::try_from(descr.type_num).ok().and_then(|number| TYPES.get(number)).map_or(0, |known| known.1);
        if size == 0 || owner.flags & (C_CONTIGUOUS | F_CONTIGUOUS) == 0 {
            return Kind::Part;
        }
        let all = sizes(owner, owner.dims).iter().product::<isize>() * size;
        let before = array.data.addr().wrapping_sub(owner.data.addr()).cast_signed();
        return Kind::Within(before, all - before);
    }
}

/// The memory of an array with its strides; `None`: take another way.
pub(super) fn spread(object: &Bound<'_, PyAny>, access: Access) -> Option<PyResult<Spread>> {
    if !is_array(object) {
        return None;
    }
    // SAFETY: as in `read`.
    let array = unsafe { &*object.as_ptr().cast::<Array>() };
    let (element, itemsize) = element(object, array)?;
    let readonly = match readonly(array, access) {
        Ok(readonly) => readonly,
        Err(error) => return Some(Err(error)),
    };
    let counts = |numbers: *const isize| sizes(array, numbers).iter().map(|&number| number as Count).collect();
    Some(Ok(Spread {
        addr: array.data,
        shape: counts(array.dims),
        strides: counts(array.strides),
        itemsize,
        readonly,
        element,
        device: None,
        keep: Keep::Object(object.clone().unbind()),
    }))
}

/// What the array's elements are, and the size of one.
fn element(object: &Bound<'_, PyAny>, array: &Array) -> Option<(Element, isize)> {
    // SAFETY: an array always has a descriptor.
    let descr = unsafe { &*array.descr };
    let native = descr.byteorder == NATIVE || descr.byteorder == IRRELEVANT;
    match usize::try_from(descr.type_num).ok().and_then(|number| TYPES.get(number)) {
        Some(&(datatype, size)) if size != 0 && native => Some((Element::Type(datatype), size)),
        known => match dtype_of(object) {
            // Other packages' types that are so many bytes; of what else there may be nothing is known.
            Some((dtype, size)) if known.is_some() || descr.kind == b'V'.cast_signed() => {
                Some((Element::Dtype(dtype.unbind()), size))
            }
            _ => None,
        },
    }
}

/// One of the array's lists: a number for each dimension.
fn sizes(array: &Array, numbers: *const isize) -> &[isize] {
    let nd = usize::try_from(array.nd).unwrap_or(0);
    // SAFETY: `dims` and `strides` have `nd` entries, as long as the array lives.
    if nd == 0 { &[] } else { unsafe { std::slice::from_raw_parts(numbers, nd) } }
}

fn readonly(array: &Array, access: Access) -> PyResult<bool> {
    let readonly = array.flags & WRITEABLE == 0;
    if readonly && access == Access::Write {
        return Err(PyBufferError::new_err("the array is read-only, and MPI is to write into it"));
    }
    Ok(readonly)
}

const NATIVE: c_char = b'=' as c_char;
const IRRELEVANT: c_char = b'|' as c_char;

/// The dtype of an object of NumPy, also of a class derived from `ndarray`, or of a scalar; and its size.
pub(super) fn dtype_of<'py>(object: &Bound<'py, PyAny>) -> Option<(Bound<'py, PyAny>, isize)> {
    let py = object.py();
    let dtype = object.getattr_opt(pyo3::intern!(py, "dtype")).ok()??;
    if !is_array(object) {
        let modules = py.import("sys").ok()?.getattr("modules").ok()?.cast_into::<PyDict>().ok()?;
        let class = modules.get_item("numpy").ok()??.getattr("dtype").ok()?;
        if !dtype.is_instance(&class).ok()? {
            return None;
        }
    }
    let size = dtype.getattr(pyo3::intern!(py, "itemsize")).ok()?.extract().ok()?;
    Some((dtype, size))
}

/// Finds the class once NumPy has been imported. Returns whether it can be used.
#[cold]
fn look_for_numpy(py: Python<'_>) -> bool {
    // SAFETY: the interpreter is held; the reference is borrowed and `sys.modules` lives on.
    let modules = unsafe { Bound::from_borrowed_ptr(py, ffi::PyImport_GetModuleDict()) };
    let Ok(modules) = modules.cast_into::<PyDict>() else {
        return false;
    };
    let Ok(Some(numpy)) = modules.get_item(pyo3::intern!(py, "numpy")) else {
        return false;
    };
    // Still being imported: no class yet, try again later.
    let Ok(Some(class)) = numpy.getattr_opt(pyo3::intern!(py, "ndarray")) else {
        return false;
    };
    let Ok(class) = class.cast_into::<PyType>() else {
        return false;
    };
    if !numpy.hasattr("zeros").unwrap_or(false) {
        return false;
    }
    let known = layout_is_known(&numpy).unwrap_or(false);
    // The class is never freed: NumPy cannot be unloaded.
    NDARRAY.store(if known { class.into_ptr().cast() } else { UNUSABLE }, Ordering::Relaxed);
    known
}

/// Compares what is read from two arrays with what NumPy says of them.
fn layout_is_known(numpy: &Bound<'_, PyAny>) -> PyResult<bool> {
    let plain = numpy.call_method1("zeros", ((2, 3), "i4"))?;
    let part = numpy.call_method1("zeros", ((4, 5, 6), "f8"))?.get_item(1)?.getattr("T")?;
    part.call_method1("setflags", (false,))?;
    for object in [&plain, &part] {
        // SAFETY: fields of an object that is at least this large in all versions of NumPy; the
        // pointers among them are compared before they are followed.
        let array = unsafe { &*object.as_ptr().cast::<Array>() };
        let interface = object.getattr("__array_interface__")?;
        let (address, _): (usize, bool) = interface.get_item("data")?.extract()?;
        let shape: Vec<isize> = object.getattr("shape")?.extract()?;
        let strides: Vec<isize> = object.getattr("strides")?.extract()?;
        let dtype = object.getattr("dtype")?;
        if array.data.addr() != address
            || usize::try_from(array.nd).ok() != Some(shape.len())
            || array.descr.addr() != dtype.as_ptr().addr()
        {
            return Ok(false);
        }
        // SAFETY: the number of dimensions is right, so these point to as many entries.
        let (dims, steps) = unsafe {
            (
                std::slice::from_raw_parts(array.dims, shape.len()),
                std::slice::from_raw_parts(array.strides, shape.len()),
            )
        };
        // SAFETY: the address of the dtype is right.
        let descr = unsafe { &*array.descr };
        let flags = object.getattr("flags")?;
        let flag = |name: &str| flags.getattr(name)?.is_truthy();
        let number: c_int = dtype.getattr("num")?.extract()?;
        let order: String = dtype.getattr("byteorder")?.extract()?;
        if dims != shape
            || steps != strides
            || (array.flags & C_CONTIGUOUS != 0) != flag("c_contiguous")?
            || (array.flags & F_CONTIGUOUS != 0) != flag("f_contiguous")?
            || (array.flags & OWNDATA != 0) != flag("owndata")?
            || (array.flags & WRITEABLE != 0) != flag("writeable")?
            || descr.type_num != number
            || order.as_bytes() != descr.byteorder.to_ne_bytes()
        {
            return Ok(false);
        }
    }
    let sizes = numpy.getattr("dtype")?;
    for (code, (_, size)) in "?bBhHiIlLqQfdgFDG".chars().zip(&TYPES) {
        let dtype = sizes.call1((code.to_string(),))?;
        if dtype.getattr("itemsize")?.extract::<isize>()? != *size {
            return Err(PyRuntimeError::new_err(format!("unknown size of NumPy's '{code}'")));
        }
    }
    Ok(true)
}
