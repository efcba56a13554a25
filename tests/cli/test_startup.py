"""It starts fast: little is loaded, and little time goes by."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

from .program import SESSIONRY, Cli

#: What a command that only looks must not need.
LATER = {
    "asyncio",
    "concurrent.futures",
    "psutil",
    "rich",
    "yaml",
    "psycopg",
    "sessionry.compose",
    "sessionry.runtime.sessions",
}
WATCHED = pytest.mark.skipif("COVERAGE_PROCESS_START" in os.environ, reason="who watches loads things and takes time")


def loaded(cli: Cli, *words: str) -> set[str]:
    """The modules that a command has loaded at its end."""
    code = f"""
import sys
from sessionry.cli.program import perform
code = perform({words!r})
print(*sys.modules)
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", code], env=cli.env, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("ls",),
        ("ls", "--counts"),
        ("show", "SESSION"),
        ("events", "SESSION"),
        ("runs",),
        ("approvals",),
        ("tree", "SESSION"),
        ("transcript", "SESSION"),
        ("workers",),
    ],
    ids=" ".join,
)
def test_who_only_looks_needs_no_event_loop(cli: Cli, words: tuple[str, ...]) -> None:
    session = cli.echo("hello")
    assert not loaded(cli, *(session if word == "SESSION" else word for word in words)) & LATER


@WATCHED
def test_the_help_needs_no_more_than_click(cli: Cli) -> None:
    assert not {
        module for module in loaded(cli, "--help") if module.startswith(("msgspec", "sqlite3", "sessionry.domain"))
    }


def seconds(cli: Cli, *words: str) -> float:
    """The CPU time that the words take."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, env=cli.env, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.slow  # beside other tests the processors are too busy to measure anything
@WATCHED
@pytest.mark.parametrize(("words", "limit"), [(("--help",), 4.0), (("ls",), 8.0)], ids=["help", "ls"])
def test_starting_takes_a_few_times_as_long_as_python_alone(cli: Cli, words: tuple[str, ...], limit: float) -> None:
    cli.echo("hello")
    rounds = [(seconds(cli, sys.executable, "-c", "pass"), seconds(cli, SESSIONRY, *words)) for _ in range(15)]
    python, ours = (min(times) for times in zip(*rounds, strict=True))
    assert ours / python <= limit
