#!/usr/bin/env python3
"""How barrier and Allreduce of 8 B grow with the number of ranks: measures 2 to 64 and draws it.

    python3 bench/growth.py                      # needs matplotlib; writes docs/benchmarks/growth.svg and growth.json
    python3 bench/growth.py --peers impi --rounds 3 --out /tmp/growth

Beside ours the peers of peers.toml are measured, in turn. With more ranks than cores each rank has to run at least once in each
call, so the time can grow no slower than with the number of changes of the running process; the second plot shows those.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from driver.environments import Library, ours, peers

HERE = Path(__file__).resolve().parent
RANKS = (2, 4, 8, 16, 32, 64)
CALLS = {"barrier": "Barrier", "allreduce": "Allreduce, 8 B"}
LIMIT = 120.0


def run(
    library: Library, ranks: int, seconds: float
) -> dict[str, dict[str, float]] | None:
    """What the program prints; none if it fails or does not end."""
    with tempfile.TemporaryDirectory(prefix="growth-") as folder:
        command = [
            *library.mpiexec(ranks),
            library.python(),
            str(HERE / "programs" / "growth.py"),
            str(seconds),
        ]
        try:
            done = subprocess.run(
                command,
                env=library.environ(Path(folder)),
                capture_output=True,
                text=True,
                timeout=LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
    if done.returncode:
        print(
            f"{library.name}, {ranks} ranks: exit status {done.returncode}\n{done.stderr[-1000:]}",
            file=sys.stderr,
        )
        return None
    result: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return result


def draw(values: dict[str, dict[int, dict[str, dict[str, float]]]], out: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, len(CALLS), figsize=(10, 8), sharex=True)
    for column, (call, title) in enumerate(CALLS.items()):
        for row, (key, unit) in enumerate(
            {
                "us": "us per call",
                "changes": "changes of the process per call and rank",
            }.items()
        ):
            axis = axes[row][column]
            for name, by_ranks in values.items():
                axis.plot(
                    list(by_ranks),
                    [by_ranks[n][call][key] for n in by_ranks],
                    marker="o",
                    label=name,
                )
            first = next(iter(values.values()))
            if row == 0 and 4 in first:
                # Through 4 ranks: the first point with more ranks than cores.
                line = [first[4][call]["us"] * n / 4 for n in RANKS[1:]]
                axis.plot(RANKS[1:], line, linestyle=":", color="gray", label="linear")
            axis.set(
                xscale="log",
                yscale="log",
                ylabel=unit,
                title=title if row == 0 else None,
            )
            axis.set_xticks(RANKS, labels=[str(n) for n in RANKS])
            if row == 1:
                axis.set_xlabel("ranks")
            axis.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(out.with_suffix(".svg"), metadata={"Date": None})


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="3")
    parser.add_argument(
        "--seconds", type=float, default=0.1, help="length of a timed loop (0.1)"
    )
    parser.add_argument(
        "--peers", default="mpich,ompi,impi", help="names of peers.toml, or none"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=HERE.parent / "docs" / "benchmarks" / "growth",
        help="without ending",
    )
    options = parser.parse_args()
    names = [name for name in options.peers.split(",") if name not in ("", "none")]
    product = ours(HERE.parent / ".venv")
    if product is None:
        parser.error("there is no build in .venv: make install")
    libraries = [
        product,
        *(peers(names, None, HERE.parent / ".venv-peers") if names else []),
    ]
    found: dict[str, dict[int, list[dict[str, dict[str, float]]]]] = {
        library.name: {} for library in libraries
    }
    for _ in range(options.rounds):
        for ranks in RANKS:
            for library in libraries:
                result = run(library, ranks, options.seconds)
                if result:
                    found[library.name].setdefault(ranks, []).append(result)
    values = {
        name: {
            ranks: {
                call: {
                    key: median(one[call][key] for one in results)
                    for key in ("us", "changes")
                }
                for call in CALLS
            }
            for ranks, results in by_ranks.items()
        }
        for name, by_ranks in found.items()
    }
    options.out.with_suffix(".json").write_text(json.dumps(values, indent=1) + "\n")
    for call, title in CALLS.items():
        print(f"{title}, us (changes of the process per rank)")
        for name, by_ranks in values.items():
            cells = (
                f"{n}: {v[call]['us']:.1f} ({v[call]['changes']:.2f})"
                for n, v in by_ranks.items()
            )
            print(f"  {name:6} {'  '.join(cells)}")
    draw(values, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
