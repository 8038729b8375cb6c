//! The one loop that moves everything, and the one way to wait: [`wait_for`]. A rank that waits
//! polls while its peers are likely running, then gives the core away, then sleeps
//! (`shm::wait`); meanwhile it takes what arrives and sends what has found room.
//!
//! Races: a thread that falls asleep says so on its page, looks once more, and only then sleeps; a
//! peer gives first and looks at the page afterwards (SYNC sleep in `shm::page`). Within the
//! process a thread that completed something wakes those that sleep (`sleepers`).

use crate::coll::schedule;
use crate::status::Waiting;
use crate::waiting::Sleeper;
use crate::{Engine, Error, Result, lock};
use mpi_abi::consts::{MPI_ERR_OTHER, MPI_ERR_PROC_ABORTED};
use shm::liveness;
use shm::lock::Guard;
use shm::os::futex::Woke;
use shm::sleep::{self, Nap, Sleepers};
use shm::sync::{AtomicPtr, Ordering, spin_hint};
use shm::tally::Tally;
use shm::wait::{self, Backoff, Policy, Step};
use std::ffi::c_int;
use std::time::Duration;

/// What a language layer wants to be told about waits; set with `OXMPI_Set_wait_hooks`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct WaitHooks {
    /// 1: the layout of this struct.
    pub version: c_int,
    /// The calling thread stops spinning and is about to give the core away.
    pub block: Option<extern "C" fn()>,
    /// The wait is over; called before the MPI function returns, if `block` was.
    pub unblock: Option<extern "C" fn()>,
    /// A signal or a time-out ended a sleep; non-zero = give the wait up.
    pub signals: Option<extern "C" fn() -> c_int>,
}

static HOOKS: AtomicPtr<WaitHooks> = AtomicPtr::new(std::ptr::null_mut());

/// Sets the hooks, for the rest of the process's life.
pub fn set_hooks(hooks: WaitHooks) {
    // SYNC hooks: the struct is visible to who sees the pointer. It is leaked: waits may be in it.
    HOOKS.store(Box::into_raw(Box::new(hooks)), Ordering::Release);
}

fn hooks() -> Option<WaitHooks> {
    // SYNC hooks: see `set_hooks`.
    let hooks = HOOKS.load(Ordering::Acquire);
    // SAFETY: null, or a box that `set_hooks` leaked and nobody changes.
    unsafe { hooks.as_ref() }.copied()
}

/// Looks in vain before a wait counts as one that blocks: about 5 us, the price of giving
/// Python's lock up and taking it again ten times over.
const BLOCK_AFTER: u32 = 100;
/// The same for a rank that yields from the start, because there are more ranks than cores: other
/// threads of the process wait at most so many turns, some 20 us, for Python's lock; nearly all
/// waits of small collectives end before, and save 0.1 us each.
const BLOCK_AFTER_YIELDS: u32 = 16;
/// A sleep ends at the latest then, to look for signals that came just before it and for dead
/// peers. Four wake-ups a second are below 0.1 % of a core.
const NAP: Duration = Duration::from_millis(250);
/// The same when a rank is gone that should perhaps not be: there will be an end soon, one way or another.
const SHORT_NAP: Duration = Duration::from_millis(50);
/// Under mpiexec a rank that learns of a failure waits so long to be ended, so that the first
/// failure's message is not buried under everybody else's.
const GRACE: Duration = Duration::from_secs(2);

impl Engine {
    /// Takes what has arrived and sends what found room; true if anything moved.
    #[inline]
    pub(crate) fn progress(&mut self) -> bool {
        let received = self.receive();
        let mut moved = self.flush() | received;
        if self.schedules.is_any_ready() {
            moved |= self.advance_ready();
        }
        if self.boards.any() {
            moved |= self.move_boards();
        }
        if moved && self.sleepers.any() {
            self.wake_own_threads();
        }
        moved
    }

    #[cold]
    pub(crate) fn wake_own_threads(&self) {
        if let Some(world) = &self.world {
            world.segment.rank_page(self.me).wake();
        }
    }
}

/// Waits until `ready` gives something. `what` goes to the status page if the rank falls asleep.
#[inline]
pub(crate) fn wait_for<T>(what: Waiting, ready: impl FnMut(&mut Engine) -> Option<T>) -> Result<T> {
    wait_until(|_| what, ready)
}

