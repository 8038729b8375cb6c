"""Pack and Unpack beside NumPy's own copy of the same elements, on one rank.

Rows: pack/LAYOUT, unpack/LAYOUT (layouts.py). Loops of MPI and of NumPy take turns in
the same process, on the same arrays; NumPy's time is the "reference" of the row.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat

import numpy as np
from common import JUNK, STEP, Case, base_pattern, differs, measure, run_rows, settings
from layouts import LAYOUTS, Layout
from mpi4py import MPI

comm = MPI.COMM_WORLD


def again(call: Callable[[], None]) -> Callable[[int], None]:
    def run(k: int) -> None:
        for _ in repeat(None, k):
            call()

    return run


def room(layout: Layout) -> np.ndarray:
    """For the packed elements, as large as MPI asks for."""
    size = layout.datatype.Pack_size(1, comm)
    return np.empty(max(layout.count, -(-size // 8)))


def pack(layout: Layout) -> tuple[Case, Case]:
    base, out = base_pattern(layout.count), room(layout)
    packed = out[: layout.count]

    def prepare(loop: int) -> None:
        layout.clear()
        layout.put(base + loop * STEP)
        out.fill(JUNK)

    def run(k: int) -> None:
        call, data, into, world = layout.datatype.Pack, layout.data, out, comm
        for _ in repeat(None, k):
            call(data, into, 0, world)

    def check(loop: int) -> str:
        return differs(packed, base + loop * STEP)

    reference = again(layout.numpy_pack(packed))
    return Case(run, prepare, check), Case(reference, prepare, check)


def unpack(layout: Layout) -> tuple[Case, Case]:
    base = base_pattern(layout.count)
    source = base.copy()

    def prepare(loop: int) -> None:
        layout.clear()
        np.add(base, loop * STEP, out=source)

    def run(k: int) -> None:
        call, data, packed, world = layout.datatype.Unpack, layout.data, source, comm
        for _ in repeat(None, k):
            call(packed, 0, data, world)

    def check(loop: int) -> str:
        return differs(layout.get(), base + loop * STEP) or layout.outside()

    reference = again(layout.numpy_unpack(source))
    return Case(run, prepare, check), Case(reference, prepare, check)


def measure_row(row: str) -> dict[str, object]:
    way, name = row.split("/")
    cases = (pack if way == "pack" else unpack)(LAYOUTS[name]())
    return measure(comm, cases[0], settings(), reference=cases[1])


run_rows(comm, measure_row)
