"""`mpiexec --check`: blocks of collectives that only their sender and their receiver know. What both say of one is
compared; a difference is an error of both that names them, their numbers and their lines."""

from __future__ import annotations

import textwrap

from support.alone import AloneCase, Ended, run_lines

ALONE = True

RULE = "counts and types must agree on both sides"
WORLD = "on MPI_COMM_WORLD"


class BlocksCase(AloneCase):
    def setUp(self) -> None:
        self.need_ours("--check belongs to its mpiexec")
        self.need_numpy()

    def job(self, code: str, ranks: int, *flags: str) -> Ended:
        """Runs some lines as x.py, whose first line is line 1, in its folder. In it: `comm`, `rank`, `size`, an array of
        integers `a` and one with room for all blocks `whole`, and `text(function, *arguments)`, which gives an
        error's text, or nothing."""
        helper = """
            import numpy as np
            from mpi4py import MPI
            comm = MPI.COMM_WORLD
            rank, size = comm.rank, comm.size
            a, whole = np.full(100, rank, "i"), np.full(1000, -1, "i")

            def text(function, *arguments, **named):
                try:
                    request = function(*arguments, **named)
                    if isinstance(request, MPI.Prequest):
                        request.Start()
                    if isinstance(request, MPI.Request):
                        request.Wait()
                except MPI.Exception as error:
                    return error.error_string
                return ""
            """
        return run_lines(code, ranks, *(flags or ("--check",)), first="from x_support import *", support=helper)

    def tells(self, code: str, ranks: int, *wanted: tuple[int, str]) -> None:
        """Each rank prints what it was told: these texts, whole, and nothing else."""
        ended = self.job(textwrap.dedent(code) + "\nif told: print(rank, told, flush=True)\ncomm.Barrier()\n", ranks)
        self.assertEqual(ended.status, 0, ended.text)
        self.assertEqual(sorted(ended.out.splitlines()), sorted(f"{rank} {text}" for rank, text in wanted), ended.text)

    def ends_well(self, code: str, ranks: int, *flags: str) -> None:
        ended = self.job(textwrap.dedent(code) + '\ncomm.Barrier()\nprint("done", flush=True)\n', ranks, *flags)
        self.assertEqual((ended.status, ended.err, ended.out.count("done")), (0, "", ranks), ended.text)


