"""What the result of a test means: a skip has to be one that MPICH needs as well, and what is listed in missing.toml is
neither a failure nor a surprise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import suite
from support.job import Outcome

UNLISTED = "skipped, but MPICH passes it"


@dataclass
class Verdict:
    test: str
    kind: str
    """passed, failed, skipped, or missing: listed, and it did not pass."""
    text: str = ""
    """What went wrong; why it was skipped; why it is missing."""
    seconds: float = 0.0
    listed: bool = False


@dataclass
class Row:
    """One file with one number of ranks."""

    file: str
    ranks: int
    due: bool
    seconds: float
    verdicts: list[Verdict] = field(default_factory=list)

    def of(self, kind: str) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.kind == kind]

    def numbers(self) -> tuple[int, int, int, int, int]:
        kinds = [len(self.of(kind)) for kind in ("passed", "failed", "missing", "skipped")]
        return (len(self.verdicts), *kinds)  # type: ignore[return-value]

    def reasons(self) -> str:
        counts: dict[str, int] = {}
        for verdict in self.of("skipped"):
            reason = verdict.text.splitlines()[0] if verdict.text else "(no reason given)"
            counts[reason] = counts.get(reason, 0) + 1
        return "; ".join(f"{count} {reason}" for reason, count in counts.items())


class Judge:
    def __init__(self, under: str) -> None:
        """`under`: `ours`, `original` (the original mpi4py over our library) or `foreign` (ours over another one)."""
        self.under = under
        self.mpich = suite.mpich()
        self.missing = suite.missing()

    def judge(self, file: str, ranks: int, outcomes: dict[str, Outcome], everything: bool) -> Iterator[Verdict]:
        """`everything`: whether all tests of the file were asked for."""
        outcomes = {f"{file}.{name}": outcome for name, outcome in outcomes.items()}
        broken = any(name.startswith(f"{file}.(") for name in outcomes)
        if everything and not broken:
            for test in self.mpich:
                if test.startswith(f"{file}.") and test not in outcomes:
                    outcomes[test] = Outcome("fail", "this test is not among those that the file has here")
        for test, outcome in outcomes.items():
            why = next((entry.why for entry in self.missing if entry.covers(test, self.under, ranks)), None)
            known = self.mpich.get(test)
            kind, text = {"pass": "passed", "fail": "failed", "skip": "skipped"}[outcome.result], outcome.text
            if kind == "skipped" and known is not None and known.has_to_pass(ranks):
                kind, text = "failed", f"{UNLISTED}: {text}"
            if kind == "failed" and why is not None:
                kind, text = "missing", why
            yield Verdict(test, kind, text, outcome.seconds, listed=why is not None)
