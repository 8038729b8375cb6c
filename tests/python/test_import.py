"""Importing mpi4py: options, the automatic Init and Finalize, the choice of the library."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from support.alone import AloneCase, python

ALONE = True


class Import(AloneCase):
    def test_the_package_alone_loads_nothing(self) -> None:
        self.ended_well(
            python(
                """
                import sys, mpi4py
                assert "mpi4py.MPI" not in sys.modules
                with open("/proc/self/maps") as maps:
                    assert "libmpi" not in maps.read()
                print(type(mpi4py.__version__), mpi4py.__all__)
                """
            ),
            "<class 'str'> ['MPI']",
        )

    def test_importing_initializes(self) -> None:
        ended = python(
            """
            from mpi4py import MPI
            print(MPI.Is_initialized(), MPI.Is_finalized(), MPI.Query_thread() == MPI.THREAD_MULTIPLE)
            """
        )
        self.ended_well(ended, "True False True")

    def test_without_mpiexec_it_is_a_world_of_one(self) -> None:
        ended = python(
            """
            from mpi4py import MPI
            comm = MPI.COMM_WORLD
            assert (comm.rank, comm.size) == (0, 1)
            assert comm.sendrecv("x", 0, 0, None, 0, 0) == "x"
            assert comm.allgather(5) == [5]
            comm.Dup().Free()
            comm.Barrier()
            print("fine")
            """
        )
        self.ended_well(ended, "fine")

    def test_ranks(self) -> None:
        for n in (1, 2, 4):
            ended = python("from mpi4py import MPI; print(MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size)", ranks=n)
            self.ended_well(ended)
            self.assertEqual(sorted(ended.out.split("\n")), ["", *(f"{r} {n}" for r in range(n))])

    def test_numpy_is_not_needed(self) -> None:
        ended = python(
            """
            import sys
            sys.modules["numpy"] = None   # every import of it fails
            import array
            from mpi4py import MPI
            comm = MPI.COMM_WORLD
            n = comm.size
            got = array.array("d", [0] * n)
            comm.Allgather(array.array("d", [comm.rank]), got)
            assert got.tolist() == list(range(n))
            assert comm.allreduce([comm.rank]) == list(range(n))
            comm.Bcast(bytearray(1000))
            total = array.array("i", [0])
            comm.Allreduce(array.array("i", [1]), total)
            assert total[0] == n
            """,
            ranks=2,
        )
        self.ended_well(ended)

    def test_the_mpi_module_does_not_import_numpy(self) -> None:
        self.ended_well(python("import sys; from mpi4py import MPI; print('numpy' in sys.modules)"), "False")

    def test_versions(self) -> None:
        ended = python("from mpi4py import MPI; print(MPI.Get_version() >= (4, 0), len(MPI.Get_library_version()) > 3)")
        self.ended_well(ended, "True True")

    def test_get_include_and_config(self) -> None:
        self.ended_well(
            python("import mpi4py; print(type(mpi4py.get_config()), type(mpi4py.get_include()))"),
            "<class 'dict'> <class 'str'>",
        )

    def test_the_module_under_test(self) -> None:
        """Ours says which library it works with."""
        self.need_our_extension("the original's configuration may be empty")
        ended = python("import mpi4py; from mpi4py import MPI; print(mpi4py.get_config())")
        self.ended_well(ended)
        self.assertRegex(ended.out, r"libmpi|oxmpi")


class Options(AloneCase):
    """mpi4py.rc, to be set before MPI is imported."""

    def test_no_initialize(self) -> None:
        ended = python(
            """
            import mpi4py
            mpi4py.rc.initialize = False
            from mpi4py import MPI
            print(MPI.Is_initialized())
            MPI.Init()
            print(MPI.Is_initialized(), MPI.COMM_WORLD.size)
            MPI.Finalize()
            print(MPI.Is_finalized())
            """,
            ranks=2,
        )
        self.ended_well(ended)
        self.assertEqual(sorted(ended.out.split("\n")), ["", "False", "False", "True", "True", "True 2", "True 2"])

    def test_never_initialized(self) -> None:
        self.ended_well(python("import mpi4py; mpi4py.rc(initialize=False); from mpi4py import MPI", ranks=2))

    def test_init_by_hand_and_finalize_by_itself(self) -> None:
        """Left alone, `finalize` means what `initialize` means: who calls Init calls Finalize."""
        ended = python(
            """
            import mpi4py
            mpi4py.rc(initialize=False, finalize=True)
            from mpi4py import MPI
            MPI.Init_thread(MPI.THREAD_SERIALIZED)
            print(MPI.COMM_WORLD.size)
            """,
            ranks=2,
        )
        self.ended_well(ended, "2\n2")

    def test_no_finalize(self) -> None:
        ended = python(
            """
            import atexit, mpi4py
            mpi4py.rc(finalize=False)
            atexit.register(lambda: (print("finalized:", MPI.Is_finalized()), MPI.Finalize()))
            from mpi4py import MPI
            """
        )
        self.ended_well(ended, "finalized: False")

    def test_thread_levels(self) -> None:
        for level in ("single", "funneled", "serialized", "multiple"):
            ended = python(
                f"""
                import mpi4py
                mpi4py.rc.thread_level = {level!r}
                from mpi4py import MPI
                print(MPI.Query_thread() >= MPI.THREAD_{level.upper()})
                """
            )
            self.ended_well(ended, "True")

    def test_no_threads(self) -> None:
        ended = python(
            "import mpi4py; mpi4py.rc.threads = False; from mpi4py import MPI; print(MPI.Query_thread() >= 0)"
        )
        self.ended_well(ended, "True")

    def test_init_thread_tells_the_level(self) -> None:
        ended = python(
            """
            import mpi4py
            mpi4py.rc.initialize = False
            from mpi4py import MPI
            for call in (MPI.Init_thread,):
                print(call(MPI.THREAD_MULTIPLE) == MPI.Query_thread())
            """
        )
        self.ended_well(ended, "True")

    def test_unknown_options(self) -> None:
        self.ended_well(
            python(
                """
                import mpi4py
                for wrong in (lambda: mpi4py.rc(colour="red"), lambda: setattr(mpi4py.rc, "colour", "red")):
                    try:
                        wrong()
                    except TypeError as error:
                        assert "colour" in str(error)
                    else:
                        raise AssertionError
                print("fine")
                """
            ),
            "fine",
        )

    def test_unexpected_values_warn(self) -> None:
        ended = python("import mpi4py; mpi4py.rc.thread_level = 'many'; from mpi4py import MPI")
        self.ended_well(ended)
        self.assertRegex(ended.err, "thread_level.*many")

    def test_error_handlers(self) -> None:
        for errors, handler in (
            ("exception", "RETURN"),
            ("default", "ARE_FATAL"),
            ("fatal", "ARE_FATAL"),
            ("abort", "ABORT"),
        ):
            ended = python(
                f"""
                import mpi4py
                mpi4py.rc.errors = {errors!r}
                from mpi4py import MPI
                print(MPI.COMM_WORLD.Get_errhandler() == MPI.ERRORS_{handler})
                """
            )
            self.ended_well(ended, "True")

    def test_fatal_errors_end_the_job(self) -> None:
        ended = python(
            """
            import mpi4py
            mpi4py.rc.errors = "fatal"
            from mpi4py import MPI
            MPI.COMM_WORLD.Send(b"", 1000)
            print("never here")
            """,
            ranks=2,
        )
        self.assertNotEqual(ended.status, 0, ended.text)
        self.assertNotIn("never here", ended.out)

    def test_recv_mprobe(self) -> None:
        for value in (True, False):
            ended = python(
                f"""
                import mpi4py
                mpi4py.rc.recv_mprobe = {value}
                from mpi4py import MPI
                print(MPI.COMM_WORLD.sendrecv("x" * 100000, 0, 0, None, 0, 0) == "x" * 100000)
                """
            )
            self.ended_well(ended, "True")


class Library(AloneCase):
    """MPI4PY_LIBMPI names the library; what cannot be used is said at import."""

    def refused(self, path: str, *words: str) -> None:
        self.need_our_extension("the original says it in other words")
        ended = python("from mpi4py import MPI", MPI4PY_LIBMPI=path)
        self.assertEqual(ended.status, 1, ended.text)
        self.assertRegex(ended.err, "ImportError|RuntimeError|OSError")
        for word in (path, *words):
            self.assertIn(word, ended.err)

    def test_a_file_that_is_not_there(self) -> None:
        self.refused("/nonexistent/libmpi_abi.so.1")

    def test_a_file_that_is_no_library(self) -> None:
        self.refused(str(Path(__file__).resolve()))

    def test_a_library_that_is_no_mpi(self) -> None:
        for name in ("/lib/x86_64-linux-gnu/libm.so.6", "/lib64/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6"):
            if os.path.exists(name):
                self.refused(name)
                return
        self.skipTest("no libm.so.6 at the usual places")

    def test_a_library_without_the_standard_abi(self) -> None:
        """A libmpi.so.12 or .40 as it was before MPI 5: found out before a handle is given to it."""
        compiler = shutil.which("cc")
        if compiler is None:
            self.skipTest("no C compiler")
        with tempfile.TemporaryDirectory() as folder:
            source, library = Path(folder, "old.c"), Path(folder, "libmpi.so.12")
            source.write_text(
                "int MPI_Init(int *c, char ***v) { return 0; }\n"
                "int MPI_Get_version(int *a, int *b) { *a = 4; *b = 0; return 0; }\n"
            )
            subprocess.run(
                [compiler, "-shared", "-fPIC", "-Wl,-soname,libmpi.so.12", "-o", str(library), str(source)], check=True
            )
            self.refused(str(library), "ABI")

    def test_another_build_of_ours_makes_one_job(self) -> None:
        self.need_ours("its mpiexec knows its library")
        spec = importlib.util.find_spec("mpi4py")
        assert spec is not None and spec.submodule_search_locations
        ours = Path(spec.submodule_search_locations[0], "lib", "libmpi_abi.so.1")
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, "libmpi_abi.so.1")
            shutil.copy(ours, copy)
            code = "from mpi4py import MPI; print(MPI.COMM_WORLD.allreduce(1))"
            for value in str(copy), folder:
                ended = python(code, ranks=2, MPI4PY_LIBMPI=value)
                self.assertEqual((ended.status, ended.out, ended.err), (0, "2\n2\n", ""), ended.text)
            # What lies there is another library by now.
            copy.write_bytes(b"\x7fELF")
            ended = python("", ranks=2, MPI4PY_LIBMPI=str(copy))
            self.assertEqual(ended.status, 0, ended.text)
            self.assertIn(
                f"MPI4PY_LIBMPI={copy} is set: with that library this mpiexec starts 2 separate jobs", ended.err
            )

    def test_a_name_that_nobody_knows(self) -> None:
        self.refused("no-such-mpi")


if __name__ == "__main__":
    unittest.main()
