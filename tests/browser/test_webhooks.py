"""Webhooks: made, looked at and removed in the browser."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from .conftest import Person

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


async def test_a_webhook_is_made_its_secret_shown_once_and_what_it_did_not_take_is_told(
    page: Page, person: Person
) -> None:
    await page.get_by_role("link", name="Webhooks").click()
    await expect(page.locator(".empty")).to_contain_text("Nobody is told")
    await page.get_by_label("Address").fill("https://hook.invalid/told")
    await page.get_by_role("button", name="Add").click()
    dialog = page.get_by_role("dialog", name="Secret")
    await expect(dialog.locator(".output")).to_contain_text("whsec_")
    await dialog.get_by_role("button", name="I have it").click()
    hook = page.locator(".hook")
    await expect(hook).to_contain_text("https://hook.invalid/told")
    await expect(hook.locator(".tag")).to_have_text(["person_needed", "run_failed"])
    person.done("fails", "no way")
    await expect(hook).to_contain_text("1 notice to be tried")
    await hook.locator("summary").click()
    await expect(hook.get_by_role("region", name="Notices")).to_contain_text("run_failed")
    await hook.get_by_role("button", name="Disable").click()
    await expect(hook.locator(".status").first).to_have_text("disabled")
    await hook.get_by_role("button", name="Remove").click()
    await expect(page.locator(".empty")).to_contain_text("Nobody is told")
    assert person.get("/v1/webhooks")["items"] == []
