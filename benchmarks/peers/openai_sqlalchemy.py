"""openai-agents: `SQLAlchemySession`, one engine for all sessions: a SQLite file, or the database of a URL."""

from __future__ import annotations

from typing import Any

from agents.extensions.memory import SQLAlchemySession
from sqlalchemy.ext.asyncio import create_async_engine
from worker import TEXT, Peer, main, role


class OpenAiSqlAlchemy(Peer):
    async def open(self, sessions: int) -> None:
        url = self.place if "://" in self.place else f"sqlite+aiosqlite:///{self.place}/sessions.db"
        self._engine = create_async_engine(url)
        self._sessions = [
            SQLAlchemySession(f"s{number}", engine=self._engine, create_tables=True) for number in range(sessions)
        ]
        await self._sessions[0].get_items()  # the tables are there before all ask for them at once

    async def append(self, session: int, number: int) -> None:
        await self._sessions[session].add_items([_item(number)])

    async def fill(self, session: int, begin: int, count: int) -> None:
        await self._sessions[session].add_items([_item(number) for number in range(begin, begin + count)])

    async def load(self, session: int) -> int:
        return len(await self._sessions[session].get_items())

    async def close(self) -> None:
        await self._engine.dispose()


def _item(number: int) -> Any:
    return {"role": role(number), "content": TEXT}


if __name__ == "__main__":
    main(OpenAiSqlAlchemy)
