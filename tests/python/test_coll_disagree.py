"""Ranks that do not call the same collectives: one sentence that names them all, with their lines, in every rank that
takes part, instead of a hang or wrong data."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from support.alone import AloneCase, Ended, run_lines

ALONE = True

# A rank that did not find the difference itself waits 2 s under mpiexec for its end before it has the error. So jobs
# that go on after one are run some at a time: they sleep.
AT_ONCE = 6

ORDER = "all ranks of a communicator must call the same collectives in the same order"
SIZES = "counts and types must agree on all ranks"
WORLD = "on MPI_COMM_WORLD"


class DisagreeCase(AloneCase):
    def setUp(self) -> None:
        self.need_ours("other libraries hang, or exchange wrong data")
        self.need_numpy()

    def job(self, code: str, ranks: int, *flags: str) -> Ended:
        """Runs some lines as x.py, whose first line is line 1, in its folder. In it: `comm`, `rank`, `size`, arrays `a`
        and `b`, and `error(function, *arguments)`, which gives an error's text."""
        helper = """
            import numpy as np
            from mpi4py import MPI
            comm = MPI.COMM_WORLD
            rank, size = comm.rank, comm.size
            a, b = np.full(64, rank, "d"), np.zeros(64, "d")

            def error(function, *arguments, **named):
                try:
                    function(*arguments, **named)
                except MPI.Exception as error:
                    # Behind the class.
                    return error.error_string.partition(": ")[2]
                raise AssertionError(f"rank {rank}: no error")

            # All are there: one that begins late may be missing in a report.
            comm.Barrier()
            """
        return run_lines(code, ranks, *flags, first="from x_support import *", support=helper)

    def all_end_well(self, jobs: Iterable[tuple[str, str, int]]) -> None:
        """Jobs with a name, lines and a number of ranks, several at once: each rank of all says "done", and no more."""
        jobs = list(jobs)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            all_ended = pool.map(lambda job: self.job(job[1], job[2]), jobs)
            for (name, _, ranks), ended in zip(jobs, all_ended, strict=True):
                with self.subTest(name):
                    self.assertEqual((ended.status, ended.err, ended.out), (0, "", "done\n" * ranks), ended.text)

    def says(self, code: str, text: str, ranks: int = 4, name: str = "MPI_ERR_OTHER") -> None:
        """The job ends with this error and no other: the other ranks wait to be ended."""
        ended = self.job(code, ranks)
        self.assertEqual(ended.status, 1, ended.text)
        self.assertEqual(ended.err.count("mpi4py.MPI.Exception"), 1, ended.text)
        self.assertIn(f"mpi4py.MPI.Exception: {name}: {text}\n", ended.err)


