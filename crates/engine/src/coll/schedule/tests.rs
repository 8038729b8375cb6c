//! The steps of all ranks, carried out on an imagined network: messages go and come when chance says so, and a
//! sender's bytes are read as late as the schedule allows. So a step that does not wait for what it has to wait
//! for gives wrong results, and a message that nobody receives, or an order that hangs, is found.

use super::build::Builder;
use super::{Bytes, Form, Schedule, Step};
use crate::Engine;
use crate::coll::turn::{ANY_BYTES, Detail, count};
use crate::coll::{Arg, Collective, Row};
use crate::comm::CommCore;
use crate::datatype::Type;
use crate::group::Group;
use crate::op::UserFunction;
use crate::status::Call;
use crate::topo::{Topology, distributed::Edges};
use mpi_abi::consts::{MPI_PROC_NULL, MPI_ROOT, MPI_SUM, MPI_UINT32_T};
use mpi_abi::{Datatype, Op};
use std::collections::{HashMap, VecDeque};
use std::ffi::{c_int, c_void};
use std::sync::Arc;

/// Numbers that are the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n.max(1)
    }
}

/// `x -> a x + b`, one after the other: the order matters. Numbers 0 and 2 of each four.
unsafe extern "C" fn compose(a: *mut c_void, b: *mut c_void, len: *mut c_int, _: *mut Datatype) {
    let (a, b) = (a.cast::<u32>(), b.cast::<u32>());
    // SAFETY: `len` elements of four numbers each.
    unsafe {
        for i in 0..*len as usize {
            let (x, y) = (a.add(4 * i), b.add(4 * i));
            let first = (*x).wrapping_mul(*y);
            let second = (*x).wrapping_mul(*y.add(2)).wrapping_add(*x.add(2));
            (*y, *y.add(2)) = (first, second);
        }
    }
}

struct Rank {
    e: Engine,
    core: Arc<CommCore>,
    holes: Datatype,
    compose: Op,
    send: Vec<u32>,
    recv: Vec<u32>,
}

impl Rank {
    fn new(world: u32, core: CommCore) -> Self {
        let mut e = Engine::new();
        e.me = world;
        let number = Arc::clone(e.types.get(MPI_UINT32_T).expect("predefined"));
        let two = Arc::new(Type::vector(2, 1, 2, &number).expect("vector"));
        let holes = e.types.insert(Type::resized(&two, 0, 16).expect("resized"));
        e.types.commit(holes).expect("made");
        let compose = e.ops.create(UserFunction::Int(compose), false);
        Self { e, core: Arc::new(core), holes, compose, send: Vec::new(), recv: Vec::new() }
    }

    fn me(&self) -> usize {
        self.core.rank as usize
    }
}

/// The ranks of one communicator: of one group, or of two.
fn ranks(near: u32, far: u32) -> Vec<Rank> {
    let groups = [Arc::new(Group::range(0, near)), Arc::new(Group::range(near, far))];
    let of = |world: u32| {
        let (mine, rank) = if world < near { (0, world) } else { (1, world - near) };
        let remote = (far > 0).then(|| Arc::clone(&groups[1 - mine]));
        Rank::new(world, CommCore::new(2, Arc::clone(&groups[mine]), rank, remote))
    };
    (0..near + far).map(of).collect()
}

/// A message that is started and not over.
enum Flight {
    Out { to: usize, lane: c_int, bytes: Bytes, step: usize },
    In { from: usize, lane: c_int, bytes: Bytes, step: usize },
}

