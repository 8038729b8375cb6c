"""What happens around the import of `mpi4py.MPI`: which MPI library it gets, checks, and the end of
the process after an uncaught exception. Loaded only then.

The extension is linked against the soname `libmpi_abi.so.1`. The dynamic linker takes a library of
that soname that is in the process already, so another library than the built-in one is chosen by
loading it first.
"""

import os
import sys
from _frozen_importlib_external import ExtensionFileLoader, spec_from_file_location

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from ctypes import CDLL
    from importlib.machinery import ModuleSpec
    from os import PathLike
    from types import ModuleType, TracebackType
    from typing import NoReturn

    from . import Rc

SONAME = "libmpi_abi.so.1"
EXTENSION = "MPI.abi3.so"
# Text that MPI_Get_library_version of a library asked for by name has to have.
VENDORS = {"mpich": "MPICH", "impi": "Intel"}
BUILT_IN = ("", "oxmpi", "builtin", "built-in")


def find(name: str, folder: str) -> "ModuleSpec | None":
    """Return the spec of the extension, after the checks and the choice of the library."""
    _check_folder(folder)
    wanted = os.environ.get("MPI4PY_LIBMPI", "").strip()
    if wanted.lower() in BUILT_IN:
        library = f"{folder}/lib/{SONAME}"
    else:
        library = _load(wanted)
    path = f"{folder}/{EXTENSION}"
    return spec_from_file_location(name, path, loader=_Loader(name, path, library))


class _Loader(ExtensionFileLoader):
    """Loads the extension, says what is wrong when that fails, and does what comes after."""

    def __init__(self, name: str, path: str, library: str) -> None:
        super().__init__(name, path)
        self.library = library

    def create_module(self, spec: "ModuleSpec") -> "ModuleType":
        try:
            return super().create_module(spec)
        except ImportError as error:
            raise ImportError(_why(error, self.path, self.library), name=spec.name, path=self.path) from None

    def exec_module(self, module: "ModuleType") -> None:
        from . import rc

        _read_environment(rc)
        super().exec_module(module)
        _drop_finder()
        _hook_exceptions(module)
        _check_launcher(module)


def _drop_finder() -> None:
    from . import _Finder  # type: ignore[attr-defined, unused-ignore]  # not in the stub

    if _Finder in sys.meta_path:
        sys.meta_path.remove(_Finder)


def _check_folder(folder: str) -> None:
    """Refuse to work in a directory that the original mpi4py's files are in too."""
    foreign = [
        name
        for name in os.listdir(folder)
        if name.startswith("_mpiabi.") or (name.startswith("MPI.") and name.endswith(".so") and name != EXTENSION)
    ]
    if foreign:
        raise ImportError(
            f"{folder} has files of another mpi4py ({', '.join(sorted(foreign))}). Both cannot share an"
            " environment. Uninstall them all and install this one again:"
            f" {sys.executable} -m pip uninstall mpi4py oxmpi; then remove the directory if it is still there.",
            name="mpi4py.MPI",
        )


def _why(error: ImportError, extension: str, library: str) -> str:
    """Return the text of the import error."""
    if not os.path.exists(extension):
        return f"{extension} is missing: the installation of this package is not complete; install it again."
    if SONAME not in str(error):
        return str(error)
    return (
        f"There is no MPI library. Tried: {library} (built in), then {SONAME} in the dynamic linker's directories."
        f" The linker says: {error}. Install this package again, or set MPI4PY_LIBMPI to the path of a {SONAME}"
        " (the PyPI packages mpich 5 and impi-rt 2021.18 or newer have one)."
    )


# ---- options ----

LEVELS = ("single", "funneled", "serialized", "multiple")
ERRORS = ("default", "exception", "abort", "fatal")
YES = ("1", "y", "yes", "t", "true", "on")
NO = ("0", "n", "no", "f", "false", "off")


def _read_environment(rc: "Rc") -> None:
    """Let MPI4PY_RC_<OPTION> set the options; a value that is none is reported and ignored."""
    for name in (
        "initialize",
        "threads",
        "thread_level",
        "finalize",
        "fast_reduce",
        "recv_mprobe",
        "errors",
        "strided",
    ):
        text = os.environ.get(f"MPI4PY_RC_{name.upper()}")
        if text is None:
            continue
        words = LEVELS if name == "thread_level" else ERRORS if name == "errors" else None
        value: str | bool | None = text.strip().lower()
        if words is not None:
            good = value in words
        else:
            good = value in YES or value in NO or (name == "finalize" and value == "none")
            value = None if value == "none" else value in YES
        if good:
            setattr(rc, name, value)
        else:
            _warn(f"MPI4PY_RC_{name.upper()}: unexpected value {text!r}, ignored")
    for name, words in (("thread_level", LEVELS), ("errors", ERRORS)):
        value = getattr(rc, name)
        if value not in words:
            _warn(f"mpi4py.rc.{name}: unexpected value {value!r}, ignored")
            delattr(rc, name)
    text = os.environ.get("MPI4PY_RC_IRECV_BUFSZ", "")
    if text.isdecimal():
        rc.irecv_bufsz = int(text)


