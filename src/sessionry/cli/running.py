"""`sessionry run`: a run from the prompt to the exit code, worked on in this very process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from sessionry.cli.choosing import default_agent
from sessionry.cli.errors import sentence
from sessionry.cli.identify import find_async
from sessionry.cli.invocation import Invocation, command
from sessionry.cli.missing import missed_by
from sessionry.cli.submitting import (
    Order,
    begin_session,
    input_of,
    known_agent,
    order_of,
    order_options,
    prompt_argument,
    queue,
)
from sessionry.domain import events as ev
from sessionry.domain.errors import SessionryError
from sessionry.domain.events import Event
from sessionry.domain.lifecycle import RunStatus, SessionStatus
from sessionry.domain.run import DEFAULT_QUEUE

if TYPE_CHECKING:
    from sessionry.cli.live import Screen
    from sessionry.cli.output import Output
    from sessionry.runtime.handles import RunHandle, SessionHandle
    from sessionry.runtime.sessions import Sessions
    from sessionry.runtime.worker import Worker

#: How a run ended -> the exit code that says so.
EXIT_CODES = {"completed": 0, "failed": 1, "cancelled": 3, "timeout": 4}
#: Seconds for which a second Ctrl-C waits for the agent's programs to end.
_LAST_GRACE = 0.3

_UNFINISHED = ("pending", "running", "waiting")
#: After these it may be time to leave.
_TURNS: tuple[type[ev.EventData], ...] = (
    *ev.RUN_ENDINGS,
    ev.RunRequeued,
    ev.WorkerLost,
    ev.SessionPaused,
    ev.SessionCompleted,
    ev.SessionFailed,
    ev.SessionCancelled,
)


@command()
@prompt_argument
@order_options
@click.option("-s", "--session", metavar="SESSION", help="Go on with this session instead of beginning one.")
@click.option("--cwd", type=click.Path(exists=True, file_okay=False, resolve_path=True), help="Where the agent works.")
@click.option("--title", help="The new session's title; else the beginning of the prompt.")
@click.option("-t", "--tag", "tags", metavar="TAG", multiple=True, help="A tag of the new session; may be repeated.")
@click.option("--parent", metavar="SESSION", help="The new session is a child of this one.")
@click.option("-d", "--detach", is_flag=True, help="Print the run's id and let it go on in the background.")
def run(
    invocation: Invocation,
    words: tuple[str, ...],
    agent: str | None,
    session: str | None,
    detach: bool,
    cwd: str | None,
    title: str | None,
    tags: tuple[str, ...],
    parent: str | None,
    **options: Any,
) -> int:
    """Run an agent and stream what it does.

    \b
    sessionry run Fix the failing test
    sessionry run --agent shell -- git status
    git diff | sessionry run --session 01a2b3 -
    sessionry run --agent claude -o model=opus --image plan.png Build this

    Without --agent the catalog's default works, else the first agent that is usable here, and which one is said. For the
    shell agent the words after -- are the command. The agent's words go to stdout, everything else to stderr.
    With --json, stdout has the run's events, one a line.

    The run is worked on by this process, and so is what is sent to its session meanwhile; but with --queue by a worker
    that serves the queue of that name, in its own folder unless --cwd names one. Ctrl-C cancels the run and
    waits for its end; a second Ctrl-C leaves at once. Exit codes: 0 completed, 1 failed, 3 cancelled, 4 timeout, 130
    interrupted.
    """
    from sessionry.cli.asynchronous import run_async

    about = {"cwd": cwd, "title": title, "tags": tags, "parent": parent}
    if session is not None and any(about.values()):
        raise click.UsageError(
            "--cwd, --title, --tag and --parent are for a new session; `sessionry update` changes one"
        )
    order = order_of(words, agent, options)
    if invocation.remote:
        from sessionry.cli.remote import Followed

        followed = Followed(invocation)
        working = followed.work(order, session, about, detach=detach)
        return run_async(invocation, working, interrupted=followed.interrupted)
    if detach:
        from sessionry.cli.detaching import detached

        return run_async(invocation, detached(invocation, order, session, about))
    attended = Attended(invocation)
    return run_async(invocation, attended.work(order, session, about), interrupted=attended.interrupted)


async def submitted(
    sessions: Sessions,
    output: Output,
    order: Order,
    session: str | None,
    about: dict[str, Any],
    *,
    local: bool = True,
) -> tuple[SessionHandle, RunHandle]:
    """The run in the queue of the session that is named, or of a new one; `local`: it is worked on in this folder.

    What is sent to a named queue is worked on where that is served, and there in the worker's own folder.
    """
    local = local and order.options.get("queue", DEFAULT_QUEUE) == DEFAULT_QUEUE
    if session is None:
        parent = about["parent"] and await find_async(sessions, about["parent"], "session")
        agent_id = order.agent or default_agent(sessions.catalog, output)
        about = about | {"cwd": about["cwd"] or (Path.cwd() if local else None), "parent": parent}
        return await begin_session(sessions, agent_id, order, about)
    handle = sessions.session(await find_async(sessions, session, "session"))
    agent_id = order.agent or (await handle.get()).agent_id
    return handle, await queue(handle, order, input_of(known_agent(sessions.catalog, agent_id), order))


class Attended:
    """A run with somebody who waits for its end, and what becomes of it when that one has had enough."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._output = invocation.output
        self._run: RunHandle | None = None
        self._status: str | None = None
        self._interrupted: int | None = None  # the exit code of the signal
        self._reader_left = False
        self._at_work: set[str] = set()  # the runs that this process works on
        self._tasks: set[asyncio.Task[Any]] = set()
        self._screen: Screen | None = None
        self._sessions: Sessions
        self._worker: Worker
        self._session: SessionHandle

    async def work(self, order: Order, session: str | None, about: dict[str, Any]) -> int:
        # what was begun in the very moment of leaving is worked to its end: grace None
        async with self._invocation.open_async(only=frozenset(), grace=None) as sessions:
            assert sessions.worker is not None
            self._sessions, self._worker = sessions, sessions.worker
            self._session, self._run = await submitted(sessions, self._output, order, session, about)
            self._worker.admit(self._session.id)
            await self._attend(self._run.id)
        if self._interrupted is not None:
            return self._interrupted
        return 141 if self._reader_left else EXIT_CODES[self._status or "failed"]

    async def _attend(self, run_id: str) -> None:
        """Show the run's events; be there until it has ended, and until what was sent meanwhile is done as well."""
        show = self._shower()
        async with aclosing(self._session.events(run=run_id, limit=1)) as first:
            queued = await anext(first)
        await self._say_what_it_waits_for()
        async with aclosing(self._session.events(after=queued.seq - 1, follow=True)) as events:
            async for event in events:
                self._keep_count(event)
                if event.run_id == run_id:
                    await self._show(show, event)
                elif event.run_id is not None:
                    self._tell_of_another(event)
                if self._status is not None and isinstance(event.data, _TURNS) and not await self._more_to_do():
                    return

    def _shower(self) -> Callable[[Event], None]:
        if self._output.json:
            return lambda event: self._output.object(event.to_dict())
        from sessionry.cli.approvals import decider
        from sessionry.cli.asking import Asker
        from sessionry.cli.live import LiveView, Screen

        self._screen = Screen(self._output)
        asker = Asker(self._sessions, self._screen, decider(self._invocation)) if Asker.possible() else None
        return LiveView(self._output, self._screen, asker=asker).show

    def _note(self, text: str) -> None:
        """A line for people, whatever was written last."""
        if self._screen is not None:
            self._screen.note(text)

    async def _show(self, show: Callable[[Event], None], event: Event) -> None:
        if self._reader_left:
            return
        try:
            show(event)
            self._output.flush()
        except BrokenPipeError:
            self._output.abandon()
            self._reader_left = True
            self._spawn(self._worker.drain())
            await self._cancel("nobody reads its output any more")

    def _keep_count(self, event: Event) -> None:
        data, run_id = event.data, event.run_id
        if isinstance(data, ev.RunStarted) and data.worker_id == self._worker.id:
            self._at_work.add(str(run_id))
        elif isinstance(data, ev.RUN_ENDINGS):
            self._at_work.discard(str(run_id))
            if self._run is not None and run_id == self._run.id:
                self._status = data.type.removeprefix("run_")

    def _tell_of_another(self, event: Event) -> None:
        """Of the other runs of the session one hears only that they begin, ask and end."""
        if isinstance(event.data, ev.ToolApprovalRequested):
            from sessionry.cli.asking import how_to_answer

            self._note(f"{event.run_id} of the same session asks for approval; {how_to_answer(event.data.approval_id)}")
        if isinstance(event.data, (ev.RunStarted, *ev.RUN_ENDINGS)):
            here = " here" if event.run_id in self._at_work else ""
            what = event.data.type.removeprefix("run_").replace("started", f"is worked on{here}")
            self._note(f"{event.run_id} of the same session: {what}")

    async def _say_what_it_waits_for(self) -> None:
        session = await self._session.get()
        if session.status is SessionStatus.PAUSED:
            self._note(f"the session is paused; the run begins after `sessionry resume {session.id}`")
            return
        if missed := await missed_by(self._sessions, self._session):
            self._note(missed)
        unfinished = (await self._session.runs(status=_UNFINISHED, limit=1000)).items
        if len(unfinished) > session.slots:
            self._note(f"waits for its turn: {len(unfinished) - 1} unfinished runs are in the session")

    async def _more_to_do(self) -> bool:
        """Whether this process still works on runs of the session, or can go on with what is in its queue."""
        session = await self._session.get(deleted=True)
        unfinished = (await self._session.runs(status=_UNFINISHED, limit=1000)).items
        if any(run.worker_id == self._worker.id for run in unfinished):
            return True
        if session.status is not SessionStatus.ACTIVE or self._interrupted is not None or self._reader_left:
            return False
        return any(run.status is RunStatus.PENDING and self._worker.takes(run) for run in unfinished)

    # --- interruptions ------------------------------------------------------------------------------------------------

    def interrupted(self, number: signal.Signals, end: Callable[[], None]) -> None:
        """The first time: cancel the run, or take no more when it has ended. The second time: leave."""
        from sessionry.cli.asynchronous import ENDING

        if self._interrupted is not None:
            self._leave()
        self._interrupted = ENDING[number]
        if self._screen is not None and number == signal.SIGINT:
            self._screen.typed("^C")
        if self._run is None or (self._status is not None and not self._at_work):
            return end()
        self._spawn(self._worker.drain())  # what else is in the queue stays there
        if self._status is not None:
            return self._note("leaves when the run at work has ended; Ctrl-C again leaves at once")
        self._note("cancelling the run; Ctrl-C again leaves at once")
        return self._spawn(self._cancel("interrupted"))

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cancel(self, reason: str) -> None:
        assert self._run is not None
        try:
            await self._run.cancel(reason=reason)
        except SessionryError as error:
            if error.code != "invalid_transition":  # it has just ended by itself
                self._note(f"not cancelled: {sentence(error)}")

    def _leave(self) -> NoReturn:
        """Leave at once, but no program behind. What the log lacks is put right by whoever opens the store next."""
        if "psutil" in sys.modules:  # else no agent has started a program
            from sessionry.agents.process import kill_leftovers

            kill_leftovers(self._at_work, _LAST_GRACE)
        os._exit(self._interrupted or 130)
