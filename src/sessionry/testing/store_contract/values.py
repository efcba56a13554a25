"""Values: what goes in comes out unchanged, and what cannot go in is refused without harm."""

from __future__ import annotations

from typing import Any

import pytest

from sessionry.domain import events as ev
from sessionry.domain.errors import SessionryError
from sessionry.domain.queries import LONGEST_TEXT, RunFilter, SessionFilter
from sessionry.ports import Appending, Delivery, Operation, Wanted
from sessionry.store.operations import approvals, leases, listing, reading, recovery, runs, sessions
from sessionry.testing.store_contract.scenario import FACTS, LOCAL, Contract, Scenario

_VALUES: dict[str, Any] = {
    "null": None,
    "texts": [
        "",
        " ",
        "\0",
        "a\0b\x1f\x7f",
        "\r\n\t",
        "'\"\\;--",
        "%s ? $1 %",
        "\N{PILE OF POO}é\u202e\uffff",
        "\U0010ffff",
    ],
    "long": "Zürich " * 50_000,
    "numbers": [0, -1, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1, 0.1, -0.0, 1e-300, 1.7976931348623157e308],
    "booleans": [True, False],
    "objects": {"": {}, "a.b": [], "\0": {"é": [[[]]]}, "$ref": 1},
    "deep": [[[[[[[[[[[[[[[[[[[["bottom"]]]]]]]]]]]]]]]]]]]],
}
_BAD_TEXTS = ["\ud800", "a\0b", "", "x" * 100_000]