class Kinds(DisagreeCase):
    """Other collectives, other roots."""

    def test_the_odd_one_out_is_named_with_its_line(self) -> None:
        code = """
            if rank == 2:
                comm.Bcast(a, root=0)
            else:
                comm.Reduce(a, b, root=0)
            comm.Barrier()
            """
        self.says(
            code,
            f"rank 2 called Bcast(root=0) (x.py:3) where ranks 0, 1, 3 called Reduce(root=0) (x.py:5), {WORLD}: {ORDER}",
        )

    def test_kinds_beside_each_other(self) -> None:
        # All ranks but the last call the one, the last the other; each gets the error.
        calls = {
            "Barrier()": "comm.Barrier()",
            "Bcast(root=0)": "comm.Bcast(a)",
            "Gather(root=0)": "comm.Gather(a, whole)",
            "Scatter(root=0)": "comm.Scatter(whole, a)",
            "Allgather()": "comm.Allgather(a, whole)",
            "Alltoall()": "comm.Alltoall(whole, whole.copy())",
            "Reduce(root=0)": "comm.Reduce(a, b)",
            "Allreduce()": "comm.Allreduce(a, b)",
            "Scan()": "comm.Scan(a, b)",
            "Reduce_scatter_block()": "comm.Reduce_scatter_block(whole, a)",
            "Comm_dup()": "comm.Dup()",
            "Comm_split()": "comm.Split(0)",
        }
        code = """
            whole = np.zeros(64 * size)
            calls, pairs = CALLS, PAIRS
            world = comm
            # Each pair on a communicator of its own, all of which are there before the first one is broken.
            comms = [world.Dup() for _ in pairs]
            for (one, other), comm in zip(pairs, comms):
                mine = other if rank == size - 1 else one
                def both():
                    exec(calls[mine])
                    comm.Barrier()
                text = error(both)
                assert f"called {one}" in text and f"called {other}" in text, (one, other, text)
                assert f"rank {size - 1} called {other}" in text, text
                assert "no collective can be called" in error(comm.Barrier)
            print("done", flush=True)
            """.replace("CALLS", repr(calls))
        names, jobs = list(calls), []
        for ranks, step in ((2, 1), (3, 5)):
            pairs = list(zip(names, names[step:] + names[:step], strict=True))[ranks % 2 :: 2]
            for first in range(0, len(pairs), 2):
                some = pairs[first : first + 2]
                jobs.append((str(some), code.replace("PAIRS", repr(some)), ranks))
        self.all_end_well(jobs)

    def test_roots_that_differ_are_found_by_the_next_collective(self) -> None:
        code = """
            comm.Bcast(a, root=1 if rank == 1 else 0)
            comm.Barrier()
            """
        ended = self.job(code, 3)
        self.assertEqual(ended.status, 1, ended.text)
        self.assertIn("rank 1 called Bcast(root=1)", ended.err)
        self.assertIn("where ranks 0, 2 called Bcast(root=0)", ended.err)
        self.assertIn(ORDER, ended.err)

    def test_roots_that_differ_in_a_gather(self) -> None:
        # Those that only send may be further, or gone.
        ended = self.job("comm.Gather(a, np.zeros(64 * size), root=rank // 2)\ncomm.Barrier()", 4)
        self.assertEqual(ended.status, 1, ended.text)
        self.assertIn("ranks 2, 3 called Gather(root=1) (", ended.err)
        self.assertIn(" where ranks 0, 1 called Gather(root=0) (x.py:2", ended.err)
        self.assertIn(ORDER, ended.err)

    def test_lower_case_and_upper_case(self) -> None:
        code = """
            if rank == 0:
                comm.bcast("x")
            else:
                comm.Barrier()
            comm.Barrier()
            """
        ended = self.job(code, 2)
        self.assertEqual(ended.status, 1, ended.text)
        self.assertIn("where rank 0 called Bcast(root=0)", ended.err)

    def test_a_collective_too_many(self) -> None:
        code = """
            for i in range(5 if rank == 1 else 4):
                comm.Allreduce(a, b)
            comm.Barrier()
            """
        self.says(
            code, f"rank 1 called Allreduce() (x.py:3) where ranks 0, 2, 3 called Barrier() (x.py:4), {WORLD}: {ORDER}"
        )

    def test_very_long_messages(self) -> None:
        # Beyond the shared chunks: by messages.
        code = """
            big = np.zeros(1 << 20)
            if rank == 1:
                comm.Gather(big, np.zeros(size << 20) if rank == 0 else None)
            else:
                comm.Scatter(np.zeros(size << 20) if rank == 0 else None, big)
            comm.Barrier()
            """
        ended = self.job(code, 3)
        self.assertEqual(ended.status, 1, ended.text)
        self.assertIn("rank 1 called Gather(root=0)", ended.err)
        self.assertIn("where ranks 0, 2 called Scatter(root=0)", ended.err)

    def test_operations_of_the_user(self) -> None:
        code = """
            op = MPI.Op.Create(lambda x, y, kind: None)
            if rank == 1:
                comm.Allreduce(a, b, op)
            else:
                comm.Scan(a, b, op)
            comm.Barrier()
            """
        ended = self.job(code, 3)
        self.assertEqual(ended.status, 1, ended.text)
        self.assertIn("rank 1 called Allreduce()", ended.err)
        self.assertIn("where ranks 0, 2 called Scan()", ended.err)

    def test_each_rank_that_takes_part_gets_the_error(self) -> None:
        code = """
            import time
            text = error(comm.Dup) if rank == 1 else error(comm.Barrier)
            assert text.startswith("rank 1 called Comm_dup() (x_support.py:"), text
            for again in comm.Barrier, comm.Ibarrier, comm.Barrier_init, comm.Dup, comm.Idup:
                assert "no collective can be called on this communicator any more" in error(again)
            # Others work on.
            assert MPI.COMM_SELF.allreduce(3) == 3
            if rank == 0:
                comm.Send(a, 1, 7)
            elif rank == 1:
                comm.Recv(b, 0, 7)
            print("done", flush=True)
            """
        ended = self.job(code, 3)
        self.assertEqual((ended.status, ended.err, ended.out.count("done")), (0, "", 3), ended.text)

    def test_a_named_communicator(self) -> None:
        code = """
            part = comm.Split(rank % 2, -rank)
            part.name = f"half {rank % 2}"
            if rank in (0, 1, 3, 5):
                part.Barrier()
            else:
                part.Allreduce(a, b)
            comm.Barrier()
            """
        # World ranks 4, 2, 0 are ranks 0, 1, 2 of the even half.
        self.says(
            code,
            f"rank 2 called Barrier() (x.py:5) where ranks 0, 1 called Allreduce() (x.py:7), on half 0: {ORDER}",
            6,
        )


