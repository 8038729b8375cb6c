//! Ranks that have called different collectives: finding it out, and one report that names them all.
//!
//! It is found where a line does not fit, or when a wait, also one for a request, or a row of tests has lasted for a nap
//! (a quarter of a second) and the journals of the others say something else than ours. Who finds it opens a dispute (`shm::dispute`); the others come upon
//! that in their waits. Each states where it is, waits a moment for the others' statements, and fails with the same
//! sentence. Under mpiexec only the one that opened the dispute fails at once; the others wait to be ended.

mod rows;
mod sentence;

pub(super) use rows::Rows;

use super::schedule;
use super::turn::{ANY_BYTES, Called, Turn, without_past};
use crate::comm::CommCore;
use crate::group::Group;
use crate::progress;
use crate::status::{Call, Waiting};
use crate::{Engine, Error, Result, lock, site, with};
use mpi_abi::consts::MPI_ERR_OTHER;
use sentence::{Place, Said};
use shm::Segment;
use shm::dispute::{Dispute, Row, Statement};
use shm::journal::Entry;
use shm::liveness;
use shm::page::Seat;
use std::sync::Arc;
use std::time::Duration;

/// So long, in milliseconds, a report waits for ranks that are not in a wait.
const PATIENCE: u64 = 1000;

/// So many tests in vain happen between two looks at the clock.
const TESTS: u32 = 4096;
/// So long, in milliseconds, tests are in vain between two looks at what others have called.
const AGAIN: u64 = 250;
/// So many collectives in work are looked at.
const STARTED: usize = 64;

/// A member of a communicator.
struct Member {
    world: u32,
    rank: u32,
    /// Of the other group of an intercommunicator.
    far: bool,
}

/// All members, in an order that both sides of an intercommunicator have in common.
fn members(core: &CommCore) -> Vec<Member> {
    let side = |group: &Group, far| -> Vec<Member> {
        (0..).zip(group.iter()).map(|(rank, world)| Member { world, rank, far }).collect()
    };
    let near = side(&core.group, false);
    let Some(remote) = &core.remote else { return near };
    let far = side(remote, true);
    let (mut all, rest) = if core.group.world_rank(0) < remote.world_rank(0) { (near, far) } else { (far, near) };
    all.extend(rest);
    all
}

/// Whether all ranks of a collective give the same number of bytes, as far as both say.
fn fits(mine: u64, theirs: u64) -> bool {
    mine == theirs || mine == ANY_BYTES || theirs == ANY_BYTES
}

/// Whether ranks that disagree about the bytes of this collective are out of step behind it.
fn leaves_order(what: u64) -> bool {
    use Call::{Allgather, Allreduce, Exscan, Reduce, ReduceScatter, ReduceScatterBlock, Scan};
    [Allgather, Allreduce, Exscan, Reduce, ReduceScatter, ReduceScatterBlock, Scan]
        .iter()
        .any(|call| *call as u64 == what & 0xff)
}

fn has_ended(segment: &Segment, world: u32) -> bool {
    segment.rank_page(world).seat() == Seat::Finalized
}

/// Whether a process has certainly finalized MPI without coming to this collective.
fn has_left(segment: &Segment, world: u32, context: u32, number: u32) -> bool {
    has_ended(segment, world) && segment.journal(world).has_not_reached(context, number)
}

/// The number of a collective that ranks do not agree about, if `called` shows that there is one.
fn look(segment: &Segment, core: &CommCore, called: &Called) -> Option<u32> {
    let (context, number) = (core.context, called.number);
    for member in members(core) {
        let journal = segment.journal(member.world);
        match journal.find(context, number) {
            Some(theirs) if theirs.what != called.what => return Some(first_difference(segment, core, called)),
            Some(theirs) if !fits(called.bytes, theirs.bytes) => return Some(number),
            None if has_left(segment, member.world, context, number) => return Some(number),
            _ => {}
        }
    }
    None
}

