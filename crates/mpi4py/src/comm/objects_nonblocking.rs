//! Nonblocking collectives of objects: `ibcast`, `igather`, `iallreduce` ... in lower case, beyond mpi4py. What they
//! return is a request whose `wait` gives what the blocking method (`objects_coll`) returns.
//!
//! Each object goes in one message straight from the rank that has it to the rank that needs it, on the communicator's
//! channel (`channel`): there is no rank in between that would have to call for others to go on. The result is made
//! when it is asked for, so that is when an operation of the program's own is called.

use super::channel::{self, Blocks, Channel, Plan, Shape};
use super::objects_coll::{fold, one_each};
use super::{Comm, irecv};
use crate::call::mpi_wait;
use crate::error;
use crate::handle::Handle;
use crate::pickle::{Block, Encoded, Origin, encode};
use crate::request::{Owner, Request};
use mpi_abi as abi;
use mpi_abi::consts::{MPI_ERR_ROOT, MPI_PROC_NULL, MPI_REQUEST_NULL, MPI_ROOT};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::ffi::c_int;
use std::sync::Arc;

type Object<'a, 'py> = &'a Bound<'py, PyAny>;
type Started = PyResult<Py<Request>>;

/// What a rank does in a collective with a root.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Root,
    Other,
    /// Of the root's group on an intercommunicator: takes no part.
    Nobody,
}

fn role(py: Python<'_>, shape: Shape, root: c_int) -> PyResult<Role> {
    match usize::try_from(root) {
        Ok(root) if root < shape.peers => Ok(if shape.own() == Some(root) { Role::Root } else { Role::Other }),
        _ if shape.inter && root == MPI_ROOT => Ok(Role::Root),
        _ if shape.inter && root == MPI_PROC_NULL => Ok(Role::Nobody),
        _ => Err(error::raise(py, MPI_ERR_ROOT)),
    }
}

/// An object for others and perhaps for this rank itself.
struct Outgoing {
    message: Encoded,
    sent: Arc<Block>,
}

impl Outgoing {
    fn new(object: Object<'_, '_>) -> PyResult<Self> {
        let message = encode(object)?;
        let sent = Arc::new(message.copy(object.py())?);
        Ok(Self { message, sent })
    }

    /// What this rank makes its own object of. Arrays may be views of a block: that one must not be on its way too.
    fn own(&self, py: Python<'_>) -> PyResult<Arc<Block>> {
        if self.message.bytes().is_some() { Ok(Arc::clone(&self.sent)) } else { Ok(Arc::new(self.message.copy(py)?)) }
    }
}

/// The objects of all blocks.
fn all(py: Python<'_>, blocks: &Blocks) -> PyResult<Vec<Py<PyAny>>> {
    let object = |block: &Option<Arc<Block>>| match block {
        Some(block) => block.decode(py, Origin::Collective),
        None => Err(PyValueError::new_err("the other ranks do not call the same collective method")),
    };
    blocks.iter().map(object).collect()
}

fn list(py: Python<'_>, blocks: &Blocks) -> PyResult<Py<PyAny>> {
    Ok(all(py, blocks)?.into_pyobject(py)?.into_any().unbind())
}

/// The object of the only block; without one, nothing.
fn single(py: Python<'_>, blocks: &Blocks) -> PyResult<Py<PyAny>> {
    blocks.iter().flatten().next().map_or_else(|| Ok(py.None()), |block| block.decode(py, Origin::Collective))
}