/// Carries all schedules out to their ends.
fn carry_out(schedules: &mut [Box<Schedule>], chance: &mut Chance) {
    let n = schedules.len();
    let mut flights: Vec<Vec<Flight>> = (0..n).map(|_| Vec::new()).collect();
    let mut wire: HashMap<(usize, usize, c_int), VecDeque<Vec<u8>>> = HashMap::new();
    let mut idle = 0;
    while schedules.iter().zip(&flights).any(|(s, f)| s.next < s.steps.len() || !f.is_empty()) {
        idle += 1;
        assert!(idle < 200_000, "the ranks wait for each other: {schedules:?}");
        let me = chance.below(n);
        let schedule = &mut schedules[me];
        let busy = |step: usize, flights: &[Flight]| {
            flights.iter().any(|f| matches!(f, Flight::Out { step: s, .. } | Flight::In { step: s, .. } if *s == step))
        };
        if chance.below(3) > 0 && schedule.next < schedule.steps.len() {
            let number = schedule.next;
            match &schedule.steps[number] {
                Step::Fence if !flights[me].is_empty() => continue,
                Step::Await(step) if busy(*step, &flights[me]) => continue,
                Step::Fence | Step::Await(_) => {}
                Step::MakeBoard | Step::FindBoard(_) | Step::Board => unreachable!("a plan of messages"),
                Step::Send { to, lane, bytes } => {
                    flights[me].push(Flight::Out { to: *to as usize, lane: *lane, bytes: bytes.clone(), step: number });
                }
                Step::Recv { from, lane, bytes } => {
                    flights[me].push(Flight::In {
                        from: *from as usize,
                        lane: *lane,
                        bytes: bytes.clone(),
                        step: number,
                    });
                }
                // SAFETY: what was sent is there.
                Step::Compare(comparison) => assert_eq!(unsafe { comparison.check() }, Ok(())),
                // SAFETY: what is tested: buffers are large enough, and apart.
                Step::Copy { from, to } => unsafe { from.copy_to(to) },
                Step::Combine { out, a, b, n } => {
                    let (reduction, _) = schedule.combine.as_ref().expect("set");
                    // SAFETY: as above.
                    unsafe { reduction.apply3(*out, *a, *b, *n) };
                }
            }
            schedule.next += 1;
            idle = 0;
        } else if !flights[me].is_empty() {
            let which = chance.below(flights[me].len());
            // Of two messages of one stream the first goes first.
            let first = match &flights[me][which] {
                Flight::Out { to, lane, .. } => flights[me]
                    .iter()
                    .position(|f| matches!(f, Flight::Out { to: t, lane: l, .. } if (t, l) == (to, lane))),
                Flight::In { from, lane, .. } => flights[me]
                    .iter()
                    .position(|f| matches!(f, Flight::In { from: t, lane: l, .. } if (t, l) == (from, lane))),
            };
            let which = first.expect("it is there itself");
            match &flights[me][which] {
                Flight::Out { to, lane, bytes, .. } => {
                    wire.entry((me, *to, *lane)).or_default().push_back(bytes.payload().to_bytes().into_vec());
                }
                Flight::In { from, lane, bytes, .. } => {
                    let Some(message) = wire.get_mut(&(*from, me, *lane)).and_then(VecDeque::pop_front) else {
                        continue;
                    };
                    assert_eq!(message.len(), bytes.len(), "from {from} to {me}");
                    // SAFETY: the message is ours.
                    unsafe { bytes.payload().write(0, message.as_ptr(), message.len()) };
                }
            }
            flights[me].remove(which);
            idle = 0;
        }
    }
    assert!(wire.values().all(VecDeque::is_empty), "messages that nobody has received");
}

/// One kind of elements, and what combines them.
#[derive(Clone, Copy, Debug)]
struct Elements {
    holes: bool,
}

impl Elements {
    fn width(self) -> usize {
        if self.holes { 4 } else { 1 }
    }

    fn arg(self, rank: &Rank, base: *mut u32, count: usize) -> Arg {
        Arg { base: base.cast(), count, datatype: if self.holes { rank.holes } else { MPI_UINT32_T } }
    }

    fn op(self, rank: &Rank) -> Op {
        if self.holes { rank.compose } else { MPI_SUM }
    }

    /// Element `i` of `world`'s contribution.
    fn value(world: usize, i: usize) -> (u32, u32) {
        let x = (world as u32 * 7919 + i as u32 * 31 + 1).wrapping_mul(2_654_435_761);
        (x, x.rotate_left(9) | 1)
    }

    fn fill(self, at: &mut [u32], world: usize, count: usize) {
        for i in 0..count {
            let (a, b) = Self::value(world, i);
            at[i * self.width()] = a;
            if self.holes {
                at[i * 4 + 2] = b;
            }
        }
    }

