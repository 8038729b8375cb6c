"""examples/heat.py: the parallel result is the serial one to the last bit, however the plate is cut."""

from __future__ import annotations

import itertools
import re
import sys
import tempfile
import unittest
from pathlib import Path

from support.alone import EXAMPLES, AloneCase, Ended, mpiexec, run

ALONE = True
SMALL = ("--nx", "61", "--ny", "43", "--steps", "120", "--png", "", "--progress", "none")


class Heat(AloneCase):
    def setUp(self) -> None:
        self.need_numpy()

    def heat(self, ranks: int, *options: str) -> Ended:
        launch = [*mpiexec(), "-n", str(ranks)] if ranks else []
        return run([*launch, sys.executable, str(EXAMPLES / "heat.py"), *options])

    def test_every_way_to_cut_and_exchange(self) -> None:
        results = set()
        for ranks, decomposition, exchange in itertools.product((1, 2, 3, 4), ("1d", "2d"), ("sendrecv", "isend")):
            if ranks > 1 or decomposition == "1d":
                ended = self.heat(ranks, *SMALL, "--verify", "--decomp", decomposition, "--exchange", exchange)
                self.ended_well(ended)
                self.assertIn("verified: same as the serial run to the last bit", ended.out)
                results.add(re.search(r"\d+ steps, .*", ended.out)[0])  # type: ignore[index]
        self.assertEqual(len(results), 1, results)

    def test_without_mpiexec(self) -> None:
        ended = self.heat(0, *SMALL, "--verify")
        self.ended_well(ended)
        self.assertIn("verified", ended.out)

    def test_thin_blocks(self) -> None:
        """Blocks of a single row or column, where all cells are border cells."""
        for exchange in ("sendrecv", "isend"):
            for decomposition, nx, ny in (("1d", "9", "4"), ("2d", "4", "9"), ("2d", "2", "2")):
                size = ("--nx", nx, "--ny", ny)
                ended = self.heat(4, *SMALL, *size, "--verify", "--decomp", decomposition, "--exchange", exchange)
                self.ended_well(ended)
                self.assertIn("verified", ended.out)

    def test_stops_when_nothing_changes_any_more(self) -> None:
        ended = self.heat(3, *SMALL, "--verify", "--tolerance", "0.5", "--steps", "5000")
        self.ended_well(ended)
        steps = int(re.search(r"(\d+) steps", ended.out)[1])  # type: ignore[index]
        self.assertLess(steps, 5000)
        self.assertIn("verified", ended.out)

    def test_progress_comes_from_one_rank(self) -> None:
        ended = self.heat(4, *SMALL, "--progress", "lines")
        self.ended_well(ended)
        self.assertEqual(len(re.findall(r"^heat \[", ended.err, re.MULTILINE)), 10, ended.err)
        self.assertEqual(len(re.findall(r"cells on", ended.out)), 1)

    def test_picture(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            picture = Path(folder, "new", "heat.png")
            ended = self.heat(2, *SMALL, "--png", str(picture))
            self.ended_well(ended)
            if f"picture: {picture}" in ended.out.splitlines():
                self.assertEqual(picture.read_bytes()[:8], b"\x89PNG\r\n\x1a\n")
            else:
                self.assertIn("pip install pillow", ended.out)

    def test_impossible_wishes(self) -> None:
        for options, words in ((("--ny", "2"), "at least one cell each"), (("--alpha", "0.3"), "--alpha is 0.3")):
            ended = self.heat(4, *SMALL, *options)
            self.assertEqual(ended.status, 2, ended.text)
            self.assertEqual(ended.err.count(words), 1, ended.text)


if __name__ == "__main__":
    unittest.main()
