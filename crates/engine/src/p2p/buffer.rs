//! Buffers for buffered sends (MPI-5.0 section 3.6): of the process, of communicators and of
//! sessions. The engine keeps the bytes of buffered messages in memory of its own; what the user
//! attached counts as the allowance, so that a program that works here works elsewhere.

use crate::progress::wait_for;
use crate::status::{Call, Waiting};
use crate::{Error, Result, with};
use mpi_abi::consts::{MPI_BSEND_OVERHEAD, MPI_ERR_BUFFER};
use std::collections::HashMap;

/// Whose buffer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The process (MPI_Buffer_attach).
    Process,
    /// A communicator, by handle (MPI_Comm_attach_buffer).
    Comm(usize),
    /// A session, by handle (MPI_Session_attach_buffer).
    Session(usize),
}

#[derive(Debug, Clone, Copy)]
struct Attached {
    address: usize,
    /// None = automatic: as much as is needed.
    size: Option<usize>,
    used: usize,
}

/// All attached buffers.
#[derive(Debug, Default)]
pub struct Buffers {
    attached: HashMap<Owner, Attached>,
}

const OVERHEAD: usize = MPI_BSEND_OVERHEAD as usize;

impl Buffers {
    /// Takes room for a message of `len` bytes on communicator `comm`.
    pub(crate) fn take(&mut self, comm: usize, len: usize) -> Result<usize> {
        let owner = if self.attached.contains_key(&Owner::Comm(comm)) { Owner::Comm(comm) } else { Owner::Process };
        let need = len + OVERHEAD;
        let Some(buffer) = self.attached.get_mut(&owner) else {
            return Err(Error::new(
                MPI_ERR_BUFFER,
                format!("a buffered send of {len} bytes, but no buffer is attached (MPI_Buffer_attach)"),
            ));
        };
        if let Some(size) = buffer.size
            && buffer.used + need > size
        {
            return Err(Error::new(
                MPI_ERR_BUFFER,
                format!(
                    "a buffered send of {len} bytes needs {need} with MPI_BSEND_OVERHEAD, but {} of the attached {size} \
                     bytes are in use",
                    buffer.used
                ),
            ));
        }
        buffer.used += need;
        Ok(need)
    }

    pub(crate) fn give_back(&mut self, comm: usize, bytes: usize) {
        let owner = if self.attached.contains_key(&Owner::Comm(comm)) { Owner::Comm(comm) } else { Owner::Process };
        if let Some(buffer) = self.attached.get_mut(&owner) {
            buffer.used = buffer.used.saturating_sub(bytes);
        }
    }
}

/// Attaches a buffer (`size` None = automatic).
pub fn attach(owner: Owner, address: usize, size: Option<usize>) -> Result<()> {
    with(|e| {
        if e.buffers.attached.contains_key(&owner) {
            return Err(Error::new(MPI_ERR_BUFFER, "a buffer is attached already: detach it first"));
        }
        e.buffers.attached.insert(owner, Attached { address, size, used: 0 });
        Ok(())
    })
}

/// Waits until all buffered messages are on their way (MPI_Buffer_flush).
pub fn flush(owner: Owner) -> Result<()> {
    wait_for(Waiting::anybody(Call::BufferDetach), |e| {
        e.buffers.attached.get(&owner).is_none_or(|b| b.used == 0).then_some(())
    })
}

/// Waits as [`flush`] and gives the buffer back: its address and size, none if there was none.
pub fn detach(owner: Owner) -> Result<Option<(usize, Option<usize>)>> {
    flush(owner)?;
    Ok(with(|e| e.buffers.attached.remove(&owner).map(|b| (b.address, b.size))))
}
