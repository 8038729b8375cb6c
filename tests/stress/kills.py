#!/usr/bin/env python3
"""A rank of the stress program dies at a random moment: the rest of `make stress`, and a few times in `make test`.

    python3 tests/stress/kills.py                          # 10 times
    python3 tests/stress/kills.py --kills 200 --within 1   # make stress
    python3 tests/stress/kills.py --seed 7 --kills 500 -v

One of two to four ranks ends by a signal, with exit code 3, or with 0 but without MPI_Finalize: while the job starts, in
the middle, or at the end. Then mpiexec must give the right exit status and one sentence, the right one, and nothing else,
and when it has ended, no process of the job is there any more and no file. With `--within` it must end that many
seconds after the death. The moments follow from the seed as far as the machine allows.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from run import BIN, PROGRAM, build

LIMIT = 60.0
"""Seconds after which a job counts as hanging."""

ENDLESS, SHORT = 10**12, 3000
"""Messages of a job that does not end by itself, and of one of which the end is wanted."""


@dataclass(frozen=True)
class Way:
    """A way to die."""

    name: str
    signal: signal.Signals
    status: int
    cause: str


KILL = Way(
    "SIGKILL", signal.SIGKILL, 137, "was killed by signal 9 (SIGKILL: killed: by somebody, or for lack of memory)"
)
# The program answers these two signals with an exit.
LEAVE = Way("exit 3", signal.SIGUSR1, 3, "ended with exit code 3")
QUIT = Way("exit 0", signal.SIGUSR2, 1, "ended without MPI_Finalize (exit code 0) while others waited")
WAYS = [
    KILL,
    Way("SIGSEGV", signal.SIGSEGV, 139, "was killed by signal 11 (SIGSEGV: segmentation fault)"),
    Way("SIGABRT", signal.SIGABRT, 134, "was killed by signal 6 (SIGABRT: aborted)"),
    LEAVE,
    QUIT,
]
# What they may be as well while the job starts: before the program has begun, and before MPI_Init.
EARLY = {
    LEAVE: [Way("SIGUSR1", signal.SIGUSR1, 138, "was killed by signal 10 (SIGUSR1: user signal 1)")],
    QUIT: [
        Way("SIGUSR2", signal.SIGUSR2, 140, "was killed by signal 12 (SIGUSR2: user signal 2)"),
        Way("exit 0", signal.SIGUSR2, 1, "ended without MPI_Init (exit code 0) while others waited"),
    ],
}

MOMENTS = ["start", "middle", "middle", "end"]


class Wrong(Exception):
    """What is wrong with how a job ended."""


class TooLate(Exception):
    """The job was over before anybody was killed."""


class Job:
    """A program under mpiexec, in a folder of its own, with a mark in the environment of every process."""

    def __init__(self, ranks: int, program: list[str | Path]) -> None:
        self.ranks = ranks
        self.mark = uuid.uuid4().hex
        self.folder = tempfile.TemporaryDirectory(prefix="stress-")
        self.shared = shared_files()
        self.process = subprocess.Popen(
            [BIN / "mpiexec", "-n", str(ranks), *program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # `wait_for` takes whole lines and no more
            cwd=self.folder.name,
            env={**os.environ, "TMPDIR": self.folder.name, "STRESS_MARK": self.mark},
        )
        self.stdout = ""

    def pid(self, rank: int) -> int:
        """The process of a rank, as soon as there is one: mpiexec's children are the guardian and the ranks, in order."""
        own = self.process.pid
        end = time.monotonic() + LIMIT
        while self.process.poll() is None:
            children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
            if len(children) > rank + 1:
                return int(children[rank + 1])
            if time.monotonic() > end:
                raise Wrong(f"rank {rank} does not start")
        raise TooLate

    def wait_for(self, text: str, times: int) -> None:
        """Until so many lines with `text` were printed."""
        assert self.process.stdout
        while times:
            line = self.process.stdout.readline().decode()
            if not line:
                raise Wrong(f"ended without '{text}'")
            self.stdout += line
            times -= text in line

    def finish(self, victim: int, begun: float) -> tuple[float, str]:
        """Seconds since `begun` to mpiexec's end, and its standard error."""
        try:
            stdout, stderr = self.process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            state = Path(f"/proc/{victim}/stat").read_text().rpartition(")")[2].split()[0]
            hang = f"it has not ended {LIMIT:.0f} s later; the state of the victim's process is {state}"
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
            raise Wrong(hang) from None
        seconds = time.monotonic() - begun
        self.stdout += stdout.decode()
        return seconds, stderr.decode()

    def close(self) -> None:
        """Leaves nothing, whatever went wrong."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self.folder.cleanup()

    def left(self) -> list[str]:
        """What is still there of the job."""
        found = [f"process {entry}" for entry in self.processes()]
        found += [f"file {path}" for path in Path(self.folder.name).rglob("*")]
        return found + [f"/dev/shm/{name}" for name in shared_files() - self.shared]

    def processes(self) -> Iterator[str]:
        mark = f"STRESS_MARK={self.mark}".encode()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    yield f"{entry.name} ({(entry / 'comm').read_text().strip()})"


def shared_files() -> set[str]:
    return {name for name in os.listdir("/dev/shm") if "oxmpi" in name}


@dataclass
class Kill:
    """What is going to happen."""

    ranks: int
    victim: int
    way: Way
    moment: str
    delay: float
    seed: int

    def __str__(self) -> str:
        when = f"{self.moment} + {1000 * self.delay:.1f} ms"
        return f"rank {self.victim} of {self.ranks}, {self.way.name}, {when}, seed {self.seed}"


def draw(rng: random.Random) -> Kill:
    ranks = rng.randint(2, 4)
    moment = rng.choice(MOMENTS)
    delay = rng.random() * {"start": 0.02, "middle": 0.3, "end": 0.004}[moment]
    return Kill(ranks, rng.randrange(ranks), rng.choice(WAYS), moment, delay, rng.randrange(10**6))


def happen(kill: Kill) -> float:
    """Seconds from the death to mpiexec's end."""
    messages = SHORT if kill.moment == "end" else ENDLESS
    job = Job(kill.ranks, [PROGRAM, "-p", "-m", str(messages), "-s", str(kill.seed)])
    try:
        if kill.moment == "middle":
            job.wait_for(" is process ", kill.ranks)
        elif kill.moment == "end":
            job.wait_for(" has everything", 1)
        time.sleep(kill.delay)
        victim = job.pid(kill.victim)
        begun = time.monotonic()
        with suppress(ProcessLookupError):  # the job is over
            os.kill(victim, kill.way.signal)
        seconds, stderr = job.finish(victim, begun)
        left = job.left()
        outcome = f"status {job.process.returncode} after {seconds:.3f} s, standard error: {stderr or '(empty)'}"
        if kill.moment == "end" and (job.process.returncode, stderr) == (0, ""):
            # It was over before, or nobody waited for the one that left.
            if kill.way is not QUIT:
                if "every byte" not in job.stdout:
                    raise Wrong(outcome)
                raise TooLate
        elif not any(right(kill, way, job.process.returncode, stderr) for way in expected(kill)):
            raise Wrong(outcome)
        if left:
            raise Wrong(f"left behind: {', '.join(left)}")
        return seconds
    finally:
        job.close()


