"""Commands that tell what happened and what is happening: events, watch, transcript."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from sessionry.cli.identify import find, find_async, kind_of
from sessionry.cli.invocation import Invocation, command
from sessionry.cli.options import id_argument, session_argument
from sessionry.cli.render import clock, cut, one_line, printable

if TYPE_CHECKING:
    from sessionry.cli.output import Output
    from sessionry.cli.reading import Ask
    from sessionry.domain.events import Event
    from sessionry.domain.transcript import Message
    from sessionry.runtime.sessions import Sessions

_PAGE = 500

_raw = click.option("--raw", is_flag=True, help="Show what providers really sent as well, of runs that keep it.")
_after = click.option(
    "--after",
    type=click.IntRange(1 - (1 << 53)),
    default=0,
    metavar="N",
    help="Begin after the event number N; below 0 in what a fork goes on from.",
)


@command()
@id_argument("id", ["session", "run"], required=False)
@_after
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes; Ctrl-C ends it.")
@click.option("-t", "--type", "types", metavar="TYPE", multiple=True, help="Only this type; may be repeated.")
@_raw
@click.option("-n", "--limit", type=click.IntRange(1), help="How many at most.")
def events(
    invocation: Invocation, id: str | None, after: int, follow: bool, types: Sequence[str], raw: bool, limit: int | None
) -> int:
    """Print the log of a session, a run or the whole store.

    Events of a session are numbered by `seq`, those of the whole store by `position`: the number to give to --after.
    Following a session ends when the session has ended, following a run when the run has.
    """
    from sessionry.domain.queries import known_types

    if id is None and after < 0:
        raise click.UsageError("the whole store has no events below 0; leave --after out to begin with the first one")
    names = known_types(types)
    raw = raw or bool(names)  # who asks for the type by name wants it
    printer = _printer(invocation.output, whole_store=id is None)
    if follow:
        from sessionry.cli.asynchronous import run_async

        return run_async(invocation, _follow(invocation, id, after, names, limit, printer, raw=raw))
    from sessionry.cli.reading import reading

    with reading(invocation) as ask:
        shown = (event for event in _read(invocation, ask, id, after, names) if raw or not _is_raw(event))
        for number, event in enumerate(shown, 1):
            printer(event)
            if number == limit:
                break
    return 0


def _read(invocation: Invocation, ask: Ask, id: str | None, after: int, types: Sequence[str]) -> Iterator[Event]:
    from sessionry.store.operations import reading, runs

    scope = invocation.scope
    session_id, run_id = None, None
    if id is not None:
        session_id = find(ask, scope, id, "session", "run")
        if kind_of(session_id) == "run":
            run_id, session_id = session_id, ask(runs.get(scope, session_id)).session_id
    while True:
        if session_id is None:
            page = ask(reading.all_events(scope, after=after, types=types, limit=_PAGE))
        else:
            page = ask(reading.events(scope, session_id, after=after, types=types, run_id=run_id, limit=_PAGE))
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].position if session_id is None else page[-1].seq


async def _follow(
    invocation: Invocation,
    id: str | None,
    after: int,
    types: Sequence[str],
    limit: int | None,
    show: Callable[[Event], None],
    *,
    raw: bool,
) -> int:
    from contextlib import aclosing

    async with invocation.open_async(worker=False) as sessions:
        source = await _source(sessions, id, after, types)
        number = 0
        async with aclosing(source):
            async for event in source:
                if _is_raw(event) and not raw:
                    continue
                show(event)
                invocation.output.flush()
                number += 1
                if number == limit:
                    break
    return 0


def _is_raw(event: Event) -> bool:
    """It is what a provider sent, which is not for people unless they ask for it."""
    return event.type == "frame_received"


async def _source(sessions: Sessions, id: str | None, after: int, types: Sequence[str]) -> Any:
    """The events to follow: of everything, of a session, or of a run."""
    if id is None:
        return sessions.events(after=after, types=types, follow=True)
    found = await find_async(sessions, id, "session", "run")
    if kind_of(found) == "run":
        return sessions.run(found).events(after=after, types=types)
    return sessions.session(found).events(after=after, types=types, follow=True)


def _printer(output: Output, *, whole_store: bool) -> Callable[[Event], None]:
    if output.json:
        return lambda event: output.object(event.to_dict())
    width = output.width

    def show(event: Event) -> None:
        number = event.position if whole_store else event.seq
        head = f"{number:>6}  {clock(event.at)}  "
        where = f"{event.session_id[:20]}  " if whole_store else ""
        fields = one_line(_summary(event))
        line = f"{head}{where}{event.type:<23}  {fields}".rstrip()
        if width is not None:
            line = cut(line, width)
        output.line(output.style(line[: len(head)], dim=True) + line[len(head) :])

    return show


def _summary(event: Event) -> str:
    import msgspec

    from sessionry.domain.codec import encode_payload

    fields: dict[str, Any] = msgspec.json.decode(encode_payload(event.data))
    return " ".join(f"{name}={value if isinstance(value, str) else _compact(value)}" for name, value in fields.items())


def _compact(value: object) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()


@command()
@id_argument("id", ["session", "run"])
@_after
@_raw
def watch(invocation: Invocation, id: str, after: int, raw: bool) -> int:
    """Watch a session live, from any terminal.

    Shows what was said and done so far, then what comes. Ends when the session has ended, or the run if it is given one;
    Ctrl-C ends it earlier and leaves the session alone.
    """
    from sessionry.cli.asynchronous import run_async

    return run_async(invocation, _watch(invocation, id, after, raw=raw))


async def _watch(invocation: Invocation, id: str, after: int, *, raw: bool) -> int:
    from contextlib import aclosing

    from sessionry.cli.live import LiveView, Screen

    output = invocation.output
    async with invocation.open_async(worker=False) as sessions:
        decided = await _decided(sessions)
        view = LiveView(output, Screen(output), prompts=True, decided=decided, raw=raw)
        source = await _source(sessions, id, after, ())
        async with aclosing(source):
            async for event in source:
                if not output.json:
                    view.show(event)
                elif raw or not _is_raw(event):
                    output.object(event.to_dict())
                output.flush()
    return 0


async def _decided(sessions: Sessions) -> set[str]:
    """The approvals that need no answer any more."""
    from sessionry.domain.approval import ApprovalStatus
    from sessionry.store.operations.approvals import list_approvals

    settled: list[ApprovalStatus] = [status for status in ApprovalStatus if status is not ApprovalStatus.PENDING]
    page = await sessions.execute(list_approvals(sessions.scope, status=settled, limit=1000))
    return {approval.id for approval in page.items}


@command()
@session_argument()
def transcript(invocation: Invocation, session: str) -> None:
    """Print a session's conversation.

    What was said, with each tool call beside its result. As JSON: one message a line.
    """
    import msgspec

    from sessionry.cli.reading import reading
    from sessionry.domain.transcript import TRANSCRIPT_TYPES
    from sessionry.domain.transcript import transcript as read_transcript

    with reading(invocation) as ask:
        conversation = read_transcript(_read(invocation, ask, session, 0, TRANSCRIPT_TYPES))
    for message in conversation.messages:
        if invocation.json:
            invocation.output.object(msgspec.to_builtins(message))
        else:
            _show_message(invocation.output, message)


def _show_message(output: Output, message: Message) -> None:
    from sessionry.cli.details import compact

    if message.role == "tool":
        status = "failed" if message.failed else "…" if message.open else "ok"
        line = one_line(f"{message.tool_name} {compact(message.tool_input)}")
        output.line(f"{output.style('tool', dim=True)}  {line}  {status}")
        result = message.text if message.failed else compact(message.tool_output)
        if result:
            output.line(f"      {cut(one_line(result), 200)}")
    else:
        output.line(output.style(message.role, bold=True))
        output.line(printable(message.text or "").rstrip("\n"))
    output.line()
