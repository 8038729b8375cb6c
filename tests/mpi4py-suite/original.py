"""The original mpi4py, built from its source distribution against our mpi.h with our mpicc: `.venv-original`.

The wheel is kept in build/ under what it was made from, so that it is built again only for another mpi4py, mpi.h, Python
or C library name. It needs minutes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import suite
from suite import ROOT, Problem

VENV = ROOT / ".venv-original"
WHEELS = ROOT / "build" / "mpi4py-original"
# What its tests use beside it; the versions are those of pyproject.toml.
PACKAGES = ("numpy", "cffi", "dill", "PyYAML")
# Its speed is not what is tested.
CFLAGS = "-O0 -g0"
LIBRARY = "libmpi_abi.so.1"


def package() -> Path:
    """Our installed package, of the Python that runs this."""
    return Path(sysconfig.get_path("platlib")) / "mpi4py"


def pip(python: str | Path, *arguments: str | Path, env: dict[str, str] | None = None) -> None:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *(str(word) for word in arguments)]
    done = subprocess.run(command, env=os.environ | (env or {}), capture_output=True, text=True, check=False)
    if done.returncode:
        log = WHEELS / "pip.log"
        log.write_text(done.stdout + done.stderr)
        end = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
        raise Problem(f"{' '.join(command)} ended with status {done.returncode} (all of it: {log})\n{end}")


def wheel() -> Path:
    """The wheel for this Python and this mpi.h."""
    header = package() / "include" / "mpi.h"
    made_from = [suite.SHA256, suite.digest(header), sys.version, CFLAGS, LIBRARY]
    folder = WHEELS / hashlib.sha256("\0".join(made_from).encode()).hexdigest()[:16]
    found = sorted(folder.glob("mpi4py-*.whl"))
    if not found:
        print(f"-- building the original mpi4py {suite.VERSION} against our mpi.h (a few minutes)", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        tools = {"MPICC": str(Path(sys.executable).with_name("mpicc")), "CFLAGS": CFLAGS}
        pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", folder, suite.archive(), env=tools)
        found = sorted(folder.glob("mpi4py-*.whl"))
    return found[0]


def packages() -> list[str]:
    pinned = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"]
    return [word for word in pinned if word.partition("==")[0] in PACKAGES]


def environment() -> Path:
    """Makes `.venv-original` current, lets its ranks find our library, and gives its Python."""
    WHEELS.mkdir(parents=True, exist_ok=True)
    built = wheel()
    wanted = {"wheel": f"{built.parent.name}/{built.name}", "packages": packages(), "python": sys.version}
    stamp = VENV / "oxmpi-stamp.json"
    python = VENV / "bin" / "python"
    try:
        have = json.loads(stamp.read_text())
    except (OSError, ValueError):
        have = {}
    if have != wanted or not python.exists():
        print("-- making .venv-original", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
        pip(python, "install", "--quiet", built, *packages())
        stamp.write_text(json.dumps(wanted))
    # The wheel may come from another checkout: its run path is not relied on.
    os.environ["LD_LIBRARY_PATH"] = str(package() / "lib")
    check(python)
    return python


def check(python: Path) -> None:
    """That it is the original, linked against the standard ABI's library, and that this library is ours."""
    program = "import mpi4py.MPI as m; print(m.__file__, m.Get_library_version().split()[0], sep=chr(10))"
    done = subprocess.run([str(python), "-c", program], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Problem(f"the original mpi4py does not start over our library\n{done.stderr}")
    module, library = done.stdout.splitlines()
    if library != "oxmpi":
        raise Problem(f"the original mpi4py runs over {library}, not over oxmpi")
    if LIBRARY.encode() not in Path(module).read_bytes():
        raise Problem(f"{module} is not linked against {LIBRARY}")
