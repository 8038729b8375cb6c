"""For tests that start ranks themselves (`ALONE = True`): programs under mpiexec or plain, with a time limit.

This process is no rank: it never imports mpi4py, and neither do its tests.
"""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from support.which import is_our_extension

LIMIT = 60.0
EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


class Ended(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return f"status {self.status}\nstdout:\n{self.out}\nstderr:\n{self.err}"


def mpiexec() -> list[str]:
    """The runner's launcher, or the one beside this Python."""
    given = os.environ.get("OXMPI_TEST_MPIEXEC")
    if given:
        return shlex.split(given)
    beside = Path(sys.executable).with_name("mpiexec")
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        raise unittest.SkipTest("there is no mpiexec")
    return [found]


def run(command: list[str], limit: float = LIMIT, **environment: str | None) -> Ended:
    """Runs a command to its end; None in `environment` takes a variable away. Over the limit it is killed and fails."""
    env = {**os.environ, **environment}
    # Unbuffered, Python writes a line and its end apart, and some launchers then mix the lines of several ranks.
    env["PYTHONUNBUFFERED"] = None
    clean = {name: value for name, value in env.items() if value is not None}
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            # The launcher ends its ranks; whatever is left the runner finds by the job's mark.
            os.killpg(process.pid, signal.SIGTERM)
            try:
                out, err = process.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                out, err = process.communicate()
            raise AssertionError(
                f"not done after {limit:g} s: {shlex.join(command)}\n{Ended(-1, out, err).text}"
            ) from None
    return Ended(process.returncode, out, err)


def python(code: str, *arguments: str, ranks: int = 0, limit: float = LIMIT, **environment: str | None) -> Ended:
    """Runs some lines of Python, on `ranks` ranks or (0) without mpiexec."""
    launch = [*mpiexec(), "-n", str(ranks)] if ranks else []
    return run([*launch, sys.executable, "-c", textwrap.dedent(code), *arguments], limit, **environment)


@functools.cache
def library() -> str:
    """MPI.Get_library_version() of the ranks; empty if it cannot be had."""
    return python("from mpi4py import MPI; print(MPI.Get_library_version())", ranks=1).out


def run_lines(
    code: str, ranks: int, *flags: str, first: str = "", support: str = "", before: str = "exec", limit: float = 60
) -> Ended:
    """Runs some lines as x.py under mpiexec with these flags, in its folder. `first` is its line 1; `support` is
    x_support.py beside it; `before` is put before mpiexec in a shell."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "x.py").write_text((first and first + "\n") + textwrap.dedent(code).lstrip("\n"))
        Path(folder, "x_support.py").write_text(textwrap.dedent(support).lstrip())
        command = [*mpiexec(), *flags, "-n", str(ranks), sys.executable, "x.py"]
        return run(["sh", "-c", f'cd "{folder}"; {before} "$@"', "sh", *command], limit=limit)


class AloneCase(unittest.TestCase):
    """The marks are asked when the test runs, not when the file is loaded: asking starts a job."""

    def need_ours(self, reason: str) -> None:
        if "oxmpi" not in library():
            self.skipTest(f"only for oxmpi: {reason}")

    def need_our_extension(self, reason: str) -> None:
        if not is_our_extension():
            self.skipTest(f"only for oxmpi's mpi4py.MPI: {reason}")

    def need_numpy(self) -> None:
        if python("import numpy").status != 0:
            self.skipTest("NumPy is not installed")

    def ended_well(self, ended: Ended, out: str | None = None) -> None:
        self.assertEqual(ended.status, 0, ended.text)
        if out is not None:
            self.assertEqual(ended.out.strip(), out.strip(), ended.text)

    def until(self, done: Callable[[], bool], what: str, limit: float = 10.0) -> None:
        import time

        end = time.monotonic() + limit
        while not done():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.02)
