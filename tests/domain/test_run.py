"""Runs as values: the reference's RUN cases in terms of this API, and what they left out."""

from __future__ import annotations

import itertools
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given

from sessionry.domain.errors import InvalidInput, InvalidTransition, SessionryError
from sessionry.domain.lifecycle import RUN_ENDED, RUN_LIVE, RUN_TRANSITIONS, RunStatus
from sessionry.domain.run import LONGEST, AgentFacts, ErrorInfo, Run, RunOptions, Takeover, queue_names
from sessionry.domain.usage import Usage

from .strategies import runs

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
PAIRS = list(itertools.product(RunStatus, RunStatus))
LEGAL = [(old, new) for old, new in PAIRS if new in RUN_TRANSITIONS[old]]
ILLEGAL = [pair for pair in PAIRS if pair not in LEGAL]


def a_run(status: str = "pending", **fields: Any) -> Run:
    return msgspec.structs.replace(Run.new(session_id="ses_1", now=NOON), status=RunStatus(status), **fields)


def refused(**changes: Any) -> SessionryError:
    """The error for a run's dict in which `changes` were made."""
    with pytest.raises(SessionryError) as caught:
        Run.from_dict({**a_run().to_dict(), **changes})
    return caught.value


# --- new --------------------------------------------------------------------------------------------------------------


def test_a_new_run_is_pending_and_has_done_nothing() -> None:
    run = Run.new(session_id="ses_1")
    assert run.status is RunStatus.PENDING
    assert (run.input, run.output, run.error, run.metadata, run.agent_id) == (None, None, None, {}, None)
    assert (run.attempt, run.turn_count, run.fence, run.priority) == (0, 0, 0, 0)
    assert (run.usage, run.cost) == (Usage(), None)
    assert (run.started_at, run.ended_at, run.worker_id) == (None, None, None)
    assert run.created_at == run.updated_at


def test_new_keeps_the_session() -> None:
    assert Run.new(session_id="ses_1").session_id == "ses_1"


@pytest.mark.parametrize("name", ["default", "gpu-2.eu", "x" * 64, "Übersetzer", "_"])
def test_a_queue_has_a_name(name: str) -> None:
    assert RunOptions(queue=name).queue == name
    assert queue_names([name, name, "other"]) == (name, "other")
    run = a_run(options=RunOptions(queue=name))
    assert Run.from_dict(run.to_dict()) == run


@pytest.mark.parametrize("name", ["", " ", "two words", "a/b", "a,b", "x" * 65, "line\n", None, 7])
def test_a_bad_name_of_a_queue_is_refused(name: Any) -> None:
    for make in (lambda: RunOptions(queue=name), lambda: queue_names([name])):
        with pytest.raises(InvalidInput, match="queue must be a name of up to 64 letters"):
            make()
    with pytest.raises(InvalidInput, match="queues must be a list of names"):
        queue_names("gpu")


def test_no_queue_named_means_the_default_one() -> None:
    assert queue_names(None) == queue_names([]) == (RunOptions().queue,) == ("default",)
    assert msgspec.json.encode(RunOptions()) == b"{}"


def test_ids_are_unique_and_tell_what_they_are() -> None:
    first, second = Run.new(session_id="s"), Run.new(session_id="s")
    assert first.id != second.id
    assert re.fullmatch(r"run_[0-9a-f]{32}", first.id)


def test_new_keeps_an_id_that_is_given() -> None:
    assert Run.new(session_id="s", id="custom").id == "custom"


@pytest.mark.parametrize("input", ["prompt", {"messages": [{"role": "user", "content": "hi"}]}, ["ls", "-l"], 5, None])
def test_new_keeps_the_input(input: Any) -> None:
    assert Run.new(session_id="s", input=input).input == input


def test_new_keeps_metadata_options_priority_and_agent() -> None:
    options = RunOptions(timeout=5, takeover=Takeover.STOP)
    run = Run.new(session_id="s", metadata={"k": "v"}, options=options, priority=-3, agent_id="shell")
    assert (run.metadata, run.options, run.priority, run.agent_id) == ({"k": "v"}, options, -3, "shell")


