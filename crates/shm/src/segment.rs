//! The one mapping of a job: header, a page per rank, the table of rings, and an arena from which
//! rings and collective areas are taken.
//!
//! ```text
//! 0        Header
//! PAGES    RankPage x ranks
//! JOURNALS Journal x ranks
//! RINGS    u32 x ranks x ranks    [to][from]: place of the ring, in pages, 0 = none
//! CONTACTS u32 x ranks x ranks    [to][i]: rank + 1 that opened a ring to `to`, in order
//! ARENA    the rest, reserved piece by piece
//! ```
//!
//! Everything is addressed by offset; a pointer never enters the segment. All words that others
//! may write are atomics; bulk data is copied through raw pointers, never through references.

use crate::error::{Error, Result};
use crate::journal::Journal;
use crate::os::memfd;
use crate::page::{Line, RankPage};
use crate::ring::{RANK_BYTES, RING_BYTES, SMALL};
use crate::sync::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

/// "oxmpi" and the version of this layout: a segment of another version is refused.
const MAGIC: u64 = 0x6f78_6d70_6900_0005;

/// More ranks than this on one machine are refused: the tables grow with the square.
pub const MAX_RANKS: u32 = 4096;

/// What the whole job shares.
#[repr(C)]
pub struct Header {
    magic: AtomicU64,
    key: AtomicU64,
    length: AtomicU64,
    ranks: AtomicU32,
    uid: AtomicU32,
    /// Process id of mpiexec, 0 under a foreign launcher.
    pub launcher: AtomicU32,
    /// 1 + the rank that failed first, 0 while none did. Written once, by compare-and-swap.
    pub failed: AtomicU32,
    /// Exit code of that failure: what `MPI_Abort` was given, an exit status, or minus a signal.
    pub failed_code: AtomicI32,
    /// Number of the next communicator context (see `engine::comm`).
    pub next_context: AtomicU32,
    // -- fields for the launcher --
    /// How many ranks ended without `MPI_Finalize`, failed or not (see `liveness`).
    pub(crate) gone: AtomicU32,
    /// 1 + the rank that noted an uncaught exception first (see `liveness::note_uncaught`).
    pub(crate) uncaught: AtomicU32,
    /// Where the latest dispute is, 0 = there is none (see `dispute`).
    disputes: AtomicU64,
    /// The arena's state (see `arena`).
    pub(crate) arena: Line<crate::arena::State>,
}

struct Layout {
    pages: usize,
    journals: usize,
    rings: usize,
    contacts: usize,
    arena: usize,
    /// Bytes of the arena for each purpose.
    shares: [usize; 3],
    length: usize,
}

fn layout(ranks: u32) -> Layout {
    let n = ranks as usize;
    let up = |x: usize| x.next_multiple_of(4096);
    let pages = up(size_of::<Header>());
    let journals = up(pages + n * size_of::<RankPage>());
    let rings = up(journals + n * size_of::<Journal>());
    let contacts = up(rings + n * n * 4);
    let arena = up(contacts + n * n * 4);
    // Address space only: memory is reserved when it is used. All rings that there can be (see `ring`): for a pair
    // cells and a small data ring, for a rank its larger ones. Lines: a rank has 4.1 KiB in each communicator. Chunks:
    // 512 KiB in each of the communicators that have them.
    let pair = RING_BYTES.next_multiple_of(4096) + SMALL;
    let shares = [n * n * pair + n * RANK_BYTES, n * (64 << 20), n * (32 << 20)];
    let length = arena + shares.iter().sum::<usize>();
    Layout { pages, journals, rings, contacts, arena, shares, length: up(length) }
}

/// A process's mapping of the job's shared memory. Lives until the process ends once it is
/// leaked into the engine; mpiexec drops it.
pub struct Segment {
    base: NonNull<u8>,
    fd: OwnedFd,
    layout: Layout,
    ranks: u32,
}

// SAFETY: the mapping is reached only through atomics and through raw copies that the rings'
// protocols order; the struct itself is not changed after it was made.
unsafe impl Send for Segment {}
// SAFETY: as above.
unsafe impl Sync for Segment {}

