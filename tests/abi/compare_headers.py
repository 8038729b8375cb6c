#!/usr/bin/env python3
"""Compares the header that we ship with the one of the PyPI wheel `mpich` (5.0.2), `mpi_abi.h`.

Names and prototypes are read from the preprocessed text; values, types and layouts are printed by
a C program that is compiled once with each header. Both headers must also compile without a
warning as C99, C11 and C++.

    compare_headers.py [--mpich PATH/mpi_abi.h] [--library PATH/libmpi_abi.so.1]

Without the option the header is looked for in $OXMPI_MPICH_HEADER and .venv-peers/mpich/include. With
--library the dynamic symbols of that library are compared with the declarations too: all of them,
nothing else but OXMPI_*, and the right soname.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = ROOT / "python/mpi4py/include/mpi.h"

# In the list of the 664, absent from MPICH's header (api/README.md says why).
ONLY_OURS = {f"{p}{name}" for p in ("", "P") for name in ("MPI_Psend_init_c", "MPI_Precv_init_c")}

ENUMS = ("MPI_T_cb_safety", "MPI_T_source_order")
FIELDS = ("MPI_SOURCE", "MPI_TAG", "MPI_ERROR", "MPI_internal")


def run(*command: str | Path, text: str = "") -> str:
    done = subprocess.run([str(c) for c in command], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr[:3000]}")
    return done.stdout


class Header:
    """What one header declares."""

    def __init__(self, path: Path, work: Path) -> None:
        self.work = work / path.stem
        self.work.mkdir()
        shutil.copy(path, self.work / "mpi.h")
        include = "#include <mpi.h>\n"
        cc = ("gcc", "-I", self.work, "-E", "-P", "-x", "c", "-")
        text = re.sub(r"\s+", " ", run(*cc, text=include))
        self.functions = {
            name: (spaced(result), tuple(parameter(p) for p in params.split(",")))
            for result, name, params in re.findall(r"([\w ]+?[ *]+)\b(P?MPI_\w+)\(([^()]*)\);", text)
            if "typedef" not in result and not name.startswith(("MPIX_", "PMPIX_"))
        }
        self.typedefs = {
            name for name in re.findall(r"typedef [^;{]*?\b(MPI_\w+)\)?(?:\([^;]*\))?;|\} (?:MPI_\w+);", text) if name
        } | set(re.findall(r"\} (MPI_\w+);", text))
        macros = run("gcc", "-I", self.work, "-E", "-dM", "-x", "c", "-", text=include)
        self.constants = set(re.findall(r"^#define (MPI_\w+) \S", macros, re.M))
        for body in re.findall(r"enum \w* ?\{([^}]*)\}", text):
            self.constants |= set(re.findall(r"\b(MPI_\w+) ?=", body))
        self.constants -= {"MPI_H_ABI"}


def spaced(text: str) -> str:
    return re.sub(r"\s*\*\s*", " *", " ".join(text.split())).strip()


def parameter(text: str) -> str:
    """The type that a caller sees: no name, arrays as pointers, no const of the parameter itself."""
    text = " ".join(text.split())
    if text in ("void", "..."):
        return text
    found = re.fullmatch(r"(.*?)\b\w+((?:\[\d*\])*)", text)
    assert found, text
    base, dims = found.groups()
    if dims:
        base += "*" + dims[dims.index("]") + 1 :]
    if "*" not in base:
        base = re.sub(r"^const ", "", base)
    return spaced(base)


PROBE = r"""
#include <mpi.h>
#include <stddef.h>
#include <stdio.h>
#define TYPE(x) _Generic((x), %(cases)s, default: "other")
#define SHOW(x) printf("%%s = %%lld as %%s\n", #x, (long long)(intptr_t)(x), TYPE(x))
#define SIZE(t) printf("sizeof(%%s) = %%zu, alignment %%zu\n", #t, sizeof(t), _Alignof(t))
#define SIGN(t) printf("%%s is %%s\n", #t, (t)-1 < (t)0 ? "signed" : "unsigned")
int main(void) {
%(body)s
    return 0;
}
"""


def values(header: Header, constants: list[str], types: list[str], work: Path) -> list[str]:
    data = [t for t in types if not re.search(r"_(function|function_c|fn)$", t)]
    functions = [t for t in types if re.search(r"_function(_c)?$", t)]
    # MPI_Count is the same type as MPI_Offset, and several callback types are the same function
    # type, which _Generic refuses: one of each is enough to tell the constants apart.
    chosen = [t for t in data if t not in ("MPI_Count", "MPI_Aint", "MPI_Status", *ENUMS)]
    same = ("MPI_Copy_function", "MPI_Delete_function")
    pointers = [t for t in functions if t not in same and not t.startswith("MPI_T_")]
    cases = [f'{t}: "{t}"' for t in chosen] + [f'{t} *: "{t}"' for t in pointers]
    cases += [f'{t}: "{t}"' for t in ("int", "unsigned", "void *", "char **", "char ***", "int *", "MPI_Status *")]
    body = [f"    SHOW({name});" for name in constants]
    body += [f"    SIZE({t});" for t in data]
    body += [f"    SIGN({t});" for t in ("MPI_Aint", "MPI_Offset", "MPI_Count", *ENUMS)]
    body += [f'    printf("{f} at %zu\\n", offsetof(MPI_Status, {f}));' for f in FIELDS]
    source = work / f"{header.work.name}.c"
    source.write_text(PROBE % {"cases": ", ".join(cases), "body": "\n".join(body)})
    program = source.with_suffix(".out")
    run("gcc", "-std=c11", "-w", "-I", header.work, source, "-o", program)
    return run(program).splitlines()


def differences(ours: Header, theirs: Header, work: Path) -> list[str]:
    found = []
    for what in ("functions", "typedefs", "constants"):
        a, b = set(getattr(ours, what)), {n for n in getattr(theirs, what) if not n.startswith("MPIX")}
        found += [f"{what}: {name} only in our header" for name in sorted(a - b - ONLY_OURS)]
        found += [f"{what}: {name} missing in our header" for name in sorted(b - a)]
    for name in sorted(set(ours.functions) & set(theirs.functions)):
        if ours.functions[name] != theirs.functions[name]:
            found.append(f"{name}: ours {ours.functions[name]}, theirs {theirs.functions[name]}")
    for name in sorted(ONLY_OURS):
        if ours.functions.get(name) != ours.functions.get(name.removesuffix("_c")):
            found.append(f"{name} differs from its plain form")
    constants = sorted(ours.constants & theirs.constants)
    types = sorted(ours.typedefs & theirs.typedefs)
    for a, b in zip(values(ours, constants, types, work), values(theirs, constants, types, work), strict=True):
        if a != b:
            found.append(f"ours: {a}; theirs: {b}")
    return found


def compiles_cleanly(header: Header) -> None:
    for compiler, standard in (("gcc", "c99"), ("gcc", "c11"), ("g++", "c++98"), ("g++", "c++17")):
        language = "c++" if compiler == "g++" else "c"
        source = "#include <mpi.h>\nint main(void) { return MPI_Init(0, 0); }\n"
        warn = ("-Wall", "-Wextra", "-Werror") + (() if standard == "c++98" else ("-pedantic",))
        run(compiler, f"-std={standard}", *warn, "-fsyntax-only", "-I", header.work, "-x", language, "-", text=source)


def exports(library: Path, header: Header) -> list[str]:
    listing = run("nm", "-D", "--defined-only", library)
    symbols = {line.split()[2] for line in listing.splitlines()}
    declared = set(header.functions)
    found = [f"{library.name} lacks {name}" for name in sorted(declared - symbols)]
    found += [f"{library.name} exports {n}" for n in sorted(symbols - declared) if not n.startswith("OXMPI_")]
    if "[libmpi_abi.so.1]" not in run("readelf", "-d", library):
        found.append(f"{library.name} has another soname than libmpi_abi.so.1")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mpich", type=Path, help="mpi_abi.h of the wheel mpich")
    parser.add_argument("--library", type=Path, help="our built library")
    options = parser.parse_args()
    given = options.mpich or os.environ.get("OXMPI_MPICH_HEADER")
    path = Path(given) if given else ROOT / ".venv-peers/mpich/include/mpi_abi.h"
    if not path.is_file():
        sys.exit(f"{path}: no such file; install the wheel mpich==5.0.2 and name its include/mpi_abi.h with --mpich")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        ours, theirs = Header(OURS, work), Header(path, work)
        compiles_cleanly(ours)
        found = differences(ours, theirs, work)
        if options.library:
            found += exports(options.library, ours)
        counts = f"{len(ours.functions)} functions, {len(ours.typedefs)} types, {len(ours.constants)} constants"
    if len(ours.functions) != 2 * 664:
        found.append(f"our header declares {len(ours.functions)} functions instead of {2 * 664}")
    for line in found:
        print(line)
    print(f"{counts}: {f'{len(found)} differences' if found else 'no difference'}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
