//! Scan and Exscan. Few ranks: each sends its contribution to all higher ones, which combine. Many, or long
//! contributions: in round k each sends what it has combined so far to the rank 2^k above it.

use super::super::build::Builder;
use super::super::fold::{Fold, Operand};
use super::FEW;
use crate::Result;
use crate::coll::Arg;
use mpi_abi::Op;

/// Up to so many bytes few ranks send to all higher ones.
const SHORT: usize = 8 << 10;

impl Builder<'_> {
    /// `send` none is in place.
    pub(super) fn scan(&mut self, send: Option<&Arg>, recv: &Arg, op: Op) -> Result<()> {
        self.prefix(send.unwrap_or(recv), recv, op, true)
    }

    /// `send` none is in place; rank 0's buffer stays as it is.
    pub(super) fn exscan(&mut self, send: Option<&Arg>, recv: &Arg, op: Op) -> Result<()> {
        self.prefix(send.unwrap_or(recv), recv, op, false)
    }

    fn prefix(&mut self, arg: &Arg, recv: &Arg, op: Op, inclusive: bool) -> Result<()> {
        let fold = self.fold(op, arg)?;
        let ranks = self.near();
        let n = fold.of_count(arg.count);
        if ranks.len() <= 2 || ranks.len() <= FEW && n * fold.kind.size() <= SHORT {
            self.all_below(&fold, (arg.base, recv.base), n, &ranks, inclusive)
        } else {
            self.doubling(&fold, (arg.base, recv.base), n, &ranks, inclusive)
        }
    }

    fn all_below(
        &mut self,
        fold: &Fold,
        (from, to): (*mut u8, *mut u8),
        n: usize,
        ranks: &[u32],
        inclusive: bool,
    ) -> Result<()> {
        let me = self.me();
        let mine = fold.bytes(from, 0, n);
        let mut operands = Vec::new();
        for below in &ranks[..me] {
            let at = self.room_for(n, &fold.kind)?;
            operands.push(Operand { at, own: true });
            self.recv(*below, fold.bytes(at, 0, n));
        }
        for above in &ranks[me + 1..] {
            self.send(*above, mine.clone());
        }
        if inclusive {
            operands.push(Operand { at: from, own: false });
        }
        self.fence();
        self.fold_into(fold, &operands, n, to);
        Ok(())
    }

    fn doubling(
        &mut self,
        fold: &Fold,
        (from, to): (*mut u8, *mut u8),
        n: usize,
        ranks: &[u32],
        inclusive: bool,
    ) -> Result<()> {
        let me = self.me();
        let bytes = |at: *mut u8| fold.bytes(at, 0, n);
        // Combined so far, from some rank on up to me; and the same without me.
        let with_me = self.room_for(n, &fold.kind)?;
        let below_me = if inclusive { std::ptr::null_mut() } else { self.room_for(n, &fold.kind)? };
        let came = self.room_for(n, &fold.kind)?;
        self.copy(bytes(from), bytes(with_me));
        let mut any = false;
        let mut distance = 1;
        while distance < ranks.len() {
            if me >= distance {
                self.recv(ranks[me - distance], bytes(came));
            }
            if me + distance < ranks.len() {
                self.send(ranks[me + distance], bytes(with_me));
            }
            self.fence();
            if me >= distance && n > 0 {
                if !inclusive {
                    if any {
                        self.combine(below_me, came, below_me, n);
                    } else {
                        self.copy(bytes(came), bytes(below_me));
                    }
                    any = true;
                }
                self.combine(with_me, came, with_me, n);
            }
            distance *= 2;
        }
        if inclusive {
            self.copy(bytes(with_me), bytes(to));
        } else if any {
            self.copy(bytes(below_me), bytes(to));
        }
        Ok(())
    }
}
