"""Everybody can use the dashboard: by the rules of axe-core, in the dark, on a telephone, and without a mouse."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page, expect

from tests.agents.real.npm import installed

from .conftest import Person, come

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
async def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_screen(
    browser: Browser, person: Person, scheme: str, width: int
) -> None:
    axe = installed("axe").read_text()
    title = "A title that is rather long, for a telephone at least"
    session, run = person.run("works", "ship it", title=title, tags=["pr-42"])
    person.waits(run)
    asked, _ = person.run("asks", "prod", title="Ship it")
    person.run("counts", "to 3000", title="Counting")
    person.done("fails", "no way")
    person.session("says", parent_session_id=session, title="Child")
    _, decided = person.run("asks", "dev")
    mine = person.until(lambda: [one for one in person.get("/v1/approvals")["items"] if one["run_id"] == decided])
    person.post(f"/v1/approvals/{mine[0]['id']}/deny", {"note": "no"})
    context = await come(
        browser,
        person,
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
        bypass_csp=True,  # for axe itself
    )
    page = await context.new_page()
    for place, there in (
        ("fleet", ".table .title a"),
        ("fleet?view=board", ".card"),
        ("fleet?text=nothing", ".empty"),
        (f"sessions/{session}", ".question.pending button"),
        (f"sessions/{asked}/events?seq=3", ".side.raw"),
        ("approvals", ".question.current"),
        ("usage", ".plot canvas"),
        ("workers", ".worker"),
        ("webhooks", ".empty"),
    ):
        await page.goto(f"{person.url}/#/{place}")
        await expect(page.locator(there).first).to_be_visible()
        for summary in await page.locator("main details.item > summary, main details.options > summary").all():
            await summary.dispatch_event("click")
        await check(page, axe, f"{place} in the {scheme}")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, place
    for key, box in (("Control+k", "Commands"), ("?", "Keys")):
        await page.keyboard.press(key)
        await expect(page.get_by_role("dialog", name=box)).to_be_visible()
        await check(page, axe, f"{box} in the {scheme}")
        await page.keyboard.press("Escape")
    await context.close()


async def check(page: Page, axe: str, where: str) -> None:
    await page.evaluate(axe)
    violations = await page.evaluate("axe.run().then(found => found.violations)")
    serious = [
        (each["id"], [(node["html"][:200], node["failureSummary"][:200]) for node in each["nodes"]])
        for each in violations
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == [], where


async def test_the_keys_reach_everything(page: Page, person: Person) -> None:
    person.run("asks", "one", title="First")
    person.done("says", "x", title="Second")
    await expect(page.locator(".table .title a")).to_have_count(2)
    await page.keyboard.press("j")
    await page.keyboard.press("x")
    await expect(page.locator(".bulk strong")).to_have_text("1 chosen")
    await page.keyboard.press("x")
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_contain_text("First")
    await page.keyboard.press("g")
    await expect(page.locator("h1")).to_have_text("Sessions")
    await page.keyboard.press("]")
    await expect(page.locator("h1")).to_contain_text("First")
    await page.keyboard.press("i")
    await expect(page.locator(".question.current")).to_be_visible()
    await page.keyboard.press("d")
    await expect(page.locator("main")).to_contain_text("Nobody waits for you")
    await page.keyboard.press("/")
    await expect(page.locator("#search")).to_be_focused()
    await page.keyboard.type("sec")
    await expect(page.locator(".table .title a")).to_have_text(["Second"])
    await page.keyboard.press("Escape")
    await page.keyboard.press("n")
    await expect(page.locator("#new-prompt")).to_be_focused()
    await page.keyboard.press("Escape")
    for key, heading in (("u", "Usage"), ("w", "Workers"), ("g", "Sessions")):
        await page.keyboard.press(key)
        await expect(page.locator("h1")).to_have_text(heading)
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_contain_text("steer the run at work")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_the_palette_finds_sessions_and_commands_without_the_mouse(page: Page, person: Person) -> None:
    session = person.done("says", "x", title="Needle in the haystack")
    options = page.locator(".palette [role=option]")
    await page.keyboard.press("Control+k")
    await expect(options.first).to_be_visible()
    await page.keyboard.type("needle")
    await expect(options).to_have_text(["Needle in the haystackIdle"])
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_contain_text("Needle")
    assert session in page.url
    await page.keyboard.press("Control+k")
    await expect(options.first).to_be_visible()
    await page.keyboard.type("usage")
    await expect(options.first).to_contain_text("sage")
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("Usage")


async def test_light_and_dark_are_as_the_system_says_until_somebody_chooses(browser: Browser, person: Person) -> None:
    context = await come(browser, person, color_scheme="dark")
    page = await context.new_page()
    await page.goto(person.url)
    ground = "getComputedStyle(document.body).backgroundColor"
    await expect(page.locator(".counts")).to_be_visible()
    dark = await page.evaluate(ground)
    await page.keyboard.press("t")
    await expect(page.locator("html")).to_have_attribute("data-theme", "light")
    light = await page.evaluate(ground)
    assert light != dark
    await page.reload()
    await expect(page.locator(".counts")).to_be_visible()
    assert await page.evaluate(ground) == light
    await page.keyboard.press("t")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert await page.evaluate(ground) == dark
    await context.close()
