//! `MPI.Group`: ordered sets of processes. Chapter 7.3 of the standard.

use crate::args::Ints;
use crate::call::mpi;
use crate::handle::{H, Handle, handle_class, new_like};
use crate::session::Session;
use mpi_abi as abi;
use mpi_abi::consts::{MPI_GROUP_EMPTY, MPI_GROUP_NULL, MPI_UNDEFINED};
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ffi::{CString, c_int};

handle_class! { "Group of processes.", Group, MPI_GROUP_NULL, argument = group, MPI_Group_toint, MPI_Group_fromint }
handle_class! { @reduce Group }

/// What two group operations have in common: two groups in, a new one out.
macro_rules! combine {
    ($($name:ident, $function:ident, $doc:literal;)*) => {
        #[pymethods]
        impl Group {$(
            #[doc = concat!(stringify!($name), "(cls, group1: Group, group2: Group) -> Self\n\n", $doc)]
            #[classmethod]
            fn $name<'py>(cls: &Bound<'py, PyType>, group1: H<Group>, group2: H<Group>) -> PyResult<Bound<'py, Self>> {
                let mut new = MPI_GROUP_NULL;
                mpi!(cls.py(), $function(group1.0, group2.0, &raw mut new))?;
                new_like(cls, new)
            }
        )*}
    };
}

combine! {
    Union, MPI_Group_union, "Make a group of all processes that are in the first or in the second group.";
    Intersection, MPI_Group_intersection, "Make a group of the processes that are in both groups.";
    Intersect, MPI_Group_intersection, "Make a group of the processes that are in both groups.";
    Difference, MPI_Group_difference, "Make a group of the processes of the first group that are not in the second.";
}

#[pymethods]
impl Group {
    /// Get_size(self) -> int
    ///
    /// Number of processes in the group.
    fn Get_size(&self, py: Python<'_>) -> PyResult<c_int> {
        let mut size = 0;
        mpi!(py, MPI_Group_size(self.raw(), &raw mut size))?;
        Ok(size)
    }

    /// size: int
    ///
    /// Number of processes in the group.
    #[getter]
    fn size(&self, py: Python<'_>) -> PyResult<c_int> {
        self.Get_size(py)
    }

    /// Get_rank(self) -> int
    ///
    /// Rank of this process in the group, or `UNDEFINED`.
    fn Get_rank(&self, py: Python<'_>) -> PyResult<c_int> {
        let mut rank = MPI_UNDEFINED;
        mpi!(py, MPI_Group_rank(self.raw(), &raw mut rank))?;
        Ok(rank)
    }

    /// rank: int
    ///
    /// Rank of this process in the group, or `UNDEFINED`.
    #[getter]
    fn rank(&self, py: Python<'_>) -> PyResult<c_int> {
        self.Get_rank(py)
    }

    /// Translate_ranks(self, ranks: Sequence[int] | None = None, group: Group | None = None) -> list[int]
    ///
    /// Ranks that processes of this group have in another group.
    ///
    /// Without `ranks` all processes of this group are meant, without `group` the group of
    /// `COMM_WORLD`'s processes.
    #[pyo3(signature = (ranks = None, group = None))]
    fn Translate_ranks(&self, py: Python<'_>, ranks: Option<Ints>, group: Option<H<Group>>) -> PyResult<Vec<c_int>> {
        let ranks = match ranks {
            Some(ranks) => ranks.0,
            None => (0..self.Get_size(py)?).collect(),
        };
        let mut world = MPI_GROUP_NULL;
        let other = match group {
            Some(group) => group.0,
            None => {
                mpi!(py, MPI_Comm_group(abi::consts::MPI_COMM_WORLD, &raw mut world))?;
                world
            }
        };
        let mut translated = vec![MPI_UNDEFINED; ranks.len()];
        let count = crate::args::length(ranks.len())?;
        let done =
            mpi!(py, MPI_Group_translate_ranks(self.raw(), count, ranks.as_ptr(), other, translated.as_mut_ptr()));
        if world != MPI_GROUP_NULL {
            mpi!(py, MPI_Group_free(&raw mut world))?;
        }
        done?;
        Ok(translated)
    }

    /// Compare(self, group: Group) -> int
    ///
    /// Compare two groups: `IDENT`, `SIMILAR` or `UNEQUAL`.
    fn Compare(&self, py: Python<'_>, group: H<Group>) -> PyResult<c_int> {
        let mut result = 0;
        mpi!(py, MPI_Group_compare(self.raw(), group.0, &raw mut result))?;
        Ok(result)
    }

