"""What providers really sent, on the command line: kept and shown to who asks for it."""

from __future__ import annotations

import json

import pytest

from sessionry.testing.fakellm import ModelServer

from .program import Cli

SECRET = "sk-ant-api03-abcdefghijklmnop_-qrst"


@pytest.fixture
def model(cli: Cli, model_server: ModelServer) -> Cli:
    """A home with an agent that asks the scripted model."""
    cli.agent("model", type="openai", model="gpt-5", base_url=f"{model_server.url}/v1", api_key="dummy")
    return cli


PROMPT = f"<<<SCRIPT {json.dumps([{'text': list(f'It is {SECRET}.')}])} >>>"


def test_frames_are_kept_and_shown_when_they_are_asked_for(model: Cli) -> None:
    assert model("run", "-a", "model", "--keep-raw", PROMPT).out.strip() == "It is [redacted:anthropic_key]."
    session = model("--json", "ls").jsons[0]["id"]
    shown = model("--json", "events", session, "--raw").jsons
    frames = [event["data"] for event in shown if event["type"] == "frame_received"]
    assert {frame["source"] for frame in frames} == {"openai chat"}
    assert "abcdefghijklmnop" not in json.dumps(frames)
    assert model("--json", "events", session).jsons == [e for e in shown if e["type"] != "frame_received"]
    assert model("--json", "events", session, "-t", "frame_received").jsons == [
        event for event in shown if event["type"] == "frame_received"
    ]


def test_a_watched_run_shows_them_when_they_are_asked_for(model: Cli) -> None:
    model("run", "-a", "model", "--keep-raw", PROMPT)
    run = model("--json", "runs").jsons[0]["id"]
    assert "chat.completion.chunk" in model("watch", run, "--raw").err
    assert "chat.completion.chunk" not in model("watch", run).err
    kept = {raw: [event["type"] for event in model("--json", "watch", run, *raw).jsons] for raw in ((), ("--raw",))}
    assert kept[()] == [kind for kind in kept[("--raw",)] if kind != "frame_received"] != kept[("--raw",)]


def test_nothing_is_kept_unless_it_is_wanted(model: Cli) -> None:
    model("run", "-a", "model", PROMPT)
    session = model("--json", "ls").jsons[0]["id"]
    assert "frame_received" not in model("events", session, "--raw").out
