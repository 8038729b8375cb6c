//! From handle to type: the predefined ones by index, those of users in a table with generations.
//! Whether a type is committed belongs to its handle. One [`TypeTable`] lies in the engine; called
//! by every operation that takes a datatype, and by the shim to make and free types.

use super::basic::{BASICS, Basic, match_size};
use super::contents::Contents;
use super::pairs::NAMED;
use super::types::{Call, Type};
use crate::error::{Error, Result};
use crate::handle::{HandleTable, Kind};
use crate::objects::not_alive;
use mpi_abi::Datatype;
use mpi_abi::consts::{
    MPI_COMBINER_F90_INTEGER, MPI_DATATYPE_NULL, MPI_ERR_ARG, MPI_ERR_COUNT, MPI_ERR_TYPE, MPI_UNDEFINED,
};
use std::collections::HashMap;
use std::ffi::c_int;
use std::sync::Arc;

/// Predefined handles are below this.
const PREDEFINED: usize = 1024;

/// A type with a handle of its own.
struct Entry {
    kind: Arc<Type>,
    committed: bool,
}

/// All types of the process.
pub struct TypeTable {
    predefined: Box<[Option<Arc<Type>>]>,
    /// Sizes of those predefined types whose elements lie in memory without holes, 0 for others.
    sizes: Box<[u8; PREDEFINED]>,
    made: HandleTable<Entry>,
    /// Types of Fortran kinds by combiner, p and r: one of each, never freed.
    kinds: HashMap<(c_int, c_int, c_int), Datatype>,
}

impl Default for TypeTable {
    fn default() -> Self {
        Self::new()
    }
}

impl TypeTable {
    /// A table with the predefined types.
    pub fn new() -> Self {
        let mut predefined = vec![None; PREDEFINED].into_boxed_slice();
        let mut sizes = Box::new([0; PREDEFINED]);
        let mut add = |handle: Datatype, kind: Type| {
            if kind.contiguous_run(2).is_some() {
                sizes[handle.0] = kind.size() as u8;
            }
            predefined[handle.0] = Some(Arc::new(kind));
        };
        for basic in BASICS {
            add(basic.handle, Type::from_basic(basic));
        }
        for (handle, name, value, index) in NAMED {
            if let (Some(value), Some(index)) = (Basic::of(*value), Basic::of(*index)) {
                add(*handle, Type::pair_of(value, index, (*handle, name)));
            }
        }
        Self { predefined, sizes, made: HandleTable::new(Kind::Datatype), kinds: HashMap::new() }
    }

    /// The size of a predefined type without holes: all that most messages need to know.
    #[inline(always)]
    pub fn basic_size(&self, datatype: Datatype) -> Option<usize> {
        match self.sizes.get(datatype.0) {
            Some(0) | None => None,
            Some(size) => Some(usize::from(*size)),
        }
    }

    /// The type, committed or not.
    #[inline]
    pub fn get(&self, datatype: Datatype) -> Result<&Arc<Type>> {
        if let Some(Some(kind)) = self.predefined.get(datatype.0) {
            return Ok(kind);
        }
        match self.made.get(datatype.0) {
            Some(entry) => Ok(&entry.kind),
            None => Err(self.unknown(datatype)),
        }
    }

    /// The type, which must be committed to move data (section 5.1.9).
    #[inline]
    pub fn committed(&self, datatype: Datatype) -> Result<&Arc<Type>> {
        if let Some(Some(kind)) = self.predefined.get(datatype.0) {
            return Ok(kind);
        }
        match self.made.get(datatype.0) {
            Some(Entry { kind, committed: true }) => Ok(kind),
            Some(Entry { kind, .. }) => Err(uncommitted(kind)),
            None => Err(self.unknown(datatype)),
        }
    }

    /// Whether the type is made of the bytes of objects.
    #[inline]
    pub(crate) fn is_of_objects(&self, datatype: Datatype) -> bool {
        self.get(datatype).is_ok_and(|kind| kind.is_of_objects())
    }

    /// Whether the type is of anything else than single bytes; what is not known is not.
    pub(crate) fn is_of_numbers(&self, datatype: Datatype) -> bool {
        self.get(datatype).is_ok_and(|kind| kind.uniform_basic().is_none_or(|basic| basic.size() > 1))
    }

    /// Whether the handle is that of a type that can move data.
    #[inline]
    pub fn require_committed(&self, datatype: Datatype) -> Result<()> {
        if self.basic_size(datatype).is_some() { Ok(()) } else { self.committed(datatype).map(|_| ()) }
    }

    #[cold]
    fn unknown(&self, datatype: Datatype) -> Error {
        if datatype == MPI_DATATYPE_NULL {
            return Error::new(MPI_ERR_TYPE, "the datatype is MPI_DATATYPE_NULL");
        }
        not_alive(MPI_ERR_TYPE, "datatype", self.made.why_stale(datatype.0), datatype.0)
    }

    /// Gives a type that was made a handle.
    pub fn insert(&mut self, kind: Type) -> Datatype {
        self.insert_arc(Arc::new(kind), false)
    }

