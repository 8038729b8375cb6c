//! Functions for callbacks that get no pointer of their own: each place of a table has a C function
//! that knows its number, made by [`places`].

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Places in a table, as many as mpi4py has.
pub(super) const SIZE: usize = 32;

pub(super) struct Used {
    pub(super) function: Py<PyAny>,
    /// The handle, 0 while it is being made.
    pub(super) raw: usize,
    /// Address of the object that the function was given to; copies do not own the place.
    pub(super) owner: usize,
    pub(super) flag: bool,
    /// Operations under way that call the function.
    users: usize,
    /// The handle was freed: the place stays as long as there are users.
    freed: bool,
}

pub(super) struct Table(Mutex<[Option<Used>; SIZE]>);

impl Table {
    pub(super) const fn new() -> Self {
        Self(Mutex::new([const { None }; SIZE]))
    }

    fn lock(&self) -> MutexGuard<'_, [Option<Used>; SIZE]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a free place.
    pub(super) fn take(&self, function: &Bound<'_, PyAny>, flag: bool, what: &str) -> PyResult<usize> {
        let mut places = self.lock();
        let free = places.iter().position(Option::is_none);
        let index = free.ok_or_else(|| {
            PyRuntimeError::new_err(format!("{SIZE} {what} exist already: free one before making another"))
        })?;
        places[index] =
            Some(Used { function: function.clone().unbind(), raw: 0, owner: 0, flag, users: 0, freed: false });
        Ok(index)
    }

    pub(super) fn own(&self, index: usize, raw: usize, owner: usize) {
        if let Some(used) = &mut self.lock()[index] {
            (used.raw, used.owner) = (raw, owner);
        }
    }

    pub(super) fn give_back(&self, index: usize) {
        let old = self.lock()[index].take();
        drop(old);
    }

    /// The object at `owner` freed the handle.
    pub(super) fn freed(&self, raw: usize, owner: usize) {
        let index = self.lock().iter().flatten_position(|used| used.raw == raw && used.owner == owner);
        let Some(index) = index else { return };
        if let Some(used) = &mut self.lock()[index]
            && used.users > 0
        {
            (used.raw, used.owner, used.freed) = (0, 0, true);
            return;
        }
        self.give_back(index);
    }

    /// An operation with the function of `raw` begins: the place stays until [`Self::let_go`].
    pub(super) fn hold(&self, raw: usize) -> Option<usize> {
        let mut places = self.lock();
        let index = places.iter().flatten_position(|used| used.raw == raw)?;
        places[index].as_mut()?.users += 1;
        Some(index)
    }

    /// An operation with the function at `index` is over.
    pub(super) fn let_go(&self, index: usize) {
        let mut places = self.lock();
        let Some(used) = &mut places[index] else { return };
        used.users -= 1;
        let gone = used.freed && used.users == 0;
        let old = if gone { places[index].take() } else { None };
        // Outside of the lock: freeing an object can run any code.
        drop(places);
        drop(old);
    }

    pub(super) fn function(&self, py: Python<'_>, index: usize) -> Option<Py<PyAny>> {
        self.lock()[index].as_ref().map(|used| used.function.clone_ref(py))
    }

    /// Function and flag of a handle.
    pub(super) fn find(&self, py: Python<'_>, raw: usize, owner: Option<usize>) -> Option<(Py<PyAny>, bool)> {
        let places = self.lock();
        let used =
            places.iter().flatten().find(|used| used.raw == raw && owner.is_none_or(|owner| owner == used.owner));
        used.map(|used| (used.function.clone_ref(py), used.flag))
    }
}

trait Position<'a> {
    fn flatten_position(self, matches: impl Fn(&Used) -> bool) -> Option<usize>;
}

impl<'a, I: Iterator<Item = &'a Option<Used>>> Position<'a> for I {
    fn flatten_position(mut self, matches: impl Fn(&Used) -> bool) -> Option<usize> {
        self.position(|used| used.as_ref().is_some_and(&matches))
    }
}

/// An array of `function::<0>`, `function::<1>` ... for all places.
macro_rules! places {
    ($function:ident) => {
        $crate::callback::table::places!(@list $function 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31)
    };
    (@list $function:ident $($index:literal)*) => { [$($function::<$index>),*] };
}

pub(super) use places;
