"""Tests of the benchmark's driver: python3 -m unittest discover -s bench/tests"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import unittest
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(BENCH))

from driver import plan, processes, summary
from driver.environments import OURS, Library
from driver.measure import (
    FAILED,
    HANG,
    OK,
    WRONG,
    Measured,
    Outcome,
    Runner,
    Settings,
    measure,
)
from driver.progress import Progress
from driver.report import number
from driver.report import section as report_section

SETTINGS = Settings(rounds=2, loops=1, loop_ms=1, idle_s=0.1, row_limit_s=1.0)

# A library whose mpiexec starts one process and whose programs do what rows are called.
FAKE_MPIEXEC = '#!/bin/sh\nshift 2\nexec "$@"\n'
FAKE_PYTHON = """#!{python}
import json, subprocess, sys, time
rows = next(a for a in sys.argv if a.startswith("--rows="))[7:].split(",")
print(json.dumps({{"ready": {{}}}}), flush=True)
for row in rows:
    if row == "pp/64B":
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
        time.sleep(1000)
    if row == "pp/1KiB":
        sys.exit("Error: no more memory")
    line = {{"row": row, "value": 2e-6}}
    if row == "pp/8KiB":
        line = {{"row": row, "wrong": "rank 1, loop 0: element 0 is 1, not 2"}}
    print("noise of the library")
    print(json.dumps(line), flush=True)
