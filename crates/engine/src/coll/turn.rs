//! A collective that this rank is in, and what it tells others of it. All ranks of a communicator must call the
//! same collectives in the same order: so each counts them, and what it called goes along with everything that it
//! publishes or sends, together with a hash of what it had called before. What does not fit is a dispute
//! (`disagree`).
//!
//! Beginning one costs some stores into the rank's own journal (`shm::journal`).

use super::Arg;
use super::disagree::{self, Rows};
use crate::comm::CommCore;
use crate::datatype::Signature;
use crate::op::Operation;
use crate::protocol::copying::Copier;
use crate::status::Call;
use crate::{Engine, Result, check, naming, with};
use mpi_abi::{Datatype, Op};
use shm::Segment;
use shm::journal::{Entry, Journal};
use shm::sync::{AtomicPtr, AtomicU64, Ordering};
use std::ffi::c_int;

/// How the user called a collective, which says its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Blocking,
    Nonblocking,
    Persistent,
}

impl Form {
    const ALL: [Self; 3] = [Self::Blocking, Self::Nonblocking, Self::Persistent];

    /// The name of `call` in this form.
    pub(crate) fn name(self, call: u32) -> String {
        let name = super::call_name(call);
        match self {
            Self::Blocking => name.to_owned(),
            Self::Nonblocking => format!("I{}", name.to_lowercase()),
            Self::Persistent => format!("{name}_init"),
        }
    }
}

/// What a communicator's process counts: in the high half its collectives, in the low 16 bits a hash of all of
/// them, and whether ranks disagree.
#[derive(Default)]
pub struct Turns {
    word: AtomicU64,
    /// The place in the journal for the next one.
    place: AtomicU64,
    /// See there.
    pub(super) rows: Rows,
}

const DISPUTED: u64 = 1 << 16;

/// The number of the collective after those that [`Turns::word`] has.
#[inline]
fn next_number(word: u64) -> u32 {
    ((word >> 32) as u32).wrapping_add(1).max(1)
}

impl Turns {
    /// Ranks disagree: nothing is to be begun on this communicator any more.
    pub(super) fn dispute(&self) {
        self.word.fetch_or(DISPUTED, Ordering::Relaxed);
    }

    /// Remembers the counts of the collective that is counted next, for a report.
    pub(super) fn remember(&self, facts: &Facts<'_>) {
        if !facts.counts.is_empty() {
            self.rows.keep(next_number(self.word.load(Ordering::Relaxed)), facts.counts);
        }
    }
}

/// Bytes of a collective in which ranks need not give the same number.
pub(super) const ANY_BYTES: u64 = u64::MAX;

const NO_ROOT: u64 = (1 << ROOT_BITS) - 1;
const FORM_AT: u32 = 8;
const ROOT_AT: u32 = 10;
const ROOT_BITS: u32 = 14;
const PAST_AT: u32 = ROOT_AT + ROOT_BITS;
const _: () = assert!((shm::segment::MAX_RANKS as u64) < NO_ROOT && PAST_AT + 16 == 40);

/// What was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Called {
    pub(crate) call: Call,
    /// Call, form, root, hash of all before and of operation and type: 40 bits that must be the same on all ranks.
    pub(super) what: u64,
    /// Bytes that each rank gives or gets, if all must say the same; else `ANY_BYTES`.
    pub(super) bytes: u64,
    /// Under `--check`: what else must be the same (see [`Detail`]).
    pub(super) detail: u64,
    /// The how many-th of the communicator, from 1.
    pub(super) number: u32,
}

impl Called {
    /// Bits that differ, most likely, from those of other collectives.
    pub(super) fn hash(self, bits: u32) -> u32 {
        (mix(mix(self.what) ^ u64::from(self.number)) >> (64 - bits)) as u32
    }

    /// The tag of a message of this collective, on the engine's context: another one for every other collective, as
    /// far as a tag can tell.
    pub(crate) fn tag(self, copier: Copier) -> c_int {
        FIRST_TAG + self.hash(HASH_BITS).cast_signed() * Copier::KINDS + copier as c_int
    }

    /// The first of 64 tags of this collective as a schedule.
    pub(super) fn lanes(self) -> c_int {
        FIRST_LANE + self.hash(LANE_HASH_BITS).cast_signed() * super::schedule::LANES
    }
}

