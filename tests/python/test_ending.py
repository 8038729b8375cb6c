"""How programs end: Finalize, exit status, ranks that fail; and what every launcher does alike."""

from __future__ import annotations

import sys
import textwrap
import unittest

from support.alone import AloneCase, library, mpiexec, python, run

ALONE = True


class End(AloneCase):
    """The order of things at the end of a program."""

    def test_atexit_functions_can_still_communicate(self) -> None:
        """All of them, also those that were registered before the import: Finalize comes after Python's own end."""
        ended = python(
            """
            import atexit
            atexit.register(lambda: print("last", MPI.COMM_WORLD.allreduce(1), MPI.Is_finalized()))
            from mpi4py import MPI
            atexit.register(lambda: print("first", MPI.COMM_WORLD.allreduce(1), MPI.Is_finalized()))
            """,
            ranks=2,
        )
        self.ended_well(ended)
        self.assertEqual(sorted(ended.out.split("\n")), ["", *["first 2 False"] * 2, *["last 2 False"] * 2])

    def test_objects_that_are_still_there(self) -> None:
        """Communicators, types, statuses, complete requests: none of them crashes the end."""
        ended = python(
            """
            from mpi4py import MPI
            comm = MPI.COMM_WORLD.Dup()
            group, column = comm.Get_group(), MPI.INT.Create_vector(2, 1, 2).Commit()
            request = comm.Irecv(bytearray(5), comm.rank)
            comm.Send(b"12345", comm.rank)
            message = comm.Isend(b"", comm.rank)
            comm.Recv(bytearray(), comm.rank)
            request.Wait()
            message.Wait()
            import sys
            sys.keep = (comm, group, column, request, message, MPI.Status())
            """,
            ranks=2,
        )
        self.ended_well(ended)

    def test_finalize_by_hand(self) -> None:
        self.ended_well(python("from mpi4py import MPI; MPI.Finalize(); print(MPI.Is_finalized())"), "True")

    def test_finalize_waits_for_messages_under_way(self) -> None:
        """A sent message arrives, though the sender has come to its end."""
        ended = python(
            """
            import time
            from mpi4py import MPI
            comm = MPI.COMM_WORLD
            if comm.rank == 0:
                for size in (10, 5000):
                    comm.Send(b"x" * size, 1)
            else:
                time.sleep(0.2)
                for size in (10, 5000):
                    got = bytearray(size)
                    comm.Recv(got, 0)
                    assert got == b"x" * size
                print("fine")
            """,
            ranks=2,
        )
        self.ended_well(ended, "fine")

    def test_after_finalize(self) -> None:
        self.need_ours("others end the process from inside the library")
        ended = python(
            """
            from mpi4py import MPI
            MPI.Finalize()
            try:
                MPI.COMM_WORLD.Barrier()
            except Exception as error:
                print(type(error).__name__, error)
            """
        )
        self.assertGreaterEqual(ended.status, 0, ended.text)
        self.assertRegex((ended.out + ended.err).lower(), "finaliz")

    def test_before_init(self) -> None:
        self.need_ours("others end the process from inside the library")
        ended = python(
            """
            import mpi4py
            mpi4py.rc.initialize = False
            from mpi4py import MPI
            try:
                MPI.COMM_WORLD.Barrier()
            except Exception as error:
                print(type(error).__name__, error)
            """
        )
        self.assertGreaterEqual(ended.status, 0, ended.text)
        self.assertRegex((ended.out + ended.err).lower(), "init")

    def test_init_twice(self) -> None:
        ended = python(
            """
            from mpi4py import MPI
            try:
                MPI.Init()
            except MPI.Exception:
                print("refused")
            """
        )
        if ended.status != 0:
            self.assertRegex(ended.text.lower(), "init")  # a library that ends the job says why
        else:
            self.assertEqual(ended.out.strip(), "refused")

    def test_exit_status(self) -> None:
        for status in (0, 3):
            ended = python(f"import sys; from mpi4py import MPI; sys.exit({status})", ranks=2)
            self.assertEqual(ended.status, status, ended.text)

    def test_abort(self) -> None:
        ended = python(
            """
            from mpi4py import MPI
            comm = MPI.COMM_WORLD
            if comm.rank == 1:
                comm.Abort(7)
            comm.Recv(bytearray(1), 1)
            """,
            ranks=2,
        )
        self.assertEqual(ended.status, 7, ended.text)

    def test_a_child_process_that_is_no_rank(self) -> None:
        """Forked or started, it does not disturb its parent."""
        ended = python(
            """
            import os, subprocess, sys
            from mpi4py import MPI
            comm = MPI.COMM_WORLD
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)
            assert subprocess.run([sys.executable, "-c", "print(5)"], stdout=subprocess.PIPE).stdout == b"5\\n"
            print(comm.allgather(comm.rank))
            """,
            ranks=2,
        )
        self.ended_well(ended, "[0, 1]\n[0, 1]")