class Numbers(DisagreeCase):
    """Collectives that not all ranks call; sizes that differ."""

    def test_a_rank_that_has_finalized(self) -> None:
        self.says(
            "if rank != 1: comm.Barrier()",
            f"rank 1 called Finalize where ranks 0, 2, 3 called Barrier() (x.py:2), {WORLD}: {ORDER}",
        )

    def test_a_rank_that_fails_after_it_is_the_cause(self) -> None:
        ended = self.job("import sys\nif rank == 1: sys.exit(3)\ncomm.Allreduce(a, b)", 3)
        self.assertEqual(ended.status, 3, ended.text)
        self.assertIn("rank 1 of 3 failed first", ended.err)
        self.assertNotIn("called Finalize", ended.err)

    def test_sizes_that_differ(self) -> None:
        for call, name in (
            ("comm.Allreduce(a[:n], b[:n])", "Allreduce()"),
            ("comm.Reduce(a[:n], b[:n], root=0)", "Reduce(root=0)"),
            ("comm.Scan(a[:n], b[:n])", "Scan()"),
            ("comm.Allgather(a[:n], np.zeros(n * size))", "Allgather()"),
        ):
            for few, many in ((0, 1), (2, 4), (3, 60), (10, 50_000)):
                with self.subTest(call=name, few=few, many=many):
                    code = f"a, b = np.zeros({many}), np.zeros({many})\nn = {few} if rank == 1 else {many}\n{call}\ncomm.Barrier()"
                    ended = self.job(code, 3)
                    self.assertEqual(ended.status, 1, ended.text)
                    self.assertIn(f"rank 1 called {name} of {few * 8} bytes", ended.err)
                    self.assertIn(f"where ranks 0, 2 called {name} of {many * 8} bytes", ended.err)
                    self.assertIn(SIZES, ended.err)

    def test_a_root_with_another_size_gets_both_numbers(self) -> None:
        # Larger or smaller, in shared memory or by messages; the communicator stays in order.
        code = """
            for mine, theirs in ((3, 4), (4, 3), (100, 90), (90, 100), (40_000, 30_000), (30_000, 40_000)):
                a, whole = np.zeros(theirs), np.zeros(mine * size)
                if rank == 0:
                    text = error(comm.Gather, np.zeros(mine), whole)
                    assert f"sent {8 * theirs} bytes where {8 * mine} were expected" in text, text
                    text = error(comm.Gatherv, np.zeros(mine), [whole, [mine] * size])
                    assert "sent" in text, text
                    comm.Scatter(whole, np.zeros(mine))
                    comm.Bcast(np.zeros(mine))
                else:
                    comm.Gather(a, None)
                    comm.Gatherv(a, None)
                    text = error(comm.Scatter, None, a)
                    assert str(8 * theirs) in text or str(theirs) in text, text
                    text = error(comm.Bcast, a)
                    assert str(8 * theirs) in text, text
                comm.Barrier()
            print("done", flush=True)
            """
        ended = self.job(code, 3)
        self.assertEqual((ended.status, ended.err, ended.out.count("done")), (0, "", 3), ended.text)

    def test_blocks_of_an_alltoall(self) -> None:
        code = """
            counts = [1 + i for i in range(size)]
            wrong = [1 + rank] * size
            if rank == 1:
                wrong[0] += 1
            send = np.zeros(100)
            recv = np.zeros(100)
            def call():
                comm.Alltoallv([send, counts], [recv, wrong])
            if rank == 1:
                text = error(call)
                assert text == "Alltoallv: rank 0 sent 16 bytes where 24 were expected: " + SIZES, text
            else:
                call()
            assert comm.allreduce(1) == size
            print("done", flush=True)
            """
        ended = self.job(f"SIZES = {SIZES!r}\n" + textwrap.dedent(code), 3)
        self.assertEqual((ended.status, ended.err, ended.out.count("done")), (0, "", 3), ended.text)


