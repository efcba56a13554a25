"""Programs are started apart, read without growing, and ended down to the last descendant."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sessionry.agents.process import MARKS, PIPE, Process, environment, kill_leftovers
from tests.agents.processes import alive, until

STUBBORN = "trap '' INT TERM; echo ready; while :; do sleep 0.1; done"


def start(tmp_path: Path, *argv: str, stdin: bytes | int = subprocess.DEVNULL, run_id: str | None = None) -> Process:
    return Process.start(argv, cwd=tmp_path, env=environment(), stdin=stdin, run_id=run_id)


def sh(tmp_path: Path, script: str, run_id: str | None = None) -> Process:
    return start(tmp_path, "sh", "-c", script, run_id=run_id)


async def read_all(process: Process) -> dict[str, bytes]:
    output = {"stdout": b"", "stderr": b""}
    while (chunks := await process.read()) is not None:
        for chunk in chunks:
            output[chunk.stream] += chunk.data
    return output


async def read_until(process: Process, text: bytes) -> bytes:
    output = b""
    while text not in output:
        chunks = await process.read()
        assert chunks is not None, f"{text!r} never came, only {output!r}"
        output += b"".join(chunk.data for chunk in chunks)
    return output


def pid_in(file: Path) -> int:
    return int(file.read_text())


def open_files() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


async def daemon_pid(tmp_path: Path) -> int:
    """The pid that a script wrote to the file `pid`."""
    await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
    return pid_in(tmp_path / "pid")


async def test_both_streams_are_read_apart(tmp_path: Path) -> None:
    process = sh(tmp_path, "echo out; echo err >&2")
    assert await read_all(process) == {"stdout": b"out\n", "stderr": b"err\n"}
    assert await process.finish() == 0


async def test_the_exit_code_and_the_signal_that_ended_it_are_told(tmp_path: Path) -> None:
    assert await sh(tmp_path, "exit 7").finish() == 7
    assert await sh(tmp_path, "kill -SEGV $$").finish() == -signal.SIGSEGV


async def test_it_has_a_session_and_a_group_of_its_own_and_can_be_named_for_ever(tmp_path: Path) -> None:
    process = sh(tmp_path, "echo ready; sleep 60")
    await read_until(process, b"ready")
    assert os.getsid(process.pid) == os.getpgid(process.pid) == process.pid
    assert process.started_at == psutil.Process(process.pid).create_time()
    await process.stop()


async def test_standard_input_is_empty_unless_given(tmp_path: Path) -> None:
    closed = start(tmp_path, "cat")
    assert (await read_all(closed))["stdout"] == b""
    await closed.finish()
    given = start(tmp_path, "cat", stdin=b"x" * 300_000)
    assert (await read_all(given))["stdout"] == b"x" * 300_000
    await given.finish()


async def test_a_dialogue_goes_both_ways_at_the_programs_pace(tmp_path: Path) -> None:
    process = start(tmp_path, "sh", "-c", "read line; echo got $line; sleep 0.1; wc -c", stdin=PIPE)
    await process.write(b"hello\n")
    await read_until(process, b"got hello")
    await process.write(b"y" * 500_000)
    process.close_stdin()
    assert (await read_all(process))["stdout"].strip() == b"500000"
    assert await process.finish() == 0


async def test_writing_to_a_program_that_reads_no_more_is_a_broken_pipe(tmp_path: Path) -> None:
    process = start(tmp_path, "true", stdin=PIPE)
    await process.wait()
    with pytest.raises(BrokenPipeError):
        await process.write(b"y" * 500_000)
    await process.finish()
    with pytest.raises(BrokenPipeError):
        await process.write(b"y")


async def test_the_environment_is_what_the_list_lets_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_TIME", "C")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    process = Process.start(["env"], cwd=tmp_path, env=environment({"GIVEN": "1"}), run_id="run_1")
    output = (await read_all(process))["stdout"].decode()
    await process.finish()
    assert {"GIVEN=1", "LC_TIME=C"} < set(output.splitlines())
    assert "hush" not in output
    assert any(line.startswith(f"{MARKS}=run_1 ") for line in output.splitlines())
    assert "AWS_SECRET_ACCESS_KEY" in environment(allow=["AWS_*"])


async def test_a_flood_is_read_whole_without_growing_and_leaves_the_loop_to_others(tmp_path: Path) -> None:
    process = sh(tmp_path, "yes | head -c 200000000; yes | head -c 20000000 >&2")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    total, ticks = 0, 0

    async def tick() -> None:
        nonlocal ticks
        while not process.exited:
            await asyncio.sleep(0.001)
            ticks += 1

    ticking = asyncio.create_task(tick())
    while (chunks := await process.read()) is not None:
        total += sum(len(chunk.data) for chunk in chunks)
    await process.finish()
    await ticking
    assert total == 220_000_000
    assert ticks > 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


async def test_a_program_that_nobody_reads_waits(tmp_path: Path) -> None:
    process = sh(tmp_path, "yes | head -c 10000000; echo done > flag")
    assert await process.read()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(process.wait(), 0.2)
    assert not (tmp_path / "flag").exists()
    await process.stop()


async def test_a_read_ends_after_its_timeout(tmp_path: Path) -> None:
    process = start(tmp_path, "sleep", "60")
    assert await process.read(timeout=0.01) == []
    await process.stop()


async def test_stop_lets_a_program_end_decently(tmp_path: Path) -> None:
    script = "trap 'yes | head -c 300000; echo bye > flag; exit 3' INT; echo ready; while :; do sleep 0.05; done"
    process = sh(tmp_path, script)
    await read_until(process, b"ready")
    assert await process.stop() == 3
    assert (tmp_path / "flag").read_text() == "bye\n"


async def test_stop_kills_what_ignores_every_signal_within_the_grace(tmp_path: Path) -> None:
    process = sh(tmp_path, STUBBORN)
    await read_until(process, b"ready")
    begin = time.monotonic()
    assert await process.stop(grace=1) == -signal.SIGKILL
    assert time.monotonic() - begin < 3
    assert not psutil.pid_exists(process.pid)


async def test_stop_kills_the_whole_group(tmp_path: Path) -> None:
    process = sh(tmp_path, f'sh -c "{STUBBORN.replace("echo ready;", "echo $$ > pid;")}" & wait')
    child = await daemon_pid(tmp_path)
    await process.stop(grace=1)
    assert not alive(child)


async def test_stop_finds_a_daemon_that_left_the_group(tmp_path: Path) -> None:
    process = sh(tmp_path, "(setsid sh -c 'echo $$ > pid; exec sleep 60' >/dev/null 2>&1 &) ; echo ready; sleep 60")
    daemon = await daemon_pid(tmp_path)
    assert os.getsid(daemon) != process.pid
    await process.stop()
    assert not alive(daemon)


async def test_stop_finds_a_child_that_left_the_group_and_wiped_its_environment(tmp_path: Path) -> None:
    process = sh(tmp_path, "setsid env -i sh -c 'echo $$ > pid; exec sleep 60' & wait")
    child = await daemon_pid(tmp_path)
    await process.stop()
    assert not alive(child)


async def test_finish_ends_the_daemon_that_a_program_left_behind(tmp_path: Path) -> None:
    process = sh(
        tmp_path, "setsid sh -c 'echo $$ > pid; exec sleep 60' >/dev/null 2>&1 & while [ ! -s pid ]; do :; done"
    )
    assert await process.finish() == 0
    assert process.left_behind == 1
    assert not alive(pid_in(tmp_path / "pid"))


async def test_a_daemon_that_holds_the_output_open_does_not_hold_up_the_end(tmp_path: Path) -> None:
    process = sh(tmp_path, "sleep 60 & echo started")
    begin = time.monotonic()
    assert (await read_all(process))["stdout"] == b"started\n"
    assert await process.finish() == 0
    assert time.monotonic() - begin < 3
    assert process.left_behind == 1


async def test_output_that_comes_after_the_programs_end_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessionry.agents.process.LINGER", 30.0)
    process = sh(tmp_path, "(sleep 0.2; echo late) & echo early")
    assert (await read_all(process))["stdout"] == b"early\nlate\n"
    await process.finish()
    assert process.left_behind == 0


#: Each of them lets another one grow out of the group, and is gone; so nobody is a descendant of anybody alive.
HYDRA = """[ $1 -ge 200 ] && exit
echo $1 >> heads
sleep 0.05
setsid sh hydra $(($1 + 1)) &
"""


async def test_stop_ends_a_chain_of_processes_that_are_born_while_it_looks(tmp_path: Path) -> None:
    """Whoever is just being born, of a parent that is just gone, is missed by one look at the processes."""
    (tmp_path / "hydra").write_text(HYDRA)
    heads = tmp_path / "heads"
    for _ in range(3):
        process = sh(tmp_path, "sh hydra 1; sleep 60")
        await until(lambda: heads.exists() and len(heads.read_text().split()) > 4)
        await process.stop()
        grown = heads.read_text()
        await asyncio.sleep(0.3)
        assert heads.read_text() == grown, "it has grown on"
        heads.unlink()


async def test_stop_ends_hundreds_of_processes_that_left_the_group(tmp_path: Path) -> None:
    born = "while [ $i -lt 150 ]; do setsid sleep 61 & i=$((i + 1)); done; echo ready; sleep 61"
    process = sh(tmp_path, f"i=0; {born}")
    await read_until(process, b"ready")
    before = {child.pid for child in psutil.Process(process.pid).children(recursive=True)}
    assert len(before) >= 150
    await process.stop()
    assert not [pid for pid in before if alive(pid)]


async def test_stop_spares_other_programs(tmp_path: Path) -> None:
    one, other = start(tmp_path, "sleep", "60", run_id="run_1"), start(tmp_path, "sleep", "60", run_id="run_1")
    await one.stop()
    assert alive(other.pid)
    await other.stop()


async def test_a_cancelled_stop_is_done_before_the_cancellation_takes_effect(tmp_path: Path) -> None:
    process = sh(tmp_path, STUBBORN)
    await read_until(process, b"ready")
    stopping = asyncio.create_task(process.stop(grace=0.6))
    for _ in range(3):
        await asyncio.sleep(0.05)
        stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert not psutil.pid_exists(process.pid)


async def test_stop_can_be_called_again(tmp_path: Path) -> None:
    process = start(tmp_path, "sleep", "60")
    codes = await asyncio.gather(process.stop(), process.stop())
    assert list(codes) == [-signal.SIGINT] * 2
    assert await process.finish() == -signal.SIGINT


async def test_all_of_it_works_without_pidfd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    process = sh(tmp_path, "echo out; exit 4")
    assert (await read_all(process))["stdout"] == b"out\n"
    assert await process.finish() == 4
    stubborn = sh(tmp_path, STUBBORN)
    await read_until(stubborn, b"ready")
    assert await stubborn.stop(grace=0.5) == -signal.SIGKILL


async def test_no_file_is_left_open(tmp_path: Path) -> None:
    await sh(tmp_path, "echo out").finish()
    before = open_files()
    for _ in range(5):
        process = sh(tmp_path, "echo out")
        await read_all(process)
        await process.finish()
        await start(tmp_path, "sleep", "60", stdin=PIPE).stop()
    assert open_files() <= before


def test_the_end_of_the_loop_does_not_leave_a_program_half_stopped(tmp_path: Path) -> None:
    async def main() -> int:
        process = sh(tmp_path, STUBBORN)
        await read_until(process, b"ready")
        asyncio.get_running_loop().create_task(process.stop(grace=0.5))
        await asyncio.sleep(0.01)
        return process.pid

    pid = asyncio.run(main())
    assert not psutil.pid_exists(pid)


async def test_what_a_killed_worker_left_behind_is_found_by_its_run(tmp_path: Path) -> None:
    code = f"""
import asyncio
from pathlib import Path
from sessionry.agents.process import Process, environment
async def main():
    for script in ("echo $$ > one; exec sleep 60", "setsid sh -c 'echo $$ > two; exec sleep 60' & wait"):
        Process.start(["sh", "-c", script], cwd=Path({str(tmp_path)!r}), env=environment(), run_id="run_lost")
    await asyncio.sleep(60)
asyncio.run(main())
"""
    files = [tmp_path / "one", tmp_path / "two"]
    with subprocess.Popen([sys.executable, "-c", code]) as worker:
        try:
            await until(lambda: all(file.exists() and file.read_text().endswith("\n") for file in files))
        finally:
            worker.kill()
    pids = [pid_in(file) for file in files]
    assert all(map(alive, pids))
    assert kill_leftovers(["run_other"]) == 0
    assert all(map(alive, pids))
    assert kill_leftovers(["run_lost", "run_other"]) == 3
    assert not any(map(alive, pids))
