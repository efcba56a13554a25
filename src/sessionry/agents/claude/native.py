"""Claude Code's own sessions, as they lie on the disk: what a resumed one must be proven by.

They are read with the readers of claude-agent-sdk, which know which entries are the conversation. Without that package a
session is proven by its id alone.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from sessionry.agents.claude.found import config_home
from sessionry.domain.codec import NO_JSON

#: Names the messages that we send, so that they are found again in the session.
_NAMESPACE = uuid.UUID("5e551049-0000-4000-8000-636c61756465")


class Kept(NamedTuple):
    """A session as it is kept: the messages of its conversation, and every line of its file. `items` is None when nothing
    can read it.
    """

    path: Path
    items: int | None
    messages: list[Any]
    entries: Sequence[dict[str, Any]] = ()

    def since(self, prompts: set[str]) -> list[Any] | None:
        """The messages since the first of these prompts; None when none of them is there."""
        begun = next((number for number, message in enumerate(self.messages) if message.uuid in prompts), None)
        return None if begun is None else self.messages[begun:]

    def results(self) -> dict[str, Any]:
        """What Claude Code knows of tool results besides what it told the model, by the message that has them."""
        return {str(entry.get("uuid")): entry["toolUseResult"] for entry in self.entries if "toolUseResult" in entry}

    def cost(self) -> float | None:
        """US dollars for all of it, as it was written down last."""
        totals = [entry.get("totalCostUSD") for entry in self.entries if entry.get("type") == "cost-state"]
        return totals[-1] if totals else None

    def heard(self) -> set[str]:
        """What people said while it worked, which it keeps beside the conversation until it has told the model."""
        notes = (entry.get("attachment") for entry in self.entries if entry.get("type") == "attachment")
        return {str(note.get("prompt")) for note in notes if isinstance(note, dict) and note.get("prompt")}


def message_uuid(run_id: str, attempt: int, number: int) -> str:
    """The id of the n-th message that is sent in an attempt at a run: the same whenever it is asked for."""
    return str(uuid.uuid5(_NAMESPACE, f"{run_id}:{attempt}:{number}"))


async def kept(session_id: str, env: Mapping[str, str]) -> Kept | None:
    """The session of that id in the program's own folder, wherever it was begun; None when it is not there."""
    path = await asyncio.to_thread(_file, session_id, env)
    if path is None:
        return None
    if find_spec("claude_agent_sdk") is None:
        return Kept(path, None, [])
    entries = await asyncio.to_thread(_entries, path)
    messages = await _conversation(session_id, entries)
    return Kept(path, len(messages), messages, entries)


def _file(session_id: str, env: Mapping[str, str]) -> Path | None:
    """A session can be resumed from anywhere, but is kept under the folder in which it began."""
    if not _is_uuid(session_id):
        return None
    return next(iter((config_home(env) / "projects").glob(f"*/{session_id}.jsonl")), None)


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _entries(path: Path) -> list[dict[str, Any]]:
    """Its lines; a half one, which a killed program leaves, is none."""
    found = []
    for line in path.read_bytes().split(b"\n"):
        try:
            entry = msgspec.json.decode(line)
        except NO_JSON:
            continue
        if isinstance(entry, dict):
            found.append(entry)
    return found


async def _conversation(session_id: str, entries: list[dict[str, Any]]) -> list[Any]:
    sdk: Any = await asyncio.to_thread(__import__, "claude_agent_sdk")  # slow: it brings MCP with it
    messages: list[Any] = await sdk.get_session_messages_from_store(_Lines(entries), session_id)
    return messages


class _Lines:
    """The lines of one session as the package's own `SessionStore` gives them."""

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        self._lines = entries

    async def load(self, key: object) -> list[dict[str, Any]]:  # noqa: ARG002  it holds one session only
        return self._lines
