"""Objects as messages by pickle's protocol 5: their big buffers stay out of the pickle and are not copied.

A message is that of `MPI.Comm.send`: the pickle, or a sign of 16 bytes, a table of sizes, the pickle and the buffers,
each at a multiple of 64. The sender describes these pieces with one datatype. So everything of an object comes in one
message, however many threads send and whoever may be its source, and a plain communicator can be at the other end.
The receiver has one block of memory, of which the arrays are views.

`pickle` makes and reads the pickles: put another `Pickle` there for other functions, another protocol or threshold.
"""

import warnings
from array import array

from .. import MPI
from ..MPI import ANY_SOURCE, ANY_TAG, BOTTOM, BYTE, MESSAGE_NO_PROC, PROC_NULL, ROOT
from ..MPI import Pickle as Pickle
from ..MPI import Status as Status
from . import _layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, Self

    from ..typing import Buffer

pickle = MPI.pickle


class _BigMPI:
    """In how large pieces memory is described to MPI: below what a library may count in an int."""

    blocksize = 1 << 30

    def cut(self, pieces: "Iterable[tuple[int, int]]") -> "tuple[list[int], list[int]]":
        """Lengths and places of the pieces (place and length), none longer than the block size."""
        lengths, places = [], []
        for place, length in pieces:
            for at in range(0, length, self.blocksize):
                lengths.append(min(length - at, self.blocksize))
                places.append(place + at)
        return lengths, places

    def datatype(self, pieces: "Iterable[tuple[int, int]]") -> MPI.Datatype:
        return BYTE.Create_hindexed(*self.cut(pieces)).Commit()


_bigmpi = _BigMPI()


class _Outgoing:
    """An object ready to be sent."""

    def __init__(self, obj: "Any") -> None:
        data, buffers = pickle.dumps_oob(obj)
        self.data = data
        self.size = len(data)
        # Where it is not the data alone: what MPI reads until the message is sent.
        self.parts: list[Any] = []
        if buffers:
            self.parts = _layout.pieces(data, buffers)
            self.size = sum(_layout.up(len(part)) for part in self.parts)
        elif self.size > _bigmpi.blocksize:
            self.parts = [data]

    def pieces(self) -> "Iterable[tuple[int, int]]":
        """Place and length of each."""
        if len(self.parts) < 2:
            yield MPI.Get_address(self.data), len(self.data)
            return
        padding = MPI.Get_address(_layout.PADDING)
        for part in self.parts:
            yield MPI.Get_address(part), len(part)
            yield padding, _layout.up(len(part)) - len(part)

    def copy(self) -> MPI.buffer:
        """All in one piece."""
        memory = MPI.buffer.allocate(self.size)
        view, at = memoryview(memory), 0
        for part in self.parts or [self.data]:
            end = at + len(part)
            view[at:end] = part
            at = min(_layout.up(end), self.size)
            view[end:at] = _layout.PADDING[: at - end]
        return memory

    def spec(self) -> "tuple[Any, int, MPI.Datatype]":
        """For a call of MPI; after it, `_release`."""
        if self.parts:
            return BOTTOM, 1, _bigmpi.datatype(self.pieces())
        return self.data, self.size, BYTE


class _Nothing:
    """No object: for nobody, or from who has none to give."""

    size = 0
    parts: "tuple[()]" = ()

    def pieces(self) -> "Iterable[tuple[int, int]]":
        return ()

    def spec(self) -> "tuple[Any, int, MPI.Datatype]":
        return BOTTOM, 0, BYTE


_NOTHING = _Nothing()


def _release(datatype: MPI.Datatype) -> None:
    """What is under way with it goes on."""
    if datatype != BYTE:
        datatype.Free()


def _into(memory: MPI.buffer) -> "tuple[MPI.buffer, int, MPI.Datatype]":
    """Where a message of this size is received; after the call, `_release`."""
    if memory.nbytes > _bigmpi.blocksize:
        return memory, 1, _bigmpi.datatype([(0, memory.nbytes)])
    return memory, memory.nbytes, BYTE


def _decode(memory: memoryview) -> "Any":
    """The object of a message."""
    return pickle.loads_oob(*_layout.split(memory)) if _layout.has_buffers(memory) else pickle.loads(memory)


