//! What pieces of the arena are for: each purpose has a share of its address space, so that none can
//! take the room of another.

/// What a piece is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Cells and bytes of messages.
    Rings,
    /// The small pieces of communicators' collectives: without them collectives go by messages.
    Lines,
    /// The large ones: the same for all but the shortest.
    Chunks,
}

impl Purpose {
    /// In words, for errors.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rings => "messages",
            Self::Lines | Self::Chunks => "collectives",
        }
    }
}
