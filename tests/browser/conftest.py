"""A real browser without a window, before a real server in a process of its own.

Browser and server serve many tests: each one has a tenant of its own, and sees nothing of the others.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright, expect

import sessionry
from sessionry.domain.scope import Scope
from sessionry.domain.token import Permission, new_secret, secret_hash
from sessionry.store.operations import tokens
from tests.cli.program import SESSIONRY
from tests.ports import lasting_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AGENTS = Path(__file__).parent / "agents.py"
CATALOG = "\n".join(
    f'[{name}]\ntype = "function"\nfunction = "browser_agents:{name}"\n'
    f'capabilities = ["streaming", "approvals", "tools", "reasoning", "steer"]\n'
    for name in ("counts", "asks", "says", "floods", "works", "silent", "fails", "listens", "talks")
)
#: Milliseconds after which a test gives up on a page, on a machine that has much else to do.
PATIENCE = 45_000
expect.set_options(timeout=PATIENCE)
_numbers = count(1)


def _refused(said: ConsoleMessage) -> bool:
    """The browser kept a page from something; not what the sanitizer looks at in a document that does nothing."""
    return "Content Security Policy" in said.text and not said.location["url"].endswith("/vendor/purify.js")


class Site:
    """A server that can be killed and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = f"sqlite:///{folder}/site.db"
        self.port = lasting_port()
        self.url = ""
        self.token = ""
        self.process: subprocess.Popen[str] | None = None
        shutil.copy(AGENTS, folder / "browser_agents.py")
        (folder / "agents.toml").write_text(CATALOG)

    def start(self) -> None:
        words = [SESSIONRY, "--store", self.store, "--json", "serve", "--port", str(self.port)]
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": f"{self.folder}:{Path(__file__).parents[2] / 'src'}",
        }
        env |= {"SESSIONRY_AGENTS": str(self.folder / "agents.toml"), "SESSIONRY_SLOTS": "40"}
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, env=env, cwd=self.folder, text=True)
        assert self.process.stdout is not None
        told = json.loads(self.process.stdout.readline())
        self.url, self.token = told["url"], told["token"]

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


class Person:
    """Somebody with a token, and what they do by themselves with the interface."""

    def __init__(self, site: Site, token: str) -> None:
        self.site = site
        self.token = token

    @property
    def url(self) -> str:
        return self.site.url

    def post(self, path: str, body: Any = None) -> Any:
        return self.call("POST", path, body)

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        with httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=60) as client:
            answer = client.request(method, path, json=body)
            answer.raise_for_status()
            return answer.json()

    def session(self, agent: str = "says", **fields: Any) -> str:
        id: str = self.post("/v1/sessions", {"agent_id": agent, **fields})["id"]
        return id

    def run(self, agent: str, input: Any, *, options: dict[str, Any] | None = None, **fields: Any) -> tuple[str, str]:
        """A session with a run of that agent; their ids."""
        session = self.session(agent, **fields)
        return session, self.again(session, input, **(options or {}))

    def again(self, session: str, input: Any, **options: Any) -> str:
        """Another run of the session."""
        id: str = self.post(f"/v1/sessions/{session}/runs", {"input": input, **options})["id"]
        return id

    def ends(self, run: str) -> None:
        """Wait for the end of the run."""
        self.until(lambda: self.get(f"/v1/runs/{run}")["ended_at"])

    def waits(self, run: str) -> None:
        """Wait until the run waits for somebody."""
        self.until(lambda: self.get(f"/v1/runs/{run}")["status"] == "waiting")

    def done(self, agent: str, input: Any, **fields: Any) -> str:
        """A session whose run has ended."""
        session, run = self.run(agent, input, **fields)
        self.ends(run)
        return session

    def until(self, condition: Callable[[], Any], seconds: float = 60.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (answer := condition()):
            assert time.monotonic() < deadline, "it has not come true in time"
            time.sleep(0.02)
        return answer


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server for many tests."""
    site = Site(tmp_path_factory.mktemp("site"))
    site.start()
    yield site
    site.kill()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server for one test, which may do anything to it."""
    site = Site(tmp_path)
    site.start()
    yield site
    site.kill()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


async def make_token(store: str, scope: Scope, *permissions: Permission) -> str:
    secret = new_secret()
    allowed = list(permissions or (Permission.ADMIN,))
    async with sessionry.open(store, worker=False) as sessions:
        await sessions.execute(tokens.create(scope, "somebody", allowed, secret_hash(secret)))
    return secret


@pytest_asyncio.fixture(loop_scope="session")
async def person(shared: Site) -> Person:
    """Somebody who is alone in a tenant."""
    return Person(shared, await make_token(shared.store, Scope(f"tenant-{next(_numbers)}")))


async def come(browser: Browser, person: Person, **options: Any) -> BrowserContext:
    """A browser whose person has opened the printed address."""
    context = await browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | options))
    context.set_default_timeout(PATIENCE)
    page = await context.new_page()
    await page.goto(f"{person.url}/login?token={person.token}")
    await page.wait_for_selector("nav")
    assert "token" not in page.url
    await page.close()
    return context


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser, person: Person) -> AsyncIterator[BrowserContext]:
    """The browser of the person."""
    context = await come(browser, person)
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext, person: Person) -> AsyncIterator[Page]:
    """A tab on the fleet. Nothing may go wrong in its scripts, and nothing may be asked of anybody else."""
    page = await context.new_page()
    faults, strangers = watched(page, person.url)
    await page.goto(f"{person.url}/")
    await page.wait_for_selector(".counts")
    yield page
    assert faults == []
    assert strangers == []


def watched(page: Page, url: str) -> tuple[list[str], list[str]]:
    """What goes wrong in the scripts of a page, and whom else it asks, from now on."""
    faults: list[str] = []
    strangers: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if _refused(said) else None)
    page.on(
        "request", lambda asked: None if asked.url.startswith((url, "data:", "blob:")) else strangers.append(asked.url)
    )
    return faults, strangers
