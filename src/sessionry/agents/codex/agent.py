"""The Codex agent: OpenAI's Codex, through its `app-server`, one program for each attempt at a run."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import msgspec

from sessionry.agents.codex.earlier import Earlier, earlier_attempts
from sessionry.agents.codex.faults import error_of
from sessionry.agents.codex.found import Binary, api_key, locate
from sessionry.agents.codex.options import OF_A_RUN, ApprovalPolicy, Options, Sandbox, Summary, unusable
from sessionry.agents.codex.thread import Thread, count_items, open_thread
from sessionry.agents.codex.turns import Input, Turns, text_input
from sessionry.agents.failures import failure
from sessionry.agents.handover import begin_again, go_on
from sessionry.agents.jsonrpc import Peer, Refused
from sessionry.agents.models.schemas import Mismatch, Output
from sessionry.agents.process import GRACE, PASSED_ON, environment
from sessionry.agents.program import Program
from sessionry.agents.prompts import Prompt, image_bytes, prompt_of
from sessionry.domain import events as ev
from sessionry.domain.errors import AgentFailed
from sessionry.domain.events import EventData
from sessionry.domain.json_values import Json
from sessionry.domain.run import AgentFacts, OnStall, Takeover
from sessionry.ports import AgentContext, Capability

#: What is passed on of the worker's environment.
ENVIRONMENT = (
    *(*PASSED_ON, "CODEX_HOME", "CODEX_API_KEY", "OPENAI_API_KEY", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
#: The oldest Codex that says everything that is relied on here.
OLDEST = (0, 163)
#: Seconds of silence that are told of: Codex waits for ever for a model's server that is silent, or is not there.
STALL_AFTER = 300.0
#: Seconds that it has to say its name, and to end when it is told no more.
START, LEAVE = 30.0, 0.5

#: What Codex says when another one was just making its database, and the seconds to wait before each further try.
_CROWDED = "failed to initialize state runtime"
_PAUSES = (0.1, 0.3, 0.6, 1.0, 2.0)

#: Where Codex keeps a login that is not the user's own.
_IN_MEMORY = 'cli_auth_credentials_store="ephemeral"'

_VERSION = re.compile(r"/(\d+)\.(\d+)\.(\d+\S*)")
_ABLE = [
    Capability.STREAMING,
    Capability.REASONING,
    Capability.TOOLS,
    Capability.COMMANDS,
    Capability.FILES,
    Capability.APPROVALS,
    Capability.STEER,
    Capability.TURNS,
    Capability.RESUME,
    Capability.FORK,
    Capability.STRUCTURED_OUTPUT,
    Capability.MCP,
    Capability.IMAGES,
    Capability.USAGE,
    Capability.COST,
]


class CodexAgent:
    """Works with Codex. What is None is as Codex's own configuration (`codex_home`, `config.toml`) has it.

    `program` is the Codex to start: that of the package openai-codex, else the one on the PATH. `env_allow` names what is
    passed on of the worker's environment, `env` adds to it. With an `api_key`, or one in the environment, Codex is logged
    in for the run alone. `config` overrides Codex's configuration by key. A person has
    `approval_timeout` seconds to answer a question; None: for ever. `stall_after` and `on_stall` are for runs that do not
    set them: Codex waits without an end for a model's server that takes a request and says nothing, or is not there.
    """

    def __init__(
        self,
        id: str = "codex",
        *,
        program: str | None = None,
        codex_home: Path | None = None,
        env: Mapping[str, str] | None = None,
        env_allow: Sequence[str] = ENVIRONMENT,
        api_key: str | None = None,
        config: dict[str, Json] | None = None,
        model: str | None = None,
        model_provider: str | None = None,
        effort: str | None = None,
        summary: Summary | None = None,
        sandbox: Sandbox | None = None,
        writable_dirs: Sequence[str] = (),
        network_access: bool | None = None,
        approval_policy: ApprovalPolicy | None = None,
        approval_timeout: float | None = None,
        base_instructions: str | None = None,
        developer_instructions: str | None = None,
        output_schema: dict[str, Json] | str | None = None,
        mcp_servers: dict[str, dict[str, Json]] | None = None,
        stall_after: float | None = STALL_AFTER,
        on_stall: OnStall = OnStall.TELL,
        kill_grace: float = GRACE,
    ) -> None:
        # first of all, while these are all the names there are
        given = {name: value for name, value in locals().items() if name in Options.__struct_fields__}
        if approval_timeout is not None and approval_timeout <= 0:
            raise unusable("approval_timeout", f"must be more than 0 seconds, not {approval_timeout}")
        if stall_after is not None and stall_after <= 0:
            raise unusable("stall_after", f"must be more than 0 seconds, not {stall_after}")
        if not 0 < kill_grace <= 7:  # a worker gives up on a cancelled agent after 10
            raise unusable("kill_grace", f"must be from 0 to 7 seconds, not {kill_grace}")
        self.id = id
        self._program = program
        self._env = dict(env or {})
        self._env_allow = tuple(env_allow)
        self._api_key = api_key
        if codex_home is not None:
            if "CODEX_HOME" in self._env:
                raise unusable("codex_home", "is set in env as well")
            self._env["CODEX_HOME"] = str(codex_home)
        self._options = Options(**{name: value for name, value in given.items() if value is not None})
        self._approval_timeout = approval_timeout
        self._grace = kill_grace
        binary = self._binary()
        self._facts = AgentFacts(
            type="codex",
            version=binary.version if binary else None,
            capabilities=list(_ABLE),
            model=model,
            stall_after=stall_after,
            on_stall=on_stall,
        )

    @property
    def facts(self) -> AgentFacts:
        return self._facts

    @property
    def takeover(self) -> Takeover:
        """Its own thread tells it what was done."""
        return Takeover.RESUME

    @property
    def takeover_waiting(self) -> Takeover:
        return Takeover.RESUME

    def check(self, input: Json) -> Json:
        prompt = prompt_of(input, OF_A_RUN, images=True)
        self._options.with_run(prompt.options)
        return prompt.to_input()

    async def run(self, context: AgentContext) -> AsyncGenerator[EventData, None]:
        prompt = prompt_of(context.run.input, OF_A_RUN, images=True)
        options = self._options.with_run(prompt.options)
        try:
            async with self._started(context, options) as peer:
                work = self._work(context, peer, prompt, options)
                async with aclosing(work):
                    async for event in work:
                        yield event
        except Refused as refused:
            message = f"Codex refuses {refused.method}: {refused.message}"
            raise AgentFailed("request_rejected", message, details={"method": refused.method}) from refused

    @asynccontextmanager
    async def _started(self, context: AgentContext, options: Options) -> AsyncIterator[Peer]:
        """Codex, awake and of a version that can be talked to."""
        async with AsyncExitStack() as stack:
            program, peer = await self._awake(context, options, stack)
            try:
                yield peer
            finally:
                program.close_stdin()  # then it ends by itself, and in good order
                with suppress(TimeoutError):
                    async with asyncio.timeout(LEAVE):
                        await program.process.wait()

    async def _awake(self, context: AgentContext, options: Options, stack: AsyncExitStack) -> tuple[Program, Peer]:
        """Several that begin at once in a new home get into each other's way, and all but one give up: try again."""
        for pause in (*_PAUSES, None):
            try:
                async with AsyncExitStack() as starting:
                    program = await starting.enter_async_context(self._program_of(context, options))
                    peer = await starting.enter_async_context(Peer.over(program, "codex"))
                    await _greeted(peer)
                    if (key := self._key()) is not None:
                        await _logged_in(peer, key)
                    stack.push_async_exit(starting.pop_all())
                    return program, peer
            except AgentFailed as error:
                if pause is None or _CROWDED not in str(error.details.get("stderr")):
                    raise
                await asyncio.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _program_of(self, context: AgentContext, options: Options) -> AbstractAsyncContextManager[Program]:
        binary = self._binary()
        if binary is None:
            raise AgentFailed(
                "command_not_found",
                "Codex is not installed; pip install 'sessionry[codex]', or have a codex on the PATH, or set program",
            )
        login = ["-c", _IN_MEMORY] if self._key() is not None else []
        argv = [binary.program, "app-server", *login, *options.arguments()]
        env = environment(self._env, self._env_allow)
        return Program.start(context, argv, cwd=context.cwd, env=env, version=binary.version, grace=self._grace)

    def _key(self) -> str | None:
        return self._api_key or api_key(environment(self._env, self._env_allow))

    def _binary(self) -> Binary | None:
        if self._program is not None:
            return Binary(str(Path(self._program).expanduser()), None, "configured")
        return locate(environment(self._env, self._env_allow))

    async def _work(
        self, context: AgentContext, peer: Peer, prompt: Prompt, options: Options
    ) -> AsyncGenerator[EventData, None]:
        thread = await open_thread(peer, context, options)
        for event in (*thread.degraded, thread.link, *thread.events):
            yield event
        async with Turns(context, peer, thread, options, self._approval_timeout) as turns:
            earlier = await earlier_attempts(peer, context, thread, turns.items, prompt.prompt)
            turns.ended = earlier.ended or {}
            for event in earlier.untold:
                yield event
            input = None if earlier.ended else await _input(context, thread, prompt, earlier)
            while input is not None:
                async for event in turns.play(input):
                    yield event
                yield ev.TurnCompleted(stop_reason=turns.ended.get("status"))
                said = turns.unheard() if turns.ended.get("status") == "completed" else []
                input = [part for text in said for part in text_input(text)] or None
            async for event in _ending(peer, thread, turns, options):
                yield event


