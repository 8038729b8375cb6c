"""Generalized requests: operations of the program's own that MPI's waits and tests look at."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import time
import unittest
from collections.abc import Iterator
from typing import Any

from mpi4py import MPI
from support import data
from support.case import Case, not_on, our_extension, ours_only

LIMIT = 20.0  # seconds that a loop which polls may take


class Operation:
    """Counts the calls of its functions, and makes a status."""

    def __init__(self, source: int = 3, tag: int = 7, count: int = 40) -> None:
        self.source, self.tag, self.count = source, tag, count
        self.queried, self.freed = 0, 0
        self.cancelled: list[bool] = []

    def query(self, status: MPI.Status) -> None:
        assert not self.freed
        self.queried += 1
        status.Set_source(self.source)
        status.Set_tag(self.tag)
        status.Set_elements(MPI.BYTE, self.count)

    def free(self) -> None:
        self.freed += 1

    def cancel(self, completed: bool) -> None:
        self.cancelled.append(completed)

    def start(self) -> MPI.Grequest:
        return MPI.Grequest.Start(self.query, self.free, self.cancel)


@contextlib.contextmanager
def quiet() -> Iterator[io.StringIO]:
    """The traceback of a callback goes to standard error."""
    text = io.StringIO()
    with contextlib.redirect_stderr(text):
        yield text


class Life(Case):
    def check(self, status: MPI.Status, operation: Operation) -> None:
        self.check_status(status, operation.source, operation.tag, operation.count)
        self.assertEqual(status.error, MPI.SUCCESS)

    def test_wait(self) -> None:
        operation, status = Operation(), MPI.Status()
        request = operation.start()
        self.assertFalse(request.Test())
        self.assertEqual((operation.queried, operation.freed), (0, 0))
        request.Complete()
        self.assertEqual((operation.queried, operation.freed), (0, 0))
        self.assertTrue(request.Wait(status))
        self.check(status, operation)
        self.assertEqual(request, MPI.REQUEST_NULL)
        self.assertEqual((operation.queried, operation.freed), (1, 1))

    def test_get_status_asks_and_frees_nothing(self) -> None:
        operation = Operation()
        request = operation.start()
        self.assertFalse(request.Get_status())
        request.Complete()
        for n in range(1, 4):
            status = MPI.Status()
            self.assertTrue(request.Get_status(status))
            self.check(status, operation)
            self.assertEqual((operation.queried, operation.freed), (n, 0))
        request.Wait()
        self.assertEqual(operation.freed, 1)

    def test_cancel_is_told_whether_it_is_over(self) -> None:
        operation = Operation()
        request = operation.start()
        request.Cancel()
        request.Complete()
        request.Cancel()
        self.assertEqual(operation.cancelled, [False, True])
        request.Wait()

    def test_free_before_and_after_the_end(self) -> None:
        early = Operation()
        request = early.start()
        copy = MPI.Request.fromhandle(request.handle)
        request.Free()
        self.assertEqual((request, early.freed), (MPI.REQUEST_NULL, 0))
        MPI.Grequest.fromhandle(copy.handle).Complete()
        self.assertEqual((early.queried, early.freed), (0, 1))
        late = Operation()
        request = late.start()
        request.Complete()
        self.assertEqual(late.freed, 0)
        request.Free()
        self.assertEqual((late.queried, late.freed), (0, 1))

    def test_arguments_reach_the_functions(self) -> None:
        seen: list[Any] = []

        def note(*args: Any, **kwargs: Any) -> None:
            seen.append((args[:-2], args[-2:], kwargs))

        request = MPI.Grequest.Start(note, note, note, args=(1, "two"), kwargs={"three": 3})
        request.Cancel()
        request.Complete()
        request.Wait()
        self.assertEqual([(own, named) for _, own, named in seen], [((1, "two"), {"three": 3})] * 3)
        (cancelled, _, _), (queried, _, _), (freed, _, _) = seen
        self.assertEqual((cancelled, freed), ((False,), ()))
        self.assertIsInstance(queried[0], MPI.Status)

    def test_objects_are_let_go(self) -> None:
        """MPI's reference to the functions ends with the request."""
        operation = Operation()
        before = sys.getrefcount(operation)
        for end in ("Wait", "Free"):
            request = operation.start()
            self.assertGreater(sys.getrefcount(operation), before)
            request.Complete()
            getattr(request, end)()
            del request
            self.assertEqual(sys.getrefcount(operation), before)

    @ours_only("undefined elsewhere")
    def test_errors(self) -> None:
        request = Operation().start()
        request.Complete()
        with self.mpi_error(MPI.ERR_REQUEST):
            request.Complete()
        request.Wait()
        with self.mpi_error(MPI.ERR_REQUEST):
            request.Complete()


