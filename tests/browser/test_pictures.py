"""The pictures of the README are what a browser shows of a real run: `pytest tests/browser --renew-pictures` takes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from .conftest import Site

pytestmark = [pytest.mark.slow, pytest.mark.asyncio]

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"


@pytest.mark.timeout(240)
async def test_the_pictures_of_the_readme_can_be_taken(
    page: Page, site: Site, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    folder = PICTURES if pytestconfig.getoption("--renew-pictures") else tmp_path
    await page.set_viewport_size({"width": 1200, "height": 720})
    for title, agent, words in (
        ("Summarise the release notes", "says", "All done: **three** changes, none of them breaking."),
        ("Count the files", "counts", "up to 400"),
        ("Ship version 2.1", "asks", "production"),
        ("Index the documentation", "counts", "up to 380"),
    ):
        site.run(agent, words, title=title, tags=["release"] if "ers" in title else [])
    session, _ = site.run("scripted", "Mend the failing test", title="Mend the failing test", tags=["pr-42"])
    await page.goto(f"{site.url}/#/sessions/{session}")
    await expect(page.locator(".question.pending")).to_be_visible()
    await page.screenshot(path=folder / "dashboard-session.png")
    await page.goto(f"{site.url}/#/fleet")
    await expect(page.locator("tr.needs-you")).to_have_count(2)
    await page.screenshot(path=folder / "dashboard.png")
    for name in ("dashboard.png", "dashboard-session.png"):
        assert (folder / name).stat().st_size > 20_000
        assert (PICTURES / name).is_file(), "take it with --renew-pictures"
