#!/usr/bin/env python3
"""Random sequences of collectives, every result compared with a plain reference: `make stress`, a short form in `make test`.

    python3 tests/stress/collectives.py                     # 1,000 calls over 1, 2, 3, 4, 5 and 8 ranks, some more of 2, 4 and 8
    python3 tests/stress/collectives.py --calls 100000 --ranks 1 2 3 4 5 6 7 8    # what make stress does
    python3 tests/stress/collectives.py --seed 7 --ranks 3

The program is collectives_rank.py, started by the mpiexec of `.venv`. A run that does not end in time is stopped and counts as
failed, and so does one that says anything else than that all calls had the right results.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
BIN = HERE.parent.parent / ".venv" / "bin"
# Calls per second and rank that are expected at the least; 2 cores that do nothing else make 1,200 for each of 8 ranks.
SLOWEST = 100
# Calls of one job: the seeds of a longer run's jobs follow one another.
PART = 10_000


def run(ranks: int, calls: int, seed: int, counted: bool = False) -> bool:
    limit = 60 + calls * ranks / SLOWEST
    name = f"{calls} collectives, {ranks} ranks, seed {seed}"
    words = name + (", counted" if counted else "")
    # Few ranks go the way of many.
    env = {**os.environ, "OXMPI_COUNTED_FROM": "2"} if counted else None
    begin = time.monotonic()
    command: list[str | Path] = [BIN / "mpiexec", "-n", str(ranks), BIN / "python", HERE / "collectives_rank.py"]
    try:
        done = subprocess.run(
            [*command, str(calls), str(seed)], capture_output=True, text=True, timeout=limit, check=False, env=env
        )
    except subprocess.TimeoutExpired as late:
        print(f"FAIL {words}: stopped after {limit:.0f} s\n{(late.stderr or b'').decode(errors='replace')[-4000:]}")
        return False
    good = done.returncode == 0 and done.stdout == f"{name}: every result as it should be\n" and not done.stderr
    print(f"{'ok  ' if good else 'FAIL'} {words} ({time.monotonic() - begin:.0f} s)", flush=True)
    if not good:
        print(f"exit status {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=1000, metavar="N", help="for each number of ranks (1000)")
    parser.add_argument("--ranks", type=int, nargs="*", default=[1, 2, 3, 4, 5, 8], metavar="N", help="1 2 3 4 5 8")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="another one makes other calls (1)")
    options = parser.parse_args()
    good = True
    for ranks in options.ranks:
        for part in range(0, options.calls, PART):
            good &= run(ranks, min(PART, options.calls - part), options.seed + part // PART)
    # Every other number of ranks once more, with the last one to come combining for all, as many ranks on few cores do.
    for ranks in options.ranks[1::2]:
        for part in range(0, options.calls // 3, PART):
            good &= run(ranks, min(PART, options.calls // 3 - part), options.seed + part // PART, counted=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
