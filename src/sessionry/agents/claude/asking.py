"""The questions of Claude Code: whether a tool may run, and what a hook has to say."""

from __future__ import annotations

from typing import Any

from sessionry.agents.claude.hooks import Hooks
from sessionry.agents.claude.talk import Frame, Unanswerable
from sessionry.domain.events import CustomRecorded
from sessionry.domain.json_values import Json
from sessionry.ports import AgentContext, Decision

#: The tool by which the model asks a person something: the note of the decision is the answer.
QUESTION = "AskUserQuestion"


class Asking:
    """Answers for one attempt at a run."""

    def __init__(self, context: AgentContext, hooks: Hooks, timeout: float | None) -> None:
        self._context = context
        self._hooks = hooks
        self._timeout = timeout

    async def answer(self, question: Frame) -> dict[str, Json]:
        match question.get("subtype"):
            case "can_use_tool":
                return await self._permission(question)
            case "hook_callback":
                return await self._hook(question)
        raise Unanswerable(f"Sessionry knows no {question.get('subtype')}")

    async def _permission(self, question: Frame) -> dict[str, Json]:
        name, given = str(question.get("tool_name")), question.get("input") or {}
        decision = await self._context.approve(
            name,
            given,
            tool_call_id=question.get("tool_use_id"),
            reason=question.get("decision_reason"),
            timeout=self._timeout,
        )
        if not decision:
            return {"behavior": "deny", "message": _refusal(decision)}
        if name == QUESTION and decision.note:
            asked = [entry.get("question") for entry in given.get("questions") or [] if isinstance(entry, dict)]
            given = {**given, "answers": {str(text): decision.note for text in asked}}
        return {"behavior": "allow", "updatedInput": given}

    async def _hook(self, question: Frame) -> dict[str, Json]:
        callback, happened = str(question.get("callback_id")), question.get("input") or {}
        try:
            said = await self._hooks.call(callback, happened)
        except Exception as error:
            await self._tell(callback, happened, "error", f"{type(error).__name__}: {error}")
            raise Unanswerable(f"the hook {callback} failed: {error}") from error
        await self._tell(callback, happened, "success", said)
        return said

    async def _tell(self, callback: str, happened: Any, outcome: str, output: Json) -> None:
        value: Json = {
            "event": happened.get("hook_event_name"),
            "name": callback,
            "outcome": outcome,
            "output": output,
        }
        await self._context.emit(CustomRecorded(name="hook", value=value))


def _refusal(decision: Decision) -> str:
    if decision.expired:
        return "Nobody answered in time, so this was not allowed. Do not try it again in another way."
    return decision.note or "This was not allowed."
