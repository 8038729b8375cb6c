"""Barriers and the shortest reductions of many ranks on few cores: they count who has come, and the last one combines for
all. Here few ranks go that way."""

from __future__ import annotations

import textwrap

from support.alone import AloneCase, Ended, python

ALONE = True

PRELUDE = """
import signal, time
import numpy as np
from mpi4py import MPI
comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size
comm.Barrier()
"""


class Counted(AloneCase):
    def setUp(self) -> None:
        self.need_ours("it is about one of its ways")
        self.need_numpy()

    def job(self, code: str, ranks: int) -> Ended:
        return python(PRELUDE + textwrap.dedent(code), ranks=ranks, OXMPI_COUNTED_FROM="2")

    def test_contributions_are_combined_in_rank_order_whoever_comes_last(self) -> None:
        code = """
            # Sums that depend on the order.
            values = np.array([0.1, 1e16, -1e16, 3e-17, 7.0]) * (1 + np.arange(size))[:, None] ** 3
            plain = values[0].copy()
            for other in values[1:]:
                plain = plain + other
            for turn in range(300):
                if turn % size == rank and turn < 40:
                    time.sleep(0.002)
                total = np.zeros(5)
                comm.Allreduce(values[rank], total)
                assert total.tobytes() == plain.tobytes(), (turn, total, plain)
                place = values[rank].copy()
                comm.Allreduce(MPI.IN_PLACE, place)
                assert place.tobytes() == plain.tobytes(), (turn, place, plain)
                small = np.array([(rank + turn) % 50], "b")
                top = np.zeros(1, "b")
                comm.Allreduce(small, top, MPI.MAX)
                assert top[0] == max((r + turn) % 50 for r in range(size)), (turn, top)
                block = np.zeros(1)
                comm.Reduce_scatter_block(np.arange(size) + float(rank), block)
                assert block[0] == rank * size + size * (size - 1) / 2
            """
        for ranks in (2, 3, 4, 8):
            self.ended_well(self.job(code, ranks), "")

    def test_nobody_passes_a_barrier_before_all_have_come(self) -> None:
        code = """
            other = comm.Dup()
            for turn in range(200):
                if turn % size == rank and turn < 30:
                    time.sleep(0.005)
                came = time.monotonic()
                comm.Barrier()
                left = time.monotonic()
                latest = other.allreduce(came, MPI.MAX)
                assert left >= latest, (turn, left, latest)
            """
        for ranks in (2, 4, 8):
            self.ended_well(self.job(code, ranks), "")

    def test_a_rank_in_a_barrier_takes_messages(self) -> None:
        code = """
            # Too many to be sent without the receiver, and too large: it has to take part while it waits.
            if rank == 0:
                large = np.ones(1 << 20)
                requests = [comm.Isend(large, other, 1) for other in range(1, size)]
                for other in range(1, size):
                    for number in range(2000):
                        comm.send(number, other, 2)
                MPI.Request.Waitall(requests)
                comm.Barrier()
            else:
                place = np.zeros(1 << 20)
                request = comm.Irecv(place, 0, 1)
                comm.Barrier()
                assert [comm.recv(source=0, tag=2) for _ in range(2000)] == list(range(2000))
                request.Wait()
                assert place.all()
            """
        for ranks in (2, 4):
            self.ended_well(self.job(code, ranks), "")

    def test_a_long_wait_takes_no_core(self) -> None:
        code = """
            if rank == 0:
                time.sleep(1.5)
            before = time.process_time()
            comm.Barrier()
            took = time.process_time() - before
            assert took < 0.15, f"rank {rank} computed for {took:.3f} s in a barrier"
            """
        self.ended_well(self.job(code, 4), "")

    def test_a_signal_ends_the_wait_and_the_communicator_goes_on(self) -> None:
        code = """
            class Enough(Exception):
                pass

            def enough(*_):
                raise Enough

            if rank == 0:
                signal.signal(signal.SIGALRM, enough)
                signal.setitimer(signal.ITIMER_REAL, 0.3)
                begin = time.monotonic()
                try:
                    comm.Barrier()
                except Enough:
                    pass
                else:
                    raise AssertionError("the barrier ended")
                assert time.monotonic() - begin < 1
                # Those who are left behind combine for themselves, and then all count again.
                time.sleep(0.5)
            else:
                time.sleep(1)
                comm.Barrier()
            total = np.zeros(1)
            for _ in range(100):
                comm.Allreduce(np.ones(1), total)
                assert total[0] == size
            """
        for ranks in (2, 4):
            self.ended_well(self.job(code, ranks), "")

    def test_ranks_that_disagree_learn_it_at_once(self) -> None:
        for odd, text in (
            ("comm.Allreduce(np.ones(1), np.ones(1))", "called Allreduce()"),
            ("comm.Bcast(np.ones(1), root=2)", "called Bcast(root=2)"),
            ("comm.Ibarrier().Wait()", "called Ibarrier()"),
        ):
            code = f"""
                begin = time.monotonic()
                try:
                    if rank == 2:
                        {odd}
                        comm.Barrier()
                    else:
                        comm.Barrier()
                except MPI.Exception as error:
                    assert "called Barrier()" in str(error) and {text!r} in str(error), error
                    # Others give way for 2 s.
                    assert time.monotonic() - begin < 4.5
                else:
                    raise AssertionError(f"rank {{rank}}: no error")
                """
            with self.subTest(odd):
                self.ended_well(self.job(code, 4), "")

    def test_lengths_that_differ(self) -> None:
        code = """
            try:
                comm.Allreduce(np.ones(2 if rank == 1 else 1), np.zeros(2 if rank == 1 else 1))
            except MPI.Exception as error:
                assert "counts and types must agree" in str(error), error
            else:
                raise AssertionError(f"rank {rank}: no error")
            """
        for ranks in (2, 4):
            self.ended_well(self.job(code, ranks), "")
