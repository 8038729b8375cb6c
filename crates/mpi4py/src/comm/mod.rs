//! `MPI.Comm` and its kinds. Chapter 7 of the standard; communication on it is chapters 3 to 6.
//!
//! | file | owns |
//! |---|---|
//! | `mod` | the classes, which class a handle belongs to |
//! | `manage` | making, comparing, naming and freeing communicators |
//! | `p2p` | blocking, nonblocking and persistent sends and receives, probes |
//! | `shortcut` | the usual form of the most frequent of them |
//! | `objects` | `send`, `recv` ... of objects |
//! | `irecv` | receives of objects that wait for their message |
//! | `objects_coll` | collectives of objects |
//! | `objects_nonblocking` | the same, nonblocking |
//! | `channel` | their messages |
//! | `messages` | collectives: which buffers a rank needs, checked and described |
//! | `coll` | collectives, blocking, nonblocking and persistent |
//! | `inter` | what only intercommunicators have |
//! | `topo` | process topologies |
//! | `neighbor` | collectives with neighbours |
//! | `ulfm` | fault tolerance |
//! | `context` | locks and private duplicates |

pub(crate) mod channel;
mod coll;
pub(crate) mod context;
mod inter;
pub(crate) mod irecv;
mod manage;
mod messages;
mod neighbor;
pub(crate) mod objects;
mod objects_coll;
mod objects_neighbor;
mod objects_nonblocking;
mod p2p;
pub(crate) mod shortcut;
mod topo;
mod ulfm;

use crate::call::mpi;
use crate::errhandler::errhandler_methods;
use crate::handle::{H, Handle, handle_class, new_like};
use mpi_abi as abi;
use mpi_abi::consts::{
    MPI_CART, MPI_COMM_NULL, MPI_COMM_SELF, MPI_COMM_WORLD, MPI_DIST_GRAPH, MPI_GRAPH, MPI_UNDEFINED,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ffi::c_int;

pub(crate) use topo::Compute_dims;

handle_class! { "Communication context.", Comm, MPI_COMM_NULL, argument = comm, MPI_Comm_toint, MPI_Comm_fromint, adopt }
handle_class! { @reduce Comm }
errhandler_methods! {
    Comm, MPI_Comm_get_errhandler, MPI_Comm_set_errhandler, MPI_Comm_call_errhandler, crate::init::swap_returning
}

/// What a communicator is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nature {
    Null,
    Intra,
    Cart,
    Graph,
    Distgraph,
    Inter,
}

fn nature(py: Python<'_>, raw: abi::Comm) -> PyResult<Nature> {
    if raw == MPI_COMM_NULL {
        return Ok(Nature::Null);
    }
    if raw == MPI_COMM_WORLD || raw == MPI_COMM_SELF || !crate::init::is_active() {
        return Ok(Nature::Intra);
    }
    if is_inter(py, raw)? {
        return Ok(Nature::Inter);
    }
    let mut topology = MPI_UNDEFINED;
    mpi!(py, MPI_Topo_test(raw, &raw mut topology))?;
    Ok(match topology {
        MPI_CART => Nature::Cart,
        MPI_GRAPH => Nature::Graph,
        MPI_DIST_GRAPH => Nature::Distgraph,
        _ => Nature::Intra,
    })
}

pub(crate) fn is_inter(py: Python<'_>, raw: abi::Comm) -> PyResult<bool> {
    let mut flag = 0;
    mpi!(py, MPI_Comm_test_inter(raw, &raw mut flag))?;
    Ok(flag != 0)
}

impl Comm {
    /// The class of a handle from outside: that of the communicator, or the one asked for if it is
    /// more special.
    fn class_for<'py>(class: &Bound<'py, PyType>, raw: abi::Comm) -> PyResult<Bound<'py, PyType>> {
        let py = class.py();
        let own = match nature(py, raw)? {
            Nature::Null => return Ok(class.clone()),
            Nature::Intra => py.get_type::<Intracomm>(),
            Nature::Cart => py.get_type::<Cartcomm>(),
            Nature::Graph => py.get_type::<Graphcomm>(),
            Nature::Distgraph => py.get_type::<Distgraphcomm>(),
            Nature::Inter => py.get_type::<Intercomm>(),
        };
        if class.is_subclass(&own)? { Ok(class.clone()) } else { Ok(own) }
    }

    fn adopt<'py>(class: &Bound<'py, PyType>, raw: abi::Comm) -> PyResult<Bound<'py, Self>> {
        new_like(&Self::class_for(class, raw)?, raw)
    }
}

