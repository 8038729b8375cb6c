"""The rounds: every unit under every library in turn, nothing else meanwhile.

Within a round each unit is run under all libraries one directly after the other, so
that a ratio compares neighbours in time; who begins changes from unit to unit and from
round to round. A row that hangs or dies is noted, the rest of its unit is measured by a
new start, and the row is not tried again with that library.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from driver import processes
from driver.environments import BENCH, REPO, Library
from driver.machine import Noise, NoiseMeter
from driver.plan import STARTUP_CODE, Row, Unit
from driver.progress import Progress

OK, WRONG, HANG, FAILED = "ok", "wrong", "hang", "failed"


@dataclass(frozen=True)
class Settings:
    """How long and how often."""

    rounds: int
    loops: int
    loop_ms: float
    idle_s: float
    row_limit_s: float
    startup_repeats: int = 2


@dataclass(frozen=True)
class Outcome:
    """One row under one library in one round."""

    state: str
    value: float | None = None
    """Seconds, or a share of a core."""
    note: str = ""
    reference: float | None = None
    """What the row is measured beside, in the same processes; seconds."""


@dataclass(frozen=True)
class RunNoise:
    """What else ran while one unit was measured."""

    round: int
    unit: str
    library: str
    noise: Noise


@dataclass
class Measured:
    """All outcomes: by row, library, and round."""

    outcomes: dict[str, dict[str, list[Outcome]]] = field(default_factory=dict)
    noise: list[RunNoise] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    rounds: int = 0
    """Rounds that were completed."""

    def of(self, row: str, library: str) -> list[Outcome]:
        return self.outcomes.setdefault(row, {}).setdefault(library, [])

    def given_up(self, row: str, library: str) -> Outcome | None:
        tried = self.of(row, library)
        return next((o for o in tried if o.state in (HANG, FAILED)), None)

    def remark(self, text: str) -> None:
        if text not in self.remarks:
            self.remarks.append(text)


class Runner:
    """Starts programs under libraries and reads what they report."""

    def __init__(self, settings: Settings, tmp: Path) -> None:
        self._settings = settings
        self._tmp = tmp

    def versions(self, library: Library) -> dict[str, object]:
        """What the library says it is; an exception tells why it does not start."""
        said: list[str] = []
        command = self.command(library, "about.py", 2, ["about"])
        ended = self._run(library, command, 60.0, said)
        for line in said:
            report = _parse(line)
            if "ready" in report and ended.status == 0:
                ready = report["ready"]
                assert isinstance(ready, dict)
                return ready
        raise RuntimeError(f"{library.title} does not run: {_how(ended, library)}")

    def unit(self, library: Library, unit: Unit, rows: tuple[Row, ...]) -> _Reports:
        """Measures these rows of a unit."""
        if unit.program:
            return self._program(library, unit, [row.name for row in rows])
        return self._startup(library, unit, [row.name for row in rows])

    def _program(self, library: Library, unit: Unit, pending: list[str]) -> _Reports:
        reports = _Reports()
        limit = self._settings.row_limit_s
        if unit.program == "idle.py":
            limit += self._settings.idle_s
        while pending:
            said: list[str] = []
            command = self.command(library, unit.program, unit.ranks, pending)
            ended = self._run(library, command, limit, said)
            lines = [_parse(line) for line in said]
            for line in lines:
                if line.get("row") in pending:
                    reports.outcomes[str(line["row"])] = _outcome(line)
            pending = [row for row in pending if row not in reports.outcomes]
            how = _how(ended, library)
            if not pending:
                if ended.status != 0:
                    reports.remarks.append(f"at its end the program {how}")
                elif ended.left_behind:
                    reports.remarks.append("mpiexec left processes behind")
                break
            bad = Outcome(HANG if ended.status is None else FAILED, note=how)
            began = any("ready" in line for line in lines)
            for row in pending[:1] if began else pending:
                reports.outcomes[row] = bad
            pending = pending[1:] if began else []
        return reports

    def _startup(self, library: Library, unit: Unit, rows: list[str]) -> _Reports:
        reports = _Reports()
        for row in rows:
            code = STARTUP_CODE[row]
            command = [*library.mpiexec(unit.ranks), library.python(), "-c", code]
            times: list[float] = []
            for _ in range(self._settings.startup_repeats):
                ended = self._run(library, command, self._settings.row_limit_s, [])
                if ended.status != 0:
                    state = HANG if ended.status is None else FAILED
                    reports.outcomes[row] = Outcome(state, note=_how(ended, library))
                    break
                times.append(ended.wall_s)
            else:
                reports.outcomes[row] = Outcome(OK, statistics.median(times))
        return reports

    def command(
        self, library: Library, program: str, ranks: int, rows: list[str]
    ) -> list[str]:
        # Of the two ways that mpi4py has for objects, the peers get the better one.
        pkl5 = [] if library.is_ours else ["--pkl5"]
        return [
            *library.mpiexec(ranks),
            library.python(),
            str(BENCH / "programs" / program),
            f"--rows={','.join(rows)}",
            f"--loops={self._settings.loops}",
            f"--loop-ms={self._settings.loop_ms}",
            f"--idle-s={self._settings.idle_s}",
            *pkl5,
        ]

    def _run(
        self, library: Library, command: list[str], limit_s: float, said: list[str]
    ) -> processes.Ended:
        env = library.environ(self._tmp)
        return processes.run(command, env, limit_s=limit_s, on_line=said.append)


@dataclass
class _Reports:
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def _parse(line: str) -> dict[str, object]:
    """A line of a program's output; what is not a report is passed over."""
    try:
        report = json.loads(line) if line.startswith("{") else {}
    except json.JSONDecodeError:
        return {}
    return report if isinstance(report, dict) else {}


