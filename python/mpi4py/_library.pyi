from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from os import PathLike
from typing import Any, Final

SONAME: Final[str]
EXTENSION: Final[str]

def find(name: str, folder: str) -> ModuleSpec | None: ...
def load_profiler(
    name: str | bytes | PathLike[str],
    path: str | bytes | PathLike[str] | Sequence[str | bytes | PathLike[str]] | None,
    registry: list[tuple[str, Any]],
) -> None: ...
