//! Blocks of collectives that only their sender and their receiver know (Gatherv, Alltoallw, those of neighbours, ...):
//! under `mpiexec --check` both tell each other what they send and what they expect, before the blocks themselves
//! go, and each compares. A difference is an error of both. The steps are made in `plan/compared`.

use crate::check::Note;
use crate::coll::turn;
use crate::{Error, Result};
use mpi_abi::consts::{MPI_ERR_OP, MPI_ERR_OTHER, MPI_ERR_TRUNCATE, MPI_ERR_TYPE};

/// A block as one side sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) bytes: usize,
    /// The operation that it is combined with, as [`turn::op_name`] has it; 0 = none.
    pub(super) op: u64,
    pub(super) note: Note,
}

impl Block {
    /// Bytes of a message with one: the longest that there can be, so that a receiver needs not know.
    pub(super) const MESSAGE: usize = 16 + Note::MOST;

    /// As a message.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut message =
            [&(self.bytes as u64).to_ne_bytes()[..], &self.op.to_ne_bytes(), &self.note.encode()].concat();
        message.resize(Self::MESSAGE, 0);
        message
    }

    fn decode(message: &[u8]) -> Option<Self> {
        let (bytes, rest) = message.split_first_chunk::<8>()?;
        let (op, note) = rest.split_first_chunk::<8>()?;
        let (note, _) = Note::decode(note)?;
        Some(Self { bytes: u64::from_ne_bytes(*bytes) as usize, op: u64::from_ne_bytes(*op), note })
    }

    /// Whether both have the same values. What is packed may be anything of its length, and an object is as long as
    /// it is.
    fn fits(&self, other: &Self) -> bool {
        if self.op != other.op {
            return false;
        }
        if self.note.packed || other.note.packed {
            return self.bytes == other.bytes;
        }
        (self.note.elements, self.note.hash) == (other.note.elements, other.note.hash)
    }

    /// `10 x MPI_INT (40 bytes)`.
    fn amount(&self) -> String {
        let s = if self.bytes == 1 { "" } else { "s" };
        format!("{} ({} byte{s})", self.note.text, self.bytes)
    }

    /// ` for MPI_SUM`.
    fn purpose(&self) -> String {
        turn::op_words(self.op).map_or_else(String::new, |op| format!(" for {op}"))
    }
}

/// A block and who is at its other end.
#[derive(Debug)]
pub(super) struct Ours {
    /// This process sends it.
    pub(super) sends: bool,
    /// The other side, in words: `rank 3`, `rank 3 of the other group`.
    pub(super) peer: String,
    pub(super) block: Block,
    /// What the other side says of it, [`Block::MESSAGE`] bytes.
    pub(super) theirs: *const u8,
}

/// What a step compares.
#[derive(Debug)]
pub(super) struct Comparison {
    /// The collective as the user called it.
    pub(super) name: String,
    /// This process, in words.
    pub(super) me: String,
    /// `, on MPI_COMM_WORLD`, or nothing.
    pub(super) on: String,
    pub(super) blocks: Vec<Ours>,
}

impl Comparison {
    /// The first block about which both sides do not agree.
    ///
    /// # Safety
    /// What the other sides say is there.
    pub(super) unsafe fn check(&self) -> Result<()> {
        let mut others = 0;
        let mut first = None;
        for ours in &self.blocks {
            // SAFETY: the caller's word.
            let message = unsafe { std::slice::from_raw_parts(ours.theirs, Block::MESSAGE) };
            let Some(theirs) = Block::decode(message) else {
                let text = format!("{}: {} did not say what it sends or expects", self.name, ours.peer);
                return Err(Error::new(MPI_ERR_OTHER, text));
            };
            if ours.block.fits(&theirs) {
                continue;
            }
            if first.is_some() {
                others += 1;
            } else {
                first = Some((ours, theirs));
            }
        }
        let Some((ours, theirs)) = first else { return Ok(()) };
        let more = match others {
            0 => String::new(),
            1 => "; another block of this rank differs, too".to_owned(),
            many => format!("; {many} other blocks of this rank differ, too"),
        };
        let (sender, receiver) = if ours.sends { (&*self.me, &*ours.peer) } else { (&*ours.peer, &*self.me) };
        let (sent, expected) = if ours.sends { (&ours.block, &theirs) } else { (&theirs, &ours.block) };
        let Error { class, text } = different(&self.name, &self.on, (sender, sent), (receiver, expected));
        Err(Error::new(class, format!("{text}{more}")))
    }
}

