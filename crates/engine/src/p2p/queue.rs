//! A queue of receives or messages in which the first that fits is found quickly, however long it is. A short
//! queue is just gone through. A long one has an index by source and tag: entries keep their numbers, and an entry that
//! is taken out leaves a gap, which the index skips.

use mpi_abi::consts::MPI_ANY_TAG;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::ffi::c_int;
use std::hash::{BuildHasherDefault, Hasher};

/// Up to so many entries a queue is gone through: half of that many comparisons, some 100 ns, are what an
/// index costs for each entry.
const SHORT: usize = 256;

/// Source (world rank, -1 = any) and tag (`MPI_ANY_TAG` = any) of an entry.
pub(super) trait Keyed {
    fn key(&self) -> (i32, c_int);
}

/// Numbers of entries with the same key, in order. Most keys have one.
enum Chain {
    One(u64),
    Many(VecDeque<u64>),
}

impl Chain {
    fn push(&mut self, number: u64) {
        match self {
            Self::One(first) => *self = Self::Many([*first, number].into()),
            Self::Many(numbers) => numbers.push_back(number),
        }
    }

    /// The first number that `alive` knows; those before it are forgotten.
    fn first(&mut self, alive: impl Fn(u64) -> bool) -> Option<u64> {
        match self {
            Self::One(number) => alive(*number).then_some(*number),
            Self::Many(numbers) => {
                while numbers.front().is_some_and(|number| !alive(*number)) {
                    numbers.pop_front();
                }
                numbers.front().copied()
            }
        }
    }
}

#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }
    fn write_u64(&mut self, value: u64) {
        let product = u128::from(value).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

type Map = HashMap<u64, Chain, BuildHasherDefault<Mix>>;

fn hashed((source, tag): (i32, c_int)) -> u64 {
    u64::from(source.cast_unsigned()) << 32 | u64::from(tag.cast_unsigned())
}

fn enter(map: &mut Map, key: (i32, c_int), number: u64) {
    match map.entry(hashed(key)) {
        Entry::Vacant(place) => drop(place.insert(Chain::One(number))),
        Entry::Occupied(mut place) => place.get_mut().push(number),
    }
}

/// The keys of an entry with one of its halves left open, by which a receive with a wildcard looks for messages;
/// made when the first such receive looks.
#[derive(Clone, Copy)]
enum Open {
    Tag,
    Source,
}

impl Open {
    fn key(self, (source, tag): (i32, c_int)) -> (i32, c_int) {
        match self {
            Self::Tag => (source, MPI_ANY_TAG),
            Self::Source => (-1, tag),
        }
    }
}

#[derive(Default)]
struct Index {
    exact: Map,
    open: [Option<Map>; 2],
    /// Entries so far: numbers of those that are gone stay until the index is made anew.
    entered: usize,
}

impl Index {
    fn push(&mut self, key: (i32, c_int), number: u64) {
        self.entered += 1;
        enter(&mut self.exact, key, number);
        for open in [Open::Tag, Open::Source] {
            if let Some(map) = &mut self.open[open as usize] {
                enter(map, open.key(key), number);
            }
        }
    }
}

/// See the top of the file.
pub(super) struct Queue<T> {
    /// In order. Gaps only if there is an index, and never in front.
    entries: VecDeque<Option<T>>,
    /// Number of the first one.
    first: u64,
    live: usize,
    index: Option<Box<Index>>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), first: 0, live: 0, index: None }
    }
}

