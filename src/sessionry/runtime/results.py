"""How a run ended, as the one who waited for it wants to know it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from sessionry.domain.errors import AgentFailed, SessionryError
from sessionry.domain.json_values import Json
from sessionry.domain.lifecycle import RunStatus
from sessionry.domain.run import ErrorInfo, Run
from sessionry.domain.usage import Usage


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a run. True when it completed; `raise_for_status` for those who prefer exceptions."""

    run_id: str
    session_id: str
    status: RunStatus
    text: str | None = None
    output: Json = None
    stop_reason: str | None = None
    error: ErrorInfo | None = None
    usage: Usage = Usage()
    cost: Decimal | None = None
    turn_count: int = 0
    seconds: float | None = None

    def __bool__(self) -> bool:
        return self.status is RunStatus.COMPLETED

    @classmethod
    def of(cls, run: Run) -> RunResult:
        """From a run that has ended."""
        output = run.output if isinstance(run.output, dict) else {}
        seconds = (run.ended_at - run.started_at).total_seconds() if run.ended_at and run.started_at else None
        return cls(
            run_id=run.id,
            session_id=run.session_id,
            status=run.status,
            text=output.get("text"),
            output=output.get("output") if run.status is RunStatus.COMPLETED else run.output,
            stop_reason=output.get("stop_reason"),
            error=run.error,
            usage=run.usage,
            cost=run.cost,
            turn_count=run.turn_count,
            seconds=seconds,
        )

    def raise_for_status(self) -> RunResult:
        """Itself when the run completed. Raises `AgentFailed` with the run's error, or `cancelled` or `timeout`."""
        if self:
            return self
        if self.error is not None:
            raise AgentFailed(
                "agent_failed",
                f"run {self.run_id} failed: {self.error.message}",
                details=msgspec.to_builtins(self.error),
                retryable=self.error.retryable,
            )
        code = "timeout" if self.status is RunStatus.TIMEOUT else "cancelled"
        raise SessionryError(code, f"run {self.run_id} ended as {self.status}", details={"run_id": self.run_id})

    def to_dict(self) -> dict[str, Any]:
        """All fields, JSON-friendly."""
        builtins: dict[str, Any] = msgspec.to_builtins(self)
        return builtins
