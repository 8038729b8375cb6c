//! The calls that a rank can wait in, as its status page numbers them: the engine says which one, the
//! launcher turns the number into a name.

/// A call that can wait. The numbers stand on the status page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
#[expect(missing_docs, reason = "the names are MPI's own")]
pub enum Call {
    Send = 1,
    Ssend,
    Bsend,
    Rsend,
    Recv,
    Sendrecv,
    Probe,
    Mprobe,
    Mrecv,
    Wait,
    Waitall,
    Waitany,
    Waitsome,
    Barrier,
    Bcast,
    Reduce,
    Allreduce,
    Scatter,
    Scatterv,
    Gather,
    Gatherv,
    Allgather,
    Allgatherv,
    Alltoall,
    Alltoallv,
    Alltoallw,
    ReduceScatter,
    ReduceScatterBlock,
    Scan,
    Exscan,
    CommCreate,
    BufferDetach,
    Finalize,
    Init,
    NeighborAllgather,
    NeighborAllgatherv,
    NeighborAlltoall,
    NeighborAlltoallv,
    NeighborAlltoallw,
}

/// `MPI_ANY_TAG`, as status pages hold it; the engine's build compares.
pub const ANY_TAG: i32 = -2;

impl Call {
    /// Whether the call with this number waits for requests that other calls have made.
    pub fn names_requests(number: u32) -> bool {
        [Self::Wait, Self::Waitall, Self::Waitany, Self::Waitsome].into_iter().any(|call| call as u32 == number)
    }

    /// The name of the call with this number on a status page.
    pub fn name_of(number: u32) -> &'static str {
        const NAMES: [&str; 40] = [
            "no call",
            "Send",
            "Ssend",
            "Bsend",
            "Rsend",
            "Recv",
            "Sendrecv",
            "Probe",
            "Mprobe",
            "Mrecv",
            "Wait",
            "Waitall",
            "Waitany",
            "Waitsome",
            "Barrier",
            "Bcast",
            "Reduce",
            "Allreduce",
            "Scatter",
            "Scatterv",
            "Gather",
            "Gatherv",
            "Allgather",
            "Allgatherv",
            "Alltoall",
            "Alltoallv",
            "Alltoallw",
            "Reduce_scatter",
            "Reduce_scatter_block",
            "Scan",
            "Exscan",
            "communicator creation",
            "Buffer_detach",
            "Finalize",
            "Init",
            "Neighbor_allgather",
            "Neighbor_allgatherv",
            "Neighbor_alltoall",
            "Neighbor_alltoallv",
            "Neighbor_alltoallw",
        ];
        NAMES.get(number as usize).copied().unwrap_or("an unknown call")
    }
}