/// As [`wait_for`]; what the wait is about is asked only if there is one.
#[inline]
pub(crate) fn wait_until<T>(
    about: impl FnOnce(&mut Engine) -> Waiting,
    mut ready: impl FnMut(&mut Engine) -> Option<T>,
) -> Result<T> {
    let mut e = lock();
    if let Some(value) = ready(&mut e) {
        return Ok(value);
    }
    let what = about(&mut e);
    // The peer runs, as a rule: a short while of plain polling before anything else.
    let mut backoff = e.backoff(what.next);
    loop {
        if backoff.looks() >= BLOCK_AFTER || e.contended() {
            return wait_long(e, Step::Spin, backoff, what, &mut ready);
        }
        match backoff.step() {
            Step::Spin => spin_hint(),
            step => return wait_long(e, step, backoff, what, &mut ready),
        }
        let moved = e.progress();
        if let Some(value) = ready(&mut e) {
            e.learn(true);
            return Ok(value);
        }
        if schedule::is_due(&e) {
            return wait_long(e, Step::Spin, backoff, what, &mut ready);
        }
        if moved {
            backoff.reset();
        }
    }
}

/// As [`wait_for`], after a while of looking in vain: sleeps until there is news.
#[cold]
pub(crate) fn wait_asleep<T>(what: Waiting, mut ready: impl FnMut(&mut Engine) -> Option<T>) -> Result<T> {
    let e = lock();
    let backoff = e.backoff(what.next).asleep();
    wait_long(e, Step::Sleep, backoff, what, &mut ready)
}

/// So often a wait at a bell gives the core away before it sleeps: measured, barrier of 8 and of 16 ranks on 2 cores, 8 us
/// and 27 to 34 us by yields, 40 and 77 us by sleeps. In nine of ten waits one or two are enough. Many more are a trap: Linux
/// 6.18 lets a process that has yielded fall 1.4 ms behind the others each time, also when it is alone on its core, and then
/// each of thousands of yields leads back to the same process, while the one that all wait for is not let on: 700 to 3000 us
/// per barrier, for seconds. A sleep ends that: the kernel lets who wakes up be at most some turns behind.
const YIELDS_AT_BELL: u32 = 32;
/// With so many ranks per core nobody yields at a bell: barrier of 32 ranks on 2 cores 150 us by sleeps, 130 by yields if all goes
/// well, of 64 ranks 300 us and 560 to 3000.
const ASLEEP_PER_CORE: u32 = 16;

/// Waits a while for what the bell of `tally` tells of: gives the core away a few times, then sleeps, at most for `limit`.
/// None: it has not come. What else is to be done is done between, but not in the sleep.
pub(crate) fn wait_at<T>(tally: &Tally, limit: Duration, ready: impl Fn() -> Option<T>) -> Result<Option<T>> {
    let policy = lock().policy();
    for _ in 0..policy.spins(true) {
        if let Some(value) = ready() {
            return Ok(Some(value));
        }
        spin_hint();
    }
    let yields = if policy.ranks_per_core() >= ASLEEP_PER_CORE { 0 } else { YIELDS_AT_BELL };
    for _ in 0..yields {
        let mut e = lock();
        e.progress();
        if schedule::is_due(&e) {
            return Ok(None);
        }
        e.take_place();
        drop(e);
        std::thread::yield_now();
        if let Some(value) = ready() {
            return Ok(Some(value));
        }
    }
    lock().progress();
    let mut blocked = Blocked(None);
    blocked.enter();
    let woke = match tally.sleep(limit, &ready) {
        Ok(value) => return Ok(Some(value)),
        Err(woke) => woke,
    };
    drop(blocked);
    match ready() {
        None if woke == Woke::Signal && interrupted() => Err(Error::new(MPI_ERR_OTHER, "interrupted")),
        found => Ok(found),
    }
}

/// Calls `unblock` when the wait is over, however it ends.
struct Blocked(Option<WaitHooks>);

