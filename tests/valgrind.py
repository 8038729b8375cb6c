#!/usr/bin/env python3
"""Runs the tests of the copy plans under valgrind, which sees every access beside the memory that a type needs.

    python3 tests/valgrind.py                # a bounded number of random types: part of `make test`
    python3 tests/valgrind.py --cases 20000  # more of them

The tests are those of crates/engine/src/datatype/reference and of the copy routines. They use memory that is exactly as
large as a type demands, so a byte too many is an error here though it would do no harm elsewhere. The code is optimised
as in the product. At most 40 instances of an error are shown by valgrind.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = ("datatype::reference", "copy::tests")
# What valgrind returns if it has seen an error; no test ends so.
SEEN = 97


def test_program() -> Path:
    """Builds the engine's tests; where they are."""
    command = ["cargo", "test", "--package", "oxmpi-engine", "--lib", "--profile", "fast", "--no-run"]
    built = subprocess.run([*command, "--message-format", "json"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["profile"]["test"]:
            return Path(message["executable"])
    sys.exit("cargo built no test program")


def main() -> int:
    parser = argparse.ArgumentParser(description="The tests of the copy plans under valgrind.")
    parser.add_argument("--cases", type=int, default=1000, help="random types per test (1000)")
    options = parser.parse_args()
    valgrind = shutil.which("valgrind")
    if not valgrind:
        sys.exit("valgrind is not installed")
    watch = [valgrind, "--quiet", f"--error-exitcode={SEEN}", "--num-callers=20"]
    status = subprocess.run(
        # One thread: valgrind runs one at a time, and the first error is then the one of the test named last.
        [*watch, test_program(), "--test-threads=1", *TESTS],
        env=os.environ | {"PROPTEST_CASES": str(options.cases)},
    ).returncode
    if status == SEEN:
        print("FAILED: valgrind has seen an access to memory that belongs to no buffer", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
