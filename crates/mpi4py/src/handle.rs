//! What all classes that stand for an MPI handle have in common: where the handle is kept, how an
//! object is made from one, and the methods `==`, `bool`, `toint`, `fromhandle`, pickling ...
//!
//! Each class is declared once with [`handle_class!`]; its chapter file adds the methods.

use mpi_abi as abi;
use pyo3::PyClass;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyModule, PyTuple, PyType};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A handle of the ABI as a bit pattern.
pub(crate) trait RawHandle: Copy + Eq + Send + Sync + 'static {
    fn from_bits(bits: usize) -> Self;
    fn bits(self) -> usize;
    /// Whether the ABI itself gives the value a meaning.
    fn is_predefined(self) -> bool {
        self.bits() < abi::FIRST_DYNAMIC_HANDLE
    }
}

macro_rules! raw_handles {
    ($($name:ident),*) => {$(
        impl RawHandle for abi::$name {
            fn from_bits(bits: usize) -> Self { Self::from_raw(bits) }
            fn bits(self) -> usize { self.raw() }
        }
    )*};
}
raw_handles!(Comm, Datatype, Errhandler, File, Group, Info, Message, Op, Request, Session, Win);

/// The handle inside a Python object. It changes when the MPI object is freed or a request is over.
///
/// It stands first in the object, as in mpi4py's: extensions in Cython read and write it there
/// (`comm.ob_mpi`; python/mpi4py/MPI.h has the structures, tests/extensions compares).
#[repr(C)]
pub(crate) struct Slot<R> {
    bits: AtomicUsize,
    constant: AtomicBool,
    kind: PhantomData<R>,
}

impl<R: RawHandle> Slot<R> {
    pub(crate) fn new(raw: R) -> Self {
        Self { bits: AtomicUsize::new(raw.bits()), constant: AtomicBool::new(false), kind: PhantomData }
    }

    #[inline]
    pub(crate) fn get(&self) -> R {
        R::from_bits(self.bits.load(Ordering::Relaxed))
    }

    /// Puts another handle in; the objects that are constants of the module keep theirs.
    #[inline]
    pub(crate) fn set(&self, raw: R) {
        if !self.is_constant() {
            self.bits.store(raw.bits(), Ordering::Relaxed);
        }
    }

    pub(crate) fn is_constant(&self) -> bool {
        self.constant.load(Ordering::Relaxed)
    }

    pub(crate) fn make_constant(&self) {
        self.constant.store(true, Ordering::Relaxed);
    }

    /// Address of the handle, for C code that was handed the object.
    pub(crate) fn address(&self) -> usize {
        (&raw const self.bits).addr()
    }

    /// Where C may put a handle later, while the object lives.
    pub(crate) fn pointer(&self) -> *mut R {
        self.bits.as_ptr().cast()
    }
}

/// A Python class whose objects hold an MPI handle.
pub(crate) trait Handle: PyClass<Frozen = True> + Sync {
    /// The handle type of the ABI.
    type Raw: RawHandle;
    /// The null handle.
    const NULL: Self::Raw;

    fn slot(&self) -> &Slot<Self::Raw>;

    /// A new object of exactly this class.
    fn wrap(py: Python<'_>, raw: Self::Raw) -> PyResult<Py<Self>>;

    /// An object for a handle that came from outside; `class` is the one the method was called on.
    fn adopt<'py>(class: &Bound<'py, PyType>, raw: Self::Raw) -> PyResult<Bound<'py, Self>> {
        new_like(class, raw)
    }

    #[inline]
    fn raw(&self) -> Self::Raw {
        self.slot().get()
    }
}

/// A new object of the class `class`, which is `T` or derived from it.
pub(crate) fn new_like<'py, T: Handle>(class: &Bound<'py, PyType>, raw: T::Raw) -> PyResult<Bound<'py, T>> {
    let py = class.py();
    if class.is(py.get_type::<T>()) {
        return Ok(T::wrap(py, raw)?.into_bound(py));
    }
    let object = class.call_method1("__new__", (class,))?.cast_into::<T>()?;
    object.get().slot().set(raw);
    Ok(object)
}

/// Argument of a method: a handle object, taken apart at once.
pub(crate) struct H<T: Handle>(pub(crate) T::Raw);

impl<T: Handle> Clone for H<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Handle> Copy for H<T> {}

impl<'a, 'py, T: Handle> FromPyObject<'a, 'py> for H<T> {
    type Error = PyErr;

    #[inline]
    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self(object.cast::<T>()?.get().raw()))
    }
}

/// The module object, for names of constants.
static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();

pub(crate) fn remember_module(module: &Bound<'_, PyModule>) {
    let _ = MODULE.set(module.py(), module.clone().unbind());
}

/// The module `mpi4py.MPI`.
pub(crate) fn module(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    MODULE.get(py).map(|module| module.bind(py)).ok_or_else(|| PyValueError::new_err("mpi4py.MPI is not ready"))
}

/// `__reduce__`: constants by their name, copies of predefined handles by the constant. Other
/// handles mean nothing in another process.
pub(crate) fn reduce<'py, T: Handle>(object: &Bound<'py, T>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let raw = object.get().raw();
    for (name, value) in module(py)?.dict() {
        if object.get().slot().is_constant() {
            if value.is(object) {
                return Ok(name);
            }
        } else if value.cast::<T>().is_ok_and(|constant| constant.get().raw() == raw) {
            let make = py.import("copyreg")?.getattr("__newobj__")?;
            return Ok((make, (object.as_any().get_type(), value)).into_pyobject(py)?.into_any());
        }
    }
    let class = object.as_any().get_type();
    Err(PyValueError::new_err(format!("cannot serialize '{}' instance", class.fully_qualified_name()?)))
}

