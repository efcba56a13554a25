"""Other libraries, each driven by a small script in a virtual environment of its own.

An environment is made when it is first needed, under `.venv-peers/`, from `requirements-peers/`. Where that fails, say
without a network, what is reported of the library is why; the others are measured all the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.harness import ROOT, Effort

HERE = Path(__file__).parent
ENVIRONMENTS = ROOT / ".venv-peers"
#: Seconds for the installation of one library, and for one answer of a script.
INSTALLING, ANSWERING = 600, 120


class Kind(NamedTuple):
    """A library as it is measured; `requirements` names its file, "" for what our own environment has."""

    label: str
    script: str
    requirements: str = ""


SESSIONRY = Kind("Sessionry", "sessionry_agent")
SESSIONRY_STORE = Kind("Sessionry, its store alone", "sessionry_store")
RAW = Kind("raw sqlite3, one commit each", "raw_sqlite")
OPENAI = Kind("openai-agents SQLiteSession", "openai_sqlite", "openai-agents")
OPENAI_SQLALCHEMY = Kind("openai-agents SQLAlchemySession", "openai_sqlalchemy", "openai-agents")
ADK = Kind("google-adk DatabaseSessionService", "google_adk", "google-adk")
LANGGRAPH = Kind("langgraph AsyncSqliteSaver", "langgraph_sqlite", "langgraph")
STRANDS = Kind("strands FileSessionManager", "strands_file", "strands-agents")
AGNO = Kind("agno SqliteDb", "agno_sqlite", "agno")
OTHERS = (OPENAI, OPENAI_SQLALCHEMY, ADK, LANGGRAPH, STRANDS, AGNO)


class PeerFailed(Exception):
    """Why a library cannot be measured, or could not do what it was asked."""


class Script:
    """A library's script at work in a folder."""

    def __init__(self, kind: Kind, place: str) -> None:
        self._kind = kind
        command = [str(python_of(kind)), str(HERE / f"{kind.script}.py"), place]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed in `close`
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )

    def ask(self, do: str, **words: Any) -> dict[str, Any]:
        """Raises `PeerFailed`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **words}) + "\n")
            self._process.stdin.flush()
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        except (OSError, ValueError) as error:
            raise PeerFailed(f"its script ended: {self._last_words()}") from error
        if "failed" in answer:
            raise PeerFailed(answer["failed"])
        return answer

    def _last_words(self) -> str:
        self._process.wait(ANSWERING)
        self._errors.seek(0)
        return (self._errors.read().strip().splitlines() or ["without a word"])[-1]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


@contextmanager
def script(kind: Kind, place: str, sessions: int) -> Iterator[Script]:
    """A library with so many sessions, open in a folder."""
    opened = Script(kind, place)
    try:
        opened.ask("open", sessions=sessions)
        yield opened
    finally:
        opened.close()


def python_of(kind: Kind) -> Path:
    """The Python that runs a library's script; makes its environment when it is not there. Raises `PeerFailed`."""
    if not kind.requirements:
        return Path(sys.executable)
    requirements = HERE.parent / "requirements-peers" / f"{kind.requirements}.txt"
    home = ENVIRONMENTS / kind.requirements
    stamp, wanted = home / "installed.txt", requirements.read_text()
    python = home / "bin" / "python"
    if not stamp.is_file() or stamp.read_text() != wanted:
        print(f"Installing {kind.requirements} into {home.relative_to(ROOT)} ...", flush=True)
        _install(home, python, requirements)
        stamp.write_text(wanted)
    return python


def _install(home: Path, python: Path, requirements: Path) -> None:
    venv.create(home, clear=True, with_pip=True)
    command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(requirements)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALLING, check=False)
    except subprocess.TimeoutExpired:
        raise PeerFailed(f"installing it took longer than {INSTALLING} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        raise PeerFailed(f"not installed: {last}")


def measured(effort: Effort) -> tuple[list[Kind], dict[Kind, str]]:
    """The libraries that can be measured, and why the others cannot."""
    kinds: list[Kind] = []
    why: dict[Kind, str] = {}
    for kind in OTHERS if effort.peers else ():
        try:
            python_of(kind)
        except PeerFailed as error:
            why[kind] = str(error)
        else:
            kinds.append(kind)
    return kinds, why


def versions(kinds: Sequence[Kind]) -> str:
    """What was installed: the pins of the requirements."""
    names = dict.fromkeys(kind.requirements for kind in kinds if kind.requirements)
    return ", ".join(_pin(name) for name in names)


def _pin(name: str) -> str:
    lines = (HERE.parent / "requirements-peers" / f"{name}.txt").read_text().splitlines()
    return next(line for line in lines if line and not line.startswith("#")).replace("==", " ")
