"""A store with a bit of everything, as every released version has left it: tests/golden/schema_v*.

python -m tests.store.sample          writes what a new version of the schema lacks: its sample, its pins
python -m tests.store.sample --pin    pins the files of the schema anew: only before they are released
python -m tests.store.sample --renew  the same, and writes the newest sample anew
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import sys
import tempfile
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from sessionry.domain import events as ev
from sessionry.domain.approval import ApprovalStatus
from sessionry.domain.queries import RunFilter, SessionFilter
from sessionry.domain.run import ErrorInfo, RunOptions, Takeover
from sessionry.domain.scope import Scope
from sessionry.domain.session import Session
from sessionry.domain.token import Permission, secret_hash
from sessionry.domain.usage import Usage
from sessionry.ports import Appending, Store, Wanted
from sessionry.store import migrations
from sessionry.store.operations import approvals, leases, listing, recovery, runs, sessions, tokens
from sessionry.store.operations.approvals import Question
from sessionry.store.operations.leases import Registration
from sessionry.store.sqlite import SqliteStore
from tests.store.work import SCOPE, AtWork, at_work, log_of, new_session

GOLDEN = Path(__file__).parents[1] / "golden"
PINS = GOLDEN / "schema.sha256"
SCHEMA = Path(migrations.__file__).parent / "schema"
SOMEBODY = Scope(user="ann")


class Ticking:
    """A clock that goes on by a second with each question."""

    def __init__(self) -> None:
        self.now = 1_760_000_000_000_000

    def __call__(self) -> int:
        self.now += 1_000_000
        return self.now


# --- what is in it ----------------------------------------------------------------------------------------------------


async def fill(store: Store) -> dict[str, Any]:
    """Sessions and runs in every status; what is needed to go on with them."""
    worker = Registration(
        worker_id="wrk_sample", host="h", pid=1, process_start=1.5, boot_id="b", slots=3, agents=["echo"]
    )
    await store.execute(leases.register(worker, 3600))
    await store.execute(leases.limit_store(100))
    await store.execute(tokens.create(SOMEBODY, "ci", [Permission.RUN], secret_hash("sry_sample")))
    await _sessions_in_every_status(store)
    await _ended_runs(store)
    await _questions(store)
    return {"lease": await _live_run(store), "queued": await _queue(store), "repeated": await _repeatable(store)}


async def _sessions_in_every_status(store: Store) -> None:
    named: dict[str, Any] = {
        "title": "Größe ÄÖÜ ß 🦀",
        "tags": ["a", "b c"],
        "metadata": {"n": [1, None, {"x": 2.5}]},
        "cwd": "/tmp",
    }
    created = await store.execute(sessions.create(SOMEBODY, Session.new(agent_id="echo", **named)))
    parent = created.session_id
    child = Session.new(agent_id="echo", context={"system": "be brief"}, slots=2, queue_limit=5)
    await store.execute(sessions.create(SOMEBODY, child, parent=parent))
    await store.execute(sessions.update(SCOPE, parent, {"title": "Changed", "tags": ["b c", "d"]}))
    for data in (ev.SessionPaused(reason="lunch"), ev.SessionResumed(), ev.SessionCompleted()):
        session_id = await new_session(store)
        await store.execute(sessions.change_status(SCOPE, session_id, ev.SessionStarted()))
        if not isinstance(data, ev.SessionCompleted):
            await store.execute(sessions.change_status(SCOPE, session_id, ev.SessionPaused(reason="lunch")))
        if not isinstance(data, ev.SessionPaused):
            await store.execute(sessions.change_status(SCOPE, session_id, data))
    await store.execute(sessions.end(SCOPE, await new_session(store), ev.SessionCancelled(reason="no")))
    failed = ev.SessionFailed(error=ErrorInfo(code="internal_error", message="oh", details={"k": "v"}))
    await store.execute(sessions.end(SCOPE, await new_session(store), failed))
    await store.execute(sessions.delete(SCOPE, await new_session(store, title="Gone"), reason="test"))


async def _ended_runs(store: Store) -> None:
    work = await at_work(store)
    said = [
        ev.MessageStreamed(text="you "),
        ev.MessageStreamed(text="said"),
        ev.MessageReceived(text="you said \0 \u2028 hi"),
        ev.ToolCallStarted(tool_call_id="t1", tool_name="bash", tool_input={"command": "ls"}),
        ev.ToolCallCompleted(tool_call_id="t1", tool_name="bash", tool_output="README"),
        ev.ToolCallStarted(tool_call_id="t2", tool_name="bash"),
        ev.CustomRecorded(name="mine", value={"big": 2**63, "small": -(2**63)}),
        ev.ArtifactAdded(hash="0" * 64, size=5, name="a.txt", media_type="text/plain"),
    ]
    await work.append(Appending(work.run_id, work.fence, work.after, said))
    facts = [
        ev.TokenUsageUpdated(usage=Usage(input_tokens=10, output_tokens=2), cost=Decimal("0.0123")),
        ev.AgentSessionLinked(native_session_id="n-1", model="m-1"),
        ev.TurnCompleted(),
    ]
    await work.append(Appending(work.run_id, work.fence, work.after, facts))
    ending = ev.RunCompleted(text="done", output={"answer": 42}, stop_reason="end_turn")
    await store.execute(leases.finish(work.run_id, work.fence, ending))
    error = ErrorInfo(code="agent_failed", message="boom", retryable=True)
    for other in (
        ev.RunFailed(error=error),
        ev.RunCancelled(reason="stop"),
        ev.RunTimeout(limit="timeout", seconds=5.0),
    ):
        work = await at_work(store)
        await store.execute(leases.finish(work.run_id, work.fence, other))
    lost = await at_work(store, worker="wrk_lost")
    await store.execute(recovery.take_over(lost.run_id, "wrk_lost", "lease_expired"))


async def _questions(store: Store) -> None:
    for approved in (True, False):
        work = await at_work(store)
        question = Question(
            key="k", tool_name="rm", tool_input={"path": "x"}, tool_call_id="t", reason="why", timeout=9e6
        )
        approval, _ = await store.execute(approvals.ask(work.run_id, work.fence, question))
        await store.execute(approvals.decide(SCOPE, approval.id, approved=approved, by="ann", note="ok"))
        await store.execute(approvals.go_on(work.run_id, work.fence, approval.id))
        await work.finish()
    waiting = await at_work(store, worker="wrk_sample")
    await store.execute(approvals.ask(waiting.run_id, waiting.fence, Question(key="open", tool_name="rm")))
    parked = await at_work(store, worker="wrk_lost")
    await store.execute(approvals.ask(parked.run_id, parked.fence, Question(key="open", tool_name="rm")))
    await store.execute(recovery.take_over(parked.run_id, "wrk_lost", "lease_expired"))


async def _live_run(store: Store) -> dict[str, Any]:
    work = await at_work(store, worker="wrk_sample")
    await work.say("at work")
    await store.execute(runs.steer(SCOPE, work.run_id, "hurry"))
    await store.execute(runs.cancel(SCOPE, work.run_id, ev.RunCancelRequested(reason="slow")))
    return {"session_id": work.session_id, "run_id": work.run_id, "fence": work.fence, "after": work.after}


async def _queue(store: Store) -> dict[str, Any]:
    session_id = await new_session(store)
    options = RunOptions(timeout=60.0, takeover=Takeover.RESTART, max_attempts=2, required_capabilities=["tools"])
    first = runs.Submission(input={"prompt": "first"}, options=options, metadata={"m": 1}, priority=1)
    submitted = [
        await store.execute(runs.submit(SCOPE, session_id, item)) for item in (first, runs.Submission(input="second"))
    ]
    return {"session_id": session_id, "run_ids": [item.run_id for item in submitted]}


async def _repeatable(store: Store) -> dict[str, Any]:
    session_id = await new_session(store)
    await store.execute(sessions.update(SCOPE, session_id, {"title": "Once"}, idempotency_key="key-1"))
    return {"session_id": session_id, "title": "Once", "idempotency_key": "key-1"}


# --- what is read from it ---------------------------------------------------------------------------------------------


async def account(store: Store) -> dict[str, Any]:
    """Everything that the store says about what is in it."""
    listed = await store.execute(
        listing.list_sessions(SCOPE, SessionFilter(include_deleted=True), order="created", limit=1000)
    )
    found_runs = await store.execute(listing.list_runs(SCOPE, RunFilter(), order="created", limit=1000))
    questions = await store.execute(approvals.list_approvals(SCOPE, status=list(ApprovalStatus), limit=1000))
    ids = [item.session.id for item in listed.items]
    said = {
        "sessions": [item.to_dict() for item in listed.items],
        "runs": [run.to_dict() for run in found_runs.items],
        "approvals": [approval.to_dict() for approval in questions.items],
        "logs": {session_id: [event.to_dict() for event in await log_of(store, session_id)] for session_id in ids},
        "counts": (await store.execute(listing.counts(SCOPE))).to_dict(),
        "ann's": [
            item.session.id for item in (await store.execute(listing.list_sessions(SOMEBODY, SessionFilter()))).items
        ],
        "tagged": await _found(store, SessionFilter(tags=["b c"])),
        "titled": await _found(store, SessionFilter(text="CHANGED")),
        "workers": [worker.id for worker, _ in await store.execute(leases.workers())],
        "ready": [delivery.run_id for delivery in await store.execute(leases.ready(Wanted(agents=["echo"]), 100))],
    }
    decoded: dict[str, Any] = json.loads(json.dumps(said))
    return decoded


async def _found(store: Store, filter: SessionFilter) -> list[str]:
    return [item.session.id for item in (await store.execute(listing.list_sessions(SCOPE, filter))).items]


def at_work_again(store: Store, lease: dict[str, Any]) -> AtWork:
    """The run that was at work when the sample was made, in the hands of its worker."""
    work = AtWork.__new__(AtWork)
    work.store = store
    for name, value in lease.items():
        setattr(work, name, value)
    return work


# --- the files --------------------------------------------------------------------------------------------------------


def pins() -> dict[str, str]:
    """File -> SHA-256 of every file of the schema."""
    files = sorted(SCHEMA.rglob("*.sql"))
    return {file.relative_to(SCHEMA).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def pinned() -> dict[str, str]:
    return {name: digest for digest, name in (line.split("  ") for line in PINS.read_text().splitlines())}


async def _make(file: Path) -> dict[str, Any]:
    store = await SqliteStore.open(str(file), clock=Ticking())
    go_on = await fill(store)
    said = await account(store)
    await store.close()
    return {"account": said, "go_on": go_on}


def write(version: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sessions.db"
        expected = asyncio.run(_make(file))
        with closing(sqlite3.connect(file)) as connection:
            dump = "\n".join(connection.iterdump())
    (GOLDEN / f"schema_v{version}.sql").write_text(dump + "\n", encoding="utf-8")
    text = json.dumps(expected, indent=1, ensure_ascii=False)
    (GOLDEN / f"schema_v{version}.json").write_text(text + "\n", encoding="utf-8")


def main(*options: str) -> None:
    version = max(migrations.migrations("sqlite"))
    if "--renew" in options or not (GOLDEN / f"schema_v{version}.sql").exists():
        write(version)
    known = {} if options or not PINS.exists() else pinned()
    lines = [f"{digest}  {name}" for name, digest in (pins() | known).items()]
    PINS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
