"""Work that was lost with its worker: what the log has of it, what the agent's own session has, and how to go on.

A session that was loaded shows what it holds. What our log lacks of that is told, and the agent is asked to go on: it has
the prompt already. Where a session holds less than our log, or does not show what it holds, the agent cannot be held to the
words of the log: it is told what was done, and says its answer anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from sessionry.agents import handover
from sessionry.agents.acp.replay import Held, same_words
from sessionry.domain.events import (
    AgentSessionLinked,
    EventData,
    InputReceived,
    MessageReceived,
    MessageStreamed,
    RunStarted,
    ToolCallStarted,
    TurnCompleted,
    WordsSuperseded,
)

#: Said to an agent whose session holds the prompt and what was done of it.
GO_ON = f"{handover.GO_ON} {handover.IF_FINISHED}"
#: Said before the prompt to an agent whose session does not hold what was done of it.
ANEW = (
    "Your work on the following was interrupted, and what you had said of it is lost. "
    "Look at what is done already, then finish it, and give your whole answer:"
)


class Lost(msgspec.Struct, kw_only=True):
    """What the log has of the earlier attempts at a run.

    `words` are the agent's, as far as they count; `begun`: it said or did something. `before` counts the messages of people
    that its session had when the run began. `over`: the agent had come to the end of its turn; `completed` says so in the
    log, else there is a `rest` to be told first. `heard` says that nobody said anything meanwhile, `broken_off` that a
    message has begun and is not whole.
    """

    words: list[str] = []
    begun: bool = False
    before: int = 0
    over: bool = False
    completed: TurnCompleted | None = None
    heard: bool = True
    rest: list[EventData] = []
    broken_off: bool = False


def lost(history: Iterable[EventData]) -> Lost:
    """Of the events of all attempts."""
    reading = _Reading()
    for event in history:
        reading.take(event)
    return reading.result()


class _Reading:
    """The end of a turn is seen by the link that comes after the one with which an attempt begins its work."""

    def __init__(self) -> None:
        self._lost = Lost()
        self._links = 0
        self._before: int | None = None
        self._pieces: dict[str | None, str] = {}
        #: how often people said something in the turn, and in the one before
        self._said = [0, 0]

    def take(self, event: EventData) -> None:
        lost = self._lost
        match event:
            case RunStarted():
                self._links = 0
            case AgentSessionLinked():
                self._link(event)
            case TurnCompleted():
                lost.completed, self._said = event, [0, self._said[0]]
            case InputReceived():
                self._said[0] += 1
            case WordsSuperseded():
                lost.words.clear()
                self._pieces.clear()
            case MessageStreamed(parent_tool_call_id=None):
                self._work()
                self._pieces[event.message_id] = self._pieces.get(event.message_id, "") + event.text
            case MessageReceived(parent_tool_call_id=None):
                self._work()
                self._pieces.pop(event.message_id, None)
                lost.words.append(event.text)
            case ToolCallStarted():
                self._work()

    def result(self) -> Lost:
        lost = self._lost
        lost.before = self._before or 0
        lost.heard = not (sum(self._said) if lost.completed else self._said[0])
        if lost.over:
            lost.rest = [MessageReceived(text=text, message_id=id) for id, text in self._pieces.items()]
            lost.words += self._pieces.values()
        lost.broken_off = bool(self._pieces) and not lost.over
        return lost

    def _link(self, link: AgentSessionLinked) -> None:
        self._links += 1
        self._lost.over, self._lost.completed = self._links > 1, None
        if not self._lost.over:
            self._pieces.clear()  # of an earlier attempt
            self._before = link.items if self._before is None else self._before

    def _work(self) -> None:
        """After a turn that was completed it is another turn."""
        self._lost.begun = True
        if self._lost.completed is not None:
            self._lost.over, self._lost.completed = False, None


def untold(words: Sequence[str], held: Held) -> list[str] | None:
    """What the agent's session holds and the log does not have; None when it does not hold what the log has."""
    if len(held.agent) < len(words) or not same_words(words, held.agent[: len(words)]):
        return None
    return held.agent[len(words) :]


def unheard(said: Iterable[str], held: Held) -> list[str]:
    """What people said to the run and the session does not hold."""
    return [text for text in said if not any(same_words([text], [each]) for each in held.people)]
