"""Imports go only down, in a circle never, and the command line starts without what it may not need."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "sessionry"

#: From the ground up. Neighbours on one floor do not know each other.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("domain",),
    ("ports",),
    ("settings",),
    ("store",),
    ("agents", "dispatch"),
    ("runtime",),
    ("compose",),
    ("client",),
    ("sync", "integrations"),
    ("server",),
    ("cli",),
    ("__main__",),
)
SURFACES = {"cli", "server", "__main__"}
FACE, TESTING = "sessionry", "testing"
HEIGHT = {name: height for height, floor in enumerate(FLOORS) for name in floor}
#: Slow to import; only what draws, connects or parses needs them.
HEAVY = ("rich", "psycopg", "psycopg_pool", "yaml", "psutil", "httpx", "litestar", "anyio", "hypothesis", "pytest")


class Import(NamedTuple):
    """One module of the package imports another one; `lazy` when inside a function."""

    importer: str
    imported: str
    line: int
    lazy: bool

    def __str__(self) -> str:
        return f"{self.importer}, line {self.line}, imports {self.imported}"


@cache
def modules() -> dict[str, Path]:
    """Every module of the package, by its dotted name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports() -> tuple[Import, ...]:
    return tuple(found for name, path in modules().items() for found in _imports_of(name, path))


def _imports_of(module: str, path: Path) -> Iterator[Import]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node, lazy in _nodes(ast.parse(path.read_text(encoding="utf-8")), lazy=False):
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            targets = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in modules() else base for alias in node.names]
        for target in targets:
            if target in modules() and target != module:
                yield Import(module, target, node.lineno, lazy)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parents = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*parents, *([node.module] if node.module else [])])


def _nodes(node: ast.AST, lazy: bool) -> Iterator[tuple[ast.stmt, bool]]:
    """All statements but those that only type checkers see, each with whether it runs later than the module does."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(child, ast.stmt):
            yield child, lazy
        yield from _nodes(child, lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


def floor_name(module: str) -> str:
    """`domain` for `sessionry.domain.run`; `sessionry` for the public face."""
    return module.split(".")[1] if "." in module else module


def test_every_module_has_a_floor() -> None:
    homeless = {name for name in map(floor_name, modules()) if name not in HEIGHT and name not in (FACE, TESTING)}
    assert not homeless


def test_imports_go_only_down() -> None:
    wrong = [
        str(found)
        for found in imports()
        if (above := floor_name(found.importer)) in HEIGHT
        and (below := floor_name(found.imported)) in HEIGHT
        and above != below
        and HEIGHT[below] >= HEIGHT[above]
    ]
    assert not wrong


def test_nobody_inside_imports_the_public_face() -> None:
    assert not [str(found) for found in imports() if found.imported == FACE and floor_name(found.importer) != FACE]


def test_nobody_inside_imports_the_test_kit_which_leaves_the_surfaces_alone() -> None:
    wrong = [
        str(found)
        for found in imports()
        if (floor_name(found.imported) == TESTING and floor_name(found.importer) != TESTING)
        or (floor_name(found.importer) == TESTING and floor_name(found.imported) in SURFACES)
    ]
    assert not wrong


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for found in imports():
        if not found.lazy:
            graph[found.importer].add(found.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_this_test_sees_an_import_in_every_place(tmp_path: Path) -> None:
    path = tmp_path / "probe.py"
    path.write_text(
        "import sessionry.ports\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from sessionry.domain import ids\n"
        "try:\n    from sessionry.domain import run\nexcept ImportError:\n    pass\n"
        "def later():\n    from ..domain.events import Event\n"
    )
    found = {(each.imported, each.lazy) for each in _imports_of("sessionry.store.probe", path)}
    assert found == {("sessionry.ports", False), ("sessionry.domain.run", False), ("sessionry.domain.events", True)}


@pytest.mark.parametrize("module", ["sessionry", "sessionry.cli.program"])
def test_starting_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []
