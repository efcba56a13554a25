"""Agents on the command line: which there are, which is taken, and what a run may tell one."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from sessionry.agents.catalog import Catalog
from sessionry.agents.discovery import KNOWN
from sessionry.agents.local.found import found as found_local
from sessionry.cli.choosing import default_agent
from sessionry.cli.output import Output
from sessionry.domain.errors import InvalidInput

from .program import Cli

#: Plays one answer in Amp's format, with its arguments in it.
AMP = """
import json, sys
if "--version" in sys.argv:
    print("amp 0.9.1 (somewhere)")
    sys.exit()
prompt = sys.stdin.read().strip()
if prompt == "fail" or "ready" in prompt and "LOGGED_OUT" in __import__("os").environ.get("AMP_STATE", ""):
    sys.exit("Error: not logged in")
text = " ".join([*sys.argv[3:], prompt])
for frame in (
    {"type": "system", "subtype": "init", "session_id": "T-1"},
    {"type": "assistant", "session_id": "T-1", "message": {"content": [{"type": "text", "text": text}]}},
    {"type": "result", "subtype": "success", "is_error": False, "session_id": "T-1", "result": text},
):
    print(json.dumps(frame), flush=True)
"""


def install(cli: Cli, name: str, code: str = "print('1.2.3')") -> Path:
    """A program of that name, the first one on the PATH."""
    folder = cli.folder / "bin"
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!{sys.executable} -S\n{code}\n")
    program.chmod(0o755)
    cli.env["PATH"] = f"{folder}:{os.environ['PATH']}"
    return program


@pytest.fixture
def keyless(cli: Cli) -> Cli:
    """Somebody who is logged in nowhere."""
    for name in [name for name in cli.env if name.endswith(("_KEY", "_TOKEN"))]:
        del cli.env[name]
    return cli


def listed(cli: Cli, *words: str) -> dict[str, dict[str, Any]]:
    return {agent["id"]: agent for agent in cli.ok("--json", "agents", *words).jsons}


# --- sessionry agents ---


def test_agents_are_listed_and_those_that_cannot_be_made_say_why(cli: Cli) -> None:
    cli.agent("defaults", agent="mine")
    cli.agent("mine", type="shell")
    cli.agent("broken", type="shell", max_output_bytes=1)
    cli.agent("secret", type="shell", env={"KEY": "${env:NOT_SET}"})
    lines = {line.split()[0]: line for line in cli.ok("agents").lines}
    assert "mine *" in lines["mine"]
    assert "max_output_bytes must be at least 1024" in lines["broken"]
    agents = listed(cli)
    assert {"mine", "broken", "secret", "echo", "scripted", "shell", *KNOWN} == set(agents)
    assert agents["mine"]["default"] is True
    assert (agents["mine"]["status"], agents["broken"]["status"]) == ("ready", "broken")
    assert agents["secret"]["options"]["env"] == {"KEY": "${env:NOT_SET}"}
    assert "NOT_SET" in agents["secret"]["error"]
    assert agents["shell"]["capabilities"] == ["streaming", "tools", "commands", "files"]


def test_what_is_found_on_the_path_is_listed_with_its_version(keyless: Cli) -> None:
    missing = listed(keyless)["gemini"]
    assert missing["status"] == "not installed"
    assert "npm install" in missing["remedy"]
    assert "gemini" not in listed(keyless, "--installed")
    program = install(keyless, "gemini", "print('gemini 0.61.0')")
    agent = listed(keyless, "--installed")["gemini"]
    assert (agent["status"], agent["version"]) == ("ready", "0.61.0")
    assert agent["found"] == {"program": str(program), "version": "0.61.0", "logged_in": None, "how": "on PATH"}
    assert "approvals" in agent["capabilities"]


def test_the_list_for_people_tells_the_same(keyless: Cli) -> None:
    """What is there, its version, whether it is logged in, what it can, and where it was found."""
    program = install(keyless, "amp", "print('1.2.3')")
    keyless.env |= {"AMP_API_KEY": "dummy", "COLUMNS": "300"}
    lines = keyless.ok("agents").lines
    head, amp, qwen = lines[0], *(next(line for line in lines if line.startswith(id)) for id in ("amp", "qwen"))
    assert head.split() == ["AGENT", "STATUS", "TYPE", "VERSION", "LOGIN", "CAN", "FROM"]
    cells = {name: amp[head.index(name) :].split()[0] for name in head.split()}
    assert cells == {
        "AGENT": "amp",
        "STATUS": "ready",
        "TYPE": "amp",
        "VERSION": "1.2.3",
        "LOGIN": "yes",
        "CAN": listed(keyless)["amp"]["capabilities"][0],
        "FROM": str(program),
    }
    assert "not installed" in qwen
    assert "npm install -g @qwen-code/qwen-code" in qwen


def test_a_program_that_hangs_does_not_hold_up_the_list(keyless: Cli) -> None:
    install(keyless, "goose", "import time; time.sleep(60)")
    assert listed(keyless)["goose"]["status"] == "ready"


# --- which one is taken ---


def test_the_catalogs_default_works_when_none_is_named(cli: Cli) -> None:
    cli.agent("defaults", agent="echo")
    done = cli.ok("run", "hello")
    assert done.out == "hello\n"
    assert "the agent is" not in done.err


def test_without_a_default_the_first_usable_one_works_and_is_named(keyless: Cli) -> None:
    install(keyless, "amp", AMP)
    keyless.env["AMP_API_KEY"] = "dummy"
    assert listed(keyless)["amp"]["default"] is True
    done = keyless.ok("run", "hello")
    assert done.out == "hello\n"
    assert "the agent is amp, the first that is usable here" in done.err
    assert "the agent is" not in keyless.ok("run", "--quiet", "hello").err
    assert keyless.ok("--json", "ls").jsons[0]["agent_id"] == "amp"


def test_where_none_is_usable_it_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {name for known in KNOWN.values() for name in known.packages}:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InvalidInput, match="pip install") as told:
        default_agent(Catalog.load(None), Output())
    assert told.value.code == "validation_error"


def test_an_agent_that_is_known_but_not_there_says_how_to_get_it(cli: Cli) -> None:
    for words in (("run", "-a", "qwen", "x"), ("send", "SESSION", "-a", "qwen", "x")):
        session = cli.echo("hello") if "SESSION" in words else ""
        done = cli(*(session if word == "SESSION" else word for word in words))
        assert done.code == 5
        assert "npm install -g @qwen-code/qwen-code" in done.err


# --- what a run tells its agent ---


def test_options_of_one_run_reach_the_agent(keyless: Cli) -> None:
    install(keyless, "amp", AMP)
    assert keyless.ok("run", "-a", "amp", "-o", "mode=deep", "go").out == "--mode deep go\n"
    (run,) = keyless.ok("--json", "runs").jsons
    assert run["input"] == {"prompt": "go", "mode": "deep"}
    session = run["session_id"]
    sent = keyless.ok("--json", "send", session, "-o", "mode=rush", "on").json
    assert sent["input"] == {"prompt": "on", "mode": "rush"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("-a", "amp", "-o", "model=opus"), "input.model is no option of a run of this agent; its options are mode"),
        (("-a", "amp", "-o", "mode=3"), "input.mode must be a name, not 3"),
        (("-a", "shell", "-o", "effort=1"), "input.effort is not known"),
        (("-a", "scripted", "-o", "effort=1"), "input.effort is no option"),
        (("-a", "amp", "-o", "mode"), "write it as name=value"),
        (("-a", "amp", "-o", "prompt=x"), "a part of what it is asked"),
        (("-a", "amp", "--image", "a.png"), "input.images cannot be given to this agent"),
        (("-a", "amp", "--image", "nowhere.png"), "does not exist"),
        (("-a", "amp", "--output-schema", "schema.json"), "input.output_schema is no option"),
        (("-a", "amp", "--output-schema", "nowhere.json"), "cannot be read"),
        (("-a", "amp", "--output-schema", "a.png"), "has no JSON object"),
    ],
)
def test_what_an_agent_does_not_know_is_refused_by_its_name(keyless: Cli, words: tuple[str, ...], says: str) -> None:
    install(keyless, "amp", AMP)
    (keyless.cwd / "a.png").write_bytes(b"no picture")
    (keyless.cwd / "schema.json").write_text('{"type": "object"}')
    done = keyless("run", *words, "x")
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert keyless.ok("ls").out == "", "nothing was begun"


def test_values_are_json_where_they_are_json(cli: Cli) -> None:
    session = cli.echo("hello")
    options = ("-o", "a=3", "-o", "b=three", "-o", 'c={"d":[1]}', "-o", "e=true", "-o", "f=x=y", "-o", 'g="3"')
    (cli.cwd / "p.png").write_bytes(b"")
    asked = ("--image", "p.png", "--output-schema", '{"type":"array"}')
    sent = cli.ok("--json", "send", session, *options, *asked, "x").json
    assert sent["input"] == {
        "prompt": "x",
        "a": 3,
        "b": "three",
        "c": {"d": [1]},
        "e": True,
        "f": "x=y",
        "g": "3",
        "images": [{"path": str(cli.cwd / "p.png")}],
        "output_schema": {"type": "array"},
    }


def test_a_directory_for_a_command_is_an_option_of_its_run(cli: Cli) -> None:
    (cli.cwd / "below").mkdir()
    assert cli.ok("run", "-a", "shell", "-o", "cwd=below", "--", "pwd").out == f"{cli.cwd / 'below'}\n"


# --- sessionry doctor --agents ---


def asked(cli: Cli, code: int = 0) -> dict[str, dict[str, Any]]:
    """What the doctor says of each agent."""
    done = cli("--json", "doctor", "--agents")
    assert done.code == code, done
    found = [json.loads(line) for line in done.lines]
    return {each["message"].split()[0].rstrip(":"): each for each in found if each["check"] == "agent"}


def test_the_doctor_asks_each_agent_that_can_be_used(keyless: Cli) -> None:
    install(keyless, "amp", AMP)
    found = asked(keyless)
    assert found["amp"]["status"] == "ok"
    assert "at an unknown price" in found["amp"]["message"]
    assert "shell" not in found
    if found_local() is not None:
        assert "local answered" in found["local"]["message"]
        assert "for $0" in found["local"]["message"]
    assert not keyless.store.exists(), "what it asks is kept nowhere"


def test_an_agent_that_does_not_answer_is_a_problem_with_a_remedy(keyless: Cli) -> None:
    install(keyless, "amp", AMP)
    keyless.env["AMP_STATE"] = "LOGGED_OUT"
    found = asked(keyless, code=1)["amp"]
    assert found["status"] == "problem"
    assert "[auth]" in found["message"]
    assert "amp login" in found["remedy"]


def test_the_catalogs_file_is_still_named_before_the_command(cli: Cli) -> None:
    (cli.cwd / "mine.toml").write_text('[bad]\ntype = "amp"\nprogram = "/nowhere/amp"\n')
    done = cli("--json", "--agents", "mine.toml", "doctor", "--agents")
    assert done.code == 1
    assert any("command_not_found" in line for line in done.lines)
