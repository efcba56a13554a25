"""The blocking face: it is what the asynchronous one says it is, and it works from plain functions and threads."""

from __future__ import annotations

import inspect
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import sessionry
from sessionry import sync
from sessionry.domain.errors import Conflict, InvalidInput, NotFound, Timeout
from sessionry.runtime import handles
from sessionry.runtime.sessions import Sessions
from sessionry.sync import SyncSessions

ROOT = Path(__file__).resolve().parents[1]
TWINS = [
    (Sessions, sync.SyncSessions),
    (handles.SessionHandle, sync.SyncSessionHandle),
    (handles.RunHandle, sync.SyncRunHandle),
    (handles.ApprovalHandle, sync.SyncApprovalHandle),
]
INTERNAL = {"acting", "of", "submission"}


def echo(message: str) -> str:
    return f"you said {message}"


async def asks_and_waits(context: sessionry.AgentContext, message: str) -> str:
    decision = await context.approve("deploy", {"to": message})
    return f"{decision.approved} by {decision.by}"


AGENTS = {"echo": echo, "asks": asks_and_waits}


@pytest.fixture
def sessions() -> Iterator[SyncSessions]:
    with sessionry.open_sync("memory://", agents=AGENTS) as sessions:
        yield sessions


def until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.005)


# --- what is generated ---


def test_the_committed_file_is_what_the_generator_writes() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "generate_sync.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("kind", "twin"), TWINS)
def test_every_public_method_has_a_blocking_twin_with_the_same_arguments(kind: type, twin: type) -> None:
    for name, method in inspect.getmembers(kind, inspect.isfunction):
        if name.startswith("_") or name in INTERNAL:
            continue
        blocking = getattr(twin, name)
        assert list(inspect.signature(blocking).parameters) == list(inspect.signature(method).parameters)
        assert inspect.getdoc(blocking) == inspect.getdoc(method)
        assert not inspect.iscoroutinefunction(blocking)


# --- how it behaves ---


def test_a_run_from_submitting_to_its_result(sessions: SyncSessions) -> None:
    session = sessions.create("echo", title="A talk", tags=["a"])
    run = session.run("hello")
    types = [event.type for event in run.events()]
    assert types[0] == "run_queued"
    assert types[-1] == "run_completed"
    assert run.result().text == "you said hello"
    assert run.session() == session
    assert [summary.session.title for summary in sessions.list(tags="a").items] == ["A talk"]
    assert [event.seq for event in session.events()] == list(range(1, session.tail()[-1].seq + 1))


def test_a_child_takes_a_blocking_handle_as_its_parent(sessions: SyncSessions) -> None:
    parent = sessions.create("echo")
    child = sessions.create("echo", parent=parent)
    assert [session.id for session in parent.tree()] == [parent.id, child.id]


def test_an_approval_is_given_while_another_thread_waits_for_the_result(sessions: SyncSessions) -> None:
    run = sessions.create("asks").run("production")
    said: list[str | None] = []
    waiting = threading.Thread(target=lambda: said.append(run.result(30).text))
    waiting.start()
    until(lambda: bool(sessions.approvals()))
    (approval,) = run.approvals(status="pending")
    assert approval.get().tool_name == "deploy"
    assert approval.approve(by="ann")[0].type == "tool_approval_granted"
    waiting.join()
    assert said == ["True by ann"]
    assert sessions.approvals() == []


def test_agents_can_be_added_while_it_is_open(sessions: SyncSessions) -> None:
    @sessions.agent("shout")
    def shout(message: str) -> str:
        return message.upper()

    assert sessions.create("shout").run("hello").result().text == "HELLO"


def test_an_agent_in_a_thread_may_use_the_store_that_runs_it(sessions: SyncSessions) -> None:
    @sessions.agent("parent")
    def parent(context: sessionry.AgentContext) -> str | None:
        child = sessions.create("echo", parent=context.session.id)
        return child.run("from the child").result(30).text

    family = sessions.create("parent")
    assert family.run("go").result(60).text == "you said from the child"
    assert len(family.tree()) == 2


