"""Whose module is mpi4py.MPI here? Without importing it."""

from __future__ import annotations

import importlib.metadata
import os


def is_our_extension() -> bool:
    """Whether the mpi4py that is installed comes from this project; OXMPI_TEST_EXTENSION=ours|other decides else."""
    told = os.environ.get("OXMPI_TEST_EXTENSION")
    if told is not None:
        return told == "ours"
    return "mpi4py" not in importlib.metadata.packages_distributions().get("mpi4py", [])
