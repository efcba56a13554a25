"""What a `result` frame means: tokens and money, and why it ended badly if it did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from sessionry.agents.accounting import Account, money
from sessionry.agents.failures import code_of, failure
from sessionry.domain.events import TokenUsageUpdated
from sessionry.domain.json_values import Json
from sessionry.domain.run import ErrorInfo
from sessionry.domain.usage import Usage

#: What its own limits are called.
_LIMITS = {"error_max_turns": "max_turns", "error_max_budget_usd": "max_budget_usd"}


class Bill:
    """The account of a run. Tokens are told with each answer of a model, so that a lost worker takes none along, and what a
    result has more than these with the result; money is told for the session as a whole, ever since, with each result.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._told: dict[str | None, Usage] = {}
        self._billed: dict[str | None, Usage] = {}
        self._begun: dict[str | None, tuple[str | None, Usage]] = {}

    def streamed(self, frame: dict[str, Any]) -> Iterator[TokenUsageUpdated]:
        """A part of an answer. Its first one counts the input, its last one all of it."""
        event, voice = frame.get("event") or {}, frame.get("parent_tool_use_id")
        match event.get("type"):
            case "message_start":
                message = event.get("message") or {}
                self._begun[voice] = message.get("model"), _snake(message.get("usage") or {})
            case "message_delta" if voice in self._begun:
                model, begun = self._begun.pop(voice)
                yield from self._tell(model, _most(begun, _snake(event.get("usage") or {})))

    def usage(self, result: dict[str, Any], model: str | None = None) -> Iterator[TokenUsageUpdated]:
        """What a result adds. `model` is the session's, for versions that do not tell them apart."""
        for name, usage in _by_model(result):
            self._billed[name or model] = self._billed.get(name or model, Usage()) + usage
        total = money(result.get("total_cost_usd"))
        for name, usage in self._untold():
            for event in self._tell(name, usage):
                spent = self._account.cost_total(total) if total is not None else None
                yield msgspec.structs.replace(event, cost=spent.cost if spent else None)
        if total is not None and (spent := self._account.cost_total(total)):
            yield msgspec.structs.replace(spent, model=model)

    def _tell(self, model: str | None, usage: Usage) -> Iterator[TokenUsageUpdated]:
        self._told[model] = self._told.get(model, Usage()) + usage
        self._account.model = model
        if event := self._account.add(usage):
            yield event

    def _untold(self) -> Iterator[tuple[str | None, Usage]]:
        """By model. An answer may name its model otherwise than a result does: such answers count for any."""
        others = sum((usage for name, usage in self._told.items() if name not in self._billed), Usage())
        for name, usage in list(self._billed.items()):
            rest = usage - self._told.get(name, Usage())
            if new := rest - others:
                yield name, new
            others -= rest


def _most(one: Usage, other: Usage) -> Usage:
    """The higher of two counts of the same tokens."""
    return one + (other - one)


def _by_model(result: dict[str, Any]) -> list[tuple[str | None, Usage]]:
    models = result.get("model_usage_since_last_result")
    if isinstance(models, dict) and models:
        return [(name, _camel(counts)) for name, counts in models.items() if isinstance(counts, dict)]
    usage = result.get("usage")
    return [(None, _snake(usage))] if isinstance(usage, dict) else []


def _camel(counts: dict[str, Any]) -> Usage:
    return Usage(
        input_tokens=_count(counts, "inputTokens"),
        output_tokens=_count(counts, "outputTokens"),
        cache_read_tokens=_count(counts, "cacheReadInputTokens"),
        cache_write_tokens=_count(counts, "cacheCreationInputTokens"),
        reasoning_tokens=_count(counts, "thinkingTokens"),
    )


def of_message(message: dict[str, Any]) -> Usage:
    """What an answer used, as a session keeps it."""
    return _snake(message.get("usage") or {})


def _snake(counts: dict[str, Any]) -> Usage:
    return Usage(
        input_tokens=_count(counts, "input_tokens"),
        output_tokens=_count(counts, "output_tokens"),
        cache_read_tokens=_count(counts, "cache_read_input_tokens"),
        cache_write_tokens=_count(counts, "cache_creation_input_tokens"),
        reasoning_tokens=_count(counts.get("output_tokens_details") or {}, "thinking_tokens"),
    )


def _count(counts: dict[str, Any], name: str) -> int:
    value = counts.get(name)
    return value if isinstance(value, int) and value > 0 else 0


def problem_of(result: dict[str, Any], *, retry_after: float | None = None) -> ErrorInfo | None:
    """Why the work behind a result failed; None when it did not. Its `subtype` alone does not tell: an API error is a
    `success` with `is_error` set, and a refusal of the model is no error at all.
    """
    subtype = str(result.get("subtype"))
    said = _said(result)
    if not result.get("is_error"):
        if result.get("stop_reason") == "refusal":
            return failure("refused", said or "the model declines to answer")
        return None
    details: dict[str, Json] = {"reason": result.get("terminal_reason"), "status": result.get("api_error_status")}
    if limit := _LIMITS.get(subtype):
        return failure("limit_reached", said or f"the limit {limit} was reached", limit=limit, **details)
    if subtype == "error_max_structured_output_retries":
        return no_output()
    return failure(_code(result, said), said or subtype, retry_after=retry_after, **details)


def no_output() -> ErrorInfo:
    return failure("agent_failed", "the model gave no output that fits output_schema")


def _code(result: dict[str, Any], said: str) -> str:
    status, reason = result.get("api_error_status"), str(result.get("terminal_reason"))
    if reason == "prompt_too_long":
        return "context_too_long"
    if reason.startswith("aborted"):
        return "cancelled"
    if isinstance(status, int):
        return code_of(status, said)
    code = code_of(None, said)
    return "agent_unavailable" if code == "agent_failed" and reason == "api_error" else code


def _said(result: dict[str, Any]) -> str:
    errors = result.get("errors")
    if isinstance(errors, list) and errors:
        return "; ".join(map(str, errors))[:2000]
    return str(result.get("result") or "")[:2000]
