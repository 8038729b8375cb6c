//! The journal of a rank: which collectives it has called last, on which communicators. The rank writes it at the
//! beginning of each, others read it only when something seems wrong: a collective that lasts, or a line that does
//! not fit. So it costs a few stores into lines that nobody else looks at.
//!
//! The rank's threads take places in turn; an entry's key says when it is whole.

use crate::sync::{AtomicU64, Ordering, fence};

/// Collectives that are remembered: more than a rank can be ahead of others on one communicator (`coll::LINES`),
/// which is the case in which somebody asks for an old one.
pub const ENTRIES: u32 = if cfg!(loom) { 2 } else { 128 };

/// What was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Kind, root and what went before, as the engine packs them.
    pub what: u64,
    /// Bytes, if all ranks have to give the same number.
    pub bytes: u64,
    /// Under `mpiexec --check` operation, type and count, as the engine packs them; else 0.
    pub detail: u64,
}

#[repr(C)]
#[derive(Default)]
struct Place {
    /// Context of the communicator and number of the collective on it; 0 = being written.
    key: AtomicU64,
    what: AtomicU64,
    bytes: AtomicU64,
    detail: AtomicU64,
}

/// See the module.
#[repr(C, align(64))]
pub struct Journal {
    places: [Place; ENTRIES as usize],
    /// Places that were taken: written by the rank alone, by a thread at a time.
    taken: AtomicU64,
}

impl Default for Journal {
    fn default() -> Self {
        Self { places: std::array::from_fn(|_| Place::default()), taken: AtomicU64::new(0) }
    }
}

/// Numbers begin at 1, so no key is 0.
fn key(context: u32, number: u32) -> u64 {
    u64::from(context) << 32 | u64::from(number)
}

fn index(place: u64) -> usize {
    (place % u64::from(ENTRIES)) as usize
}

impl Journal {
    /// Takes a place for an entry, by a thread of this rank at a time. What is in it is forgotten, also if no entry
    /// follows: what came later is remembered longer.
    #[inline]
    pub fn take(&self) -> u64 {
        let taken = self.taken.load(Ordering::Relaxed);
        self.taken.store(taken + 1, Ordering::Relaxed);
        self.places[index(taken)].key.store(0, Ordering::Relaxed);
        taken
    }

    /// Notes in a place that was taken that this rank begins its `number`-th collective on the communicator of
    /// `context`.
    #[inline]
    pub fn note(&self, place: u64, context: u32, number: u32, entry: Entry) {
        if self.taken.load(Ordering::Relaxed) > place + u64::from(ENTRIES) {
            // Other threads were faster, by all places that there are: it has been taken again.
            return;
        }
        let place = &self.places[index(place)];
        // SYNC journal: who reads any of the new words finds no old key behind it.
        fence(Ordering::Release);
        place.what.store(entry.what, Ordering::Relaxed);
        place.bytes.store(entry.bytes, Ordering::Relaxed);
        place.detail.store(entry.detail, Ordering::Relaxed);
        // SYNC journal: the words belong to the key.
        place.key.store(key(context, number), Ordering::Release);
    }

    /// The rank's `number`-th collective on the communicator of `context`, if it has come to it and that is not
    /// long ago.
    pub fn find(&self, context: u32, number: u32) -> Option<Entry> {
        let key = key(context, number);
        // SYNC journal: the words were written before the key.
        let place = self.places.iter().find(|place| place.key.load(Ordering::Acquire) == key)?;
        let [what, bytes, detail] = [&place.what, &place.bytes, &place.detail].map(|word| word.load(Ordering::Relaxed));
        let entry = Entry { what, bytes, detail };
        // SYNC journal: if any of the words is a later one, so is the key.
        fence(Ordering::Acquire);
        (place.key.load(Ordering::Relaxed) == key).then_some(entry)
    }

    /// Whether the rank, which calls nothing any more, has certainly not come to its `number`-th collective on the
    /// communicator of `context`.
    pub fn has_not_reached(&self, context: u32, number: u32) -> bool {
        match self.latest(context) {
            // What came later is remembered longer.
            Some(latest) => latest < number,
            // Nothing is forgotten yet. It writes no more, so there is no order to keep.
            None => self.taken.load(Ordering::Relaxed) <= u64::from(ENTRIES),
        }
    }

    /// The number of the latest collective on the communicator of `context` that is remembered.
    pub fn latest(&self, context: u32) -> Option<u32> {
        // SYNC journal: as in `find`; the key alone is read.
        let keys = self.places.iter().map(|place| place.key.load(Ordering::Acquire));
        keys.filter(|key| *key != 0 && (key >> 32) as u32 == context).map(|key| key as u32).max()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::segment::Segment;

    #[test]
    fn the_latest_collectives_are_remembered_each_on_its_communicator() {
        let segment = Segment::create(2).expect("segment");
        let journal = segment.journal(1);
        assert_eq!((journal.latest(0), journal.find(0, 1)), (None, None));
        for number in 1..=ENTRIES {
            journal.note(journal.take(), 0, number, Entry { what: u64::from(number), bytes: 8, detail: 0 });
        }
        journal.note(journal.take(), 4, 1, Entry { what: 7, bytes: 0, detail: 5 });
        assert_eq!((journal.latest(0), journal.latest(4), journal.latest(2)), (Some(ENTRIES), Some(1), None));
        assert_eq!(journal.find(0, 1), None, "overwritten");
        assert_eq!(journal.find(0, 2), Some(Entry { what: 2, bytes: 8, detail: 0 }));
        assert_eq!(journal.find(4, 1), Some(Entry { what: 7, bytes: 0, detail: 5 }));
        assert_eq!(segment.journal(0).latest(0), None);
        assert!(journal.has_not_reached(4, 2) && !journal.has_not_reached(4, 1));
        assert!(!journal.has_not_reached(2, 1), "it may be forgotten");
        let late = journal.take();
        for number in 2..=ENTRIES {
            journal.note(journal.take(), 6, number, Entry { what: 1, bytes: 0, detail: 0 });
        }
        journal.note(late, 4, 2, Entry { what: 9, bytes: 0, detail: 0 });
        assert!(journal.find(4, 2).is_some(), "the last moment");
        journal.take();
        journal.note(late, 4, 3, Entry { what: 9, bytes: 0, detail: 0 });
        assert_eq!((journal.find(4, 2), journal.find(4, 3)), (None, None), "taken again meanwhile");
        assert!(segment.journal(0).has_not_reached(2, 1));
    }
}
