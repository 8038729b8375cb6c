"""MPI for Python.

The names of mpi4py 4.1 over an engine of its own, or over any library that speaks the standard ABI
of MPI 5.0. The module to use is `mpi4py.MPI`; importing this package alone loads nothing.

Read when `mpi4py.MPI` is imported:

* `mpi4py.rc`, the options below, and the variables `MPI4PY_RC_<OPTION>`, which win over it.
* `MPI4PY_LIBMPI`: the MPI library instead of the built-in one, a path of a `libmpi_abi.so.1` or a
  name (`mpich`, `impi`) that is looked up in the environment's `lib` and as `ctypes` would.
* `MPI4PY_CHECK_MPIEXEC=0`: no warning when a launcher started several processes and each of them
  is alone because the library belongs to another launcher.
"""

import sys

TYPE_CHECKING = False  # type checkers take it as true; an import of `typing` would make every start slower
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from os import PathLike
    from types import ModuleType

__version__ = "4.1.2"
__author__ = "the oxmpi authors"
__credits__ = "MPI Forum, and Lisandro Dalcin for the interface of mpi4py"

__all__ = ["MPI"]  # noqa: F822  (a module)


class Rc:
    """Options that the import of `mpi4py.MPI` looks at.

    initialize   start MPI at import (True)
    threads      ask for support of threads (True)
    thread_level "multiple", "serialized", "funneled" or "single"
    finalize     end MPI when the process ends (None: if it was started at import)
    fast_reduce  reductions of objects as a tree, not at one place (True)
    recv_mprobe  kept for programs that set it: objects are always received by matched probe
    irecv_bufsz  kept for programs that set it: irecv takes objects of any size
    errors       "exception", "default", "abort" or "fatal"
    strided      arrays of any strides as buffers, elements in C order, as `MPI.strided` does (False)
    """

    initialize = True
    threads = True
    thread_level = "multiple"
    finalize: "bool | None" = None
    fast_reduce = True
    recv_mprobe = True
    irecv_bufsz = 32768
    errors = "exception"
    strided = False

    def __init__(self, **options: object) -> None:
        """Make options that differ from the defaults in `options`."""
        self(**options)

    def __setattr__(self, name: str, value: object) -> None:
        """Set an option; there are no others than those of the class."""
        if not hasattr(self, name):
            raise TypeError(f"mpi4py.rc has no option {name!r}")
        super().__setattr__(name, value)

    def __call__(self, **options: object) -> None:
        """Set several options, all or none."""
        for name in options:
            if not hasattr(self, name):
                raise TypeError(f"mpi4py.rc has no option {name!r}")
        for name, value in options.items():
            setattr(self, name, value)

    def __repr__(self) -> str:
        """Say what it is."""
        return f"<{__name__}.rc>"


rc = Rc()
sys.modules[f"{__name__}.rc"] = rc  # type: ignore[assignment]


def get_include() -> str:
    """Return the directory with the C header files of this package."""
    from os.path import join

    return join(_folder(), "include")


def get_config() -> "dict[str, str]":
    """Return which MPI library is chosen: what MPI4PY_LIBMPI says, or the built-in one; and `mpi.cfg`'s content."""
    import os
    from configparser import ConfigParser
    from os.path import join

    parser = ConfigParser()
    parser.add_section("mpi")
    parser.read(join(_folder(), "mpi.cfg"), encoding="utf-8")
    chosen = os.environ.get("MPI4PY_LIBMPI", "").strip()
    built_in = join(_folder(), "lib", "libmpi_abi.so.1")
    return {"libmpi": chosen or built_in, **dict(parser.items("mpi"))}


def profile(name: str, *, path: "str | PathLike[str] | Sequence[str] | None" = None) -> None:
    """Load a profiling library, before `mpi4py.MPI` is imported.

    name: the library's file, or its name without `lib` and `.so`
    path: directories to look in, a list or a text with `:` between them
    """
    from ._library import load_profiler

    load_profiler(name, path, vars(profile).setdefault("registry", []))


def _folder() -> str:
    return __path__[0]


class _Finder:
    """Finds `mpi4py.MPI`; takes itself away when that is done."""

    @staticmethod
    def find_spec(
        name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if name != f"{__name__}.MPI":
            return None
        from ._library import find

        return find(name, _folder())


sys.meta_path.insert(0, _Finder)
