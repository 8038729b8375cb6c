#!/usr/bin/env python3
"""Jobs of Python ranks in which something dies; see README.md beside this file.

python tests/crash/test_crash.py [-v] [-k PATTERN]
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import unittest
import uuid
from dataclasses import dataclass
from pathlib import Path

ALONE = True
"""For tests/python/run.py: these tests start ranks themselves."""

LIMIT = 40.0
"""Seconds after which a job counts as hanging. Far above what any needs, since CI machines are slow."""


def mpiexec() -> str:
    beside = Path(sys.executable).absolute().with_name("mpiexec")
    found = os.environ.get("OXMPI_MPIEXEC") or (str(beside) if beside.exists() else shutil.which("mpiexec"))
    if not found:
        raise unittest.SkipTest("there is no mpiexec")
    return found


def setUpModule() -> None:
    version = run(1, "print(MPI.Get_library_version())")
    if version.status != 0:
        raise RuntimeError(f"a job of one rank does not run: {version}")
    if "oxmpi" not in version.stdout:
        raise unittest.SkipTest(f"not the built-in engine: {version.stdout}")


@dataclass
class Outcome:
    status: int
    stdout: str
    stderr: str
    seconds: float

    def __str__(self) -> str:
        return f"status {self.status} after {self.seconds:.2f} s\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"

    @property
    def sentence(self) -> str:
        """mpiexec's own lines."""
        return "\n".join(line for line in self.stderr.splitlines() if line.startswith("mpiexec: "))


