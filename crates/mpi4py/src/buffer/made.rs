//! Datatypes that messages need and nobody made: of structured elements (`record`) and of strided
//! views (`strided`). The last ones are kept by what they describe, so that a call that is repeated
//! makes no datatype.
//!
//! A message holds its datatype ([`Made`]) until the operation is over; a datatype that has left the
//! cache is freed with the last message that uses it.

use super::Keep;
use super::packed::Plain;
use crate::call::mpi;
use crate::init;
use mpi_abi::consts::MPI_DATATYPE_NULL;
use mpi_abi::{Count, Datatype};
use pyo3::prelude::*;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many datatypes are kept. A lookup compares as many numbers, about 20 ns.
const KEPT: usize = 64;
/// Descriptions with more numbers than this are not kept: the datatype lives for one call.
const LONGEST: usize = 512;

/// A committed datatype of ours.
pub(crate) struct Made {
    raw: Datatype,
    /// What it was made of and is known by: a freed handle may come back as another datatype.
    pub(super) of: Option<Arc<Made>>,
    /// Of strided views: what the same data is without gaps.
    pub(super) plain: Option<Plain>,
}

impl Made {
    /// Commits a new datatype, and owns it from now on.
    pub(crate) fn new(py: Python<'_>, raw: Datatype) -> PyResult<Self> {
        let mut made = Self { raw, of: None, plain: None };
        mpi!(py, MPI_Type_commit(&raw mut made.raw))?;
        Ok(made)
    }

    pub(crate) fn raw(&self) -> Datatype {
        self.raw
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if self.raw != MPI_DATATYPE_NULL && init::is_active() {
            // SAFETY: our datatype, and nobody else knows the handle. Operations under way go on.
            unsafe { mpi_abi::ffi::MPI_Type_free(&raw mut self.raw) };
        }
    }
}

/// A datatype that a message is of: MPI's, the program's, or one of ours.
#[derive(Clone)]
pub(crate) struct Typed {
    pub(crate) raw: Datatype,
    pub(crate) made: Option<Arc<Made>>,
}

impl From<Datatype> for Typed {
    fn from(raw: Datatype) -> Self {
        Self { raw, made: None }
    }
}

impl From<Arc<Made>> for Typed {
    fn from(made: Arc<Made>) -> Self {
        Self { raw: made.raw, made: Some(made) }
    }
}

impl Typed {
    /// Memory and datatype together.
    pub(crate) fn keep(self, memory: Keep) -> Keep {
        match self.made {
            None => memory,
            Some(made) => Keep::Typed(Box::new((memory, made))),
        }
    }
}

/// What a message of one of our datatypes is without gaps: elements for each one of it, and their type.
pub(crate) fn plain(keep: &Keep) -> Option<(Count, Datatype)> {
    match keep {
        Keep::Typed(pair) => pair.1.plain.as_ref().map(|plain| (plain.elements, plain.datatype)),
        _ => None,
    }
}

struct Entry {
    key: Box<[i64]>,
    hash: u64,
    made: Arc<Made>,
    /// When it was used last, in lookups.
    used: u64,
}

#[derive(Default)]
struct Cache {
    entries: Vec<Entry>,
    clock: u64,
}

static CACHE: Mutex<Cache> = Mutex::new(Cache { entries: Vec::new(), clock: 0 });

fn cache() -> MutexGuard<'static, Cache> {
    CACHE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// FNV-1a over the words: they are few.
fn hash(key: &[i64]) -> u64 {
    key.iter().fold(0xcbf2_9ce4_8422_2325, |hash, word| (hash ^ word.cast_unsigned()).wrapping_mul(0x100_0000_01b3))
}

/// The datatype that is described by `key`, made by `make` if it is not known.
pub(crate) fn find_or(key: &[i64], make: impl FnOnce() -> PyResult<Made>) -> PyResult<Arc<Made>> {
    let hash = hash(key);
    {
        let mut cache = cache();
        cache.clock += 1;
        let now = cache.clock;
        if let Some(entry) = cache.entries.iter_mut().find(|entry| entry.hash == hash && *entry.key == *key) {
            entry.used = now;
            return Ok(Arc::clone(&entry.made));
        }
    }
    let made = Arc::new(make()?);
    if key.len() > LONGEST {
        return Ok(made);
    }
    let mut cache = cache();
    let used = cache.clock;
    let entry = Entry { key: key.into(), hash, made: Arc::clone(&made), used };
    let oldest = (cache.entries.len() >= KEPT)
        .then(|| cache.entries.iter().enumerate().min_by_key(|(_, entry)| entry.used).map(|(index, _)| index))
        .flatten();
    let replaced = match oldest {
        Some(index) => Some(std::mem::replace(&mut cache.entries[index], entry)),
        None => {
            cache.entries.push(entry);
            None
        }
    };
    // MPI is called only when the lock is free.
    drop(cache);
    drop(replaced);
    Ok(made)
}

/// MPI is about to end: frees what is kept.
pub(crate) fn end() {
    super::record::end();
    let entries = std::mem::take(&mut cache().entries);
    drop(entries);
}
