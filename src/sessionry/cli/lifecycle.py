"""Commands that change sessions, or fork one: update, fork, pause, resume, complete, fail, rm, restore, purge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from sessionry.cli.identify import find
from sessionry.cli.invocation import Invocation, command
from sessionry.cli.missing import tell_who_is_missed
from sessionry.cli.options import Json, session_argument

if TYPE_CHECKING:
    from sessionry.sync import SyncSessionHandle

Change = Callable[["SyncSessionHandle"], Any]

_reason = click.option("--reason", metavar="TEXT", help="Why; it is kept in the log.")


@command()
@session_argument()
@_reason
def pause(invocation: Invocation, session: str, reason: str | None) -> None:
    """Begin no more runs of a session for now.

    A run that is at work goes on to its end; `sessionry cancel` stops it.
    """
    _change(invocation, session, "paused", lambda handle: handle.pause(reason))


@command()
@session_argument()
def resume(invocation: Invocation, session: str) -> None:
    """Go on with the runs of a paused session."""
    _change(invocation, session, "resumed", lambda handle: handle.resume(), queues=True)


@command()
@session_argument()
def complete(invocation: Invocation, session: str) -> None:
    """End a session well.

    All its runs must have ended.
    """
    _change(invocation, session, "completed", lambda handle: handle.complete())


@command()
@session_argument()
@click.argument("message", metavar="MESSAGE...", nargs=-1, required=True)
@click.option("--keep-children", is_flag=True, help="Do not cancel the sessions below it.")
def fail(invocation: Invocation, session: str, message: Sequence[str], keep_children: bool) -> None:
    """End a session as failed.

    MESSAGE says why. Its runs are cancelled, and so are the sessions below it.
    """
    _change(invocation, session, "failed", lambda handle: handle.fail(" ".join(message), cascade=not keep_children))


@command()
@session_argument()
@click.option("--title", help="A new title; empty for none.")
@click.option("-t", "--tag", "tags", metavar="TAG", multiple=True, help="The tags, instead of all it has.")
@click.option("--add-tag", metavar="TAG", multiple=True, help="One tag more; may be repeated.")
@click.option("--remove-tag", metavar="TAG", multiple=True, help="One tag less; may be repeated.")
@click.option("--cwd", type=click.Path(exists=True, file_okay=False, resolve_path=True), help="Where its runs work.")
@click.option("--metadata", type=Json(), metavar="JSON", help="Your own data, instead of what it has.")
@click.option("--context", type=Json(), metavar="JSON", help="What agents are given, instead of what it has.")
@click.option("--slots", type=int, help="How many runs may be live at once.")
@click.option("--queue-limit", type=int, help="How many more may wait.")
@click.option("--if-version", type=int, help="Only if the session is still at this version.")
def update(
    invocation: Invocation,
    session: str,
    title: str | None,
    tags: Sequence[str],
    add_tag: Sequence[str],
    remove_tag: Sequence[str],
    if_version: int | None,
    **given: Any,
) -> None:
    """Change a session's title, tags and so on."""
    changes = {name: value for name, value in given.items() if value is not None}
    if title is not None:
        changes["title"] = title or None

    def change(handle: SyncSessionHandle) -> None:
        version = if_version
        if tags or add_tag or remove_tag:
            current = handle.get()
            kept = [tag for tag in (*(tags or current.tags), *add_tag) if tag not in remove_tag]
            changes["tags"] = kept
            version = current.version if version is None else version
        if not changes:
            raise click.UsageError("nothing to change: give --title, --tag or another option")
        handle.update(if_version=version, **changes)

    _change(invocation, session, "updated", change)


@command()
@session_argument()
@click.option("--seq", type=click.IntRange(1), help="Go on from after this event; else from the newest one.")
@click.option("--title", metavar="TEXT", help="Its title; else that of the session it goes on from.")
def fork(invocation: Invocation, session: str, seq: int | None, title: str | None) -> None:
    """Begin a new session that goes on from another one.

    \b
    sessionry fork ses_01a2 --seq 12
    sessionry run --session $(sessionry fork ses_01a2) "Try it without the cache"

    Its agents know what was said until then; the other session stays as it is. The new id is printed.
    """
    with invocation.open() as store:
        made = store.session(find(store.execute, invocation.scope, session, "session")).fork(seq, title=title)
        if invocation.json:
            invocation.output.object(made.get().to_dict())
        else:
            invocation.output.line(made.id)


@command()
@session_argument(name="sessions", nargs=-1, required=True)
@_reason
def rm(invocation: Invocation, sessions: Sequence[str], reason: str | None) -> None:
    """Hide sessions, until they are restored or purged.

    All their runs must have ended.
    """
    _change_all(invocation, sessions, "removed", lambda handle: handle.delete(reason))


@command()
@session_argument(name="sessions", nargs=-1, required=True)
def restore(invocation: Invocation, sessions: Sequence[str]) -> None:
    """Bring hidden sessions back."""
    _change_all(invocation, sessions, "restored", lambda handle: handle.restore())


@command()
@session_argument(name="sessions", nargs=-1, required=True)
def purge(invocation: Invocation, sessions: Sequence[str]) -> None:
    """Remove hidden sessions for ever.

    Nothing goes for ever in one step: `sessionry rm` comes before.
    """
    with invocation.open() as store:
        for id in [find(store.execute, invocation.scope, text, "session") for text in sessions]:
            events = store.session(id).purge()
            if invocation.json:
                invocation.output.object({"id": id, "purged": True, "events": events})
            else:
                invocation.output.line(f"purged {id} with {events} events")


def _change(invocation: Invocation, session: str, done: str, change: Change, *, queues: bool = False) -> None:
    _change_all(invocation, [session], done, change, queues=queues)


def _change_all(
    invocation: Invocation, sessions: Sequence[str], done: str, change: Change, *, queues: bool = False
) -> None:
    """Do the change to each session. All ids are looked up first: a mistyped one changes nothing."""
    with invocation.open() as store:
        for id in [find(store.execute, invocation.scope, text, "session") for text in sessions]:
            handle = store.session(id)
            change(handle)
            if invocation.json:
                invocation.output.object(handle.get(deleted=True).to_dict())
            else:
                invocation.output.line(f"{done} {id}")
                if queues:
                    tell_who_is_missed(invocation.output, store, id)
