"""Every way of saying no: what follows from each code, and that errors survive a trip between processes."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from sessionry.domain import errors
from sessionry.domain.errors import (
    CODES,
    Conflict,
    Exhausted,
    Fenced,
    InvalidInput,
    InvalidTransition,
    NotFound,
    SessionryError,
    StoreFailed,
    Timeout,
)

CATEGORIES = {"input", "access", "not_found", "conflict", "limit", "agent", "store", "environment", "internal"}
RETRYABLE = {
    "idempotency_in_flight",
    "stale_version",
    "stale_sequence",
    "queue_full",
    "too_many_sessions",
    "too_many_requests",
    "agent_unavailable",
    "rate_limited",
    "overloaded",
    "stalled",
    "crashed",
    "worker_lost",
    "timeout",
    "store_unavailable",
    "store_full",
}
CLASSES = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SessionryError)
]  # in the order of the module

EXAMPLES: list[SessionryError] = [
    SessionryError("internal_error", "boom", details={"a": [1, {"b": None}]}),
    InvalidInput("validation_error", "title cannot be empty", details={"path": "title"}),
    NotFound("session_not_found", "there is no session ses_1", details={"session_id": "ses_1"}, retryable=True),
    Conflict("already_exists", "again"),
    InvalidTransition("run", "pending", "completed", ["running", "cancelled"]),
    Fenced("the lease is over", run_id="run_1", fence=3),
    Exhausted("queue_full", "100 runs wait already"),
    errors.AgentFailed("command_failed", "exit code 1"),
    StoreFailed("store_full", "no space left"),
    Timeout("nothing came in 5 s", seconds=5),
]


@pytest.mark.parametrize("code", CODES)
def test_everything_follows_from_the_code(code: str) -> None:
    error = SessionryError(code, "a sentence")
    assert error.category in CATEGORIES
    assert error.retryable is (code in RETRYABLE)
    assert 400 <= error.http_status < 600
    assert error.exit_code in range(1, 8)


@pytest.mark.parametrize("code", CODES)
def test_the_status_the_exit_code_and_the_category_agree(code: str) -> None:
    category, _, http_status, exit_code = CODES[code]
    expected = {"input": 2, "not_found": 5, "store": 7, "environment": 7, "internal": 1}
    assert exit_code == expected.get(category, exit_code)
    assert (http_status in (404, 410)) == (category == "not_found")
    assert (http_status >= 500) == (category in {"agent", "store", "environment", "internal"}) or code == "cancelled"


def test_the_exit_codes_that_scripts_rely_on() -> None:
    codes = ("agent_failed", "validation_error", "cancelled", "timeout", "run_not_found", "fenced", "store_failed")
    assert [CODES[code].exit_code for code in codes] == [1, 2, 3, 4, 5, 6, 7]


def test_a_code_outside_the_table_is_a_mistake_of_the_programmer() -> None:
    with pytest.raises(LookupError, match="made_up"):
        SessionryError("made_up", "x")


def test_an_error_may_know_better_whether_it_can_be_retried() -> None:
    assert SessionryError("store_failed", "x").retryable is False
    assert SessionryError("store_failed", "x", retryable=True).retryable is True


def test_an_error_shows_its_code_and_its_sentence() -> None:
    assert str(NotFound("run_not_found", "there is no run run_1")) == "[run_not_found] there is no run run_1"


def test_to_dict_is_what_clients_are_shown() -> None:
    error = InvalidInput("validation_error", "title cannot be empty", details={"path": "title"})
    assert json.loads(json.dumps(error.to_dict())) == {
        "code": "validation_error",
        "message": "title cannot be empty",
        "retryable": False,
        "details": {"path": "title"},
    }


def test_details_are_empty_unless_they_are_given() -> None:
    assert SessionryError("internal_error", "x").details == {}


def test_examples_cover_every_class() -> None:
    assert {type(error) for error in EXAMPLES} == set(CLASSES)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("copied", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])
def test_every_error_survives_a_copy(error: SessionryError, copied: Any) -> None:
    twin = copied(error)
    assert type(twin) is type(error)
    assert twin.to_dict() == error.to_dict()
    assert str(twin) == str(error)
    assert (twin.category, twin.exit_code, twin.http_status) == (error.category, error.exit_code, error.http_status)


def test_one_class_catches_all() -> None:
    assert all(issubclass(kind, SessionryError) for kind in CLASSES)
    assert issubclass(InvalidTransition, Conflict)
    assert issubclass(Fenced, Conflict)


def test_a_timeout_of_waiting_is_no_asyncio_timeout() -> None:
    assert not issubclass(Timeout, TimeoutError)


def test_an_invalid_transition_says_what_is_possible() -> None:
    error = InvalidTransition("session", "paused", "completed", ["active", "failed"])
    assert error.message == "a paused session cannot become completed; it may become active, failed"
    ended = InvalidTransition("run", "completed", "running", [])
    assert ended.message == "a completed run cannot become running; it may become nothing: a completed run has ended"


def test_being_fenced_is_never_to_be_retried() -> None:
    error = Fenced("the lease is over", run_id="run_1", fence=3)
    assert (error.code, error.retryable, error.details) == ("fenced", False, {"run_id": "run_1", "fence": 3})


def test_the_cause_is_kept() -> None:
    cause = OSError("disk")
    with pytest.raises(StoreFailed) as caught:
        raise StoreFailed("store_failed", "the disk failed") from cause
    assert caught.value.__cause__ is cause
