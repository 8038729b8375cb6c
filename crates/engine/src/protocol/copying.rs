//! Single copy: the kernel copies straight from one process's memory to the other's. For very
//! large messages the receiver reads the beginning while the sender writes the end.

use super::{FIN, MOVED};
use crate::coll::turn::is_collectives;
use crate::copy::string_move_is_slow;
use crate::p2p::matching::{Body, Offer};
use crate::payload::Payload;
use crate::protocol::Transport;
use crate::request::{Role, SendState, State};
use crate::{Engine, Error};
use mpi_abi::consts::MPI_ERR_OTHER;
use shm::os::cma::Copied;
use shm::sync::Ordering;
use shm::wait::Policy;
use std::ffi::c_int;

/// From this size on the kernel copies what nobody has a wish for, if the ranks' cores share no cache, or we cannot write
/// past the caches. Else the ring is faster. Two buffers in turn, ring and kernel (which both sides share): near
/// 8 MiB 298 and 475 us, 16 MiB 590 and 780, 64 MiB 2350 and 2800; far 16 MiB 880 and 715.
const SINGLE_COPY_MIN: usize = 12 << 20;

/// The same for messages between one rank and many with two ranks or more per core: through the ring the
/// one rank's core copies every byte of them, while a leaf's copy through the kernel is spread over all cores.
/// Measured, 4 ranks on 2 cores, ring and kernel: Scatter of 1 MiB for each 170 and 157 us, of 4 MiB 1140 and
/// 490 us, Gather 175 and 157, 1400 and 660 us; 512 KiB equal. 3 ranks on 2 cores: the ring is better at 1 MiB.
const SCATTER_MIN: usize = 1 << 20;
/// With four ranks per core. 8 ranks on 2 cores: Scatter of 128 KiB 120 and 73 us, of 512 KiB 440 and 220.
const SCATTER_MIN_HEAPED: usize = 64 << 10;
/// To one rank: its rings would push each other out of the caches. Gatherv, 8 ranks on 2 cores: 64 KiB each 88 and 52 us, 256 KiB 910 and
/// 290; 4 ranks, 64 KiB 21.6 and 21.3, 128 KiB 43 and 40.
const GATHER_MIN: usize = 64 << 10;
/// To one rank with a core for each: the root copies its own block meanwhile, and through a ring the sender would wait for it. Gather, 2 ranks
/// on Zen 3, of 2 MiB 1.25 of the time, 4 MiB 0.74, 8 MiB 0.72, 16 MiB 0.82; Scatter does not gain (1.5, 0.9, 1.0, 1.1 for 1, 4, 8, 16 MiB).
const GATHER_MIN_APART: usize = 4 << 20;
/// The same where each rank sends to all: no core is left that could do the other half of a copy through the ring, and each pair
/// has a ring.
const EXCHANGE_MIN_PACKED: usize = 1 << 20;
const EXCHANGE_MIN: usize = 4 << 20;

/// Which side of an internal message copies if the kernel does it. Travels in the message's tag
/// (`coll::turn`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copier {
    /// As size and the sender's waiting say.
    Either,
    /// The sender, which waits in its call.
    Sender,
    /// The receiver.
    Receiver,
    /// The receiver, while every rank sends and receives.
    Everybody,
}

impl Copier {
    /// Tags of messages that differ in nothing else.
    pub(crate) const KINDS: c_int = 4;

    /// The wish that is in a tag of a blocking collective.
    pub(crate) fn of_tag(tag: c_int) -> Self {
        let wishes = [Self::Sender, Self::Receiver, Self::Everybody];
        wishes
            .into_iter()
            .find(|wish| is_collectives(tag) && *wish as c_int == tag % Self::KINDS)
            .unwrap_or(Self::Either)
    }

    /// The wish of a message; only the engine's own contexts have any.
    fn of(context: u32, tag: c_int) -> Self {
        if context % 2 == 1 { Self::of_tag(tag) } else { Self::Either }
    }

    /// What it comes to with this many ranks.
    fn with(self, policy: Policy) -> Self {
        match self {
            Self::Receiver if !policy.packed() => Self::Either,
            wish => wish,
        }
    }

    /// From so many bytes on the kernel copies.
    fn least(self, policy: Policy) -> usize {
        match self {
            Self::Either => SINGLE_COPY_MIN,
            Self::Sender if !policy.packed() => GATHER_MIN_APART,
            Self::Receiver if policy.heaped() => SCATTER_MIN_HEAPED,
            Self::Receiver => SCATTER_MIN,
            Self::Sender => GATHER_MIN,
            Self::Everybody if policy.packed() => EXCHANGE_MIN_PACKED,
            Self::Everybody => EXCHANGE_MIN,
        }
    }
}

/// A copy that both sides share.
#[derive(Clone, Copy)]
pub(super) struct Share {
    /// Our buffer.
    pub address: usize,
    /// We read up to here; the sender writes the rest. The whole length: we read everything.
    pub write_from: usize,
    first: usize,
}

impl Transport {
    /// Whether the kernel will copy all of a message that is about to be offered, as far as its sender knows: then
    /// nothing of it goes through the ring, which would keep a root that sends to many longer than its offers.
    pub(super) fn copied_whole(&self, policy: Policy, send: &SendState, payload: &Payload) -> bool {
        let wish = Copier::of(send.context, send.tag).with(policy);
        wish != Copier::Either
            && payload.len() >= wish.least(policy)
            && payload.run().is_some()
            && self.single_copy != Some(false)
    }

