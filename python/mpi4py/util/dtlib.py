"""NumPy's dtypes as MPI's datatypes, and back.

A structure keeps the places of its fields and its size; names are lost on the way, since MPI has none: coming back, the
fields are `f0`, `f1` and so on. A datatype with gaps (a vector, blocks at places) becomes a structure of its blocks.

Without NumPy, `to_numpy_dtype` gives what `numpy.dtype` would take.
"""

from .. import MPI

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from numpy import dtype
    from numpy.typing import DTypeLike

try:
    from numpy import dtype as _np_dtype
except ImportError:
    _np_dtype = None  # type: ignore[assignment,misc]

# Value and index of the predefined pairs.
_PAIRS = (
    (MPI.SHORT_INT, MPI.SHORT, MPI.INT),
    (MPI.INT_INT, MPI.INT, MPI.INT),
    (MPI.LONG_INT, MPI.LONG, MPI.INT),
    (MPI.FLOAT_INT, MPI.FLOAT, MPI.INT),
    (MPI.DOUBLE_INT, MPI.DOUBLE, MPI.INT),
    (MPI.LONG_DOUBLE_INT, MPI.LONG_DOUBLE, MPI.INT),
)


# -- from NumPy -------------------------------------------------------------------------------------------------------


def from_numpy_dtype(dtype: "DTypeLike") -> MPI.Datatype:
    """Make an MPI datatype, committed, of a NumPy dtype; free it when it is not needed any more."""
    if _np_dtype is None:
        raise RuntimeError("from_numpy_dtype needs NumPy, which is not installed")
    return _of_dtype(_np_dtype(dtype)).Commit()


def _of_dtype(dtype: "dtype[Any]") -> MPI.Datatype:
    """A datatype that the caller has to free."""
    if dtype.hasobject:
        raise ValueError(f"{dtype!r} holds Python objects, which have no MPI datatype")
    if not dtype.isnative:
        raise ValueError(
            f"{dtype!r} has no MPI datatype: its byte order is not this machine's (dtype.newbyteorder('='))"
        )
    if dtype.fields is not None and dtype.names is not None:
        return _of_fields(dtype.itemsize, [dtype.fields[name][:2] for name in dtype.names])
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        element = _of_dtype(base)
        try:
            if len(shape) == 1:
                return element.Create_contiguous(shape[0])
            return element.Create_subarray(shape, shape, [0] * len(shape), MPI.ORDER_C)
        finally:
            element.Free()
    if dtype.kind in "SU":
        # A text of fixed length is so many characters.
        character, size = (MPI.CHAR, 1) if dtype.kind == "S" else (MPI.WCHAR, 4)
        count = dtype.itemsize // size
        return character.Dup() if count == 1 else character.Create_contiguous(count)
    if dtype.kind in "mM":
        return MPI.INT64_T.Dup()
    if dtype.kind not in "biufc":
        raise ValueError(f"{dtype!r} has no MPI datatype")
    return MPI.Datatype.fromcode(dtype.char).Dup()


def _of_fields(size: int, fields: "list[tuple[dtype[Any], int]]") -> MPI.Datatype:
    elements: list[MPI.Datatype] = []
    try:
        for dtype, _ in fields:
            elements.append(_of_dtype(dtype))
        record = MPI.Datatype.Create_struct([1] * len(fields), [at for _, at in fields], elements)
    finally:
        for element in elements:
            element.Free()
    if record.Get_extent() == (0, size):
        return record
    try:
        return record.Create_resized(0, size)
    finally:
        record.Free()


# -- to NumPy ---------------------------------------------------------------------------------------------------------


class _Element:
    """A dtype, or without NumPy what it would be made of; its size and alignment."""

    def __init__(self, result: "Any", size: int, align: int) -> None:
        self.result = result
        self.size = size
        self.align = align
        # Of a structure: the places of the fields.
        self.fields: list[tuple[int, _Element]] | None = None


def to_numpy_dtype(datatype: MPI.Datatype) -> "dtype[Any]":
    """Make a NumPy dtype of an MPI datatype."""
    if datatype == MPI.DATATYPE_NULL:
        raise ValueError("the datatype is null")
    found: dtype[Any] = _element(datatype).result
    return found


def _element(datatype: MPI.Datatype) -> _Element:
    base, combiner, arguments = datatype.decode()
    # What `decode` gives and is not predefined is the caller's.
    made = [] if combiner == "NAMED" else [base, *arguments.get("datatypes", ())]
    try:
        return _decoded(datatype, base, combiner, arguments)
    finally:
        for one in made:
            one.free()


