//! Which data ring a peer has. All begin with a small one; a pair that talks much, or has a message that only then can go
//! at once, gets a large one, or one of middle size, as long as there are any: a rank has [`LARGE_RINGS`] and [`MEDIUM_RINGS`]. When all are given, those that
//! were not used for long are taken back from their pairs. Nothing here is on the way of a message: a pair comes
//! here when it has used up what its ring allows it.
//!
//! Why: 64 ranks that send each other 4000 bytes would take 1150 MiB if the first 16 pairs of a rank had the larger
//! rings from the beginning, they take 320; and whom a rank talks to first is not whom it talks to most.

use super::{Peer, Transport};
use crate::{Error, Result};
use mpi_abi::consts::MPI_ERR_NO_MEM;
use shm::ring::{self, DataRing, LARGE_RINGS, MEDIUM, MEDIUM_RINGS, SMALL};

/// Bytes through a small ring, with those skipped at its end, after which the pair should have a larger one. To take
/// 2 MiB for the first time costs both sides together about 0.4 ms: as much as the larger ring saves in 13 MiB.
const GROW_AFTER: u64 = 4 << 20;
/// After so many bytes more it asks again, if there was none.
const ASK_AGAIN: u64 = 4 << 20;
/// So often in a row a ring must have been found unused, by pairs that ask for one, to be taken back. Each of them
/// has sent [`ASK_AGAIN`] bytes since it asked before, so rings that take turns within less are left alone.
const UNUSED: u32 = 8;

/// A peer with a larger ring.
struct Holder {
    peer: u32,
    large: bool,
    /// Bytes that it had used when somebody looked last, and how often it was the same number.
    position: u64,
    unused: u32,
}

/// The larger rings of this process.
#[derive(Default)]
pub(super) struct Rings {
    holders: Vec<Holder>,
    /// Rings that were replaced while their last bytes may still be read.
    old: Vec<(u32, DataRing)>,
}

impl Rings {
    /// Whether the next larger ring is a large one, if there is one to give.
    fn next(&self) -> Option<bool> {
        let large = self.holders.iter().filter(|holder| holder.large).count();
        match (large, self.holders.len()) {
            (..LARGE_RINGS, _) => Some(true),
            (_, ..MEDIUM_RINGS) => Some(false),
            _ => None,
        }
    }

    /// The holder whose ring was not used for longest, if one may be taken back now.
    fn unused(&mut self, peers: &mut [Peer]) -> Option<Holder> {
        let mut found = None;
        for (i, holder) in self.holders.iter_mut().enumerate() {
            let Peer { out: Some(out), data: Some(data), .. } = &mut peers[holder.peer as usize] else { continue };
            if data.position() != holder.position || !data.is_read(out) {
                (holder.position, holder.unused) = (data.position(), 0);
                continue;
            }
            holder.unused += 1;
            if holder.unused >= UNUSED && found.is_none_or(|(_, most)| holder.unused > most) {
                found = Some((i, holder.unused));
            }
        }
        found.map(|(i, _)| self.holders.swap_remove(i))
    }
}

impl Transport {
    /// The data ring to `peer`, made or replaced if need be: for a message of `len` bytes that should go without
    /// waiting for its receiver, if a larger ring allows that.
    #[inline]
    pub(super) fn need_data(&mut self, peer: u32, len: usize) -> Result<()> {
        match &self.peers[peer as usize].data {
            Some(data) if !data.is_outgrown(len) => Ok(()),
            _ => self.open_data(peer, len),
        }
    }

    #[cold]
    fn open_data(&mut self, peer: u32, len: usize) -> Result<()> {
        self.free_old();
        let state = &self.peers[peer as usize];
        let (first, position) = match &state.data {
            None => (true, state.data_position),
            Some(data) => (false, data.position()),
        };
        if (!first || len > SMALL / 4) && self.take_larger(peer, position) {
            return Ok(());
        }
        let Peer { out: Some(out), data, .. } = &mut self.peers[peer as usize] else { return Ok(()) };
        match data {
            // There is no larger one now.
            Some(data) => data.grow_after(ASK_AGAIN, usize::MAX),
            None => {
                let mut ring = DataRing::new(self.segment, out, SMALL, position)
                    .map_err(|e| Error::new(MPI_ERR_NO_MEM, format!("making room for messages to rank {peer}: {e}")))?;
                ring.grow_after(GROW_AFTER, if len > SMALL / 4 { usize::MAX } else { ring.longest() });
                *data = Some(ring);
            }
        }
        Ok(())
    }

    /// Gives `peer`, who has used `position` bytes, a larger ring; false if there is none. Too little memory is no
    /// failure: a small one does.
    fn take_larger(&mut self, peer: u32, position: u64) -> bool {
        let large = self.rings.next().or_else(|| {
            let Holder { peer: other, large, .. } = self.rings.unused(&mut self.peers)?;
            let state = &mut self.peers[other as usize];
            if let Some(ring) = state.data.take() {
                state.data_position = ring.position();
                ring.free(self.segment);
            }
            Some(large)
        });
        let Some(large) = large else { return false };
        let Peer { out: Some(out), data, .. } = &mut self.peers[peer as usize] else { return false };
        let size = if large { ring::large() } else { MEDIUM };
        let Ok(ring) = DataRing::new(self.segment, out, size, position) else { return false };
        self.rings.old.extend(data.replace(ring).map(|old| (peer, old)));
        self.rings.holders.push(Holder { peer, large, position, unused: 0 });
        true
    }

    /// Gives back what was replaced, as far as it was read.
    fn free_old(&mut self) {
        for (peer, ring) in std::mem::take(&mut self.rings.old) {
            if self.peers[peer as usize].out.as_mut().is_none_or(|out| ring.is_read(out)) {
                ring.free(self.segment);
            } else {
                self.rings.old.push((peer, ring));
            }
        }
    }
}
