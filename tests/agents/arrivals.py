"""Where the options of agents arrive: a table for each type of agent, which its tests play.

    ARRIVALS = [Arrival("model", "large", lambda left: left.asked[0].model, "large"), ...]

    @pytest.mark.parametrize("arrival", ARRIVALS, ids=named)
    async def test_every_option_arrives(arrival: Arrival, tmp_path: Path) -> None:
        await arrives(arrival, tmp_path, play)

A run is played with the option and without it, by the agent as it is, and what left is looked at: arguments, environment,
frames, requests, or what came of them. What has to be seen must be seen with the option, and only then.
`tests/project/test_agent_options.py` demands that the tables and the pages have the same options.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sessionry.agents.process import GRACE, Process

#: What a run is asked for where it does not matter.
PROMPT = "hello"
#: Seconds within which a run ends, also one that would wait for a minute if its option were ignored.
SOON = 40.0


class Arrival(NamedTuple):
    """An option, a telling value, what is looked at of what left, and what has to be seen there."""

    option: str
    value: Any
    look: Callable[[Any], Any]
    seen: Any
    #: it is given beside the prompt of a run, and not to the agent
    of_run: bool = False
    #: options of the agent that are there both times
    beside: Mapping[str, Any] = {}
    #: what the run is asked for
    input: Any = PROMPT
    #: without it nothing would leave at all, or only after minutes
    alone: bool = False


class Made(NamedTuple):
    """A value that is made of a folder of the test's own."""

    make: Callable[[Path], Any]


#: Plays a run of an agent with these options and that input, in a folder; what left.
Play = Callable[[dict[str, Any], Any, Path], Awaitable[Any]]


async def arrives(arrival: Arrival, tmp_path: Path, play: Play) -> None:
    """What has to be seen of the option is seen, and without the option it is not."""
    found = await _seen(arrival, tmp_path / "with", play, given=True)
    assert found == arrival.seen, f"{arrival.option} is not there: {found!r} instead of {arrival.seen!r}"
    if not arrival.alone:
        without = await _seen(arrival, tmp_path / "without", play, given=False)
        assert without != arrival.seen, "it can be seen without the option too"


async def _seen(arrival: Arrival, folder: Path, play: Play, *, given: bool) -> Any:
    folder.mkdir()
    options, input = {name: _made(value, folder) for name, value in arrival.beside.items()}, arrival.input
    if given:
        value = _made(arrival.value, folder)
        if arrival.of_run:
            input = {"prompt": input, arrival.option: value}
        else:
            options[arrival.option] = value
    async with asyncio.timeout(SOON):
        left = await play(options, input, folder)
    try:
        return arrival.look(left)
    except (AttributeError, LookupError, StopIteration, ValueError) as nothing:
        return nothing


def _made(value: Any, folder: Path) -> Any:
    return value.make(folder) if isinstance(value, Made) else value


def of_runs(arrivals: list[Arrival], *options: str) -> list[Arrival]:
    """The rows of these options, given with a run instead."""
    return [arrival._replace(of_run=True) for arrival in arrivals if arrival.option in options and not arrival.of_run]


def named(arrival: Arrival) -> str:
    return f"{arrival.option} of a run" if arrival.of_run else arrival.option


@contextmanager
def graces() -> Iterator[list[float]]:
    """The seconds that each program got to end, of those that end meanwhile."""
    got: list[float] = []
    stop = Process.stop

    async def noting(process: Process, grace: float = GRACE) -> int:
        got.append(grace)
        return await stop(process, grace)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Process, "stop", noting)
        yield got