/// Tags of blocking collectives: beyond those of schedules that overlap.
pub(super) const FIRST_TAG: c_int = (1 << 30) + 16;
const HASH_BITS: u32 = 26;
const FIRST_LANE: c_int = FIRST_TAG + Copier::KINDS * (1 << HASH_BITS);
const LANE_HASH_BITS: u32 = 22;
const _: () = assert!(FIRST_TAG % Copier::KINDS == 0);
const _: () = assert!((FIRST_LANE as i64) + (super::schedule::LANES as i64) * (1 << LANE_HASH_BITS) < (1 << 31) - 8);

/// Whether it is the tag of a blocking collective's message, on the engine's context.
pub(crate) fn is_collectives(tag: c_int) -> bool {
    (FIRST_TAG..FIRST_LANE).contains(&tag)
}

fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word ^ word >> 32
}

/// What was called, in words: `Bcast(root=0)`.
pub(super) fn words(what: u64) -> String {
    let form = Form::ALL.get((what >> FORM_AT & 3) as usize).copied().unwrap_or(Form::Blocking);
    let name = form.name((what & 0xff) as u32);
    match what >> ROOT_AT & NO_ROOT {
        NO_ROOT => format!("{name}()"),
        root => format!("{name}(root={root})"),
    }
}

/// What is called now.
pub(super) fn packed(call: Call, form: Form, root: Option<u32>) -> u64 {
    call as u64 | (form as u64) << FORM_AT | root.map_or(NO_ROOT, u64::from) << ROOT_AT
}

/// The same without what went before.
pub(super) fn without_past(what: u64) -> u64 {
    what & ((1 << PAST_AT) - 1)
}

/// What `mpiexec --check` compares of a collective, as far as all ranks must say the same.
#[derive(Clone, Copy, Default)]
pub(crate) struct Facts<'a> {
    pub(super) op: Option<Op>,
    /// What each rank gives or gets.
    pub(super) block: Option<Arg>,
    /// The elements that each rank gets of a Reduce_scatter.
    pub(super) counts: &'a [usize],
}

impl<'a> Facts<'a> {
    /// Each rank gives or gets this.
    pub(super) fn of_block(block: Option<Arg>) -> Self {
        Self { block, ..Self::default() }
    }

    /// This is combined.
    pub(super) fn of_reduction(op: Op, block: Arg) -> Self {
        Self { op: Some(op), block: Some(block), counts: &[] }
    }

    /// And scattered in blocks of these counts.
    pub(super) fn scattered(self, counts: &'a [usize]) -> Self {
        Self { counts, ..self }
    }
}

/// Operation, type and count of a collective in which all ranks must say the same, for `mpiexec --check`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Detail {
    /// As they can be named: operation (12 bits; 0 = none), type (12 bits), count. 0 = unknown.
    words: u64,
    /// Of operation, type signature and counts.
    hash: u64,
}

/// In the place of an operation or type: one of the user.
const MADE: u64 = 0xfff;
const NAME_BITS: u32 = 12;

impl Detail {
    /// There is none, or nobody checks.
    pub(super) const NONE: Self = Self { words: 0, hash: 0 };

    #[cold]
    fn asked(core: &CommCore, facts: &Facts<'_>) -> Self {
        core.turns.remember(facts);
        with(|e| Self::of(e, facts))
    }

    #[cold]
    pub(super) fn of(e: &Engine, facts: &Facts<'_>) -> Self {
        let Facts { op, block, counts } = *facts;
        let kind = block.and_then(|block| Some((block, e.types.get(block.datatype).ok()?)));
        // Objects are as long as they are, and packed bytes may be anything.
        let Some((block, kind)) = kind.filter(|(_, kind)| !(kind.is_of_objects() || kind.is_packed())) else {
            return Self::NONE;
        };
        let op = op.map_or(0, op_name);
        let Signature { elements, hash, .. } = kind.signature().repeat(block.count as u64);
        let words = op | name(block.datatype.0) << NAME_BITS | (block.count as u64) << (2 * NAME_BITS);
        let hash = mix(mix(hash ^ op << 32) ^ elements);
        Self { words, hash: counts.iter().fold(hash, |hash, count| mix(hash ^ *count as u64)) }
    }
}

/// An operation or a type as it can be named.
fn name(handle: usize) -> u64 {
    Some(handle as u64).filter(|name| *name < MADE).unwrap_or(MADE)
}

/// An operation as [`op_words`] reads it.
pub(super) fn op_name(op: Op) -> u64 {
    name(op.0)
}