/// The error of a block that is sent by one and expected by another one as something else.
fn different(name: &str, on: &str, (sender, sent): (&str, &Block), (receiver, expected): (&str, &Block)) -> Error {
    let (class, rule) = match () {
        () if sent.op != expected.op => (MPI_ERR_OP, "the operation must be the same"),
        () if sent.bytes != expected.bytes => (MPI_ERR_TRUNCATE, "counts and types must agree"),
        () => (MPI_ERR_TYPE, "counts and types must agree"),
    };
    let amount = |block: &Block| {
        let purpose = if class == MPI_ERR_OP { block.purpose() } else { String::new() };
        format!("{}{purpose}", block.amount())
    };
    let to = if sender == receiver { "itself" } else { receiver };
    let from = if sender == receiver { "itself" } else { sender };
    Error::new(
        class,
        format!(
            "{name}: {sender} sends {} to {to} ({}), {receiver} expects {} from {from} ({}){on}: {rule} on both sides",
            amount(sent),
            sent.note.place,
            amount(expected),
            expected.note.place,
        ),
    )
}

/// An error if what this process sends to itself is not what it expects.
pub(super) fn check_own(name: &str, me: &str, on: &str, sent: &Block, expected: &Block) -> Result<()> {
    if sent.fits(expected) { Ok(()) } else { Err(different(name, on, (me, sent), (me, expected))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpi_abi::Op;
    use mpi_abi::consts::{MPI_MAX, MPI_SUM};

    fn block(count: usize, kind: &str, size: usize, place: &str) -> Block {
        let note = Note {
            elements: count as u64,
            hash: kind.len() as u64,
            packed: kind == "MPI_PACKED",
            text: format!("{count} x {kind}"),
            place: place.into(),
        };
        Block { bytes: count * size, op: 0, note }
    }

    fn compared(ours: &Block, theirs: &[Block]) -> Result<()> {
        let messages: Vec<_> = theirs.iter().map(Block::encode).collect();
        let blocks = messages.iter().zip(3..).map(|(message, rank)| Ours {
            sends: true,
            peer: format!("rank {rank}"),
            block: ours.clone(),
            theirs: message.as_ptr(),
        });
        let comparison = Comparison {
            name: "Ialltoallv".into(),
            me: "rank 1".into(),
            on: ", on MPI_COMM_WORLD".into(),
            blocks: blocks.collect(),
        };
        // SAFETY: the messages are there.
        unsafe { comparison.check() }
    }

    #[test]
    fn a_block_comes_as_it_was_told() {
        let block = Block { op: 5, ..block(7, "MPI_INT", 4, "a.py:3") };
        let message = block.encode();
        assert_eq!(message.len(), Block::MESSAGE);
        assert_eq!(Block::decode(&message), Some(block));
        assert_eq!(Block::decode(&[0xff; Block::MESSAGE]), None);
    }

    #[test]
    fn both_sides_are_named_with_their_numbers_and_places() {
        let ours = block(10, "MPI_INT", 4, "a.py:3");
        assert_eq!(compared(&ours, &[ours.clone(), block(40, "MPI_PACKED", 1, "")]), Ok(()));
        let error = compared(&ours, &[ours.clone(), block(8, "MPI_INT", 4, "b.py:5")]).unwrap_err();
        assert_eq!(error.class, MPI_ERR_TRUNCATE);
        assert_eq!(
            error.text,
            "Ialltoallv: rank 1 sends 10 x MPI_INT (40 bytes) to rank 4 (a.py:3), rank 4 expects 8 x MPI_INT (32 bytes) \
             from rank 1 (b.py:5), on MPI_COMM_WORLD: counts and types must agree on both sides"
        );
        let float = block(10, "MPI_FLOAT", 4, "");
        let error = compared(&ours, &[float.clone(), float.clone(), float]).unwrap_err();
        assert_eq!(error.class, MPI_ERR_TYPE);
        assert!(error.text.ends_with("; 2 other blocks of this rank differ, too"), "{}", error.text);
        assert_eq!(compared(&ours, &[block(39, "MPI_PACKED", 1, "")]).unwrap_err().class, MPI_ERR_TRUNCATE);
        let with = |op: Op| Block { op: turn::op_name(op), ..ours.clone() };
        let error = compared(&with(MPI_SUM), &[with(MPI_SUM), with(MPI_MAX)]).unwrap_err();
        assert_eq!(error.class, MPI_ERR_OP);
        assert_eq!(
            error.text,
            "Ialltoallv: rank 1 sends 10 x MPI_INT (40 bytes) for MPI_SUM to rank 4 (a.py:3), rank 4 expects 10 x MPI_INT \
             (40 bytes) for MPI_MAX from rank 1 (a.py:3), on MPI_COMM_WORLD: the operation must be the same on both sides"
        );
    }
}
