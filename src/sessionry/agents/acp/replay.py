"""What an agent shows of a session while it takes it up (`session/load`): the words of people, and its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

from sessionry.agents.acp.telling import text_of
from sessionry.agents.acp.tools import table

#: Seconds without another word after which a session that was loaded has been replayed, should the agent not wait with its
#: answer until then.
QUIET = 0.15
#: What is told of a session beside its conversation.
_ASIDE = ("available_commands_update", "config_option_update", "current_mode_update", "session_info_update")
_PERSON, _AGENT = "user_message_chunk", "agent_message_chunk"


class Held(NamedTuple):
    """What a session holds of the work on a prompt: what people said, that prompt included, and what the agent said."""

    people: list[str]
    agent: list[str]


class Replay:
    """The updates of one loading. `messages` counts those of people; `strange`: some were of another session."""

    def __init__(self, session_id: str) -> None:
        self.messages = 0
        self.strange = False
        self._words: list[_Words] = []
        self._broken = True
        self._session_id = session_id
        self._loop = asyncio.get_running_loop()
        self._last: float | None = None

    def update(self, params: dict[str, Any]) -> None:
        update = table(params, "update")
        kind = str(update.get("sessionUpdate"))
        if "sessionUpdate" not in update or kind in _ASIDE:
            return
        self._last = self._loop.time()
        self.strange = self.strange or params.get("sessionId") != self._session_id
        self.messages += kind == _PERSON
        if kind in (_PERSON, _AGENT):
            self._add(kind, update.get("messageId"), text_of(update.get("content")))
        else:
            self._broken = True

    async def settled(self) -> None:
        """Until nothing has come for a moment."""
        begin = self._loop.time()
        while (left := (self._last or begin) + QUIET - self._loop.time()) > 0:  # noqa: ASYNC110  it is silence we wait for
            await asyncio.sleep(left)

    def held(self, prompt: str, before: int) -> Held | None:
        """What there is of the prompt that came after so many messages of people; None when that is not there."""
        asked = squeezed(prompt)
        begins = [
            number
            for number, words in enumerate(self._words)
            if words.kind == _PERSON and words.number >= before and asked in squeezed(words.text)
        ]
        if not begins:
            return None
        since = self._words[begins[0] :]
        # an agent that names its messages says asides without a name: they are no part of the conversation
        named = any(words.native for words in self._words)
        own = [words.text for words in since if words.kind == _AGENT and (words.native or not named)]
        return Held([words.text for words in since if words.kind == _PERSON], own)

    def _add(self, kind: str, native: Any, text: str) -> None:
        if not text:
            return
        last = self._words[-1] if self._words and not self._broken else None
        self._broken = False
        if last is not None and (last.kind, last.native) == (kind, native) and (kind == _AGENT or native):
            last.text += text
        else:
            self._words.append(_Words(kind, native, text, self.messages - (kind == _PERSON)))


class _Words:
    """A message. `number` counts the messages of people before it."""

    def __init__(self, kind: str, native: Any, text: str, number: int) -> None:
        self.kind = kind
        self.native = native
        self.text = text
        self.number = number


def squeezed(text: str) -> str:
    """Without white space, which agents change on the way into their files."""
    return "".join(text.split())


def same_words(some: Iterable[str], others: Iterable[str]) -> bool:
    return list(map(squeezed, some)) == list(map(squeezed, others))
