"""The client: sessions on a server, with the same handles and methods as those of a store that is open here.

    async with sessionry.connect("http://127.0.0.1:7433", token="sry_...") as sessions:
        session = await sessions.create("claude", title="Fix auth")

It is a store like any other to everything above it. What that would do in a transaction of its own, it asks the server for;
that something happened, it hears from the server's stream of events.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import msgspec

from sessionry.agents.catalog import Catalog
from sessionry.domain import errors
from sessionry.domain.codec import NO_JSON
from sessionry.domain.errors import CODES, Conflict, SessionryError, StoreFailed
from sessionry.domain.events import Event
from sessionry.domain.scope import Scope
from sessionry.ports import Appending, Operation, Wake
from sessionry.runtime.feed import Feed
from sessionry.runtime.logs import Logs
from sessionry.runtime.sessions import Sessions
from sessionry.runtime.sweeper import Sweeper
from sessionry.store import wire
from sessionry.store.blobs import MemoryBlobs

if TYPE_CHECKING:
    import ssl

    from sessionry.ports import Bus

T = TypeVar("T")

#: Seconds to the first byte of an answer.
TIMEOUT = 30.0
#: Seconds for which a server that was there is waited for, as while it starts again, and one that was not.
RESTART, _FIRST = 20.0, 1.0
#: Seconds before a request is made again for the first time.
_PAUSE = 0.1
#: Refusals of a request of which nothing was done, and which is made again after a while.
_LATER = ("too_many_requests", "idempotency_in_flight")
#: Seconds for which a server that has had enough is left alone at once.
_LONGEST = 5.0
#: The class of error that a category stands for.
_KINDS: dict[str, type[SessionryError]] = {
    "input": errors.InvalidInput,
    "not_found": errors.NotFound,
    "conflict": errors.Conflict,
    "limit": errors.Exhausted,
    "agent": errors.AgentFailed,
    "store": errors.StoreFailed,
}


class RemoteCatalog(Catalog):
    """The server knows its agents; here there are none. `told` is what it says of them, as `/v1/agents` does."""

    def __init__(self, default: str | None, told: Sequence[dict[str, Any]]) -> None:
        super().__init__(default=default)
        self.told = told

    def ids(self) -> list[str]:
        return []


class RemoteStore:
    """A server, as a store."""

    #: what the server looks after is not looked for here
    shared_machine = False

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self.url = url
        self._client = client
        self._reached = False

    async def execute(self, operation: Operation[T]) -> T:
        again = not operation.writes or operation.keywords.get("idempotency_key") is not None
        found = await self.ask("POST", "/v1/operations", wire.asked(operation), again=again)
        if not isinstance(found, dict) or "result" not in found:
            raise _strange(f"{self.url}/v1/operations", 200)
        result: T = wire.given(operation, found["result"])
        return result

    async def ask(self, method: str, path: str, body: Any = None, *, again: bool = False) -> Any:
        """The answer of the server as JSON. Raises what it says went wrong, and `store_unavailable`.

        `again`: it has its effect once however often it is asked, so that a lost answer is no harm. A server that has
        answered before is waited for while it starts again.
        """
        content = None if body is None else msgspec.json.encode(body)
        answer = await self._answer(method, path, content, again=again)
        if not answer.is_success:
            raise _error_of(answer)
        self._reached = True
        try:
            return msgspec.json.decode(answer.content)
        except NO_JSON:
            raise _strange(str(answer.request.url), answer.status_code) from None

    async def _answer(self, method: str, path: str, content: bytes | None, *, again: bool) -> httpx.Response:
        pause, until = _PAUSE, time.monotonic() + (RESTART if self._reached else _FIRST)
        while True:
            try:
                answer = await self._client.request(
                    method, path, content=content, headers={"Content-Type": "application/json"}
                )
                if _problem_of(answer) not in _LATER or time.monotonic() > until:
                    return answer
                pause = min(float(answer.headers.get("retry-after", 1)), _LONGEST)  # nothing of it was done
            except httpx.TransportError as error:
                undone = isinstance(error, httpx.ConnectError)  # nothing of it was done
                lost = again and not isinstance(error, httpx.TimeoutException | httpx.UnsupportedProtocol)
                if not (undone or lost) or time.monotonic() > until:
                    raise self._unavailable(error) from None
            except httpx.HTTPError as error:
                raise self._unavailable(error) from None
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)

    async def append(self, appending: Appending) -> list[int]:
        raise Conflict(
            "invalid_operation", f"work on run {appending.run_id} where the store is open, not over {self.url}"
        )

    async def change_token(self) -> int:
        return 0

    def on_commit(self, listener: Callable[[Sequence[str], Sequence[Wake]], None]) -> None:
        """Nothing is committed here."""

    async def close(self) -> None:
        await self._client.aclose()

    def _unavailable(self, error: Exception) -> StoreFailed:
        return StoreFailed(
            "store_unavailable", f"the server {self.url} cannot be reached: {error or type(error).__name__}"
        )


class RemoteFeed(Feed):
    """Follows single sessions as every feed does. The positions of a server tell nothing but where to go on: they are in
    no order that could be compared, so each reader of all sessions asks for itself.
    """

    def __init__(self, logs: Logs, bus: Bus) -> None:
        super().__init__(logs.read_session, bus)
        self._logs = logs

    async def batches(self, session_id: str | None, after: int = 0) -> AsyncGenerator[list[Event], None]:
        if session_id is not None:
            async with aclosing(super().batches(session_id, after)) as batches:
                async for batch in batches:
                    yield batch
            return
        poked = asyncio.Event()
        unwatch = self._bus.watch(lambda _: poked.set())
        try:
            while not self._closed:
                poked.clear()
                if page := await self._logs.read_all(after, 256):
                    after = page[-1].position
                    yield page
                    continue
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._poll):
                        await poked.wait()
        finally:
            unwatch()


class StreamBus:
    """Hears from the server's stream which sessions have grown, as long as anybody here wants to know."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._listeners: list[Callable[[Sequence[str] | None], None]] = []
        self._listening: asyncio.Task[None] | None = None

    def poke(self, session_ids: Sequence[str]) -> None:
        self._tell(session_ids)

    def watch(self, listener: Callable[[Sequence[str] | None], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen(), name="stream of the server")

        def end() -> None:
            self._listeners.remove(listener)
            if not self._listeners and self._listening is not None:
                self._listening.cancel()
                self._listening = None

        return end

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])

    def _tell(self, session_ids: Sequence[str] | None) -> None:
        for listener in list(self._listeners):
            listener(session_ids)

    async def _listen(self) -> None:
        """A lost stream is opened again from now on; whoever listens looks at everything once, for what was missed."""
        pause = 0.1
        while True:
            with suppress(httpx.HTTPError, SessionryError, *NO_JSON):
                headers = {"Accept": "application/x-ndjson"}
                timeout = httpx.Timeout(TIMEOUT, read=60)
                streaming = self._client.stream(
                    "GET", "/v1/events", params={"after": -1}, headers=headers, timeout=timeout
                )
                async with streaming as answer:
                    answer.raise_for_status()
                    self._tell(None)
                    pause = 0.1
                    async for line in answer.aiter_lines():
                        if line:
                            self._tell([msgspec.json.decode(line)["session_id"]])
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)


