"""Runs the tests of one file on this rank. The runner (run.py) starts it on every rank and joins what they say.

    mpiexec -n 2 python tests/python/support/rank.py tests/python/test_p2p_modes.py [-k PATTERN]

By hand it prints what fails and goes on. Under the runner (`--log DIR`) it writes a file of JSON lines, one for each
begin and end of a test, so that even of a rank that hangs or dies it is known where; and after a failure it waits for
the runner to end the job, since the ranks may no longer be in step.

No pytest: the ranks need the standard library, NumPy and mpi4py, nothing else.
"""

from __future__ import annotations

import argparse
import ast
import faulthandler
import fnmatch
import importlib.util
import json
import os
import signal
import sys
import time
import unittest
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO


def is_alone(file: Path) -> bool:
    """Whether the file says `ALONE = True`: its tests start ranks themselves and run in one process without MPI."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "ALONE" for t in node.targets):
            return isinstance(node.value, ast.Constant) and node.value.value is True
    return False


def name_of(test: unittest.TestCase) -> str:
    """`Class.method`; for what fails outside of a test (setUpClass, setUpModule) unittest's own words."""
    parts = test.id().split(".")
    return ".".join(parts[-2:]) if hasattr(test, "_testMethodName") else test.id()


def tests_in(suite: unittest.TestSuite) -> list[unittest.TestCase]:
    found: list[unittest.TestCase] = []
    for item in suite:
        found += tests_in(item) if isinstance(item, unittest.TestSuite) else [item]
    return found


def chosen(name: str, pattern: str | None) -> bool:
    if pattern is None:
        return True
    return any(part in name or fnmatch.fnmatch(name, part) for part in pattern.split(" or "))


class Log:
    """Where the records go: a file of JSON lines, or the terminal."""

    def __init__(self, folder: Path | None) -> None:
        self.file: TextIO | None = None
        if folder is not None:
            self.file = open(folder / f"{os.getpid()}.log", "w", buffering=1)  # noqa: SIM115 (open for the whole run)

    def write(self, kind: str, **fields: Any) -> None:
        if self.file is not None:
            self.file.write(json.dumps({"kind": kind, **fields}) + "\n")


class Collector(unittest.TestResult):
    """Turns what unittest says about a test into one record."""

    def __init__(self, log: Log, who: str) -> None:
        super().__init__()
        self.log, self.who = log, who
        self.counts = {"pass": 0, "fail": 0, "skip": 0}
        self.result, self.text, self.begin = "pass", "", 0.0

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.result, self.text, self.begin = "pass", "", time.perf_counter()
        self.log.write("begin", test=name_of(test))

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        self.end(name_of(test))

    def end(self, name: str) -> None:
        self.counts[self.result] += 1
        seconds = round(time.perf_counter() - self.begin, 4)
        self.log.write("end", test=name, result=self.result, text=self.text, seconds=seconds)
        if self.result == "fail":
            if self.log.file is None:
                print(f"{self.who}: FAIL {name}\n{self.text}", file=sys.stderr, flush=True)
            else:
                while True:  # until the runner ends the job
                    time.sleep(1)

    def failed(self, test: unittest.TestCase, error: Any) -> None:
        test.broken = True  # type: ignore[attr-defined]  # for Case.tearDown, which comes after this
        text = self._exc_info_to_string(error, test).strip()  # type: ignore[attr-defined]  # leaves unittest's frames out
        self.result, self.text = "fail", f"{self.text}\n{text}".strip()
        if not hasattr(test, "_testMethodName"):
            # setUpClass or setUpModule: there is no startTest and stopTest around it.
            self.end(name_of(test))

    addError = addFailure = failed

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, error: Any) -> None:
        if error is not None:
            self.text = f"{self.text}\n{subtest}".strip()
            self.failed(test, error)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        test.broken = True  # type: ignore[attr-defined]
        self.result, self.text = "skip", reason
        if not hasattr(test, "_testMethodName"):
            self.end(name_of(test))

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self.result, self.text = "fail", "marked as expected to fail, but passed"


def load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return module


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs one test file on this rank; see the top of this file.")
    parser.add_argument("file", type=Path)
    parser.add_argument("-k", metavar="PATTERN", help="only tests with this in Class.method; several with ' or '")
    parser.add_argument("--log", type=Path, metavar="DIR", help="for the runner: where the JSON lines go")
    parser.add_argument("--only", type=Path, metavar="FILE", help="for the runner: a JSON list of the tests to run")
    options = parser.parse_args()

    # The tests import what lies beside them (`support`), not this folder's files by their bare names.
    sys.path[0] = str(options.file.resolve().parent)
    log = Log(options.log)
    log.write("boot", pid=os.getpid())
    if options.log is not None:
        # SIGUSR1 from the runner: write down where every thread is, even inside of a C call.
        trace = open(options.log / f"{os.getpid()}.trace", "w")  # noqa: SIM115 (open for the whole run)
        faulthandler.enable(trace)
        faulthandler.register(signal.SIGUSR1, trace, all_threads=True)

    who, number = "alone", 0
    if not is_alone(options.file):
        from mpi4py import MPI

        number = MPI.COMM_WORLD.Get_rank()
        who = f"rank {number} of {MPI.COMM_WORLD.Get_size()}"
        log.write("hello", rank=number, size=MPI.COMM_WORLD.Get_size(), library=MPI.Get_library_version())
    else:
        log.write("hello", rank=0, size=1, library="")

    suite = unittest.defaultTestLoader.loadTestsFromModule(load(options.file))
    tests = [test for test in tests_in(suite) if chosen(name_of(test), options.k)]
    if options.only is not None:
        only = set(json.loads(options.only.read_text()))
        tests = [test for test in tests if name_of(test) in only]
    log.write("list", tests=[name_of(test) for test in tests])

    collector = Collector(log, who)
    unittest.TestSuite(tests).run(collector)
    log.write("done")
    if log.file is None and (number == 0 or collector.counts["fail"]):
        print(f"{who}: " + ", ".join(f"{count} {result}" for result, count in collector.counts.items()), flush=True)
    return 1 if collector.counts["fail"] else 0


if __name__ == "__main__":
    sys.exit(main())
