"""Every contract between Sessionry and what it is plugged into, on one page.

A stranger can write a second adapter from this page alone:

- `Agent` runs one kind of agent. It is handed an `AgentContext` and yields events.
- `Store` runs the operations of `sessionry.store.operations`, each as one transaction.
- `Dispatch` delivers runs to the workers that may begin them, at least once.
- `Bus` says that something may have changed. It may lose a word; it is never the truth.
- `Blobs` keeps big things by the hash of their content.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import msgspec

from sessionry.domain.continuity import Conversation
from sessionry.domain.events import ArtifactAdded, Event, EventData
from sessionry.domain.json_values import Json
from sessionry.domain.run import AgentFacts, CancelMode, Run, Takeover
from sessionry.domain.session import Session

if TYPE_CHECKING:
    from sessionry.domain.transcript import Transcript

T = TypeVar("T")


# --- agents -----------------------------------------------------------------------------------------------------------


class Capability(StrEnum):
    """What an agent may declare that it can do. A run may require any of these."""

    STREAMING = "streaming"
    REASONING = "reasoning"
    TOOLS = "tools"
    COMMANDS = "commands"
    FILES = "files"
    APPROVALS = "approvals"
    STEER = "steer"
    TURNS = "turns"
    RESUME = "resume"
    FORK = "fork"
    STRUCTURED_OUTPUT = "structured_output"
    MCP = "mcp"
    IMAGES = "images"
    USAGE = "usage"
    COST = "cost"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said to `AgentContext.approve`. True when approved; expired and denied are false."""

    approved: bool
    by: str | None = None
    note: str | None = None
    expired: bool = False

    def __bool__(self) -> bool:
        return self.approved


class AgentContext(Protocol):
    """What an agent gets to work with, for one attempt at one run."""

    @property
    def session(self) -> Session:
        """The session as it was when the attempt began."""

    @property
    def run(self) -> Run:
        """The run as it was when the attempt began: `run.input`, `run.attempt`, `run.options` ..."""

    @property
    def message(self) -> str:
        """The input as text: the string itself, the `prompt` or the last message of an object, else its JSON."""

    @property
    def cwd(self) -> Path:
        """The directory to work in. It exists."""

    @property
    def idempotency_key(self) -> str:
        """Unique for this attempt: hand it to tools that act on the world, which no fence can guard."""

    @property
    def cancel_requested(self) -> CancelMode | None:
        """Set once somebody asked to stop after the turn. A cancel `now` is not seen: the agent is cancelled."""

    async def emit(self, *data: EventData) -> None:
        """Append events in order. Durable when it returns; yielding them instead is faster. Raises `Fenced`."""

    async def received(self, source: str, frame: Json, *, anew: bool = False) -> None:
        """What a provider sent, as it came, before the events that are made of it. Kept if the run wants it (`keep_raw`).

        `source` names the protocol: "openai chat". `anew`: it begins an answer, and goes on with no text of before.
        """

    async def approve(
        self,
        tool_name: str,
        tool_input: Json = None,
        *,
        tool_call_id: str | None = None,
        reason: str | None = None,
        timeout: float | None = None,
    ) -> Decision:
        """Ask a person, and wait, for up to `timeout` seconds (None: for ever); no answer in time is a denial.

        The question survives this process. When the run is attempted again, the same question in the same place is not
        asked twice: its decision comes back at once.
        """

    async def step(self, name: str, work: Callable[[], Awaitable[Json]]) -> Json:
        """Do `work` once in the life of the run and remember its result, so that another attempt does not repeat it."""

    async def history(self, types: Sequence[str] = (), *, of_session: bool = False) -> list[Event]:
        """This run's events so far, of all attempts, oldest first; of the given types only, if any are given.

        With `of_session` those of all runs of the session.
        """

    async def transcript(self) -> Transcript:
        """The conversation of the whole session so far, this run's input included, but none that waits in the queue."""

    async def conversation(self) -> Conversation:
        """What was before this run: the agent's own session, if it has one, and what was said without that.

        With `continuation` set to replay or fresh there is no own session; with fresh nothing was missed either.
        """

    async def blob(self, hash: str) -> bytes:
        """The content of a blob, whole. Raises `blob_not_found`."""

    def steering(self) -> list[str]:
        """What people said to the run since the last call, oldest first."""

    async def next_steering(self) -> str:
        """Wait for the next thing that a person says to the run."""

    async def add_artifact(
        self, content: bytes | AsyncIterable[bytes], *, name: str | None = None, media_type: str | None = None
    ) -> ArtifactAdded:
        """Put something big into the blob store and an `artifact_added` event into the log."""


