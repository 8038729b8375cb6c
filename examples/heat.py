"""Heat spreads over a plate: a 2-D simulation that is split over the ranks.

    mpiexec -n 4 python heat.py --verify
    mpiexec -n 4 python heat.py --decomp 2d --exchange isend --nx 600 --ny 400 --steps 2000

The plate is a grid of ny x nx cells. Each rank owns a block of it, and a frame of one cell around the block: a copy of
the neighbours' border cells, renewed before each step (the halo exchange). What is used of MPI, in this order:

    Bcast                     the parameters, from rank 0 which read the command line
    Scatterv                  the blocks of the start picture; their sizes differ when the grid does not divide evenly
    Sendrecv | Isend, Irecv   the halo exchange; columns are sent with a vector datatype
    Allreduce                 the largest change of any cell, to know when to stop
    Gatherv                   the blocks of the end picture

With --verify rank 0 then does the whole grid alone, and both results have to be the same to the last bit.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from heat_show import Progress, save_picture
from mpi4py import MPI
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
Field = NDArray[np.float64]
CHECK_EVERY = 10  # steps between two looks at the residual
WALL = 0.0  # the temperature around the plate


class Parameters(NamedTuple):
    """What all ranks have to know; travels as one array of doubles."""

    nx: int
    ny: int
    steps: int
    rows: int  # of ranks
    columns: int  # of ranks
    alpha: float  # part of the difference that flows in one step; at most 0.25
    tolerance: float  # stop when no cell changes by more


class Result(NamedTuple):
    field: Field | None  # the whole plate, on rank 0
    steps: int
    residual: float


def start_picture(ny: int, nx: int) -> Field:
    """A ring, a bar and a warm corner on a cold plate."""
    y, x = np.mgrid[0:ny, 0:nx]
    # In parts of the shorter side, from the middle of the plate.
    side = float(min(ny, nx))
    y, x = (y - (ny - 1) / 2) / side, (x - (nx - 1) / 2) / side
    radius = np.hypot(x, y)
    field = np.zeros((ny, nx))
    field[(radius > 0.28) & (radius < 0.34)] = 100.0
    field[(abs(x) < 0.2) & (abs(y) < 0.03)] = 60.0
    field[(x > 0.3) & (y > 0.3)] = 30.0
    return field


def step(old: Field, new: Field, alpha: float, rows: slice, columns: slice) -> None:
    """One step for the cells `rows` x `columns` of the framed array `old`.

    Every cell is computed by the same operations in the same order, whatever the block it lies in: that is why the
    parallel and the serial result agree to the last bit.
    """
    north = old[rows.start - 1 : rows.stop - 1, columns]
    south = old[rows.start + 1 : rows.stop + 1, columns]
    west = old[rows, columns.start - 1 : columns.stop - 1]
    east = old[rows, columns.start + 1 : columns.stop + 1]
    here = old[rows, columns]
    new[rows, columns] = here + alpha * (((north + south) + (west + east)) - 4.0 * here)


def largest_change(old: Field, new: Field) -> float:
    """The residual: a maximum, which unlike a sum does not depend on the order it is taken in."""
    change = np.abs(new[1:-1, 1:-1] - old[1:-1, 1:-1])
    return float(change.max(initial=0.0))


def solve_serial(p: Parameters) -> Result:
    """The whole plate in one array, without MPI."""
    old = np.full((p.ny + 2, p.nx + 2), WALL)
    old[1:-1, 1:-1] = start_picture(p.ny, p.nx)
    new = old.copy()
    residual, done = np.inf, 0
    while done < p.steps and residual > p.tolerance:
        step(old, new, p.alpha, slice(1, p.ny + 1), slice(1, p.nx + 1))
        done += 1
        if done % CHECK_EVERY == 0 or done == p.steps:
            residual = largest_change(old, new)
        old, new = new, old
    return Result(old[1:-1, 1:-1].copy(), done, residual)


def parts(length: int, count: int) -> list[slice]:
    """`length` cells in `count` parts; the first ones get one more when they do not divide evenly."""
    share, rest = divmod(length, count)
    ends = np.cumsum([share + (i < rest) for i in range(count)])
    return [slice(int(end) - share - (i < rest), int(end)) for i, end in enumerate(ends)]


class Plate:
    """One rank's block with its frame, its neighbours, and how to talk to them."""

    def __init__(self, comm: MPI.Intracomm, p: Parameters) -> None:
        self.comm = comm
        # The ranks form a grid, row by row; each owns one of the blocks of the plate.
        self.blocks = [(rows, columns) for rows in parts(p.ny, p.rows) for columns in parts(p.nx, p.columns)]
        rows, columns = self.blocks[comm.rank]
        self.ny, self.nx = rows.stop - rows.start, columns.stop - columns.start
        self.old = np.full((self.ny + 2, self.nx + 2), WALL)
        self.new = self.old.copy()

        my_row, my_column = divmod(comm.rank, p.columns)
        # At the plate's edge there is nobody: sending to PROC_NULL does nothing, so the frame keeps the wall's value.
        self.north = comm.rank - p.columns if my_row > 0 else MPI.PROC_NULL
        self.south = comm.rank + p.columns if my_row < p.rows - 1 else MPI.PROC_NULL
        self.west = comm.rank - 1 if my_column > 0 else MPI.PROC_NULL
        self.east = comm.rank + 1 if my_column < p.columns - 1 else MPI.PROC_NULL

        # A row lies in one piece, a column is one double out of each row of the framed array.
        self.column = MPI.DOUBLE.Create_vector(self.ny, 1, self.nx + 2).Commit()

    def free(self) -> None:
        self.column.Free()

    # -- input and output -------------------------------------------------------------------------------------------

    def counts_and_displs(self) -> tuple[list[int], list[int]]:
        counts = [(r.stop - r.start) * (c.stop - c.start) for r, c in self.blocks]
        displs = [sum(counts[:i]) for i in range(len(counts))]
        return counts, displs

    def scatter(self, field: Field | None) -> None:
        """Rank 0 deals the plate out: block after block in one send buffer."""
        counts, displs = self.counts_and_displs()
        mine = np.empty((self.ny, self.nx))
        if field is None:
            self.comm.Scatterv(None, mine, root=0)
        else:
            packed = np.concatenate([field[block].ravel() for block in self.blocks])
            self.comm.Scatterv([packed, counts, displs, MPI.DOUBLE], mine, root=0)
        self.old[1:-1, 1:-1] = mine

    def gather(self, shape: tuple[int, int]) -> Field | None:
        """The way back."""
        mine = np.ascontiguousarray(self.old[1:-1, 1:-1])
        if self.comm.rank != 0:
            self.comm.Gatherv(mine, None, root=0)
            return None
        counts, displs = self.counts_and_displs()
        packed = np.empty(sum(counts))
        self.comm.Gatherv(mine, [packed, counts, displs, MPI.DOUBLE], root=0)
        field = np.empty(shape)
        for block, count, displ in zip(self.blocks, counts, displs, strict=True):
            field[block] = packed[displ : displ + count].reshape(field[block].shape)
        return field

    # -- the halo exchange --------------------------------------------------------------------------------------------

    def row(self, index: int) -> Field:
        return self.old[index, 1:-1]

    def col(self, index: int) -> list[object]:
        """Column `index` of the framed array, without its corners: [memory from the first element on, count, type]."""
        width = self.nx + 2
        return [self.old.reshape(-1)[width + index :], 1, self.column]

    def step_sendrecv(self, alpha: float) -> None:
        """Exchange with one neighbour after the other, then compute everything."""
        comm = self.comm
        # All send to the north and receive from the south at the same time, and so on: nobody can block anybody.
        comm.Sendrecv(self.row(1), self.north, 1, self.row(-1), self.south, 1)
        comm.Sendrecv(self.row(-2), self.south, 2, self.row(0), self.north, 2)
        comm.Sendrecv(self.col(1), self.west, 3, self.col(self.nx + 1), self.east, 3)
        comm.Sendrecv(self.col(self.nx), self.east, 4, self.col(0), self.west, 4)
        step(self.old, self.new, alpha, slice(1, self.ny + 1), slice(1, self.nx + 1))

    def step_isend(self, alpha: float) -> None:
        """Start the whole exchange, compute the inner cells while it runs, then the cells that needed it."""
        comm = self.comm
        requests = [
            comm.Irecv(self.row(-1), self.south, 1),
            comm.Irecv(self.row(0), self.north, 2),
            comm.Irecv(self.col(self.nx + 1), self.east, 3),
            comm.Irecv(self.col(0), self.west, 4),
            comm.Isend(self.row(1), self.north, 1),
            comm.Isend(self.row(-2), self.south, 2),
            comm.Isend(self.col(1), self.west, 3),
            comm.Isend(self.col(self.nx), self.east, 4),
        ]
        every_column = slice(1, self.nx + 1)
        step(self.old, self.new, alpha, slice(2, self.ny), slice(2, self.nx))
        MPI.Request.Waitall(requests)
        for border in {1, self.ny}:
            step(self.old, self.new, alpha, slice(border, border + 1), every_column)
        for border in {1, self.nx}:
            step(self.old, self.new, alpha, slice(2, self.ny), slice(border, border + 1))


