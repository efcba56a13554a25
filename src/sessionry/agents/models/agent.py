"""What the agents of all three protocols have in common: their options, their checks, and the start of a run."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from sessionry.agents.entries import unusable
from sessionry.agents.models.asking import Connection, needs_packages
from sessionry.agents.models.calling import Rules
from sessionry.agents.models.schemas import Output, output_of
from sessionry.agents.models.settings import Settings, configured, for_run
from sessionry.agents.models.tools import Toolbox
from sessionry.agents.models.wire import Wire
from sessionry.agents.prompts import prompt_of
from sessionry.domain import records
from sessionry.domain.errors import AgentFailed, InvalidInput
from sessionry.domain.events import EventData
from sessionry.domain.json_values import Json, json_object
from sessionry.domain.run import AgentFacts, Takeover
from sessionry.ports import AgentContext, Capability

#: What of a body is the loop's own.
_OWN_FIELDS = ("model", "messages", "input", "stream", "n", "system", "instructions", "tools")


class Loop(NamedTuple):
    """The options of the loop around a model, which no run may set."""

    id: str
    base_url: str | None
    api_key: str | None
    tools: Sequence[str | Callable[..., Any]]
    approve: str | Sequence[str] | None
    approval_timeout: float | None
    parallel_tools: int
    output_retries: int
    max_context_tokens: int
    max_retries: int
    connect_timeout: float
    read_timeout: float
    headers: Mapping[str, str] | None
    extra_body: Mapping[str, Any] | None
    provider: str | None

    def check(self) -> None:
        """Raises `invalid_configuration` naming the option."""
        for name, least in (
            ("parallel_tools", 1),
            ("max_context_tokens", 1),
            ("output_retries", 0),
            ("max_retries", 0),
        ):
            if (number := getattr(self, name)) < least:
                raise unusable(f"option {name!r} must be at least {least}, not {number}", option=name)
        for name in ("connect_timeout", "read_timeout", "approval_timeout"):
            seconds = getattr(self, name)
            if seconds is not None and not seconds > 0:
                raise unusable(f"option {name!r} must be a positive number of seconds, not {seconds}", option=name)


def told_apart(given: Mapping[str, Any]) -> tuple[dict[str, Any], Loop]:
    """Of the names in a constructor: the settings of the model, and those of the loop around it."""
    settings = {name: given[name] for name in Settings.__struct_fields__ if name in given}
    return settings, Loop(**{name: given[name] for name in Loop._fields})


class ModelAgent:
    """A model behind one of the protocols, with host tools."""

    def __init__(self, type: str, wire: Wire, settings: Mapping[str, Any], loop: Loop) -> None:
        needs_packages()
        loop.check()
        self.id = loop.id
        self._type = type
        self._wire = wire
        self._settings = configured(settings)
        if (problem := self._settings.problem() or wire.problem(self._settings)) is not None:
            raise unusable(f"option {problem[0]!r} {problem[1]}", option=problem[0])
        self._output_of(self._settings)
        self._base_url = None if loop.base_url is None else _checked_url(loop.base_url, "option 'base_url'")
        self._api_key = loop.api_key
        self._rules = Rules(Toolbox(loop.tools, loop.approve), loop.approval_timeout, loop.parallel_tools)
        self._output_retries = loop.output_retries
        self._max_context_tokens = loop.max_context_tokens
        self._limits = (loop.connect_timeout, loop.read_timeout, loop.max_retries)
        self._headers = _checked_headers(loop.headers or {})
        self._extra_body = _checked_body(loop.extra_body or {})
        self._provider = loop.provider

    # --- what it says about itself ---

    @property
    def facts(self) -> AgentFacts:
        able = [Capability.STREAMING, Capability.REASONING, Capability.STEER, Capability.TURNS, Capability.IMAGES]
        able += [Capability.STRUCTURED_OUTPUT, Capability.USAGE, Capability.COST]
        able += [Capability.TOOLS] if self._rules.toolbox else []
        able += [Capability.APPROVALS] if self._rules.toolbox.may_ask() else []
        return AgentFacts(type=self._type, capabilities=list(map(str, able)), model=self._settings.model)

    @property
    def takeover(self) -> Takeover:
        """Everything that counts is in the log before it counts."""
        return Takeover.RESUME

    @property
    def takeover_waiting(self) -> Takeover:
        return Takeover.RESUME

    def check(self, input: Json) -> Json:
        prompt = prompt_of(input, self._wire.options, images=True)
        settings = for_run(self._settings, prompt.options)
        if (problem := settings.problem() or self._wire.problem(settings)) is not None:
            raise records.invalid(f"input.{problem[0]}", problem[1])
        if "output_schema" in prompt.options:
            self._output_of(settings, "input.output_schema")
        return prompt.to_input()

    # --- a run ---

    async def run(self, context: AgentContext) -> AsyncGenerator[EventData, None]:
        from sessionry.agents.models.loop import Loop, Task

        prompt = prompt_of(context.run.input, self._wire.options, images=True)
        settings = for_run(self._settings, prompt.options)
        base = self._base_url or self._environment_url() or self._wire.default_url
        task = Task(
            wire=self._wire,
            connection=self._connection(base),
            official=self._is_official(base),
            provider=self._provider or provider_at(base),
            settings=settings,
            prompt=prompt,
            rules=self._rules,
            output=self._output_of(settings, "input.output_schema"),
            output_retries=self._output_retries,
            max_context_tokens=self._max_context_tokens,
            extra_body=self._extra_body,
        )
        async with aclosing(Loop(context, task).events()) as events:
            async for event in events:
                yield event

    def _connection(self, base: str) -> Connection:
        key = (self._api_key or os.environ.get(self._wire.key_variable) or "").strip() or None
        if key is None and self._is_official(base):
            variable = self._wire.key_variable
            raise AgentFailed(
                "auth", f"there is no key for {base}; set {variable} where the worker runs, or the option api_key"
            )
        if key is not None and not (key.isascii() and key.isprintable()):
            raise AgentFailed("auth", "the key has characters that no key has; was something else copied with it?")
        connect_timeout, read_timeout, max_retries = self._limits
        return Connection(
            url=self._wire.url(base),
            headers={**self._wire.headers(key), **{name.lower(): value for name, value in self._headers.items()}},
            secret=key,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            max_retries=max_retries,
        )

    def _environment_url(self) -> str | None:
        variable = self._wire.url_variable
        url = os.environ.get(variable)
        return _checked_url(url, f"the variable {variable}") if url else None

    def _is_official(self, base: str) -> bool:
        return urlsplit(base).hostname == urlsplit(self._wire.default_url).hostname

    def _output_of(self, settings: Settings, path: str | None = None) -> Output | None:
        """The form of output that is asked for. `path`: where in the input; None, in the options."""
        if settings.output_schema is None:
            return None
        try:
            return output_of(settings.output_schema)
        except (ValueError, InvalidInput) as error:
            said = error.message if isinstance(error, InvalidInput) else str(error)
            if path is None:
                raise unusable(f"option 'output_schema' {said}", option="output_schema") from None
            raise records.invalid(path, said) from None


def provider_at(url: str) -> str | None:
    """genai-prices' name of who serves models there; None when it does not know, and then there is no price."""
    try:
        from genai_prices.data_snapshot import get_snapshot

        return str(get_snapshot().find_provider(None, None, url).id)
    except (ImportError, LookupError):
        return None


def _checked_url(url: str, what: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or any(character.isspace() for character in url):
        raise unusable(f"{what} must be a URL such as http://localhost:11434/v1, not {url!r}", option="base_url")
    return url


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or not (value.isascii() and value.isprintable()):
            raise unusable(f"option 'headers': {name!r} is no header that can be sent", option="headers")
    return dict(headers)


def _checked_body(body: Mapping[str, Any]) -> dict[str, Json]:
    for name in _OWN_FIELDS:
        if name in body:
            raise unusable(f"option 'extra_body' cannot set {name!r}, which Sessionry sets itself", option="extra_body")
    return json_object(dict(body), "extra_body")
