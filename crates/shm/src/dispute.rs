//! A dispute: ranks of a communicator have called different collectives. Whoever finds out opens one, in a piece
//! of the arena that all find through the segment's header; every rank that waits in a collective of that
//! communicator comes upon it and states where it is, so that one report can name them all.
//!
//! Of a collective in which all ranks give the same row of counts, the one that opens the dispute puts its own row
//! down, and each says where its row differs first: so a report can name a count without knowing all rows.
//!
//! Disputes are few, and stay until the job ends. They form a list, the latest first: of two that were opened for one
//! communicator at the same time the older one counts.

use crate::error::{Error, Result};
use crate::purpose::Purpose;
use crate::segment::Segment;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Bytes of text that a statement has room for.
pub const TEXT: usize = if cfg!(loom) { 8 } else { 216 };

/// What a rank says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statement {
    /// The number of the collective that it is in.
    pub number: u32,
    /// What that is, and of how many bytes: as in its journal.
    pub what: u64,
    /// See `what`.
    pub bytes: u64,
    /// Where in the program it was called, empty if that is not known.
    pub site: String,
    /// What its counts are.
    pub row: Row,
}

/// A rank's row of counts, beside that of the rank that opened the dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Row {
    /// One of the two has none, or does not remember it.
    #[default]
    Unknown,
    /// The same.
    Same,
    /// The first count that is another one: which of them, and how much.
    Differs(u32, u64),
}

impl Row {
    /// Of `mine` beside the one that is in the dispute.
    pub fn of(mine: &[u64], theirs: &[u64]) -> Self {
        if mine.is_empty() || mine.len() != theirs.len() {
            return Self::Unknown;
        }
        let first = (0..).zip(mine.iter().zip(theirs)).find(|(_, (mine, theirs))| mine != theirs);
        first.map_or(Self::Same, |(at, (mine, _))| Self::Differs(at, *mine))
    }

    /// As a word and a count.
    fn words(self) -> (u32, u64) {
        match self {
            Self::Unknown => (0, 0),
            Self::Same => (1, 0),
            Self::Differs(at, count) => (at + 2, count),
        }
    }

    fn from_words(word: u32, count: u64) -> Self {
        match word {
            0 => Self::Unknown,
            1 => Self::Same,
            at => Self::Differs(at - 2, count),
        }
    }
}

#[repr(C)]
#[derive(Default)]
struct Head {
    /// The dispute that was opened before, 0 = none.
    before: AtomicU64,
    context: AtomicU32,
    /// The collective that ranks disagree about.
    number: AtomicU32,
    members: AtomicU32,
    /// Counts in the row behind the members' places, 0 = none.
    counts: AtomicU32,
    opened_at: AtomicU64,
}

#[repr(C)]
#[derive(Default)]
struct Place {
    /// 1 + length of the text, 0 = nothing was stated.
    state: AtomicU32,
    number: AtomicU32,
    what: AtomicU64,
    bytes: AtomicU64,
    /// See [`Row::words`].
    row: AtomicU32,
    _rest: AtomicU32,
    count: AtomicU64,
    text: Text,
}

struct Text([AtomicU64; TEXT / 8]);

impl Default for Text {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

/// See the module.
#[derive(Clone, Copy)]
pub struct Dispute {
    segment: &'static Segment,
    offset: usize,
    head: &'static Head,
}

/// Where the row of counts begins.
fn row_at(members: usize) -> usize {
    size_of::<Head>() + members * size_of::<Place>()
}

fn bytes_for(members: usize, counts: usize) -> usize {
    row_at(members) + counts * size_of::<AtomicU64>()
}

impl Dispute {
    /// The list as it is now: another number when a dispute was opened, 0 while there is none. Costs a load.
    #[inline]
    pub fn latest(segment: &Segment) -> u64 {
        // SYNC dispute: see `open`.
        segment.disputes().load(Ordering::Acquire)
    }

