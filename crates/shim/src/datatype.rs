//! Datatypes (MPI-5.0 chapter 5): making them, asking about them, freeing them. The engine's part
//! is `engine::datatype`; names and attributes are in `naming` and `attr`.

use crate::args::{self, Out, null};
use crate::attr::{self, Object};
use crate::counts::{CountOut, Counts, Displs, Form};
use engine::datatype::{Envelope, Type};
use engine::{Error, Result, with};
use mpi_abi::consts::{
    MPI_COMBINER_F90_COMPLEX, MPI_COMBINER_F90_INTEGER, MPI_COMBINER_F90_REAL, MPI_DATATYPE_NULL, MPI_ERR_ARG,
    MPI_ERR_COUNT, MPI_ERR_DIMS, MPI_ERR_TYPE, MPI_UNDEFINED,
};
use mpi_abi::{Aint, Count, Datatype};
use std::ffi::c_int;
use std::sync::Arc;

/// Gives the C caller the type that `make` makes of `oldtype`, which remembers the form of the call.
///
/// # Safety
/// `newtype` is null or valid for a write.
unsafe fn derive(
    oldtype: Datatype,
    newtype: *mut Datatype,
    form: Form,
    make: impl FnOnce(&Arc<Type>) -> Result<Type>,
) -> Result<()> {
    // SAFETY: the caller's promise.
    let newtype = unsafe { Out::new(newtype, "newtype") }?;
    // Made outside the lock: lists of blocks can be long.
    let of = with(|e| e.types.get(oldtype).cloned())?;
    let made = make(&of)?;
    newtype.set(with(|e| e.types.insert(by_form(made, form))));
    Ok(())
}

/// A type that remembers the form of the call that made it: what its envelope counts follows from it.
fn by_form(made: Type, form: Form) -> Type {
    if form == Form::Large { made.with_large_arguments() } else { made }
}

fn number(count: Count, what: &str) -> Result<usize> {
    usize::try_from(count)
        .map_err(|_| Error::new(MPI_ERR_COUNT, format!("the number of {what} is {count}, and must not be negative")))
}

/// The first `len` elements of an array of counts.
///
/// # Safety
/// The array is null or has `len` elements.
unsafe fn counts(array: Counts, len: usize, name: &str) -> Result<Vec<i64>> {
    if array.is_null() && len > 0 {
        return Err(null(name));
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { array.to_vec(len) })
}

/// The first `len` elements of an array of displacements.
///
/// # Safety
/// The array is null or has `len` elements.
unsafe fn displacements(array: Displs, len: usize) -> Result<Vec<i64>> {
    if array.is_null() && len > 0 {
        return Err(null("array_of_displacements"));
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { array.to_vec(len) }.into_iter().map(|at| at as i64).collect())
}

pub(crate) unsafe fn MPI_Type_contiguous(
    count: Count,
    oldtype: Datatype,
    newtype: *mut Datatype,
    form: Form,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    unsafe { derive(oldtype, newtype, form, |of| Type::contiguous(count, of)) }
}

pub(crate) unsafe fn MPI_Type_vector(
    count: Count,
    blocklength: Count,
    stride: Count,
    oldtype: Datatype,
    newtype: *mut Datatype,
    form: Form,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    unsafe { derive(oldtype, newtype, form, |of| Type::vector(count, blocklength, stride, of)) }
}

pub(crate) unsafe fn MPI_Type_create_hvector(
    count: Count,
    blocklength: Count,
    stride: Count,
    oldtype: Datatype,
    newtype: *mut Datatype,
    form: Form,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    unsafe { derive(oldtype, newtype, form, |of| Type::hvector(count, blocklength, stride, of)) }
}

pub(crate) unsafe fn MPI_Type_indexed(
    count: Count,
    array_of_blocklengths: Counts,
    array_of_displacements: Counts,
    oldtype: Datatype,
    newtype: *mut Datatype,
    form: Form,
) -> Result<()> {
    let n = number(count, "blocks")?;
    // SAFETY: the C caller's word for the arrays and the address.
    unsafe {
        let lens = counts(array_of_blocklengths, n, "array_of_blocklengths")?;
        let at = counts(array_of_displacements, n, "array_of_displacements")?;
        derive(oldtype, newtype, form, |of| Type::indexed(lens, at, of))
    }
}