@runtime_checkable
class Agent(Protocol):
    """Runs one kind of agent.

    Promises of the caller: `run` is called once per attempt, in the event loop; what it yields is appended in that order,
    exactly once, under the attempt's fence; nothing is appended after the attempt's lease is over.

    Promises of the agent: the last thing yielded may be a `RunCompleted` or a `RunFailed`; without one, returning completes
    the run with the text of its last message, and raising fails it. Cancellation (`asyncio.CancelledError`, `aclose`) is
    obeyed within seconds and leaves no process behind. Options that cannot be honoured are refused when it is made.
    """

    @property
    def facts(self) -> AgentFacts:
        """Type, version and capabilities."""

    @property
    def takeover(self) -> Takeover:
        """What becomes of a running run whose worker is lost, unless its options say otherwise."""

    @property
    def takeover_waiting(self) -> Takeover:
        """The same for a run that waits for a person."""

    def check(self, input: Json) -> Json:
        """The input as it will be stored. Raises `validation_error` before anything is queued when it cannot be run."""

    def run(self, context: AgentContext) -> AsyncIterator[EventData]:
        """Do the work of one attempt."""


# --- the store --------------------------------------------------------------------------------------------------------


class Wake(NamedTuple):
    """A run is at the head of its session's queue: whoever has its agent and serves its named queue may begin it."""

    session_id: str
    run_id: str
    agent_id: str
    queue: str
    priority: int
    #: of its next delivery
    number: int


class Rest(NamedTuple):
    """The run is at the head of its session's queue no more: it was begun, cancelled, or overtaken."""

    run_id: str


class Touched(NamedTuple):
    """This session's log grew: whoever follows it should look."""

    session_id: str
    session_key: int


class Many(NamedTuple):
    """One statement for many rows of parameters."""

    sql: str
    rows: Sequence[Sequence[Any]]


class Now(NamedTuple):
    """Answered with the store's clock, in microseconds since 1970 UTC."""


#: What an operation yields: a statement with `?` for its parameters, or a word to the driver. It is sent the rows.
Request = tuple[str, Sequence[Any]] | Many | Now | Wake | Rest | Touched
Rows = list[tuple[Any, ...]]
Steps = Generator[Any, Any, T]


class Operation(Generic[T]):
    """One transaction, which a driver can start again from the beginning after a lost connection."""

    __slots__ = ("arguments", "function", "keywords", "writes")

    def __init__(
        self, function: Callable[..., Steps[T]], arguments: tuple[Any, ...], keywords: dict[str, Any], writes: bool
    ) -> None:
        self.function = function
        self.arguments = arguments
        self.keywords = keywords
        self.writes = writes

    def steps(self) -> Steps[T]:
        return self.function(*self.arguments, **self.keywords)

    def __repr__(self) -> str:
        return f"<operation {self.function.__name__}>"


class Appending(msgspec.Struct, frozen=True):
    """Events that the holder of a lease appends: the compare-and-set is on `(fence, after)`.

    `after` is the `seq` of the last event that was appended under this fence. The same request twice is appended once.
    """

    run_id: str
    fence: int
    after: int
    events: Sequence[EventData]


