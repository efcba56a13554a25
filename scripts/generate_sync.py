"""Write src/sessionry/sync.py, the blocking face of the library, from the asynchronous one.

python scripts/generate_sync.py            write it
python scripts/generate_sync.py --check    exit 1 when it differs from what would be written
"""

from __future__ import annotations

import ast
import builtins
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "sessionry"
TARGET = PACKAGE / "sync.py"

#: async class -> its module and what the blocking twin says about itself
CLASSES: Mapping[str, tuple[str, str]] = {
    "Sessions": (
        "runtime/sessions.py",
        "An open store in a scope. Made by `sessionry.open_sync`; usable from any thread until that is left.",
    ),
    "SessionHandle": (
        "runtime/handles.py",
        "A session. Every method that changes it returns the events that it appended.",
    ),
    "RunHandle": ("runtime/handles.py", "A run."),
    "ApprovalHandle": ("runtime/handles.py", "A question of an agent."),
    "WebhookHandle": ("runtime/webhook_handles.py", "A webhook: an address that is told of events."),
}
#: what the async classes have for each other, not for callers
INTERNAL = {"acting", "of", "submission"}
OPEN = "compose.py", "open_sessions"

HEAD = '''
"""The blocking face of the library: the same names, on an event loop in a thread of its own.

    with sessionry.open_sync() as sessions:
        session = sessions.create("shell")
        run = session.run({"argv": ["git", "status"]})
        for event in run.events():
            print(event.seq, event.type)

Written by scripts/generate_sync.py from runtime/sessions.py, the handles and compose.py: change those, then run
`make docs`.
"""

from __future__ import annotations
'''

BODY = '''
@contextmanager
def connect_sync(url: str | None = None, *, token: str | None = None) -> Generator[SyncSessions, None, None]:
    """The sessions of a server, as `sessionry.connect` gives them, for code without an event loop."""
    from sessionry.client import connect  # it loads an HTTP client

    with Portal() as portal, portal.entered(connect(url, token=token)) as sessions:
        yield SyncSessions(sessions, portal)


#: The open stores of this process, for handles that come out of a pickle.
_OPEN: WeakValueDictionary[tuple[str, Scope], SyncSessions] = WeakValueDictionary()


def _unpickled(kind: type[Any], id: str, url: str, scope: Scope) -> Any:
    owner = _OPEN.get((url, scope))
    if owner is None:
        raise Conflict(
            "invalid_operation", f"the store {url} is not open in this process; open it before you unpickle its handles"
        )
    return kind(owner, id)


class _Handle:
    """What all handles are: an id, and the `SyncSessions` that made it."""

    def __init__(self, owner: SyncSessions, id: str) -> None:
        self.id = id
        self._owner = owner
        self._portal = owner._portal

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[Any, ...]:
        sessions = self._owner._async
        return _unpickled, (type(self), self.id, sessions.store.url, sessions.scope)
'''

SESSIONS_INIT = """
    def __init__(self, sessions: Sessions, portal: Portal) -> None:
        self._async = sessions
        self._portal = portal
        self.scope = sessions.scope
        self.catalog = sessions.catalog
        _OPEN[sessions.store.url, sessions.scope] = self
"""

HANDLE_INIT = """
    def __init__(self, owner: SyncSessions, id: str) -> None:
        super().__init__(owner, id)
        self._async = {kind}(owner._async, id)
"""

#: names that the head and the body need, besides those of the signatures
IMPORTS = {
    "Any": "typing",
    "Conflict": "sessionry.domain.errors",
    "Generator": "collections.abc",
    "Portal": "sessionry.runtime.portal",
    "Scope": "sessionry.domain.scope",
    "TypeVar": "typing",
    "WeakValueDictionary": "weakref",
    "contextmanager": "contextlib",
    "open_sessions": "sessionry.compose",
    **{kind: "sessionry." + path.removesuffix(".py").replace("/", ".") for kind, (path, _) in CLASSES.items()},
}


