"""A checkpointer of LangGraph that writes into our log, and reads it from there when a run begins.

A list that grows, as that of the messages does, is not written anew with every checkpoint: an entry has how many of its
elements stayed, and those that came. So the log of a long conversation grows with it, and not with its square.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import takewhile
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.memory import InMemorySaver

from sessionry.agents.frameworks.journal import Entry
from sessionry.domain.json_values import Json

CHECKPOINT, WRITES = "checkpoint", "writes"

Typed = tuple[str, bytes]
Record = Callable[[str, Json], Awaitable[None]]


class LogSaver(InMemorySaver):
    """Keeps one thread. `record` makes an entry durable."""

    def __init__(self, thread: str, entries: Iterable[Entry], record: Record) -> None:
        super().__init__()
        self._thread = thread
        self._record = record
        #: the newest elements of each list, by namespace and channel
        self._lists: dict[tuple[str, str], list[Typed]] = {}
        newest: dict[tuple[str, str], Any] = {}
        for entry in entries:
            if entry.kind == CHECKPOINT:
                self._load_checkpoint(entry.value, newest)
            elif entry.kind == WRITES:
                self._load_writes(entry.value)
        for (space, channel), version in newest.items():
            elements = [self.serde.loads_typed(element) for element in self._lists[space, channel]]
            self.blobs[(thread, space, channel, version)] = self.serde.dumps_typed(elements)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        made = self.put(config, checkpoint, metadata, new_versions)
        space, id = config["configurable"]["checkpoint_ns"], checkpoint["id"]
        kept, about, parent = self.storage[self._thread][space][id]
        values = checkpoint["channel_values"]
        value: Json = {
            "space": space,
            "id": id,
            "parent": parent,
            "checkpoint": _packed(kept),
            "metadata": _packed(about),
            "values": [
                [channel, version, self._value(space, channel, version, values.get(channel))]
                for channel, version in new_versions.items()
            ],
        }
        await self._record(CHECKPOINT, value)
        return made

    def _value(self, space: str, channel: str, version: Any, value: Any) -> Json:
        if not isinstance(value, list):
            self._lists.pop((space, channel), None)
            return _packed(self.blobs[(self._thread, space, channel, version)])
        elements = [self.serde.dumps_typed(element) for element in value]
        before = self._lists.get((space, channel), [])
        kept = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, elements, strict=False)))
        self._lists[space, channel] = elements
        return {"kept": kept, "new": [_packed(element) for element in elements[kept:]]}

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self.put_writes(config, writes, task_id, task_path)
        space, id = config["configurable"].get("checkpoint_ns", ""), config["configurable"]["checkpoint_id"]
        rows = self.writes[(self._thread, space, id)]
        value: Json = {
            "space": space,
            "id": id,
            "task": task_id,
            "path": task_path,
            "writes": [
                [index, channel, _packed(typed)]
                for (task, index), (_, channel, typed, _) in rows.items()
                if task == task_id
            ],
        }
        await self._record(WRITES, value)

    def _load_checkpoint(self, value: Any, newest: dict[tuple[str, str], Any]) -> None:
        space = value["space"]
        for channel, version, kept in value["values"]:
            if isinstance(kept, dict):
                elements = self._lists.get((space, channel), [])[: kept["kept"]]
                self._lists[space, channel] = [*elements, *map(_unpacked, kept["new"])]
                newest[space, channel] = version
            else:
                self.blobs[(self._thread, space, channel, version)] = _unpacked(kept)
        row = (_unpacked(value["checkpoint"]), _unpacked(value["metadata"]), value["parent"])
        self.storage[self._thread][space][value["id"]] = row

    def _load_writes(self, value: Any) -> None:
        rows = self.writes[(self._thread, value["space"], value["id"])]
        for index, channel, typed in value["writes"]:
            rows[(value["task"], index)] = (value["task"], channel, _unpacked(typed), value["path"])


def _packed(typed: Typed) -> Json:
    return [typed[0], base64.b64encode(typed[1]).decode()]


def _unpacked(value: Any) -> Typed:
    return value[0], base64.b64decode(value[1])
