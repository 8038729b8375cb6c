"""How many tests passed, failed and were skipped, read from the output of the tools that run them."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def cargo(output: str) -> Counts:
    """cargo test, and cargo nextest."""
    counts = Counts()
    for passed, failed, ignored in re.findall(
        r"^test result: .* (\d+) passed; (\d+) failed; (\d+) ignored", output, re.M
    ):
        counts += Counts(int(passed), int(failed), int(ignored))
    for line in re.findall(r"^ *Summary \[.*\] (.*)$", COLOURS.sub("", output), re.M):
        found = dict(
            (word, int(number)) for number, word in re.findall(r"(\d+) (passed|failed|timed out|skipped)", line)
        )
        failed = found.get("failed", 0) + found.get("timed out", 0)
        counts += Counts(found.get("passed", 0), failed, found.get("skipped", 0))
    return counts


def total(output: str) -> Counts:
    """A last line such as `12 passed, 0 failed, 3 skipped`."""
    found = re.findall(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", output, re.M)
    return Counts(*(int(number or 0) for number in found[-1])) if found else Counts()


def lines(output: str) -> Counts:
    """A line for each check, with ok, skip, note or FAIL at its start."""
    words = re.findall(r"^ ?(ok|note|skip|FAIL)\b", output, re.M)
    return Counts(words.count("ok") + words.count("note"), words.count("FAIL"), words.count("skip"))


def unittest(output: str) -> Counts:
    counts = Counts()
    for number, details in re.findall(r"^Ran (\d+) tests? in .*\n\n(?:OK|FAILED)(?: \((.*)\))?$", output, re.M):
        found = {word: int(n) for word, n in re.findall(r"([a-z ]+)=(\d+)", details)}
        failed = found.get("failures", 0) + found.get("errors", 0)
        skipped = found.get("skipped", 0)
        counts += Counts(max(0, int(number) - failed - skipped), failed, skipped)
    return counts


def one(output: str) -> Counts:
    """The step as a whole is one check; its exit status says how it ended."""
    return Counts(1)
