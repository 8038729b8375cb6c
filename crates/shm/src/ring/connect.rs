//! How a pair gets its ring: the sender makes it at first contact, enters it in the table of the
//! segment and in the receiver's list of contacts, and wakes it.

use super::cells::{Place, RING_BYTES, Receiver, Sender};
use crate::error::{Error, Result};
use crate::purpose::Purpose;
use crate::segment::Segment;
use crate::sync::Ordering;

/// Unit of a ring's place in the table: pieces of the arena begin at pages.
const PAGE: usize = 4096;

/// Makes the ring from `from` to `to`. Once per pair and job.
pub fn open(segment: &'static Segment, from: u32, to: u32) -> Result<Sender> {
    let offset = segment.allocate(RING_BYTES, Purpose::Rings)?;
    let place = Place::new(segment, offset)
        .ok_or_else(|| Error::new(format!("a ring at {offset} is outside of the segment")))?;
    place.clear();
    let units = u32::try_from(offset / PAGE).map_err(|_| Error::new("the segment is too large for its table"))?;
    // SYNC ring-place: the cleared ring is visible to who finds the place.
    segment.ring_place(to, from).store(units, Ordering::Release);
    let page = segment.rank_page(to);
    let index = page.contacts.0.fetch_add(1, Ordering::Relaxed);
    // SYNC contact: the place is visible to who finds us in the list.
    segment.contact(to, index).store(from + 1, Ordering::Release);
    page.wake();
    Ok(Sender::new(place))
}

/// The receiver's list of rings, in the order of first contact.
pub struct Inbox {
    segment: &'static Segment,
    me: u32,
    known: u32,
}

impl Inbox {
    /// For rank `me`; knows nobody yet.
    pub fn new(segment: &'static Segment, me: u32) -> Self {
        Self { segment, me, known: 0 }
    }

    /// The next rank that opened a ring to us, if there is a new one.
    #[inline]
    pub fn next_contact(&mut self) -> Option<(u32, Receiver)> {
        let count = self.segment.rank_page(self.me).contacts.0.load(Ordering::Relaxed);
        if count == self.known {
            return None;
        }
        self.attach()
    }

