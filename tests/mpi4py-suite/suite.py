"""What is known about mpi4py's own tests: where they come from, which files are due, what MPICH does with them, what is
not expected to pass yet."""

from __future__ import annotations

import csv
import fnmatch
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
VERSION = "4.1.2"
SHA256 = "56860286dc45f20e8821e93cb06669e30462348bf866f685553fa4b712d58d02"
ARCHIVE = ROOT / "build" / f"mpi4py-{VERSION}.tar.gz"
SOURCES = ROOT / "build" / f"mpi4py-{VERSION}"


class Problem(Exception):
    """Said to the user as it is."""


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def archive() -> Path:
    """mpi4py's source distribution, fetched once from where pip takes its packages."""
    if digest(ARCHIVE) == SHA256:
        return ARCHIVE
    print(f"-- fetching the sources of mpi4py {VERSION}", flush=True)
    folder = ARCHIVE.parent / "mpi4py-download"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # pip has no way to fetch an archive without asking its build backend for metadata; that takes some seconds.
    options = ["--disable-pip-version-check", "--quiet", "--no-deps", "--no-binary", "mpi4py", "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", "download", *options, f"mpi4py=={VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Problem(f"{' '.join(command)} ended with status {done.returncode}\n{done.stdout}{done.stderr}")
    found = folder / ARCHIVE.name
    if digest(found) != SHA256:
        raise Problem(f"{found} has the SHA-256 {digest(found) or '(no such file)'}, not {SHA256}")
    found.replace(ARCHIVE)
    shutil.rmtree(folder)
    return ARCHIVE


def tests() -> Path:
    """The folder with the test files."""
    source = archive()
    if not (SOURCES / "test").is_dir():
        folder = SOURCES.with_name(f"{SOURCES.name}-unpacked")
        shutil.rmtree(folder, ignore_errors=True)
        with tarfile.open(source) as packed:
            packed.extractall(folder, filter="data")
        shutil.rmtree(SOURCES, ignore_errors=True)
        (folder / SOURCES.name).rename(SOURCES)
        shutil.rmtree(folder)
    return SOURCES / "test"


@dataclass
class Chapter:
    name: str
    due: bool
    ranks: list[int]
    quick: list[int]
    """The same where time counts."""
    files: list[str]


def chapters() -> list[Chapter]:
    found = tomllib.loads((HERE / "files.toml").read_text())["chapters"]
    chapters = []
    for name, entry in found.items():
        ranks = entry.get("ranks", [1, 2, 3, 4])
        chapters.append(Chapter(name, entry.get("due", False), ranks, entry.get("quick", ranks), entry["files"]))
    return chapters


@dataclass
class Known:
    """What a test did over MPICH, under the original mpi4py, with two ranks."""

    result: str
    reason: str
    ranks: str

    def has_to_pass(self, ranks: int) -> bool:
        """Whether the test can do something with so many ranks, and MPICH passes it. The one that MPICH fails (it says
        of Fortran types that they are there, and they are not) can be passed."""
        fits = {"any": True, ">=2": ranks >= 2, "=1": ranks == 1, "never": False}[self.ranks]
        return fits and (self.result != "skip" or self.ranks == "=1")


def mpich() -> dict[str, Known]:
    with (HERE / "mpich.tsv").open(newline="") as file:
        rows = csv.DictReader((line for line in file if not line.startswith("#")), delimiter="\t")
        return {row["test"]: Known(row["mpich"], row["reason"], row["ranks"]) for row in rows}


@dataclass
class Missing:
    """Tests that are not expected to pass yet, and why."""

    why: str
    tests: list[str]
    under: list[str]
    ranks: list[int]

    def covers(self, test: str, under: str, ranks: int) -> bool:
        return (
            under in (self.under or ("ours", "original"))
            and (not self.ranks or ranks in self.ranks)
            and any(fnmatch.fnmatchcase(test, pattern) for pattern in self.tests)
        )


def missing() -> list[Missing]:
    entries = tomllib.loads((HERE / "missing.toml").read_text()).get("missing", [])
    return [Missing(e["why"], e["tests"], e.get("under", []), e.get("ranks", [])) for e in entries]
