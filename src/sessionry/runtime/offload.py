"""Keeps the log slim: what is too big for an event goes into the blob store, and a preview stays."""

from __future__ import annotations

import msgspec

from sessionry.domain import events as ev
from sessionry.domain.events import EventData
from sessionry.domain.json_values import Json
from sessionry.ports import Blobs

#: Bytes of a tool's output that stay in the log; of any other text, `LARGEST_TEXT`.
LARGEST_OUTPUT = 8 * 1024
LARGEST_TEXT = 1024 * 1024
#: Characters of a moved text that stay as its preview.
PREVIEW = 1024


class Offload:
    """Moves big values out of events. `slimmed` gives the event back, with an `artifact_added` before it for each move."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def slimmed(self, data: EventData) -> list[EventData]:
        moved: list[EventData] = []
        changes: dict[str, Json] = {}
        for name in data.__struct_fields__:
            value = getattr(data, name)
            limit = LARGEST_OUTPUT if name == "tool_output" else LARGEST_TEXT
            if isinstance(value, str) and len(value) * 4 > limit and len(_bytes(value)) > limit:
                changes[name] = await self._moved_text(value, name, moved, as_text=name != "tool_output")
            elif name in data.json_fields and isinstance(value, dict | list) and _may_be_big(value, limit):
                changes[name] = await self._slim_json(value, name, limit, moved)
        if not changes:
            return [data]
        return [*moved, msgspec.structs.replace(data, **changes)]

    async def _moved_text(self, text: str, name: str, moved: list[EventData], *, as_text: bool) -> Json:
        blob = await self._blobs.put(_bytes(text))
        moved.append(
            ev.ArtifactAdded(hash=blob.hash, size=blob.size, name=name, media_type="text/plain; charset=utf-8")
        )
        if as_text:
            return f"{text[:PREVIEW]}\n[... {blob.size:,} bytes in all, kept as the artifact {blob.hash}]"
        return {"preview": text[:PREVIEW], "artifact": blob.hash, "size": blob.size}

    async def _slim_json(self, value: Json, name: str, limit: int, moved: list[EventData]) -> Json:
        """The same value with its big strings moved, wherever they are."""
        if isinstance(value, str):
            too_big = len(value) * 4 > limit and len(_bytes(value)) > limit
            return await self._moved_text(value, name, moved, as_text=False) if too_big else value
        if isinstance(value, dict):
            return {key: await self._slim_json(item, f"{name}.{key}", limit, moved) for key, item in value.items()}
        if isinstance(value, list):
            return [await self._slim_json(item, f"{name}[{index}]", limit, moved) for index, item in enumerate(value)]
        return value


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _may_be_big(value: Json, limit: int) -> bool:
    """Whether some string in there may be over the limit."""
    if isinstance(value, str):
        return len(value) * 4 > limit
    if isinstance(value, dict):
        return any(_may_be_big(item, limit) for item in value.values())
    if isinstance(value, list):
        return any(_may_be_big(item, limit) for item in value)
    return False
