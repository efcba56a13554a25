"""The only file that knows every concrete class: from settings to an open store with everything around it."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Any, TypeAlias

from sessionry.agents.catalog import Catalog
from sessionry.agents.places import Places
from sessionry.dispatch.bus import PollBus
from sessionry.dispatch.local import LocalDispatch
from sessionry.domain.records import invalid
from sessionry.domain.redaction import Redactor
from sessionry.domain.run import queue_names
from sessionry.domain.scope import Acting, Scope
from sessionry.ports import Bus, Dispatch, Store, Taker
from sessionry.runtime.execution import CANCEL_GRACE, Tools
from sessionry.runtime.handles import forget
from sessionry.runtime.hub import hub_of
from sessionry.runtime.redacting import RedactingStore, guard_logs
from sessionry.runtime.sessions import Sessions
from sessionry.runtime.sweeper import Sweeper
from sessionry.runtime.webhooks import Notifier
from sessionry.runtime.worker import Worker, WorkerOptions
from sessionry.settings import MOST, Settings, data_home, load_settings
from sessionry.store.blobs import FORGOTTEN_AFTER, FileBlobs, MemoryBlobs
from sessionry.store.open import open_store, sqlite_location

if TYPE_CHECKING:
    from sessionry.dispatch.notify import NotifyBus

Agents: TypeAlias = Catalog | Mapping[str, Any] | str | Path


@asynccontextmanager
async def open_sessions(
    url: str | None = None,
    *,
    scope: Scope | None = None,
    agents: Agents | None = None,
    worker: bool = True,
    slots: int | None = None,
    only: frozenset[str] | None = None,
    queues: Sequence[str] | None = None,
    work_with: Sequence[str] | None = None,
    grace: float | None = 30.0,
    cancel_grace: float = CANCEL_GRACE,
    notify: bool | None = None,
    settings: Settings | None = None,
) -> AsyncGenerator[Sessions, None]:
    """Open a store and everything around it; on leaving, let go of it in the right order.

    `url`: `sqlite:///path`, `postgresql://...` or `memory://`; default: the setting. `agents`: a mapping of id -> agent
    or callable, or the path of an agents.toml, in addition to the built-in ones. `worker`: work on runs in this process,
    at most `slots` at once; with `only`, on those sessions alone; in the named `queues`, or the default one; with the
    agents that `work_with` names, or all. `grace`: seconds for which leaving waits for the runs that are at work here
    (None: until all have ended) before they are given back to the queue; leaving by an exception does not wait.
    `notify`: bring webhooks what they are owed, if no other process does; default: as `worker`.
    """
    settings = settings or load_settings()
    catalog = _catalog(agents, settings)
    async with AsyncExitStack() as stack:
        store = opened = await open_store(url or settings.store, lease=settings.lease)
        stack.push_async_callback(store.close)
        redactor = Redactor(catalog.secrets(os.environ)) if settings.redact else None
        if redactor is not None:
            store = RedactingStore(store, redactor)
            guard_logs(redactor)
        bus = _bus(opened, url or settings.store, settings)
        stack.push_async_callback(bus.close)
        store.on_commit(lambda touched, _: bus.poke(touched))
        blobs = blobs_of(url or settings.store, settings)
        options = _worker_options(settings, catalog, slots, only, queues, work_with)
        tools = Tools(store, blobs, cancel_grace, Places(settings.max_processes), redactor)
        dispatch = _dispatching(opened, url or settings.store, bus, options, settings)
        at_work = Worker(tools, bus, catalog, options, dispatch) if worker else None
        sweeper = _sweeper(store, blobs, settings, at_work)
        stack.push_async_callback(sweeper.close)
        whose = scope or Acting(settings.tenant, settings.user, None, f"python {gethostname()}")
        sessions = Sessions(store, whose, catalog, blobs, bus, sweeper=sweeper, worker=at_work, hub=hub_of(store))
        stack.callback(forget, sessions)
        stack.push_async_callback(sessions.logs.feed.close)
        await sweeper.open()
        if at_work is not None:
            await at_work.start()
            stack.push_async_callback(at_work.close)
            sweeper.start()
        if worker if notify is None else notify:
            notifier = Notifier(store, bus, private=settings.webhook_private)
            notifier.start()
            stack.push_async_callback(notifier.close)
        yield sessions
        if at_work is not None:
            await at_work.drain(grace)


def _catalog(agents: Agents | None, settings: Settings) -> Catalog:
    if isinstance(agents, Catalog):
        return agents
    if isinstance(agents, str | Path):
        return Catalog.load(Path(agents), default=settings.default_agent)
    catalog = Catalog.load(settings.agents, default=settings.default_agent)
    for id, agent in (agents or {}).items():
        catalog.add(id, agent)
    return catalog


def _bus(store: Store, url: str, settings: Settings) -> PollBus | NotifyBus:
    if not url.startswith("postgres"):
        return PollBus(store.change_token)
    from sessionry.dispatch.notify import NotifyBus  # it loads psycopg, and so did the store
    from sessionry.store.postgres import PostgresStore

    assert isinstance(store, PostgresStore)
    return NotifyBus(_listening(url, settings), store.notify, store.change_token)


def _dispatching(
    store: Store, url: str, bus: Bus, options: WorkerOptions, settings: Settings
) -> Callable[[Taker], Dispatch]:
    """Who works on a few sessions only looks for their heads by itself: no other process would be told of them less."""
    if not url.startswith("postgres") or options.only is not None:
        return lambda taker: LocalDispatch(taker.ready, bus)

    def by_procrastinate(taker: Taker) -> Dispatch:
        from sessionry.dispatch.procrastinate import ProcrastinateDispatch  # slow to load, and only for who works
        from sessionry.store.postgres import PostgresStore

        assert isinstance(store, PostgresStore)
        return ProcrastinateDispatch(store, _listening(url, settings), taker, heartbeat=settings.heartbeat)

    return by_procrastinate


def _listening(url: str, settings: Settings) -> str:
    """How the connections that listen are made."""
    from sessionry.store.postgres import connecting

    return connecting(url) if settings.listen is None else connecting(settings.listen, "listen")


def _worker_options(
    settings: Settings,
    catalog: Catalog,
    slots: int | None,
    only: frozenset[str] | None,
    queues: Sequence[str] | None,
    agents: Sequence[str] | None,
) -> WorkerOptions:
    if slots is not None and (type(slots) is not int or not 1 <= slots <= MOST):
        raise invalid(
            "slots", f"must be a whole number from 1 to {MOST}, not {slots!r}; worker=False opens without a worker"
        )
    return WorkerOptions(
        slots=slots or settings.slots,
        lease=settings.lease,
        heartbeat=settings.heartbeat,
        only=only,
        queues=queue_names(queues),
        agents=None if agents is None else _of_catalog(agents, catalog),
    )


def _of_catalog(agents: Sequence[str], catalog: Catalog) -> frozenset[str]:
    """Raises `agent_not_found` for one that the catalog does not have: its worker would wait for ever."""
    if isinstance(agents, str) or not agents:
        raise invalid("work_with", f"must be a list of agents of the catalog, not {agents!r}")
    for id in agents:
        catalog.agent(id)
    return frozenset(agents)


def _sweeper(store: Store, blobs: FileBlobs | MemoryBlobs, settings: Settings, worker: Worker | None) -> Sweeper:
    tidy = partial(blobs.sweep, FORGOTTEN_AFTER)
    sweeper = partial(Sweeper, store, settings.sweep, settings.prune_after, patience=settings.lease, tidy=tidy)
    if worker is not None:
        sweeper = partial(sweeper, renew=worker.renew)
    if store.url.startswith("postgres"):
        from sessionry.store import jobs

        sweeper = partial(sweeper, mend=lambda pause: store.execute(jobs.mend(settings.lease, pause)))
    return sweeper()


def blobs_of(url: str, settings: Settings) -> FileBlobs | MemoryBlobs:
    """Where the big things of the store at `url` are kept: beside the file, or in the data folder."""
    if url.startswith("memory:"):
        return MemoryBlobs()
    if settings.blobs is not None:
        return FileBlobs(settings.blobs)
    if url.startswith("sqlite:"):
        return FileBlobs(Path(sqlite_location(url)[0] + ".blobs"))
    return FileBlobs(data_home(os.environ) / "blobs")