def _outcome(report: dict[str, object]) -> Outcome:
    if "wrong" in report:
        return Outcome(WRONG, note=str(report["wrong"]))
    value = report.get("value")
    if not isinstance(value, int | float):
        return Outcome(FAILED, note="the program reported no value")
    beside = report.get("reference")
    reference = float(beside) if isinstance(beside, int | float) else None
    return Outcome(OK, float(value), str(report.get("note", "")), reference)


def _how(ended: processes.Ended, library: Library) -> str:
    """How a run ended and the last it said, without names of folders."""
    if ended.status is None:
        return "no result within the time limit"
    how = f"ended with status {ended.status}"
    lines = [line.strip() for line in ended.stderr.splitlines()]
    errors = [line for line in lines if "Error" in line or "error" in line] or lines
    last = next((line for line in reversed(errors) if any(map(str.isalnum, line))), "")
    for folder, name in (
        (library.prefix, library.name),
        (REPO, "."),
        (Path.home(), "~"),
    ):
        last = last.replace(str(folder), name)
    return f"{how}: {last[:200]}" if last else how


def measure(
    libraries: list[Library], units: list[Unit], settings: Settings, progress: Progress
) -> Measured:
    """All rounds. An interrupt ends it early; what was measured until then counts."""
    measured = Measured()
    with tempfile.TemporaryDirectory(prefix="bench-") as tmp:
        runner = Runner(settings, Path(tmp))
        try:
            for number in range(settings.rounds):
                for place, unit in enumerate(units):
                    if unit.once and number > 0:
                        continue
                    shift = (number + place) % len(libraries)
                    for library in libraries[shift:] + libraries[:shift]:
                        where = f"round {number + 1}/{settings.rounds}"
                        progress.at(f"{where} {unit.name} {library.title}")
                        _one(runner, library, unit, number, measured, progress)
                        progress.step(len(unit.rows))
                measured.rounds = number + 1
        except KeyboardInterrupt:
            progress.say("interrupted; what was measured so far follows")
            measured.remark("interrupted: not all rounds were measured")
    return measured


def _one(
    runner: Runner,
    library: Library,
    unit: Unit,
    number: int,
    measured: Measured,
    progress: Progress,
) -> None:
    todo = []
    for row in unit.rows:
        before = measured.given_up(row.name, library.name)
        if before is None:
            todo.append(row)
        else:
            measured.of(row.name, library.name).append(before)
    if not todo:
        return
    meter = NoiseMeter()
    reports = runner.unit(library, unit, tuple(todo))
    noise = RunNoise(number, unit.name, library.name, meter.read())
    measured.noise.append(noise)
    for row in todo:
        outcome = reports.outcomes[row.name]
        measured.of(row.name, library.name).append(outcome)
        if outcome.state != OK:
            text = f"{library.title}, {row.name}: {outcome.state}: {outcome.note}"
            progress.say(text)
            measured.remark(text)
    for remark in reports.remarks:
        measured.remark(f"{library.title}, {unit.name}: {remark}")
