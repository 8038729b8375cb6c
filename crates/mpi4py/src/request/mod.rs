//! `MPI.Request` and its kinds: operations under way. Chapters 3.7, 3.9 and 13.2 of the standard.
//!
//! A request owns what the operation works on ([`Owner`]) until the operation is over: memory of
//! buffers, or what the object half (`send`, `irecv` ... in lower case) needs to finish. When the
//! Python object dies before that, the memory moves to `orphans` and lives on.
//!
//! | file | owns |
//! |---|---|
//! | `mod` | the classes, one request at a time |
//! | `objects` | `wait`, `test` ... in lower case: those that return objects |
//! | `sets` | `Waitall`, `Testany` ...: several requests |
//! | `orphans` | memory of operations that nobody waits for |
//! | `pool` | objects that are used again |

mod objects;
mod orphans;
pub(crate) mod pool;
pub(crate) mod sets;

use crate::args::Ints;
use crate::buffer::Keep;
use crate::call::mpi_wait;
use crate::comm::irecv::Entry;
use crate::handle::{H, Handle, Slot, handle_class};
use crate::status::{Out, Status};
use mpi_abi as abi;
use mpi_abi::consts::MPI_REQUEST_NULL;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::cell::{Ref, RefCell};
use std::ffi::c_int;
use std::sync::Arc;

/// What a request owns while the operation runs.
#[derive(Default)]
pub(crate) enum Owner {
    #[default]
    None,
    /// Memory of the buffers.
    Memory(Keep),
    /// What this is a copy of: that object owns.
    Shared(Py<Request>),
    /// An operation of the object half.
    Object(Box<dyn Pending>),
}

impl From<Keep> for Owner {
    fn from(keep: Keep) -> Self {
        if matches!(keep, Keep::Nothing) { Self::None } else { Self::Memory(keep) }
    }
}

/// A value that is touched only by threads that hold the interpreter: all methods of Python objects do. A lock
/// costs 10 ns, with 64 requests in `Waitall` a twentieth of all.
struct Attached<T>(RefCell<T>);

// SAFETY: this extension is built for interpreters with a global lock only (the limited API has no other),
// and whoever touches the value holds it; so accesses follow each other, whatever their threads.
unsafe impl<T: Send> Sync for Attached<T> {}

impl<T: Default> Attached<T> {
    fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    fn borrow(&self) -> Ref<'_, T> {
        self.0.borrow()
    }

    /// Gives back what [`Self::take`] gave.
    fn put(&self, value: T) {
        if let Ok(mut place) = self.0.try_borrow_mut() {
            *place = value;
        }
    }

    /// The value, or its default if somebody further up looks at it just now.
    #[inline]
    fn take(&self) -> T {
        self.0.try_borrow_mut().map(|mut value| std::mem::take(&mut *value)).unwrap_or_default()
    }
}

/// An operation on Python objects that ends when its request is complete.
pub(crate) trait Pending: Send {
    /// The request is complete: the object that `wait` returns.
    fn finish(self: Box<Self>, py: Python<'_>, status: &mut abi::Status) -> PyResult<Py<PyAny>>;

    /// The request is complete, and nobody wants the object.
    fn discard(self: Box<Self>) {}

    /// Whether it is an operation of the program's own: MPI uses no memory for it, and asking how it stands
    /// would call the program.
    fn is_the_programs(&self) -> bool {
        false
    }

    /// For an operation of the program's own: its object.
    fn give(&self, _object: Option<Py<PyAny>>) {}

    /// For a receive that may have no message yet.
    fn entry(&self) -> Option<&Arc<Entry>> {
        None
    }
}

/// Request handler.
#[pyclass(module = "mpi4py.MPI", frozen, subclass, weakref)]
#[repr(C)]
pub(crate) struct Request {
    slot: Slot<abi::Request>,
    owner: Attached<Owner>,
    /// Never owned anything but memory (and no copies of strided views): nothing to do for it but what MPI does.
    plain: bool,
    /// The object goes to the pool when it is not needed any more.
    from_pool: bool,
}

impl Handle for Request {
    type Raw = abi::Request;
    const NULL: abi::Request = MPI_REQUEST_NULL;

    fn slot(&self) -> &Slot<abi::Request> {
        &self.slot
    }

