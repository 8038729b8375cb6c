//! Ranks in one process, each with its engine and board, whose operations are started and moved on as chance says.

use super::ground::{Ground, Place};
use super::{Begun, Board, Part};
use crate::Engine;
use crate::comm::CommCore;
use crate::datatype::Type;
use crate::group::Group;
use crate::op::Reduction;
use crate::payload::Payload;
use crate::request::{Request, Role};
use mpi_abi::consts::{MPI_SUM, MPI_UINT64_T};
use shm::Segment;
use shm::coll::Places;
use std::sync::Arc;

struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

struct Rank {
    e: Engine,
    board: Arc<Board>,
    /// Of each operation: contribution, result, request.
    memory: Vec<(Vec<u64>, Vec<u64>, usize)>,
}

/// The ranks of one communicator, whose boards `make` makes, on one piece of memory.
fn ranks(n: u32, make: impl Fn(&CommCore) -> Board) -> Vec<Rank> {
    let segment: &'static Segment = Box::leak(Box::new(Segment::create(n).expect("segment")));
    let group = Arc::new(Group::range(0, n));
    let boards: Vec<Board> = (0..n).map(|rank| make(&CommCore::new(2, Arc::clone(&group), rank, None))).collect();
    let offset = Places::create(segment, boards[0].shape).expect("memory");
    let rank = |(me, board): (u32, Board)| {
        let mut place = Place::at(&board, segment, offset, false).expect("attached");
        assert!(place.has_chunks());
        board.order.lock().ground = Ground::There(place);
        let mut e = Engine::new();
        e.me = me;
        Rank { e, board: Arc::new(board), memory: Vec::new() }
    };
    (0..n).zip(boards).map(rank).collect()
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    All,
    Root(u32),
    UpTo,
}

fn sum(e: &Engine) -> Reduction {
    let kind: &Type = e.types.get(MPI_UINT64_T).expect("predefined");
    assert_eq!(kind.size(), 8);
    e.ops.reduction(&e.types, MPI_SUM, MPI_UINT64_T).expect("predefined")
}

fn given(rank: u32, number: usize, i: usize) -> u64 {
    u64::from(rank + 1) * 1000 + (number * 7 + i) as u64
}

impl Rank {
    fn start(&mut self, n: u32, kind: Kind, elements: usize, in_place: bool) {
        let (number, me) = (self.memory.len(), self.board.me);
        let mine: Vec<u64> = (0..elements).map(|i| given(me, number, i)).collect();
        let out = if in_place { mine.clone() } else { vec![u64::MAX; elements] };
        let raw = self.e.requests.insert(Request::active(Role::Collective(None), Payload::EMPTY, 0));
        self.memory.push((mine, out, raw));
        let (mine, out, raw) = self.memory.last_mut().expect("pushed");
        let wants = match kind {
            Kind::All => 0..n,
            Kind::Root(root) if root == me => 0..n,
            Kind::Root(_) => 0..0,
            Kind::UpTo => 0..me + 1,
        };
        let from = if in_place { out.as_ptr().cast() } else { mine.as_ptr().cast() };
        let to = out.as_mut_ptr().cast();
        let part = Part::combined(wants, sum(&self.e), (elements, 8), (from, to), elements > 1000);
        let raw = *raw;
        let mut order = self.board.operations();
        // SAFETY: the memory stays until the operation is over.
        match unsafe { order.begin(&self.board, &part) } {
            Begun::Over(wrong) => {
                assert!(wrong.is_none());
                self.e.complete_request(raw);
            }
            Begun::Given => self.e.boards.put(&mut order, &self.board, raw, part),
            Begun::Nothing => {
                drop(order);
                assert!(self.e.start_on_board(&self.board, raw, part));
            }
        }
    }

    fn is_over(&self, number: usize) -> bool {
        self.e.requests.get(self.memory[number].2).is_some_and(|request| !request.is_active())
    }

