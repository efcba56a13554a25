"""A page that is not ours: the browser's own `EventSource`, which comes again by itself after every cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, BrowserContext, Page

from .conftest import Person, Site, come

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

#: Opens the address once, and keeps the id of every event in the order in which they came.
LISTEN = """async (address) => {
    window.seqs = [];
    const types = Object.keys(await (await fetch("/v1/schemas/events")).json());
    const source = new EventSource(address);
    for (const type of types) source.addEventListener(type, (event) => {
        if (JSON.parse(event.data).seq !== Number(event.lastEventId)) throw new Error("an id that is not its seq");
        window.seqs.push(Number(event.lastEventId));
    });
}"""


class Cutter:
    """Hands on what browser and server say, and cuts every stream of events after `most` bytes, so many times.

    It waits for `arrived` before each cut: a browser may drop what it has not looked at when its connection breaks.
    """

    def __init__(self, port: int, most: int, times: int, arrived: Callable[[], Awaitable[None]]) -> None:
        self.url = ""
        self.cuts = 0
        self.asked: list[str | None] = []  # the Last-Event-ID of every stream that was asked for
        self._port = port
        self._most = most
        self._times = times
        self._arrived = arrived

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Cutter]:
        async with await asyncio.start_server(self._hand_on, "127.0.0.1", 0) as server:
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield self

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection("127.0.0.1", self._port)
        left: list[int] = []
        asking = asyncio.create_task(self._ask(reader, ours, left))
        try:
            while said := await theirs.read(1 << 16):
                if left and len(said) >= left[0]:
                    writer.write(said[: left[0]])
                    await self._arrived()
                    self.cuts += 1
                    break
                if left:
                    left[0] -= len(said)
                writer.write(said)
                await writer.drain()
        except ConnectionError:
            pass  # the browser has closed the page
        finally:
            asking.cancel()
            await asyncio.wait([asking])
            ours.close()
            writer.close()

    async def _ask(self, reader: asyncio.StreamReader, ours: asyncio.StreamWriter, left: list[int]) -> None:
        while said := await reader.read(1 << 16):
            head = dict(line.lower().split(": ", 1) for line in said.decode().splitlines()[1:] if ": " in line)
            if "text/event-stream" in head.get("accept", ""):
                self.asked.append(head.get("last-event-id"))
                left[:] = [self._most] if len(self.asked) <= self._times else []
            ours.write(said)
        ours.write_eof()


async def _all_of(page: Page, person: Person, session: str) -> list[int]:
    """The ids that the page has got, when it has got the newest one."""
    newest = person.get(f"/v1/sessions/{session}/events?newest=true&limit=1")["items"][0]["seq"]
    await page.wait_for_function("last => window.seqs.at(-1) >= last", arg=newest)
    seqs: list[int] = await page.evaluate("window.seqs")
    assert newest == seqs[-1]
    return seqs


async def _grown(page: Page, more: int) -> None:
    """Until the page has got so many further events."""
    before = await page.evaluate("window.seqs.length")
    await page.wait_for_function("most => window.seqs.length >= most", arg=before + more)


async def test_a_stream_that_is_cut_while_a_run_works_goes_on_without_a_gap_or_a_double(
    context: BrowserContext, person: Person
) -> None:
    session = person.session("counts")
    page = await context.new_page()
    counts = [0]

    async def arrived() -> None:
        await page.wait_for_function("most => window.seqs.length > most", arg=counts[-1])
        counts.append(await page.evaluate("window.seqs.length"))

    async with Cutter(person.site.port, 2500, 5, arrived).serving() as cutter:
        await page.goto(f"{cutter.url}/healthz")
        await page.evaluate(LISTEN, f"/v1/sessions/{session}/events")
        run = person.again(session, "to 120")
        await asyncio.to_thread(person.ends, run)
        seqs = await _all_of(page, person, session)
        await page.close()
    assert seqs == list(range(1, len(seqs) + 1))
    assert cutter.cuts == 5
    first, *again = cutter.asked
    assert first is None
    assert len(again) == 5
    seen = [int(id or 0) for id in again]
    assert all(id >= count for id, count in zip(seen, counts[1:], strict=True))  # each went on after what had arrived
    assert seen[-1] < seqs[-1]


async def test_a_stream_outlives_a_server_that_is_killed_again_and_again(browser: Browser, site: Site) -> None:
    person = Person(site, site.token)
    context = await come(browser, person)
    page = await context.new_page()
    session = person.session("counts")
    await page.goto(f"{site.url}/healthz")
    await page.evaluate(LISTEN, f"/v1/sessions/{session}/events")
    for _ in range(3):
        person.again(session, "to 60")
        await _grown(page, 6)
        site.kill()
        site.start()
    run = person.again(session, "to 3")
    await asyncio.to_thread(person.ends, run)
    seqs = await _all_of(page, person, session)
    assert seqs == list(range(1, len(seqs) + 1))
    await context.close()
