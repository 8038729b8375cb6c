#!/usr/bin/env python3
"""Checks an installation: that all parts are there and work together. Run by the Python of the environment.

    .venv/bin/python tests/packaging/check.py

One line per check. Nothing here needs NumPy or any other package.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path

BIN = Path(sys.executable).parent
PACKAGE = Path(sysconfig.get_path("platlib")) / "mpi4py"
HELLO = r"""
#include <mpi.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    int rank, size, sum, length;
    char text[MPI_MAX_LIBRARY_VERSION_STRING];
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    MPI_Get_library_version(text, &length);
    if (rank == 0) printf("%d ranks, sum %d, %s\n", size, sum, text);
    MPI_Finalize();
    return 0;
}
"""


def output(*command: str | Path, cwd: str | None = None, env: dict[str, str] | None = None) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(words)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def want(condition: object, text: object) -> None:
    if not condition:
        raise AssertionError(str(text))


def files() -> None:
    wanted = ("MPI.abi3.so", "__init__.py", "include/mpi.h", "lib/libmpi_abi.so.1", "lib/libmpi_abi.so", "util/pkl5.py")
    for_others = ("libmpi.pxd", "MPI.pxd", "__init__.pxd", "MPI.h", "MPI_api.h", "include/mpi4py/mpi4py.h")
    for name in (*wanted, *for_others):
        want((PACKAGE / name).exists(), f"{PACKAGE / name} is missing")
    for name in ("mpiexec", "mpicc"):
        want(os.access(BIN / name, os.X_OK), f"{BIN / name} is missing or not executable")


def metadata() -> None:
    required = [r for r in importlib.metadata.requires("oxmpi") or [] if "extra ==" not in r]
    want(not required, f"run-time requirements: {required}")


def imports() -> None:
    text = output(sys.executable, "-c", "from mpi4py import MPI; print(MPI.Get_library_version(), MPI.COMM_WORLD.size)")
    want("oxmpi" in text and text.split()[-1] == "1", text)


def ranks() -> None:
    program = (
        "from mpi4py import MPI; c = MPI.COMM_WORLD; b = bytearray([c.rank]); a = bytearray(4);"
        "c.Allgather(b, a); print(c.size, *a)"
    )
    text = output(BIN / "mpiexec", "-n", "4", sys.executable, "-c", program)
    want(text.splitlines() == ["4 0 1 2 3"] * 4, text)


def mpicc() -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "hello.c").write_text(HELLO)
        # Not from the environment's own folder, and without its bin on PATH.
        output(BIN / "mpicc", "-Wall", "-Werror", "hello.c", "-o", "hello", cwd=folder)
        output(BIN / "mpicc", "-c", "hello.c", cwd=folder)
        output(BIN / "mpicc", "hello.o", "-o", "hello-linked", cwd=folder)
        for program in ("hello", "hello-linked"):
            text = output(BIN / "mpiexec", "-n", "3", f"./{program}", cwd=folder)
            want(re.match(r"3 ranks, sum 3, .*oxmpi", text), text)
        shown = output(BIN / "mpicc", "-show", "hello.c", cwd=folder)
        want("-lmpi_abi" in shown and "-rpath" in shown, shown)
        flags = output(BIN / "mpicc", "-compile-info")
        want(str(PACKAGE / "include") in flags and "-lmpi_abi" not in flags, flags)


def mpicc_in_a_build() -> None:
    """pip builds in isolation: a sitecustomize takes the environment's packages off the path of every Python."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "sitecustomize.py").write_text(
            f"import sys\nsys.path[:] = [p for p in sys.path if p != {str(PACKAGE.parent)!r}]\n"
        )
        env = os.environ | {"PYTHONPATH": folder}
        gone = "import importlib.util; print(importlib.util.find_spec('mpi4py'))"
        want(output(sys.executable, "-c", gone, cwd=folder, env=env).split() == ["None"], "the package is still found")
        flags = output(BIN / "mpicc", "-compile-info", cwd=folder, env=env)
        want(str(PACKAGE / "include") in flags, flags)


CHECKS: dict[str, Callable[[], None]] = {
    "all files are there": files,
    "no run-time requirement": metadata,
    "import alone": imports,
    "four ranks": ranks,
    "a C program by mpicc": mpicc,
    "mpicc in a build that pip isolates": mpicc_in_a_build,
}


def main() -> int:
    failed = 0
    for name, check in CHECKS.items():
        try:
            check()
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            failed += 1
            print(f"FAIL  {name}: {error}", flush=True)
        else:
            print(f"ok    {name}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
