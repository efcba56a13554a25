"""What others write stays text, wherever it is shown."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from .conftest import Person

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

EVIL = [
    "<script>document.title='pwned'</script>",
    "<img src=x onerror=\"document.title='pwned'\">",
    "[click](javascript:document.title='pwned') <a href=\" javascript:document.title='pwned'\">x</a>",
    "<svg onload=\"document.title='pwned'\"><a xlink:href=\"javascript:alert(1)\">y</a></svg><math><mi//href='data:x'>",
    "<style>body{display:none}</style><form action=/login><input name=token></form><iframe srcdoc='<script>1</script>'>",
    "\x1b]0;pwned\x07\x1b[31mred\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07 ![i](https://example.com/x.png)",
]


@pytest.mark.parametrize("evil", EVIL)
async def test_what_others_write_stays_text(page: Page, person: Person, evil: str) -> None:
    """In the prompt, the title, a tag, metadata, thoughts, the plan, a tool's name, input, output and fault, the answer, a
    question and its note, and the list of what was used."""
    tag = evil.replace("\x1b", "").replace("\x07", "")[:60].strip()
    session = person.done("says", evil, title=tag, tags=[tag], metadata={"x": evil, tag: 1})
    person.run("asks", evil, title=tag)
    places = [
        "fleet",
        "fleet?view=board",
        f"fleet?tag={'%3Cimg%20src=x%20onerror=alert(1)%3E'}",
        f"sessions/{session}",
        f"sessions/{session}/events",
        f"sessions/{session}/events?seq=4",
        f"sessions/{session}/events?seq=6",
        f"sessions/{session}/events?seq=9",
        "approvals",
        "usage",
        "workers",
        f"sessions/{'%3Cimg%20src=x%3E'}",
    ]
    for place in places:
        await page.goto(f"{person.url}/#/{place}")
        await expect(page.locator("main > *").first).to_be_visible()
        await expect(page.locator(".loading")).to_have_count(0)
        for summary in await page.locator("main details > summary").all():
            await summary.dispatch_event("click")
        assert "pwned" not in (await page.title()).removesuffix("Sessionry").replace(tag, "")
        found = await page.evaluate(ACTING)
        assert found == [], place
        await expect(page.locator("body")).to_be_visible()
    await page.keyboard.press("Control+k")
    assert await page.evaluate(ACTING) == []


#: What acts, or comes from elsewhere, and is not ours.
ACTING = """[...document.querySelectorAll('body *')].filter(element =>
    (['SCRIPT', 'IMG', 'STYLE', 'FORM', 'IFRAME', 'MATH', 'svg', 'OBJECT', 'INPUT'].includes(element.tagName)
        && element.closest('.markdown, .output, .words, .diff'))
    || (element.tagName === 'SCRIPT' || element.tagName === 'IFRAME' || element.tagName === 'STYLE')
    || (element.tagName === 'IMG' && !element.src.endsWith('/static/icon.svg'))
    || [...element.attributes].some(attribute =>
        attribute.name.startsWith('on')
        || (/^\\s*javascript:/i.test(attribute.value) && ['href', 'src', 'action'].includes(attribute.name)))
).map(element => element.outerHTML.slice(0, 200))"""