def expected(kill: Kill) -> list[Way]:
    return [kill.way, *(EARLY.get(kill.way, []) if kill.moment == "start" else [])]


def right(kill: Kill, way: Way, status: int, stderr: str) -> bool:
    """Whether this is what mpiexec should say."""
    others = kill.ranks - 1
    ended = "; the other rank was ended" if others == 1 else f"; the other {others} ranks were ended"
    if kill.moment == "end":
        # Some may have ended by themselves.
        ended = r"(; (the|one) other rank was ended|; (the other \d|\d other) ranks were ended)?"
    sentence = re.escape(f"mpiexec: rank {kill.victim} of {kill.ranks} failed first: it {way.cause}") + ended + "\n"
    return status == way.status and re.fullmatch(sentence, stderr) is not None


def kills(count: int, seed: int, within: float | None, verbose: bool) -> bool:
    """So many deaths; whether all was as it should be."""
    rng = random.Random(seed)
    took: dict[str, list[float]] = {}
    failed = done = 0
    begun = time.monotonic()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while done < count:
        kill = draw(rng)
        try:
            seconds = happen(kill)
            took.setdefault(kill.way.name, []).append(seconds)
            if within is not None and seconds > within:
                raise Wrong(f"it ended {seconds:.3f} s later, which is more than {within} s")
            if verbose:
                print(f"      {kill}: {seconds:.3f} s", flush=True)
        except TooLate:
            continue
        except Wrong as wrong:
            failed += 1
            print(f"FAIL  {kill}: {wrong}", flush=True)
        done += 1
    for name, times in sorted(took.items()):
        print(f"      {name}: {len(times)} times, ended {summary(times)}")
    every = [seconds for times in took.values() for seconds in times]
    bad = f", {failed} went wrong" if failed else ""
    end = f"jobs ended {summary(every)} ({time.monotonic() - begun:.0f} s)"
    print(f"{'FAIL' if failed else 'ok  '}  {done} kills, seed {seed}{bad}: {end}", flush=True)
    return not failed


def summary(seconds: list[float]) -> str:
    if not seconds:
        return "never"
    return f"{median(seconds):.3f} s later, at worst {max(seconds):.3f} s"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=10, metavar="N", help="how many (10)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="another one makes other deaths (1)")
    parser.add_argument("--within", type=float, metavar="SECONDS", help="a job that ends later is a failure")
    parser.add_argument("-v", "--verbose", action="store_true", help="name each")
    options = parser.parse_args()
    build()
    return 0 if kills(options.kills, options.seed, options.within, options.verbose) else 1


if __name__ == "__main__":
    sys.exit(main())
