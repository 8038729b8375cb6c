"""What rank 0 of heat.py shows: a progress bar while it runs and a picture at the end. No MPI in here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Progress:
    """A bar on a terminal, a line for every tenth of the work elsewhere, or nothing.

    `mode`: "bar", "lines", "none", or "auto" (a bar if stderr is a terminal; behind a launcher it often is a pipe).
    The bar is tqdm's if that is installed.
    """

    WIDTH = 30

    def __init__(self, total: int, mode: str, title: str) -> None:
        if mode == "auto":
            mode = "bar" if sys.stderr.isatty() else "lines"
        self.total, self.mode, self.title = total, mode, title
        self.done = 0
        self.tenth = 0
        self.tqdm: Any = None
        if mode == "bar":
            try:
                from tqdm import tqdm
            except ImportError:
                pass
            else:
                self.tqdm = tqdm(total=total, desc=title, unit="step", ncols=90)

    def update(self, done: int, text: str) -> None:
        """`done` of the steps are done; `text` says how it goes."""
        advance, self.done = done - self.done, done
        if self.tqdm is not None:
            self.tqdm.set_postfix_str(text, refresh=False)
            self.tqdm.update(advance)
        elif self.mode == "bar":
            print(f"\r{self.line(text)}", end="", file=sys.stderr, flush=True)
        elif self.mode == "lines" and done * 10 // self.total > self.tenth:
            self.tenth = done * 10 // self.total
            print(self.line(text), file=sys.stderr, flush=True)

    def line(self, text: str) -> str:
        filled = self.done * self.WIDTH // self.total
        bar = "#" * filled + "." * (self.WIDTH - filled)
        return f"{self.title} [{bar}] {self.done * 100 // self.total:3d} %  step {self.done}/{self.total}  {text}"

    def close(self) -> None:
        if self.tqdm is not None:
            self.tqdm.close()
        elif self.mode == "bar":
            print(file=sys.stderr, flush=True)


def colours(field: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The field as RGB, from black over red and yellow to white; relative to its hottest cell."""
    heat = np.sqrt(np.clip(field / max(float(field.max()), 1e-300), 0.0, 1.0))
    channels = [np.clip(3.0 * heat - shift, 0.0, 1.0) for shift in (0.0, 1.0, 2.0)]
    return np.round(255 * np.stack(channels, axis=-1)).astype(np.uint8)


def save_picture(field: NDArray[np.float64], path: Path) -> str:
    """Writes the field as a PNG file; gives a sentence that says what happened."""
    image = colours(field)
    try:
        from PIL import Image
    except ImportError:
        Image = None
    try:
        import matplotlib.image as plot
    except ImportError:
        plot = None
    if Image is None and plot is None:
        return "no picture: it needs Pillow or matplotlib (pip install pillow)"
    path.parent.mkdir(parents=True, exist_ok=True)
    if Image is not None:
        Image.fromarray(image).save(path)
    else:
        plot.imsave(path, image)
    return f"picture: {path}"
