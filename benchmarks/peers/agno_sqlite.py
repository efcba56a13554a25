"""agno: `SqliteDb`, a run with one message for each item, saved when it is there."""

from __future__ import annotations

from agno.db.base import SessionType
from agno.db.sqlite import SqliteDb
from agno.models.message import Message
from agno.run.agent import RunOutput
from agno.session.agent import AgentSession
from worker import TEXT, Peer, main, role

AGENT = "bench"


class Agno(Peer):
    async def open(self, sessions: int) -> None:
        self._db = SqliteDb(db_file=f"{self.place}/agno.db")
        for number in range(sessions):
            self._db.upsert_session(AgentSession(session_id=f"s{number}", agent_id=AGENT))

    async def append(self, session: int, number: int) -> None:
        run = RunOutput(
            run_id=f"s{session}r{number}",
            agent_id=AGENT,
            session_id=f"s{session}",
            content=TEXT,
            messages=[Message(role=role(number), content=TEXT)] if role(number) == "user" else None,
        )
        self._db.upsert_run(run, f"s{session}", run_index=number)

    async def load(self, session: int) -> int:
        found = self._db.get_session(f"s{session}", SessionType.AGENT)
        assert isinstance(found, AgentSession)
        return len(found.runs or ())

    async def sessions(self) -> int:
        return len(self._db.get_sessions(SessionType.AGENT, include_runs=False))

    async def close(self) -> None:
        self._db.close()


if __name__ == "__main__":
    main(Agno)
