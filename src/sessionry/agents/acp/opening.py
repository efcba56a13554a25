"""Opening the agent's own session: what it offers, a new one, or the one that goes on, and proof that it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acp.schema import (
    AuthenticateRequest,
    ClientCapabilities,
    FileSystemCapabilities,
    Implementation,
    InitializeRequest,
)

from sessionry.agents.acp.options import Settings
from sessionry.agents.acp.replay import Replay
from sessionry.agents.acp.tools import table
from sessionry.agents.acp.wire import AGENT_METHODS, PROTOCOL_VERSION, Wire
from sessionry.domain.continuity import NativeSession
from sessionry.domain.errors import AgentFailed, InvalidInput
from sessionry.ports import Capability


class Offer:
    """What the agent says it can, in its answer to `initialize`."""

    def __init__(self, answer: dict[str, Any]) -> None:
        able = table(answer, "agentCapabilities")
        session = table(able, "sessionCapabilities")
        prompt, mcp = table(able, "promptCapabilities"), table(able, "mcpCapabilities")
        info = table(answer, "agentInfo")
        self.version: str | None = info.get("version") if isinstance(info.get("version"), str) else None
        self.load = bool(able.get("loadSession"))
        self.resume = session.get("resume") is not None
        self.fork = session.get("fork") is not None
        self.close = session.get("close") is not None
        self.folders = session.get("additionalDirectories") is not None
        self.images = bool(prompt.get("image"))
        self.mcp = {"stdio", *(kind for kind in ("http", "sse") if mcp.get(kind))}
        #: how it takes what people say meanwhile: by a method of its own, or as one more prompt
        self.steers = bool(table(table(answer, "_meta"), "steering").get("supported"))
        self.queues = bool(table(table(able, "_meta"), "claudeCode").get("promptQueueing"))
        self.auth_methods = [
            str(method["id"])
            for method in answer.get("authMethods") or []
            if isinstance(method, dict) and "id" in method
        ]

    def lacks(self, capability: str) -> bool:
        """Whether it says that it cannot; of most capabilities the protocol does not speak."""
        able = {
            Capability.RESUME: self.load or self.resume,
            Capability.FORK: self.fork,
            Capability.IMAGES: self.images,
            Capability.STEER: self.steers or self.queues,
        }
        return not able.get(Capability(capability), True) if capability in set(Capability) else False


class Opened:
    """A session that can be prompted. `items` counts what people said in it, by the agent's own `replay`, if it replays."""

    def __init__(
        self,
        id: str,
        answer: dict[str, Any],
        *,
        items: int | None,
        resumed: bool = False,
        forked_from: str | None = None,
        replay: Replay | None = None,
    ) -> None:
        self.id = id
        self.items = items
        self.replay = replay
        self.resumed = resumed
        self.forked_from = forked_from
        self.answer = answer
        self.model = _current(answer, "model")


class CannotResume(Exception):
    """The agent's own session does not go on. The message says why."""


