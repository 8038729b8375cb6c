//! Reduce, Allreduce, Reduce_scatter.
//!
//! | contribution | way |
//! |---|---|
//! | short, few ranks | each sends its own to all that want the result, which combine |
//! | short, many ranks | the first one combines and tells all |
//! | long | rank r gets the r-th part from all, combines it, and gives it to those that want it; in pieces, so that one is combined while the next one comes |
//!
//! On an intercommunicator each group gets what the other one contributes.

use super::super::build::{Builder, Place};
use super::super::fold::{Fold, Operand};
use super::FEW;
use crate::coll::{Arg, total};
use crate::{Result, check};
use mpi_abi::Op;
use std::ffi::c_int;
use std::ops::Range;

/// Up to so many bytes each rank combines all: a second round costs more than the arithmetic and the copies.
const SHORT: usize = 8 << 10;
/// Bytes of a piece: two of each rank stay in the inner cache.
const PIECE: usize = 64 << 10;

/// Everybody's part in combining a long contribution.
struct Parts<'a> {
    fold: &'a Fold,
    /// My contribution.
    from: *mut u8,
    /// Who combines which elements of it. I may be one of them.
    targets: &'a [(u32, Range<usize>)],
    /// Whose contributions I combine, in order: me too on an intracommunicator. Empty: I combine nothing.
    sources: &'a [u32],
    /// The elements that I combine.
    mine: Range<usize>,
    /// Where their result goes.
    out: *mut u8,
    /// Who else gets it.
    heirs: &'a [u32],
    /// Who combines elements that I get, which, and where they go.
    partners: &'a [(u32, Range<usize>, *mut u8)],
    /// Into how many pieces each part is cut: all say the same.
    pieces: usize,
}

/// Piece `k` of `pieces` of a range.
fn piece(range: &Range<usize>, k: usize, pieces: usize) -> Range<usize> {
    let n = range.len();
    let cut = |k: usize| range.start + (n as u128 * k as u128 / pieces as u128) as usize;
    cut(k)..cut(k + 1)
}

/// Part `k` of `n` elements in `parts`.
fn part(n: usize, k: usize, parts: usize) -> Range<usize> {
    piece(&(0..n), k, parts)
}

/// So many pieces make parts of up to `elements` not too long.
fn pieces(elements: usize, fold: &Fold) -> usize {
    let bytes = elements.saturating_mul(fold.kind.size());
    bytes.div_ceil(PIECE).clamp(1, elements.max(1))
}

