//! The ring of a pair. The models fail when
//! - `publish` stores or `peek` loads the stamp with `Relaxed` (an old word is read),
//! - `advance` stores or `slot` loads the head with `Relaxed`, where the next writer of a cell's bytes
//!   is not ordered after their reader (`a_cells_bytes_are_not_overwritten_while_they_are_read`),
//! - `give_back` or `data_head` do the same with the data ring, or `take` gives room that is in use,
//! - a data ring is given back before `is_read` says so,
//! - `near` begins anew before the consumer is done with what is there, or the producer hears of it in a cell
//!   that it read with `Relaxed`,
//! - `open` publishes the ring's place and the contact with `Relaxed` (either one alone orders the
//!   cleared stamps before the first look at them),
//! - `store_and_light` has no fence, or `advance` never says that cells were given back (a deadlock).

use super::{Bytes, Shared, check, until};
use crate::ring::{DataRing, Inbox, Piece, Receiver, Sender, open};
use crate::sync::spin_hint;
use loom::thread;

/// More than the cells of a ring (4 in a model), so that all of it is used again.
const MESSAGES: u64 = 6;

fn pair(shared: &Shared) -> (Sender, Receiver) {
    let mut inbox = Inbox::new(shared.segment(), 1);
    let sender = open(shared.segment(), 0, 1).expect("ring");
    let (_, receiver) = inbox.next_contact().expect("contact");
    (sender, receiver)
}

fn send(sender: &mut Sender, words: &[u64], mut full: impl FnMut()) {
    loop {
        if let Some(slot) = sender.slot() {
            slot.header(1, 0, words.len() * 8, words[0] as i32, 0);
            for (index, word) in words.iter().enumerate() {
                slot.word(index, *word);
            }
            return slot.publish();
        }
        full();
    }
}

#[test]
fn cells_come_in_order_and_whole() {
    check(2, || {
        let shared = Shared::new(2);
        let (mut sender, mut receiver) = pair(&shared);
        let producer = thread::spawn(move || {
            for number in 1..=MESSAGES {
                send(&mut sender, &[number], spin_hint);
            }
        });
        let mut number = 1;
        while number <= MESSAGES {
            let Some(cell) = receiver.peek() else {
                spin_hint();
                continue;
            };
            assert_eq!((cell.tag, cell.word(0)), (number as i32, number));
            receiver.advance();
            number += 1;
        }
        producer.join().expect("thread");
    });
}

/// The payload as raw bytes, which is how messages travel.
#[test]
fn a_cells_bytes_are_not_overwritten_while_they_are_read() {
    check(2, || {
        let shared = Shared::new(2);
        let bytes = Bytes::new(4);
        let (mut sender, mut receiver) = pair(&shared);
        let theirs = bytes.clone();
        let producer = thread::spawn(move || {
            for number in 0..MESSAGES {
                while sender.slot().is_none() {
                    spin_hint();
                }
                theirs.write(number as usize % 4, number);
                send(&mut sender, &[0], || unreachable!("there was room"));
            }
        });
        for number in 0..MESSAGES {
            while receiver.peek().is_none() {
                spin_hint();
            }
            assert_eq!(bytes.read(number as usize % 4), number);
            receiver.advance();
        }
        producer.join().expect("thread");
    });
}

/// Sizes in lines of the data ring, which has 4: some leave the end of it unused.
#[test]
fn pieces_of_the_data_ring_are_whole_and_never_overlap() {
    const LINES: [u64; 5] = [1, 2, 2, 3, 1];
    check(2, || {
        let shared = Shared::new(2);
        let bytes = Bytes::new(4);
        let (mut sender, mut receiver) = pair(&shared);
        let mut ring = DataRing::new(shared.segment(), &sender, 256, 0).expect("ring");
        let start = ring.take(&sender, 0).expect("an empty ring").offset;
        let lines = move |piece: Piece| {
            let first = (piece.offset - start) / 64;
            first..first + piece.len / 64
        };
        let theirs = bytes.clone();
        let producer = thread::spawn(move || {
            for count in LINES {
                let piece = loop {
                    if let Some(piece) = ring.take(&sender, count as usize * 64) {
                        break piece;
                    }
                    spin_hint();
                };
                lines(piece).for_each(|line| theirs.write(line, count));
                send(&mut sender, &[piece.offset as u64, piece.len as u64, piece.end], spin_hint);
            }
        });
        for count in LINES {
            let cell = loop {
                if let Some(cell) = receiver.peek() {
                    break cell;
                }
                spin_hint();
            };
            let piece = Piece { offset: cell.word(0) as usize, len: cell.word(1) as usize, end: cell.word(2) };
            assert!(lines(piece).all(|line| bytes.read(line) == count));
            receiver.give_back(piece);
            receiver.advance();
        }
        producer.join().expect("thread");
    });
}