impl Blocked {
    fn enter(&mut self) {
        if self.0.is_none()
            && let Some(hooks) = hooks()
        {
            if let Some(block) = hooks.block {
                block();
            }
            self.0 = Some(hooks);
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        if let Some(unblock) = self.0.and_then(|h| h.unblock) {
            unblock();
        }
    }
}

/// Goes on with a wait from `step`. After a yield it looks for what it waits for before it moves
/// anything: mostly that has come, and rings that nobody looks at cost no memory accesses (each is on
/// pages of its own, and a change of the running process leaves the address caches empty).
#[cold]
#[inline(never)]
fn wait_long<T>(
    mut guard: Guard<'static, Engine>,
    mut step: Step,
    mut backoff: Backoff,
    what: Waiting,
    ready: &mut dyn FnMut(&mut Engine) -> Option<T>,
) -> Result<T> {
    // Dropped after the engine's lock: `unblock` may wait for Python's lock.
    let mut blocked = Blocked(None);
    let mut sleeper = Sleeper::default();
    let outcome = loop {
        if schedule::is_due(&guard) {
            drop(guard);
            // A function of the user, which may be Python's.
            blocked = Blocked(None);
            schedule::work();
            guard = lock();
            guard.count_threads_again();
            if let Some(value) = ready(&mut guard) {
                break Ok(value);
            }
        }
        if backoff.looks() >= BLOCK_AFTER {
            blocked.enter();
        }
        match step {
            Step::Spin => {
                if guard.contended() {
                    drop(guard);
                    std::thread::yield_now();
                    guard = lock();
                }
                spin_hint();
            }
            Step::Yield | Step::Nap => {
                guard.take_place();
                drop(guard);
                if backoff.yields() > BLOCK_AFTER_YIELDS {
                    blocked.enter();
                }
                if step == Step::Nap {
                    std::thread::sleep(wait::NAP);
                } else {
                    std::thread::yield_now();
                }
                guard = lock();
                if let Some(value) = ready(&mut guard) {
                    guard.learn(false);
                    break Ok(value);
                }
            }
            Step::Sleep => {
                blocked.enter();
                match sleep(guard, what, &mut sleeper, ready) {
                    Nap::Found(Last::Ready(value)) => {
                        guard = lock();
                        break Ok(value);
                    }
                    Nap::Found(Last::Moved) | Nap::Woken => backoff.reset(),
                    Nap::Found(Last::Failed) | Nap::Disturbed => {
                        let now = liveness::now();
                        guard = lock();
                        if guard.progress() {
                            backoff.reset();
                        }
                        guard.wait_lasts = true;
                        let found = ready(&mut guard);
                        guard.wait_lasts = false;
                        if let Some(value) = found {
                            break Ok(value);
                        }
                        drop(guard);
                        if let Err(error) = disturbed(now) {
                            guard = lock();
                            break Err(error);
                        }
                        sleeper.has_lasted();
                        let disputed = lock().disputed_start();
                        if let Some(disputed) = disputed {
                            // That takes a wait of its own.
                            blocked = Blocked(None);
                            disputed.report();
                        }
                    }
                }
                sleeper.answer_if_asked(what);
                guard = lock();
            }
        }
        let moved = guard.progress();
        if let Some(value) = ready(&mut guard) {
            guard.learn(backoff.spun());
            break Ok(value);
        }
        if moved {
            backoff.reset();
        }
        step = backoff.step();
    };
    guard.wait_is_over(&sleeper);
    drop(guard);
    drop(blocked);
    outcome
}

/// Waits for what must not be given up, and does not take long: no handler of a signal runs meanwhile. Ends
/// early when the job fails.
#[cold]
pub(crate) fn wait_out(mut over: impl FnMut(&mut Engine) -> bool) {
    let mut blocked = Blocked(None);
    loop {
        let mut e = lock();
        e.progress();
        let failed = e.world.as_ref().is_some_and(|w| w.segment.header().failed.load(Ordering::Relaxed) != 0);
        if over(&mut e) || failed {
            return;
        }
        drop(e);
        blocked.enter();
        std::thread::sleep(Duration::from_micros(50));
    }
}

impl AsMut<Sleepers> for Engine {
    fn as_mut(&mut self) -> &mut Sleepers {
        &mut self.sleepers
    }
}

/// What the last look before a sleep can find.
enum Last<T> {
    Ready(T),
    /// Something arrived or left, so look on.
    Moved,
    /// A failure was noted: those that learn of it do not sleep any more.
    Failed,
}

fn sleep<T>(
    e: Guard<'static, Engine>,
    what: Waiting,
    sleeper: &mut Sleeper,
    ready: &mut dyn FnMut(&mut Engine) -> Option<T>,
) -> Nap<Last<T>> {
    let Some(segment) = e.world.as_ref().map(|w| w.segment) else { return Nap::Woken };
    let page = segment.rank_page(e.me);
    sleeper.begin(&e);
    let mut wait = std::mem::take(&mut sleeper.wait);
    let limit = if liveness::somebody_is_gone(segment) { SHORT_NAP } else { NAP };
    let end = sleep::nap(e, page, limit, &mut wait, |e| {
        let moved = e.progress();
        if let Some(value) = ready(e) {
            Some(Last::Ready(value))
        } else if moved || schedule::is_due(e) {
            Some(Last::Moved)
        } else if segment.header().failed.load(Ordering::Relaxed) != 0 {
            Some(Last::Failed)
        } else {
            let (what, story) = sleeper.says(e, what);
            page.say_what(what, story.as_ref());
            None
        }
    });
    sleeper.wait = wait;
    sleeper.hear(page);
    end
}

impl Engine {
    /// A function of the user was called in a wait: it may have started a thread.
    #[cold]
    fn count_threads_again(&self) {
        if let Some(world) = &self.world {
            world.segment.rank_page(self.me).say_threads(0);
        }
    }

