"""One thing in full: as JSON can hold it, and as lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from sessionry.cli.render import (
    Column,
    age,
    by_status,
    clock,
    duration,
    money,
    one_line,
    printable,
    short_ids,
    table,
    tokens,
)
from sessionry.domain.approval import ApprovalStatus
from sessionry.domain.queries import RunFilter
from sessionry.domain.transcript import text_of
from sessionry.store.operations import approvals, listing, runs, sessions

if TYPE_CHECKING:
    from datetime import datetime

    from sessionry.cli.output import Output
    from sessionry.cli.reading import Ask
    from sessionry.domain.json_values import Json
    from sessionry.domain.run import Run
    from sessionry.domain.scope import Scope

Shown = tuple[dict[str, Any], Iterable[str]]

#: How many of a session's runs are shown with it.
_RUNS = 20
#: How many characters of an output or an input are shown.
_LONG = 2000


def of_session(ask: Ask, scope: Scope, id: str, output: Output) -> Shown:
    session = ask(sessions.get(scope, id, deleted=True))
    newest = ask(listing.list_runs(scope, RunFilter(session=id), limit=_RUNS)).items
    waiting = ask(approvals.list_approvals(scope, status=[ApprovalStatus.PENDING], session_id=id)).items
    value = session.to_dict() | {
        "runs": [run.to_dict() for run in newest],
        "approvals": [approval.to_dict() for approval in waiting],
    }

    def lines() -> Iterator[str]:
        yield from _fields(
            output,
            ("session", session.id),
            ("status", "deleted" if session.deleted_at else session.status),
            ("title", session.title),
            ("agent", session.agent_id),
            ("tags", " ".join(session.tags)),
            ("cwd", session.cwd),
            ("parent", session.parent_session_id),
            ("created", _when(session.created_at)),
            ("updated", _when(session.updated_at)),
            ("metadata", compact(session.metadata)),
            ("context", compact(session.context)),
            ("slots", session.slots if session.slots > 1 else None),
        )
        if newest:
            yield ""
            yield from run_table(newest, output, session=False)
        for approval in waiting:
            yield ""
            yield f"waits for you: {one_line(approval.tool_name)} {compact(approval.tool_input)}"
            yield f"  sessionry approve {approval.id}"

    return value, lines()


def of_run(ask: Ask, scope: Scope, id: str, output: Output) -> Shown:
    run = ask(runs.get(scope, id))
    error = f"[{run.error.code}] {run.error.message}" if run.error else None
    facts = run.agent
    lines = _fields(
        output,
        ("run", run.id),
        ("session", run.session_id),
        ("status", run.status),
        ("agent", " ".join(filter(None, [run.agent_id, facts.model if facts else None]))),
        ("lacks", " ".join(run.lacking)),
        ("input", prompt(run.input)),
        ("created", _when(run.created_at)),
        ("started", _when(run.started_at)),
        ("took", took(run)),
        ("attempts", run.attempt if run.attempt > 1 else None),
        ("worker", run.worker_id),
        ("turns", run.turn_count or None),
        ("tokens", tokens(run.usage.total_tokens) if run.usage.total_tokens else None),
        ("cost", money(run.cost)),
        ("options", compact(msgspec.to_builtins(run.options))),
        ("metadata", compact(run.metadata)),
        ("cancel", compact(msgspec.to_builtins(run.cancel_request)) if run.cancel_request else None),
        ("error", error),
        ("output", outcome(run.output)),
    )
    return run.to_dict(), lines


def of_approval(ask: Ask, scope: Scope, id: str, output: Output) -> Shown:
    approval = ask(approvals.get(scope, id))
    lines = _fields(
        output,
        ("approval", approval.id),
        ("session", approval.session_id),
        ("run", approval.run_id),
        ("status", approval.status),
        ("tool", approval.tool_name),
        ("input", compact(approval.tool_input)),
        ("reason", approval.reason),
        ("asked", _when(approval.requested_at)),
        ("expires", clock(approval.expires_at) if approval.expires_at else None),
        ("decided", _when(approval.decided_at)),
        ("by", approval.decided_by),
        ("note", approval.note),
    )
    return approval.to_dict(), lines


_RUN_COLUMNS = (
    Column("RUN"),
    Column("SESSION", extra=True),
    Column("STATUS", look=by_status),
    Column("AGENT", least=8, extra=True),
    Column("INPUT", least=12),
    Column("TOOK", right=True),
    Column("TOKENS", right=True, extra=True),
    Column("COST", right=True, extra=True),
    Column("CREATED", extra=True),
)


def run_table(found: list[Run], output: Output, *, session: bool = True) -> Iterator[str]:
    """Runs as a table; without the column of their sessions unless `session`."""
    ids = short_ids([run.id for run in found])
    of = short_ids([run.session_id for run in found])
    rows = [
        (
            ids[run.id],
            of[run.session_id],
            run.status,
            run.agent_id or "",
            prompt(run.input),
            took(run) or "",
            tokens(run.usage.total_tokens) if run.usage.total_tokens else "",
            money(run.cost),
            age(run.created_at),
        )
        for run in found
    ]
    hidden = () if session else (1,)
    columns = [column for i, column in enumerate(_RUN_COLUMNS) if i not in hidden]
    shown = [[cell for i, cell in enumerate(row) if i not in hidden] for row in rows]
    yield from table(columns, shown, width=output.width, style=output.style)


def prompt(input: Json) -> str:
    """What a run was asked, as people would type it."""
    if isinstance(input, dict) and isinstance(input.get("argv"), list):
        import shlex

        return "$ " + shlex.join(map(str, input["argv"]))
    return "" if input is None else text_of(input)


def outcome(output: Json) -> str:
    """What a run gave: its text, else whatever it returned."""
    if isinstance(output, dict) and isinstance(output.get("text"), str):
        return str(output["text"])
    return compact(output) if output is not None else ""


def took(run: Run) -> str | None:
    """From start to end; so far, when it has not ended."""
    if run.started_at is None:
        return None
    if run.ended_at is not None:
        return duration((run.ended_at - run.started_at).total_seconds())
    return age(run.started_at).removesuffix(" ago")


def _when(at: datetime | None) -> str | None:
    return f"{clock(at)} ({age(at)})" if at else None


def compact(value: Json) -> str:
    """As JSON; nothing for what is empty."""
    return msgspec.json.encode(value).decode() if value not in (None, {}, []) else ""


def _fields(output: Output, *fields: tuple[str, object]) -> Iterator[str]:
    """Name and value in two columns; what is empty is left out, what is long is cut, lines are kept."""
    shown = [(name, str(value)) for name, value in fields if value not in (None, "")]
    wide = max(len(name) for name, _ in shown)
    for name, text in shown:
        text = text if len(text) <= _LONG else text[:_LONG] + " …"
        first, *rest = printable(text).split("\n")
        look = by_status(first) if name == "status" else {}
        yield output.style(f"{name:<{wide}}", dim=True) + "  " + output.style(first, **look)
        for line in rest:
            yield " " * (wide + 2) + line
