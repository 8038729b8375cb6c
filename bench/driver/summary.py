"""From outcomes to medians, minima, ratios and verdicts."""

from __future__ import annotations

import statistics
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from driver.environments import OURS
from driver.measure import OK, Measured, Outcome
from driver.plan import Row, Unit

SCALE = {"ns": 1e9, "us": 1e6, "ms": 1e3, "%": 100.0}
MET, MISSED = "met", "missed"


@dataclass(frozen=True)
class Goal:
    """One entry of goals.toml: exactly one of the limits is set."""

    what: str
    rows: tuple[str, ...]
    ratio: float | None = None
    at_most: float | None = None
    vs: float | None = None

    def limit(self, unit: str) -> str:
        """As tables show it; `unit` is that of the row."""
        if self.at_most is not None:
            return f"{self.at_most:g} {unit}"
        return f"{self.ratio if self.vs is None else self.vs:g}"


@dataclass(frozen=True)
class Figures:
    """One row under one library, in the unit of the row."""

    state: str
    """"ok", or the first other state that occurred."""
    bad_rounds: int
    values: list[float | None]
    """By round; None where there is no time."""
    median: float | None
    minimum: float | None
    references: list[float | None]
    """By round: what the row was measured beside."""
    notes: list[str]
    """By round: how a value came about, or what went wrong."""


@dataclass(frozen=True)
class Line:
    """One row with everything the table says about it."""

    row: Row
    goal: Goal | None
    figures: dict[str, Figures]
    ratios: list[float]
    """Ours / best peer of the same round."""
    best_peer: str | None
    """The peer with the smallest median."""
    vs_ratios: list[float]
    """Ours / what it was measured beside, by round."""
    verdict: str | None
    """None: no goal, or nothing to compare."""

    @property
    def ratio(self) -> float | None:
        return statistics.median(self.ratios) if self.ratios else None

    @property
    def vs_ratio(self) -> float | None:
        return statistics.median(self.vs_ratios) if self.vs_ratios else None


def read_goals(path: Path) -> list[Goal]:
    with path.open("rb") as file:
        entries = tomllib.load(file)["goal"]
    goals = []
    for entry in entries:
        limits = [entry.get(kind) for kind in ("ratio", "at_most", "vs")]
        if limits.count(None) != 2:
            raise ValueError(
                f"{path.name}: {entry['what']!r} needs one of ratio, at_most and vs"
            )
        goals.append(Goal(entry["what"], tuple(entry["rows"]), *limits))
    return goals


def goal_of(row: str, goals: list[Goal]) -> Goal | None:
    return next((g for g in goals if any(fnmatchcase(row, p) for p in g.rows)), None)


def figures(outcomes: list[Outcome], unit: str) -> Figures:
    scale = SCALE[unit]
    values = [None if o.value is None else o.value * scale for o in outcomes]
    references = [
        None if o.reference is None else o.reference * scale for o in outcomes
    ]
    good = [v for v in values if v is not None]
    bad = [o.state for o in outcomes if o.state != OK]
    return Figures(
        bad[0] if bad else OK,
        len(bad),
        values,
        statistics.median(good) if good else None,
        min(good, default=None),
        references,
        [o.note for o in outcomes],
    )


def paired_ratios(by_library: dict[str, Figures]) -> list[float]:
    """Per round: ours / best peer, for the rounds in which both have a time."""
    own = by_library.get(OURS)
    if own is None:
        return []
    peers = [f.values for name, f in by_library.items() if name != OURS]
    ratios = []
    for number, value in enumerate(own.values):
        others = [v[number] for v in peers if number < len(v)]
        times = [t for t in others if t]
        if value is not None and times:
            ratios.append(value / min(times))
    return ratios


def beside_ratios(own: Figures | None) -> list[float]:
    """Per round: a time of ours / what was measured beside it."""
    if own is None:
        return []
    both = zip(own.values, own.references, strict=True)
    return [value / beside for value, beside in both if value is not None and beside]


def verdict(
    goal: Goal | None, own: Figures | None, ratios: list[float], beside: list[float]
) -> str | None:
    if goal is None or own is None or not own.values:
        return None
    if own.state != OK:
        return MISSED
    if goal.at_most is not None:
        worst = max(v for v in own.values if v is not None)
        return MET if worst <= goal.at_most else MISSED
    limit, found = (goal.ratio, ratios) if goal.vs is None else (goal.vs, beside)
    if limit is None or not found:
        return None
    return MET if statistics.median(found) <= limit else MISSED


def summarise(
    units: list[Unit], libraries: list[str], measured: Measured, goals: list[Goal]
) -> list[Line]:
    lines = []
    for row in (row for unit in units for row in unit.rows):
        by_library = {
            name: figures(measured.of(row.name, name), row.unit) for name in libraries
        }
        medians = {
            name: f.median
            for name, f in by_library.items()
            if name != OURS and f.median is not None
        }
        best = min(medians, key=medians.__getitem__, default=None)
        ratios = paired_ratios(by_library)
        beside = beside_ratios(by_library.get(OURS))
        goal = goal_of(row.name, goals)
        judged = verdict(goal, by_library.get(OURS), ratios, beside)
        lines.append(Line(row, goal, by_library, ratios, best, beside, judged))
    return lines