/// The memory of a data ring that was replaced goes back when nobody reads it any more.
#[test]
fn a_ring_that_was_replaced_is_not_given_back_while_it_is_read() {
    check(2, || {
        let shared = Shared::new(2);
        let segment = shared.segment();
        let (mut sender, mut receiver) = pair(&shared);
        let producer = thread::spawn(move || {
            let mut ring = DataRing::new(segment, &sender, 128, 0).expect("ring");
            let mut old = None;
            for _ in 0..2 {
                let piece = ring.take(&sender, 64).expect("room");
                send(&mut sender, &[piece.offset as u64, piece.len as u64, piece.end], spin_hint);
                if old.is_none() {
                    let larger = DataRing::new(segment, &sender, 256, ring.position()).expect("ring");
                    old = Some(std::mem::replace(&mut ring, larger));
                }
            }
            let old = old.expect("replaced");
            while !old.is_read(&mut sender) {
                spin_hint();
            }
            old.free(segment);
        });
        for _ in 0..2 {
            let cell = loop {
                if let Some(cell) = receiver.peek() {
                    break cell;
                }
                spin_hint();
            };
            let piece = Piece { offset: cell.word(0) as usize, len: cell.word(1) as usize, end: cell.word(2) };
            segment.use_piece(piece.offset);
            receiver.give_back(piece);
            receiver.advance();
        }
        producer.join().expect("thread");
    });
}

/// A rank learns from the cells of the ring in the other direction that its near bytes were read, and begins
/// with the first line again.
#[test]
fn near_bytes_are_used_again_when_an_answer_says_that_they_were_read() {
    const ROUNDS: u64 = 3;
    check(2, || {
        let shared = Shared::new(2);
        let bytes = Bytes::new(2);
        let (mut there, mut there_end) = pair(&shared);
        let mut back = open(shared.segment(), 1, 0).expect("ring");
        let mut inbox = Inbox::new(shared.segment(), 0);
        let (_, mut back_end) = inbox.next_contact().expect("contact");
        let theirs = bytes.clone();
        let other = thread::spawn(move || {
            for round in 0..ROUNDS {
                let cell = loop {
                    if let Some(cell) = there_end.peek() {
                        break cell;
                    }
                    spin_hint();
                };
                assert_eq!(theirs.read(cell.word(0) as usize), round);
                there_end.advance();
                send(&mut back, &[u64::from(there_end.position())], || unreachable!("there was room"));
            }
        });
        for round in 0..ROUNDS {
            let near = loop {
                // There is room for two messages.
                if let Some(near) = there.near(16) {
                    break near;
                }
                if let Some(cell) = back_end.peek() {
                    there.hear(cell.word(0) as u32);
                    back_end.advance();
                }
                spin_hint();
            };
            let line = near.offset as usize / 64;
            bytes.write(line, round);
            send(&mut there, &[line as u64], || unreachable!("there was room"));
        }
        other.join().expect("thread");
    });
}

#[test]
fn sleeping_sides_wake_each_other() {
    check(2, || {
        let shared = Shared::new(2);
        let segment = shared.segment();
        let (mut sender, mut receiver) = pair(&shared);
        let producer = thread::spawn(move || {
            for number in 1..=MESSAGES {
                until(segment, 0, || sender.slot().map(drop));
                send(&mut sender, &[number], || unreachable!("there was room"));
                segment.rank_page(1).wake_after_fence();
            }
        });
        for number in 1..=MESSAGES {
            let cell = until(segment, 1, || receiver.peek());
            assert_eq!(cell.word(0), number);
            if receiver.advance() {
                segment.rank_page(0).wake();
            }
        }
        producer.join().expect("thread");
    });
}

#[test]
fn first_contacts_of_two_ranks_are_both_seen() {
    check(2, || {
        let shared = Shared::new(3);
        let segment = shared.segment();
        let others = [0, 1].map(|rank| {
            thread::spawn(move || {
                let mut sender = open(segment, rank, 2).expect("ring");
                send(&mut sender, &[u64::from(rank)], || unreachable!("an empty ring"));
                segment.rank_page(2).wake_after_fence();
            })
        });
        let mut inbox = Inbox::new(segment, 2);
        let mut seen = 0;
        for _ in 0..2 {
            let (from, receiver) = until(segment, 2, || inbox.next_contact());
            let cell = until(segment, 2, || receiver.peek());
            assert_eq!(cell.word(0), u64::from(from));
            seen |= 1 << from;
        }
        assert_eq!(seen, 0b11);
        for other in others {
            other.join().expect("thread");
        }
    });
}
