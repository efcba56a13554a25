"""What of JSON Schema is checked, and what is refused because it could not be."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessionry.agents.models.schemas import Mismatch, is_strict, mismatch, output_of, parsed

jsonschema = pytest.importorskip("jsonschema")

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 2.0]) | st.sampled_from(["", "a", "abc"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=6,
)
TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")


def schemas(depth: int = 2) -> st.SearchStrategy[Any]:
    inner = schemas(depth - 1) if depth else st.just(True)
    many = st.lists(inner, min_size=1, max_size=2)
    keywords: dict[str, st.SearchStrategy[Any]] = {
        "type": st.sampled_from(TYPES) | st.lists(st.sampled_from(TYPES), min_size=1, max_size=2, unique=True),
        "enum": st.lists(VALUES, min_size=1, max_size=3),
        "const": VALUES,
        "minLength": st.integers(0, 2),
        "maxLength": st.integers(0, 2),
        "pattern": st.sampled_from(["^a", "c$"]),
        "minimum": st.integers(-2, 2),
        "exclusiveMaximum": st.integers(-2, 2),
        "multipleOf": st.sampled_from([2, 0.5]),
        "required": st.lists(st.sampled_from(["a", "b"]), unique=True),
        "properties": st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
        "additionalProperties": inner | st.booleans(),
        "minProperties": st.integers(0, 2),
        "items": inner,
        "prefixItems": many,
        "maxItems": st.integers(0, 2),
        "uniqueItems": st.booleans(),
        "anyOf": many,
        "oneOf": many,
        "allOf": many,
        "not": inner,
    }
    return st.dictionaries(st.sampled_from(sorted(keywords)), st.none(), max_size=3).flatmap(
        lambda chosen: st.fixed_dictionaries({name: keywords[name] for name in chosen})
    )


@given(schemas(), VALUES)
@settings(max_examples=200, deadline=None)
def test_it_judges_as_the_standard_does(schema: dict[str, Any], value: Any) -> None:
    judged = jsonschema.Draft202012Validator(schema).is_valid(value)
    assert (mismatch(value, schema) is None) == judged


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "patternProperties": {"^a": {}}},
        {"properties": {"a": {"if": {}}}},
        {"type": "thing"},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#/$defs/missing"},
        {"items": {"contains": {}}},
        {"anyOf": [3]},
    ],
)
def test_what_cannot_be_checked_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="could not be checked"):
        output_of(schema)


def test_references_are_followed_also_in_circles() -> None:
    tree = {"$defs": {"t": {"type": "object", "properties": {"next": {"$ref": "#/$defs/t"}}}}, "$ref": "#/$defs/t"}
    assert mismatch({"next": {"next": {}}}, tree) is None
    assert "the output.next.next must be object" in str(mismatch({"next": {"next": 3}}, tree))


class City(msgspec.Struct):
    name: str
    people: int = 0


def test_a_type_is_read_as_msgspec_reads_it() -> None:
    output = output_of(f"{__name__}:City")
    assert output.schema["properties"]["people"] == {"type": "integer", "default": 0}
    assert output.read('{"name": "Oslo"}') == {"name": "Oslo", "people": 0}
    with pytest.raises(Mismatch, match="Expected `int`"):
        output.read('{"name": "Oslo", "people": "x"}')


def test_a_type_of_pydantic_is_read_as_pydantic_reads_it() -> None:
    output = output_of(f"{__name__}:Town")
    assert output.read('{"name": "Oslo"}') == {"name": "Oslo"}
    with pytest.raises(Mismatch, match="name"):
        output.read("{}")


def __getattr__(name: str) -> Any:
    if name == "Town":
        pydantic = pytest.importorskip("pydantic")
        return pydantic.create_model("Town", name=(str, ...))
    raise AttributeError(name)


@pytest.mark.parametrize("text", ['{"a": 1}', '```json\n{"a": 1}\n```', '  ```\n{"a": 1}```\n'])
def test_json_may_come_in_a_block_of_markdown(text: str) -> None:
    assert parsed(text) == {"a": 1}


def test_only_closed_schemas_are_strict() -> None:
    closed = {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert is_strict(closed)
    assert not is_strict({**closed, "required": []})
    assert not is_strict({**closed, "properties": {"a": {"type": "object"}}})
    assert not is_strict({**closed, "additionalProperties": True})
    assert not is_strict({**closed, "properties": {"a": {"type": "integer", "default": 3}}})
