"""Whoever descends from a program, wherever they went: found, and ended down to the last one.

A descendant can leave its group and its session, and outlive its parent. What ties it to the program then are the marks in
its environment, `SESSIONRY_MARKS`: one for the program, and the ids of its run and of the worker.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Sequence
from functools import cache

import psutil

#: The marks that a program and all its descendants carry, of programs around it too, separated by spaces.
MARKS = "SESSIONRY_MARKS"
#: Seconds from the first signal to the end of the last descendant.
GRACE = 3.0
#: What is sent, and the share of the grace that is waited for its effect.
LADDER: Sequence[tuple[signal.Signals, float]] = ((signal.SIGINT, 0.3), (signal.SIGTERM, 0.4), (signal.SIGKILL, 0.3))

#: Seconds before each look for those who are left, until one finds somebody; and where somebody was born meanwhile: the
#: next one has no marks yet while it becomes another program, and on a busy machine that waits for its turn.
LOOKS, LOOKS_AT_BIRTHS = (0.0, *[0.004] * 4), (0.0, *[0.003] * 20, *[0.02] * 20)
#: Seconds by which two start times of one process may differ.
_SAME_START = 2.0
_LINUX = sys.platform == "linux"
_MARKS_ENTRY = f"{MARKS}=".encode()


def kill_leftovers(marks: Collection[str], grace: float = GRACE) -> int:
    """End every process of this machine that was started for one of these runs, or by one of these workers; how many.

    For a run, by the worker that takes it over, before it starts anything for it; for a worker, when it is lost. Blocks for
    up to `grace` seconds.
    """
    wanted = set(marks)
    return len(end_all(lambda: processes(lambda pid: marked(pid, wanted)), _send_each, LADDER[1:], grace))


def kill_programs(programs: Collection[tuple[int, float]], grace: float = GRACE) -> int:
    """End the programs of these pids that started at these times (seconds since 1970), their groups and descendants.

    For those that the marks do not lead to. How many processes there were. Another one of the same pid is spared,
    and so are this process and those that it descends from.
    """
    spared = _ancestors(os.getpid())
    named = [_program(pid, started_at) for pid, started_at in programs if pid not in spared]
    there = [process for process in named if process is not None]
    if not there:
        return 0
    groups = {process.pid for process in there} - {os.getpgid(0), os.getsid(0)}

    def find() -> list[psutil.Process]:
        found = processes(lambda pid: not groups.isdisjoint((os.getsid(pid), os.getpgid(pid))))
        for process in there:
            with contextlib.suppress(psutil.Error):
                found += [process, *process.children(recursive=True)] if process.is_running() else []
        return list(dict.fromkeys(found))

    return len(end_all(find, _send_each, LADDER[1:], grace))


def _program(pid: int, started_at: float) -> psutil.Process | None:
    """The system's clock may have been put right a little since then."""
    try:
        process = psutil.Process(pid)
        return process if abs(process.create_time() - started_at) < _SAME_START else None
    except psutil.Error:
        return None


def _send_each(number: signal.Signals, family: Sequence[psutil.Process]) -> None:
    for process in family:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


def end_all(
    find: Callable[[], list[psutil.Process]],
    send: Callable[[signal.Signals, Sequence[psutil.Process]], None],
    ladder: Sequence[tuple[signal.Signals, float]],
    grace: float,
    while_waiting: Callable[[], object] = lambda: None,
) -> set[psutil.Process]:
    """Climb the ladder until nobody is left; everybody who was ever found. Kills again whoever was born meanwhile."""
    seen: set[psutil.Process] = set()
    first: int | None = None
    deadline = time.monotonic()
    for number, share in ladder:
        deadline += grace * share
        family = _everybody(find, seen)
        first = len(family) if first is None else first
        while family:
            send(number, family)
            _wait_for_end(family, deadline, while_waiting)
            family = _everybody(find, seen, looks=LOOKS if len(seen) == first else LOOKS_AT_BIRTHS)
            if number is not signal.SIGKILL or time.monotonic() >= deadline:
                break
        if not family:
            break
    return seen


def _everybody(
    find: Callable[[], list[psutil.Process]], seen: set[psutil.Process], looks: Sequence[float] = (0.0,)
) -> list[psutil.Process]:
    """Whom `find` finds, and whom it found before: the dead no longer lead to those who outlive them.

    One look can miss somebody who is just being born, of a parent that is about to end: only several that find nobody tell
    that there is nobody.
    """
    family: set[psutil.Process] = set()
    for pause in looks:
        time.sleep(pause)
        if family := {*find(), *filter(alive, seen)}:
            break
    seen.update(family)
    return list(family)


def _wait_for_end(family: Sequence[psutil.Process], deadline: float, while_waiting: Callable[[], object]) -> None:
    pause = 0.002
    while any(map(alive, family)) and time.monotonic() < deadline:
        while_waiting()
        time.sleep(pause)
        pause = min(pause * 2, 0.03)


def settled(find: Callable[[], list[psutil.Process]]) -> list[psutil.Process]:
    """Whom `find` still finds after a moment: whoever was just about to end does not count."""
    deadline = time.monotonic() + 0.1
    while (family := find()) and time.monotonic() < deadline:
        _wait_for_end(family, deadline, lambda: None)
    return family


def processes(wanted: Callable[[int], bool]) -> list[psutil.Process]:
    """The living processes that `wanted` picks by pid; never this one nor one that it descends from."""
    spared = _ancestors(os.getpid())
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if pid not in spared and wanted(pid) and alive(process := psutil.Process(pid)):
                found.append(process)
    return found


@cache
def _ancestors(pid: int) -> frozenset[int]:
    return frozenset({pid, *(parent.pid for parent in psutil.Process(pid).parents())})


def marked(pid: int, marks: set[str]) -> bool:
    """Whether the process was started with one of the marks. Another user's process tells nobody."""
    try:
        if not _LINUX:
            return not marks.isdisjoint(psutil.Process(pid).environ().get(MARKS, "").split())
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:  # noqa: PTH123  of every process: it must be fast
            content = file.read()
    except (OSError, psutil.Error):
        return False
    if _MARKS_ENTRY not in content:
        return False
    theirs = (entry.partition(b"=")[2] for entry in content.split(b"\0") if entry.startswith(_MARKS_ENTRY))
    return any(not marks.isdisjoint(value.decode(errors="replace").split()) for value in theirs)


def alive(process: psutil.Process) -> bool:
    """True unless it ended; a zombie has ended and waits for its parent only."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
