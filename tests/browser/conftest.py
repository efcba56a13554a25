"""A real browser without a window, before a real server in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

from tests.cli.program import SESSIONRY

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

AGENTS = """
from sessionry import AgentContext, agent
from sessionry.domain import events as ev
import asyncio


async def counts(context: AgentContext, message: str):
    for number in range(int(message.split()[-1])):
        yield f"number {number} "
        await asyncio.sleep(0.05)


async def asks(context: AgentContext, message: str):
    if await context.approve("deploy", {"to": message}, reason="it is live"):
        yield "deployed"
    else:
        yield "left alone"


async def says(context: AgentContext, message: str):
    yield ev.ReasoningReceived(text=message)
    yield ev.ToolCallStarted(tool_call_id="t", tool_name=message, tool_input={"x": message})
    yield ev.ToolCallCompleted(tool_call_id="t", tool_name=message, tool_output=message)
    yield ev.MessageReceived(text=message)


async def floods(context: AgentContext, message: str):
    for number in range(int(message)):
        yield ev.CustomRecorded(name="tick", value=number)
    yield ev.MessageReceived(text="all of them")
"""
CATALOG = "\n".join(
    f'[{name}]\ntype = "function"\nfunction = "browser_agents:{name}"\n'
    f'capabilities = ["streaming", "approvals", "tools", "reasoning"]\n'
    for name in ("counts", "asks", "says", "floods")
)


def _refused(said: ConsoleMessage) -> bool:
    """The browser kept a page from something; not what the sanitizer looks at in a document that does nothing."""
    return "Content Security Policy" in said.text and not said.location["url"].endswith("/vendor/purify.js")


class Site:
    """A server that can be killed and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.url = ""
        self.token = ""
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        words = [SESSIONRY, "--store", f"sqlite:///{self.folder}/site.db", "--json", "serve", "--port", str(self.port)]
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONPATH": str(self.folder)}
        env |= {"SESSIONRY_AGENTS": str(self.folder / "agents.toml")}
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, env=env, cwd=self.folder, text=True)
        assert self.process.stdout is not None
        told = json.loads(self.process.stdout.readline())
        self.url, self.token = told["url"], told["token"]
        self.port = int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

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

    def run(self, agent: str, input: Any, **fields: Any) -> tuple[str, str]:
        """A session with a run of that agent; their ids."""
        session = self.post("/v1/sessions", {"agent_id": agent, **fields})["id"]
        return session, self.post(f"/v1/sessions/{session}/runs", {"input": input})["id"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "browser_agents.py").write_text(AGENTS)
    (tmp_path / "agents.toml").write_text(CATALOG)
    site = Site(tmp_path)
    site.start()
    yield site
    site.kill()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture
async def context(browser: Browser, site: Site) -> AsyncIterator[BrowserContext]:
    """A person who has opened the printed address."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(15_000)
    page = await context.new_page()
    await page.goto(f"{site.url}/login?token={site.token}")
    await page.wait_for_selector("nav")
    assert "token" not in page.url
    await page.close()
    yield context
    await context.close()


@pytest.fixture
async def page(context: BrowserContext, site: Site) -> AsyncIterator[Page]:
    """A tab on the fleet. Nothing may go wrong in its scripts, and nothing may be asked of anybody else."""
    page = await context.new_page()
    faults: list[str] = []
    strangers: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if _refused(said) else None)
    page.on("request", lambda asked: None if asked.url.startswith((site.url, "data:")) else strangers.append(asked.url))
    await page.goto(f"{site.url}/")
    await page.wait_for_selector(".counts")
    yield page
    assert faults == []
    assert strangers == []
