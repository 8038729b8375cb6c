"""`mpiexec --sync-sends`: a program that relies on buffering is named at once; a good one runs as ever."""

from __future__ import annotations

import sys
import time

from support.alone import EXAMPLES, AloneCase, Ended, mpiexec, run, run_lines

ALONE = True

HEAD = "mpiexec: --sync-sends: no rank can go on, each waits for another one:"
ADVICE = "  the program relies on buffering of standard sends: use Isend/Irecv, Sendrecv, or order sends and receives"
END = "  all ranks were ended"


class SyncCase(AloneCase):
    def setUp(self) -> None:
        self.need_ours("--sync-sends belongs to its mpiexec")

    def sync(self, code: str, ranks: int = 2) -> Ended:
        """Runs some lines as x.py, whose first line is line 1, in its folder."""
        return run_lines(code, ranks, "--sync-sends", limit=30)

    def stands_still(self, ended: Ended, *lines: str) -> None:
        self.assertEqual((ended.status, ended.err), (1, "\n".join([HEAD, *lines, ADVICE, END, ""])), ended.text)


class Unsafe(SyncCase):
    """Programs that work only as long as the library buffers what they send."""

    def test_both_send_first(self) -> None:
        begun = time.monotonic()
        ended = self.sync(
            """
            from mpi4py import MPI
            comm = MPI.COMM_WORLD
            comm.Send(bytes(80000), 1 - comm.rank)
            comm.Recv(bytearray(80000), 1 - comm.rank)
            """
        )
        took = time.monotonic() - begun
        where = "of 80000 bytes on MPI_COMM_WORLD at x.py:3 waits for its receive"
        self.stands_still(ended, f"  rank 0 Send(dest=1, tag=0) {where}", f"  rank 1 Send(dest=0, tag=0) {where}")
        self.assertLess(took, 10, "the report comes within two seconds, even on a busy machine soon")

    def test_objects_and_the_wait_for_a_nonblocking_send(self) -> None:
        ended = self.sync(
            """
            from mpi4py import MPI
            comm = MPI.COMM_WORLD.Dup()
            comm.Set_name("pair")
            if comm.rank == 0:
                comm.send([1, 2], 1, tag=5)
            else:
                request = comm.Isend(bytes(10), 0, 6)
                request.Wait()
            """
        )
        self.assertEqual(ended.status, 1, ended.text)
        lines = ended.err.split("\n")
        self.assertRegex(
            lines[1], r"^  rank 0 Send\(dest=1, tag=5\) of \d+ bytes on pair at x.py:5 waits for its receive$"
        )
        self.assertEqual(
            lines[2], "  rank 1 Wait for a send to rank 0, tag 6, of 10 bytes on pair at x.py:8 waits for its receive"
        )

    def test_irecv_of_something_else(self) -> None:
        """Such receives are served by the package, which has to look at several things while it waits."""
        ended = self.sync(
            """
            from mpi4py import MPI
            comm = MPI.COMM_WORLD
            other = 1 - comm.rank
            first, second = comm.irecv(source=other, tag=1), comm.irecv(source=other, tag=2)
            if comm.rank == 0:
                comm.send(None, other, tag=5)
            else:
                second.wait()
            """
        )
        self.assertEqual(ended.status, 1, ended.text)
        self.assertRegex(
            ended.err.split("\n")[1],
            r"rank 0 Wait for a send to rank 1, tag 5, of \d+ bytes on MPI_COMM_WORLD at x.py:6 waits for its receive",
        )
        self.assertIn("rank 1 Recv(source=0, tag=2) on MPI_COMM_WORLD at x.py:8 waits for a message", ended.err)

    def test_waitany_of_irecvs(self) -> None:
        ended = self.sync(
            """
            from mpi4py import MPI
            comm = MPI.COMM_WORLD
            requests = [comm.irecv(source=1 - comm.rank, tag=tag) for tag in (1, 2)]
            MPI.Request.waitany(requests)
            """
        )
        self.assertEqual(ended.status, 1, ended.text)
        self.assertIn("  ranks 0, 1 Waitany at x.py:4 wait\n", ended.err)

    def test_a_ring_in_which_all_send_first(self) -> None:
        ended = self.sync(
            """
            from mpi4py import MPI
            comm = MPI.COMM_WORLD
            request = comm.Send_init(b"x", (comm.rank + 1) % comm.size)
            request.Start()
            request.Wait()
            comm.Recv(bytearray(1), (comm.rank - 1) % comm.size)
            """,
            ranks=3,
        )
        self.stands_still(
            ended,
            *(
                f"  rank {rank} Wait for a send to rank {(rank + 1) % 3}, tag 0, of 1 byte on MPI_COMM_WORLD"
                " at x.py:5 waits for its receive"
                for rank in range(3)
            ),
        )

    def test_a_message_that_nobody_receives(self) -> None:
        ended = self.sync(
            """
            from mpi4py import MPI
            comm = MPI.COMM_WORLD
            if comm.rank == 0:
                comm.Send(b"x", 1, 3)
            """
        )
        self.stands_still(
            ended,
            "  rank 0 Send(dest=1, tag=3) of 1 byte on MPI_COMM_WORLD at x.py:4 waits for its receive",
            "  rank 1 has ended",
        )

    def test_a_send_to_oneself(self) -> None:
        ended = self.sync('from mpi4py import MPI\nMPI.COMM_SELF.Send(b"x", 0)', ranks=1)
        self.assertEqual(ended.status, 1, ended.text)
        self.assertIn("rank 0 Send(dest=0, tag=0) of 1 byte on MPI_COMM_SELF at x.py:2", ended.err)
        self.assertIn("  the rank was ended\n", ended.err)

    def test_the_place_is_that_of_the_user_not_of_the_package(self) -> None:
        ended = self.sync(
            """
            from mpi4py import MPI
            comm = MPI.COMM_WORLD
            helper = {"__name__": "mpi4py.util.helper", "comm": comm}
            exec("def send():\\n    comm.Send(b'x', 1 - comm.rank)", helper)
            helper["send"]()
            """
        )
        self.assertEqual(ended.status, 1, ended.text)
        self.assertIn("at x.py:5 waits", ended.err)

    def test_other_collectives_and_receives_are_named_too(self) -> None:
        ended = self.sync(
            """
            from mpi4py import MPI
            comm = MPI.COMM_WORLD
            if comm.rank == 0:
                comm.Recv(bytearray(1), MPI.ANY_SOURCE, MPI.ANY_TAG)
            elif comm.rank == 1:
                comm.Barrier()
            else:
                comm.Ssend(b"x", 1)
            """,
            ranks=3,
        )
        lines = [
            HEAD,
            "  rank 0 Recv(source=ANY_SOURCE, tag=ANY_TAG) on MPI_COMM_WORLD at x.py:4 waits for a message",
            "  rank 1 Barrier on MPI_COMM_WORLD at x.py:6 waits for ranks 0, 2",
            "  rank 2 Ssend(dest=1, tag=0) of 1 byte on MPI_COMM_WORLD at x.py:8 waits for its receive",
            "  none of them waits in a standard send: the program stands still without --sync-sends as well",
            END,
            "",
        ]
        self.assertEqual((ended.status, ended.err), (1, "\n".join(lines)), ended.text)


