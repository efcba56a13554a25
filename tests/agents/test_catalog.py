"""The catalog says which agents there are and makes them; what cannot be made names the agent and the option."""

from __future__ import annotations

import importlib.metadata
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sessionry.agents import entries
from sessionry.agents.catalog import Catalog, negotiate
from sessionry.agents.entries import Entry, types
from sessionry.agents.function import FunctionAgent, agent, unregister
from sessionry.agents.scripted import ScriptedAgent
from sessionry.agents.shell import ShellAgent
from sessionry.domain.errors import InvalidInput, NotFound
from sessionry.domain.events import EventData, MessageReceived, RunCompleted
from sessionry.domain.json_values import Json
from sessionry.domain.run import AgentFacts, Takeover
from sessionry.ports import Agent, AgentContext
from sessionry.testing.context import RecordingContext


class Visitor:
    """An agent of a third party."""

    takeover = takeover_waiting = Takeover.STOP

    def __init__(self, *, key: str, retries: int = 1, folder: Path | None = None, odd: Any = None) -> None:
        if key == "bad":
            raise ValueError(f"the key {key} does not open anything")
        self.key, self.retries, self.folder = key, retries, folder

    @property
    def facts(self) -> AgentFacts:
        return AgentFacts(type="visitor", capabilities=["tools", "flying"])

    def check(self, input: Json) -> Json:
        return input

    async def run(self, context: AgentContext) -> AsyncIterator[EventData]:
        yield RunCompleted()


def catalog(tmp_path: Path, text: str) -> Catalog:
    file = tmp_path / "agents.toml"
    file.write_text(text)
    return Catalog.load(file)


def refusal(tmp_path: Path, text: str, id: str = "mine") -> InvalidInput:
    with pytest.raises(InvalidInput) as refused:
        catalog(tmp_path, text).agent(id)
    assert refused.value.code == "invalid_configuration"
    return refused.value


@pytest.fixture
def visitor_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "visiting", sys.modules[__name__])
    points = [
        importlib.metadata.EntryPoint("visitor", "visiting:Visitor", "sessionry.agents"),
        importlib.metadata.EntryPoint("broken", "no_such_module:Agent", "sessionry.agents"),
    ]
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda *, group: points if group == "sessionry.agents" else []
    )


async def test_without_a_file_there_are_the_built_in_agents() -> None:
    built_in = Catalog.load(None)
    assert {"echo", "scripted", "shell"} <= set(built_in.ids())
    assert isinstance(built_in.agent("shell"), ShellAgent)
    assert isinstance(built_in.agent("scripted"), ScriptedAgent)
    context = RecordingContext("hello")
    await context.play(built_in.agent("echo"))
    assert [message.text for message in context.data(MessageReceived)] == ["hello"]
    assert built_in.default is None


def test_an_entry_makes_one_agent_with_its_options(tmp_path: Path) -> None:
    mine = catalog(
        tmp_path,
        """
        [defaults]
        agent = "tests"
        [tests]
        type = "shell"
        allowed_commands = ["pytest"]
        max_output_bytes = 4096
        kill_grace = 1
        """,
    )
    made = mine.agent("tests")
    assert isinstance(made, ShellAgent)
    assert made is mine.agent("tests")
    assert made.id == "tests"
    with pytest.raises(InvalidInput, match="allowed commands"):
        made.check({"argv": ["pytest"], "env": {"A": "1"}})
    assert mine.default == "tests"
    assert Catalog.load(tmp_path / "agents.toml", default="echo").default == "echo"


