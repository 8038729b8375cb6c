//! Nonblocking collectives whose board is there, which is all of them but the first few: they need no steps. The last rank
//! to come has the result when its call returns, and no request of its own; others have one with what reports and errors want to know.
//! (Measured, Iallreduce of 8 bytes and Wait from Python: with a schedule 0.47 us with 2 ranks, so 0.34, a persistent one 0.19.)

use super::build::Builder;
use super::{Called, Form};
use crate::coll::Collective;
use crate::coll::board::{Begun, Part};
use crate::coll::turn::{self, Detail};
use crate::comm::CommCore;
use crate::payload::Payload;
use crate::request::{Request, Role};
use crate::status::Call;
use crate::{Engine, Result, check};
use mpi_abi::Comm;
use shm::{calls, told};
use std::fmt;
use std::sync::Arc;

/// One in work, on the board of its communicator.
pub struct OnBoard {
    pub(super) core: Arc<CommCore>,
    pub(super) called: Called,
    /// Which one of its communicator it is (see `Made`).
    number: u32,
}

impl fmt::Debug for OnBoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on a board", Form::Nonblocking.name(self.called.call as u32))
    }
}

impl OnBoard {
    /// See `Schedule`.
    pub(crate) fn context(&self) -> u32 {
        self.core.context
    }

    /// See `Schedule`.
    pub(crate) fn operation(&self) -> u32 {
        calls::operation(self.called.call as u32, false)
    }

    /// See `Schedule`.
    pub(crate) fn turn(&self, raw: usize) -> told::Turn {
        let mut awaited = Vec::new();
        if let Some(board) = self.core.board.get() {
            board.awaited(raw, |world| {
                awaited.push(world);
                false
            });
        }
        awaited.sort_unstable();
        told::Turn { kind: 1, number: self.number, awaited }
    }

    /// See `Schedule`.
    pub(crate) fn awaited(&self, e: &Engine, raw: usize) -> i32 {
        let next = self.core.board.get().and_then(|board| board.next(e, raw));
        next.map_or(-1, u32::cast_signed)
    }

    /// Ranks disagree.
    pub(super) fn break_up(&self) {
        if let Some(board) = self.core.board.get() {
            board.break_up();
        }
    }
}

impl Engine {
    /// Starts a nonblocking collective that needs no steps; its request. None: it needs a schedule, and nothing was done.
    ///
    /// # Safety
    /// The buffers are valid for what the operation reads and writes until the request is complete.
    #[inline]
    pub(super) unsafe fn start_lightly(&mut self, call: Call, what: &Collective, comm: Comm) -> Result<Option<usize>> {
        let core: &Arc<_> = &self.comm(comm)?.core;
        let alone = core.size() == 1;
        if core.remote.is_some() || check::is_on() || !alone && core.board.get().is_none() {
            return Ok(None);
        }
        let builder = Builder::new(self, core, call);
        let mut found = None;
        builder.part(what, &mut found)?;
        let Some(part) = &mut found else { return Ok(None) };
        if alone {
            builder.count_light(what, part)?;
            // SAFETY: the caller's word.
            unsafe { part.keep_own() };
            return Ok(Some(self.collected_request()));
        }
        let Some(board) = core.board.get() else { return Ok(None) };
        let mut order = board.operations();
        if !order.is_there(part.needs_chunk()) {
            return Ok(None);
        }
        let (called, number) = builder.count_light(what, part)?;
        part.is_of(&called);
        // SAFETY: the caller's word.
        let begun = unsafe { order.begin(board, part) };
        drop(order);
        if let Begun::Over(None) = begun {
            self.progress_count += 1;
            return Ok(Some(self.collected_request()));
        }
        let role = OnBoard { core: Arc::clone(core), called, number };
        let comm = self.comm_raw(comm);
        let raw = self.requests.insert_with(|| Request::active(Role::OnBoard(role), Payload::EMPTY, comm));
        self.put_on_board(raw, part, begun);
        Ok(Some(raw))
    }

    #[inline]
    fn put_on_board(&mut self, raw: usize, part: &Part, begun: Begun) {
        let Some(Role::OnBoard(collective)) = self.requests.get(raw).map(|request| &request.role) else { return };
        let Some(board) = collective.core.board.get() else { return };
        match begun {
            Begun::Given => {
                self.progress_count += 1;
                self.boards.put(&mut board.operations(), board, raw, *part);
            }
            Begun::Over(wrong) => self.end_on_board(raw, wrong),
            Begun::Nothing => {
                let board = Arc::clone(board);
                self.start_on_board(&board, raw, *part);
            }
        }
    }
}

impl Builder<'_> {
    /// Counts a collective as [`Builder::count`] does, where nobody checks and its part has been made; what it is, and its number.
    #[inline]
    fn count_light(&self, what: &Collective, part: &Part) -> Result<(Called, u32)> {
        let root = self.common_root(what);
        let bytes = part.contribution().map_or(turn::ANY_BYTES, |bytes| bytes as u64);
        turn::take_place(self.e, self.core);
        let called = turn::count(Some(self.e), self.core, self.call, Form::Nonblocking, root, bytes, Detail::NONE)?;
        let (number, _) = self.core.schedules.next(Form::Nonblocking, called);
        Ok((called, number))
    }
}