    /// Opens a dispute about collective `number` of the communicator of `context`, which has so many members, or
    /// finds the one that is open; true if it is ours. `now`: by the clock of `liveness`. `counts`: our row, if there is
    /// one and it is remembered.
    pub fn open(
        segment: &'static Segment,
        context: u32,
        number: u32,
        members: usize,
        now: u64,
        counts: &[u64],
    ) -> Result<(Self, bool)> {
        if let Some(open) = Self::find(segment, context) {
            return Ok((open, false));
        }
        let len = bytes_for(members, counts.len());
        let offset = segment.allocate(len, Purpose::Rings)?;
        clear(segment, offset, members, counts.len());
        let new = Self::at(segment, offset).ok_or_else(|| Error::new("a dispute lies outside of the segment"))?;
        new.head.context.store(context, Ordering::Relaxed);
        new.head.number.store(number, Ordering::Relaxed);
        new.head.members.store(members as u32, Ordering::Relaxed);
        new.head.opened_at.store(now, Ordering::Relaxed);
        new.head.counts.store(counts.len() as u32, Ordering::Relaxed);
        for (at, count) in counts.iter().enumerate() {
            if let Some(word) = new.count_word(at) {
                word.store(*count, Ordering::Relaxed);
            }
        }
        let list = segment.disputes();
        let mut before = list.load(Ordering::Relaxed);
        loop {
            new.head.before.store(before, Ordering::Relaxed);
            // SYNC dispute: all of it is there for who sees where it is, and those before it as well.
            match list.compare_exchange_weak(before, offset as u64, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(now) => before = now,
            }
        }
        segment.wake_everybody();
        let open = Self::find(segment, context).unwrap_or(new);
        Ok((open, open.offset == offset))
    }

    fn at(segment: &'static Segment, offset: usize) -> Option<Self> {
        // SAFETY: a piece begins page-aligned with its head; only atomics.
        let head = unsafe { segment.view::<Head>(offset) }?;
        Some(Self { segment, offset, head })
    }

    /// The dispute that is open on the communicator of `context`.
    pub fn find(segment: &'static Segment, context: u32) -> Option<Self> {
        let mut found = None;
        let mut offset = Self::latest(segment);
        while offset != 0 {
            let one = Self::at(segment, offset as usize)?;
            if one.head.context.load(Ordering::Relaxed) == context {
                found = Some(one);
            }
            offset = one.head.before.load(Ordering::Relaxed);
        }
        found
    }

    /// The number of the collective that it is about.
    pub fn number(&self) -> u32 {
        self.head.number.load(Ordering::Relaxed)
    }

    /// When it was opened.
    pub fn opened_at(&self) -> u64 {
        self.head.opened_at.load(Ordering::Relaxed)
    }

    fn place(&self, member: usize) -> Option<&'static Place> {
        if member >= self.head.members.load(Ordering::Relaxed) as usize {
            return None;
        }
        let offset = self.offset + size_of::<Head>() + member * size_of::<Place>();
        // SAFETY: `open` made the piece long enough for all members; only atomics.
        unsafe { self.segment.view::<Place>(offset) }
    }

    fn count_word(&self, at: usize) -> Option<&'static AtomicU64> {
        let members = self.head.members.load(Ordering::Relaxed) as usize;
        // SAFETY: `open` made the piece long enough for all counts; only atomics.
        unsafe { self.segment.view(self.offset + row_at(members) + at * size_of::<AtomicU64>()) }
    }

    /// The row of counts of the rank that opened it; empty if there is none.
    pub fn counts(&self) -> Vec<u64> {
        let counts = self.head.counts.load(Ordering::Relaxed) as usize;
        (0..counts).filter_map(|at| Some(self.count_word(at)?.load(Ordering::Relaxed))).collect()
    }

    /// States what `member` (we) has to say, once.
    pub fn state(&self, member: usize, statement: &Statement) {
        let Some(place) = self.place(member) else { return };
        if place.state.load(Ordering::Relaxed) != 0 {
            return;
        }
        let site = tail(&statement.site, TEXT);
        place.number.store(statement.number, Ordering::Relaxed);
        place.what.store(statement.what, Ordering::Relaxed);
        place.bytes.store(statement.bytes, Ordering::Relaxed);
        let (row, count) = statement.row.words();
        place.row.store(row, Ordering::Relaxed);
        place.count.store(count, Ordering::Relaxed);
        for (word, bytes) in place.text.0.iter().zip(site.as_bytes().chunks(8)) {
            let mut eight = [0; 8];
            eight[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(eight), Ordering::Relaxed);
        }
        // SYNC statement: the words above are there for who sees that something was stated.
        place.state.store(1 + site.len() as u32, Ordering::Release);
        self.segment.wake_everybody();
    }

    /// What `member` has stated.
    pub fn statement(&self, member: usize) -> Option<Statement> {
        let place = self.place(member)?;
        // SYNC statement: see `state`.
        let len = place.state.load(Ordering::Acquire).checked_sub(1)? as usize;
        let mut text: Vec<u8> =
            place.text.0.iter().flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).collect();
        text.truncate(len);
        Some(Statement {
            number: place.number.load(Ordering::Relaxed),
            what: place.what.load(Ordering::Relaxed),
            bytes: place.bytes.load(Ordering::Relaxed),
            site: String::from_utf8_lossy(&text).into_owned(),
            row: Row::from_words(place.row.load(Ordering::Relaxed), place.count.load(Ordering::Relaxed)),
        })
    }
}