    fn wrap(py: Python<'_>, raw: abi::Request) -> PyResult<Py<Self>> {
        Py::new(py, Self::with(raw, Owner::None))
    }
}

handle_class! { @methods Request, MPI_Request_toint, MPI_Request_fromint }
handle_class! { @reduce Request }

impl Request {
    fn with(raw: abi::Request, owner: Owner) -> Self {
        let plain = match &owner {
            Owner::None => true,
            Owner::Memory(keep) => !keep.has_copies(),
            _ => false,
        };
        Self { slot: Slot::new(raw), owner: Attached::new(owner), plain, from_pool: false }
    }

    /// Of a request that owns memory, or nothing.
    #[inline(always)]
    fn plain(raw: abi::Request, owner: Owner, from_pool: bool) -> Self {
        Self { slot: Slot::new(raw), owner: Attached::new(owner), plain: true, from_pool }
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.plain
    }

    /// A copy of the handle; the original keeps what it owns.
    fn copy_of(original: Option<&Bound<'_, Self>>) -> Self {
        match original {
            None => Self::with(MPI_REQUEST_NULL, Owner::None),
            Some(original) if original.get().raw() == MPI_REQUEST_NULL => Self::with(MPI_REQUEST_NULL, Owner::None),
            Some(original) => Self::with(original.get().raw(), Owner::Shared(original.clone().unbind())),
        }
    }

    fn is_the_programs(&self) -> bool {
        match &*self.owner() {
            Owner::Object(operation) => operation.is_the_programs(),
            Owner::Shared(original) => original.get().is_the_programs(),
            _ => false,
        }
    }

    /// A new request for an operation that was started.
    pub(crate) fn make(py: Python<'_>, raw: abi::Request, owner: impl Into<Owner>) -> PyResult<Py<Self>> {
        match owner.into() {
            Owner::None => pool::make(py, raw, Keep::Nothing),
            Owner::Memory(keep) => pool::make(py, raw, keep),
            owner => Py::new(py, Self::with(raw, owner)),
        }
    }

    /// The same for an operation on the memory of one object.
    #[inline(always)]
    pub(crate) fn on(py: Python<'_>, raw: abi::Request, object: &Bound<'_, PyAny>) -> PyResult<Py<Self>> {
        pool::make(py, raw, Keep::Object(object.clone().unbind()))
    }

    pub(crate) fn owner(&self) -> Ref<'_, Owner> {
        self.owner.borrow()
    }

    /// What the request owns, taken out of it (and out of what it is a copy of).
    #[inline]
    pub(crate) fn take_owner(&self) -> Owner {
        let owner = self.owner.take();
        match owner {
            Owner::Shared(original) => original.get().take_owner(),
            owner => owner,
        }
    }

    /// Hands the object of an operation of the program's own over.
    pub(crate) fn give_result(&self, object: Option<Py<PyAny>>) {
        match &*self.owner() {
            Owner::Object(operation) => operation.give(object),
            Owner::Shared(original) => original.get().give_result(object),
            _ => {}
        }
    }

    /// Acts on what a persistent request keeps.
    fn with_memory(&self, act: fn(&mut Keep)) {
        match self.owner.take() {
            Owner::Memory(mut keep) => {
                act(&mut keep);
                self.owner.put(Owner::Memory(keep));
            }
            Owner::Shared(original) => {
                original.get().with_memory(act);
                self.owner.put(Owner::Shared(original));
            }
            owner => self.owner.put(owner),
        }
    }

    /// A persistent request is about to be started.
    fn begin(&self) {
        if !self.plain {
            self.with_memory(Keep::load_copies);
        }
    }

    /// After a call that may have completed a persistent request. That it is complete is enough: until the program has
    /// been told so it does not look at its memory.
    pub(super) fn look_whether_ended(&self) {
        if !self.plain && matches!(&*self.owner(), Owner::Memory(_) | Owner::Shared(_)) && orphans::is_over(self.raw())
        {
            self.with_memory(Keep::store_copies);
        }
    }

    /// After a call that may have completed the request.
    #[inline]
    pub(crate) fn update(&self, py: Python<'_>, raw: abi::Request) {
        self.slot.set(raw);
        if raw == MPI_REQUEST_NULL {
            match self.owner.take() {
                Owner::None => {}
                Owner::Memory(Keep::Object(object)) => object.drop_ref(py),
                Owner::Memory(Keep::Two(first, second)) => {
                    first.drop_ref(py);
                    second.drop_ref(py);
                }
                owner => end_of(owner),
            }
        } else if !self.plain {
            self.look_whether_ended();
        }
    }
}

