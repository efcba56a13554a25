"""Commands that stay: they follow or work in an event loop, and a signal ends them in order."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from sessionry.cli.invocation import Invocation

#: The signals that ask a program to end, and the exit codes that say so.
ENDING = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}

#: Called in the loop with the signal and a function that ends the command now.
Interrupted: TypeAlias = Callable[[signal.Signals, Callable[[], None]], None]


def run_async(invocation: Invocation, work: Coroutine[Any, Any, int], *, interrupted: Interrupted | None = None) -> int:
    """Run the command to its end; its exit code. Ctrl-C, and what else asks it to end, cancels it.

    With `interrupted` it decides itself what a signal means.
    """
    gc.enable()
    gc.freeze()  # what was loaded until now stays anyway
    return asyncio.run(_run(work, interrupted or (lambda _, end: end())), debug=invocation.debug)


async def _run(work: Coroutine[Any, Any, int], interrupted: Interrupted) -> int:
    task = asyncio.create_task(work)
    codes: list[int] = []

    def end() -> None:
        task.cancel()

    def got(number: signal.Signals) -> None:
        codes.append(ENDING[number])
        interrupted(number, end)

    loop = asyncio.get_running_loop()
    # who is started with a signal ignored, by nohup for example, is to go on ignoring it
    numbers = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    for number in numbers:
        loop.add_signal_handler(number, got, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not codes:
            raise
        return codes[0]
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