/// For `__reduce__` of classes that can be made anew: `(make, arguments)`.
pub(crate) fn recipe<'py>(make: Bound<'py, PyAny>, arguments: Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
    let py = make.py();
    Ok((make, arguments).into_pyobject(py)?.into_any())
}

/// The class, the conversion from Rust and the methods that every handle class has.
///
/// `handle_class! { "Doc.", Group, MPI_GROUP_NULL, argument = group, MPI_Group_toint, MPI_Group_fromint }`
/// One more name at the end is the class's own function for [`Handle::adopt`]; `; room = T` makes the object larger,
/// where mpi4py's is: extensions that were compiled for that want at least its size.
/// `handle_class! { @reduce Group }` adds the usual pickling; a class with more to say writes its own.
macro_rules! handle_class {
    ($doc:literal, $name:ident, $null:ident, argument = $argument:ident, $toint:ident, $fromint:ident $(, $adopt:ident)? $(; room = $room:ty)?) => {
        $crate::handle::handle_class! { @class $doc, $name, $null $(, $adopt)? $(; room = $room)? }

        #[pymethods]
        impl $name {
            #[new]
            #[pyo3(signature = ($argument = None))]
            fn new($argument: Option<$crate::handle::H<$name>>) -> Self {
                Self::with($argument.map_or($null, |other| other.0))
            }
        }

        $crate::handle::handle_class! { @methods $name, $toint, $fromint }
    };
    (@class $doc:literal, $name:ident, $null:ident $(, $adopt:ident)? $(; room = $room:ty)?) => {
        #[doc = $doc]
        #[pyclass(module = "mpi4py.MPI", frozen, subclass, weakref)]
        #[repr(C)]
        pub(crate) struct $name {
            slot: $crate::handle::Slot<::mpi_abi::$name>,
            $(_room: $room,)?
        }

        impl $name {
            fn with(raw: ::mpi_abi::$name) -> Self {
                Self { slot: $crate::handle::Slot::new(raw), $(_room: <$room>::default())? }
            }
        }

        impl $crate::handle::Handle for $name {
            type Raw = ::mpi_abi::$name;
            const NULL: ::mpi_abi::$name = $null;

            fn slot(&self) -> &$crate::handle::Slot<::mpi_abi::$name> {
                &self.slot
            }

            fn wrap(py: Python<'_>, raw: ::mpi_abi::$name) -> PyResult<Py<Self>> {
                Py::new(py, Self::with(raw))
            }

            $(
                fn adopt<'py>(
                    class: &Bound<'py, ::pyo3::types::PyType>,
                    raw: ::mpi_abi::$name,
                ) -> PyResult<Bound<'py, Self>> {
                    $name::$adopt(class, raw)
                }
            )?
        }
    };
    (@methods $name:ident, $toint:ident, $fromint:ident) => {
        #[pymethods]
        impl $name {
            fn __eq__(&self, other: $crate::handle::H<$name>) -> bool {
                $crate::handle::Handle::raw(self) == other.0
            }

            fn __ne__(&self, other: $crate::handle::H<$name>) -> bool {
                $crate::handle::Handle::raw(self) != other.0
            }

            fn __bool__(&self) -> bool {
                $crate::handle::Handle::raw(self) != <$name as $crate::handle::Handle>::NULL
            }

            #[doc = "handle: int\n\nMPI handle."]
            #[getter]
            fn handle(&self) -> usize {
                $crate::handle::Handle::raw(self).raw()
            }

            #[doc = concat!("fromhandle(cls, handle: int) -> ", stringify!($name), "\n\n", "Make an object from an MPI handle.")]
            #[classmethod]
            fn fromhandle<'py>(cls: &Bound<'py, ::pyo3::types::PyType>, handle: usize) -> PyResult<Bound<'py, $name>> {
                <$name as $crate::handle::Handle>::adopt(cls, ::mpi_abi::$name::from_raw(handle))
            }

            #[doc = "toint(self) -> int\n\nTranslate the handle into an integer."]
            fn toint(&self) -> ::std::ffi::c_int {
                // SAFETY: takes any value; before MPI_Init too.
                unsafe { ::mpi_abi::ffi::$toint($crate::handle::Handle::raw(self)) }
            }

            #[doc = concat!("fromint(cls, arg: int, /) -> ", stringify!($name), "\n\n")]
            #[doc = "Make an object from the integer form of a handle."]
            #[classmethod]
            #[pyo3(signature = (arg, /))]
            fn fromint<'py>(
                cls: &Bound<'py, ::pyo3::types::PyType>,
                arg: ::std::ffi::c_int,
            ) -> PyResult<Bound<'py, $name>> {
                // SAFETY: takes any value; before MPI_Init too.
                <$name as $crate::handle::Handle>::adopt(cls, unsafe { ::mpi_abi::ffi::$fromint(arg) })
            }

            #[doc = "py2f(self) -> int\n\nTranslate the handle into Fortran's integer."]
            fn py2f(&self) -> ::std::ffi::c_int {
                self.toint()
            }

            #[doc = concat!("f2py(cls, arg: int) -> ", stringify!($name), "\n\n")]
            #[doc = "Make an object from Fortran's integer."]
            #[classmethod]
            fn f2py<'py>(
                cls: &Bound<'py, ::pyo3::types::PyType>,
                arg: ::std::ffi::c_int,
            ) -> PyResult<Bound<'py, $name>> {
                Self::fromint(cls, arg)
            }
        }
    };
    (@reduce $name:ident) => {
        #[pymethods]
        impl $name {
            fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
                $crate::handle::reduce(slf)
            }
        }
    };
}

pub(crate) use handle_class;