pub(crate) unsafe fn MPI_Type_create_hindexed(
    count: Count,
    array_of_blocklengths: Counts,
    array_of_displacements: Displs,
    oldtype: Datatype,
    newtype: *mut Datatype,
    form: Form,
) -> Result<()> {
    let n = number(count, "blocks")?;
    // SAFETY: the C caller's word for the arrays and the address.
    unsafe {
        let lens = counts(array_of_blocklengths, n, "array_of_blocklengths")?;
        let at = displacements(array_of_displacements, n)?;
        derive(oldtype, newtype, form, |of| Type::hindexed(lens, at, of))
    }
}

pub(crate) unsafe fn MPI_Type_create_indexed_block(
    count: Count,
    blocklength: Count,
    array_of_displacements: Counts,
    oldtype: Datatype,
    newtype: *mut Datatype,
    form: Form,
) -> Result<()> {
    let n = number(count, "blocks")?;
    // SAFETY: the C caller's word for the array and the address.
    unsafe {
        let at = counts(array_of_displacements, n, "array_of_displacements")?;
        derive(oldtype, newtype, form, |of| Type::indexed_block(blocklength, at, of))
    }
}

pub(crate) unsafe fn MPI_Type_create_hindexed_block(
    count: Count,
    blocklength: Count,
    array_of_displacements: Displs,
    oldtype: Datatype,
    newtype: *mut Datatype,
    form: Form,
) -> Result<()> {
    let n = number(count, "blocks")?;
    // SAFETY: the C caller's word for the array and the address.
    unsafe {
        let at = displacements(array_of_displacements, n)?;
        derive(oldtype, newtype, form, |of| Type::hindexed_block(blocklength, at, of))
    }
}

pub(crate) unsafe fn MPI_Type_create_struct(
    count: Count,
    array_of_blocklengths: Counts,
    array_of_displacements: Displs,
    array_of_types: *const Datatype,
    newtype: *mut Datatype,
    form: Form,
) -> Result<()> {
    let n = number(count, "blocks")?;
    if array_of_types.is_null() && n > 0 {
        return Err(null("array_of_types"));
    }
    // SAFETY: the C caller's word for the arrays and the address.
    let (lens, at, handles, newtype) = unsafe {
        (
            counts(array_of_blocklengths, n, "array_of_blocklengths")?,
            displacements(array_of_displacements, n)?,
            (0..n).map(|i| array_of_types.add(i).read()).collect::<Vec<_>>(),
            Out::new(newtype, "newtype")?,
        )
    };
    let of = with(|e| handles.iter().map(|h| e.types.get(*h).cloned()).collect::<Result<Vec<_>>>())?;
    let made = Type::structure(lens, at, of)?;
    newtype.set(with(|e| e.types.insert(by_form(made, form))));
    Ok(())
}

fn dimensions(ndims: c_int) -> Result<usize> {
    usize::try_from(ndims)
        .map_err(|_| Error::new(MPI_ERR_DIMS, format!("the number of dimensions is {ndims}, and must not be negative")))
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
pub(crate) unsafe fn MPI_Type_create_subarray(
    ndims: c_int,
    array_of_sizes: Counts,
    array_of_subsizes: Counts,
    array_of_starts: Counts,
    order: c_int,
    oldtype: Datatype,
    newtype: *mut Datatype,
    form: Form,
) -> Result<()> {
    let n = dimensions(ndims)?;
    // SAFETY: the C caller's word for the arrays and the address.
    unsafe {
        let sizes = counts(array_of_sizes, n, "array_of_sizes")?;
        let subsizes = counts(array_of_subsizes, n, "array_of_subsizes")?;
        let starts = counts(array_of_starts, n, "array_of_starts")?;
        derive(oldtype, newtype, form, |of| Type::subarray(sizes, subsizes, starts, order, of))
    }
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
pub(crate) unsafe fn MPI_Type_create_darray(
    size: c_int,
    rank: c_int,
    ndims: c_int,
    array_of_gsizes: Counts,
    array_of_distribs: *const c_int,
    array_of_dargs: *const c_int,
    array_of_psizes: *const c_int,
    order: c_int,
    oldtype: Datatype,
    newtype: *mut Datatype,
    form: Form,
) -> Result<()> {
    let n = dimensions(ndims)?;
    // SAFETY: the C caller's word for the arrays and the address.
    unsafe {
        let gsizes = counts(array_of_gsizes, n, "array_of_gsizes")?;
        let distribs = args::array(array_of_distribs, ndims, "array_of_distribs")?;
        let dargs = args::array(array_of_dargs, ndims, "array_of_dargs")?;
        let psizes = args::array(array_of_psizes, ndims, "array_of_psizes")?;
        let dims = (0..n).map(|i| [distribs[i], dargs[i], psizes[i]]).collect();
        derive(oldtype, newtype, form, |of| Type::darray((size, rank), gsizes, dims, order, of))
    }
}

pub(crate) unsafe fn MPI_Type_create_resized(
    oldtype: Datatype,
    lb: Count,
    extent: Count,
    newtype: *mut Datatype,
    form: Form,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    unsafe { derive(oldtype, newtype, form, |of| Type::resized(of, lb, extent)) }
}

pub(crate) unsafe fn MPI_Type_dup(oldtype: Datatype, newtype: *mut Datatype) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let newtype = unsafe { Out::new(newtype, "newtype") }?;
    let copy = with(|e| e.types.dup(oldtype))?;
    if let Err(error) = attr::copy_all(Object::Type(oldtype), Object::Type(copy)) {
        with(|e| e.types.free(copy).map(|_| ()))?;
        return Err(error);
    }
    newtype.set(copy);
    Ok(())
}

pub(crate) unsafe fn MPI_Type_commit(datatype: *mut Datatype) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let place = unsafe { Out::new(datatype, "datatype") }?;
    with(|e| e.types.commit(place.get()))
}

