"""`sessionry run` and `send` with `--stall-after`, `--on-stall` and `--continuation`."""

from __future__ import annotations

import json

from .program import Cli


def test_a_silence_that_is_too_long_fails_the_run_and_ends_its_command(cli: Cli) -> None:
    done = cli("run", "--agent", "shell", "--stall-after", "0.2", "--on-stall", "fail", "--", "sleep", "60")
    assert done.code == 1
    assert "nothing was heard of the agent for 0.2 s while shell was at work [stalled" in done.err


def test_a_silence_is_told_and_the_run_goes_on(cli: Cli) -> None:
    done = cli.ok("run", "--agent", "shell", "--stall-after", "0.2", "--json", "--", "sh", "-c", "sleep 1; echo done")
    events = [event for event in map(json.loads, done.out.splitlines()) if "type" in event]
    told = [event["data"] for event in events if event["type"] == "run_stalled"]
    silences = [data["seconds"] for data in told if data.get("tool_name") == "shell"]
    assert silences
    assert all(seconds >= 0.2 * 2**number for number, seconds in enumerate(silences)), "again when it is twice as long"
    assert events[-1]["type"] == "run_completed"


def test_the_options_reach_the_run_of_a_new_session_and_of_an_old_one(cli: Cli) -> None:
    words = ("--stall-after", "5m", "--on-stall", "tell", "--continuation", "replay", "--json", "--", "true")
    begun = cli.ok("run", "--agent", "shell", *words)
    session_id = next(found["session_id"] for found in map(json.loads, begun.out.splitlines()) if "session_id" in found)
    cli.ok("send", session_id, *words)
    events = [json.loads(line) for line in cli.ok("events", session_id, "--json").out.splitlines()]
    options = [event["data"]["options"] for event in events if event.get("type") == "run_queued"]
    assert options == [{"stall_after": 300.0, "on_stall": "tell", "continuation": "replay"}] * 2


def test_what_is_no_choice_is_wrong_usage(cli: Cli) -> None:
    assert cli("run", "--on-stall", "shout", "x").code == 2
    assert cli("run", "--continuation", "sideways", "x").code == 2
    assert cli("run", "--stall-after", "soon", "x").code == 2