def _decoded(datatype: MPI.Datatype, base: MPI.Datatype, combiner: str, a: "dict[str, Any]") -> _Element:
    if combiner in ("NAMED", "F90_INTEGER", "F90_REAL", "F90_COMPLEX"):
        return _basic(datatype)
    if combiner == "VALUE_INDEX":
        return _pair(a["value"], a["index"])
    if combiner == "DUP":
        return _element(base)
    if combiner == "RESIZED":
        return _resized(datatype, _element(base), a["lb"], a["extent"])
    if combiner == "CONTIGUOUS":
        return _array(base, _element(base), (a["count"],))
    if combiner == "SUBARRAY":
        if a["sizes"] != a["subsizes"]:
            raise _no_dtype(datatype, f"it is a part of an array: {a['subsizes']} of {a['sizes']} elements")
        sizes = a["sizes"] if a["order"] == MPI.ORDER_C else a["sizes"][::-1]
        return _array(base, _element(base), tuple(sizes))
    blocks = _blocks(datatype, base, combiner, a)
    return _structure(blocks, datatype.Get_extent()[1])


def _blocks(
    datatype: MPI.Datatype, base: MPI.Datatype, combiner: str, a: "dict[str, Any]"
) -> "list[tuple[int, _Element]]":
    """The places of the blocks that the datatype consists of, and what is there."""
    if combiner == "STRUCT":
        parts = zip(a["displacements"], a["blocklengths"], a["datatypes"], strict=True)
        return [(at, _block(one, _element(one), count)) for at, count, one in parts]
    element, unit = _element(base), 1 if combiner.startswith("H") else base.Get_extent()[1]
    if combiner in ("VECTOR", "HVECTOR"):
        places = [number * a["stride"] for number in range(a["count"])]
    elif combiner in ("INDEXED", "HINDEXED", "INDEXED_BLOCK", "HINDEXED_BLOCK"):
        places = a["displacements"]
    else:
        raise _no_dtype(datatype, f"it was made as {combiner}")
    lengths = a["blocklengths"] if "blocklengths" in a else [a["blocklength"]] * len(places)
    return [(at * unit, _block(base, element, count)) for at, count in zip(places, lengths, strict=True)]


def _no_dtype(datatype: MPI.Datatype, why: str) -> ValueError:
    name = datatype.Get_name()
    return ValueError(f"the datatype{' ' + name if name else ''} has no dtype: {why}")


def _basic(datatype: MPI.Datatype) -> _Element:
    for pair, value, index in _PAIRS:
        if datatype == pair:
            return _pair(value, index)
    code = MPI._typecode(datatype)
    if code is None:
        raise _no_dtype(datatype, "NumPy has no such numbers")
    size = datatype.Get_size()
    align = MPI._typealign(datatype) or 1
    if _np_dtype is None:
        return _Element(code, size, align)
    try:
        dtype = _np_dtype(datatype.typestr)
    except TypeError:
        raise _no_dtype(datatype, f"NumPy has no type {datatype.typestr!r}") from None
    return _Element(dtype, size, dtype.alignment)


def _pair(value: MPI.Datatype, index: MPI.Datatype) -> _Element:
    first, second = _basic(value), _basic(index)
    at = _up(first.size, second.align)
    end = _up(at + second.size, max(first.align, second.align))
    element = _structure([(0, first), (at, second)], end)
    if _np_dtype is None:
        element.result = (f"{first.result},{second.result}", {"align": True})
    return element


def _up(size: int, align: int) -> int:
    return -(-size // align) * align


def _block(datatype: MPI.Datatype, element: _Element, count: int) -> _Element:
    return element if count == 1 else _array(datatype, element, (count,))


def _array(datatype: MPI.Datatype, element: _Element, shape: "tuple[int, ...]") -> _Element:
    """So many elements side by side."""
    count = 1
    for length in shape:
        count *= length
    extent = datatype.Get_extent()[1]
    if count > 1 and extent != element.size:
        raise _no_dtype(datatype, f"elements of {element.size} bytes follow each other at {extent} bytes")
    result = (element.result, shape) if _np_dtype is None else _np_dtype((element.result, shape))
    return _Element(result, count * element.size, element.align)


def _resized(datatype: MPI.Datatype, element: _Element, lb: int, extent: int) -> _Element:
    if lb == 0 and extent == element.size:
        return element
    if lb != 0 or element.fields is None or extent < _end(element.fields):
        raise _no_dtype(datatype, f"{element.size} bytes were given the bounds {lb} and {lb + extent}")
    return _structure(element.fields, extent)


def _end(fields: "Iterable[tuple[int, _Element]]") -> int:
    return max((at + element.size for at, element in fields), default=0)


def _structure(fields: "list[tuple[int, _Element]]", extent: int) -> _Element:
    """Elements at places. The size is the extent, if that is not less for a gap at the start."""
    for at, element in fields:
        if at < 0:
            raise ValueError(f"the datatype has no dtype: {element.size} bytes of it are at {at}, before its start")
    size = max(extent, _end(fields))
    align = max((element.align for _, element in fields), default=1)
    is_aligned = size % align == 0 and all(at % element.align == 0 for at, element in fields)
    spec = {
        "names": [f"f{number}" for number in range(len(fields))],
        "formats": [element.result for _, element in fields],
        "offsets": [at for at, _ in fields],
        "itemsize": size,
        "aligned": is_aligned,
    }
    found = _Element(spec if _np_dtype is None else _np_dtype(spec), size, align if is_aligned else 1)  # type: ignore[call-overload]
    found.fields = fields
    return found