/// The operation in [`Called::detail`], in words.
pub(super) fn op_words(detail: u64) -> Option<&'static str> {
    match detail & MADE {
        0 => None,
        MADE => Some("an operation of the program"),
        op => Operation::of(Op(op as usize)).map(Operation::name),
    }
}

/// Type and count in [`Called::detail`], in words: `10 x MPI_INT`.
pub(super) fn type_words(detail: u64) -> Option<String> {
    let count = detail >> (2 * NAME_BITS);
    match detail >> NAME_BITS & MADE {
        0 => None,
        MADE => Some(format!("{count} x a derived type")),
        kind => Some(format!("{count} x {}", naming::predefined_type(Datatype(kind as usize)).unwrap_or("a type"))),
    }
}

/// A collective in work on this thread. Handed on by reference: a copy of what was just written has to wait until that
/// has left the processor's store buffer, behind lines that others read (measured: up to 20 ns a call).
pub(crate) struct Turn<'a> {
    /// The communicator that it was called on.
    pub(crate) on: &'a CommCore,
    /// The one that its messages take: of an intercommunicator, its local group's.
    pub(crate) via: &'a CommCore,
    pub(crate) called: Called,
}

/// This process's journal, once it is in a job: null before.
static JOURNAL: AtomicPtr<Journal> = AtomicPtr::new(std::ptr::null_mut());

/// This process is `rank` of a job.
pub(crate) fn keep_journal(segment: &'static Segment, rank: u32) {
    // SYNC own-journal: the segment is there for who sees the pointer.
    JOURNAL.store(std::ptr::from_ref(segment.journal(rank)).cast_mut(), Ordering::Release);
}

#[inline]
fn journal() -> Option<&'static Journal> {
    // SYNC own-journal: see `keep_journal`.
    let journal = JOURNAL.load(Ordering::Acquire);
    // SAFETY: null, or in a segment that stays.
    unsafe { journal.as_ref() }
}

/// Takes a place in the journal for the collective that is called next. Under the engine's lock, so that threads have
/// places of their own.
#[inline]
pub(super) fn take_place(_: &Engine, core: &CommCore) {
    if let Some(journal) = journal() {
        core.turns.place.store(journal.take(), Ordering::Relaxed);
    }
}

/// Counts a collective that is called now, after [`take_place`]. `engine`: whose lock the caller has.
#[inline(always)]
pub(super) fn count(
    engine: Option<&Engine>,
    core: &CommCore,
    call: Call,
    form: Form,
    root: Option<u32>,
    bytes: u64,
    detail: Detail,
) -> Result<Called> {
    // One thread at a time calls collectives on a communicator: the word needs no more than that.
    let turns = core.turns.word.load(Ordering::Relaxed);
    if turns & DISPUTED != 0 {
        return Err(disagree::once_more(core, engine));
    }
    let number = next_number(turns);
    let past = (turns ^ detail.hash) & 0xffff;
    let what = packed(call, form, root) | past << PAST_AT;
    let called = Called { call, what, bytes, detail: detail.words, number };
    if let Some(journal) = journal() {
        let place = core.turns.place.load(Ordering::Relaxed);
        journal.note(place, core.context, number, Entry { what, bytes, detail: detail.words });
    }
    core.turns.word.store(u64::from(number) << 32 | mix(called.what) >> 48, Ordering::Relaxed);
    Ok(called)
}

