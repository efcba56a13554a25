"""The fleet: what a person with many agents sees first, and does with several of them."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import Page, expect

import sessionry
from sessionry.domain.scope import Scope
from sessionry.domain.session import Session
from sessionry.store.operations import sessions as session_operations

from .conftest import Person

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


async def test_who_needs_a_person_comes_first_and_everything_is_counted(page: Page, person: Person) -> None:
    person.done("works", "x", title="Done")
    person.session(title="Fresh")
    ended = person.session(title="Over")
    person.post(f"/v1/sessions/{ended}/cancel")
    working, _ = person.run("counts", "to 2000", title="Counting")
    person.again(working, "to 2")
    person.run("asks", "prod", title="Ship it")
    await expect(page.locator(".table .group")).to_have_text(
        [
            re.compile("Needs you 1"),
            re.compile("Working 1"),
            re.compile("Idle 2"),
            re.compile("Ended 1"),
        ]
    )
    await expect(page.locator(".table .title a")).to_have_text(["Ship it", "Counting", "Fresh", "Done", "Over"])
    await expect(page.locator(".count.needs_you")).to_have_text("Needs you 1")
    await expect(page.locator(".count").first).to_have_text("All 5")
    await expect(page).to_have_title("(1) Sessions · Sessionry")
    assert "icon-waiting" in str(await page.locator("link[rel=icon]").get_attribute("href"))
    row = page.locator(".tr", has_text="Done")
    await expect(row.locator(".tokens")).to_have_text("20.8k")
    await expect(row.locator(".cost")).to_have_text("$0.0142")
    await expect(row.locator(".now")).to_have_text("Last run completed")
    await expect(page.locator(".tr", has_text="Ship it").locator(".now")).to_have_text("Asks for deploy it is live")
    await expect(page.locator(".tr", has_text="Counting").locator(".now")).to_have_text("1 run at work · 1 queued")
    await expect(page.get_by_role("navigation", name="Sessions at work").locator("a")).to_have_count(2)
    person.post(f"/v1/sessions/{working}/cancel")
    await expect(page.locator(".count.working")).to_have_text("Working 0")


async def test_a_run_that_says_nothing_is_marked(page: Page, person: Person) -> None:
    person.run("silent", "x", title="Quiet", options={"stall_after": 0.3, "on_stall": "tell"})
    await expect(page.locator(".tr", has_text="Quiet").locator(".now.bad")).to_contain_text("The agent has stalled")
    await expect(page.locator(".tr .dot.bad")).to_be_visible()


async def test_filters_search_and_view_are_in_the_address_and_the_back_button_undoes_them(
    page: Page, person: Person
) -> None:
    person.done("says", "x", title="First one", tags=["red"])
    person.done("fails", "x", title="Second one")
    paused = person.done("says", "x", title="Third")
    person.post(f"/v1/sessions/{paused}/pause")
    titles = page.locator(".table .title a")
    await expect(titles).to_have_count(3)
    await page.fill("#search", "ond")
    await expect(titles).to_have_text(["Second one"])
    assert "text=ond" in page.url
    await page.reload()
    await expect(titles).to_have_text(["Second one"])
    await page.get_by_role("button", name="Clear").click()
    await page.locator(".table .tag").click()
    await expect(titles).to_have_text(["First one"])
    assert "tag=red" in page.url
    await page.go_back()
    await expect(titles).to_have_count(3)
    await page.get_by_label("Status").select_option("paused")
    await expect(titles).to_have_text(["Third"])
    await page.get_by_label("Status").select_option("")
    await page.locator(".filters select").first.select_option("fails")
    await expect(titles).to_have_text(["Second one"])
    await page.goto(f"{person.url}/#/fleet?activity=idle&view=board")
    await expect(page.locator(".lane")).to_have_count(1)
    await page.get_by_role("button", name="All 3").click()
    await expect(page.locator(".lane")).to_have_count(5)
    await expect(page.locator(".lane", has_text="Idle").locator(".card")).to_have_count(3)
    await page.get_by_role("button", name="Table").click()
    await expect(titles).to_have_count(3)
    await page.fill("#search", "nothing like it")
    await expect(page.locator(".empty")).to_contain_text("No session is like that")


async def test_several_sessions_are_paused_tagged_cancelled_deleted_and_brought_back(
    page: Page, person: Person
) -> None:
    ids = [person.run("counts", "to 3000", title=f"Count {number}")[0] for number in range(3)]

    def statuses() -> set[str]:
        return {person.get(f"/v1/sessions/{id}?include_deleted=true")["status"] for id in ids}

    async def choose() -> None:
        await expect(page.locator(".table .title a")).to_have_count(3)
        await page.get_by_label("Choose all that are shown").check()
        await expect(page.locator(".bulk strong")).to_have_text("3 chosen")

    bulk = page.locator(".bulk")
    await choose()
    await bulk.get_by_role("button", name="Pause").click()
    await expect(page.locator(".notices")).to_contain_text("Paused 3 sessions.")
    assert statuses() == {"paused"}
    await choose()
    await bulk.get_by_role("button", name="Resume").click()
    await expect(page.locator(".notices")).to_contain_text("Resumed 3 sessions.")
    assert statuses() == {"active"}
    await choose()
    await bulk.get_by_placeholder("Tag").fill("later")
    await bulk.get_by_role("button", name="Add or remove").click()
    await expect(page.locator(".table .tag")).to_have_text(["later"] * 3)
    await choose()
    await bulk.get_by_role("button", name="Cancel").click()
    assert statuses() == {"active"}, "it asks first"
    await page.get_by_role("button", name="Cancel them").click()
    await expect(page.locator(".notices")).to_contain_text("Cancelled 3 sessions.")
    assert statuses() == {"cancelled"}
    await choose()
    await bulk.get_by_role("button", name="Delete").click()
    await expect(page.locator(".empty")).to_contain_text("No sessions yet")
    await page.get_by_role("button", name="Undo").last.click()
    await expect(page.locator(".table .title a")).to_have_count(3)


@pytest.mark.timeout(240)
async def test_ten_thousand_sessions_are_a_few_rows_and_every_one_is_reached(page: Page, person: Person) -> None:
    scope = Scope(person.get("/v1/me")["tenant"])
    async with sessionry.open(person.site.store, worker=False) as store:
        made = [Session.new(agent_id="says", title=f"Session number {number:05}") for number in range(10_000)]
        for begin in range(0, 10_000, 500):
            creating = [session_operations.create(scope, session) for session in made[begin : begin + 500]]
            await asyncio.gather(*map(store.execute, creating))
    await page.reload()
    await expect(page.locator(".count").first).to_have_text("All 10000")
    await expect(page.locator(".table .title a").first).to_have_text("Session number 09999")
    table = page.locator(".table")
    for _ in range(4):
        before = await table.evaluate(
            "element => { element.scrollTop = element.scrollHeight; return element.scrollHeight; }"
        )
        await page.wait_for_function("before => document.querySelector('.table').scrollHeight > before", arg=before)
        assert await page.locator(".tr").count() < 60
    assert await page.evaluate("document.querySelectorAll('*').length") < 2_000
    await page.fill("#search", "number 00001")
    await expect(page.locator(".table .title a")).to_have_text(["Session number 00001"])
    await page.goto(f"{person.url}/#/fleet?view=board")
    await expect(page.locator(".lane", has_text="Idle").locator(".card")).to_have_count(50)
    await page.get_by_role("button", name="Show more").click()
    await expect(page.locator(".lane", has_text="Idle").locator(".card")).to_have_count(150)


async def test_an_empty_fleet_says_how_to_begin(page: Page) -> None:
    await expect(page.locator(".empty")).to_contain_text("No sessions yet")
    await expect(page.locator(".empty")).to_contain_text("sessionry run")
