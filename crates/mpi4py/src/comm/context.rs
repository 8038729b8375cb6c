//! What the package keeps with a communicator, privately: locks by name, and a duplicate for messages
//! of its own (`mpi4py.util.pkl5` and others take these). Both live as an attribute of the
//! communicator and end with it.

use super::channel::Channel;
use super::{Comm, Intercomm, Intracomm};
use crate::call::{Callback, mpi, mpi_wait};
use crate::handle::Handle;
use mpi_abi as abi;
use mpi_abi::consts::{MPI_COMM_NULL, MPI_GROUP_NULL, MPI_KEYVAL_INVALID, MPI_SUCCESS, MPI_TAG_UB};
use mpi_abi::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_comm_lock, module)?)?;
    module.add_function(wrap_pyfunction!(_comm_lock_table, module)?)?;
    module.add_function(wrap_pyfunction!(_commctx_intra, module)?)?;
    module.add_function(wrap_pyfunction!(_commctx_inter, module)?)
}

/// The attribute's key; made at the first use.
static KEYVAL: AtomicI32 = AtomicI32::new(MPI_KEYVAL_INVALID);
/// Whether anybody has ever asked for a table of locks.
static LOCKS: AtomicBool = AtomicBool::new(false);

/// What is kept with one communicator.
struct Context {
    state: Mutex<State>,
}

struct State {
    /// A duplicate, and the next tag to use on it.
    dup: abi::Comm,
    tag: c_int,
    /// On an intercommunicator: a communicator of the own side, and whether that side counts as the lower.
    local: abi::Comm,
    low: bool,
    locks: Option<Py<PyDict>>,
    /// For nonblocking collectives of objects.
    channel: Option<Arc<Channel>>,
}

impl Context {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The communicator is freed, or MPI ends.
unsafe extern "C" fn delete(_comm: abi::Comm, _keyval: c_int, value: *mut c_void, _extra: *mut c_void) -> c_int {
    let Some(_callback) = Callback::enter() else {
        // The interpreter is gone, and with it the use of freeing anything.
        return MPI_SUCCESS;
    };
    // SAFETY: from the Box in `of`; MPI calls this once.
    let context = unsafe { Box::from_raw(value.cast::<Context>()) };
    let state = context.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    for mut comm in [state.dup, state.local] {
        if comm != MPI_COMM_NULL {
            // SAFETY: a communicator that only this context knows.
            unsafe { ffi::MPI_Comm_free(&raw mut comm) };
        }
    }
    MPI_SUCCESS
}

fn keyval(py: Python<'_>) -> PyResult<c_int> {
    let known = KEYVAL.load(Ordering::Relaxed);
    if known != MPI_KEYVAL_INVALID {
        return Ok(known);
    }
    let mut keyval = MPI_KEYVAL_INVALID;
    mpi!(py, MPI_Comm_create_keyval(None, Some(delete), &raw mut keyval, ptr::null_mut()))?;
    KEYVAL.store(keyval, Ordering::Relaxed);
    Ok(keyval)
}

/// The context of a communicator; made at the first use.
fn of(py: Python<'_>, comm: abi::Comm) -> PyResult<&'static Context> {
    let keyval = keyval(py)?;
    let (mut value, mut flag) = (ptr::null_mut::<c_void>(), 0);
    mpi!(py, MPI_Comm_get_attr(comm, keyval, (&raw mut value).cast(), &raw mut flag))?;
    if flag == 0 {
        let state = State { dup: MPI_COMM_NULL, tag: 0, local: MPI_COMM_NULL, low: false, locks: None, channel: None };
        value = Box::into_raw(Box::new(Context { state: Mutex::new(state) })).cast();
        let done = mpi!(py, MPI_Comm_set_attr(comm, keyval, value));
        if done.is_err() {
            // SAFETY: the Box of two lines before, which MPI did not take.
            drop(unsafe { Box::from_raw(value.cast::<Context>()) });
        }
        done?;
    }
    // SAFETY: attributes of this key are boxes of this type; they live until the communicator is
    // freed, which the callers, who hold it, do not do meanwhile.
    Ok(unsafe { &*value.cast::<Context>() })
}

/// Enters the lock of a name into the table, for those who look at it. Nothing is done until somebody
/// has asked for a table of locks.
pub(super) fn table_entry(py: Python<'_>, comm: abi::Comm, name: &str) -> PyResult<()> {
    if LOCKS.load(Ordering::Relaxed) {
        lock(py, comm, name.into_pyobject(py)?.as_any())?;
    }
    Ok(())
}

fn table<'py>(py: Python<'py>, comm: abi::Comm) -> PyResult<Bound<'py, PyDict>> {
    LOCKS.store(true, Ordering::Relaxed);
    let context = of(py, comm)?;
    let mut state = context.state();
    let table = state.locks.get_or_insert_with(|| PyDict::new(py).unbind());
    Ok(table.bind(py).clone())
}

fn lock<'py>(py: Python<'py>, comm: abi::Comm, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let table = table(py, comm)?;
    if let Some(lock) = table.get_item(key)? {
        return Ok(lock);
    }
    let lock = py.import("threading")?.call_method0("Lock")?;
    table.set_item(key, &lock)?;
    Ok(lock)
}

