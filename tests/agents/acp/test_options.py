"""Options: each leaves in a request, or is refused by its name."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from sessionry.agents.acp import AcpAgent
from sessionry.agents.acp.options import PER_RUN
from sessionry.domain import events as ev
from sessionry.domain.errors import InvalidInput, SessionryError
from sessionry.domain.run import AgentFacts, OnStall
from sessionry.testing.context import RecordingContext
from tests.agents.acp.player import before, play, player, received, script, spy
from tests.agents.arrivals import Arrival, Made, arrives, graces, named, of_runs

PIXEL = base64.b64encode(b"\x89PNG\r\n").decode()


class Left(NamedTuple):
    """What left for the agent, and what came of it."""

    program: Path
    folder: Path
    context: RecordingContext
    facts: AgentFacts
    graces: list[float]
    problem: SessionryError | None

    @property
    def argv(self) -> list[str]:
        return (self.program.parent / "argv").read_text().splitlines()

    @property
    def env(self) -> list[str]:
        return (self.program.parent / "env").read_text().splitlines()

    def sent(self, method: str) -> Any:
        """The parameters of the first request of that name."""
        return received(self.folder, method)[0]

    def answered(self) -> Any:
        """What the agent's questions were answered with."""
        frames = (json.loads(line) for line in (self.folder / "saw.jsonl").read_text().splitlines())
        return next(frame["result"]["outcome"] for frame in frames if "outcome" in frame.get("result", {}))


#: What the agent of the tests offers in them.
OFFER = {"http": True, "additionalDirectories": True, "login": True, "logged_in": True}
ASKS = script({"ask": {}})
SERVERS = {"files": {"command": "files", "args": ["-v"], "env": {"A": "b"}}}
TOLD = [{"name": "files", "command": "files", "args": ["-v"], "env": [{"name": "A", "value": "b"}]}]


def another(folder: Path, **offer: Any) -> str:
    (folder / "another").mkdir()
    return str(spy(folder / "another", offer=OFFER | offer))


OF_BOTH = [
    Arrival("model", "large", lambda left: left.sent("session/set_config_option")["value"], "large"),
    Arrival("mode", "yolo", lambda left: left.sent("session/set_mode")["modeId"], "yolo"),
    Arrival("config", {"fast": True}, lambda left: left.sent("session/set_config_option")["configId"], "fast"),
    Arrival("approval_timeout", 7.0, lambda left: left.context.questions[0].timeout, 7.0, input=ASKS),
]
ARRIVALS = [
    *OF_BOTH,
    *of_runs(OF_BOTH, *PER_RUN),
    Arrival("preset", "qwen", lambda left: left.argv, ["--acp"]),
    Arrival("preset", "codex-acp", lambda left: "INITIAL_AGENT_MODE=read-only" in left.env, True),
    Arrival("command", Made(another), lambda left: left.program.parent.name, "another"),
    Arrival(
        "arguments",
        ["--zebra", "two words"],
        lambda left: left.argv,
        ["--acp", "--zebra", "two words"],
        beside={"preset": "qwen"},
    ),
    Arrival("env", {"GIVEN": "g"}, lambda left: "GIVEN=g" in left.env, True),
    Arrival("env_allow", ["PATH", "WANTED"], lambda left: "WANTED=passed on" in left.env, True),
    Arrival("mcp_servers", SERVERS, lambda left: left.sent("session/new")["mcpServers"], TOLD),
    Arrival("add_dirs", ["/srv"], lambda left: left.sent("session/new")["additionalDirectories"], ["/srv"]),
    Arrival("auth_method", "key", lambda left: left.sent("authenticate"), {"methodId": "key"}),
    Arrival("remember", True, lambda left: left.answered()["optionId"], "allow_always-id", input=ASKS),
    Arrival(
        "client_files",
        True,
        lambda left: left.sent("initialize")["clientCapabilities"]["fs"],
        {"readTextFile": True, "writeTextFile": True},
    ),
    Arrival("client_terminal", True, lambda left: left.sent("initialize")["clientCapabilities"]["terminal"], True),
    Arrival(
        "start_timeout",
        0.3,
        lambda left: "did not answer initialize within 0.3 seconds" in str(left.problem),
        True,
        beside={"command": Made(lambda folder: another(folder, silent="initialize"))},
        alone=True,
    ),
    Arrival("kill_grace", 2.5, lambda left: left.graces[-1], 2.5),
    Arrival("stall_after", 9.0, lambda left: left.facts.stall_after, 9.0),
    Arrival("on_stall", "fail", lambda left: left.facts.on_stall, "fail"),
    Arrival("max_tokens", 50, lambda left: "old old" in left.sent("session/prompt")["prompt"][0]["text"], False),
]


