//! Constructors of datatypes. Chapter 5.1 of the standard.

use super::Datatype;
use crate::args::{Counts, Ints, length};
use crate::call::mpi;
use crate::constants::TYPECLASS_LOGICAL;
use crate::handle::{H, Handle, new_like};
use mpi_abi as abi;
use mpi_abi::Count;
use mpi_abi::consts::{
    MPI_DATATYPE_NULL, MPI_LOGICAL, MPI_LOGICAL1, MPI_LOGICAL2, MPI_LOGICAL4, MPI_LOGICAL8, MPI_LOGICAL16, MPI_ORDER_C,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ffi::c_int;

/// Constructors that take one datatype and make a new one of the same class.
macro_rules! constructors {
    ($($name:ident, $text:literal, ($($arg:ident: $type:ty $(= $default:expr)?),*),
        { $($prepare:tt)* } $function:ident($($before:expr),*; $($after:expr),*), $doc:literal;)*) => {
        #[pymethods]
        impl Datatype {$(
            #[doc = concat!(stringify!($name), "(self", $text, ") -> Self\n\n", $doc)]
            #[pyo3(signature = ($($arg $(= $default)?),*))]
            fn $name<'py>(slf: &Bound<'py, Self>, $($arg: $type),*) -> PyResult<Bound<'py, Self>> {
                let (old, mut new) = (slf.get().raw(), MPI_DATATYPE_NULL);
                $($prepare)*
                mpi!(slf.py(), $function($($before,)* old $(, $after)*, &raw mut new))?;
                new_like(&slf.get_type(), new)
            }
        )*}
    };
}

constructors! {
    Dup, "", (), {} MPI_Type_dup(;), "Make a copy of the datatype.";
    Create_dup, "", (), {} MPI_Type_dup(;), "Make a copy of the datatype.";

    Create_contiguous, ", count: int", (count: Count), {} MPI_Type_contiguous_c(count;),
    "Make a datatype of elements one after the other.";

    Create_vector, ", count: int, blocklength: int, stride: int",
    (count: Count, blocklength: Count, stride: Count),
    {} MPI_Type_vector_c(count, blocklength, stride;),
    "Make a datatype of equal blocks at equal distances.";

    Create_hvector, ", count: int, blocklength: int, stride: int",
    (count: Count, blocklength: Count, stride: Count),
    {} MPI_Type_create_hvector_c(count, blocklength, stride;),
    "Make a datatype of equal blocks at equal distances in bytes.";

    Create_indexed, ", blocklengths: Sequence[int], displacements: Sequence[int]",
    (blocklengths: Counts, displacements: Counts),
    { let (count, lengths) = lengths(&blocklengths.0, displacements.0.len())?; }
    MPI_Type_indexed_c(count, lengths.as_ptr(), displacements.0.as_ptr();),
    "Make a datatype of blocks at given places.";

    Create_hindexed, ", blocklengths: Sequence[int], displacements: Sequence[int]",
    (blocklengths: Counts, displacements: Counts),
    { let (count, lengths) = lengths(&blocklengths.0, displacements.0.len())?; }
    MPI_Type_create_hindexed_c(count, lengths.as_ptr(), displacements.0.as_ptr();),
    "Make a datatype of blocks at given places in bytes.";

    Create_indexed_block, ", blocklength: int, displacements: Sequence[int]",
    (blocklength: Count, displacements: Counts),
    {} MPI_Type_create_indexed_block_c(displacements.0.len() as Count, blocklength, displacements.0.as_ptr();),
    "Make a datatype of equal blocks at given places.";

    Create_hindexed_block, ", blocklength: int, displacements: Sequence[int]",
    (blocklength: Count, displacements: Counts),
    {} MPI_Type_create_hindexed_block_c(displacements.0.len() as Count, blocklength, displacements.0.as_ptr();),
    "Make a datatype of equal blocks at given places in bytes.";

    Create_subarray, ", sizes: Sequence[int], subsizes: Sequence[int], starts: Sequence[int], order: int = ORDER_C",
    (sizes: Counts, subsizes: Counts, starts: Counts, order: c_int = MPI_ORDER_C),
    { let ndims = dims(&[sizes.0.len(), subsizes.0.len(), starts.0.len()])?; }
    MPI_Type_create_subarray_c(ndims, sizes.0.as_ptr(), subsizes.0.as_ptr(), starts.0.as_ptr(), order;),
    "Make a datatype for a part of an array of several dimensions.";

    Create_darray, ", size: int, rank: int, gsizes: Sequence[int], distribs: Sequence[int], dargs: Sequence[int], psizes: Sequence[int], order: int = ORDER_C",
    (size: c_int, rank: c_int, gsizes: Counts, distribs: Ints, dargs: Ints, psizes: Ints, order: c_int = MPI_ORDER_C),
    { let ndims = dims(&[gsizes.0.len(), distribs.0.len(), dargs.0.len(), psizes.0.len()])?; }
    MPI_Type_create_darray_c(
        size, rank, ndims, gsizes.0.as_ptr(), distribs.0.as_ptr(), dargs.0.as_ptr(), psizes.0.as_ptr(), order;
    ),
    "Make a datatype for one process's part of a distributed array.";

    Create_resized, ", lb: int, extent: int", (lb: Count, extent: Count),
    {} MPI_Type_create_resized_c(; lb, extent),
    "Make a datatype with another lower bound and extent.";

    Resized, ", lb: int, extent: int", (lb: Count, extent: Count),
    {} MPI_Type_create_resized_c(; lb, extent),
    "Make a datatype with another lower bound and extent.";
}

