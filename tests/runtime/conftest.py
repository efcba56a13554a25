"""An open store with agents for the tests of the runtime, in memory and in a file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import sessionry
from sessionry import AgentContext, Sessions
from sessionry.agents.function import FunctionAgent
from sessionry.domain import events as ev
from sessionry.domain.usage import Usage
from sessionry.runtime.feed import Feed

from .following import Log


async def echo(context: AgentContext, message: str) -> AsyncIterator[str]:
    yield "you said "
    yield message


async def boom() -> None:
    raise ValueError("boom")


async def slow(context: AgentContext) -> AsyncIterator[Any]:
    """Counts to a hundred thousand, ten numbers a second, a turn each."""
    for number in range(100_000):
        yield str(number)
        yield ev.TurnCompleted()
        await asyncio.sleep(0.1)


async def silent() -> None:
    await asyncio.Event().wait()


async def asks(context: AgentContext, message: str) -> str:
    decision = await context.approve("delete", {"path": message}, reason="it is in the way")
    return f"{'deleted' if decision else 'kept'} by {decision.by}"


async def asks_briefly(context: AgentContext) -> str:
    decision = await context.approve("delete", {}, timeout=0.05)
    return "expired" if decision.expired else "answered"


async def listens(context: AgentContext) -> str:
    return await context.next_steering()


async def spends(context: AgentContext) -> AsyncIterator[Any]:
    yield ev.TokenUsageUpdated(usage=Usage(input_tokens=10, output_tokens=2), cost=Decimal("0.5"))
    yield "spent"


async def streams(context: AgentContext, message: str) -> AsyncIterator[Any]:
    """Says what it is asked, and how a provider sends that."""
    await context.received("test", {"delta": {"text": message}})
    yield ev.MessageStreamed(text=message, message_id="m")
    yield ev.MessageReceived(text=message, message_id="m")


AGENTS: dict[str, Any] = {
    "echo": echo,
    "boom": boom,
    "slow": slow,
    "silent": silent,
    "asks": asks,
    "asks_briefly": asks_briefly,
    "spends": spends,
    "streams": streams,
    "listens": FunctionAgent("listens", listens, capabilities=["steer"]),
}


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
async def sessions(url: str) -> AsyncIterator[Sessions]:
    async with sessionry.open(url, agents=AGENTS) as opened:
        yield opened


@pytest.fixture(params=["each by itself", "together"])
def log(request: pytest.FixtureRequest) -> Log:
    return Log(together=request.param == "together")


@pytest.fixture
async def feed(log: Log) -> AsyncIterator[Feed]:
    feed = log.feed()
    yield feed
    await feed.close()


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 60.0) -> Any:
    """The first true answer of `condition`; fails after `seconds`."""
    async with asyncio.timeout(seconds):
        while not (answer := await condition()):
            await asyncio.sleep(0.005)
    return answer


async def types_of(run: sessionry.RunHandle) -> list[str]:
    return [event.type async for event in run.events(follow=False)]