/// The earliest collective of those that are remembered about which some rank disagrees with us; the present one
/// if there is none.
fn first_difference(segment: &Segment, core: &CommCore, called: &Called) -> u32 {
    let Some(me) = core.group.world_rank(core.rank) else { return called.number };
    let oldest = called.number.saturating_sub(shm::journal::ENTRIES).max(1);
    let members = members(core);
    let entry = |world: u32, number: u32| segment.journal(world).find(core.context, number);
    let differs = |number: &u32| {
        let Some(mine) = entry(me, *number) else { return false };
        members.iter().any(|member| {
            entry(member.world, *number).is_some_and(|theirs| {
                let sizes = leaves_order(mine.what) && !fits(mine.bytes, theirs.bytes);
                // After the same past: operation or type.
                let before = || Some(entry(me, *number - 1)?.what == entry(member.world, *number - 1)?.what);
                let same_past = || *number == 1 || before() == Some(true);
                without_past(theirs.what) != without_past(mine.what)
                    || sizes
                    || (theirs.what != mine.what && same_past())
            })
        })
    };
    (oldest..called.number).find(differs).unwrap_or(called.number)
}

/// Why a wait of a collective ends without what it waits for.
#[derive(Clone, Copy)]
enum Found {
    /// Somebody has opened a dispute.
    Open,
    /// We found that ranks disagree about this collective.
    New(u32),
}

/// What a process knows about looks in vain at collectives that it has started and not waited for yet.
#[derive(Default)]
pub(crate) struct Started {
    /// Tests in vain.
    tests: u32,
    /// When the collectives were looked at last.
    looked_at: u64,
    /// A thread reports a dispute about one of them.
    reporting: bool,
}

/// A collective that was started, about which ranks disagree.
pub(crate) struct Disputed {
    core: Arc<CommCore>,
    called: Called,
    found: Found,
}

impl Engine {
    /// A test was in vain; true: they are for so long that [`Self::disputed_start`] should look.
    #[inline]
    pub(crate) fn tests_last(&mut self) -> bool {
        self.started.tests = self.started.tests.wrapping_add(1);
        self.started.tests.is_multiple_of(TESTS) && self.looks_again()
    }

    #[cold]
    fn looks_again(&mut self) -> bool {
        let now = liveness::now();
        let again = now.saturating_sub(self.started.looked_at) >= AGAIN;
        if again {
            self.started.looked_at = now;
        }
        again
    }

    /// A wait has lasted for a nap, or tests in vain have: a collective that this process has started, about which ranks
    /// disagree. It is to be reported.
    #[cold]
    pub(crate) fn disputed_start(&mut self) -> Option<Disputed> {
        let segment = self.world.as_ref()?.segment;
        if self.started.reporting {
            return None;
        }
        let schedules = self.requests.iter().filter_map(|(_, request)| request.started_collective()).take(STARTED);
        let disputed = schedules.filter_map(|(core, called)| {
            let found = match Dispute::find(segment, core.context) {
                Some(open) => (called.number >= open.number()).then_some(Found::Open),
                None => look(segment, core, &called).map(Found::New),
            };
            found.map(|found| Disputed { core: Arc::clone(core), called, found })
        });
        let disputed = { disputed }.next();
        self.started.reporting = disputed.is_some();
        disputed
    }
}

impl Disputed {
    /// Reports it: the requests of the communicator's collectives end with the error. Without the engine's lock, by a
    /// thread that may wait.
    #[cold]
    pub(crate) fn report(self) {
        let Self { core, called, found } = self;
        let error = settle(&core, &called, found);
        let segment = lock().world.as_ref().map(|world| world.segment);
        let open = segment.and_then(|segment| Dispute::find(segment, core.context));
        schedule::fail_from(&core, open.map_or(called.number, |open| open.number().min(called.number)), &error);
        lock().started.reporting = false;
    }
}

/// Waits as a part of a collective: as [`progress::wait_for`], and until ranks disagree.
#[inline]
pub(crate) fn wait_for<T>(turn: &Turn<'_>, what: Waiting, ready: impl FnMut(&mut Engine) -> Option<T>) -> Result<T> {
    progress::wait_for(what, watched(turn, ready))?.map_err(|found| settle(turn.on, &turn.called, found))
}

/// The same after a while of waiting in vain: as [`progress::wait_asleep`].
#[cold]
pub(super) fn wait_asleep<T>(turn: &Turn<'_>, what: Waiting, ready: impl FnMut(&mut Engine) -> Option<T>) -> Result<T> {
    progress::wait_asleep(what, watched(turn, ready))?.map_err(|found| settle(turn.on, &turn.called, found))
}