def test_a_follower_that_leaves_early_leaves_nothing_behind(sessions: SyncSessions) -> None:
    session = sessions.create("echo")
    for event in session.events(follow=True):
        assert event.type == "session_created"
        break
    assert session.run("again").result()


def test_a_program_is_run_and_ended_from_its_loop(sessions: SyncSessions, tmp_path: Path) -> None:
    session = sessions.create("shell", cwd=tmp_path)
    result = session.run({"argv": [sys.executable, "-c", "print('hello')"]}).result(30)
    assert result.text is not None
    assert result.text.strip() == "hello"
    endless = session.run({"argv": [sys.executable, "-c", "import time; time.sleep(1000)"]})
    until(lambda: endless.get().status == "running")
    endless.cancel(reason="long enough")
    assert endless.result(30).status == "cancelled"


# --- errors ---


def test_errors_are_those_of_the_asynchronous_face(sessions: SyncSessions) -> None:
    with pytest.raises(NotFound) as missing:
        sessions.session("ses_nothing").get()
    assert missing.value.code == "session_not_found"
    with pytest.raises(InvalidInput):
        sessions.events(types="no_such_type")
    with pytest.raises(Timeout):
        sessions.create("asks").run("x").result(timeout=0.01)


async def test_it_is_refused_where_an_event_loop_runs() -> None:
    with (
        pytest.raises(Conflict, match=r"an event loop is running here.*async with sessionry.open\(\)"),
        sessionry.open_sync("memory://"),
    ):
        pass


def test_it_is_refused_after_it_was_left() -> None:
    with sessionry.open_sync("memory://") as sessions:
        session = sessions.create("shell")
    with pytest.raises(Conflict, match="this store is closed"):
        session.get()


def test_an_error_on_opening_is_raised(tmp_path: Path) -> None:
    with pytest.raises(sessionry.SessionryError), sessionry.open_sync(f"sqlite:///{tmp_path}"):
        pass


def test_ctrl_c_in_a_waiting_call_goes_on_as_keyboard_interrupt_and_leaves_cleanly(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sessionry\n"
        "with sessionry.open_sync(f'sqlite:///store.db') as sessions:\n"
        "    run = sessions.create('shell').run({'argv': ['sleep', '1000']})\n"
        "    for event in run.events():\n"
        "        print(event.type, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, program], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert any("run_started" in line for line in iter(process.stdout.readline, ""))
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert said.splitlines()[-1] == "KeyboardInterrupt"
    assert process.returncode == -signal.SIGINT


# --- handles ---


def test_handles_are_equal_by_kind_and_id(sessions: SyncSessions) -> None:
    session = sessions.create("echo")
    assert session == sessions.session(session.id)
    assert len({session, sessions.session(session.id)}) == 1
    assert sessions.run("x") != sessions.session("x")
    assert repr(sessions.run("x")) == "SyncRunHandle('x')"


def test_handles_go_through_a_pickle_while_their_store_is_open(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    with sessionry.open_sync(url) as sessions:
        session = sessions.create("shell")
        packed = pickle.dumps(session)
        again = pickle.loads(packed)
        assert again == session
        assert again.get().id == session.id
    del sessions, again
    with sessionry.open_sync(url):
        assert pickle.loads(packed).get().id == session.id


def test_a_handle_of_a_store_that_is_not_open_is_refused(tmp_path: Path) -> None:
    program = (
        "import pickle, sys\nfrom sessionry import SessionryError\n"
        "try:\n    pickle.loads(bytes.fromhex(sys.argv[1]))\n"
        "except SessionryError as error:\n    print(error.message)"
    )
    with sessionry.open_sync(f"sqlite:///{tmp_path}/store.db") as sessions:
        packed = pickle.dumps(sessions.create("shell"))
    done = subprocess.run([sys.executable, "-c", program, packed.hex()], capture_output=True, text=True, check=True)
    assert "is not open in this process" in done.stdout
