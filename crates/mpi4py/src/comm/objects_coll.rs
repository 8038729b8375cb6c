//! Collectives of objects: `bcast`, `gather`, `allreduce` ... in lower case. Chapter 6 of the standard
//! underneath; what is on the wire is in `pickle.rs`.
//!
//! Each is a collective of blocks of fixed size ([`INLINE`]) with the size of each object and, where
//! it fits, the object itself; then, where one did not fit and all ranks can know that, a second one
//! with the exact sizes. `gather` and `alltoall` cannot know and always do both, as do all on intercommunicators.
//!
//! Reductions gather the objects and combine them in the order of ranks, from the left: the result
//! is the same for all numbers of ranks that add up the same way, and for all ranks.

use super::{Comm, Intracomm, is_inter, peers, rank, raw_of};
use crate::call::mpi_wait;
use crate::handle::Handle;
use crate::op::Op;
use crate::pickle::{Block, Encoded, Origin, decode_bytes, encode};
use mpi_abi as abi;
use mpi_abi::consts::{MPI_BYTE, MPI_PROC_NULL, MPI_ROOT};
use mpi_abi::{Aint, Count};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::ffi::c_int;

type Object<'a, 'py> = &'a Bound<'py, PyAny>;

/// Bytes of the block for one object; its first eight are the size.
const INLINE: usize = 256;
const HEAD: usize = 8;
/// Where objects start in a block for several of them.
const ALIGN: Count = 64;

/// Size and, if it fits, bytes of an object. `more`: the ranks know that something follows.
fn fill(block: &mut [u8], message: &Encoded) -> bool {
    let size = message.size();
    block[..HEAD].copy_from_slice(&size.to_le_bytes());
    match message.bytes() {
        Some(bytes) if bytes.len() <= block.len() - HEAD => {
            block[HEAD..HEAD + bytes.len()].copy_from_slice(bytes);
            true
        }
        _ => {
            // Not in the block: said by the sign, even if the size alone would fit.
            block[..HEAD].copy_from_slice(&(-1 - size).to_le_bytes());
            false
        }
    }
}

/// Size of an object, and whether it is in the block itself.
fn size_in(block: &[u8]) -> (Count, bool) {
    let mut word = [0; HEAD];
    word.copy_from_slice(&block[..HEAD]);
    let value = Count::from_le_bytes(word);
    if value < 0 { (-1 - value, false) } else { (value, true) }
}

fn bytes_in(block: &[u8]) -> PyResult<&[u8]> {
    let (size, _) = size_in(block);
    usize::try_from(size)
        .ok()
        .and_then(|size| block.get(HEAD..HEAD + size))
        .ok_or_else(|| PyValueError::new_err("the other ranks do not call the same collective method"))
}

/// Places for objects of these sizes in one block, and its size.
pub(super) fn places(sizes: &[Count]) -> (Vec<Aint>, Count) {
    let mut end: Count = 0;
    let mut places = Vec::with_capacity(sizes.len());
    for &size in sizes {
        places.push(end as Aint);
        end += (size.max(0) + ALIGN - 1) / ALIGN * ALIGN;
    }
    (places, end)
}

/// The objects in a block.
pub(super) fn objects_in(py: Python<'_>, block: &Block, places: &[Aint], sizes: &[Count]) -> PyResult<Vec<Py<PyAny>>> {
    places
        .iter()
        .zip(sizes)
        .map(|(&place, &size)| {
            let (from, size) = (place.cast_unsigned(), usize::try_from(size)?);
            block.decode_part(py, from, from + size, Origin::Collective)
        })
        .collect()
}

/// What a rank does in a collective with a root.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Root,
    Other,
    /// Of the root's group on an intercommunicator: takes no part.
    Nobody,
}

/// The role, and whether it is one on an intercommunicator.
fn role(py: Python<'_>, comm: abi::Comm, root: c_int) -> PyResult<(Role, bool)> {
    let inter = is_inter(py, comm)?;
    let role = if inter {
        match root {
            MPI_ROOT => Role::Root,
            MPI_PROC_NULL => Role::Nobody,
            _ => Role::Other,
        }
    } else if rank(py, comm)? == root {
        Role::Root
    } else {
        Role::Other
    };
    Ok((role, inter))
}

