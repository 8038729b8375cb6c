//! A question that comes while the answer to another one is being read. The model fails when `add` does not release
//! the length of the text or `read` does not acquire it, and when either fence, or the last look at the question, is
//! taken out.

use super::{Shared, check};
use crate::answer::{Writer, read};
use loom::thread;
use std::sync::Arc;

struct Job(Shared);

// SAFETY: the segment is made for use by many threads.
unsafe impl Send for Job {}
// SAFETY: as above.
unsafe impl Sync for Job {}

#[test]
fn an_answer_is_that_to_one_question() {
    check(3, || {
        let job = Arc::new(Job(Shared::new(1)));
        let rank = Arc::clone(&job);
        let rank = thread::spawn(move || {
            let (segment, mut writer) = (rank.0.segment(), Writer::default());
            for _ in 0..2 {
                let asked = segment.rank_page(0).asked();
                if asked != 0 {
                    writer.add(segment, 0, asked, &asked.to_string().repeat(16));
                }
            }
        });
        let other = Arc::clone(&job);
        let other = thread::spawn(move || other.0.segment().rank_page(0).ask());
        let segment = job.0.segment();
        segment.rank_page(0).ask();
        for _ in 0..2 {
            if let Some(text) = read(segment, 0) {
                let first = &text[..1];
                assert_eq!(text, first.repeat(16));
            }
        }
        rank.join().expect("thread");
        other.join().expect("thread");
    });
}
