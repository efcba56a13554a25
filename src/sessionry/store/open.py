"""From a URL to an open store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from sessionry.domain.errors import InvalidInput
from sessionry.ports import Store
from sessionry.store.address import without_password

SYNCHRONOUS = ("full", "normal", "extra")


async def open_store(url: str, *, clock: Callable[[], int] | None = None, lease: float = 15.0) -> Store:
    """The store at `url`: `sqlite:///path` (`?synchronous=normal` trades the last seconds before a power cut for speed),
    `postgresql://...`, or `memory://`. `clock` gives microseconds since 1970 UTC, for tests; PostgreSQL uses its own.
    `lease`: the lease of the workers, in seconds; on PostgreSQL a transaction that stands still is ended long before.

    Raises `invalid_configuration` for a URL that is none of these.
    """
    scheme = url.partition(":")[0].lower()
    if scheme == "memory":
        from sessionry.store.sqlite import SqliteStore

        return await SqliteStore.open(":memory:", clock=clock)
    if scheme == "sqlite":
        from sessionry.store.sqlite import SqliteStore

        path, synchronous = sqlite_location(url)
        return await SqliteStore.open(path, synchronous=synchronous, clock=clock)
    if scheme in ("postgresql", "postgres"):
        from sessionry.store.postgres import PostgresStore

        return await PostgresStore.open(url, lease)
    raise InvalidInput(
        "invalid_configuration",
        f"{without_password(url)!r} is no store URL; use sqlite:///path, postgresql://host/database or memory://",
        details={"setting": "store"},
    )


async def is_made(url: str) -> bool:
    """Whether a store is there already; nothing is made. `url` as of `open_store`."""
    scheme = url.partition(":")[0].lower()
    if scheme == "sqlite":
        return Path(sqlite_location(url)[0]).is_file()  # noqa: ASYNC240  one look, and nobody else is there yet
    if scheme in ("postgresql", "postgres"):
        from sessionry.store.postgres import PostgresStore

        return await PostgresStore.is_made(url)
    return False


def sqlite_location(url: str) -> tuple[str, str]:
    """The path and the `synchronous` mode that a `sqlite:///` URL names. Three slashes: relative; four: absolute."""
    parts = urlsplit(url)
    path = unquote(parts.path)[1:]
    if parts.netloc or not path:
        raise InvalidInput(
            "invalid_configuration",
            f"{url!r} names no file; use sqlite:///relative/path or sqlite:////absolute/path",
            details={"setting": "store"},
        )
    options = parse_qs(parts.query, keep_blank_values=True)
    synchronous = options.pop("synchronous", ["full"])[-1].lower()
    if options or parts.fragment or synchronous not in SYNCHRONOUS:
        raise InvalidInput(
            "invalid_configuration",
            f"{url!r} has an unknown option; only synchronous={'|'.join(SYNCHRONOUS)} can be set, and a path has %3F and"
            " %23 for ? and #",
            details={"setting": "store"},
        )
    return str(Path(path).expanduser()), synchronous