pub(super) fn number(count: c_int) -> usize {
    usize::try_from(count).unwrap_or(0)
}

fn bcast(py: Python<'_>, comm: abi::Comm, obj: Object<'_, '_>, root: c_int) -> PyResult<Py<PyAny>> {
    let (role, inter) = role(py, comm, root)?;
    let mut head = [0u8; INLINE];
    let mut message = Encoded::nothing();
    if role == Role::Root {
        message = encode(obj)?;
        fill(&mut head, &message);
    }
    let pointer = head.as_mut_ptr().cast();
    mpi_wait!(py, MPI_Bcast_c(pointer, INLINE as Count, MPI_BYTE, root, comm))?;
    let (size, inside) = size_in(&head);
    if inter && (inside || role == Role::Nobody) {
        // On an intercommunicator those of the root's group do not know whether something follows: both steps always.
        mpi_wait!(py, MPI_Bcast_c(std::ptr::null_mut(), 0, MPI_BYTE, root, comm))?;
    }
    match role {
        Role::Nobody => Ok(py.None()),
        Role::Other if inside => decode_bytes(py, bytes_in(&head)?, Origin::Collective),
        Role::Other => {
            let block = Block::new(py, size)?;
            let (addr, count) = (block.addr(), block.count());
            mpi_wait!(py, MPI_Bcast_c(addr, count, MPI_BYTE, root, comm))?;
            block.decode(py, Origin::Collective)
        }
        Role::Root => {
            // The root of an intercommunicator gets nothing.
            let receives = root != MPI_ROOT;
            if inside && !receives {
                return Ok(py.None());
            }
            // As on the other ranks a copy, which then is what is sent too. (Pieces of memory at absolute
            // addresses as one datatype end MPICH 5.0.2 and Intel MPI 2021.18 in MPI_Bcast.)
            let block = message.copy(py)?;
            let (addr, count) = (block.addr(), block.count());
            if !inside {
                mpi_wait!(py, MPI_Bcast_c(addr, count, MPI_BYTE, root, comm))?;
            }
            if receives { block.decode(py, Origin::Collective) } else { Ok(py.None()) }
        }
    }
}

fn gather(py: Python<'_>, comm: abi::Comm, obj: Object<'_, '_>, root: c_int) -> PyResult<Option<Vec<Py<PyAny>>>> {
    let (role, _) = role(py, comm, root)?;
    let sends = role == Role::Other || (role == Role::Root && root != MPI_ROOT);
    let message = if sends { encode(obj)? } else { Encoded::nothing() };
    let size = message.size();
    let mut sizes = vec![0; if role == Role::Root { number(peers(py, comm)?) } else { 0 }];
    let bytes = HEAD as Count;
    let (from, to) = ((&raw const size).cast(), sizes.as_mut_ptr().cast());
    mpi_wait!(py, MPI_Gather_c(from, bytes, MPI_BYTE, to, bytes, MPI_BYTE, root, comm))?;
    let (places, total) = places(&sizes);
    let block = Block::new(py, total)?;
    let wire = message.wire_as(py, MPI_BYTE)?;
    let (addr, count, datatype) = (wire.addr, wire.count, wire.datatype);
    let (to, counts, displs) = (block.addr(), sizes.as_ptr(), places.as_ptr());
    mpi_wait!(py, MPI_Gatherv_c(addr, count, datatype, to, counts, displs, MPI_BYTE, root, comm))?;
    if role == Role::Root { objects_in(py, &block, &places, &sizes).map(Some) } else { Ok(None) }
}

/// As many objects as ranks; `None` stands for one `None` for each, as in mpi4py.
pub(super) fn one_each<'py>(objects: Object<'_, 'py>, count: usize) -> PyResult<Vec<Bound<'py, PyAny>>> {
    if objects.is_none() {
        return Ok(vec![objects.clone(); count]);
    }
    let objects = match objects.cast::<PyTuple>() {
        Ok(tuple) => tuple.iter().collect::<Vec<_>>(),
        Err(_) => objects.try_iter()?.collect::<PyResult<Vec<_>>>()?,
    };
    if objects.len() != count {
        return Err(PyValueError::new_err(format!(
            "expecting {count} objects, one for each rank, got {}",
            objects.len()
        )));
    }
    Ok(objects)
}

