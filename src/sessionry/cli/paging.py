"""Listings, page after page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sessionry.cli.options import stacked

if TYPE_CHECKING:
    from sessionry.cli.output import Output
    from sessionry.cli.reading import Ask
    from sessionry.domain.queries import Page
    from sessionry.ports import Operation

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

#: The largest page that a store gives at once.
_SIZE = 1000

paging: Callable[[F], F] = stacked(
    click.option("-n", "--limit", type=click.IntRange(1), default=50, show_default=True, help="How many at most."),
    click.option("--all", "everything", is_flag=True, help="As many as there are."),
)


def paged(ask: Ask, page: Callable[[int, str | None], Operation[Page[T]]], limit: int | None) -> Iterator[T]:
    """The items of a listing, at most `limit`; None: all."""
    cursor: str | None = None
    while limit is None or limit > 0:
        found = ask(page(_SIZE if limit is None else min(limit, _SIZE), cursor))
        yield from found.items
        cursor = found.cursor
        limit = None if limit is None else limit - len(found.items)
        if cursor is None:
            return


def show_listing(
    output: Output,
    ask: Ask,
    page: Callable[[int, str | None], Operation[Page[Any]]],
    limit: int | None,
    *,
    lines: Callable[[list[Any]], Iterable[str]],
    empty: str,
) -> None:
    """A listing: a JSON object for each item, or the `lines` of a table; `empty` is what people read when it is."""
    if output.json:
        for item in paged(ask, page, limit):
            output.object(item.to_dict())
        return
    found = list(paged(ask, page, None if limit is None else limit + 1))
    if not found:
        output.note(empty)
        return
    for line in lines(found[:limit]):
        output.line(line)
    if limit is not None and len(found) > limit:
        output.note("there are more; --limit or --all lists them")
