"""`mpiexec ps` and `mpiexec stack`: what the ranks of a running job do, and where."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

from support.alone import AloneCase, Ended, mpiexec, run

ALONE = True


class Look(AloneCase):
    def setUp(self) -> None:
        self.need_ours("its mpiexec has ps and stack")

    CODE = """
        from mpi4py import MPI
        import threading, time
        comm = MPI.COMM_WORLD
        def idle():
            time.sleep(60)
        def wait():
            comm.Barrier()
        if comm.rank == 0:
            idle()
        elif comm.rank == 1:
            request = comm.Irecv(bytearray(1))
            while not request.Test():
                time.sleep(0.001)
        elif comm.rank == 2:
            threading.Thread(target=idle, daemon=True).start()
        wait()
        """

    def test_what_ranks_do_and_where(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "x.py").write_text(textwrap.dedent(self.CODE).lstrip("\n"))
            launch = [*mpiexec(), "-n", "4", sys.executable, "x.py"]
            with subprocess.Popen(launch, cwd=folder) as job:
                try:
                    self.look(folder, job.pid)
                finally:
                    job.terminate()

    def look(self, folder: str, pid: int) -> None:
        def command(*words: str) -> Ended:
            return run(["sh", "-c", f'cd "{folder}"; exec "$@"', "sh", *mpiexec(), *words])

        barrier = r"Barrier on MPI_COMM_WORLD at x.py:7 waits for ranks 0, 1, for \d s\n"
        expected = [
            rf"\Ajob {pid}: 4 ranks of .*x.py, running for 0:00:\d\d\n",
            r"\nrank 0 sleeps outside of MPI\n  x.py:5 in idle\n  x.py:9 in <module>\n",
            r"\nrank 1 polls \(Test, Iprobe or their like\) at x.py:12\n  x.py:1[23] in <module>\n",
            rf"\nrank 2 {barrier}  main thread\n    x.py:7 in wait\n    x.py:16 in <module>\n  another thread\n    x.py:5 in idle\n",
            rf"\nrank 3 {barrier}  x.py:7 in wait\n  x.py:16 in <module>\n",
        ]
        end, stack = time.monotonic() + 20, command("stack", str(pid))
        while not all(re.search(line, stack.out) for line in expected):
            self.assertLess(time.monotonic(), end, f"{expected} not in:\n{stack.text}")
            stack = command("stack", str(pid))
        listed = command("ps").out
        self.assertRegex(listed, rf"(?m)^ *{pid} +4 +0:00:\d\d  .*x.py$")
        self.assertRegex(listed, rf"\n +ranks 2, 3 {barrier.replace(' waits ', ' wait ')}")
        # A look leaves no trace, and does not change what a rank does.
        self.assertEqual(command("stack", str(pid)).out.count("idle"), stack.out.count("idle"))
        os.kill(pid, 0)