def _warn(text: str) -> None:
    import warnings

    warnings.warn(text, RuntimeWarning, stacklevel=2)


# ---- the end after an uncaught exception ----


def _hook_exceptions(module: "ModuleType") -> None:
    """After a traceback is shown, note that the process ends badly: at its end it aborts the job
    instead of waiting for ranks that wait for it."""
    show = sys.excepthook

    def excepthook(kind: type[BaseException], value: BaseException, traceback: "TracebackType | None") -> None:
        ends = not (sys.flags.interactive or hasattr(sys, "ps1"))
        # Before the traceback: the launcher, which ends the job because of another rank, lets it be finished.
        if ends and module.Is_initialized() and not module.Is_finalized():
            module._set_uncaught()
        try:
            show(kind, value, traceback)
        finally:
            if ends:
                _note_failure(module, kind)

    sys.excepthook = excepthook


def _note_failure(module: "ModuleType", kind: type[BaseException]) -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: BLE001, S110  (closed, broken, None: nothing to do about it here)
            pass
    # 128 + SIGINT is what the process's own exit status becomes.
    module._set_abort_status(130 if issubclass(kind, KeyboardInterrupt) else 1)


# ---- launchers ----

# Variables with the number of processes that a launcher started.
LAUNCHERS = (("OMPI_COMM_WORLD_SIZE", "Open MPI"), ("PMI_SIZE", "MPICH or Intel MPI"), ("OXMPI_SIZE", "oxmpi"))


def _check_launcher(module: "ModuleType") -> None:
    """Warn of N worlds of one process; the built-in library joins them or says why not."""
    if os.environ.get("MPI4PY_LIBMPI", "").strip().lower() in BUILT_IN:
        return
    if os.environ.get("MPI4PY_CHECK_MPIEXEC", "1").strip().lower() in NO:
        return
    for name, launcher in LAUNCHERS:
        count = os.environ.get(name, "")
        if count.isdecimal() and int(count) > 1:
            if module.Is_initialized() and not module.Is_finalized() and module.COMM_WORLD.Get_size() == 1:
                _warn(
                    f"the launcher of {launcher} started {count} processes, but the MPI library in use"
                    f" ({os.environ['MPI4PY_LIBMPI']}) sees only this one: use the mpiexec that belongs to it"
                    " (MPI4PY_CHECK_MPIEXEC=0 turns this warning off)"
                )
            return


# ---- a library chosen by MPI4PY_LIBMPI ----


def _load(wanted: str) -> str:
    """Load the library `wanted` into the process, checked; return its path."""
    import ctypes

    tried = []
    for candidate in _candidates(wanted):
        if "/" in candidate:
            if not os.path.exists(candidate):
                tried.append(f"{candidate}: no such file")
                continue
            _check_soname(wanted, candidate)
        try:
            library = ctypes.CDLL(candidate, mode=os.RTLD_NOW | os.RTLD_GLOBAL)
        except OSError as error:
            tried.append(f"{candidate}: {error}")
            continue
        path = _path_of(library) or candidate
        _check_soname(wanted, path)
        _check_version(wanted, path, library)
        return path
    return _refuse(wanted, "cannot be loaded. Tried: " + "; ".join(tried))


def _candidates(wanted: str) -> "list[str]":
    """Return the files to try, in this order; a name without a slash is left to the dynamic linker."""
    if "/" in wanted:
        path = os.path.expanduser(wanted)
        return [os.path.join(path, SONAME), os.path.join(path, "lib", SONAME)] if os.path.isdir(path) else [path]
    file = SONAME if wanted.lower() in VENDORS or wanted.lower() in ("mpi_abi", "libmpi_abi") else wanted
    places = [os.path.join(sys.prefix, "lib", file)]
    if file == SONAME and wanted.lower() in VENDORS:
        places.append(os.path.join(sys.prefix, "lib", wanted.lower(), file))
    if sys.base_prefix not in (sys.prefix, "/usr"):
        places.append(os.path.join(sys.base_prefix, "lib", file))
    if os.sep not in file and os.path.exists(file) and ".so" in file:
        places.append(os.path.abspath(file))
    return [*places, file]