class Requests(DisagreeCase):
    """Collectives that were started, and are waited for or tested."""

    def ends_well(self, code: str, ranks: int) -> None:
        ended = self.job(code, ranks)
        self.assertEqual((ended.status, ended.err, ended.out.count("done")), (0, "", ranks), ended.text)

    def test_nonblocking_ones_that_differ(self) -> None:
        self.says(
            """
            if rank == 2:
                comm.Ibcast(a, root=1).Wait()
            else:
                comm.Iallreduce(a, b).Wait()
            comm.Barrier()
            """,
            f"rank 2 called Ibcast(root=1) (x.py:3) where ranks 0, 1, 3 called Iallreduce() (x.py:5), {WORLD}: {ORDER}",
        )

    def test_each_way_to_complete_them(self) -> None:
        ways = {
            "Wait": "request.Wait()",
            "Waitall": "MPI.Request.Waitall([null, request])",
            "Waitany": "MPI.Request.Waitany([null, request])",
            "Waitsome": "MPI.Request.Waitsome([request, null])",
            "tests": "by_tests(request)",
        }
        code = """
            null = MPI.REQUEST_NULL
            def by_tests(request):
                while not request.Test():
                    pass
            on = comm.Dup()
            request = on.Ibarrier() if rank else on.Iallgather(a, np.zeros(64 * size))
            text = error(lambda: WAY)
            assert "Ibarrier()" in text or "in status" in text.lower(), text
            assert request == null, request
            comm.Barrier()
            print("done", flush=True)
            """
        self.all_end_well((name, code.replace("WAY", way), 2) for name, way in ways.items())

    def test_what_ranks_get_that_go_on(self) -> None:
        jobs = [
            (
                "a blocking one where others start one",
                """
                text = error(comm.Barrier) if rank == 1 else error(comm.Ibarrier().Wait)
                assert text.startswith("rank 1 called Barrier() ("), text
                assert "where ranks 0, 2 called Ibarrier() (" in text, text
                print("done", flush=True)
                """,
                3,
            ),
            (
                "those before it are completed",
                """
                good = [comm.Iallreduce(np.full(5000, rank, "d"), whole := np.zeros(5000)) for _ in range(3)]
                bad = comm.Ibarrier() if rank else comm.Ibcast(np.zeros(5000), root=1)
                text = error(bad.Wait)
                assert "rank 0 called Ibcast(root=1)" in text and "rank 1 called Ibarrier()" in text, text
                MPI.Request.Waitall(good)
                assert (whole == 1).all()
                print("done", flush=True)
                """,
                2,
            ),
            (
                "persistent ones",
                """
                request = comm.Scan_init(a, b) if rank else comm.Allreduce_init(a, b)
                request.Start()
                text = error(request.Wait)
                assert "rank 1 called Scan_init()" in text and "rank 0 called Allreduce_init()" in text, text
                # It is inactive, and fails again.
                request.Wait()
                request.Start()
                assert "Scan_init()" in error(request.Wait)
                request.Free()
                print("done", flush=True)
                """,
                2,
            ),
            (
                "neighbours",
                """
                ring = comm.Create_cart([size], periods=[True])
                whole = np.zeros(64 * 2)
                if rank == 1:
                    text = error(ring.Neighbor_alltoall, np.zeros(64 * 2), whole)
                else:
                    text = error(ring.Neighbor_allgather, a, whole)
                assert "rank 1 called Neighbor_alltoall()" in text, text
                assert "ranks 0, 2 called Neighbor_allgather()" in text, text
                print("done", flush=True)
                """,
                3,
            ),
        ]
        self.all_end_well(jobs)

    def test_sizes_of_started_ones(self) -> None:
        self.ends_well(
            """
            text = error(comm.Iallreduce(a[: 10 + rank], b[: 10 + rank]).Wait)
            assert text.startswith("Iallreduce: rank ") and " 80 " in text and " 88 " in text, text
            print("done", flush=True)
            """,
            2,
        )

    def test_many_that_overlap_on_several_communicators(self) -> None:
        # What is in order stays so.
        self.ends_well(
            """
            import time
            comms = [comm.Dup() for _ in range(3)]
            for turn in range(50):
                requests, results = [], []
                for i in range(12):
                    got = np.zeros(100)
                    results.append(got)
                    requests.append(comms[(i + turn) % 3].Iallreduce(np.full(100, rank + i, "d"), got))
                if turn == 25 and rank == 1:
                    time.sleep(1)
                MPI.Request.Waitall(requests)
                for i, got in enumerate(results):
                    assert (got == sum(range(size)) + i * size).all()
            print("done", flush=True)
            """,
            3,
        )


