"""One session: said in the composer, watched as it grows, stopped, and read again."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import Page, expect

from .conftest import Person

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


async def test_a_run_is_begun_watched_and_reloaded_in_the_middle(page: Page) -> None:
    await page.fill("#new-prompt", "count to 240")
    await page.locator("form.start select").select_option("counts")
    await page.get_by_role("button", name="Start").click()
    log = page.get_by_role("log")
    await expect(log).to_contain_text("number 5 ")
    await page.reload()
    await expect(log).to_contain_text("number 12 ")
    assert "completed" not in await log.inner_text()
    await expect(page.locator(".item.end")).to_contain_text("completed")
    text = " ".join(re.findall(r"number \d+", await log.inner_text()))
    assert text == " ".join(f"number {number}" for number in range(240))
    await page.reload()
    await expect(page.locator(".item.end")).to_contain_text("completed")
    assert " ".join(re.findall(r"number \d+", await log.inner_text())) == text


async def test_tools_are_cards_with_input_output_colours_duration_and_diff(page: Page, person: Person) -> None:
    session = person.done("works", "Mend greet()")
    await page.goto(f"{person.url}/#/sessions/{session}")
    bash = page.locator(".tool", has_text="Bash")
    await expect(bash.locator("summary")).to_contain_text("pytest -q")
    await expect(bash.locator(".took")).to_have_text(re.compile(r"^\d+ ms$|^\d+\.\d s$"))
    assert not await bash.locator(".inside").count(), "it is folded"
    await bash.locator("summary").click()
    await expect(bash.get_by_label("Input")).to_contain_text('"command": "pytest -q"')
    await expect(bash.locator(".c1").first).to_have_text("F")
    await expect(bash.locator(".bold.c1")).to_have_text("FAILED")
    name = bash.get_by_text("test_empty_name")
    ink = "element => getComputedStyle(element).color"
    assert await name.evaluate(ink) != await bash.locator(".output").last.evaluate(ink)
    read = page.locator(".tool.failed")
    await expect(read.locator(".fault")).to_contain_text("src/greeting.py does not exist")
    edit = page.locator(".tool", has_text="Edit")
    await expect(edit.locator(".size")).to_have_text("+2 \N{MINUS SIGN}1")
    await edit.locator("summary").click()
    await expect(edit.locator(".diff .added")).to_have_count(2)
    await expect(edit.locator(".diff .removed")).to_contain_text("return name[0]")
    for above, below in ((bash, read), (read, edit), (edit, page.locator(".message").last)):
        await expect(below).to_be_attached()
        bottom = "element => element.getBoundingClientRect().bottom"
        top = "element => element.getBoundingClientRect().top"
        async with asyncio.timeout(30):  # what was opened makes room for itself
            while await above.evaluate(bottom) > await below.evaluate(top) + 1:
                await asyncio.sleep(0.02)


async def test_thoughts_are_folded_markdown_is_read_and_runs_are_separated(page: Page, person: Person) -> None:
    session = person.done("works", "Mend greet()")
    await page.goto(f"{person.url}/#/sessions/{session}")
    thoughts = page.locator(".reasoning")
    await expect(thoughts.locator("summary")).to_contain_text("An empty name has no first letter")
    assert not await thoughts.locator(".words").is_visible()
    await thoughts.locator("summary").click()
    await expect(thoughts.locator(".words")).to_be_visible()
    await expect(page.locator(".message strong")).to_have_text("failing test")
    await expect(page.locator(".message pre code")).to_have_text("return name[:1]\n")
    await expect(page.locator(".plan li.in_progress")).to_contain_text("mend greet()")
    await expect(page.locator(".item.end")).to_have_text(re.compile(r"completed · .* · 20\.8k tokens · \$0\.0142"))
    await page.keyboard.press("f")
    person.again(session, "And once more")
    await expect(page.locator(".item.end")).to_have_count(2)
    await expect(page.locator(".prompt h2").last).to_contain_text("run 2 · works · large-1")
    about = page.get_by_label("About the session")
    await expect(about).to_contain_text("41.6k")
    await expect(about).to_contain_text("$0.0284")
    await expect(about.locator(".runs li")).to_have_count(2)


async def test_a_run_is_queued_behind_another_and_the_one_at_work_is_steered(page: Page, person: Person) -> None:
    session, _ = person.run("listens", "wait for me")
    await page.goto(f"{person.url}/#/sessions/{session}")
    await expect(page.get_by_role("button", name="Steer")).to_be_visible()
    await page.fill("#message", "and then this")
    await page.get_by_role("button", name="Queue").click()
    await expect(page.locator(".under [role=status]")).to_have_text("At work … · 1 queued")
    await expect(page.locator(".prompt h2").last).to_contain_text("queued")
    await page.fill("#message", "use pytest")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".prompt.steer")).to_contain_text("use pytest")
    await expect(page.locator(".message")).to_contain_text("heard: use pytest")
    await expect(page.locator(".item.end")).to_contain_text("completed")
    order = await page.locator(".prompt .words, .item.end .status").all_inner_texts()
    assert order == ["wait for me", "use pytest", "completed", "and then this"], "a prompt is where its run begins"
    await page.get_by_role("button", name="Stop", exact=True).click()
    await expect(page.locator(".item.end")).to_have_count(2)


async def test_a_run_takes_an_agent_and_options(page: Page, person: Person) -> None:
    session = person.session("says", title="Choosy")
    await page.goto(f"{person.url}/#/sessions/{session}")
    await expect(page.locator(".empty")).to_contain_text("Nothing was said yet")
    await page.fill("#message", "count to 3")
    await page.locator(".composer select").first.select_option("counts")
    await page.locator(".options summary").click()
    await page.get_by_label("Time limit (seconds)").fill("77")
    await page.get_by_label("Priority").fill("5")
    await page.get_by_label("Goes on").select_option("fresh")
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator(".item.end")).to_contain_text("completed")
    (run,) = person.get(f"/v1/sessions/{session}/runs")["items"]
    assert (run["agent_id"], run["options"]["timeout"], run["options"]["continuation"], run["priority"]) == (
        "counts",
        77,
        "fresh",
        5,
    )
    await page.locator(".options summary").click()
    await page.get_by_label("More, a line each").fill("nonsense")
    await page.fill("#message", "count to 3")
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator(".notice.bad")).to_contain_text("An option is name=value")
    await expect(page.locator("#message")).to_have_value("count to 3")  # what was refused can be mended


async def test_a_run_is_stopped_and_a_session_paused_resumed_and_cancelled(page: Page, person: Person) -> None:
    session, run = person.run("counts", "to 1000")
    await page.goto(f"{person.url}/#/sessions/{session}")
    await expect(page.get_by_role("log")).to_contain_text("number 2 ")
    await page.get_by_role("button", name="Stop", exact=True).click()
    await expect(page.locator(".item.end")).to_contain_text("cancelled")
    assert person.get(f"/v1/runs/{run}")["status"] == "cancelled"
    await page.get_by_role("button", name="Pause").click()
    await expect(page.get_by_role("log")).to_contain_text("session paused")
    await page.fill("#message", "to 2")
    await page.keyboard.press("Enter")
    await expect(page.locator(".under [role=status]")).to_have_text("1 queued")
    await page.get_by_role("button", name="Resume").click()
    await expect(page.locator(".item.end")).to_have_count(2)
    await page.get_by_label("More", exact=True).click()
    await page.get_by_role("button", name="Cancel session").click()
    await expect(page.locator(".composer.closed")).to_contain_text("takes no more runs")


async def test_it_is_followed_to_its_end_unless_somebody_reads(page: Page, person: Person) -> None:
    session = person.done("talks", "120")
    await page.goto(f"{person.url}/#/sessions/{session}")
    log = page.get_by_role("log")
    await expect(log).to_contain_text("message 119")
    await log.evaluate("element => element.scrollTo(0, element.scrollHeight / 2)")
    follow = page.get_by_role("button", name="Follow")
    await expect(follow).to_have_attribute("aria-pressed", "false")
    await page.wait_for_function("() => document.querySelector('.transcript .slot')")
    before = await log.evaluate("element => element.scrollTop")
    person.again(session, "3")
    await expect(page.locator(".runs li")).to_have_count(2)
    assert abs(await log.evaluate("element => element.scrollTop") - before) < 3, "it stays where somebody reads"
    await page.keyboard.press("f")
    await expect(follow).to_have_attribute("aria-pressed", "true")
    await expect(log).to_contain_text("message 2")
    await expect(page.locator(".item.end").last).to_be_in_viewport()
    person.again(session, "5")
    await expect(page.locator(".runs li")).to_have_count(3)
    await expect(page.locator(".item.end").last).to_be_in_viewport()


async def test_one_goes_to_the_last_error_and_to_an_event_by_its_address(page: Page, person: Person) -> None:
    session = person.done("fails", "the first fault")
    for prompt in ("60", "the second fault", "60"):
        run = person.again(session, prompt, agent="talks" if prompt == "60" else "fails")
        person.ends(run)
    await page.goto(f"{person.url}/#/sessions/{session}")
    await expect(page.get_by_role("log")).to_contain_text("message 59")
    await page.keyboard.press("e")
    await expect(page.locator(".fault", has_text="the second fault")).to_be_in_viewport()
    assert "seq=" in page.url
    await page.get_by_role("button", name="2 errors").click()
    await expect(page.locator(".fault", has_text="the first fault")).to_be_in_viewport()
    events = person.get(f"/v1/sessions/{session}/events?types=message_received&limit=100")["items"]
    wanted = next(event for event in events if event["data"]["text"].startswith("message 20"))
    await page.goto(f"{person.url}/#/sessions/{session}?seq={wanted['seq']}")
    await page.reload()
    await expect(page.locator(".here", has_text="message 20")).to_be_in_viewport()


async def test_a_long_conversation_is_read_backwards_and_little_of_it_is_drawn(page: Page, person: Person) -> None:
    session = person.done("talks", "1500")
    await page.goto(f"{person.url}/#/sessions/{session}")
    log = page.get_by_role("log")
    await expect(log).to_contain_text("message 1499")
    assert await page.locator(".transcript .slot").count() < 100
    while not await page.locator(".earlier", has_text="The beginning").count():
        await log.evaluate("element => element.scrollTo(0, 0)")
        await page.wait_for_timeout(30)
    await log.evaluate("element => element.scrollTo(0, 0)")
    await expect(page.locator(".prompt")).to_be_visible()
    await expect(page.locator(".message").first).to_have_text("message 0")
    assert await page.locator(".transcript .slot").count() < 100


async def test_parents_children_and_forks_are_a_tree(page: Page, person: Person) -> None:
    parent = person.done("says", "hello", title="Parent")
    child = person.session("says", title="Child", parent_session_id=parent)
    person.session("says", title="Grandchild", parent_session_id=child)
    await page.goto(f"{person.url}/#/sessions/{child}")
    tree = page.get_by_role("navigation", name="Parent and children")
    await expect(tree.locator("a")).to_have_text(["Parent", "Child", "Grandchild"])
    await expect(tree.locator("[aria-current]")).to_have_text("Child")
    await tree.get_by_text("Parent").click()
    await expect(page.locator("h1")).to_have_text("Parent")
    await page.go_back()
    await expect(page.locator("h1")).to_have_text("Child")


async def test_a_conversation_is_forked_from_its_end_and_from_an_event(page: Page, person: Person) -> None:
    session = person.done("says", "hello", title="Trunk")
    await page.goto(f"{person.url}/#/sessions/{session}")
    await page.get_by_role("button", name="Fork").click()
    await expect(page.locator(".note", has_text="Goes on from")).to_be_visible()
    assert session not in page.url
    tree = page.get_by_role("navigation", name="Parent and children")
    await expect(tree.locator("a")).to_have_text(["Trunk", "Trunk"])
    await page.locator(".note a").click()
    await expect(page.locator(".prompt")).to_contain_text("hello")
    await page.goto(f"{person.url}/#/sessions/{session}/events?seq=4")
    await page.get_by_role("button", name="Fork here").click()
    await expect(page.locator(".note", has_text="as it was after its event 4")).to_be_visible()


async def test_a_fork_shows_what_it_goes_on_from(page: Page, person: Person) -> None:
    source, run = person.run("asks", "the east")
    person.waits(run)
    behind = person.again(source, "meanwhile")
    fork = person.post(f"/v1/sessions/{source}/fork", {})["id"]
    person.ends(person.again(fork, "count to 3", agent="counts"))
    await page.goto(f"{person.url}/#/sessions/{fork}")
    log = page.get_by_role("log")
    await expect(page.locator(".item.end")).to_contain_text("completed")
    parts = log.locator(".prompt .words, .question h2, .note, .message")
    await expect(parts).to_have_text(
        [
            "the east",
            "Was not answered when this session was forked",
            "meanwhile",
            re.compile("^ *Goes on from .* What is above was said there.$"),
            "count to 3",
            re.compile("number 2"),
        ]
    )
    await expect(page.locator(".inherited .prompt")).to_have_count(2)
    await expect(page.locator(".earlier")).to_have_text("The beginning of the session")
    assert not await log.get_by_role("button", name="Approve").count(), "the question is another session's"
    assert not await page.get_by_role("button", name="Stop", exact=True).count(), "so is what is at work there"
    await expect(page.locator(".runs li")).to_have_count(1)
    await expect(page.locator(".prompt h2").last).to_contain_text("run 1 · counts")
    person.post(f"/v1/runs/{run}/cancel", {})
    person.post(f"/v1/runs/{behind}/cancel", {})
    asked = page.locator(".inherited", has=page.locator(".question"))
    events = person.get(f"/v1/sessions/{fork}/events?after=-1000&types=tool_approval_requested")["items"]
    await page.goto(f"{person.url}/#/sessions/{fork}?seq={events[0]['seq']}")
    await expect(page.locator(".here .question")).to_be_in_viewport()
    await expect(asked).to_have_count(1)


async def test_a_long_fork_of_a_fork_is_read_backwards_to_its_very_beginning(page: Page, person: Person) -> None:
    source = person.done("talks", "600")
    middle = person.post(f"/v1/sessions/{source}/fork", {})["id"]
    person.ends(person.again(middle, "2"))
    fork = person.post(f"/v1/sessions/{middle}/fork", {})["id"]
    await page.goto(f"{person.url}/#/sessions/{fork}")
    log = page.get_by_role("log")
    await expect(log).to_contain_text("message 1")
    await expect(log.locator(".note", has_text="Goes on from")).to_have_count(2)
    while not await page.locator(".earlier", has_text="The beginning").count():
        await log.evaluate("element => element.scrollTo(0, 0)")
        await page.wait_for_timeout(30)
    await log.evaluate("element => element.scrollTo(0, 0)")
    await expect(page.locator(".prompt .words").first).to_have_text("600")
    await expect(page.locator(".message").first).to_have_text("message 0")
    person.again(fork, "4")
    await page.keyboard.press("f")
    await expect(log).to_contain_text("message 3")


async def test_a_title_is_changed(page: Page, person: Person) -> None:
    session = person.session("says", title="Olde")
    await page.goto(f"{person.url}/#/sessions/{session}")
    await page.get_by_label("Rename").click()
    await page.get_by_label("Title").fill("New")
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("New")
    person.until(lambda: person.get(f"/v1/sessions/{session}")["title"] == "New")
    await expect(page).to_have_title("New · Sessionry")


async def test_what_is_not_there_is_said(page: Page, person: Person) -> None:
    await page.goto(f"{person.url}/#/sessions/ses_unknown")
    await expect(page.locator(".empty")).to_contain_text("There is no such session")
    await page.get_by_role("link", name="All sessions").click()
    await expect(page.locator(".counts")).to_be_visible()