class _Receiving:
    """Where a receive puts its object."""

    def __init__(self, memory: "MPI.buffer | None") -> None:
        self.memory = memory

    def finish(self, status: Status) -> "Any":
        memory, self.memory = self.memory, None
        return None if memory is None or status.Is_cancelled() else _decode(memoryview(memory))


class Request(tuple[MPI.Request, ...]):
    """An object that is being sent or received."""

    _receiving: "_Receiving | None" = None

    def __new__(cls, request: "MPI.Request | Iterable[MPI.Request] | None" = None) -> "Self":
        if request is None or isinstance(request, MPI.Request):
            request = () if request is None else (request,)
        self = super().__new__(cls, request)
        self._receiving = getattr(request, "_receiving", None)
        return self

    def __eq__(self, other: object) -> bool:
        same: bool = _same(self, other, Request, MPI.Request)
        return same

    def __ne__(self, other: object) -> bool:
        same = self.__eq__(other)
        return NotImplemented if same is NotImplemented else not same

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        return any(self)

    def Free(self) -> None:
        """Forget the operation; a send goes on."""
        self._receiving = None
        for request in self:
            if request:
                request.Free()

    def free(self) -> None:
        """The same as `Free`."""
        self.Free()

    def cancel(self) -> None:
        """Ask for the operation to be cancelled."""
        for request in self:
            request.Cancel()

    def get_status(self, status: "Status | None" = None) -> bool:
        """Ask whether the operation is over, and leave the request as it is."""
        return self.get_status_all([self], None if status is None else [status])

    def test(self, status: "Status | None" = None) -> "tuple[bool, Any | None]":
        """Ask whether the operation is over; if it is, return its object too."""
        flag, objects = self.testall([self], None if status is None else [status])
        return flag, objects[0] if objects else None

    def wait(self, status: "Status | None" = None) -> "Any":
        """Wait until the operation is over and return its object."""
        return self.waitall([self], None if status is None else [status])[0]

    @classmethod
    def get_status_all(cls, requests: "Sequence[Request]", statuses: "list[Status] | None" = None) -> bool:
        """Ask whether all of several operations are over, and leave the requests as they are."""
        flat, found = _flatten(requests, statuses)
        if not all(request.Get_status(status) for request, status in zip(flat, found, strict=True)):
            return False
        _store(requests, found, statuses)
        return True

    @classmethod
    def testall(
        cls, requests: "Sequence[Request]", statuses: "list[Status] | None" = None
    ) -> "tuple[bool, list[Any] | None]":
        """Ask whether all of several operations are over; if they are, return their objects."""
        flat, found = _flatten(requests, statuses)
        # In lower case: `irecv` of plain communicators has to go on meanwhile.
        if not MPI.Request.testall(flat, found)[0]:
            return False, None
        return True, _finish(requests, found, statuses)

    @classmethod
    def waitall(cls, requests: "Sequence[Request]", statuses: "list[Status] | None" = None) -> "list[Any]":
        """Wait until all of several operations are over and return their objects."""
        flat, found = _flatten(requests, statuses)
        MPI.Request.waitall(flat, found)
        return _finish(requests, found, statuses)


# Of Request and Message, which have no class of ours in common: in mpi4py the base of both is tuple.
def _same(one: "tuple[Any, ...]", other: "Any", kind: type, single: type) -> "Any":
    """Whether both stand for the same handles, those that are null apart."""
    if isinstance(other, single):
        other = (other,)
    elif not isinstance(other, kind):
        return NotImplemented
    return [handle for handle in one if handle] == [handle for handle in other if handle]


def _flatten(
    requests: "Sequence[Request]", statuses: "Sequence[Status] | None"
) -> "tuple[list[MPI.Request], list[Status]]":
    """The requests of MPI, and as many statuses: the caller's as far as there are any."""
    flat: list[MPI.Request] = []
    found: list[Status] = []
    for index, request in enumerate(requests):
        if not isinstance(request, Request):
            kind = type(request).__name__
            raise TypeError(f"expecting requests of mpi4py.util.pkl5, and number {index} is of type {kind}")
        flat += request
        if len(request) and statuses is not None and index < len(statuses):
            found.append(statuses[index])
        found += (Status() for _ in range(len(flat) - len(found)))
    return flat, found


def _each(requests: "Sequence[Request]", found: "list[Status]") -> "Iterable[tuple[Request, Status]]":
    """Every request with its status, which is that of its first part."""
    at = 0
    for request in requests:
        yield request, found[at] if len(request) else Status()
        at += len(request)


