"""`python -m mpi4py.run`: run a script, a module or a command; when it fails, end the whole job.

A plain `python script.py` ends the job after an uncaught exception too. What this adds is that
`sys.exit` with a status other than 0 does so as well, and the options below.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType
    from typing import NoReturn

USAGE = """\
usage: {python} -m {program} [options] <pyfile> [arg] ...
   or: {python} -m {program} [options] -m <mod> [arg] ...
   or: {python} -m {program} [options] -c <cmd> [arg] ...
   or: {python} -m {program} [options] - [arg] ..."""

HINT = "Try `{python} -m {program} -h` for more information."

OPTIONS = """\
options:
  --prefix             print the directory of this package
  --version            print the version of this package
  --mpi-library        print the path of the MPI library
  --mpi-std-version    print the version of the MPI standard
  --mpi-lib-version    print the version of the MPI library
  -h|--help            print this text
  -rc <key=value,...>  set options of mpi4py.rc"""


def run_command_line(args: "list[str] | None" = None) -> None:
    """Run `pyfile`, `-m mod`, `-c cmd` or `-` (standard input) with the arguments that follow it."""
    import runpy

    sys.argv[:] = sys.argv[1:] if args is None else args
    what = sys.argv[0]
    if what == "-m":
        del sys.argv[0]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    elif what == "-c":
        _run_text(sys.argv.pop(1), "<string>")
    elif what == "-":
        _run_text(sys.stdin.read(), "<stdin>")
    else:
        import os

        if not sys.flags.isolated:
            sys.path[0] = os.path.realpath(os.path.dirname(what))
        runpy.run_path(what, run_name="__main__")


def _run_text(text: str, filename: str) -> None:
    from types import ModuleType

    code = compile(text, filename, "exec", dont_inherit=True)
    module = ModuleType("__main__")
    before, sys.modules["__main__"] = sys.modules["__main__"], module
    try:
        exec(code, vars(module))  # noqa: S102
    finally:
        sys.modules["__main__"] = before


def set_abort_status(status: object) -> None:
    """Abort the job with this status (a number or an exception) when the process ends, if MPI is in use."""
    if isinstance(status, SystemExit):
        status = status.code
    elif isinstance(status, KeyboardInterrupt):
        status = 130
    elif isinstance(status, BaseException):
        status = 1
    if not isinstance(status, int):
        status = 0 if status is None else 1
    module = sys.modules.get(f"{__spec__.parent}.MPI")
    if module is not None and status:
        module._set_abort_status(status)


def main() -> None:
    """Run the command line of this process."""
    options, args = _parse(sys.argv[1:])
    if options:
        from . import rc

        try:
            rc(**options)
        except TypeError as error:
            _usage(str(error))
    try:
        run_command_line(args)
    except BaseException as error:
        set_abort_status(error)
        raise


def _parse(args: "list[str]") -> "tuple[dict[str, object], list[str]]":
    """Return the values of -rc and what is to be run."""
    options: dict[str, object] = {}
    shown = {
        "prefix": _prefix,
        "version": _version,
        "mpi-library": _library,
        "mpi-std-version": _standard,
        "mpi-lib-version": _library_version,
        "h": _help,
        "help": _help,
    }
    while args and args[0].startswith("-") and args[0] not in ("-m", "-c", "-"):
        option, equals, value = args.pop(0).partition("=")
        name = option[2:] if option.startswith("--") else option[1:]
        if name in shown and not equals:
            print(shown[name]())
            sys.exit(0)
        if name != "rc":
            _usage(f"Unknown option: {option}{equals}{value}")
        if not equals:
            if not args or args[0].startswith("-"):
                _usage(f"Argument expected for option: {option}")
            value = args.pop(0)
        options.update(_assignments(value))
    if not args:
        _usage("No path specified for execution")
    if args[0] in ("-m", "-c") and len(args) < 2:
        _usage(f"Argument expected for option: {args[0]}")
    return options, args


def _assignments(text: str) -> "Iterator[tuple[str, object]]":
    from ast import literal_eval

    for entry in text.split(","):
        name, _, value = entry.partition("=")
        if not name or not value:
            _usage(f"Cannot parse rc option: {entry}")
        try:
            value = literal_eval(value)
        except (ValueError, SyntaxError):
            pass
        yield name, value


def _names() -> "dict[str, str]":
    from os.path import basename

    return {"python": basename(sys.executable), "program": __spec__.name}


def _usage(complaint: str) -> "NoReturn":
    for line in (complaint, USAGE.format(**_names()), HINT.format(**_names())):
        print(line, file=sys.stderr)
    sys.exit(1)


def _help() -> str:
    return f"{USAGE.format(**_names())}\n{OPTIONS}"


def _prefix() -> str:
    from os.path import dirname

    return dirname(__file__)


def _version() -> str:
    from . import __version__

    return f"{__spec__.parent} {__version__}"


def _module() -> "ModuleType":
    from . import rc

    rc.initialize = rc.finalize = False
    from . import MPI

    return MPI


def _library() -> "str | None":
    import ctypes

    from ._library import _path_of

    return _path_of(ctypes.CDLL(_module().__file__))


def _standard() -> str:
    module = _module()
    compiled, running = (module.VERSION, module.SUBVERSION), module.Get_version()
    note = f" (runtime: MPI {running[0]}.{running[1]})" if running != compiled else ""
    return f"MPI {compiled[0]}.{compiled[1]}{note}"


def _library_version() -> str:
    version: str = _module().Get_library_version()
    return version


if __name__ == "__main__":
    main()
