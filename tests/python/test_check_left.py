"""`mpiexec --check`: what is left at the end, word for word."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import textwrap
from pathlib import Path

from support.alone import mpiexec, run
from support.check import CheckCase

ALONE = True

HERE = Path(__file__).resolve().parent
FREED = "mpiexec: --check: never freed:"
RECEIVED = "mpiexec: --check: never received:"


class Left(CheckCase):
    """What is still there at the end."""

    def test_every_kind_of_object_with_the_line_that_made_it(self) -> None:
        ended = self.check(
            """
            comm.Dup()
            for _ in range(3):
                comm.Split(0)
            kind = MPI.INT.Create_vector(3, 1, 2)
            group = comm.Get_group()
            info = MPI.Info.Create()
            operation = MPI.Op.Create(lambda a, b, kind: None)
            handler = MPI.Comm.Create_errhandler(lambda comm, code: None)
            key = MPI.Comm.Create_keyval()
            persistent = comm.Send_init(b"x", comm.rank); parts = comm.Psend_init(b"xy", 2, comm.rank)
            receive = comm.Irecv(bytearray(1), comm.rank, 1)
            send = comm.Isend(b"x", comm.rank, 2)
            comm.Recv(bytearray(1), comm.rank, 2)
            comm.Send(b"x", comm.rank, 3)
            message = comm.Mprobe(comm.rank, 3)
            """,
            4,
        )
        self.says(
            ended,
            FREED,
            "  [0-3] 1 attribute key from MPI_Comm_create_keyval at x.py:10",
            "  [0-3] 1 communicator from MPI_Comm_dup at x.py:2",
            "  [0-3] 3 communicators from MPI_Comm_split at x.py:4",
            "  [0-3] 1 datatype from MPI_Type_vector at x.py:5",
            "  [0-3] 1 error handler from MPI_Comm_create_errhandler at x.py:9",
            "  [0-3] 1 group from MPI_Comm_group at x.py:6",
            "  [0-3] 1 info object from MPI_Info_create at x.py:7",
            "  [0-3] 1 message from MPI_Mprobe at x.py:16, matched and never received",
            "  [0-3] 1 operation from MPI_Op_create at x.py:8",
            "  [0-3] 1 persistent request from MPI_Psend_init at x.py:11",
            "  [0-3] 1 persistent request from MPI_Send_init at x.py:11",
            "  [0-3] 1 request from MPI_Irecv at x.py:12, never completed by Wait or Test",
            "  [0-3] 1 request from MPI_Isend at x.py:13, never completed by Wait or Test",
        )

    def test_ranks_that_differ_have_lines_of_their_own(self) -> None:
        ended = self.check("for _ in range(comm.rank // 2):\n    comm.Get_group()\n", 5)
        self.says(
            ended,
            FREED,
            "  [2,3] 1 group from MPI_Comm_group at x.py:3",
            "  [4] 2 groups from MPI_Comm_group at x.py:3",
        )

    def test_a_session(self) -> None:
        ended = self.check("session = MPI.Session.Init()\nMPI.Finalize()\nsession.Finalize()\n", 1)
        self.assertEqual((ended.status, ended.err), (0, ""), ended.text)

    def test_messages_that_nobody_receives(self) -> None:
        """Also those that come when the receiver is at its end, and those whose communicator goes first."""
        ended = self.check(
            """
            import time
            if comm.rank == 0:
                comm.Send([bytearray(12), MPI.INT], 1, 4)
                time.sleep(0.3)
                for _ in range(2):
                    comm.send("late", 1, 5)
            pair = comm.Dup()
            pair.Set_name("pair")
            if comm.rank == 1:
                pair.Send(b"x", 0, 6)
            comm.Barrier()
            pair.Free()
            """
        )
        err = re.sub(r"object \(\d+ bytes\)", "object (n bytes)", ended.err)
        wanted = [
            RECEIVED,
            "  [0] 1 message of 1 x MPI_UNSIGNED_CHAR from rank 1, tag 6 on pair, sent at x.py:11",
            "  [1] 2 messages of a pickled object (n bytes) from rank 0, tag 5 on MPI_COMM_WORLD, sent at x.py:7",
            "  [1] 1 message of 3 x MPI_INT from rank 0, tag 4 on MPI_COMM_WORLD, sent at x.py:4",
        ]
        self.assertEqual((ended.status, sorted(err.splitlines())), (0, sorted(wanted)), ended.text)

    def test_late_messages_are_waited_for(self) -> None:
        ended = self.check(
            """
            import time
            if comm.rank == 0:
                time.sleep(0.5)
                comm.Send(b"x", 1)
            """
        )
        self.says(
            ended,
            RECEIVED,
            "  [1] 1 message of 1 x MPI_UNSIGNED_CHAR from rank 0, tag 0 on MPI_COMM_WORLD, sent at x.py:5",
        )

    def test_a_type_error_of_a_request_that_was_given_up(self) -> None:
        ended = self.check(
            """
            if comm.rank == 0:
                comm.Irecv([bytearray(4), MPI.INT], 1).Free()
                comm.Barrier()
                comm.Barrier()
                comm.Iprobe()
            else:
                comm.Barrier()
                comm.Send([bytearray(4), MPI.FLOAT], 0)
                comm.Barrier()
            """
        )
        self.says(
            ended,
            "mpiexec: --check: wrong:",
            "  [0] rank 1 sent 1 x MPI_FLOAT (x.py:9), rank 0 receives 1 x MPI_INT (x.py:3): the types of sender and receiver "
            "must be the same (tag 0 on MPI_COMM_WORLD)",
        )

    def test_what_is_left_does_not_change_the_status_of_a_job_that_fails(self) -> None:
        ended = self.check("comm.Dup()\nimport sys\nsys.exit(3)\n")
        self.assertEqual(ended.status, 3, ended.text)
        self.assertIn(FREED, ended.err)

    def test_a_rank_that_leaves_without_finalize_does_not_hold_the_others_up(self) -> None:
        ended = self.check("import os\nif comm.rank == 0:\n    os._exit(0)\ncomm.Get_group()\n")
        self.assertEqual(ended.status, 0, ended.text)

    def test_a_c_program_has_names_of_functions(self) -> None:
        wrapper = Path(sys.executable).with_name("mpicc")
        if not wrapper.exists() or shutil.which("cc") is None:
            self.skipTest("there is no mpicc, or no C compiler")
        code = """
            #include <mpi.h>
            int main(void)
            {
                MPI_Comm copy;
                MPI_Request request;
                int rank;
                double number = 1;
                MPI_Init(0, 0);
                MPI_Comm_rank(MPI_COMM_WORLD, &rank);
                MPI_Comm_dup(MPI_COMM_WORLD, &copy);
                MPI_Isend_c(&number, 1, MPI_DOUBLE, rank, 0, copy, &request);
                return MPI_Finalize();
            }
            """
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "x.c").write_text(textwrap.dedent(code))
            built = run([sys.executable, str(wrapper), "-o", f"{folder}/x", f"{folder}/x.c"])
            self.assertEqual(built.status, 0, built.text)
            ended = run([*mpiexec(), "--check", "-n", "2", f"{folder}/x"], limit=30)
        self.says(
            ended,
            FREED,
            "  [0,1] 1 communicator from MPI_Comm_dup",
            "  [0,1] 1 request from MPI_Isend, never completed by Wait or Test",
            RECEIVED,
            "  [0] 1 message of 1 x MPI_DOUBLE from rank 0, tag 0, sent at MPI_Isend",
            "  [1] 1 message of 1 x MPI_DOUBLE from rank 1, tag 0, sent at MPI_Isend",
        )

    def test_without_our_mpiexec_the_rank_says_it_itself(self) -> None:
        code = "from mpi4py import MPI; MPI.COMM_WORLD.Get_group()"
        ended = run([sys.executable, "-c", code], OXMPI_CHECK="1")
        wanted = "oxmpi: rank 0: --check: never freed: 1 group from MPI_Comm_group at <string>:1\n"
        self.assertEqual((ended.status, ended.err), (0, wanted), ended.text)
