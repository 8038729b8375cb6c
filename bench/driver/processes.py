"""Runs one command with a time limit, and leaves no process of it behind.

The driver makes itself the reaper of all its descendants, so that daemons and ranks of
a library that was killed can be found and ended by their number, and nobody else's.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int | None
    """None: it was stopped because a time limit ran out."""
    wall_s: float
    left_behind: int
    """Processes that were still there when it had ended by itself."""
    stderr: str
    """The last part of what it said."""


def become_reaper() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def run(
    command: list[str],
    env: dict[str, str],
    *,
    limit_s: float,
    on_line: Callable[[str], None] | None = None,
) -> Ended:
    """Runs `command`; it may be silent for `limit_s`, then it is stopped.

    Every line of its output is given to `on_line` as it comes and starts the limit
    anew.
    """
    start = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        try:
            in_time = _follow(process, limit_s, on_line or (lambda _: None))
            wall_s = time.monotonic() - start
        finally:
            left = _end_all(process)
        errors.seek(0, os.SEEK_END)
        errors.seek(max(0, errors.tell() - 20_000))
        said = errors.read().decode(errors="replace")
    status = process.returncode if in_time else None
    return Ended(status, wall_s, left if in_time else 0, said)


def _follow(
    process: subprocess.Popen[bytes], limit_s: float, on_line: Callable[[str], None]
) -> bool:
    """Reads until the command has ended; False when the limit ran out."""
    assert process.stdout is not None
    out = process.stdout.fileno()
    rest = b""
    deadline = time.monotonic() + limit_s
    with selectors.DefaultSelector() as selector:
        selector.register(out, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return False
            data = os.read(out, 1 << 16)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                on_line(line.decode(errors="replace"))
                deadline = time.monotonic() + limit_s
    try:
        process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


def _end_all(process: subprocess.Popen[bytes]) -> int:
    """Ends what is still there; says how many processes that were."""
    if process.poll() is None:
        # First politely: mpiexec then removes its own files.
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)
    left = _wait_gone(0.5)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if process.poll() is None:
        process.wait()
    _wait_gone(2)
    if process.stdout:
        process.stdout.close()
    return len(left)


def _wait_gone(seconds: float) -> list[int]:
    """Waits until this process has no descendants; gives those that remain."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        left = descendants(os.getpid())
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.02)


def descendants(ancestor: int) -> list[int]:
    """All living processes below `ancestor`."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # pid (name) state ppid ...; the name may contain blanks and brackets
            state, ppid = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            children.setdefault(int(ppid), []).append(int(entry.name))
    found, todo = [], [ancestor]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found
