#!/usr/bin/env python3
"""Measures oxmpi beside mpi4py on MPICH, Open MPI and Intel MPI: `make bench`.

The same programs (bench/programs/) run under each library in turn, round by round, and
a table of medians, minima and ratios is written. bench/README.md says what each row
measures. Needs Python 3.11 and, for the first run, a package index.
"""

from __future__ import annotations

import argparse
import datetime
import shlex
import sys
import tempfile
import time
from pathlib import Path

from driver import machine, plan, processes, report, summary
from driver.environments import (
    BENCH,
    OURS,
    REPO,
    EnvironmentProblem,
    Library,
    ours,
    peers,
)
from driver.measure import OK, Runner, Settings, measure
from driver.progress import Progress


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="fewer rows, 2 rounds, below 2 minutes")
    add("--more", action="store_true", help="also the rows outside the usual set")
    add("--rounds", type=int, help="default 7, with --quick 2")
    add("--loops", type=int, help="timed loops per row and run (5; 3)")
    add("--loop-ms", type=float, help="length of a timed loop (25; 15)")
    add("--idle-s", type=float, help="how long the idle ranks wait (10; 2)")
    add("--row-limit", type=float, default=20.0, metavar="S", help="then it hangs (20)")
    add("--only", default="", metavar="GROUPS", help=f"of {','.join(plan.groups())}")
    add(
        "--rows", default="", metavar="PATTERNS", help="such as 'pp/*,n4/*/8B,alltoall'"
    )
    add("--list", action="store_true", help="print the rows and their goals, and stop")
    add("--ours", type=Path, default=REPO / ".venv", metavar="PREFIX", help="our build")
    add("--no-ours", action="store_true", help="the peers alone")
    add("--peers", metavar="NAMES", help="only these of peers.toml")
    add(
        "--peers-dir", type=Path, help="use the environments in this folder as they are"
    )
    add("--out", type=Path, help="without ending; docs/benchmarks/<date>")
    args = parser.parse_args()
    args.only = _names(args.only)
    args.rows = _names(args.rows)
    if unknown := set(args.only) - set(plan.groups()):
        parser.error(f"--only: no such group: {', '.join(sorted(unknown))}")
    for name in ("rounds", "loops", "loop_ms", "idle_s", "row_limit"):
        value = getattr(args, name)
        if value is not None and value <= 0:
            parser.error(f"--{name.replace('_', '-')} must be above 0")
    return args


def _names(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def settings_of(args: argparse.Namespace) -> Settings:
    quick = args.quick
    return Settings(
        rounds=args.rounds or (2 if quick else 7),
        loops=args.loops or (3 if quick else 5),
        loop_ms=args.loop_ms or (15.0 if quick else 25.0),
        idle_s=args.idle_s or (2.0 if quick else 10.0),
        row_limit_s=args.row_limit,
        startup_repeats=1 if quick else 2,
    )


def list_rows(units: list[plan.Unit], goals: list[summary.Goal]) -> None:
    for row in (row for unit in units for row in unit.rows):
        goal = summary.goal_of(row.name, goals)
        limit = "" if goal is None else goal.limit(row.unit)
        title = f"{row.title}, against {row.versus}" if row.versus else row.title
        print(f"{row.name:32} {row.group:12} {limit:6} {title}")


def find_libraries(args: argparse.Namespace) -> list[Library]:
    names = None if args.peers is None else _names(args.peers)
    # An absolute prefix without resolving links: bin/python of an environment is one.
    prefixes = [p and Path.cwd() / p for p in (args.ours, args.peers_dir)]
    found = peers(names, prefixes[1], REPO / ".venv-peers")
    own = None if args.no_ours else ours(prefixes[0])
    if own is None and not args.no_ours:
        print("our own build is not there: the peers alone", file=sys.stderr)
    return [*([own] if own else []), *found]


def probe(
    libraries: list[Library], settings: Settings
) -> tuple[list[Library], dict[str, dict[str, object]]]:
    """Those that run, and what they are. Says so when one differs from its pins."""
    versions: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as tmp:
        runner = Runner(settings, Path(tmp))
        for library in libraries:
            try:
                said = runner.versions(library)
            except RuntimeError as problem:
                if library.is_ours:
                    raise EnvironmentProblem(str(problem)) from None
                print(problem, file=sys.stderr)
                continue
            name = str(said["library"]).partition(", package:")[0]
            said["library"] = " ".join(name.split())
            versions[library.name] = said
            _compare_pins(library, said)
    for kind in ("python", "numpy"):
        if len({str(said[kind]) for said in versions.values()}) > 1:
            print(f"the libraries do not have the same {kind}", file=sys.stderr)
    return [lib for lib in libraries if lib.name in versions], versions


def _compare_pins(library: Library, said: dict[str, object]) -> None:
    packages = said.pop("packages")
    assert isinstance(packages, dict)
    have = {**packages, "mpi4py": said["mpi4py"], "numpy": said["numpy"]}
    for pin in library.pins:
        name, _, version = pin.partition("==")
        if have.get(name) != version:
            print(
                f"{library.title} has {name} {have.get(name)}, peers.toml {version}",
                file=sys.stderr,
            )


def command_line() -> str:
    """As typed, but folders outside the project by their last name only."""

    def shown(arg: str) -> str:
        option, sign, value = arg.rpartition("=")
        return f"{option}{sign}.../{Path(value).name}" if value[:1] == "/" else arg

    return f"python3 bench/run.py {shlex.join(map(shown, sys.argv[1:]))}".strip()


def default_out(args: argparse.Namespace, date: str) -> Path:
    """A part of the rows is no result to keep: it goes to the ignored build folder."""
    if args.quick or args.only or args.rows or args.no_ours or args.peers is not None:
        return REPO / "build" / "bench" / "last"
    return REPO / "docs" / "benchmarks" / date


def main() -> int:
    args = arguments()
    goals = summary.read_goals(BENCH / "goals.toml")
    units = plan.choose(args.only, args.rows, quick=args.quick, more=args.more)
    if args.list:
        list_rows(units, goals)
        return 0
    if not units:
        print("no row matches (see --list)", file=sys.stderr)
        return 2

    settings = settings_of(args)
    start = time.monotonic()
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    processes.become_reaper()
    try:
        libraries, versions = probe(find_libraries(args), settings)
    except EnvironmentProblem as problem:
        print(problem, file=sys.stderr)
        return 2
    if not libraries:
        print("there is nothing to measure", file=sys.stderr)
        return 2
    warning = machine.quiet_warning()
    if warning:
        print(f"warning: {warning}", file=sys.stderr)

    total = sum(len(u.rows) * (1 if u.once else settings.rounds) for u in units)
    progress = Progress(total * len(libraries))
    measured = measure(libraries, units, settings, progress)
    progress.close()

    head = report.Head(
        date=date,
        command=command_line(),
        commit=machine.commit(),
        settings=settings,
        machine=machine.description(),
        versions=versions,
        warning=warning,
        elapsed_s=time.monotonic() - start,
    )
    lines = summary.summarise(units, [lib.name for lib in libraries], measured, goals)
    out = args.out or default_out(args, date)
    md, js = report.write(out, head, libraries, measured, lines)
    print(md.read_text())
    print(f"written: {md} and {js.name}")
    own = [line.figures[OURS] for line in lines if OURS in line.figures]
    return 1 if any(figures.state != OK for figures in own) else 0


if __name__ == "__main__":
    sys.exit(main())
