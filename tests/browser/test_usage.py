"""What was used, and who works."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from .conftest import Person

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


async def test_usage_is_plotted_by_day_and_narrowed_down_in_the_address(page: Page, person: Person) -> None:
    person.done("works", "x", title="Spender")
    person.done("works", "x")
    person.done("says", "x")
    await page.keyboard.press("u")
    await expect(page.locator(".totals")).to_contain_text("$0.0284")
    await expect(page.locator(".totals")).to_contain_text("41.6k")
    await expect(page.locator(".plot canvas")).to_have_count(3)
    label = await page.locator(".plot [role=img]").first.get_attribute("aria-label")
    assert "30 days" in str(label)
    assert "at most 41.6k, last 41.6k" in str(label)
    await expect(page.get_by_label("Usage by model").locator("tbody tr").first).to_contain_text("large-1")
    await expect(page.get_by_label("Usage by session").locator("tbody tr")).to_have_count(3)
    await page.get_by_role("button", name="says").click()
    await expect(page.locator(".totals")).to_contain_text("1")
    assert "agent=says" in page.url
    await expect(page.get_by_label("Usage by session").locator("tbody tr")).to_have_count(1)
    await page.go_back()
    await expect(page.get_by_label("Usage by session").locator("tbody tr")).to_have_count(3)
    await page.get_by_role("button", name="7 days").click()
    await expect(page.locator(".plot [role=img]").first).to_have_attribute("aria-label", str(label).replace("30", "7"))
    await page.get_by_label("Usage by session").get_by_role("link", name="Spender").click()
    await expect(page.locator("h1")).to_have_text("Spender")


async def test_nothing_used_is_said(page: Page) -> None:
    await page.keyboard.press("u")
    await expect(page.locator(".empty")).to_contain_text("Nothing was used in this time")


async def test_workers_and_what_waits_for_them(page: Page, person: Person) -> None:
    session, _ = person.run("counts", "to 3000", title="Busy")
    person.again(session, "to 2")
    await page.keyboard.press("w")
    await expect(page.locator(".worker.alive")).to_have_count(1)
    await expect(page.locator(".worker .taken").first).to_be_visible()
    rows = page.get_by_label("Table of unfinished runs").locator("tbody tr")
    await expect(rows).to_have_count(2)
    await expect(rows.nth(0)).to_contain_text("running")
    await expect(rows.nth(1)).to_contain_text("pending")
    await expect(page.locator(".worker .queue")).to_have_text("queue default")
    lost = person.again(person.session("says", title="Lost"), "x", queue="nobody")
    await expect(page.locator(".fault")).to_contain_text("No worker takes runs of says in the queue nobody")
    person.post(f"/v1/runs/{lost}/cancel")
    person.post(f"/v1/sessions/{session}/cancel")
    await expect(page.locator("main")).to_contain_text("Nothing waits and nothing works")
