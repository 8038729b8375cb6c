//! Two ranks find at the same time that they disagree, about a row of counts. The model fails when
//! - the list is changed or read with `Relaxed`,
//! - a statement is given or read with `Relaxed`,
//! - `open` gives its own dispute back instead of the oldest.

use super::{Shared, check};
use crate::dispute::{Dispute, Row, Statement};
use loom::thread;

#[test]
fn both_open_one_dispute_and_read_statements_whole() {
    check(2, || {
        let shared = Shared::new(2);
        let segment = shared.segment();
        let body = move |me: u32| {
            let (dispute, _) = Dispute::open(segment, 4, 7, 2, u64::from(me) + 1, &[3, u64::from(me)]).expect("memory");
            assert_eq!(dispute.number(), 7);
            let counts = dispute.counts();
            let row = Row::of(&[3, u64::from(me)], &counts);
            let said = |row| Statement { number: 7, what: 5, bytes: 6, site: "x.py:1".into(), row };
            dispute.state(me as usize, &said(row));
            if let Some(other) = dispute.statement(1 - me as usize) {
                // One of the two has opened it.
                let ours = counts == [3, u64::from(me)];
                assert_eq!(other, said(if ours { Row::Differs(1, 1 - u64::from(me)) } else { Row::Same }));
            }
            dispute.opened_at()
        };
        let other = thread::spawn(move || body(1));
        let mine = body(0);
        assert_eq!(other.join().expect("thread"), mine);
    });
}
