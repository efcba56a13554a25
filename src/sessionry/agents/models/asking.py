"""One answer of a model, through whatever networks and servers do in between."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from sessionry.agents.accounting import Account
from sessionry.agents.models.failing import ModelFailed, failed, http_error, without
from sessionry.agents.models.talk import Answer, Piece
from sessionry.agents.models.wire import Reader, Wire, answered, fed
from sessionry.domain import events as ev
from sessionry.domain.codec import NO_JSON
from sessionry.domain.errors import SessionryError
from sessionry.domain.events import EventData
from sessionry.domain.json_values import Json
from sessionry.domain.run import ErrorInfo
from sessionry.ports import AgentContext

if TYPE_CHECKING:
    import ssl

    import httpx

#: Seconds: the first pause, which doubles, and the longest; a server that asks for a longer one than `PATIENCE` is not
#: waited for, since whoever asked the run may want to do something else in that time.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 16.0
PATIENCE = 90.0
#: Bytes of an error's body that are read.
LARGEST_ERROR = 64 << 10


class Connection(NamedTuple):
    """Where a model is asked, and how long that may take. `secret` is never told on."""

    url: str
    headers: Mapping[str, str]
    secret: str | None
    connect_timeout: float
    read_timeout: float
    max_retries: int


class Told:
    """What was streamed of a message. When its answer has to begin again, nobody sees the same twice.

    A message that begins differently the second time is told no more in pieces: its whole replaces what was told.
    """

    def __init__(self, id: str, already: str = "") -> None:
        self.id = id
        self.told = already
        self._now = ""

    def begin(self) -> None:
        self._now = ""

    def new(self, text: str) -> str:
        """The part of `text` that is to be told."""
        before = len(self._now)
        self._now += text
        if self._now.startswith(self.told):
            fresh = self._now[max(len(self.told), before) :]
            self.told = self._now
            return fresh
        return ""


class Asking:
    """Asks once for an answer, and again where that may help. `events` is what the log is told meanwhile."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        connection: Connection,
        wire: Wire,
        body: dict[str, Any],
        account: Account,
        context: AgentContext,
        *,
        text: Told,
        reasoning: Told,
    ) -> None:
        self._client = client
        self._connection = connection
        self._wire = wire
        self._body = body
        self._account = account
        self._context = context
        self._told = {"text": text, "reasoning": reasoning}
        self.reader: Reader | None = None

    def answer(self, prefix: str) -> Answer:
        assert self.reader is not None, "it was asked"
        return answered(self.reader, prefix)

    async def events(self) -> AsyncGenerator[EventData, None]:
        """Raises `ModelFailed` when there is no answer."""
        last: ErrorInfo | None = None
        for attempt in range(self._connection.max_retries + 1):
            try:
                async with aclosing(self._once()) as pieces:
                    async for event in pieces:
                        yield event
            except ModelFailed as error:
                last = error.info
            else:
                if last is not None:
                    yield ev.ErrorRecovered(error=last)
                return
            if used := self._used():
                yield used
            pause = _pause(last, attempt)
            if not last.retryable or pause is None or attempt == self._connection.max_retries:
                raise ModelFailed(last)
            yield _waiting(last, pause)
            await asyncio.sleep(pause)

    def _used(self) -> EventData | None:
        """What an answer that was cut has cost, as far as it was told."""
        usage = self.reader.usage if self.reader is not None else None
        return self._account.add(usage) if usage else None

    async def _once(self) -> AsyncGenerator[EventData, None]:
        reader = self.reader = self._wire.reader()
        for told in self._told.values():
            told.begin()
        first = True
        async with self._response() as response, aclosing(events_of(response)) as events:
            try:
                async for event, data in events:
                    await self._context.received(self._wire.source, sent(data), anew=first)
                    first = False
                    for piece in fed(reader, event, data):
                        if said := self._said(piece):
                            yield said
                    if reader.ended:
                        return
            except ModelFailed as error:
                if not (reader.finished and error.info.retryable):
                    raise
        if not reader.finished:
            raise failed("agent_unavailable", "the model's server closed the stream before the answer was whole")

    def _said(self, piece: Piece) -> EventData | None:
        told = self._told[piece.kind]
        if not (text := told.new(piece.text)):
            return None
        kind = ev.MessageStreamed if piece.kind == "text" else ev.ReasoningStreamed
        return kind(text=text, message_id=told.id)

    @asynccontextmanager
    async def _response(self) -> AsyncIterator[httpx.Response]:
        """The answer's stream. Raises `ModelFailed` for whatever is none."""
        import httpx

        connection = self._connection
        headers = {"accept": "text/event-stream", **connection.headers}
        try:
            async with self._client.stream("POST", connection.url, json=self._body, headers=headers) as response:
                if response.status_code >= 300:
                    body = await _beginning(response)
                    said = without(connection.secret, body.decode(errors="replace"))
                    refusal = {"status": response.status_code, "body": sent(said)}
                    await self._context.received(self._wire.source, refusal, anew=True)
                    raise http_error(response.status_code, body, response.headers, connection.secret)
                yield response
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            reason = str(error) or type(error).__name__
            message = f"nobody answers at {connection.url}: {without(connection.secret, reason)}"
            raise failed("agent_unavailable", message) from error
        except httpx.TimeoutException as error:
            message = f"nothing came from the model's server for {connection.read_timeout:g} seconds"
            raise failed("stalled", message) from error
        except httpx.RequestError as error:
            raise failed("agent_unavailable", f"the connection to the model's server broke: {error}") from error