pub(crate) unsafe fn MPI_Type_free(datatype: *mut Datatype) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let place = unsafe { Out::new(datatype, "datatype") }?;
    let handle = place.get();
    with(|e| e.types.may_free(handle))?;
    attr::delete_all(Object::Type(handle))?;
    let last = with(|e| {
        e.objects.names.forget(handle.raw());
        e.types.free(handle)
    })?;
    // A type can be large and made of many others: its end needs no lock.
    drop(last);
    place.set(MPI_DATATYPE_NULL);
    Ok(())
}

/// A question to a type that has a number as its answer.
///
/// # Safety
/// `place` is null or valid for a write.
unsafe fn answer(datatype: Datatype, place: CountOut, name: &str, ask: impl FnOnce(&Type) -> i64) -> Result<()> {
    let value = with(|e| e.types.get(datatype).map(|kind| ask(kind)))?;
    if place.is_null() {
        return Err(null(name));
    }
    // SAFETY: not null; the caller's promise.
    unsafe { place.set(value) };
    Ok(())
}

pub(crate) unsafe fn MPI_Type_size(datatype: Datatype, size: CountOut) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    unsafe { answer(datatype, size, "size", |kind| kind.size() as i64) }
}

pub(crate) unsafe fn MPI_Type_size_x(datatype: Datatype, size: *mut Count) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    unsafe { MPI_Type_size(datatype, CountOut::from(size)) }
}

pub(crate) unsafe fn MPI_Type_get_extent(datatype: Datatype, lb: CountOut, extent: CountOut) -> Result<()> {
    // SAFETY: the C caller's word for the addresses.
    unsafe {
        answer(datatype, lb, "lb", Type::lb)?;
        answer(datatype, extent, "extent", |kind| kind.extent() as i64)
    }
}

pub(crate) unsafe fn MPI_Type_get_extent_x(datatype: Datatype, lb: *mut Count, extent: *mut Count) -> Result<()> {
    // SAFETY: the C caller's word for the addresses.
    unsafe { MPI_Type_get_extent(datatype, CountOut::from(lb), CountOut::from(extent)) }
}

pub(crate) unsafe fn MPI_Type_get_true_extent(
    datatype: Datatype,
    true_lb: CountOut,
    true_extent: CountOut,
) -> Result<()> {
    // SAFETY: the C caller's word for the addresses.
    unsafe {
        answer(datatype, true_lb, "true_lb", Type::true_lb)?;
        answer(datatype, true_extent, "true_extent", Type::true_extent)
    }
}

pub(crate) unsafe fn MPI_Type_get_true_extent_x(
    datatype: Datatype,
    true_lb: *mut Count,
    true_extent: *mut Count,
) -> Result<()> {
    // SAFETY: the C caller's word for the addresses.
    unsafe { MPI_Type_get_true_extent(datatype, CountOut::from(true_lb), CountOut::from(true_extent)) }
}

/// How a type was made, if the form of the asking function can say it: `plain` functions have no
/// place for large counts.
fn envelope(datatype: Datatype, form: Form) -> Result<Envelope> {
    let kind = with(|e| e.types.get(datatype).cloned())?;
    let envelope = kind.envelope()?;
    if form == Form::Plain && envelope.large_counts > 0 {
        let text = format!("{} was made with large counts: ask with the _c form of this function", kind.describe());
        return Err(Error::new(MPI_ERR_TYPE, text));
    }
    Ok(envelope)
}

