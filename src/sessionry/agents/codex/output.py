"""Structured output: an answer is held against the JSON Schema that was asked for.

The model's server promises to keep to the schema, and not every server does. Checked is what such servers take at all:
types, enumerations, objects, lists, alternatives and references; other words of JSON Schema say nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from sessionry.domain.errors import AgentFailed
from sessionry.domain.json_values import Json

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def structured(text: str, schema: Mapping[str, Json]) -> Json:
    """The answer as a value. Raises `agent_misbehaved` when it is no JSON, or does not match."""
    try:
        value: Json = msgspec.json.decode(text.encode())
    except msgspec.DecodeError:
        raise _mismatch("is no JSON", text) from None
    if problem := _problem(value, schema, schema, "it"):
        raise _mismatch(problem, text)
    return value


def _problem(value: Any, schema: Any, root: Mapping[str, Json], path: str) -> str | None:
    """The first thing that does not match."""
    if not isinstance(schema, dict):
        return None
    if isinstance(reference := schema.get("$ref"), str):
        schema = _resolved(reference, root)
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(alternatives, list) and all(_problem(value, each, root, path) for each in alternatives):
        return f"{path} matches none of the alternatives"
    if "enum" in schema and value not in schema["enum"]:
        return f"{path} is {value!r}, not one of {schema['enum']}"
    if "const" in schema and value != schema["const"]:
        return f"{path} is {value!r}, not {schema['const']!r}"
    kinds = schema.get("type")
    if kinds is not None and not any(_is(value, kind) for kind in (kinds if isinstance(kinds, list) else [kinds])):
        return f"{path} is {value!r}, which is no {kinds}"
    if isinstance(value, dict):
        return _object_problem(value, schema, root, path)
    if isinstance(value, list):
        problems = (_problem(item, schema.get("items"), root, f"{path}[{n}]") for n, item in enumerate(value))
        return next(filter(None, problems), None)
    return None


def _object_problem(value: dict[str, Any], schema: Any, root: Mapping[str, Json], path: str) -> str | None:
    known = schema.get("properties") or {}
    if missing := [name for name in schema.get("required") or [] if name not in value]:
        return f"{path} lacks {missing[0]!r}"
    if schema.get("additionalProperties") is False and (odd := [name for name in value if name not in known]):
        return f"{path} has {odd[0]!r}, which the schema does not know"
    problems = (_problem(item, known.get(name), root, f"{path}.{name}") for name, item in value.items())
    return next(filter(None, problems), None)


def _resolved(reference: str, root: Any) -> Any:
    """What `#/$defs/name` names; anything, if it is not there."""
    found = root
    for name in reference.removeprefix("#").strip("/").split("/"):
        found = found.get(name) if isinstance(found, dict) and name else found
    return found if isinstance(found, dict) else {}


def _is(value: Any, kind: Any) -> bool:
    if isinstance(value, bool):
        return bool(kind == "boolean")
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(str(kind), (object,)))


def _mismatch(problem: str, text: str) -> AgentFailed:
    message = f"the answer does not match the output_schema: {problem}"
    return AgentFailed("agent_misbehaved", message, details={"answer": text[:4096]})
