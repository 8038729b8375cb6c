#!/usr/bin/env python3
"""Runs all tests of the project: `make test`.

    python3 tests/all.py                 # everything
    python3 tests/all.py rust abi        # the steps with one of these in their names
    python3 tests/all.py --list

First `.venv` is made or brought up to date (tests/product.py). Then each step of the table below runs with a time limit.
Its output goes to build/test-logs; of a step that failed the end is shown. The last line sums everything up.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import counts
import product
from counts import Counts
from product import ROOT, Library

sys.dont_write_bytecode = True
LOGS = ROOT / "build" / "test-logs"
TESTS = ROOT / "tests"
# Lines of a failed step that are shown.
SHOWN = 150
# Steps that `make test` leaves out for the time being, and why; each counts as skipped. Named by a pattern they run all
# the same. Take a line away as soon as its step passes.
OFF: dict[str, str] = {}
# Over the peers' libraries the Python tests run with some numbers of ranks only: together with all, in half the time.
PEERS_RANKS = {"mpich": "1,3", "impi": "2,4"}


@dataclass
class Step:
    name: str
    command: list[str | Path]
    limit: float
    """Seconds. Several times of what it takes on two cores: CI machines are slow."""
    read: Callable[[str], Counts] = counts.one
    env: dict[str, str] = field(default_factory=dict)
    off: str = ""
    """Why it is not run for the time being; it then counts as skipped."""


def table(peers: dict[str, Library]) -> list[Step]:
    python, mpiexec = product.python(), product.mpiexec()
    tool = python.parent
    nextest = ["nextest", "run", "--no-fail-fast"] if shutil.which("cargo-nextest") else ["test", "--no-fail-fast"]
    steps = [
        Step("installed: library, header, mpicc", [python, TESTS / "packaging" / "check.py"], 120, counts.lines),
        Step("python: lint", [tool / "ruff", "check", "--no-cache", "."], 60),
        Step("python: format", [tool / "ruff", "format", "--no-cache", "--check", "."], 60),
        Step("python: types", [tool / "mypy", "--cache-dir", ROOT / "build" / "mypy"], 300),
        Step(
            "python: stubs",
            [
                python,
                "-m",
                "mypy.stubtest",
                "--mypy-config-file",
                ROOT / "pyproject.toml",
                "--allowlist",
                ROOT / "python/tools/stubtest.txt",
                "mpi4py.MPI",
                "mpi4py.util._layout",
                "mpi4py.util.pkl5",
                "mpi4py.util.dtlib",
            ],
            300,
            off="" if (ROOT / "python/mpi4py/MPI.pyi").exists() else "there is no MPI.pyi yet",
        ),
        Step("rust: cargo xtask check", ["cargo", "xtask", "check"], 1200, counts.lines),
        # The extension is tested from Python; its library cannot be run alone.
        Step("rust: tests", ["cargo", *nextest, "--workspace", "--exclude", "oxmpi-mpi4py"], 1800, counts.cargo),
        Step(
            "rust: copy plans under valgrind",
            [python, TESTS / "valgrind.py"],
            900,
            counts.cargo,
            off="" if shutil.which("valgrind") else "valgrind is not installed",
        ),
        Step("bench: its own tests", [python, "-m", "unittest", "discover", "-s", "bench/tests"], 300, counts.unittest),
    ]
    own = {"oxmpi": Library("oxmpi", "oxmpi", product.VENV)}
    for name, library in (own | peers).items():
        launcher = library.prefix / "bin" / "mpiexec"
        env = dict(library.env)
        if name != "oxmpi":
            env["MPI4PY_LIBMPI"] = str(library.prefix / "lib" / "libmpi_abi.so.1")
        seed: list[str | Path] = [python, ROOT / "examples/run_seed.py", "--quiet", "--launcher", f"{launcher} -n 4"]
        tests: list[str | Path] = [python, TESTS / "python/run.py", "--mpiexec", str(launcher)]
        if name in PEERS_RANKS:
            tests += ["--ranks", PEERS_RANKS[name]]
        steps += [
            Step(f"seed programs: {name}", seed, 300, counts.lines, env),
            Step(f"python tests: {name}", tests, 1500, counts.total, env),
        ]
    steps += [
        Step("extensions in C, Cython, SWIG", [python, TESTS / "extensions/run.py"], 300, counts.unittest),
        Step("mpi4py's own tests: ours", [python, TESTS / "mpi4py-suite/run.py", "--quick"], 1800, counts.total),
        Step(
            "mpi4py's own tests: original",
            [python, TESTS / "mpi4py-suite/run.py", "--quick", "--original"],
            2700,
            counts.total,
        ),
        Step("example: heat equation", heat(mpiexec, python), 120),
        Step(
            "abi: header against MPICH's",
            [
                python,
                TESTS / "abi/compare_headers.py",
                "--mpich",
                peers["mpich"].prefix / "include" / "mpi_abi.h",
                "--library",
                product.library_folder() / "libmpi_abi.so.1",
            ],
            300,
        ),
        Step(
            "abi: C programs: oxmpi",
            [python, TESTS / "abi/run.py", "--mpiexec", mpiexec, "--lib", product.library_folder()],
            900,
            counts.lines,
        ),
    ]
    for name, library in peers.items():
        folders: list[str | Path] = [
            "--mpiexec",
            library.prefix / "bin/mpiexec",
            "--lib",
            library.prefix / "lib",
            "--foreign",
        ]
        steps.append(
            Step(
                f"abi: C programs: {name}",
                [python, TESTS / "abi/run.py", *folders],
                900,
                counts.lines,
                library.env,
            )
        )
    steps += [
        Step("stress: messages of all kinds", [python, TESTS / "stress/run.py"], 600, counts.lines),
        Step("stress: sequences of collectives", [python, TESTS / "stress/collectives.py"], 900, counts.lines),
        Step("stress: ranks that die", [python, TESTS / "stress/kills.py"], 300, counts.lines),
        Step("stress: ranks that die in collectives", [python, TESTS / "stress/kills_inside.py"], 300, counts.lines),
        Step("stress: many ranks", [python, TESTS / "stress/many.py", "--calls", "60"], 600, counts.lines),
        # It ends after 50 s, when the batch then at work is over.
        Step("fuzz: arbitrary arguments", [python, TESTS / "fuzz/run.py"], 900, counts.total),
        Step("crash: ranks that die", [python, TESTS / "crash/test_crash.py"], 900, counts.unittest),
        Step("package: sdist, and what is built from it", [python, TESTS / "packaging/sdist.py"], 1200, counts.lines),
    ]
    return steps


def heat(mpiexec: Path, python: Path) -> list[str | Path]:
    options = ["--verify", "--decomp", "2d", "--exchange", "isend", "--progress", "none", "--png", ""]
    return [mpiexec, "-n", "4", python, ROOT / "examples/heat.py", *options]


def run(step: Step, log: Path) -> tuple[Counts, str]:
    """Runs a step; what came out, and why it counts as failed when that is not a failed test."""
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(word) for word in step.command],
                cwd=ROOT,
                env=product.clean_environ() | step.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            status: int | None = None
            try:
                status = process.wait(step.limit)
            except subprocess.TimeoutExpired:
                pass
            finally:
                # Also after Ctrl-C: the step is a session of its own, which the terminal does not reach.
                end(process)
    except OSError as error:
        log.write_text(f"{error}\n")
        return Counts(failed=1), str(error)
    found = step.read(log.read_text(errors="replace"))
    if status is None:
        return found + Counts(failed=1), f"stopped after {step.limit:.0f} s"
    if step.read is counts.one:
        return (found, "") if status == 0 else (Counts(failed=1), f"exit status {status}")
    if status and not found.failed:
        return found + Counts(failed=1), f"exit status {status}"
    if not (found.passed or found.failed or found.skipped):
        return Counts(failed=1), "it ran no test"
    return found, ""


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends what is left of a step's processes: first the launchers politely, so that they end their ranks."""
    for number, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
        if process.poll() is None or number == signal.SIGKILL:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience)


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs all tests of the project; see the top of this file.")
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="only steps with one of these in their names")
    parser.add_argument("--list", action="store_true", help="print the steps, and stop")
    parser.add_argument("-v", "--verbose", action="store_true", help="show the output of all steps")
    options = parser.parse_args()
    begin = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        product.install()
        peers = product.peers()
    except product.Problem as problem:
        print(f"FAIL  {problem}\n\n{Counts(failed=1)}")
        return 1
    steps = table(peers)
    if options.patterns:
        steps = [step for step in steps if any(pattern in step.name for pattern in options.patterns)]
    if options.list:
        print("\n".join(step.name for step in steps))
        return 0
    LOGS.mkdir(parents=True, exist_ok=True)
    every = Counts()
    bad = []
    for number, step in enumerate(steps, 1):
        off = step.off or ("" if options.patterns else OFF.get(step.name, ""))
        if off:
            print(f"off   {step.name}: {off}", flush=True)
            every += Counts(skipped=1)
            continue
        log = LOGS / f"{number:02} {step.name}.log".replace(" ", "-").replace(":", "").replace(",", "")
        start = time.monotonic()
        found, why = run(step, log)
        every += found
        word = "FAIL" if found.failed else "ok  "
        text = f"{word}  {step.name}: {found}  ({time.monotonic() - start:.0f} s)"
        print(f"{text}  {why}" if why else text, flush=True)
        if found.failed:
            bad.append(text)
        if found.failed or options.verbose:
            shown = log.read_text(errors="replace").splitlines()
            if found.failed and len(shown) > SHOWN and not options.verbose:
                print(f"      | ... (all of it: {log.relative_to(ROOT)})")
                shown = shown[-SHOWN:]
            print("".join(f"      | {line}\n" for line in shown), end="", flush=True)
    seconds = time.monotonic() - begin
    print(f"\n{len(steps)} steps in {seconds // 60:.0f} min {seconds % 60:.0f} s")
    print("".join(f"    {text}\n" for text in bad), end="")
    print(every, flush=True)
    return 1 if every.failed or not every.passed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\ninterrupted")
