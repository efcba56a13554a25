"""Who is this process, and is that one still alive? Told without guessing from reused process ids."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

import msgspec

_TICKS = os.sysconf("SC_CLK_TCK")


class Process(msgspec.Struct, frozen=True):
    """A process of this or another machine. `start` is in seconds since its machine's boot, `boot_id` names that boot."""

    host: str
    pid: int
    start: float
    boot_id: str


def this_process() -> Process:
    return Process(socket.gethostname(), os.getpid(), start_of(os.getpid()) or 0.0, boot_id())


def is_here(host: str) -> bool:
    """Whether that is this machine."""
    return host == socket.gethostname()


def is_gone(process: Process) -> bool:
    """True when the process certainly does not run any more. False for another machine's: only its lease tells."""
    if not is_here(process.host):
        return False
    if process.boot_id != boot_id():
        return True
    return start_of(process.pid) != process.start


def start_of(pid: int) -> float | None:
    """When the process started, in seconds; None when there is none, or only a zombie that nobody has reaped yet."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return _start_without_proc(pid)
    except (ProcessLookupError, PermissionError):
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else int(fields[18]) / _TICKS


def _start_without_proc(pid: int) -> float | None:
    if Path("/proc/self/stat").exists():
        return None
    import psutil  # not on Linux: there the file above is there, and this import is slow

    try:
        found = psutil.Process(pid)
        return None if found.status() == psutil.STATUS_ZOMBIE else found.create_time()
    except psutil.NoSuchProcess:
        return None


@cache
def boot_id() -> str:
    """Names the time since the machine was last started; "" where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
