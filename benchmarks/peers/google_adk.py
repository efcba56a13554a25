"""google-adk: `DatabaseSessionService` on a SQLite file."""

from __future__ import annotations

from google.adk.events import Event
from google.adk.sessions import DatabaseSessionService
from google.genai import types
from worker import TEXT, Peer, main, role

APP, USER = "bench", "user"


class GoogleAdk(Peer):
    async def open(self, sessions: int) -> None:
        self._service = DatabaseSessionService(f"sqlite+aiosqlite:///{self.place}/sessions.db")
        self._sessions = [
            await self._service.create_session(app_name=APP, user_id=USER, session_id=f"s{number}")
            for number in range(sessions)
        ]

    async def append(self, session: int, number: int) -> None:
        author = "user" if role(number) == "user" else "agent"
        content = types.Content(role="user" if author == "user" else "model", parts=[types.Part(text=TEXT)])
        event = Event(author=author, invocation_id=f"i{number // 4}", content=content)
        await self._service.append_event(self._sessions[session], event)

    async def load(self, session: int) -> int:
        found = await self._service.get_session(app_name=APP, user_id=USER, session_id=f"s{session}")
        assert found is not None
        return len(found.events)

    async def sessions(self) -> int:
        return len((await self._service.list_sessions(app_name=APP, user_id=USER)).sessions)

    async def close(self) -> None:
        await self._service.close()


if __name__ == "__main__":
    main(GoogleAdk)
