//! How the bytes of a message travel between two ranks. README.md in this folder has the states
//! and the steps of both sides; here are the numbers on the wire and the peers' state.
//!
//! | file | does |
//! |---|---|
//! | `send` | starts messages, streams large ones |
//! | `receive` | takes cells, matches, delivers |
//! | `parts` | messages of middle size in parts, without an offer |
//! | `noted` | messages that carry what `mpiexec --check` compares |
//! | `pace` | how to write into a ring, by where the receiver runs |
//! | `room` | which data ring a peer has |
//! | `partitioned` | messages in partitions |
//! | `cancel` | taking sends back |
//! | `copying` | single copy through the kernel, and when it pays |

mod bounce;
mod cancel;
pub(crate) mod copying;
mod noted;
pub(crate) mod pace;
pub(crate) mod partitioned;
pub(crate) mod parts;
mod receive;
mod room;
mod send;

use crate::p2p::partitioned::Announcement;
use crate::{Engine, Error, Result};
use mpi_abi::consts::{MPI_ERR_INTERN, MPI_ERR_NO_MEM};
use shm::Segment;
use shm::ring::{self, DataRing, Inbox, Receiver, Sender, WORDS};
use std::collections::VecDeque;

/// A whole message in the cell. Inline bytes; if they leave the last word free, there: position.
pub(crate) const EAGER: u8 = 1;
/// A whole message in a piece of the data ring. Words: piece, position.
pub(crate) const EAGER_DATA: u8 = 2;
/// The beginning of a message and the offer of the rest. Words: total, request, address, piece.
pub(crate) const OFFER: u8 = 3;
/// The receiver has matched: stream the rest. Words: sender's request, receiver's request.
pub(crate) const ACCEPT: u8 = 4;
/// A part of a streamed message. Words: receiver's request, position, piece.
pub(crate) const PART: u8 = 5;
/// The receiver is done with a message that awaits this. Words: sender's request.
pub(crate) const FIN: u8 = 6;
/// The receiver reads the first part itself and asks the sender to write the rest. Words:
/// sender's request, receiver's request, receiver's address, first position to write.
pub(crate) const SHARE: u8 = 7;
/// The sender has written its share. Words: receiver's request, bytes; 0 = it could not.
pub(crate) const WRITTEN: u8 = 8;

/// The beginning of a message whose parts follow at once. Words: piece, total.
pub(crate) const EAGER_PARTS: u8 = 9;
/// A part of the message that began last. Words: piece, position.
pub(crate) const EAGER_PART: u8 = 10;
/// The bytes of an offer lie elsewhere now. Words: sender's request, address.
pub(crate) const MOVED: u8 = 18;
/// A whole message in the near bytes. Words: offset, length, position.
pub(crate) const EAGER_NEAR: u8 = 11;

/// So many inline bytes leave the last word of a cell free.
pub(crate) const INLINE_AND_POSITION: usize = shm::ring::INLINE - 8;

/// Of messages in partitions, with the words that `partitioned` lists: a send was made; the receive was
/// started; a piece of a partition.
pub(crate) const ANNOUNCE: u8 = 12;
pub(crate) const OPEN: u8 = 13;
pub(crate) const PARTITION: u8 = 14;

/// The sender wants its offer back. Words: its request, context.
pub(crate) const WITHDRAW: u8 = 15;
/// The receiver had not matched it, and has forgotten it. Words: sender's request.
pub(crate) const WITHDRAWN: u8 = 16;

/// As OFFER, with a note before the message's first bytes.
pub(crate) const NOTED_OFFER: u8 = 17;

/// Flags of an offer.
pub(crate) const SYNCHRONOUS: u8 = 1;
pub(crate) const BLOCKING: u8 = 2;
/// An offer's flag: the sender writes to this receiver past the caches.
pub(crate) const FAR: u8 = 4;

/// Up to this size a message goes in one piece without a handshake (measured by the prototype:
/// beyond it two copies that overlap are faster than one piece).
pub(crate) const EAGER_MAX: usize = 32 << 10;
/// Bytes of a large message that go with its offer, so that a receiver that waits has something
/// to copy while its answer travels.
pub(crate) const FIRST_PART: usize = 16 << 10;
/// Bytes of a part while streaming: small enough that reader and writer overlap inside the L2
/// cache, large enough that cells and wake-ups do not count (16 to 32 KiB were equal).
pub(crate) const PART_BYTES: usize = 32 << 10;
/// Sends below this size are tried without a request, unless something is to be known of each.
pub(crate) const AT_ONCE_BELOW: usize = parts::PARTS_MAX + 1;

/// One cell's worth of a protocol's words that could not be sent yet.
#[derive(Clone, Copy)]
pub(crate) struct Control {
    pub kind: u8,
    pub words: [u64; WORDS],
}

/// What waits for room in a ring, in order.
pub(crate) enum Outgoing {
    Control(Control),
    /// A send request that has not begun.
    Message(usize),
    /// A send in partitions was made.
    Announcement(Box<Announcement>),
}

