"""The part of the demo with a real model: two turns of a conversation, and a killed worker between them.

A model of 135 million parameters says odd things. That it was told of the first turn does not show in its words, but in the
log: the tokens of the second prompt are those of the first, of the answer, and more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, aclosing

from sessionry.agents.discovery import KNOWN, is_there
from sessionry.cli.demo_proof import Proof
from sessionry.cli.demo_screen import Screen
from sessionry.domain import events as ev
from sessionry.domain.events import Event
from sessionry.domain.json_values import Json
from sessionry.domain.lifecycle import RunStatus
from sessionry.domain.usage import Usage
from sessionry.runtime.handles import SessionHandle
from sessionry.runtime.results import RunResult
from sessionry.runtime.sessions import Sessions

TURNS = ("My name is Ann, and my cat is called Luna.", "Tell me something about my cat.")
_OPTIONS: dict[str, Json] = {"max_tokens": 32, "seed": 1, "temperature": 0}


class Chat:
    """Needs workers, one for each turn."""

    def __init__(
        self, sessions: Sessions, worker: Callable[[], AbstractContextManager[int]], screen: Screen, proof: Proof
    ) -> None:
        self._sessions = sessions
        self._worker = worker
        self._screen = screen
        self._proof = proof
        self._cursor = 0

    async def tell(self) -> None:
        local = KNOWN["local"]
        if not is_there(local):
            self._screen.step("model_left_out", "There is no model on this machine, so none talks here")
            self._screen.advice(local.install)
            return
        session = await self._sessions.create("local", title="Talk about Luna")
        with self._worker() as first:
            self._screen.step("model", "A real model, small and on this machine: it needs no key either", worker=first)
            one = await self._turn(session, TURNS[0])
        log = await _log(session)
        self._screen.killed(first, "between two turns", len(log))
        with self._worker() as second:
            self._screen.step(
                "model_goes_on", "Another worker loads the model, and the log is its memory", worker=second
            )
            two = await self._turn(session, TURNS[1])
        await session.complete()
        self._check(one, two, log, await _log(session))

    async def _turn(self, session: SessionHandle, prompt: str) -> RunResult:
        self._screen.asks(prompt)
        run = await session.run({"prompt": prompt, **_OPTIONS}, timeout=90)
        async with aclosing(session.events(after=self._cursor, follow=True)) as events:
            async for event in events:
                self._cursor = event.seq
                self._screen.event(event)
                if event.run_id == run.id and isinstance(event.data, ev.RUN_ENDINGS):
                    break
        return await run.result()

    def _check(self, one: RunResult, two: RunResult, before: Sequence[Event], log: Sequence[Event]) -> None:
        both = one.status is two.status is RunStatus.COMPLETED and bool(one.text) and bool(two.text)
        self._proof.check("a real model answered twice, in two processes", both)
        same = [event.to_dict() for event in log[: len(before)]] == [event.to_dict() for event in before]
        self._proof.check(f"the {len(before)} events of its first turn are unchanged", same)
        carried = [event.data.carried for event in log if isinstance(event.data, ev.ContinuityReport)]
        first, answer, second = _read(one.usage), one.usage.output_tokens, _read(two.usage)
        self._proof.check(
            f"its second prompt had {second} tokens: the {first} of the first, the {answer} of the answer, and more",
            carried == [2] and second > first + answer - 1,
        )


def _read(usage: Usage) -> int:
    """Tokens of a prompt."""
    return usage.input_tokens + usage.cache_read_tokens


async def _log(session: SessionHandle) -> list[Event]:
    events: AsyncIterator[Event] = session.events()
    return [event async for event in events]