impl Segment {
    /// Makes the segment of a new job of `ranks` ranks.
    pub fn create(ranks: u32) -> Result<Self> {
        if ranks == 0 || ranks > MAX_RANKS {
            return Err(Error::new(format!(
                "a job of {ranks} ranks: the built-in engine runs 1 to {MAX_RANKS} ranks on one machine"
            )));
        }
        let layout = layout(ranks);
        let fd = memfd::create(layout.length)?;
        memfd::reserve(fd.as_fd(), 0, layout.arena)?;
        let base = memfd::map(fd.as_fd(), layout.length)?;
        let segment = Self { base, fd, layout, ranks };
        let header = segment.header();
        header.key.store(random_key()?, Ordering::Relaxed);
        header.length.store(segment.layout.length as u64, Ordering::Relaxed);
        header.ranks.store(ranks, Ordering::Relaxed);
        // SAFETY: getuid has no preconditions.
        header.uid.store(unsafe { libc::getuid() }, Ordering::Relaxed);
        // Contexts 0 to 3 belong to the two predefined communicators.
        header.next_context.store(4, Ordering::Relaxed);
        header.arena.0.start(segment.layout.arena, segment.layout.shares);
        // SYNC header: everything above is visible to whoever sees the magic number.
        header.magic.store(MAGIC, Ordering::Release);
        Ok(segment)
    }

    /// Maps the segment of a job that another process made. `key` is what the job's environment
    /// says; a segment with another one, of another user or version is refused.
    pub fn attach(fd: OwnedFd, key: u64) -> Result<Self> {
        let segment = Self::look_into(fd)?;
        if segment.key() != key {
            return Err(Error::new("the job's key is another one: the environment is of a different job"));
        }
        Ok(segment)
    }

    /// Maps the segment of a job of this user, whichever it is.
    pub fn look_into(fd: OwnedFd) -> Result<Self> {
        let length = memfd::checked_len(fd.as_fd())?;
        if length < size_of::<Header>() {
            return Err(Error::new(format!("the job's shared memory has only {length} bytes")));
        }
        let base = memfd::map(fd.as_fd(), length)?;
        // The mapping is owned from here on, so that every refusal below ends it.
        let mut segment = Self {
            base,
            fd,
            layout: Layout { pages: 0, journals: 0, rings: 0, contacts: 0, arena: 0, shares: [0; 3], length },
            ranks: 0,
        };
        let header = segment.header();
        // SYNC header: see `create`.
        let magic = header.magic.load(Ordering::Acquire);
        if magic != MAGIC {
            return Err(Error::new(format!(
                "this is no shared memory of this version of oxmpi (it begins with {magic:#x}): mpiexec and the \
                 library must come from the same installation"
            )));
        }
        // SAFETY: getuid has no preconditions.
        let me = unsafe { libc::getuid() };
        let owner = header.uid.load(Ordering::Relaxed);
        if owner != me {
            return Err(Error::new(format!("the job belongs to user {owner}, this process to user {me}")));
        }
        let ranks = header.ranks.load(Ordering::Relaxed);
        if ranks == 0 || ranks > MAX_RANKS || layout(ranks).length != length {
            return Err(Error::new(format!(
                "the job's shared memory of {length} bytes does not fit its {ranks} ranks"
            )));
        }
        segment.layout = layout(ranks);
        segment.ranks = ranks;
        Ok(segment)
    }

    /// The file behind the mapping, to hand it to other processes.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The random number that names the job.
    pub fn key(&self) -> u64 {
        self.header().key.load(Ordering::Relaxed)
    }

    /// How many ranks the job has.
    #[inline]
    pub fn ranks(&self) -> u32 {
        self.ranks
    }

    /// Bytes of the arena for each purpose.
    pub(crate) fn shares(&self) -> [usize; 3] {
        self.layout.shares
    }

    /// Bytes of the mapping (address space; memory is taken as it is used).
    pub fn length(&self) -> usize {
        self.layout.length
    }

    /// What the whole job shares.
    #[inline]
    pub fn header(&self) -> &Header {
        // SAFETY: the mapping is at least a header long (checked on both ways here), page-aligned,
        // lives as long as `self`, and all fields are atomics, for which any bytes are valid.
        unsafe { self.base.cast::<Header>().as_ref() }
    }

    /// The page of `rank`.
    ///
    /// # Panics
    /// If `rank` is not in the job.
    #[inline]
    pub fn rank_page(&self, rank: u32) -> &RankPage {
        assert!(rank < self.ranks);
        let offset = self.layout.pages + rank as usize * size_of::<RankPage>();
        // SAFETY: `layout` places `ranks` pages there, aligned; all fields are atomics.
        unsafe { self.base.add(offset).cast::<RankPage>().as_ref() }
    }

