"""PEP 517 build backend: maturin for the extension, and before it cargo for what maturin does not know about.

A wheel holds, beside the extension `mpi4py/MPI.abi3.so` and the Python sources,

    mpi4py/lib/libmpi_abi.so.1     the built-in MPI library (crate oxmpi-shim)
    mpi4py/lib/libmpi_abi.so       linker script, so that `-lmpi_abi` works
    bin/mpiexec                    the launcher (crate oxmpi-mpiexec)
    bin/mpicc                      the compiler wrapper (python/scripts/mpicc)

These are laid out in build/wheel-data as the parts of a wheel's `.data` folder; pyproject.toml tells maturin of it.
Callers: pip and build, by the functions whose names PEP 517 and PEP 660 say.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import maturin
from maturin import (
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "build" / "wheel-data"
LIBRARY = "libmpi_abi.so.1"
LINKER_SCRIPT = f"/* For -lmpi_abi: the linker finds the library in the same folder. */\nINPUT({LIBRARY})\n"
# mpi4py's own tests (test_package) want a stub beside every file that could be a Python module.
NO_MODULE = "# libmpi_abi.so is no Python module: it lets the linker find the MPI library.\n"
# What a source tree without git may hold beside sources.
NOT_SOURCES = ("target", ".venv", "build", "dist", ".git", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache")

Settings = Mapping[str, Any] | None


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Settings = None) -> str:
    # maturin wants the folder named in pyproject.toml even for this.
    DATA.mkdir(parents=True, exist_ok=True)
    return str(maturin.prepare_metadata_for_build_wheel(metadata_directory, config_settings))


prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    _stage(*_native())
    return str(maturin.build_wheel(wheel_directory, config_settings, metadata_directory))


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    library, mpiexec = _native()
    _stage(library, mpiexec)
    # The package is used where it lies, so the library has to lie there too.
    shutil.rmtree(DATA / "platlib")
    _lay_library(library, ROOT / "python")
    return str(maturin.build_editable(wheel_directory, config_settings, metadata_directory))


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """All sources of the repository: maturin's own way would leave the crates out that the extension does not use."""
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    with tempfile.TemporaryDirectory() as folder:
        info = prepare_metadata_for_build_wheel(folder, config_settings)
        metadata = (Path(folder) / info / "METADATA").read_bytes()
    name = f"oxmpi-{version}"
    with tarfile.open(Path(sdist_directory) / f"{name}.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo(f"{name}/PKG-INFO")
        entry.size = len(metadata)
        archive.addfile(entry, io.BytesIO(metadata))
        for path in _sources():
            archive.add(ROOT / path, f"{name}/{path}", recursive=False, filter=_anonymous)
    return f"{name}.tar.gz"


def _native() -> tuple[Path, Path]:
    """Builds the library and the launcher in release mode; where cargo has put them."""
    command = ["cargo", "build", "--release", "--locked", "--message-format=json-render-diagnostics"]
    command += ["--package", "oxmpi-shim", "--package", "oxmpi-mpiexec"]
    if shutil.which("cargo") is None:
        sys.exit("oxmpi is built with Rust, and there is no cargo on PATH: see https://rustup.rs")
    print(f"Running `{' '.join(command)}`", flush=True)
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(f"cargo build ended with status {done.returncode}")
    built: dict[str, Path] = {}
    for line in done.stdout.splitlines():
        message = json.loads(line) if line.startswith(b"{") else {}
        if message.get("reason") == "compiler-artifact":
            for file in message["filenames"]:
                built[Path(file).name] = Path(file)
    return built["liboxmpi_shim.so"], built["mpiexec"]


def _stage(library: Path, mpiexec: Path) -> None:
    shutil.rmtree(DATA, ignore_errors=True)
    scripts = DATA / "scripts"
    scripts.mkdir(parents=True)
    for source in (mpiexec, ROOT / "python" / "scripts" / "mpicc"):
        shutil.copy(source, scripts / source.name)
        (scripts / source.name).chmod(0o755)
    _lay_library(library, DATA / "platlib")


def _lay_library(library: Path, site: Path) -> None:
    folder = site / "mpi4py" / "lib"
    folder.mkdir(parents=True, exist_ok=True)
    # Not over the old file: a running program may have it mapped.
    shutil.copy(library, folder / f"{LIBRARY}.new")
    os.replace(folder / f"{LIBRARY}.new", folder / LIBRARY)
    (folder / LIBRARY).chmod(0o755)
    (folder / "libmpi_abi.so").write_text(LINKER_SCRIPT)
    (folder / "libmpi_abi.pyi").write_text(NO_MODULE)


def _sources() -> Iterator[str]:
    """What goes into an sdist: what git knows or would know; without git, all that is not built."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        listing = [
            "git",
            "-c",
            f"safe.directory={ROOT}",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]
        output = subprocess.run(listing, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
        yield from sorted(name for name in output.decode().split("\0") if name and (ROOT / name).is_file())
        return
    for folder, folders, files in os.walk(ROOT):
        folders[:] = sorted(
            name for name in folders if not name.startswith(NOT_SOURCES[:2]) and name not in NOT_SOURCES
        )
        for file in sorted(files):
            path = (Path(folder) / file).relative_to(ROOT)
            if path != Path("PKG-INFO") and not file.endswith((".so", ".so.1", ".pyc")):
                yield str(path)


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry
