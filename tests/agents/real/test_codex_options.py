"""Every option of Codex is seen where it has to arrive: on its command line, in its environment, in what it is told, and in
what it asks the model.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sessionry.agents.codex import CodexAgent
from sessionry.agents.codex.options import OF_A_RUN
from sessionry.domain import events as ev
from sessionry.domain.errors import InvalidInput
from sessionry.domain.run import AgentFacts
from sessionry.testing.context import RecordingContext
from sessionry.testing.fakellm import Received
from tests.agents.arrivals import Arrival, Made, arrives, graces, named, of_runs
from tests.agents.real.codex import Spy, codex, script
from tests.agents.real.conftest import OpenSessions
from tests.agents.real.hermetic import Hermetic

pytestmark = pytest.mark.slow


@pytest.fixture
def spy(hermetic: Hermetic) -> Spy:
    folder = hermetic.home.parent / "spy"
    folder.mkdir()
    return Spy(folder)


async def played(agent: CodexAgent, hermetic: Hermetic, input: Any = "hello") -> Received:
    """What left for the model in the end."""
    context = RecordingContext(agent.check(input), cwd=hermetic.work)
    events = await context.play(agent)
    assert isinstance(events[-1], ev.RunCompleted)
    return hermetic.server.asked[-1]


def instructions(asked: Received) -> str:
    """What stands before the conversation."""
    parts = [item for item in asked.body["input"] if item.get("role") in ("developer", "system")]
    return str(asked.body.get("instructions") or "") + json.dumps(parts)


async def test_nothing_is_asked_for_that_is_not_set(hermetic: Hermetic, spy: Spy) -> None:
    await played(codex(hermetic, program=str(spy.program)), hermetic)
    assert spy.argv == ["app-server"]
    assert spy.cwd == str(hermetic.work)
    assert spy.sent("thread/start") == [{"cwd": str(hermetic.work)}]
    (turn,) = spy.sent("turn/start")
    assert turn.keys() == {"threadId", "input"}
    assert turn["input"] == [{"type": "text", "text": "hello"}]


def second(hermetic: Hermetic) -> dict[str, Any]:
    return {
        "name": "second",
        "base_url": f"{hermetic.server.url}/v1",
        "env_key": "SCRIPTED_API_KEY",
        "wire_api": "responses",
        "http_headers": {"x-second": "yes"},
    }


class Left(NamedTuple):
    """What left for Codex and for the model, and what came of it."""

    spy: Spy
    asked: list[Received]
    context: RecordingContext
    facts: AgentFacts
    graces: list[float]

    @property
    def thread(self) -> dict[str, Any]:
        return self.spy.sent("thread/start")[0]


def override(key: str) -> Callable[[Left], str]:
    """The value of a key of the configuration on the command line."""
    return lambda left: next(word.partition("=")[2] for word in left.spy.overrides() if word.partition("=")[0] == key)


def another_home(folder: Path) -> Path:
    """With the settings of the usual one."""
    (folder / "another").mkdir()
    usual = folder.parent / "hermetic" / "home" / ".codex" / "config.toml"
    (folder / "another" / "config.toml").write_text(usual.read_text())
    return folder / "another"


def spied(folder: Path, name: str) -> Spy:
    (folder / name).mkdir()
    return Spy(folder / name)


CLOSED = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
SHELL = script({"shell": "touch made"}, {"text": "done"})
IN_WORK = {"sandbox": "workspace-write"}

OF_BOTH = [
    Arrival("model", "other-model", lambda left: left.asked[-1].model, "other-model"),
    Arrival("effort", "low", lambda left: left.asked[-1].body["reasoning"]["effort"], "low"),
    Arrival("summary", "detailed", lambda left: left.asked[-1].body["reasoning"]["summary"], "detailed"),
    Arrival("sandbox", "read-only", lambda left: left.thread["sandbox"], "read-only"),
    Arrival("approval_policy", "untrusted", lambda left: left.thread["approvalPolicy"], "untrusted"),
    Arrival("approval_policy", "untrusted", lambda left: left.context.questions[0].tool_name, "shell", input=SHELL),
    Arrival(
        "output_schema",
        CLOSED,
        lambda left: left.asked[-1].body["text"]["format"]["schema"],
        CLOSED,
        input=script({"text": "{}"}),
    ),
]
ARRIVALS = [
    *OF_BOTH,
    *of_runs(OF_BOTH, *OF_A_RUN),
    Arrival(
        "program", Made(lambda folder: str(spied(folder, "another").program)), lambda left: left.spy.name, "another"
    ),
    Arrival("codex_home", Made(another_home), lambda left: Path(left.spy.env["CODEX_HOME"]).name, "another"),
    Arrival("api_key", "sk-1", lambda left: left.spy.sent("account/login/start")[0]["apiKey"], "sk-1"),
    Arrival("env", {"GIVEN": "3"}, lambda left: left.spy.env["GIVEN"], "3"),
    Arrival("env_allow", ["PATH", "WANTED"], lambda left: left.spy.env["WANTED"], "passed on"),
    Arrival("model_provider", "second", lambda left: left.asked[-1].headers["x-second"], "yes"),
    Arrival("writable_dirs", ["/srv"], override("sandbox_workspace_write.writable_roots"), '["/srv"]', beside=IN_WORK),
    Arrival("network_access", True, override("sandbox_workspace_write.network_access"), "true", beside=IN_WORK),
    Arrival(
        "approval_timeout",
        77.0,
        lambda left: left.context.questions[0].timeout,
        77.0,
        beside={"approval_policy": "untrusted"},
        input=SHELL,
    ),
    Arrival("base_instructions", "You are terse.", lambda left: "You are terse." in instructions(left.asked[-1]), True),
    Arrival("developer_instructions", "Use tabs.", lambda left: "Use tabs." in instructions(left.asked[-1]), True),
    Arrival(
        "mcp_servers",
        {"none": {"command": "true", "args": ["--quiet"], "enabled": False}},
        override("mcp_servers.none.args"),
        '["--quiet"]',
    ),
    Arrival("config", {"model_verbosity": "high"}, lambda left: left.asked[-1].body["text"]["verbosity"], "high"),
    Arrival("kill_grace", 2.5, lambda left: left.graces[-1], 2.5),
    Arrival("stall_after", 9.0, lambda left: left.facts.stall_after, 9.0),
    Arrival("on_stall", "fail", lambda left: left.facts.on_stall, "fail"),
]


@pytest.mark.parametrize("arrival", ARRIVALS, ids=named)
async def test_every_option_arrives(
    arrival: Arrival, hermetic: Hermetic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANTED", "passed on")
    env = hermetic.codex(config={"model_providers": {"second": second(hermetic)}})

    async def play(options: dict[str, Any], input: Any, folder: Path) -> Left:
        given = {"program": str(spied(folder, "usual").program), "env_allow": ["PATH"], **options}
        given["env"] = {**env, **options.get("env", {})}
        if "codex_home" in options:
            del given["env"]["CODEX_HOME"]
        work, before = folder / "work", len(hermetic.server.asked)
        work.mkdir()
        agent = CodexAgent(**given)
        context = RecordingContext(agent.check(input), cwd=work, answers=lambda _: True)
        with graces() as got:
            await context.play(agent)
        spy = Spy(Path(given["program"]).parent)
        return Left(spy, hermetic.server.asked[before:], context, agent.facts, got)

    await arrives(arrival, tmp_path, play)


async def test_a_run_s_own_options_go_before_the_agent_s(hermetic: Hermetic, spy: Spy) -> None:
    agent = codex(
        hermetic,
        program=str(spy.program),
        model="one",
        effort="low",
        summary="none",
        sandbox="read-only",
        approval_policy="untrusted",
    )
    own = {
        "model": "two",
        "effort": "high",
        "summary": "concise",
        "sandbox": "danger-full-access",
        "approval_policy": "never",
    }
    asked = await played(agent, hermetic, {"prompt": script({"text": "{}"}), "output_schema": CLOSED, **own})
    (thread,), (turn,) = spy.sent("thread/start"), spy.sent("turn/start")
    assert (thread["model"], thread["sandbox"], thread["approvalPolicy"]) == ("two", "danger-full-access", "never")
    assert (turn["effort"], turn["summary"], turn["outputSchema"]) == ("high", "concise", CLOSED)
    assert asked.model == "two"


async def test_folders_and_the_network_of_the_sandbox(hermetic: Hermetic, spy: Spy) -> None:
    more = hermetic.home / "more"
    more.mkdir()
    agent = codex(
        hermetic,
        program=str(spy.program),
        approval_policy="never",
        sandbox="workspace-write",
        writable_dirs=[str(more)],
        network_access=True,
        config={"sandbox_workspace_write": {"exclude_slash_tmp": True, "exclude_tmpdir_env_var": True}},
    )
    steps = [{"shell": f"touch {more}/made; touch {hermetic.home}/not; true"}, {"text": "done"}]
    await played(agent, hermetic, script(*steps))
    assert spy.overrides() == [
        f'sandbox_workspace_write.writable_roots=["{more}"]',
        "sandbox_workspace_write.network_access=true",
        "sandbox_workspace_write.exclude_slash_tmp=true",
        "sandbox_workspace_write.exclude_tmpdir_env_var=true",
    ]
    assert (more / "made").exists()
    assert not (hermetic.home / "not").exists(), "the sandbox keeps other folders as they are"


async def test_overrides_of_the_configuration_and_mcp_servers(hermetic: Hermetic, spy: Spy) -> None:
    agent = codex(
        hermetic,
        program=str(spy.program),
        config={"model_verbosity": "high", "tools": {"view_image": False}},
        mcp_servers={"none": {"command": "true", "args": ["--quiet"], "enabled": False}},
    )
    asked = await played(agent, hermetic)
    assert spy.overrides() == [
        'model_verbosity="high"',
        "tools.view_image=false",
        'mcp_servers.none.command="true"',
        'mcp_servers.none.args=["--quiet"]',
        "mcp_servers.none.enabled=false",
    ]
    assert asked.body["text"] == {"verbosity": "high"}


async def test_the_environment_is_what_is_on_the_list_and_what_is_given(
    hermetic: Hermetic, spy: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOMETHING_ELSE", "1")
    monkeypatch.setenv("WANTED", "2")
    home = hermetic.home / "another"
    home.mkdir()
    (home / "config.toml").write_text(Path(hermetic.codex()["CODEX_HOME"], "config.toml").read_text())
    env = {name: value for name, value in hermetic.codex().items() if name != "CODEX_HOME"}
    agent = CodexAgent(
        program=str(spy.program), codex_home=home, env={**env, "GIVEN": "3"}, env_allow=["PATH", "WANTED"]
    )
    asked = await played(agent, hermetic)
    assert "SOMETHING_ELSE" not in spy.env
    assert (spy.env["WANTED"], spy.env["GIVEN"]) == ("2", "3")
    assert spy.env["CODEX_HOME"] == str(home)
    assert list((home / "sessions").rglob("*.jsonl")), "its threads are kept there"
    assert asked.headers["authorization"] == "Bearer dummy"
    of_the_shell = {"PWD", "OLDPWD", "_", "SHLVL"}
    assert spy.env.keys() <= {*env, "PATH", "CODEX_HOME", "WANTED", "GIVEN", "SESSIONRY_MARKS", *of_the_shell}


@pytest.mark.parametrize(
    "given", [{"api_key": "sk-1"}, {"env": {"CODEX_API_KEY": "sk-1"}}, {"env": {"OPENAI_API_KEY": "sk-1"}}]
)
async def test_a_key_logs_in_for_the_run_alone(hermetic: Hermetic, spy: Spy, given: dict[str, Any]) -> None:
    provider = {**second(hermetic), "requires_openai_auth": True, "env_key": None}
    settings = {name: value for name, value in provider.items() if value is not None}
    agent = codex(
        hermetic,
        program=str(spy.program),
        model_provider="second",
        settings={"model_providers": {"second": settings}},
        **given,
    )
    asked = await played(agent, hermetic)
    assert asked.headers["authorization"] == "Bearer sk-1"
    assert spy.overrides() == ['cli_auth_credentials_store="ephemeral"']
    assert spy.sent("account/login/start") == [{"type": "apiKey", "apiKey": "sk-1"}]
    assert not (hermetic.home / ".codex" / "auth.json").exists()
    assert not any("sk-1" in word for word in spy.argv)


async def test_a_thread_is_resumed_with_the_same_options(hermetic: Hermetic, spy: Spy, sessions: OpenSessions) -> None:
    options: dict[str, Any] = {"model": "other", "sandbox": "read-only", "developer_instructions": "Use tabs."}
    async with sessions({"codex": codex(hermetic, program=str(spy.program), **options)}) as opened:
        session = await opened.create("codex", cwd=hermetic.work)
        for continuation in ("auto", "auto", "fork"):
            await (await session.run("hello", continuation=continuation)).result(60)
    (started,), (resumed,), (forked,) = (spy.sent(f"thread/{how}") for how in ("start", "resume", "fork"))
    for again in (resumed, forked):
        assert {**started, "threadId": again["threadId"], "excludeTurns": True} == again


async def test_what_codex_does_not_keep_is_refused_by_name(hermetic: Hermetic) -> None:
    agent = codex(hermetic, model_provider="nobody")
    with pytest.raises(Exception, match="nobody"):
        await RecordingContext(agent.check("hello"), cwd=hermetic.work).play(agent)
    with pytest.raises(InvalidInput, match=r"input\.summary must be one of"):
        agent.check({"prompt": "hello", "summary": "long"})


async def test_what_an_agent_declares_for_silence(hermetic: Hermetic) -> None:
    facts = codex(hermetic, stall_after=30.0, on_stall="fail").facts
    assert (facts.stall_after, facts.on_stall) == (30.0, "fail")
