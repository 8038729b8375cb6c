"""The virtual environments: makes those of the peers, finds ours.

Every peer has its own environment in a cache folder (git-ignored). A stamp file in it
says what was installed; with another set of versions the environment is made anew.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
REPO = BENCH.parent
STAMP = "bench-stamp.json"
OURS = "oxmpi"

# Settings of the caller that would change what is measured.
CLEARED = (
    "FI_",
    "HYDRA_",
    "I_MPI_",
    "MPI4PY_",
    "MPICH_",
    "MPIEXEC_",
    "MPIR_",
    "OMPI_",
    "OPAL_",
    "OXMPI_",
    "PMI",
    "PRTE_",
    "PYTHON",
    "SLURM_",
    "UCX_",
    "VIRTUAL_ENV",
)


class EnvironmentProblem(Exception):
    """Said to the user as it is."""


@dataclass(frozen=True)
class Library:
    """An MPI library with its Python, ready to be started."""

    name: str
    title: str
    prefix: Path
    env: dict[str, str] = field(default_factory=dict)
    pins: tuple[str, ...] = ()

    @property
    def is_ours(self) -> bool:
        return self.name == OURS

    def mpiexec(self, ranks: int) -> list[str]:
        """The start of a command line; the program of the ranks follows."""
        return [str(self.prefix / "bin" / "mpiexec"), "-n", str(ranks)]

    def python(self) -> str:
        return str(self.prefix / "bin" / "python")

    def environ(self, tmp: Path) -> dict[str, str]:
        """The caller's environment without MPI settings; `tmp` takes session files."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(CLEARED)}
        env["PATH"] = f"{self.prefix / 'bin'}{os.pathsep}{env.get('PATH', os.defpath)}"
        env["TMPDIR"] = str(tmp)
        return env | self.env


def peers(
    names: list[str] | None, peers_dir: Path | None, cache: Path
) -> list[Library]:
    """The peers of peers.toml (or those named), ready to run."""
    with (BENCH / "peers.toml").open("rb") as file:
        table = tomllib.load(file)
    common: list[str] = table.pop("packages")
    unknown = set(names or ()) - table.keys()
    if unknown:
        raise EnvironmentProblem(
            f"no such peer: {', '.join(sorted(unknown))} "
            f"(peers.toml has {', '.join(table)})"
        )
    found = []
    for name, entry in table.items():
        if names is not None and name not in names:
            continue
        pins = (*common, entry["package"])
        prefix = (peers_dir or cache) / name
        if peers_dir is None:
            _make(prefix, list(pins))
        elif not (prefix / "bin" / "mpiexec").exists():
            raise EnvironmentProblem(f"no mpiexec in {prefix}/bin")
        env = entry.get("env", {})
        found.append(Library(name, entry["title"], prefix, env, pins))
    return found


def ours(prefix: Path) -> Library | None:
    """Our build, if there is one at `prefix`."""
    if all((prefix / "bin" / tool).exists() for tool in ("mpiexec", "python")):
        return Library(OURS, OURS, prefix)
    return None


def _make(prefix: Path, pins: list[str]) -> None:
    stamp = {"packages": pins, "python": sys.version}
    path = prefix / STAMP
    if path.exists() and json.loads(path.read_text()) == stamp:
        return
    print(f"making the environment {prefix.name}: {' '.join(pins)}", file=sys.stderr)
    shutil.rmtree(prefix, ignore_errors=True)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    python = str(prefix / "bin" / "python")
    for command in (
        [sys.executable, "-m", "venv", str(prefix)],
        [python, "-m", "pip", "install", "--quiet", *pins],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EnvironmentProblem(
                f"cannot make the environment {prefix.name}: {' '.join(command)} "
                f"ended with {done.returncode}:\n{done.stderr.strip()[-2000:]}"
            )
    path.write_text(json.dumps(stamp))