class Store(Protocol):
    """Where everything is kept. Two drivers ship: SQLite and PostgreSQL; one contract suite proves each.

    All methods raise `StoreFailed` when the database does; then nothing of the request was kept.
    """

    @property
    def url(self) -> str:
        """What `open` was given, without a password."""

    @property
    def shared_machine(self) -> bool:
        """True when every process that uses the store runs on this machine, so that a dead worker shows as a dead pid."""

    async def execute(self, operation: Operation[T]) -> T:
        """Run the operation as one transaction. Durable when it returns, if it writes."""

    async def append(self, appending: Appending) -> list[int]:
        """Append a lease holder's events; their `seq`s. Raises `Fenced`; durable when it returns."""

    async def change_token(self) -> int:
        """A number that changes when any other process may have written. Cheap enough to ask 50 times a second."""

    def on_commit(self, listener: Callable[[Sequence[str], Sequence[Wake]], None]) -> None:
        """Tell `listener`, in the event loop, which sessions each commit of this process touched and which runs it woke."""

    async def close(self) -> None:
        """Finish what was begun, then let go of the database."""


# --- work, pokes, blobs -----------------------------------------------------------------------------------------------


class Delivery(NamedTuple):
    """A run handed to a worker. `number` rises with every delivery of the same run; an old one is refused at the claim."""

    session_id: str
    run_id: str
    number: int


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs somebody could work on: for one of these agents, in one of these named queues, of these sessions only.

    No queues, or no sessions: of any.
    """

    agents: Sequence[str]
    queues: Sequence[str] = ()
    sessions: Sequence[str] = ()


class Taker(Protocol):
    """Whoever takes deliveries, as the dispatch sees it."""

    @property
    def wanted(self) -> Wanted:
        """Which runs it could begin now; that may change."""

    async def ready(self, limit: int) -> list[Delivery]:
        """At most so many of the runs that it could begin now, first things first. Raises `StoreFailed`."""

    async def room(self) -> int:
        """How many more runs may be live in the whole store; 0 also when it takes no more. Raises `StoreFailed`."""


class Taken(StrEnum):
    """What became of a delivery."""

    #: the run was begun, and this attempt is over
    BEGUN = "begun"
    #: there was nothing to begin: it is at work elsewhere, has ended, or its turn has not come
    REFUSED = "refused"
    #: it was not even tried; somebody else may have it, or the same one later
    LEFT = "left"


Handler = Callable[[Delivery], Awaitable[Taken]]


class Dispatch(Protocol):
    """Delivers runs to one `Taker`: at least once, soon. Order and exactly-one belong to the store, not to the dispatch.

    A run is handed over again and again, by whatever way, until it was begun or is a head no more. A delivery that was
    `LEFT` goes to somebody else at once, where there is somebody; one that was `REFUSED` is forgotten.
    """

    def wake(self, wakes: Sequence[Wake]) -> None:
        """The runs can begin. Called after the commit, in the event loop; a lost one is repeated by the sweeper."""

    def look(self) -> None:
        """There may be more to do than before: the taker has another agent, for example."""

    async def work(self, handler: Handler, slots: int) -> None:
        """Call `handler` with deliveries, at most `slots` at once, until cancelled.

        The loss of the database does not end it. The handlers that are at work when it is cancelled go on.
        """

    def is_at_work(self, run_id: str) -> bool:
        """Whether a handler of this process has that run."""

    async def idle(self) -> None:
        """Return when no handler is at work."""

    def abandon(self) -> None:
        """Cancel the handlers that are at work."""


class Bus(Protocol):
    """Pokes: "session S may have grown". Lossy by contract, with a slow poll behind it wherever it is used."""

    def poke(self, session_ids: Sequence[str]) -> None: ...

    def watch(self, listener: Callable[[Sequence[str] | None], None]) -> Callable[[], None]:
        """Call `listener` with the ids (None: any session); returns a function that ends the watch."""


class BlobRef(msgspec.Struct, frozen=True, kw_only=True):
    """A blob: SHA-256 of its content in hexadecimal, and its size in bytes."""

    hash: str
    size: int


class Blobs(Protocol):
    """Big things, by the hash of their content: the same content twice is kept once, and is there whole or not at all."""

    async def put(self, content: bytes | AsyncIterable[bytes]) -> BlobRef: ...

    def open(self, hash: str) -> AsyncIterator[bytes]:
        """The content in pieces. Raises `blob_not_found`; `store_corrupt` when it does not match its hash."""

    async def delete(self, hash: str) -> bool:
        """True when it was there."""
