"""The agent of type `acp`: any program that speaks the Agent Client Protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from sessionry.agents.acp.options import PER_RUN, Settings, folders, mcp_servers, per_run, preset_of, unusable
from sessionry.agents.discovery import KNOWN
from sessionry.agents.process import GRACE
from sessionry.agents.prompts import prompt_of
from sessionry.domain.errors import SessionryError
from sessionry.domain.events import EventData
from sessionry.domain.json_values import Json
from sessionry.domain.run import AgentFacts, OnStall, Takeover
from sessionry.ports import AgentContext, Capability

#: Seconds of silence that are told; none of these agents ends all of them by itself.
STALL_AFTER = 300.0


class AcpAgent:
    """Starts a program for each attempt, and speaks the protocol with it. `docs/agents/acp.md` tells of each option.

    `preset` names an agent that is known; `command` is its program, by default the preset's, found on PATH. `arguments`
    come after the preset's, `env` goes before the preset's, and `env_allow` replaces the preset's list of what is passed
    on of the worker's environment.
    """

    def __init__(
        self,
        id: str = "acp",
        *,
        preset: str | None = None,
        command: str | None = None,
        arguments: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        env_allow: Sequence[str] | None = None,
        model: str | None = None,
        mode: str | None = None,
        config: Mapping[str, str | bool] | None = None,
        mcp_servers: Mapping[str, dict[str, Any]] | None = None,
        add_dirs: Sequence[str] = (),
        auth_method: str | None = None,
        remember: bool = False,
        approval_timeout: float | None = None,
        client_files: bool | None = None,
        client_terminal: bool = False,
        start_timeout: float = 60.0,
        kill_grace: float = GRACE,
        stall_after: float | None = STALL_AFTER,
        on_stall: OnStall = OnStall.TELL,
        max_tokens: int = 24_000,
    ) -> None:
        if find_spec("acp") is None:
            problem = "the package agent-client-protocol is missing; run: pip install 'sessionry[acp]'"
            raise SessionryError("dependency_not_available", problem, details={"package": "agent-client-protocol"})
        known = preset_of(preset, command)
        times = {"approval_timeout": approval_timeout, "start_timeout": start_timeout, "stall_after": stall_after}
        for name, value in times.items():
            if value is not None and value <= 0:
                raise unusable(name, f"must be a positive number of seconds, not {value}")
        self.id = id
        if not 0 < kill_grace <= 7:  # a worker gives up on a cancelled agent after 10, and it is interrupted first
            raise unusable("kill_grace", f"must be from 0 to 7 seconds, not {kill_grace}")
        self._env_allow = known.env_allow if env_allow is None else tuple(env_allow)
        self._stall_after, self._on_stall = stall_after, on_stall
        self._settings = Settings(
            preset=known,
            login=KNOWN[preset].login if preset is not None else None,
            argv=(command or known.command, *known.arguments, *arguments),
            env={**known.env, **(env or {})},
            model=model,
            mode=mode,
            config=dict(config or {}),
            mcp_servers=_servers(mcp_servers or {}),
            folders=_folders(add_dirs),
            auth_method=auth_method,
            remember=remember,
            approval_timeout=approval_timeout,
            client_files=known.client_files if client_files is None else client_files,
            client_terminal=client_terminal,
            start_timeout=start_timeout,
            kill_grace=kill_grace,
            max_tokens=max_tokens,
        )

    @property
    def facts(self) -> AgentFacts:
        """Capabilities are the preset's. What an agent turns out to lack is told by the run that needs it."""
        return AgentFacts(
            type="acp",
            capabilities=list(map(str, self._settings.preset.capabilities)),
            model=self._settings.model,
            stall_after=self._stall_after,
            on_stall=self._on_stall,
        )

    @property
    def takeover(self) -> Takeover:
        """Its own session is taken up where that is possible, else it is told what was done so far."""
        return Takeover.RESUME

    @property
    def takeover_waiting(self) -> Takeover:
        return Takeover.RESUME

    def check(self, input: Json) -> Json:
        images = Capability.IMAGES in self._settings.preset.capabilities
        prompt = prompt_of(input, PER_RUN, images=images)
        per_run(prompt.options)
        return prompt.to_input()

    async def run(self, context: AgentContext) -> AsyncGenerator[EventData, None]:
        await asyncio.to_thread(
            import_module, "acp"
        )  # a second of work: not before it is needed, and not in the event loop
        from sessionry.agents.acp.attempt import Attempt

        prompt = prompt_of(context.run.input, PER_RUN, images=True)
        settings = self._settings.for_run(per_run(prompt.options))
        async with aclosing(Attempt(context, settings, prompt, self._env_allow).play()) as events:
            async for event in events:
                yield event


_servers, _folders = mcp_servers, folders
