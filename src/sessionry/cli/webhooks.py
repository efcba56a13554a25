"""`sessionry webhooks`: addresses that are told of events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from sessionry.cli.identify import one_of
from sessionry.cli.invocation import Invocation, command
from sessionry.cli.render import Column, age, duration, table
from sessionry.domain.records import utc_now

if TYPE_CHECKING:
    from sessionry.domain.webhook import Webhook
    from sessionry.sync import SyncSessions, SyncWebhookHandle

_COLUMNS = (
    Column("WEBHOOK"),
    Column("URL", least=20),
    Column("TYPES", least=10, extra=True),
    Column("OWED", right=True),
    Column("DEAD", right=True),
    Column(""),
)
_NOTICE_COLUMNS = (
    Column("NOTICE"),
    Column("TYPE"),
    Column("TRIES", right=True),
    Column("MADE", extra=True),
    Column("PROBLEM", least=20),
)


@command()
@click.argument(
    "what",
    type=click.Choice(["list", "add", "rm", "enable", "disable", "pending", "dead", "retry", "replay"]),
    default="list",
)
@click.argument("name", required=False)
@click.argument("notice", required=False)
@click.option("-t", "--type", "types", metavar="TYPE", multiple=True, help="add: of these alone; may be repeated.")
@click.option("--description", metavar="TEXT", help="add: what it is for.")
@click.option("--after", type=click.IntRange(0), help="replay: after this position; else from the beginning.")
def webhooks(
    invocation: Invocation,
    what: str,
    name: str | None,
    notice: str | None,
    types: tuple[str, ...],
    description: str | None,
    after: int | None,
) -> None:
    """List, add or remove webhooks, and see to what they have not taken.

    \b
    sessionry webhooks add https://agents.example/hook --type run_failed --type person_needed
    sessionry webhooks dead whk_01a2
    sessionry webhooks retry whk_01a2
    sessionry webhooks replay whk_01a2 --after 0

    The secret that messages are signed with is printed once, when the webhook is added.
    """
    if name is None and what != "list":
        raise click.UsageError(f"say which: sessionry webhooks {what} {'URL' if what == 'add' else 'WEBHOOK'}")
    _refuse_what_is_for_others(what, name, notice, added=bool(types or description), after=after)
    with invocation.open() as sessions:
        if what == "list":
            _list(invocation, list(sessions.webhooks()))
        elif what == "add":
            _add(invocation, sessions, str(name), types, description)
        else:
            id = one_of([each.id for each in sessions.webhooks()], str(name), "webhook")
            _ACTIONS[what](invocation, sessions.webhook(id), (after or 0) if what == "replay" else notice)


def _refuse_what_is_for_others(
    what: str, name: str | None, notice: str | None, *, added: bool, after: int | None
) -> None:
    """What a word would pass over in silence. Raises `UsageError`."""
    if name is not None and what == "list":
        raise click.UsageError("a list takes no ids")
    if notice is not None and what != "retry":
        raise click.UsageError(f"only retry takes a NOTICE, not {what}")
    if added and what != "add":
        raise click.UsageError(f"--type and --description are for add, not for {what}")
    if after is not None and what != "replay":
        raise click.UsageError(f"--after is for replay, not for {what}")


def _add(
    invocation: Invocation, sessions: SyncSessions, url: str, types: tuple[str, ...], description: str | None
) -> None:
    webhook, secret = sessions.create_webhook(url, types=types, description=description)
    if invocation.output.json:
        invocation.output.object(webhook.to_dict() | {"secret": secret})
        return
    invocation.output.line(secret)
    invocation.output.note(f"{webhook.id} is told from now on; keep its secret, it is not shown again")


def _list(invocation: Invocation, found: list[Webhook]) -> None:
    output = invocation.output
    if output.json:
        for webhook in found:
            output.object(webhook.to_dict())
        return None
    if not found:
        return output.note("no webhooks; `sessionry webhooks add URL` makes one")
    rows = [(each.id, each.url, " ".join(each.types) or "all", each.pending, each.dead, _state(each)) for each in found]
    for line in table(_COLUMNS, rows, width=output.width, style=output.style):
        output.line(line)
    return None


def _state(webhook: Webhook) -> str:
    if not webhook.enabled:
        return f"disabled: {webhook.disabled_because}"
    if webhook.failing_since is None:
        return ""
    return f"failing for {duration((utc_now() - webhook.failing_since).total_seconds())}"


def _notices(invocation: Invocation, webhook: SyncWebhookHandle, status: str) -> None:
    output, cursor, rows = invocation.output, None, []
    while True:
        page = webhook.notices(status=status, limit=500, cursor=cursor)
        for each in page.items:
            if output.json:
                output.object(each.to_dict())
            rows.append((each.id, each.type, each.tries, age(each.created_at), each.problem or ""))
        cursor = page.cursor
        if cursor is None:
            break
    if output.json:
        return None
    if not rows:
        return output.note(f"nothing is {status}")
    for line in table(_NOTICE_COLUMNS, rows, width=output.width, style=output.style):
        output.line(line)
    return None


def _retry(invocation: Invocation, webhook: SyncWebhookHandle, notice: Any) -> None:
    count = webhook.retry(notice)
    if invocation.output.json:
        invocation.output.object({"notices": count})
    invocation.output.note(f"{count} {'notice is' if count == 1 else 'notices are'} tried again")


def _changed(invocation: Invocation, webhook: Webhook) -> None:
    if invocation.output.json:
        invocation.output.object(webhook.to_dict())
    else:
        invocation.output.line(webhook.id)


_ACTIONS: Mapping[str, Callable[[Invocation, SyncWebhookHandle, Any], None]] = {
    "rm": lambda invocation, webhook, _: _changed(invocation, webhook.delete()),
    "enable": lambda invocation, webhook, _: _changed(invocation, webhook.update(enabled=True)),
    "disable": lambda invocation, webhook, _: _changed(invocation, webhook.update(enabled=False)),
    "pending": lambda invocation, webhook, _: _notices(invocation, webhook, "pending"),
    "dead": lambda invocation, webhook, _: _notices(invocation, webhook, "dead"),
    "retry": _retry,
    "replay": lambda invocation, webhook, after: _changed(invocation, webhook.replay(after)),
}