async def events_of(response: httpx.Response) -> AsyncGenerator[tuple[str, str], None]:
    """The server-sent events, as their names and data. Raises `ModelFailed` (protocol) when it is no such stream."""
    import httpx_sse

    source = httpx_sse.EventSource(response)
    try:
        async with aclosing(source.aiter_sse()) as events:
            async for event in events:
                if event.data:
                    yield event.event, event.data
    except httpx_sse.SSEError as error:
        body = await _beginning(response)
        raise failed(
            "protocol", f"the model's server does not stream: {body[:200].decode(errors='replace')}"
        ) from error


def sent(data: str) -> Json:
    """What a server sent, as JSON where it is."""
    try:
        return msgspec.json.decode(data)
    except NO_JSON:
        return data


async def _beginning(response: httpx.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > LARGEST_ERROR:
            break
    return body[:LARGEST_ERROR]


def _pause(error: ErrorInfo, attempt: int) -> float | None:
    """Seconds until the next try: what the server asks for, else longer each time, in any case not all at once.

    None when the server asks for too long.
    """
    if error.retry_after is not None:
        return None if error.retry_after > PATIENCE else error.retry_after + random.uniform(0, 0.1)
    return min(FIRST_PAUSE * 2.0**attempt, LONGEST_PAUSE) * random.uniform(0.5, 1)


def _waiting(error: ErrorInfo, pause: float) -> EventData:
    if error.code in ("rate_limited", "overloaded"):
        return ev.RateLimited(retry_after=round(pause, 3), message=error.message)
    return ev.ErrorOccurred(error=error)


def client(connection: Connection) -> httpx.AsyncClient:
    """To be closed by who asked for it."""
    import httpx

    timeout = httpx.Timeout(connection.read_timeout, connect=connection.connect_timeout)
    return httpx.AsyncClient(timeout=timeout, verify=_certificates())


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    """Loading them takes long enough to do it once."""
    import httpx

    return httpx.create_ssl_context()


def needs_packages() -> None:
    """Raises `dependency_not_available` when the extra is not installed."""
    from importlib.util import find_spec

    missing = [name for name in ("httpx", "httpx_sse") if find_spec(name) is None]
    if missing:
        raise SessionryError(
            "dependency_not_available",
            f"this type of agent needs {' and '.join(missing)}: pip install 'sessionry[models]'",
            details={"missing": missing, "extra": "models"},
        )
