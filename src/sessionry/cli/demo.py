"""`sessionry demo`: the main job, live, with real processes, and proved at the end. It needs no key and no network.

    worker 1      runs a real test as a shell agent: it fails. An agent begins to mend it and is cut off in the middle of a
                  sentence: kill -9.
    worker 2      takes the run over at that very word. The agent asks before it writes: kill -9 again.
    nobody works  The question is still there, and another process answers it.
    worker 3      takes the answer up; the agent writes the file, and the same test passes.
    workers 4, 5  A real, small model answers; kill -9; it answers again, and knows what was said: where it is installed.

This process only submits, watches and compares. All of it is in a temporary folder, which is removed afterwards.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from shutil import which

from sessionry.agents.catalog import Catalog
from sessionry.cli.demo_chat import Chat
from sessionry.cli.demo_proof import Proof
from sessionry.cli.demo_screen import Screen
from sessionry.cli.output import Output
from sessionry.compose import open_sessions
from sessionry.domain import events as ev
from sessionry.domain.errors import SessionryError, Timeout
from sessionry.domain.events import Event
from sessionry.domain.lifecycle import RunStatus
from sessionry.runtime.handles import RunHandle
from sessionry.runtime.results import RunResult
from sessionry.runtime.sessions import Sessions
from sessionry.settings import Settings

#: Seconds after which something must have gone wrong.
PATIENCE = 180.0
#: How many pieces of the sentence are heard before the first kill.
PIECES = 3

GREETING = """\
def greet(name): return 'Hello, ' + name[0].upper() + name[1:]
"""
TESTS = """\
import unittest

from greeting import greet


class Greeting(unittest.TestCase):
    def test_name(self):
        self.assertEqual(greet("Ann"), "Hello, Ann")

    def test_small_letter(self):
        self.assertEqual(greet("ann"), "Hello, Ann")

    def test_two_words(self):
        self.assertEqual(greet("ann lee"), "Hello, Ann lee")

    def test_empty_name(self):
        self.assertEqual(greet(""), "Hello")
"""
UNITTEST = [sys.executable, "-m", "unittest"]
_AUTHOR = ("-c", "user.name=demo", "-c", "user.email=demo@example.org")
GIT = (
    ["git", "init", "-q"],
    ["git", "add", "greeting.py", "test_greeting.py"],
    ["git", *_AUTHOR, "-c", "commit.gpgsign=false", "commit", "-q", "--no-verify", "-m", "Greet everybody"],
    ["git", "log", "--oneline", "--stat"],
)

#: The last event of a log -> when its worker was killed.
_WHEN: Mapping[type[ev.EventData], str] = {
    ev.MessageStreamed: "in the middle of a sentence",
    ev.RunWaiting: "while the agent waits for an answer",
}

#: `sessionry`, but ended with its standard input: a killed demo leaves no worker behind.
PROGRAM = """\
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)), daemon=True).start()
from sessionry.cli import main
main()
"""


def run_demo(*, json: bool = False) -> int:
    """Show the main job and prove it; 0 only when all of it was verified. `json`: an object for each step."""
    screen = Screen(Output(json=json))
    with tempfile.TemporaryDirectory(prefix="sessionry-demo-") as folder:
        try:
            return asyncio.run(_bounded(screen, Path(folder)))
        except TimeoutError:
            raise Timeout(f"the demo could not be finished within {PATIENCE:g} seconds") from None


async def _bounded(screen: Screen, folder: Path) -> int:
    project = folder / "project"
    project.mkdir()
    (project / "greeting.py").write_text(GREETING, encoding="utf-8")
    (project / "test_greeting.py").write_text(TESTS, encoding="utf-8")
    settings = Settings(store=f"sqlite:///{folder / 'sessionry.db'}")
    opening = open_sessions(settings=settings, agents=Catalog(), worker=False)
    async with asyncio.timeout(PATIENCE), opening as sessions:
        return await _Story(sessions, _Terminal(settings.store, folder), project, screen).tell()


class _Terminal:
    """Calls the real program, with nobody's settings but the demo's."""

    def __init__(self, store: str, folder: Path) -> None:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("SESSIONRY_")}
        self._environment = ours | {"SESSIONRY_STORE": store, "XDG_CONFIG_HOME": str(folder / "config")}

    @contextmanager
    def worker(self) -> Iterator[int]:
        """`sessionry worker`, and its pid. On leaving it is killed with -9, and there is no more of it."""
        process = subprocess.Popen(  # noqa: S603  our own program
            [sys.executable, "-c", PROGRAM, "--quiet", "worker"],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()

    async def call(self, words: Sequence[str]) -> list[str]:
        """What `sessionry` with these words prints. Raises when it fails."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sessionry", *words),
            env=self._environment | {"COLUMNS": "100"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,  # it notes that nobody is there to take the answer up, which is the point here
        )
        said, noted = await process.communicate()
        if process.returncode != 0:
            problem = noted.decode(errors="replace").strip()
            raise SessionryError("internal_error", f"sessionry {words[0]} exited with {process.returncode}: {problem}")
        return said.decode().splitlines()


