#!/usr/bin/env python3
"""The virtual environments that tests, demo and benchmarks use; makes them when they are missing or not current.

    python3 tests/product.py            # .venv: this working tree, built and installed, and the tools for the tests
    python3 tests/product.py --peers    # .venv-peers/*: the libraries that the tests compare with

`.venv` is brought up to date when a source file that goes into the product has another content than at the last time.
The peers' environments are the ones of bench/ (versions in bench/peers.toml). Called by the Makefile and tests/all.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PEERS = ROOT / ".venv-peers"
# The peers that speak the standard ABI, over which our extension is tested too.
ABI_PEERS = ("mpich", "impi")
# What the product is built from. Not the README: its text alone is no reason to build.
SOURCES = ("Cargo.toml", "Cargo.lock", "pyproject.toml", ".cargo", "build_backend", "python", "crates")
NOT_IN_PRODUCT = ("tests", "examples", "benches", "__pycache__")

sys.path.insert(0, str(ROOT / "bench"))
from driver import environments  # noqa: E402  (the folder has to be on the path first)
from driver.environments import Library as Library  # noqa: E402


class Problem(Exception):
    """Said to the user as it is."""


def python() -> Path:
    return VENV / "bin" / "python"


def mpiexec() -> Path:
    return VENV / "bin" / "mpiexec"


def library_folder() -> Path:
    """Where the installed libmpi_abi.so.1 is."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return VENV / "lib" / version / "site-packages" / "mpi4py" / "lib"


def clean_environ() -> dict[str, str]:
    """The caller's environment without settings of MPI libraries and of Python; a few of our own for the tests."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(environments.CLEARED)}
    return env | {"PYTHONDONTWRITEBYTECODE": "1"}


def sources() -> Iterator[Path]:
    for name in SOURCES:
        start = ROOT / name
        if start.is_file():
            yield start
        for folder, folders, files in os.walk(start):
            folders[:] = sorted(
                f for f in folders if f not in NOT_IN_PRODUCT and Path(folder, f) != ROOT / "python/mpi4py/lib"
            )
            yield from (Path(folder, file) for file in sorted(files) if not file.endswith((".so", ".pyc", ".md")))


def fingerprint() -> str:
    digest = hashlib.sha256(sys.version.encode())
    for path in sources():
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)}\0{path.stat().st_mode & 0o111}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def install() -> bool:
    """Makes `.venv` current. False: it was."""
    stamp = VENV / "oxmpi-stamp.json"
    # A fingerprint from before the build: who changes a file meanwhile gets another build.
    wanted = {
        "python": sys.version,
        "packages": tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"],
        "product": fingerprint(),
    }
    try:
        have = json.loads(stamp.read_text())
    except (OSError, ValueError):
        have = {}
    if have == wanted and mpiexec().exists():
        return False
    stamp.unlink(missing_ok=True)
    if have.get("python") != wanted["python"] or not python().exists():
        say("making .venv")
        run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    pip = [str(python()), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    if have.get("packages") != wanted["packages"]:
        say(f"installing {', '.join(wanted['packages'])} into .venv")
        run([*pip, *wanted["packages"]])
    say("building and installing oxmpi (minutes the first time, and after changes in Rust code)")
    begin = time.monotonic()
    run([*pip, "--force-reinstall", "--no-deps", str(ROOT)])
    say(f"installed after {time.monotonic() - begin:.0f} s")
    stamp.write_text(json.dumps(wanted))
    return True


def peers() -> dict[str, Library]:
    """The peers that speak the standard ABI, by name."""
    try:
        return {library.name: library for library in environments.peers(list(ABI_PEERS), None, PEERS)}
    except environments.EnvironmentProblem as problem:
        raise Problem(str(problem)) from None


def run(command: list[str]) -> None:
    done = subprocess.run(command, env=clean_environ(), check=False)
    if done.returncode:
        raise Problem(f"{' '.join(command)} ended with status {done.returncode}")


def say(text: str) -> None:
    print(f"-- {text}", flush=True)


def main() -> int:
    try:
        if "--peers" in sys.argv[1:]:
            peers()
        elif not install():
            say(".venv is current")
    except Problem as problem:
        print(f"tests/product.py: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
