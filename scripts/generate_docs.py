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
from textwrap import dedent, wrap
from typing import Any, TypeVar

import click
import msgspec

from sessionry import compose, ports, settings
from sessionry.agents import entries, script
from sessionry.cli.program import program
from sessionry.domain import errors, events, fold, lifecycle, run, usage
from sessionry.runtime import handles, results, sessions, webhook_handles

ROOT = Path(__file__).resolve().parent.parent
DOCS, PACKAGE = ROOT / "docs", ROOT / "src" / "sessionry"
#: how wide the help of the command line is printed
HELP_WIDTH = 100
Status = TypeVar("Status", bound=StrEnum)


def main(words: Sequence[str]) -> int:
    pages = {name: page(name) for name in PAGES} | {name: with_parts(name) for name in PAGES_WITH_PARTS}
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
    return f"# {title}\n\n{note}\n\n{_joined(parts())}"


def with_parts(name: str) -> str:
    """A page that is written by hand, but for what stands between `<!-- name: begin ... -->` and `<!-- name: end -->`."""
    text = (DOCS / name).read_text(encoding="utf-8")
    for part, write in PARTS.items():
        marks = rf"(<!-- {part}: begin.*? -->\n).*?(<!-- {part}: end -->)"
        if match := re.search(marks, text, re.DOTALL):
            text = f"{text[: match.start()]}{match[1]}{_joined(write())}{match[2]}{text[match.end() :]}"
    return text


def _joined(paragraphs: Iterator[str]) -> str:
    return "\n\n".join(paragraphs) + "\n"


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
        waits for a person is when the decision is there. Every run gets exactly one of the events that end it, whatever
        races.
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
    yield "## What agents may say"
    said = [kind for kind in events.EVENT_TYPES.values() if kind in events.AGENT_EVENTS or kind in events.AGENT_ENDINGS]
    yield "Everything else is written by Sessionry alone, and refused when it comes from an agent."
    yield ", ".join(f"[{kind.type}](#{kind.type})" for kind in said)
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
    """The heading (`# --- words ---`) that the struct stands under in vocabulary.py."""
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


# --- settings ---------------------------------------------------------------------------------------------------------


def settings_table() -> Iterator[str]:
    yield cleandoc(
        """
        A value comes from the caller (an option of the command line, an argument of `sessionry.open`), else from the
        environment, else from `config.toml` in `$XDG_CONFIG_HOME/sessionry` (`~/.config/sessionry`), where the names are
        those of the first column, else it is the default. Empty variables count as not set.
        """
    )
    rows = ([_code(each.name), _code(each.env), each.default, each.doc] for each in settings.SETTINGS)
    yield _table(["setting", "variable", "default", "what it is"], rows)


# --- agents -----------------------------------------------------------------------------------------------------------


def agent_types() -> Iterator[str]:
    for type, name in entries.TYPES.items():
        factory = entries.imported(name)
        options = [each for each in inspect.signature(factory).parameters.values() if each.name != "id"]
        rows = [[_code(each.name), _code(each.annotation), _default_of(each)] for each in options]
        yield f"### {type}"
        yield cleandoc(factory.__doc__ or "")
        yield _table(["option", "type", "default"], rows)


def _default_of(parameter: inspect.Parameter) -> str:
    default = parameter.default
    if default is inspect.Parameter.empty:
        return "required"
    return _code(", ".join(map(str, default)) or "none" if isinstance(default, tuple) else default)


def script_steps() -> Iterator[str]:
    rows = []
    for word, step in script.STEPS.items():
        fields = [field.name if field.required else f"{field.name}?" for field in msgspec.structs.fields(step)]
        rows.append([_code(word), ", ".join(map(_code, fields)), " ".join((vars(step).get("__doc__") or "").split())])
    yield _table(["step", "fields (`?`: may be left out)", "what it does"], rows)


# --- the library ------------------------------------------------------------------------------------------------------

#: class, what its instances are called in the examples, and where they come from
LIBRARY: tuple[tuple[type[Any], str, str], ...] = (
    (sessions.Sessions, "sessions", ""),
    (handles.SessionHandle, "session", "Made by `sessions.create` and `sessions.session`."),
    (handles.RunHandle, "run", "Made by `session.run` and `sessions.run`."),
    (handles.ApprovalHandle, "approval", "Made by `sessions.approvals` and `sessions.approval`."),
    (webhook_handles.WebhookHandle, "webhook", "Made by `sessions.webhook`."),
    (results.RunResult, "result", "What `run.result` gives."),
    (ports.AgentContext, "context", ""),
)
#: for extensions and for the handles, not for callers
INTERNAL = {"acting", "execute", "submission", "of"}


def library() -> Iterator[str]:
    yield cleandoc(
        """
        The asynchronous face. The blocking one, `sessionry.open_sync()`, has the same names and needs no `async` and no
        `await`. What a call raises is a `SessionryError`; see [errors](errors.md).
        """
    )
    yield "## Opening a store"
    yield from _described(compose.open_sessions, "sessionry.open", "async with ")
    for kind, instance, origin in LIBRARY:
        yield f"## {kind.__name__}"
        yield f"{cleandoc(kind.__doc__ or '')} {origin}".strip()
        if issubclass(kind, msgspec.Struct):
            yield ", ".join(_code(name) for name in kind.__struct_fields__)
        for name, member in vars(kind).items():
            function = member.fget if isinstance(member, property) else member
            if inspect.isfunction(function) and not name.startswith("_") and name not in INTERNAL:
                word = "await " if inspect.iscoroutinefunction(function) else ""
                yield from _described(function, f"{instance}.{name}", word, attribute=isinstance(member, property))