class Raising(Case):
    """What a callback raises is shown, and its error code is what the MPI call gives."""

    @staticmethod
    def bad(*_: Any) -> None:
        raise MPI.Exception(MPI.ERR_BUFFER)

    @staticmethod
    def worse(*_: Any) -> None:
        raise ValueError(42)

    def test_each_function(self) -> None:
        for raising, expected, name in ((self.bad, MPI.ERR_BUFFER, "Exception"), (self.worse, MPI.ERR_OTHER, "42")):
            fine = Operation()
            request = MPI.Grequest.Start(raising, fine.free, fine.cancel)
            request.Complete()
            with quiet() as text, self.mpi_error(expected):
                request.Wait()
            self.assertIn("Traceback", text.getvalue())
            self.assertIn(name, text.getvalue())
            self.assertEqual((request, fine.freed), (MPI.REQUEST_NULL, 1))
            fine = Operation()
            request = MPI.Grequest.Start(fine.query, raising, fine.cancel)
            request.Complete()
            with quiet(), self.mpi_error(expected):
                request.Wait()
            self.assertEqual(request, MPI.REQUEST_NULL)
            request = MPI.Grequest.Start(fine.query, fine.free, raising)
            with quiet(), self.mpi_error(expected):
                request.Cancel()
            request.Complete()
            request.Wait()

    @ours_only("others leave the requests as they are")
    def test_among_several(self) -> None:
        """The codes are in the statuses; the others are complete all the same."""
        operations = [Operation(tag=i) for i in range(3)]
        requests = [operations[0].start(), MPI.Grequest.Start(self.bad), operations[2].start()]
        for request in requests:
            request.Complete()
        statuses = [MPI.Status() for _ in requests]
        with quiet(), self.mpi_error(MPI.ERR_IN_STATUS):
            MPI.Request.Waitall(requests, statuses)
        self.assertEqual(requests, [MPI.REQUEST_NULL] * 3)
        classes = [MPI.Get_error_class(status.error) for status in statuses]
        self.assertEqual(classes, [MPI.SUCCESS, MPI.ERR_BUFFER, MPI.SUCCESS])
        self.assertEqual((operations[0].freed, operations[2].freed), (1, 1))
        self.assertEqual(statuses[2].tag, 2)


class Several(Case):
    """Waits and tests for many, normal requests among them."""

    def start(self) -> tuple[list[Operation], list[MPI.Request], list[data.Room]]:
        rooms = [data.Room(1000) for _ in range(3)]
        operations = [Operation(tag=100 + i) for i in range(3)]
        requests: list[MPI.Request] = []
        for tag, (room, operation) in enumerate(zip(rooms, operations, strict=True)):
            requests += [self.comm.Irecv(room.bytes, self.left, tag), operation.start()]
        return operations, requests, rooms

    def go(self, requests: list[MPI.Request]) -> None:
        self.comm.Barrier()
        for tag in range(3):
            self.comm.Send(data.message(tag + self.rank, 1000), self.right, tag)
        for request in requests[1::2]:
            assert isinstance(request, MPI.Grequest)
            request.Complete()

    def over(self, operations: list[Operation], requests: list[MPI.Request], rooms: list[data.Room]) -> None:
        self.assertEqual(requests, [MPI.REQUEST_NULL] * 6)
        self.assertEqual([operation.freed for operation in operations], [1, 1, 1])
        for tag, room in enumerate(rooms):
            self.good(room.wrong(tag + self.left, 1000))

    def test_waitall(self) -> None:
        operations, requests, rooms = self.start()
        self.go(requests)
        statuses = [MPI.Status() for _ in requests]
        MPI.Request.Waitall(requests, statuses)
        self.over(operations, requests, rooms)
        self.assertEqual([status.tag for status in statuses], [0, 100, 1, 101, 2, 102])

    def test_waitany(self) -> None:
        operations, requests, rooms = self.start()
        self.go(requests)
        found = {}
        for _ in requests:
            status = MPI.Status()
            index = MPI.Request.Waitany(requests, status)
            found[index] = status.tag
        self.assertEqual(found, {0: 0, 1: 100, 2: 1, 3: 101, 4: 2, 5: 102})
        self.over(operations, requests, rooms)

    def test_testsome(self) -> None:
        operations, requests, rooms = self.start()
        self.assertEqual(MPI.Request.Testsome(requests), [])
        self.go(requests)
        found: dict[int, int] = {}
        end = time.monotonic() + LIMIT
        while len(found) < 6 and time.monotonic() < end:
            statuses = [MPI.Status() for _ in requests]
            for place, index in enumerate(MPI.Request.Testsome(requests, statuses) or []):
                found[index] = statuses[place].tag
        self.assertEqual(found, {0: 0, 1: 100, 2: 1, 3: 101, 4: 2, 5: 102})
        self.over(operations, requests, rooms)

    def test_get_status_in_all_forms(self) -> None:
        operations, requests, rooms = self.start()
        self.assertFalse(MPI.Request.Get_status_all(requests))
        self.assertEqual(MPI.Request.Get_status_any(requests), (MPI.UNDEFINED, False))
        self.assertEqual(MPI.Request.Get_status_some(requests), [])
        self.go(requests)
        statuses = [MPI.Status() for _ in requests]
        end = time.monotonic() + LIMIT
        while not MPI.Request.Get_status_all(requests, statuses):
            self.assertLess(time.monotonic(), end)
        self.assertEqual([status.tag for status in statuses], [0, 100, 1, 101, 2, 102])
        status = MPI.Status()
        self.assertEqual(MPI.Request.Get_status_any(requests[1:], status), (0, True))
        self.assertEqual(status.tag, 100)
        self.assertEqual(MPI.Request.Get_status_some(requests, statuses), list(range(6)))
        self.assertEqual([operation.freed for operation in operations], [0, 0, 0])
        MPI.Request.Waitall(requests)
        self.over(operations, requests, rooms)

    @not_on("Intel", "the error of an empty status stays what it was")
    def test_empty_statuses_say_success(self) -> None:
        """A status that says of null requests that nothing happened has all its fields set, the error too."""

        def old() -> MPI.Status:
            status = MPI.Status()
            status.source, status.tag, status.error = 1, 1, MPI.ERR_OTHER
            return status

        null = [MPI.Request(), MPI.Request()]
        for call in (
            MPI.Request.Waitany,
            MPI.Request.Testany,
            MPI.Request.Get_status_any,
            lambda requests, status: requests[0].Wait(status),
            lambda requests, status: requests[0].Test(status),
            lambda requests, status: requests[0].Get_status(status),
        ):
            status = old()
            call(null, status)
            self.assertEqual((status.source, status.tag, status.error), (MPI.ANY_SOURCE, MPI.ANY_TAG, MPI.SUCCESS))
        inactive = self.comm.Send_init(b"x", self.right)
        for look in (inactive.Wait, inactive.Test, inactive.Get_status):
            status = old()
            look(status)
            self.assertEqual((status.source, status.tag, status.error), (MPI.ANY_SOURCE, MPI.ANY_TAG, MPI.SUCCESS))
        inactive.Free()