class Differences(BlocksCase):
    """Both ends of a block get the sentence, others nothing; and the communicator stays in order."""

    def test_a_count_in_every_form(self) -> None:
        for form, name in (("Gatherv", "Gatherv"), ("Igatherv", "Igatherv"), ("Gatherv_init", "Gatherv_init")):
            with self.subTest(form=form):
                said = (
                    f"MPI_ERR_TRUNCATE: {name}: rank 1 sends 8 x MPI_INT (32 bytes) to rank 0 (x.py:5), rank 0 expects "
                    f"10 x MPI_INT (40 bytes) from rank 1 (x.py:3), {WORLD}: {RULE}"
                )
                code = f"""
                    if rank == 0:
                        told = text(lambda: comm.{form}(a[:10], [whole, [10] * size], 0))
                    else:
                        told = text(lambda: comm.{form}(a[:8] if rank == 1 else a[:10], None, 0))
                    """
                self.tells(code, 3, (0, said), (1, said))

    def test_a_type(self) -> None:
        said = (
            f"MPI_ERR_TYPE: Scatterv: rank 1 sends 10 x MPI_INT (40 bytes) to rank 0 (x.py:5), rank 0 expects 10 x "
            f"MPI_FLOAT (40 bytes) from rank 1 (x.py:3), {WORLD}: {RULE}"
        )
        code = """
            if rank == 0:
                told = text(lambda: comm.Scatterv(None, np.zeros(10, "f"), 1))
            else:
                told = text(lambda: comm.Scatterv([whole, [10] * size] if rank == 1 else None, a[:10], 1))
            """
        for ranks in (2, 4):
            self.tells(code, ranks, (0, said), (1, said))

    def test_what_a_rank_gives_itself(self) -> None:
        said = (
            f"MPI_ERR_TYPE: Gatherv: rank 0 sends 10 x MPI_FLOAT (40 bytes) to itself (x.py:2), rank 0 expects 10 x "
            f"MPI_INT (40 bytes) from itself (x.py:2), {WORLD}: {RULE}"
        )
        self.tells('told = text(lambda: comm.Gatherv(np.zeros(10, "f"), [whole, [10]]))', 1, (0, said))

    def test_several_blocks(self) -> None:
        # Rank 1 gives three integers, the others expect two of it; and it expects other numbers than they give.
        code = """
            counts = [2] * size
            counts[1] = 3 if rank == 1 else 2
            told = text(lambda: comm.Allgatherv(a[: counts[rank]], [whole, counts]))
            assert told or not whole[sum(counts) :].min() < -1
            """
        ended = self.job(textwrap.dedent(code) + "\nprint(rank, told, flush=True)\ncomm.Barrier()\n", 4)
        self.assertEqual(ended.status, 0, ended.text)
        lines = sorted(ended.out.splitlines())
        for rank in (0, 2, 3):
            self.assertIn(
                f"Allgatherv: rank 1 sends 3 x MPI_INT (12 bytes) to rank {rank} (x.py:4), rank {rank} expects 2 x "
                f"MPI_INT (8 bytes) from rank 1 (x.py:4), {WORLD}: {RULE}",
                lines[rank],
            )
            self.assertNotIn("differ", lines[rank])
        self.assertRegex(lines[1], "rank 1 sends 3 x MPI_INT.*; 2 other blocks of this rank differ, too$")

    def test_each_pair_of_an_alltoall(self) -> None:
        for name, call in (
            ("Alltoallv", "comm.Alltoallv([a, counts], [whole, expected])"),
            ("Ialltoallv", "comm.Ialltoallv([a, counts], [whole, expected])"),
        ):
            said = (
                f"MPI_ERR_TRUNCATE: {name}: rank 2 sends 1 x MPI_INT (4 bytes) to rank 0 (x.py:5), rank 0 expects 2 x "
                f"MPI_INT (8 bytes) from rank 2 (x.py:5), {WORLD}: {RULE}"
            )
            code = f"""
                counts, expected = [1] * size, [1] * size
                if rank == 0:
                    expected[2] = 2
                told = text(lambda: {call})
                """
            self.tells(code, 3, (0, said), (2, said))

    def test_types_of_their_own(self) -> None:
        said = (
            f"MPI_ERR_TYPE: Alltoallw: rank 1 sends 1 x MPI_FLOAT (4 bytes) to rank 0 (x.py:5), rank 0 expects 1 x "
            f"MPI_INT (4 bytes) from rank 1 (x.py:5), {WORLD}: {RULE}"
        )
        code = """
            places = ([1] * size, [4 * i for i in range(size)])
            types = [MPI.INT] * size
            sent = [MPI.FLOAT, *types[1:]] if rank == 1 else types
            told = text(lambda: comm.Alltoallw([a, *places, sent], [whole, *places, types]))
            """
        for ranks in (2, 3, 4):
            self.tells(code, ranks, (0, said), (1, said))

    def test_neighbours_of_a_ring(self) -> None:
        # What goes to the left comes from the right: two ranks are both for each other.
        code = """
            ring = comm.Create_cart([size], periods=[True])
            ring.name = "ring"
            sent, expected = [1, 2], [2, 1]
            told = text(lambda: ring.Neighbor_alltoallv([a, sent], [whole, expected]))
            assert not told, told
            if rank == 0:
                sent[1] = 3
            told = text(lambda: ring.Ineighbor_alltoallv([a, sent], [whole, expected]))
            ring.Barrier()
            ring.Free()
            """
        said = (
            f"MPI_ERR_TRUNCATE: Ineighbor_alltoallv: rank 0 sends 3 x MPI_INT (12 bytes) to rank 1 (x.py:9), rank 1 "
            f"expects 2 x MPI_INT (8 bytes) from rank 0 (x.py:9), on ring: {RULE}"
        )
        for ranks in (2, 3, 4):
            self.tells(code, ranks, (0, said), (1, said))

    def test_edges_of_a_graph_that_are_there_twice(self) -> None:
        code = """
            n = 2 if rank < 2 else 0
            graph = comm.Create_dist_graph_adjacent([1 - rank] * n, [1 - rank] * n)
            graph.name = ""
            sent = [1, 2 + rank][:n]
            told = text(lambda: graph.Neighbor_alltoallv([a, sent], [whole, [1, 2][:n]]))
            if rank < 2:
                assert "rank 1 sends 3 x MPI_INT (12 bytes) to rank 0 (x.py:6), rank 0 expects 2 x MPI_INT" in told, told
            told = text(lambda: graph.Neighbor_allgather(a[:3], [whole, 3, MPI.FLOAT if rank == 0 else MPI.INT]))
            if rank < 2:
                assert "rank 1 sends 3 x MPI_INT (12 bytes) to rank 0" in told and "3 x MPI_FLOAT" in told, told
                assert "; another block of this rank differs, too" in told, told
            graph.Free()
            """
        self.ends_well(code, 2)
        self.ends_well(code, 3)

    def test_between_two_groups(self) -> None:
        code = """
            half = comm.Split(rank % 2, rank)
            inter = half.Create_intercomm(0, comm, 1 - rank % 2, 5)
            inter.name = "between"
            there = inter.remote_size
            told = text(lambda: inter.Alltoall([a, 2, MPI.INT], [whole, 2, MPI.INT]))
            assert not told, told
            told = text(lambda: inter.Allgather([a, 2, MPI.INT], [whole, 2, MPI.INT if rank else MPI.FLOAT]))
            if rank % 2 or rank == 0:
                assert ("of the other group sends 2 x MPI_INT" in told) == (rank == 0), told
                assert ("rank 0 of the other group expects 2 x MPI_FLOAT" in told) == (rank > 0), told
            else:
                assert not told, told
            root = {0: MPI.ROOT}.get(rank, MPI.PROC_NULL) if rank % 2 == 0 else 0
            told = text(lambda: inter.Bcast([a, 3 if rank == 0 else 2, MPI.INT], root))
            assert ("3 x MPI_INT (12 bytes)" in told) == (rank % 2 == 1 or rank == 0), told
            inter.Free()
            half.Free()
            """
        for ranks in (2, 4):
            self.ends_well(code, ranks)

    def test_an_exception_that_nobody_catches(self) -> None:
        ended = self.job("comm.Gatherv(a[: 3 + rank], [whole, [3] * size])\n", 2)
        self.assertEqual(ended.status, 1, ended.text)
        self.assertIn("Gatherv: rank 1 sends 4 x MPI_INT (16 bytes) to rank 0 (x.py:2), rank 0 expects 3 x", ended.err)


