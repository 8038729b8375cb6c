#!/usr/bin/env python3
"""Runs the tests of mpi4py 4.1.2 under an mpiexec with 1 to 4 ranks (some with 5), against the mpi4py that the Python has.

    .venv/bin/python tests/mpi4py-suite/run.py                            # all files that are due
    .venv/bin/python tests/mpi4py-suite/run.py --ranks 2 p2p_buf comm     # test_p2p_buf and test_comm, 2 ranks
    .venv/bin/python tests/mpi4py-suite/run.py --original                 # the original mpi4py over our library

The files come from mpi4py's source distribution, unchanged. A test passes when it passes on all ranks. Each file is a
job of its own with a time limit; one that hangs ends with a report in which test every rank was, and where. The table
goes to build/mpi4py-tests as well. Exit status 0: nothing failed.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(1, str(HERE.parent / "python"))

import suite  # noqa: E402  (the folder has to be on the path first)
import table  # noqa: E402
from support.job import Limits, default_mpiexec, run_in_jobs  # noqa: E402
from verdict import Judge, Row  # noqa: E402

RANK = HERE.parent / "python" / "support" / "rank.py"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Runs mpi4py's own tests; see the top of this file.")
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="test_comm or comm; with * as a pattern (default: all due)"
    )
    parser.add_argument("--later", action="store_true", help="also the files of later issues; they do not count")
    parser.add_argument("--ranks", help="numbers of ranks (default: those of files.toml)")
    parser.add_argument("--quick", action="store_true", help="long files with few numbers of ranks only (files.toml)")
    parser.add_argument("--original", action="store_true", help="under the original mpi4py, built against our mpi.h")
    parser.add_argument("--python", help="the Python of the ranks (default: this one, or the original's)")
    parser.add_argument("--mpiexec", help="the launcher, options included (default: the one beside this Python)")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for a file's job (default: 600)")
    parser.add_argument("--stall", type=float, default=180, help="seconds in which no rank ends a test (default: 180)")
    parser.add_argument("-k", metavar="PATTERN", help="only tests with this in Class.method; several with ' or '")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="show what is skipped or missing, too, test by test"
    )
    parser.add_argument("--list", action="store_true", help="print the files by chapter, and stop")
    return parser.parse_args()


def choose(options: argparse.Namespace) -> list[tuple[str, list[int], bool]]:
    """The files to run, in the order of files.toml, with which numbers of ranks, and whether what fails in them counts."""
    chapters = suite.chapters()
    every = [file for chapter in chapters for file in chapter.files]
    ranks = {file: chapter.quick if options.quick else chapter.ranks for chapter in chapters for file in chapter.files}
    if options.files:
        wanted: set[str] = set()
        for word in options.files:
            pattern = "test_" + Path(word).stem.removeprefix("test_")
            found = {file for file in every if Path(file).match(pattern)}
            if not found:
                raise suite.Problem(f"mpi4py {suite.VERSION} has no test file {pattern}.py")
            wanted |= found
        return [(file, ranks[file], True) for file in every if file in wanted]
    chosen = [chapter for chapter in chapters if chapter.due or options.later]
    return [(file, ranks[file], chapter.due) for chapter in chosen for file in chapter.files]


def run(options: argparse.Namespace, ranks: list[int]) -> list[Row]:
    """`ranks`: with these numbers of ranks only, whatever files.toml says; none: as it says."""
    folder = suite.tests()
    judge = Judge(options.under)
    launch = shlex.split(options.mpiexec)
    limits = Limits(options.timeout, options.stall)
    rows = []
    chosen = choose(options)
    for number in ranks or sorted({number for _, own, _ in chosen for number in own}):
        for file, own, due in chosen:
            if not ranks and number not in own:
                continue
            command = [*launch, "-n", str(number), options.python, str(RANK), str(folder / f"{file}.py")]
            if options.k:
                command += ["-k", options.k]
            begin = time.monotonic()
            outcomes = run_in_jobs(command, number, limits)
            row = Row(file, number, due, time.monotonic() - begin)
            row.verdicts += judge.judge(file, number, outcomes, everything=not options.k)
            rows.append(row)
            show(row, options.verbose)
    return rows


def show(row: Row, verbose: bool) -> None:
    counts = zip(("passed", "FAILED", "missing", "skipped"), row.numbers()[1:], strict=True)
    text = ", ".join(f"{count} {word}" for word, count in counts if count) or "no tests"
    print(f"{row.file:24} n={row.ranks}  {text}  ({row.seconds:.1f} s)", flush=True)
    for verdict in row.verdicts:
        if verdict.kind == "failed" or (verbose and verdict.kind != "passed"):
            print(f"    {verdict.kind:8} {verdict.test}  ({verdict.seconds:.2f} s)")
            print("".join(f"        {line}\n" for line in verdict.text.splitlines()), end="", flush=True)


def main() -> int:
    options = parse()
    if options.list:
        for chapter in suite.chapters():
            print(f"{chapter.name}{'' if chapter.due else ' (later)'}: {' '.join(chapter.files)}")
        return 0
    try:
        ranks = [int(word) for word in options.ranks.split(",")] if options.ranks else []
    except ValueError:
        sys.exit(f"--ranks takes numbers with commas between them, not {options.ranks!r}.")
    options.under = "original" if options.original else "foreign" if os.environ.get("MPI4PY_LIBMPI") else "ours"
    try:
        if options.original and options.python is None:
            import original

            options.python = str(original.environment())
        options.python = options.python or sys.executable
        options.mpiexec = options.mpiexec or default_mpiexec(sys.executable)
        rows = run(options, ranks)
    except suite.Problem as problem:
        print(f"FAIL  {problem}")
        return 1
    report = [*table.lines(rows), *table.summary(rows)]
    results = suite.ROOT / "build" / "mpi4py-tests"
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{options.under}.txt").write_text("\n".join(report) + "\n")
    (results / f"{options.under}.tsv").write_text(table.tsv(rows))
    counted = [verdict for row in rows if row.due for verdict in row.verdicts]
    kinds = {kind: sum(v.kind == kind for v in counted) for kind in ("passed", "failed", "missing", "skipped")}
    print("\n" + "\n".join(report))
    if kinds["missing"]:
        print(f"\n{kinds['missing']} of the skipped ones are in missing.toml")
    print(f"\n{kinds['passed']} passed, {kinds['failed']} failed, {kinds['skipped'] + kinds['missing']} skipped")
    return 1 if kinds["failed"] or not kinds["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
