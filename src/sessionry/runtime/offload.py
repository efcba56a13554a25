"""Keeps the log slim: what is too big for an event goes into the blob store, and a preview stays."""

from __future__ import annotations

import msgspec

from sessionry.domain import events as ev
from sessionry.domain.codec import encode_json
from sessionry.domain.events import EventData
from sessionry.domain.json_values import Json
from sessionry.domain.run import ErrorInfo
from sessionry.ports import Blobs

#: Characters of JSON up to which nothing in an event can be too big.
SMALL = 8 * 1024
#: Bytes of a text in a tool's output that stay in the log; of any other text, `LARGEST_TEXT`: as JSON, which escapes, a
#: text of that size still fits into an event.
LARGEST_OUTPUT = 8 * 1024
LARGEST_TEXT = 512 * 1024
#: Characters of JSON that a value may have when all its big texts are gone.
LARGEST_VALUE = 1024 * 1024
#: Characters of a moved text that stay as its preview.
PREVIEW = 1024

_TEXT, _JSON = "text/plain; charset=utf-8", "application/json"


class Offload:
    """Moves big values out of events. `slimmed` gives the event back, with an `artifact_added` before it for each move."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def slimmed(self, data: EventData) -> list[EventData]:
        moved: list[EventData] = []
        changes: dict[str, Json] = {}
        for name in data.__struct_fields__:
            value = getattr(data, name)
            slim = await self._slim_field(data, name, value, moved)
            if slim is not value:
                changes[name] = slim
        return [*moved, msgspec.structs.replace(data, **changes)] if changes else [data]

    async def _slim_field(self, data: EventData, name: str, value: Json, moved: list[EventData]) -> Json:
        if name in data.json_fields:
            limit = LARGEST_OUTPUT if name == "tool_output" else LARGEST_TEXT
            slim = await self._slim_value(value, name, limit, moved)
            return [slim] if isinstance(data, ev.PlanUpdated) and isinstance(slim, dict) else slim
        if isinstance(value, str) and _is_big(value, LARGEST_TEXT):
            return await self._moved_text(value, name, moved)
        if isinstance(value, ErrorInfo) and len(encode_json(value)) > LARGEST_TEXT:
            return await self._slim_error(value, name, moved)
        return value

    async def _moved_text(self, text: str, name: str, moved: list[EventData]) -> str:
        hash, size = await self._move(text, name, _TEXT, moved)
        return f"{text[:PREVIEW]}\n[... {size:,} bytes in all, kept as the artifact {hash}]"

    async def _slim_error(self, error: ErrorInfo, name: str, moved: list[EventData]) -> ErrorInfo:
        message = error.message
        if _is_big(message, LARGEST_TEXT):
            message = await self._moved_text(message, f"{name}.message", moved)
        details = await self._slim_value(error.details, f"{name}.details", LARGEST_TEXT, moved)
        return msgspec.structs.replace(error, message=message, details=details)

    async def _slim_value(self, value: Json, name: str, limit: int, moved: list[EventData]) -> Json:
        """The same value with its big texts moved, wherever they are; if it is still too big, moved as a whole."""
        if isinstance(value, dict | list) and not _may_be_big(value, limit):
            slim = value
        else:
            slim = await self._slim_json(value, name, limit, moved)
        if isinstance(slim, dict | list) and len(text := encode_json(slim)) > LARGEST_VALUE:
            hash, size = await self._move(text, name, _JSON, moved)
            return {"preview": text[:PREVIEW], "artifact": hash, "size": size}
        return slim

    async def _slim_json(self, value: Json, name: str, limit: int, moved: list[EventData]) -> Json:
        if isinstance(value, str) and _is_big(value, limit):
            hash, size = await self._move(value, name, _TEXT, moved)
            return {"preview": value[:PREVIEW], "artifact": hash, "size": size}
        if isinstance(value, dict):
            return {key: await self._slim_json(item, f"{name}.{key}", limit, moved) for key, item in value.items()}
        if isinstance(value, list):
            return [await self._slim_json(item, f"{name}[{index}]", limit, moved) for index, item in enumerate(value)]
        return value

    async def _move(self, text: str, name: str, media_type: str, moved: list[EventData]) -> tuple[str, int]:
        blob = await self._blobs.put(text.encode())
        moved.append(ev.ArtifactAdded(hash=blob.hash, size=blob.size, name=name[:PREVIEW], media_type=media_type))
        return blob.hash, blob.size


def _is_big(text: str, limit: int) -> bool:
    return len(text) * 4 > limit and len(text.encode()) > limit


def _may_be_big(value: Json, limit: int) -> bool:
    """Whether some string in there may be over the limit."""
    if isinstance(value, str):
        return len(value) * 4 > limit
    if isinstance(value, dict):
        return any(_may_be_big(item, limit) for item in value.values())
    if isinstance(value, list):
        return any(_may_be_big(item, limit) for item in value)
    return False
