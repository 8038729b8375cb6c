#!/usr/bin/env python3
"""Compiles the C programs of list.txt with our header and runs them over a library of the standard ABI.

    run.py --mpiexec .venv/bin/mpiexec --lib .venv/lib/python3.11/site-packages/mpi4py/lib
    run.py --mpiexec <mpich>/bin/mpiexec --lib <mpich>/lib        # the same programs over MPICH

--lib names the folder with libmpi_abi.so.1. Each run has a time limit; a job that exceeds it is
ended with everything it started. Exit status 0 means that all runs passed.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
INCLUDE = HERE.parents[1] / "python/mpi4py/include"
LIBRARY = "libmpi_abi.so.1"
WARNINGS = ("-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror")


@dataclass
class Run:
    """One line of list.txt."""

    name: str
    ranks: int
    status: str = "0"
    without: str = ""
    preload: str = ""
    ours: bool = False
    arguments: list[str] = field(default_factory=list)

    def title(self) -> str:
        return " ".join([self.name, f"n={self.ranks}", *self.arguments])


def read_list() -> list[Run]:
    runs = []
    for line in (HERE / "list.txt").read_text().splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        run = Run(words[0], int(words[1]))
        for word in words[2:]:
            option, _, value = word.partition("=")
            if option == "exit":
                run.status = value
            elif option == "without":
                run.without = value.replace("_", " ")
            elif option == "preload":
                run.preload = value
            elif option == "ours":
                run.ours = True
            else:
                run.arguments.append(word)
        runs.append(run)
    return runs


class Builder:
    """Compiles each program once."""

    def __init__(self, work: Path, lib: Path) -> None:
        self.work, self.lib = work, lib
        self.built: dict[str, Path] = {}

    def program(self, name: str) -> Path:
        return self._build(name, self.work / name, ["-pthread", "-Wl,--no-as-needed"])

    def tool(self, name: str) -> Path:
        return self._build(name, self.work / f"lib{name}.so", ["-shared", "-fPIC"])

    def _build(self, name: str, out: Path, options: list[str]) -> Path:
        if name not in self.built:
            command = [os.environ.get("CC", "cc"), *WARNINGS, "-I", INCLUDE, HERE / "programs" / f"{name}.c", *options]
            command += [self.lib / LIBRARY, f"-Wl,-rpath,{self.lib}", "-o", out]
            subprocess.run([str(c) for c in command], check=True)
            self.built[name] = out
        return self.built[name]


def execute(command: list[str], limit: float) -> tuple[int | None, str]:
    """Exit status (None when the limit was exceeded) and output."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as job:
        try:
            output, _ = job.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(job.pid, signal.SIGTERM)
            try:
                output, _ = job.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                os.killpg(job.pid, signal.SIGKILL)
                output, _ = job.communicate()
            return None, output
    return job.returncode, output


def verdict(run: Run, status: int | None, output: str, limit: float) -> str:
    """Why it failed; empty when it passed."""
    if status is None:
        return f"not finished after {limit:g} s"
    if run.status == "!0" and status == 0:
        return "exit status 0, expected another"
    if run.status != "!0" and status != int(run.status):
        return f"exit status {status}, expected {run.status}"
    if run.without and run.without in output:
        return f"the output has {run.without!r}"
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mpiexec", default="mpiexec", help="launcher of the library")
    parser.add_argument("--lib", type=Path, required=True, help=f"folder with {LIBRARY}")
    parser.add_argument("--only", action="append", help="run only this program (may be repeated)")
    parser.add_argument("--limit", type=float, default=60, help="seconds for one run (default 60)")
    parser.add_argument("--foreign", action="store_true", help="not our library: leave out what is for ours only")
    options = parser.parse_args()
    if not (options.lib / LIBRARY).exists():
        sys.exit(f"{options.lib} has no {LIBRARY}")
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        builder = Builder(Path(name), options.lib.resolve())
        runs = [r for r in read_list() if not (r.ours and options.foreign)]
        runs = [r for r in runs if not options.only or r.name in options.only]
        for run in runs:
            program = builder.program(run.name)
            command = [options.mpiexec, "-n", str(run.ranks)]
            if run.preload:
                command += ["env", f"LD_PRELOAD={builder.tool(run.preload)}"]
            start = time.monotonic()
            status, output = execute([*command, str(program), *run.arguments], options.limit)
            why = verdict(run, status, output, options.limit)
            word, seconds = "FAIL" if why else "ok  ", time.monotonic() - start
            print(f"{word}  {run.title():<28} {seconds:6.2f} s  {why}", flush=True)
            if why:
                failed += 1
                print("".join(f"      | {line}\n" for line in output.splitlines()[-30:]), end="", flush=True)
    print(f"{failed} of {len(runs)} runs failed" if failed else "all runs passed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
