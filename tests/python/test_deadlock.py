"""A job in which no rank can go on is named and ended, without any flag (jobs that can: test_deadlock_none)."""

from __future__ import annotations

from support.alone import AloneCase, Ended, run_lines

ALONE = True

HEAD = "mpiexec: deadlock: no rank can go on, each waits for another one:"
END = "  all ranks were ended (--deadlock=report lets them wait)"


class Case(AloneCase):
    def setUp(self) -> None:
        self.need_ours("its mpiexec knows when no rank can go on")

    def job(self, code: str, ranks: int = 2, *flags: str, before: str = "", limit: float = 40) -> Ended:
        """Runs some lines as x.py, whose first line is line 1, in its folder."""
        first = "from mpi4py import MPI; comm = MPI.COMM_WORLD"
        return run_lines(code, ranks, *flags, first=first, before=before, limit=limit)

    def stands_still(self, ended: Ended, *lines: str) -> None:
        self.assertEqual((ended.status, ended.err), (1, "\n".join([HEAD, *lines, END, ""])), ended.text)


class Deadlocks(Case):
    def test_two_receives(self) -> None:
        ended = self.job("comm.Recv(bytearray(8), 1 - comm.rank, 7)")
        self.stands_still(
            ended,
            "  rank 0 Recv(source=1, tag=7) on MPI_COMM_WORLD at x.py:2 waits for a message",
            "  rank 1 Recv(source=0, tag=7) on MPI_COMM_WORLD at x.py:2 waits for a message",
            "  way out: not all may receive first; a message must be sent before somebody can wait for it",
        )

    def test_two_sends_of_large_messages(self) -> None:
        ended = self.job(
            """
            comm.Send(bytes(10**7), 1 - comm.rank)
            comm.Recv(bytearray(10**7), 1 - comm.rank)
            """
        )
        self.stands_still(
            ended,
            "  rank 0 Send(dest=1, tag=0) of 10000000 bytes on MPI_COMM_WORLD at x.py:2 waits for its receive",
            "  rank 1 Send(dest=0, tag=0) of 10000000 bytes on MPI_COMM_WORLD at x.py:2 waits for its receive",
            "  way out: not all may send first; use Isend/Irecv, Sendrecv, or order sends and receives",
        )

    def test_one_rank_is_missing_in_a_barrier(self) -> None:
        ended = self.job(
            """
            if comm.rank == 2:
                comm.recv(source=0)
            comm.Barrier()
            """,
            4,
        )
        self.stands_still(
            ended,
            "  ranks 0, 1, 3 Barrier on MPI_COMM_WORLD at x.py:4 wait for rank 2",
            "  rank 2 Recv(source=0, tag=ANY_TAG) on MPI_COMM_WORLD at x.py:3 waits for a message",
            "  the odd one out: rank 2",
            "  way out: all ranks of a communicator must call its collectives, in the same order",
        )

    def test_another_tag(self) -> None:
        ended = self.job(
            """
            if comm.rank == 0:
                comm.Recv(bytearray(5), 1, 7)
            else:
                comm.Send(b"bytes", 0, 8)
            comm.Barrier()
            """
        )
        self.stands_still(
            ended,
            "  rank 0 Recv(source=1, tag=7) on MPI_COMM_WORLD at x.py:3 waits for a message",
            "  rank 1 Barrier on MPI_COMM_WORLD at x.py:6 waits for rank 0",
            "  nearly what rank 0 waits for: a message from rank 1, tag 8, of 5 bytes on MPI_COMM_WORLD is there;"
            " the receive asks for tag 7",
            "  way out: give the send and its receive the same tag, or receive with ANY_TAG",
        )

    def test_another_communicator(self) -> None:
        ended = self.job(
            """
            rows = comm.Split(0, -comm.rank)
            rows.Set_name("rows")
            if comm.rank == 0:
                rows.Send(b"x", 0, 4)
                comm.Probe(2)
            elif comm.rank == 2:
                comm.Recv(bytearray(1), 0, 4)
            comm.Barrier()
            """,
            3,
        )
        self.stands_still(
            ended,
            "  rank 0 Probe(source=2, tag=ANY_TAG) on MPI_COMM_WORLD at x.py:6 waits for a message",
            "  rank 1 Barrier on MPI_COMM_WORLD at x.py:9 waits for ranks 0, 2",
            "  rank 2 Recv(source=0, tag=4) on MPI_COMM_WORLD at x.py:8 waits for a message",
            "  nearly what rank 2 waits for: a message from rank 2, tag 4, of 1 byte on rows is there;"
            " the receive is on another communicator",
            "  way out: send and receive on the same communicator, with the same tag",
        )

    def test_another_source(self) -> None:
        ended = self.job(
            """
            if comm.rank == 0:
                comm.Recv(bytearray(1), 1)
            elif comm.rank == 2:
                comm.Send(b"x", 0)
            """,
            3,
        )
        self.assertIn(
            "tag 0, of 1 byte on MPI_COMM_WORLD is there; the receive asks for rank 1\n", ended.err, ended.text
        )
        self.assertIn("  way out: receive from the rank that sends, or from ANY_SOURCE\n", ended.err)

    def test_any_source_and_nobody_is_left(self) -> None:
        ended = self.job("if comm.rank == 0: comm.recv()", 3)
        self.stands_still(
            ended,
            "  rank 0 Recv(source=ANY_SOURCE, tag=ANY_TAG) on MPI_COMM_WORLD at x.py:2 waits for a message",
            "  ranks 1, 2 have ended",
            "  the odd one out: rank 0",
            "  way out: no rank may end before it has sent and received what the others wait for",
        )

    def test_collectives_on_two_communicators_in_another_order(self) -> None:
        ended = self.job(
            """
            one, two = comm.Dup(), comm.Dup()
            one.Set_name("one")
            if comm.rank:
                one, two = two, one
            one.Barrier()
            two.Barrier()
            """
        )
        self.stands_still(
            ended,
            "  rank 0 Barrier on one at x.py:6 waits for rank 1",
            "  rank 1 Barrier on a communicator of all ranks at x.py:6 waits for rank 0",
            "  way out: all ranks must call the collectives of different communicators in the same order",
        )

    def test_a_nonblocking_collective_that_one_rank_does_not_call(self) -> None:
        ended = self.job(
            """
            value = bytearray(8)
            if comm.rank == 2:
                comm.Recv(bytearray(1), 0)
            comm.Iallreduce(MPI.IN_PLACE, [value, MPI.INT]).Wait()
            """,
            4,
        )
        self.stands_still(
            ended,
            "  ranks 0, 1, 3 Wait for Iallreduce on MPI_COMM_WORLD at x.py:5 wait for rank 2",
            "  rank 2 Recv(source=0, tag=ANY_TAG) on MPI_COMM_WORLD at x.py:4 waits for a message",
            "  the odd one out: rank 2",
            "  way out: all ranks of a communicator must call its collectives, in the same order",
        )

    def test_a_nonblocking_collective_of_objects(self) -> None:
        """Its messages are on a communicator of their own, of which the rank that has not called it knows nothing."""
        ended = self.job(
            """
            if comm.rank == 1:
                comm.recv(source=0, tag=5)
            comm.iallreduce({"a": comm.rank}).wait()
            """,
            3,
        )
        self.stands_still(
            ended,
            "  ranks 0, 2 Wait at x.py:4 wait",
            "  rank 1 Recv(source=0, tag=5) on MPI_COMM_WORLD at x.py:3 waits for a message",
            "  the odd one out: rank 1",
            "  nearly what rank 1 waits for: a message from rank 0, tag 0, of 11 bytes on a communicator that this "
            "rank has not made is there; the receive asks for tag 5, on another communicator",
            "  way out: send and receive on the same communicator, with the same tag",
        )

    def test_who_has_called_a_collective_and_waits_elsewhere_is_not_the_one(self) -> None:
        """Rank 0, the root, has called it and does something else; rank 1 has not."""
        ended = self.job(
            """
            value = bytearray(8)
            if comm.rank != 1:
                request = comm.Ibcast(value, 0)
            if comm.rank < 2:
                comm.Recv(bytearray(1), 2)
            else:
                request.Wait()
            comm.Ibarrier().Wait()
            """,
            3,
        )
        self.assertEqual(ended.status, 1, ended.text)
        self.assertIn(" Recv(source=2, tag=ANY_TAG) on MPI_COMM_WORLD at x.py:6 wait for a message\n", ended.err)
        self.assertNotIn("waits for rank 0", ended.err)

    def test_collectives_by_messages_of_every_form(self) -> None:
        waits = [
            ("Waitall for Ibarrier", "MPI.Request.Waitall([comm.Ibarrier()])"),
            ("Waitany for Ibarrier", "MPI.Request.Waitany([comm.Ibarrier()])"),
            ("Wait for Barrier_init", "r = comm.Barrier_init(); r.Start(); r.Wait()"),
            ("Wait for Ialltoallv", "comm.Ialltoallv([bytes(3), (1, 1, 1)], [bytearray(3), (1, 1, 1)]).Wait()"),
            ("Neighbor_allgather", "ring.Neighbor_allgather(bytes(1), bytearray(2))"),
            ("Wait for Ineighbor_allgather", "ring.Ineighbor_allgather(bytes(1), bytearray(2)).Wait()"),
            ("Reduce", "comm.Reduce(bytes(1), bytearray(1), MPI.Op.Create(lambda a, b, kind: None))"),
        ]
        for name, wait in waits:
            with self.subTest(wait):
                ended = self.job(
                    f"ring = comm.Create_cart([3], [True])\nif comm.rank != 1: {wait}\ncomm.recv(source=0, tag=99)", 3
                )
                self.assertEqual(ended.status, 1, ended.text)
                self.assertIn(HEAD, ended.err, ended.text)
                line = rf"{name} on .* at x.py:3"
                self.assertRegex(
                    ended.err, rf"\n  (rank 0 {line} waits|ranks 0, 2 {line} wait) for rank 1\n", ended.text
                )

    def test_a_rank_that_has_finalized_and_does_something_else(self) -> None:
        ended = self.job(
            """
            import time
            if comm.rank == 1:
                MPI.Finalize()
                time.sleep(30)
            comm.Recv(bytearray(1), 1)
            """,
            3,
        )
        self.stands_still(
            ended,
            "  ranks 0, 2 Recv(source=1, tag=ANY_TAG) on MPI_COMM_WORLD at x.py:6 wait for a message",
            "  rank 1 has finalized MPI",
            "  the odd one out: rank 1",
            "  way out: no rank may end before it has sent and received what the others wait for",
        )

    def test_a_send_that_was_given_up_holds_the_end_up(self) -> None:
        ended = self.job("if comm.rank == 0: comm.Issend(bytes(10), 1, 3).Free()")
        self.assertEqual(ended.status, 1, ended.text)
        self.assertIn("  rank 0 Finalize for a send to rank 1, tag 3, of 10 bytes on MPI_COMM_WORLD", ended.err)
        self.assertIn("  rank 1 has ended\n", ended.err)

    def test_alone(self) -> None:
        ended = self.job("comm.Recv(bytearray(8), 0)", 1)
        self.assertEqual(ended.status, 1, ended.text)
        self.assertIn("\n  the rank was ended (--deadlock=report lets them wait)\n", ended.err)

    def test_two_threads_that_both_wait(self) -> None:
        ended = self.job(
            """
            import threading
            thread = threading.Thread(target=lambda: comm.Recv(bytearray(1), 1 - comm.rank, 5))
            thread.start()
            comm.Recv(bytearray(1), 1 - comm.rank, 6)
            """
        )
        self.assertEqual(ended.status, 1, ended.text)
        for rank in (0, 1):
            for line, tag in ((3, 5), (5, 6)):
                wait = f"  rank {rank} Recv(source={1 - rank}, tag={tag}) on MPI_COMM_WORLD at x.py:{line} waits"
                self.assertIn(wait, ended.err, ended.text)

    def test_every_kind_of_wait_counts(self) -> None:
        """Rank 0 waits in one of these, the others in a barrier."""
        waits = [
            ("Ssend", "comm.Ssend(b'x', 1)"),
            ("Sendrecv", "comm.Sendrecv(b'x', 1, 0, bytearray(1), 1)"),
            ("Probe", "comm.Probe(1)"),
            ("Mprobe", "comm.Mprobe(1)"),
            ("Wait", "comm.Irecv(bytearray(1), 1).Wait()"),
            ("Waitall", "MPI.Request.Waitall([comm.Irecv(bytearray(1), 1, tag) for tag in (1, 2)])"),
            ("Waitany", "MPI.Request.Waitany([comm.Irecv(bytearray(1), 1, tag) for tag in (1, 2)])"),
            ("Waitsome", "MPI.Request.Waitsome([comm.Irecv(bytearray(1), 1, tag) for tag in (1, 2)])"),
            ("Mprobe", "comm.irecv(source=1).wait()"),
            ("Wait", "r = comm.Precv_init(bytearray(8), 2, 1, 5); r.Start(); r.Wait()"),
            ("Comm_split", "comm.Split(0)"),
            ("Allreduce", "comm.Allreduce(bytearray(1), bytearray(1))"),
        ]
        for name, wait in waits:
            with self.subTest(wait):
                ended = self.job(f"if comm.rank == 0: {wait}\nelse: comm.recv(source=0, tag=99)")
                self.assertEqual(ended.status, 1, ended.text)
                self.assertIn(HEAD, ended.err, ended.text)
                self.assertRegex(ended.err, rf"\n  rank 0 {name}.* at x.py:2", ended.text)
                self.assertIn("\n  rank 1 Recv(source=0, tag=99) on MPI_COMM_WORLD at x.py:3", ended.err)