/// Block lengths, as many as displacements.
fn lengths(blocklengths: &[Count], displacements: usize) -> PyResult<(Count, &[Count])> {
    same("displacements", blocklengths.len(), displacements)?;
    Ok((displacements as Count, blocklengths))
}

fn same(what: &str, expected: usize, got: usize) -> PyResult<()> {
    if got == expected { Ok(()) } else { Err(PyValueError::new_err(format!("expecting {expected} {what}, got {got}"))) }
}

/// The number of dimensions that all lists have.
fn dims(lengths: &[usize]) -> PyResult<c_int> {
    for &other in &lengths[1..] {
        same("items, one for each dimension", lengths[0], other)?;
    }
    length(lengths[0])
}

/// Constructors that take no datatype: class methods.
macro_rules! factories {
    ($($name:ident, $text:literal, ($($arg:ident: $type:ty),*), $function:ident($($c:expr),*), $doc:literal;)*) => {
        #[pymethods]
        impl Datatype {$(
            #[doc = concat!(stringify!($name), "(cls, ", $text, ") -> Self\n\n", $doc)]
            #[classmethod]
            fn $name<'py>(cls: &Bound<'py, PyType>, $($arg: $type),*) -> PyResult<Bound<'py, Self>> {
                let mut new = MPI_DATATYPE_NULL;
                mpi!(cls.py(), $function($($c,)* &raw mut new))?;
                new_like(cls, new)
            }
        )*}
    };
}

factories! {
    Get_value_index, "value: Datatype, index: Datatype", (value: H<Datatype>, index: H<Datatype>),
    MPI_Type_get_value_index(value.0, index.0), "The pair type of a value and an index, for MINLOC and MAXLOC.";
    Create_f90_integer, "r: int", (r: c_int), MPI_Type_create_f90_integer(r),
    "The integer type with a decimal range.";
    Create_f90_real, "p: int, r: int", (p: c_int, r: c_int), MPI_Type_create_f90_real(p, r),
    "The real type with a decimal precision and range.";
    Create_f90_complex, "p: int, r: int", (p: c_int, r: c_int), MPI_Type_create_f90_complex(p, r),
    "The complex type with a decimal precision and range.";
}

/// The logical type of so many bytes, if the library has it.
fn logical(py: Python<'_>, bytes: c_int) -> Option<abi::Datatype> {
    let sized = match bytes {
        1 => MPI_LOGICAL1,
        2 => MPI_LOGICAL2,
        4 => MPI_LOGICAL4,
        8 => MPI_LOGICAL8,
        16 => MPI_LOGICAL16,
        _ => return None,
    };
    // A type that the library lacks has another size or is an error.
    [sized, MPI_LOGICAL].into_iter().find(|&datatype| {
        let mut size: Count = 0;
        mpi!(py, MPI_Type_size_c(datatype, &raw mut size)).is_ok() && size == Count::from(bytes)
    })
}

#[pymethods]
impl Datatype {
    /// Match_size(cls, typeclass: int, size: int) -> Self
    ///
    /// The type of a class that has this size.
    #[classmethod]
    fn Match_size<'py>(cls: &Bound<'py, PyType>, typeclass: c_int, size: c_int) -> PyResult<Bound<'py, Self>> {
        let py = cls.py();
        if typeclass == TYPECLASS_LOGICAL
            && let Some(found) = logical(py, size)
        {
            return new_like(cls, found);
        }
        let mut found = MPI_DATATYPE_NULL;
        mpi!(py, MPI_Type_match_size(typeclass, size, &raw mut found))?;
        new_like(cls, found)
    }

    /// Create_struct(cls, blocklengths: Sequence[int], displacements: Sequence[int], datatypes: Sequence[Datatype]) -> Self
    ///
    /// Make a datatype of blocks of different datatypes at given places in bytes.
    #[classmethod]
    fn Create_struct<'py>(
        cls: &Bound<'py, PyType>,
        blocklengths: Counts,
        displacements: Counts,
        datatypes: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, Self>> {
        let types = crate::args::sequence(datatypes, |item| Ok(item.extract::<H<Datatype>>()?.0))?;
        same("displacements", blocklengths.0.len(), displacements.0.len())?;
        same("datatypes", blocklengths.0.len(), types.len())?;
        let (mut new, count): (abi::Datatype, _) = (MPI_DATATYPE_NULL, types.len() as Count);
        let (lengths, places) = (blocklengths.0.as_ptr(), displacements.0.as_ptr());
        mpi!(cls.py(), MPI_Type_create_struct_c(count, lengths, places, types.as_ptr(), &raw mut new))?;
        new_like(cls, new)
    }
}
