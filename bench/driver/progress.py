"""A progress bar on standard error: tqdm where it is installed, else plain lines."""

from __future__ import annotations

import sys
import time
from typing import Any


class Progress:
    """Counts measured rows; `total` is rows times libraries times rounds."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._start = total, 0, time.monotonic()
        self._bar = _tqdm(total)

    def step(self, rows: int = 1) -> None:
        self._done += rows
        if self._bar is not None:
            self._bar.update(rows)

    def at(self, what: str) -> None:
        """Says what is being measured now."""
        if self._bar is not None:
            self._bar.set_description_str(what)
            return
        spent = time.monotonic() - self._start
        share = self._done / max(self._total, 1)
        left = f", {spent / share - spent:.0f} s left" if share > 0.02 else ""
        print(f"{share:4.0%} {spent:4.0f} s{left}: {what}", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """A line of its own."""
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.set_description_str("measured")
            self._bar.close()


def _tqdm(total: int) -> Any:
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=total, unit="row", dynamic_ncols=True)
