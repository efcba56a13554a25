"""A loaded model: words in, words out, in threads, so that the event loop stays free.

A model is loaded once in a process, when it is first asked, and stays. It answers one after another; who waits for his turn
can give up, and so can who is answered, between two words and while a long prompt is read.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import urllib.request
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sessionry.agents.local.found import INSTALL
from sessionry.agents.threads import despite_cancellation, in_thread
from sessionry.domain.errors import AgentFailed, SessionryError
from sessionry.domain.usage import Usage

#: Tokens that are read at once: so often a cancellation is looked for while a prompt is read.
BATCH = 64
#: Seconds between two looks while another run has the model.
_POLL = 0.05
_HEADERS = {"content-type": "application/json"}

Said = list[dict[str, str]]


class Word(NamedTuple):
    """A piece of an answer."""

    text: str


class Spent(NamedTuple):
    """What an answer took, and why it ended: `stop` or `length`."""

    usage: Usage
    reason: str | None


class Model:
    """One set of weights in memory. `Model.loaded` is the way to it."""

    _all: dict[tuple[Path, int, int], Model] = {}  # noqa: RUF012  the models of this process
    _loading = threading.Lock()

    def __init__(self, file: Path, window: int, threads: int) -> None:
        import xllamacpp  # type: ignore[import-untyped]

        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(file)
        parameters.n_ctx = self.window = window
        parameters.n_parallel = 1
        parameters.n_batch = parameters.n_ubatch = BATCH
        for processors in (parameters.cpuparams, parameters.cpuparams_batch):
            processors.n_threads = threads
            processors.poll = 0  # threads that wait for each other without sleep are slow where others work too
        parameters.verbosity = -1
        parameters.warmup = False
        parameters.ui = False
        self._key = secrets.token_urlsafe()  # it listens on the loopback address, where others may be
        parameters.api_keys = [self._key]
        self._server = xllamacpp.Server(parameters)
        self._turn = threading.Lock()
        self.name = file.stem

    @classmethod
    async def loaded(cls, file: Path, window: int, threads: int) -> Model:
        """The model, loaded now if it is not yet. Raises `dependency_not_available` and `agent_unavailable`."""
        return await despite_cancellation(in_thread(lambda: cls._load(file, window, threads), daemon=True))

    @classmethod
    def _load(cls, file: Path, window: int, threads: int) -> Model:
        key = (file, window, threads)
        with cls._loading:
            if key not in cls._all:
                try:
                    cls._all[key] = cls(*key)
                except ImportError as error:
                    message = f"what runs a local model is not installed; {INSTALL}"
                    raise SessionryError("dependency_not_available", message) from error
                except Exception as error:
                    raise AgentFailed("agent_unavailable", f"the model {file} cannot be loaded: {error}") from error
            return cls._all[key]

    async def tokens(self, said: Said) -> int:
        """How long the conversation is, by the model's own count, with all that its template puts around it."""
        return await in_thread(lambda: self._tokens(said), daemon=True)

    def _tokens(self, said: Said) -> int:
        prompt = self._ask("apply-template", {"messages": said})["prompt"]
        return len(self._ask("tokenize", {"content": prompt, "parse_special": True})["tokens"])

    def _ask(self, path: str, body: Mapping[str, Any]) -> Any:
        request = urllib.request.Request(  # noqa: S310  our own thread listens there
            f"{self._server.listening_address}/{path}",
            json.dumps(body).encode(),
            _HEADERS | {"authorization": f"Bearer {self._key}"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            return json.load(answer)

    async def answer(self, said: Said, options: Mapping[str, Any]) -> AsyncGenerator[Word | Spent, None]:
        """The pieces as they come, and in the end what it took. Closing it stops the model. Raises what it refuses."""
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        given_up = threading.Event()

        def hear(piece: dict[str, Any]) -> bool:
            if not given_up.is_set():
                loop.call_soon_threadsafe(pieces.put_nowait, piece)
            return given_up.is_set()

        request = {"messages": said, "stream": True, "return_progress": True, **options}
        request["stream_options"] = {"include_usage": True}
        work = in_thread(lambda: self._in_turn(request, hear, given_up), daemon=True)
        work.add_done_callback(lambda _: pieces.put_nowait(None))
        reason: str | None = None
        try:
            while (piece := await pieces.get()) is not None:
                for choice in piece.get("choices", ()):
                    reason = choice.get("finish_reason") or reason
                    if text := choice.get("delta", {}).get("content"):
                        yield Word(text)
                if "error" in piece:
                    raise _refusal(piece["error"])
                if usage := piece.get("usage"):
                    yield Spent(_usage(usage), reason)
            work.result()
        finally:
            given_up.set()
            await despite_cancellation(work)

    def _in_turn(
        self, request: Mapping[str, Any], hear: Callable[[dict[str, Any]], bool], given_up: threading.Event
    ) -> None:
        while not self._turn.acquire(timeout=_POLL):
            if given_up.is_set():
                return
        try:
            if not given_up.is_set():
                self._server.handle_chat_completions(dict(request), hear)
        finally:
            self._turn.release()


def _usage(told: Mapping[str, Any]) -> Usage:
    cached = (told.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return Usage(
        input_tokens=told["prompt_tokens"] - cached,
        cache_read_tokens=cached,
        output_tokens=told["completion_tokens"],
    )


def _refusal(error: Mapping[str, Any]) -> AgentFailed:
    kind, message = error.get("type"), str(error.get("message"))
    if kind == "exceed_context_size_error":
        return AgentFailed("context_too_long", f"the prompt does not fit the model: {message}")
    return AgentFailed("request_rejected" if error.get("code") == 400 else "agent_failed", f"the model: {message}")