    fn pid_of(&self, rank: u32) -> i32 {
        self.segment.rank_page(rank).identity.0.pid.load(Ordering::Relaxed).cast_signed()
    }

    /// Writes `len` bytes into another rank's memory; what stopped it if anything did.
    ///
    /// # Safety
    /// `from` is valid for reads of `len` bytes.
    pub(super) unsafe fn write_to(&mut self, rank: u32, from: *const u8, to: usize, len: usize) -> Result<(), Copied> {
        let pid = self.pid_of(rank);
        // SAFETY: the caller's word.
        unsafe { self.bounce.write(pid, from, to, len) }
    }

    /// Reads `len` bytes of another rank's memory; what stopped it if anything did.
    ///
    /// # Safety
    /// `to` is valid for writes of `len` bytes.
    unsafe fn read_from(&mut self, rank: u32, to: *mut u8, from: usize, len: usize) -> Result<(), Copied> {
        let pid = self.pid_of(rank);
        // SAFETY: the caller's word.
        unsafe { self.bounce.read(pid, to, from, len) }
    }
}

impl Engine {
    /// Whether, and how, the rest of an offered message is to be copied by the kernel.
    pub(super) fn plan_share(&mut self, raw: usize, from: u32, offer: Offer, first: usize) -> Option<Share> {
        let policy = self.policy();
        let request = self.requests.get(raw)?;
        let Role::Recv(recv) = &request.role else { return None };
        let copier = Copier::of(recv.context, recv.tag).with(policy);
        if offer.total < copier.least(policy) || offer.address == 0 {
            return None;
        }
        if copier == Copier::Either && !offer.far && cfg!(target_arch = "x86_64") {
            return None;
        }
        let address = request.payload.run()? as usize;
        if request.payload.len() < offer.total {
            return None;
        }
        if copier == Copier::Either && string_move_is_slow(address, offer.address) {
            return None;
        }
        let transport = self.transport.as_mut()?;
        if transport.single_copy.is_none() {
            // One real read decides: settings do not tell (namespaces, seccomp, Yama).
            let mut byte = 0u8;
            // SAFETY: the destination is our own byte.
            let got = unsafe { transport.read_from(from, &raw mut byte, offer.address, 1) };
            transport.single_copy = Some(got.is_ok());
        }
        if transport.single_copy != Some(true) {
            return None;
        }
        let rest = offer.total - first;
        let write_from = match copier {
            Copier::Sender if offer.blocking => first,
            Copier::Either if offer.blocking => first + (rest / 2).next_multiple_of(4096),
            _ => offer.total,
        };
        Some(Share { address, write_from: write_from.min(offer.total), first })
    }

    /// Our part of a shared copy.
    pub(super) fn read_share(&mut self, raw: usize, from: u32, offer: Offer, share: Share) {
        let Some(transport) = self.transport.as_mut() else { return };
        let len = share.write_from - share.first;
        let to = (share.address + share.first) as *mut u8;
        // SAFETY: `address` is the receive's run, at least `total` bytes long (`plan_share`), and
        // the receive is active.
        let got = unsafe { transport.read_from(from, to, offer.address + share.first, len) };
        if let Err(why) = got {
            let text = format!("reading {len} bytes from rank {from} with process_vm_readv failed ({why:?})");
            // Complete only when the sender has written its share: until then the buffer is in use.
            if let Some(request) = self.requests.get_mut(raw) {
                request.error = Some(Box::new(Error::new(MPI_ERR_OTHER, text)));
            }
        }
        if let Some(Role::Recv(recv)) = self.requests.get_mut(raw).map(|r| &mut r.role) {
            recv.arrived += len;
        }
        // The sender may give its buffer back once it has also written its own part.
        let _ = self.say(from, (FIN, [offer.request, 0, 0, 0, 0, 0]));
        self.finish_receive(raw);
    }

    /// The sender has written its part of a shared copy (0 bytes: it could not).
    pub(super) fn written(&mut self, from: u32, raw: usize, bytes: usize) {
        let Some(request) = self.requests.get_mut(raw) else { return };
        let Role::Recv(recv) = &mut request.role else { return };
        if bytes == 0 {
            let text = format!("rank {from} could not write its share of a message (process_vm_writev)");
            return self.fail_request(raw, Error::new(MPI_ERR_OTHER, text));
        }
        recv.arrived += bytes;
        recv.shared = false;
        self.finish_receive(raw);
    }

    /// Tells the receiver of a send that may have been offered that its bytes are at `address` now.
    pub(crate) fn say_moved(&mut self, raw: usize, peer: u32, address: u64) {
        if peer != self.me {
            // A ring that can not be opened was never opened: nothing was offered.
            let _ = self.say(peer, (MOVED, [raw as u64, address, 0, 0, 0, 0]));
        }
    }

    /// The bytes of an offer lie elsewhere now.
    pub(super) fn moved(&mut self, from: u32, request: u64, address: usize) {
        let kept = self.messages.values_mut().map(|matched| &mut matched.message);
        let offers = self.contexts.unexpected_mut().chain(kept).filter(|m| m.from == from);
        for message in offers {
            if let Body::Offer(offer, _) = message.body.bare_mut()
                && offer.request == request
            {
                offer.address = address;
            }
        }
    }

    fn finish_receive(&mut self, raw: usize) {
        let done = self.requests.get(raw).is_some_and(|r| {
            r.state == State::Active && matches!(&r.role, Role::Recv(recv) if recv.arrived >= recv.total)
        });
        if done {
            self.complete_request(raw);
        }
    }
}
