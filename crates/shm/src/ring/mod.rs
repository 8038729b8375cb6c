//! Rings: everything that one rank sends to one other, in order.
//!
//! - [`cells`]: 64-byte cells with a header and up to 48 bytes in the same line: small messages,
//!   and the words of the protocols; and a few KiB beside them for messages up to 2 KiB.
//! - [`data`]: a ring of bytes beside it for what does not fit into a cell; made at first need.
//!
//! The protocol, its races and what happens when a peer dies: README.md in this folder.

mod cells;
mod connect;
mod data;

pub use cells::{Cell, INLINE, NEAR_MAX, Near, Receiver, Sender, Slot, WORDS};
pub use connect::{Inbox, open};
pub use data::{DataRing, LARGE_RINGS, MEDIUM, MEDIUM_RINGS, Piece, SMALL, large};
#[cfg(not(loom))]
pub(crate) use {cells::RING_BYTES, data::RANK_BYTES};
