"""What the tests of `mpiexec --check` have in common."""

from __future__ import annotations

from support.alone import AloneCase, Ended, run_lines


class CheckCase(AloneCase):
    def setUp(self) -> None:
        self.need_ours("--check belongs to its mpiexec")

    def check(self, code: str, ranks: int = 2, *flags: str) -> Ended:
        """Runs some lines as x.py, whose first line is line 1, in its folder. `error()` in it gives an error's text."""
        helper = """
            from mpi4py import MPI
            def error(function, *arguments):
                try:
                    function(*arguments)
                except MPI.Exception as error:
                    return error.error_string
                raise AssertionError("no error")
            """
        first = "from mpi4py import MPI; from x_support import error; comm = MPI.COMM_WORLD"
        return run_lines(code, ranks, "--check", *flags, first=first, support=helper)

    def says(self, ended: Ended, *lines: str, status: int = 0) -> None:
        """The whole report, and how the job ended."""
        self.assertEqual((ended.status, ended.err), (status, "".join(line + "\n" for line in lines)), ended.text)
