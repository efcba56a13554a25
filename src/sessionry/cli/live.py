"""A session's events as people watch them: words as they come, tools as one line each, how each run ended.

The agent's words, and what a command of the shell agent prints, go to stdout. Everything else is told on stderr, so that
stdout can be piped.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sessionry.cli.asking import how_to_answer
from sessionry.cli.details import compact, prompt
from sessionry.cli.output import width_of
from sessionry.cli.render import STATUS_COLOURS, cells, clock, cut, duration, money, one_line, printable, tokens
from sessionry.domain import events as ev
from sessionry.domain.events import Event
from sessionry.domain.run import CancelMode
from sessionry.domain.usage import Usage

if TYPE_CHECKING:
    from sessionry.cli.asking import Asker
    from sessionry.cli.output import Output

_ENDED = {
    ev.RunCompleted: "completed",
    ev.RunFailed: "failed",
    ev.RunCancelled: "cancelled",
    ev.RunTimeout: "timeout",
}
_SESSION_NEWS = (ev.SessionPaused, ev.SessionResumed, ev.SessionCompleted, ev.SessionFailed, ev.SessionCancelled)


class Screen:
    """Two streams that may be one terminal: keeps lines whole where both are."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self.terminal = output.err.isatty()
        self._shared = self.terminal and output.out.isatty()
        self._open: str | None = None  # what the unfinished line belongs to: a stream, or a tool at work
        self._out_open = False

    @property
    def width(self) -> int:
        return width_of(self._output.err) or 120

    def words(self, text: str, *, raw: bool = False) -> None:
        """A piece of the result. On a terminal it cannot do more than be read, unless it is `raw`."""
        if not text:
            return
        if self._shared and self._open not in (None, "out"):
            self._end_line()
        out = self._output.out
        out.write(text if raw or not out.isatty() else printable(text))
        out.flush()
        self._out_open = not text.endswith("\n")
        if self._shared:
            self._open = "out" if self._out_open else None

    def end_words(self) -> None:
        """The result's line is finished, if it was not."""
        if self._out_open:
            self.words("\n")

    def aside(self, text: str, *, raw: bool = False, always: bool = False, **look: Any) -> None:
        """A piece beside the result."""
        if not text or (self._output.quiet and not always):
            return
        if self._open not in (None, "err"):
            self._end_line()
        err = self._output.err
        err.write(self._output.style(text if raw or not self.terminal else printable(text), on_err=True, **look))
        err.flush()
        self._open = None if text.endswith("\n") else "err"

    def note(self, text: str, *, always: bool = False, **look: Any) -> None:
        """A line beside the result."""
        if always or not self._output.quiet:
            self._end_line()
            self._write(self._output.style(printable(text), on_err=True, **look) + "\n")

    def typed(self, line: str = "\n") -> None:
        """The terminal showed what the person typed; without the end of a line, that one is open now."""
        self._open = None if line.endswith("\n") or not self.terminal else "typed"

    def begin(self, key: str, text: str) -> None:
        """A line that will be replaced when what it tells of has ended; on a terminal only."""
        if self.terminal and not self._output.quiet:
            self._end_line()
            self._write(self._output.style(cut(text, self.width - 1), on_err=True, dim=True))
            self._open = key

    def end(self, key: str, text: str) -> None:
        """The line that takes its place, or a new one when something was written since."""
        if self._output.quiet:
            return
        if self._open == key:
            self._write("\r\x1b[K")
            self._open = None
        self._end_line()
        self._write(text + "\n")

    def _write(self, text: str) -> None:
        self._output.out.flush()
        self._output.err.write(text)
        self._output.err.flush()

    def _end_line(self) -> None:
        if self._open is not None:
            self._write("\n")
            self._open = None
            self._out_open = self._out_open and not self._shared


class _RunView:
    """What is known of a run while it is watched."""

    def __init__(self) -> None:
        self.agent_type = ""
        self.started_at: datetime | None = None
        self.usage = Usage()
        self.cost: Decimal | None = None
        self.said = False
        #: what was streamed of a message, or of reasoning, by its id
        self.streamed: dict[tuple[str, str | None], str] = {}
        self.tools: dict[str, tuple[ev.ToolCallStarted, datetime]] = {}


