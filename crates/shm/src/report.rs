//! What a rank reports at its end (`mpiexec --check`): lines of text in a piece of the arena, found through
//! its page. mpiexec reads them when the rank has ended.

use crate::page::Seat;
use crate::purpose::Purpose;
use crate::segment::Segment;
use crate::sync::Ordering;
use std::fmt;

/// What a line is about, in the order in which they are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Section {
    /// Something that was wrong.
    Wrong = b'w',
    /// An object.
    NeverFreed = b'f',
    /// A message.
    NeverReceived = b'r',
}

impl Section {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Wrong, Self::NeverFreed, Self::NeverReceived];

    /// What its lines say in common.
    pub fn title(self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::NeverFreed => "never freed",
            Self::NeverReceived => "never received",
        }
    }
}

/// A line, found `count` times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it is about.
    pub section: Section,
    /// How often.
    pub count: usize,
    /// The text: of an object `NOUN from ...`, of a message what it consists of, else a sentence.
    pub text: String,
}

impl Line {
    /// The line with its count, as a reader gets it.
    pub fn words(&self) -> String {
        let Self { section, count, text } = self;
        let s = if *count == 1 { "" } else { "s" };
        match (section, text.split_once(" from ")) {
            (Section::NeverFreed, Some((noun, rest))) => format!("{count} {noun}{s} from {rest}"),
            (Section::NeverReceived, _) => format!("{count} message{s} of {text}"),
            _ if *count == 1 => text.clone(),
            _ => format!("{count} x {text}"),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.section.title(), self.words())
    }
}

/// A report is at most so long; further lines are counted.
const ROOM: usize = 256 << 10;

/// Leaves the report of `rank` for mpiexec. Without memory for it there is none.
pub fn publish(segment: &Segment, rank: u32, lines: &[Line]) {
    let mut text = String::new();
    for (index, Line { section, count, text: line }) in lines.iter().enumerate() {
        let line = line.replace(['\n', '\r'], " ");
        if text.len() + line.len() > ROOM {
            text.push_str(&format!("w{} further lines\n", lines.len() - index));
            break;
        }
        text.push_str(&format!("{}{count} {line}\n", char::from(*section as u8)));
    }
    let Ok(offset) = segment.allocate(text.len().max(1), Purpose::Rings) else { return };
    let Some(place) = segment.at(offset, text.len()) else { return };
    // SAFETY: the piece was just given to us, as long as that; nobody reads it before the word below says
    // where it is.
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), place.as_ptr(), text.len()) };
    let word = (offset as u64 / 64) << 32 | text.len() as u64;
    // SYNC report: the text is there for who sees where it is.
    segment.rank_page(rank).report.store(word, Ordering::Release);
}

/// The report of `rank`, if it left one.
pub fn read(segment: &Segment, rank: u32) -> Vec<Line> {
    // SYNC report: see `publish`.
    let word = segment.rank_page(rank).report.load(Ordering::Acquire);
    let (offset, len) = ((word >> 32) as usize * 64, (word & 0xffff_ffff) as usize);
    let Some(place) = segment.at(offset, len).filter(|_| word != 0 && len <= 2 * ROOM) else { return Vec::new() };
    let mut bytes = vec![0u8; len];
    // SAFETY: inside of the mapping (checked); the rank wrote it before the word and does not change it.
    unsafe { std::ptr::copy_nonoverlapping(place.as_ptr(), bytes.as_mut_ptr(), len) };
    String::from_utf8_lossy(&bytes).lines().filter_map(parse).collect()
}

fn parse(line: &str) -> Option<Line> {
    let section = Section::ALL.into_iter().find(|section| line.starts_with(char::from(*section as u8)))?;
    let (count, text) = line.get(1..)?.split_once(' ')?;
    Some(Line { section, count: count.parse().ok()?, text: text.to_owned() })
}

/// `rank` sends nothing any more: it has come to MPI_Finalize, or its process has ended.
pub fn comes_to_end(segment: &Segment, rank: u32) {
    // SYNC at-end: who sees it sees all messages that the rank has sent.
    segment.rank_page(rank).at_end.store(1, Ordering::Release);
    segment.wake_everybody();
}

/// Whether all ranks have come to their end; `latecomers`: also those that have not begun to use MPI.
pub fn all_came_to_end(segment: &Segment, latecomers: bool) -> bool {
    (0..segment.ranks()).all(|rank| {
        let page = segment.rank_page(rank);
        // SYNC at-end: see `comes_to_end`.
        page.at_end.load(Ordering::Acquire) != 0
            || match page.seat() {
                Seat::Claimed | Seat::Initialized => false,
                Seat::Empty => !latecomers,
                Seat::Finalized | Seat::Aborted | Seat::Dead => true,
            }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(section: Section, count: usize, text: &str) -> Line {
        Line { section, count, text: text.to_owned() }
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let segment = Segment::create(2).expect("segment");
        let lines = [
            line(Section::NeverFreed, 2, "communicator from MPI_Comm_dup at x.py:10"),
            line(Section::NeverReceived, 1, "3 x MPI_INT from rank 1, tag 7"),
        ];
        publish(&segment, 1, &lines);
        assert_eq!(read(&segment, 1), lines);
        assert_eq!(read(&segment, 0), []);
        publish(&segment, 0, &[]);
        assert_eq!(read(&segment, 0), []);
    }

    #[test]
    fn a_report_that_is_too_long_is_cut_at_a_line() {
        let segment = Segment::create(1).expect("segment");
        let lines = vec![line(Section::NeverFreed, 1, &"x".repeat(1000)); 1000];
        publish(&segment, 0, &lines);
        let read = read(&segment, 0);
        let last = read.last().expect("lines");
        assert_eq!(read.len() - 1 + last.count, 1000);
        assert_eq!((last.section, last.text.as_str()), (Section::Wrong, "further lines"));
    }

    #[test]
    fn ranks_that_are_gone_are_not_waited_for_nor_for_ever_those_that_have_not_begun() {
        let segment = Segment::create(4).expect("segment");
        assert!(all_came_to_end(&segment, false));
        assert!(!all_came_to_end(&segment, true));
        for (rank, seat) in [(0, Seat::Initialized), (1, Seat::Finalized), (2, Seat::Dead), (3, Seat::Initialized)] {
            segment.rank_page(rank).set_seat(seat);
        }
        comes_to_end(&segment, 0);
        assert!(!all_came_to_end(&segment, false));
        comes_to_end(&segment, 3);
        assert!(all_came_to_end(&segment, true));
    }
}