/// What combines the objects of all blocks.
fn combined(op: Option<Object<'_, '_>>) -> impl FnOnce(Python<'_>, &Blocks) -> PyResult<Py<PyAny>> + Send + 'static {
    let op = op.map(|op| op.clone().unbind());
    move |py, blocks| fold(py, op.as_ref().map(|op| op.bind(py)), &all(py, blocks)?)
}

/// Starts what was planned, after all that can be wrong with the call has been looked at.
fn start(
    py: Python<'_>,
    comm: abi::Comm,
    plan: Plan,
    result: impl FnOnce(Python<'_>, &Blocks) -> PyResult<Py<PyAny>> + Send + 'static,
) -> Started {
    irecv::serve(py)?;
    channel::start(py, Channel::of(py, comm)?, plan, Box::new(result))
}

fn bcast(comm: abi::Comm, object: Object<'_, '_>, root: c_int) -> Started {
    let py = object.py();
    let shape = Shape::of(py, comm)?;
    let mut plan = shape.nothing();
    match role(py, shape, root)? {
        Role::Nobody => {}
        Role::Other => (plan.source, plan.missing) = (root, 1),
        Role::Root => {
            let outgoing = Outgoing::new(object)?;
            if let Some(own) = shape.own() {
                plan.blocks[own] = Some(outgoing.own(py)?);
            }
            plan.sends = shape.others().map(|rank| (rank, Arc::clone(&outgoing.sent))).collect();
        }
    }
    start(py, comm, plan, single)
}

fn gather(
    comm: abi::Comm,
    object: Object<'_, '_>,
    root: c_int,
    result: impl FnOnce(Python<'_>, &Blocks) -> PyResult<Py<PyAny>> + Send + 'static,
) -> Started {
    let py = object.py();
    let shape = Shape::of(py, comm)?;
    let mut plan = shape.nothing();
    match role(py, shape, root)? {
        Role::Nobody => {}
        Role::Other => plan.sends.push((root, Outgoing::new(object)?.sent)),
        Role::Root => {
            if let Some(own) = shape.own() {
                plan.blocks[own] = Some(Outgoing::new(object)?.sent);
            }
            plan.missing = shape.others().count();
            return start(py, comm, plan, result);
        }
    }
    start(py, comm, plan, single)
}

fn scatter(comm: abi::Comm, objects: Object<'_, '_>, root: c_int) -> Started {
    let py = objects.py();
    let shape = Shape::of(py, comm)?;
    let mut plan = shape.nothing();
    match role(py, shape, root)? {
        Role::Nobody => {}
        Role::Other => (plan.source, plan.missing) = (root, 1),
        Role::Root => one_to_each(shape, objects, &mut plan)?,
    }
    start(py, comm, plan, single)
}

/// Plans to send each rank its object.
fn one_to_each(shape: Shape, objects: Object<'_, '_>, plan: &mut Plan) -> PyResult<()> {
    let objects = one_each(objects, shape.peers)?;
    let blocks = objects.iter().map(|object| Ok(Outgoing::new(object)?.sent)).collect::<PyResult<Vec<_>>>()?;
    if let Some(own) = shape.own() {
        plan.blocks[own] = Some(Arc::clone(&blocks[own]));
    }
    let sent = |rank: c_int| Some((rank, Arc::clone(blocks.get(usize::try_from(rank).ok()?)?)));
    plan.sends = shape.others().filter_map(sent).collect();
    Ok(())
}

fn allgather(
    comm: abi::Comm,
    object: Object<'_, '_>,
    result: impl FnOnce(Python<'_>, &Blocks) -> PyResult<Py<PyAny>> + Send + 'static,
) -> Started {
    let py = object.py();
    let shape = Shape::of(py, comm)?;
    let mut plan = shape.nothing();
    let outgoing = Outgoing::new(object)?;
    if let Some(own) = shape.own() {
        plan.blocks[own] = Some(outgoing.own(py)?);
    }
    plan.sends = shape.others().map(|rank| (rank, Arc::clone(&outgoing.sent))).collect();
    plan.missing = shape.others().count();
    start(py, comm, plan, result)
}

fn alltoall(comm: abi::Comm, objects: Object<'_, '_>) -> Started {
    let py = objects.py();
    let shape = Shape::of(py, comm)?;
    let mut plan = shape.nothing();
    one_to_each(shape, objects, &mut plan)?;
    plan.missing = shape.others().count();
    start(py, comm, plan, list)
}

#[pymethods]
impl Comm {
    /// ibarrier(self) -> Request
    ///
    /// Nonblocking form of `barrier`.
    fn ibarrier(&self, py: Python<'_>) -> Started {
        irecv::serve(py)?;
        let (comm, mut request) = (self.raw(), MPI_REQUEST_NULL);
        mpi_wait!(py, MPI_Ibarrier(comm, &raw mut request))?;
        Request::make(py, request, Owner::None)
    }

    /// ibcast(self, obj: Any, root: int = 0) -> Request
    ///
    /// Nonblocking form of `bcast`: `wait` returns the object.
    #[pyo3(signature = (obj, root = 0))]
    fn ibcast(&self, obj: Object<'_, '_>, root: c_int) -> Started {
        bcast(self.raw(), obj, root)
    }

    /// igather(self, sendobj: Any, root: int = 0) -> Request
    ///
    /// Nonblocking form of `gather`: `wait` returns the objects, or `None`.
    #[pyo3(signature = (sendobj, root = 0))]
    fn igather(&self, sendobj: Object<'_, '_>, root: c_int) -> Started {
        gather(self.raw(), sendobj, root, list)
    }

    /// iscatter(self, sendobj: Sequence[Any] | None, root: int = 0) -> Request
    ///
    /// Nonblocking form of `scatter`: `wait` returns the object.
    #[pyo3(signature = (sendobj, root = 0))]
    fn iscatter(&self, sendobj: Object<'_, '_>, root: c_int) -> Started {
        scatter(self.raw(), sendobj, root)
    }

    /// iallgather(self, sendobj: Any) -> Request
    ///
    /// Nonblocking form of `allgather`: `wait` returns the objects.
    fn iallgather(&self, sendobj: Object<'_, '_>) -> Started {
        allgather(self.raw(), sendobj, list)
    }

    /// ialltoall(self, sendobj: Sequence[Any]) -> Request
    ///
    /// Nonblocking form of `alltoall`: `wait` returns the objects.
    fn ialltoall(&self, sendobj: Object<'_, '_>) -> Started {
        alltoall(self.raw(), sendobj)
    }

    /// ireduce(self, sendobj: Any, op: Op | Callable[[Any, Any], Any] = SUM, root: int = 0) -> Request
    ///
    /// Nonblocking form of `reduce`: `wait` combines the objects and returns the result, or `None`.
    #[pyo3(signature = (sendobj, op = None, root = 0))]
    fn ireduce(&self, sendobj: Object<'_, '_>, op: Option<Object<'_, '_>>, root: c_int) -> Started {
        gather(self.raw(), sendobj, root, combined(op))
    }

    /// iallreduce(self, sendobj: Any, op: Op | Callable[[Any, Any], Any] = SUM) -> Request
    ///
    /// Nonblocking form of `allreduce`: `wait` combines the objects and returns the result.
    #[pyo3(signature = (sendobj, op = None))]
    fn iallreduce(&self, sendobj: Object<'_, '_>, op: Option<Object<'_, '_>>) -> Started {
        allgather(self.raw(), sendobj, combined(op))
    }
}
