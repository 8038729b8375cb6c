"""Types of arguments, for annotations."""

# ruff: noqa: UP007 -- quoted names inside of these unions are resolved by type checkers only

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, SupportsIndex, Union

if TYPE_CHECKING:
    from .MPI import BottomType, Datatype, InPlaceType
    from .MPI import buffer as _MPIBuffer
    from .MPI import strided as _MPIStrided

__all__ = [
    "Aint",
    "Bottom",
    "BufSpec",
    "BufSpecB",
    "BufSpecV",
    "BufSpecW",
    "Buffer",
    "Count",
    "Displ",
    "InPlace",
    "Offset",
    "SupportsBuffer",
    "SupportsCAI",
    "SupportsDLPack",
    "TargetSpec",
    "TypeSpec",
]

_Stream = Union[int, Any]
_Capsule = object
_Device = tuple[int, int]


class SupportsBuffer(Protocol):
    """Objects with the buffer protocol, as a `bytearray` or an array of NumPy."""

    if TYPE_CHECKING:

        def __buffer__(self, flags: int, /) -> memoryview: ...


class SupportsDLPack(Protocol):
    """Objects with the DLPack protocol, as tensors of many libraries."""

    def __dlpack__(self, /, *, stream: _Stream | None = None) -> _Capsule: ...

    def __dlpack_device__(self) -> _Device: ...


class SupportsCAI(Protocol):
    """Objects with the CUDA array interface."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...


Buffer = Union["_MPIBuffer", SupportsBuffer, SupportsDLPack, SupportsCAI]
Bottom = Union["BottomType", None]
InPlace = Union["InPlaceType", None]

Aint = SupportsIndex
Count = SupportsIndex
Displ = SupportsIndex
Offset = SupportsIndex

TypeSpec = Union["Datatype", str]
_Array = Union[Buffer, "_MPIStrided"]
_Data = Union[_Array, Bottom]
_Counts = Sequence[Count]
_Displs = Sequence[Displ]

# A buffer alone, or with a count, a displacement and a type.
BufSpec = Union[
    _Array,
    tuple[_Data, Count],
    tuple[_Data, TypeSpec],
    tuple[_Data, Count, TypeSpec],
    tuple[_Data, tuple[Count, Displ], TypeSpec],
    tuple[_Data, Count, Displ, TypeSpec],
    list[Any],
]
# In blocks of one size for all ranks.
BufSpecB = Union[_Array, tuple[_Data, Count], tuple[_Data, TypeSpec], tuple[_Data, Count, TypeSpec], list[Any]]
# In blocks, each with its size and place.
BufSpecV = Union[
    _Array,
    tuple[_Data, _Counts],
    tuple[_Data, tuple[_Counts, _Displs]],
    tuple[_Data, TypeSpec],
    tuple[_Data, _Counts, TypeSpec],
    tuple[_Data, tuple[_Counts, _Displs], TypeSpec],
    tuple[_Data, _Counts, _Displs, TypeSpec],
    list[Any],
]
# In blocks, each with its size, place and type.
BufSpecW = Union[
    tuple[_Data, Sequence["Datatype"]],
    tuple[_Data, tuple[_Counts, _Displs], Sequence["Datatype"]],
    tuple[_Data, _Counts, _Displs, Sequence["Datatype"]],
    list[Any],
]
# Where in the target's window.
TargetSpec = Union[Displ, tuple[()], tuple[Displ], tuple[Displ, Count], tuple[Displ, Count, TypeSpec], list[Any]]

_Function = Callable[..., Any]
