"""The door for JSON: what comes back unchanged passes, all else is refused with its path."""

from __future__ import annotations

import enum
import json
from collections import OrderedDict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from hypothesis import given

from sessionry.domain.codec import decode_json, encode_json
from sessionry.domain.errors import InvalidInput
from sessionry.domain.json_values import MAX_DEPTH, json_object, json_value, text_value

from .strategies import json_objects, json_values


class Word(enum.StrEnum):
    YES = "yes"


class Pair(NamedTuple):
    left: int


class Text(str):
    __slots__ = ()


def nested(levels: int, inner: Any = None) -> Any:
    value = inner
    for _ in range(levels):
        value = [value]
    return value


REFUSED: dict[str, Any] = {
    "datetime": datetime(2030, 1, 1, tzinfo=UTC),
    "date": date(2030, 1, 1),
    "timedelta": timedelta(1),
    "decimal": Decimal("0.1"),
    "uuid": uuid4(),
    "path": Path("a"),
    "enum": Word.YES,
    "bytes": b"b",
    "bytearray": bytearray(b"b"),
    "set": {1},
    "frozenset": frozenset(),
    "tuple": (1,),
    "named tuple": Pair(1),
    "ordered dict": OrderedDict(a=1),
    "subclass of str": Text("t"),
    "iterator": iter(()),
    "complex": 1j,
    "nan": float("nan"),
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "integer over 64 bits": 2**64,
    "integer under 64 bits": -(2**63) - 1,
    "lone high surrogate": "a\ud800",
    "lone low surrogate": "\udfffb",
    "object": object(),
    "class": int,
    "ellipsis": ...,
}

UNCHANGED: dict[str, Any] = {
    "null": None,
    "true": True,
    "zero": 0,
    "largest integer": 2**64 - 1,
    "smallest integer": -(2**63),
    "beyond doubles": 2**53 + 1,
    "small float": 5e-324,
    "large float": 1.7976931348623157e308,
    "float of many digits": 0.1 + 0.2,
    "negative zero": -0.0,
    "empty": "",
    "nul": "a\0b",
    "control characters": "\x01\x1f\x7f\x85\u2028\u2029",
    "emoji and astral": "👩‍👩‍👧 \U0001d518 \U0010ffff",
    "composed and decomposed": ["é", "e\u0301"],
    "right to left": "שלום \u202e",
    "byte order mark": "\ufeff",
    "noncharacter": "\uffff",
    "keys": {"": 1, "\0": 2, "a.b": 3, "[0]": 4, "é": 5, "e\u0301": 6},
    "nulls": {"a": None, "b": [None, {"c": None}]},
    "empties": [[], {}, ""],
    "deepest": nested(MAX_DEPTH),
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_what_json_would_change_is_refused_with_its_path(value: Any) -> None:
    for shape, path in ((value, "metadata"), ([value], "metadata[0]"), ({"a": [0, {"b": value}]}, "metadata.a[1].b")):
        with pytest.raises(InvalidInput) as caught:
            json_value(shape, "metadata")
        assert caught.value.code == "validation_error"
        assert caught.value.details == {"path": path}
        assert caught.value.message.startswith(path)


@pytest.mark.parametrize("value", UNCHANGED.values(), ids=UNCHANGED)
def test_what_json_holds_comes_back_unchanged_from_both_codecs(value: Any) -> None:
    kept = json_value(value, "metadata")
    for back in (json.loads(json.dumps(kept)), decode_json(encode_json(kept))):
        assert back == value
        assert repr(back) == repr(value)  # 1 is not True, -0.0 is not 0.0


@given(json_values)
def test_any_json_comes_back_unchanged_from_both_codecs(value: Any) -> None:
    kept = json_value(value, "x")
    assert json.loads(json.dumps(kept)) == value
    assert repr(decode_json(encode_json(kept))) == repr(value)


@given(json_objects)
def test_an_object_is_copied_whole(value: Any) -> None:
    assert json_object(value, "x") == value


@pytest.mark.parametrize("key", [1, None, True, 1.5, (1,), b"a", Word.YES])
def test_a_key_is_a_string(key: Any) -> None:
    with pytest.raises(InvalidInput, match=r"metadata\.a has the key .*, which is not a string"):
        json_object({"a": {key: 1}}, "metadata")


def test_a_key_holds_no_lone_surrogate_and_the_message_can_still_be_printed() -> None:
    with pytest.raises(InvalidInput) as caught:
        json_object({"a\udc80": 1}, "metadata")
    assert str(caught.value).encode()
    assert json.dumps(caught.value.to_dict()).encode()
    assert caught.value.details == {"path": "metadata.a\\udc80"}


def test_the_copy_is_deep() -> None:
    inner: list[Any] = [1]
    value = {"a": {"b": inner}}
    kept = json_object(value, "x")
    inner.append(2)
    assert kept == {"a": {"b": [1]}}


def test_nesting_ends_somewhere() -> None:
    with pytest.raises(InvalidInput, match="nested deeper than"):
        json_value(nested(MAX_DEPTH + 1), "x")


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    with pytest.raises(InvalidInput, match="nested deeper than"):
        json_object(loop, "x")


@pytest.mark.parametrize("value", [None, [], "text", 5, (1,)])
def test_an_object_is_nothing_else(value: Any) -> None:
    with pytest.raises(InvalidInput, match="x must be an object, not"):
        json_object(value, "x")


@pytest.mark.parametrize("value", [None, 5, True, b"b", ["a"]])
def test_text_is_nothing_else(value: Any) -> None:
    with pytest.raises(InvalidInput, match="x must be a string, not"):
        text_value(value, "x")


def test_text_may_hold_nul_but_no_lone_surrogate() -> None:
    assert text_value("a\0é", "x") == "a\0é"
    with pytest.raises(InvalidInput, match="lone surrogate"):
        text_value("a\ud83d", "x")
