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
    """One entry of goals.toml: exactly one of the two limits is set."""

    what: str
    rows: tuple[str, ...]
    ratio: float | None = None
    at_most: float | None = None


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
    verdict: str | None
    """None: no goal, or nothing to compare."""

    @property
    def ratio(self) -> float | None:
        return statistics.median(self.ratios) if self.ratios else None


def read_goals(path: Path) -> list[Goal]:
    with path.open("rb") as file:
        entries = tomllib.load(file)["goal"]
    goals = []
    for entry in entries:
        limits = [entry.get("ratio"), entry.get("at_most")]
        if limits.count(None) != 1:
            raise ValueError(
                f"{path.name}: {entry['what']!r} needs one of ratio and at_most"
            )
        goals.append(Goal(entry["what"], tuple(entry["rows"]), *limits))
    return goals


def goal_of(row: str, goals: list[Goal]) -> Goal | None:
    return next((g for g in goals if any(fnmatchcase(row, p) for p in g.rows)), None)


def figures(outcomes: list[Outcome], unit: str) -> Figures:
    values = [None if o.value is None else o.value * SCALE[unit] for o in outcomes]
    good = [v for v in values if v is not None]
    bad = [o.state for o in outcomes if o.state != OK]
    return Figures(
        bad[0] if bad else OK,
        len(bad),
        values,
        statistics.median(good) if good else None,
        min(good, default=None),
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


def verdict(goal: Goal | None, own: Figures | None, ratios: list[float]) -> str | None:
    if goal is None or own is None or not own.values:
        return None
    if own.state != OK:
        return MISSED
    if goal.at_most is not None:
        worst = max(v for v in own.values if v is not None)
        return MET if worst <= goal.at_most else MISSED
    if goal.ratio is None or not ratios:
        return None
    return MET if statistics.median(ratios) <= goal.ratio else MISSED


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
        goal = goal_of(row.name, goals)
        judged = verdict(goal, by_library.get(OURS), ratios)
        lines.append(Line(row, goal, by_library, ratios, best, judged))
    return lines