/// Looks for what is waited for, and if that has not come, for a dispute.
#[inline]
fn watched<T>(
    turn: &Turn<'_>,
    mut ready: impl FnMut(&mut Engine) -> Option<T>,
) -> impl FnMut(&mut Engine) -> Option<std::result::Result<T, Found>> {
    let mut seen = 0;
    move |e| match ready(e) {
        Some(value) => Some(Ok(value)),
        None => watch(e, turn.on, &turn.called, &mut seen).map(Err),
    }
}

/// A look in vain: whether there is a dispute on this communicator, or should be.
#[inline]
fn watch(e: &Engine, core: &CommCore, called: &Called, seen: &mut u64) -> Option<Found> {
    let segment = e.world.as_ref()?.segment;
    let latest = Dispute::latest(segment);
    if latest == *seen && !e.wait_lasts {
        return None;
    }
    watch_closely(segment, core, called, latest, seen)
}

#[cold]
fn watch_closely(
    segment: &'static Segment,
    core: &CommCore,
    called: &Called,
    latest: u64,
    seen: &mut u64,
) -> Option<Found> {
    *seen = latest;
    if Dispute::find(segment, core.context).is_some() {
        return Some(Found::Open);
    }
    look(segment, core, called).map(Found::New)
}

/// What others have published does not fit to what we called: the error for that.
#[cold]
pub(super) fn unlike(core: &CommCore, called: &Called) -> Error {
    let Some(segment) = with(|e| e.world.as_ref().map(|world| world.segment)) else { return no_job() };
    settle(core, called, Found::New(first_difference(segment, core, called)))
}

/// `rank` has published `sent` bytes of this collective where `room` have to be: the error for that.
#[cold]
pub(super) fn unequal(core: &CommCore, called: &Called, rank: u32, sent: usize, room: usize) -> Error {
    let Some(segment) = with(|e| e.world.as_ref().map(|world| world.segment)) else { return no_job() };
    let theirs = core.group.world_rank(rank).and_then(|world| segment.journal(world).find(core.context, called.number));
    let error = settle(core, called, Found::New(called.number));
    // All say the same number, or none: what was found is all there is to tell.
    if theirs.is_none_or(|theirs| fits(called.bytes, theirs.bytes)) {
        return super::too_long(called.call, rank, sent, room);
    }
    error
}

/// The error of a collective that is begun on a communicator whose ranks have disagreed before. `engine`: whose lock the
/// caller has.
#[cold]
pub(super) fn once_more(core: &CommCore, engine: Option<&Engine>) -> Error {
    let of = |e: &Engine| Some((e.world.as_ref()?.segment, e.name_of_context(core.context)));
    let Some((segment, name)) = engine.map_or_else(|| with(|e| of(e)), of) else { return no_job() };
    let error = report(segment, core, &name, Dispute::find(segment, core.context).as_ref(), 0);
    Error::new(
        error.class,
        format!("no collective can be called on this communicator any more, since its ranks disagreed: {}", error.text),
    )
}

#[cold]
fn no_job() -> Error {
    Error::new(MPI_ERR_OTHER, "MPI is not initialized")
}

/// Opens the dispute or joins it; the error that it ends with.
#[cold]
fn settle(core: &CommCore, called: &Called, found: Found) -> Error {
    let Some(segment) = with(|e| e.world.as_ref().map(|world| world.segment)) else { return no_job() };
    core.turns.dispute();
    let members = members(core);
    let (number, mut first) = match found {
        Found::New(number) => (number, true),
        Found::Open => (called.number, false),
    };
    let dispute = if first {
        let row = core.turns.rows.of(number);
        Dispute::open(segment, core.context, number, members.len(), liveness::now(), &row).map(|(dispute, ours)| {
            first = ours;
            dispute
        })
    } else {
        Dispute::find(segment, core.context).ok_or_else(|| shm::Error::new("there is no dispute"))
    };
    if let Ok(dispute) = &dispute {
        let site = site::place().unwrap_or_default();
        let row = Row::of(&core.turns.rows.of(dispute.number()), &dispute.counts());
        let statement = Statement { number: called.number, what: called.what, bytes: called.bytes, site, row };
        if let Some(me) = members.iter().position(|member| !member.far && member.rank == core.rank) {
            dispute.state(me, &statement);
        }
        wait_for_statements(segment, dispute, &members, called.call, core.context);
    }
    let name = with(|e| e.name_of_context(core.context));
    let error = report(segment, core, &name, dispute.as_ref().ok(), number);
    let context = core.context;
    let left = |member: &&Member| has_left(segment, member.world, context, number);
    if let Some(member) = members.iter().find(left) {
        wait_for_end(segment, member.world);
    }
    if !first {
        progress::give_way();
    }
    error
}