@pytest.mark.parametrize("arrival", ARRIVALS, ids=named)
async def test_every_option_arrives(arrival: Arrival, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANTED", "passed on")

    async def play(options: dict[str, Any], input: Any, folder: Path) -> Left:
        given = {"command": str(spy(folder, offer=OFFER)), **options}
        given["env"] = {"ACP_SAW": str(folder / "saw.jsonl"), **options.get("env", {})}
        agent = AcpAgent(**given)
        previous = before(None, "old " * 400, "newest")
        context = RecordingContext(agent.check(input), cwd=folder, answers=lambda _: True, previous=previous)
        problem = None
        with graces() as got:
            try:
                await context.play(agent)
            except SessionryError as error:
                problem = error
        return Left(Path(given["command"]), folder, context, agent.facts, got, problem)

    await arrives(arrival, tmp_path, play)


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


async def test_a_run_sets_its_own_mode_settings_and_patience(tmp_path: Path) -> None:
    agent = player(folder=tmp_path, mode="ask", config={"fast": False}, approval_timeout=900)
    steps = {"prompt": script({"ask": {}}), "mode": "yolo", "config": {"fast": True}, "approval_timeout": 7}
    context = await play(agent, steps, tmp_path, answers=[True])
    assert [params["modeId"] for params in received(tmp_path, "session/set_mode")] == ["yolo"]
    (told,) = received(tmp_path, "session/set_config_option")
    assert (told["configId"], told["type"], told["value"]) == ("fast", "boolean", True)
    assert context.questions[0].timeout == 7


async def test_a_server_that_streams_leaves_with_its_type(tmp_path: Path) -> None:
    servers = {"web": {"url": "http://127.0.0.1/sse", "type": "sse"}}
    await play(player({"sse": True}, tmp_path, mcp_servers=servers), "hello", tmp_path)
    assert received(tmp_path, "session/new")[0]["mcpServers"] == [
        {"type": "sse", "name": "web", "url": "http://127.0.0.1/sse", "headers": []}
    ]
    with pytest.raises(SessionryError, match="takes no sse servers, as web is one"):
        await play(player({"http": True}, mcp_servers=servers), "hello", tmp_path)


async def test_no_more_of_a_conversation_is_handed_over_than_is_wanted(tmp_path: Path) -> None:
    said = before(None, "old " * 400, "newest")
    await play(player(folder=tmp_path, max_tokens=50), "go on", tmp_path, previous=said)
    prompt = received(tmp_path, "session/prompt")[0]["prompt"][0]["text"]
    assert "newest" in prompt
    assert "old old" not in prompt


async def test_an_agent_has_so_long_to_end_as_is_wanted(tmp_path: Path) -> None:
    """It ignores everything but the last signal, which comes when three tenths of the grace are left."""
    program = tmp_path / "deaf"
    program.write_text("#!/bin/sh\ntrap '' INT TERM\necho '{}' | cat >/dev/null\nwhile :; do sleep 0.1; done\n")
    program.chmod(0o755)
    agent = AcpAgent(command=str(program), start_timeout=3, kill_grace=0.5)
    begin = time.monotonic()
    with pytest.raises(SessionryError, match="did not answer initialize"):
        await play(agent, "hello", tmp_path)
    short = time.monotonic() - begin
    assert short >= 3 + 0.35
    assert AcpAgent(command=str(program), stall_after=9, on_stall=OnStall.FAIL).facts.stall_after == 9


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