class LiveView:
    """Shows events, each once and in order. `prompts`: what the agents were asked as well.

    `asker` asks the person at the terminal what an agent wants to know; without one it is told how to answer elsewhere,
    unless the approval is one of `decided`. `raw`: what providers sent as well, a line each.
    """

    def __init__(
        self,
        output: Output,
        screen: Screen,
        *,
        prompts: bool = False,
        asker: Asker | None = None,
        decided: Collection[str] = (),
        raw: bool = False,
    ) -> None:
        self.screen = screen
        self._output = output
        self._prompts = prompts
        self._asker = asker
        self._decided = decided
        self._raw = raw
        self._runs: dict[str | None, _RunView] = {}

    def show(self, event: Event) -> None:
        run = self._runs.setdefault(event.run_id, _RunView())
        data = event.data
        match data:
            case ev.RunQueued() if self._prompts:
                self._ask(prompt(data.input))
            case ev.RunStarted():
                self._start(event, run, data)
            case ev.FrameReceived(source=source, frame=frame):
                if self._raw and frame is not None:
                    self.screen.note(f"{source}: {compact(frame)}", dim=True)
            case ev.MessageStreamed():
                self._stream(run, "words", data.message_id, data.text)
            case ev.MessageReceived():
                self._receive(run, "words", data.message_id, data.text)
            case ev.ReasoningStreamed():
                self._stream(run, "thoughts", data.message_id, data.text)
            case ev.ReasoningReceived():
                self._receive(run, "thoughts", data.message_id, data.text)
            case ev.ToolOutputStreamed() if run.agent_type == "shell":
                self._pass_through(data)
            case ev.ToolCallStarted() if run.agent_type != "shell":
                run.tools[data.tool_call_id] = (data, event.at)
                self.screen.begin(data.tool_call_id, _call(data.tool_name, data.tool_input))
            case ev.ToolCallCompleted() | ev.ToolCallFailed() | ev.ToolCallInterrupted() if run.agent_type != "shell":
                self._end_tool(event, run, data)
            case ev.ToolApprovalRequested():
                self._ask_person(data)
            case ev.ToolApprovalGranted() | ev.ToolApprovalDenied() | ev.ApprovalExpired():
                self._tell_decision(data)
            case ev.TokenUsageUpdated():
                run.usage += data.usage
                run.cost = run.cost if data.cost is None else (run.cost or 0) + data.cost
            case ev.RunCompleted() | ev.RunFailed() | ev.RunCancelled() | ev.RunTimeout():
                self._end(event, run)
            case _:
                if (news := _news(data)) is not None:
                    self.screen.note(news, dim=True)

    # --- words --------------------------------------------------------------------------------------------------------

    def _ask(self, text: str) -> None:
        self.screen.end_words()
        self.screen.note(f"» {text}", bold=True)

    def _stream(self, run: _RunView, what: str, id: str | None, text: str) -> None:
        if what == "words":
            run.said = True
        run.streamed[what, id] = run.streamed.get((what, id), "") + text
        self._tell(what, text)

    def _receive(self, run: _RunView, what: str, id: str | None, text: str) -> None:
        """The whole: what was streamed of it is there already."""
        if what == "words":
            run.said = True
        streamed = run.streamed.pop((what, id), None) or run.streamed.pop((what, None), "")
        if not text.startswith(streamed):
            self._tell(what, "\n")
            streamed = ""
        self._tell(what, text[len(streamed) :])
        if what == "words":
            self.screen.end_words()
        elif not text.endswith("\n"):
            self._tell(what, "\n")

    def _tell(self, what: str, text: str) -> None:
        if what == "words":
            self.screen.words(text)
        else:
            self.screen.aside(text, dim=True)

    def _pass_through(self, data: ev.ToolOutputStreamed) -> None:
        if data.stream == "stderr":
            self.screen.aside(data.text, raw=True, always=True)
        else:
            self.screen.words(data.text, raw=True)

    # --- tools --------------------------------------------------------------------------------------------------------

    def _end_tool(self, event: Event, run: _RunView, data: Any) -> None:
        started = run.tools.pop(data.tool_call_id, None)
        took = f" {duration((event.at - started[1]).total_seconds())}" if started is not None else ""
        match data:
            case ev.ToolCallCompleted():
                status, colour = f"ok{took}", "green"
            case ev.ToolCallFailed(error=error):
                status, colour = f"failed{took}: {one_line(error.message)}", "red"
            case _:
                status, colour = f"interrupted{took}: {one_line(data.reason)}", "yellow"
        wide = self.screen.width - 1
        status = cut(status, max(wide // 2, 20))
        call = cut(_call(data.tool_name, started[0].tool_input if started else None), wide - cells(status) - 2)
        style = self._output.style
        self.screen.end(data.tool_call_id, style(call, on_err=True) + "  " + style(status, on_err=True, fg=colour))

    # --- approvals ----------------------------------------------------------------------------------------------------

    def _ask_person(self, data: ev.ToolApprovalRequested) -> None:
        asks = f"asks for approval: {_call(data.tool_name, data.tool_input)}"
        more = [data.reason or "", f"until {clock(data.expires_at)}" if data.expires_at else ""]
        why = ", ".join(one_line(part) for part in more if part)
        self.screen.note(f"{asks} ({why})" if why else asks, fg="yellow", always=True)
        if self._asker is not None:
            self._asker.ask(data.approval_id, data.tool_name)
        elif data.approval_id not in self._decided:
            self.screen.note(how_to_answer(data.approval_id), always=True)

    def _tell_decision(self, data: ev.ToolApprovalGranted | ev.ToolApprovalDenied | ev.ApprovalExpired) -> None:
        if isinstance(data, ev.ApprovalExpired):
            told = "nobody answered in time: denied"
        else:
            what = "approved" if isinstance(data, ev.ToolApprovalGranted) else "denied"
            by, note = f" by {data.by}" if data.by else "", f": {data.note}" if data.note else ""
            told = one_line(f"{what}{by}{note}")
        self.screen.note(told, dim=True)
        if self._asker is not None:
            self._asker.answered(data.approval_id)

    # --- a run's beginning and end ------------------------------------------------------------------------------------

    def _start(self, event: Event, run: _RunView, data: ev.RunStarted) -> None:
        run.agent_type = data.agent.type if data.agent else ""
        run.started_at = run.started_at or event.at
        run.streamed.clear()
        run.tools.clear()
        if data.attempt > 1:
            self.screen.note(f"attempt {data.attempt}", dim=True)

    def _end(self, event: Event, run: _RunView) -> None:
        data = event.data
        if isinstance(data, ev.RunCompleted) and data.text and not run.said and run.agent_type != "shell":
            self.screen.words(data.text)
        if run.agent_type != "shell":
            self.screen.end_words()
        status = _ENDED[type(data)]
        if isinstance(data, ev.RunFailed):
            self.screen.note(one_line(_failure(data)), fg=STATUS_COLOURS[status])
        facts = [
            one_line(_outcome(status, data)),
            duration((event.at - run.started_at).total_seconds()) if run.started_at else "",
            f"{tokens(run.usage.total_tokens)} tokens" if run.usage.total_tokens else "",
            money(run.cost),
            event.session_id,
        ]
        self.screen.note(" · ".join(filter(None, facts)), fg=STATUS_COLOURS[status])
        self._runs.pop(event.run_id, None)


def _call(name: str, input: Any) -> str:
    return one_line(f"{name} {compact(input)}".strip())


def _failure(data: ev.RunFailed) -> str:
    code = data.error.details.get("exit_code")
    return f"{data.error.message} [{data.error.code}{f', exit code {code}' if code is not None else ''}]"


def _outcome(status: str, data: ev.EventData) -> str:
    """The status, and what has brought it about."""
    match data:
        case ev.RunCancelled(reason=reason) if reason:
            return f"{status}: {reason}"
        case ev.RunTimeout(limit=limit, seconds=seconds):
            return f"{limit.replace('_', ' ')}{f' of {duration(seconds)}' if seconds else ''} is over"
    return status


def _news(data: ev.EventData) -> str | None:
    """One line for what is neither words nor tools; None for what people need not see."""
    match data:
        case ev.InputReceived(text=text):
            return f"» {text}"
        case ev.PlanUpdated(entries=entries):
            return "plan:\n" + "\n".join(f"  {_MARKS.get(str(e.get('status')), ' ')} {e.get('text')}" for e in entries)
        case ev.ErrorOccurred(error=error):
            return f"error: {one_line(error.message)}"
        case ev.RateLimited(message=message, retry_after=after):
            return f"rate limited{f', waits {duration(after)}' if after else ''}{f': {message}' if message else ''}"
        case ev.RunStalled(seconds=seconds):
            return f"nothing was heard for {duration(seconds)}"
        case ev.WorkerLost(action=action, reason=reason):
            return f"lost its worker ({reason.replace('_', ' ')}): {action}"
        case ev.RunCancelRequested(mode=CancelMode.AFTER_TURN):
            return "is to be cancelled after the turn"
        case ev.PolicyViolation(kind=kind, action=action):
            return f"policy: {kind} {action}"
        case ev.ArtifactAdded(name=name, size=size):
            return f"artifact {name or ''} ({size:,} bytes)"
        case _ if isinstance(data, _SESSION_NEWS):
            return data.type.replace("_", " ")
    return None


_MARKS = {"completed": "✓", "in_progress": "▸", "pending": "·"}
