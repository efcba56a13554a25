"""The Claude Code agent."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Literal

from sessionry.agents.accounting import Account, money
from sessionry.agents.claude.beginning import Beginning, beginning, degraded
from sessionry.agents.claude.folder import remove_earlier
from sessionry.agents.claude.hooks import Hook, Hooks, unusable
from sessionry.agents.claude.options import ENV_ALLOW, RUN_OPTIONS, Effort, Mode, Options, Source
from sessionry.agents.claude.version import checked_version, program_of
from sessionry.agents.claude.work import NotResumed, Setup, Work
from sessionry.agents.process import GRACE, kill_leftovers
from sessionry.agents.prompts import Prompt, image_bytes, prompt_of
from sessionry.domain.events import AgentSessionLinked, EventData, RunCompleted
from sessionry.domain.json_values import Json
from sessionry.domain.run import AgentFacts, OnStall, Takeover
from sessionry.ports import AgentContext, Capability

#: Seconds of silence that are told of: Claude Code itself does not notice when its model stops in the middle of a word.
STALL_AFTER = 300.0


class ClaudeAgent:
    """Runs Claude Code, as the package claude-agent-sdk brings it or as it is found on PATH.

    `program` is another one to start. `permissions`: with "ask" a person is asked before each tool that `permission_mode`,
    `allowed_tools` and the settings do not allow already, and no answer within `approval_timeout` seconds is a denial; with
    "deny" nobody is asked. `tools` are the built-in ones that there are at all. `thinking` is adaptive, disabled, or a
    number of tokens. `setting_sources` are the settings files that count, all if it is not given; `settings` go before
    them. `mcp_servers`, `agents` and `settings` are as in Claude Code's own files. `hooks` are commands and functions, see
    `sessionry.agents.claude.hooks`. `output_schema` is a JSON Schema for the run's output. `api_timeout` is in seconds,
    `max_retries` counts tries of a request to the model. `env_allow` names what is passed on of the worker's environment,
    `env` adds to it. `kill_grace`, `stall_after`: seconds.
    """

    def __init__(
        self,
        id: str = "claude",
        *,
        program: str | None = None,
        model: str | None = None,
        fallback_model: str | None = None,
        effort: Effort | None = None,
        thinking: Literal["adaptive", "disabled"] | int | None = None,
        max_turns: int | None = None,
        max_budget_usd: float | None = None,
        permission_mode: Mode | None = None,
        permissions: Literal["ask", "deny"] = "ask",
        approval_timeout: float | None = None,
        tools: Sequence[str] | None = None,
        allowed_tools: Sequence[str] = (),
        disallowed_tools: Sequence[str] = (),
        system_prompt: str | None = None,
        append_system_prompt: str | None = None,
        setting_sources: Sequence[Source] | None = None,
        settings: Mapping[str, Json] | None = None,
        add_dirs: Sequence[str] = (),
        mcp_servers: Mapping[str, Mapping[str, Json]] | None = None,
        strict_mcp_config: bool = False,
        agents: Mapping[str, Mapping[str, Json]] | None = None,
        hooks: Mapping[str, Sequence[Hook]] | None = None,
        output_schema: Mapping[str, Json] | None = None,
        env: Mapping[str, str] | None = None,
        env_allow: Sequence[str] = ENV_ALLOW,
        api_timeout: float | None = None,
        max_retries: int | None = None,
        kill_grace: float = GRACE,
        stall_after: float | None = STALL_AFTER,
        on_stall: OnStall = OnStall.TELL,
    ) -> None:
        # first of all, while these are all the names there are
        given = {name: value for name, value in locals().items() if name in Options.__struct_fields__}
        if approval_timeout is not None and approval_timeout <= 0:
            raise unusable("approval_timeout", f"must be positive, not {approval_timeout}")
        if approval_timeout is not None and permissions == "deny":
            raise unusable("approval_timeout", "cannot be kept: with permissions deny nobody is asked")
        if not 0 < kill_grace <= 7:  # a worker gives up on a cancelled agent after 10, and it is interrupted first
            raise unusable("kill_grace", f"must be from 0 to 7 seconds, not {kill_grace}")
        self.id = id
        self._program = program
        self._approval_timeout = approval_timeout
        self._grace = kill_grace
        self._stall = (stall_after, on_stall)
        self._hooks = Hooks(hooks or {})
        self._options = Options(**{name: value for name, value in given.items() if value is not None})
        self._options.check()

    @property
    def facts(self) -> AgentFacts:
        lacking = {Capability.APPROVALS} if self._options.permissions == "deny" else set()
        able = [str(capability) for capability in Capability if capability not in lacking]
        return AgentFacts(
            type="claude",
            capabilities=able,
            model=self._options.model,
            stall_after=self._stall[0],
            on_stall=self._stall[1],
        )

    @property
    def takeover(self) -> Takeover:
        """It goes on in its own session."""
        return Takeover.RESUME

    @property
    def takeover_waiting(self) -> Takeover:
        return Takeover.RESUME

    def check(self, input: Json) -> Json:
        """The prompt, with none but the options that a run may set."""
        prompt = self._prompt(input)
        self._options.for_run(prompt)
        return prompt.to_input()

    async def run(self, context: AgentContext) -> AsyncGenerator[EventData, None]:
        prompt = self._prompt(context.run.input)
        options = self._options.for_run(prompt)
        env = options.environment()
        program = program_of(self._program, env.get("PATH"))
        version = await checked_version(program, env)
        setup = Setup(self.id, program, version, options, self._hooks, self._approval_timeout, self._grace)
        if context.run.attempt > 1:  # what is left of an earlier one may still be writing the session
            await asyncio.to_thread(kill_leftovers, [context.run.id])
            await asyncio.to_thread(remove_earlier, context.run)
        conversation = await context.conversation()
        begin = await beginning(context, conversation, env)
        if begin.earlier.finished and options.output_schema is None:
            for event in _caught_up(begin):
                yield event
            return
        try:
            async with aclosing(_at_work(context, setup, begin, prompt)) as events:
                async for event in events:
                    yield event
            return
        except NotResumed as problem:
            begin = await degraded(context, conversation, str(problem))
        async with aclosing(_at_work(context, setup, begin, prompt)) as events:
            async for event in events:
                yield event

    def _prompt(self, input: Json) -> Prompt:
        return prompt_of(input, RUN_OPTIONS, images=True)


async def _at_work(
    context: AgentContext, setup: Setup, begin: Beginning, prompt: Prompt
) -> AsyncGenerator[EventData, None]:
    for event in begin.told_first():
        yield event
    work = Work(context, setup, begin, await _content(context, begin, prompt))
    async with aclosing(work.events()) as events:
        async for event in events:
            yield event


async def _content(context: AgentContext, begin: Beginning, prompt: Prompt) -> Json:
    """What is said first: bare text where there are no images. The prompt is not said twice."""
    if begin.earlier.prompted:
        return begin.before
    text = "\n\n".join(filter(None, [begin.before, prompt.prompt]))
    if not prompt.images:
        return text
    blocks: list[Json] = []
    for image in prompt.images:
        data, media_type = await image_bytes(context, image)
        source: Json = {"type": "base64", "media_type": media_type, "data": base64.b64encode(data).decode()}
        blocks.append({"type": "image", "source": source})
    return [*blocks, {"type": "text", "text": text}]


def _caught_up(begin: Beginning) -> list[EventData]:
    """The end of a run whose turn had ended in the agent's session when its worker was lost: nothing is done twice."""
    assert begin.resume is not None
    linked = AgentSessionLinked(native_session_id=begin.resume.id, model=begin.resume.model, resumed=True)
    total = money(begin.earlier.cost)
    cost = Account.going_on(begin.resume).cost_total(total) if total is not None else None
    done = RunCompleted(text=begin.earlier.said, stop_reason="end_turn")
    return [linked, *begin.earlier.untold, *([cost] if cost else []), done]