def _store(requests: "Sequence[Request]", found: "list[Status]", statuses: "list[Status] | None") -> None:
    if isinstance(statuses, list):
        own = [status for _, status in _each(requests, found)]
        statuses += own[len(statuses) :]


def _finish(requests: "Sequence[Request]", found: "list[Status]", statuses: "list[Status] | None") -> "list[Any]":
    """The objects of operations that are over; the first failure, if there is one, when all are made."""
    _store(requests, found, statuses)
    objects, failure = [], None
    for request, status in _each(requests, found):
        receiving, request._receiving = request._receiving, None
        try:
            objects.append(None if receiving is None else receiving.finish(status))
        except Exception as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return objects


class Message(tuple[MPI.Message, ...]):
    """An object that a probe has found and nobody else can receive."""

    _size: "int | None" = None

    def __new__(cls, message: "MPI.Message | Iterable[MPI.Message] | None" = None) -> "Self":
        if message is None or isinstance(message, MPI.Message):
            message = () if message is None else (message,)
        # The constant is not the message: receiving makes a message null.
        self = super().__new__(cls, (MPI.Message(one) if one == MESSAGE_NO_PROC else one for one in message))
        self._size = getattr(message, "_size", None)
        return self

    def __eq__(self, other: object) -> bool:
        same: bool = _same(self, other, Message, MPI.Message)
        return same

    def __ne__(self, other: object) -> bool:
        same = self.__eq__(other)
        return NotImplemented if same is NotImplemented else not same

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        return any(self)

    def free(self) -> None:
        """Forget the message; it cannot be freed."""
        for message in self:
            message.free()

    @classmethod
    def probe(
        cls, comm: MPI.Comm, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: "Status | None" = None
    ) -> "Self":
        """Wait for a message and take it out of the queue."""
        status = Status() if status is None else status
        return cls._found(MPI.Message.probe(comm, source, tag, status), status)

    @classmethod
    def iprobe(
        cls, comm: MPI.Comm, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: "Status | None" = None
    ) -> "Self | None":
        """Take a message out of the queue if there is one."""
        status = Status() if status is None else status
        message = MPI.Message.iprobe(comm, source, tag, status)
        return None if message is None else cls._found(message, status)

    @classmethod
    def _found(cls, message: MPI.Message, status: Status) -> "Self":
        self = cls(message)
        self._size = status.Get_elements(BYTE)
        return self

    def _memory(self) -> "tuple[MPI.Message, MPI.buffer | None]":
        """The message of MPI and memory of its size; none for what comes from nobody."""
        if len(self) != 1 or not self[0]:
            raise ValueError("the message is null: there was none, or it was received already")
        if self[0] == MESSAGE_NO_PROC:
            return self[0], None
        if self._size is None:
            raise ValueError(
                "the size of the message is not known: find it with Message.probe or iprobe, Comm.mprobe or improbe "
                "of mpi4py.util.pkl5"
            )
        return self[0], MPI.buffer.allocate(self._size)

    def recv(self, status: "Status | None" = None) -> "Any":
        """Receive the object of the message."""
        return self.irecv().wait(status)

    def irecv(self) -> Request:
        """Start to receive the object of the message."""
        message, memory = self._memory()
        spec = (BOTTOM, 0, BYTE) if memory is None else _into(memory)
        try:
            request = Request(message.Irecv(spec))
        finally:
            _release(spec[2])
        request._receiving = _Receiving(memory)
        return request