    /// Element `i` of all contributions of these ranks of the job.
    fn combined(self, worlds: std::ops::Range<usize>, i: usize) -> (u32, u32) {
        let all = worlds.map(|world| Self::value(world, i));
        all.reduce(|(a, b), (c, d)| {
            if self.holes { (a.wrapping_mul(c), a.wrapping_mul(d).wrapping_add(b)) } else { (a.wrapping_add(c), 0) }
        })
        .expect("one at least")
    }

    fn expect(self, what: &str, got: &[u32], at: usize, wanted: (u32, u32)) {
        let got = &got[at * self.width()..];
        assert_eq!(got[0], wanted.0, "{what}, element {at}");
        if self.holes {
            assert_eq!((got[1], got[2], got[3]), (GUARD, wanted.1, GUARD), "{what}, element {at}");
        }
    }
}

const GUARD: u32 = 0xdead_beef;

/// The collectives that combine, by what a rank gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Reduce(usize),
    Allreduce,
    ReduceScatter,
    Scan,
    Exscan,
}

fn try_reduction(kind: Kind, (near, far): (usize, usize), n: usize, elements: Elements, in_place: bool, seed: u64) {
    let what = format!("{kind:?} of {n} {elements:?} by {near} and {far}, in place: {in_place}, chance {seed}");
    let mut chance = Chance(seed);
    let mut all = ranks(near as u32, far as u32);
    let inter = far > 0;
    let group = |world: usize| if world < near { 0..near } else { near..near + far };
    let counts = |size: usize| -> Vec<usize> {
        let cut = |r: usize| n * r * r / (size * size);
        (0..size).map(|r| cut(r + 1) - cut(r)).collect()
    };
    let mut schedules = Vec::new();
    for (world, rank) in all.iter_mut().enumerate() {
        rank.send = vec![0xaaaa_aaaa; n * elements.width() + 1];
        rank.recv = vec![GUARD; n * elements.width() + 1];
        let at_root = matches!(kind, Kind::Reduce(root) if root == world);
        let here = in_place && (at_root || !matches!(kind, Kind::Reduce(_)));
        elements.fill(if here { &mut rank.recv } else { &mut rank.send }, world, n);
        let (send, recv) = (rank.send.as_mut_ptr(), rank.recv.as_mut_ptr());
        let contribution = if here { None } else { Some(elements.arg(rank, send, n)) };
        let (result, op) = (elements.arg(rank, recv, n), elements.op(rank));
        let collective = match kind {
            Kind::Reduce(root) => {
                let root = match (inter, at_root) {
                    (true, true) => MPI_ROOT,
                    (true, false) if world < near => MPI_PROC_NULL,
                    _ => root as c_int,
                };
                Collective::Reduce { send: contribution.filter(|_| !inter || world >= near), recv: result, op, root }
            }
            Kind::Allreduce => Collective::Allreduce { send: contribution, recv: result, op },
            Kind::ReduceScatter => {
                let counts = counts(rank.core.size() as usize);
                Collective::ReduceScatter {
                    send: contribution,
                    recv: Arg { count: counts[rank.me()], ..result },
                    counts,
                    op,
                }
            }
            Kind::Scan => Collective::Scan { send: contribution, recv: result, op },
            Kind::Exscan => Collective::Exscan { send: contribution, recv: result, op },
        };
        let mut builder = Builder::new(&rank.e, &rank.core, Call::Allreduce);
        builder.plan(&collective).expect("arguments");
        schedules.push(finish(builder, Form::Nonblocking));
    }
    carry_out(&mut schedules, &mut chance);
    for (world, rank) in all.iter().enumerate() {
        let contributors = if inter { group(if world < near { near } else { 0 }) } else { 0..near };
        let (mut wanted, from) = match kind {
            Kind::Reduce(root) if root != world => continue,
            Kind::Reduce(_) | Kind::Allreduce => (contributors, 0..n),
            Kind::ReduceScatter => {
                let counts = counts(rank.core.size() as usize);
                let before = counts[..rank.me()].iter().sum::<usize>();
                (contributors, before..before + counts[rank.me()])
            }
            Kind::Scan => (0..world + 1, 0..n),
            Kind::Exscan if world == 0 => continue,
            Kind::Exscan => (0..world, 0..n),
        };
        wanted.end = wanted.end.max(wanted.start + 1);
        for (at, i) in from.enumerate() {
            elements.expect(&format!("rank {world}: {what}"), &rank.recv, at, elements.combined(wanted.clone(), i));
        }
        assert_eq!(rank.recv[n * elements.width()], GUARD, "{what}");
    }
}

