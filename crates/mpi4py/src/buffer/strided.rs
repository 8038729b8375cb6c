//! Views of any strides as messages: the class `MPI.strided`, and `mpi4py.rc.strided = True`, with
//! which all arrays that are not in C order are taken so.
//!
//! A message is the view's elements in C order, so it matches that of a contiguous array of the same
//! shape. Memory is described to MPI by a datatype (loops of `hvector`s, see `layout`), nothing is
//! copied here. Counts and displacements count elements, as with contiguous arrays.

use super::acquire::{Access, Element, Kind, Memory};
use super::layout::{Layout, Piece};
use super::made::{Made, Typed, find_or};
use super::packed::Plain;
use super::{Keep, Msg, MsgV, View, cai, device, dlpack, extent, numpy, view};
use crate::args::expected;
use crate::call::mpi;
use crate::special;
use mpi_abi::consts::MPI_DATATYPE_NULL;
use mpi_abi::{Aint, Count, Datatype};
use pyo3::exceptions::{PyBufferError, PyValueError};
use pyo3::prelude::*;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};

/// Array of any strides where a buffer is expected.
///
/// The message is its elements in C order, wherever they lie; receiving writes these elements and nothing else.
///
/// MPI.strided(obj): `obj` is an array, or any object with the buffer protocol, DLPack or the CUDA array interface.
/// It can stand alone or in a list with counts, displacements (in elements) and a datatype, in all calls that take a
/// message. Not for receiving into elements that share memory (ValueError), nor where memory in one piece is needed
/// (windows, Pack) or a datatype for each rank (Alltoallw), nor for reductions that go on after the call (TypeError).
#[pyclass(module = "mpi4py.MPI", name = "strided", frozen, weakref)]
pub(crate) struct Strided {
    array: Py<PyAny>,
}

#[pymethods]
impl Strided {
    #[new]
    #[pyo3(signature = (obj, /))]
    fn new(obj: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(strided) = obj.cast_exact::<Self>() {
            return Ok(Self { array: strided.get().array.clone_ref(obj.py()) });
        }
        Spread::of(obj, Access::Read)?;
        Ok(Self { array: obj.clone().unbind() })
    }

