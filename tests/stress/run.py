#!/usr/bin/env python3
"""Messages of all kinds, every byte of them checked: `make stress`, and a short form in `make test`.

    python3 tests/stress/run.py                        # 200,000 messages over 2 and over 4 ranks
    python3 tests/stress/run.py --messages 10000000    # what make stress does, before kills.py
    python3 tests/stress/run.py --seed 7 --ranks 3

The program (README.md in this folder) is compiled with the mpicc of `.venv` and started by its mpiexec. A run that does not end
in time is stopped and counts as failed, and so does one in which fewer messages have arrived whole.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BIN = ROOT / ".venv" / "bin"
PROGRAM = ROOT / "build" / "stress" / "stress"
# Messages per second that are expected at the least; 2 cores that do nothing else make 45,000.
SLOWEST = 2_000


def build() -> None:
    PROGRAM.parent.mkdir(parents=True, exist_ok=True)
    sources = sorted(HERE.glob("*.c"))
    subprocess.run([BIN / "mpicc", "-O2", "-Wall", "-Wextra", *sources, "-o", PROGRAM, "-lpthread"], check=True)


def run(ranks: int, messages: int, seed: int) -> bool:
    limit = 60 + messages / SLOWEST
    name = f"{messages} messages, {ranks} ranks, seed {seed}"
    begin = time.monotonic()
    command: list[str | Path] = [BIN / "mpiexec", "-n", str(ranks), PROGRAM, "-m", str(messages), "-s", str(seed)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        print(f"FAIL {name}: stopped after {limit:.0f} s")
        return False
    said = re.fullmatch(r"(\d+) messages, .*: every byte as it was sent; .*\n", done.stdout)
    good = done.returncode == 0 and said is not None and int(said[1]) >= messages and not done.stderr
    print(f"{'ok  ' if good else 'FAIL'} {name}: {done.stdout.strip()} ({time.monotonic() - begin:.0f} s)", flush=True)
    if not good:
        print(f"exit status {done.returncode}\n{done.stderr[-4000:]}")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=200_000, metavar="N", help="for each number of ranks (200000)")
    parser.add_argument("--ranks", type=int, nargs="*", default=[2, 4], metavar="N", help="2 and 4")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="another one makes other messages (1)")
    options = parser.parse_args()
    build()
    return 0 if all([run(ranks, options.messages, options.seed) for ranks in options.ranks]) else 1


if __name__ == "__main__":
    sys.exit(main())
