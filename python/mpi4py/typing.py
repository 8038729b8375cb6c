"""Types of arguments, for annotations."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, List, Optional, Protocol, SupportsIndex, Tuple, Union

if TYPE_CHECKING:
    from .MPI import BottomType, Datatype, InPlaceType
    from .MPI import buffer as _MPIBuffer

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
_Device = Tuple[int, int]


class SupportsBuffer(Protocol):
    """Objects with the buffer protocol, as a `bytearray` or an array of NumPy."""

    if TYPE_CHECKING:

        def __buffer__(self, flags: int, /) -> memoryview: ...


class SupportsDLPack(Protocol):
    """Objects with the DLPack protocol, as tensors of many libraries."""

    def __dlpack__(self, /, *, stream: Optional[_Stream] = None) -> _Capsule: ...

    def __dlpack_device__(self) -> _Device: ...


class SupportsCAI(Protocol):
    """Objects with the CUDA array interface."""

    @property
    def __cuda_array_interface__(self) -> dict: ...


Buffer = Union["_MPIBuffer", SupportsBuffer, SupportsDLPack, SupportsCAI]
Bottom = Union["BottomType", None]
InPlace = Union["InPlaceType", None]

Aint = SupportsIndex
Count = SupportsIndex
Displ = SupportsIndex
Offset = SupportsIndex

TypeSpec = Union["Datatype", str]
_Data = Union[Buffer, Bottom]
_Counts = Sequence[Count]
_Displs = Sequence[Displ]

# A buffer alone, or with a count, a displacement and a type.
BufSpec = Union[
    Buffer,
    Tuple[_Data, Count],
    Tuple[_Data, TypeSpec],
    Tuple[_Data, Count, TypeSpec],
    Tuple[_Data, Tuple[Count, Displ], TypeSpec],
    Tuple[_Data, Count, Displ, TypeSpec],
    List[Any],
]
# In blocks of one size for all ranks.
BufSpecB = Union[Buffer, Tuple[_Data, Count], Tuple[_Data, TypeSpec], Tuple[_Data, Count, TypeSpec], List[Any]]
# In blocks, each with its size and place.
BufSpecV = Union[
    Buffer,
    Tuple[_Data, _Counts],
    Tuple[_Data, Tuple[_Counts, _Displs]],
    Tuple[_Data, TypeSpec],
    Tuple[_Data, _Counts, TypeSpec],
    Tuple[_Data, Tuple[_Counts, _Displs], TypeSpec],
    Tuple[_Data, _Counts, _Displs, TypeSpec],
    List[Any],
]
# In blocks, each with its size, place and type.
BufSpecW = Union[
    Tuple[_Data, Sequence["Datatype"]],
    Tuple[_Data, Tuple[_Counts, _Displs], Sequence["Datatype"]],
    Tuple[_Data, _Counts, _Displs, Sequence["Datatype"]],
    List[Any],
]
# Where in the target's window.
TargetSpec = Union[Displ, Tuple[()], Tuple[Displ], Tuple[Displ, Count], Tuple[Displ, Count, TypeSpec], List[Any]]

_Function = Callable[..., Any]
