#!/usr/bin/env python3
"""Builds the source distribution, installs it into a fresh environment without any other package, and checks that.

    python3 tests/packaging/sdist.py

It is unpacked in build/sdist-check and built without optimization across crates: whether all is there and fits together is
the question here, and that takes half the time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "sdist-check"
TARGET = ROOT / "build" / "sdist-target"
NEEDED = ("Cargo.lock", "LICENSE-MIT", "PKG-INFO", "README.md", "crates/shim/Cargo.toml", "python/mpi4py/include/mpi.h")
MAKE = (
    "import sys; sys.path.insert(0, 'build_backend'); import oxmpi_build; print(oxmpi_build.build_sdist(sys.argv[1]))"
)


def step(name: str, *command: str | Path, cwd: Path = ROOT) -> str:
    # A target folder of its own: cargo does not tell two copies of a workspace apart in a shared one.
    env = os.environ | {
        "CARGO_TARGET_DIR": str(TARGET),
        "CARGO_PROFILE_RELEASE_LTO": "off",
        "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
        "CARGO_PROFILE_RELEASE_OPT_LEVEL": "1",
    }
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"FAIL  {name}: status {done.returncode}\n{done.stdout}{done.stderr}", flush=True)
        sys.exit(1)
    print(f"ok    {name}", flush=True)
    return done.stdout


def main() -> None:
    shutil.rmtree(WORK, ignore_errors=True)
    tools, fresh, dist = WORK / "tools", WORK / "fresh", WORK / "dist"
    dist.mkdir(parents=True)
    step("an environment to build in", sys.executable, "-m", "venv", tools)
    step("the builder", tools / "bin/pip", "install", "--quiet", "maturin>=1.9.4,<2")
    # maturin is started by its name.
    os.environ["PATH"] = f"{tools / 'bin'}{os.pathsep}{os.environ['PATH']}"
    step("the sdist", tools / "bin/python", "-c", MAKE, dist)
    (archive,) = dist.glob("oxmpi-*.tar.gz")
    name = archive.name.removesuffix(".tar.gz")
    with tarfile.open(archive) as opened:
        names = set(opened.getnames())
        opened.extractall(WORK, filter="data")
    missing = [file for file in NEEDED if f"{name}/{file}" not in names]
    built = [file for file in names if file.endswith((".so", ".so.1", ".pyc")) or "/target/" in file]
    if missing or built:
        sys.exit(f"FAIL  its contents: missing {missing}, built files {built[:5]}")
    print(f"ok    its contents ({len(names)} files, {archive.stat().st_size // 1024} KiB)", flush=True)
    step("a fresh environment", sys.executable, "-m", "venv", fresh)
    step("pip install of the unpacked sdist", fresh / "bin/pip", "install", WORK / name)
    step("pip check", fresh / "bin/pip", "check")
    print(step("what was installed", fresh / "bin/python", ROOT / "tests/packaging/check.py", cwd=WORK), end="")


if __name__ == "__main__":
    main()
