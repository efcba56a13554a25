"""How an operation is written: a generator that yields statements and is sent their rows.

    @writes
    def rename(scope, session_id, title):
        rows = yield "update ... returning key", (title, session_id)

Calling it makes an `Operation`; a driver runs it as one transaction, and may begin it again after a lost connection. Three
marks in a statement mean something to PostgreSQL only: `/*lock*/` locks the rows it reads, `/*settled*/` keeps a reader of
`sessionry_event e` below the transactions that are still in flight, `/*own keys*/` lets rows bring the keys that are
otherwise drawn for them. SQLite has one writer, takes any key, and needs none of these.
`PAGE` joins the first events of session `s` after `w.after`, one more than its parameter says, as each planner likes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from sessionry.ports import Operation, Steps

P = ParamSpec("P")
T = TypeVar("T")

LOCK = "/*lock*/"
SETTLED = "/*settled*/"
OWN_KEYS = "/*own keys*/"
PAGE = (
    "left join sessionry_event e on e.session = s.key and e.seq > w.after and e.seq <= coalesce((select n.seq from"
    " sessionry_event n where n.session = s.key and n.seq > w.after order by n.seq limit 1 offset ?), 9223372036854775807)"
)


def writes(function: Callable[P, Steps[T]]) -> Callable[P, Operation[T]]:
    """The function makes an operation that may write."""
    return _operation(function, writes=True)


def reads(function: Callable[P, Steps[T]]) -> Callable[P, Operation[T]]:
    """The function makes an operation that only reads: it sees one moment, and waits for no writer."""
    return _operation(function, writes=False)


def _operation(function: Callable[P, Steps[T]], *, writes: bool) -> Callable[P, Operation[T]]:
    @wraps(function)
    def make(*arguments: P.args, **keywords: P.kwargs) -> Operation[T]:
        return Operation(function, arguments, keywords, writes)

    return make


def marks(values: Sequence[Any]) -> str:
    """`?, ?, ?`: a mark for each value."""
    return ", ".join("?" * len(values))
