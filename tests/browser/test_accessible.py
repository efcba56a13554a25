"""Everybody can use the dashboard: by the rules of axe-core, in the dark, on a telephone, and without a mouse."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.agents.real.npm import installed

from .conftest import Site

pytestmark = [pytest.mark.slow, pytest.mark.asyncio]


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
async def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_screen(
    browser: Browser, site: Site, scheme: str, width: int
) -> None:
    axe = installed("axe").read_text()
    session, _ = site.run("asks", "prod", title="A title that is rather long, for a telephone at least", tags=["pr-42"])
    site.run("says", "done")
    context = await browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
        bypass_csp=True,  # for axe itself
    )
    page = await context.new_page()
    await page.goto(f"{site.url}/login?token={site.token}")
    for place, there in (
        ("fleet", ".question, td.title"),
        ("fleet?view=board", ".card"),
        (f"sessions/{session}", ".question.pending button"),
        (f"sessions/{session}/events", ".row"),
        ("approvals", ".question.current"),
        ("usage", ".plot canvas"),
        ("workers", "td"),
    ):
        await page.goto(f"{site.url}/#/{place}")
        await expect(page.locator(there).first).to_be_visible()
        await page.evaluate(axe)
        violations = await page.evaluate("axe.run().then(found => found.violations)")
        serious = [
            (each["id"], [node["html"][:200] for node in each["nodes"]])
            for each in violations
            if each["impact"] in ("serious", "critical")
        ]
        assert serious == [], f"{place} in the {scheme}"
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, place
    await context.close()


async def test_the_keys_reach_everything(browser: Browser, site: Site) -> None:
    site.run("asks", "one", title="First")
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    page = await context.new_page()
    await page.goto(f"{site.url}/login?token={site.token}")
    await expect(page.locator("td.title")).to_be_visible()
    await page.keyboard.press("i")
    await expect(page.locator(".question.current")).to_be_visible()
    await page.keyboard.press("d")
    await expect(page.locator("main")).to_contain_text("Nobody waits for you")
    await page.keyboard.press("g")
    await expect(page.locator("td.title")).to_be_visible()
    await page.keyboard.press("/")
    await page.keyboard.type("fir")
    await expect(page.locator("tbody tr")).to_have_count(1)
    assert "text=fir" in page.url
    await page.keyboard.press("Escape")
    await page.keyboard.press("n")
    assert await page.evaluate("document.activeElement.id") == "new-prompt"
    await context.close()