class Silence(BlocksCase):
    """What is no difference."""

    def test_the_same_values_in_other_types(self) -> None:
        code = """
            pair = MPI.INT.Create_contiguous(2).Commit()
            column = MPI.INT.Create_vector(4, 1, 5).Commit()
            comm.Gatherv([a, 2, pair] if rank else [a, 4, MPI.INT], [whole, [4] * size])
            assert rank or (whole[: 4 * size : 4] == range(size)).all()
            comm.Allgatherv([a, 1, column], [whole, [4] * size])
            comm.Scatterv([whole, [2] * size, None, pair] if rank == 0 else None, a[:4])
            assert (a[:4] == rank).all(), a
            places = ([1] * size, [0] * size)
            comm.Alltoallw([a, *places, [pair] * size], [whole, [2] * size, [8 * i for i in range(size)], [MPI.INT] * size])
            # Nothing is nothing, of whatever type.
            comm.Gatherv([a, 0, MPI.DOUBLE], [whole, [0] * size])
            pair.Free()
            column.Free()
            """
        for ranks in (1, 2, 3):
            self.ends_well(code, ranks)

    def test_packed_bytes_and_objects(self) -> None:
        code = """
            comm.Gatherv([a, 8, MPI.PACKED], [whole, [2] * size])
            assert comm.gather("x" * rank) == (["x" * i for i in range(size)] if rank == 0 else None)
            assert comm.allgather([rank] * rank) == [[i] * i for i in range(size)]
            assert comm.scatter(["y" * i for i in range(size)] if rank == 0 else None) == "y" * rank
            assert comm.alltoall([(rank, i) * i for i in range(size)]) == [(i, rank) * rank for i in range(size)]
            ring = comm.Create_cart([size], periods=[True])
            assert ring.neighbor_allgather("z" * rank) == ["z" * ((rank + i) % size) for i in (-1, 1)]
            assert ring.neighbor_alltoall([rank, [rank]])[0] == [(rank - 1) % size]
            ring.Free()
            """
        for ranks in (1, 2, 3, 4):
            self.ends_well(code, ranks)

    def test_started_again_and_again_and_in_place(self) -> None:
        code = """
            counts = [1 + i for i in range(size)]
            displs = [sum(counts[:i]) for i in range(size)]
            whole[displs[rank] : displs[rank] + counts[rank]] = rank
            request = comm.Allgatherv_init(MPI.IN_PLACE, [whole, counts])
            for _ in range(20):
                request.Start()
                request.Wait()
            request.Free()
            assert (whole[: sum(counts)] == np.repeat(range(size), counts)).all()
            comm.Alltoallv(MPI.IN_PLACE, [whole, [2] * size])
            comm.Scatterv([whole, counts] if rank == 0 else None, MPI.IN_PLACE if rank == 0 else a[: counts[rank]])
            """
        for ranks in (1, 2, 4):
            self.ends_well(code, ranks)

    def test_at_the_border_of_a_grid(self) -> None:
        code = """
            line = comm.Create_cart([size])
            # What would come from beyond the border may lie anywhere.
            line.Neighbor_alltoallv([a, [1, 1]], [whole, ([1, 1], [0, 0 if rank in (0, size - 1) else 1])])
            line.Neighbor_allgatherv(a[:2], [whole, [2, 2]])
            line.Free()
            """
        for ranks in (1, 2, 3):
            self.ends_well(code, ranks)

    def test_without_the_flag_the_receiver_is_told_of_bytes(self) -> None:
        code = """
            told = text(lambda: comm.Gatherv(a[: 3 + rank], [whole, [3] * size] if rank == 0 else None))
            assert ("rank 1 sent 16 bytes where 12 were expected" in told) == (rank == 0), told
            told = text(lambda: comm.Allgatherv(a[:3], [whole, [3] * size, None, MPI.FLOAT if rank == 0 else MPI.INT]))
            assert not told, told
            """
        self.ends_well(code, 2, "--deadlock=report")


