"""`mpiexec --check`: every kind of finding, word for word, and silence on good programs."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from support.alone import EXAMPLES, mpiexec, run
from support.check import CheckCase

ALONE = True

HERE = Path(__file__).resolve().parent
FREED = "mpiexec: --check: never freed:"
RECEIVED = "mpiexec: --check: never received:"


class Types(CheckCase):
    """What is sent and what is received."""

    def mismatch(self, code: str, *wanted: str, ranks: int = 2) -> None:
        ended = self.check(code, ranks)
        self.says(ended)
        self.assertEqual(ended.out.splitlines(), list(wanted), ended.text)

    def test_other_types_are_an_error_that_names_both_sides(self) -> None:
        self.need_numpy()
        self.mismatch(
            """
            import numpy as np
            if comm.rank == 1:
                comm.Send(np.zeros(10), 0, 7)
            else:
                print(error(comm.Recv, np.zeros(20, "i"), 1, 7))
            """,
            "MPI_ERR_TYPE: rank 1 sent 10 x MPI_DOUBLE (x.py:4), rank 0 receives 20 x MPI_INT (x_support.py:4): the "
            "types of sender and receiver must be the same (tag 7 on MPI_COMM_WORLD)",
        )

    def test_in_every_form_and_at_every_size(self) -> None:
        """Blocking, nonblocking, persistent, matched; the message first or the receive; in cells and streamed."""
        code = """
            import sys
            def ways(size, wait):
                buffer, other = [bytearray(8 * size), size, MPI.LONG], 1 - comm.rank
                yield lambda: comm.Recv(buffer, other)
                yield lambda: comm.Irecv(buffer, other).Wait()
                def persistent():
                    request = comm.Recv_init(buffer, other)
                    request.Start()
                    try:
                        request.Wait()
                    finally:
                        request.Free()
                yield persistent
                yield lambda: comm.Mprobe(other).Recv(buffer)
                yield lambda: comm.Sendrecv(b"", MPI.PROC_NULL, recvbuf=buffer, source=other)
            count = 0
            for size in (1, 5, 1000, 10000, 100000, 2000000):
                for late in (False, True):
                    for index, way in enumerate(ways(size, late)):
                        if comm.rank == 0:
                            comm.Barrier() if late else None
                            request = comm.Isend([bytearray(8 * size), size, MPI.DOUBLE], 1)
                            comm.Barrier() if not late else None
                            request.Wait()
                        else:
                            comm.Barrier()
                            text = error(way)
                            assert f"rank 0 sent {size} x MPI_DOUBLE (x.py:23)" in text, text
                            count += 1
            comm.Barrier()
            if comm.rank == 1:
                print(count)
            """
        self.mismatch(code, "60")

    def test_to_oneself(self) -> None:
        self.mismatch(
            """
            comm = MPI.COMM_SELF
            request = comm.Irecv([bytearray(8), MPI.INT], 0, 1)
            comm.Send([bytearray(8), MPI.FLOAT], 0, 1)
            print(error(request.Wait))
            request = comm.Isend([bytearray(8), MPI.FLOAT], 0, 1)
            print(error(comm.Recv, [bytearray(8), MPI.INT], 0, 1))
            request.Wait()
            """,
            "MPI_ERR_TYPE: rank 0 sent 2 x MPI_FLOAT (x.py:4), rank 0 receives 2 x MPI_INT (x.py:3): the types of sender "
            "and receiver must be the same (tag 1 on MPI_COMM_SELF)",
            "MPI_ERR_TYPE: rank 0 sent 2 x MPI_FLOAT (x.py:6), rank 0 receives 2 x MPI_INT (x_support.py:4): the types of "
            "sender and receiver must be the same (tag 1 on MPI_COMM_SELF)",
            ranks=1,
        )

    def test_of_a_persistent_request_whose_datatype_and_communicator_are_freed(self) -> None:
        self.mismatch(
            """
            dup, kind = comm.Dup(), MPI.INT.Create_vector(2, 1, 2).Commit()
            dup.Set_name("mine")
            if comm.rank == 0:
                requests = [dup.Send_init([bytearray(8), kind], 1, 3) for kind in (MPI.INT, MPI.FLOAT)]
            else:
                requests = [dup.Recv_init([bytearray(16), 1, kind], 0) for _ in range(2)]
            dup.Free()
            kind.Free()
            requests[0].Start()
            requests[0].Wait()
            requests[1].Start()
            print(error(requests[1].Wait)) if comm.rank == 1 else requests[1].Wait()
            for request in requests:
                request.Free()
            """,
            "MPI_ERR_TYPE: rank 0 sent 2 x MPI_FLOAT (x.py:5), rank 1 receives 1 x vector(2, 1, 2) of MPI_INT (x.py:7): the "
            "types of sender and receiver must be the same (tag 3 on mine)",
        )

    def test_the_rules_of_the_standard(self) -> None:
        """Which pairs match: the same kind of number; bytes with bytes; packed with all; a shorter message a prefix."""
        code = """
            comm = MPI.COMM_SELF
            def pair(send, receive):
                "Two lists of (count, type): whether a message of the one may be received as the other."
                def make(parts):
                    lengths, types = zip(*parts)
                    places = [32 * n for n in range(len(parts))]
                    return MPI.Datatype.Create_struct(lengths, places, types).Commit()
                with_free = make(send), make(receive)
                a, b = bytearray(1000), bytearray(1000)
                request = comm.Isend([a, 1, with_free[0]], 0)
                try:
                    comm.Recv([b, 1, with_free[1]], 0)
                    return True
                except MPI.Exception as error:
                    assert error.Get_error_class() == MPI.ERR_TYPE, error
                    return False
                finally:
                    request.Wait()
                    for kind in with_free:
                        kind.Free()
            I, D, B, C, P = MPI.INT, MPI.DOUBLE, MPI.BYTE, MPI.CHAR, MPI.PACKED
            for same in [
                ([(1, I)], [(1, I)]), ([(1, MPI.LONG)], [(1, MPI.INT64_T)]), ([(1, I)], [(1, MPI.INTEGER)]),
                ([(2, I), (1, D)], [(1, I), (1, I), (1, D)]), ([(1, I)], [(3, I), (1, D)]), ([(3, I)], [(3, I), (1, D)]),
                ([(3, I), (1, D)], [(3, I), (5, D)]), ([(4, B)], [(9, B)]), ([(16, P)], [(2, D)]), ([(2, D)], [(16, P)]),
                ([(2, MPI.DOUBLE_INT)], [(1, D), (1, I), (1, D), (2, I)]), ([(0, I)], [(1, D)]),
            ]:
                assert pair(*same), same
            for other in [
                ([(1, I)], [(1, MPI.FLOAT)]), ([(4, B)], [(1, I)]), ([(1, I)], [(4, B)]), ([(1, C)], [(1, B)]),
                ([(1, MPI.UNSIGNED)], [(1, I)]), ([(1, I), (1, D)], [(1, D), (1, I)]), ([(4, I)], [(3, I), (1, D)]),
                ([(2, I)], [(1, D)]), ([(1, MPI.C_BOOL)], [(1, MPI.INT8_T)]), ([(1, MPI.DOUBLE_INT)], [(2, D)]),
            ]:
                assert not pair(*other), other
            print("fine")
            """
        self.mismatch(code, "fine", ranks=1)

    def test_messages_in_partitions(self) -> None:
        """However both sides divide it; each time that it is started, whoever is there first, and to oneself."""
        code = """
            a, b = bytearray(240), bytearray(240)
            def turn(send, receive, end):
                send.Start()
                receive.Start()
                send.Pready_range(0, 5)
                end(receive)
                send.Wait()
            def run(kinds, end, other, late):
                for sends in (True, False) if late else (False, True):
                    if sends:
                        send = comm.Psend_init([a, kinds[0]], 6, other, 1)
                    else:
                        receive = comm.Precv_init([b, kinds[1]], 5, other, 1)
                    comm.Barrier()
                turn(send, receive, end)
                turn(send, receive, end)
                send.Free()
                receive.Free()
            def wrong(request):
                found.append(error(request.Wait))
            found = []
            for late in (False, True):
                for other in (0, 1):
                    run((MPI.DOUBLE, MPI.DOUBLE), MPI.Prequest.Wait, comm.rank ^ other, late)
                    run((MPI.INT, MPI.FLOAT), wrong, comm.rank ^ other, late)
            if comm.rank == 1:
                print(len(found), *sorted(set(found)), sep="\\n")
            """
        text = (
            "MPI_ERR_TYPE: rank {} sent 6 partitions of 10 x MPI_INT (x.py:12), rank 1 receives 5 partitions of 12 x "
            "MPI_FLOAT (x.py:14): the types of sender and receiver must be the same (tag 1 on MPI_COMM_WORLD)"
        )
        self.mismatch(code, "8", text.format(0), text.format(1))

    def test_many_messages_in_partitions(self) -> None:
        """More than have room in a ring, so that what they say of themselves waits."""
        self.mismatch(
            """
            send, receive = bytearray(24), bytearray(24)
            kinds = [MPI.DOUBLE, MPI.FLOAT]
            if comm.rank == 0:
                requests = [comm.Psend_init([send, kinds[i == 2345]], 3, 1) for i in range(3000)]
                comm.Barrier()
            else:
                comm.Barrier()
                requests = [comm.Precv_init([receive, MPI.DOUBLE], 1, 0, 0) for i in range(3000)]
            for number, request in enumerate(requests):
                request.Start()
                if comm.rank == 0:
                    request.Pready_list([2, 0, 1])
                if comm.rank == 0 or number != 2345:
                    request.Wait()
                else:
                    print(error(request.Wait))
                request.Free()
            """,
            "MPI_ERR_TYPE: rank 0 sent 3 partitions of 2 x MPI_FLOAT (x.py:5), rank 1 receives 1 partition of 3 x MPI_DOUBLE "
            "(x.py:9): the types of sender and receiver must be the same (tag 0 on MPI_COMM_WORLD)",
        )

    def test_a_lower_case_send_received_as_an_array(self) -> None:
        ended = self.check(
            """
            if comm.rank == 0:
                comm.send([1, 2], 1)
            else:
                print(error(comm.Recv, [bytearray(800), MPI.DOUBLE], 0))
            """
        )
        self.says(ended)
        self.assertRegex(
            ended.out,
            r"^MPI_ERR_TYPE: rank 0 sent a pickled object \(\d+ bytes\) \(x.py:3\), rank 1 receives 100 x MPI_DOUBLE",
        )

    def test_ranks_and_name_are_those_of_the_communicator(self) -> None:
        self.mismatch(
            """
            pair = comm.Split(0, -comm.rank)
            pair.Set_name("backwards")
            if comm.rank == 0:
                pair.Send([bytearray(4), MPI.INT], 0)
            else:
                print(error(pair.Recv, [bytearray(4), MPI.FLOAT], 1))
            pair.Free()
            """,
            "MPI_ERR_TYPE: rank 1 sent 1 x MPI_INT (x.py:5), rank 0 receives 1 x MPI_FLOAT (x_support.py:4): the types of "
            "sender and receiver must be the same (tag 0 on backwards)",
        )

    def test_what_was_sent_in_exchange_for_the_same_buffer_has_its_type(self) -> None:
        self.mismatch(
            """
            other, buffer = 1 - comm.rank, [bytearray(16), MPI.INT]
            comm.Sendrecv_replace(buffer, other, source=other)
            comm.Isendrecv_replace(buffer, other, source=other).Wait()
            comm.Sendrecv([bytearray(16), MPI.INT], other, recvbuf=buffer, source=other)
            if comm.rank == 0:
                MPI.Attach_buffer(bytearray(1000))
                comm.Bsend(buffer, 1)
                MPI.Detach_buffer()
            else:
                comm.Recv(buffer, 0)
                print("fine")
            """,
            "fine",
        )


class Buffers(CheckCase):
    """Memory that two operations use at once."""

    def overlap(self, code: str, *wanted: str) -> None:
        ended = self.check(code, 1)
        self.assertEqual((ended.status, ended.out.splitlines()), (0, list(wanted)), ended.text)

    def test_receive_and_receive(self) -> None:
        self.overlap(
            """
            memory = memoryview(bytearray(100))
            first = comm.Irecv(memory[:50], 0, 1)
            print(error(comm.Irecv, memory[40:60], 0, 2))
            request = comm.Irecv(memory[50:60], 0, 2)
            request.Cancel()
            request.Wait()
            comm.Send(bytes(50), 0, 1)
            print(error(comm.Recv, memory[49:50], 0, 3))
            first.Wait()
            comm.Irecv(memory[40:60], 0, 2)
            """,
            "MPI_ERR_BUFFER: bytes 0 to 9 of the receive buffer (x_support.py:4) are bytes 40 to 49 of the receive buffer of "
            "an operation that is not complete (x.py:3)",
            "MPI_ERR_BUFFER: byte 0 of the receive buffer (x_support.py:4) is byte 49 of the receive buffer of an operation "
            "that is not complete (x.py:3)",
        )

    def test_send_and_receive(self) -> None:
        self.overlap(
            """
            memory = memoryview(bytearray(100))
            send = comm.Isend(memory[20:30], 0, 1)
            again = comm.Isend(memory[20:30], 0, 2)
            print(error(comm.Irecv, memory[:25], 0, 3))
            print(error(comm.Sendrecv, memory[30:40], 0, 4, memory[30:40], 0, 4))
            for tag in (1, 2):
                comm.Recv(bytearray(10), 0, tag)
            MPI.Request.Waitall([send, again])
            request = comm.Recv_init(memory, 0, 5)
            request.Start()
            print(error(comm.Send, memory[:1], 0, 6))
            request.Cancel()
            request.Wait()
            request.Free()
            comm.Isend(memory[:1], 0, 6)
            """,
            "MPI_ERR_BUFFER: bytes 20 to 24 of the receive buffer (x_support.py:4) are bytes 0 to 4 of the send buffer of an "
            "operation that is not complete (x.py:3)",
            "MPI_ERR_BUFFER: bytes 0 to 9 of the send buffer (x_support.py:4) are bytes 0 to 9 of the receive buffer of an "
            "operation that is not complete (x_support.py:4)",
            "MPI_ERR_BUFFER: byte 0 of the send buffer (x_support.py:4) is byte 0 of the receive buffer of an operation that "
            "is not complete (x.py:10)",
        )

    def test_columns_of_a_matrix_do_not_overlap(self) -> None:
        self.need_numpy()
        self.overlap(
            """
            import numpy as np
            matrix = np.zeros((50, 60), "i")
            column = MPI.INT.Create_vector(50, 1, 60).Commit()
            requests = [comm.Irecv([matrix.ravel()[n:], 1, column], 0, n) for n in range(60)]
            print(error(comm.Irecv, matrix[7, 3:5], 0, 99))
            for n in range(60):
                comm.Send(np.full(50, n, "i"), 0, n)
            MPI.Request.Waitall(requests)
            assert (matrix == np.arange(60)).all()
            column.Free()
            """,
            "MPI_ERR_BUFFER: bytes 0 to 3 of the receive buffer (x_support.py:4) are bytes 1680 to 1683 of the receive "
            "buffer of an operation that is not complete (x.py:5)",
        )


class Good(CheckCase):
    """Programs that are right end as without the flag, silently."""

    @contextlib.contextmanager
    def silent(self, *command: str) -> Iterator[None]:
        ended = run([*mpiexec(), *command], limit=120)
        self.ended_well(ended)
        self.assertNotIn("mpiexec: --check", ended.err, ended.text)
        yield

    def test_the_examples(self) -> None:
        self.need_numpy()
        small = ["--nx", "40", "--ny", "30", "--steps", "40", "--png", "", "--progress", "none"]
        for example in sorted(EXAMPLES.glob("*.py")):
            if example.name in {"heat_show.py", "run_seed.py"}:
                continue
            options = small if example.name == "heat.py" else []
            for flags in (["--check"], ["--check", "--sync-sends"]):
                with (
                    self.subTest(example=example.name, flags=flags),
                    self.silent(*flags, "-n", "4", sys.executable, str(example), *options),
                ):
                    pass

    def test_our_own_tests(self) -> None:
        self.need_numpy()
        rank = str(HERE / "support" / "rank.py")
        # test_p2p_probe fills a ring with sends that nobody receives, on purpose: not with --sync-sends.
        checked = ("p2p_modes", "p2p_objects", "p2p_probe", "requests_status", "coll_objects")
        held = ("p2p_modes", "p2p_objects", "p2p_order", "requests_status", "coll_objects")
        for flag, names in (("--check", checked), ("--sync-sends", held)):
            for name in names:
                with (
                    self.subTest(file=name, flag=flag),
                    self.silent(flag, "-n", "2", sys.executable, rank, str(HERE / f"test_{name}.py")),
                ):
                    pass

    def test_both_flags_together(self) -> None:
        ended = self.check(
            """
            request = comm.Irecv([bytearray(8), MPI.DOUBLE], 1 - comm.rank)
            comm.Send([bytearray(8), MPI.DOUBLE], 1 - comm.rank)
            request.Wait()
            comm.Send(b"", 1 - comm.rank)
            """,
            2,
            "--sync-sends",
        )
        self.assertEqual(ended.status, 1, ended.text)
        self.assertIn(
            "rank 0 Send(dest=1, tag=0) of 0 bytes on MPI_COMM_WORLD at x.py:5 waits for its receive", ended.err
        )

    def test_the_environment_of_the_ranks(self) -> None:
        ended = run(
            [*mpiexec(), "--check", "-n", "1", sys.executable, "-c", "import os; print(os.environ['OXMPI_CHECK'])"]
        )
        self.ended_well(ended, "1")
        self.assertNotIn("OXMPI_CHECK", os.environ)