class Threads(SyncCase):
    def test_another_thread_may_still_receive(self) -> None:
        ended = self.sync(
            """
            import threading, time
            from mpi4py import MPI
            comm = MPI.COMM_WORLD
            def late():
                time.sleep(2)
                comm.Recv(bytearray(1), 1, 1)
            thread = threading.Thread(target=late)
            if comm.rank == 0:
                thread.start()
                comm.Recv(bytearray(1), 1, 2)
                thread.join()
            else:
                comm.Send(b"x", 0, 1)
                comm.Send(b"x", 0, 2)
            print("fine")
            """
        )
        self.ended_well(ended, "fine\nfine")
        self.assertEqual(ended.err.count("it seems that no rank can go on"), 1, ended.text)
        self.assertIn("a suspicion, the job goes on: rank 0 has another thread", ended.err)

    def test_an_alarm_may_end_the_wait(self) -> None:
        ended = self.sync(
            """
            import signal
            from mpi4py import MPI
            def enough(number, frame):
                raise TimeoutError
            signal.signal(signal.SIGALRM, enough)
            signal.alarm(3)
            try:
                MPI.COMM_WORLD.Recv(bytearray(1))
            except TimeoutError:
                print("fine")
            """
        )
        self.ended_well(ended, "fine\nfine")
        self.assertIn(
            "ranks 0, 1 may have other threads, an alarm, or a handler of a signal, which may still send", ended.err
        )

    def test_all_threads_wait(self) -> None:
        ended = self.sync(
            """
            import threading
            from mpi4py import MPI
            comm = MPI.COMM_WORLD
            def send(tag):
                comm.Send(b"x", 1 - comm.rank, tag)
            threads = [threading.Thread(target=send, args=[tag]) for tag in range(2)]
            for thread in threads:
                thread.start()
            comm.Send(b"x", 1 - comm.rank, 2)
            """
        )
        self.assertEqual(ended.status, 1, ended.text)
        self.assertIn(HEAD, ended.err)