class Threads(Case):
    def test_an_idle_thread_makes_it_a_suspicion(self) -> None:
        ended = self.job(
            """
            import threading
            late = threading.Event()
            def send():
                late.wait()
                comm.send(1, 0)
            if comm.rank == 0:
                threading.Thread(target=send).start()
                threading.Timer(9, late.set).start()
                comm.recv(source=0)
                comm.send(1, 1)
            else:
                comm.recv(source=0)
            """
        )
        self.assertEqual(ended.status, 0, ended.text)
        head = "mpiexec: deadlock suspected: it seems that no rank can go on, each waits for another one:\n"
        self.assertTrue(ended.err.startswith(head), ended.text)
        self.assertEqual(ended.err.count("suspected"), 1, ended.text)
        self.assertIn(
            "  rank 0 Recv(source=0, tag=ANY_TAG) on MPI_COMM_WORLD at x.py:10 waits for a message\n", ended.err
        )
        self.assertIn(
            "  this is a suspicion, the job goes on: rank 0 has 2 other threads, which may still send", ended.err
        )

    def test_a_thread_that_computes_makes_none(self) -> None:
        ended = self.job(
            """
            import threading, time
            def work():
                end = time.monotonic() + 8
                while time.monotonic() < end:
                    pass
                comm.send(1, 1)
            if comm.rank == 0:
                threading.Thread(target=work).start()
                comm.recv(source=1)
            else:
                comm.recv(source=0)
                comm.send(1, 0)
            """
        )
        self.assertEqual((ended.status, ended.err), (0, ""), ended.text)

    def test_a_thread_in_c_that_may_wake_makes_it_a_suspicion(self) -> None:
        ended = self.job(
            """
            import ctypes
            libc = ctypes.CDLL(None)
            libc.pthread_create(ctypes.byref(ctypes.c_long()), None, libc.pause, None)
            comm.recv()
            """,
            2,
            "--timeout",
            "10",
        )
        self.assertEqual(ended.status, 124, ended.text)
        self.assertTrue(ended.err.startswith("mpiexec: deadlock suspected: "), ended.text)

    def test_threads_in_c_that_wait_for_others_do_not(self) -> None:
        ended = self.job(
            """
            import ctypes
            libc = ctypes.CDLL(None)
            barrier = ctypes.create_string_buffer(256)
            libc.pthread_barrier_init(barrier, None, 4)
            for _ in range(3):
                libc.pthread_create(ctypes.byref(ctypes.c_long()), None, libc.pthread_barrier_wait, barrier)
            comm.recv()
            """
        )
        self.stands_still(
            ended,
            "  ranks 0, 1 Recv(source=ANY_SOURCE, tag=ANY_TAG) on MPI_COMM_WORLD at x.py:8 wait for a message",
            "  way out: not all may receive first; a message must be sent before somebody can wait for it",
        )


class Flag(Case):
    def test_the_job_may_go_on(self) -> None:
        for flag in ("--deadlock=report", "--deadlock=off"):
            with self.subTest(flag):
                ended = self.job("comm.recv()", 2, flag, "--timeout", "6")
                self.assertEqual(ended.status, 124, ended.text)
                said = "\n  the job goes on (--deadlock=report)\n" in ended.err
                self.assertEqual(said, flag == "--deadlock=report", ended.text)
