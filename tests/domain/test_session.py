"""Sessions as values. S1-S19 are the reference's cases; S14 is enforced here, see docs/decisions/0001."""

from __future__ import annotations

import itertools
import json
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given

from sessionry.domain.errors import InvalidInput, InvalidTransition, SessionryError
from sessionry.domain.lifecycle import SESSION_ENDED, SESSION_TRANSITIONS, SessionStatus
from sessionry.domain.session import Session

from .strategies import sessions

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
PAIRS = list(itertools.product(SessionStatus, SessionStatus))
LEGAL = [(old, new) for old, new in PAIRS if new in SESSION_TRANSITIONS[old]]
ILLEGAL = [pair for pair in PAIRS if pair not in LEGAL]


class Colour(IntEnum):
    RED = 1


def a_session(status: str = "pending", **fields: Any) -> Session:
    return Session.from_dict({**Session.new(agent_id="agent-123", **fields).to_dict(), "status": status})


def refused(**changes: Any) -> SessionryError:
    """The error for a session's dict in which `changes` were made."""
    with pytest.raises(SessionryError) as caught:
        Session.from_dict({**Session.new(agent_id="a").to_dict(), **changes})
    return caught.value


# --- S1 to S4: the fields ---------------------------------------------------------------------------------------------


def test_s01_has_the_required_fields() -> None:
    session = Session.new(agent_id="a")
    assert all(hasattr(session, name) for name in ("id", "agent_id", "status", "created_at", "updated_at"))


def test_s02_has_the_optional_fields() -> None:
    session = Session.new(agent_id="a")
    assert all(hasattr(session, name) for name in ("parent_session_id", "metadata", "context", "tags"))


def test_s03_optional_fields_are_empty_by_default() -> None:
    session = Session.new(agent_id="a")
    assert (session.metadata, session.context, session.tags, session.parent_session_id) == ({}, {}, [], None)


def test_s04_a_session_is_pending_by_default() -> None:
    assert Session.new(agent_id="a").status == "pending"


# --- S5 to S13: new ---------------------------------------------------------------------------------------------------


def test_s05_new_needs_an_agent_only() -> None:
    session = Session.new(agent_id="agent-123")
    assert session.agent_id == "agent-123"
    assert isinstance(session.id, str)
    assert session.status is SessionStatus.PENDING
    assert session.created_at
    assert session.updated_at


def test_s06_two_sessions_have_different_ids() -> None:
    assert Session.new(agent_id="a").id != Session.new(agent_id="a").id


def test_s07_keeps_an_id_that_is_given() -> None:
    assert Session.new(agent_id="a", id="custom-id").id == "custom-id"


def test_s08_keeps_metadata() -> None:
    metadata = {"user": "u1", "nested": {"key": [1, None, True]}}
    assert Session.new(agent_id="a", metadata=metadata).metadata == metadata


def test_s09_keeps_context() -> None:
    context = {"system_prompt": "You are helpful"}
    assert Session.new(agent_id="a", context=context).context == context


def test_s10_keeps_tags_in_order() -> None:
    assert Session.new(agent_id="a", tags=["test", "development"]).tags == ["test", "development"]


def test_s11_keeps_the_parent() -> None:
    parent = Session.new(agent_id="a")
    assert Session.new(agent_id="b", parent_session_id=parent.id).parent_session_id == parent.id


def test_s12_refuses_a_missing_agent() -> None:
    with pytest.raises(InvalidInput, match="agent_id") as caught:
        Session.new()
    assert caught.value.code == "validation_error"