/// Several objects as one message in rank order: memory, count of each, place of each.
pub(super) struct Batch {
    messages: Vec<Encoded>,
    pub(super) sizes: Vec<Count>,
}

impl Batch {
    pub(super) fn new(objects: &[Bound<'_, PyAny>]) -> PyResult<Self> {
        let messages = objects.iter().map(encode).collect::<PyResult<Vec<_>>>()?;
        let sizes = messages.iter().map(Encoded::size).collect();
        Ok(Self { messages, sizes })
    }

    /// All pieces, copied together: the v-collectives want one datatype for all blocks.
    pub(super) fn packed(&self, py: Python<'_>) -> PyResult<(Block, Vec<Aint>)> {
        let (places, total) = places(&self.sizes);
        let block = Block::new(py, total)?;
        for (message, &place) in self.messages.iter().zip(&places) {
            message.copy_to(block.addr().cast::<u8>().wrapping_offset(place));
        }
        Ok((block, places))
    }
}

fn scatter(py: Python<'_>, comm: abi::Comm, objects: Object<'_, '_>, root: c_int) -> PyResult<Py<PyAny>> {
    let (role, inter) = role(py, comm, root)?;
    let receives = role == Role::Other || (role == Role::Root && root != MPI_ROOT);
    let mut heads = Vec::new();
    let mut batch = None;
    if role == Role::Root {
        let count = number(peers(py, comm)?);
        let all = Batch::new(&one_each(objects, count)?)?;
        heads = vec![0; count * INLINE];
        let mut inside = true;
        for (head, message) in heads.chunks_mut(INLINE).zip(&all.messages) {
            inside &= fill(head, message);
        }
        if !inside {
            // One that does not fit sends all of them to the second step.
            for (head, &size) in heads.chunks_mut(INLINE).zip(&all.sizes) {
                head[..HEAD].copy_from_slice(&(-1 - size).to_le_bytes());
            }
            batch = Some(all);
        }
    }
    let mut head = [0u8; INLINE];
    let (from, to, bytes) = (heads.as_ptr().cast(), head.as_mut_ptr().cast(), INLINE as Count);
    mpi_wait!(py, MPI_Scatter_c(from, bytes, MPI_BYTE, to, bytes, MPI_BYTE, root, comm))?;
    let (size, inside) = size_in(&head);
    if receives && inside && !inter {
        return decode_bytes(py, bytes_in(&head)?, Origin::Collective);
    }
    if inter && (if receives { inside } else { batch.is_none() }) {
        // As in `bcast`: both steps always.
        let zeros = vec![0; if role == Role::Root { number(peers(py, comm)?) } else { 0 }];
        let places: Vec<Aint> = vec![0; zeros.len()];
        let (nothing, counts, displs) = (std::ptr::null_mut(), zeros.as_ptr(), places.as_ptr());
        mpi_wait!(py, MPI_Scatterv_c(nothing, counts, displs, MPI_BYTE, nothing, 0, MPI_BYTE, root, comm))?;
        return if receives { decode_bytes(py, bytes_in(&head)?, Origin::Collective) } else { Ok(py.None()) };
    }
    let block = Block::new(py, if receives { size } else { 0 })?;
    let (to, room) = (block.addr(), block.count());
    let packed = batch.as_ref().map(|batch| batch.packed(py)).transpose()?;
    let (from, counts, displs) = match (&batch, &packed) {
        (Some(batch), Some((from, places))) => (from.addr(), batch.sizes.as_ptr(), places.as_ptr()),
        _ => (std::ptr::null_mut(), std::ptr::null(), std::ptr::null()),
    };
    mpi_wait!(py, MPI_Scatterv_c(from, counts, displs, MPI_BYTE, to, room, MPI_BYTE, root, comm))?;
    if receives { block.decode(py, Origin::Collective) } else { Ok(py.None()) }
}

fn allgather(py: Python<'_>, comm: abi::Comm, obj: Object<'_, '_>) -> PyResult<Vec<Py<PyAny>>> {
    let message = encode(obj)?;
    let count = number(peers(py, comm)?);
    let mut head = [0u8; INLINE];
    fill(&mut head, &message);
    let mut heads = vec![0u8; count * INLINE];
    let (from, to, bytes) = (head.as_ptr().cast(), heads.as_mut_ptr().cast(), INLINE as Count);
    mpi_wait!(py, MPI_Allgather_c(from, bytes, MPI_BYTE, to, bytes, MPI_BYTE, comm))?;
    let found: Vec<_> = heads.chunks(INLINE).map(size_in).collect();
    // On an intercommunicator the other group decides for itself: both steps always.
    if !is_inter(py, comm)? && found.iter().all(|&(_, inside)| inside) {
        return heads.chunks(INLINE).map(|head| decode_bytes(py, bytes_in(head)?, Origin::Collective)).collect();
    }
    let sizes: Vec<Count> = found.into_iter().map(|(size, _)| size).collect();
    let (places, total) = places(&sizes);
    let block = Block::new(py, total)?;
    let wire = message.wire_as(py, MPI_BYTE)?;
    let (addr, count, datatype) = (wire.addr, wire.count, wire.datatype);
    let (to, counts, displs) = (block.addr(), sizes.as_ptr(), places.as_ptr());
    mpi_wait!(py, MPI_Allgatherv_c(addr, count, datatype, to, counts, displs, MPI_BYTE, comm))?;
    objects_in(py, &block, &places, &sizes)
}

fn alltoall(py: Python<'_>, comm: abi::Comm, objects: Object<'_, '_>) -> PyResult<Vec<Py<PyAny>>> {
    let count = number(peers(py, comm)?);
    let batch = Batch::new(&one_each(objects, count)?)?;
    let mut sizes: Vec<Count> = vec![0; count];
    let bytes = HEAD as Count;
    let (from, to) = (batch.sizes.as_ptr().cast(), sizes.as_mut_ptr().cast());
    mpi_wait!(py, MPI_Alltoall_c(from, bytes, MPI_BYTE, to, bytes, MPI_BYTE, comm))?;
    let (packed, sends) = batch.packed(py)?;
    let (receives, total) = places(&sizes);
    let block = Block::new(py, total)?;
    let (from, scounts, sdispls) = (packed.addr(), batch.sizes.as_ptr(), sends.as_ptr());
    let (to, rcounts, rdispls) = (block.addr(), sizes.as_ptr(), receives.as_ptr());
    mpi_wait!(py, MPI_Alltoallv_c(from, scounts, sdispls, MPI_BYTE, to, rcounts, rdispls, MPI_BYTE, comm))?;
    objects_in(py, &block, &receives, &sizes)
}

/// `x op y`, with `None` for `SUM`.
fn combine(py: Python<'_>, op: Option<Object<'_, '_>>, x: Py<PyAny>, y: &Py<PyAny>) -> PyResult<Py<PyAny>> {
    let result = match op {
        None => x.bind(py).add(y.bind(py)),
        Some(op) => {
            match op.cast_exact::<Op>().ok().and_then(|op| crate::op::apply(op.get().raw(), x.bind(py), y.bind(py))) {
                Some(result) => result,
                None => op.call1((&x, y)),
            }
        }
    };
    result.map(Bound::unbind)
}

pub(super) fn fold(py: Python<'_>, op: Option<Object<'_, '_>>, objects: &[Py<PyAny>]) -> PyResult<Py<PyAny>> {
    let Some((first, rest)) = objects.split_first() else {
        return Ok(py.None());
    };
    rest.iter().try_fold(first.clone_ref(py), |x, y| combine(py, op, x, y))
}

#[pymethods]
impl Comm {
    /// barrier(self) -> None
    ///
    /// Wait until all processes have called.
    fn barrier(&self, py: Python<'_>) -> PyResult<()> {
        super::irecv::serve(py)?;
        let comm = self.raw();
        mpi_wait!(py, MPI_Barrier(comm))
    }