class ValuesContract(Contract):
    """Values: what goes in comes out unchanged, and what cannot go in is refused without harm."""

    @pytest.mark.parametrize("name", _VALUES)
    async def test_json_comes_back_unchanged(self, scenario: Scenario, name: str) -> None:
        value = _VALUES[name]
        session_id = await scenario.create(metadata={"v": value}, context={"v": value})
        claim = await scenario.claim(await scenario.submit(session_id, value))
        asked = await scenario.ask(claim, tool_input=value)
        await scenario.decide(asked.id)
        await scenario.go_on(claim, asked)
        recorded = ev.CustomRecorded(name="v", value=value)
        await scenario.append(claim, recorded)
        await scenario.append(claim, recorded, ev.TurnCompleted())
        await scenario.finish(claim, ev.RunCompleted(output=value))
        session, run = await scenario.session(session_id), await scenario.run(claim.run_id)
        assert repr(session.metadata["v"]) == repr(session.context["v"]) == repr(run.input) == repr(value)
        assert repr(run.output) == repr({} if value is None else {"output": value})
        assert repr((await scenario.approval(asked.id)).tool_input) == repr(value)
        assert [event.data for event in await scenario.log(session_id)].count(recorded) == 2

    async def test_texts_of_every_kind_are_kept(self, scenario: Scenario) -> None:
        claim = await scenario.work()
        texts: list[str] = _VALUES["texts"]
        await scenario.append(claim, *(ev.MessageReceived(text=text) for text in texts))
        stored = [event.data for event in await scenario.log(claim.session_id)]
        assert stored[-len(texts) :] == [ev.MessageReceived(text=text) for text in texts]

    @pytest.mark.parametrize("title", ["'; drop table sessionry_session; --", "%s ? %", "🙂" * 1000, "x" * 100_000])
    async def test_titles_and_tags_are_kept(self, scenario: Scenario, title: str) -> None:
        session_id = await scenario.create(title=title, tags=[title[:100]], id=title[:100])
        page = await scenario.do(listing.list_sessions(LOCAL, SessionFilter(tags=[title[:100]], text=title[:50])))
        assert [(each.session.id, each.session.title) for each in page.items] == [(session_id, title)]

    @pytest.mark.parametrize("value", ["\ud800", {"a": ["\udfff"]}, {"\ud800": 1}, 2**64, float("nan"), b"x"], ids=repr)
    async def test_what_json_cannot_hold_is_refused_with_its_place(self, scenario: Scenario, value: Any) -> None:
        claim = await scenario.work()
        for before in ([], [ev.TurnCompleted()]):
            async with scenario.refused("validation_error") as caught:
                await scenario.append(claim, *before, ev.CustomRecorded(name="v", value=value))
            assert caught.value.details["path"].startswith("data.value")

    @pytest.mark.parametrize("text", _BAD_TEXTS, ids=["surrogate", "nul", "empty", "long"])
    async def test_no_name_harms_the_store(self, scenario: Scenario, text: str) -> None:
        claim = await scenario.work()
        before = await scenario.everything()
        operations: list[Operation[Any]] = [
            sessions.get(LOCAL, text),
            sessions.find(LOCAL, text),
            sessions.tree(LOCAL, text),
            sessions.update(LOCAL, text, {"title": "x"}),
            runs.get(LOCAL, text),
            runs.cancel(LOCAL, text, ev.RunCancelRequested(reason=text)),
            runs.submit(LOCAL, text, runs.Submission()),
            leases.finish(text, 1, ev.RunCompleted()),
            leases.begin(Delivery(text, text, 1), "wrk", FACTS),
            leases.ready(Wanted(agents=[text], queues=[text], sessions=[text]), 10),
            leases.renew(text, 1),
            approvals.get(LOCAL, text),
            approvals.decide(LOCAL, text, approved=True),
            reading.events(LOCAL, text),
            reading.all_events(LOCAL, types=[text]),
            listing.list_sessions(LOCAL, SessionFilter(text=text[:LONGEST_TEXT], agent=text, parent=text)),
            listing.list_runs(LOCAL, RunFilter(session=text)),
            recovery.take_over(text, text, "gone"),
        ]
        for operation in operations:
            await _harmless(scenario, operation)
        for run_id in (text, claim.run_id + text + "x"):
            for data in (ev.MessageStreamed(text="a"), ev.TurnCompleted()):
                async with scenario.refused("fenced", "validation_error"):
                    await scenario.store.append(Appending(run_id, 1, 1, [data]))
        assert await scenario.everything() == before

    @pytest.mark.parametrize("number", [2**63, 2**70, -(2**63) - 1, -1])
    async def test_no_number_harms_the_store(self, scenario: Scenario, number: int) -> None:
        claim = await scenario.work()
        before = await scenario.everything()
        operations: list[Operation[Any]] = [
            reading.events(LOCAL, claim.session_id, after=number, before=number),
            reading.all_events(LOCAL, after=number, limit=1),
            leases.begin(Delivery(claim.session_id, claim.run_id, number), "wrk_two", FACTS),
            leases.finish(claim.run_id, number, ev.RunCompleted()),
            sessions.update(LOCAL, claim.session_id, {"title": "x"}, if_version=number),
        ]
        for operation in operations:
            await _harmless(scenario, operation)
        for fence, after in ((number, claim.after), (claim.fence, number)):
            for data in (ev.MessageStreamed(text="a"), ev.TurnCompleted()):
                async with scenario.refused("fenced", "stale_sequence", "validation_error"):
                    await scenario.store.append(Appending(claim.run_id, fence, after, [data]))
        assert await scenario.everything() == before

    @pytest.mark.parametrize("field", ["slots", "queue_limit"])
    async def test_numbers_of_a_session_fit_every_database(self, scenario: Scenario, field: str) -> None:
        given: dict[str, Any] = {field: 2**31}
        session_id = await scenario.create(**given)
        async with scenario.refused("validation_error"):
            await scenario.do(sessions.update(LOCAL, session_id, {field: 2**63}))
        assert getattr(await scenario.session(session_id), field) == 2**31


async def _harmless(scenario: Scenario, operation: Operation[Any]) -> None:
    """It may be refused as a wrong value or find nothing, but it is no failure of the store."""
    refusal: SessionryError | None = None
    try:
        await scenario.store.execute(operation)
    except SessionryError as error:
        refusal = error
    assert refusal is None or refusal.category != "store", refusal
