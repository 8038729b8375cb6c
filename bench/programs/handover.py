"""8 B ping-pong beside a raw hand-over of a cache line. Rows: line/SIZE.

The two ranks themselves hand the line to and fro (handover.c), in loops that take turns
with those of the ping-pong: the same processes on the same cores. Half the round trip
of the line is the "reference" of the row. Needs a C compiler (CC, else cc).
"""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import Array, Case, elements, measure, run_rows, settings
from mpi4py import MPI
from pingpong import Contiguous, ping_pong

comm = MPI.COMM_WORLD
first = comm.rank == 0
SOURCE = Path(__file__).with_name("handover.c")


def compiled(library: Path) -> str:
    """Compiles handover.c; says what went wrong."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    command = [*compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return f"{command[0]} ended with {done.returncode}" if done.returncode else ""


def native() -> Callable[[int, int, int], None]:
    """The function of handover.c, compiled by the first rank."""
    function: Any = None
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        library = Path(comm.allgather(folder)[0]) / "handover.so"
        problem = comm.allgather(compiled(library) if first else "")[0]
        if not problem:
            function = ctypes.CDLL(str(library)).hand_over
        comm.Barrier()
    # All have removed their folders before one of them may end the job.
    comm.Barrier()
    if problem:
        raise RuntimeError(f"handover.c was not compiled: {problem}")
    function.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64)
    function.restype = None
    return function


def shared_page() -> Array:
    """A page that both ranks have mapped; the file is gone by then."""
    # In memory: the page of a file on a disk would be written back now and then.
    with tempfile.NamedTemporaryFile(prefix="bench-", dir="/dev/shm") as file:
        file.write(bytes(4096))
        file.flush()
        name = comm.allgather(file.name)[0]
        words = np.memmap(name, dtype=np.uint64, mode="r+")
        comm.Barrier()
    return words


def hand_over() -> Case:
    call = native()
    words = shared_page()
    address = words.ctypes.data
    done = 0

    def prepare(_loop: int) -> None:
        if first:
            words[0] = 0

    def run(k: int) -> None:
        nonlocal done
        call(address, first, k)
        done = k

    def check(_loop: int) -> str:
        value = int(words[0])
        return "" if value == 2 * done else f"the word is {value}, not {2 * done}"

    return Case(run, prepare, check, messages=2)


def measure_row(row: str) -> dict[str, object]:
    place = Contiguous(elements(row.split("/")[1]))
    return measure(comm, ping_pong(comm, place), settings(), reference=hand_over())


run_rows(comm, measure_row)