class Objects(Case):
    """Lower case: what `complete` was given is what `wait` returns."""

    def test_wait_and_test(self) -> None:
        request = MPI.Grequest.Start()
        self.assertEqual(request.test(), (False, None))
        request.complete({"a": 1})
        self.assertEqual(request.wait(), {"a": 1})
        self.assertIsNone(request.wait())
        request = MPI.Grequest.Start()
        request.complete(42)
        self.assertEqual(request.test(), (True, 42))
        requests: list[MPI.Request] = [MPI.Grequest.Start() for _ in range(3)]
        for i, each in enumerate(requests):
            assert isinstance(each, MPI.Grequest)
            each.complete(i)
        self.assertEqual(MPI.Request.waitall(requests), [0, 1, 2])


class Threads(Case):
    def test_another_thread_ends_the_wait(self) -> None:
        """Also one that sleeps by then."""
        for pause in (0.0, 0.001, 0.05, 0.4):
            operation = Operation()
            request = operation.start()

            def end(request: MPI.Grequest = request, pause: float = pause) -> None:
                time.sleep(pause)
                request.complete(pause)

            thread = threading.Thread(target=end)
            thread.start()
            began = time.monotonic()
            self.assertEqual(request.wait(), pause)
            self.assertLess(time.monotonic() - began, pause + 5)
            thread.join()
            self.assertEqual((operation.queried, operation.freed), (1, 1))

    def test_a_callback_may_communicate(self) -> None:
        """No lock of MPI's is held while it runs."""
        got = []

        def query(status: MPI.Status) -> None:
            got.append(self.comm.sendrecv(self.rank, self.right, source=self.left))

        request = MPI.Grequest.Start(query)
        request.Complete()
        request.Wait()
        self.assertEqual(got, [self.left])

    @our_extension("the original mpi4py uses memory after it is freed here")
    def test_the_request_ends_while_its_functions_run(self) -> None:
        """One thread asks for the status, and while its function runs another ends the request."""
        entered, ended = threading.Event(), threading.Event()
        freed, text = [], []

        def query(status: MPI.Status, *args: Any) -> None:
            if not entered.is_set():
                entered.set()
                ended.wait(LIMIT)
                text.append("".join(args))

        request = MPI.Grequest.Start(query, lambda *args: freed.append(args), args=("still ", "here"))
        copy = MPI.Request.fromhandle(request.handle)
        request.Complete()
        thread = threading.Thread(target=copy.Get_status)
        thread.start()
        entered.wait(LIMIT)
        request.Wait()
        self.assertEqual(len(freed), 1)
        ended.set()
        thread.join()
        self.assertEqual(text, ["still here"])


if __name__ == "__main__":
    unittest.main()
