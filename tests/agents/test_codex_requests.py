"""What Codex may ask that no script of the model brings it to: a program asks in its words, and keeps the answers."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from sessionry.agents.codex import CodexAgent
from sessionry.domain import events as ev
from sessionry.testing.context import Question, RecordingContext

#: It greets, begins a thread and a turn, asks what is in `asks`, and ends the turn when all is answered.
PROGRAM = """
import json, pathlib, sys
folder = pathlib.Path(__file__).parent
asks = json.loads((folder / "asks").read_text())
say = lambda **message: print(json.dumps(message), flush=True)
turn = {"id": "turn-00000001", "status": "completed", "items": []}
answers = {}
for line in sys.stdin:
    told = json.loads(line)
    match told.get("method"):
        case "initialize":
            say(id=told["id"], result={"userAgent": "sessionry/0.163.0 (Linux)"})
        case "thread/start":
            say(id=told["id"], result={"thread": {"id": "thread"}, "model": "m", "modelProvider": "p"})
        case "turn/start":
            say(id=told["id"], result={"turn": turn})
            for number, (method, params) in enumerate(asks):
                say(id=100 + number, method=method, params={"threadId": "thread", "turnId": turn["id"], **params})
        case "thread/items/list":
            say(id=told["id"], result={"data": []})
        case None:
            answers[told["id"]] = told.get("result", told.get("error"))
            if len(answers) == len(asks):
                (folder / "answers").write_text(json.dumps([answers[100 + number] for number in range(len(asks))]))
                say(method="turn/completed", params={"threadId": "thread", "turn": turn})
"""

WRITES = {"fileSystem": {"write": ["/srv"], "read": None}, "network": None}


async def answers_of(
    tmp_path: Path, *asks: tuple[str, dict[str, Any]], yes: bool = False
) -> tuple[list[Any], list[Question]]:
    """What it was answered, and what a person was asked."""
    program = tmp_path / "codex"
    program.write_text(f"#!{sys.executable}\n{PROGRAM}")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "asks").write_text(json.dumps(asks))
    context = RecordingContext("go", cwd=tmp_path, answers=lambda _: yes)
    events = await context.play(CodexAgent(program=str(program), env_allow=["PATH"]))
    assert isinstance(events[-1], ev.RunCompleted)
    return json.loads((tmp_path / "answers").read_text()), context.questions


@pytest.mark.parametrize(
    ("method", "params", "answer"),
    [
        ("item/tool/requestUserInput", {"itemId": "i", "questions": []}, {"answers": {}}),
        ("mcpServer/elicitation/request", {"serverName": "s", "mode": "form", "message": "?"}, {"action": "decline"}),
        ("mcpServer/elicitation/request", {"serverName": "s", "mode": "url", "url": "http://x"}, {"action": "decline"}),
        ("item/tool/call", {"callId": "c", "tool": "t", "arguments": {}}, {"contentItems": [], "success": False}),
        ("execCommandApproval", {"callId": "c", "command": ["ls"]}, {"decision": "denied"}),
        ("applyPatchApproval", {"callId": "c", "fileChanges": {}}, {"decision": "denied"}),
    ],
)
async def test_what_nobody_can_answer_by_yes_or_no_is_declined(
    tmp_path: Path, method: str, params: dict[str, Any], answer: Any
) -> None:
    answers, questions = await answers_of(tmp_path, (method, params), yes=True)
    assert answers == [answer]
    assert not questions


@pytest.mark.parametrize(
    "method", ["attestation/generate", "account/chatgptAuthTokens/refresh", "currentTime/read", "something/new"]
)
async def test_what_is_not_known_is_refused(tmp_path: Path, method: str) -> None:
    answers, _ = await answers_of(tmp_path, (method, {}))
    assert answers[0]["code"] == -32601
    assert method in answers[0]["message"]


@pytest.mark.parametrize("yes", [True, False])
async def test_more_rights_are_given_for_the_turn_or_not_at_all(tmp_path: Path, *, yes: bool) -> None:
    asked = ("item/permissions/requestApproval", {"itemId": "i", "permissions": WRITES, "reason": "to build"})
    answers, (question,) = await answers_of(tmp_path, asked, yes=yes)
    assert answers == [{"permissions": WRITES if yes else {}, "scope": "turn"}]
    assert (question.tool_name, question.reason) == ("permissions", "to build")
    assert question.tool_input == {"fileSystem": {"write": ["/srv"]}}


@pytest.mark.parametrize("yes", [True, False])
async def test_a_command_that_wants_the_network_is_asked_for_by_its_host(tmp_path: Path, *, yes: bool) -> None:
    host = {"host": "example.org", "protocol": "https"}
    asked = (
        "item/commandExecution/requestApproval",
        {"itemId": "i", "command": "curl", "networkApprovalContext": host},
    )
    answers, (question,) = await answers_of(tmp_path, asked, yes=yes)
    assert answers == [{"decision": "accept" if yes else "decline"}]
    assert (question.tool_name, question.tool_input) == ("network_access", host)


async def test_several_questions_are_open_at_once(tmp_path: Path) -> None:
    asks = [("item/commandExecution/requestApproval", {"itemId": f"i{n}", "command": f"do {n}"}) for n in range(3)]
    answers, questions = await answers_of(tmp_path, *asks, yes=True)
    assert answers == [{"decision": "accept"}] * 3
    assert [question.tool_input["command"] for question in questions] == ["do 0", "do 1", "do 2"]