    /// A handle for a type whose own may be gone; to be freed again.
    pub(crate) fn lend(&mut self, kind: Arc<Type>) -> Datatype {
        self.insert_arc(kind, true)
    }

    fn insert_arc(&mut self, kind: Arc<Type>, committed: bool) -> Datatype {
        Datatype(self.made.insert(Entry { kind, committed }))
    }

    /// Notes from now on where types are made.
    pub(crate) fn track(&mut self) {
        self.made.track();
    }

    /// Where the types were made that are still there, but those that may not be freed.
    pub(crate) fn left_over(&self) -> impl Iterator<Item = u32> {
        self.made.made().filter(|(_, _, entry)| !entry.kind.is_permanent()).map(|(_, site, _)| site)
    }

    /// A copy of a type, committed if the original is (MPI_Type_dup).
    pub fn dup(&mut self, datatype: Datatype) -> Result<Datatype> {
        let copy = Type::dup(self.get(datatype)?);
        let committed = self.is_committed(datatype);
        Ok(self.insert_arc(Arc::new(copy), committed))
    }

    /// Whether the type can move data.
    pub fn is_committed(&self, datatype: Datatype) -> bool {
        self.committed(datatype).is_ok()
    }

    /// Makes the type ready to move data.
    pub fn commit(&mut self, datatype: Datatype) -> Result<()> {
        match self.made.get_mut(datatype.0) {
            Some(entry) => entry.committed = true,
            None => {
                self.get(datatype)?;
            }
        }
        Ok(())
    }

    /// Whether the handle can be freed: not that of a predefined type.
    pub fn may_free(&self, datatype: Datatype) -> Result<()> {
        let kind = self.get(datatype)?;
        if kind.is_permanent() {
            let text = format!("{} is predefined and cannot be freed", kind.describe());
            return Err(Error::new(MPI_ERR_TYPE, text));
        }
        Ok(())
    }

    /// Frees a handle. What still moves data with the type keeps it.
    pub fn free(&mut self, datatype: Datatype) -> Result<Arc<Type>> {
        self.may_free(datatype)?;
        match self.made.remove(datatype.0) {
            Some(entry) => Ok(entry.kind),
            None => Err(self.unknown(datatype)),
        }
    }

    /// The type of pairs of these two, or MPI_DATATYPE_NULL (MPI_Type_get_value_index). The standard
    /// lets a library have unnamed ones; no other has them, and mpi4py 4.1 cannot take them apart.
    pub fn pair(&self, value: Datatype, index: Datatype) -> Result<Datatype> {
        self.get(value)?;
        self.get(index)?;
        let named = NAMED.iter().find(|n| n.2 == value && n.3 == index);
        Ok(named.map_or(MPI_DATATYPE_NULL, |n| n.0))
    }

    /// The type of Fortran's kind (p, r).
    pub fn f90(&mut self, combiner: c_int, p: c_int, r: c_int) -> Result<Datatype> {
        let p = if combiner == MPI_COMBINER_F90_INTEGER { MPI_UNDEFINED } else { p };
        if let Some(handle) = self.kinds.get(&(combiner, p, r)) {
            return Ok(*handle);
        }
        let handle = self.insert_arc(Arc::new(Type::f90(combiner, p, r)?), true);
        self.kinds.insert((combiner, p, r), handle);
        Ok(handle)
    }

    /// The predefined type of a class and size (MPI_Type_match_size).
    pub fn match_size(&self, class: c_int, size: c_int) -> Result<Datatype> {
        let found = usize::try_from(size).ok().and_then(|size| match_size(class, size));
        found.map(|basic| basic.handle).ok_or_else(|| {
            Error::new(MPI_ERR_ARG, format!("there is no Fortran type of {size} bytes in type class {class}"))
        })
    }

    /// How a type was made, its types as handles that the user frees if they are derived.
    pub fn contents(&mut self, datatype: Datatype) -> Result<(Contents, Vec<Datatype>)> {
        let kind = self.get(datatype)?;
        if kind.predefined_handle().is_some() {
            let text = format!("{} is predefined: it has no contents", kind.describe());
            return Err(Error::new(MPI_ERR_TYPE, text));
        }
        let contents = kind.contents()?;
        let handles = contents.datatypes.iter().map(|kind| self.handle_of(kind)).collect();
        Ok((contents, handles))
    }

    /// A handle for a type that another one was made of.
    fn handle_of(&mut self, kind: &Arc<Type>) -> Datatype {
        if let Some(handle) = kind.predefined_handle() {
            return handle;
        }
        if let Call::F90 { combiner, p, r, .. } = kind.call
            && let Some(handle) = self.kinds.get(&(combiner, p, r))
        {
            return *handle;
        }
        self.insert_arc(kind.clone(), false)
    }

    /// Types that the user made and has not freed (for leak reports).
    pub fn alive(&self) -> impl Iterator<Item = (Datatype, &Arc<Type>)> {
        let mine = self.made.iter().filter(|(_, entry)| !entry.kind.is_permanent());
        mine.map(|(raw, entry)| (Datatype(raw), &entry.kind))
    }
}

