//! Notes in a line: where the bytes of a step are, in collectives where its writer decides that. (Those of Bcast are lengths, and 0
//! says that the bytes are in the line: `bcast`.)

/// In the chunk, or a part of it.
pub(super) const IN_CHUNK: u64 = 1;
/// They come, or are to be sent, as a message.
pub(super) const BY_MESSAGE: u64 = 2;
/// The chunk has the lengths of the blocks for all ranks, which come in pieces.
pub(super) const TABLE_OF_PIECES: u64 = 3;
/// In the lowest byte: the chunk has the first piece of a block; the block's length in the bits above.
pub(super) const FIRST_PIECE: u64 = 4;
/// In the highest byte: the line has blocks for all ranks, the other bytes their lengths, rank 0's the lowest.
pub(super) const BLOCKS_IN_LINE: u64 = 0xff << 56;
/// So many lengths have room in such a note.
pub(super) const BLOCKS_IN_LINE_RANKS: usize = 7;
