"""Golden logs differ when something else happened, and only then."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from sessionry.domain import events as ev
from tests.agents.real.golden import check_golden, normal_lines


def log(folder: str, pieces: list[str], command: str = "ls") -> list[ev.EventData]:
    call, message = f"toolu_{uuid.uuid4().hex[:20]}", str(uuid.uuid4())
    streamed = [ev.MessageStreamed(text=piece, message_id=message) for piece in pieces]
    begun = ev.ToolCallStarted(tool_call_id=call, tool_name="Bash", tool_input={"command": f"{command} {folder}"})
    ended = ev.ToolCallCompleted(tool_call_id=call, tool_name="Bash", tool_output={"duration_ms": len(pieces), "n": 7})
    return [*streamed, begun, ended, ev.MessageReceived(text="".join(pieces), message_id=message)]


def test_chance_is_left_out_and_ids_stay_recognisable() -> None:
    lines = normal_lines(log("/tmp/x/work", ["a", "b"]), {"/tmp/x": "<tmp>", "/tmp/x/work": "<work>"})
    assert lines[0] == '{"type": "message_streamed", "text": "ab", "message_id": "<id 1>"}'
    assert '"tool_call_id": "<id 2>"' in lines[1]
    assert '"command": "ls <work>"' in lines[1]
    assert '{"duration_ms": "<duration_ms>", "n": 7}' in lines[2]
    assert '"message_id": "<id 1>"' in lines[3]


def test_the_file_is_written_once_and_then_compared(tmp_path: Path) -> None:
    path = tmp_path / "golden" / "one.jsonl"
    check_golden(path, log("/a", ["x", "y"]), {"/a": "<a>"}, renew=True)
    check_golden(path, log("/b", ["xy"]), {"/b": "<a>"})
    with pytest.raises(AssertionError, match="renew-golden"):
        check_golden(path, log("/b", ["xy"], command="rm"), {"/b": "<a>"})
    with pytest.raises(pytest.fail.Exception, match="is not there yet"):
        check_golden(tmp_path / "two.jsonl", [])