/// The schedule, as the communicator's next collective.
fn finish(builder: Builder<'_>, form: Form) -> Box<Schedule> {
    let called = count(None, builder.core, builder.call, form, None, ANY_BYTES, Detail::NONE).expect("no dispute");
    builder.finish(form, called)
}

#[test]
fn contributions_are_combined_in_rank_order_whenever_messages_come() {
    let mut seed = 0;
    for size in [1, 2, 3, 4, 5, 9] {
        for n in [0, 1, 40, 2100, 60_000] {
            for holes in [false, true] {
                if n > 2100 && (size > 4 || holes) {
                    continue;
                }
                for kind in [
                    Kind::Reduce(0),
                    Kind::Reduce(size - 1),
                    Kind::Allreduce,
                    Kind::ReduceScatter,
                    Kind::Scan,
                    Kind::Exscan,
                ] {
                    for in_place in [false, true] {
                        seed += 1;
                        try_reduction(kind, (size, 0), n, Elements { holes }, in_place, seed);
                    }
                }
            }
        }
    }
}

#[test]
fn groups_get_what_the_other_one_contributes() {
    let mut seed = 1000;
    for groups in [(1, 1), (1, 2), (3, 1), (2, 3), (4, 9)] {
        for n in [0, 1, 40, 2100, 20_000] {
            for holes in [false, true] {
                for kind in [Kind::Reduce(groups.0 - 1), Kind::Allreduce, Kind::ReduceScatter] {
                    seed += 1;
                    try_reduction(kind, groups, n, Elements { holes }, false, seed);
                }
            }
        }
    }
}

#[test]
fn an_alltoall_in_place_sends_what_was_there() {
    for size in [1, 2, 3, 6] {
        for seed in 0..20 {
            let mut all = ranks(size as u32, 0);
            let mut schedules = Vec::new();
            for (me, rank) in all.iter_mut().enumerate() {
                rank.recv = (0..size).map(|to| (100 * me + to) as u32).collect();
                let recv = Row::Equal(Arg { base: rank.recv.as_mut_ptr().cast(), count: 1, datatype: MPI_UINT32_T });
                let mut builder = Builder::new(&rank.e, &rank.core, Call::Alltoall);
                let what = Collective::Alltoall { send: None, recv };
                if seed % 2 == 1 {
                    builder.compare(&what, Form::Nonblocking).expect("arguments");
                }
                builder.plan(&what).expect("arguments");
                schedules.push(finish(builder, Form::Nonblocking));
            }
            carry_out(&mut schedules, &mut Chance(seed));
            for (me, rank) in all.iter().enumerate() {
                let wanted: Vec<u32> = (0..size).map(|from| (100 * from + me) as u32).collect();
                assert_eq!(rank.recv, wanted);
            }
        }
    }
}