    /// obj: Buffer
    ///
    /// The array.
    #[getter]
    fn obj(&self, py: Python<'_>) -> Py<PyAny> {
        self.array.clone_ref(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let spread = Spread::of(self.array.bind(py), Access::Read)?;
        let kind = self.array.bind(py).get_type().name()?;
        let (shape, strides) = (tuple(&spread.shape), tuple(&spread.strides));
        Ok(format!("<mpi4py.MPI.strided of {kind}, shape {shape}, strides {strides}>"))
    }
}

/// As Python writes it.
fn tuple(numbers: &[Count]) -> String {
    match numbers {
        [only] => format!("({only},)"),
        _ => format!("({})", numbers.iter().map(Count::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// `mpi4py.rc.strided`.
static ALWAYS: AtomicBool = AtomicBool::new(false);

/// Sets `mpi4py.rc.strided`.
pub(crate) fn set_always(always: bool) {
    ALWAYS.store(always, Ordering::Relaxed);
    numpy::only_c_order(always);
}

/// Memory of an object, with its strides in bytes.
pub(super) struct Spread {
    pub(super) addr: *mut c_void,
    pub(super) shape: Vec<Count>,
    pub(super) strides: Vec<Count>,
    pub(super) itemsize: isize,
    pub(super) readonly: bool,
    pub(super) element: Element,
    /// Not the processor's memory, but that of a device: its kind and number in DLPack's count.
    pub(super) device: Option<(i32, i32)>,
    pub(super) keep: Keep,
}

impl Spread {
    /// The memory of any object that has some. The ways are those of `acquire`.
    fn of(object: &Bound<'_, PyAny>, access: Access) -> PyResult<Self> {
        let plain = numpy::base_view(object);
        let object = plain.as_ref().unwrap_or(object);
        if let Some(spread) = numpy::spread(object, access) {
            return spread;
        }
        if view::speaks(object) && special::address(object).is_none() {
            let view = View::with_strides(object, access)?;
            return Ok(Self {
                addr: view.addr(),
                shape: view.shape(),
                strides: view.strides(),
                itemsize: view.itemsize(),
                readonly: view.readonly(),
                element: Element::of_view(object, &view),
                device: None,
                keep: Keep::View(view),
            });
        }
        if let Some(spread) = Self::by_protocol(object, access)? {
            return spread.reachable();
        }
        Err(expected("an array or another buffer", object))
    }

    /// By one of the protocols between packages for arrays; the memory may be a device's.
    pub(super) fn by_protocol(object: &Bound<'_, PyAny>, access: Access) -> PyResult<Option<Self>> {
        match dlpack::spread(object, access)? {
            Some(spread) => Ok(Some(spread)),
            None => cai::spread(object, access),
        }
    }

    /// Strides of an array of this shape in C order.
    pub(super) fn c_order(shape: &[Count], itemsize: isize) -> Vec<Count> {
        let mut strides = vec![0; shape.len()];
        let mut step = itemsize as Count;
        for (stride, size) in strides.iter_mut().zip(shape).rev() {
            *stride = step;
            step = step.saturating_mul((*size).max(1));
        }
        strides
    }

    /// Whether elements lie side by side, in C order, or the other way round.
    pub(super) fn is_contiguous(&self) -> bool {
        fn dense<'a>(dims: impl Iterator<Item = (&'a Count, &'a Count)>, itemsize: isize) -> bool {
            let mut expected = itemsize as Count;
            for (&size, &stride) in dims {
                if size > 1 && stride != expected {
                    return false;
                }
                expected = expected.saturating_mul(size);
            }
            true
        }
        let dims = self.shape.iter().zip(&self.strides);
        self.shape.contains(&0) || dense(dims.clone().rev(), self.itemsize) || dense(dims, self.itemsize)
    }

    /// First byte and number of bytes that the elements reach over.
    fn reach(&self) -> (*const c_void, isize) {
        let (mut first, mut last) = (0_isize, self.itemsize);
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            let steps = isize::try_from(size.saturating_sub(1).saturating_mul(stride)).unwrap_or(0);
            first = first.saturating_add(steps.min(0));
            last = last.saturating_add(steps.max(0));
        }
        let bytes = if self.shape.contains(&0) { 0 } else { last.saturating_sub(first) };
        (self.addr.wrapping_byte_offset(first).cast_const(), bytes)
    }

    /// Refuses memory of a device that the library cannot reach.
    pub(super) fn reachable(self) -> PyResult<Self> {
        if let Some(device) = self.device {
            let (first, bytes) = self.reach();
            device::check(first, bytes, device)?;
        }
        Ok(self)
    }

    fn is_c_order(&self) -> bool {
        self.layout().is_ok_and(|layout| layout.is_dense(self.itemsize as Count))
    }

    /// The memory, which must be in one piece.
    pub(super) fn contiguous(self) -> PyResult<Memory> {
        if !self.is_contiguous() {
            return Err(PyBufferError::new_err(numpy::NOT_CONTIGUOUS));
        }
        let elements = self.shape.iter().fold(1, |product: Count, &size| product.saturating_mul(size));
        Ok(Memory {
            addr: self.addr,
            nbytes: isize::try_from(elements)?.saturating_mul(self.itemsize),
            readonly: self.readonly,
            element: self.element,
            kind: Kind::Part,
            keep: self.keep,
        })
    }

    fn layout(&self) -> PyResult<Layout> {
        Layout::new(self.shape.iter().copied().zip(self.strides.iter().copied())).ok_or_else(|| {
            PyValueError::new_err(format!("an array of shape {} has too many elements", tuple(&self.shape)))
        })
    }
}

/// The memory of an object that is to be taken with its strides; `None`: of all others. `given` is the datatype
/// that the message names: one made by the program describes the memory of a contiguous array itself.
pub(super) fn take(object: &Bound<'_, PyAny>, access: Access, given: Option<Datatype>) -> PyResult<Option<Spread>> {
    if let Ok(strided) = object.cast_exact::<Strided>() {
        return Spread::of(strided.get().array.bind(object.py()), access).map(Some);
    }
    if !ALWAYS.load(Ordering::Relaxed) || object.is_none() || view::is_bytes(object) {
        return Ok(None);
    }
    // What has no memory, or does not give it, gets its error on the ordinary way.
    let Ok(spread) = Spread::of(object, access) else { return Ok(None) };
    let described = given.is_some_and(|datatype| !datatype.is_predefined()) && spread.is_contiguous();
    Ok((!described && !spread.is_c_order()).then_some(spread))
}

/// Whether the object is one of those that [`take`] takes with any datatype.
pub(super) fn is_strided(object: &Bound<'_, PyAny>) -> bool {
    object.is_exact_instance_of::<Strided>()
}

/// A view, ready to be described: its elements are of `typed` now, which may be parts of what they were.
struct Elements {
    addr: *mut c_void,
    layout: Layout,
    size: Count,
    typed: Typed,
    shape: Vec<Count>,
    keep: Keep,
}

impl Elements {
    fn new(py: Python<'_>, spread: Spread, access: Access, given: Option<Datatype>) -> PyResult<Self> {
        let itemsize = spread.itemsize as Count;
        let mut layout = spread.layout()?;
        if access == Access::Write && layout.may_overlap(itemsize) {
            return Err(PyValueError::new_err(format!(
                "elements of the array share memory (shape {}, strides {}): it can be sent, but MPI cannot receive \
                 into it; receive into an array of its own (numpy.empty)",
                tuple(&spread.shape),
                tuple(&spread.strides)
            )));
        }
        let typed = match given {
            None => spread.element.typed(py)?,
            Some(datatype) => datatype.into(),
        };
        let mut size = itemsize;
        if given.is_some() {
            size = extent::positive(py, typed.raw, "describe a strided array")?;
            if itemsize % size != 0 {
                return Err(PyValueError::new_err(format!(
                    "message: the datatype's extent is {size} bytes, elements of the strided array have {itemsize}: a \
                     datatype for it describes one element, or a part that fits into it several times"
                )));
            }
            layout = layout.split(itemsize / size, size).ok_or_else(|| {
                PyValueError::new_err(format!("an array of shape {} has too many elements", tuple(&spread.shape)))
            })?;
        }
        Ok(Self { addr: spread.addr, layout, size, typed, shape: spread.shape, keep: spread.keep })
    }

    /// One message of these pieces. Repeated, it would go on `step` bytes further.
    fn message(self, py: Python<'_>, pieces: &[Piece], step: Option<Count>) -> PyResult<Msg> {
        if let ([only], None) = (pieces, step)
            && only.layout.is_dense(self.size)
        {
            return self.dense(only.at, only.layout.total);
        }
        let (at, described) = self.described(py, pieces, step)?;
        let datatype = described.raw;
        let addr = self.addr.wrapping_byte_offset(isize::try_from(at)?);
        Ok(Msg { addr, count: 1, datatype, keep: described.keep(self.keep) })
    }

    /// Elements side by side, from byte `at` on.
    fn dense(self, at: Count, count: Count) -> PyResult<Msg> {
        let addr = self.addr.wrapping_byte_offset(isize::try_from(at)?);
        Ok(Msg { addr, count, datatype: self.typed.raw, keep: self.typed.keep(self.keep) })
    }

    /// Where the first piece is, and the datatype of all of them from there.
    fn described(&self, py: Python<'_>, pieces: &[Piece], step: Option<Count>) -> PyResult<(Count, Typed)> {
        let at = pieces.first().map_or(0, |piece| piece.at);
        let mut key: Vec<i64> = Vec::with_capacity(16);
        key.extend([KEY, self.typed.raw.raw() as i64, step.unwrap_or(i64::MIN)]);
        let mut elements = 0;
        for piece in pieces {
            elements += piece.layout.total;
            key.extend([piece.at - at, piece.layout.loops.len() as i64]);
            key.extend(piece.layout.loops.iter().flat_map(|each| [each.count, each.step]));
        }
        let make = || -> PyResult<Made> {
            let mut made = Made::new(py, describe(py, self.typed.raw, at, pieces, step)?)?;
            made.of.clone_from(&self.typed.made);
            let pieces = pieces.iter().map(|piece| Piece { at: piece.at - at, layout: piece.layout.clone() }).collect();
            let (datatype, size, step) = (self.typed.raw, self.size, step.unwrap_or(0));
            made.plain = Some(Plain { elements, datatype, size, pieces, step });
            Ok(made)
        };
        // A handle of the program's may be freed and come back as another datatype: not to be kept.
        if self.typed.made.is_some() || self.typed.raw.is_predefined() {
            Ok((at, find_or(&key, make)?.into()))
        } else {
            Ok((at, std::sync::Arc::new(make()?).into()))
        }
    }

    /// Refuses numbers of elements that are not there.
    fn check(&self, displ: Count, count: Count) -> PyResult<()> {
        let total = self.layout.total;
        if displ < 0 || displ > total {
            return Err(PyValueError::new_err(format!(
                "message: displacement {displ} is out of bounds, the buffer has {total} elements"
            )));
        }
        if displ.checked_add(count).is_none_or(|last| last > total) {
            let place = if displ == 0 {
                String::new()
            } else {
                format!(" from element {displ} on, {} in all,", displ.saturating_add(count))
            };
            return Err(PyValueError::new_err(format!(
                "message: {count} elements{place} do not fit, the buffer has {total} elements of {} bytes",
                self.size
            )));
        }
        Ok(())
    }
}

/// First number of the keys of this file's datatypes.
const KEY: i64 = 2;

/// Makes the datatype of pieces, which begin at `at`.
fn describe(py: Python<'_>, of: Datatype, at: Count, pieces: &[Piece], step: Option<Count>) -> PyResult<Datatype> {
    let mut parts = Unfinished(Vec::new());
    let mut types = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let mut whole = of;
        for each in piece.layout.loops.iter().rev() {
            let mut next = MPI_DATATYPE_NULL;
            mpi!(py, MPI_Type_create_hvector_c(each.count, 1, each.step, whole, &raw mut next))?;
            parts.0.push(next);
            whole = next;
        }
        types.push(whole);
    }
    let mut raw = match types[..] {
        [only] => only,
        _ => {
            let ones = vec![1 as Count; types.len()];
            let places: Vec<Count> = pieces.iter().map(|piece| piece.at - at).collect();
            let (n, mut raw) = (types.len() as Count, MPI_DATATYPE_NULL);
            mpi!(py, MPI_Type_create_struct_c(n, ones.as_ptr(), places.as_ptr(), types.as_ptr(), &raw mut raw))?;
            parts.0.push(raw);
            raw
        }
    };
    let whole = raw;
    match step {
        Some(step) => mpi!(py, MPI_Type_create_resized_c(whole, 0, step, &raw mut raw))?,
        // The last one that was made is what is wanted: a piece without loops has a step.
        None => drop(parts.0.pop()),
    }
    Ok(raw)
}

/// Datatypes on the way to another one.
struct Unfinished(Vec<Datatype>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        for datatype in &mut self.0 {
            // SAFETY: our own datatype; what was made of it stays.
            unsafe { mpi_abi::ffi::MPI_Type_free(&raw mut *datatype) };
        }
    }
}

/// What a message says besides its buffer.
#[derive(Clone, Copy, Default)]
pub(super) struct Given {
    pub(super) count: Option<Count>,
    pub(super) displ: Count,
    pub(super) datatype: Option<Datatype>,
}

/// A message of `blocks` blocks of equal size.
pub(super) fn simple(py: Python<'_>, spread: Spread, access: Access, blocks: c_int, given: Given) -> PyResult<Msg> {
    let all = Elements::new(py, spread, access, given.datatype)?;
    let blocks = Count::from(blocks.max(1));
    all.check(given.displ, 0)?;
    let each = match given.count {
        Some(count) if count < 0 => return Err(PyValueError::new_err(format!("message: negative count {count}"))),
        Some(count) => count,
        None => {
            let rest = all.layout.total - given.displ;
            if rest % blocks != 0 {
                return Err(PyValueError::new_err(format!(
                    "message: cannot infer the count, {rest} elements are not a multiple of {blocks} blocks"
                )));
            }
            rest / blocks
        }
    };
    all.check(given.displ, each.saturating_mul(blocks))?;
    if each == 0 || all.layout.is_dense(all.size) {
        let at = given.displ * all.size;
        return all.dense(if each == 0 { 0 } else { at }, each);
    }
    if blocks == 1 {
        let pieces = all.layout.range(given.displ, each);
        return all.message(py, &pieces, None);
    }
    let unit = all.layout.unit();
    if each % unit != 0 || given.displ % unit != 0 {
        return Err(PyValueError::new_err(format!(
            "message: an array of shape {} with these strides cannot be cut into {blocks} blocks of {each} elements \
             at equal distances: a block must be a multiple of {unit} elements",
            tuple(&all.shape)
        )));
    }
    let pieces = all.layout.range(given.displ, each);
    let distance = all.layout.step(all.size).1.saturating_mul(each / unit);
    all.message(py, &pieces, Some(distance))
}

/// A message in blocks of which each has a count and a displacement.
pub(super) fn vector(
    py: Python<'_>,
    spread: Spread,
    access: Access,
    given: Option<Datatype>,
    counts: impl FnOnce(Count) -> PyResult<Vec<Count>>,
    displs: impl FnOnce(&[Count]) -> PyResult<Vec<Aint>>,
) -> PyResult<MsgV> {
    let all = Elements::new(py, spread, access, given)?;
    let mut counts = counts(all.layout.total)?;
    let mut displs = displs(&counts)?;
    for (rank, (&count, &displ)) in counts.iter().zip(&displs).enumerate() {
        if count < 0 {
            return Err(PyValueError::new_err(format!("message: negative count {count} for rank {rank}")));
        }
        if count > 0 {
            let error = |error: PyErr| PyValueError::new_err(format!("{} (block of rank {rank})", error.value(py)));
            all.check(displ as Count, count).map_err(error)?;
        }
    }
    if all.layout.total == 0 || all.layout.is_dense(all.size) {
        let (addr, datatype) = (all.addr, all.typed.raw);
        return Ok(MsgV { addr, counts, displs, datatype, keep: all.typed.keep(all.keep) });
    }
    // MPI takes one datatype for all blocks: a step of the outermost loop.
    let unit = all.layout.unit();
    for (rank, (count, displ)) in counts.iter_mut().zip(&mut displs).enumerate() {
        if *count == 0 {
            *displ = 0;
        } else if *count % unit != 0 || *displ as Count % unit != 0 {
            return Err(PyValueError::new_err(format!(
                "message: {count} elements from element {displ} on (block of rank {rank}): in an array of shape {} \
                 with these strides, counts and displacements must be multiples of {unit} elements",
                tuple(&all.shape)
            )));
        }
        *count /= unit;
        *displ /= Aint::try_from(unit)?;
    }
    let (layout, step) = all.layout.step(all.size);
    let piece = [Piece { at: 0, layout }];
    let message = all.message(py, &piece, Some(step))?;
    Ok(MsgV { addr: message.addr, counts, displs, datatype: message.datatype, keep: message.keep })
}