class Opening:
    """Everything before the first prompt."""

    def __init__(self, wire: Wire, settings: Settings, cwd: Path) -> None:
        self._wire = wire
        self._settings = settings
        self._cwd = cwd
        self._timeout = settings.start_timeout

    async def initialize(self) -> Offer:
        """Agree on the version. Raises `protocol` when that fails, `missing_required_capability` for options."""
        settings = self._settings
        files = FileSystemCapabilities(read_text_file=settings.client_files, write_text_file=settings.client_files)
        request = InitializeRequest(
            protocol_version=PROTOCOL_VERSION,
            client_capabilities=ClientCapabilities(fs=files, terminal=settings.client_terminal),
            client_info=Implementation(name="sessionry", title="Sessionry", version=_version()),
        )
        answer = await self._wire.request(AGENT_METHODS["initialize"], request, self._timeout)
        version = answer.get("protocolVersion")
        if version != PROTOCOL_VERSION:
            name = self._wire.program.name
            problem = (
                f"{name} speaks version {version!r} of the protocol, and not {PROTOCOL_VERSION}; install another one"
            )
            raise AgentFailed("protocol", problem, details={"version": version, "wanted": PROTOCOL_VERSION})
        offer = Offer(answer)
        self._check(offer)
        if settings.auth_method is not None:
            login = AuthenticateRequest(method_id=settings.auth_method)
            await self._wire.request(AGENT_METHODS["authenticate"], login, self._timeout)
        return offer

    def _check(self, offer: Offer) -> None:
        """Refuse, by its name, an option that this agent cannot honour."""
        settings = self._settings
        if settings.folders and not (offer.folders or settings.preset.folder_flag):
            raise refused("add_dirs", "the agent takes no more folders than the one that it works in")
        for name, server in settings.mcp_servers.items():
            if server.kind not in offer.mcp:
                raise refused("mcp_servers", f"the agent takes no {server.kind} servers, as {name} is one")
        if settings.auth_method is not None and settings.auth_method not in offer.auth_methods:
            raise refused("auth_method", f"the agent offers {', '.join(offer.auth_methods) or 'none'}")
        self._folders = list(settings.folders) if offer.folders else []

    async def new(self) -> Opened:
        answer = await self._wire.request(AGENT_METHODS["session_new"], self._where(), self._timeout)
        return Opened(_session_id(answer), answer, items=0)

    async def fork(self, native: NativeSession) -> Opened:
        """A copy. Raises `CannotResume`."""
        answer, replay = await self._replayed("session_fork", native, settle=False)
        id = _session_id(answer)
        if id == native.id:
            raise CannotResume("the agent did not copy its session: the copy has the same id")
        return Opened(id, answer, items=replay.messages or native.items, forked_from=native.id)

    async def go_on(self, native: NativeSession, offer: Offer) -> Opened:
        """The session itself. Loading it is preferred, since the agent then shows what it has. Raises `CannotResume`."""
        if not offer.load and not offer.resume:
            raise CannotResume("the agent offers neither to load nor to resume a session")
        if not offer.load:
            answer, _ = await self._replayed("session_resume", native, settle=False)
            return Opened(native.id, answer, items=None, resumed=True)
        answer, replay = await self._replayed("session_load", native, settle=True)
        items = replay.messages
        if native.items is not None and items < native.items:
            raise CannotResume(f"the agent's session is short of what it had: {items} of {native.items} messages")
        return Opened(native.id, answer, items=items, resumed=True, replay=replay)

    async def _replayed(self, method: str, native: NativeSession, *, settle: bool) -> tuple[dict[str, Any], Replay]:
        """The answer, and what the agent replayed. None of it is told again."""
        replay = Replay(native.id)
        self._wire.update = replay.update
        try:
            params = {"sessionId": native.id, **self._where()}
            answer = await self._wire.request(AGENT_METHODS[method], params, self._timeout)
            if settle:
                await replay.settled()
        except AgentFailed as error:
            if error.code in ("crashed", "protocol", "stalled", "auth") and "rpc_code" not in error.details:
                raise
            raise CannotResume(f"the agent did not take up its session: {error.message}") from None
        finally:
            self._wire.update = lambda _: None
        if settle and replay.strange:
            raise CannotResume("the agent took up another session than it was asked for")
        return answer, replay

    def _where(self) -> dict[str, Any]:
        servers = [server.told(name) for name, server in self._settings.mcp_servers.items()]
        where: dict[str, Any] = {"cwd": str(self._cwd), "mcpServers": servers}
        return where | ({"additionalDirectories": self._folders} if self._folders else {})

    # --- model, mode and the agent's own settings ---

    async def set_up(self, opened: Opened) -> None:
        """Set what was asked for, and nothing else. Raises `capability_not_supported`, naming what there is."""
        settings = self._settings
        if settings.model is not None and not settings.preset.model_flag:
            opened.model = await self._choose(opened, "model", settings.model)
        elif settings.model is not None:
            opened.model = settings.model
        if settings.mode is not None:
            await self._choose(opened, "mode", settings.mode)
        for id, value in settings.config.items():
            await self._configure(opened, id, value)

    async def _choose(self, opened: Opened, what: str, wanted: str) -> str:
        """A model or a mode, by its id or its name: as a setting where the agent has it as one, else by its own method."""
        option = next((option for option in _options(opened.answer) if option.get("category") == what), None)
        choices = _choices(option) if option is not None else _listed(opened.answer, what)
        if not choices:
            raise refused(what, f"the agent offers no choice of a {what}")
        chosen = next((id for id, name in choices if wanted in (id, name)), None)
        if chosen is None:
            raise refused(what, f"the agent does not offer {wanted!r}; it offers {', '.join(id for id, _ in choices)}")
        if option is not None:
            params = {"sessionId": opened.id, "configId": option["id"], "value": chosen}
            await self._wire.request(AGENT_METHODS["session_set_config_option"], params, self._timeout)
        elif what == "mode":
            params = {"sessionId": opened.id, "modeId": chosen}
            await self._wire.request(AGENT_METHODS["session_set_mode"], params, self._timeout)
        else:  # not in the protocol any more, and what Gemini has
            params = {"sessionId": opened.id, "modelId": chosen}
            await self._wire.request("session/set_model", params, self._timeout)
        return chosen

    async def _configure(self, opened: Opened, id: str, value: str | bool) -> None:
        options = {str(option.get("id")): option for option in _options(opened.answer)}
        if id not in options:
            raise refused("config", f"the agent has no setting {id!r}; it has {', '.join(options) or 'none'}")
        kind = {"type": "boolean"} if isinstance(value, bool) else {}
        params = {"sessionId": opened.id, "configId": id, "value": value, **kind}
        await self._wire.request(AGENT_METHODS["session_set_config_option"], params, self._timeout)


def refused(option: str, problem: str) -> InvalidInput:
    details = {"option": option}
    return InvalidInput(
        "capability_not_supported", f"the option {option!r} cannot be honoured: {problem}", details=details
    )


def _session_id(answer: dict[str, Any]) -> str:
    id = answer.get("sessionId")
    if not isinstance(id, str) or not id:
        raise AgentFailed("protocol", "the agent did not say the id of its session")
    return id


def _current(answer: dict[str, Any], what: str) -> str | None:
    """The id of the model, or of the mode, that the session has."""
    for option in _options(answer):
        if option.get("category") == what and isinstance(option.get("currentValue"), str):
            return str(option["currentValue"])
    current = table(answer, f"{what}s").get(f"current{what.capitalize()}Id")
    return current if isinstance(current, str) else None


def _options(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [option for option in answer.get("configOptions") or [] if isinstance(option, dict)]


def _choices(option: dict[str, Any]) -> list[tuple[str, str]]:
    """Ids and names; of all groups, if they are grouped."""
    found: list[tuple[str, str]] = []
    for choice in option.get("options") or []:
        group = choice.get("options")
        found += _choices(choice) if isinstance(group, list) else [(str(choice.get("value")), str(choice.get("name")))]
    return found


def _listed(answer: dict[str, Any], what: str) -> list[tuple[str, str]]:
    id = "modelId" if what == "model" else "id"
    listed = table(answer, f"{what}s").get(f"available{what.capitalize()}s") or []
    return [(str(each.get(id)), str(each.get("name"))) for each in listed]


def _version() -> str:
    from importlib.metadata import version

    return version("sessionry")