    /// The journal of `rank`: see [`Journal`].
    ///
    /// # Panics
    /// If `rank` is not in the job.
    #[inline]
    pub fn journal(&self, rank: u32) -> &Journal {
        assert!(rank < self.ranks);
        let offset = self.layout.journals + rank as usize * size_of::<Journal>();
        // SAFETY: `layout` places `ranks` journals there, aligned; all fields are atomics.
        unsafe { self.base.add(offset).cast::<Journal>().as_ref() }
    }

    /// Where the latest dispute is (see `dispute`).
    #[inline]
    pub(crate) fn disputes(&self) -> &AtomicU64 {
        &self.header().disputes
    }

    /// Where the ring from `from` to `to` is, in pages; 0 = there is none yet.
    pub(crate) fn ring_place(&self, to: u32, from: u32) -> &AtomicU32 {
        self.table(self.layout.rings, to, from)
    }

    /// 1 + the rank that opened the `index`-th ring to `to`.
    pub(crate) fn contact(&self, to: u32, index: u32) -> &AtomicU32 {
        self.table(self.layout.contacts, to, index)
    }

    fn table(&self, start: usize, row: u32, column: u32) -> &AtomicU32 {
        assert!(row < self.ranks && column < self.ranks);
        let offset = start + (row as usize * self.ranks as usize + column as usize) * 4;
        // SAFETY: `layout` places ranks x ranks words there, aligned; any bytes are a valid atomic.
        unsafe { self.base.add(offset).cast::<AtomicU32>().as_ref() }
    }

    /// The address of `len` bytes at `offset`, if they lie inside the arena.
    #[inline]
    pub fn at(&self, offset: usize, len: usize) -> Option<NonNull<u8>> {
        let end = offset.checked_add(len)?;
        if offset < self.layout.arena || end > self.layout.length {
            return None;
        }
        // SAFETY: the range is inside the mapping, which is one allocation.
        Some(unsafe { self.base.add(offset) })
    }

    /// A typed view of atomics at `offset` of the arena.
    ///
    /// # Safety
    /// `T` consists of atomics only (any bytes are valid, changes by others are allowed), and
    /// `offset` is aligned for it.
    #[inline]
    pub(crate) unsafe fn view<T>(&self, offset: usize) -> Option<&T> {
        let place = self.at(offset, size_of::<T>())?;
        // SAFETY: inside the mapping (checked), aligned and only atomics (caller).
        Some(unsafe { place.cast::<T>().as_ref() })
    }

    /// Wakes every rank: something happened that concerns all.
    pub fn wake_everybody(&self) {
        for rank in 0..self.ranks {
            self.rank_page(rank).wake();
        }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: base and length are those of the one mapping made for `self`; references that
        // were given out borrow `self` and are gone.
        unsafe { memfd::unmap(self.base, self.layout.length) }
    }
}

fn random_key() -> Result<u64> {
    let mut key = [0u8; 8];
    // SAFETY: the buffer is ours and as long as we say.
    let got = unsafe { libc::getrandom(key.as_mut_ptr().cast(), key.len(), 0) };
    if got != 8 {
        return Err(Error::last_os("asking the kernel for a random job key"));
    }
    Ok(u64::from_ne_bytes(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_mapping_sees_the_same_words() {
        let one = Segment::create(3).expect("segment");
        let fd = one.fd().try_clone_to_owned().expect("dup");
        let two = Segment::attach(fd, one.key()).expect("attach");
        one.rank_page(2).identity.0.pid.store(77, Ordering::Relaxed);
        assert_eq!(two.rank_page(2).identity.0.pid.load(Ordering::Relaxed), 77);
        assert_eq!(two.ranks(), 3);
    }

    #[test]
    fn a_wrong_key_is_refused() {
        let one = Segment::create(1).expect("segment");
        let fd = one.fd().try_clone_to_owned().expect("dup");
        assert!(Segment::attach(fd, one.key() ^ 1).is_err());
    }

    #[test]
    fn a_foreign_file_is_refused() {
        let file = std::fs::File::open("/dev/null").expect("open");
        assert!(Segment::attach(file.into(), 0).is_err());
    }

    #[test]
    fn too_many_ranks_are_refused_with_the_number() {
        let error = Segment::create(5000).err().expect("refused");
        assert!(error.text.contains("5000"));
    }
}
