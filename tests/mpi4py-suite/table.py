"""The tables that run.py prints and writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from verdict import Row, Verdict

HEAD = ("file", "ranks", "tests", "passed", "failed", "missing", "skipped", "seconds", "why skipped")


def span(numbers: Iterable[int]) -> str:
    """1, 2, 3, 4 as `1-4`; 1, 3 as `1,3`."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)


def lines(rows: Sequence[Row]) -> list[str]:
    """A line for each file; numbers of ranks with the same results share one."""
    cells: list[Sequence[str]] = [HEAD]
    for file in dict.fromkeys(row.file for row in rows):
        groups: dict[tuple[object, ...], list[Row]] = {}
        for row in rows:
            if row.file == file:
                groups.setdefault((*row.numbers(), row.reasons()), []).append(row)
        for group in groups.values():
            first = group[0]
            counts = [str(number) if number else "-" for number in first.numbers()]
            seconds = f"{sum(row.seconds for row in group):.1f}"
            notes = [first.reasons()] if first.due else ["later issue", first.reasons()]
            note = "; ".join(filter(None, notes))
            cells.append((file, span(row.ranks for row in group), *counts, seconds, note))
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEAD) - 1)]
    text = []
    for line in cells:
        left, numbers = line[:2], line[2:-1]
        parts = [cell.ljust(width) for cell, width in zip(left, widths, strict=False)]
        parts += [cell.rjust(width) for cell, width in zip(numbers, widths[2:], strict=True)]
        text.append("  ".join([*parts, line[-1]]).rstrip())
    return text


def headline(verdict: Verdict) -> str:
    """The line of a verdict's text that says most: of a failure, its exception."""
    text = verdict.text.partition("\noutput of the job:")[0].strip().splitlines()
    return (text[-1] if verdict.kind == "failed" else text[0]).strip() if text else ""


def grouped(found: Iterable[tuple[Row, Verdict]]) -> list[str]:
    """Tests by the headline of their verdicts: `test (ranks)` under it."""
    texts: dict[str, dict[str, set[int]]] = {}
    for row, verdict in found:
        texts.setdefault(headline(verdict), {}).setdefault(verdict.test, set()).add(row.ranks)
    out = []
    for text, tests in texts.items():
        out.append(f"  {text}" if text else "  (no reason)")
        out += [f"      {test} ({span(numbers)})" for test, numbers in tests.items()]
    return out


def summary(rows: Sequence[Row]) -> list[str]:
    """What stands below the table."""
    pairs = [(row, verdict) for row in rows for verdict in row.verdicts]
    text = []
    failed = [(row, v) for row, v in pairs if v.kind == "failed"]
    if failed:
        text += ["", "Failed:", *grouped(failed)]
    missing = [(row, v) for row, v in pairs if v.kind == "missing"]
    if missing:
        text += ["", "MPICH passes these, and we do not yet (missing.toml):", *grouped(missing)]
    fine = {(v.test, row.ranks) for row, v in pairs if v.kind == "passed" and v.listed}
    if fine:
        tests = dict.fromkeys(test for test, _ in sorted(fine))
        text += ["", "These are in missing.toml, and pass: take them out"]
        text += [f"      {test} ({span(n for t, n in fine if t == test)})" for test in tests]
    return text


def tsv(rows: Sequence[Row]) -> str:
    head = "test\tranks\tresult\tseconds\ttext\n"
    return head + "".join(
        f"{v.test}\t{row.ranks}\t{v.kind}\t{v.seconds:.3f}\t{headline(v)}\n" for row in rows for v in row.verdicts
    )
