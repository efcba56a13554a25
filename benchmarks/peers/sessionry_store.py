"""Sessionry's store alone: appends under a lease, as a worker makes them, without the agent and the redaction."""

from __future__ import annotations

from worker import TEXT, Peer, main, role

from sessionry import events as ev
from sessionry.domain.queries import SessionFilter
from sessionry.domain.run import AgentFacts
from sessionry.domain.scope import Scope
from sessionry.domain.session import Session
from sessionry.ports import Appending, Delivery
from sessionry.store.open import open_store
from sessionry.store.operations import leases, listing, reading, runs, sessions

SCOPE = Scope()


class SessionryStore(Peer):
    async def open(self, sessions: int) -> None:
        self._store = await open_store(f"sqlite:///{self.place}/store.db")
        self._leases = [await self._lease() for _ in range(sessions)]
        self._after = [lease.seq for lease in self._leases]

    async def _lease(self) -> leases.Lease:
        created = await self._store.execute(sessions.create(SCOPE, Session.new(agent_id="bench")))
        queued = await self._store.execute(runs.submit(SCOPE, created.session_id, runs.Submission(input="go")))
        assert queued.run_id is not None
        delivery = Delivery(created.session_id, queued.run_id, 1)
        lease = await self._store.execute(leases.begin(delivery, "wrk_bench", AgentFacts(type="function")))
        assert lease is not None
        return lease

    async def append(self, session: int, number: int) -> None:
        await self._append(session, [_event(number)])

    async def fill(self, session: int, begin: int, count: int) -> None:
        for start in range(begin, begin + count, 500):
            await self._append(session, [_event(number) for number in range(start, min(start + 500, begin + count))])

    async def _append(self, session: int, events: list[ev.EventData]) -> None:
        lease = self._leases[session]
        seqs = await self._store.append(Appending(lease.run.id, lease.fence, self._after[session], events))
        self._after[session] = seqs[-1]

    async def load(self, session: int) -> int:
        lease, count = self._leases[session], 0
        after = lease.seq
        while page := await self._store.execute(reading.events(SCOPE, lease.session.id, after=after, limit=1000)):
            count, after = count + len(page), page[-1].seq
        return count

    async def sessions(self) -> int:
        count, cursor = 0, None
        while count == 0 or cursor is not None:
            page = await self._store.execute(listing.list_sessions(SCOPE, SessionFilter(), limit=1000, cursor=cursor))
            count, cursor = count + len(page.items), page.cursor
        return count

    async def close(self) -> None:
        await self._store.close()


def _event(number: int) -> ev.EventData:
    if role(number) == "assistant":
        return ev.MessageReceived(text=TEXT)
    return ev.CustomRecorded(name=role(number), value=TEXT)


if __name__ == "__main__":
    main(SessionryStore)
