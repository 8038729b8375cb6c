from collections.abc import Sequence

from mpi4py.typing import Buffer

SIGN: bytes
ALIGN: int
PADDING: bytes
OWN: int
OWN_PART: int

def up(length: int) -> int: ...
def pieces(data: Buffer, buffers: Sequence[memoryview]) -> list[Buffer]: ...
def has_buffers(memory: memoryview) -> bool: ...
def split(memory: memoryview) -> tuple[memoryview, list[memoryview | bytearray]]: ...
