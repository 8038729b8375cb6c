"""Jobs of which somebody can still go on: nothing is said of them, and they end well."""

from __future__ import annotations

import concurrent.futures
import shlex
import sys
import tempfile
import textwrap
from pathlib import Path

from support.alone import AloneCase, Ended, mpiexec, run

ALONE = True

FINE = {
    "one sleeps": ("if comm.rank == 0: time.sleep(3)\ncomm.Barrier()", ""),
    "one computes": (
        "end = time.monotonic() + 3\nwhile comm.rank == 0 and time.monotonic() < end: pass\ncomm.Barrier()",
        "",
    ),
    "a thread sends later": (
        """
        if comm.rank == 0:
            threading.Timer(3, lambda: comm.send(1, 1)).start()
            comm.recv(source=1)
        elif comm.rank == 1:
            comm.recv(source=0)
            comm.send(1, 0)
        comm.Barrier()
        """,
        "",
    ),
    "one reads input": ("if comm.rank == 0: assert input() == 'x'\ncomm.Barrier()", "(sleep 3; echo x) |"),
    "one is stopped": (
        """
        if comm.rank == 0:
            pid = os.getpid()
            subprocess.Popen(["sh", "-c", f"sleep 3; kill -CONT {pid}"])
            os.kill(pid, signal.SIGSTOP)
        comm.Barrier()
        """,
        "",
    ),
    "one is stopped while it waits": (
        """
        if comm.rank == 0:
            pid = os.getpid()
            subprocess.Popen(["sh", "-c", f"sleep 0.1; kill -STOP {pid}; sleep 3; kill -CONT {pid}"])
            comm.recv(source=1)
        else:
            time.sleep(3)
            comm.send(1, 0)
        comm.Barrier()
        """,
        "",
    ),
    "one waits for a subprocess": ("if comm.rank == 0: subprocess.run(['sleep', '3'])\ncomm.Barrier()", ""),
    "one waits for a lock of a file": (
        """
        with open(sys.argv[0]) as file:
            if comm.rank == 0:
                fcntl.flock(file, fcntl.LOCK_EX)
                comm.send(1, 1)
                time.sleep(3)
            elif comm.rank == 1:
                comm.recv(source=0)
                fcntl.flock(file, fcntl.LOCK_EX)
        comm.Barrier()
        """,
        "",
    ),
    "one polls": (
        """
        request = comm.irecv(source=1) if comm.rank == 0 else None
        while request and not request.test()[0]:
            time.sleep(0.01)
        if comm.rank == 1:
            time.sleep(3)
            comm.send(1, 0)
        comm.Barrier()
        """,
        "",
    ),
    "messages come seldom": (
        """
        for turn in range(4):
            if comm.rank == 0:
                time.sleep(0.9)
                comm.send(turn, 1)
            elif comm.rank == 1:
                comm.send(comm.recv(source=0), 2)
            else:
                comm.recv(source=1)
        """,
        "",
    ),
    "a session comes again": (
        """
        def use():
            session = MPI.Session.Init()
            group = session.Create_group("mpi://WORLD")
            MPI.Intracomm.Create_from_group(group).Barrier()
            session.Finalize()
        use()
        if int(os.environ["OXMPI_RANK"]) == 0:
            time.sleep(3)
        use()
        """,
        "no world",
    ),
    "one begins late": ("comm.Barrier()", "late"),
    "a handler of a signal sends": (
        """
        signal.signal(signal.SIGUSR1, lambda *_: comm.send(1, 0))
        if comm.rank == 0:
            comm.Barrier()
            pid = os.getpid()
            subprocess.Popen(["sh", "-c", f"sleep 3; kill -USR1 {pid}"])
            comm.recv(source=0)
        else:
            comm.Barrier()
        comm.Barrier()
        """,
        "",
    ),
    "an alarm": (
        """
        if comm.rank == 0:
            signal.signal(signal.SIGALRM, lambda *_: comm.send(1, 0))
            signal.alarm(3)
            comm.recv(source=0)
        comm.Barrier()
        """,
        "",
    ),
    "a nonblocking collective is tested for": (
        """
        value = bytearray(4)
        if comm.rank:
            request = comm.Iallreduce(MPI.IN_PLACE, [value, MPI.INT])
            while not request.Test():
                time.sleep(0.01)
        else:
            time.sleep(3)
            comm.Iallreduce(MPI.IN_PLACE, [value, MPI.INT]).Wait()
        """,
        "",
    ),
    "a nonblocking collective is probed beside": (
        """
        request = comm.Ibarrier() if comm.rank else None
        if comm.rank:
            while not comm.Iprobe(0):
                time.sleep(0.001)
            comm.recv(source=0)
        else:
            time.sleep(3)
            request = comm.Ibarrier()
            for rank in (1, 2):
                comm.send(1, rank)
        request.Wait()
        """,
        "",
    ),
    "one computes before a nonblocking collective": (
        """
        if comm.rank == 1:
            time.sleep(3)
        comm.Ibcast(bytearray(10**6), 1).Wait()
        request = comm.Allreduce_init(bytes(8), bytearray(8))
        for turn in range(3):
            if comm.rank == turn:
                time.sleep(0.9)
            request.Start()
            request.Wait()
        """,
        "",
    ),
    "an operation of the user's takes long": (
        """
        def add(a, b, kind):
            time.sleep(1.5)
            b[0] = a[0] + b[0]
        op = MPI.Op.Create(add)
        total = bytearray(1)
        comm.Iallreduce([bytes([1]), MPI.BYTE], [total, MPI.BYTE], op).Wait()
        comm.Allreduce([bytes([1]), MPI.BYTE], [total, MPI.BYTE], op)
        assert total[0] == 3
        """,
        "",
    ),
    "an operation of the user's starts a thread": (
        """
        def add(a, b, kind):
            b[0] = a[0] + b[0]
            threading.Timer(3, lambda: comm.send(1, comm.rank, 7)).start()
        op = MPI.Op.Create(add)
        comm.Barrier()
        comm.Reduce([bytes([1]), MPI.BYTE], [bytearray(1), MPI.BYTE], op, 0)
        if comm.rank == 0:
            comm.recv(source=0, tag=7)
        comm.Barrier()
        """,
        "",
    ),
    "a generalized request is completed by a thread": (
        """
        nothing = lambda *_: None
        request = MPI.Grequest.Start(nothing, nothing, nothing)
        if comm.rank == 0:
            threading.Timer(3, request.Complete).start()
            request.Wait()
        else:
            request.Complete()
            request.Wait()
        comm.Barrier()
        """,
        "",
    ),
    "one waits for a process that it has started": (
        """
        if comm.rank == 0:
            child = subprocess.Popen(["sleep", "3"])
            child.wait()
        comm.Ibarrier().Wait()
        """,
        "",
    ),
    "one has finalized and the others go on": (
        """
        rest = comm.Split(comm.rank == 0)
        if comm.rank:
            for turn in range(3):
                time.sleep(0.7 if rest.rank else 0)
                rest.Barrier()
        """,
        "",
    ),
    "a thread waits for a process": (
        """
        if comm.rank == 0:
            def later():
                subprocess.run(["sleep", "3"])
                comm.send(1, 1)
            threading.Thread(target=later).start()
            comm.recv(source=1)
        elif comm.rank == 1:
            comm.send(comm.recv(source=0), 0)
        comm.Barrier()
        """,
        "",
    ),
}
IMPORTS = "import fcntl, os, signal, subprocess, sys, threading, time\n"


class Fine(AloneCase):
    """Nothing is said of jobs that go on, and they do. All at once, since they mostly wait."""

    def setUp(self) -> None:
        self.need_ours("its mpiexec knows when no rank can go on")

    def test_jobs_that_go_on(self) -> None:
        def one(name: str) -> Ended:
            code, before = FINE[name]
            code = IMPORTS + textwrap.dedent(code)
            if before == "no world":
                code = "import mpi4py; mpi4py.rc.initialize = False\nfrom mpi4py import MPI\n" + code
            else:
                late = (
                    "import os, time\nif os.environ['OXMPI_RANK'] == '0': time.sleep(3)\n" if before == "late" else ""
                )
                code = late + "from mpi4py import MPI; comm = MPI.COMM_WORLD\n" + code
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, "x.py").write_text(code)
                command = shlex.join([*mpiexec(), "-n", "3", sys.executable, f"{folder}/x.py"])
                pipe = before if before.endswith("|") else ""
                return run(["sh", "-c", f"{pipe} {command}"], limit=60)

        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            for name, ended in zip(FINE, pool.map(one, FINE), strict=True):
                with self.subTest(name):
                    self.assertEqual((ended.status, ended.err), (0, ""), ended.text)
