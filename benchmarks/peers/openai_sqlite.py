"""openai-agents: `SQLiteSession`, one file."""

from __future__ import annotations

from typing import Any

from worker import TEXT, Peer, main, role

from agents import SQLiteSession


class OpenAiSqlite(Peer):
    async def open(self, sessions: int) -> None:
        self._sessions = [SQLiteSession(f"s{number}", f"{self.place}/sessions.db") for number in range(sessions)]

    async def append(self, session: int, number: int) -> None:
        await self._sessions[session].add_items([_item(number)])

    async def fill(self, session: int, begin: int, count: int) -> None:
        await self._sessions[session].add_items([_item(number) for number in range(begin, begin + count)])

    async def load(self, session: int) -> int:
        return len(await self._sessions[session].get_items())

    async def close(self) -> None:
        for session in self._sessions:
            session.close()


def _item(number: int) -> Any:
    return {"role": role(number), "content": TEXT}


if __name__ == "__main__":
    main(OpenAiSqlite)
