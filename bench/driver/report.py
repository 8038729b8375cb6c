"""Writes the result: Markdown for people, JSON for programs."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from driver.environments import OURS, Library
from driver.measure import OK, Measured, Settings
from driver.summary import MET, MISSED, Figures, Goal, Line


@dataclass(frozen=True)
class Head:
    """What stands above the numbers."""

    date: str
    command: str
    commit: str
    settings: Settings
    machine: dict[str, object]
    versions: dict[str, dict[str, object]]
    """By name of library: what it said it is."""
    warning: str
    elapsed_s: float


def number(value: float | None) -> str:
    """Three significant digits."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) < 0.995 else f"{value:#.3g}".rstrip(".")


def _cell(figures: Figures | None) -> str:
    if figures is None or not figures.values:
        return "–"
    if figures.state != OK:
        return f"**{figures.state}** {figures.bad_rounds}/{len(figures.values)}"
    if len(figures.values) == 1:
        return number(figures.median)
    return f"{number(figures.median)} / {number(figures.minimum)}"


def _goal(goal: Goal | None, unit: str) -> str:
    return "" if goal is None else f"≤ {goal.limit(unit)}"


def _reference(figures: Figures | None) -> str:
    good = [r for r in figures.references if r is not None] if figures else []
    if not good:
        return "–"
    return f"{number(statistics.median(good))} / {number(min(good))}"


def section(title: str, lines: list[Line], libraries: list[Library]) -> list[str]:
    """The table of one section. Rows of a section are either all beside something, the
    same for all, or none is."""
    with_ours = any(library.is_ours for library in libraries)
    unit, versus = lines[0].row.unit, lines[0].row.versus
    heads = [f"{title} ({unit})", *(library.title for library in libraries)]
    rule = ["---", *["---:"] * len(libraries)]
    if versus and with_ours:
        heads += [f"{versus} (in oxmpi's run)", f"oxmpi / {versus}"]
    elif not versus:
        heads += ["best peer", *(["ratio"] if with_ours else [])]
    heads += ["range", "goal", ""] if with_ours else []
    rule += ["---"] * (len(heads) - len(rule))
    text = ["", f"| {' | '.join(heads)} |", f"|{'|'.join(rule)}|"]
    titles = {library.name: library.title for library in libraries}
    for line in lines:
        cells = [line.row.title]
        cells += [_cell(line.figures.get(library.name)) for library in libraries]
        if not versus:
            cells.append(titles.get(line.best_peer or "", "–"))
        elif with_ours:
            cells.append(_reference(line.figures.get(OURS)))
        if with_ours:
            ratios = line.vs_ratios if versus else line.ratios
            spread = f"{number(min(ratios))}–{number(max(ratios))}" if ratios else ""
            mark = {MET: "met", MISSED: "**missed**"}.get(line.verdict or "", "")
            goal = _goal(line.goal, unit)
            ratio = line.vs_ratio if versus else line.ratio
            cells += [number(ratio), spread, goal, mark]
        text.append("| " + " | ".join(cells) + " |")
    return text


def _noise(measured: Measured) -> str:
    if not measured.noise:
        return ""
    foreign = [run.noise.foreign for run in measured.noise]
    steal = [run.noise.steal for run in measured.noise]
    worst = max(measured.noise, key=lambda run: run.noise.foreign + run.noise.steal)
    return (
        f"Meanwhile others used {statistics.median(foreign):.1%} of the cores and the "
        f"host took {statistics.median(steal):.1%} (medians over the runs; worst: "
        f"{worst.noise.foreign:.0%} and {worst.noise.steal:.0%} in {worst.unit}, "
        f"round {worst.round + 1}, {worst.library})."
    )


def overview(lines: list[Line]) -> str:
    judged = [line for line in lines if line.verdict]
    if not judged:
        return "No goal could be judged: our own build or the peers were not measured."
    missed = [line for line in judged if line.verdict == MISSED]
    text = f"{len(judged) - len(missed)} of {len(judged)} rows with a goal meet it"
    if not missed:
        return text + "."
    names = ", ".join(f"{m.row.name} ({_shortfall(m)})" for m in missed)
    return f"{text}. Missed: {names}."


def _shortfall(line: Line) -> str:
    own = line.figures[OURS]
    if own.state != OK:
        return own.state
    if line.goal is not None and line.goal.at_most is not None:
        worst = max(v for v in own.values if v is not None)
        return f"{number(worst)} {line.row.unit}"
    if line.goal is not None and line.goal.vs is not None:
        return f"{number(line.vs_ratio)} times {line.row.versus}"
    return number(line.ratio)


def markdown(
    head: Head, libraries: list[Library], measured: Measured, lines: list[Line]
) -> str:
    settings = head.settings
    text = [
        f"# Benchmark of {head.date}",
        "",
        overview(lines),
        "",
        f"    {head.command}",
        "",
        (
            f"Commit {head.commit}. {measured.rounds} rounds with rotating order; a "
            f"run is the median of {settings.loops} timed loops of "
            f"{settings.loop_ms:g} ms; it took {head.elapsed_s / 60:.1f} minutes. "
            "Cells: median / minimum over the rounds. Ratio and range: over the "
            "rounds, ours / best peer of that same round; below 1 ours is faster. For "
            "objects a peer's time is the better of lower-case methods and util.pkl5."
        ),
        "",
        f"Machine: {'; '.join(f'{k} {v}' for k, v in head.machine.items())}.",
        "",
    ]
    for library in libraries:
        said = head.versions[library.name]
        text.append(
            f"- {library.title}: {said['library']}, mpi4py {said['mpi4py']}, "
            f"NumPy {said['numpy']}, Python {said['python']}"
        )
    text.append("")
    if head.warning:
        text.append(f"Warning: {head.warning}.")
    text.append(_noise(measured))
    for title, group in groupby(lines, key=lambda line: line.row.section):
        text += section(title, list(group), libraries)
    if measured.remarks:
        text += ["", "Remarks:", "", *(f"- {remark}" for remark in measured.remarks)]
    return "\n".join(text) + "\n"


def as_json(
    head: Head, libraries: list[Library], measured: Measured, lines: list[Line]
) -> str:
    rows = []
    for line in lines:
        goal = None
        if line.goal is not None:
            goal = {
                "what": line.goal.what,
                "ratio": line.goal.ratio,
                "at_most": line.goal.at_most,
                "vs": line.goal.vs,
            }
        rows.append(
            {
                "row": line.row.name,
                "title": line.row.title,
                "unit": line.row.unit,
                "libraries": {n: asdict(f) for n, f in line.figures.items()},
                "best_peer": line.best_peer,
                "ratio": line.ratio,
                "ratios": line.ratios,
                "versus": line.row.versus,
                "vs_ratio": line.vs_ratio,
                "vs_ratios": line.vs_ratios,
                "goal": goal,
                "verdict": line.verdict,
            }
        )
    noise = [
        {"round": n.round + 1, "unit": n.unit, "library": n.library, **asdict(n.noise)}
        for n in measured.noise
    ]
    whole = {
        "format": 1,
        **asdict(head),
        "libraries": {library.name: library.title for library in libraries},
        "rounds": measured.rounds,
        "rows": rows,
        "noise": noise,
        "remarks": measured.remarks,
    }
    return json.dumps(whole, indent=1) + "\n"


def write(
    out: Path,
    head: Head,
    libraries: list[Library],
    measured: Measured,
    lines: list[Line],
) -> tuple[Path, Path]:
    """Writes `out`.md and `out`.json."""
    out.parent.mkdir(parents=True, exist_ok=True)
    md, js = (out.with_name(out.name + end) for end in (".md", ".json"))
    md.write_text(markdown(head, libraries, measured, lines))
    js.write_text(as_json(head, libraries, measured, lines))
    return md, js