async def _greeted(peer: Peer) -> None:
    """Say hello. Raises `dependency_not_available` for a Codex that is too old, `protocol` for what is none."""
    client = {"name": "sessionry", "title": "Sessionry", "version": version("sessionry")}
    asked = {"clientInfo": client, "capabilities": {"experimentalApi": True}}
    try:
        answer = await peer.call("initialize", asked, timeout=START)
    except Refused as refused:
        raise AgentFailed("protocol", f"the program does not know Codex's protocol: {refused.message}") from refused
    told = _VERSION.search(str(answer.get("userAgent"))) if isinstance(answer, dict) else None
    if told is None:
        raise AgentFailed("protocol", f"the program does not say that it is Codex: {str(answer)[:200]}")
    if (int(told[1]), int(told[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise AgentFailed(
            "dependency_not_available",
            f"this is Codex {told[0][1:]}, and Sessionry needs {oldest} or newer; pip install -U 'sessionry[codex]'",
            details={"version": told[0][1:]},
        )
    await peer.tell("initialized")


async def _logged_in(peer: Peer, key: str) -> None:
    """Codex takes no key from its environment here; and what it is told must not stay in its files."""
    await peer.call("account/login/start", {"type": "apiKey", "apiKey": key})


async def _input(context: AgentContext, thread: Thread, prompt: Prompt, earlier: Earlier) -> Input:
    """The prompt, after what has to be said before it, and with what people said to the run already. Nothing is said that
    an earlier attempt has said.
    """
    words = [go_on(earlier.lost)] if earlier.prompted else [prompt.prompt]
    if earlier.lost and not earlier.prompted:
        words.insert(0, begin_again(earlier.lost))
    said = [text for text in context.steering() if text not in earlier.heard]
    input = text_input("\n\n".join([*thread.before, *words, *said]))
    for image in prompt.images if not earlier.prompted else ():
        content, media_type = await image_bytes(context, image)
        url = f"data:{media_type};base64,{base64.b64encode(content).decode()}"
        input.append({"type": "image", "url": url})
    return input


async def _ending(peer: Peer, thread: Thread, turns: Turns, options: Options) -> AsyncIterator[EventData]:
    with suppress(Refused):
        yield msgspec.structs.replace(thread.link, items=await count_items(peer, thread.id))
    status = turns.ended.get("status")
    if status == "failed":
        yield ev.RunFailed(error=error_of(turns.ended.get("error")))
    elif status != "completed":
        yield ev.RunFailed(error=failure("agent_failed", f"Codex ended the turn as {status}, which nobody asked for"))
    else:
        yield _completed(turns.items.said, options.output)


def _completed(text: str | None, wanted: Output | None) -> EventData:
    if wanted is None:
        return ev.RunCompleted(text=text, stop_reason="end_turn")
    try:
        return ev.RunCompleted(text=text, output=wanted.read(text or ""), stop_reason="end_turn")
    except Mismatch as mismatch:
        message = f"the answer does not match the output_schema: {mismatch}"
        return ev.RunFailed(error=failure("agent_misbehaved", message, answer=(text or "")[:4096]))
