from collections.abc import Sequence
from os import PathLike
from typing import Any, Final, Literal

from . import MPI as MPI

__version__: Final[str]
__author__: Final[str]
__credits__: Final[str]
__all__: list[str]

class Rc:
    initialize: bool
    threads: bool
    thread_level: Literal["single", "funneled", "serialized", "multiple"]
    finalize: bool | None
    fast_reduce: bool
    recv_mprobe: bool
    irecv_bufsz: int
    errors: Literal["default", "exception", "abort", "fatal"]
    strided: bool
    def __init__(self, **options: Any) -> None: ...
    def __setattr__(self, name: str, value: Any) -> None: ...
    def __call__(self, **options: Any) -> None: ...

rc: Rc

def get_include() -> str: ...
def get_config() -> dict[str, str]: ...
def profile(name: str, *, path: str | PathLike[str] | Sequence[str] | None = None) -> None: ...
