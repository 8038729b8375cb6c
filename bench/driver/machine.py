"""What the machine is, and what else ran on it while we measured."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from driver.environments import REPO


def description() -> dict[str, object]:
    """For the head of the table. No names of hosts, users or folders."""
    cpuinfo = _read("/proc/cpuinfo")
    fields: dict[str, str] = {}
    for line in cpuinfo.split("\n\n")[0].splitlines():
        key, _, value = line.partition(":")
        fields[key.strip()] = value.strip()
    model = f"family {fields.get('cpu family', '?')}, model {fields.get('model', '?')}"
    memory = int(_read("/proc/meminfo").split(None, 2)[1]) / (1 << 20)
    return {
        "cpu": f"{fields.get('model name', platform.processor())} ({model})",
        "cores": len(os.sched_getaffinity(0)),
        "virtual": "yes" if "hypervisor" in fields.get("flags", "").split() else "no",
        "caches": _caches(),
        "memory": f"{memory:.0f} GiB",
        "huge pages": _selected("/sys/kernel/mm/transparent_hugepage/enabled"),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "libc": " ".join(platform.libc_ver()),
        "driver's Python": platform.python_version(),
    }


def commit() -> str:
    """The commit that is checked out, and whether the tree differs from it."""

    def git(*args: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(REPO), *args], capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    name = git("rev-parse", "--short=12", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no")
    return f"{name or 'unknown'}{' with changes' if changed else ''}"


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _selected(path: str) -> str:
    """The word in brackets: "always [madvise] never"."""
    return _read(path).partition("[")[2].partition("]")[0] or "unknown"


def _caches() -> str:
    found = []
    folder = Path("/sys/devices/system/cpu/cpu0/cache")
    for index in sorted(folder.glob("index*")):
        kind = _read(f"{index}/type").strip()
        if kind != "Instruction":
            level, size = (_read(f"{index}/{n}").strip() for n in ("level", "size"))
            found.append(f"L{level} {size}")
    return ", ".join(found) or "unknown"


@dataclass(frozen=True)
class Noise:
    """Shares of all cores that others took while something was measured."""

    foreign: float
    steal: float


class NoiseMeter:
    """From its making to `read`, with all processes of ours waited for by then."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._busy, self._steal = _cpu_seconds()
        self._ours = _our_seconds()

    def read(self) -> Noise:
        busy, steal = _cpu_seconds()
        foreign = (busy - self._busy) - (_our_seconds() - self._ours)
        total = max(time.monotonic() - self._start, 1e-3) * (os.cpu_count() or 1)
        return Noise(max(0.0, foreign / total), max(0.0, (steal - self._steal) / total))


def _our_seconds() -> float:
    used = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        used += usage.ru_utime + usage.ru_stime
    return used


def _cpu_seconds() -> tuple[float, float]:
    """Busy and stolen time of all cores since boot."""
    first = _read("/proc/stat").split("\n", 1)[0].split()[1:]
    ticks = [int(t) / os.sysconf("SC_CLK_TCK") for t in first] + [0.0] * 10
    user, nice, system, _, _, irq, softirq, steal = ticks[:8]
    return user + nice + system + irq + softirq, steal


def quiet_warning(seconds: float = 1.0) -> str:
    """What to say when the machine is busy before the first round; "" if it is not."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    meter = NoiseMeter()
    time.sleep(seconds)
    noise = meter.read()
    if noise.foreign < 0.05 and noise.steal < 0.05 and load < cores / 2:
        return ""
    return (
        f"this machine is not quiet: load average {load:.2f}, others use "
        f"{noise.foreign:.0%} of the cores, {noise.steal:.0%} stolen by the host; "
        "times and ratios below will scatter"
    )