    #[cold]
    fn attach(&mut self) -> Option<(u32, Receiver)> {
        // SYNC contact: see `open`; 0 = counted but not written yet, come again.
        let from = self.segment.contact(self.me, self.known).load(Ordering::Acquire).checked_sub(1)?;
        // SYNC ring-place: see `open`.
        let units = self.segment.ring_place(self.me, from).load(Ordering::Acquire);
        let place = Place::new(self.segment, units as usize * PAGE)?;
        self.known += 1;
        Some((from, Receiver::new(place)))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::data::DataRing;
    use super::*;

    fn pair() -> (&'static Segment, Sender, Receiver) {
        let segment: &'static Segment = Box::leak(Box::new(Segment::create(2).expect("segment")));
        let mut inbox = Inbox::new(segment, 1);
        assert!(inbox.next_contact().is_none());
        let sender = open(segment, 0, 1).expect("ring");
        let (from, receiver) = inbox.next_contact().expect("contact");
        assert_eq!(from, 0);
        (segment, sender, receiver)
    }

    #[test]
    fn cells_arrive_in_order_over_many_laps() {
        let (_, mut sender, mut receiver) = pair();
        let mut expected = 0u64;
        for value in 0..10_000u64 {
            loop {
                if let Some(slot) = sender.slot() {
                    slot.header(3, 1, 8, -7, 42);
                    slot.word(0, value);
                    slot.publish();
                    break;
                }
                while let Some(cell) = receiver.peek() {
                    assert_eq!((cell.kind, cell.flags, cell.inline, cell.tag, cell.context), (3, 1, 8, -7, 42));
                    assert_eq!(cell.word(0), expected);
                    expected += 1;
                    receiver.advance();
                }
            }
        }
        assert!(expected > 9_000);
    }

    #[test]
    fn a_full_ring_gives_no_slot_until_cells_come_back() {
        let (_, mut sender, mut receiver) = pair();
        let mut filled = 0;
        while let Some(slot) = sender.slot() {
            slot.header(1, 0, 0, 0, 0);
            slot.publish();
            filled += 1;
        }
        assert_eq!(filled, super::super::cells::CELLS);
        let mut freed = 0;
        while !receiver.advance() {
            freed += 1;
            assert!(freed < filled);
        }
        assert!(sender.slot().is_some());
    }

    #[test]
    fn near_bytes_begin_anew_when_the_consumer_is_done_with_all_of_them() {
        let (_, mut sender, mut receiver) = pair();
        let send = |sender: &mut Sender| {
            let near = sender.near(1000).map(|near| near.offset);
            let slot = sender.slot().expect("a free cell");
            slot.header(1, 0, 0, 0, 0);
            slot.publish();
            near
        };
        assert_eq!([send(&mut sender), send(&mut sender)], [Some(0), Some(1024)]);
        receiver.advance();
        sender.hear(receiver.position());
        assert_eq!(send(&mut sender), Some(2048), "the second message may still be read");
        receiver.advance();
        receiver.advance();
        sender.hear(receiver.position());
        assert_eq!(send(&mut sender), Some(0));
        sender.hear(receiver.position() - 2);
        let offsets: Vec<_> = (0..8).map(|_| send(&mut sender)).collect();
        assert_eq!(offsets[..7], [1, 2, 3, 4, 5, 6, 7].map(|n| Some(n * 1024)), "old news changes nothing");
        assert_eq!(offsets[7], None, "full");
    }

    #[test]
    fn a_cell_that_names_bytes_outside_of_the_near_ones_is_not_followed() {
        let (_, _, receiver) = pair();
        assert!(receiver.near(8000, 192).is_some());
        assert!(receiver.near(8000, 193).is_none());
        assert!(receiver.near(usize::MAX, 2).is_none());
    }

    #[test]
    fn a_ring_that_began_anew_is_not_said_to_have_more_room_than_it_has() {
        let (segment, sender, mut receiver) = pair();
        const SIZE: usize = 64 << 10;
        let mut ring = DataRing::new(segment, &sender, SIZE, 0).expect("ring");
        assert_eq!(ring.room(&sender), SIZE);
        let first = ring.take(&sender, SIZE / 2 - 64).expect("room");
        assert!(receiver.give_back(first));
        // Empty, but not enough in one piece behind the first: this one lies at the beginning again, and
        // counts with all that was skipped as more than the ring's size.
        let second = ring.take(&sender, SIZE * 3 / 4).expect("room");
        assert_eq!(second.offset, first.offset);
        assert_eq!(ring.room(&sender), 0);
        assert!(receiver.give_back(second));
        assert_eq!(ring.room(&sender), SIZE);
    }

    #[test]
    fn a_ring_that_was_replaced_is_read_when_its_last_piece_is() {
        let (segment, mut sender, mut receiver) = pair();
        const SIZE: usize = 64 << 10;
        let send = |ring: &mut DataRing, sender: &mut Sender, len: usize| {
            let piece = ring.take(sender, len).expect("room");
            sender.slot().expect("a free cell").publish();
            piece
        };
        let mut old = DataRing::new(segment, &sender, SIZE, 0).expect("ring");
        old.grow_after(SIZE as u64 / 2, SIZE);
        let first = send(&mut old, &mut sender, SIZE / 4);
        assert!(!old.is_outgrown(SIZE) && old.is_outgrown(SIZE + 1) && !old.is_read(&mut sender));
        let second = send(&mut old, &mut sender, SIZE / 4);
        assert!(old.is_outgrown(0));
        let mut new = DataRing::new(segment, &sender, 4 * SIZE, old.position()).expect("ring");
        // What is unread in the old ring takes no room in the new one.
        assert_eq!(new.room(&sender), 4 * SIZE);
        let third = send(&mut new, &mut sender, SIZE);
        assert!(third.offset >= first.offset + SIZE || third.offset + SIZE <= first.offset);
        assert!(third.end > second.end && !new.is_outgrown(usize::MAX));
        assert_eq!(new.room(&sender), 3 * SIZE);
        // The consumer may keep a quarter of the new ring now, and so more than there is in the old one.
        assert!(!receiver.give_back(first) && !receiver.give_back(second));
        assert!(!old.is_read(&mut sender));
        assert!(receiver.give_back(third));
        assert!(old.is_read(&mut sender) && new.is_read(&mut sender));
        old.free(segment);
        assert_eq!(new.take(&sender, SIZE).map(|piece| piece.end), Some(third.end + SIZE as u64));
    }

    #[test]
    fn a_ring_is_read_when_the_consumer_is_heard_to_be_behind_its_cells() {
        let (segment, mut sender, mut receiver) = pair();
        let mut ring = DataRing::new(segment, &sender, 64 << 10, 0).expect("ring");
        // So little that the consumer keeps it.
        let piece = ring.take(&sender, 100).expect("room");
        sender.slot().expect("a free cell").publish();
        assert!(receiver.peek().is_some() && !receiver.give_back(piece));
        receiver.advance();
        assert!(!ring.is_read(&mut sender));
        sender.hear(receiver.position());
        assert!(ring.is_read(&mut sender));
    }

    #[test]
    fn data_pieces_never_overlap_what_is_not_given_back() {
        let (segment, sender, mut receiver) = pair();
        let mut ring = DataRing::new(segment, &sender, 64 << 10, 0).expect("ring");
        let mut open: std::collections::VecDeque<super::super::Piece> = std::collections::VecDeque::new();
        for step in 0..5000usize {
            let len = step * 37 % ring.longest() + 1;
            match ring.take(&sender, len) {
                Some(piece) => {
                    for other in &open {
                        let apart =
                            piece.offset + piece.len <= other.offset || other.offset + other.len <= piece.offset;
                        assert!(apart, "{piece:?} {other:?}");
                    }
                    open.push_back(piece);
                }
                // Also what is kept back never leaves a full ring without a piece to be read.
                None => drop(receiver.give_back(open.pop_front().expect("a full ring has pieces"))),
            }
        }
    }
}
