"""What a person does with the dashboard, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import BrowserContext, Page, expect

from .conftest import Site

pytestmark = [pytest.mark.slow, pytest.mark.asyncio]


async def test_a_run_is_begun_watched_and_reloaded_in_the_middle(page: Page) -> None:
    await page.fill("#new-prompt", "count to 60")
    await page.select_option("form.composer select", "counts")
    await page.click("text=Begin")
    log = page.get_by_role("log")
    await expect(log).to_contain_text("number 5 ")
    await page.reload()
    await expect(log).to_contain_text("number 12 ")
    assert "completed" not in await log.inner_text()
    await expect(page.locator(".item.end")).to_contain_text("completed")
    text = " ".join(re.findall(r"number \d+", await log.inner_text()))
    assert text == " ".join(f"number {number}" for number in range(60))


async def test_an_approval_is_answered_in_the_inbox_of_another_tab(
    page: Page, context: BrowserContext, site: Site
) -> None:
    session, _ = site.run("asks", "prod", title="Ship it")
    await page.click("text=Ship it")
    question = page.locator(".question")
    await expect(question).to_contain_text("deploy")
    await expect(question.get_by_role("button", name="Approve")).to_be_visible()
    await expect(page).to_have_title("(1) Sessionry")
    inbox = await context.new_page()
    await inbox.goto(f"{site.url}/#/approvals")
    await expect(inbox.locator(".question.current")).to_contain_text("it is live")
    await inbox.keyboard.press("a")
    await expect(inbox.locator("main")).to_contain_text("Nobody waits for you")
    await expect(question).to_contain_text("granted by this machine")
    await expect(page.locator(".item.message")).to_contain_text("deployed")
    await expect(page).to_have_title("Sessionry")
    assert site.get("/v1/approvals?status=granted")["items"][0]["session_id"] == session


async def test_an_approval_is_denied_with_a_note_in_the_transcript(page: Page, site: Site) -> None:
    session, _ = site.run("asks", "prod")
    await page.goto(f"{site.url}/#/sessions/{session}")
    await page.get_by_placeholder("note (optional)").fill("not on a Friday")
    await page.get_by_role("button", name="Deny").click()
    await expect(page.locator(".question")).to_contain_text("not on a Friday")
    await expect(page.locator(".item.message")).to_contain_text("left alone")


async def test_a_run_is_stopped(page: Page, site: Site) -> None:
    session, run = site.run("counts", "to 1000")
    await page.goto(f"{site.url}/#/sessions/{session}")
    await expect(page.get_by_role("log")).to_contain_text("number 2 ")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator(".item.end")).to_contain_text("cancelled")
    assert site.get(f"/v1/runs/{run}")["status"] == "cancelled"


EVIL = [
    "<script>document.title='pwned'</script>",
    "<img src=x onerror=\"document.title='pwned'\">",
    "[click](javascript:document.title='pwned')",
    "<a href=\"javascript:document.title='pwned'\">x</a><svg onload=\"document.title='pwned'\"></svg>",
    "<style>body{display:none}</style><form action=/login><input name=token></form>",
    "\x1b]0;pwned\x07\x1b[31mred",
]


@pytest.mark.parametrize("evil", EVIL)
async def test_what_others_write_stays_text(page: Page, site: Site, evil: str) -> None:
    """In the prompt, the title, a tag, thoughts, a tool's name, input and output, and the answer."""
    tag = evil.replace("\x1b", "").replace("\x07", "")[:60]
    session, _ = site.run("says", evil, title=tag, tags=[tag], metadata={"x": evil})
    await expect(page.locator("td.title")).to_contain_text(tag[:10])
    await page.goto(f"{site.url}/#/sessions/{session}")
    await expect(page.locator(".item.end")).to_be_visible()
    for summary in await page.locator("details > summary").all():
        await summary.click()
    await page.goto(f"{site.url}/#/sessions/{session}/events")
    await expect(page.locator(".row").first).to_be_visible()
    await page.goto(f"{site.url}/#/sessions/{session}")
    await expect(page.locator(".item.end")).to_be_visible()
    assert await page.title() == "Sessionry"
    found = await page.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => ['SCRIPT','IMG','SVG','STYLE','FORM'].includes(e.tagName)"
        " && !e.classList.contains('composer') && !e.classList.contains('timeline')"
        " || [...e.attributes].some(a => a.name.startsWith('on') || /javascript:/i.test(a.value))).length"
    )
    assert found == 0
    await expect(page.locator("body")).to_be_visible()


