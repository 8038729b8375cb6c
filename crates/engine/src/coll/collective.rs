//! A collective with its arguments, for the forms that go by schedules. The shim has checked what can be checked
//! without knowing the types; counts and displacements are copies, since the user may change his.

use super::{Arg, Blocks, Lane};
use mpi_abi::{Datatype, Op};
use std::ffi::c_int;

/// A buffer with a block for, or from, each rank or neighbour.
#[derive(Debug, Clone)]
pub enum Row {
    /// Blocks of the argument's count, one after the other.
    Equal(Arg),
    /// Blocks of different sizes.
    Varying {
        /// Address of the buffer.
        base: *mut u8,
        /// Elements of each block.
        counts: Vec<usize>,
        /// First element of each, in extents of the type.
        displs: Vec<isize>,
        /// Type of the elements.
        datatype: Datatype,
    },
    /// Blocks of different sizes and types.
    Lanes {
        /// Address of the buffer.
        base: *mut u8,
        /// The blocks.
        lanes: Vec<Lane>,
    },
}

impl From<Blocks<'_>> for Row {
    fn from(blocks: Blocks<'_>) -> Self {
        let Blocks { base, counts, displs, datatype } = blocks;
        Self::Varying { base, counts: counts.to_vec(), displs: displs.to_vec(), datatype }
    }
}

impl From<(*mut u8, &[Lane])> for Row {
    fn from((base, lanes): (*mut u8, &[Lane])) -> Self {
        Self::Lanes { base, lanes: lanes.to_vec() }
    }
}

/// A collective. `send` none is `MPI_IN_PLACE`, or a buffer that does not count on this process.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the arguments have MPI's own names")]
pub enum Collective {
    Barrier,
    Bcast { buffer: Arg, root: c_int },
    Gather { send: Option<Arg>, recv: Option<Row>, root: c_int },
    Scatter { send: Option<Row>, recv: Option<Arg>, root: c_int },
    Allgather { send: Option<Arg>, recv: Row },
    Alltoall { send: Option<Row>, recv: Row },
    Reduce { send: Option<Arg>, recv: Arg, op: Op, root: c_int },
    Allreduce { send: Option<Arg>, recv: Arg, op: Op },
    ReduceScatter { send: Option<Arg>, recv: Arg, counts: Vec<usize>, op: Op },
    Scan { send: Option<Arg>, recv: Arg, op: Op },
    Exscan { send: Option<Arg>, recv: Arg, op: Op },
    NeighborAllgather { send: Arg, recv: Row },
    NeighborAlltoall { send: Row, recv: Row },
}
