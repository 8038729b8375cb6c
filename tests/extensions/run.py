#!/usr/bin/env python3
"""Builds extensions in C, Cython and SWIG against the installed mpi4py's headers, and tests them on 1 and 3 ranks.

    .venv/bin/python tests/extensions/run.py

The mpicc and mpiexec are those beside this Python; Cython and swig are packages of its environment.
"""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
PYTHON = sysconfig.get_path("include")
STRICT = ("-Wall", "-Wextra", "-Werror")


def call(*words: str | Path) -> None:
    subprocess.run([str(word) for word in words], check=True, timeout=300)


def compile_(folder: Path, source: Path, name: str, *options: str) -> None:
    call(BIN / "mpicc", "-shared", "-fPIC", "-O1", f"-I{PYTHON}", *options, source, "-o", folder / f"{name}{SUFFIX}")


def everything(folder: Path) -> None:
    """A Cython program that names all that libmpi.pxd declares: Cython takes it, and mpi.h has it."""
    text = (Path(sysconfig.get_path("platlib")) / "mpi4py" / "libmpi.pxd").read_text()
    functions = re.findall(r"^    \w+ (MPI_\w+)\(", text, re.M)
    constants = re.findall(r"^    (?:enum:|MPI_\w+|void|int|char) ?\**(MPI_[A-Z0-9_]+)$", text, re.M)
    if len(functions) < 600 or len(constants) < 290:
        raise SystemExit(f"libmpi.pxd has {len(functions)} functions and {len(constants)} constants: too few")
    lines = ["from mpi4py cimport libmpi", "def addresses():", "    cdef void *p[1]"]
    lines += [f"    p[0] = <void *>libmpi.{name}" for name in functions]
    lines += [f"    p[0] = <void *>libmpi.{name}" for name in constants if name != "MPI_DISPLACEMENT_CURRENT"]
    source = folder / "everything.pyx"
    source.write_text("\n".join(lines) + "\n")
    call(sys.executable, "-m", "cython", "-3", source)
    compile_(folder, source.with_suffix(".c"), "everything", "-Werror=implicit", "-Wno-int-to-pointer-cast")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="oxmpi-extensions-") as temporary:
        folder = Path(temporary)
        include = subprocess.run(
            [sys.executable, "-c", "import mpi4py; print(mpi4py.get_include())"],
            check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
        compile_(folder, HERE / "in_c.c", "in_c", *STRICT)
        compile_(folder, HERE / "limited.c", "limited", *STRICT)
        # Also as C++, which other extensions are written in.
        call(BIN / "mpicc", "-x", "c++", "-fsyntax-only", f"-I{PYTHON}", *STRICT, HERE / "in_c.c")
        call(sys.executable, "-m", "cython", "-3", HERE / "in_cython.pyx", "-o", folder / "in_cython.c")
        compile_(folder, folder / "in_cython.c", "in_cython")
        everything(folder)
        swig = [BIN / "swig", "-c++", "-python", f"-I{include}", "-outdir", folder]
        call(*swig, "-o", folder / "in_swig.cpp", HERE / "in_swig.i")
        compile_(folder, folder / "in_swig.cpp", "_in_swig", "-cc=c++")
        for ranks in ("1", "3"):
            job = [BIN / "mpiexec", "-n", ranks, "-genv", f"PYTHONPATH={folder}", sys.executable]
            call(*job, HERE / "test_extensions.py")
    return 0


if __name__ == "__main__":
    sys.exit(main())
