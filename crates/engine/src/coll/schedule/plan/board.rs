//! Reductions and barriers on a board (`coll::board`), in place of messages. All ranks of the communicator decide alike: by the
//! operation, the bytes, and whether there is memory for the board.

use super::super::build::{Builder, Place};
use super::FEW;
use crate::Result;
use crate::coll::apart::{self, Piece};
use crate::coll::board::{Board, Part};
use crate::coll::turn::Form;
use crate::coll::{Arg, Collective};
use crate::datatype::message_size;
use crate::status::Call;
use mpi_abi::Op;
use shm::coll::LINE_BYTES;
use std::ops::Range;
use std::sync::Arc;

/// Up to so many bytes everybody combines everything: measured with 4 ranks on 2 cores, Iallreduce of 64 KiB 14.4 us in one round, 10.8 in
/// two; with 2 ranks 32 KiB 1.80 and 1.63 us, 8 KiB 0.67 and 0.74.
const WHOLE: usize = 24 << 10;
/// Up to so many bytes are in a chunk, where one rank or some combine all.
const CHUNK: usize = 64 << 10;

impl Builder<'_> {
    /// Does the collective on a board if it is one for that; true: its messages are to be planned too, or alone.
    #[inline]
    pub(super) fn board(&mut self, form: Form, what: &Collective) -> Result<bool> {
        if form == Form::Blocking || self.is_inter() || self.core.size() < 2 {
            return Ok(true);
        }
        let mut found = None;
        self.part(what, &mut found)?;
        let Some(part) = found else { return Ok(true) };
        let board = match form {
            Form::Persistent => Arc::new(Board::of_one(self.core, &part)),
            _ => Arc::clone(self.core.board.get_or_init(|| Arc::new(Board::of_many(self.core)))),
        };
        self.be_on_board(board, part)
    }

    /// What a rank does on a board, put where it stays (it is long, and a copy would have to wait for what was just written);
    /// none: that is not for boards.
    #[inline]
    pub(in crate::coll::schedule) fn part(&self, what: &Collective, part: &mut Option<Part>) -> Result<()> {
        let (me, all) = (self.core.rank, self.core.size());
        match what {
            Collective::Barrier => {
                *part = Some(Part::empty(0..all));
                Ok(())
            }
            Collective::Reduce { send, recv, op, root } => {
                let root = self.place(*root)? == Place::Root;
                self.combined(send.as_ref(), recv, *op, if root { 0..all } else { 0..0 }, part)
            }
            Collective::Allreduce { send, recv, op } => self.combined(send.as_ref(), recv, *op, 0..all, part),
            Collective::Scan { send, recv, op } => self.combined(send.as_ref(), recv, *op, 0..me + 1, part),
            Collective::Exscan { send, recv, op } => self.combined(send.as_ref(), recv, *op, 0..me, part),
            _ => Ok(()),
        }
    }

    /// `send` none is in place.
    #[inline]
    fn combined(
        &self,
        send: Option<&Arg>,
        recv: &Arg,
        op: Op,
        wants: Range<u32>,
        part: &mut Option<Part>,
    ) -> Result<()> {
        let arg = send.unwrap_or(recv);
        let kind = self.e.types.committed(arg.datatype)?;
        let len = message_size(kind, arg.count)?;
        let all = wants == (0..self.core.size()) && self.call == Call::Allreduce;
        let few = self.core.size() as usize <= FEW;
        let fits = len <= LINE_BYTES || few && (all || len <= CHUNK);
        if kind.extent().cast_unsigned() != kind.size() || !fits {
            return Ok(());
        }
        let reduction = self.e.ops.reduction(&self.e.types, op, arg.datatype)?;
        if reduction.is_user() {
            return Ok(());
        }
        // Who wants nothing has no other buffer; rank 0 of an Exscan has.
        if let Some(send) = send.filter(|_| !wants.is_empty() || self.call == Call::Exscan) {
            apart::check_two(&Piece::run(send.base, len), &Piece::run(recv.base, len))?;
        }
        let shared = all && len > WHOLE;
        *part = Some(Part::combined(wants, reduction, (arg.count, kind.size()), (arg.base, recv.base), shared));
        Ok(())
    }
}
