//! Attributes: values that users keep with communicators, types and windows (MPI-5.0 section 7.7),
//! and the keys under which they do. Copy and delete functions are the user's code: this file only
//! names them; the shim takes entries out here, calls the functions without the engine's lock, and
//! puts the results back.

use crate::error::{Error, Result};
use mpi_abi::consts::{
    MPI_APPNUM, MPI_ERR_KEYVAL, MPI_HOST, MPI_IO, MPI_KEYVAL_INVALID, MPI_LASTUSEDCODE, MPI_TAG_UB, MPI_UNIVERSE_SIZE,
    MPI_WIN_BASE, MPI_WIN_CREATE_FLAVOR, MPI_WIN_DISP_UNIT, MPI_WIN_MODEL, MPI_WIN_SIZE, MPI_WTIME_IS_GLOBAL,
};
use std::collections::HashMap;
use std::ffi::c_int;
use std::sync::Arc;

/// The kinds of objects that have attributes. A key is made for one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Communicators.
    Comm,
    /// Datatypes.
    Type,
    /// Windows.
    Win,
}

impl Owner {
    fn nouns(self) -> &'static str {
        match self {
            Self::Comm => "communicators",
            Self::Type => "datatypes",
            Self::Win => "windows",
        }
    }
}

/// A key: whose attributes it is for, and what happens to a value on the way.
#[derive(Debug, PartialEq, Eq)]
pub struct Keyval {
    /// For whom.
    pub owner: Owner,
    /// 0: values are not copied; 1: the value itself is; else the address of the user's function.
    pub copy: usize,
    /// 0: nothing happens when a value goes; else the address of the user's function.
    pub delete: usize,
    /// What these functions get besides.
    pub extra: usize,
}

/// The keys that users made. A number is never given out twice, so that a freed one is known.
pub struct Keyvals {
    live: HashMap<c_int, Arc<Keyval>>,
    last: c_int,
    /// Where they were made, with `mpiexec --check`.
    sites: HashMap<c_int, u32>,
}

/// Numbers up to here belong to the ABI.
const LAST_PREDEFINED: c_int = 0xfff;

impl Default for Keyvals {
    fn default() -> Self {
        Self { live: HashMap::new(), last: LAST_PREDEFINED, sites: HashMap::new() }
    }
}

impl Keyvals {
    /// The number of a new key.
    pub fn create(&mut self, keyval: Keyval) -> Result<c_int> {
        let number = self
            .last
            .checked_add(1)
            .ok_or_else(|| Error::new(MPI_ERR_KEYVAL, "no number is left for another attribute key: 2^31 were made"))?;
        self.last = number;
        self.live.insert(number, Arc::new(keyval));
        if crate::check::is_on() {
            self.sites.insert(number, crate::check::here());
        }
        Ok(number)
    }

    /// Where the keys were made that are still there.
    pub(crate) fn left_over(&self) -> impl Iterator<Item = u32> {
        self.live.keys().filter_map(|number| self.sites.get(number).copied()).filter(|site| *site != 0)
    }

    /// The key with this number, to use it with an object of kind `owner`.
    pub fn find(&self, number: c_int, owner: Owner) -> Result<&Arc<Keyval>> {
        match self.live.get(&number) {
            Some(keyval) if keyval.owner == owner => Ok(keyval),
            other => Err(self.refuse(number, owner, other)),
        }
    }

    /// Ends a key. Values that are there under it stay, and its functions are still called for
    /// them when their objects go.
    pub fn free(&mut self, number: c_int, owner: Owner) -> Result<()> {
        self.find(number, owner)?;
        self.live.remove(&number);
        Ok(())
    }

    #[cold]
    fn refuse(&self, number: c_int, owner: Owner, found: Option<&Arc<Keyval>>) -> Error {
        let text = match found {
            Some(keyval) => {
                let (made, used) = (keyval.owner.nouns(), owner.nouns());
                format!("attribute key {number} was made for {made}, not for {used}")
            }
            None if number == MPI_KEYVAL_INVALID => "MPI_KEYVAL_INVALID where an attribute key is needed".into(),
            None if number > LAST_PREDEFINED && number <= self.last => format!("attribute key {number} was freed"),
            None => match predefined_name(number) {
                Some(name) => format!("{name} is predefined: it can be read only, and only where it belongs"),
                None => format!("{number} is not an attribute key"),
            },
        };
        Error::new(MPI_ERR_KEYVAL, text)
    }
}

/// One value with its key.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Number of the key.
    pub number: c_int,
    /// The key itself, which may be freed by now.
    pub keyval: Arc<Keyval>,
    /// The user's value.
    pub value: usize,
}

