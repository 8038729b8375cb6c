#!/usr/bin/env python3
"""Runs the small programs of this folder on four ranks and compares what they print with expected/*.txt.

    python examples/run_seed.py                             # the mpiexec beside this Python, else the one on PATH
    python examples/run_seed.py --launcher "srun -n 4"      # any other way to start four ranks
    python examples/run_seed.py send_recv broadcast         # only these

The ranks print at the same time, so the lines are compared sorted. NumPy versions put a different number of blanks
into an array's text (`[8. 9.` or `[ 8.  9.`), so blanks are not compared.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# In the order of the text they come from.
PROGRAMS = (
    "send_recv",
    "send_recv_larger_buffer",
    "isend_irecv",
    "broadcast",
    "scatter_array",
    "scatter_gather",
    "scatter_reduce",
)


def default_launcher() -> str:
    """`mpiexec -n 4`, with the mpiexec that belongs to this Python."""
    beside = Path(sys.executable).with_name("mpiexec")
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        sys.exit("No mpiexec beside this Python and none on PATH: say how to start ranks with --launcher 'CMD -n 4'.")
    return f"{shlex.quote(found)} -n 4"


def comparable(text: str) -> list[str]:
    """The lines of a program's output, sorted, with the blanks inside of arrays made equal."""
    lines = (re.sub(r"\[ +", "[", re.sub(r" +", " ", line.strip())) for line in text.splitlines())
    return sorted(line for line in lines if line)


def run(command: list[str], limit: float) -> tuple[int | None, str, str]:
    """Runs `command`; gives exit status (None: over the limit, everything killed), stdout, stderr."""
    # Unbuffered Python writes a line and its end apart, and some launchers then mix the lines of several ranks.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment
    ) as process:
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            # Launchers end their ranks on SIGTERM; what ignores it is killed.
            os.killpg(process.pid, signal.SIGTERM)
            try:
                out, err = process.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                out, err = process.communicate()
            return None, out, err
    return process.returncode, out, err


def check(name: str, command: list[str], limit: float) -> list[str]:
    """Runs one program; the list says what is wrong with what it did, and is empty if nothing is."""
    status, out, err = run([*command, str(HERE / f"{name}.py")], limit)
    expected = comparable((HERE / "expected" / f"{name}.txt").read_text())
    wrong = []
    if status is None:
        wrong.append(f"not done after {limit:g} s, killed")
    elif status != 0:
        wrong.append(f"exit status {status}")
    got = comparable(out)
    if got != expected:
        wrong.append("the output is not the expected one (-: missing, +: not expected)")
        wrong += list(difflib.unified_diff(expected, got, "expected", "printed", lineterm="", n=1))[2:]
    if wrong and err.strip():
        wrong += ["it wrote to stderr:", *err.strip().splitlines()[-30:]]
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs the small example programs on four ranks and checks the output.")
    parser.add_argument("programs", nargs="*", metavar="NAME", help=f"some of: {' '.join(PROGRAMS)} (default: all)")
    parser.add_argument("--launcher", default=None, help="what starts four ranks, for instance 'srun -n 4'")
    parser.add_argument("--python", default=sys.executable, help="the Python of the ranks (default: this one)")
    parser.add_argument("--timeout", type=float, default=60, help="seconds that one program may take (default: 60)")
    parser.add_argument("--quiet", action="store_true", help="do not show what the programs print")
    options = parser.parse_args()

    unknown = [name for name in options.programs if name not in PROGRAMS]
    if unknown:
        parser.error(f"unknown program {unknown[0]!r}; there are: {' '.join(PROGRAMS)}")
    launcher = options.launcher or default_launcher()
    command = [*shlex.split(launcher), options.python]
    programs = options.programs or list(PROGRAMS)

    print(f"Each program runs as: {shlex.join(command)} PROGRAM\n")
    failed = 0
    for name in programs:
        begin = time.perf_counter()
        wrong = check(name, command, options.timeout)
        seconds = time.perf_counter() - begin
        print(f"{'FAIL' if wrong else ' ok '}  {name}.py  ({seconds:.2f} s)")
        failed += bool(wrong)
        shown = wrong or ([] if options.quiet else (HERE / "expected" / f"{name}.txt").read_text().splitlines())
        for line in shown:
            print(f"        {line}")
    good = len(programs) - failed
    print(f"\n{good} of {len(programs)} programs printed what they should on four ranks.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