@pytest.mark.parametrize("session_id", [None, "", " ", 5, True, "a\0"])
def test_new_refuses_a_session_id_that_is_no_name(session_id: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        Run.new(session_id=session_id)
    assert (caught.value.code, caught.value.details) == ("validation_error", {"path": "session_id"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""),
        ("agent_id", " "),
        ("metadata", []),
        ("priority", True),
        ("priority", 1.5),
        ("priority", 1_000_001),
        ("priority", -1_000_001),
    ],
)
def test_new_refuses_a_bad_value_and_names_its_field(field: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        Run.new(session_id="s", **{field: value})
    assert caught.value.details == {"path": field}


def test_an_input_that_json_would_change_is_refused_with_its_path() -> None:
    with pytest.raises(InvalidInput) as caught:
        Run.new(session_id="s", input={"images": [b"png"]})
    assert caught.value.details == {"path": "input.images[0]"}


# --- the status -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("old", "new"), LEGAL)
def test_every_transition_of_the_table_is_accepted(old: RunStatus, new: RunStatus) -> None:
    assert a_run(old).update_status(new).status is new


@pytest.mark.parametrize(("old", "new"), ILLEGAL)
def test_every_other_transition_is_refused(old: RunStatus, new: RunStatus) -> None:
    run = a_run(old)
    with pytest.raises(InvalidTransition) as caught:
        run.update_status(new)
    assert caught.value.details == {"entity": "run", "from": old, "to": new, "allowed": sorted(RUN_TRANSITIONS[old])}
    assert run == a_run(old, id=run.id)


def test_the_table_is_the_one_of_the_design() -> None:
    assert {old: sorted(new) for old, new in RUN_TRANSITIONS.items() if new} == {
        "pending": ["cancelled", "failed", "running", "timeout"],
        "running": ["cancelled", "completed", "failed", "pending", "timeout", "waiting"],
        "waiting": ["cancelled", "failed", "pending", "running", "timeout"],
    }
    assert {"completed", "failed", "cancelled", "timeout"} == RUN_ENDED
    assert {"running", "waiting"} == RUN_LIVE


def test_a_run_says_which_preferred_capabilities_its_agent_lacks() -> None:
    run = Run.new(session_id="ses_1", options=RunOptions(optional_capabilities=["steer", "mcp", "tools"]))
    assert run.lacking == []
    begun = run.changed(agent=AgentFacts(type="visitor", capabilities=["tools", "flying"]))
    assert begun.lacking == ["steer", "mcp"]


def test_a_run_says_whether_it_is_live_and_whether_it_has_ended() -> None:
    for status in RunStatus:
        run = a_run(status)
        assert (run.live, run.ended) == (status in RUN_LIVE, status in RUN_ENDED)


@pytest.mark.parametrize("status", ["bogus", "active", "Running"])
def test_an_unknown_status_is_refused(status: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        a_run().update_status(status)
    assert caught.value.code == "invalid_status"


@pytest.mark.parametrize("status", sorted(RUN_ENDED))
def test_an_end_sets_ended_at(status: RunStatus) -> None:
    run = a_run("running").update_status(status, now=NOON + timedelta(seconds=9))
    assert run.ended_at == run.updated_at == NOON + timedelta(seconds=9)


@pytest.mark.parametrize("status", ["waiting", "pending"])
def test_what_is_no_end_leaves_ended_at_empty(status: str) -> None:
    assert a_run("running").update_status(status).ended_at is None


def test_started_at_is_the_first_start_and_never_again() -> None:
    started = a_run().update_status("running", now=NOON + timedelta(seconds=1))
    again = started.update_status("pending").update_status("running", now=NOON + timedelta(hours=1))
    assert again.started_at == started.started_at == NOON + timedelta(seconds=1)
    assert again.created_at == NOON


def test_updated_at_is_later_after_every_change_also_when_the_clock_was_set_back() -> None:
    run = a_run().update_status("running", now=NOON - timedelta(days=1))
    assert run.updated_at == NOON + timedelta(microseconds=1)
    assert run.started_at == run.updated_at


def test_a_change_leaves_the_old_run_alone() -> None:
    run = a_run(input={"a": [1]})
    before = run.to_dict()
    run.update_status("running").input["a"].append(2)
    assert run.to_dict() == before


# --- money and tokens -------------------------------------------------------------------------------------------------


def test_usage_adds_up_in_each_bucket() -> None:
    first = Usage(input_tokens=1, output_tokens=2, cache_read_tokens=3, cache_write_tokens=4, reasoning_tokens=5)
    assert first + first == Usage(
        input_tokens=2, output_tokens=4, cache_read_tokens=6, cache_write_tokens=8, reasoning_tokens=10
    )


def test_reasoning_is_part_of_the_output_and_not_counted_twice() -> None:
    assert Usage(input_tokens=1, output_tokens=2, reasoning_tokens=2).total_tokens == 3


def test_costs_are_exact() -> None:
    run = a_run(cost=Decimal("0.1") + Decimal("0.2"))
    value = json.loads(json.dumps(run.to_dict()))
    assert value["cost"] == "0.3"
    assert Run.from_dict(value).cost == Decimal("0.3")


@pytest.mark.parametrize("cost", ["0", "-1.5", "1E-28", "1E+6", "123456789012345678901234567890.123456789"])
def test_a_cost_comes_back_digit_by_digit(cost: str) -> None:
    run = a_run(cost=Decimal(cost))
    assert str(Run.from_dict(json.loads(json.dumps(run.to_dict()))).cost) == str(Decimal(cost))


@pytest.mark.parametrize("cost", [0.3, 1, "1", Decimal("NaN"), Decimal("Infinity"), True])
def test_a_cost_is_a_finite_decimal_and_nothing_else(cost: Any) -> None:
    with pytest.raises(InvalidInput, match="finite Decimal"):
        a_run(cost=cost)


# --- options and facts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, -1, True, "5", float("nan"), float("inf"), LONGEST + 1, 10**400])
@pytest.mark.parametrize("field", ["timeout", "idle_timeout"])
def test_a_timeout_is_a_positive_number_of_seconds(field: str, seconds: Any) -> None:
    with pytest.raises(InvalidInput, match=field):
        RunOptions(**{field: seconds})


@pytest.mark.parametrize("attempts", [0, -1, True, 1.0, None])
def test_max_attempts_is_a_whole_number_of_at_least_one(attempts: Any) -> None:
    with pytest.raises(InvalidInput, match="max_attempts"):
        RunOptions(max_attempts=attempts)


def test_a_deadline_has_a_time_zone() -> None:
    with pytest.raises(InvalidInput, match="time zone"):
        RunOptions(deadline=datetime(2030, 1, 1))


def test_capabilities_are_a_list_of_words() -> None:
    assert RunOptions(required_capabilities=["tools", "tools"]).required_capabilities == ["tools"]
    with pytest.raises(InvalidInput, match=r"optional_capabilities\[0\]"):
        RunOptions(optional_capabilities=[5])  # type: ignore[list-item]


def test_the_details_of_an_error_are_json() -> None:
    with pytest.raises(InvalidInput) as caught:
        ErrorInfo(code="agent_failed", message="m", details={"at": NOON})
    assert caught.value.details == {"path": "details.at"}


# --- to and from a dict -----------------------------------------------------------------------------------------------


@given(runs)
def test_any_run_comes_back_from_real_json(run: Run) -> None:
    assert Run.from_dict(json.loads(json.dumps(run.to_dict()))) == run


def test_to_dict_has_every_field_and_is_friendly_to_json() -> None:
    run = a_run(
        "failed",
        error=ErrorInfo(code="agent_failed", message="no"),
        agent=AgentFacts(type="shell"),
        usage=Usage(input_tokens=7),
    )
    value = json.loads(json.dumps(run.to_dict()))
    assert set(value) == set(Run.__struct_fields__)
    assert value["status"] == "failed"
    assert value["error"] == {"code": "agent_failed", "message": "no"}
    assert value["usage"] == {"input_tokens": 7}
    assert value["created_at"] == "2030-01-01T12:00:00Z"


@pytest.mark.parametrize("field", ["id", "session_id", "status", "created_at", "updated_at"])
def test_from_dict_needs_every_required_field(field: str) -> None:
    value = a_run().to_dict()
    del value[field]
    with pytest.raises(InvalidInput, match=f"{field} is required"):
        Run.from_dict(value)


@pytest.mark.parametrize("value", [None, [], "text"])
def test_from_dict_takes_nothing_but_a_dict(value: Any) -> None:
    with pytest.raises(InvalidInput, match="must be an object"):
        Run.from_dict(value)


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("attempt", True, "attempt"),
        ("attempt", -1, "attempt"),
        ("turn_count", 1.5, "turn_count"),
        ("fence", "1", "fence"),
        ("usage", {"input_tokens": True}, "usage.input_tokens"),
        ("usage", {"tokens": 1}, "usage.tokens"),
        ("options", {"takeover": "maybe"}, "options.takeover"),
        ("error", {"code": "a"}, "error.message"),
        ("agent", {"type": "t", "capabilities": [1]}, "agent.capabilities[0]"),
        ("cost", "cheap", "cost"),
        ("ended_at", "bad", "ended_at"),
        ("provider", "x", "provider"),
    ],
)
def test_from_dict_names_the_bad_field(field: str, value: Any, path: str) -> None:
    error = refused(**{field: value})
    assert (error.code, error.details["path"]) == ("validation_error", path)


def test_from_dict_knows_an_unknown_status_from_a_bad_value() -> None:
    assert refused(status="sleeping").code == "invalid_status"
    assert refused(status=None).code == "validation_error"


def test_equal_runs_have_equal_hashes() -> None:
    run = a_run(input={"a": 1})
    assert len({run, Run.from_dict(run.to_dict()), run.update_status("running")}) == 2
