"""Ping-pongs of two threads in each of two ranks. Rows: threads/SIZE.

Thread i of rank 0 and thread i of rank 1 have a communicator of their own. The time is
half a round trip of one pair while the other pair does the same.
"""

from __future__ import annotations

import threading

from common import Case, elements, measure, run_rows, settings
from mpi4py import MPI
from pingpong import Contiguous, ping_pong

comm = MPI.COMM_WORLD


def at_once(one: Case, two: Case) -> Case:
    """Both cases, `one` in this thread and `two` in another."""

    def prepare(loop: int) -> None:
        one.prepare(loop)
        two.prepare(loop)

    def run(k: int) -> None:
        failed: list[BaseException] = []

        def other() -> None:
            try:
                two.run(k)
            except BaseException as error:  # noqa: BLE001 - raised below
                failed.append(error)

        thread = threading.Thread(target=other)
        thread.start()
        one.run(k)
        thread.join()
        if failed:
            raise failed[0]

    def check(loop: int) -> str:
        reports = [case.check(loop) for case in (one, two)]
        return next((f"thread {i}: {r}" for i, r in enumerate(reports) if r), "")

    return Case(run, prepare, check, messages=one.messages)


def measure_row(row: str) -> dict[str, object]:
    level = MPI.Query_thread()
    if level < MPI.THREAD_MULTIPLE:
        raise RuntimeError(f"the library gives thread level {level}, not MULTIPLE")
    n = elements(row.split("/")[1])
    comms = [comm.Dup(), comm.Dup()]
    one, two = (ping_pong(c, Contiguous(n)) for c in comms)
    result = measure(comm, at_once(one, two), settings())
    for c in comms:
        c.Free()
    return result


run_rows(comm, measure_row)