class Rows(BlocksCase):
    """Reduce_scatter, in which all ranks give the counts of all: they are compared one by one."""

    FORMS = (
        ("Reduce_scatter", "comm.Reduce_scatter(given, got, counts)"),
        ("Ireduce_scatter", "comm.Ireduce_scatter(given, got, counts).Wait()"),
        ("Reduce_scatter_init", "r = comm.Reduce_scatter_init(given, got, counts); r.Start(); r.Wait(); r.Free()"),
    )
    RULE = "all ranks must give the same counts"

    def test_a_count_that_differs_with_the_same_sum(self) -> None:
        # A few bytes, more than fit into a line, more than a chunk.
        for k in (1, 20, 50_000):
            for form, (name, call) in enumerate(self.FORMS):
                ranks = 2 + (form + k) % 2
                with self.subTest(name=name, k=k, ranks=ranks):
                    code = f"""
                        counts = [{2 * k}] * size
                        if rank == 1:
                            counts[size - 2], counts[size - 1] = {3 * k}, {k}
                        given, got = np.zeros({2 * k} * size, "i"), np.zeros(counts[rank], "i")
                        {call}
                        """
                    ended = self.job(code, ranks)
                    others = "ranks 0, 2" if ranks == 3 else "rank 0"
                    said = (
                        f"MPI_ERR_TRUNCATE: rank 1 called {name}() with the count {3 * k} for rank {ranks - 2} (x.py:6) where "
                        f"{others} called {name}() with the count {2 * k} for rank {ranks - 2} (x.py:6), {WORLD}: {self.RULE}"
                    )
                    self.assertEqual(ended.status, 1, ended.text)
                    self.assertIn(f"mpi4py.MPI.Exception: {said}\n", ended.err)

    def test_several_that_differ(self) -> None:
        # The first one counts: of rank 2 another one differs.
        said = (
            "rank 3 called Reduce_scatter() with the count 1 for rank 1 (x.py:4), rank 0 called Reduce_scatter() with the "
            "count 4 for rank 1 (x.py:4) where ranks 1, 2 called Reduce_scatter() with the count 2 for rank 1 (x.py:4), "
            f"{WORLD}: {self.RULE}"
        )
        code = """
            counts = [[2, 4, 2, 2], [2, 2, 2, 2], [2, 2, 3, 1], [2, 1, 2, 3]][rank]
            given, got = np.zeros(sum(counts), "i"), np.zeros(counts[rank], "i")
            told = text(lambda: comm.Reduce_scatter(given, got, counts))
            print(told, flush=True)
            """
        ended = self.job(code, 4)
        self.assertEqual(ended.out.splitlines(), [f"MPI_ERR_TRUNCATE: {said}"] * 4, ended.text)

    def test_started_ones_behind_it_do_not_hide_it(self) -> None:
        code = """
            rows = [[1, 3] if rank else [2, 2], *([[2, 2]] * 9)]
            got = [np.zeros(row[rank], "i") for row in rows]
            requests = [comm.Ireduce_scatter(a[:4], part, row) for row, part in zip(rows, got)]
            told = text(requests[-1].Wait)
            assert "rank 1 called Ireduce_scatter() with the count 1 for rank 0 (" in told, told
            assert "where rank 0 called Ireduce_scatter() with the count 2 for rank 0 (" in told, told
            print("done", flush=True)
            """
        ended = self.job(code, 2)
        self.assertEqual(ended.out.count("done"), 2, ended.text)

    def test_the_same_counts_are_no_difference(self) -> None:
        code = f"""
            counts = [1 + i % 3 for i in range(size)]
            given, got = a[: sum(counts)], whole[: counts[rank]]
            for name, call in {self.FORMS!r}:
                for _ in range(40):
                    exec(call)
                    assert (got == sum(range(size))).all()
            comm.Reduce_scatter_block(a[: 2 * size], whole[:2])
            assert (whole[:2] == sum(range(size))).all()
            """
        for ranks in (1, 2, 4):
            self.ends_well(code, ranks)


