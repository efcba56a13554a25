"""The Agent Client Protocol, spoken with a small agent that plays every kind of frame."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sessionry.agents.acp import AcpAgent
from sessionry.domain import events as ev
from sessionry.domain.continuity import Conversation, NativeSession
from sessionry.domain.errors import InvalidInput, SessionryError
from sessionry.domain.run import Continuation
from sessionry.domain.transcript import Message, Transcript
from sessionry.domain.usage import Usage
from sessionry.ports import Decision
from sessionry.testing.agent_contract import AgentContract, Case
from sessionry.testing.context import RecordingContext
from tests.agents.processes import alive, until

PROGRAM = Path(__file__).with_name("acp_agent.py")
PIXEL = base64.b64encode(b"\x89PNG\r\n").decode()


def player(offer: dict[str, Any] | None = None, folder: Path | None = None, **options: Any) -> AcpAgent:
    """The agent, with what it offers; its sessions and what it received are kept in the folder."""
    env = {"ACP_STATE": str(folder), "ACP_SAW": str(folder / "saw.jsonl")} if folder else {}
    arguments = ["-S", str(PROGRAM), json.dumps(offer or {})]
    return AcpAgent(command=sys.executable, arguments=arguments, env=env | options.pop("env", {}), **options)


def script(*steps: dict[str, Any]) -> str:
    return f"<<<{json.dumps(steps)}>>>"


def received(folder: Path, method: str) -> list[dict[str, Any]]:
    """The parameters of the requests that left for the agent."""
    frames = [json.loads(line) for line in (folder / "saw.jsonl").read_text().splitlines()]
    return [frame.get("params", {}) for frame in frames if frame.get("method") == method]


async def play(agent: AcpAgent, input: Any, folder: Path, **options: Any) -> RecordingContext:
    context = RecordingContext(agent.check(input), cwd=folder, **options)
    await context.play(agent)
    return context


def texts(context: RecordingContext) -> list[str]:
    return [message.text for message in context.data(ev.MessageReceived)]


def error(context: RecordingContext) -> Any:
    return context.data(ev.RunFailed)[-1].error


def before(native: NativeSession | None, *missed: str, mode: str = "auto") -> Conversation:
    messages = [Message(seq=number + 1, role="user", text=text) for number, text in enumerate(missed)]
    others = ["other"] if missed else []
    return Conversation(
        mode=Continuation(mode), native=native, missed=Transcript(messages=messages), previous_agents=others
    )


async def talked(folder: Path, *prompts: str) -> NativeSession:
    """A session of the player, in which this was said."""
    native = None
    for prompt in prompts:
        context = await play(player({"load": True}, folder), prompt, folder, previous=before(native))
        linked = context.data(ev.AgentSessionLinked)[-1]
        native = NativeSession(id=linked.native_session_id, run_id="run_before", items=linked.items)
    assert native is not None
    return native


class TestContract(AgentContract):
    @pytest.fixture
    def well(self) -> Case:
        steps = script(
            {"think": "hm"},
            {"say": "I will run it."},
            {"ask": {"run": "echo one"}},
            {"update": {"sessionUpdate": "plan", "entries": [{"content": "do it", "status": "completed"}]}},
            {"say": "Done."},
            {"answer": {"usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}}},
        )
        return Case(player(), steps, [True] * 2)

    @pytest.fixture
    def badly(self) -> Case:
        return Case(player(), script({"fail": {"code": -32603, "message": "Internal error"}}))

    @pytest.fixture
    def endless(self) -> Case:
        ignores = "trap '' INT TERM; (setsid sh -c 'trap \"\" INT TERM; while :; do sleep 0.1; done' &)"
        return Case(player(), script({"say": "on it"}, {"run": {"command": f"{ignores}; sleep 60"}}))

    @pytest.fixture
    def refused(self) -> Case:
        return Case(player(), {"prompt": "hello", "effort": "high"})

    @pytest.mark.skip(reason="a turn that was lost is begun again, and what was said in it comes again")
    async def test_another_attempt_comes_to_the_same_end(self, well: Case, tmp_path: Path) -> None: ...


async def test_what_is_said_and_thought_comes_in_pieces_and_whole(tmp_path: Path) -> None:
    context = await play(player(), script({"think": "hm "}, {"think": "yes"}, {"say": "Hello from it."}), tmp_path)
    assert [piece.text for piece in context.data(ev.MessageStreamed)] == ["Hello ", "from ", "it."]
    assert [thought.text for thought in context.data(ev.ReasoningReceived)] == ["hm yes"]
    assert texts(context) == ["Hello from it."]
    assert context.data(ev.RunCompleted)[0].text == "Hello from it."
    assert [turn.stop_reason for turn in context.data(ev.TurnCompleted)] == ["end_turn"]


async def test_a_command_is_started_streamed_and_ended_with_its_exit_code(tmp_path: Path) -> None:
    context = await play(player(), script({"run": {"command": "echo one; echo two"}}), tmp_path)
    started, ended = context.data(ev.ToolCallStarted)[0], context.data(ev.ToolCallCompleted)[0]
    assert started.tool_name == ended.tool_name == "execute"
    assert "".join(piece.text for piece in context.data(ev.ToolOutputStreamed)) == "one\ntwo\n"
    assert ended.tool_output == {"output": "one\ntwo\n", "exit_code": 0}


async def test_an_allowed_call_is_done_and_the_option_of_exactly_that_kind_is_chosen(tmp_path: Path) -> None:
    context = await play(player(folder=tmp_path), script({"ask": {"run": "echo hi > made"}}), tmp_path, answers=[True])
    assert (tmp_path / "made").read_text() == "hi\n"
    question = context.questions[0]
    assert (question.tool_name, question.tool_input) == ("execute", {"command": "echo hi > made"})
    assert question.tool_call_id == context.data(ev.ToolCallStarted)[0].tool_call_id
    kinds = [event.type for event in context.events()]
    assert kinds.index("tool_call_started") < kinds.index("tool_approval_requested"), "the question is about the call"
    assert '"optionId":"allow_once-id"' in (tmp_path / "saw.jsonl").read_text()


async def test_a_denied_call_is_not_done_and_fails(tmp_path: Path) -> None:
    answers = [Decision(approved=False, by="eve", note="too bold")]
    context = await play(player(), script({"ask": {"run": "echo hi > made"}}), tmp_path, answers=answers)
    assert not (tmp_path / "made").exists()
    assert texts(context) == ["reject_once-id"]
    failed = context.data(ev.ToolCallFailed)[0]
    assert (failed.error.code, failed.error.message) == ("policy_violation", "denied by eve: too bold")
    assert context.data(ev.RunCompleted), "the agent goes on without it"


async def test_a_question_that_nobody_answers_is_a_denial(tmp_path: Path) -> None:
    agent = player(approval_timeout=7)
    expired = [Decision(approved=False, expired=True)]
    context = await play(agent, script({"ask": {"run": "echo hi > made"}}), tmp_path, answers=expired)
    assert context.questions[0].timeout == 7
    assert context.data(ev.ToolCallFailed)[0].error.message == "nobody decided in time"
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("remember", "kinds", "answer", "chosen"),
    [
        (False, ["allow_always", "reject_once"], True, "cancelled"),
        (False, ["allow_always", "allow_once"], False, "cancelled"),
        (False, ["allow_once", "reject_always"], False, "cancelled"),
        (True, ["allow_once", "allow_always"], True, '"call-1"'),
    ],
)
async def test_without_an_option_of_that_kind_the_question_is_cancelled(
    tmp_path: Path, remember: bool, kinds: list[str], answer: bool, chosen: str
) -> None:
    agent = player(folder=tmp_path, remember=remember)
    context = await play(agent, script({"ask": {"kinds": kinds}}), tmp_path, answers=[answer])
    if remember:
        assert '"optionId":"allow_always-id"' in (tmp_path / "saw.jsonl").read_text()
        return
    assert texts(context) == [chosen]
    assert "offered no option of the kind" in context.data(ev.ErrorOccurred)[0].error.message


async def test_a_plan_and_a_diff_are_told(tmp_path: Path) -> None:
    diff = {"type": "diff", "path": "/w/a.txt", "oldText": "one\ntwo\n", "newText": "one\nthree"}
    call = {
        "sessionUpdate": "tool_call",
        "toolCallId": "e",
        "kind": "edit",
        "title": "Edit a.txt",
        "status": "completed",
    }
    entries = [{"content": "look", "priority": "high", "status": "completed"}, {"content": "mend", "status": "odd"}]
    plan = {"sessionUpdate": "plan", "entries": entries}
    context = await play(player(), script({"update": plan}, {"update": {**call, "content": [diff]}}), tmp_path)
    assert context.data(ev.PlanUpdated)[0].entries == [
        {"text": "look", "status": "completed", "priority": "high"},
        {"text": "mend", "status": "pending"},
    ]
    unified = "--- /w/a.txt\n+++ /w/a.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n\\ No newline at end of file\n"
    changes = [{"path": "/w/a.txt", "kind": "update", "diff": unified}]
    assert context.data(ev.ToolCallCompleted)[0].tool_output == {"changes": changes}


async def test_what_nobody_knows_is_passed_over(tmp_path: Path) -> None:
    strange: list[dict[str, Any]] = [
        {"update": {"sessionUpdate": "mood_update", "mood": "fine"}},
        {"update": {"sessionUpdate": "agent_message_chunk", "content": {"type": "smell"}}},
        {"raw": {"jsonrpc": "2.0", "method": "_auth/status_update", "params": {}}},
        {"raw": {"jsonrpc": "2.0", "id": 99, "result": {}}},
        {"client": {"method": "_mood/ask"}},
        {"client": {"method": "fs/read_text_file", "params": {"path": "/etc/passwd"}}},
    ]
    context = await play(player(), script(*strange, {"say": "fine"}), tmp_path)
    assert [
        json.loads(text)["code"] for text in texts(context)[0].replace("fine", "").replace("}{", "}\n{").splitlines()
    ] == [
        -32601,
        -32601,
    ]


async def test_client_files_are_read_and_written_inside_of_the_folders_only(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\nthree\n")
    asked: list[dict[str, Any]] = [
        {"method": "fs/read_text_file", "params": {"path": str(tmp_path / "a.txt"), "line": 2, "limit": 1}},
        {"method": "fs/write_text_file", "params": {"path": str(tmp_path / "new/b.txt"), "content": "b"}},
        {"method": "fs/read_text_file", "params": {"path": str(tmp_path / "none")}},
        {"method": "fs/read_text_file", "params": {"path": "/etc/passwd"}},
    ]
    steps: list[dict[str, Any]] = [step for each in asked for step in ({"client": each}, {"think": "."})]
    context = await play(player(folder=tmp_path, client_files=True), script(*steps), tmp_path)
    answers = list(map(json.loads, texts(context)))
    assert answers[:2] == [{"content": "two\n"}, {}]
    assert [answer["code"] for answer in answers[2:]] == [-32002, -32602]
    assert (tmp_path / "new/b.txt").read_text() == "b"
    offered = received(tmp_path, "initialize")[0]["clientCapabilities"]
    assert offered["fs"] == {"readTextFile": True, "writeTextFile": True}


async def test_a_terminal_is_offered_only_when_it_is_wanted_and_runs_a_command(tmp_path: Path) -> None:
    agent = player(folder=tmp_path, client_terminal=True)
    context = await play(agent, script({"terminal": {"command": "echo", "args": ["hi"]}}), tmp_path)
    ended, output, gone = json.loads(texts(context)[0])
    assert (ended["exitCode"], output["output"], gone) == (0, "hi\n", -32002)
    await play(player(folder=tmp_path), "hello", tmp_path)
    offers = [params.get("clientCapabilities", {}) for params in received(tmp_path, "initialize")]
    assert [offer.get("terminal", False) for offer in offers] == [True, False]


async def test_usage_and_cost_are_told_as_increments(tmp_path: Path) -> None:
    usage = {"inputTokens": 100, "outputTokens": 5, "totalTokens": 105, "cachedReadTokens": 40, "thoughtTokens": 2}
    cost = {"sessionUpdate": "usage_update", "used": 9, "size": 10, "cost": {"amount": 0.75, "currency": "USD"}}
    steps = script({"say": "hi"}, {"update": cost}, {"answer": {"usage": usage}})
    native = NativeSession(id=(await talked(tmp_path, "hi")).id, run_id="run_before", items=1, cost=Decimal("0.5"))
    context = await play(player({"load": True}, tmp_path), steps, tmp_path, previous=before(native))
    assert context.run.usage == Usage() != context.data(ev.TokenUsageUpdated)[1].usage
    assert [event.cost for event in context.data(ev.TokenUsageUpdated)] == [Decimal("0.25"), None]
    assert context.data(ev.TokenUsageUpdated)[1].usage == Usage(
        input_tokens=60, cache_read_tokens=40, output_tokens=5, reasoning_tokens=2
    )


# --- sessions ---------------------------------------------------------------------------------------------------------


async def test_a_session_is_loaded_by_another_process_and_nothing_of_it_is_told_again(tmp_path: Path) -> None:
    native = await talked(tmp_path, "first", "second")
    assert native.items == 2
    context = await play(player({"load": True}, tmp_path), "third", tmp_path, previous=before(native))
    assert texts(context) == ["you said third"]
    links = [(link.native_session_id, link.items, link.resumed) for link in context.data(ev.AgentSessionLinked)]
    assert links == [(native.id, 2, True), (native.id, 3, True)]
    assert not context.data(ev.ContinuityReport), "nothing was missed"


async def test_a_session_is_resumed_where_it_cannot_be_loaded(tmp_path: Path) -> None:
    native = await talked(tmp_path, "first")
    context = await play(player({"resume": True}, tmp_path), "second", tmp_path, previous=before(native))
    assert context.data(ev.AgentSessionLinked)[0].resumed
    assert received(tmp_path, "session/resume")[0]["sessionId"] == native.id


@pytest.mark.parametrize(
    ("offer", "reason"),
    [
        ({}, "neither to load nor to resume"),
        ({"load": True, "forgets": 1}, "short of what it had: 1 of 2"),
        ({"load": True, "strays": True}, "another session"),
    ],
)
async def test_a_session_that_does_not_go_on_is_replaced_by_the_transcript(
    tmp_path: Path, offer: dict[str, Any], reason: str
) -> None:
    native = await talked(tmp_path, "first", "second")
    context = await play(player(offer, tmp_path), "third", tmp_path, previous=before(native, "what others said"))
    degraded = context.data(ev.ResumeDegraded)[0]
    assert reason in degraded.reason
    assert degraded.native_session_id == native.id
    assert context.data(ev.AgentSessionLinked)[0].native_session_id != native.id
    assert context.data(ev.ContinuityReport)[0].mode == "replay"
    strict = before(native, mode="native")
    with pytest.raises(SessionryError) as told:
        await play(player(offer, tmp_path), "third", tmp_path, previous=strict)
    assert told.value.code == "resume_failed"


async def test_a_session_that_is_unknown_is_replaced(tmp_path: Path) -> None:
    native = NativeSession(id="nobody", run_id="run_before", items=1)
    context = await play(player({"load": True}, tmp_path), "hello", tmp_path, previous=before(native))
    assert "Resource not found" in context.data(ev.ResumeDegraded)[0].reason


async def test_what_others_did_meanwhile_is_handed_over(tmp_path: Path) -> None:
    native = await talked(tmp_path, "first")
    agent = player({"load": True}, tmp_path)
    context = await play(agent, "go on", tmp_path, previous=before(native, "they said this"))
    assert context.data(ev.ContinuityReport)[0].mode == "both"
    prompt = received(tmp_path, "session/prompt")[-1]["prompt"][0]["text"]
    assert "they said this" in prompt
    assert prompt.endswith("go on")


async def test_a_fork_is_a_copy_with_another_id(tmp_path: Path) -> None:
    native = await talked(tmp_path, "first")
    forks = before(native, mode="fork")
    context = await play(player({"load": True, "fork": True}, tmp_path), "branch", tmp_path, previous=forks)
    link = context.data(ev.AgentSessionLinked)[0]
    assert (link.forked_from, link.native_session_id != native.id) == (native.id, True)
    assert json.loads((tmp_path / f"{native.id}.json").read_text()) != []
    with pytest.raises(SessionryError) as told:
        await play(player({"load": True}, tmp_path), "branch", tmp_path, previous=forks)
    assert told.value.code == "capability_not_supported"
    with pytest.raises(SessionryError, match="same id"):
        await play(player({"fork": True, "forks_badly": True}, tmp_path), "branch", tmp_path, previous=forks)


async def test_an_attempt_after_a_lost_worker_takes_up_the_session_and_is_told_so(tmp_path: Path) -> None:
    agent = player({"load": True}, tmp_path)
    first = RecordingContext(script({"say": "half"}, {"hang": True}), cwd=tmp_path)
    await first.play(agent, until=lambda event: isinstance(event, ev.MessageStreamed))
    linked = first.data(ev.AgentSessionLinked)[0]
    second = first.after_a_crash()
    second.previous = before(NativeSession(id=linked.native_session_id, run_id=second.run.id, items=linked.items))
    playing = asyncio.create_task(second.play(agent, until=lambda event: isinstance(event, ev.MessageStreamed)))
    await playing
    prompt = received(tmp_path, "session/prompt")[-1]["prompt"][0]["text"]
    assert prompt.startswith("Your work on the following was interrupted.")
    assert '{"hang": true}' in prompt
    assert received(tmp_path, "session/load")[0]["sessionId"] == linked.native_session_id


async def test_an_attempt_after_the_last_turn_only_says_that_it_is_over(tmp_path: Path) -> None:
    agent = player({"load": True}, tmp_path)
    first = RecordingContext(agent.check("hello"), cwd=tmp_path)
    await first.play(agent, until=lambda event: isinstance(event, ev.TurnCompleted))
    second = first.after_a_crash()
    await second.play(agent)
    assert second.data(ev.RunCompleted)[0].text == "you said hello"
    assert len(received(tmp_path, "session/prompt")) == 1


# --- what people say meanwhile, and being stopped ---------------------------------------------------------------------


async def test_steering_is_sent_into_the_turn(tmp_path: Path) -> None:
    agent = player({"steers": True}, tmp_path)
    context = await play(agent, script({"steer": True}), tmp_path, steering=["be quick"])
    assert texts(context) == ["heard be quick"]
    assert received(tmp_path, "_session/steering")[0]["prompt"] == [{"type": "text", "text": "be quick"}]


@pytest.mark.parametrize("offer", [{"steers": "late"}, {}])
async def test_steering_that_the_turn_does_not_take_is_the_next_turn(tmp_path: Path, offer: dict[str, Any]) -> None:
    context = await play(
        player(offer, tmp_path), script({"run": {"command": "sleep 0.2"}}), tmp_path, steering=["more"]
    )
    assert texts(context) == ["you said more"]
    assert len(context.data(ev.TurnCompleted)) == 2


async def test_a_cancelled_run_cancels_the_turn_and_ends_the_tools_own_child(tmp_path: Path) -> None:
    steps = script({"say": "go"}, {"run": {"command": "setsid sh -c 'echo $$ > pid; exec sleep 60' & sleep 60"}})
    agent = player(folder=tmp_path)
    playing = asyncio.create_task(RecordingContext(steps, cwd=tmp_path).play(agent))
    await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
    playing.cancel()
    await asyncio.wait([playing])
    assert playing.cancelled()
    assert received(tmp_path, "session/cancel")
    assert not alive(int((tmp_path / "pid").read_text()))


async def test_a_question_is_cancelled_with_the_run(tmp_path: Path) -> None:
    agent, asked = player(folder=tmp_path), asyncio.Event()

    class Waiting(RecordingContext):
        async def approve(self, *_: Any, **__: Any) -> Decision:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

    playing = asyncio.create_task(Waiting(script({"ask": {"run": "touch made"}}), cwd=tmp_path).play(agent))
    await asked.wait()
    playing.cancel()
    await asyncio.wait([playing])
    assert playing.cancelled()
    assert '"outcome":{"outcome":"cancelled"}' in (tmp_path / "saw.jsonl").read_text()
    assert not (tmp_path / "made").exists()


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ({"code": -32000, "message": "Authentication required"}, "auth"),
        ({"code": -32603, "message": "Internal error", "data": {"errorKind": "rate_limit"}}, "rate_limited"),
        ({"code": -32603, "message": "Internal error", "data": {"details": "prompt is too long"}}, "context_too_long"),
        ({"code": 401, "message": "API key not valid"}, "auth"),
        ({"code": 500, "message": "[API Error: status 529 overloaded]"}, "overloaded"),
        ({"code": -32603, "message": "API Error: 429 Too Many Requests, retry after 7 s"}, "rate_limited"),
        ({"code": -32603, "message": "fetch failed"}, "agent_unavailable"),
        ({"code": -32601, "message": "Method not found"}, "protocol"),
        ({"code": -32603, "message": "Internal error"}, "agent_failed"),
    ],
)
async def test_an_error_of_the_agent_has_one_of_our_codes(tmp_path: Path, step: dict[str, Any], code: str) -> None:
    context = await play(player(), script({"fail": step}), tmp_path)
    assert error(context).code == code
    assert error(context).retry_after == (7 if "retry" in step["message"] else None)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("refusal", "refused"),
        ("max_tokens", "limit_reached"),
        ("max_turn_requests", "limit_reached"),
        ("cancelled", "cancelled"),
    ],
)
async def test_a_turn_that_stops_for_another_reason_fails(tmp_path: Path, reason: str, code: str) -> None:
    context = await play(player(), script({"say": "hm"}, {"answer": {"stopReason": reason}}), tmp_path)
    assert error(context).code == code


async def test_a_failure_that_is_said_as_an_answer_is_a_failure(tmp_path: Path) -> None:
    def aside(**told: Any) -> dict[str, Any]:
        return {"update": {"sessionUpdate": "session_info_update", "_meta": {"codex": told}}}

    again = {"message": "Reconnecting... 1/1", "additionalDetails": "high demand", "willRetry": True}
    busy = {"message": "Reconnecting... 1/1", "additionalDetails": "last status: 429", "willRetry": True}
    steps = [
        aside(error=again),
        aside(error=busy),
        aside(threadStatus={"type": "systemError"}),
        {"say": "last status: 429 Too Many"},
    ]
    context = await play(player(), script(*steps), tmp_path)
    assert context.data(ev.ErrorOccurred)[0].error.code == "overloaded"
    assert context.data(ev.RateLimited)[0].message == "Reconnecting... 1/1: last status: 429"
    assert (error(context).code, error(context).message) == ("rate_limited", "last status: 429 Too Many")
    assert not context.data(ev.MessageReceived)


async def test_a_program_that_dies_has_crashed(tmp_path: Path) -> None:
    context = await play(player(), script({"say": "oh"}, {"exit": 3}), tmp_path)
    assert error(context).code == "crashed"
    assert "exit code 3" in error(context).message
    assert "it broke" in error(context).message
    assert texts(context) == ["oh"], "what was said before is kept whole"


async def test_what_is_no_protocol_is_told(tmp_path: Path) -> None:
    for raw in ("Loading...", "[1, 2]"):
        context = await play(player(), script({"raw": raw}, {"hang": True}), tmp_path)
        assert error(context).code == "protocol"


async def test_another_version_of_the_protocol_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SessionryError, match="speaks version 2 of the protocol, and not 1") as told:
        await play(player({"version": 2}), "hello", tmp_path)
    assert told.value.code == "protocol"


async def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SessionryError, match="nowhere/agent was not found") as told:
        await play(AcpAgent(command="/nowhere/agent"), "hello", tmp_path)
    assert told.value.code == "command_not_found"


async def test_a_program_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(SessionryError, match=r"did not answer initialize within 0\.3 seconds") as told:
        await play(player({"silent": "initialize"}, start_timeout=0.3), "hello", tmp_path)
    assert told.value.code == "stalled"


# --- options: each leaves in a request, or is refused by its name -----------------------------------------------------


async def test_model_mode_and_settings_are_set(tmp_path: Path) -> None:
    agent = player(folder=tmp_path, model="large", mode="yolo", config={"fast": True})
    context = await play(agent, "hello", tmp_path)
    set_up = [(params["configId"], params["value"]) for params in received(tmp_path, "session/set_config_option")]
    assert set_up == [("model", "large"), ("fast", True)]
    assert received(tmp_path, "session/set_mode")[0]["modeId"] == "yolo"
    assert context.data(ev.AgentSessionLinked)[0].model == "large"


async def test_a_run_sets_its_own_model_and_a_list_of_models_will_do(tmp_path: Path) -> None:
    agent = player({"settings": False, "listed": True}, tmp_path, model="large")
    await play(agent, {"prompt": "hello", "model": "small"}, tmp_path)
    assert [params["modelId"] for params in received(tmp_path, "session/set_model")] == ["small"]


async def test_servers_of_tools_and_folders_leave_in_the_request(tmp_path: Path) -> None:
    servers = {
        "files": {"command": "files", "args": ["-v"], "env": {"A": "b"}},
        "web": {"url": "http://127.0.0.1/mcp", "headers": {"X-Key": "k"}},
    }
    offer = {"http": True, "additionalDirectories": True}
    await play(player(offer, tmp_path, mcp_servers=servers, add_dirs=[str(tmp_path / "more")]), "hello", tmp_path)
    new = received(tmp_path, "session/new")[0]
    assert new == {
        "cwd": str(tmp_path),
        "additionalDirectories": [str(tmp_path / "more")],
        "mcpServers": [
            {"name": "files", "command": "files", "args": ["-v"], "env": [{"name": "A", "value": "b"}]},
            {
                "type": "http",
                "name": "web",
                "url": "http://127.0.0.1/mcp",
                "headers": [{"name": "X-Key", "value": "k"}],
            },
        ],
    }


async def test_images_leave_as_blocks(tmp_path: Path) -> None:
    image = {"data": PIXEL, "media_type": "image/png"}
    await play(player({"images": True}, tmp_path), {"prompt": "look", "images": [image]}, tmp_path)
    blocks = received(tmp_path, "session/prompt")[0]["prompt"]
    assert blocks == [{"type": "text", "text": "look"}, {"type": "image", "data": PIXEL, "mimeType": "image/png"}]


async def test_a_login_method_is_used_before_the_session_is_made(tmp_path: Path) -> None:
    await play(player({"login": True}, tmp_path, auth_method="key"), "hello", tmp_path)
    assert received(tmp_path, "authenticate") == [{"methodId": "key"}]
    with pytest.raises(SessionryError) as told:
        await play(player({"login": True}, tmp_path), "hello", tmp_path)
    assert told.value.code == "auth"


@pytest.mark.parametrize(
    ("options", "input", "named"),
    [
        ({"model": "huge"}, "hello", "model"),
        ({"mode": "odd"}, "hello", "mode"),
        ({"config": {"odd": "1"}}, "hello", "config"),
        ({"add_dirs": ["/more"]}, "hello", "add_dirs"),
        ({"mcp_servers": {"web": {"url": "http://127.0.0.1"}}}, "hello", "mcp_servers"),
        ({"auth_method": "key"}, "hello", "auth_method"),
        ({}, {"prompt": "look", "images": [{"data": PIXEL, "media_type": "image/png"}]}, "images"),
    ],
)
async def test_what_the_agent_does_not_offer_is_refused_by_its_name(
    tmp_path: Path, options: dict[str, Any], input: Any, named: str
) -> None:
    with pytest.raises(SessionryError) as told:
        await play(player(**options), input, tmp_path)
    assert told.value.code == "capability_not_supported"
    assert told.value.details["option"] == named


async def test_a_capability_that_the_run_requires_and_the_agent_lacks_is_refused(tmp_path: Path) -> None:
    context = RecordingContext("hello", cwd=tmp_path)
    options = msgspec.structs.replace(context.run.options, required_capabilities=["fork", "tools"])
    context.run = msgspec.structs.replace(context.run, options=options)
    with pytest.raises(InvalidInput) as told:
        await context.play(player())
    assert (told.value.code, told.value.details["missing"]) == ("missing_required_capability", ["fork"])


async def test_the_environment_is_a_list_of_what_may_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_OPTIONS", "--inspect")
    monkeypatch.setenv("MY_KEY", "k")
    agent = player(env={"GIVEN": "g"}, env_allow=["PATH", "MY_*"])
    context = await play(agent, script({"run": {"command": "echo $NODE_OPTIONS-$MY_KEY-$GIVEN"}}), tmp_path)
    assert context.data(ev.ToolCallCompleted)[0].tool_output == {"output": "-k-g\n", "exit_code": 0}
