"""From what a person types to the one thing that is meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sessionry.domain import ids
from sessionry.domain.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from sessionry.cli.reading import Ask
    from sessionry.domain.scope import Scope
    from sessionry.runtime.sessions import Sessions

KINDS = {ids.SESSION: "session", ids.RUN: "run", ids.APPROVAL: "approval"}


def find(ask: Ask, scope: Scope, text: str, *kinds: str) -> str:
    """The id that begins with `text`, of one of the kinds, the likeliest first; any kind when none is given.

    What is written without `ses_`, `run_` or `apr_` may be of any kind; of several, the likeliest counts. Raises
    `ambiguous_id`, `..._not_found`; `validation_error` when it is the id of something else.
    """
    from sessionry.store.operations import sessions

    try:
        return _wanted(ask(sessions.find(scope, text)), kinds)
    except InvalidInput as error:
        return _likeliest(error, kinds)


async def find_async(store: Sessions, text: str, *kinds: str) -> str:
    """The same in an event loop."""
    try:
        return _wanted(await store.find(text), kinds)
    except InvalidInput as error:
        return _likeliest(error, kinds)


def _likeliest(error: InvalidInput, kinds: Sequence[str]) -> str:
    """The only id of the likeliest kind that an `ambiguous_id` speaks of. Raises the error again when there is none."""
    for kind in kinds:
        of_kind = [str(id) for id in error.details.get("ids", ()) if kind_of(id) == kind]
        if len(of_kind) == 1:
            return of_kind[0]
        if of_kind:
            break
    raise error


def _wanted(id: str, kinds: Sequence[str]) -> str:
    if not kinds or kind_of(id) in kinds:
        return id
    raise InvalidInput(
        "validation_error",
        f"{id} is {_a(kind_of(id))}, and this takes {' or '.join(_a(kind) for kind in kinds)};"
        f" `sessionry show {id}` tells more",
        details={"id": id},
    )


def one_of(ids: Iterable[str], text: str, kind: str) -> str:
    """The one of these ids, all of that kind, that begins so; its prefix may be missing.

    Raises `ambiguous_id`, `..._not_found`.
    """
    found = [id for id in ids if text and id.partition("_")[2].startswith(text.removeprefix(id[:4]))]
    if not found:
        raise NotFound(f"{kind}_not_found", f"no {kind}'s id begins with {text}", details={"id": text})
    if len(found) > 1:
        raise InvalidInput("ambiguous_id", f"{text} may be {', '.join(found)}", details={"ids": found})
    return found[0]


def kind_of(id: str) -> str:
    """What the id is of. Only sessions can have ids of people's own choice."""
    return KINDS.get(id[:4], "session")


def _a(kind: str) -> str:
    return f"an {kind}" if kind == "approval" else f"a {kind}"