class Job:
    """A job that runs; every process of it carries a mark in its environment."""

    def __init__(self, ranks: int, program: str, *flags: str, wrapper: str | None = None) -> None:
        self.mark = f"OXMPI_CRASH_MARK={uuid.uuid4().hex}"
        source = "from array import array\nfrom mpi4py import MPI\nimport os, signal, sys, time\ncomm = MPI.COMM_WORLD\nrank = comm.rank\n"
        source += textwrap.dedent(program)
        command = [sys.executable, "-c", source]
        if wrapper:
            command = ["sh", "-c", wrapper.replace("PYTHON", '"$0" "$@"'), *command]
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            [mpiexec(), *flags, "-n", str(ranks), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **dict([self.mark.split("=")])},
        )

    def wait_for(self, text: str) -> None:
        """Reads standard output up to a line with `text`."""
        assert self.process.stdout
        while text not in (line := self.process.stdout.readline()):
            if not line:
                raise AssertionError(f"ended without '{text}':\n{self.finish()}")

    def finish(self) -> Outcome:
        try:
            stdout, stderr = self.process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            stdout, stderr = self.process.communicate()
            raise AssertionError(f"the job hangs\n--- stdout\n{stdout}\n--- stderr\n{stderr}") from None
        return Outcome(self.process.returncode, stdout, stderr, time.monotonic() - self.begun)

    def survivors(self) -> list[str]:
        """Processes of the job that still run."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                marked = self.mark.encode() in (entry / "environ").read_bytes().split(b"\0")
                zombie = (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
                if marked and not zombie:
                    found.append(entry.name + " " + (entry / "cmdline").read_text().replace("\0", " ")[:200])
            except OSError:
                continue
        return found

    def nobody_left(self) -> None:
        end = time.monotonic() + 5
        while self.survivors():
            if time.monotonic() > end:
                raise AssertionError(f"left behind: {self.survivors()}")
            time.sleep(0.02)


def run(ranks: int, program: str, *flags: str, wrapper: str | None = None) -> Outcome:
    job = Job(ranks, program, *flags, wrapper=wrapper)
    outcome = job.finish()
    job.nobody_left()
    return outcome


class Base(unittest.TestCase):
    longMessage = True

    def setUp(self) -> None:
        self.shm = set(os.listdir("/dev/shm"))

    def tearDown(self) -> None:
        new = {name for name in os.listdir("/dev/shm") if "oxmpi" in name} - self.shm
        self.assertEqual(new, set(), "left in /dev/shm")


WAITS = {
    "Barrier": "comm.Barrier()",
    "Recv": "comm.Recv(bytearray(8), source=1)",
    "any source": "comm.Recv(bytearray(8))",
    "Bcast": "comm.Bcast(bytearray(8), root=1)",
    "large Bcast": "comm.Bcast(bytearray(9_000_000), root=1)",
    "Allreduce": "comm.Allreduce(array('i', [rank]), array('i', [0]))",
    "Irecv": "comm.Irecv(bytearray(8), source=1).Wait()",
    "Probe": "comm.Probe(source=1)",
    "large Send": "comm.Send(bytearray(20_000_000), dest=1)",
    "recv": "comm.recv(source=1)",
    "bcast": "comm.bcast(None, root=1)",
}


class OneRankFails(Base):
    """Rank 1 ends while the others wait in all kinds of calls."""

    def fail(self, how: str, wait: str = "comm.Barrier()", ranks: int = 3) -> Outcome:  # type: ignore[override]
        return run(ranks, f"comm.Barrier()\nif rank == 1:\n    {how}\nelse:\n    {wait}\n")

    def test_an_exception_is_blamed_and_its_traceback_is_whole_whatever_the_others_wait_for(self) -> None:
        for name, wait in WAITS.items():
            with self.subTest(name):
                outcome = self.fail("1 / 0", wait)
                self.assertEqual(outcome.status, 1, outcome)
                self.assertIn(
                    "rank 1 of 3 failed first: it ended with an uncaught Python exception", outcome.sentence, outcome
                )
                self.assertIn("ZeroDivisionError: division by zero", outcome.stderr, outcome)

    def test_signals_are_named_whatever_the_others_wait_for(self) -> None:
        for name, wait in WAITS.items():
            with self.subTest(name):
                outcome = self.fail("os.kill(os.getpid(), signal.SIGSEGV)", wait)
                self.assertEqual(outcome.status, 139, outcome)
                self.assertIn(
                    "rank 1 of 3 failed first: it was killed by signal 11 (SIGSEGV", outcome.sentence, outcome
                )

    def test_an_exit_code_ends_the_job(self) -> None:
        for how in ["sys.exit(3)", "os._exit(3)"]:
            with self.subTest(how):
                outcome = self.fail(how)
                self.assertEqual(outcome.status, 3, outcome)
                self.assertIn("rank 1 of 3 failed first: it ended with exit code 3", outcome.sentence, outcome)

    def test_abort_gives_its_code(self) -> None:
        outcome = self.fail("comm.Abort(7)")
        self.assertEqual(outcome.status, 7, outcome)
        self.assertIn(
            "rank 1 of 3 failed first: it called MPI_Abort(7); the other 2 ranks were ended", outcome.sentence
        )

    def test_an_exit_with_0_in_the_middle_is_a_failure_whatever_the_others_wait_for(self) -> None:
        for name, wait in WAITS.items():
            with self.subTest(name):
                outcome = self.fail("os._exit(0)", wait)
                self.assertEqual(outcome.status, 1, outcome)
                self.assertIn("rank 1 of 3 failed first: it ended without MPI_Finalize", outcome.sentence, outcome)

    def test_an_exit_with_0_before_mpi_is_initialized_is_a_failure_when_others_wait(self) -> None:
        outcome = run(3, "comm.Barrier()", wrapper='if [ "$OXMPI_RANK" = 1 ]; then exit 0; fi; PYTHON')
        self.assertEqual(outcome.status, 1, outcome)
        self.assertIn("rank 1 of 3 failed first: it ended without MPI_Init", outcome.sentence, outcome)

    def test_it_is_found_behind_a_shell_as_well(self) -> None:
        program = "comm.Barrier()\nif rank == 1: os._exit(5)\ncomm.Barrier()"
        outcome = run(3, program, wrapper="PYTHON; sleep 60")
        self.assertNotEqual(outcome.status, 0, outcome)
        self.assertIn("rank 1 of 3 failed first", outcome.sentence, outcome)
        self.assertLess(outcome.seconds, 20)

    def test_a_rank_that_fails_before_mpi_is_initialized(self) -> None:
        outcome = run(3, "", "-genv", "NOTHING", "1", wrapper='if [ "$OXMPI_RANK" = 1 ]; then exit 6; fi; PYTHON')
        self.assertEqual(outcome.status, 6, outcome)


class AllRanksFail(Base):
    def test_all_tracebacks_are_whole(self) -> None:
        outcome = run(4, "comm.Barrier()\ndef f(): {}['key%d' % rank]\ndef g(): f()\ng()")
        self.assertEqual(outcome.status, 1, outcome)
        blocks = outcome.stderr.split("Traceback (most recent call last):\n")[1:]
        for block in blocks:
            lines = [line for line in block.splitlines() if line and not line.startswith((" ", "mpiexec: "))]
            self.assertEqual(len(lines), 1, outcome)
            self.assertTrue(lines[0].startswith("KeyError: 'key"), outcome)
        self.assertEqual(outcome.sentence.count("failed first"), 1, outcome)

    def test_the_same_exit_code_everywhere(self) -> None:
        outcome = run(4, "comm.Barrier()\nsys.exit(3)")
        self.assertEqual(outcome.status, 3, outcome)

    def test_all_leave_without_finalize(self) -> None:
        outcome = run(4, "comm.Barrier()\nos._exit(0)")
        self.assertEqual((outcome.status, outcome.stderr), (0, ""), outcome)


TRAFFIC = """
    n, payloads = comm.size, [bytearray(size) for size in (1, 100, 50_000, 3_000_000)]
    inbox = [[bytearray(len(data)) for data in payloads] for _ in range(n)]
    many = [bytearray(n * len(data)) for data in payloads]
    print("running", flush=True)
    step = 0
    while True:
        step += 1
        kind = step % 4
        data, room = payloads[kind], inbox[rank][kind]
        right, left = (rank + 1) % n, (rank - 1) % n
        comm.Sendrecv(data, dest=right, recvbuf=room, source=left)
        requests = [comm.Isend(data, dest=r, tag=step) for r in range(n) if r != rank]
        for r in range(n):
            if r != rank: comm.Recv(inbox[r][kind], source=r, tag=step)
        MPI.Request.Waitall(requests)
        comm.Allreduce(array("i", [rank]), array("i", [0]))
        comm.Bcast(data, root=step % n)
        comm.Allgather(data, many[kind])
        comm.Gather(data, many[kind], root=step % n)
        comm.Barrier()
