"""What `Session`, `Run` and `Event` share: how a record is checked, copied and read back from a dict."""

from __future__ import annotations

import re
from datetime import MAXYEAR, UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from sessionry.domain.errors import InvalidInput
from sessionry.domain.json_values import text_value

T = TypeVar("T")
_PATH = re.compile(r"^(?P<problem>.*?)(?: - at (?:`key` in )?`\$\.?(?P<path>.*)`)?$", re.DOTALL)
_FIELD = re.compile(r"(?:unknown|required) field `(?P<name>.*)`$", re.DOTALL)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def utc_now() -> datetime:
    return datetime.now(UTC)


def later_than(previous: datetime, now: datetime | None = None) -> datetime:
    """`now`, but always later than `previous`, also when the clock was set back."""
    return max(utc(now, "now") if now else utc_now(), previous + _MICROSECOND)


def to_microseconds(at: datetime) -> int:
    """Whole microseconds since 1970-01-01 UTC; stores keep times like this."""
    return (at - _EPOCH) // _MICROSECOND


def from_microseconds(at: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at)


def utc(value: object, path: str) -> datetime:
    """An aware time, in UTC. A naive one is refused: nobody can know what it means.

    So is one at the very edge of the calendar, where the next moment does not exist.
    """
    if not isinstance(value, datetime):
        raise invalid(path, "must be a datetime")
    if value.tzinfo is None:
        raise invalid(path, "must have a time zone; use datetime.now(UTC)")
    try:
        at = value.astimezone(UTC)
    except OverflowError:
        raise invalid(path, "is out of range") from None
    if at.year == MAXYEAR:
        raise invalid(path, "is out of range")
    return at


def invalid(path: str, problem: str) -> InvalidInput:
    return InvalidInput("validation_error", f"{path} {problem}", details={"path": path})


def required_text(value: object, path: str) -> str:
    """A string with something in it besides white space, and without NUL, which PostgreSQL and paths cannot hold."""
    if value is None:
        raise invalid(path, "is required")
    text = text_value(value, path)
    if not text.strip():
        raise invalid(path, "cannot be empty")
    if "\0" in text:
        raise invalid(path, "cannot hold a NUL character")
    return text


def optional_text(value: object, path: str) -> str | None:
    return None if value is None else required_text(value, path)


def waiting_time(value: object, path: str) -> float | None:
    """Seconds that somebody is willing to wait; None: for ever. No time is left when it is not above 0."""
    if value is None:
        return None
    if type(value) not in (int, float) or value != value:
        raise invalid(path, f"must be a number of seconds, or None, not {value!r}")
    return float(value)  # type: ignore[arg-type]


def tag_list(value: object, path: str = "tags") -> list[str]:
    """A list of non-empty strings without repeats, in the order given."""
    if not isinstance(value, list | tuple):
        raise invalid(path, f"must be a list of strings, not {type(value).__name__}")
    tags = [required_text(tag, f"{path}[{index}]") for index, tag in enumerate(value)]
    return list(dict.fromkeys(tags))


def whole_number(value: object, path: str, smallest: int = 0) -> int:
    """An integer of at least `smallest`; True and False are none."""
    if type(value) is not int or value < smallest:
        raise invalid(path, f"must be a whole number of at least {smallest}, not {value!r}")
    return value


def convert(value: object, kind: type[T], what: str, *, prefix: str = "") -> T:
    """`value`, as it came from JSON, as a `kind`. Raises `validation_error` with the path of the first bad value.

    Paths begin with `prefix`; a problem of the whole value is one of `what`.
    """
    if not isinstance(value, dict):
        raise InvalidInput("validation_error", f"a {what} must be an object, not {type(value).__name__}")
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        problem, path = _located(str(error))
        path = ".".join(part for part in (prefix, path) if part) or what
        raise InvalidInput("validation_error", f"{path}: {problem}", details={"path": path}) from None


def _located(message: str) -> tuple[str, str]:
    """What a message of msgspec says, and the path that it says it of, which includes a missing or unknown field."""
    match = _PATH.match(message)
    problem, path = (match["problem"], match["path"] or "") if match else (message, "")
    if field := _FIELD.search(problem):
        path = f"{path}.{field['name']}" if path else field["name"]
    return problem, path


def require(value: object, fields: tuple[str, ...], what: str) -> dict[str, Any]:
    """`value` as an object in which each of `fields` is a non-empty string."""
    if not isinstance(value, dict):
        raise InvalidInput("validation_error", f"a {what} must be an object, not {type(value).__name__}")
    for field in fields:
        required_text(value.get(field), field)
    return value
