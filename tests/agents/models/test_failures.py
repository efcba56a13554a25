"""What networks and model servers do to an answer, and what the run becomes of it."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionry.agents.models import asking
from sessionry.agents.models.failing import ModelFailed, http_error
from sessionry.agents.models.wire import decoded
from sessionry.domain import events as ev
from sessionry.domain.errors import AgentFailed, InvalidInput, SessionryError
from sessionry.domain.events import EventData
from sessionry.domain.run import ErrorInfo
from sessionry.testing.context import RecordingContext
from sessionry.testing.fakellm import ModelServer
from tests.agents.models.conftest import Making, script


async def play(agent: object, prompt: str, tmp_path: Path) -> list[EventData]:
    return await RecordingContext(prompt, cwd=tmp_path).play(agent)  # type: ignore[arg-type]


def failure_of(events: list[EventData]) -> ErrorInfo:
    assert isinstance(events[-1], ev.RunFailed), events[-1]
    return events[-1].error


def of(events: list[EventData], kind: type[EventData]) -> list[EventData]:
    return [event for event in events if isinstance(event, kind)]


async def test_a_refused_key_fails_at_once(making: Making, model_server: ModelServer, tmp_path: Path) -> None:
    error = failure_of(await play(making(), script({"error": 401, "message": "invalid x-api-key"}), tmp_path))
    assert (error.code, error.retryable, error.details["status"]) == ("auth", False, 401)
    assert len(model_server.requests) == 1


async def test_a_key_that_a_server_repeats_is_not_told_on(making: Making, tmp_path: Path) -> None:
    prompt = script({"error": 401, "message": "Incorrect API key provided: sk-secret-1234"})
    events = await play(making(api_key="sk-secret-1234"), prompt, tmp_path)
    assert failure_of(events).message == "Incorrect API key provided: ***"
    assert "sk-secret" not in str(events)


async def test_rate_limits_are_waited_for_as_long_as_the_server_says(
    making: Making, model_server: ModelServer, tmp_path: Path
) -> None:
    began = time.monotonic()
    events = await play(making(), script({"error": 429, "times": 2, "retry_after": 0.2, "text": "done"}), tmp_path)
    waits = of(events, ev.RateLimited)
    assert [wait.retry_after >= 0.2 for wait in waits] == [True, True]  # type: ignore[attr-defined]
    assert time.monotonic() - began >= 0.4
    assert isinstance(events[-1], ev.RunCompleted)
    assert events[-1].text == "done"
    assert len(of(events, ev.ErrorRecovered)) == 1
    assert len(model_server.requests) == 3


async def test_who_has_to_wait_too_long_is_told_when_to_come_again(
    making: Making, model_server: ModelServer, tmp_path: Path
) -> None:
    error = failure_of(await play(making(), script({"error": 429, "retry_after": 3600}), tmp_path))
    assert (error.code, error.retryable, error.retry_after) == ("rate_limited", True, 3600)
    assert len(model_server.requests) == 1


async def test_a_used_up_quota_is_not_tried_again(making: Making, model_server: ModelServer, tmp_path: Path) -> None:
    events = await play(making(), script({"error": 429, "code": "insufficient_quota", "message": "pay"}), tmp_path)
    assert failure_of(events).code == "quota"
    assert len(model_server.requests) == 1


async def test_a_server_that_says_not_to_try_again_is_obeyed(
    making: Making, model_server: ModelServer, tmp_path: Path
) -> None:
    error = failure_of(await play(making(), script({"error": 500, "headers": {"x-should-retry": "false"}}), tmp_path))
    assert (error.code, error.retryable) == ("overloaded", False)
    assert len(model_server.requests) == 1


async def test_a_server_that_always_fails_is_given_up(
    making: Making, model_server: ModelServer, tmp_path: Path
) -> None:
    events = await play(making(max_retries=2), script({"error": 500, "message": "broken"}), tmp_path)
    error = failure_of(events)
    assert (error.code, error.retryable, error.message) == ("overloaded", True, "broken")
    assert len(model_server.requests) == 3
    assert len(of(events, ev.RateLimited)) == 2


@pytest.mark.parametrize(
    ("status", "code"), [(400, "request_rejected"), (404, "request_rejected"), (413, "context_too_long")]
)
async def test_a_bad_request_is_not_tried_again(
    making: Making, model_server: ModelServer, tmp_path: Path, status: int, code: str
) -> None:
    assert failure_of(await play(making(), script({"error": status}), tmp_path)).code == code
    assert len(model_server.requests) == 1


async def test_a_conversation_that_is_too_long_has_its_own_code(making: Making, tmp_path: Path) -> None:
    prompt = script({"error": 400, "message": "This model's maximum context length is 128000 tokens."})
    assert failure_of(await play(making(), prompt, tmp_path)).code == "context_too_long"


async def test_a_cut_stream_is_asked_for_again_and_told_once(
    making: Making, model_server: ModelServer, tmp_path: Path
) -> None:
    prompt = script({"text": ["one ", "two ", "three"], "drop": True, "times": 2})
    events = await play(making(), prompt, tmp_path)
    pieces = [event.text for event in of(events, ev.MessageStreamed)]  # type: ignore[attr-defined]
    assert "".join(pieces) == "one two three"
    assert [event.text for event in of(events, ev.MessageReceived)] == ["one two three"]  # type: ignore[attr-defined]
    assert [event.error.code for event in of(events, ev.ErrorOccurred)] == ["agent_unavailable"] * 2  # type: ignore[attr-defined]
    assert isinstance(events[-1], ev.RunCompleted)
    assert len(model_server.requests) == 3


async def test_a_stream_that_is_always_cut_fails(making: Making, tmp_path: Path) -> None:
    error = failure_of(await play(making(max_retries=1), script({"text": ["a", "b"], "drop": True}), tmp_path))
    assert (error.code, error.retryable) == ("agent_unavailable", True)


async def test_an_error_in_the_middle_of_a_stream_is_survived(making: Making, tmp_path: Path) -> None:
    events = await play(making(), script({"text": ["a ", "b"], "sse_error": True, "times": 1}), tmp_path)
    assert isinstance(events[-1], ev.RunCompleted)
    assert len(of(events, ev.ErrorRecovered)) == 1


async def test_errors_in_the_middle_of_every_stream_fail_the_run(making: Making, tmp_path: Path) -> None:
    error = failure_of(await play(making(max_retries=1), script({"text": ["a", "b"], "sse_error": True}), tmp_path))
    assert (error.code, error.retryable) == ("overloaded", True)


@pytest.mark.parametrize("silence", ["hang", "stall"])
async def test_silence_is_bounded(making: Making, tmp_path: Path, silence: str) -> None:
    began = time.monotonic()
    agent = making(read_timeout=0.3, max_retries=1)
    error = failure_of(await play(agent, script({"text": ["a", "b"], silence: 30}), tmp_path))
    assert (error.code, error.retryable) == ("stalled", True)
    assert 0.5 < time.monotonic() - began < 5


async def test_silence_that_ends_is_survived(making: Making, tmp_path: Path) -> None:
    events = await play(making(read_timeout=2), script({"text": ["a", "b"], "hang": 30, "times": 1}), tmp_path)
    assert isinstance(events[-1], ev.RunCompleted)


async def test_nobody_at_the_address_is_told(each: Callable[[str], Making], tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    agent = each("chat")(base_url=f"http://127.0.0.1:{port}/v1", max_retries=1)
    events = await play(agent, "hello", tmp_path)
    error = failure_of(events)
    assert (error.code, error.retryable) == ("agent_unavailable", True)
    assert f"127.0.0.1:{port}" in error.message
    assert len(of(events, ev.ErrorOccurred)) == 1


async def test_a_cancelled_run_hangs_up(making: Making, model_server: ModelServer, tmp_path: Path) -> None:
    context = RecordingContext(script({"text": ["a", "b"], "stall": 60}), cwd=tmp_path)
    heard = asyncio.Event()
    playing = asyncio.create_task(context.play(making(), until=lambda _: heard.set() or False))  # type: ignore[func-returns-value]
    await asyncio.wait_for(heard.wait(), 30)
    playing.cancel()
    await asyncio.wait([playing], timeout=30)
    assert playing.cancelled()
    gone = await asyncio.to_thread(model_server.wait_for, lambda request: request.ended is not None)
    assert gone.ended == "client_gone"


# --- before anything is asked ---


async def test_a_missing_key_is_told_with_its_remedy(each: Callable[[str], Making], tmp_path: Path) -> None:
    for kind, variable in (("chat", "OPENAI_API_KEY"), ("anthropic", "ANTHROPIC_API_KEY")):
        with pytest.raises(AgentFailed, match=variable) as told:
            await play(each(kind)(base_url=None, api_key=None), "hello", tmp_path)
        assert told.value.code == "auth"


async def test_a_key_with_a_line_break_inside_is_no_key(each: Callable[[str], Making], tmp_path: Path) -> None:
    with pytest.raises(AgentFailed) as told:
        await play(each("chat")(api_key="sk-1\nsk-2"), "hello", tmp_path)
    assert told.value.code == "auth"
    assert "sk-1" not in told.value.message


@pytest.mark.parametrize("url", ["localhost:11434", "ftp://host", "http://", "http://host:port", "http://a b"])
def test_a_bad_base_url_is_refused(each: Callable[[str], Making], url: str) -> None:
    with pytest.raises(InvalidInput, match="base_url") as told:
        each("chat")(base_url=url)
    assert told.value.details["option"] == "base_url"


async def test_a_bad_base_url_of_the_environment_is_told(
    each: Callable[[str], Making], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "nowhere")
    with pytest.raises(InvalidInput, match="OPENAI_BASE_URL"):
        await play(each("chat")(base_url=None), "hello", tmp_path)


def test_a_missing_package_is_told_with_its_extra(
    each: Callable[[str], Making], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "httpx_sse", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "httpx_sse" else object())
    with pytest.raises(SessionryError, match=r"pip install 'sessionry\[models\]'") as told:
        each("chat")()
    assert told.value.code == "dependency_not_available"


async def test_pauses_grow_and_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "FIRST_PAUSE", 0.5)
    error = ErrorInfo(code="overloaded", message="x", retryable=True)
    for attempt in range(12):
        pause = asking._pause(error, attempt)
        assert pause is not None
        assert min(0.25 * 2**attempt, 8) <= pause <= min(0.5 * 2**attempt, asking.LONGEST_PAUSE)


async def test_both_timeouts_count() -> None:
    connection = asking.Connection("http://x", {}, None, connect_timeout=3, read_timeout=7, max_retries=0)
    async with asking.client(connection) as client:
        assert (client.timeout.connect, client.timeout.read) == (3, 7)


@pytest.mark.parametrize("body", [b'{"error": {"message": "Stra\xdfe"}}', b"[" * 60_000])
def test_an_error_whose_body_cannot_be_read_is_told_by_its_status(body: bytes) -> None:
    error = http_error(429, body, {"retry-after": "2"}, None).info
    assert (error.code, error.retryable, error.retry_after) == ("rate_limited", True, 2)
    assert isinstance(asking.sent("[" * 60_000), str)


def test_an_event_that_is_nested_without_end_is_no_protocol() -> None:
    with pytest.raises(ModelFailed) as told:
        decoded('{"choices":' + "[" * 60_000)
    assert told.value.info.code == "protocol"
