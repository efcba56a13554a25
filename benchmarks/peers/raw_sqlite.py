"""Plain sqlite3, one table, one index, one commit for each item: the limit of the storage without groups."""

from __future__ import annotations

import sqlite3

from worker import TEXT, Peer, main, role


class RawSqlite(Peer):
    async def open(self, sessions: int) -> None:
        self._connection = sqlite3.connect(f"{self.place}/raw.db", isolation_level=None)
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("pragma synchronous = full")
        self._connection.execute(
            "create table item (id integer primary key, session integer, number integer, role text, data text)"
        )
        self._connection.execute("create unique index item_number on item (session, number)")

    async def append(self, session: int, number: int) -> None:
        self._connection.execute(_INSERT, (session, number, role(number), TEXT))

    async def fill(self, session: int, begin: int, count: int) -> None:
        self._connection.execute("begin")
        rows = [(session, number, role(number), TEXT) for number in range(begin, begin + count)]
        self._connection.executemany(_INSERT, rows)
        self._connection.execute("commit")

    async def load(self, session: int) -> int:
        found = self._connection.execute(
            "select number, role, data from item where session = ? order by number", (session,)
        )
        return len(found.fetchall())

    async def sessions(self) -> int:
        found = self._connection.execute("select session, count(*), max(id) from item group by session order by 3 desc")
        return len(found.fetchall())

    async def close(self) -> None:
        self._connection.close()


_INSERT = "insert into item (session, number, role, data) values (?, ?, ?, ?)"


if __name__ == "__main__":
    main(RawSqlite)
