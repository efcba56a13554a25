"""The log in the browser: readable and raw, filtered, linked, as a picture and as a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from .conftest import Person

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


async def test_an_event_is_shown_readable_and_raw_side_by_side_at_an_address_of_its_own(
    page: Page, person: Person
) -> None:
    session = person.done("works", "Mend greet()")
    await page.goto(f"{person.url}/#/sessions/{session}")
    await page.get_by_role("link", name="Events").click()
    await page.locator(".event", has_text="message_received").first.click()
    readable, raw = page.get_by_label("Readable"), page.get_by_label("Raw", exact=True)
    await expect(readable.locator("strong")).to_have_text("failing test")
    await expect(raw).to_contain_text('"text": "I look for the **failing test** first')
    await page.reload()
    await expect(readable.locator("strong")).to_have_text("failing test")
    await expect(page.locator(".event.chosen")).to_contain_text("message_received")
    await page.keyboard.press("j")
    await expect(page.locator(".event.chosen")).to_contain_text("tool_call_started")
    await readable.get_by_role("link", name="In the transcript").click()
    await expect(page.locator(".here .tool")).to_be_in_viewport()
    await page.go_back()
    await expect(page.locator(".event.chosen")).to_contain_text("tool_call_started")


async def test_a_fork_has_what_it_goes_on_from_before_its_own_events(page: Page, person: Person) -> None:
    source = person.done("works", "Mend greet()", title="Trunk")
    fork = person.post(f"/v1/sessions/{source}/fork", {"title": "Branch"})["id"]
    known = person.get(f"/v1/sessions/{fork}/events?after=-1000&limit=1000&types=-frame_received")["items"]
    await page.goto(f"{person.url}/#/sessions/{fork}/events")
    events = page.locator(".event")
    await expect(events.last).to_contain_text("session_forked")
    await page.get_by_label("Go to event").fill("0")
    await page.keyboard.press("Enter")
    readable, raw = page.get_by_label("Readable"), page.get_by_label("Raw", exact=True)
    await expect(page.locator(".event.chosen")).to_contain_text("run_completed")
    await expect(raw).to_contain_text(f'"session_id": "{source}"')
    assert not await readable.get_by_role("button", name="Fork here").count(), "it is not of this log"
    await page.reload()
    await expect(page.locator(".event.chosen")).to_be_in_viewport()
    await page.locator(".rows").evaluate("element => element.scrollTo(0, 0)")
    await expect(events.first.locator(".seq")).to_have_text(str(known[0]["seq"]))
    await events.nth(2).click()
    await page.keyboard.press("j")
    await expect(page.locator(".event.chosen .seq")).to_have_text(str(known[3]["seq"]))
    await readable.get_by_role("link", name="In the transcript").click()
    await expect(page.get_by_role("log")).to_contain_text("Mend greet()")
    await page.go_back()
    await readable.locator("dl a").click()
    await expect(page.locator("h1")).to_have_text("Trunk")


@pytest.mark.parametrize("width", [1440, 1110, 390])
async def test_a_long_type_stays_in_one_line_beside_or_above_its_buttons(
    page: Page, person: Person, width: int
) -> None:
    session, run = person.run("asks", "the east")
    person.waits(run)
    events = person.get(f"/v1/sessions/{session}/events?types=tool_approval_requested")["items"]
    await page.set_viewport_size({"width": width, "height": 800})
    await page.goto(f"{person.url}/#/sessions/{session}/events?seq={events[0]['seq']}")
    heading = page.get_by_label("Readable").locator("h2")
    await expect(heading).to_contain_text("tool_approval_requested")
    for part in (
        heading.locator("> *").first,
        heading.get_by_text("In the transcript"),
        heading.get_by_text("Fork here"),
    ):
        lines = await part.evaluate(
            "element => { const range = document.createRange(); range.selectNodeContents(element);"
            " return new Set([...range.getClientRects()].map(one => Math.round(one.top))).size; }"
        )
        assert lines == 1
        inside = (
            "element => element.getBoundingClientRect().right <= element.closest('.side').getBoundingClientRect().right"
        )
        assert await part.evaluate(inside)
    await page.set_viewport_size({"width": 1280, "height": 800})


async def test_types_are_filtered_in_the_address(page: Page, person: Person) -> None:
    session = person.done("works", "x")
    await page.goto(f"{person.url}/#/sessions/{session}/events")
    await page.locator(".types summary").click()
    await page.locator(".types").get_by_label("tool_call_failed").check()
    await expect(page.locator(".event")).to_have_count(1)
    await page.locator(".types").get_by_label("tool_call_completed").check()
    await expect(page.locator(".event")).to_have_count(3)
    assert "types=tool_call_failed%2Ctool_call_completed" in page.url
    await page.reload()
    await expect(page.locator(".event")).to_have_count(3)
    person.again(session, "y")
    await expect(page.locator(".event")).to_have_count(6)  # what comes is filtered too
    await page.go_back()
    await expect(page.locator(".event")).to_have_count(2)


async def test_runs_tools_and_questions_are_a_picture_whose_bars_are_links(page: Page, person: Person) -> None:
    session, run = person.run("works", "ship it")
    person.waits(run)
    await page.goto(f"{person.url}/#/sessions/{session}/events")
    picture = page.locator(".timeline svg")
    await expect(picture.locator("rect.run")).to_have_count(1)
    await expect(picture.locator("rect.tool")).to_have_count(3)
    await expect(picture.locator("rect.tool.failed")).to_have_count(1)
    await expect(picture.locator("rect.asked.running")).to_have_count(1)
    assert "1 run and 3 tool calls" in str(await picture.get_attribute("aria-label"))
    await picture.locator("rect.tool.failed").dispatch_event("click")
    await expect(page.get_by_label("Readable")).to_contain_text("Read")
    (asked,) = person.get("/v1/approvals")["items"]
    person.post(f"/v1/approvals/{asked['id']}/approve")
    await expect(picture.locator("rect.asked.granted")).to_have_count(1)
    await expect(picture.locator("rect.run.completed")).to_have_count(1)


async def test_the_log_is_downloaded_as_lines_of_json(page: Page, person: Person, tmp_path: Path) -> None:
    session = person.done("talks", "1200")
    await page.goto(f"{person.url}/#/sessions/{session}/events")
    async with page.expect_download() as waiting:
        await page.get_by_role("button", name="Download").click()
    download = await waiting.value
    assert download.suggested_filename == f"{session}.ndjson"
    await download.save_as(tmp_path / "log")
    seqs = [json.loads(line)["seq"] for line in (tmp_path / "log").read_text().splitlines()]
    assert seqs == list(range(1, person.get(f"/v1/sessions/{session}/events?newest=true&limit=1")["cursor"] + 1))


@pytest.mark.timeout(300)
async def test_a_hundred_thousand_events_are_opened_at_once(page: Page, person: Person) -> None:
    session = person.session("floods")
    run = person.again(session, "100000")
    person.until(lambda: person.get(f"/v1/runs/{run}")["status"] == "completed", 240)
    await page.goto(f"{person.url}/#/sessions/{session}")
    await expect(page.locator(".message")).to_contain_text("all of them")
    await page.goto(f"{person.url}/#/sessions/{session}/events")
    rows, events = page.locator(".rows"), page.locator(".event")
    await expect(events.last).to_contain_text("run_completed")
    assert await page.evaluate("document.querySelectorAll('*').length") < 2_000, "only what is seen is drawn"
    first = int(await events.first.locator(".seq").inner_text())
    for _ in range(3):
        await rows.evaluate("element => element.scrollTo(0, 0)")
        await page.wait_for_function(
            "first => Number(document.querySelector('.event .seq')?.textContent) < first", arg=first
        )
        first = int(await events.first.locator(".seq").inner_text())
        assert await page.evaluate("document.querySelectorAll('*').length") < 2_000
    await page.get_by_label("Go to event").fill("50000")
    await page.keyboard.press("Enter")
    await expect(page.locator(".event.chosen")).to_contain_text("50000")
    await expect(page.get_by_label("Raw", exact=True)).to_contain_text('"seq": 50000')
    await page.reload()
    await expect(page.locator(".event.chosen")).to_be_in_viewport()
    await rows.evaluate("element => element.scrollTo(0, element.scrollHeight)")
    await page.wait_for_function(
        "() => Number([...document.querySelectorAll('.event .seq')].at(-1).textContent) > 50200"
    )
    await page.get_by_role("button", name="To the end").click()
    await expect(events.last).to_contain_text("run_completed")
    assert await page.evaluate("document.querySelectorAll('*').length") < 2_000