class Comm(MPI.Comm):
    """A communicator whose lower-case methods keep big buffers out of the pickles."""

    def __new__(cls, comm: "MPI.Comm | None" = None) -> "Self":
        # Not that of MPI.Intracomm: the memory of an object is laid out by MPI.Comm alone.
        return MPI.Comm.__new__(cls, comm)

    def _start(self, how: "Callable[..., MPI.Request]", obj: "Any", dest: int, tag: int) -> Request:
        message = _NOTHING if dest == PROC_NULL else _Outgoing(obj)
        spec = message.spec()
        try:
            request = how(self, spec, dest, tag)
        finally:
            _release(spec[2])
        if message.parts:
            request._keep(message)  # type: ignore[attr-defined]
        return Request(request)

    def send(self, obj: "Any", dest: int, tag: int = 0) -> None:
        """Send an object."""
        self._start(MPI.Comm.Isend, obj, dest, tag).wait()

    def bsend(self, obj: "Any", dest: int, tag: int = 0) -> None:
        """Send an object by way of the attached buffer."""
        self._start(MPI.Comm.Ibsend, obj, dest, tag).wait()

    def ssend(self, obj: "Any", dest: int, tag: int = 0) -> None:
        """Send an object; returns when its receive has started."""
        self._start(MPI.Comm.Issend, obj, dest, tag).wait()

    def isend(self, obj: "Any", dest: int, tag: int = 0) -> Request:  # type: ignore[override]
        """Nonblocking form of `send`."""
        return self._start(MPI.Comm.Isend, obj, dest, tag)

    def ibsend(self, obj: "Any", dest: int, tag: int = 0) -> Request:  # type: ignore[override]
        """Nonblocking form of `bsend`."""
        return self._start(MPI.Comm.Ibsend, obj, dest, tag)

    def issend(self, obj: "Any", dest: int, tag: int = 0) -> Request:  # type: ignore[override]
        """Nonblocking form of `ssend`."""
        return self._start(MPI.Comm.Issend, obj, dest, tag)

    def recv(
        self,
        buf: "Buffer | None" = None,
        source: int = ANY_SOURCE,
        tag: int = ANY_TAG,
        status: "Status | None" = None,
    ) -> "Any":
        """Receive an object. Memory for it is made as needed; `buf` is not used."""
        if buf is not None:
            warnings.warn("recv() makes the memory it needs, the argument 'buf' is not used", UserWarning, 2)
        return self.mprobe(source, tag).recv(status)

    def irecv(  # type: ignore[override]
        self, buf: "Buffer | None" = None, source: int = ANY_SOURCE, tag: int = ANY_TAG
    ) -> Request:
        """Not there: how large an object is, only its message says."""
        raise RuntimeError(
            "mpi4py.util.pkl5 has no irecv: the size of an object is known when its message is there; use "
            "comm.mprobe(source, tag).irecv(), or improbe, or irecv of a plain MPI.Comm, which receives these objects too"
        )

    def sendrecv(
        self,
        sendobj: "Any",
        dest: int,
        sendtag: int = 0,
        recvbuf: "Buffer | None" = None,
        source: int = ANY_SOURCE,
        recvtag: int = ANY_TAG,
        status: "Status | None" = None,
    ) -> "Any":
        """Send an object and receive another one; `recvbuf` is not used."""
        request = self.isend(sendobj, dest, sendtag)
        received = self.mprobe(source, recvtag).recv(status)
        request.wait()
        return received

    def mprobe(  # type: ignore[override]
        self, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: "Status | None" = None
    ) -> Message:
        """Wait for a message and take it out of the queue."""
        return Message.probe(self, source, tag, status)

    def improbe(  # type: ignore[override]
        self, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: "Status | None" = None
    ) -> "Message | None":
        """Take a message out of the queue if there is one."""
        return Message.iprobe(self, source, tag, status)

    def _others(self) -> int:
        """Ranks that a collective exchanges with."""
        return MPI.Intercomm(self).Get_remote_size() if self.Is_inter() else self.Get_size()

    def _role(self, root: int) -> "tuple[bool, bool]":
        """Whether this rank is the root, and whether it is one of those that the root deals with."""
        if self.Is_inter():
            return root == ROOT, root not in (ROOT, PROC_NULL)
        return root == self.Get_rank(), True

    def bcast(self, obj: "Any", root: int = 0) -> "Any":
        """Give an object of one rank to all."""
        is_root, takes = self._role(root)
        memory = _Outgoing(obj).copy() if is_root else None
        sizes = _numbers([0 if memory is None else memory.nbytes])
        self.Bcast(sizes, root)
        if not is_root and takes:
            memory = MPI.buffer.allocate(sizes[0])
        # The root sends its copy, and it is what the root gets. (Pieces of memory at absolute addresses as one datatype
        # end MPICH 5.0.2 and Intel MPI 2021.18 in MPI_Bcast.)
        spec = (BOTTOM, 0, BYTE) if memory is None else _into(memory)
        try:
            self.Bcast(spec, root)
        finally:
            _release(spec[2])
        return None if memory is None or not takes else _decode(memoryview(memory))

    def gather(self, sendobj: "Any", root: int = 0) -> "list[Any] | None":
        """Collect an object of every rank at one."""
        is_root, gives = self._role(root)
        message = _Outgoing(sendobj) if gives else _NOTHING
        sizes = _numbers([0] * self._others()) if is_root else None
        self.Gather(_numbers([message.size]) if gives else None, sizes, root)
        blocks = None if sizes is None else _Blocks(sizes)
        spec = message.spec() if gives else None
        try:
            self.Gatherv(spec, None if blocks is None else blocks.spec(), root)
        finally:
            _release(spec[2] if spec else BYTE)
        return None if blocks is None else blocks.objects()

    def scatter(self, sendobj: "Sequence[Any] | None", root: int = 0) -> "Any":
        """Give every rank an object of its own from one."""
        is_root, takes = self._role(root)
        others = self._others()
        messages = _for_each("scatter", sendobj, others) if is_root else []
        size = _numbers([0])
        self.Scatter(_numbers([one.size for one in messages]) if is_root else None, size if takes else None, root)
        sizes = [0] * others
        if takes:
            sizes[root] = size[0]
        objects = self._exchange(messages or [_NOTHING] * others, sizes)
        return objects[root] if takes else None

    def allgather(self, sendobj: "Any") -> "list[Any]":
        """Collect an object of every rank at all."""
        message = _Outgoing(sendobj)
        sizes = _numbers([0] * self._others())
        self.Allgather(_numbers([message.size]), sizes)
        blocks = _Blocks(sizes)
        spec = message.spec()
        try:
            self.Allgatherv(spec, blocks.spec())
        finally:
            _release(spec[2])
        return blocks.objects()

    def alltoall(self, sendobj: "Sequence[Any]") -> "list[Any]":
        """Give every rank an object of its own from all."""
        messages = _for_each("alltoall", sendobj, self._others())
        sizes = _numbers([0] * len(messages))
        self.Alltoall(_numbers([one.size for one in messages]), sizes)
        return self._exchange(messages, sizes)

    def _exchange(self, messages: "Sequence[_Outgoing | _Nothing]", sizes: "Sequence[int]") -> "list[Any]":
        """A message to every rank and one of these sizes from every rank; those of size 0 are no object."""
        blocks = _Blocks(sizes)
        counts, types = [], []
        try:
            for message in messages:
                counts.append(1 if message.size else 0)
                types.append(_bigmpi.datatype(message.pieces()) if message.size else BYTE)
            self.Alltoallw((BOTTOM, (counts, [0] * len(counts)), types), blocks.spec_w())
        finally:
            for datatype in types:
                _release(datatype)
        return blocks.objects()


