"""The door for JSON values that callers bring: what JSON cannot hold unchanged is refused, with the path of the bad value.

Refused are dates, bytes, sets, tuples, NaN and infinities, integers outside -2**63 ... 2**64 - 1 (the range that the codec
reads back unchanged), keys that are not strings, lone surrogates, and nesting deeper than `MAX_DEPTH`.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

from sessionry.domain.errors import InvalidInput

#: What JSON can hold: None, bool, int, float, str, list and dict with string keys, nested.
Json: TypeAlias = Any

MAX_DEPTH = 200
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1


def json_value(value: Json, path: str) -> Json:
    """A deep copy of `value`, so that nobody can change it afterwards. Raises `validation_error` naming the path."""
    return _copy(value, path, 0)


def json_object(value: Json, path: str) -> dict[str, Json]:
    """Like `json_value`, for a value that must be an object."""
    if not isinstance(value, dict):
        raise _refused(path, f"must be an object, not {_name(value)}")
    copied: dict[str, Json] = _copy(value, path, 0)
    return copied


def text_value(value: object, path: str) -> str:
    """A string that UTF-8 can hold. NUL is allowed: JSON escapes it."""
    if not isinstance(value, str):
        raise _refused(path, f"must be a string, not {_name(value)}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _refused(path, "holds a lone surrogate, which is no character and cannot be stored") from None
    return value


def _copy(value: Json, path: str, depth: int) -> Json:
    if value is None or value is True or value is False:
        return value
    kind = type(value)
    if kind is str:
        return text_value(value, path)
    if kind is int:
        if not _SMALLEST <= value <= _LARGEST:
            raise _refused(path, "is an integer of more than 64 bits; store it as a string")
        return value
    if kind is float:
        if not math.isfinite(value):
            raise _refused(path, f"is {value}, which JSON does not have; use null or a string")
        return value
    if depth >= MAX_DEPTH:
        raise _refused(path, f"is nested deeper than {MAX_DEPTH} levels")
    if kind is dict:
        return {_key(key, path): _copy(item, f"{path}.{key}", depth + 1) for key, item in value.items()}
    if kind is list:
        return [_copy(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    raise _refused(path, f"is a {_name(value)}, which JSON cannot hold unchanged; convert it first")


def _key(key: object, path: str) -> str:
    if type(key) is not str:
        raise _refused(path, f"has the key {key!r}, which is not a string")
    return text_value(key, f"{path}.{key}")


def _name(value: object) -> str:
    return "null" if value is None else type(value).__name__


def _refused(path: str, problem: str) -> InvalidInput:
    shown = path.encode("utf-8", "backslashreplace").decode()
    return InvalidInput("validation_error", f"{shown} {problem}", details={"path": shown})
