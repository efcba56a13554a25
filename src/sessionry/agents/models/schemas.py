"""The output that a model is asked for: its JSON Schema, and whether what came is of that form.

A schema is a JSON Schema object, or a type (`module:Type`) that msgspec, or the type itself (pydantic), can make one of.
Keywords that could not be checked are refused.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from sessionry.agents.entries import imported
from sessionry.domain.codec import NO_JSON, encode_json
from sessionry.domain.json_values import Json

#: Keywords that only describe.
NOTES = frozenset(
    ("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "format", "$schema", "$id")
) | {"$comment", "$defs", "definitions"}
#: What a schema that is no object is wrapped in, since providers want an object.
WRAPPED = "value"

_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: (
        (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())
    ),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


class Mismatch(Exception):
    """What came is not what was asked for; the message says where and why."""


class Output(NamedTuple):
    """A form of output. `schema` is what a provider is given; `read` takes what came, or raises `Mismatch`."""

    schema: dict[str, Json]
    read: Callable[[str], Json]


def output_of(given: dict[str, Json] | str) -> Output:
    """Raises `ValueError` saying what is wrong, and `invalid_configuration` for a type that is not there."""
    if isinstance(given, str):
        return _typed(imported(given))
    for keyword in _unknown(given):
        raise ValueError(f"has the keyword {keyword!r}, which could not be checked")
    return _wrapped(given, lambda value: _checked(value, given))


def _typed(kind: Any) -> Output:
    if inspect.isclass(kind) and hasattr(kind, "model_json_schema"):  # pydantic
        return _wrapped(kind.model_json_schema(), lambda value: _by_pydantic(kind, value))
    try:
        schema = inlined(msgspec.json.schema(kind))
    except TypeError as error:
        raise ValueError(f"is no type that a JSON Schema can be made of: {error}") from None
    return _wrapped(schema, lambda value: _by_msgspec(kind, value))


def _by_msgspec(kind: Any, value: Json) -> Json:
    try:
        return msgspec.to_builtins(msgspec.convert(value, kind))
    except msgspec.ValidationError as error:
        raise Mismatch(str(error)) from None


def _by_pydantic(kind: Any, value: Json) -> Json:
    try:
        return kind.model_validate(value).model_dump(mode="json")
    except ValueError as error:
        raise Mismatch(str(error)) from None


def _checked(value: Json, schema: dict[str, Json]) -> Json:
    if problem := mismatch(value, schema):
        raise Mismatch(problem)
    return value


def _wrapped(schema: dict[str, Json], check: Callable[[Json], Json]) -> Output:
    is_object = schema.get("type") == "object" or "properties" in schema
    if is_object or not schema:
        return Output(schema or {"type": "object"}, lambda text: check(parsed(text)))
    definitions: dict[str, Json] = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
    inner = {name: value for name, value in schema.items() if name not in definitions}
    outer: dict[str, Json] = {
        "type": "object",
        "properties": {WRAPPED: inner},
        "required": [WRAPPED],
        "additionalProperties": False,
        **definitions,
    }

    def read(text: str) -> Json:
        value = parsed(text)
        return check(value[WRAPPED] if isinstance(value, dict) and set(value) == {WRAPPED} else value)

    return Output(outer, read)


def parsed(text: str) -> Json:
    """The JSON that a model wrote, also when it put it into a block of Markdown. Raises `Mismatch`."""
    fenced = re.fullmatch(r"\s*```(?:json)?\s*\n(.*?)\n?```\s*", text, re.DOTALL)
    try:
        return msgspec.json.decode(fenced[1] if fenced else text)
    except NO_JSON as error:
        raise Mismatch(f"it is no JSON: {error}") from None


def inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its root in place, where msgspec has a reference to it."""
    reference = schema.get("$ref", "")
    if not reference.startswith("#/$defs/"):
        return schema
    definitions = dict(schema["$defs"])
    name = reference.removeprefix("#/$defs/")
    root: dict[str, Any] = definitions[name]
    if reference not in encode_json([definitions]):  # it does not contain itself
        del definitions[name]
    return root | ({"$defs": definitions} if definitions else {})