def test_a_file_of_an_entry_is_looked_for_beside_the_catalog(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("- say: hello")
    made = catalog(tmp_path, '[mine]\ntype = "scripted"\nfile = "mine.yaml"\npace = 0').agent("mine")
    assert isinstance(made, ScriptedAgent)
    assert len(made.steps) == 1


def test_a_function_is_named_by_its_module(tmp_path: Path) -> None:
    text = '[mine]\ntype = "function"\nfunction = "sessionry.agents.catalog:echo"\ntakeover = "restart"'
    made = catalog(tmp_path, text).agent("mine")
    assert isinstance(made, FunctionAgent)
    assert made.takeover is Takeover.RESTART


def test_an_unknown_agent_is_told_with_those_that_there_are() -> None:
    with pytest.raises(NotFound) as refused:
        Catalog().agent("shel")
    assert refused.value.code == "agent_not_found"
    assert refused.value.message.startswith("there is no agent 'shel'; did you mean shell? the agents are ")
    assert "echo" in refused.value.details["agents"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'type = "shell"\nxyz = 1',
            "agent 'mine': option 'xyz' is no option of type 'shell'; its options are shell_",
        ),
        (
            'type = "shell"\nkill_grase = 1',
            "agent 'mine': option 'kill_grase' is no option of type 'shell'; did you mean k",
        ),
        ('type = "shell"\nid = "x"', "agent 'mine': option 'id' is no option"),
        ('type = "shell"\napprove = "yes"', "agent 'mine': option 'approve' is wrong: Expected `bool`, got `str`"),
        ('type = "shell"\nallowed_commands = [1]', "agent 'mine': option 'allowed_commands' is wrong: Expected `str`"),
        ('type = "shell"\nkill_grace = 0', "agent 'mine': kill_grace must be from 0 to 9 seconds"),
        ('type = "scripted"\nscript = "- sya: x"', "agent 'mine': script[0] is 'sya', which is no step"),
        ('type = "function"', "agent 'mine': option 'function' is missing, and type 'function' needs it"),
        ('type = "function"\nfunction = "nope"', "agent 'mine': 'nope' must be module:name"),
        ('type = "function"\nfunction = "nope:x"', "agent 'mine': 'nope:x' cannot be imported: No module named 'nope'"),
        (
            'type = "function"\nfunction = "sys:version"',
            "agent 'mine': the function of agent 'mine' must be a function",
        ),
        (
            'type = "function"\nfunction = "sys:exit"\ntakeover = "x"',
            "agent 'mine': option 'takeover' is wrong: Invalid en",
        ),
        ('type = "nope"', "agent 'mine': the type 'nope' is unknown; the types are acp, amp, anthropic, "),
    ],
)
def test_what_cannot_be_made_names_the_agent_and_the_option(tmp_path: Path, text: str, message: str) -> None:
    error = refusal(tmp_path, f"[mine]\n{text}")
    assert error.message.startswith(message)
    assert error.details["agent"] == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[mine]\nallowed = 1", "agent 'mine' in {file} needs a type"),
        ("mine = 1", "'mine' in {file} must be a table"),
        ("[defaults]\nagnet = 1", "[defaults] in {file} may have one key: agent"),
        ("[defaults]\nagent = 1", "[defaults] in {file} may have one key: agent, the id of an agent"),
        ("[mine", "the agents file {file} cannot be read: Expected"),
    ],
)
def test_a_bad_file_names_itself(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text).message.startswith(message.format(file=tmp_path / "agents.toml"))


def test_a_missing_file_names_itself(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInput, match=r"nope\.toml cannot be read: No such file or directory; unset SESSIONRY_AGENTS"
    ):
        Catalog.load(tmp_path / "nope.toml")


def test_one_bad_entry_does_not_hurt_the_others(tmp_path: Path) -> None:
    assert catalog(tmp_path, '[bad]\ntype = "nope"\n[good]\ntype = "shell"').agent("good")


# --- secrets ---


@pytest.mark.usefixtures("visitor_installed")
def test_a_reference_is_put_in_when_the_agent_is_made_and_shown_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("VISITOR_KEY", "hush-hush")
    monkeypatch.setenv("VISITOR_RETRIES", "7")
    text = '[mine]\ntype = "visitor"\nkey = "Bearer ${env:VISITOR_KEY}"\nretries = "${env:VISITOR_RETRIES}"'
    with caplog.at_level(logging.DEBUG):
        mine = catalog(tmp_path, text)
        made = mine.agent("mine")
    assert isinstance(made, Visitor)
    assert (made.key, made.retries) == ("Bearer hush-hush", 7)
    assert mine.entry("mine").options["key"] == "Bearer ${env:VISITOR_KEY}"
    assert "hush-hush" not in repr(mine.entry("mine")) + caplog.text


