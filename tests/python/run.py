#!/usr/bin/env python3
"""Runs the Python tests under an mpiexec with 1, 2, 3 and 4 ranks and sums up.

    python tests/python/run.py                                       # this Python and the mpiexec beside it
    python tests/python/run.py --python V/bin/python --mpiexec V/bin/mpiexec --ranks 2,4 test_p2p_modes -k ssend

A test passes when it passes on all ranks. A file's job that hangs, or in which a rank fails or dies, is ended whole (a
hang with a report where every rank was); the tests that were not reached yet are then run in a fresh job, so that one
failure does not hide others. Files with `ALONE = True` run once, in one process: their tests start ranks themselves.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from pathlib import Path

from support.job import Limits, Outcome, default_mpiexec, run_in_jobs
from support.rank import is_alone

HERE = Path(__file__).resolve().parent


def report(name: str, outcomes: dict[str, Outcome], seconds: float, verbose: bool) -> dict[str, int]:
    counts = {"pass": 0, "fail": 0, "skip": 0}
    for outcome in outcomes.values():
        counts[outcome.result] += 1
    words = {"pass": "passed", "fail": "FAILED", "skip": "skipped"}
    summary = ", ".join(f"{count} {words[result]}" for result, count in counts.items() if count) or "no tests"
    print(f"{name:40}  {summary}  ({seconds:.1f} s)", flush=True)
    for test, outcome in outcomes.items():
        if verbose or outcome.result == "fail":
            print(f"    {words[outcome.result]:8} {test}  ({outcome.seconds:.2f} s)")
        if outcome.result == "fail" or (verbose and outcome.text):
            print("\n".join(f"        {line}" for line in outcome.text.splitlines()), flush=True)
    return counts


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Runs the Python tests under mpiexec; see the top of this file.")
    parser.add_argument("files", nargs="*", metavar="FILE", help="test_x.py, test_x, or part of it (default: all)")
    parser.add_argument("--python", default=sys.executable, help="the Python of the ranks (default: this one)")
    parser.add_argument("--mpiexec", help="the launcher, options included (default: the one beside the Python)")
    parser.add_argument("--ranks", default="1,2,3,4", help="numbers of ranks; 0: without mpiexec (default: 1,2,3,4)")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for a file's job (default: 300)")
    parser.add_argument("--stall", type=float, default=60, help="seconds without any news from any rank (default: 60)")
    parser.add_argument("-k", metavar="PATTERN", help="only tests with this in Class.method; several with ' or '")
    parser.add_argument("-v", "--verbose", action="store_true", help="a line for every test")
    return parser.parse_args()


def main() -> int:
    options = parse()
    mpiexec = options.mpiexec or default_mpiexec(options.python)
    files = sorted(HERE.glob("test_*.py"))
    if options.files:
        wanted = [Path(name).stem for name in options.files]
        for name in wanted:
            if not any(name in file.stem for file in files):
                sys.exit(f"No test file has {name!r} in its name.")
        exact = {file.stem for file in files} & set(wanted)
        files = [f for f in files if f.stem in exact or any(w in f.stem for w in wanted if w not in exact)]
    try:
        ranks = [int(number) for number in options.ranks.split(",")]
    except ValueError:
        sys.exit(f"--ranks takes numbers with commas between them, not {options.ranks!r}.")

    # For tests that start ranks themselves.
    os.environ["OXMPI_TEST_MPIEXEC"] = mpiexec
    totals = {"pass": 0, "fail": 0, "skip": 0}
    failures: list[str] = []

    def one(file: Path, launch: list[str], number: int, name: str) -> None:
        begin = time.perf_counter()
        command = [*launch, options.python, str(HERE / "support" / "rank.py"), str(file)]
        if options.k:
            command += ["-k", options.k]
        outcomes = run_in_jobs(command, max(number, 1), Limits(options.timeout, options.stall))
        for result, count in report(name, outcomes, time.perf_counter() - begin, options.verbose).items():
            totals[result] += count
        failures.extend(f"{name}: {test}" for test, outcome in outcomes.items() if outcome.result == "fail")

    for file in files:
        if is_alone(file):
            one(file, [], 0, file.name)
    for number in ranks:
        launch = [*shlex.split(mpiexec), "-n", str(number)] if number else []
        for file in files:
            if not is_alone(file):
                one(file, launch, number, f"{file.name}  n={number}" if number else f"{file.name}  no mpiexec")

    if failures:
        print("\nFailed:")
        print("\n".join(f"    {line}" for line in failures))
    print(f"{totals['pass']} passed, {totals['fail']} failed, {totals['skip']} skipped")
    return 1 if totals["fail"] else 0


if __name__ == "__main__":
    sys.exit(main())
