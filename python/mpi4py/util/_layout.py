"""How an object with big buffers lies in its message: a sign of 16 bytes, a table of sizes, the pickle and the buffers, each at a
multiple of 64. It is what `MPI.Comm.send` sends; a message without buffers is the pickle alone."""

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# First bytes of a message with buffers; no pickle starts like this, and no text.
SIGN = b"\xf7oxmpi-object-1\0"
# Where the pieces of such a message start.
ALIGN = 64
PADDING = bytes(ALIGN)
# A smaller array, and smaller than this part of its message, gets memory of its own: who keeps it and throws the others
# away does not keep them all.
OWN = 256 << 10
OWN_PART = 4


def up(length: int) -> int:
    """The next place where a piece may start."""
    return -(-length // ALIGN) * ALIGN


def pieces(data: "Any", buffers: "Sequence[Any]") -> "list[Any]":
    """The pieces of a message with buffers; padding comes after each."""
    table = struct.pack(f"<{2 + len(buffers)}Q", len(buffers), len(data), *(b.nbytes for b in buffers))
    return [(SIGN + table).ljust(up(len(SIGN) + len(table)), b"\0"), data, *buffers]


def has_buffers(memory: memoryview) -> bool:
    """Whether this is a message with buffers."""
    return memory[: len(SIGN)] == SIGN


def split(memory: memoryview) -> "tuple[memoryview, list[Any]]":
    """The pickle and the buffers of a message with buffers."""
    size, at = memory.nbytes, len(SIGN)
    try:
        count, length = struct.unpack_from("<2Q", memory, at)
        if count > size // 8:
            raise struct.error
        lengths = struct.unpack_from(f"<{count}Q", memory, at + 16)
    except struct.error:
        raise ValueError(f"the object that was received ({size} bytes) is damaged") from None
    at = up(at + 16 + 8 * count)
    spans = []
    for part in (length, *lengths):
        if at + part > size:
            raise ValueError(f"the object that was received ({size} bytes) is damaged")
        spans.append(memory[at : at + part])
        at = up(at + part)
    data, *views = spans
    return data, [bytearray(view) if view.nbytes < min(OWN, size // OWN_PART) else view for view in views]
