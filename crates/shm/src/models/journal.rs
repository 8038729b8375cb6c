//! The journal of a rank, which others read while it is written. The model fails when
//! - `note` writes its words without the fence before them, or the key with `Relaxed` after them,
//! - `find` reads the key first with `Relaxed`, or without the fence before it reads it again.

use super::{Shared, check};
use crate::journal::Entry;
use loom::thread;

fn entry(number: u32) -> Entry {
    Entry { what: u64::from(number), bytes: u64::from(number) * 10, detail: u64::from(number) * 100 }
}

#[test]
fn an_entry_is_read_whole_or_not_at_all() {
    check(3, || {
        let shared = Shared::new(1);
        let segment = shared.segment();
        let writer = thread::spawn(move || {
            // One more than there are places in a model.
            for number in 1..=3 {
                let journal = segment.journal(0);
                journal.note(journal.take(), 4, number, entry(number));
            }
        });
        for number in [1, 3] {
            if let Some(found) = segment.journal(0).find(4, number) {
                assert_eq!(found, entry(number));
            }
        }
        writer.join().expect("thread");
        assert_eq!(segment.journal(0).latest(4), Some(3));
    });
}
