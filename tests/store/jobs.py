"""What the tests know of the tables of procrastinate."""

from __future__ import annotations

from typing import Any

import psycopg


def ask(url: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """The rows, seen from outside; none for what has none to give."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


def jobs_of(url: str, status: str = "todo") -> list[str]:
    """The runs that have a job, oldest first."""
    rows = ask(url, "select queueing_lock from procrastinate_jobs where status::text = %s order by id", status)
    return [row[0] for row in rows]


def assert_heads_have_jobs(url: str) -> None:
    """A run has one job that nobody has fetched, as long as it is a head, and no other has any."""
    heads = ask(url, "select id from sessionry_run where ready = 1 order by id")
    assert sorted(jobs_of(url)) == [row[0] for row in heads]
    assert ask(url, "select count(*) from procrastinate_jobs where status <> 'todo'") == [(0,)]