class Checked(DisagreeCase):
    """What only `mpiexec --check` compares."""

    def checked(self, code: str, text: str, name: str, ranks: int = 3) -> None:
        ended = self.job(code, ranks, "--check")
        self.assertEqual(ended.status, 1, ended.text)
        self.assertIn(f"mpi4py.MPI.Exception: {name}: {text}\n", ended.err)

    def test_operations(self) -> None:
        for i, call in enumerate(
            ("comm.Allreduce(a, b, {})", "comm.Iallreduce(a, b, {}).Wait()", "comm.Scan(a, b, {})")
        ):
            name = ("Allreduce", "Iallreduce", "Scan")[i]
            with self.subTest(name=name):
                self.checked(
                    f"op = MPI.MAX if rank == 1 else MPI.SUM\n{call.format('op')}\ncomm.Barrier()",
                    f"rank 1 called {name}(op=MPI_MAX) (x.py:3) where ranks 0, 2 called {name}(op=MPI_SUM) (x.py:3), "
                    f"{WORLD}: the operation must be the same on all ranks",
                    "MPI_ERR_OP",
                )

    def test_an_operation_of_the_program(self) -> None:
        ended = self.job(
            """
            mine = MPI.Op.Create(lambda x, y, kind: None)
            comm.Reduce(a, b, mine if rank == 0 else MPI.PROD, root=1)
            comm.Barrier()
            """,
            3,
            "--check",
        )
        self.assertEqual(ended.status, 1, ended.text)
        self.assertIn("rank 0 called Reduce(root=1, op=an operation of the program) (", ended.err)
        self.assertIn("where ranks 1, 2 called Reduce(root=1, op=MPI_PROD) (", ended.err)

    def test_types(self) -> None:
        for call, name in (
            ("comm.Bcast({})", "Bcast(root=0)"),
            ("comm.Allreduce(MPI.IN_PLACE, {})", "Allreduce()"),
            ("comm.Gather({}, np.zeros(8 * size, 'd') if rank == 0 else None)", "Gather(root=0)"),
            ("comm.Ibcast({}).Wait()", "Ibcast(root=0)"),
        ):
            with self.subTest(name=name):
                code = f"mine = np.zeros(8, 'q' if rank == 1 else 'd')\n{call.format('mine')}\ncomm.Barrier()"
                ended = self.job(code, 3, "--check")
                self.assertEqual(ended.status, 1, ended.text)
                self.assertRegex(ended.err, r"rank 1 called " + re.escape(name) + r" of 8 x MPI_\w*(LONG|INT64)\w* \(")
                self.assertIn(f"where ranks 0, 2 called {name} of 8 x MPI_DOUBLE (", ended.err)
                self.assertIn(f"MPI_ERR_TYPE: rank 1 called {name}", ended.err)

    def test_the_same_signature_is_the_same(self) -> None:
        ended = self.job(
            """
            pair = MPI.DOUBLE.Create_contiguous(2).Commit()
            buffer = np.full(64, rank, "d")
            comm.Bcast([buffer, 32, pair] if rank else [buffer, 64, MPI.DOUBLE])
            assert (buffer == 0).all()
            comm.Ibcast([buffer, 64, MPI.DOUBLE] if rank else [buffer, 32, pair]).Wait()
            whole = np.zeros(64 * size)
            comm.Gather([buffer, 32, pair] if rank else [buffer, 64, MPI.DOUBLE], whole)
            comm.Allgather([buffer, 64, MPI.DOUBLE], [whole, 32, pair] if rank else [whole, 64, MPI.DOUBLE])
            pair.Free()
            assert comm.allreduce(1) == size and comm.bcast({"a": rank}) == {"a": 0}
            assert len(comm.allgather("x" * rank)) == size
            comm.Barrier()
            print("done", flush=True)
            """,
            3,
            "--check",
        )
        self.assertEqual((ended.status, ended.out.count("done")), (0, 3), ended.text)

    def test_without_the_flag_nothing_is_said(self) -> None:
        code = """
            comm.Allreduce(a, b, MPI.MAX if rank == 1 else MPI.SUM)
            comm.Barrier()
            print("done", flush=True)
            """
        ended = self.job(code, 3)
        self.assertEqual((ended.status, ended.err, ended.out.count("done")), (0, "", 3), ended.text)