    /// bcast(self, obj: Any, root: int = 0) -> Any
    ///
    /// Send an object from one process to all the others.
    #[pyo3(signature = (obj, root = 0))]
    fn bcast(&self, obj: Object<'_, '_>, root: c_int) -> PyResult<Py<PyAny>> {
        super::irecv::serve(obj.py())?;
        super::context::table_entry(obj.py(), self.raw(), "bcast")?;
        bcast(obj.py(), self.raw(), obj, root)
    }

    /// gather(self, sendobj: Any, root: int = 0) -> list[Any] | None
    ///
    /// Gather objects from all processes at one.
    #[pyo3(signature = (sendobj, root = 0))]
    fn gather(&self, sendobj: Object<'_, '_>, root: c_int) -> PyResult<Option<Vec<Py<PyAny>>>> {
        super::irecv::serve(sendobj.py())?;
        gather(sendobj.py(), self.raw(), sendobj, root)
    }

    /// scatter(self, sendobj: Sequence[Any] | None, root: int = 0) -> Any
    ///
    /// Send each process an object from one process.
    #[pyo3(signature = (sendobj, root = 0))]
    fn scatter(&self, sendobj: Object<'_, '_>, root: c_int) -> PyResult<Py<PyAny>> {
        super::irecv::serve(sendobj.py())?;
        scatter(sendobj.py(), self.raw(), sendobj, root)
    }

