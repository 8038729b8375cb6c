//! Handles, keys and codes that calls gave, and from which the arguments of later calls are drawn.

use crate::api;
use crate::random::Random;

/// What handles are of. The order is that of `WORDS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Pool {
    Comm,
    Datatype,
    Request,
    Group,
    Op,
    Errhandler,
    Info,
    Message,
    Session,
    Win,
    File,
    Keyval,
    /// Error classes and codes.
    Error,
    /// Those that the program has added.
    OwnError,
}

use Pool::{
    Comm, Datatype, Errhandler, Error, File, Group, Info, Keyval, Message, Op, OwnError, Request, Session, Win,
};

/// The word in kinds.txt, and the C type of the predefined values.
const WORDS: [(Pool, &str, &str); 14] = [
    (Comm, "COMM", "MPI_Comm"),
    (Datatype, "DATATYPE", "MPI_Datatype"),
    (Request, "REQUEST", "MPI_Request"),
    (Group, "GROUP", "MPI_Group"),
    (Op, "OP", "MPI_Op"),
    (Errhandler, "ERRHANDLER", "MPI_Errhandler"),
    (Info, "INFO", "MPI_Info"),
    (Message, "MESSAGE", "MPI_Message"),
    (Session, "SESSION", "MPI_Session"),
    (Win, "WIN", "MPI_Win"),
    (File, "FILE", "MPI_File"),
    (Keyval, "", ""),
    (Error, "", ""),
    (OwnError, "", ""),
];

/// The pool of a parameter kind (`COMM`, `COMM_OUT`, `REQUESTS_INOUT`), if its values are handles.
pub(crate) fn of_kind(kind: &str) -> Option<Pool> {
    let word = kind.trim_end_matches("_INOUT").trim_end_matches("_OUT");
    let word = WORDS.iter().find(|w| w.1 == word || w.1 == word.trim_end_matches('S'))?;
    (!word.1.is_empty()).then_some(word.0)
}

/// Handlers that end the process.
const FATAL: [u64; 2] = [0x141, 0x142];
const ERRORS_RETURN: u64 = 0x143;
/// So many live values are kept of each.
const MOST: usize = 24;

#[derive(Default)]
struct Values {
    predefined: Vec<u64>,
    live: Vec<u64>,
    /// No longer valid.
    stale: Vec<u64>,
}

pub(crate) struct Pools([Values; WORDS.len()]);

impl Pools {
    pub(crate) fn new() -> Self {
        let mut pools = Self(std::array::from_fn(|_| Values::default()));
        for (pool, _, c_type) in WORDS {
            let mut values: Vec<u64> = api::constants(c_type).values().map(|v| *v as u64).collect();
            values.sort_unstable();
            values.dedup();
            pools.0[pool as usize].predefined = values;
        }
        let numbers = api::constants("int");
        let mut classes: Vec<u64> =
            numbers.iter().filter(|(name, _)| name.starts_with("MPI_ERR_")).map(|(_, v)| *v as u64).collect();
        classes.sort_unstable();
        pools.0[Error as usize].predefined = classes;
        pools.0[Keyval as usize].predefined = (500..508).chain(600..606).chain([0]).collect();
        pools
    }

    /// Something to pass for a value of `pool`: mostly one that is good, with `wild` often not.
    pub(crate) fn draw(&self, random: &mut Random, pool: Pool, wild: bool) -> u64 {
        let value = self.any(random, pool, wild);
        if pool == Errhandler && FATAL.contains(&value) { ERRORS_RETURN } else { value }
    }

    fn any(&self, random: &mut Random, pool: Pool, wild: bool) -> u64 {
        let values = &self.0[pool as usize];
        let (most, predefined) = if wild { (40, 20) } else { (72, 25) };
        // Few predefined handles of requests and messages are of any use.
        let good = if matches!(pool, Request | Message) { most + predefined - 5 } else { most };
        if random.percent(good) && !values.live.is_empty() {
            return random.of(&values.live);
        }
        if !values.predefined.is_empty() && random.percent(if wild { 40 } else { 95 }) {
            return random.of(&values.predefined);
        }
        match random.below(6) {
            0 if !values.stale.is_empty() => random.of(&values.stale),
            1 => {
                let other = &self.0[random.below(self.0.len())];
                if other.live.is_empty() { 0 } else { random.of(&other.live) }
            }
            // Near a good one: another generation, another index.
            2 if !values.live.is_empty() => random.of(&values.live) ^ 1 << random.below(64),
            3 => random.below(0x400) as u64,
            4 => random.of(&[0, 1, u64::MAX, i64::MAX as u64, 1 << 63, 0x1000, 0xfff, u32::MAX.into()]),
            _ => random.next(),
        }
    }

    /// The values of `pool` that are good.
    pub(crate) fn live(&self, pool: Pool) -> Vec<u64> {
        self.0[pool as usize].live.clone()
    }

    /// A call gave `value`.
    pub(crate) fn add(&mut self, random: &mut Random, pool: Pool, value: u64) {
        let values = &mut self.0[pool as usize];
        if values.predefined.contains(&value) || values.live.contains(&value) {
            return;
        }
        if values.live.len() < MOST {
            values.live.push(value);
        } else {
            let place = random.below(MOST);
            values.live[place] = value;
        }
    }

    /// A call has ended `value`.
    pub(crate) fn remove(&mut self, random: &mut Random, pool: Pool, value: u64) {
        let values = &mut self.0[pool as usize];
        if let Some(place) = values.live.iter().position(|v| *v == value) {
            values.live.swap_remove(place);
        }
        if values.stale.len() < MOST {
            values.stale.push(value);
        } else {
            let place = random.below(MOST);
            values.stale[place] = value;
        }
    }
}