class Between(DisagreeCase):
    """Intercommunicators, and communicators in the making."""

    SIDES = """
        half = comm.Split(rank % 2, rank)
        inter = half.Create_intercomm(0, comm, 1 - rank % 2, 5)
        """

    def test_both_sides_are_named(self) -> None:
        code = textwrap.dedent(self.SIDES) + textwrap.dedent("""
            text = error(inter.Barrier) if rank % 2 else error(inter.Allreduce, a, b)
            mine, theirs = ("Barrier", "Allreduce") if rank % 2 else ("Allreduce", "Barrier")
            assert f"ranks 0, 1 called {mine}() (" in text and f"ranks 0, 1 of the other group called {theirs}() (" in text, text
            print("done", flush=True)
            """)
        management = textwrap.dedent(self.SIDES) + textwrap.dedent("""
            text = error(inter.Dup) if rank % 2 else error(inter.Merge, False)
            assert "called Comm_dup()" in text and "called Intercomm_merge()" in text, text
            print("done", flush=True)
            """)
        self.all_end_well([("collectives", code, 4), ("management", management, 4)])

    def test_one_makes_a_communicator_another_one_a_topology(self) -> None:
        for one, name in (
            ("comm.Create_cart([size])", "Cart_create"),
            ("comm.Split_type(MPI.COMM_TYPE_SHARED)", "Comm_split_type"),
            ("comm.Create(comm.group)", "Comm_create"),
            ("comm.Create_dist_graph_adjacent([0], [0])", "Dist_graph_create_adjacent"),
        ):
            with self.subTest(name=name):
                code = f"if rank == 1:\n    {one}\nelse:\n    comm.Dup()\ncomm.Barrier()"
                ended = self.job(code, 3)
                self.assertEqual(ended.status, 1, ended.text)
                self.assertIn(f"rank 1 called {name}()", ended.err)
                self.assertIn("where ranks 0, 2 called Comm_dup()", ended.err)