pub(crate) unsafe fn MPI_Type_get_envelope(
    datatype: Datatype,
    num_integers: CountOut,
    num_addresses: CountOut,
    num_large_counts: CountOut,
    num_datatypes: CountOut,
    combiner: *mut c_int,
    form: Form,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let place = unsafe { Out::new(combiner, "combiner") }?;
    let found = envelope(datatype, form)?;
    let pairs = [
        (num_integers, found.integers),
        (num_addresses, found.addresses),
        (num_large_counts, found.large_counts),
        (num_datatypes, found.datatypes),
    ];
    for (out, n) in pairs {
        // SAFETY: null, or the C caller's word for the address.
        unsafe { out.set(n as Count) };
    }
    place.set(found.combiner);
    Ok(())
}

/// Copies `values` to an array of the C caller.
///
/// # Safety
/// `array` is null or has room for `room` elements.
unsafe fn put<T: Copy>(array: *mut T, room: Count, values: &[T], name: &str) -> Result<()> {
    if values.is_empty() {
        return Ok(());
    }
    if array.is_null() {
        return Err(null(name));
    }
    if usize::try_from(room).is_ok_and(|room| room >= values.len()) {
        // SAFETY: the caller's promise; our memory and the C caller's do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), array, values.len()) };
        return Ok(());
    }
    Err(Error::new(MPI_ERR_ARG, format!("{name} has room for {room} of {} elements", values.len())))
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
pub(crate) unsafe fn MPI_Type_get_contents(
    datatype: Datatype,
    max_integers: Count,
    max_addresses: Count,
    max_large_counts: Count,
    max_datatypes: Count,
    array_of_integers: *mut c_int,
    array_of_addresses: *mut Aint,
    array_of_large_counts: *mut Count,
    array_of_datatypes: *mut Datatype,
    form: Form,
) -> Result<()> {
    let need = envelope(datatype, form)?;
    // Asked before handles are made that nobody would free.
    if need.datatypes > 0 && (array_of_datatypes.is_null() || max_datatypes < need.datatypes as Count) {
        let text = format!("array_of_datatypes has room for {max_datatypes} of {} elements", need.datatypes);
        return Err(Error::new(MPI_ERR_ARG, text));
    }
    let contents = with(|e| e.types.get(datatype)?.contents())?;
    let addresses: Vec<Aint> = contents.addresses.iter().map(|a| *a as Aint).collect();
    // SAFETY: the C caller's word for the arrays.
    unsafe {
        put(array_of_integers, max_integers, &contents.integers, "array_of_integers")?;
        put(array_of_addresses, max_addresses, &addresses, "array_of_addresses")?;
        put(array_of_large_counts, max_large_counts, &contents.large_counts, "array_of_large_counts")?;
        let (_, handles) = with(|e| e.types.contents(datatype))?;
        put(array_of_datatypes, max_datatypes, &handles, "array_of_datatypes")
    }
}

/// Gives the C caller the Fortran type of kind (p, r).
///
/// # Safety
/// `newtype` is null or valid for a write.
unsafe fn f90(combiner: c_int, p: c_int, r: c_int, newtype: *mut Datatype) -> Result<()> {
    // SAFETY: the caller's promise.
    let newtype = unsafe { Out::new(newtype, "newtype") }?;
    newtype.set(with(|e| e.types.f90(combiner, p, r))?);
    Ok(())
}

pub(crate) unsafe fn MPI_Type_create_f90_real(p: c_int, r: c_int, newtype: *mut Datatype) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    unsafe { f90(MPI_COMBINER_F90_REAL, p, r, newtype) }
}

pub(crate) unsafe fn MPI_Type_create_f90_complex(p: c_int, r: c_int, newtype: *mut Datatype) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    unsafe { f90(MPI_COMBINER_F90_COMPLEX, p, r, newtype) }
}

pub(crate) unsafe fn MPI_Type_create_f90_integer(r: c_int, newtype: *mut Datatype) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    unsafe { f90(MPI_COMBINER_F90_INTEGER, MPI_UNDEFINED, r, newtype) }
}

pub(crate) unsafe fn MPI_Type_match_size(typeclass: c_int, size: c_int, datatype: *mut Datatype) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let place = unsafe { Out::new(datatype, "datatype") }?;
    place.set(with(|e| e.types.match_size(typeclass, size))?);
    Ok(())
}

pub(crate) unsafe fn MPI_Type_get_value_index(
    value_type: Datatype,
    index_type: Datatype,
    pair_type: *mut Datatype,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let place = unsafe { Out::new(pair_type, "pair_type") }?;
    place.set(with(|e| e.types.pair(value_type, index_type))?);
    Ok(())
}