    fn look_at(&self, n: u32, number: usize, kind: Kind, in_place: bool) {
        let (mine, out, _) = &self.memory[number];
        let me = self.board.me;
        let end = match kind {
            Kind::All => n,
            Kind::Root(root) if root == me => n,
            Kind::Root(_) => 0,
            Kind::UpTo => me + 1,
        };
        for (i, result) in out.iter().enumerate() {
            let wanted = match end {
                0 if in_place => mine[i],
                0 => u64::MAX,
                end => (0..end).map(|rank| given(rank, number, i)).sum(),
            };
            assert_eq!(*result, wanted, "operation {number} of rank {me}, element {i}");
        }
    }
}

/// Short and long operations of all kinds, many of them started before the first is over.
#[test]
fn operations_that_overlap_give_what_each_alone_gives() {
    for (n, seed) in [(2, 1), (3, 2), (4, 3), (2, 4)] {
        let mut chance = Chance(seed);
        let mut ranks = ranks(n, Board::of_many);
        let kinds = [Kind::All, Kind::All, Kind::Root(0), Kind::Root(n - 1), Kind::UpTo];
        let operations: Vec<(Kind, usize, bool)> = (0..300)
            .map(|_| {
                let kind = kinds[chance.below(5) as usize];
                let lengths: &[usize] =
                    if kind == Kind::All { &[1, 6, 100, 8192, 8193, 20_000] } else { &[1, 5, 6, 100] };
                (kind, lengths[chance.below(lengths.len() as u64) as usize], chance.below(2) == 0)
            })
            .collect();
        let over = |rank: &Rank| (0..operations.len()).all(|k| k < rank.memory.len() && rank.is_over(k));
        while !ranks.iter().all(over) {
            let rank = &mut ranks[chance.below(u64::from(n)) as usize];
            if chance.below(3) > 0
                && let Some((kind, elements, in_place)) = operations.get(rank.memory.len())
            {
                rank.start(n, *kind, *elements, *in_place);
            } else {
                rank.e.move_boards();
            }
        }
        for rank in &ranks {
            assert!(!rank.e.boards.any() || rank.board.order.lock().started.is_empty());
            for (number, (kind, _, in_place)) in operations.iter().enumerate() {
                rank.look_at(n, number, *kind, *in_place);
            }
        }
    }
}

/// Two places each are enough for one operation at a time.
#[test]
fn one_that_is_started_again_needs_two_places() {
    let n = 3;
    let mut ranks = ranks(n, |core| {
        let whole = Part::combined(0..n, sum(&Engine::new()), (50, 8), (std::ptr::null(), std::ptr::null_mut()), false);
        Board::of_one(core, &whole)
    });
    let mut chance = Chance(9);
    while ranks.iter().any(|rank| rank.memory.len() < 200 || !rank.is_over(199)) {
        let rank = &mut ranks[chance.below(u64::from(n)) as usize];
        let started = rank.memory.len();
        if (started == 0 || rank.is_over(started - 1)) && started < 200 {
            rank.start(n, Kind::All, 50, false);
        } else {
            rank.e.move_boards();
        }
    }
    for rank in &ranks {
        (0..200).for_each(|number| rank.look_at(n, number, Kind::All, false));
    }
}

#[test]
fn who_waits_is_told_for_whom() {
    let mut ranks = ranks(3, Board::of_many);
    ranks[0].start(3, Kind::All, 1, false);
    ranks[2].start(3, Kind::All, 1, false);
    let raw = ranks[0].memory[0].2;
    let mut late = Vec::new();
    ranks[0].board.awaited(raw, |world| {
        late.push(world);
        false
    });
    assert_eq!(late, [1]);
    // Their operations never end: the boards know nothing of them any more.
    ranks.iter().for_each(|rank| rank.board.break_up());
    assert!(!ranks[0].e.move_boards() && !ranks[0].e.boards.any());
}