/// Makes a piece that nobody else knows yet a dispute in which nothing was stated.
#[cfg(not(loom))]
fn clear(segment: &Segment, offset: usize, members: usize, counts: usize) {
    for word in 0..bytes_for(members, counts) / 8 {
        // SAFETY: an aligned atomic in our piece.
        if let Some(word) = unsafe { segment.view::<AtomicU64>(offset + word * 8) } {
            word.store(0, Ordering::Relaxed);
        }
    }
}

/// Loom's atomics must be made: zeroed memory is none.
#[cfg(loom)]
fn clear(segment: &Segment, offset: usize, members: usize, counts: usize) {
    let base = segment.at(offset, bytes_for(members, counts)).expect("the piece that was just made");
    // SAFETY: the piece is ours alone, and `bytes_for` counts just these.
    unsafe {
        base.cast().write(Head::default());
        let first = base.add(size_of::<Head>()).cast::<Place>();
        (0..members).for_each(|member| first.add(member).write(Place::default()));
        let row = base.add(row_at(members)).cast::<AtomicU64>();
        (0..counts).for_each(|at| row.add(at).write(AtomicU64::new(0)));
    }
}

/// At most `room` bytes of the end: of a long path it says most.
fn tail(text: &str, room: usize) -> &str {
    let from = text.len().saturating_sub(room);
    let from = (from..=text.len()).find(|at| text.is_char_boundary(*at));
    &text[from.unwrap_or(text.len())..]
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn segment() -> &'static Segment {
        Box::leak(Box::new(Segment::create(4).expect("segment")))
    }

    #[test]
    fn all_come_upon_the_same_dispute_and_hear_what_was_stated() {
        let segment = segment();
        assert_eq!(Dispute::latest(segment), 0);
        assert!(Dispute::find(segment, 4).is_none());
        let (one, ours) = Dispute::open(segment, 4, 7, 3, 1, &[]).expect("memory");
        let (again, not_ours) = Dispute::open(segment, 4, 9, 3, 2, &[5]).expect("memory");
        assert_eq!((one.number(), again.number(), again.offset), (7, 7, one.offset));
        assert!(ours && !not_ours);
        assert_eq!(one.statement(1), None);
        let said = Statement { number: 7, what: 3, bytes: 16, site: "x.py:12".into(), row: Row::Unknown };
        one.state(1, &said);
        one.state(1, &Statement::default());
        assert_eq!(again.statement(1), Some(said));
        assert_eq!((again.statement(0), again.statement(3)), (None, None));
        again.state(3, &Statement::default());
        assert_eq!(again.counts(), [0; 0]);
        let (other, _) = Dispute::open(segment, 0, 1, 4, 3, &[]).expect("memory");
        assert_ne!(other.offset, one.offset);
        assert_eq!(Dispute::find(segment, 4).map(|found| found.offset), Some(one.offset));
        assert_ne!(Dispute::latest(segment), 0);
    }

    #[test]
    fn each_says_where_its_counts_differ_from_those_of_the_first() {
        let (one, _) = Dispute::open(segment(), 4, 7, 3, 1, &[3, 0, u64::MAX]).expect("memory");
        assert_eq!(one.counts(), [3, 0, u64::MAX]);
        let rows = [Row::of(&[3, 0, u64::MAX], &one.counts()), Row::of(&[3, 9, 1], &one.counts()), Row::Unknown];
        assert_eq!(rows, [Row::Same, Row::Differs(1, 9), Row::of(&[3, 0], &one.counts())]);
        for (member, row) in rows.into_iter().enumerate() {
            one.state(member, &Statement { row, ..Statement::default() });
            assert_eq!(one.statement(member).map(|said| said.row), Some(row));
        }
        assert_eq!(Row::of(&[], &[]), Row::Unknown);
    }

    #[test]
    fn of_a_long_path_the_end_is_stated() {
        let (one, _) = Dispute::open(segment(), 0, 1, 1, 1, &[]).expect("memory");
        one.state(0, &Statement { site: format!("{}/x.py:1", "ä".repeat(300)), ..Statement::default() });
        let site = one.statement(0).expect("stated").site;
        assert!(site.len() >= TEXT - 1 && site.starts_with('ä') && site.ends_with("ä/x.py:1"), "{site}");
    }
}
