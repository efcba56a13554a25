"""An agent's program, talked to in lines of JSON: well, badly, endlessly, and down to its last descendant."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from sessionry.agents.places import Line, Places
from sessionry.agents.process import MARKS, Process, environment, kill_programs
from sessionry.agents.program import STDERR_KEPT, Program
from sessionry.domain.errors import AgentFailed
from sessionry.domain.events import AgentProcessStarted
from sessionry.testing.context import RecordingContext

from .processes import alive, until

SCRIPT = Path(__file__).with_name("talkative.py")


@pytest.fixture
def context(tmp_path: Path) -> RecordingContext:
    return RecordingContext("x", cwd=tmp_path)


@asynccontextmanager
async def talkative(context: RecordingContext, mode: str, **options: Any) -> AsyncIterator[Program]:
    argv = [sys.executable, "-S", str(SCRIPT), mode]
    async with Program.start(context, argv, cwd=context.cwd, env=environment(), **options) as program:
        yield program


async def said(program: Program) -> list[Any]:
    return [message async for message in program.messages()]


async def first(program: Program) -> Any:
    async for message in program.messages():
        return message
    return None


# --- words ------------------------------------------------------------------------------------------------------------


async def test_what_it_says_comes_line_by_line(context: RecordingContext) -> None:
    async with talkative(context, "numbers") as program:
        assert await said(program) == list(range(1000))
    assert program.exit_code == 0


async def test_a_dialogue_goes_both_ways(context: RecordingContext) -> None:
    async with talkative(context, "echo") as program:
        messages = program.messages()
        for message in ({"text": "Grüße\n👋"}, [1, None], "x" * 200_000):
            await program.send(message)
            assert await anext(messages) == {"you said": message}
        program.close_stdin()
        with pytest.raises(StopAsyncIteration):
            await anext(messages)
    assert program.exit_code == 0


async def test_many_may_send_at_once_and_every_line_stays_whole(context: RecordingContext) -> None:
    async with talkative(context, "echo") as program:
        sent = [{"n": number, "fill": "x" * 100_000} for number in range(20)]
        sending = [asyncio.create_task(program.send(message)) for message in sent]
        messages = program.messages()
        heard = [(await anext(messages))["you said"] for _ in sent]
        await asyncio.gather(*sending)
    assert heard == sent


async def test_a_line_of_ten_megabytes_is_a_line(context: RecordingContext) -> None:
    async with talkative(context, "long") as program:
        assert [len(message) for message in await said(program)] == [10_000_000, 5]


async def test_empty_lines_are_passed_over_and_the_last_one_needs_no_end(context: RecordingContext) -> None:
    async with talkative(context, "tail") as program:
        assert await said(program) == [{"a": 1}, {"b": 2}]


async def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(context: RecordingContext) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(AgentFailed, match="wrote a line of more than 8 MiB") as caught:
        async with talkative(context, "endless", longest_line=8 << 20) as program:
            await said(program)
    assert caught.value.code == "protocol"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


async def test_what_is_no_json_is_told_with_what_it_was(context: RecordingContext) -> None:
    async with talkative(context, "confused") as program:
        messages = program.messages()
        assert await anext(messages) == {"fine": True}
        with pytest.raises(AgentFailed, match="'Welcome to my program!'") as caught:
            await anext(messages)
    assert caught.value.code == "protocol"
    assert not alive(program.process.pid)


@pytest.mark.parametrize(("mode", "words"), [("latin", "Stra\ufffde"), ("deep", "wrote what is no JSON")])
async def test_what_is_no_utf8_or_nested_without_end_is_no_json_either(
    context: RecordingContext, mode: str, words: str
) -> None:
    async with talkative(context, mode) as program:
        messages = program.messages()
        assert await anext(messages) == {"fine": True}
        with pytest.raises(AgentFailed, match=words) as caught:
            await anext(messages)
    assert caught.value.code == "protocol"


async def test_a_flood_on_stderr_blocks_nothing_and_its_beginning_and_end_are_kept(context: RecordingContext) -> None:
    async with talkative(context, "flood") as program:
        assert await said(program) == ["done"]
        assert program.stderr.startswith("first words")
        assert program.stderr.endswith("last words")
        assert len(program.stderr) < STDERR_KEPT + 200


# --- its end ----------------------------------------------------------------------------------------------------------


async def test_a_program_that_dies_tells_its_last_words(context: RecordingContext) -> None:
    async with talkative(context, "dies") as program:
        assert await said(program) == []
        error = await program.crash()
    assert error.code == "crashed"
    assert error.retryable
    assert str(error.message).endswith("ended before its work was done (exit code 3): no such model")
    assert error.details == {"exit_code": 3, "stderr": "something\nno such model"}


async def test_a_program_that_was_killed_tells_by_which_signal(context: RecordingContext) -> None:
    async with talkative(context, "killed") as program:
        assert await said(program) == []
        error = await program.crash()
    assert "(signal 9)" in error.message


async def test_sending_to_a_program_that_reads_no_more_is_a_crash(context: RecordingContext) -> None:
    async with talkative(context, "closes") as program:
        assert await first(program) == "closed"
        with pytest.raises(AgentFailed, match="reads no more before its work was done") as caught:
            await program.send("x")
    assert caught.value.code == "crashed"


async def test_a_program_that_ignores_every_signal_is_killed_with_its_children(context: RecordingContext) -> None:
    async with talkative(context, "deaf", grace=0.6) as program:
        pids = await first(program)
        assert all(map(alive, pids))
    assert not any(map(alive, pids))
    assert program.exit_code == -9


@pytest.mark.parametrize("how", ["leaving", "raising", "cancelling"])
async def test_whatever_happens_no_descendant_survives_the_block(context: RecordingContext, how: str) -> None:
    pids: list[int] = []

    async def work() -> None:
        async with talkative(context, "parent") as program:
            pids.extend(await first(program))
            if how == "raising":
                raise ValueError("no")
            if how == "cancelling":
                await asyncio.Event().wait()

    working = asyncio.create_task(work())
    if how == "cancelling":
        await until(lambda: bool(pids))
        working.cancel()
    await asyncio.wait([working])
    assert len(pids) == 3
    assert not any(map(alive, pids))


async def test_nothing_is_left_open_after_many_programs(context: RecordingContext) -> None:
    async with talkative(context, "dies"):
        pass
    files, children = len(psutil.Process().open_files()) + psutil.Process().num_fds(), len(psutil.Process().children())
    for _ in range(10):
        async with talkative(context, "echo") as program:
            await program.send("x")
            await first(program)
    assert len(psutil.Process().open_files()) + psutil.Process().num_fds() == files
    assert len(psutil.Process().children()) == children


# --- its start --------------------------------------------------------------------------------------------------------


async def test_the_log_is_told_who_was_started(context: RecordingContext) -> None:
    async with talkative(context, "echo", version="1.2") as program:
        (started,) = context.data(AgentProcessStarted)
        process = psutil.Process(started.pid)
        assert process.create_time() == started.started_at
        assert (started.pid, started.host, started.version) == (program.process.pid, socket.gethostname(), "1.2")
        assert context.run.id in process.environ()[MARKS].split()
    assert started.program == Path(sys.executable).name


async def test_a_program_that_is_not_there_is_told_as_such(context: RecordingContext) -> None:
    with pytest.raises(AgentFailed, match="no-such-program was not found; install it") as caught:
        async with Program.start(context, ["no-such-program"], cwd=context.cwd, env=environment()):
            pass
    assert caught.value.code == "command_not_found"
    assert context.data(AgentProcessStarted) == []


async def test_a_program_that_cannot_be_started_is_told_as_such(context: RecordingContext, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("no program")
    with pytest.raises(AgentFailed, match="cannot be started: ") as caught:
        async with Program.start(context, [str(tmp_path / "plain")], cwd=context.cwd, env=environment()):
            pass
    assert caught.value.code == "agent_unavailable"


async def test_a_folder_that_is_not_there_is_not_a_program_that_is_not_there(context: RecordingContext) -> None:
    with pytest.raises(AgentFailed, match="the folder /nowhere to start") as caught:
        async with Program.start(context, [sys.executable], cwd=Path("/nowhere"), env=environment()):
            pass
    assert caught.value.code == "agent_unavailable"


# --- what an earlier attempt left -------------------------------------------------------------------------------------


async def test_another_attempt_ends_what_the_first_one_left_by_its_marks(context: RecordingContext) -> None:
    left = Process.start(
        [sys.executable, "-S", str(SCRIPT), "deaf"], cwd=context.cwd, env=environment(), run_id=context.run.id
    )
    try:
        async with talkative(context.after_a_crash(), "numbers"):
            assert not alive(left.pid)
    finally:
        await left.stop(0.3)


async def test_another_attempt_ends_what_has_lost_its_marks_by_pid_and_start_time(context: RecordingContext) -> None:
    """The environment of the first program and its child is wiped, as an agent may do that executes itself anew."""
    left = await asyncio.create_subprocess_exec(
        sys.executable, "-S", str(SCRIPT), "wiped", env={}, stdout=-1, start_new_session=True
    )
    assert left.stdout is not None
    pids = [int(pid) for pid in (await left.stdout.readline()).strip(b"[]\n").split(b",")]
    try:
        started_at = psutil.Process(left.pid).create_time()
        await context.emit(
            AgentProcessStarted(program="p", pid=left.pid, started_at=started_at, host=socket.gethostname())
        )
        async with talkative(context.after_a_crash(), "numbers"):
            assert not any(map(alive, pids))
    finally:
        await _end(left, pids)


@pytest.mark.parametrize(("later", "host"), [(100.0, socket.gethostname()), (0.0, "elsewhere")])
async def test_a_process_of_the_same_number_is_spared(context: RecordingContext, later: float, host: str) -> None:
    other = await asyncio.create_subprocess_exec("sleep", "60", start_new_session=True)
    try:
        started_at = psutil.Process(other.pid).create_time() - later
        await context.emit(AgentProcessStarted(program="p", pid=other.pid, started_at=started_at, host=host))
        async with talkative(context.after_a_crash(), "numbers"):
            assert alive(other.pid)
    finally:
        await _end(other, [])


async def test_we_never_end_ourselves() -> None:
    me = psutil.Process()
    assert kill_programs([(me.pid, me.create_time()), (os.getppid(), me.parent().create_time())]) == 0  # type: ignore[union-attr]


async def _end(process: asyncio.subprocess.Process, pids: list[int]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
    await process.communicate()


# --- how many at once -------------------------------------------------------------------------------------------------


async def test_no_more_programs_run_at_once_than_there_are_places(context: RecordingContext) -> None:
    places, most, running = Places(2), 0, 0

    async def work() -> None:
        nonlocal most, running
        Line(places).enter()
        async with talkative(context, "echo") as program:
            running += 1
            most = max(most, running)
            await program.send("x")
            await first(program)
            running -= 1

    await asyncio.gather(*(asyncio.create_task(work()) for _ in range(6)))
    assert most == 2


async def test_whoever_came_first_begins_first(context: RecordingContext) -> None:
    places, order = Places(1), []

    async def work(number: int) -> None:
        Line(places).enter()
        async with talkative(context, "echo"):
            order.append(number)

    tasks = []
    for number in range(5):
        tasks.append(asyncio.create_task(work(number)))
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert order == list(range(5))


async def test_whoever_gives_up_in_line_takes_no_place(context: RecordingContext) -> None:
    places = Places(1)
    lines = [Line(places) for _ in range(3)]

    async def work(line: Line) -> None:
        line.enter()
        async with talkative(context, "echo"):
            await asyncio.Event().wait()

    first_one, second, third = (asyncio.create_task(work(line)) for line in lines)
    await until(lambda: [line.waiting for line in lines] == [False, True, True])
    second.cancel()
    await asyncio.wait([second])
    assert [line.waiting for line in lines] == [False, False, True]
    first_one.cancel()
    await until(lambda: not lines[2].waiting)
    third.cancel()
    await asyncio.wait([first_one, third])
    async with lines[0].place():
        pass


async def test_a_program_that_cannot_be_started_gives_its_place_back(context: RecordingContext) -> None:
    Line(Places(1)).enter()
    for _ in range(2):
        with pytest.raises(AgentFailed):
            async with Program.start(context, ["no-such-program"], cwd=context.cwd, env=environment()):
                pass