"""


def setUpModule() -> None:
    processes.become_reaper()


def outcomes(*values: float | None) -> list[Outcome]:
    return [Outcome(HANG) if v is None else Outcome(OK, v) for v in values]


class Rounds(unittest.TestCase):
    def test_a_row_that_hangs_dies_or_is_wrong_costs_only_itself(self) -> None:
        names = ["pp/8B", "pp/64B", "pp/1KiB", "pp/8KiB", "pp/64KiB"]
        units = plan.choose(["pingpong"], ["pp/*"], quick=False, more=False)
        with tempfile.TemporaryDirectory() as tmp:
            folder = Path(tmp) / "bin"
            folder.mkdir()
            python = FAKE_PYTHON.format(python=sys.executable)
            for name, text in (("mpiexec", FAKE_MPIEXEC), ("python", python)):
                (folder / name).write_text(text)
                (folder / name).chmod(0o755)
            fake = Library("fake", "Fake", Path(tmp))
            measured = measure([fake], units, SETTINGS, Progress(0))
        states = [[o.state for o in measured.of(n, "fake")] for n in names]
        self.assertEqual(
            states, [[OK] * 2, [HANG] * 2, [FAILED] * 2, [WRONG] * 2, [OK] * 2]
        )
        self.assertIsNone(measured.of("pp/8KiB", "fake")[0].value)
        self.assertIn("no more memory", measured.of("pp/1KiB", "fake")[0].note)
        self.assertEqual(processes.descendants(os.getpid()), [])


class Commands(unittest.TestCase):
    def test_only_peers_are_measured_with_both_ways_for_objects(self) -> None:
        runner = Runner(SETTINGS, Path())
        for name, expected in ((OURS, False), ("mpich", True)):
            library = Library(name, name, Path())
            command = runner.command(library, "messages.py", 2, ["object/dict"])
            self.assertEqual("--pkl5" in command, expected)


class Processes(unittest.TestCase):
    def run_shell(self, script: str, limit_s: float) -> processes.Ended:
        return processes.run(["sh", "-c", script], dict(os.environ), limit_s=limit_s)

    def test_status_and_last_words_are_reported(self) -> None:
        ended = self.run_shell("echo oh >&2; exit 3", 5)
        self.assertEqual((ended.status, ended.stderr), (3, "oh\n"))

    def test_a_silent_command_and_its_daemons_are_ended(self) -> None:
        start = time.monotonic()
        ended = self.run_shell("setsid sleep 1000 & trap '' TERM; sleep 1000", 0.3)
        self.assertIsNone(ended.status)
        self.assertLess(time.monotonic() - start, 5)
        self.assertEqual(processes.descendants(os.getpid()), [])

    def test_every_line_starts_the_limit_anew(self) -> None:
        ended = self.run_shell("for i in 1 2 3 4; do sleep 0.3; echo; done", 0.8)
        self.assertEqual(ended.status, 0)

    def test_processes_left_behind_are_counted_and_ended(self) -> None:
        ended = self.run_shell("setsid sleep 1000 >/dev/null 2>&1 &", 5)
        self.assertEqual((ended.status, ended.left_behind), (0, 1))
        self.assertEqual(processes.descendants(os.getpid()), [])


class Summary(unittest.TestCase):
    def lines(
        self, row: str, goal: summary.Goal, **libraries: list[Outcome]
    ) -> summary.Line:
        measured = Measured(outcomes={row: libraries})
        units = plan.choose([], [row], quick=False, more=False)
        found = summary.summarise(units, list(libraries), measured, [goal])
        return next(line for line in found if line.row.name == row)

    def test_a_ratio_pairs_the_rounds(self) -> None:
        goal = summary.Goal("g", ("pp/8B",), ratio=0.5)
        line = self.lines(
            "pp/8B",
            goal,
            **{OURS: outcomes(1e-6, 2e-6, 9e-6)},
            one=outcomes(2e-6, 8e-6, None),
            two=outcomes(4e-6, 4e-6, 3e-6),
        )
        self.assertEqual([round(r, 6) for r in line.ratios], [0.5, 0.5, 3.0])
        self.assertEqual(line.verdict, summary.MET)
        self.assertEqual(line.best_peer, "two")

    def test_a_bad_round_of_ours_misses_the_goal(self) -> None:
        goal = summary.Goal("g", ("pp/8B",), ratio=0.5)
        line = self.lines(
            "pp/8B", goal, **{OURS: outcomes(1e-6, None)}, one=outcomes(9e-6, 9e-6)
        )
        self.assertEqual(line.verdict, summary.MISSED)
        self.assertEqual(line.figures[OURS].state, HANG)

    def test_an_absolute_goal_is_judged_by_the_worst_round(self) -> None:
        goal = summary.Goal("g", ("idle/*",), at_most=1.0)
        for worst, verdict in ((0.009, summary.MET), (0.011, summary.MISSED)):
            line = self.lines("idle/1of2", goal, **{OURS: outcomes(0.001, worst)})
            self.assertEqual(line.verdict, verdict)

    def test_a_goal_beside_something_is_judged_within_our_own_rounds(self) -> None:
        def beside(*both: tuple[float, float]) -> list[Outcome]:
            return [Outcome(OK, own, "", other) for own, other in both]

        goal = summary.Goal("g", ("pack/*",), vs=1.3)
        own = beside((1.2e-6, 1e-6), (4e-6, 2e-6), (1.2e-6, 1e-6))
        # The peer is far faster, and its own NumPy far slower: neither counts.
        peer = beside((1e-9, 1.0), (1e-9, 1.0), (1e-9, 1.0))
        line = self.lines("pack/column", goal, **{OURS: own}, one=peer)
        self.assertEqual([round(r, 6) for r in line.vs_ratios], [1.2, 2.0, 1.2])
        self.assertEqual(line.verdict, summary.MET)
        line = self.lines("pack/column", goal, **{OURS: own[:2]})
        self.assertEqual(line.verdict, summary.MISSED)
        libraries = [Library(OURS, OURS, Path()), Library("one", "One", Path())]
        line = self.lines("pack/column", goal, **{OURS: own}, one=peer)
        text = report_section("Pack", [line], libraries)
        self.assertIn("| 1.00 / 1.00 | 1.20 | 1.20–2.00 | ≤ 1.3 | met |", text[-1])
        self.assertEqual(len({row.count("|") for row in text if row}), 1)
        for some, cells in (([libraries[1]], 2), (libraries, 8)):
            head, rule, row = report_section("Pack", [line], some)[1:]
            self.assertEqual([r.count("|") - 1 for r in (head, rule, row)], [cells] * 3)

    def test_without_ours_or_peers_there_is_no_verdict(self) -> None:
        goal = summary.Goal("g", ("pp/8B",), ratio=0.5)
        self.assertIsNone(self.lines("pp/8B", goal, one=outcomes(1e-6)).verdict)
        line = self.lines("pp/8B", goal, **{OURS: outcomes(1e-6)})
        self.assertIsNone(line.verdict)

    def test_numbers_have_three_digits(self) -> None:
        shown = [number(v) for v in (0.1234, 1.0, 12.345, 99.96, 1234.5, 0, None)]
        self.assertEqual(shown, ["0.123", "1.00", "12.3", "100", "1234", "0", "–"])


class Plan(unittest.TestCase):
    def test_every_pattern_of_a_goal_names_rows(self) -> None:
        rows = [row.name for unit in plan.all_units() for row in unit.rows]
        for goal in summary.read_goals(BENCH / "goals.toml"):
            for pattern in goal.rows:
                self.assertTrue(any(fnmatchcase(row, pattern) for row in rows), pattern)

    def test_goals_of_kind_vs_are_those_of_rows_beside_something(self) -> None:
        goals = summary.read_goals(BENCH / "goals.toml")
        for row in (row for unit in plan.all_units() for row in unit.rows):
            goal = summary.goal_of(row.name, goals)
            has_vs = goal is not None and goal.vs is not None
            self.assertEqual(has_vs, row.versus != "", row.name)

    def test_a_goal_has_one_limit(self) -> None:
        entry = '[[goal]]\nwhat = "w"\nrows = ["pp/8B"]\n'
        with tempfile.TemporaryDirectory() as tmp:
            path = Path(tmp) / "goals.toml"
            path.write_text(entry + "vs = 2\n")
            self.assertEqual(summary.read_goals(path)[0].vs, 2)
            for limits in ("", "vs = 2\nratio = 1\n"):
                path.write_text(entry + limits)
                with self.assertRaises(ValueError):
                    summary.read_goals(path)

    def test_every_pattern_of_quick_names_rows(self) -> None:
        rows = [row.name for unit in plan.all_units() for row in unit.rows]
        for pattern in plan.QUICK:
            self.assertTrue(any(fnmatchcase(row, pattern) for row in rows))

    def test_rows_beyond_the_usual_set_come_only_when_asked_for(self) -> None:
        def names(only: list[str], patterns: list[str], more: bool) -> set[str]:
            units = plan.choose(only, patterns, quick=False, more=more)
            return {row.name for unit in units for row in unit.rows}

        self.assertNotIn("pairs/1MiB", names([], [], more=False))
        self.assertIn("pairs/1MiB", names([], [], more=True))
        self.assertIn("pairs/1MiB", names([], ["pairs"], more=False))
        self.assertNotIn("pairs/8KiB", names([], [], more=False))
        self.assertIn("pairs/8KiB", names(["pairs"], [], more=False))

    def test_names_are_different_and_no_section_comes_twice(self) -> None:
        rows = [row for unit in plan.all_units() for row in unit.rows]
        self.assertEqual(len({row.name for row in rows}), len(rows))
        sections = [section for section, _ in groupby(row.section for row in rows)]
        self.assertEqual(len(set(sections)), len(sections))


if __name__ == "__main__":
    unittest.main()
