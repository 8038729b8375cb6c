"""Which rows there are, which program measures them, and with how many ranks.

The name of a row is also what its program gets as argument (bench/programs/). Rows of
one program and number of ranks form a unit: one start of mpiexec measures them all.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

SIZES = ("8B", "64B", "1KiB", "8KiB", "64KiB", "256KiB", "1MiB", "4MiB", "16MiB")
COLL_RANKS = (2, 4, 8)
COLL_SIZES = ("8B", "8KiB", "1MiB", "16MiB")
COLLECTIVES = (
    "bcast",
    "reduce",
    "allreduce",
    "scatter",
    "scatterv",
    "gather",
    "gatherv",
    "allgather",
    "allgatherv",
    "alltoall",
    "alltoallv",
    "reduce_scatter_block",
    "scan",
    "iallreduce",
    "allreduce_init",
)
# Lower-case, of a small dict.
OBJECT_COLLECTIVES = ("bcast", "allreduce", "gather")
# Parts of arrays, of float64 (bench/programs/layouts.py).
LAYOUTS = {
    "column": "column of 1000 x 1000",
    "face_j": "face of 128³, 128 rows of 1 KiB",
    "face_k": "face of 128³, 16,384 single elements",
    "indexed": "indexed, 10,000 blocks",
}
# What --quick keeps.
QUICK = (
    "call/*",
    "pp/8B",
    "pp/1KiB",
    "pp/8KiB",
    "pp/64KiB",
    "pp/1MiB",
    "pp2/64KiB",
    "pp2/1MiB",
    "pp2/16MiB",
    "object/*",
    "window/*",
    "line/*",
    "typed/face_k",
    "n?/barrier",
    "n?/bcast/*",
    "n?/allreduce/*",
    "n?/alltoall/*",
    "start/mpi",
    "idle/*",
)

# Start-up rows are run by the driver itself: what every rank executes.
STARTUP_CODE = {
    "start/python": "pass",
    "start/mpi": "from mpi4py import MPI",
    "start/numpy": "from mpi4py import MPI; import numpy",
}
STARTUP_RANKS = 4


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    title: str
    group: str
    """What --only names."""
    section: str
    """Heading in the table."""
    unit: str = "us"
    more: bool = False
    """Measured only with --more."""
    versus: str = ""
    """What the program measures beside it, in the same processes; "" if nothing."""


@dataclass(frozen=True)
class Unit:
    """Rows that one start of mpiexec measures."""

    name: str
    program: str
    """File in bench/programs/, or "" when the driver measures by itself."""
    ranks: int
    rows: tuple[Row, ...] = field(repr=False)
    once: bool = False
    """Measured in the first round only: long, and the same every time."""


def spaced(size: str) -> str:
    """ "64KiB" as people write it."""
    digits = size.rstrip("BKMi")
    return f"{digits} {size[len(digits) :]}"


def _calls() -> Unit:
    titles = {
        "get_rank": "Get_rank()",
        "send_null": "Send(array, PROC_NULL)",
        "send_null_spec": "Send([array, 1, DOUBLE], PROC_NULL)",
        "self": "Irecv + Send to self + Wait, 8 B",
    }
    section = "Calls, one rank"
    rows = tuple(
        Row(f"call/{name}", title, "calls", section, "ns")
        for name, title in titles.items()
    )
    return Unit("calls", "calls.py", 1, rows)


def _messages() -> Unit:
    section = "Point to point, 2 ranks"
    one = (
        Row(f"pp/{s}", f"ping-pong {spaced(s)}, one buffer", "pingpong", section)
        for s in SIZES
    )
    two = (
        Row(f"pp2/{s}", f"ping-pong {spaced(s)}, rotating", "pingpong", section)
        for s in SIZES
    )
    objects = (
        Row("object/dict", "pickled dict", "objects", section),
        Row("object/list", "pickled list of 100 ints", "objects", section),
        Row("object/arrays", "pickled dict of arrays, 10 MB", "objects", section),
    )
    windows = (
        Row(
            f"window/{s}",
            f"64 outstanding of {spaced(s)}, per message",
            "window",
            section,
        )
        for s in ("8B", "8KiB")
    )
    return Unit("messages", "messages.py", 2, (*one, *two, *objects, *windows))


def _line() -> Unit:
    section = "Beside a raw hand-over of a cache line, 2 ranks"
    row = Row(
        "line/8B", "ping-pong 8 B, one buffer", "line", section, versus="the line"
    )
    return Unit("line", "handover.py", 2, (row,))


def _typed() -> Unit:
    section = "Sent and received by derived type, 2 ranks"
    rows = tuple(
        Row(f"typed/{name}", title, "typed", section) for name, title in LAYOUTS.items()
    )
    return Unit("typed", "typed.py", 2, rows)


def _packing() -> Unit:
    section = "Pack and Unpack, one rank"
    rows = tuple(
        Row(
            f"{way.lower()}/{name}",
            f"{way} {title}",
            "pack",
            section,
            versus="NumPy's copy",
        )
        for way in ("Pack", "Unpack")
        for name, title in LAYOUTS.items()
    )
    return Unit("packing", "packing.py", 1, rows)


def _matching() -> Unit:
    section = "Matching, 2 ranks, 8 B, per message"
    titles = {
        "posted": "100 posted receives, matched in reverse order",
        "unexpected": "10,000 unexpected messages, then received by tag",
    }
    rows = tuple(
        Row(f"match/{name}", title, "match", section) for name, title in titles.items()
    )
    return Unit("matching", "matching.py", 2, rows)


def _threads() -> Unit:
    section = "Two threads in each of 2 ranks, a communicator for each pair"
    row = Row("threads/8B", "ping-pong 8 B, two pairs of threads", "threads", section)
    return Unit("threads", "threads.py", 2, (row,))


def _pairs() -> Unit:
    section = "Two pairs at once, 4 ranks"
    rows = tuple(
        Row(
            f"pairs/{s}",
            f"ping-pong {spaced(s)}, two pairs",
            "pairs",
            section,
            more=s not in ("8B", "64KiB"),
        )
        for s in ("8B", "8KiB", "64KiB", "1MiB")
    )
    return Unit("pairs", "messages.py", 4, rows)


def _collectives(ranks: int) -> Unit:
    section = f"Collectives, {ranks} ranks"
    rows = [Row(f"n{ranks}/barrier", "barrier", "collectives", section)]
    titles = {
        "iallreduce": "Iallreduce, Wait",
        "allreduce_init": "persistent allreduce",
    }
    for name in COLLECTIVES:
        title = titles.get(name, name)
        rows += [
            Row(
                f"n{ranks}/{name}/{size}",
                f"{title} {spaced(size)}",
                "collectives",
                section,
            )
            for size in COLL_SIZES
        ]
    rows += [
        Row(f"n{ranks}/{name}/dict", f"{name} of a dict", "collectives", section)
        for name in OBJECT_COLLECTIVES
    ]
    return Unit(f"collectives-{ranks}", "collectives.py", ranks, tuple(rows))


def _startup() -> Unit:
    section = f"Start and end of {STARTUP_RANKS} ranks, wall time"
    rows = tuple(
        Row(name, f"`python -c '{code}'`", "startup", section, "ms")
        for name, code in STARTUP_CODE.items()
    )
    return Unit("startup", "", STARTUP_RANKS, rows)


def _idle() -> tuple[Unit, ...]:
    section = "CPU time of ranks that wait in Recv, largest share of a core"
    one = Row("idle/1of2", "1 of 2 ranks waits", "idle", section, "%")
    four = Row("idle/4of5", "4 of 5 ranks wait", "idle", section, "%")
    return (
        Unit("idle-2", "idle.py", 2, (one,), once=True),
        Unit("idle-5", "idle.py", 5, (four,), once=True),
    )


def _busy() -> Unit:
    section = "A rank that computes while others wait, slow-down"
    row = Row("busy/1of4", "1 of 4 computes, 3 wait in Allreduce", "busy", section, "%")
    return Unit("busy", "busy.py", 4, (row,))


def all_units() -> tuple[Unit, ...]:
    return (
        _startup(),
        _calls(),
        _messages(),
        _line(),
        _typed(),
        _packing(),
        _matching(),
        _threads(),
        _pairs(),
        *(_collectives(ranks) for ranks in COLL_RANKS),
        *_idle(),
        _busy(),
    )


def groups() -> list[str]:
    return list(dict.fromkeys(row.group for unit in all_units() for row in unit.rows))


def matches(name: str, patterns: list[str]) -> bool:
    """Shell patterns; a pattern without any sign matches as a part of the name."""
    return any(
        fnmatchcase(name, p) if set("*?[") & set(p) else p in name for p in patterns
    )


def choose(
    only: list[str], patterns: list[str], *, quick: bool, more: bool
) -> list[Unit]:
    """The units with the rows asked for; units without any are left out.

    Rows outside the usual set are measured when asked for by name, or with `more`.
    """

    def wanted(row: Row) -> bool:
        if only and row.group not in only:
            return False
        if patterns:
            return matches(row.name, patterns)
        if quick:
            return any(fnmatchcase(row.name, p) for p in QUICK) and not row.more
        return more or not row.more or row.group in only

    chosen = []
    for unit in all_units():
        rows = tuple(row for row in unit.rows if wanted(row))
        if rows:
            chosen.append(replace(unit, rows=rows))
    return chosen
