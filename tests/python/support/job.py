"""The jobs of the runners (run.py here, and tests/mpi4py-suite): one job starts the ranks of a test file, follows what they
write, ends them, and joins the results; `run_in_jobs` takes as many as the file needs."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

MARK = "OXMPI_TEST_JOB"  # in the environment of every process of a job, however far down
GRACE = 3.0  # seconds for the other ranks to end a test that failed on one
TAIL = 30  # lines of a job's output and of a rank's stack that are shown


class Limits(NamedTuple):
    job: float  # seconds for the whole job
    stall: float  # seconds without a record from any rank


@dataclass
class Outcome:
    result: str  # pass, fail, skip
    text: str = ""
    seconds: float = 0.0


@dataclass
class Rank:
    """What one rank has written so far."""

    pid: int = 0
    number: int | None = None
    tests: list[str] | None = None
    current: str | None = None
    ends: dict[str, dict[str, Any]] = field(default_factory=dict)
    done: bool = False
    failed: str | None = None
    offset: int = 0

    def read(self, log: Path) -> bool:
        """Takes in new lines; says whether there were any."""
        with open(log) as file:
            file.seek(self.offset)
            text = file.read()
        whole = text[: text.rfind("\n") + 1]
        self.offset += len(whole.encode())
        for line in whole.splitlines():
            self.take(json.loads(line))
        return bool(whole)

    def take(self, record: dict[str, Any]) -> None:
        match record["kind"]:
            case "boot":
                self.pid = record["pid"]
            case "hello":
                self.number = record["rank"]
            case "list":
                self.tests = record["tests"]
            case "begin":
                self.current = record["test"]
            case "end":
                self.current = None
                self.ends[record["test"]] = record
                if record["result"] == "fail":
                    self.failed = record["test"]
            case "done":
                self.done = True


class Job:
    def __init__(self, command: list[str], size: int, limits: Limits, only: list[str] | None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="oxmpi-test-"))
        self.size, self.limits = size, limits
        self.command = [*command, "--log", str(self.folder)]
        if only is not None:
            chosen = self.folder / "only.json"
            chosen.write_text(json.dumps(only))
            self.command += ["--only", str(chosen)]
        self.token = uuid.uuid4().hex
        self.ranks: dict[str, Rank] = {}
        self.status: int | None = None
        self.verdict = ""  # why the job was ended by the runner
        self.left_behind = 0
        self.stacks = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def tests(self) -> list[str] | None:
        """The tests of the file in the order in which all ranks run them, once a rank has said so."""
        return next((rank.tests for rank in self.ranks.values() if rank.tests is not None), None)

    # -- running ------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        environment = os.environ | {MARK: self.token}
        with open(self.folder / "output", "wb") as output:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        begin = news = time.monotonic()
        pause = 0.01
        while self.process.poll() is None:
            time.sleep(pause)
            now = time.monotonic()
            if self.read():
                news = now
            if self.decide(now - begin, now - news):
                break
            pause = min(0.05, pause * 1.2)
        if self.process.poll() is None:
            self.kill()
            self.process.wait()
        else:
            self.status = self.process.returncode
            self.left_behind = self.wait_for_all()
            self.kill()
        self.read()
        if self.status:
            self.read_stacks()

    def read(self) -> bool:
        found = False
        for log in self.folder.glob("*.log"):
            found |= self.ranks.setdefault(log.name, Rank()).read(log)
        return found

    def decide(self, since_begin: float, since_news: float) -> bool:
        """Whether the job has to be ended by force."""
        failed = [rank for rank in self.ranks.values() if rank.failed is not None]
        if failed:
            # Wait for the other ranks' word about this test, but not for long.
            missing = self.size - sum(failed[0].failed in rank.ends for rank in self.ranks.values())
            if missing and since_news < GRACE:
                return False
            if missing:
                self.take_stacks()
            self.verdict = "a rank failed"
            return True
        if since_begin > self.limits.job:
            self.verdict = f"TIME-OUT: the job was not done after {self.limits.job:g} s and was killed"
        elif since_news > self.limits.stall:
            self.verdict = f"TIME-OUT: nothing happened for {self.limits.stall:g} s, killed"
        else:
            return False
        self.take_stacks()
        return True

    def take_stacks(self) -> None:
        """Lets every rank that is in a test write down where it is."""
        members = self.members()
        for rank in self.ranks.values():
            if rank.failed is None and rank.pid in members:
                with contextlib.suppress(OSError):
                    os.kill(rank.pid, signal.SIGUSR1)
        time.sleep(0.3)
        self.read_stacks()

    def read_stacks(self) -> None:
        """What was asked for by `take_stacks`, or written by a rank that crashed."""
        parts = []
        for name, rank in sorted(self.ranks.items(), key=lambda item: item[1].number or 0):
            trace = self.folder / name.replace(".log", ".trace")
            if trace.exists() and rank.failed is None:
                lines = [line for line in trace.read_text().splitlines() if "/unittest/" not in line]
                if lines:
                    where = f"in {rank.current}" if rank.current else "not in a test"
                    parts += [f"rank {rank.number}: {where}", *(f"    {line}" for line in lines[:TAIL])]
        self.stacks = "\n".join(parts)

    # -- ending -------------------------------------------------------------------------------------------------------

    def members(self) -> set[int]:
        """The job's processes: those with its mark in the environment they were started with."""
        mark = f"{MARK}={self.token}".encode()
        found = set()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if mark in (entry / "environ").read_bytes():
                        found.add(int(entry.name))
        return found

    def wait_for_all(self, limit: float = 2.0) -> int:
        """After the launcher's end: how many processes it left behind."""
        deadline = time.monotonic() + limit
        while members := self.members():
            if time.monotonic() > deadline:
                return len(members)
            time.sleep(0.02)
        return 0

    def kill(self) -> None:
        """Ends the launcher's process group and whatever else belongs to the job."""
        for _ in range(50):
            if getattr(self, "process", None) is not None and self.process.poll() is None:
                with contextlib.suppress(OSError):
                    os.killpg(self.process.pid, signal.SIGKILL)
            members = self.members()
            if not members:
                return
            for pid in members:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    # -- results ------------------------------------------------------------------------------------------------------

    def output(self) -> str:
        text = (self.folder / "output").read_text(errors="replace").strip()
        return "\n".join(["output of the job:", *text.splitlines()[-TAIL:]]) if text else ""

    def outcomes(self) -> dict[str, Outcome]:
        """What this job settled: every test that ended on all ranks, and the one that broke the job."""
        if self.tests is None:
            how = self.verdict or f"the job ended with status {self.status} before the tests began"
            return {"(start)": Outcome("fail", "\n".join(filter(None, [how, self.stacks, self.output()])))}
        settled: dict[str, Outcome] = {}
        numbers = sorted(rank.number for rank in self.ranks.values() if rank.number is not None)
        if numbers != list(range(self.size)):
            text = f"expected ranks 0..{self.size - 1} of one world, but these ranks came: {numbers}"
            return {test: Outcome("fail", text) for test in self.tests}
        for rank in self.ranks.values():
            # setUpClass and the like: not in the list, but they can fail.
            for name, record in rank.ends.items():
                if name not in self.tests and record["result"] == "fail":
                    settled[name] = Outcome("fail", f"rank {rank.number}: {record['text']}")
        for test in self.tests:
            records = [(rank.number, rank.ends[test]) for rank in self.ranks.values() if test in rank.ends]
            if len(records) == self.size or any(record["result"] == "fail" for _, record in records):
                settled[test] = self.join(test, records)
        whole = all(test in settled for test in self.tests)
        if not whole and not any(outcome.result == "fail" for outcome in settled.values()):
            culprit = next(test for test in self.tests if test not in settled)
            settled[culprit] = self.broken(culprit)
        elif whole and not self.verdict and (self.status != 0 or self.left_behind):
            settled["(end)"] = self.bad_end()
        return settled

    def join(self, test: str, records: list[tuple[int | None, dict[str, Any]]]) -> Outcome:
        """The ranks' results as one: failed if it failed anywhere, skipped if it ran nowhere."""
        seconds = max(record["seconds"] for _, record in records)
        bad: dict[str, list[int]] = {}
        for number, record in sorted(records, key=lambda item: item[0] or 0):
            if record["result"] == "fail":
                bad.setdefault(record["text"], []).append(number or 0)
        if bad:
            texts = [f"rank {', '.join(map(str, numbers))} of {self.size}: {text}" for text, numbers in bad.items()]
            if len(records) < self.size:
                ended = {number for number, _ in records}
                texts.append(f"not done on ranks {sorted(set(range(self.size)) - ended)}")
                texts.append(self.stacks)
            return Outcome("fail", "\n".join(filter(None, [*texts, self.output()])), seconds)
        if all(record["result"] == "skip" for _, record in records):
            return Outcome("skip", records[0][1]["text"], seconds)
        return Outcome("pass", "", seconds)

    def broken(self, test: str) -> Outcome:
        """The job ended or hung with `test` as the first that is not done on all ranks."""
        where = []
        for rank in sorted(self.ranks.values(), key=lambda rank: rank.number or 0):
            state = (
                "was done with it" if test in rank.ends else "was in it" if rank.current == test else "not there yet"
            )
            where.append(f"rank {rank.number}: {state}")
        how = self.verdict or f"the job ended with status {self.status} in the middle of the tests"
        return Outcome("fail", "\n".join(filter(None, [how, *where, self.stacks, self.output()])))

    def bad_end(self) -> Outcome:
        text = [f"all tests are done, but the job ended with status {self.status}"] if self.status else []
        if self.left_behind:
            text.append(f"{self.left_behind} processes were left behind")
        return Outcome("fail", "\n".join([*text, self.output()]))


def run_in_jobs(command: list[str], size: int, limits: Limits) -> dict[str, Outcome]:
    """All tests of one file, by name. `command` starts rank.py with it on `size` ranks; a job that a failure has ended
    is followed by one for the tests that were not reached."""
    outcomes: dict[str, Outcome] = {}
    rest: list[str] | None = None
    while rest is None or rest:
        with Job(command, size, limits, rest) as job:
            job.run()
            settled = job.outcomes()
            new = settled.keys() - outcomes.keys()
            outcomes |= settled
            if job.tests is None:
                break
            rest = [test for test in job.tests if test not in outcomes]
            if not new:
                # The same thing outside of the tests (setUpClass, the start) failed again: it will do so for ever.
                outcomes |= {test: Outcome("fail", "not run") for test in rest}
                break
    return outcomes


def default_mpiexec(python: str) -> str:
    """The mpiexec beside `python`, or the one on PATH."""
    # Not resolved: a virtual environment's python is a link to one that lies elsewhere.
    beside = Path(shutil.which(python) or python).absolute().with_name("mpiexec")
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        sys.exit(f"No mpiexec beside {python} and none on PATH; name one with --mpiexec.")
    return shlex.quote(found)