class TwoGroups(BlocksCase):
    """Reductions between two groups."""

    SIDES = """
        side = rank % 2
        half = comm.Split(side, rank)
        inter = half.Create_intercomm(0, comm, 1 - side, 5)
        inter.name = "between"
        """

    def fails(self, code: str, name: str, one: str, two: str, rule: str) -> None:
        """Two ranks on each side: the job ends with the sentence of one of the two, as that sees it."""
        ended = self.job(textwrap.dedent(self.SIDES) + textwrap.dedent(code), 4)
        self.assertEqual(ended.status, 1, ended.text)
        seen = (f"ranks 0, 1 of the other group {x} where ranks 0, 1 {y}" for x, y in ((one, two), (two, one)))
        self.assertRegex(ended.err, rf"mpi4py.MPI.Exception: {name}: ({'|'.join(seen)}), on between: {rule}\n")

    def test_operation_type_and_count_of_both(self) -> None:
        for form, name in (("Allreduce", "Allreduce"), ("Iallreduce", "Iallreduce")):
            for ours, theirs, kind, words in (
                (
                    "a[:3], whole[:3], MPI.SUM",
                    "a[:3], whole[:3], MPI.MAX",
                    "OP",
                    (r"\(op=MPI_SUM\)", r"\(op=MPI_MAX\)"),
                ),
                ("a[:3], whole[:3]", "a[:2], whole[:2]", "TRUNCATE", (r"\(\) of 3 x MPI_INT", r"\(\) of 2 x MPI_INT")),
                ("a[:3], whole[:3]", "f, f.copy()", "TYPE", (r"\(\) of 3 x MPI_INT", r"\(\) of 3 x MPI_FLOAT")),
            ):
                with self.subTest(name=name, kind=kind):
                    wait = ".Wait()" if form[0] == "I" else ""
                    code = f"""
                        f = np.zeros(3, "f")
                        if side == 0:
                            inter.{form}({ours}){wait}
                        else:
                            inter.{form}({theirs}){wait}
                        """
                    one, two = (
                        f"called {name}{word} \\(x.py:{line}\\)" for word, line in zip(words, (9, 11), strict=True)
                    )
                    self.fails(
                        code, f"MPI_ERR_{kind}", one, two, "(counts and types|the operation) must .* on all ranks"
                    )

    def test_the_sum_of_the_counts_of_both(self) -> None:
        code = """
            counts = [3, 1] if side == 0 else [1, 1]
            inter.Reduce_scatter(a[: sum(counts)], whole[: counts[half.rank]], counts)
            """
        four, two = (rf"called Reduce_scatter\(\) of {n} x MPI_INT \(x.py:8\)" for n in (4, 2))
        self.fails(code, "MPI_ERR_TRUNCATE", four, two, "counts and types must agree on all ranks")

    def test_the_root_and_the_other_group(self) -> None:
        # Both ends of a block get the sentence, others nothing; and the communicator stays in order.
        code = """
            root = ({0: MPI.ROOT}.get(rank, MPI.PROC_NULL)) if side == 0 else 0
            def reduce(n, op=MPI.SUM, array=a):
                return text(lambda: inter.Reduce(array[:n], whole[:n] if array is a else array[n:], op, root))
            def told(words, *wrong):
                # Of rank 0, which has the root, and of those ranks.
                return [(rank, words)] if rank in (0, *wrong) else []
            others = range(1, size, 2)
            big = np.zeros(2 * 50_000, "i")
            f = np.zeros(8, "f")
            for said, words, wrong in (
                (reduce(3), "", others),
                (reduce(3 if rank == 0 else 2), "2 x MPI_INT (8 bytes)", others),
                (reduce(3 if rank != 1 else 4), "4 x MPI_INT (16 bytes)", [1]),
                (reduce(50_000 if rank else 30_000, array=big), "sends 50000 x MPI_INT (200000 bytes)", others),
                (reduce(30_000 if rank else 50_000, array=big), "expects 50000 x MPI_INT (200000 bytes)", others),
                (reduce(4, array=f if rank == 0 else a), "4 x MPI_FLOAT (16 bytes)", others),
                (reduce(4, MPI.MAX if rank == 0 else MPI.SUM), "expects 4 x MPI_INT (16 bytes) for MPI_MAX from", others),
                # Of the root's group only the root says what it wants.
                (reduce(9 if side == 0 and rank else 4, MPI.MIN if side == 0 and rank else MPI.SUM), "", others),
            ):
                assert bool(said) == bool(words and rank in (0, *wrong)), (said, words)
                if said:
                    assert words in said and "Reduce: rank " in said and "of the other group" in said, said
                    assert said.endswith(" on both sides") or "differ" in said, said
            a[:] = 1
            assert not reduce(5)
            assert rank or (whole[:5] == inter.remote_size).all(), whole[:5]
            inter.Free()
            half.Free()
            """
        for ranks in (2, 4):
            self.ends_well(textwrap.dedent(self.SIDES) + textwrap.dedent(code), ranks)

    def test_what_is_no_difference(self) -> None:
        code = """
            n = 12
            for size_of in (1, 5_000):
                give, got = np.ones(n * size_of, "i"), np.zeros(n * size_of, "i")
                inter.Allreduce(give, got)
                assert (got == inter.remote_size).all()
                inter.Iallreduce(give, got, MPI.MAX).Wait()
                # The groups need not have the same counts, nor as many ranks.
                mine = [n * size_of // inter.size] * inter.size
                got = np.zeros(mine[0], "i")
                inter.Reduce_scatter(give, got, mine)
                assert (got == inter.remote_size).all()
                got[:] = 0
                inter.Reduce_scatter_block(give, got)
                assert (got == inter.remote_size).all()
            pair = MPI.INT.Create_contiguous(2).Commit()
            op = MPI.Op.Create(lambda x, y, kind: None)
            inter.Allreduce([a, 2, pair] if side else [a, 4, MPI.INT], [whole, 2, pair] if side else [whole, 4, MPI.INT], op)
            inter.Barrier()
            op.Free()
            pair.Free()
            inter.Free()
            half.Free()
            """
        for ranks in (2, 3, 5):
            self.ends_well(textwrap.dedent(self.SIDES) + textwrap.dedent(code), ranks)
