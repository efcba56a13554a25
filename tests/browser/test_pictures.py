"""The pictures of the README are what a browser shows of real runs: `pytest tests/browser --renew-pictures` takes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from .conftest import Person, come

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
NAMES = ("dashboard.png", "dashboard-session.png", "dashboard-dark.png")


@pytest.mark.timeout(240)
async def test_the_pictures_of_the_readme_can_be_taken(
    browser: Browser, person: Person, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    folder = PICTURES if pytestconfig.getoption("--renew-pictures") else tmp_path
    for title in ("Write the release notes", "Translate the README into German", "Look into the slow login"):
        person.done("works", "All of it", title=title)
    person.done("fails", "The registry cannot be reached", title="Nightly bump of dependencies", tags=["nightly"])
    person.run("counts", "up to 3000", title="Index the documentation")
    queued, _ = person.run("counts", "up to 3000", title="Summarise last week's incidents", tags=["ops"])
    person.again(queued, "up to 3")
    person.run("asks", "production", title="Deploy 2.1 to production", tags=["release"])
    session = person.done("works", "Fix the failing test", title="Mend the failing greeting test", tags=["pr-42"])
    run = person.again(session, "Looks good. Now ship it.")
    person.waits(run)
    person.session("works", title="Try it with a default name", parent_session_id=session)
    for scheme, name, place, there in (
        ("light", NAMES[0], "fleet", ".tr.needs_you >> nth=1"),
        ("light", NAMES[1], f"sessions/{session}", ".question.pending button"),
        ("dark", NAMES[2], f"sessions/{session}/events?seq=12", ".side.raw"),
    ):
        context = await come(browser, person, viewport={"width": 1240, "height": 760}, color_scheme=scheme)
        page = await context.new_page()
        await page.goto(f"{person.url}/#/{place}")
        await expect(page.locator(there).first).to_be_visible()
        await expect(page.locator(".foot [role=status]")).to_have_text("Live")
        await page.screenshot(path=folder / name, animations="disabled")
        await context.close()
    for name in NAMES:
        assert (folder / name).stat().st_size > 20_000
        assert (PICTURES / name).is_file(), "take it with --renew-pictures"
