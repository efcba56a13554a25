"""Write the pages of docs/ that the code itself describes, so that they cannot go stale.

python scripts/generate_docs.py            write them
python scripts/generate_docs.py --check    exit 1 and name the pages that differ from what would be written
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from inspect import cleandoc
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from sessionry.domain import errors, events, fold, lifecycle, run, usage

ROOT = Path(__file__).resolve().parent.parent
DOCS, PACKAGE = ROOT / "docs", ROOT / "src" / "sessionry"
Status = TypeVar("Status", bound=StrEnum)


def main(words: Sequence[str]) -> int:
    pages = {name: page(name) for name in PAGES} | {"how-it-works.md": with_tree("how-it-works.md")}
    if "--check" not in words:
        for name, text in pages.items():
            (DOCS / name).write_text(text, encoding="utf-8")
        return 0
    stale = [name for name, text in pages.items() if _committed(name) != text]
    for name in stale:
        print(f"docs/{name} is not what the code says; run `make docs`", file=sys.stderr)
    return 1 if stale else 0


def page(name: str) -> str:
    """The whole text of one generated page."""
    title, source, parts = PAGES[name]
    note = f"<!-- Written by scripts/generate_docs.py from {source}: change that, then run `make docs`. -->"
    return "\n\n".join([f"# {title}", note, *parts()]) + "\n"


def _committed(name: str) -> str | None:
    path = DOCS / name
    return path.read_text(encoding="utf-8") if path.exists() else None


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _code(text: object) -> str:
    return f"`{text}`"


# --- state machines ---------------------------------------------------------------------------------------------------


def state_machines() -> Iterator[str]:
    yield cleandoc(
        """
        A status is never set by hand: it follows from the events, and these tables say which one may follow which.
        A change that is not in them is refused with `invalid_transition` and changes nothing.
        """
    )
    yield "## Session"
    yield from _machine(lifecycle.SESSION_TRANSITIONS, fold._SESSION_STATUS)
    yield "## Run"
    yield from _machine(lifecycle.RUN_TRANSITIONS, fold._RUN_STATUS)
    yield cleandoc(
        """
        A run that is `running` or `waiting` is *live*: it holds a slot of its session. It goes back to `pending` when its
        worker was lost and it is to be attempted again (see [takeover](concepts.md#crashes-and-takeover)), which a run that
        waits for a person is when the decision is there. Every run gets exactly one of the events that end it, whatever races.
        """
    )


def _machine(table: Mapping[Status, frozenset[Status]], causes: Mapping[type[Any], Status]) -> Iterator[str]:
    """The diagram, the table, and the events that move it."""
    arrows = [f"    [*] --> {next(iter(table))}"]
    rows = []
    for status, ways in table.items():
        after = [way for way in table if way in ways]
        arrows += [f"    {status} --> {way}" for way in after] or [f"    {status} --> [*]"]
        rows.append([_code(status), ", ".join(map(_code, after)) or "(nothing: it has ended)"])
    yield "\n".join(["```mermaid", "stateDiagram-v2", *arrows, "```"])
    yield _table(["status", "may become"], rows)
    yield _table(["event", "leads to"], [[_code(kind.type), _code(status)] for kind, status in causes.items()])


# --- events -----------------------------------------------------------------------------------------------------------


def event_catalogue() -> Iterator[str]:
    yield cleandoc(
        """
        Everything that happens is one of these events, appended to the log of its session and never changed. The payload
        is what `event.data` holds in Python and what `data` holds in JSON; fields that have their default are left out of
        the JSON. Times of day are RFC 3339 strings in UTC, durations are seconds, amounts of money are decimal strings.
        """
    )
    yield "## The envelope"
    yield from _struct(events.Event, skip=("data",))
    yield "In JSON the envelope has `type` and `data` besides."
    for group, kinds in groupby(events.EVENT_TYPES.values(), key=_group_of):
        yield f"## {group[:1].upper()}{group[1:]}"
        for kind in kinds:
            yield f"### {kind.type}"
            yield from _struct(kind)
    yield "## Parts of payloads"
    for part in (run.ErrorInfo, run.RunOptions, run.AgentFacts, usage.Usage):
        yield f"### {part.__name__}"
        yield from _struct(part)


def _group_of(kind: type[Any]) -> str:
    """The heading (`# --- words ---`) that the struct stands under in events.py."""
    lines, _ = inspect.findsource(kind)
    above = lines[: inspect.getsourcelines(kind)[1]]
    return next(m[1] for line in reversed(above) if (m := re.match(r"# --- (.+?) -+$", line)))


def _struct(kind: type[msgspec.Struct], skip: Sequence[str] = ()) -> Iterator[str]:
    if doc := vars(kind).get("__doc__"):
        yield cleandoc(doc)
    fields = [field for field in msgspec.structs.fields(kind) if field.name not in skip]
    rows = [[_code(field.name), _code(_hint(kind, field.name)), _default(field)] for field in fields]
    yield _table(["field", "type", "default"], rows) if rows else "No fields."


def _hint(kind: type[Any], name: str) -> str:
    """The annotation as it is written, without what only Python needs to know."""
    hint = next(vars(base)["__annotations__"][name] for base in kind.__mro__ if name in vars(base)["__annotations__"])
    return re.sub(r" \| msgspec\.UnsetType|\bmsgspec\.", "", hint)


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if default is msgspec.UNSET:
        return "as it was"
    if isinstance(default, msgspec.Struct):
        return "all defaults"
    return _code("null" if default is None else msgspec.json.encode(default).decode())


# --- errors -----------------------------------------------------------------------------------------------------------


def error_codes() -> Iterator[str]:
    tree = cleandoc(errors.__doc__ or "")
    drawing = "\n".join(line[4:] for line in tree.splitlines() if line.startswith("    "))
    yield cleandoc(
        """
        Every error is a `SessionryError` with a `code`, a `message` of one sentence, `details` that JSON can hold, and
        `retryable`: whether the same request may succeed later without a change. The class says what a caller can do,
        the code says exactly what happened.
        """
    )
    yield f"```text\n{drawing}\n```"
    yield cleandoc(
        """
        From this table follow the HTTP status and the exit code of the command line. Exit codes: 0 done, 1 failed, 2 wrong
        usage or input, 3 cancelled, 4 timeout, 5 not found, 6 conflict, 7 store or environment, 130 interrupted.
        """
    )
    rows = (
        [_code(code), what.category, "yes" if what.retryable else "", str(what.http_status), str(what.exit_code)]
        for code, what in errors.CODES.items()
    )
    yield _table(["code", "category", "retryable", "HTTP", "exit code"], rows)


# --- the tree of the source -------------------------------------------------------------------------------------------


def with_tree(name: str) -> str:
    """A page that is written by hand, but for the tree between its two marks."""
    text = (DOCS / name).read_text(encoding="utf-8")
    tree = "\n".join(["```text", "src/sessionry/", *_tree(PACKAGE, depth=1), "```"])
    return re.sub(r"(<!-- tree: begin.*? -->\n).*?(<!-- tree: end -->)", rf"\1{tree}\n\2", text, flags=re.DOTALL)


def _tree(folder: Path, depth: int) -> Iterator[str]:
    """One line per file that says something, folders last."""
    for path in sorted(folder.glob("*.py")):
        if line := _first_words(path):
            yield f"{'  ' * depth + path.name:<28}{line}"
    for path in sorted(folder.glob("*.sql")):
        yield f"{'  ' * depth}{path.name}"
    for path in sorted(path for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"):
        yield f"{'  ' * depth}{path.name}/"
        yield from _tree(path, depth + 1)


def _first_words(path: Path) -> str:
    """The beginning of a module's docstring, as far as it fits on a line."""
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    line = " ".join(doc.split("\n\n")[0].split())
    return line if len(line) <= 90 else re.split(r"(?<=\w)[:;.,] ", line)[0]


# --- the pages --------------------------------------------------------------------------------------------------------

#: file -> title, where it comes from, the function that yields its paragraphs
PAGES: Mapping[str, tuple[str, str, Callable[[], Iterator[str]]]] = {
    "state-machines.md": ("State machines", "domain/lifecycle.py and domain/fold.py", state_machines),
    "events.md": ("Events", "domain/events.py", event_catalogue),
    "errors.md": ("Errors", "domain/errors.py", error_codes),
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