/// _comm_lock(comm: Comm, key: Hashable | None = None) -> Lock
///
/// Lock of a name that belongs to a communicator.
#[pyfunction]
#[pyo3(signature = (comm, key = None))]
fn _comm_lock<'py>(comm: &Bound<'py, Comm>, key: Option<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
    let py = comm.py();
    let key = key.unwrap_or_else(|| py.None().into_bound(py));
    lock(py, comm.get().raw(), &key)
}

/// _comm_lock_table(comm: Comm) -> dict[Hashable, Lock]
///
/// All locks that belong to a communicator.
#[pyfunction]
fn _comm_lock_table<'py>(comm: &Bound<'py, Comm>) -> PyResult<Bound<'py, PyDict>> {
    table(comm.py(), comm.get().raw())
}

/// The channel of a communicator, if it has one already.
pub(super) fn channel(py: Python<'_>, comm: abi::Comm) -> PyResult<Option<Arc<Channel>>> {
    Ok(of(py, comm)?.state().channel.clone())
}

pub(super) fn set_channel(py: Python<'_>, comm: abi::Comm, channel: &Arc<Channel>) -> PyResult<()> {
    of(py, comm)?.state().channel = Some(Arc::clone(channel));
    Ok(())
}

/// The highest tag of all.
pub(super) fn last_tag(py: Python<'_>, comm: abi::Comm) -> PyResult<c_int> {
    let (mut value, mut flag) = (ptr::null_mut::<c_void>(), 0);
    mpi!(py, MPI_Comm_get_attr(comm, MPI_TAG_UB, (&raw mut value).cast(), &raw mut flag))?;
    // SAFETY: the value of this key is the address of an int.
    Ok(if flag == 0 || value.is_null() { 32767 } else { unsafe { value.cast::<c_int>().read() } })
}

/// The next tag; they begin anew after the last.
fn next_tag(py: Python<'_>, comm: abi::Comm, state: &mut State) -> PyResult<c_int> {
    let last = last_tag(py, comm)?;
    let tag = state.tag;
    state.tag = if tag >= last { 0 } else { tag + 1 };
    Ok(tag)
}

/// A duplicate of the communicator, made once. All processes call.
fn duplicate(py: Python<'_>, comm: abi::Comm, context: &Context) -> PyResult<abi::Comm> {
    let known = context.state().dup;
    if known != MPI_COMM_NULL {
        return Ok(known);
    }
    let mut dup = MPI_COMM_NULL;
    mpi_wait!(py, MPI_Comm_dup(comm, &raw mut dup))?;
    context.state().dup = dup;
    Ok(dup)
}

/// _commctx_intra(comm: Intracomm) -> tuple[Intracomm, int]
///
/// Duplicate of an intracommunicator for private messages, and a tag.
#[pyfunction]
fn _commctx_intra(py: Python<'_>, comm: &Bound<'_, Intracomm>) -> PyResult<(Py<Intracomm>, c_int)> {
    let comm = super::raw_of(comm);
    let context = of(py, comm)?;
    let dup = duplicate(py, comm, context)?;
    let tag = next_tag(py, comm, &mut context.state())?;
    Ok((Intracomm::wrap(py, dup)?, tag))
}

/// A communicator of the own side of an intercommunicator, and whether that side comes first.
fn side(py: Python<'_>, comm: abi::Comm) -> PyResult<(abi::Comm, bool)> {
    let (mut both, mut group, mut merged) = (MPI_COMM_NULL, MPI_GROUP_NULL, MPI_GROUP_NULL);
    mpi_wait!(py, MPI_Intercomm_merge(comm, 0, &raw mut both))?;
    mpi!(py, MPI_Comm_group(comm, &raw mut group))?;
    mpi!(py, MPI_Comm_group(both, &raw mut merged))?;
    let (first, mut place) = (0, 0);
    mpi!(py, MPI_Group_translate_ranks(group, 1, &raw const first, merged, &raw mut place))?;
    mpi!(py, MPI_Group_free(&raw mut group))?;
    mpi!(py, MPI_Group_free(&raw mut merged))?;
    let (low, mut local) = (place == 0, MPI_COMM_NULL);
    mpi_wait!(py, MPI_Comm_split(both, c_int::from(low), 0, &raw mut local))?;
    mpi_wait!(py, MPI_Comm_free(&raw mut both))?;
    Ok((local, low))
}

/// _commctx_inter(comm: Intercomm) -> tuple[Intercomm, int, Intracomm, bool]
///
/// Private duplicate of an intercommunicator, a tag, a communicator of the own side, whether it comes first.
#[pyfunction]
fn _commctx_inter(
    py: Python<'_>,
    comm: &Bound<'_, Intercomm>,
) -> PyResult<(Py<Intercomm>, c_int, Py<Intracomm>, bool)> {
    let comm = super::raw_of(comm);
    let context = of(py, comm)?;
    let dup = duplicate(py, comm, context)?;
    if context.state().local == MPI_COMM_NULL {
        let (local, low) = side(py, comm)?;
        let mut state = context.state();
        (state.local, state.low) = (local, low);
    }
    let (tag, local, low) = {
        let mut state = context.state();
        (next_tag(py, comm, &mut state)?, state.local, state.low)
    };
    Ok((Intercomm::wrap(py, dup)?, tag, Intracomm::wrap(py, local)?, low))
}
