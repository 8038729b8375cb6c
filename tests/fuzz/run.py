#!/usr/bin/env python3
"""Builds the fuzzer and runs it over the library in `.venv`; README.md in this folder. Options are the fuzzer's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import product  # noqa: E402  (the folder has to be on the path first)


def program() -> Path:
    command = ["cargo", "build", "--package", "oxmpi-fuzz", "--profile", "fast", "--message-format", "json"]
    built = subprocess.run(command, cwd=product.ROOT, stdout=subprocess.PIPE, check=True)
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable"):
            return Path(message["executable"])
    sys.exit("cargo built no fuzzer")


def main() -> int:
    library = product.library_folder() / "libmpi_abi.so.1"
    options = ["--library", library, "--mpiexec", product.mpiexec(), "--seconds", "50"]
    return subprocess.run([program(), *options, *sys.argv[1:]], env=product.clean_environ()).returncode


if __name__ == "__main__":
    sys.exit(main())