@pytest.mark.parametrize("agent_id", ["", " ", "\t\n", "\u2003", 5, True, b"a", ["a"], "a\0b", "\ud800"])
def test_s13_refuses_an_agent_that_is_no_name(agent_id: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        Session.new(agent_id=agent_id)
    assert caught.value.code == "validation_error"
    assert caught.value.details == {"path": "agent_id"}


# --- S14 to S16: the status -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("old", "new"), LEGAL)
def test_s14_accepts_every_transition_of_the_table(old: SessionStatus, new: SessionStatus) -> None:
    assert a_session(old).update_status(new).status is new


@pytest.mark.parametrize(("old", "new"), ILLEGAL)
def test_s14_refuses_every_other_transition(old: SessionStatus, new: SessionStatus) -> None:
    session = a_session(old)
    with pytest.raises(InvalidTransition) as caught:
        session.update_status(new)
    assert caught.value.code == "invalid_transition"
    assert caught.value.details == {
        "entity": "session",
        "from": old,
        "to": new,
        "allowed": sorted(SESSION_TRANSITIONS[old]),
    }
    assert session == a_session(old, id=session.id, now=session.created_at)


def test_s14_the_table_is_the_one_of_the_design() -> None:
    assert {old: sorted(new) for old, new in SESSION_TRANSITIONS.items()} == {
        "pending": ["active", "cancelled", "failed"],
        "active": ["cancelled", "completed", "failed", "paused"],
        "paused": ["active", "cancelled", "failed"],
        "completed": [],
        "failed": [],
        "cancelled": [],
    }


def test_s14_staying_in_a_status_is_no_transition() -> None:
    assert all((status, status) in ILLEGAL for status in SessionStatus)


def test_s14_an_ended_session_says_so() -> None:
    assert {status for status in SessionStatus if a_session(status).ended} == SESSION_ENDED


@pytest.mark.parametrize("status", ["bogus", "PENDING", "running", "pending "])
def test_s15_refuses_an_unknown_status(status: str) -> None:
    with pytest.raises(InvalidInput, match="pending, active, paused") as caught:
        Session.new(agent_id="a").update_status(status)
    assert caught.value.code == "invalid_status"


@pytest.mark.parametrize("status", [None, 5, ["active"], "", True])
def test_s15_refuses_a_status_that_is_no_word(status: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        Session.new(agent_id="a").update_status(status)
    assert caught.value.code == "validation_error"


def test_s16_updated_at_is_later_after_every_change_without_any_waiting() -> None:
    session = a_session("active")
    times = [session.updated_at]
    for status in ("paused", "active") * 50:
        session = session.update_status(status)
        times.append(session.updated_at)
    assert times == sorted(set(times))


def test_s16_updated_at_is_later_also_when_the_clock_was_set_back() -> None:
    session = Session.new(agent_id="a", now=NOON)
    changed = session.update_status("active", now=NOON - timedelta(days=400))
    assert changed.updated_at == NOON + timedelta(microseconds=1)
    assert changed.created_at == NOON


# --- S17 to S19: to and from a dict -----------------------------------------------------------------------------------


def test_s17_to_dict_is_friendly_to_json() -> None:
    session = Session.new(agent_id="agent-123", metadata={"key": "value"}, tags=["a"], now=NOON)
    value = json.loads(json.dumps(session.to_dict()))
    assert value["id"] == session.id
    assert value["agent_id"] == "agent-123"
    assert value["status"] == "pending"
    assert value["metadata"] == {"key": "value"}
    assert value["tags"] == ["a"]
    assert value["created_at"] == value["updated_at"] == "2030-01-01T12:00:00Z"


def test_s18_comes_back_from_its_dict() -> None:
    session = Session.new(agent_id="a", metadata={"key": "value"}, tags=["a", "b"])
    assert Session.from_dict(session.to_dict()) == session


def test_s19_refuses_an_empty_dict() -> None:
    with pytest.raises(InvalidInput) as caught:
        Session.from_dict({})
    assert caught.value.code == "validation_error"


# --- beyond the reference: values -------------------------------------------------------------------------------------


@given(sessions)
def test_any_session_comes_back_from_real_json(session: Session) -> None:
    assert Session.from_dict(json.loads(json.dumps(session.to_dict()))) == session


def test_a_change_leaves_the_old_session_alone() -> None:
    session = Session.new(agent_id="a", metadata={"n": {"m": 1}})
    before = session.to_dict()
    changed = session.update_status("active")
    changed.metadata["n"]["m"] = 2
    assert session.to_dict() == before
    assert (session.version, changed.version) == (1, 2)


def test_what_the_caller_keeps_of_the_arguments_does_not_reach_into_the_session() -> None:
    metadata, tags = {"list": [1]}, ["a"]
    session = Session.new(agent_id="a", metadata=metadata, tags=tags)
    metadata["list"].append(2)
    tags.append("b")
    session.to_dict()["metadata"]["list"].append(3)
    assert (session.metadata, session.tags) == ({"list": [1]}, ["a"])


def test_two_sessions_share_no_default() -> None:
    Session.new(agent_id="a").metadata["key"] = 1
    assert Session.new(agent_id="a").metadata == {}


def test_fields_cannot_be_set() -> None:
    with pytest.raises(AttributeError):
        Session.new(agent_id="a").status = SessionStatus.ACTIVE  # type: ignore[misc]


def test_equal_sessions_have_equal_hashes() -> None:
    session = Session.new(agent_id="a", metadata={"a": [1]})
    twin = Session.from_dict(session.to_dict())
    assert len({session, twin, session.update_status("active")}) == 2


def test_ids_tell_what_they_are_and_sort_by_time() -> None:
    ids = [Session.new(agent_id="a").id for _ in range(50)]
    assert all(re.fullmatch(r"ses_[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", id) for id in ids)
    assert [id[:16] for id in ids] == sorted(id[:16] for id in ids)


def test_new_takes_no_unknown_argument() -> None:
    with pytest.raises(TypeError, match="colour"):
        Session.new(agent_id="a", colour="red")  # type: ignore[call-arg]


def test_times_are_aware_and_in_utc() -> None:
    there = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    session = Session.new(agent_id="a", now=there)
    assert session.created_at.tzinfo is UTC
    assert session.created_at == NOON <= session.updated_at


def test_a_repeated_tag_is_kept_once() -> None:
    assert Session.new(agent_id="a", tags=("b", "a", "b")).tags == ["b", "a"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""),
        ("id", " "),
        ("id", 7),
        ("id", "a\0b"),
        ("parent_session_id", 7),
        ("parent_session_id", ""),
        ("title", b"t"),
        ("title", " "),
        ("cwd", 7),
        ("cwd", "/tmp/\0"),
        ("metadata", []),
        ("metadata", "text"),
        ("context", [("a", 1)]),
        ("tags", "tag"),
        ("tags", {"a"}),
        ("tags", {"a": 1}),
        ("slots", 0),
        ("slots", True),
        ("slots", 1.0),
        ("queue_limit", -1),
        ("queue_limit", None),
    ],
)
def test_new_refuses_a_bad_value_and_names_its_field(field: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        Session.new(agent_id="a", **{field: value})
    assert (caught.value.code, caught.value.details["path"]) == ("validation_error", field)


@pytest.mark.parametrize("value", [NOON, Colour.RED, Decimal("0.1"), {1}, (1,), b"b", float("nan"), object()])
def test_metadata_refuses_what_json_would_change(value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        Session.new(agent_id="a", metadata={"outer": [{"inner": value}]})
    assert caught.value.details == {"path": "metadata.outer[0].inner"}


def test_a_session_is_not_its_own_parent() -> None:
    with pytest.raises(InvalidInput, match="parent_session_id"):
        Session.new(agent_id="a", id="ses_1", parent_session_id="ses_1")


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(InvalidInput, match="time zone"):
        Session.new(agent_id="a", now=datetime(2030, 1, 1))
    with pytest.raises(InvalidInput, match="time zone"):
        Session.new(agent_id="a").update_status("active", now=datetime(2030, 1, 1))


# --- beyond the reference: from a dict that somebody made -------------------------------------------------------------


@pytest.mark.parametrize("field", ["id", "agent_id", "status", "created_at", "updated_at"])
def test_from_dict_needs_every_required_field(field: str) -> None:
    value = Session.new(agent_id="a").to_dict()
    del value[field]
    for incomplete in (value, {**value, field: None}):
        with pytest.raises(InvalidInput, match=f"{field} is required") as caught:
            Session.from_dict(incomplete)
        assert (caught.value.code, caught.value.details) == ("validation_error", {"path": field})


@pytest.mark.parametrize("value", [None, [], "text", 5, b"{}"])
def test_from_dict_takes_nothing_but_a_dict(value: Any) -> None:
    with pytest.raises(InvalidInput, match="must be an object"):
        Session.from_dict(value)


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("created_at", "yesterday", "created_at"),
        ("created_at", 1_700_000_000, "created_at"),
        ("created_at", "2030-01-01T12:00:00", "created_at"),
        ("created_at", "0001-01-01T00:00:00+14:00", "created_at"),
        ("updated_at", "9999-12-31T23:59:59.999999Z", "updated_at"),
        ("deleted_at", "bad", "deleted_at"),
        ("metadata", None, "metadata"),
        ("metadata", {1: 2}, "metadata"),
        ("metadata", {"a": {2: 3}}, "metadata.a"),
        ("tags", None, "tags"),
        ("tags", ["a", 1], "tags[1]"),
        ("slots", True, "slots"),
        ("version", 0, "version"),
        ("title", 5, "title"),
        ("colour", "red", "colour"),
    ],
)
def test_from_dict_names_the_bad_field(field: str, value: Any, path: str) -> None:
    error = refused(**{field: value})
    assert (error.code, error.details["path"]) == ("validation_error", path)
    assert path in error.message


def test_from_dict_knows_an_unknown_status_from_a_bad_value() -> None:
    assert refused(status="sleeping").code == "invalid_status"
    assert refused(status=5).code == "validation_error"


def test_a_status_given_as_a_plain_word_becomes_the_status() -> None:
    session = Session(id="s", agent_id="a", created_at=NOON, updated_at=NOON, status="active")  # type: ignore[arg-type]
    assert session.status is SessionStatus.ACTIVE
