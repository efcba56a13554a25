"""Forks: a session that goes on from another one knows what was said there until then, and nothing of what came later."""

from __future__ import annotations

import pytest

from sessionry import AgentContext, Sessions
from sessionry.domain.errors import InvalidInput


async def _said(sessions: Sessions, id: str, prompt: str) -> list[str]:
    """What the agent of a new run is told of the conversation before it."""
    result = await (await sessions.session(id).run(prompt)).result(timeout=60)
    assert result.text is not None
    return result.text.splitlines()


@pytest.fixture
def recalls(sessions: Sessions) -> None:
    @sessions.agent("recalls")
    async def recalls(context: AgentContext, message: str) -> str:
        conversation = await context.conversation()
        whole = [one.text for one in (await context.transcript()).messages if one.role == "user"]
        assert whole[-1] == message
        return "\n".join(one.text or "" for one in conversation.missed.messages if one.role == "user")


@pytest.mark.usefixtures("recalls")
async def test_a_fork_knows_what_was_said_before_it(sessions: Sessions) -> None:
    source = await sessions.create("recalls", title="Source")
    assert await _said(sessions, source.id, "one") == []
    assert await _said(sessions, source.id, "two") == ["one"]
    fork = await source.fork()
    assert await _said(sessions, source.id, "three, elsewhere") == ["one", "two"]
    assert await _said(sessions, fork.id, "three") == ["one", "two"]
    assert await _said(sessions, fork.id, "four") == ["one", "two", "three"]
    second = await fork.fork(title="Of a fork")
    assert (await second.get()).title == "Of a fork"
    assert await _said(sessions, second.id, "five") == ["one", "two", "three", "four"]


@pytest.mark.usefixtures("recalls")
async def test_a_fork_begins_where_it_is_told(sessions: Sessions) -> None:
    source = await sessions.create("recalls")
    await _said(sessions, source.id, "one")
    first = [event.seq async for event in source.events()][-1]
    await _said(sessions, source.id, "two")
    fork = await source.fork(first)
    assert await _said(sessions, fork.id, "other") == ["one"]
    with pytest.raises(InvalidInput, match="seq"):
        await source.fork(10_000)


@pytest.mark.usefixtures("recalls")
async def test_a_fork_of_what_was_purged_goes_on_with_what_is_left(sessions: Sessions) -> None:
    source = await sessions.create("recalls")
    await _said(sessions, source.id, "one")
    fork = await source.fork()
    await source.delete()
    assert await _said(sessions, fork.id, "two") == ["one"], "what is hidden is still there"
    await source.purge()
    assert await _said(sessions, fork.id, "three") == ["two"]