/// The values of one object, in the order in which they were set.
#[derive(Debug, Clone, Default)]
pub struct Attributes {
    entries: Vec<Entry>,
}

impl Attributes {
    /// The value under a key.
    #[inline]
    pub fn get(&self, number: c_int) -> Option<usize> {
        self.entries.iter().find(|entry| entry.number == number).map(|entry| entry.value)
    }

    /// Takes the entry of a key out, to call its delete function.
    pub fn take(&mut self, number: c_int) -> Option<Entry> {
        let place = self.entries.iter().position(|entry| entry.number == number)?;
        Some(self.entries.remove(place))
    }

    /// Takes the entry out that was set last: the order in which values go with their object.
    pub fn pop(&mut self) -> Option<Entry> {
        self.entries.pop()
    }

    /// Sets an entry as the latest; one of the same key that came in meanwhile is replaced.
    pub fn put(&mut self, entry: Entry) {
        self.take(entry.number);
        self.entries.push(entry);
    }

    /// All entries, to call their copy functions.
    pub fn to_vec(&self) -> Vec<Entry> {
        self.entries.clone()
    }

    /// How many values.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// The MPI name of a predefined key.
pub fn predefined_name(number: c_int) -> Option<&'static str> {
    Some(match number {
        MPI_TAG_UB => "MPI_TAG_UB",
        MPI_IO => "MPI_IO",
        MPI_HOST => "MPI_HOST",
        MPI_WTIME_IS_GLOBAL => "MPI_WTIME_IS_GLOBAL",
        MPI_APPNUM => "MPI_APPNUM",
        MPI_LASTUSEDCODE => "MPI_LASTUSEDCODE",
        MPI_UNIVERSE_SIZE => "MPI_UNIVERSE_SIZE",
        MPI_WIN_BASE => "MPI_WIN_BASE",
        MPI_WIN_DISP_UNIT => "MPI_WIN_DISP_UNIT",
        MPI_WIN_SIZE => "MPI_WIN_SIZE",
        MPI_WIN_CREATE_FLAVOR => "MPI_WIN_CREATE_FLAVOR",
        MPI_WIN_MODEL => "MPI_WIN_MODEL",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyval(owner: Owner) -> Keyval {
        Keyval { owner, copy: 0, delete: 0, extra: 0 }
    }

    #[test]
    fn a_freed_key_is_known_and_its_values_stay() {
        let mut keys = Keyvals::default();
        let number = keys.create(keyval(Owner::Comm)).expect("create");
        let mut attributes = Attributes::default();
        let key = Arc::clone(keys.find(number, Owner::Comm).expect("find"));
        attributes.put(Entry { number, keyval: key, value: 7 });
        keys.free(number, Owner::Comm).expect("free");
        assert!(keys.find(number, Owner::Comm).unwrap_err().text.contains("was freed"));
        assert_eq!(attributes.pop().map(|entry| entry.value), Some(7));
        assert_ne!(keys.create(keyval(Owner::Comm)), Ok(number));
    }

    #[test]
    fn keys_of_other_objects_and_predefined_ones_are_told_apart() {
        let mut keys = Keyvals::default();
        let number = keys.create(keyval(Owner::Win)).expect("create");
        let text = |number| keys.find(number, Owner::Comm).unwrap_err().text;
        assert_eq!(text(number), format!("attribute key {number} was made for windows, not for communicators"));
        assert!(text(MPI_TAG_UB).starts_with("MPI_TAG_UB is predefined"));
        assert!(text(MPI_KEYVAL_INVALID).starts_with("MPI_KEYVAL_INVALID"));
        assert_eq!(text(-5), "-5 is not an attribute key");
    }

    #[test]
    fn values_go_in_the_reverse_of_the_order_in_which_they_were_set() {
        let mut keys = Keyvals::default();
        let mut attributes = Attributes::default();
        let numbers: Vec<_> = (0..3).map(|_| keys.create(keyval(Owner::Comm)).expect("create")).collect();
        for (number, value) in numbers.iter().zip(10..).chain([(&numbers[0], 20)]) {
            let keyval = Arc::clone(keys.find(*number, Owner::Comm).expect("find"));
            attributes.put(Entry { number: *number, keyval, value });
        }
        assert_eq!(attributes.get(numbers[0]), Some(20));
        let order: Vec<_> = std::iter::from_fn(|| attributes.pop()).map(|entry| entry.value).collect();
        assert_eq!(order, [20, 12, 11]);
    }
}
