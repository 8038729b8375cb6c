//! The segment of the models (`--cfg loom`): the same interface as the real one over heap memory,
//! so that rings and collective places run on it unchanged. A piece is made when it is asked for
//! and not handed out again; instead loom hears of its release as a write ([`Segment::use_piece`]).

use crate::error::{Error, Result};
use crate::journal::Journal;
use crate::page::RankPage;
use crate::purpose::Purpose;
use crate::sync::{AtomicU32, AtomicU64};
use loom::cell::UnsafeCell;
use std::alloc::{Layout, alloc, dealloc};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

/// Address space of a piece in offsets; piece 0 does not exist.
const STRIDE: usize = 1 << 20;

#[derive(Clone)]
struct Piece {
    memory: NonNull<u8>,
    layout: Layout,
    /// Read by who uses the piece, written by who gives it back.
    owner: Arc<UnsafeCell<bool>>,
}

/// Heap memory in the role of the mapping.
pub struct Segment {
    pages: Vec<RankPage>,
    journals: Vec<Journal>,
    disputes: AtomicU64,
    rings: Vec<AtomicU32>,
    contacts: Vec<AtomicU32>,
    pieces: Mutex<Vec<Piece>>,
}

// SAFETY: as for the real one; loom watches over what is not atomic.
unsafe impl Send for Segment {}
// SAFETY: as above.
unsafe impl Sync for Segment {}

impl Segment {
    /// For `ranks` ranks.
    pub fn create(ranks: u32) -> Result<Self> {
        let table = || (0..ranks * ranks).map(|_| AtomicU32::new(0)).collect();
        Ok(Self {
            pages: (0..ranks).map(|_| RankPage::default()).collect(),
            journals: (0..ranks).map(|_| Journal::default()).collect(),
            disputes: AtomicU64::new(0),
            rings: table(),
            contacts: table(),
            pieces: Mutex::new(Vec::new()),
        })
    }

    /// How many ranks the job has.
    pub fn ranks(&self) -> u32 {
        self.pages.len() as u32
    }

    /// The page of `rank`.
    pub fn rank_page(&self, rank: u32) -> &RankPage {
        &self.pages[rank as usize]
    }

    /// The journal of `rank`.
    pub fn journal(&self, rank: u32) -> &Journal {
        &self.journals[rank as usize]
    }

    /// See the real one.
    pub(crate) fn disputes(&self) -> &AtomicU64 {
        &self.disputes
    }

    /// See the real one.
    pub fn wake_everybody(&self) {
        self.pages.iter().for_each(RankPage::wake);
    }

    /// See the real one.
    pub(crate) fn ring_place(&self, to: u32, from: u32) -> &AtomicU32 {
        &self.rings[(to * self.ranks() + from) as usize]
    }

    /// See the real one.
    pub(crate) fn contact(&self, to: u32, index: u32) -> &AtomicU32 {
        &self.contacts[(to * self.ranks() + index) as usize]
    }

    fn piece(&self, offset: usize) -> Option<Piece> {
        let pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.get((offset / STRIDE).checked_sub(1)?).cloned()
    }

    /// Makes a piece; its offset.
    pub fn allocate(&self, len: usize, _: Purpose) -> Result<usize> {
        assert!(len <= STRIDE);
        let layout = Layout::from_size_align(len, 4096).map_err(|e| Error::new(e.to_string()))?;
        // SAFETY: no piece is empty.
        let memory = NonNull::new(unsafe { alloc(layout) }).ok_or_else(|| Error::new("no memory"))?;
        let owner = Arc::new(UnsafeCell::new(true));
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.push(Piece { memory, layout, owner });
        Ok(pieces.len() * STRIDE)
    }

    /// The next owner writes into it.
    pub fn release(&self, offset: usize, _len: usize) {
        let piece = self.piece(offset).expect("a piece that exists");
        // SAFETY: loom fails the model if anybody else uses it at the same time.
        let was_used = piece.owner.with_mut(|used| std::mem::replace(unsafe { &mut *used }, false));
        assert!(was_used, "a piece is given back once");
    }

    /// Somebody uses the piece: a model says so where the real thing copies bytes.
    pub fn use_piece(&self, offset: usize) {
        let piece = self.piece(offset).expect("a piece that exists");
        // SAFETY: loom fails the model if anybody gives it back at the same time.
        piece.owner.with(|used| assert!(unsafe { *used }, "it was given back"));
    }

    /// How many pieces are in use.
    pub fn pieces_in_use(&self) -> usize {
        let pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // SAFETY: loom fails the model if anybody gives it back at the same time.
        pieces.iter().filter(|piece| piece.owner.with(|used| unsafe { *used })).count()
    }

    /// The address of `len` bytes at `offset`.
    pub fn at(&self, offset: usize, len: usize) -> Option<NonNull<u8>> {
        let piece = self.piece(offset)?;
        let inside = offset % STRIDE;
        // SAFETY: the range is inside the piece.
        (inside + len <= piece.layout.size()).then(|| unsafe { piece.memory.add(inside) })
    }

    /// See the real one.
    ///
    /// # Safety
    /// A `T` of loom's atomics was made there.
    pub(crate) unsafe fn view<T>(&self, offset: usize) -> Option<&T> {
        let place = self.at(offset, size_of::<T>())?;
        // SAFETY: inside the piece, and a `T` (caller).
        Some(unsafe { place.cast::<T>().as_ref() })
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        for piece in self.pieces.get_mut().unwrap_or_else(PoisonError::into_inner) {
            // SAFETY: made by `allocate` with this layout; nobody is left to use it.
            unsafe { dealloc(piece.memory.as_ptr(), piece.layout) }
        }
    }
}
