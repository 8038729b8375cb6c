#!/usr/bin/env python3
"""Many ranks on few cores: 64 run every collective with the right results; 4, 64 and 256 start, pass a barrier and end, and the
memory that a rank takes is reported. Part of `make stress`.

    python3 tests/stress/many.py
    python3 tests/stress/many.py --calls 0 --ranks 4 256     # the memory alone

The memory is what the kernel says in /proc/self/smaps_rollup before MPI_Finalize: `private` is the process's own, `shared` its
share (Pss) of what the ranks have in common. It may grow linearly: a rank of 256 takes at most twice what a rank of 4 does.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from collectives import BIN
from collectives import run as run_collectives

PROGRAM = """
from mpi4py import MPI
comm = MPI.COMM_WORLD
comm.Barrier()
lines = [line.split() for line in open("/proc/self/smaps_rollup") if line.endswith(" kB\\n")]
size = {line[0].rstrip(":"): int(line[1]) for line in lines}
own = size["Private_Clean"] + size["Private_Dirty"]
common = size["Pss_Shmem"]
sums = comm.allreduce(own), comm.allreduce(common)
if comm.rank == 0:
    print(comm.size, *(total // comm.size for total in sums))
"""
GROWTH = 2.0


def memory(ranks: int) -> tuple[int, int]:
    """KiB per rank: its own and its share of the common."""
    begin = time.monotonic()
    done = subprocess.run(
        [BIN / "mpiexec", "-n", str(ranks), BIN / "python", "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=60 + 2 * ranks,
        check=False,
    )
    words = done.stdout.split()
    if done.returncode or done.stderr or len(words) != 3 or int(words[0]) != ranks:
        raise SystemExit(f"FAIL {ranks} ranks: exit status {done.returncode}\n{done.stdout}{done.stderr[-4000:]}")
    own, common = int(words[1]), int(words[2])
    seconds = time.monotonic() - begin
    print(f"ok   {ranks} ranks: private {own} KiB, shared {common} KiB for each ({seconds:.1f} s)", flush=True)
    return own, common


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=300, metavar="N", help="collectives of 64 ranks (300)")
    parser.add_argument("--ranks", type=int, nargs="*", default=[4, 64, 256], metavar="N", help="4 64 256")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="another one makes other calls (1)")
    options = parser.parse_args()
    if options.calls and not run_collectives(64, options.calls, options.seed):
        return 1
    sizes = [sum(memory(ranks)) for ranks in options.ranks]
    if max(sizes) > GROWTH * sizes[0]:
        print(f"FAIL a rank takes up to {max(sizes)} KiB, with {options.ranks[0]} ranks {sizes[0]}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