impl<T: Keyed> Queue<T> {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.live == 0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().flatten()
    }

    /// To change them, but not their keys.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().flatten()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    #[inline]
    pub(super) fn push(&mut self, entry: T) {
        let key = entry.key();
        self.entries.push_back(Some(entry));
        self.live += 1;
        if let Some(index) = &mut self.index {
            index.push(key, self.first + self.entries.len() as u64 - 1);
        } else if self.live > SHORT {
            self.make_index();
        }
    }

    #[cold]
    fn make_index(&mut self) {
        self.entries.retain(Option::is_some);
        let mut index = Box::<Index>::default();
        for (number, entry) in (self.first..).zip(self.entries.iter().flatten()) {
            index.push(entry.key(), number);
        }
        self.index = Some(index);
    }

    /// Takes out the entry at `at`, which `find`, `position` or one of the fittings gave.
    #[inline]
    pub(super) fn take(&mut self, at: usize) -> Option<T> {
        if self.index.is_none() {
            let taken = if at == 0 { self.entries.pop_front() } else { self.entries.remove(at) }.flatten();
            self.live -= usize::from(taken.is_some());
            return taken;
        }
        let entered = self.index.as_ref().map_or(0, |index| index.entered);
        let taken = self.entries.get_mut(at)?.take();
        self.live -= usize::from(taken.is_some());
        while let Some(None) = self.entries.front() {
            self.entries.pop_front();
            self.first += 1;
        }
        if self.live == 0 {
            self.clear();
        } else if self.entries.len().max(entered / 2) > 2 * self.live + SHORT {
            // Gaps, or what the index remembers of entries that are gone, are more than what is there. So an entry is
            // moved at most once for each one that was taken out.
            self.make_index();
        }
        taken
    }

    pub(super) fn get(&self, at: usize) -> Option<&T> {
        self.entries.get(at)?.as_ref()
    }

    /// The first entry that `wanted` accepts.
    pub(super) fn position(&self, wanted: impl Fn(&T) -> bool) -> Option<usize> {
        self.entries.iter().position(|entry| entry.as_ref().is_some_and(&wanted))
    }

    /// Of receives: the first one that a message fits.
    #[inline]
    pub(super) fn fitting_receive(&mut self, from: u32, tag: c_int) -> Option<usize> {
        let from = from.cast_signed();
        let fits = |entry: &T| {
            let (source, wanted) = entry.key();
            (source < 0 || source == from) && (wanted == tag || wanted == MPI_ANY_TAG)
        };
        // Most messages come in the order of their receives.
        if let Some(Some(entry)) = self.entries.front()
            && fits(entry)
        {
            return Some(0);
        }
        let Some(index) = &mut self.index else {
            return self.position(fits);
        };
        let (entries, first) = (&self.entries, self.first);
        let alive = |number: u64| alive(entries, first, number);
        let keys = [(from, tag), (from, MPI_ANY_TAG), (-1, tag), (-1, MPI_ANY_TAG)];
        let numbers = keys.into_iter().filter_map(|key| index.exact.get_mut(&hashed(key))?.first(alive));
        numbers.min().map(|number| (number - first) as usize)
    }

    /// Of messages: the first one that fits a receive.
    #[inline]
    pub(super) fn fitting_message(&mut self, source: i32, tag: c_int) -> Option<usize> {
        if self.live == 0 {
            return None;
        }
        let Some(index) = &mut self.index else {
            return self.position(|entry| {
                let (from, other) = entry.key();
                (source < 0 || source == from) && (tag == other || tag == MPI_ANY_TAG)
            });
        };
        let (entries, first) = (&self.entries, self.first);
        let open = match (source < 0, tag == MPI_ANY_TAG) {
            (true, true) => return Some(0),
            (true, false) => Some(Open::Source),
            (false, true) => Some(Open::Tag),
            (false, false) => None,
        };
        let map = match open {
            None => &mut index.exact,
            Some(open) => index.open[open as usize].get_or_insert_with(|| {
                let mut map = Map::default();
                for (number, entry) in (first..).zip(entries) {
                    if let Some(entry) = entry {
                        enter(&mut map, open.key(entry.key()), number);
                    }
                }
                map
            }),
        };
        let key = hashed((source.max(-1), tag));
        let number = map.get_mut(&key)?.first(|number| alive(entries, first, number));
        if number.is_none() {
            map.remove(&key);
        }
        number.map(|number| (number - first) as usize)
    }
}

