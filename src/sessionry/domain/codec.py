"""How payloads become bytes and come back: JSON by msgspec, a schema version beside it, upcasters at read.

A payload is written in today's schema and never rewritten. Reading an older one runs the upcasters of its type, one
version at a time; golden samples of every released version are kept in the tests for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import msgspec

from sessionry.domain import records
from sessionry.domain.errors import InvalidInput, StoreFailed
from sessionry.domain.events import EVENT_TYPES, SCHEMA_VERSION, EventData, Unknown
from sessionry.domain.json_values import Json

Upcaster = Callable[[dict[str, Json]], dict[str, Json]]

#: (event type, schema version it was written in) -> the change that brings its payload to the next version.
#: A type without an entry did not change in that version.
UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}

#: What decoding raises for what is no JSON: also for bytes that are no UTF-8, and where it is nested too deep.
NO_JSON = (msgspec.DecodeError, UnicodeError, RecursionError)

_encoder = msgspec.json.Encoder(decimal_format="string")


@cache
def _decoder(type: str) -> msgspec.json.Decoder[EventData]:
    """Made when it is first needed, since making them all takes long."""
    return msgspec.json.Decoder(EVENT_TYPES[type])


def encode_payload(data: EventData) -> str:
    """The payload as JSON text. Its free fields must have passed `events.checked`."""
    try:
        return _encoder.encode(data.fields if isinstance(data, Unknown) else data).decode()
    except UnicodeEncodeError:
        path = f"data of {data.type}"
        raise InvalidInput("validation_error", f"{path} holds a lone surrogate", details={"path": path}) from None


def decode_payload(type: str, text: str, version: int = SCHEMA_VERSION) -> EventData:
    """The payload that `encode_payload` wrote. Raises `store_corrupt` when it cannot be read."""
    try:
        if type in EVENT_TYPES and version == SCHEMA_VERSION:
            return _decoder(type).decode(text)
        return payload_from_builtins(type, msgspec.json.decode(text), version)
    except (msgspec.DecodeError, InvalidInput) as error:
        raise StoreFailed(
            "store_corrupt", f"a stored {type} event cannot be read: {error}; run `sessionry doctor`"
        ) from error


def payload_from_builtins(type: str, fields: dict[str, Json], version: int) -> EventData:
    """The payload from its fields, upgraded from `version`. A type or version of the future becomes `Unknown`."""
    kind = EVENT_TYPES.get(type)
    if kind is None or version > SCHEMA_VERSION:
        return Unknown(name=type, fields=fields)
    for step in range(version, SCHEMA_VERSION):
        if change := UPCASTERS.get((type, step)):
            fields = change(fields)
    return records.convert(fields, kind, f"data of {type}", prefix="data")


def encode_json(value: Any) -> str:
    """Any JSON value or struct as compact JSON text."""
    return _encoder.encode(value).decode()


def decode_json(text: str) -> Any:
    return msgspec.json.decode(text)