def main(words: Sequence[str]) -> int:
    text = generated()
    if "--check" not in words:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.exists() and TARGET.read_text(encoding="utf-8") == text:
        return 0
    print("src/sessionry/sync.py is not what the code says; run `make docs`", file=sys.stderr)
    return 1


def generated() -> str:
    """The whole text of sync.py, formatted."""
    parts = [HEAD, *_imports(), 'T = TypeVar("T")', open_sync(), BODY, *(sync_class(kind) for kind in CLASSES)]
    text = "\n\n".join(part.strip("\n") for part in parts) + "\n"
    text = _ruff(["check", "--fix-only", "--quiet", "--select", "I"], text)
    return _ruff(["format", "--quiet"], text)


def _ruff(words: Sequence[str], text: str) -> str:
    command = [sys.executable, "-m", "ruff", *words, f"--stdin-filename={TARGET}", "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True, cwd=PACKAGE).stdout


# --- the classes and `open_sync` --------------------------------------------------------------------------------------


def sync_class(kind: str) -> str:
    """The blocking twin of an async class."""
    path, doc = CLASSES[kind]
    found = next(node for node in _tree(path).body if isinstance(node, ast.ClassDef) and node.name == kind)
    base, owner = ("", "self") if kind == "Sessions" else ("(_Handle)", "self._owner")
    parts = [
        f'class Sync{kind}{base}:\n    """{doc}"""',
        SESSIONS_INIT if kind == "Sessions" else HANDLE_INIT.format(kind=kind),
    ]
    return "\n".join(part.rstrip() + "\n" for part in [*parts, *(_method(each, owner) for each in _public(found))])


def _public(found: ast.ClassDef) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in found.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.decorator_list:
                raise SystemExit(f"{found.name}.{node.name}: teach scripts/generate_sync.py what decorators mean")
            if not node.name.startswith("_") and node.name not in INTERNAL:
                yield node


def _method(node: ast.FunctionDef | ast.AsyncFunctionDef, owner: str) -> str:
    assert node.returns is not None
    head = f"    def {node.name}({_signature(node.args)}) -> {_sync_type(node.returns)}:"
    doc = ast.get_docstring(node, clean=False)
    lines = [head, *([f'        """{doc}"""'] if doc else []), f"        {_statement(node, owner)}"]
    return "\n".join(lines)


def _statement(node: ast.FunctionDef | ast.AsyncFunctionDef, owner: str) -> str:
    """What the method does: the same call, through the portal, and handles made blocking."""
    assert node.returns is not None
    returned = ast.unparse(node.returns)
    given = ", ".join([f"self._async.{node.name}", *_passed(node.args)])
    if returned.startswith("AsyncGenerator["):
        return f"return self._portal.iterate({given})"
    if isinstance(node, ast.FunctionDef):
        call = f"self._async.{node.name}({', '.join(_passed(node.args))})"
    else:
        call = f"self._portal.call({given})"
    handle = next((kind for kind in CLASSES if kind != "Sessions" and kind in returned), None)
    if handle is None:
        return f"return {call}" if returned != "None" else call
    if returned == handle:
        return f"return Sync{handle}({owner}, {call}.id)"
    return f"return [Sync{handle}({owner}, handle.id) for handle in {call}]"


def open_sync() -> str:
    path, name = OPEN
    node = next(each for each in _tree(path).body if isinstance(each, ast.AsyncFunctionDef) and each.name == name)
    doc = (ast.get_docstring(node, clean=False) or "").rstrip()
    return f'''
@contextmanager
def open_sync({_signature(node.args, method=False)}) -> Generator[SyncSessions, None, None]:
    """{doc}

    All of it works on an event loop in a thread of its own. Raises `invalid_operation` where an event loop runs already.
    """
    opening = open_sessions({", ".join(_passed(node.args, method=False))})
    with Portal() as portal, portal.entered(opening) as sessions:
        blocking = SyncSessions(sessions, portal)
        yield blocking
'''


# --- signatures -------------------------------------------------------------------------------------------------------


def _signature(arguments: ast.arguments, *, method: bool = True) -> str:
    parts = ["self"] if method else []
    positional = arguments.args[1:] if method else arguments.args
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    parts += [_argument(each, default) for each, default in zip(positional, defaults, strict=True)]
    if arguments.kwonlyargs:
        parts += ["*", *map(_argument, arguments.kwonlyargs, arguments.kw_defaults)]
    if arguments.kwarg is not None:
        parts.append(f"**{_argument(arguments.kwarg, None)}")
    return ", ".join(parts)


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    assert argument.annotation is not None
    text = f"{argument.arg}: {_sync_type(argument.annotation)}"
    return text if default is None else f"{text} = {ast.unparse(default)}"


def _passed(arguments: ast.arguments, *, method: bool = True) -> list[str]:
    """The arguments as they are handed on to the async method; a blocking handle as its id."""
    positional = [each.arg for each in (arguments.args[1:] if method else arguments.args)]
    keywords = [f"{each.arg}={_value(each)}" for each in arguments.kwonlyargs]
    return [*positional, *keywords, *([f"**{arguments.kwarg.arg}"] if arguments.kwarg else [])]


def _value(argument: ast.arg) -> str:
    assert argument.annotation is not None
    text = ast.unparse(argument.annotation)
    name, kind = argument.arg, next((kind for kind in CLASSES if kind in text), None)
    return name if kind is None else f"{name}.id if isinstance({name}, Sync{kind}) else {name}"


def _sync_type(annotation: ast.expr) -> str:
    """The annotation with blocking handles and generators instead of the others."""
    return ast.unparse(_Twins().visit(ast.parse(ast.unparse(annotation), mode="eval").body))


class _Twins(ast.NodeTransformer):
    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(f"Sync{node.id}") if node.id in CLASSES else node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        if ast.unparse(node.value) == "AsyncGenerator":
            assert isinstance(node.slice, ast.Tuple)
            return ast.parse(f"Generator[{ast.unparse(self.visit(node.slice.elts[0]))}, None, None]", mode="eval").body
        self.generic_visit(node)
        return node


# --- imports ----------------------------------------------------------------------------------------------------------


def _imports() -> Iterator[str]:
    """Imports of every name that a signature uses, from where the async modules have it."""
    homes: dict[str, str] = {}
    for path in dict.fromkeys([OPEN[0], *(path for path, _ in CLASSES.values())]):
        homes |= _homes(path)
    homes |= IMPORTS
    for name in sorted((_used_names() | IMPORTS.keys()) - set(dir(builtins)) - {"T"}):
        home = homes[name]
        yield f"import {name}" if home == "" else f"from {home} import {name}"


def _homes(path: str) -> dict[str, str]:
    """Where each name at the top of a module comes from; "" for a module."""
    own = "sessionry." + path.removesuffix(".py").replace("/", ".")
    homes: dict[str, str] = {}
    for node in _tree(path).body:
        if isinstance(node, ast.ImportFrom):
            homes |= {alias.asname or alias.name: node.module or "" for alias in node.names}
        elif isinstance(node, ast.Import):
            homes |= {alias.name: "" for alias in node.names}
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            homes[node.targets[0].id] = own
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            homes[node.target.id] = own
    return homes


def _used_names() -> set[str]:
    tree = ast.parse("\n\n".join([open_sync().strip(), *map(sync_class, CLASSES)]))
    signatures = [node for node in ast.walk(tree) if isinstance(node, ast.arguments | ast.FunctionDef)]
    parts = [part for node in signatures for part in ([node.returns] if isinstance(node, ast.FunctionDef) else [node])]
    names = {each.id for part in parts if part for each in ast.walk(part) if isinstance(each, ast.Name)}
    return {name for name in names if not name.startswith("Sync")}


def _tree(path: str) -> ast.Module:
    return ast.parse((PACKAGE / path).read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
