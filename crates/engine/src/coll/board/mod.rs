//! Short collectives in work, in shared memory: nonblocking and persistent ones that neither wait nor send.
//!
//! A *board* has lines and chunks as a communicator's area (`shm::coll`). Operations on it are numbered in the order in
//! which they are started, which all ranks have in common: those of a communicator share one, a persistent one, which may be started
//! in another order on each rank, has its own. A rank publishes its part of an operation when that is started,
//! or, if its place is not free yet, when it is; it takes the others' parts in the order of the operations. Both happen in any MPI call (`Engine::progress`). README.md has
//! the protocol.
//!
//! | file | does |
//! |---|---|
//! | here | a board, its operations in order, moving them on |
//! | `ground` | the memory of a board; how the ranks find it |
//! | `part` | what a rank gives to an operation and what it makes of the others' parts |

mod ground;
mod part;
#[cfg(test)]
mod tests;

pub(super) use ground::Told;
pub(super) use part::{Part, Wrong};

use crate::Engine;
use crate::comm::CommCore;
use crate::group::Group;
use ground::{Ground, Place};
use shm::coll::Shape;
use shm::lock::{Guard, Lock};
use std::collections::VecDeque;
use std::sync::Arc;

/// Operations of a communicator, or the starts of a persistent one. Locked under the engine's lock only.
pub(crate) struct Board {
    group: Arc<Group>,
    me: u32,
    shape: Shape,
    order: Lock<Order>,
}

/// Where its operations stand.
#[derive(Default)]
pub(super) struct Order {
    ground: Ground,
    /// Started and not over, in order.
    started: VecDeque<Started>,
    /// Number of the first of them: so many are over.
    first: u64,
    /// So many have my part.
    published: u64,
    /// Ranks below this one have given their part to the first.
    seen: u32,
    /// Is in `Boards`.
    listed: bool,
    /// Ranks disagree: nothing moves any more.
    broken: bool,
}

/// One of the operations that a collective takes.
struct Started {
    raw: usize,
    part: Part,
    /// The collective's last one.
    last: bool,
}

/// How far an operation came as it was started.
pub(in crate::coll) enum Begun {
    /// It is over; what was wrong.
    Over(Option<Wrong>),
    /// My part is given, others are awaited.
    Given,
    /// Nothing was done: it has to be put into the queue.
    Nothing,
}

/// So many bytes are taken at most before others have a look at the engine (about 50 us).
const TURN: usize = 4 * (64 << 10);

/// The boards with operations that are not over.
#[derive(Default)]
pub(crate) struct Boards(Vec<Arc<Board>>);

impl Boards {
    /// Whether there are any.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Puts an operation that has begun ([`Begun::Given`]) into its board's queue, where it is the only one.
    #[inline]
    pub(super) fn put(&mut self, order: &mut Order, board: &Arc<Board>, raw: usize, part: Part) {
        order.started.push_back(Started { raw, part, last: true });
        self.list(order, board);
    }

    #[inline]
    fn list(&mut self, order: &mut Order, board: &Arc<Board>) {
        if !order.started.is_empty() && !std::mem::replace(&mut order.listed, true) {
            self.0.push(Arc::clone(board));
        }
    }
}

impl Board {
    /// For the nonblocking collectives of a communicator.
    pub(super) fn of_many(core: &CommCore) -> Self {
        Self::new(core, Shape::of_many(core.size()))
    }

    /// For one that is started again and again.
    pub(super) fn of_one(core: &CommCore, part: &Part) -> Self {
        Self::new(core, part.shape(core.size()))
    }

    fn new(core: &CommCore, shape: Shape) -> Self {
        Self { group: Arc::clone(&core.group), me: core.rank, shape, order: Lock::new(Order::default()) }
    }

    /// Its operations. Under the engine's lock only.
    #[inline]
    pub(super) fn operations(&self) -> Guard<'_, Order> {
        self.order.lock()
    }

    /// A rank of the job that an operation waits for, where that matters: first one that needs our own core, as in an area.
    pub(super) fn next(&self, e: &Engine, raw: usize) -> Option<u32> {
        if !e.is_crowded() {
            return None;
        }
        let mut first = None;
        self.awaited(raw, |world| {
            let near = e.near(world);
            first = first.filter(|_| !near).or(Some(world));
            near
        });
        first
    }

    /// Ranks disagree about an operation: those on the board do not go on.
    #[cold]
    pub(super) fn break_up(&self) {
        let mut order = self.order.lock();
        order.broken = true;
        order.started.clear();
    }

    /// Shows the ranks of the job that an operation waits for until `look` has seen enough.
    pub(super) fn awaited(&self, raw: usize, mut look: impl FnMut(u32) -> bool) {
        let order = self.order.lock();
        let Some(at) = order.started.iter().position(|started| started.raw == raw) else { return };
        let Ground::There(place) = &order.ground else { return };
        let (number, part) = (order.first + at as u64, &order.started[at].part);
        let late = |rank: u32| {
            if number < order.published {
                part.wants().contains(&rank) && !part.has_come(place, rank, number)
            } else {
                place.done(rank) <= order.published.saturating_sub(part.depth(&self.shape))
            }
        };
        let mut late = (0..self.group.size()).filter(|rank| *rank != self.me && late(*rank));
        let _ = late.find(|rank| self.group.world_rank(*rank).is_some_and(&mut look));
    }
}

impl Order {
    /// Whether the memory is there, with chunks if they are needed.
    #[inline]
    pub(super) fn is_there(&mut self, chunk: bool) -> bool {
        match &mut self.ground {
            Ground::There(place) => !chunk || place.has_chunks(),
            _ => false,
        }
    }

    /// Gives my part of an operation that is started now and is the only one, and takes the others' if they have come: the
    /// last one to come needs no request.
    ///
    /// # Safety
    /// The operation is active.
    #[inline]
    pub(super) unsafe fn begin(&mut self, board: &Board, part: &Part) -> Begun {
        let Ground::There(place) = &mut self.ground else { return Begun::Nothing };
        let (number, depth) = (self.published, part.depth(&board.shape));
        if !self.started.is_empty()
            || self.broken
            || !part.is_one()
            || !place.is_free(board.me, number, depth, self.first)
        {
            return Begun::Nothing;
        }
        // SAFETY: the caller's word; the place is free.
        unsafe { part.publish(place, board.me, number, self.first) };
        self.published += 1;
        if let Some(late) = part.late(place, board.me, number, 0) {
            self.seen = late - part.wants().start;
            return Begun::Given;
        }
        // SAFETY: the caller's word; all that it wants has come.
        let wrong = unsafe { part.take(place, board.me, number) };
        self.first += 1;
        place.finish(board.me, self.first);
        Begun::Over(wrong)
    }

    /// Publishes and takes what can be; whether anything moved.
    fn go_on(&mut self, board: &Board, e: &mut Engine) -> bool {
        let before = (self.published, self.first);
        if self.broken {
            return false;
        }
        let Ground::There(place) = &mut self.ground else { return false };
        let mut taken = 0;
        while taken < TURN {
            let begun = (self.published, self.first);
            while let Some(next) = self.started.get((self.published - self.first) as usize) {
                let (after, depth) = (next.part.after(), next.part.depth(&board.shape));
                let too_early = after > 0 && self.published - after >= self.first;
                if too_early || !place.is_free(board.me, self.published, depth, self.first) {
                    break;
                }
                // SAFETY: the operation is active, so its buffers are valid (who started it).
                unsafe { next.part.publish(place, board.me, self.published, self.first) };
                self.published += 1;
            }
            while self.first < self.published
                && let Some(Started { part, .. }) = self.started.front()
            {
                let Some(late) = part.late(place, board.me, self.first, self.seen) else {
                    // SAFETY: as above; all that it wants has come.
                    let wrong = unsafe { part.take(place, board.me, self.first) };
                    self.seen = 0;
                    self.first += 1;
                    place.finish(board.me, self.first);
                    taken += part.bytes();
                    if let Some(Started { raw, last: true, .. }) = self.started.pop_front() {
                        e.end_on_board(raw, wrong);
                    }
                    // What may be given now is given first.
                    if taken > 0 {
                        break;
                    }
                    continue;
                };
                self.seen = late - part.wants().start;
                break;
            }
            if (self.published, self.first) == begun {
                break;
            }
        }
        if self.published != before.0 {
            e.progress_count += 1;
        }
        (self.published, self.first) != before
    }
}

impl Engine {
    /// Puts an operation that is started now behind the others on its board, and goes on with them. False: it has to
    /// be told first where the board is.
    #[inline]
    pub(super) fn start_on_board(&mut self, board: &Arc<Board>, raw: usize, part: Part) -> bool {
        let mut order = board.order.lock();
        if part.is_one() {
            order.started.push_back(Started { raw, part, last: true });
        } else {
            order.started.extend(part.operations(&board.shape).map(|part| Started { raw, part, last: false }));
            if let Some(started) = order.started.back_mut() {
                started.last = true;
            }
        }
        if !matches!(order.ground, Ground::There(_)) {
            return false;
        }
        if order.go_on(board, self) && self.sleepers.any() {
            self.wake_own_threads();
        }
        self.boards.list(&mut order, board);
        true
    }

    /// Goes on with the operations of a board; whether anything moved.
    #[cold]
    pub(super) fn move_board(&mut self, board: &Arc<Board>) -> bool {
        let mut order = board.order.lock();
        let moved = order.go_on(board, self);
        self.boards.list(&mut order, board);
        moved
    }

    /// The same for a wait, which looks here first: what it waits for is there, as a rule, while rings would have to be
    /// fetched into the caches.
    #[inline]
    pub(crate) fn look_at_boards(&mut self) -> bool {
        let moved = self.boards.any() && self.move_boards();
        if moved && self.sleepers.any() {
            self.wake_own_threads();
        }
        moved
    }

    /// Goes on with all operations on boards; whether anything moved.
    #[inline]
    pub(crate) fn move_boards(&mut self) -> bool {
        let mut boards = std::mem::take(&mut self.boards.0);
        let mut moved = false;
        boards.retain(|board| {
            let mut order = board.order.lock();
            moved |= order.go_on(board, self);
            order.listed = !order.started.is_empty();
            order.listed
        });
        // Nothing is started meanwhile, so no other board was listed.
        self.boards.0 = boards;
        moved
    }
}

impl Place {
    /// Whether the place of `me` for operation `number` is free: nobody needs what lies there, I neither.
    #[inline]
    fn is_free(&mut self, me: u32, number: u64, depth: u64, mine_done: u64) -> bool {
        number < depth || (mine_done > number - depth && self.all_are_done(me, number, depth))
    }
}