def solve(comm: MPI.Intracomm, p: Parameters, exchange: str, progress: Progress) -> Result:
    """The parallel run; rank 0 gets the whole plate back."""
    plate = Plate(comm, p)
    plate.scatter(start_picture(p.ny, p.nx) if comm.rank == 0 else None)
    advance = plate.step_isend if exchange == "isend" else plate.step_sendrecv
    residual, done = np.full(1, np.inf), 0
    while done < p.steps and residual[0] > p.tolerance:
        advance(p.alpha)
        done += 1
        if done % CHECK_EVERY == 0 or done == p.steps:
            residual[0] = largest_change(plate.old, plate.new)
            comm.Allreduce(MPI.IN_PLACE, residual, op=MPI.MAX)
            progress.update(done, f"residual {residual[0]:.3e}")
        plate.old, plate.new = plate.new, plate.old
    progress.close()
    field = plate.gather((p.ny, p.nx))
    plate.free()
    return Result(field, done, float(residual[0]))


def rank_grid(size: int, decomp: str) -> tuple[int, int]:
    """Rows and columns of ranks: all rows for "1d", as near to a square as it gets for "2d"."""
    if decomp == "1d":
        return size, 1
    rows = next(r for r in range(int(size**0.5), 0, -1) if size % r == 0)
    return rows, size // rows


