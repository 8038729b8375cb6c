from collections.abc import Sequence
from typing import Any, Protocol, SupportsIndex, TypeAlias

from .MPI import BottomType, Datatype, InPlaceType
from .MPI import buffer as _MPIBuffer

__all__: list[str]

_Stream: TypeAlias = int | Any
_Capsule: TypeAlias = object
_Device: TypeAlias = tuple[int, int]

class SupportsBuffer(Protocol):
    def __buffer__(self, flags: int, /) -> memoryview: ...

class SupportsDLPack(Protocol):
    def __dlpack__(self, /, *, stream: _Stream | None = None) -> _Capsule: ...
    def __dlpack_device__(self) -> _Device: ...

class SupportsCAI(Protocol):
    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...

Buffer: TypeAlias = _MPIBuffer | SupportsBuffer | SupportsDLPack | SupportsCAI
Bottom: TypeAlias = BottomType | None
InPlace: TypeAlias = InPlaceType | None

Aint: TypeAlias = SupportsIndex
Count: TypeAlias = SupportsIndex
Displ: TypeAlias = SupportsIndex
Offset: TypeAlias = SupportsIndex

TypeSpec: TypeAlias = Datatype | str
_Data: TypeAlias = Buffer | Bottom
_Counts: TypeAlias = Sequence[Count]
_Displs: TypeAlias = Sequence[Displ]

BufSpec: TypeAlias = (
    Buffer
    | tuple[_Data, Count]
    | tuple[_Data, TypeSpec]
    | tuple[_Data, Count, TypeSpec]
    | tuple[_Data, tuple[Count, Displ], TypeSpec]
    | tuple[_Data, Count, Displ, TypeSpec]
    | list[Any]
)
BufSpecB: TypeAlias = Buffer | tuple[_Data, Count] | tuple[_Data, TypeSpec] | tuple[_Data, Count, TypeSpec] | list[Any]
BufSpecV: TypeAlias = (
    Buffer
    | tuple[_Data, _Counts]
    | tuple[_Data, tuple[_Counts, _Displs]]
    | tuple[_Data, TypeSpec]
    | tuple[_Data, _Counts, TypeSpec]
    | tuple[_Data, tuple[_Counts, _Displs], TypeSpec]
    | tuple[_Data, _Counts, _Displs, TypeSpec]
    | list[Any]
)
BufSpecW: TypeAlias = (
    tuple[_Data, Sequence[Datatype]]
    | tuple[_Data, tuple[_Counts, _Displs], Sequence[Datatype]]
    | tuple[_Data, _Counts, _Displs, Sequence[Datatype]]
    | list[Any]
)
TargetSpec: TypeAlias = (
    Displ | tuple[()] | tuple[Displ] | tuple[Displ, Count] | tuple[Displ, Count, TypeSpec] | list[Any]
)