/// The operation is over, and nobody wants its object.
#[cold]
fn end_of(owner: Owner) {
    match owner {
        Owner::Shared(original) => end_of(original.get().take_owner()),
        Owner::Object(operation) => operation.discard(),
        owner => drop(owner),
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if self.is_the_programs() {
            return;
        }
        let owner = self.owner.take();
        orphans::adopt(self.slot.get(), owner);
    }
}

#[pymethods]
impl Request {
    #[new]
    #[pyo3(signature = (request = None))]
    fn new(request: Option<&Bound<'_, Request>>) -> Self {
        Self::copy_of(request)
    }

    /// _keep(self, obj: Any) -> None
    ///
    /// Let an object, whose memory the operation works on, live until it is over.
    ///
    /// For operations with `BOTTOM` and absolute addresses, which own nothing by themselves.
    fn _keep(&self, obj: &Bound<'_, PyAny>) -> PyResult<()> {
        if !matches!(&*self.owner(), Owner::None) {
            return Err(PyValueError::new_err("the request keeps an object already"));
        }
        if self.raw() != MPI_REQUEST_NULL {
            self.owner.put(Owner::Memory(Keep::Object(obj.clone().unbind())));
        }
        Ok(())
    }

    /// Wait(self, status: Status | None = None) -> Literal[True]
    ///
    /// Wait until the operation is over.
    #[pyo3(signature = (status = None))]
    pub(crate) fn Wait(&self, py: Python<'_>, status: Option<&Bound<'_, Status>>) -> PyResult<bool> {
        objects::settle(py, self)?;
        if let Some(result) = objects::over_into(py, self, status) {
            return result.map(|_| true);
        }
        let mut raw = self.raw();
        let mut out = Out::new(status);
        let pointer = out.pointer();
        let done = mpi_wait!(py, MPI_Wait(&raw mut raw, pointer));
        out.store();
        self.update(py, raw);
        done?;
        Ok(true)
    }

    /// Test(self, status: Status | None = None) -> bool
    ///
    /// Ask whether the operation is over, and finish it if it is.
    #[pyo3(signature = (status = None))]
    pub(crate) fn Test(&self, py: Python<'_>, status: Option<&Bound<'_, Status>>) -> PyResult<bool> {
        if objects::is_waiting(py, self)? {
            return Ok(false);
        }
        if let Some(result) = objects::over_into(py, self, status) {
            return result.map(|_| true);
        }
        let (mut raw, mut flag) = (self.raw(), 0);
        let mut out = Out::new(status);
        let pointer = out.pointer();
        let done = mpi_wait!(py, MPI_Test(&raw mut raw, &raw mut flag, pointer));
        out.store();
        self.update(py, raw);
        done?;
        Ok(flag != 0)
    }

    /// Get_status(self, status: Status | None = None) -> bool
    ///
    /// Ask whether the operation is over, and leave the request as it is.
    #[pyo3(signature = (status = None))]
    fn Get_status(&self, py: Python<'_>, status: Option<&Bound<'_, Status>>) -> PyResult<bool> {
        if objects::is_waiting(py, self)? {
            return Ok(false);
        }
        let (raw, mut flag) = (self.raw(), 0);
        let mut out = Out::new(status);
        let pointer = out.pointer();
        let done = mpi_wait!(py, MPI_Request_get_status(raw, &raw mut flag, pointer));
        out.store();
        done?;
        Ok(flag != 0)
    }

    /// Cancel(self) -> None
    ///
    /// Ask for the operation to be cancelled.
    fn Cancel(&self, py: Python<'_>) -> PyResult<()> {
        if objects::cancel(py, self)? {
            return Ok(());
        }
        let mut raw = self.raw();
        mpi_wait!(py, MPI_Cancel(&raw mut raw))
    }

    /// Free(self) -> None
    ///
    /// Free the request; the operation goes on.
    fn Free(&self, py: Python<'_>) -> PyResult<()> {
        if objects::free(py, self)? {
            return Ok(());
        }
        let mut raw = self.raw();
        let over = self.is_the_programs() || orphans::is_over(raw);
        mpi_wait!(py, MPI_Request_free(&raw mut raw))?;
        self.slot.set(raw);
        let owner = self.take_owner();
        if !over {
            orphans::lost(owner);
        }
        Ok(())
    }

    /// free(self) -> None
    ///
    /// Call `Free` if the request is not null.
    fn free(&self, py: Python<'_>) -> PyResult<()> {
        crate::init::free_quietly(self, crate::handle::RawHandle::is_predefined, || self.Free(py))
    }
}