    /// allgather(self, sendobj: Any) -> list[Any]
    ///
    /// Gather objects from all processes at all.
    fn allgather(&self, sendobj: Object<'_, '_>) -> PyResult<Vec<Py<PyAny>>> {
        super::irecv::serve(sendobj.py())?;
        allgather(sendobj.py(), self.raw(), sendobj)
    }

    /// alltoall(self, sendobj: Sequence[Any]) -> list[Any]
    ///
    /// Send an object from each process to each.
    fn alltoall(&self, sendobj: Object<'_, '_>) -> PyResult<Vec<Py<PyAny>>> {
        super::irecv::serve(sendobj.py())?;
        alltoall(sendobj.py(), self.raw(), sendobj)
    }

    /// reduce(self, sendobj: Any, op: Op | Callable[[Any, Any], Any] = SUM, root: int = 0) -> Any | None
    ///
    /// Combine the objects of all processes at one process.
    #[pyo3(signature = (sendobj, op = None, root = 0))]
    fn reduce(&self, sendobj: Object<'_, '_>, op: Option<Object<'_, '_>>, root: c_int) -> PyResult<Py<PyAny>> {
        let py = sendobj.py();
        super::irecv::serve(py)?;
        match gather(py, self.raw(), sendobj, root)? {
            Some(objects) => fold(py, op, &objects),
            None => Ok(py.None()),
        }
    }

    /// allreduce(self, sendobj: Any, op: Op | Callable[[Any, Any], Any] = SUM) -> Any
    ///
    /// Combine the objects of all processes at all of them.
    #[pyo3(signature = (sendobj, op = None))]
    fn allreduce(&self, sendobj: Object<'_, '_>, op: Option<Object<'_, '_>>) -> PyResult<Py<PyAny>> {
        let py = sendobj.py();
        super::irecv::serve(py)?;
        fold(py, op, &allgather(py, self.raw(), sendobj)?)
    }
}

#[pymethods]
impl Intracomm {
    /// scan(self, sendobj: Any, op: Op | Callable[[Any, Any], Any] = SUM) -> Any
    ///
    /// Combine at each process the objects of all processes up to it.
    #[pyo3(signature = (sendobj, op = None))]
    fn scan(slf: &Bound<'_, Self>, sendobj: Object<'_, '_>, op: Option<Object<'_, '_>>) -> PyResult<Py<PyAny>> {
        let (py, comm) = (slf.py(), raw_of(slf));
        super::irecv::serve(py)?;
        let objects = allgather(py, comm, sendobj)?;
        fold(py, op, &objects[..=number(rank(py, comm)?)])
    }

    /// exscan(self, sendobj: Any, op: Op | Callable[[Any, Any], Any] = SUM) -> Any
    ///
    /// Combine at each process the objects of all processes before it.
    #[pyo3(signature = (sendobj, op = None))]
    fn exscan(slf: &Bound<'_, Self>, sendobj: Object<'_, '_>, op: Option<Object<'_, '_>>) -> PyResult<Py<PyAny>> {
        let (py, comm) = (slf.py(), raw_of(slf));
        super::irecv::serve(py)?;
        let objects = allgather(py, comm, sendobj)?;
        fold(py, op, &objects[..number(rank(py, comm)?)])
    }
}
