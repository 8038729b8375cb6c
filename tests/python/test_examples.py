"""The small programs of examples/ print what they should, and their driver notices when they do not."""

from __future__ import annotations

import importlib.util
import itertools
import shlex
import sys
import tempfile
import unittest
from pathlib import Path
from types import ModuleType

from support.alone import EXAMPLES, AloneCase, mpiexec, run

ALONE = True


def load_driver() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_seed", EXAMPLES / "run_seed.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


driver = load_driver()


class Programs(AloneCase):
    def setUp(self) -> None:
        self.need_numpy()

    def program(self, name: str) -> None:
        wrong = driver.check(name, [*mpiexec(), "-n", "4", sys.executable], 60)
        self.assertEqual(wrong, [], "\n".join(wrong))

    def test_send_recv(self) -> None:
        self.program("send_recv")

    def test_send_recv_larger_buffer(self) -> None:
        self.program("send_recv_larger_buffer")

    def test_isend_irecv(self) -> None:
        self.program("isend_irecv")

    def test_broadcast(self) -> None:
        self.program("broadcast")

    def test_scatter_array(self) -> None:
        self.program("scatter_array")

    def test_scatter_gather(self) -> None:
        self.program("scatter_gather")

    def test_scatter_reduce(self) -> None:
        self.program("scatter_reduce")

    def test_with_other_numbers_of_ranks(self) -> None:
        for name, ranks in itertools.product(("isend_irecv", "scatter_gather"), (0, 1, 2, 3)):
            launch = [*mpiexec(), "-n", str(ranks)] if ranks else []
            ended = run([*launch, sys.executable, str(EXAMPLES / f"{name}.py")])
            self.ended_well(ended)
            if name == "scatter_gather":
                self.assertIn("12. 13. 14.]", ended.out)

    def test_all_are_listed(self) -> None:
        self.assertEqual({path.stem for path in (EXAMPLES / "expected").glob("*.txt")}, set(driver.PROGRAMS))
        for name in driver.PROGRAMS:
            self.assertTrue((EXAMPLES / f"{name}.py").exists())


class Driver(AloneCase):
    def run_driver(self, *arguments: str) -> tuple[int, str]:
        ended = run([sys.executable, str(EXAMPLES / "run_seed.py"), *arguments])
        return ended.status, ended.out + ended.err

    def test_good_output(self) -> None:
        self.need_numpy()
        launcher = f"{shlex.join(mpiexec())} -n 4"
        status, text = self.run_driver("--launcher", launcher, "--quiet", "broadcast", "scatter_reduce")
        self.assertEqual(status, 0, text)
        self.assertIn("2 of 2 programs", text)

    def test_wrong_output_is_noticed(self) -> None:
        """Three ranks instead of four print something else."""
        self.need_numpy()
        status, text = self.run_driver("--launcher", f"{shlex.join(mpiexec())} -n 3", "broadcast")
        self.assertEqual(status, 1)
        self.assertIn("-Process 3 has data: [0. 1. 2. 3.]", text)
        self.assertIn("0 of 1 programs", text)

    def test_a_failing_program_is_noticed(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            failing = Path(folder, "launch")
            failing.write_text("#!/bin/sh\necho something went wrong >&2\nexit 3\n")
            failing.chmod(0o755)
            status, text = self.run_driver("--launcher", str(failing), "broadcast")
        self.assertEqual(status, 1)
        self.assertIn("exit status 3", text)
        self.assertIn("something went wrong", text)

    def test_a_hanging_program_is_ended(self) -> None:
        status, text = self.run_driver("--launcher", "sh -c 'exec sleep 100'", "--timeout", "0.5", "broadcast")
        self.assertEqual(status, 1)
        self.assertIn("not done after 0.5 s", text)

    def test_unknown_names(self) -> None:
        status, text = self.run_driver("no_such_program")
        self.assertEqual(status, 2)
        self.assertIn("no_such_program", text)

    def test_blanks_and_order_do_not_matter(self) -> None:
        self.assertEqual(driver.comparable("b [ 1.  2.]\n\na\n"), driver.comparable("a\nb [1. 2.]"))
        self.assertNotEqual(driver.comparable("a [1. 2.]"), driver.comparable("a [1. 3.]"))


if __name__ == "__main__":
    unittest.main()
