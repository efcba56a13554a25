"""What the server received, and how each request ended."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec


class Received(msgspec.Struct, kw_only=True):
    """A request. What is below `body` is known once it was understood; `ended` once it is over."""

    number: int
    method: str
    #: with the query
    path: str
    #: names in lower case
    headers: dict[str, str]
    #: from its JSON
    body: Any = None
    #: anthropic, responses, chat or gemini; None: no request to a model
    protocol: str | None = None
    model: str | None = None
    stream: bool = False
    #: what people said, oldest first, and the names of the tools that the model may call
    prompts: list[str] = []
    tools: list[str] = []
    images: int = 0
    #: the script that answers, and its step
    script: str | None = None
    turn: int = 0
    #: the how-manieth time this very request came
    tried: int = 1
    #: a side request of an agent (a title, a route), which no script answers
    aside: bool = False
    status: int | None = None
    #: answered, refused (with `status`), dropped, client_gone, stopped (the server was closed)
    ended: str | None = None

    @property
    def prompt(self) -> str:
        """What was said last."""
        return self.prompts[-1] if self.prompts else ""


class Inbox:
    """The requests so far. Any number of threads may use it."""

    def __init__(self) -> None:
        self._requests: list[Received] = []
        self._tries: dict[str, int] = {}
        self._changed = threading.Condition()

    def add(self, method: str, path: str, headers: dict[str, str]) -> Received:
        with self._changed:
            request = Received(number=len(self._requests), method=method, path=path, headers=headers)
            self._requests.append(request)
            return request

    def changed(self) -> None:
        """Tell those who wait that a request changed."""
        with self._changed:
            self._changed.notify_all()

    def tried(self, path: str, body: Any) -> int:
        """How often this very request came, this time included."""
        # Agents change what is around a conversation from try to try: counts, dates and ids in `metadata`.
        told = [body.get(key) for key in ("model", "messages", "input", "contents")] if isinstance(body, dict) else body
        key = hashlib.sha256(json.dumps([path, told]).encode()).hexdigest()
        with self._changed:
            self._tries[key] = self._tries.get(key, 0) + 1
            return self._tries[key]

    def requests(self) -> list[Received]:
        with self._changed:
            return list(self._requests)

    def clear(self) -> None:
        with self._changed:
            self._requests.clear()
            self._tries.clear()

    def wait_for(self, wanted: Callable[[Received], bool], timeout: float) -> Received:
        """The first request that is wanted, when there is one. Raises TimeoutError, with what came instead."""
        until = time.monotonic() + timeout
        with self._changed:
            while True:
                for request in self._requests:
                    if wanted(request):
                        return request
                left = until - time.monotonic()
                if left <= 0:
                    came = [(each.method, each.path, each.ended) for each in self._requests]
                    raise TimeoutError(f"no such request came within {timeout} s; what came: {came}")
                self._changed.wait(left)