"""


class Killed(Base):
    """SIGKILL at a random moment of all kinds of traffic."""

    def pids(self, job: Job) -> list[int]:
        pids = []
        for entry in Path("/proc").iterdir():
            try:
                environ = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if job.mark.encode() in environ and any(item.startswith(b"OXMPI_RANK=") for item in environ):
                pids.append(int(entry.name))
        return pids

    def test_a_rank(self) -> None:
        rng = random.Random(1)
        for _ in range(15):
            job = Job(4, TRAFFIC)
            job.wait_for("running")
            time.sleep(rng.random() * 0.2)
            victim = rng.choice(self.pids(job))
            os.kill(victim, signal.SIGKILL)
            at = time.monotonic()
            outcome = job.finish()
            self.assertEqual(outcome.status, 137, outcome)
            self.assertIn("was killed by signal 9 (SIGKILL", outcome.sentence, outcome)
            self.assertLess(time.monotonic() - at, 10, outcome)
            job.nobody_left()

    def test_mpiexec(self) -> None:
        rng = random.Random(2)
        for wrapper in [None, "PYTHON; true", "setsid PYTHON; true"]:
            for _ in range(4):
                job = Job(4, TRAFFIC, wrapper=wrapper)
                job.wait_for("running")
                time.sleep(rng.random() * 0.1)
                job.process.kill()
                job.nobody_left()
                job.finish()

    def test_several_at_once(self) -> None:
        rng = random.Random(3)
        for _ in range(5):
            job = Job(4, TRAFFIC)
            job.wait_for("running")
            time.sleep(rng.random() * 0.1)
            for victim in rng.sample(self.pids(job), 3):
                os.kill(victim, signal.SIGKILL)
            outcome = job.finish()
            self.assertEqual(outcome.status, 137, outcome)
            job.nobody_left()


class Signals(Base):
    def test_ctrl_c_is_a_keyboard_interrupt_in_every_waiting_rank(self) -> None:
        for name, wait in WAITS.items():
            with self.subTest(name):
                program = f"""
                    print("up", flush=True)
                    try:
                        {wait} if rank == 0 else time.sleep(60)
                    except KeyboardInterrupt:
                        print("interrupted", flush=True)
                        os._exit(0)
                """
                job = Job(2, program)
                job.wait_for("up")
                job.wait_for("up")
                time.sleep(0.3)
                job.process.send_signal(signal.SIGINT)
                outcome = job.finish()
                self.assertEqual(outcome.stdout.count("interrupted"), 2, outcome)
                job.nobody_left()

    def test_sigterm_ends_the_job(self) -> None:
        job = Job(3, "print('up', flush=True)\ncomm.Recv(bytearray(8), source=(rank + 1) % 3)")
        for _ in range(3):
            job.wait_for("up")
        job.process.terminate()
        outcome = job.finish()
        self.assertEqual((outcome.status, outcome.sentence), (143, "mpiexec: ended by SIGTERM"), outcome)
        job.nobody_left()


class Families(Base):
    """Processes that ranks start."""

    def test_a_subprocess_of_a_rank_is_a_world_of_its_own(self) -> None:
        program = """
            import subprocess
            code = "from mpi4py import MPI; c = MPI.COMM_WORLD; c.Barrier(); print('child', c.rank, c.size)"
            print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip(), flush=True)
            comm.Barrier()
        """
        outcome = run(2, program)
        self.assertEqual(outcome.stdout.splitlines(), ["child 0 1"] * 2, outcome)

    def test_multiprocessing_with_a_fresh_interpreter(self) -> None:
        path = Path(os.environ.get("TMPDIR", "/tmp")) / f"oxmpi-crash-{uuid.uuid4().hex}.py"
        path.write_text(
            "import multiprocessing\n"
            "from mpi4py import MPI\n"
            "def work(x): return x * x + MPI.COMM_WORLD.size\n"
            "if __name__ == '__main__':\n"
            "    MPI.COMM_WORLD.Barrier()\n"
            "    with multiprocessing.get_context('spawn').Pool(2) as pool:\n"
            "        print(pool.map(work, range(4)), flush=True)\n"
            "    MPI.COMM_WORLD.Barrier()\n"
        )
        try:
            process = subprocess.run(
                [mpiexec(), "-n", "2", sys.executable, str(path)],
                capture_output=True,
                text=True,
                timeout=LIMIT,
                check=False,
            )
        finally:
            path.unlink()
        self.assertEqual(process.stdout.splitlines(), ["[1, 2, 5, 10]"] * 2, process.stderr)

    def test_a_nested_mpiexec(self) -> None:
        program = f"""
            import subprocess
            code = "from mpi4py import MPI; c = MPI.COMM_WORLD; c.Barrier(); print('inner', c.size, flush=True)"
            subprocess.run([{mpiexec()!r}, "-n", "2", sys.executable, "-c", code], check=True)
            comm.Barrier()
        """
        outcome = run(2, program)
        self.assertEqual(outcome.stdout.splitlines(), ["inner 2"] * 4, outcome)


class BadEnvironment(Base):
    def test_each_is_one_clear_error(self) -> None:
        cases = {
            "junk": "this should be <descriptor>:<key>",
            "700:12": "descriptor 700 is not open",
            "0:12": "this descriptor is no shared memory of a job",
        }
        for job, text in cases.items():
            with self.subTest(job):
                env = {**os.environ, "OXMPI_JOB": job, "OXMPI_RANK": "0", "OXMPI_SIZE": "2"}
                command = [sys.executable, "-c", "from mpi4py import MPI"]
                process = subprocess.run(command, env=env, capture_output=True, text=True, timeout=LIMIT, check=False)
                self.assertNotEqual(process.returncode, 0, process.stderr)
                self.assertIn(text, process.stderr)
                self.assertIn("unset OXMPI_JOB", process.stderr)

    def test_a_job_on_several_machines_says_what_to_set(self) -> None:
        env = {**os.environ, "PMI_RANK": "1", "PMI_SIZE": "4", "MPI_LOCALNRANKS": "2"}
        command = [sys.executable, "-c", "from mpi4py import MPI"]
        process = subprocess.run(command, env=env, capture_output=True, text=True, timeout=LIMIT, check=False)
        self.assertNotEqual(process.returncode, 0, process.stderr)
        self.assertIn("on more than one machine", process.stderr)
        self.assertIn("MPI4PY_LIBMPI", process.stderr)


if __name__ == "__main__":
    unittest.main()