def _described(function: Callable[..., Any], name: str, word: str, *, attribute: bool = False) -> Iterator[str]:
    """Heading, signature and docstring."""
    source = ast.parse(dedent(inspect.getsource(function))).body[0]
    assert isinstance(source, ast.FunctionDef | ast.AsyncFunctionDef)
    arguments = "" if attribute else f"({', '.join(_parameters(source.args))})"
    returns = f"-> {ast.unparse(source.returns)}" if source.returns and not word.startswith("async with") else ""
    yield f"### {name}"
    yield f"```text\n{_wrapped(f'{word}{name}{arguments} {_held(returns)}')}\n```"
    yield cleandoc(function.__doc__ or "")


def _parameters(arguments: ast.arguments) -> Iterator[str]:
    """The parameters as a person writes them, without `self`."""
    missing = [None] * (len(arguments.args) - len(arguments.defaults))
    for each, default in zip(arguments.args, (*missing, *arguments.defaults), strict=True):
        if each.arg != "self":
            yield _parameter(each, default)
    if arguments.vararg or arguments.kwonlyargs:
        yield "*" + (_parameter(arguments.vararg, None) if arguments.vararg else "")
    for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _parameter(each, default)
    if arguments.kwarg:
        yield f"**{_parameter(arguments.kwarg, None)}"


def _parameter(parameter: ast.arg, default: ast.expr | None) -> str:
    hint = f": {ast.unparse(parameter.annotation)}" if parameter.annotation else ""
    value = f" = {ast.unparse(default)}" if default else ""
    return _held(f"{parameter.arg}{hint}{value}")


_HARD_SPACE = "\N{NO-BREAK SPACE}"


def _held(text: str) -> str:
    """`text` as one word, until the signature has been wrapped."""
    return text.replace(" ", _HARD_SPACE)


def _wrapped(signature: str) -> str:
    lines = wrap(signature, 96, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace(_HARD_SPACE, " ")


# --- the command line -------------------------------------------------------------------------------------------------


def command_line() -> Iterator[str]:
    yield cleandoc(
        """
        What `sessionry --help` and the help of each command print. Exit codes are in the [table of errors](errors.md).
        """
    )
    context = click.Context(program, info_name="sessionry", terminal_width=HELP_WIDTH)
    context.help_option_names = list(program.context_settings["help_option_names"])
    yield from _help(context)


def _help(context: click.Context) -> Iterator[str]:
    """The help of a command and, one after another, of the commands under it."""
    yield f"## {context.command_path}\n\n```text\n{context.get_help()}\n```"
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None and not command.hidden:
                below = click.Context(command, info_name=name, parent=context, terminal_width=HELP_WIDTH)
                yield from _help(below)


# --- the tree of the source -------------------------------------------------------------------------------------------


def tree() -> Iterator[str]:
    yield "\n".join(["```text", "src/sessionry/", *_tree(PACKAGE, depth=1), "```"])


def _tree(folder: Path, depth: int) -> Iterator[str]:
    """One line per file that says something, folders last."""
    for path in sorted(folder.glob("*.py")):
        if line := _first_words(path):
            yield f"{'  ' * depth + path.name:<27} {line}"
    for path in sorted(folder.glob("*.sql")):
        yield f"{'  ' * depth}{path.name}"
    for path in sorted(path for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"):
        yield f"{'  ' * depth}{path.name}/"
        yield from _tree(path, depth + 1)


def _first_words(path: Path) -> str:
    """The beginning of a module's docstring, clause by clause, as far as it fits on a line."""
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    line = " ".join(doc.split("\n\n")[0].split())
    if len(line) <= 90:
        return line
    ends = [match.start() for match in re.finditer(r"(?<=\w)[:;.,] |$", line)]
    end = max((end for end in ends if end <= 86), default=ends[0])
    return f"{line[:end]} ..." if line[end:].startswith(",") else line[:end]


# --- the pages --------------------------------------------------------------------------------------------------------

#: file -> title, where it comes from, the function that yields its paragraphs
PAGES: Mapping[str, tuple[str, str, Callable[[], Iterator[str]]]] = {
    "state-machines.md": ("State machines", "domain/lifecycle.py and domain/fold.py", state_machines),
    "events.md": ("Events", "domain/vocabulary.py", event_catalogue),
    "errors.md": ("Errors", "domain/errors.py", error_codes),
    "cli.md": ("Command line", "cli/", command_line),
    "settings.md": ("Settings", "settings.py", settings_table),
    "library.md": ("Library", "compose.py, runtime/ and ports.py", library),
}
#: parts of pages, by the name of their marks
PARTS: Mapping[str, Callable[[], Iterator[str]]] = {
    "tree": tree,
    "agent types": agent_types,
    "script steps": script_steps,
}
PAGES_WITH_PARTS = ("how-it-works.md", "agents.md")

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