def test_references_are_found_in_lists_and_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOL", "git")
    text = '[mine]\ntype = "shell"\nallowed_commands = ["${env:TOOL}"]\nenv = { A = "${env:TOOL}/x" }'
    made = catalog(tmp_path, text).agent("mine")
    assert vars(made)["_env"] == {"A": "git/x"}


@pytest.mark.usefixtures("visitor_installed")
def test_a_missing_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VISITOR_KEY", raising=False)
    error = refusal(tmp_path, '[mine]\ntype = "visitor"\nkey = "${env:VISITOR_KEY}"')
    assert error.message.startswith("agent 'mine': option 'key' refers to the variable VISITOR_KEY, which is not set")


@pytest.mark.usefixtures("visitor_installed")
def test_an_agent_that_cannot_be_made_does_not_tell_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISITOR_KEY", "bad")
    error = refusal(tmp_path, '[mine]\ntype = "visitor"\nkey = "${env:VISITOR_KEY}"')
    assert error.message == (
        "agent 'mine' cannot be made: ValueError: the key ${env:VISITOR_KEY} does not open anything"
    )
    assert error.__cause__ is None


# --- third parties, added ones, registered ones ---


@pytest.mark.usefixtures("visitor_installed")
def test_third_parties_add_types(tmp_path: Path) -> None:
    made = catalog(tmp_path, '[mine]\ntype = "visitor"\nkey = "x"\nfolder = "sub"\nodd = [1]').agent("mine")
    assert isinstance(made, Visitor)
    assert made.folder == tmp_path / "sub"
    assert "visitor" in types()
    broken = refusal(tmp_path, '[mine]\ntype = "broken"')
    assert broken.message.startswith("agent 'mine': the type 'broken' cannot be loaded from no_such_module:Agent")


def test_a_type_that_makes_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "TYPES", {"odd": "collections:UserDict"})
    assert (
        refusal(tmp_path, '[mine]\ntype = "odd"').message
        == "agent 'mine': type 'odd' made a UserDict, which is no agent"
    )


def test_agents_and_functions_can_be_added() -> None:
    mine = Catalog()
    mine.add("visitor", Visitor(key="x"))
    mine.add("shout", lambda message: message.upper())
    assert isinstance(mine.agent("visitor"), Visitor)
    assert isinstance(mine.agent("shout"), FunctionAgent)
    assert mine.entry("visitor") == Entry("visitor", "visitor")
    assert {"visitor", "shout"} <= set(mine.ids())
    with pytest.raises(InvalidInput):
        mine.add(" ", Visitor(key="x"))


def test_the_added_one_goes_before_the_file_before_the_decorated_before_the_built_in(tmp_path: Path) -> None:
    @agent("echo")
    def decorated() -> None: ...

    try:
        assert vars(Catalog().agent("echo"))["function"] is decorated
        mine = catalog(tmp_path, '[echo]\ntype = "shell"')
        assert isinstance(mine.agent("echo"), ShellAgent)
        mine.add("echo", Visitor(key="x"))
        assert isinstance(mine.agent("echo"), Visitor)
    finally:
        unregister("echo")
    assert vars(Catalog().agent("echo"))["function"] is not decorated


# --- capabilities ---


def test_required_capabilities_are_there() -> None:
    visitor: Agent = Visitor(key="x")
    negotiate(visitor, [])
    negotiate(visitor, ["tools", "flying"])


def test_a_missing_capability_is_told_with_what_the_agent_can_do() -> None:
    with pytest.raises(InvalidInput) as refused:
        negotiate(Visitor(key="x"), ["tools", "steer"])
    assert refused.value.code == "missing_required_capability"
    assert refused.value.message == "a visitor agent cannot do steer; it can do flying, tools"
    assert refused.value.details == {"missing": ["steer"], "capabilities": ["flying", "tools"]}
    with pytest.raises(InvalidInput, match="'steering' is no capability that Sessionry knows, which are streaming,"):
        negotiate(Visitor(key="x"), ["steering"])


def test_opening_a_catalog_imports_no_agent(tmp_path: Path) -> None:
    code = "import sys; from sessionry.agents.catalog import Catalog; Catalog.load(None).ids(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    heavy = {"psutil", "yaml", "tomllib", "importlib.metadata", "sessionry.agents.shell", "sessionry.agents.scripted"}
    assert not heavy & set(done.stdout.split())
