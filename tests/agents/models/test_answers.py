"""What a run is made of: words, reasoning, tools, turns, output, and the conversation that goes on over runs."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sessionry import RunStatus
from sessionry.domain import events as ev
from sessionry.domain.errors import InvalidInput, SessionryError
from sessionry.domain.events import EventData
from sessionry.domain.run import CancelMode, Continuation
from sessionry.domain.usage import Usage
from sessionry.ports import Decision
from sessionry.testing.context import Question, RecordingContext
from sessionry.testing.fakellm import ModelServer
from sessionry.testing.fakellm.received import Received
from tests.agents.models.conftest import Golden, Making, OpenSessions, script
from tests.agents.models.host_tools import add, deploy, hang, until_cancelled, write
from tests.agents.models.streams import raw_server, sse

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class City(msgspec.Struct):
    name: str
    people: int


def completed(events: list[EventData]) -> ev.RunCompleted:
    assert isinstance(events[-1], ev.RunCompleted), events[-1]
    return events[-1]


def failed(events: list[EventData]) -> str:
    assert isinstance(events[-1], ev.RunFailed), events[-1]
    return events[-1].error.code


def messages_of(request: Received) -> list[Any]:
    found: list[Any] = request.body.get("messages") or request.body["input"]
    return found


# --- one run ---


async def test_a_whole_run_is_in_the_log(making: Making, golden: Golden, tmp_path: Path) -> None:
    prompt = script(
        {
            "text": "I write it. ",
            "thinking": "a file, then",
            "tools": [{"name": "write", "input": {"path": "a.txt", "content": "hello"}}],
            "usage": {"input": 900, "output": 60, "cache_read": 400, "cache_write": 100, "reasoning": 20},
        },
        {"text": "Done: {last_tool}"},
    )
    context = RecordingContext(prompt, cwd=tmp_path)
    events = await context.play(making(tools=[write]))
    assert (tmp_path / "a.txt").read_text() == "hello"
    assert completed(events).text == "Done: a.txt has 5 characters"
    kind = "anthropic/messages" if making.kind == "anthropic" else f"openai/{making.kind}"
    golden(f"{kind}-whole", events, {context.run.id[4:]: "<run>", context.run.id[-20:]: "<end of run>"})


async def test_a_failed_run_is_in_the_log(making: Making, golden: Golden, tmp_path: Path) -> None:
    events = await RecordingContext(script({"error": 401}), cwd=tmp_path).play(making())
    kind = "anthropic/messages" if making.kind == "anthropic" else f"openai/{making.kind}"
    golden(f"{kind}-401", events)


async def test_words_and_thoughts_come_in_pieces_and_whole(making: Making, tmp_path: Path) -> None:
    context = RecordingContext(script({"text": ["Hel", "lo"], "thinking": "a greeting"}), cwd=tmp_path)
    await context.play(making())
    assert [piece.text for piece in context.data(ev.MessageStreamed)] == ["Hel", "lo"]
    assert [whole.text for whole in context.data(ev.MessageReceived)] == ["Hello"]
    assert "".join(piece.text for piece in context.data(ev.ReasoningStreamed)) == "a greeting"
    assert [whole.text for whole in context.data(ev.ReasoningReceived)] == ["a greeting"]


async def test_tokens_are_counted_in_buckets_and_priced(making: Making, tmp_path: Path) -> None:
    usage = {"input": 1000, "output": 200, "cache_read": 5000, "cache_write": 300, "reasoning": 50}
    context = RecordingContext(script({"text": "hi", "usage": usage}), cwd=tmp_path)
    await context.play(making())
    (told,) = context.data(ev.TokenUsageUpdated)
    assert told.usage == Usage(
        input_tokens=1000, output_tokens=200, cache_read_tokens=5000, cache_write_tokens=300,
        reasoning_tokens=told.usage.reasoning_tokens,
    )  # fmt: skip
    assert told.usage.reasoning_tokens in ((50,) if making.kind != "anthropic" else (0, 50))
    assert told.cost is not None
    assert told.cost > Decimal("0.003")


async def test_a_price_that_nobody_knows_is_unknown(making: Making, tmp_path: Path) -> None:
    for options in ({"provider": None}, {"model": "home-made"}):
        context = RecordingContext("hello", cwd=tmp_path)
        await context.play(making(**options))
        (told,) = context.data(ev.TokenUsageUpdated)
        assert (told.cost, bool(told.usage)) == (None, True)


async def test_tokens_of_an_answer_that_was_cut_count_too(each: Callable[[str], Making], tmp_path: Path) -> None:
    prompt = script({"text": ["a", "b"], "drop": True, "times": 1, "usage": {"input": 70, "output": 9}})
    context = RecordingContext(prompt, cwd=tmp_path)
    await context.play(each("anthropic")())
    assert [told.usage.input_tokens for told in context.data(ev.TokenUsageUpdated)] == [70, 70]


# --- how it ends ---


@pytest.fixture(params=["chat", "responses", "anthropic"])
def ending(request: pytest.FixtureRequest, each: Callable[[str], Making], tmp_path: Path) -> Any:
    """Plays an agent whose only answer ends for that reason."""

    async def play(reason: str, step: dict[str, Any], **options: Any) -> list[EventData]:
        words = {
            "chat": {"length": "length", "refusal": "content_filter"},
            "anthropic": {"length": "max_tokens", "refusal": "refusal"},
        }
        if request.param in words:
            prompt = script({**step, "stop": words[request.param][reason]})
            return await RecordingContext(prompt, cwd=tmp_path).play(each(request.param)(**options))
        why = {"length": "max_output_tokens", "refusal": "content_filter"}[reason]
        async with raw_server(incomplete(step, why)) as server:
            agent = each("responses")(base_url=server.url, **options)
            return await RecordingContext("go", cwd=tmp_path).play(agent)

    return play


def incomplete(step: dict[str, Any], reason: str) -> bytes:
    """A response that the API did not bring to its end."""
    content = [{"type": "output_text", "text": step.get("text", "")}]
    items: list[dict[str, Any]] = [{"type": "message", "role": "assistant", "content": content}]
    cut = {"type": "function_call", "call_id": "c", "arguments": '{"path":'}
    items += [{**cut, "name": call["name"]} for call in step.get("tools", ())]
    response = {"status": "incomplete", "incomplete_details": {"reason": reason}, "output": items}
    return sse({"type": "response.incomplete", "response": response})


async def test_an_answer_that_is_cut_off_at_the_limit_says_so(ending: Any) -> None:
    end = completed(await ending("length", {"text": "half"}))
    assert (end.text, end.stop_reason) == ("half", "length")


async def test_a_call_that_is_cut_off_is_not_made(ending: Any, tmp_path: Path) -> None:
    call = {"name": "write", "input": {"path": "x", "content": "y"}}
    assert failed(await ending("length", {"tools": [call]}, tools=[write])) == "limit_reached"
    assert not (tmp_path / "x").exists()


async def test_a_model_that_declines_fails_the_run_as_refused(ending: Any) -> None:
    assert failed(await ending("refusal", {"text": "I won't."})) == "refused"


async def test_turns_are_limited(making: Making, model_server: ModelServer, tmp_path: Path) -> None:
    call = {"tools": [{"name": "add", "input": {"a": 1}}]}
    context = RecordingContext(script(call, call, call, {"text": "end"}), cwd=tmp_path)
    events = await context.play(making(tools=[add], max_turns=2))
    assert failed(events) == "limit_reached"
    assert len(model_server.requests) == 2
    assert len(context.data(ev.ToolCallStarted)) == 1, "the call of the last turn would be for nothing"


# --- output of a schema ---


async def test_output_of_a_schema_is_the_output_of_the_run(making: Making, tmp_path: Path) -> None:
    agent = making(output_schema=f"{__name__}:City")
    events = await RecordingContext(script({"json": {"name": "Oslo", "people": 7}}), cwd=tmp_path).play(agent)
    assert completed(events).output == {"name": "Oslo", "people": 7}


async def test_a_wrong_output_goes_back_to_the_model(making: Making, model_server: ModelServer, tmp_path: Path) -> None:
    model_server.script("default", [{"json": {"name": "Oslo", "people": 7}}])
    agent = making(output_schema=f"{__name__}:City")
    context = RecordingContext(script({"json": {"name": "Oslo", "people": "many"}}), cwd=tmp_path)
    assert completed(await context.play(agent)).output == {"name": "Oslo", "people": 7}
    assert "Expected `int`, got `str`" in str(messages_of(model_server.requests[1])[-1])


async def test_output_that_stays_wrong_fails_the_run(making: Making, model_server: ModelServer, tmp_path: Path) -> None:
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    agent = making(output_schema=schema, output_retries=1)
    events = await RecordingContext("say it", cwd=tmp_path).play(agent)
    assert failed(events) == "agent_failed"
    assert len(model_server.requests) == 2


async def test_output_that_is_no_object_is_wrapped_on_its_way(
    making: Making, model_server: ModelServer, tmp_path: Path
) -> None:
    agent = making(output_schema={"type": "array", "items": {"type": "integer"}})
    events = await RecordingContext(script({"json": {"value": [1, 2]}}), cwd=tmp_path).play(agent)
    assert completed(events).output == [1, 2]


# --- people ---


async def test_what_a_person_says_meanwhile_comes_before_the_next_turn(
    making: Making, model_server: ModelServer, tmp_path: Path
) -> None:
    (tmp_path / "go").touch()
    context = RecordingContext(script({"tools": [{"name": "hang"}]}, {"text": "first"}), cwd=tmp_path)

    def steer(event: EventData) -> bool:
        if isinstance(event, ev.ToolCallStarted):
            context.say("use pytest")
        return False

    events = await context.play(making(tools=[hang]), until=steer)
    assert completed(events).text == "echo: use pytest"
    assert "use pytest" in str(messages_of(model_server.requests[1])[-1])


async def test_what_a_person_says_during_the_last_turn_makes_another_one(
    making: Making, model_server: ModelServer, tmp_path: Path
) -> None:
    context = RecordingContext(script({"text": ["one ", "two"]}), cwd=tmp_path)

    def steer(event: EventData) -> bool:
        if isinstance(event, ev.MessageStreamed) and event.text == "one ":
            context.say("and three?")
        return False

    assert completed(await context.play(making(), until=steer)).text == "echo: and three?"
    assert len(model_server.requests) == 2


async def test_a_run_can_be_cancelled_after_a_turn(
    making: Making, sessions: OpenSessions, model_server: ModelServer, tmp_path: Path
) -> None:
    call = {"tools": [{"name": "until_cancelled"}]}
    async with sessions({"model": making(tools=[until_cancelled])}) as opened:
        session = await opened.create("model", cwd=str(tmp_path))
        run = await session.run(script(call, {"text": "never said"}))
        async for event in run.events():
            if event.type == "tool_call_started":
                await run.cancel(mode=CancelMode.AFTER_TURN)
        assert (await run.result()).status is RunStatus.CANCELLED
    assert len(model_server.requests) == 1, "it was not asked again"


async def test_a_deadline_ends_a_run_and_its_stream(
    making: Making, sessions: OpenSessions, model_server: ModelServer
) -> None:
    async with sessions({"model": making()}) as opened:
        session = await opened.create("model")
        await (await session.run("hello")).result()  # what is loaded for the first one takes no time of the second
        run = await session.run(script({"text": ["a", "b"], "stall": 60}), timeout=4)
        assert (await run.result()).status is RunStatus.TIMEOUT
        await asyncio.to_thread(model_server.wait_for, lambda request: request.ended == "client_gone")


# --- conversations ---


async def test_a_conversation_goes_on_over_runs_and_processes(
    making: Making, sessions: OpenSessions, model_server: ModelServer
) -> None:
    agent = making(tools=[add])
    async with sessions({"model": agent}) as opened:
        session = await opened.create("model")
        prompt = script({"text": "I add. ", "tools": [{"name": "add", "input": {"a": 4}}]}, {"text": "five"})
        assert (await (await session.run(prompt)).result()).text == "five"
    async with sessions({"model": agent}) as opened:
        run = await opened.session(session.id).run("and now?")
        assert (await run.result()).text == "echo: and now?"
        reports = [event.data async for event in run.events(follow=False) if event.type == "continuity_report"]
    shown = messages_of(model_server.requests[-1])
    roles = {
        "chat": ["user", "assistant", "tool", "assistant", "user"],
        "responses": ["message", "message", "function_call", "function_call_output", "message", "message"],
        "anthropic": ["user", "assistant", "user", "assistant", "user"],
    }[making.kind]
    assert [entry["type" if making.kind == "responses" else "role"] for entry in shown] == roles
    assert "I add. " in str(shown)
    assert str(shown).count("call_") >= 2, "a call and its result name each other"
    assert reports == [ev.ContinuityReport(mode="replay", carried=4, tokens=reports[0].tokens)]  # type: ignore[attr-defined]


async def test_what_other_agents_did_is_read_and_not_called(
    making: Making, sessions: OpenSessions, model_server: ModelServer
) -> None:
    with_tool, without = making(tools=[add]), making()
    async with sessions({"one": with_tool, "other": without}) as opened:
        session = await opened.create("one")
        prompt = script({"tools": [{"name": "add", "input": {"a": 4}}]}, {"text": "five"})
        await (await session.run(prompt)).result()
        await (await session.run("and you?", agent="other")).result()
    shown = str(messages_of(model_server.requests[-1]))
    assert '[The assistant used the tool add with {"a":4}]\\n5' in shown or "used the tool add" in shown
    assert "tool_calls" not in shown
    assert "tool_use" not in shown
    assert "function_call" not in shown


async def test_long_conversations_are_shortened_from_the_old_end(
    making: Making, sessions: OpenSessions, model_server: ModelServer
) -> None:
    async with sessions({"model": making(max_context_tokens=100)}) as opened:
        session = await opened.create("model")
        for word in ("first", "second", "third"):
            await (await session.run(f"{word} {'x' * 150}")).result()
        run = await session.run("what now?")
        await run.result()
        (report,) = [event.data async for event in run.events(follow=False) if event.type == "continuity_report"]
    shown = messages_of(model_server.requests[-1])
    assert "first" not in str(shown)
    assert "third" in str(shown)
    assert shown[0]["role"] == "user"
    assert len(report.left_out) >= 3  # type: ignore[attr-defined]


async def test_a_session_of_its_own_is_nothing_that_a_model_has(making: Making, sessions: OpenSessions) -> None:
    async with sessions({"model": making()}) as opened:
        session = await opened.create("model")
        await (await session.run("hello")).result()
        codes = []
        for mode in (Continuation.FORK, Continuation.NATIVE, Continuation.FRESH, Continuation.REPLAY):
            run = await session.run("again", continuation=mode)
            with suppress(SessionryError):
                await run.result()
            error = (await run.get()).error
            codes.append(error.code if error else None)
    assert codes == ["capability_not_supported", "resume_failed", None, None]


# --- images ---


async def test_images_are_shown_and_kept_by_their_hash(
    making: Making, sessions: OpenSessions, model_server: ModelServer, tmp_path: Path
) -> None:
    (tmp_path / "dot.png").write_bytes(PIXEL)
    encoded = base64.b64encode(PIXEL).decode()
    async with sessions({"model": making()}) as opened:
        session = await opened.create("model", cwd=str(tmp_path))
        run = await session.run({"prompt": "What is it?", "images": [{"path": "dot.png"}]})
        await run.result()
        (tmp_path / "dot.png").unlink()
        await (await session.run("And its colour?")).result()
        log = [event async for event in session.events()]
    first, second = model_server.requests
    assert (first.images, second.images) == (1, 1)
    assert encoded in str(first.body)
    assert encoded in str(second.body)
    sent = [event.data for event in log if isinstance(event.data, ev.MessageSent)]
    assert [list(image) for image in sent[0].content["images"]] == [["hash", "media_type"]]
    assert encoded not in str(log)


async def test_an_image_that_is_not_there_fails_the_run(making: Making, tmp_path: Path) -> None:
    context = RecordingContext({"prompt": "?", "images": [{"path": "none.png"}]}, cwd=tmp_path)
    with pytest.raises(InvalidInput, match="cannot be read"):
        await context.play(making())


# --- golden logs of what goes wrong, and of people ---


CASES: dict[str, tuple[dict[str, Any], ...]] = {
    "429": ({"error": 429, "times": 2, "text": "done"},),
    "500": ({"error": 500},),
    "cut": ({"text": ["one ", "two"], "drop": True, "times": 1},),
    "hang": ({"hang": 30},),
    "stall": ({"text": ["one ", "two"], "stall": 30, "times": 1},),
    "sse-error": ({"text": ["one ", "two"], "sse_error": True, "times": 1},),
    "wrong-arguments": ({"tools": [{"name": "add", "input": {"a": "x"}}]}, {"text": "{last_tool}"}),
    "allowed": ({"tools": [{"name": "deploy", "input": {"to": "staging"}}]}, {"text": "{last_tool}"}),
    "denied": ({"tools": [{"name": "deploy", "input": {"to": "production"}}]}, {"text": "{last_tool}"}),
}


@pytest.mark.parametrize("case", CASES)
async def test_what_happens_is_in_the_log(making: Making, golden: Golden, tmp_path: Path, case: str) -> None:
    agent = making(tools=[add, deploy], max_retries=2, read_timeout={"hang": 0.3, "stall": 3}.get(case, 30))

    def answer(question: Question) -> Decision:
        return Decision(approved=case == "allowed", by="ann", note="as agreed")

    context = RecordingContext(script(*CASES[case]), cwd=tmp_path, answers=answer)
    events = [_settled(event) for event in await context.play(agent)]
    kind = "anthropic/messages" if making.kind == "anthropic" else f"openai/{making.kind}"
    golden(f"{kind}-{case}", events, {context.run.id[4:]: "<run>", context.run.id[-20:]: "<end of run>"})


def _settled(event: EventData) -> EventData:
    """The event without the length of a pause, which is chance."""
    if isinstance(event, ev.RateLimited):
        assert event.retry_after is not None
        return msgspec.structs.replace(event, retry_after=None)
    return event


@pytest.mark.slow
async def test_a_run_is_steered_while_its_model_speaks(making: Making, sessions: OpenSessions) -> None:
    async with sessions({"model": making()}) as opened:
        session = await opened.create("model")
        run = await session.run(script({"text": ["one ", "two"], "stall": 1}))
        async for event in run.events():
            if event.type == "message_streamed":
                await run.steer("and three?")
                break
        assert (await run.result()).text == "echo: and three?"