@asynccontextmanager
async def connect(url: str | None = None, *, token: str | None = None) -> AsyncIterator[Sessions]:
    """The sessions of a server, in the scope of the token. Same handles and methods as of `sessionry.open`.

    Defaults: SESSIONRY_SERVER and SESSIONRY_TOKEN. Raises `unauthenticated`, `store_unavailable`, `invalid_configuration`.
    """
    url, token = url or os.environ.get("SESSIONRY_SERVER"), token or os.environ.get("SESSIONRY_TOKEN")
    if not url or not url.startswith(("http://", "https://")):
        raise errors.InvalidInput(
            "invalid_configuration", f"the server must be an address such as http://127.0.0.1:7433, not {url!r}"
        )
    if "@" in url.split("/")[2]:
        raise errors.InvalidInput(
            "invalid_configuration", "the server's address cannot hold a user or a password; a token says who you are"
        )
    if token and not (token.isascii() and token.isprintable()):
        raise errors.InvalidInput("invalid_configuration", "the token holds characters that no token has")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        client = httpx.AsyncClient(
            base_url=url, headers=headers, timeout=TIMEOUT, trust_env=False, verify=_trusted(url)
        )
    except httpx.InvalidURL as error:
        raise errors.InvalidInput("invalid_configuration", f"{url!r} is no address: {error}") from None
    store = RemoteStore(url, client)
    bus = StreamBus(client)
    try:
        me = await store.ask("GET", "/v1/me", again=True)
        agents = await store.ask("GET", "/v1/agents", again=True)
        try:
            scope, catalog = Scope(me["tenant"], me["user"]), RemoteCatalog(agents["default"], agents["items"])
        except (KeyError, TypeError):
            raise _strange(url, 200) from None
        sessions = _sessions(store, bus, scope, catalog)
        try:
            yield sessions
        finally:
            await sessions.logs.feed.close()
    finally:
        await bus.close()
        await store.close()


def _trusted(url: str) -> ssl.SSLContext | bool:
    """Whose certificates are believed: those that this machine believes, or those in SSL_CERT_FILE and SSL_CERT_DIR."""
    if not url.startswith("https:"):
        return True
    import ssl

    return ssl.create_default_context()


def _sessions(store: RemoteStore, bus: Bus, scope: Scope, catalog: RemoteCatalog) -> Sessions:
    sweeper = Sweeper(store, float("inf"), float("inf"))  # it is never started: the server has its own
    sessions = Sessions(store, scope, catalog, MemoryBlobs(), bus, sweeper=sweeper)
    sessions.logs.feed = RemoteFeed(sessions.logs, bus)
    return sessions


def _strange(url: str, status: int) -> StoreFailed:
    return StoreFailed("store_failed", f"{url} answered {status}, and not in our words; is it a Sessionry server?")


def _error_of(answer: httpx.Response) -> SessionryError:
    try:
        problem = msgspec.json.decode(answer.content)
        code, message = problem["code"], problem["detail"]
    except (*NO_JSON, KeyError, TypeError):
        return _strange(str(answer.request.url), answer.status_code)
    if code == "route_not_found":  # the address of the server is not that of its root
        return _strange(str(answer.request.url), answer.status_code)
    if code not in CODES:
        return SessionryError("internal_error", f"{message} [{code}]")
    if code == "invalid_transition":
        details = problem.get("details", {})
        return errors.InvalidTransition(
            details.get("entity", "run"), details.get("from", ""), details.get("to", ""), details.get("allowed", [])
        )
    kind = _KINDS.get(CODES[code].category, SessionryError)
    return kind(code, message, details=problem.get("details"), retryable=problem.get("retryable", False))


def _problem_of(answer: httpx.Response) -> str | None:
    """The code of a refusal that may be one of `_LATER`."""
    return _error_of(answer).code if answer.status_code in (409, 429) else None
