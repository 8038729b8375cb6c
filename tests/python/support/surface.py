"""The public surface of mpi4py 4.1.2 (data/mpi4py-api.txt), and what a module lacks of it or has otherwise.

One line of the file is one name: `MPI.Comm.Send(self, buf: BufSpec, dest: int, tag: int=0) -> None`. Its head says the
forms. The signatures are compared twice: as text with the first line of the documentation (that is also what MPI.pyi is
made of), and with the parameters that Python sees.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[1] / "data"
LINE = re.compile(
    r"(?P<path>[\w.]+?)"
    r"(?:(?P<signature>\(.*?)(?: -> (?P<result>.*?))?|: (?P<type>.*?)| = (?P<value>.*?)| \"(?P<capsule>.*)\")?"
    r"(?: \[(?P<mark>[^\[\]]+)\])?$"
)
MISSING = object()


@dataclass
class Entry:
    """One line: the name, and whatever of the rest it has."""

    path: str
    signature: str | None
    """`(self, a: int, b: int=0)`; several with ` | ` between them for overloads."""
    result: str | None
    type: str | None
    value: str | None
    capsule: str | None
    mark: str

    @property
    def owner(self) -> str:
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]


def entries() -> Iterator[Entry]:
    for line in (DATA / "mpi4py-api.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            match = LINE.match(line)
            assert match is not None, f"mpi4py-api.txt: {line}"
            found = match.groupdict()
            yield Entry(**(found | {"mark": found["mark"] or ""}))


def constants() -> Iterator[tuple[str, str, int | None]]:
    """Name, type and value of the constants; no value where the ABI does not fix one."""
    for line in (DATA / "mpi4py-constants-abi.tsv").read_text().splitlines()[1:]:
        name, kind, value = line.split("\t")
        yield name, kind, None if value == "-" else int(value, 0)


def find(path: str) -> Any:
    """The object of that name, or MISSING."""
    first, *rest = path.split(".")
    if first == "MPI":
        found: Any = importlib.import_module("mpi4py.MPI")
    elif first == "mpi4py":
        found = importlib.import_module("mpi4py")
    else:
        raise ValueError(path)
    for name in rest:
        # A submodule is an attribute only once it is imported.
        if inspect.ismodule(found) and not hasattr(found, name):
            try:
                importlib.import_module(f"{found.__name__}.{name}")
            except ImportError:
                return MISSING
        found = getattr(found, name, MISSING)
        if found is MISSING:
            return MISSING
    return found


def static(owner: Any, name: str) -> Any:
    """The attribute as its class holds it: a property, not its value."""
    return inspect.getattr_static(owner, name, MISSING)


# -- signatures -------------------------------------------------------------------------------------------------------


def parsed(signature: str) -> ast.FunctionDef:
    function = ast.parse(f"def f{signature}: ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    return function


def tidy(signature: str) -> str:
    """One way to write a signature, without quotes around types."""
    function = parsed(signature)
    for one in ast.walk(function):
        if isinstance(one, ast.arg) and isinstance(one.annotation, ast.Constant):
            one.annotation = ast.Name(str(one.annotation.value))
    if isinstance(function.returns, ast.Constant) and function.returns.value is not None:
        function.returns = ast.Name(str(function.returns.value))
    return ast.unparse(function).splitlines()[0].removeprefix("def f").removesuffix(":")


def parameters(signature: str) -> list[tuple[str, str, bool]]:
    """Name, kind and whether there is a default, without self and cls."""
    a = parsed(signature).args
    plain = [*a.posonlyargs, *a.args]
    defaults = [False] * (len(plain) - len(a.defaults)) + [True] * len(a.defaults)
    found = [
        (one.arg, "positional" if index < len(a.posonlyargs) else "any", default)
        for index, (one, default) in enumerate(zip(plain, defaults, strict=True))
        if one.arg not in ("self", "cls")
    ]
    if a.vararg:
        found.append((a.vararg.arg, "several", False))
    found += [(o.arg, "keyword", d is not None) for o, d in zip(a.kwonlyargs, a.kw_defaults, strict=True)]
    if a.kwarg:
        found.append((a.kwarg.arg, "keywords", False))
    return found


KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: "positional",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "any",
    inspect.Parameter.VAR_POSITIONAL: "several",
    inspect.Parameter.KEYWORD_ONLY: "keyword",
    inspect.Parameter.VAR_KEYWORD: "keywords",
}


def real_parameters(function: Callable[..., Any]) -> list[tuple[str, str, bool]] | None:
    """The same of what Python sees; None when it cannot tell."""
    try:
        found = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return None
    return [(p.name, KINDS[p.kind], p.default is not p.empty) for p in found if p.name not in ("self", "cls")]


def documented(found: Any) -> str:
    """The first line of the documentation."""
    return (getattr(found, "__doc__", None) or "").strip().partition("\n")[0]


# -- comparison -------------------------------------------------------------------------------------------------------


def difference(entry: Entry) -> str | None:
    """What is wrong with this name in the module, in one sentence; None when nothing is."""
    if entry.mark == "C-API capsule":
        return capsule(entry)
    found = find(entry.path)
    if found is MISSING:
        return "is missing"
    if entry.mark.startswith("class bases"):
        return of_class(entry, found)
    if entry.mark == "special":
        return special(entry, found)
    if entry.mark == "rc option":
        wanted = ast.literal_eval(entry.value or "None")
        return None if getattr(type(found_rc()), entry.name) == wanted else f"is {found!r}, not {wanted!r}"
    if entry.mark.startswith("property"):
        return of_property(entry)
    if entry.type is not None:
        kind = type(found).__name__
        known = entry.type.split(" ")[0] in (kind, "dict" if kind == "dict" else kind)
        return None if known else f"is of type {kind}, not {entry.type}"
    if entry.signature is not None:
        return of_function(entry, found)
    return None


def found_rc() -> Any:
    return importlib.import_module("mpi4py").rc


def capsule(entry: Entry) -> str | None:
    table = importlib.import_module("mpi4py.MPI").__pyx_capi__
    if entry.name not in table:
        return "is missing"
    return None if f'"{entry.capsule}"' in repr(table[entry.name]) else f"is {table[entry.name]!r}"


def of_class(entry: Entry, found: Any) -> str | None:
    if not inspect.isclass(found):
        return f"is no class but {found!r}"
    match = re.fullmatch(r"class bases=([\w,]+)( final)?", entry.mark)
    if match is None:
        return None
    bases = ",".join(base.__name__ for base in found.__bases__)
    if bases != match[1]:
        return f"has the bases {bases}, not {match[1]}"
    if match[2] and may_have_subclasses(found):
        return "may have subclasses"
    real = real_parameters(found)
    if entry.signature is None or " | (" in entry.signature or real is None:
        return None
    wanted = parameters(entry.signature)
    return None if real == wanted else f"takes {real}, not {wanted}"


def may_have_subclasses(found: type) -> bool:
    try:
        type("Derived", (found,), {})
    except TypeError:
        return False
    return True


def special(entry: Entry, found: Any) -> str | None:
    owner = find(entry.owner)
    if entry.value == "None":
        return None if found is None else f"is {found!r}, not None"
    holder = next((one for one in owner.__mro__ if entry.name in vars(one)), None)
    if holder is None or holder in (object, BaseException, builtins.Exception, RuntimeError):
        return "is missing"
    return None


def of_property(entry: Entry) -> str | None:
    held = static(find(entry.owner), entry.name)
    if not inspect.isdatadescriptor(held):
        return f"is no property but {held!r}"
    says, wanted = documented(held), f"{entry.name}: {entry.type}"
    if isinstance(held, property):
        # Written in Python (here) or as a function of Cython's: the type is that of the function.
        result = held.fget.__annotations__.get("return") if held.fget else None
        says = f"{entry.name}: {getattr(result, '__name__', result)}"
    return None if says == wanted else f"is documented as {says!r}, not {wanted!r}"


def of_function(entry: Entry, found: Any) -> str | None:
    assert entry.signature is not None
    if not callable(found):
        return f"is not callable but {found!r}"
    owner = find(entry.owner)
    if inspect.isclass(owner):
        held = static(owner, entry.name)
        # Cython's own kinds of methods are recognised by their names.
        kinds = {"classmethod": "classmethod" in type(held).__name__, "staticmethod": isinstance(held, staticmethod)}
        for kind, real in kinds.items():
            if (entry.mark == kind) != real:
                return f"is {'a' if real else 'no'} {kind}"
    if any(" | (" in (part or "") for part in (entry.signature, entry.result)):
        return None
    # What is written in Python has its types in annotations, which mypy's stubtest compares with the stub.
    if entry.path.startswith("MPI."):
        wanted = entry.name + tidy(entry.signature + (f" -> {entry.result}" if entry.result else ""))
        says = documented(found)
        if not same_signature(says, wanted, entry.name):
            return f"is documented as {says!r}, not {wanted}"
    real, expected = real_parameters(found), parameters(entry.signature)
    return None if real is None or real == expected else f"takes {real}, not {expected}"


def same_signature(says: str, wanted: str, name: str) -> bool:
    # A second name of a method may have the documentation of the first.
    try:
        return name + tidy(says[says.index("(") :]) == wanted
    except (SyntaxError, ValueError):
        return False