def _refuse(wanted: str, why: str) -> "NoReturn":
    raise ImportError(
        f"MPI4PY_LIBMPI={wanted}: {why}. What works: the path of a {SONAME} of MPI 5.0 (the PyPI packages mpich 5 and"
        " impi-rt 2021.18 or newer install one into the environment's lib), or no MPI4PY_LIBMPI for the built-in library.",
        name="mpi4py.MPI",
    )


def _check_soname(wanted: str, path: str) -> None:
    try:
        soname = _soname(path)
    except (OSError, ValueError) as error:
        _refuse(wanted, f"{path} cannot be read as a shared library ({error})")
    if soname != SONAME:
        _refuse(
            wanted,
            f"{path} is {soname or 'a library without a soname'}, not {SONAME}: it does not speak the"
            " standard ABI of MPI 5.0",
        )


def _check_version(wanted: str, path: str, library: "CDLL") -> None:
    from ctypes import byref, c_int, create_string_buffer

    try:
        abi, mpi = library.MPI_Abi_get_version, library.MPI_Get_version
        text = library.MPI_Get_library_version
    except AttributeError as error:
        _refuse(wanted, f"{path} has not all functions of MPI 5.0 ({error})")
    major, minor = c_int(-1), c_int(-1)
    if abi(byref(major), byref(minor)) != 0 or major.value < 1:
        _refuse(wanted, f"{path} speaks version {major.value}.{minor.value} of the ABI, a draft; 1.0 is needed")
    if mpi(byref(major), byref(minor)) != 0 or major.value < 5:
        _refuse(wanted, f"{path} is a library of MPI {major.value}.{minor.value}; 5.0 is needed")
    vendor = VENDORS.get(wanted.lower())
    if vendor is not None:
        version, length = create_string_buffer(8192 + 1), c_int(0)
        if text(version, byref(length)) == 0 and vendor.encode() not in version.value:
            says = version.value.decode(errors="replace").partition("\n")[0]
            _refuse(wanted, f"{path} is another library: {says}")


def _path_of(library: "CDLL") -> "str | None":
    """Return the file that a loaded library came from."""
    import ctypes

    class Found(ctypes.Structure):
        _fields_ = (
            ("file", ctypes.c_char_p),
            ("base", ctypes.c_void_p),
            ("symbol", ctypes.c_char_p),
            ("address", ctypes.c_void_p),
        )

    found = Found()
    function = getattr(library, "MPI_Get_version", None)
    if function is None or not ctypes.CDLL(None).dladdr(function, ctypes.byref(found)) or not found.file:
        return None
    return os.fsdecode(found.file)


def _soname(path: str) -> "str | None":
    """Return the soname of an ELF file (64 bits), None if it has none."""
    import struct
    import sys

    order = "<" if sys.byteorder == "little" else ">"
    with open(path, "rb") as file:
        head = file.read(64)
        if len(head) < 64 or head[:5] != b"\x7fELF\x02":
            raise ValueError("not a 64-bit ELF file")
        sections, size, count = (
            struct.unpack_from(f"{order}Q", head, 40)[0],
            *struct.unpack_from(f"{order}HH", head, 58),
        )
        file.seek(sections)
        table = file.read(size * count)
        headers = [struct.unpack_from(f"{order}IIQQQQIIQQ", table, size * index) for index in range(count)]
        for _, kind, _, _, offset, length, link, _, _, _ in headers:
            if kind != 6:  # SHT_DYNAMIC
                continue
            file.seek(offset)
            for tag, value in struct.iter_unpack(f"{order}qQ", file.read(length)):
                if tag == 14:  # DT_SONAME
                    file.seek(headers[link][4] + value)
                    return os.fsdecode(file.read(256).partition(b"\0")[0])
    return None


# ---- profiling libraries ----


def load_profiler(
    name: "str | bytes | PathLike[str]",
    path: "str | bytes | PathLike[str] | Sequence[str | bytes | PathLike[str]] | None",
    registry: "list[tuple[str, tuple[CDLL, str]]]",
) -> None:
    """Load the library `name` so that its MPI functions come before those of the MPI library."""
    import ctypes
    import warnings

    if path is None:
        path = [""]
    elif isinstance(path, (str, bytes)):
        path = os.fsdecode(path).split(os.pathsep)
    elif isinstance(path, os.PathLike):
        path = [path]
    name = os.fsdecode(name)
    for folder in path:
        for file in (name, f"lib{name}.so"):
            full = os.path.join(os.fsdecode(folder), file)
            if os.path.isfile(full):
                full = os.path.realpath(full)
                try:
                    handle = ctypes.CDLL(full, mode=os.RTLD_NOW | os.RTLD_GLOBAL)
                except OSError as error:
                    warnings.warn(str(error), stacklevel=3)
                else:
                    registry.append((name, (handle, full)))
                return
    raise ValueError(f"profiler {name!r} not found")