def is_strict(schema: Json) -> bool:
    """Whether OpenAI's strict mode takes it: every object closed, every property required, nothing it does not know."""
    if isinstance(schema, list):
        return all(map(is_strict, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        properties = schema.get("properties", {})
        if schema.get("additionalProperties") is not False or set(schema.get("required", ())) != set(properties):
            return False
    if {"default", "allOf", "oneOf", "not"} & set(schema) and "type" in schema:
        return False
    nested = [value for name, value in schema.items() if name not in ("properties", "$defs", "enum", "const")]
    named = [item for name in ("properties", "$defs") for item in schema.get(name, {}).values()]
    return all(is_strict(value) for value in [*nested, *named] if isinstance(value, dict | list))


# --- checking ---------------------------------------------------------------------------------------------------------


def mismatch(value: Json, schema: Json) -> str | None:
    """Where and why `value` is not of the schema; None when it is."""
    return next(_problems(value, schema, schema, "the output"), None)


def _problems(value: Json, schema: Json, root: Json, path: str) -> Iterator[str]:
    if schema is True or schema is False:
        if not schema:
            yield f"{path} is not allowed"
        return
    if "$ref" in schema:
        yield from _problems(value, _referred(schema["$ref"], root), root, path)
    if (kinds := schema.get("type")) is not None:
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if not any(_KINDS[kind](value) for kind in kinds):
            yield f"{path} must be {' or '.join(kinds)}, not {encode_json(value)[:80]}"
            return
    if "enum" in schema and not any(_same(value, one) for one in schema["enum"]):
        yield f"{path} must be one of {encode_json(schema['enum'])}, not {encode_json(value)[:80]}"
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{path} must be {encode_json(schema['const'])}"
    yield from _combined(value, schema, root, path)
    if isinstance(value, str):
        yield from _of_text(value, schema, path)
    elif isinstance(value, dict):
        yield from _of_object(value, schema, root, path)
    elif isinstance(value, list):
        yield from _of_array(value, schema, root, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _of_number(value, schema, path)


def _combined(value: Json, schema: dict[str, Any], root: Json, path: str) -> Iterator[str]:
    for each in schema.get("allOf", ()):
        yield from _problems(value, each, root, path)
    for name, most in (("anyOf", math.inf), ("oneOf", 1)):
        if name in schema:
            found = [next(_problems(value, each, root, path), None) for each in schema[name]]
            if all(found):
                yield str(found[0])
            elif found.count(None) > most:
                yield f"{path} fits more than one of the alternatives"
    if "not" in schema and next(_problems(value, schema["not"], root, path), None) is None:
        yield f"{path} has a form that is excluded"


def _of_text(value: str, schema: dict[str, Any], path: str) -> Iterator[str]:
    if len(value) < schema.get("minLength", 0) or len(value) > schema.get("maxLength", math.inf):
        yield f"{path} has {len(value)} characters"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{path} does not match {schema['pattern']}"


def _of_number(value: float, schema: dict[str, Any], path: str) -> Iterator[str]:
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    above, below = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)
    if not (low <= value <= high and above < value < below):
        yield f"{path} is {value}, which is out of range"
    if (step := schema.get("multipleOf")) and abs(value / step - round(value / step)) > 1e-9:
        yield f"{path} is no multiple of {step}"


def _of_object(value: dict[str, Any], schema: dict[str, Any], root: Json, path: str) -> Iterator[str]:
    properties, rest = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{path}.{name} is missing"
    for name, item in value.items():
        if name in properties:
            yield from _problems(item, properties[name], root, f"{path}.{name}")
        elif rest is False:
            yield f"{path}.{name} is not known"
        else:
            yield from _problems(item, rest, root, f"{path}.{name}")
    if not schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", math.inf):
        yield f"{path} has {len(value)} properties"


def _of_array(value: list[Any], schema: dict[str, Any], root: Json, path: str) -> Iterator[str]:
    first = schema.get("prefixItems", [])
    for index, item in enumerate(value):
        kind = first[index] if index < len(first) else schema.get("items", True)
        yield from _problems(item, kind, root, f"{path}[{index}]")
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf):
        yield f"{path} has {len(value)} items"
    if schema.get("uniqueItems") and any(_same(one, other) for n, one in enumerate(value) for other in value[:n]):
        yield f"{path} has items that are the same"


def _same(one: Json, other: Json) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _referred(reference: str, root: Json) -> Json:
    found = root
    for name in reference.removeprefix("#").split("/")[1:]:
        found = found[name.replace("~1", "/").replace("~0", "~")]
    return found


# --- what can be checked ----------------------------------------------------------------------------------------------

_PLAIN = frozenset(
    ("type", "enum", "const", "required", "minLength", "maxLength", "pattern", "minimum", "maximum", "multipleOf")
) | {"exclusiveMinimum", "exclusiveMaximum", "minProperties", "maxProperties", "minItems", "maxItems", "uniqueItems"}
_ONE, _MANY, _NAMED = ("items", "additionalProperties", "not"), ("anyOf", "oneOf", "allOf", "prefixItems"), "properties"


def _unknown(schema: Json, root: Json = None) -> Iterator[str]:
    """The keywords that are not known here, with references to nowhere and types that do not exist."""
    root = schema if root is None else root
    if not isinstance(schema, dict):
        if not isinstance(schema, bool):
            yield encode_json(schema)[:80]
        return
    known = NOTES | _PLAIN | {"$ref", _NAMED, *_ONE, *_MANY}
    yield from (name for name in schema if name not in known)
    if "$ref" in schema and not _leads_somewhere(schema["$ref"], root):
        yield f"$ref: {schema['$ref']}"
    kinds = schema.get("type", [])
    yield from (f"type: {kind}" for kind in (kinds if isinstance(kinds, list) else [kinds]) if kind not in _KINDS)
    nested = [schema[name] for name in _ONE if name in schema]
    nested += [item for name in _MANY for item in schema.get(name, ())]
    nested += [item for name in (_NAMED, "$defs", "definitions") for item in schema.get(name, {}).values()]
    for item in nested:
        yield from _unknown(item, root)


def _leads_somewhere(reference: Any, root: Json) -> bool:
    if not isinstance(reference, str) or not reference.startswith("#"):
        return False
    try:
        _referred(reference, root)
    except (LookupError, TypeError, AttributeError):
        return False
    return True