impl<'a> Turn<'a> {
    /// Begins a blocking collective whose arguments are good. `bytes`: see [`Called`]. `facts` are asked for
    /// under `--check`.
    #[inline(always)]
    pub(crate) fn begin<'f>(
        on: &'a CommCore,
        call: Call,
        root: Option<u32>,
        bytes: Option<usize>,
        facts: impl FnOnce() -> Facts<'f>,
    ) -> Result<Self> {
        let bytes = bytes.map_or(ANY_BYTES, |bytes| bytes as u64);
        let detail = if check::is_on() { Detail::asked(on, &facts()) } else { Detail::NONE };
        Ok(Self { on, via: on, called: count(None, on, call, Form::Blocking, root, bytes, detail)? })
    }

    /// The same for the management of communicators.
    pub(crate) fn manage(on: &'a CommCore, via: &'a CommCore, call: Call) -> Result<Self> {
        with(|e| take_place(e, on));
        Ok(Self { via, ..Self::begin(on, call, None, None, Facts::default)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::Group;
    use mpi_abi::consts;
    use std::sync::Arc;

    fn core() -> CommCore {
        CommCore::new(1000, Arc::new(Group::from_ranks(vec![0, 1])), 0, None)
    }

    fn called(core: &CommCore, call: Call, root: Option<u32>) -> Called {
        count(None, core, call, Form::Blocking, root, ANY_BYTES, Detail::NONE).expect("no dispute")
    }

    #[test]
    fn what_was_called_is_said_in_words() {
        let core = core();
        assert_eq!(words(called(&core, Call::Bcast, Some(0)).what), "Bcast(root=0)");
        assert_eq!(words(called(&core, Call::Barrier, None).what), "Barrier()");
        let form = |form| {
            count(None, &core, Call::Reduce, form, Some(4095), ANY_BYTES, Detail::NONE).map(|called| words(called.what))
        };
        assert_eq!(form(Form::Nonblocking).as_deref(), Ok("Ireduce(root=4095)"));
        assert_eq!(form(Form::Persistent).as_deref(), Ok("Reduce_init(root=4095)"));
    }

    #[test]
    fn operation_and_type_tell_two_ranks_apart() {
        let e = crate::Engine::new();
        let facts = |op, count, datatype| Facts::of_reduction(op, Arg { base: std::ptr::null_mut(), count, datatype });
        let detail = |op, count, datatype| Detail::of(&e, &facts(op, count, datatype));
        let sum = detail(consts::MPI_SUM, 10, consts::MPI_INT);
        assert_eq!(op_words(sum.words), Some("MPI_SUM"));
        assert_eq!(type_words(sum.words).as_deref(), Some("10 x MPI_INT"));
        let made = detail(Op(1 << 40), 10, consts::MPI_INT);
        assert_eq!(op_words(made.words), Some("an operation of the program"));
        let others =
            [made, detail(consts::MPI_MAX, 10, consts::MPI_INT), detail(consts::MPI_SUM, 10, consts::MPI_FLOAT)];
        assert!(others.iter().all(|other| other.hash != sum.hash && other.words != sum.words));
        let same = detail(consts::MPI_SUM, 10, consts::MPI_INT32_T);
        assert_eq!(same.hash, sum.hash, "the same representation");
        let scattered =
            |counts: &[usize]| Detail::of(&e, &facts(consts::MPI_SUM, 10, consts::MPI_INT).scattered(counts)).hash;
        let rows = [&[][..], &[4, 6], &[6, 4], &[4, 5, 1], &[4, 6, 0]].map(scattered);
        assert!((1..rows.len()).all(|at| !rows[..at].contains(&rows[at])), "{rows:?}");
        assert_eq!(rows[0], sum.hash);
        assert_eq!((Detail::NONE.words, op_words(0), type_words(0)), (0, None, None));
        let called =
            |detail| count(None, &core(), Call::Allreduce, Form::Blocking, None, 40, detail).map(|called| called.what);
        assert_ne!(called(sum), called(made));
        assert_eq!(called(sum), called(same));
    }

    #[test]
    fn the_past_tells_two_ranks_apart_that_call_the_same_now() {
        let (one, other) = (core(), core());
        let both = |call| (called(&one, call, None), called(&other, call, None));
        let (a, b) = both(Call::Barrier);
        assert_eq!(a, b);
        let (a, b) = (called(&one, Call::Bcast, Some(0)), called(&other, Call::Bcast, Some(1)));
        assert_ne!(a.what, b.what);
        for number in 3..10 {
            let (a, b) = both(Call::Barrier);
            assert_eq!((a.number, b.number), (number, number));
            assert_ne!(a.what, b.what);
            assert_eq!(without_past(a.what), without_past(b.what));
            assert_ne!(a.tag(Copier::Either), b.tag(Copier::Either));
        }
    }

    #[test]
    fn tags_say_who_copies_and_stay_where_they_belong() {
        let core = core();
        for _ in 0..1000 {
            let called = called(&core, Call::Gather, Some(1));
            for copier in [Copier::Either, Copier::Sender, Copier::Receiver, Copier::Everybody] {
                let tag = called.tag(copier);
                assert!((FIRST_TAG..FIRST_LANE).contains(&tag));
                assert!(Copier::of_tag(tag) == copier);
            }
            assert!(called.lanes() >= FIRST_LANE && called.lanes() < c_int::MAX - 8 - super::super::schedule::LANES);
        }
    }
}