/// A rank that has called MPI_Finalize may be about to fail (sys.exit(3)): that would be the cause. Waits until
/// somebody has had the time to note that.
fn wait_for_end(segment: &Segment, world: u32) {
    let (mut alive, mut gone) = (0, 0);
    // In turns of 50 ms.
    while alive < 40 && gone < 20 {
        if liveness::how(segment, world).is_some() {
            return progress::give_way();
        }
        if liveness::owner_lives(segment, world) {
            alive += 1;
        } else {
            gone += 1;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn wait_for_statements(segment: &Segment, dispute: &Dispute, members: &[Member], call: Call, context: u32) {
    let silent = |(index, member): (usize, &Member)| {
        dispute.statement(index).is_none()
            && matches!(segment.rank_page(member.world).seat(), Seat::Empty | Seat::Claimed | Seat::Initialized)
    };
    let waiting = Waiting { peer: -2, context, ..Waiting::anybody(call) };
    // What ends this wait early is reported elsewhere.
    let _ = progress::wait_for(waiting, |_| {
        let over = liveness::now().saturating_sub(dispute.opened_at()) > PATIENCE;
        (over || !members.iter().enumerate().any(silent)).then_some(())
    });
}

/// The sentence about a dispute, or about collective `number` if there was no memory for one.
fn report(segment: &Segment, core: &CommCore, name: &str, dispute: Option<&Dispute>, number: u32) -> Error {
    let number = dispute.map_or(number, Dispute::number);
    let members = members(core);
    let statement = |index: usize| dispute.and_then(|dispute| dispute.statement(index));
    let called = |member: &Member| segment.journal(member.world).find(core.context, number);
    let counts = counts(dispute, &members.iter().map(called).collect::<Vec<_>>());
    let said = |(index, member): (usize, &Member)| {
        let journal = segment.journal(member.world);
        let entry = called(member);
        let statement = statement(index);
        let now = statement.map(|statement| Place {
            what: statement.what,
            later: statement.number != number,
            site: statement.site,
        });
        Said {
            rank: member.rank,
            far: member.far,
            called: entry.map(sentence::Done::from),
            passed: journal.latest(core.context).is_some_and(|latest| latest > number),
            ended: has_left(segment, member.world, core.context, number),
            now,
            count: counts[index],
        }
    };
    let said: Vec<Said> = members.iter().enumerate().map(said).collect();
    sentence::of(&said, name)
}

/// The first count about which the ranks disagree, by member: whose it is and what each says, as far as that is known.
/// `called`: what each has called.
fn counts(dispute: Option<&Dispute>, called: &[Option<Entry>]) -> Vec<Option<(u32, u64)>> {
    let rows: Vec<Row> = (0..called.len())
        .map(|index| dispute.and_then(|dispute| dispute.statement(index)).map_or(Row::Unknown, |said| said.row))
        .collect();
    let differs = |row: &Row| if let Row::Differs(at, _) = row { Some(*at) } else { None };
    let first = rows.iter().filter_map(differs).min();
    let Some((whose, count)) =
        first.zip(dispute.map(Dispute::counts)).and_then(|(whose, counts)| Some((whose, *counts.get(whose as usize)?)))
    else {
        return vec![None; called.len()];
    };
    let known: Vec<Option<u64>> = rows
        .iter()
        .map(|row| match row {
            Row::Unknown => None,
            Row::Differs(at, mine) if *at == whose => Some(*mine),
            Row::Same | Row::Differs(..) => Some(count),
        })
        .collect();
    // Who has not stated it, but called just the same as one that has, gave the same.
    let what = |index: usize| called[index].map(|entry| entry.what);
    let alike = |index: usize| {
        let is_alike = |other: &usize| known[*other].is_some() && what(*other) == what(index) && what(index).is_some();
        (0..known.len()).find(is_alike).and_then(|other| known[other])
    };
    (0..known.len()).map(|index| known[index].or_else(|| alike(index)).map(|count| (whose, count))).collect()
}

impl Engine {
    /// The name of the communicator with this context; empty if it has none.
    fn name_of_context(&self, context: u32) -> String {
        self.comm_of_context(context).map(|comm| comm.kept.name.clone()).unwrap_or_default()
    }
}
