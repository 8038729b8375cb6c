//! Questions to a rank that waits. Whoever wants to know more than the rank's page says (mpiexec for its
//! report on a job that stands still, `mpiexec ps`, `mpiexec stack`) counts a word on the page up and wakes
//! the rank; each of its threads that waits, or polls in vain, then adds a text ([`crate::told`]). A rank that is
//! asked nothing pays a load when a sleep ends.
//!
//! The text lies in a page of the arena that is taken at the first question. It only grows until the next question
//! comes, so whoever reads `answer` may read that much of it. A later question lets the rank begin anew; who then
//! still reads finds the question changed, and drops what it has.
//!
//! Loom: `models::answer`.

use crate::page::RankPage;
use crate::purpose::Purpose;
use crate::segment::Segment;
use crate::sync::{AtomicU64, Ordering, fence};

/// Words of a rank's text.
pub(crate) const WORDS: usize = if cfg!(loom) { 2 } else { 512 };
/// The unit of `answer_at`; a piece of the arena has at least so much.
const PAGE: usize = 4096;

/// Where a rank writes.
#[repr(C)]
struct Text {
    words: [AtomicU64; WORDS],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Text>() == PAGE);

impl RankPage {
    /// Asks the rank.
    pub fn ask(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.wake();
    }

    /// Number of the last question, 0 = there was none.
    #[inline]
    pub fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }
}

/// The rank's side. Lies behind the process's lock.
#[derive(Debug, Default)]
pub struct Writer {
    /// Offset of the text, 0 = there is none yet.
    place: usize,
    /// The question that it answers.
    asked: u32,
    /// Bytes of it.
    len: usize,
}

impl Writer {
    /// The question that was answered last.
    pub fn asked(&self) -> u32 {
        self.asked
    }

    /// Adds to the answer of `rank` to question `asked`. Of a text that does not fit the end is lost; without
    /// memory nothing is said.
    pub fn add(&mut self, segment: &Segment, rank: u32, asked: u32, text: &str) {
        let page = segment.rank_page(rank);
        if self.place == 0 {
            let Some(place) = make(segment) else { return };
            self.place = place;
            page.identity.0.answer_at.store(u32::try_from(place / PAGE).unwrap_or(0), Ordering::Relaxed);
        }
        // SAFETY: `make` made it.
        let Some(to) = (unsafe { segment.view::<Text>(self.place) }) else { return };
        if self.asked != asked {
            (self.asked, self.len) = (asked, 0);
            // SYNC asked-again: who sees one of the words below sees the question that was asked before.
            fence(Ordering::Release);
        }
        for (word, bytes) in to.words[self.len / 8..].iter().zip(text.as_bytes().chunks(8)) {
            let mut whole = [b'\n'; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(whole), Ordering::Relaxed);
            self.len += 8;
        }
        // SYNC answer: the words are there for who sees how many there are.
        page.identity.0.answer.store(u64::from(asked) << 32 | self.len as u64, Ordering::Release);
    }
}

/// What `rank` has answered to the last question so far, if anything.
pub fn read(segment: &Segment, rank: u32) -> Option<String> {
    let page = segment.rank_page(rank);
    let asked = page.asked();
    // SYNC answer: see `Writer::add`.
    let answer = page.identity.0.answer.load(Ordering::Acquire);
    if asked == 0 || answer >> 32 != u64::from(asked) {
        return None;
    }
    let place = page.identity.0.answer_at.load(Ordering::Relaxed) as usize * PAGE;
    // SAFETY: the rank made it before it said how much there is.
    let from = unsafe { segment.view::<Text>(place) }?;
    let words = from.words.iter().take((answer & 0xffff_ffff) as usize / 8);
    let bytes: Vec<u8> = words.flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).collect();
    // SYNC asked-again: see `Writer::add`.
    fence(Ordering::Acquire);
    (page.asked() == asked).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

fn make(segment: &Segment) -> Option<usize> {
    let place = segment.allocate(size_of::<Text>(), Purpose::Rings).ok()?;
    #[cfg(loom)]
    {
        let text = Text { words: std::array::from_fn(|_| AtomicU64::new(0)) };
        // SAFETY: the piece was just given to us, as long as that.
        unsafe { segment.at(place, size_of::<Text>())?.cast().write(text) };
    }
    u32::try_from(place / PAGE).ok().map(|_| place)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_several_threads_answer_is_one_text_until_the_next_question() {
        let segment = Segment::create(2).expect("segment");
        let (page, mut writer) = (segment.rank_page(1), Writer::default());
        assert_eq!(read(&segment, 1), None);
        page.ask();
        assert_eq!((page.asked(), read(&segment, 1)), (1, None));
        writer.add(&segment, 1, 1, "first line\n");
        writer.add(&segment, 1, 1, "second");
        let lines = |text: Option<String>| text.map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
        let read_lines = || lines(read(&segment, 1)).map(|lines| lines.join(" ").trim().to_owned());
        assert_eq!(
            read_lines().as_deref().map(|text| text.split_whitespace().collect::<Vec<_>>()),
            Some(vec!["first", "line", "second"])
        );
        page.ask();
        assert_eq!(read_lines(), None);
        writer.add(&segment, 1, 2, "ü");
        assert_eq!(read_lines().as_deref(), Some("ü"));
        assert_eq!(read(&segment, 0), None);
    }

    #[test]
    fn a_text_that_is_too_long_is_cut() {
        let segment = Segment::create(1).expect("segment");
        let mut writer = Writer::default();
        segment.rank_page(0).ask();
        for _ in 0..2 {
            writer.add(&segment, 0, 1, &"x".repeat(3000));
        }
        assert_eq!(read(&segment, 0).map(|text| text.len()), Some(4096));
    }
}