def identical(a: Field, b: Field) -> bool:
    """The same bits, not just nearly the same numbers."""
    return a.shape == b.shape and np.array_equal(a.view(np.uint64), b.view(np.uint64))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="2-D heat equation with halo exchange; see the top of this file.")
    parser.add_argument("--nx", type=int, default=301, help="cells from west to east (default: 301)")
    parser.add_argument("--ny", type=int, default=200, help="cells from north to south (default: 200)")
    parser.add_argument("--steps", type=int, default=1000, help="at most so many steps (default: 1000)")
    parser.add_argument("--alpha", type=float, default=0.2, help="speed of the heat, at most 0.25 (default: 0.2)")
    parser.add_argument("--tolerance", type=float, default=1e-3, help="stop when no cell changes by more")
    parser.add_argument("--decomp", choices=("1d", "2d"), default="1d", help="stripes of rows, or blocks")
    parser.add_argument("--exchange", choices=("sendrecv", "isend"), default="sendrecv", help="how halos travel")
    parser.add_argument("--verify", action="store_true", help="compare with a serial run, bit by bit")
    parser.add_argument("--png", default=str(HERE / "out" / "heat.png"), metavar="FILE", help="('' for none)")
    parser.add_argument("--progress", choices=("auto", "bar", "lines", "none"), default="auto")
    return parser.parse_args(argv)


def complaint(options: argparse.Namespace, rows: int, columns: int) -> str | None:
    """Why this run cannot be, or None."""
    if options.ny < rows or options.nx < columns:
        return f"{rows} x {columns} ranks need at least one cell each; the plate has {options.ny} x {options.nx} cells"
    if not 0 < options.alpha <= 0.25:
        return f"--alpha is {options.alpha}: above 0.25 (or below 0) the method gives nonsense"
    return None


def main(argv: list[str] | None = None) -> int:
    comm = MPI.COMM_WORLD
    options = parse(argv)
    rows, columns = rank_grid(comm.size, options.decomp)
    wrong = complaint(options, rows, columns)
    if wrong:
        if comm.rank == 0:
            print(f"heat.py: {wrong}", file=sys.stderr)
        return 2

    numbers = np.zeros(len(Parameters._fields))
    if comm.rank == 0:
        numbers[:] = (options.nx, options.ny, options.steps, rows, columns, options.alpha, options.tolerance)
    comm.Bcast(numbers, root=0)
    p = Parameters(*(int(number) for number in numbers[:5]), *(float(number) for number in numbers[5:]))

    progress = Progress(p.steps, options.progress if comm.rank == 0 else "none", "heat")
    begin = time.perf_counter()
    result = solve(comm, p, options.exchange, progress)
    seconds = time.perf_counter() - begin

    status = 0
    if comm.rank == 0:
        assert result.field is not None
        print(f"{p.ny} x {p.nx} cells on {rows} x {columns} ranks, exchange by {options.exchange}:")
        print(f"{result.steps} steps, last residual {result.residual:.6e}, hottest cell {result.field.max():.6f}")
        print(f"time: {seconds:.2f} s", file=sys.stderr)
        if options.verify:
            serial = solve_serial(p)
            assert serial.field is not None
            same = identical(result.field, serial.field) and result[1:] == serial[1:]
            print("verified: same as the serial run to the last bit" if same else "WRONG: differs from the serial run")
            status = 0 if same else 1
        if options.png:
            print(save_picture(result.field, Path(options.png)))
    # All ranks end with the same status.
    return comm.bcast(status, root=0)


if __name__ == "__main__":
    sys.exit(main())
