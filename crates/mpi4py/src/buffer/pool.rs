//! Memory for received objects. Of a large array that is received again and again, fresh memory costs as much
//! as the copying: the system gives it page by page, filled with zeros. So memory that nobody uses
//! any more is kept for the next object of about the same size, up to [`MOST`] bytes in [`BLOCKS`] blocks;
//! beyond that, what was not used for the longest time goes back to the system.
//!
//! Sizes are rounded up to one of four for each power of two. Blocks begin at a page; the large ones are
//! in huge pages where the system has them.

use std::alloc::Layout;
use std::ffi::c_void;
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of all blocks that are kept; a larger one is never kept.
const MOST: usize = 64 << 20;
/// Blocks that are kept.
const BLOCKS: usize = 8;
/// Smaller blocks come from the C library, which may have them at hand.
const MAPPED: usize = 1 << 20;
const PAGE: usize = 4 << 10;
/// Huge pages, and blocks from which on they are asked for.
const HUGE_PAGE: usize = 2 << 20;
const HUGE: usize = 2 * HUGE_PAGE;

/// A block of memory, which goes back to the pool when it is dropped. It is filled with anything.
pub(crate) struct Chunk(Block);

#[derive(Clone, Copy)]
struct Block {
    addr: *mut u8,
    room: usize,
}

// SAFETY: memory without an owner thread; who has the block has all of it.
unsafe impl Send for Block {}

/// What nobody uses; the one that was used last is the last.
static IDLE: Mutex<Vec<Block>> = Mutex::new(Vec::new());

fn idle() -> MutexGuard<'static, Vec<Block>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The size of the block for so many bytes.
fn room_for(size: usize) -> Option<usize> {
    let step = (size.checked_next_power_of_two()? / 8).max(PAGE);
    let step = if size >= HUGE { step.max(HUGE_PAGE) } else { step };
    size.max(1).checked_next_multiple_of(step).filter(|&room| isize::try_from(room).is_ok())
}

impl Chunk {
    /// Memory of at least this size; `None`: there is not so much.
    pub(crate) fn take(size: usize) -> Option<Self> {
        let room = room_for(size)?;
        let mut idle = idle();
        if let Some(index) = idle.iter().rposition(|block| (room..=room + room / 4).contains(&block.room)) {
            return Some(Self(idle.remove(index)));
        }
        drop(idle);
        Block::new(room).map(Self)
    }

    pub(crate) fn addr(&self) -> *mut c_void {
        self.0.addr.cast()
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let block = self.0;
        if block.room > MOST {
            return block.free();
        }
        if block.room >= HUGE {
            // Who needs it more may take it; of huge pages this costs next to nothing.
            // SAFETY: the block is ours, and nobody is interested in what is in it.
            unsafe { libc::madvise(block.addr.cast(), block.room, libc::MADV_FREE) };
        }
        let mut surplus = Vec::new();
        let mut idle = idle();
        idle.push(block);
        while idle.len() > BLOCKS || idle.iter().map(|block| block.room).sum::<usize>() > MOST {
            surplus.push(idle.remove(0));
        }
        drop(idle);
        surplus.into_iter().for_each(Block::free);
    }
}

impl Block {
    fn new(room: usize) -> Option<Self> {
        let addr = if room < MAPPED {
            // SAFETY: the size is not zero: `room_for` gives at least a page.
            unsafe { std::alloc::alloc(Self::layout(room)?) }
        } else {
            map(room)
        };
        (!addr.is_null()).then_some(Self { addr, room })
    }

    fn free(self) {
        if self.room >= MAPPED {
            // SAFETY: what `map` gave, and nobody uses it any more.
            unsafe { libc::munmap(self.addr.cast(), self.room) };
        } else if let Some(layout) = Self::layout(self.room) {
            // SAFETY: as in `new`.
            unsafe { std::alloc::dealloc(self.addr, layout) };
        }
    }

    fn layout(room: usize) -> Option<Layout> {
        Layout::from_size_align(room, PAGE).ok()
    }
}

/// Memory of the system; huge blocks begin where a huge page can.
fn map(room: usize) -> *mut u8 {
    let align = if room >= HUGE { HUGE_PAGE } else { PAGE };
    let Some(whole) = room.checked_add(align - PAGE) else { return ptr::null_mut() };
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: new memory, anywhere.
    let base = unsafe { libc::mmap(ptr::null_mut(), whole, protection, flags, -1, 0) };
    if base == libc::MAP_FAILED {
        return ptr::null_mut();
    }
    let before = base.align_offset(align);
    let addr = base.wrapping_byte_add(before);
    let after = whole - room - before;
    // SAFETY: parts of the new memory that nobody uses; advice changes nothing that can be seen.
    unsafe {
        if before > 0 {
            libc::munmap(base, before);
        }
        if after > 0 {
            libc::munmap(addr.wrapping_byte_add(room), after);
        }
        if room >= HUGE {
            libc::madvise(addr, room, libc::MADV_HUGEPAGE);
        }
    }
    addr.cast()
}
