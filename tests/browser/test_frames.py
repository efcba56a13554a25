"""Events in the browser beside what the agent's provider really sent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from sessionry.domain.scope import Scope
from sessionry.testing.fakellm import ModelServer

from .conftest import Person, Site, come, make_token, watched

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

KEY = "sk-ant-api03-abcdefghijklmnop_-qrst"
HOSTILE = "<img src=x onerror=\"document.title='taken'\">"
SAID = f"Look: {HOSTILE}, and the key {KEY}."
PROMPT = f"<<<SCRIPT {json.dumps([{'text': [SAID[:60], *SAID[60:]]}])} >>>"


@pytest.fixture
def site(tmp_path: Path, model_server: ModelServer) -> Iterator[Site]:
    """A server whose agent asks the scripted model."""
    site = Site(tmp_path)
    with (tmp_path / "agents.toml").open("a") as catalog:
        about = {"type": "openai", "model": "gpt-5", "base_url": f"{model_server.url}/v1", "api_key": "dummy"}
        catalog.write("\n".join(["[model]", *(f"{name} = {json.dumps(value)}" for name, value in about.items())]))
    site.start()
    yield site
    site.kill()


@pytest_asyncio.fixture(loop_scope="session")
async def somebody(site: Site) -> Person:
    return Person(site, await make_token(site.store, Scope("somebody")))


@pytest_asyncio.fixture(loop_scope="session")
async def tab(browser: Browser, somebody: Person) -> AsyncIterator[Page]:
    context = await come(browser, somebody)
    page = await context.new_page()
    faults, strangers = watched(page, somebody.url)
    yield page
    assert (faults, strangers) == ([], [])
    await context.close()


async def test_an_event_is_shown_beside_what_was_sent(tab: Page, somebody: Person) -> None:
    session, run = somebody.run("model", PROMPT, options={"keep_raw": True})
    somebody.ends(run)
    await tab.goto(f"{somebody.url}/#/sessions/{session}/events")
    await tab.locator(".event", has_text="message_streamed").first.click()
    readable, sent = tab.get_by_label("Readable"), tab.get_by_label("As it was sent")
    await expect(readable).to_contain_text("Look: ")
    await expect(sent).to_contain_text("openai chat")
    await expect(sent).to_contain_text('"object": "chat.completion.chunk"')
    await expect(sent).to_contain_text('"content": "Look: <img src=x onerror=')
    await expect(tab.get_by_label("Raw", exact=True)).to_contain_text('"type": "message_streamed"')
    left, right = await readable.bounding_box(), await sent.bounding_box()
    assert left
    assert right
    assert right["x"] >= left["x"] + left["width"], "side by side"
    assert await tab.title() != "taken"
    assert await tab.locator("img[src=x]").count() == 0
    await tab.set_viewport_size({"width": 390, "height": 800})
    left, right = await readable.bounding_box(), await sent.bounding_box()
    assert left
    assert right
    assert right["y"] >= left["y"] + left["height"], "one below the other"


async def test_a_secret_that_comes_token_by_token_is_on_neither_side(tab: Page, somebody: Person) -> None:
    session, run = somebody.run("model", PROMPT, options={"keep_raw": True})
    somebody.ends(run)
    await tab.goto(f"{somebody.url}/#/sessions/{session}/events")
    redacted = tab.locator(".event", has_text="[redacted:anthropic_key]").first
    await redacted.click()
    await expect(tab.get_by_label("Readable")).to_contain_text("[redacted:anthropic_key]")
    await tab.locator(".event", has_text="message_received").click()
    await expect(tab.get_by_label("As it was sent")).to_contain_text('"finish_reason": "stop"')
    await tab.goto(f"{somebody.url}/#/sessions/{session}/events?types=frame_received")
    await expect(tab.locator(".event").first).to_contain_text("frame_received")
    shown = somebody.get(f"/v1/sessions/{session}/events?types=frame_received&limit=1000")["items"]
    chunks = {each["data"]["number"]: each["data"]["frame"] for each in shown if each["data"].get("frame")}
    deltas = [
        chunk["choices"][0]["delta"]
        for _, chunk in sorted(chunks.items())
        if isinstance(chunk, dict) and chunk["choices"]
    ]
    assert "".join(delta.get("content") or "" for delta in deltas) == SAID.replace(KEY, "[redacted:anthropic_key]")


async def test_of_many_frames_the_last_are_shown(tab: Page, somebody: Person) -> None:
    calls = {"tools": [{"name": "none", "input": {"number": number}} for number in range(12)]}
    prompt = f"<<<SCRIPT {json.dumps([calls, {'text': 'done'}])} >>>"
    session, run = somebody.run("model", prompt, options={"keep_raw": True})
    somebody.ends(run)
    await tab.goto(f"{somebody.url}/#/sessions/{session}/events")
    await tab.locator(".event", has_text="tool_call_started").first.click()
    await expect(tab.get_by_label("As it was sent")).to_contain_text("The last 20 of ")
    await expect(tab.get_by_label("As it was sent").locator("pre")).to_have_count(20)


async def test_where_nothing_was_kept_it_says_how_to_keep_it(tab: Page, somebody: Person) -> None:
    session = somebody.done("model", PROMPT)
    await tab.goto(f"{somebody.url}/#/sessions/{session}/events")
    await tab.locator(".event", has_text="message_received").click()
    await expect(tab.get_by_label("As it was sent")).to_contain_text("--keep-raw")
    await tab.locator(".event", has_text="run_started").click()
    await expect(tab.get_by_label("As it was sent")).to_contain_text("a word of Sessionry")


async def test_the_composer_asks_for_it(tab: Page, somebody: Person) -> None:
    session = somebody.done("model", PROMPT)
    await tab.goto(f"{somebody.url}/#/sessions/{session}")
    await tab.get_by_text("Options", exact=True).click()
    await tab.get_by_label("Keep what is really sent").check()
    await tab.get_by_label("Message", exact=True).fill("hello")
    await tab.get_by_label("Message", exact=True).press("Enter")
    base = f"/v1/sessions/{session}/events"
    somebody.until(lambda: somebody.get(f"{base}?types=frame_received")["items"])
    somebody.until(lambda: len(somebody.get(f"{base}?types=run_completed")["items"]) == 2)
    await tab.get_by_role("link", name="Events").click()
    await expect(tab.locator(".event", has_text="run_completed")).to_have_count(2)
    await expect(tab.locator(".event", has_text="frame_received")).to_have_count(0)
