"""Work on long texts, done beside the event loop, so that nobody else in the process waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import msgspec

T = TypeVar("T")

#: Characters that are looked through in the event loop: some hundredths of a second, where there is much to look at.
SHORT = 128 * 1024


async def aside(length: int, work: Callable[[], T]) -> T:
    """What comes of work on so many characters: at once if they are few, else by a thread.

    Whoever is cancelled meanwhile hears of it when the thread is done, so what it works with is nobody else's until then.
    """
    if length <= SHORT:
        return work()
    working = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        while not working.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([working])
        if not working.cancelled():
            working.exception()  # nobody is left to hear of it
        raise


def length_of(value: object) -> int:
    """About how many characters there are to look through in a value, or in a struct of values."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(length_of, value)) + sum(map(length_of, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(length_of, value))
    if isinstance(value, msgspec.Struct):
        return sum(length_of(getattr(value, name)) for name in value.__struct_fields__)
    return 1