#[test]
fn edges_between_the_same_two_keep_their_order_and_grids_their_directions() {
    // A graph in which rank 0 is twice its own neighbour and twice rank 1's; and a ring of two, and of one.
    let graph = |me: usize| {
        let (sources, destinations) =
            if me == 0 { (vec![0, 1, 0, 1], vec![0, 1, 0, 1]) } else { (vec![0, 0], vec![0, 0]) };
        Topology::Distributed(Edges { sources, destinations, weights: None })
    };
    let wanted_in_graph = [vec![0, 100, 2, 101], vec![1, 3]];
    let ring = |size: usize| Topology::Cart(crate::topo::cart::Grid::ring(size as u32));
    // What goes backwards (0) comes from behind, what goes forwards (1) from before.
    let wanted_in_ring = |size: usize, me: usize| {
        let (before, behind) = ((me + size - 1) % size, (me + 1) % size);
        vec![(100 * before + 1) as u32, (100 * behind) as u32]
    };
    type Case = (usize, Box<dyn Fn(usize) -> Topology>, Box<dyn Fn(usize) -> Vec<u32>>);
    let cases: [Case; 4] = [
        (2, Box::new(graph), Box::new(move |me| wanted_in_graph[me].clone())),
        (1, Box::new(move |_| ring(1)), Box::new(move |me| wanted_in_ring(1, me))),
        (2, Box::new(move |_| ring(2)), Box::new(move |me| wanted_in_ring(2, me))),
        (3, Box::new(move |_| ring(3)), Box::new(move |me| wanted_in_ring(3, me))),
    ];
    for (size, topology, wanted) in cases {
        for seed in 0..20 {
            let mut all = ranks(size as u32, 0);
            let mut schedules = Vec::new();
            for (me, rank) in all.iter_mut().enumerate() {
                let group = Arc::clone(&rank.core.group);
                let topology = Some(Arc::new(topology(me)));
                rank.core = Arc::new(CommCore { topology, ..CommCore::new(2, group, me as u32, None) });
                rank.send = (0..4).map(|place| (100 * me + place) as u32).collect();
                rank.recv = vec![GUARD; wanted(me).len()];
                let row = |at: &mut Vec<u32>| {
                    Row::Equal(Arg { base: at.as_mut_ptr().cast(), count: 1, datatype: MPI_UINT32_T })
                };
                let what = Collective::NeighborAlltoall { send: row(&mut rank.send), recv: row(&mut rank.recv) };
                let mut builder = Builder::new(&rank.e, &rank.core, Call::NeighborAlltoall);
                if seed % 2 == 1 {
                    builder.compare(&what, Form::Nonblocking).expect("arguments");
                }
                builder.plan(&what).expect("arguments");
                schedules.push(finish(builder, Form::Nonblocking));
            }
            carry_out(&mut schedules, &mut Chance(seed));
            for (me, rank) in all.iter().enumerate() {
                assert_eq!(rank.recv, wanted(me), "rank {me} of {size}");
            }
        }
    }
}

#[test]
fn a_barrier_ends_for_nobody_before_all_have_begun() {
    for (near, far) in [(2, 0), (5, 0), (9, 0), (12, 0), (2, 3)] {
        let all = ranks(near, far);
        for late in 0..all.len() {
            let mut schedules: Vec<_> = all
                .iter()
                .map(|rank| {
                    let mut builder = Builder::new(&rank.e, &rank.core, Call::Barrier);
                    builder.plan(&Collective::Barrier).expect("no arguments");
                    finish(builder, Form::Nonblocking)
                })
                .collect();
            // Without the late one those that wait for it do not come to an end.
            let waits: Vec<usize> = (0..all.len()).filter(|other| waits_for(&schedules, *other, late)).collect();
            let group = |r: usize| usize::from(r >= near as usize);
            for other in (0..all.len()).filter(|other| *other != late && (far == 0 || group(*other) != group(late))) {
                assert!(waits.contains(&other), "{other} does not wait for {late} of {near} and {far}");
            }
            carry_out(&mut schedules, &mut Chance(late as u64));
        }
    }
}

/// Whether `one` can only end after `other` has begun: it gets a message from it, or from one that does before.
fn waits_for(schedules: &[Box<Schedule>], one: usize, other: usize) -> bool {
    let sources = schedules[one].steps.iter().filter_map(|step| match step {
        Step::Recv { from, .. } => Some(*from as usize),
        _ => None,
    });
    let mut sources = sources.collect::<Vec<_>>();
    if sources.contains(&other) {
        return true;
    }
    // Through the first rank, which receives before it sends.
    sources.retain(|source| schedules[*source].steps.iter().any(|step| matches!(step, Step::Fence)));
    sources.iter().any(|source| *source != one && waits_for(schedules, *source, other))
}

#[test]
fn each_schedule_has_tags_of_its_own() {
    let all = ranks(1, 0);
    let tag = |form: Form| {
        let mut builder = Builder::new(&all[0].e, &all[0].core, Call::Barrier);
        builder.plan(&Collective::Barrier).expect("no arguments");
        finish(builder, form).tag
    };
    let tags = [Form::Persistent, Form::Nonblocking, Form::Persistent, Form::Blocking].map(tag);
    assert!(tags.iter().all(|tag| *tag >= super::FIRST_TAG));
    for (i, one) in tags.iter().enumerate() {
        assert!(tags[..i].iter().all(|other| (one - other).abs() >= super::LANES), "{tags:?}");
    }
}
