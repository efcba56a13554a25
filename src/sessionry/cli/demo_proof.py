"""What the demo proves: it compares the log after each crash with what was seen before, and with the log at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from sessionry.domain import events as ev
from sessionry.domain.events import Event

_TOOL_ENDINGS = (ev.ToolCallCompleted, ev.ToolCallFailed, ev.ToolCallInterrupted)


class Check(NamedTuple):
    """Something that was to be shown, and whether it held."""

    says: str
    holds: bool


class Proof:
    """Gathers checks. `holds` when there are some and each of them does."""

    def __init__(self) -> None:
        self.checks: list[Check] = []
        self._seen: list[Event] = []
        self._logs: list[Sequence[Event]] = []

    @property
    def holds(self) -> bool:
        return bool(self.checks) and all(check.holds for check in self.checks)

    def check(self, says: str, holds: bool) -> None:
        self.checks.append(Check(says, holds))

    def saw(self, event: Event) -> None:
        """An event was shown."""
        self._seen.append(event)

    def after_kill(self, log: Sequence[Event]) -> None:
        """The log as a killed worker left it."""
        self._logs.append(log)

    def of_log(self, log: Sequence[Event]) -> None:
        """Compare the log at the end with everything that was known before."""
        self._nothing_was_lost(log)
        self._nothing_is_double(log)
        self._sentences_are_whole(log)
        self._tools_and_runs_have_one_end(log)
        self._one_decision_counted(log)

    def _nothing_was_lost(self, log: Sequence[Event]) -> None:
        now = [event.to_dict() for event in log]
        there = all(event.to_dict() in now for event in self._seen)
        self.check(f"all {len(self._seen)} events that were shown are in the log", bool(self._seen) and there)
        for number, before in enumerate(self._logs, 1):
            same = [event.to_dict() for event in before] == now[: len(before)]
            self.check(
                f"the {len(before)} events before kill {number} are the first {len(before)} now, unchanged", same
            )

    def _nothing_is_double(self, log: Sequence[Event]) -> None:
        in_order = [event.seq for event in log] == list(range(1, len(log) + 1))
        different = len({event.id for event in log}) == len(log)
        self.check(f"no gap and no double: {len(log)} events, numbered from 1 to {len(log)}", in_order and different)

    def _sentences_are_whole(self, log: Sequence[Event]) -> None:
        pieces: dict[str, str] = defaultdict(str)
        whole: dict[str, list[str]] = defaultdict(list)
        for event in log:
            if isinstance(event.data, ev.MessageStreamed | ev.ReasoningStreamed):
                pieces[event.data.message_id or ""] += event.data.text
            elif isinstance(event.data, ev.MessageReceived | ev.ReasoningReceived):
                whole[event.data.message_id or ""].append(event.data.text)
        self.check(
            f"no word is lost or said twice: {len(pieces)} messages are the sum of their pieces",
            bool(pieces) and whole == {id: [text] for id, text in pieces.items()},
        )

    def _tools_and_runs_have_one_end(self, log: Sequence[Event]) -> None:
        calls = [event.data.tool_call_id for event in log if isinstance(event.data, ev.ToolCallStarted)]
        ends = [event.data.tool_call_id for event in log if isinstance(event.data, _TOOL_ENDINGS)]
        one_each = sorted(calls) == sorted(ends) and len(set(calls)) == len(calls)
        self.check(f"each of {len(calls)} tool calls has one end", bool(calls) and one_each)
        runs = [event.run_id for event in log if isinstance(event.data, ev.RunQueued)]
        over = [event.run_id for event in log if isinstance(event.data, ev.RUN_ENDINGS)]
        self.check(
            f"each of {len(runs)} runs has one end", bool(runs) and sorted(map(str, runs)) == sorted(map(str, over))
        )

    def _one_decision_counted(self, log: Sequence[Event]) -> None:
        asked = [event for event in log if isinstance(event.data, ev.ToolApprovalRequested)]
        granted = [event.data.by for event in log if isinstance(event.data, ev.ToolApprovalGranted)]
        self.check("one question was asked, and answered once, by ann", len(asked) == 1 and granted == ["ann"])
