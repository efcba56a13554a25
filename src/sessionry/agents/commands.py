"""Which program an argv really names, and whether it may be run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec


def find_executable(command: str, *, cwd: Path, env: Mapping[str, str]) -> Path | None:
    """The file that running `command` in `cwd` would execute, as a full path; links are not followed."""
    if os.sep in command:
        path = cwd / command
        return path if path.is_file() and os.access(path, os.X_OK) else None
    found = shutil.which(command, path=env.get("PATH", os.defpath))
    return cwd / found if found else None


class CommandRules(msgspec.Struct, frozen=True):
    """Who may be run, by the executable that is really meant, not by the word that names it.

    An entry is a name, which is looked up on the worker's own PATH, or a path. A command is allowed when it is the file of
    an entry. It is denied when it, or a link that it goes through, is the file or has the name of an entry. Denying is no
    protection against somebody who means it: `env`, `sh` and `xargs` run anything. Allowing is.
    """

    #: None: everything that is not denied
    allowed: Sequence[str] | None = None
    denied: Sequence[str] = ()

    def refusal(self, executable: Path) -> str | None:
        """Why the executable may not be run; None when it may."""
        for entry in self.denied:
            if _matches(entry, _links(executable)):
                return f"{executable.name} is a denied command"
        if self.allowed is None or any(_canonical(executable) == _resolved(entry) for entry in self.allowed):
            return None
        names = ", ".join(self.allowed) or "none"
        return f"{executable} is not an allowed command; allowed: {names}"


def _matches(entry: str, files: Sequence[Path]) -> bool:
    if os.sep not in entry and entry in {file.name for file in files}:
        return True
    return _resolved(entry) in files


def _resolved(entry: str) -> Path | None:
    found = entry if os.sep in entry else shutil.which(entry)
    return _canonical(Path(found).expanduser()) if found else None


def _canonical(file: Path) -> Path:
    """The path with the links of its folders followed, but not those of the file: a link's name can choose what it does."""
    return Path(os.path.realpath(file.parent)) / file.name


def _links(file: Path) -> list[Path]:
    """The file, and every file that its links lead through, to the real one."""
    chain = [_canonical(file)]
    while chain[-1].is_symlink() and len(chain) < 40:  # the kernel gives up there too
        chain.append(_canonical(chain[-1].parent / chain[-1].readlink()))
    return chain