/// What this process has to do with one other rank.
#[derive(Default)]
pub(crate) struct Peer {
    out: Option<Sender>,
    data: Option<DataRing>,
    /// Bytes that went through data rings which are gone, for the next one.
    data_position: u64,
    /// Waits for room.
    backlog: VecDeque<Outgoing>,
    /// Accepted sends that are being streamed, in order.
    streams: VecDeque<usize>,
    /// Where the parts go that it sends.
    arriving: Option<parts::Arriving>,
    /// In `Transport::busy`.
    busy: bool,
    /// Place in `Transport::incoming`, plus 1; 0 = it has not opened a ring to us.
    ring: u32,
    /// How to write to its data ring.
    pace: pace::Pace,
    /// Cells read from its ring: goes along with small messages to it, so that it need not look.
    taken: u32,
}

/// The transport's state of this process.
pub(crate) struct Transport {
    pub(crate) segment: &'static Segment,
    pub(crate) me: u32,
    inbox: Inbox,
    /// Rings to us, in order of first contact.
    incoming: Vec<(u32, Receiver)>,
    peers: Vec<Peer>,
    /// Peers with a backlog or streams.
    busy: Vec<u32>,
    /// Who has which data ring.
    rings: room::Rings,
    /// Whether the kernel lets us copy from and to other ranks: unknown until the first try.
    pub(crate) single_copy: Option<bool>,
    bounce: bounce::Bounce,
}

impl Transport {
    /// For rank `me`.
    pub(crate) fn new(segment: &'static Segment, me: u32) -> Self {
        Self {
            segment,
            me,
            inbox: Inbox::new(segment, me),
            incoming: Vec::new(),
            peers: (0..segment.ranks()).map(|_| Peer::default()).collect(),
            busy: Vec::new(),
            rings: room::Rings::default(),
            single_copy: None,
            bounce: bounce::Bounce::default(),
        }
    }

    fn add_incoming(&mut self, contact: (u32, Receiver)) {
        let from = contact.0 as usize;
        self.incoming.push(contact);
        self.peers[from].ring = u32::try_from(self.incoming.len()).unwrap_or(0);
    }

    /// The place in `incoming` of the ring from `rank`.
    #[inline]
    fn ring_of(&self, rank: u32) -> Option<usize> {
        (self.peers.get(rank as usize)?.ring as usize).checked_sub(1)
    }

    /// The ring to `peer`, made at first contact.
    #[inline]
    fn open(&mut self, peer: u32) -> Result<&mut Peer> {
        if self.peers[peer as usize].out.is_none() {
            self.open_ring(peer)?;
        }
        Ok(&mut self.peers[peer as usize])
    }

    #[cold]
    fn open_ring(&mut self, peer: u32) -> Result<()> {
        let sender = ring::open(self.segment, self.me, peer)
            .map_err(|e| Error::new(MPI_ERR_NO_MEM, format!("opening a ring to rank {peer}: {e}")))?;
        self.peers[peer as usize].out = Some(sender);
        Ok(())
    }

    /// Done with the cell that was peeked at in ring `index`, from rank `from`.
    #[inline]
    fn advance(&mut self, index: usize, from: u32) {
        let receiver = &mut self.incoming[index].1;
        let given_back = receiver.advance();
        self.peers[from as usize].taken = receiver.position();
        if given_back {
            self.segment.rank_page(from).wake();
        }
    }

    /// Rank `from` said how many of our cells it has read.
    #[inline]
    fn hear(&mut self, from: u32, position: u64) {
        if let Some(out) = &mut self.peers[from as usize].out {
            out.hear(position as u32);
        }
    }

    fn set_busy(&mut self, peer: u32) {
        let state = &mut self.peers[peer as usize];
        if !state.busy {
            state.busy = true;
            self.busy.push(peer);
        }
    }

    /// Sends a cell of words, now or when there is room.
    pub(crate) fn control(&mut self, peer: u32, kind: u8, words: [u64; WORDS]) -> Result<()> {
        let segment = self.segment;
        let state = self.open(peer)?;
        if state.backlog.is_empty()
            && let Some(slot) = state.out.as_mut().and_then(Sender::slot)
        {
            slot.header(kind, 0, 0, 0, 0);
            for (i, word) in words.into_iter().enumerate() {
                slot.word(i, word);
            }
            slot.publish();
            segment.rank_page(peer).wake_after_fence();
            return Ok(());
        }
        state.backlog.push_back(Outgoing::Control(Control { kind, words }));
        self.set_busy(peer);
        Ok(())
    }

    /// Whether anything waits to be sent.
    pub(crate) fn has_outgoing(&self) -> bool {
        !self.busy.is_empty()
    }
}

impl Engine {
    /// The transport of an initialized engine.
    #[inline]
    pub(crate) fn transport(&mut self) -> Result<&mut Transport> {
        self.transport.as_mut().ok_or_else(|| Error::new(MPI_ERR_INTERN, "MPI is not initialized"))
    }
}