fn alive<T>(entries: &VecDeque<Option<T>>, first: u64, number: u64) -> bool {
    number.checked_sub(first).and_then(|at| entries.get(at as usize)).is_some_and(Option::is_some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Item(i32, c_int, u32);

    impl Keyed for Item {
        fn key(&self) -> (i32, c_int) {
            (self.0, self.1)
        }
    }

    /// Numbers that look random and are the same every time.
    struct Random(u64);

    impl Random {
        fn below(&mut self, n: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % n
        }
    }

    fn either(random: &mut Random, any: i32, most: u64) -> i32 {
        if random.below(4) == 0 { any } else { random.below(most) as i32 }
    }

    /// The queue beside a plain list, filling up and running empty several times.
    fn against_a_list(wild_entries: bool) {
        let mut random = Random(7);
        let mut queue = Queue::default();
        let mut list: Vec<Item> = Vec::new();
        let mut most = 0;
        for step in 0..60_000u32 {
            let filling = step / 4000 % 2 == 0;
            if random.below(10) < if filling { 6 } else { 3 } {
                let (source, tag) = if wild_entries {
                    (either(&mut random, -1, 3), either(&mut random, MPI_ANY_TAG, 40))
                } else {
                    (random.below(3) as i32, random.below(40) as i32)
                };
                queue.push(Item(source, tag, step));
                list.push(Item(source, tag, step));
            } else {
                let (found, expected) = if wild_entries {
                    let (from, tag) = (random.below(3) as i32, random.below(40) as i32);
                    let fits = |i: &Item| (i.0 < 0 || i.0 == from) && (i.1 == tag || i.1 == MPI_ANY_TAG);
                    (queue.fitting_receive(from.cast_unsigned(), tag), list.iter().position(fits))
                } else {
                    let (source, tag) = (either(&mut random, -1, 3), either(&mut random, MPI_ANY_TAG, 40));
                    let fits = |i: &Item| (source < 0 || i.0 == source) && (i.1 == tag || tag == MPI_ANY_TAG);
                    (queue.fitting_message(source, tag), list.iter().position(fits))
                };
                let expected = expected.map(|at| list.remove(at));
                assert_eq!(found.and_then(|at| queue.take(at)), expected, "step {step}");
            }
            if random.below(500) == 0 && !list.is_empty() {
                let gone = list.remove(random.below(list.len() as u64) as usize);
                let at = queue.position(|i| i.2 == gone.2).expect("in both");
                assert_eq!(queue.take(at), Some(gone));
            }
            most = most.max(list.len());
        }
        assert!(most > 2 * SHORT, "the index was used: {most}");
        assert!(queue.iter().eq(list.iter()));
        assert_eq!(queue.is_empty(), list.is_empty());
    }

    #[test]
    fn messages_are_found_as_in_a_plain_list() {
        against_a_list(false);
    }

    #[test]
    fn receives_with_wildcards_are_found_as_in_a_plain_list() {
        against_a_list(true);
    }

    #[test]
    fn an_old_message_that_nobody_wants_does_not_let_the_queue_grow() {
        let mut queue = Queue::default();
        queue.push(Item(0, 1, 0));
        for step in 0..10 * SHORT as u32 {
            queue.push(Item(0, 2, step));
            if queue.live > SHORT + 10 {
                let at = queue.fitting_message(0, 2).expect("a message");
                queue.take(at);
            }
        }
        assert!(queue.entries.len() < 4 * SHORT, "{}", queue.entries.len());
    }

    #[test]
    fn keys_that_never_come_again_do_not_let_the_index_grow() {
        let mut queue = Queue::default();
        for step in 0..20 * SHORT as u32 {
            queue.push(Item(0, step as i32, step));
            if queue.live > SHORT + 10 {
                let oldest = step as i32 - (SHORT + 10) as i32;
                let at = queue.fitting_receive(0, oldest).expect("a receive");
                assert_eq!(queue.take(at).map(|i| i.1), Some(oldest));
            }
        }
        let keys = queue.index.as_ref().map_or(0, |index| index.exact.len());
        assert!((SHORT..8 * SHORT).contains(&keys), "{keys}");
    }
}
