"""langgraph: a checkpoint for each item, `AsyncSqliteSaver`, as a graph makes one after each step.

A checkpoint holds the whole state of the graph, here the list of its messages.
"""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from worker import TEXT, Peer, main, role


class LangGraph(Peer):
    async def open(self, sessions: int) -> None:
        self._opened = AsyncSqliteSaver.from_conn_string(f"{self.place}/checkpoints.db")
        self._saver = await self._opened.__aenter__()
        await self._saver.setup()
        self._messages: list[list[AnyMessage]] = [[] for _ in range(sessions)]
        self._configs: list[Any] = [
            {"configurable": {"thread_id": f"s{number}", "checkpoint_ns": ""}} for number in range(sessions)
        ]

    async def append(self, session: int, number: int) -> None:
        self._messages[session].append(_message(number))
        checkpoint = empty_checkpoint()
        checkpoint["id"] = str(uuid6(clock_seq=number))
        checkpoint["channel_values"] = {"messages": list(self._messages[session])}
        checkpoint["channel_versions"] = {"messages": number + 1}
        metadata: Any = {"source": "loop", "step": number}
        config = self._configs[session]
        self._configs[session] = await self._saver.aput(config, checkpoint, metadata, {"messages": number + 1})

    async def fill(self, session: int, begin: int, count: int) -> None:
        self._messages[session] += [_message(number) for number in range(begin, begin + count - 1)]
        await self.append(session, begin + count - 1)

    async def load(self, session: int) -> int:
        found = await self._saver.aget_tuple({"configurable": {"thread_id": f"s{session}", "checkpoint_ns": ""}})
        assert found is not None
        return len(found.checkpoint["channel_values"]["messages"])

    async def sessions(self) -> int:
        return len({found.config["configurable"]["thread_id"] async for found in self._saver.alist(None)})

    async def close(self) -> None:
        await self._opened.__aexit__(None, None, None)


def _message(number: int) -> AnyMessage:
    return (HumanMessage if role(number) == "user" else AIMessage)(content=TEXT, id=f"m{number}")


if __name__ == "__main__":
    main(LangGraph)