class Failing(AloneCase):
    """A rank that fails ends the job, soon, with its own words."""

    def fails(self, code: str, ranks: int = 4, limit: float = 20.0) -> tuple[int, str]:
        """Status and whole text; the others wait for the failing rank for ever."""
        self.need_ours("others hang, or say it in other words")
        ended = python(code, ranks=ranks, limit=limit)
        self.assertNotEqual(ended.status, 0, ended.text)
        return ended.status, ended.out + ended.err

    def test_an_uncaught_exception(self) -> None:
        status, text = self.fails(
            """
            from mpi4py import MPI
            comm = MPI.COMM_WORLD

            def compute():
                return 1 / (comm.rank - 2)

            compute()
            comm.recv(source=2)
            """
        )
        self.assertEqual(status, 1, text)
        self.assertIn("ZeroDivisionError", text)
        self.assertRegex(text, "rank 2")
        # The traceback stays in one piece.
        begin, end = text.index("Traceback"), text.index("ZeroDivisionError: division by zero")
        self.assertIn("compute", text[begin:end])
        self.assertNotIn("rank ", text[begin:end].replace("comm.rank", ""))

    def test_an_exception_while_the_others_are_in_a_collective(self) -> None:
        status, text = self.fails(
            """
            from mpi4py import MPI
            comm = MPI.COMM_WORLD
            if comm.rank == 1:
                raise KeyError("nobody saw this coming")
            comm.Barrier()
            """
        )
        self.assertEqual(status, 1, text)
        self.assertIn("nobody saw this coming", text)

    def test_an_exit_code(self) -> None:
        status, text = self.fails(
            """
            import sys
            from mpi4py import MPI
            comm = MPI.COMM_WORLD
            if comm.rank == 3:
                sys.exit(5)
            comm.recv(source=3)
            """
        )
        self.assertEqual(status, 5, text)
        self.assertRegex(text, "rank 3")

    def test_a_signal(self) -> None:
        _, text = self.fails(
            """
            import os, signal
            from mpi4py import MPI
            comm = MPI.COMM_WORLD
            if comm.rank == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            comm.recv(source=0)
            """
        )
        self.assertRegex(text, "rank 0")
        self.assertRegex(text, "SIGKILL|signal 9")

    def test_a_peer_that_died_is_an_error_of_its_class(self) -> None:
        """Under a launcher that does not end the job (two processes with its variables), a survivor is told so by
        MPI_ERR_PROC_ABORTED, the standard's class for it, and can go on alone."""
        self.need_ours("another library does not join by these variables")
        program = textwrap.dedent(
            """
            import os
            from mpi4py import MPI
            comm = MPI.COMM_WORLD
            comm.Barrier()
            if comm.rank == 1:
                os._exit(9)
            send = comm.Ssend_init(b"x", 1)
            send.Start()
            for call in (lambda: comm.Recv(bytearray(1), 1), send.Wait, comm.Barrier):
                try:
                    call()
                except MPI.Exception as error:
                    print(error.Get_error_class() == MPI.ERR_PROC_ABORTED, "rank 1" in str(error))
            print(MPI.COMM_SELF.sendrecv("alone", 0))
            """
        )
        ended = python(
            f"""
            import os, subprocess, sys
            job = {{**os.environ, "FLUX_JOB_SIZE": "2", "FLUX_JOB_ID": f"died{{os.getpid()}}"}}
            command = [sys.executable, "-c", {program!r}]
            ranks = [subprocess.Popen(command, env={{**job, "FLUX_TASK_RANK": str(rank)}}) for rank in range(2)]
            assert ranks[1].wait() == 9
            ranks[0].wait()
            """
        )
        self.assertEqual(ended.out.split("\n"), ["True True"] * 3 + ["alone", ""], ended.text)

    def test_bad_job_environment(self) -> None:
        """Variables of another job, or nonsense in them: one sentence, no crash."""
        self.need_ours("the variables are this engine's")
        for job in ("nonsense", "3:12", "999:0123456789abcdef", "-1:-1", ""):
            ended = python(
                "from mpi4py import MPI; print(MPI.COMM_WORLD.size)", OXMPI_JOB=job, OXMPI_RANK="0", OXMPI_SIZE="2"
            )
            self.assertGreaterEqual(ended.status, 0, ended.text)
            if ended.status != 0:
                self.assertRegex(ended.err, "OXMPI_JOB|job", ended.text)

    def test_mpiexec_inside_of_a_rank(self) -> None:
        self.need_ours("others refuse or mix the two jobs up")
        inner = "from mpi4py import MPI; print('inner', MPI.COMM_WORLD.size)"
        ended = python(
            f"""
            import subprocess
            from mpi4py import MPI
            assert MPI.COMM_WORLD.size == 2
            command = {[*mpiexec(), "-n", "3", sys.executable, "-c", inner]!r}
            if MPI.COMM_WORLD.rank == 0:
                print(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout, end="")
            MPI.COMM_WORLD.Barrier()
            """,
            ranks=2,
        )
        self.ended_well(ended, "inner 3\ninner 3\ninner 3")


class Launcher(AloneCase):
    """Only what every launcher does alike; this project's own has more tests in its crate."""

    def test_arguments_and_environment_arrive(self) -> None:
        ended = python(
            "import os, sys; from mpi4py import MPI; print(sys.argv[1:], os.environ['OXMPI_TEST_WORD'])",
            "two words",
            "'",
            ranks=2,
            OXMPI_TEST_WORD="a b",
        )
        self.ended_well(ended, "\n".join([repr(["two words", "'"]) + " a b"] * 2))

    def test_ranks_without_mpi(self) -> None:
        """A program that is no MPI program runs as often as was asked for."""
        ended = run([*mpiexec(), "-n", "3", sys.executable, "-c", "print('hello')"])
        self.ended_well(ended, "hello\nhello\nhello")

    def test_a_program_that_is_not_there(self) -> None:
        ended = run([*mpiexec(), "-n", "2", "/nonexistent/program"])
        self.assertNotEqual(ended.status, 0)
        if "Intel" not in library():  # its launcher ends now and then before it has written why
            self.assertIn("/nonexistent/program", ended.out + ended.err)


if __name__ == "__main__":
    unittest.main()