/// The bytes of a message of `count` elements.
pub fn message_size(kind: &Type, count: usize) -> Result<usize> {
    let bytes = kind.size() as u128 * count as u128;
    let text = || format!("{count} x {} is {bytes} bytes, more than an address space holds", kind.describe());
    isize::try_from(bytes).map(isize::cast_unsigned).map_err(|_| Error::new(MPI_ERR_COUNT, text()))
}

#[cold]
fn uncommitted(kind: &Type) -> Error {
    let text = format!("the datatype {} is not committed: call MPI_Type_commit first", kind.describe());
    Error::new(MPI_ERR_TYPE, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpi_abi::consts::{
        MPI_2INT, MPI_COMBINER_CONTIGUOUS, MPI_COMBINER_DUP, MPI_COMBINER_F90_REAL, MPI_DOUBLE, MPI_DOUBLE_INT,
        MPI_FLOAT, MPI_INT, MPI_SHORT, MPI_TYPECLASS_REAL,
    };

    #[test]
    fn predefined_types_are_found_by_index() {
        let types = TypeTable::new();
        assert_eq!(types.basic_size(MPI_DOUBLE), Some(8));
        assert_eq!(types.basic_size(MPI_2INT), Some(8));
        assert_eq!(types.basic_size(MPI_DOUBLE_INT), None);
        assert_eq!(types.get(MPI_DOUBLE_INT).map(|t| t.size()), Ok(12));
        for raw in [0, 1, 0x200, 0x204, 0x3ff, 0x400, usize::MAX, 0x0200_0001_0000_0000] {
            assert_eq!(types.get(Datatype(raw)).map_err(|e| e.class).err(), Some(MPI_ERR_TYPE), "{raw:#x}");
            assert_eq!(types.basic_size(Datatype(raw)), None);
        }
    }

    #[test]
    fn a_type_must_be_committed_and_can_be_freed_once() {
        let mut types = TypeTable::new();
        let int = types.get(MPI_INT).expect("predefined").clone();
        let handle = types.insert(Type::vector(3, 1, 2, &int).expect("vector"));
        let error = types.committed(handle).expect_err("not committed");
        assert!(error.text.contains("vector(3, 1, 2) of MPI_INT"), "{}", error.text);
        types.commit(handle).expect("commit");
        let copy = types.dup(handle).expect("dup");
        assert!(types.is_committed(copy));
        assert_eq!(types.alive().count(), 2);
        types.free(handle).expect("free");
        assert!(types.free(handle).expect_err("freed").text.contains("was freed"));
        assert_eq!(types.free(MPI_INT).expect_err("predefined").class, MPI_ERR_TYPE);
        types.commit(MPI_INT).expect("no effect");
    }

    #[test]
    fn a_type_is_taken_apart_into_new_handles() {
        let mut types = TypeTable::new();
        let int = types.get(MPI_INT).expect("predefined").clone();
        let row = types.insert(Type::contiguous(3, &int).expect("contiguous"));
        let copy = types.dup(row).expect("dup");
        types.free(row).expect("free");
        let (contents, handles) = types.contents(copy).expect("derived");
        assert!(contents.integers.is_empty());
        assert_eq!(types.get(copy).map(|t| t.combiner()), Ok(MPI_COMBINER_DUP));
        assert_eq!(types.get(handles[0]).map(|t| t.combiner()), Ok(MPI_COMBINER_CONTIGUOUS));
        let (contents, inner) = types.contents(handles[0]).expect("derived");
        assert_eq!((contents.integers, inner), (vec![3], vec![MPI_INT]));
        assert_eq!(types.contents(MPI_INT).map_err(|e| e.class).err(), Some(MPI_ERR_TYPE));
    }

    #[test]
    fn types_that_are_asked_for_twice_are_the_same() {
        let mut types = TypeTable::new();
        let real = types.f90(MPI_COMBINER_F90_REAL, 6, 30).expect("kind");
        assert_eq!(types.f90(MPI_COMBINER_F90_REAL, 6, 30), Ok(real));
        assert!(types.is_committed(real) && types.free(real).is_err());
        assert_eq!(types.contents(real).map(|c| c.0.integers), Ok(vec![6, 30]));
        let of_real = Type::contiguous(2, &types.get(real).expect("known").clone()).expect("contiguous");
        let of_real = types.insert(of_real);
        assert_eq!(types.contents(of_real).map(|c| c.1), Ok(vec![real]));
        assert_eq!(types.pair(MPI_DOUBLE, MPI_INT), Ok(MPI_DOUBLE_INT));
        assert_eq!(types.pair(MPI_DOUBLE, MPI_SHORT), Ok(MPI_DATATYPE_NULL));
        assert_eq!(types.pair(MPI_INT, MPI_FLOAT), Ok(MPI_DATATYPE_NULL));
        assert!(types.pair(MPI_DATATYPE_NULL, MPI_INT).is_err());
        assert_eq!(types.match_size(MPI_TYPECLASS_REAL, 8).map(|t| t.0), Ok(0x2da));
        assert!(types.match_size(MPI_TYPECLASS_REAL, 5).is_err());
    }
}
