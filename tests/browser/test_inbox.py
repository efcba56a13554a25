"""The inbox of questions over all sessions, with the keyboard and from another tab."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from sessionry.domain.scope import Scope
from sessionry.domain.token import Permission

from .conftest import Person, come, make_token

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


async def test_an_approval_is_given_in_the_inbox_of_another_tab(
    page: Page, context: BrowserContext, person: Person
) -> None:
    session, _ = person.run("asks", "prod", title="Ship it")
    await page.locator(".table").get_by_text("Ship it").click()
    question = page.locator(".transcript .question")
    await expect(question).to_contain_text("deploy")
    await expect(question.get_by_role("button", name="Approve")).to_be_visible()
    await expect(page).to_have_title("(1) Ship it · Sessionry")
    inbox = await context.new_page()
    await inbox.goto(f"{person.url}/#/approvals")
    await expect(inbox.locator(".question.current")).to_contain_text("it is live")
    await inbox.keyboard.press("a")
    await expect(inbox.locator("main")).to_contain_text("Nobody waits for you")
    await expect(question).to_contain_text("Approved by somebody")
    await expect(page.locator(".item.message")).to_contain_text("deployed")
    await expect(page).to_have_title("Ship it · Sessionry")
    assert person.get("/v1/approvals?status=granted")["items"][0]["session_id"] == session


async def test_keys_move_answer_and_write_notes_and_what_was_decided_stays(page: Page, person: Person) -> None:
    for place in ("north", "south", "west"):
        _, run = person.run("asks", place, title=f"To the {place}")
        person.waits(run)
    await page.keyboard.press("i")
    current = page.locator(".question.current")
    await expect(page.locator(".inbox .question")).to_have_count(3)
    await expect(current).to_contain_text("north")
    await page.keyboard.press("j")
    await expect(current).to_contain_text("south")
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await expect(current).to_contain_text("west")
    await page.keyboard.press("k")
    await page.keyboard.press("n")
    await expect(current.get_by_role("textbox")).to_be_focused()
    await page.keyboard.type("not a day for that")
    await page.keyboard.press("Escape")
    await page.keyboard.press("d")
    await expect(page.locator(".inbox .question")).to_have_count(2)
    await expect(current).to_contain_text("west")
    await page.keyboard.press("a")
    await expect(current).to_contain_text("north")
    history = page.get_by_role("region", name="Decided approvals").locator("tbody tr")
    await expect(history).to_have_count(2)
    await expect(history.nth(0)).to_contain_text("granted")
    await expect(history.nth(1)).to_contain_text("not a day for that")
    await expect(history.nth(1)).to_contain_text("somebody")
    await page.get_by_label("Outcome").select_option("denied")
    await expect(history).to_have_count(1)
    assert "outcome=denied" in page.url


async def test_an_approval_is_denied_with_a_note_in_the_transcript(page: Page, person: Person) -> None:
    session, _ = person.run("asks", "prod")
    await page.goto(f"{person.url}/#/sessions/{session}")
    await page.get_by_label("Note for the agent").fill("not on a Friday")
    await page.get_by_role("button", name="Deny").click()
    await expect(page.locator(".transcript .question")).to_contain_text("not on a Friday")
    await expect(page.locator(".item.message")).to_contain_text("left alone")


async def test_who_may_only_look_is_told_so_and_sees_no_buttons(browser: Browser, person: Person) -> None:
    session, run = person.run("asks", "prod")
    person.waits(run)
    tenant = Scope(person.get("/v1/me")["tenant"])
    reader = Person(person.site, await make_token(person.site.store, tenant, Permission.READ))
    context = await come(browser, reader)
    page = await context.new_page()
    await page.goto(f"{person.url}/#/sessions/{session}")
    await expect(page.locator(".transcript .question")).to_contain_text("Your token may look, but not answer")
    await expect(page.locator(".composer.closed")).to_contain_text("may look, but not say anything")
    assert await page.locator(".actions, .start, .decide").count() == 0
    await page.goto(f"{person.url}/#/approvals")
    await expect(page.locator(".question.current")).to_be_visible()
    await page.keyboard.press("a")
    await expect(page.locator(".question.current")).to_be_visible()
    assert person.get(f"/v1/runs/{run}")["status"] == "waiting"
    await context.close()
