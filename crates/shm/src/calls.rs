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
    CommDup,
    CommIdup,
    CommSplit,
    CommSplitType,
    CommCreateGroup,
    CommCreateFromGroup,
    CommDisconnect,
    IntercommCreate,
    IntercommCreateFromGroups,
    IntercommMerge,
    CartCreate,
    CartSub,
    GraphCreate,
    DistGraphCreate,
    DistGraphCreateAdjacent,
}

/// `MPI_ANY_TAG`, as status pages hold it; the engine's build compares.
pub const ANY_TAG: i32 = -2;

/// Added to the number of a collective's call where a persistent request is meant.
const PERSISTENT: u32 = 0x80;

/// How a status page names a collective of this call that a request is for.
pub fn operation(call: u32, persistent: bool) -> u32 {
    call | if persistent { PERSISTENT } else { 0 }
}

/// What the user called to make it: `Ibcast`, `Bcast_init`.
pub fn name_of_operation(operation: u32) -> String {
    let name = Call::name_of(operation & !PERSISTENT);
    if operation & PERSISTENT == 0 { format!("I{}", name.to_lowercase()) } else { format!("{name}_init") }
}

impl Call {
    /// Whether the call with this number waits for requests that other calls have made.
    pub fn names_requests(number: u32) -> bool {
        [Self::Wait, Self::Waitall, Self::Waitany, Self::Waitsome].into_iter().any(|call| call as u32 == number)
    }

    /// Whether all ranks of the communicator must call the one with this number.
    pub fn is_collective(number: u32) -> bool {
        (Self::Barrier as u32..=Self::Exscan as u32).contains(&number)
    }

    /// The name of the call with this number on a status page.
    pub fn name_of(number: u32) -> &'static str {
        const NAMES: [&str; 55] = [
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
            "Comm_create",
            "Buffer_detach",
            "Finalize",
            "Init",
            "Neighbor_allgather",
            "Neighbor_allgatherv",
            "Neighbor_alltoall",
            "Neighbor_alltoallv",
            "Neighbor_alltoallw",
            "Comm_dup",
            "Comm_idup",
            "Comm_split",
            "Comm_split_type",
            "Comm_create_group",
            "Comm_create_from_group",
            "Comm_disconnect",
            "Intercomm_create",
            "Intercomm_create_from_groups",
            "Intercomm_merge",
            "Cart_create",
            "Cart_sub",
            "Graph_create",
            "Dist_graph_create",
            "Dist_graph_create_adjacent",
        ];
        NAMES.get(number as usize).copied().unwrap_or("an unknown call")
    }
}