class _Story:
    """What happens, in this order, as this process sees it."""

    def __init__(self, sessions: Sessions, terminal: _Terminal, project: Path, screen: Screen) -> None:
        self._sessions = sessions
        self._terminal = terminal
        self._project = project
        self._screen = screen
        self._proof = Proof()
        self._cursor = 0

    async def tell(self) -> int:
        self._screen.begin(self._project.parent)
        self._session = await self._sessions.create("scripted", title="Mend greet()", cwd=self._project)
        with self._terminal.worker() as first:
            await self._test_fails(first)
            run = await self._agent_is_cut_off()
        await self._look_after_kill(first)
        with self._terminal.worker() as second:
            await self._other_worker_goes_on(second)
        await self._look_after_kill(second)
        await self._answer_is_given(run)
        with self._terminal.worker() as third:
            await self._run_completes(run, third)
            await self._test_passes()
            await self._keep_in_git()
        await self._session.complete()
        await Chat(self._sessions, self._terminal.worker, self._screen, self._proof).tell()
        return await self._show_what_was_proved()

    async def _test_fails(self, worker: int) -> None:
        self._screen.step("test", "A real program runs as an agent: the test of a small project", worker=worker)
        result = await self._run_tests()
        code = result.output.get("exit_code") if isinstance(result.output, dict) else None
        self._proof.check("the test failed before", result.status is RunStatus.FAILED and code == 1)

    async def _run_tests(self) -> RunResult:
        run = await self._session.run({"argv": UNITTEST}, agent="shell", timeout=60)
        await self._watch(_Ending(run))
        return await run.result()

    async def _agent_is_cut_off(self) -> RunHandle:
        self._screen.step("cut_off", "An agent mends it. (It plays a script, so it needs no key.)")
        run = await self._session.run("The test fails. Mend it.", timeout=60)
        await self._watch(_Piece(PIECES, after=ev.ToolCallFailed))
        return run

    async def _look_after_kill(self, worker: int) -> None:
        log = await self._log()
        self._proof.after_kill(log)
        self._screen.killed(worker, _WHEN.get(type(log[-1].data), f"after {log[-1].type}"), len(log))

    async def _other_worker_goes_on(self, worker: int) -> None:
        self._screen.step("taken_over", "Another worker finds the run and goes on at that very word", worker=worker)
        await self._watch(lambda event: isinstance(event.data, ev.RunWaiting))

    async def _answer_is_given(self, run: RunHandle) -> None:
        self._screen.step("answered", "Nobody works now, but the question is still there, and anybody may answer it")
        await self._type("approvals")
        waiting = await run.approvals(status="pending")
        self._proof.check("the question outlived the process that asked it", len(waiting) == 1)
        for approval in waiting:
            await self._type("approve", approval.id, "--by", "ann", "--note", "go ahead")

    async def _run_completes(self, run: RunHandle, worker: int) -> None:
        self._screen.step("completed", "A third worker takes the answer up", worker=worker)
        await self._watch(_Ending(run))
        attempt = (await run.get()).attempt
        self._proof.check(
            f"the run completed, in its attempt number {attempt}", bool(await run.result()) and attempt == 3
        )

    async def _test_passes(self) -> None:
        self._screen.step("test_again", "The same test, on the file that the agent wrote")
        self._proof.check("the test passes now", bool(await self._run_tests()))

    async def _keep_in_git(self) -> None:
        if which("git") is None:
            self._screen.step("git_left_out", "There is no git on this machine, so the work is not committed")
            return
        self._screen.step("git", "The work is committed: four runs in the queue of another session, one after another")
        session = await self._sessions.create("shell", title="Commit the work", cwd=self._project)
        runs = [await session.run({"argv": argv}, timeout=60) for argv in GIT]
        results = [await run.result() for run in runs]
        for argv, result in zip(GIT, results, strict=True):
            said = result.error.message if result.error else result.text or ""
            self._screen.command(shlex.join(argv), said.splitlines())
        await session.complete()
        self._proof.check("git has what the agent wrote", all(results) and "greeting.py" in (results[-1].text or ""))

    async def _show_what_was_proved(self) -> int:
        self._screen.step("list", "What there is now")
        await self._type("ls")
        self._proof.of_log(await self._log())
        self._screen.proof(self._proof)
        return 0 if self._proof.holds else 1

    # --- looking and typing ---

    async def _watch(self, until: Callable[[Event], bool]) -> None:
        """Show the session's events as they come, up to the one that was waited for."""
        async with aclosing(self._session.events(after=self._cursor, follow=True)) as events:
            async for event in events:
                self._cursor = event.seq
                self._proof.saw(event)
                self._screen.event(event)
                if until(event):
                    return

    async def _type(self, *words: str) -> None:
        self._screen.command(shlex.join(["sessionry", *words]), await self._terminal.call(words))

    async def _log(self) -> Sequence[Event]:
        return [event async for event in self._session.events()]


class _Ending:
    """True for the event that ends the run."""

    def __init__(self, run: RunHandle) -> None:
        self._run = run

    def __call__(self, event: Event) -> bool:
        return event.run_id == self._run.id and isinstance(event.data, ev.RUN_ENDINGS)


class _Piece:
    """True for the `number`th streamed piece of a message that comes after an event of the type `after`."""

    def __init__(self, number: int, after: type[ev.EventData]) -> None:
        self._left = number
        self._after = after
        self._begun = False

    def __call__(self, event: Event) -> bool:
        self._begun = self._begun or isinstance(event.data, self._after)
        self._left -= self._begun and isinstance(event.data, ev.MessageStreamed)
        return self._left == 0
