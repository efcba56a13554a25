"""What an agent may ask of us besides: files and terminals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sessionry.domain import events as ev
from tests.agents.acp.player import play, player, received, script, texts


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


async def test_what_a_tool_writes_into_a_terminal_of_ours_is_its_output(tmp_path: Path) -> None:
    agent = player(folder=tmp_path, client_terminal=True)
    steps = script({"in_terminal": {"command": "sh", "args": ["-c", "echo one; exit 3"]}})
    context = await play(agent, steps, tmp_path)
    assert context.data(ev.ToolCallCompleted)[0].tool_output == {"output": "one\n", "exit_code": 3}
    assert [piece.text for piece in context.data(ev.ToolOutputStreamed)] == ["one\n"]