macro_rules! request_kind {
    ($name:ident, $doc:literal) => {
        #[doc = $doc]
        #[pyclass(module = "mpi4py.MPI", extends = Request, frozen, subclass)]
        pub(crate) struct $name;

        impl $name {
            /// A new request for an operation that was set up.
            pub(crate) fn make(py: Python<'_>, raw: abi::Request, owner: impl Into<Owner>) -> PyResult<Py<Self>> {
                Py::new(py, PyClassInitializer::from(Request::with(raw, owner.into())).add_subclass(Self))
            }

            /// The same for an operation on the memory of one object.
            #[allow(dead_code, reason = "not all kinds are made so")]
            pub(crate) fn on(py: Python<'_>, raw: abi::Request, object: &Bound<'_, PyAny>) -> PyResult<Py<Self>> {
                Self::make(py, raw, Keep::Object(object.clone().unbind()))
            }
        }

        #[pymethods]
        impl $name {
            #[new]
            #[pyo3(signature = (request = None))]
            fn new(request: Option<&Bound<'_, Request>>) -> PyResult<PyClassInitializer<Self>> {
                let other_kind = |other: &Bound<'_, Request>| {
                    other.get().raw() != MPI_REQUEST_NULL && !other.is_instance_of::<Self>()
                };
                if request.is_some_and(other_kind) {
                    return Err(PyTypeError::new_err(concat!("expecting a ", stringify!($name))));
                }
                Ok(PyClassInitializer::from(Request::copy_of(request)).add_subclass(Self))
            }
        }
    };
}

request_kind!(Prequest, "Persistent request handler.");
request_kind!(Grequest, "Generalized request handler.");

/// The handle of a persistent request.
fn raw(request: &Bound<'_, Prequest>) -> abi::Request {
    request.as_super().get().raw()
}

#[pymethods]
impl Prequest {
    /// Start(self) -> None
    ///
    /// Start the operation.
    fn Start(slf: &Bound<'_, Self>) -> PyResult<()> {
        let mut raw = raw(slf);
        slf.as_super().get().begin();
        mpi_wait!(slf.py(), MPI_Start(&raw mut raw))
    }

    /// Startall(cls, requests: list[Prequest]) -> None
    ///
    /// Start several operations.
    #[classmethod]
    fn Startall(cls: &Bound<'_, PyType>, requests: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut raws = crate::args::sequence(requests, |item| {
            let raw = item.extract::<H<Request>>()?.0;
            if let Ok(request) = item.cast::<Request>() {
                request.get().begin();
            }
            Ok(raw)
        })?;
        let (count, pointer) = (crate::args::length(raws.len())?, raws.as_mut_ptr());
        mpi_wait!(cls.py(), MPI_Startall(count, pointer))
    }

    /// Pready(self, partition: int) -> None
    ///
    /// Say that a partition is ready to be sent.
    fn Pready(slf: &Bound<'_, Self>, partition: c_int) -> PyResult<()> {
        let raw = raw(slf);
        mpi_wait!(slf.py(), MPI_Pready(partition, raw))
    }

    /// Pready_range(self, partition_low: int, partition_high: int) -> None
    ///
    /// Say that a range of partitions is ready to be sent.
    fn Pready_range(slf: &Bound<'_, Self>, partition_low: c_int, partition_high: c_int) -> PyResult<()> {
        let raw = raw(slf);
        mpi_wait!(slf.py(), MPI_Pready_range(partition_low, partition_high, raw))
    }

    /// Pready_list(self, partitions: Sequence[int]) -> None
    ///
    /// Say that several partitions are ready to be sent.
    fn Pready_list(slf: &Bound<'_, Self>, partitions: Ints) -> PyResult<()> {
        let (raw, count, pointer) = (raw(slf), partitions.count()?, partitions.0.as_ptr());
        mpi_wait!(slf.py(), MPI_Pready_list(count, pointer, raw))
    }

    /// Parrived(self, partition: int) -> bool
    ///
    /// Ask whether a partition has arrived.
    fn Parrived(slf: &Bound<'_, Self>, partition: c_int) -> PyResult<bool> {
        let (raw, mut flag) = (raw(slf), 0);
        mpi_wait!(slf.py(), MPI_Parrived(raw, partition, &raw mut flag))?;
        Ok(flag != 0)
    }
}
