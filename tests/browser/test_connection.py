"""Servers that die and come back, many tabs at once, and tokens that are good no more."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route, expect

from .conftest import Person, Site, come, watched

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


async def test_a_server_that_is_killed_comes_back_and_everything_goes_on(browser: Browser, site: Site) -> None:
    person = Person(site, site.token)
    context = await come(browser, person)
    page = await context.new_page()
    faults, _ = watched(page, site.url)
    session, run = person.run("counts", "to 4000")
    await page.goto(f"{site.url}/#/sessions/{session}")
    await expect(page.get_by_role("log")).to_contain_text("number 3 ")
    site.kill()
    await expect(page.locator(".lost[role=alert]")).to_be_visible()
    await page.fill("#message", "to 3")
    await page.get_by_role("button", name="Queue").click()
    await expect(page.locator(".notice.bad")).to_contain_text("cannot be reached")
    await expect(page.locator("#message")).to_have_value("to 3")
    site.start()
    await expect(page.locator(".lost[role=alert]")).to_have_count(0)
    await expect(page.locator(".item.end")).to_contain_text("failed")
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator(".item.end")).to_have_count(2)
    await expect(page.locator(".item.end").last).to_contain_text("completed")
    assert person.get(f"/v1/runs/{run}")["error"]["code"] == "worker_lost"
    assert faults == []
    await context.close()


async def test_eight_tabs_are_live_although_a_browser_has_six_connections(
    page: Page, context: BrowserContext, person: Person
) -> None:
    tabs = [page, *[await context.new_page() for _ in range(7)]]
    for tab in tabs[1:]:
        await tab.goto(f"{person.url}/#/fleet")
        await expect(tab.locator(".foot [role=status]")).to_have_text("Live")
    person.run("asks", "prod", title="Ship it")
    for tab in tabs:
        await expect(tab).to_have_title("(1) Sessions · Sessionry")
    await page.close()
    (asked,) = person.get("/v1/approvals")["items"]
    person.post(f"/v1/approvals/{asked['id']}/deny")
    for tab in tabs[1:]:
        await expect(tab).to_have_title("Sessions · Sessionry")  # another tab watches now


async def test_nothing_is_missed_between_two_tabs_that_watch(
    page: Page, context: BrowserContext, person: Person
) -> None:
    second = await context.new_page()
    asking, may_ask = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        asking.set()
        await may_ask.wait()
        await route.continue_()

    await second.route("**/v1/events?*", hold)
    await second.goto(f"{person.url}/#/fleet")
    person.run("asks", "prod", title="Ship it")
    await expect(second).to_have_title("(1) Sessions · Sessionry")
    await page.close()
    await asyncio.wait_for(asking.wait(), 45)
    (asked,) = person.get("/v1/approvals")["items"]
    person.post(f"/v1/approvals/{asked['id']}/deny")
    may_ask.set()
    await expect(second).to_have_title("Sessions · Sessionry")


async def test_without_a_token_there_is_nothing_but_a_door(context: BrowserContext, person: Person) -> None:
    await context.clear_cookies()
    page = await context.new_page()
    await page.goto(person.url)
    await expect(page.locator(".signin")).to_be_visible()
    await page.fill("input[name=token]", person.token)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator(".counts")).to_be_visible()
    assert person.token not in page.url


async def test_a_token_that_is_revoked_ends_at_the_door(page: Page, person: Person) -> None:
    await expect(page.locator(".foot [role=status]")).to_have_text("Live")
    (token,) = person.get("/v1/tokens")["items"]
    person.call("DELETE", f"/v1/tokens/{token['id']}")
    await expect(page.locator(".signin")).to_be_visible()


async def test_a_worker_is_drained(browser: Browser, site: Site) -> None:
    context = await come(browser, Person(site, site.token))
    page = await context.new_page()
    await page.goto(f"{site.url}/#/workers")
    await page.get_by_role("button", name="Drain").click()
    await expect(page.locator(".worker .status")).to_have_text("draining")
    await context.close()
