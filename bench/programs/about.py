"""Says which versions are at work, and leaves everything warm for the first round."""

from __future__ import annotations

from common import run_rows
from mpi4py import MPI

run_rows(MPI.COMM_WORLD, lambda row: {"value": 0.0})
