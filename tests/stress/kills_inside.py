#!/usr/bin/env python3
"""A rank is killed inside each kind of collective: the others must end within a second, with the right sentence.

    python3 tests/stress/kills_inside.py               # one kind of each form and size that the seed draws: make test
    python3 tests/stress/kills_inside.py --all         # all kinds, forms and sizes: make stress

Four ranks call one collective again and again (collectives_rank.py): blocking, nonblocking or persistent, of 8 B, 64 KiB or 2 MiB
for each rank. One of them is killed at a random moment. Then the same must hold as in kills.py; with `--within` mpiexec must
end that many seconds after the death.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import resource
import sys
import time
from pathlib import Path

from kills import KILL, Job, Kill, Wrong, right, summary
from run import BIN

PROGRAM = Path(__file__).resolve().parent / "collectives_rank.py"
RANKS = 4
KINDS = [
    "barrier",
    "bcast",
    "gather",
    "gatherv",
    "scatter",
    "scatterv",
    "allgather",
    "allgatherv",
    "alltoall",
    "alltoallv",
    "reduce",
    "allreduce",
    "scan",
    "exscan",
    "reduce_scatter",
    "reduce_scatter_block",
]
FORMS = {"-": "blocking", "I": "nonblocking", "_init": "persistent"}
# Elements of float64.
SIZES = (1, 8 << 10, 256 << 10)


def kill_inside(kind: str, form: str, count: int, rng: random.Random) -> float:
    """Seconds from the death to mpiexec's end."""
    kill = Kill(RANKS, rng.randrange(RANKS), KILL, "middle", rng.random() * 0.1, 0)
    job = Job(RANKS, [BIN / "python", PROGRAM, kind, form, str(count)])
    try:
        job.wait_for(" is process ", RANKS)
        time.sleep(kill.delay)
        victim = job.pid(kill.victim)
        begun = time.monotonic()
        os.kill(victim, KILL.signal)
        seconds, stderr = job.finish(victim, begun)
        status, left = job.process.returncode, job.left()
        if not right(kill, KILL, status, stderr):
            raise Wrong(f"status {status} after {seconds:.3f} s, standard error: {stderr or '(empty)'}")
        if left:
            raise Wrong(f"left behind: {', '.join(left)}")
        return seconds
    finally:
        job.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--all", action="store_true", help="all kinds in all forms and sizes")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="another one makes other deaths (1)")
    parser.add_argument("--within", type=float, metavar="SECONDS", help="a job that ends later is a failure")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    rng = random.Random(options.seed)
    cases = list(itertools.product(KINDS, FORMS, SIZES))
    if not options.all:
        cases = [(rng.choice(KINDS), form, size) for form in FORMS for size in SIZES]
    times = []
    failed = 0
    # Those that count who has come, when there are many ranks on few cores.
    counted = [("barrier", "-", 1), ("allreduce", "-", 1)]
    for number, (kind, form, count) in enumerate([*cases, *counted]):
        name = f"{FORMS[form]} {kind} of {count * 8} B"
        if number == len(cases):
            os.environ["OXMPI_COUNTED_FROM"] = "2"
        try:
            seconds = kill_inside(kind, form, count, rng)
            times.append(seconds)
            if options.within is not None and seconds > options.within:
                raise Wrong(f"it ended {seconds:.3f} s later, which is more than {options.within} s")
        except Wrong as wrong:
            failed += 1
            print(f"FAIL  a rank killed in {name}: {wrong}", flush=True)
    bad = f", {failed} went wrong" if failed else ""
    print(
        f"{'FAIL' if failed else 'ok  '}  {len(cases) + len(counted)} kills inside collectives, seed {options.seed}{bad}: jobs ended {summary(times)}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