class Safe(SyncCase):
    """Programs that do not rely on buffering end as without the flag, silently."""

    def test_the_cures(self) -> None:
        ended = self.sync(
            """
            from mpi4py import MPI
            comm = MPI.COMM_WORLD
            other, got = 1 - comm.rank, bytearray(80000)
            requests = [comm.Irecv(got, other), comm.Isend(bytes(80000), other)]
            MPI.Request.Waitall(requests)
            comm.Sendrecv(bytes(80000), other, recvbuf=got, source=other)
            comm.sendrecv("x", other, source=other)
            for turn in range(2):
                if comm.rank == turn:
                    comm.Send(bytes(80000), other)
                else:
                    comm.Recv(got, other)
            request = comm.irecv(source=other)
            comm.send(list(range(1000)), other)
            assert request.wait() == list(range(1000))
            MPI.Attach_buffer(bytearray(100000 + MPI.BSEND_OVERHEAD))
            comm.Bsend(bytes(80000), other)
            comm.Recv(got, other)
            MPI.Detach_buffer()
            comm.allreduce(1), comm.alltoall([1, 2]), comm.Barrier(), comm.Dup().Free()
            print("fine")
            """
        )
        self.ended_well(ended, "fine\nfine")
        self.assertEqual(ended.err, "", ended.text)

    def test_a_long_wait_for_a_rank_that_computes(self) -> None:
        ended = self.sync(
            """
            import time
            from mpi4py import MPI
            comm = MPI.COMM_WORLD
            if comm.rank == 0:
                time.sleep(2)
                comm.Recv(bytearray(1), 1)
            else:
                comm.Send(b"x", 0)
            """
        )
        self.ended_well(ended)
        self.assertEqual(ended.err, "", ended.text)

    def test_the_examples(self) -> None:
        self.need_numpy()
        small = ["--nx", "40", "--ny", "30", "--steps", "40", "--png", "", "--progress", "none"]
        for example in sorted(EXAMPLES.glob("*.py")):
            if example.name in {"heat_show.py", "run_seed.py"}:
                continue
            options = small if example.name == "heat.py" else []
            with self.subTest(example=example.name):
                command = [*mpiexec(), "--sync-sends", "-n", "4", sys.executable, str(example), *options]
                ended = run(command, limit=60)
                self.ended_well(ended)
                self.assertNotIn("mpiexec", ended.err, ended.text)