    /// A wait that may have slept is over.
    fn wait_is_over(&mut self, sleeper: &Sleeper) {
        if let Some(world) = &self.world {
            self.sleepers.over(world.segment.rank_page(self.me), &sleeper.wait);
        }
    }
}

/// Under mpiexec: waits so long that a failure elsewhere, of which ours is only the consequence, is
/// noticed and reported first.
#[cold]
pub(crate) fn give_way() {
    let ours = lock().world.as_ref().is_some_and(crate::world::World::launched_by_mpiexec);
    if ours {
        std::thread::sleep(GRACE);
    }
}

/// Whether the language layer wants to give up because of a signal.
pub(crate) fn interrupted() -> bool {
    hooks().and_then(|h| h.signals).is_some_and(|signals| signals() != 0)
}

/// A sleep ended without news, also when we looked after `now`: signals? a dead peer?
fn disturbed(now: u64) -> Result<()> {
    if interrupted() {
        return Err(Error::new(MPI_ERR_OTHER, "interrupted"));
    }
    let e = lock();
    let Some(world) = &e.world else { return Ok(()) };
    let segment = world.segment;
    let me = e.me;
    drop(e);
    let Some(failure) = liveness::check(segment, now) else { return Ok(()) };
    if failure.rank == me {
        return Ok(());
    }
    give_way();
    Err(Error::new(MPI_ERR_PROC_ABORTED, failure.to_string()))
}

/// Moves everything once and looks: for tests and probes that do not wait. When more ranks than
/// cores run, a look in vain gives the core away, so that a loop of tests does not starve the rank
/// it waits for.
#[inline]
pub(crate) fn poll<T>(look: impl FnOnce(&mut Engine) -> Result<Option<T>>) -> Result<Option<T>> {
    let mut e = lock();
    e.progress();
    if schedule::is_due(&e) {
        drop(e);
        schedule::work();
        e = lock();
    }
    let found = look(&mut e)?;
    if found.is_none() {
        let (asked, crowded) = (e.polls_in_vain(), e.policy().crowded());
        let disputed = if e.tests_last() { e.disputed_start() } else { None };
        drop(e);
        if asked {
            crate::waiting::answer_from_poll();
        }
        if let Some(disputed) = disputed {
            disputed.report();
        }
        if crowded {
            std::thread::yield_now();
        }
    }
    Ok(found)
}

impl Engine {
    /// How often a receive looks at its sender's ring before it takes the general way: at most so
    /// long that other ranks' messages, which are not looked at meanwhile, wait no more than 1 us.
    #[inline]
    pub(crate) fn direct_looks(&self, from: u32) -> u32 {
        let policy = self.policy();
        policy.spins(policy.crowded() && self.near(from)).min(BLOCK_AFTER)
    }

    #[inline]
    fn backoff(&self, next: i32) -> Backoff {
        let Some(world) = &self.world else { return Backoff::new(Policy::default(), false) };
        let near = world.policy.crowded() && u32::try_from(next).map_or(true, |next| self.near(next));
        Backoff::new(world.policy, near)
    }

    /// Whether there are more ranks than processors, so that it matters where the rank runs that we wait for.
    #[inline]
    pub(crate) fn is_crowded(&self) -> bool {
        self.policy().crowded()
    }

    /// Whether world rank `other` runs on our core, or may.
    #[inline]
    pub(crate) fn near(&self, other: u32) -> bool {
        self.world.as_ref().is_some_and(|world| world.placement.near(world.segment, other))
    }

    #[inline]
    fn take_place(&mut self) {
        let me = self.me;
        if let Some(world) = &mut self.world {
            world.placement.turn(world.segment, me);
        }
    }

    #[inline]
    fn learn(&mut self, spun: bool) {
        if let Some(world) = &mut self.world {
            world.policy.learn(spun);
        }
    }

    #[inline]
    pub(crate) fn policy(&self) -> Policy {
        self.world.as_ref().map_or_else(Policy::default, |w| w.policy)
    }
}