impl Builder<'_> {
    /// `send` none is in place, or a root that contributes nothing.
    pub(super) fn reduce(&mut self, send: Option<&Arg>, recv: &Arg, op: Op, root: c_int) -> Result<()> {
        let place = self.place(root)?;
        if place == Place::Outside {
            return Ok(());
        }
        let arg = send.unwrap_or(recv);
        let fold = self.fold(op, arg)?;
        let (me, far, n) = (self.me(), self.far(), fold.of_count(arg.count));
        // In a long one of several ranks the work is shared.
        let shared = !self.is_inter() && far.len() > 2 && n * fold.kind.size() > SHORT;
        if shared {
            let all = (0..far.len()).map(|k| (far[k], part(n, k, far.len()))).collect::<Vec<_>>();
            let mine = all[me].1.clone();
            let (out, heirs, partners) = match place {
                Place::Root => {
                    let others = self.others(&far);
                    let from = |k: usize| {
                        let range = all[k].1.clone();
                        (far[k], range.clone(), fold.element(recv.base, range.start))
                    };
                    (fold.element(recv.base, mine.start), Vec::new(), others.map(from).collect())
                }
                Place::Leaf(root) => (self.room_for(mine.len(), &fold.kind)?, vec![root], Vec::new()),
                Place::Outside => return Ok(()),
            };
            let pieces = pieces(n.div_ceil(far.len()), &fold);
            return self.parts(&Parts {
                fold: &fold,
                from: arg.base,
                targets: &all,
                sources: &far,
                mine,
                out,
                heirs: &heirs,
                partners: &partners,
                pieces,
            });
        }
        let whole = 0..n;
        let (targets, sources) = match place {
            Place::Root => (Vec::new(), far),
            Place::Leaf(root) => (vec![(root, whole.clone())], Vec::new()),
            Place::Outside => return Ok(()),
        };
        // Under `--check` two groups that do not agree are to come to an end all the same: one message each.
        let pieces = if self.is_inter() && check::is_on() { 1 } else { pieces(n, &fold) };
        self.parts(&Parts {
            fold: &fold,
            from: arg.base,
            targets: &targets,
            sources: &sources,
            mine: whole,
            out: recv.base,
            heirs: &[],
            partners: &[],
            pieces,
        })
    }

    /// `send` none is in place.
    pub(super) fn allreduce(&mut self, send: Option<&Arg>, recv: &Arg, op: Op) -> Result<()> {
        let arg = send.unwrap_or(recv);
        let fold = self.fold(op, arg)?;
        let (near, far, n) = (self.near(), self.far(), fold.of_count(arg.count));
        let bytes = n * fold.kind.size();
        if bytes <= SHORT && (self.is_inter() || far.len() <= FEW) {
            return self.all_combine(&fold, arg, recv, &far, n);
        }
        let me = self.me();
        if bytes <= SHORT {
            // Through the first rank.
            let whole = 0..n;
            let (targets, sources) =
                if me == 0 { (Vec::new(), far.clone()) } else { (vec![(far[0], whole.clone())], Vec::new()) };
            let (heirs, partners) = if me == 0 {
                (far[1..].to_vec(), Vec::new())
            } else {
                (Vec::new(), vec![(far[0], whole.clone(), recv.base)])
            };
            return self.parts(&Parts {
                fold: &fold,
                from: arg.base,
                targets: &targets,
                sources: &sources,
                mine: whole,
                out: recv.base,
                heirs: &heirs,
                partners: &partners,
                pieces: 1,
            });
        }
        let targets: Vec<_> = (0..far.len()).map(|k| (far[k], part(n, k, far.len()))).collect();
        let mine = part(n, me, near.len());
        let others: Vec<usize> = (1..near.len()).map(|d| (me + d) % near.len()).collect();
        let heirs: Vec<u32> = others.iter().map(|k| near[*k]).collect();
        let from = |k: &usize| {
            let range = part(n, *k, near.len());
            (near[*k], range.clone(), fold.element(recv.base, range.start))
        };
        let partners: Vec<_> = others.iter().map(from).collect();
        let pieces = pieces(n.div_ceil(far.len().min(near.len())), &fold);
        self.parts(&Parts {
            fold: &fold,
            from: arg.base,
            targets: &targets,
            sources: &far,
            out: fold.element(recv.base, mine.start),
            mine,
            heirs: &heirs,
            partners: &partners,
            pieces,
        })
    }

    /// `send` none is in place: the contribution lies in `recv`. `counts` are those of my group.
    pub(super) fn reduce_scatter(&mut self, send: Option<&Arg>, recv: &Arg, counts: &[usize], op: Op) -> Result<()> {
        let total = total(counts);
        let all = Arg { count: total, ..*send.unwrap_or(recv) };
        let fold = self.fold(op, &all)?;
        let (near, far, me) = (self.near(), self.far(), self.me());
        let mut end = 0;
        let blocks: Vec<Range<usize>> = counts
            .iter()
            .map(|count| {
                let count = fold.of_count(*count);
                end += count;
                end - count..end
            })
            .collect();
        let mine = blocks[me].clone();
        if self.is_inter() {
            return self.reduce_and_scatter(&fold, &all, recv, &blocks);
        }
        // The result of an in-place one goes where blocks of others are until they are sent.
        let apart = send.is_some();
        let out = if apart { recv.base } else { self.room_for(mine.len(), &fold.kind)? };
        let targets: Vec<_> = near.iter().copied().zip(blocks.iter().cloned()).collect();
        let longest = blocks.iter().map(Range::len).max().unwrap_or(0);
        self.parts(&Parts {
            fold: &fold,
            from: all.base,
            targets: &targets,
            sources: &far,
            out,
            heirs: &[],
            partners: &[],
            pieces: pieces(longest, &fold),
            mine: mine.clone(),
        })?;
        if !apart {
            self.fence();
            let (from, to) = (fold.bytes(out, 0, mine.len()), fold.bytes(recv.base, 0, mine.len()));
            self.copy(from, to);
        }
        Ok(())
    }

    /// The counts of one group are not known to the other: the first of each combines all and scatters it.
    fn reduce_and_scatter(&mut self, fold: &Fold, all: &Arg, recv: &Arg, blocks: &[Range<usize>]) -> Result<()> {
        let (near, far, me, n) = (self.near(), self.far(), self.me(), fold.of_count(all.count));
        let whole = if me == 0 { self.room_for(n, &fold.kind)? } else { std::ptr::null_mut() };
        let sources: &[u32] = if me == 0 { &far } else { &[] };
        self.parts(&Parts {
            fold,
            from: all.base,
            targets: &[(far[0], 0..n)],
            sources,
            mine: 0..n,
            out: whole,
            heirs: &[],
            partners: &[],
            pieces: pieces(n, fold),
        })?;
        let mine = fold.bytes(recv.base, 0, blocks[me].len());
        if me != 0 {
            self.recv_in(1, near[0], mine);
            return Ok(());
        }
        self.fence();
        for (k, block) in blocks.iter().enumerate().skip(1) {
            self.send_in(1, near[k], fold.bytes(whole, block.start, block.len()));
        }
        self.copy(fold.bytes(whole, 0, blocks[0].len()), mine);
        Ok(())
    }

    /// Each sends its contribution to all, and combines those that it gets.
    fn all_combine(&mut self, fold: &Fold, arg: &Arg, recv: &Arg, far: &[u32], n: usize) -> Result<()> {
        let mine = fold.bytes(arg.base, 0, n);
        let mut operands = vec![Operand { at: arg.base, own: false }; far.len()];
        for other in self.others(far) {
            let at = self.room_for(n, &fold.kind)?;
            operands[other] = Operand { at, own: true };
            self.recv(far[other], fold.bytes(at, 0, n));
        }
        for other in self.others(far) {
            self.send(far[other], mine.clone());
        }
        // Also for the sends, since the result may go where the contribution is.
        self.fence();
        self.fold_into(fold, &operands, n, recv.base);
        Ok(())
    }

    /// Parts go to those that combine them, and from there to those that get them, piece by piece.
    fn parts(&mut self, parts: &Parts<'_>) -> Result<()> {
        let Parts { fold, from, pieces, .. } = *parts;
        let me = self.e.me;
        let longest = (0..pieces).map(|k| piece(&parts.mine, k, pieces).len()).max().unwrap_or(0);
        // Two places for each source: the next piece comes while one is combined.
        let mut places = Vec::new();
        for source in parts.sources {
            let own = *source != me;
            let mut place = || if own { self.room_for(longest, &fold.kind) } else { Ok(std::ptr::null_mut()) };
            places.push((*source, [place()?, if pieces > 1 { place()? } else { std::ptr::null_mut() }]));
        }
        let mut came: Vec<Vec<usize>> = vec![Vec::new(); pieces];
        self.exchange(parts, &places, 0, &mut came);
        for k in 0..pieces {
            if k + 1 < pieces {
                self.exchange(parts, &places, k + 1, &mut came);
            }
            let range = piece(&parts.mine, k, pieces);
            if !parts.sources.is_empty() {
                for step in &came[k] {
                    self.wait_for(*step);
                }
                let contribution = fold.element(from, range.start);
                let operand = |(source, places): &(u32, [*mut u8; 2])| {
                    if *source == me {
                        Operand { at: contribution, own: false }
                    } else {
                        Operand { at: places[k % 2], own: true }
                    }
                };
                let operands: Vec<_> = places.iter().map(operand).collect();
                let out = fold.element(parts.out, range.start - parts.mine.start);
                self.fold_into(fold, &operands, range.len(), out);
                for heir in parts.heirs {
                    self.send_in(1, *heir, fold.bytes(out, 0, range.len()));
                }
            }
            for (partner, elements, to) in parts.partners {
                // The result may go where my contribution is: it comes from the one who has got that.
                let range = piece(elements, k, pieces);
                let to = fold.element(*to, range.start - elements.start);
                self.recv_in(1, *partner, fold.bytes(to, 0, range.len()));
            }
        }
        Ok(())
    }

    /// Starts to receive and to send piece `k` of all contributions.
    fn exchange(&mut self, parts: &Parts<'_>, places: &[(u32, [*mut u8; 2])], k: usize, came: &mut [Vec<usize>]) {
        let me = self.e.me;
        let range = piece(&parts.mine, k, parts.pieces);
        for (source, places) in places.iter().filter(|(source, _)| *source != me) {
            let bytes = parts.fold.bytes(places[k % 2], 0, range.len());
            came[k].push(self.recv(*source, bytes));
        }
        let n = parts.targets.len();
        let first = parts.targets.iter().position(|(target, _)| *target == me).map_or(0, |at| at + 1);
        for i in 0..n {
            let (target, elements) = &parts.targets[(first + i) % n];
            if *target != me {
                let range = piece(elements, k, parts.pieces);
                self.send(*target, parts.fold.bytes(parts.from, range.start, range.len()));
            }
        }
    }
}
