"""Parts of arrays, sent and received by derived type. Rows: typed/LAYOUT (layouts.py).

A ping-pong of 2 ranks: half a round trip, one array on each side. The elements beside
the part must stay as they are.
"""

from __future__ import annotations

from common import measure, run_rows, settings
from layouts import LAYOUTS
from mpi4py import MPI
from pingpong import ping_pong

comm = MPI.COMM_WORLD


def measure_row(row: str) -> dict[str, object]:
    layout = LAYOUTS[row.split("/")[1]]()
    return measure(comm, ping_pong(comm, layout), settings())


run_rows(comm, measure_row)