/// The class of communicators made from `comm` that may have another group: never more special than
/// intra- or intercommunicator.
fn plain_class<'py>(comm: &Bound<'py, Comm>) -> Bound<'py, PyType> {
    let py = comm.py();
    if comm.is_instance_of::<Intracomm>() {
        py.get_type::<Intracomm>()
    } else if comm.is_instance_of::<Intercomm>() {
        py.get_type::<Intercomm>()
    } else {
        py.get_type::<Comm>()
    }
}

/// The handle of an object of any of the classes.
pub(crate) fn raw_of<T: pyo3::PyClass>(comm: &Bound<'_, T>) -> abi::Comm {
    comm.as_any().cast::<Comm>().map_or(MPI_COMM_NULL, |comm| comm.get().raw())
}

macro_rules! kinds {
    ($($doc:literal, $name:ident: $base:ident $(< $above:ident)*, $($nature:ident)|+, $what:literal;)*) => {$(
        #[doc = $doc]
        #[pyclass(module = "mpi4py.MPI", extends = $base, frozen, subclass)]
        pub(crate) struct $name;

        impl $name {
            fn initializer(raw: abi::Comm) -> PyClassInitializer<Self> {
                kinds!(@chain (PyClassInitializer::from(Comm::with(raw))) $($above)* $name)
            }

            /// A new object of exactly this class.
            #[allow(dead_code, reason = "no function makes a communicator of just any topology")]
            pub(crate) fn wrap(py: Python<'_>, raw: abi::Comm) -> PyResult<Py<Self>> {
                Py::new(py, Self::initializer(raw))
            }
        }

        #[pymethods]
        impl $name {
            #[new]
            #[pyo3(signature = (comm = None))]
            fn new(py: Python<'_>, comm: Option<H<Comm>>) -> PyResult<PyClassInitializer<Self>> {
                let raw = comm.map_or(MPI_COMM_NULL, |comm| comm.0);
                if raw == MPI_COMM_NULL || matches!(nature(py, raw)?, $(Nature::$nature)|+) {
                    Ok(Self::initializer(raw))
                } else {
                    Err(PyTypeError::new_err(concat!("expecting ", $what)))
                }
            }
        }
    )*};
    (@chain ($start:expr) $($class:ident)*) => { $start$(.add_subclass($class))* };
}

kinds! {
    "Intracommunicator.", Intracomm: Comm, Intra | Cart | Graph | Distgraph, "an intracommunicator";
    "Topology intracommunicator.", Topocomm: Intracomm < Intracomm, Cart | Graph | Distgraph,
    "a communicator with a topology";
    "Cartesian topology intracommunicator.", Cartcomm: Topocomm < Intracomm < Topocomm, Cart,
    "a communicator with a Cartesian topology";
    "General graph topology intracommunicator.", Graphcomm: Topocomm < Intracomm < Topocomm, Graph,
    "a communicator with a graph topology";
    "Distributed graph topology intracommunicator.", Distgraphcomm: Topocomm < Intracomm < Topocomm, Distgraph,
    "a communicator with a distributed graph topology";
    "Intercommunicator.", Intercomm: Comm, Inter, "an intercommunicator";
}

/// Number of ranks a collective exchanges blocks with: the remote group's on an intercommunicator.
pub(crate) fn peers(py: Python<'_>, raw: abi::Comm) -> PyResult<c_int> {
    let mut size = 0;
    if is_inter(py, raw)? {
        mpi!(py, MPI_Comm_remote_size(raw, &raw mut size))?;
    } else {
        mpi!(py, MPI_Comm_size(raw, &raw mut size))?;
    }
    Ok(size)
}

/// Rank of this process.
pub(crate) fn rank(py: Python<'_>, raw: abi::Comm) -> PyResult<c_int> {
    let mut rank = 0;
    mpi!(py, MPI_Comm_rank(raw, &raw mut rank))?;
    Ok(rank)
}