class Intracomm(Comm, MPI.Intracomm):
    """Intracommunicator."""


class Intercomm(Comm, MPI.Intercomm):
    """Intercommunicator."""


def _numbers(values: "Iterable[int]") -> "array[int]":
    return array("q", values)


def _for_each(name: str, objects: "Iterable[Any] | None", others: int) -> "list[_Outgoing | _Nothing]":
    """A message for every rank; nothing for all of them if there are no objects."""
    if objects is None:
        return [_NOTHING] * others
    objects = list(objects)
    if len(objects) != others:
        raise ValueError(f"{name}: {len(objects)} objects for {others} ranks; there has to be one for each")
    return [_Outgoing(one) for one in objects]


class _Blocks:
    """Memory for a message of every rank."""

    def __init__(self, sizes: "Sequence[int]") -> None:
        self.sizes = list(sizes)
        self.places = []
        end = 0
        for size in self.sizes:
            self.places.append(end)
            end = _layout.up(end + size)
        self.memory = MPI.buffer.allocate(end)

    def spec(self) -> "tuple[Any, tuple[list[int], list[int]], MPI.Datatype]":
        return self.memory, (self.sizes, self.places), BYTE

    def spec_w(self) -> "tuple[Any, tuple[list[int], list[int]], list[MPI.Datatype]]":
        return self.memory, (self.sizes, self.places), [BYTE] * len(self.sizes)

    def objects(self) -> "list[Any]":
        """None for nothing."""
        memory = memoryview(self.memory)
        spans = zip(self.places, self.sizes, strict=True)
        return [_decode(memory[at : at + size]) if size else None for at, size in spans]