    /// Dup(self) -> Self
    ///
    /// Make a group with the same processes in the same order.
    fn Dup<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let mut new = MPI_GROUP_NULL;
        mpi!(slf.py(), MPI_Group_union(slf.get().raw(), MPI_GROUP_EMPTY, &raw mut new))?;
        new_like(&slf.get_type(), new)
    }

    /// Incl(self, ranks: Sequence[int]) -> Self
    ///
    /// Make a group of the processes with these ranks, in this order.
    fn Incl<'py>(slf: &Bound<'py, Self>, ranks: Ints) -> PyResult<Bound<'py, Self>> {
        let mut new = MPI_GROUP_NULL;
        mpi!(slf.py(), MPI_Group_incl(slf.get().raw(), ranks.count()?, ranks.0.as_ptr(), &raw mut new))?;
        new_like(&slf.get_type(), new)
    }

    /// Excl(self, ranks: Sequence[int]) -> Self
    ///
    /// Make a group of all processes but those with these ranks.
    fn Excl<'py>(slf: &Bound<'py, Self>, ranks: Ints) -> PyResult<Bound<'py, Self>> {
        let mut new = MPI_GROUP_NULL;
        mpi!(slf.py(), MPI_Group_excl(slf.get().raw(), ranks.count()?, ranks.0.as_ptr(), &raw mut new))?;
        new_like(&slf.get_type(), new)
    }

    /// Range_incl(self, ranks: Sequence[tuple[int, int, int]]) -> Self
    ///
    /// Make a group of ranges of ranks, each given as first, last and step.
    fn Range_incl<'py>(slf: &Bound<'py, Self>, ranks: Vec<(c_int, c_int, c_int)>) -> PyResult<Bound<'py, Self>> {
        let mut ranks: Vec<[c_int; 3]> = ranks.into_iter().map(Into::into).collect();
        let (mut new, count) = (MPI_GROUP_NULL, crate::args::length(ranks.len())?);
        mpi!(slf.py(), MPI_Group_range_incl(slf.get().raw(), count, ranks.as_mut_ptr(), &raw mut new))?;
        new_like(&slf.get_type(), new)
    }

    /// Range_excl(self, ranks: Sequence[tuple[int, int, int]]) -> Self
    ///
    /// Make a group without ranges of ranks, each given as first, last and step.
    fn Range_excl<'py>(slf: &Bound<'py, Self>, ranks: Vec<(c_int, c_int, c_int)>) -> PyResult<Bound<'py, Self>> {
        let mut ranks: Vec<[c_int; 3]> = ranks.into_iter().map(Into::into).collect();
        let (mut new, count) = (MPI_GROUP_NULL, crate::args::length(ranks.len())?);
        mpi!(slf.py(), MPI_Group_range_excl(slf.get().raw(), count, ranks.as_mut_ptr(), &raw mut new))?;
        new_like(&slf.get_type(), new)
    }

    /// Create_from_session_pset(cls, session: Session, pset_name: str) -> Self
    ///
    /// Make a group from a process set of a session.
    #[classmethod]
    fn Create_from_session_pset<'py>(
        cls: &Bound<'py, PyType>,
        session: H<Session>,
        pset_name: &str,
    ) -> PyResult<Bound<'py, Self>> {
        let (mut new, name) = (MPI_GROUP_NULL, CString::new(pset_name)?);
        mpi!(cls.py(), MPI_Group_from_session_pset(session.0, name.as_ptr(), &raw mut new))?;
        new_like(cls, new)
    }

    /// Free(self) -> None
    ///
    /// Free the group.
    fn Free(&self, py: Python<'_>) -> PyResult<()> {
        let mut raw = self.raw();
        mpi!(py, MPI_Group_free(&raw mut raw))?;
        self.slot().set(raw);
        Ok(())
    }

    /// free(self) -> None
    ///
    /// Call `Free` if the group is neither null nor predefined.
    fn free(&self, py: Python<'_>) -> PyResult<()> {
        crate::init::free_quietly(self, crate::handle::RawHandle::is_predefined, || self.Free(py))
    }
}

/// A number that a group tells about itself; the group is freed.
pub(crate) fn of(
    py: Python<'_>,
    group: Py<Group>,
    ask: impl FnOnce(abi::Group, *mut c_int) -> PyResult<()>,
) -> PyResult<c_int> {
    let mut number = MPI_UNDEFINED;
    let done = ask(group.get().raw(), &raw mut number);
    group.get().Free(py)?;
    done?;
    Ok(number)
}