async def test_a_server_that_is_killed_comes_back_and_everything_goes_on(page: Page, site: Site) -> None:
    session, run = site.run("counts", "to 40")
    await page.goto(f"{site.url}/#/sessions/{session}")
    await expect(page.get_by_role("log")).to_contain_text("number 3 ")
    site.kill()
    await expect(page.locator(".live.lost")).to_be_visible()
    site.start()
    await expect(page.locator(".live.lost")).to_have_count(0)
    await expect(page.locator(".item.end")).to_contain_text("failed")
    await page.fill("#message", "to 3")
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator(".item.end")).to_have_count(2)
    await expect(page.locator(".item.end").last).to_contain_text("completed")
    assert site.get(f"/v1/runs/{run}")["error"]["code"] == "worker_lost"


@pytest.mark.timeout(300)
async def test_a_hundred_thousand_events_are_opened_at_once(page: Page, site: Site) -> None:
    session, run = site.run("floods", "100000")
    while site.get(f"/v1/runs/{run}")["status"] != "completed":
        pass
    await page.goto(f"{site.url}/#/sessions/{session}")
    await expect(page.locator(".item.message")).to_contain_text("all of them")
    await page.goto(f"{site.url}/#/sessions/{session}/events")
    await expect(page.locator(".row").last).to_contain_text("run_completed")
    assert await page.locator(".row").count() < 200, "only what is seen is drawn"
    rows = page.locator(".rows")
    await rows.evaluate("element => { element.scrollTop = 0; }")
    await expect(page.locator(".filters select")).to_contain_text("all 2000 events")
    assert await page.locator(".row").count() < 200
    await page.goto(f"{site.url}/#/sessions/{session}/events?seq=50000")
    await page.reload()
    await expect(page.locator(".row.chosen")).to_contain_text("50000")
    await expect(page.locator(".raw")).to_contain_text('"seq": 50000')


async def test_filters_are_in_the_address(page: Page, site: Site) -> None:
    site.run("says", "x", title="First one", tags=["red"])
    site.run("says", "x", title="Second one")
    await expect(page.locator("tbody tr")).to_have_count(2)
    await page.fill("#search", "second")
    await expect(page.locator("tbody tr")).to_have_count(1)
    assert "text=second" in page.url
    await page.reload()
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.fill("#search", "")
    await page.locator(".tag").click()
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(page.locator("td.title")).to_contain_text("First one")
    await page.get_by_role("button", name="Board").click()
    await expect(page.locator(".lane")).to_have_count(5)


async def test_several_sessions_are_cancelled_at_once(page: Page, site: Site) -> None:
    sessions = [site.run("counts", "to 1000")[0] for _ in range(3)]
    await expect(page.locator("tbody tr")).to_have_count(3)
    for box in await page.locator("tbody input[type=checkbox]").all():
        await box.check()
    await page.locator(".bulk").get_by_role("button", name="Cancel").click()
    await expect(page.locator(".notices")).to_contain_text("3 of 3")
    assert {site.get(f"/v1/sessions/{id}")["status"] for id in sessions} == {"cancelled"}


async def test_the_palette_finds_a_session_without_the_mouse(page: Page, site: Site) -> None:
    session, _ = site.run("says", "x", title="Needle in the haystack")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("needle")
    await expect(page.locator(".palette li").last).to_contain_text("Needle")
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_contain_text("Needle")
    assert session in page.url


async def test_without_a_token_there_is_nothing_but_a_door(context: BrowserContext, site: Site) -> None:
    await context.clear_cookies()
    page = await context.new_page()
    await page.goto(site.url)
    await expect(page.locator(".signin")).to_be_visible()
    await page.fill("input[name=token]", site.token)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator(".counts")).to_be_visible()
    assert site.token not in page.url
