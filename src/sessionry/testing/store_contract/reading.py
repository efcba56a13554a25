"""Reading logs: one session by `seq`, all of them by `position`, while others write."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

from sessionry.domain import events as ev
from sessionry.domain.events import Event
from sessionry.domain.queries import is_wanted
from sessionry.domain.scope import Scope
from sessionry.ports import Operation
from sessionry.store.operations import leases, reading, sessions
from sessionry.testing.store_contract.scenario import LOCAL, Contract, Scenario


class ReadingContract(Contract):
    """Reading logs: one session by `seq`, all of them by `position`, while others write."""

    async def test_bounds_types_runs_and_limits_go_together(self, scenario: Scenario) -> None:
        session_id = await scenario.create(slots=2)
        claims = [await scenario.claim(await scenario.submit(session_id)) for _ in range(2)]
        for number in range(10):
            await scenario.append(claims[number % 2], ev.CustomRecorded(name="n", value=number))
            await scenario.append(claims[number % 2], ev.TurnCompleted())
        log = await scenario.log(session_id)
        for filters in self._filters(claims[0].run_id):
            wanted = [event for event in log if _fits(event, filters)]
            limit = filters.get("limit", 100)
            wanted = wanted[-limit:] if filters.get("newest") else wanted[:limit]
            assert await scenario.do(reading.events(LOCAL, session_id, **filters)) == wanted

    def _filters(self, run_id: str) -> list[dict[str, Any]]:
        return [
            {},
            {"after": 5},
            {"before": 5},
            {"after": 5, "before": 9},
            {"after": 1000},
            {"limit": 3},
            {"limit": 3, "newest": True},
            {"before": 12, "limit": 3, "newest": True},
            {"types": ["custom_recorded"]},
            {"types": ["custom_recorded", "run_queued"], "after": 3, "limit": 4},
            {"types": ["-custom_recorded", "-run_queued"], "after": 3, "limit": 4},
            {"types": ["-custom_recorded", "run_queued"]},
            {"run_id": run_id},
            {"run_id": run_id, "types": ["turn_completed"], "newest": True, "limit": 2, "before": 20},
            {"run_id": "run_unknown"},
        ]

    async def test_an_unknown_session_has_no_log(self, scenario: Scenario) -> None:
        operations: list[Operation[Any]] = [
            reading.events(LOCAL, "ses_unknown"),
            reading.last_seq(LOCAL, "ses_unknown"),
        ]
        for operation in operations:
            async with scenario.refused("session_not_found"):
                await scenario.do(operation)

    async def test_the_log_of_a_deleted_session_can_be_read(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        await scenario.do(sessions.delete(LOCAL, session_id))
        assert await scenario.types(session_id) == ["session_created", "session_deleted"]

    async def test_many_logs_are_read_at_once(self, scenario: Scenario) -> None:
        ann = scenario.to(Scope("local", "ann"))
        mine, hers = [await scenario.create() for _ in range(3)], await ann.create()
        for count, session_id in enumerate(mine):
            for _ in range(count):
                await scenario.finished(session_id)
        asked = [
            (scope, id, after) for scope in (LOCAL, ann.scope) for id in (*mine, hers) for after in (0, 1, 4, 1000)
        ]
        for limit in (1, 3, 100):
            pages = await scenario.do(reading.pages(asked, limit))
            for (scope, id, after), page in zip(asked, pages, strict=True):
                if scope == ann.scope and id in mine:
                    assert page is None
                else:
                    assert page == await scenario.do(reading.events(scope, id, after=after, limit=limit))

    async def test_of_many_logs_one_that_is_not_there_is_none(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        pages = await scenario.do(
            reading.pages([(LOCAL, "ses_unknown", 0), (LOCAL, session_id, 0), (Scope("other"), session_id, 0)], 10)
        )
        assert [page and len(page) for page in pages] == [None, 1, None]
        assert await scenario.do(reading.pages([], 10)) == []

    async def test_many_logs_can_be_very_many(self, scenario: Scenario) -> None:
        session_id = await scenario.create()
        pages = await scenario.do(reading.pages([(LOCAL, session_id, 0)] * 300, 10))
        assert [len(page or ()) for page in pages] == [1] * 300

    async def test_nothing_is_unsettled_when_nobody_writes(self, scenario: Scenario) -> None:
        await scenario.settled()
        await scenario.create()
        await scenario.settled()

    async def test_an_empty_store_has_no_events(self, scenario: Scenario) -> None:
        assert await scenario.do(reading.all_events(LOCAL)) == []
        assert await scenario.do(reading.last_position()) == 0

    async def test_all_sessions_are_one_stream(self, scenario: Scenario) -> None:
        made = [await scenario.create() for _ in range(3)]
        for session_id in made * 2:
            await scenario.finished(session_id)
        await scenario.settled()
        stream = await _stream(scenario, limit=7)
        logs: list[Event] = [event for session_id in made for event in await scenario.log(session_id)]
        logs.sort(key=lambda event: event.position)
        assert stream == logs
        assert await scenario.do(reading.last_position()) == stream[-1].position

    async def test_the_stream_can_be_filtered(self, scenario: Scenario) -> None:
        ann = scenario.to(Scope("local", "ann"))
        for caller in (scenario, ann):
            await caller.finished(await caller.create())
        await scenario.settled()
        kinds = ["run_completed", "session_created"]
        found = await scenario.do(reading.all_events(LOCAL, types=kinds))
        assert [event.type for event in found] == ["session_created", "run_completed"] * 2
        hers = await scenario.do(reading.all_events(ann.scope, types=kinds[1:]))
        assert [event.actor for event in hers] == ["ann"]

    async def test_a_reader_of_a_log_that_grows_gets_every_event_once(self, scenario: Scenario) -> None:
        claim = await scenario.work()

        async def write() -> None:
            for number in range(100):
                await scenario.append(claim, ev.CustomRecorded(name="n", value=number))
            await scenario.finish(claim)

        seen: list[Event] = []
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            tasks.create_task(write())
            while not (seen and isinstance(seen[-1].data, ev.RunCompleted)):
                after = seen[-1].seq if seen else 0
                page = await scenario.do(reading.events(LOCAL, claim.session_id, after=after, limit=7))
                seen += page
        assert seen == await scenario.log(claim.session_id)

    async def test_a_reader_of_all_sessions_misses_nothing_while_many_write(self, scenario: Scenario) -> None:
        writing = asyncio.gather(*(_write(scenario, number) for number in range(20)))
        seen: list[Event] = []
        async with asyncio.timeout(100):
            while not writing.done() or seen[-1].position < await scenario.do(reading.last_position()):
                seen += await _page(scenario, seen[-1].position if seen else 0, 50)
        await writing
        await scenario.settled()
        seen += await _page(scenario, seen[-1].position, 1000)
        assert [event.position for event in seen] == sorted({event.position for event in seen})
        by_session: dict[str, list[Event]] = defaultdict(list)
        for event in seen:
            by_session[event.session_id].append(event)
        assert by_session.keys() == scenario.made.keys()
        for session_id, events in by_session.items():
            assert events == await scenario.log(session_id)


def _fits(event: Event, filters: dict[str, Any]) -> bool:
    return (
        event.seq > filters.get("after", 0)
        and event.seq < filters.get("before", 1 << 60)
        and is_wanted(event.type, filters.get("types", []))
        and event.run_id == filters.get("run_id", event.run_id)
    )


async def _write(scenario: Scenario, number: int) -> None:
    """Some of everything: lone appends, groups, and operations that take their time in the database."""
    session_id = await scenario.create()
    for turn in range(3):
        claim = await scenario.claim(await scenario.submit(session_id), worker=f"wrk_{number}")
        for count in range(5):
            await scenario.append(claim, *(ev.CustomRecorded(name="n", value=index) for index in range(count + 1)))
        await scenario.append(claim, ev.TurnCompleted())
        if turn == 1:
            await scenario.do(sessions.update(LOCAL, session_id, {"title": f"turn {turn}"}))
        await scenario.do(leases.finish(claim.run_id, claim.fence, ev.RunCompleted()))


async def _page(scenario: Scenario, after: int, limit: int) -> list[Event]:
    return await scenario.do(reading.all_events(LOCAL, after=after, limit=limit))


async def _stream(scenario: Scenario, limit: int) -> list[Event]:
    seen: list[Event] = []
    while page := await _page(scenario, seen[-1].position if seen else 0, limit):
        seen += page
    return seen
