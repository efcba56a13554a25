"""What all commands share: the options that say which store, whose sessions and in which form, and how to open them."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import click

from sessionry.cli.output import Output

if TYPE_CHECKING:
    from sessionry.domain.scope import Scope
    from sessionry.runtime.sessions import Sessions
    from sessionry.settings import Settings
    from sessionry.sync import SyncSessions


class Invocation:
    """One call of the program. The options may stand before the command or after it; the last one counts."""

    def __init__(self) -> None:
        self.store: str | None = None
        self.tenant: str | None = None
        self.user: str | None = None
        self.agents: str | None = None
        self.server: str | None = None
        self.token: str | None = None
        self._local = False
        self.json = False
        self.quiet = False
        self.debug = False

    @cached_property
    def settings(self) -> Settings:
        from sessionry.settings import load_settings

        return load_settings(store=self.store, tenant=self.tenant, user=self.user, agents=self.agents)

    @cached_property
    def scope(self) -> Scope:
        from getpass import getuser
        from socket import gethostname

        from sessionry.domain.scope import Acting

        try:
            you = getuser()
        except (KeyError, OSError):  # a container may not know who it is
            you = None
        return Acting(self.settings.tenant, self.settings.user, you, f"cli {gethostname()}")

    @cached_property
    def output(self) -> Output:
        return Output(json=self.json, quiet=self.quiet)

    @property
    def remote(self) -> str | None:
        """The server to ask, if the store is not to be opened here."""
        return None if self._local else self.server or os.environ.get("SESSIONRY_SERVER") or None

    def stay_local(self) -> None:
        """For a command that works on the store itself. Raises `UsageError` when a server is named for it."""
        if self.server is not None:
            raise click.UsageError("this command works on the store itself; leave --server out, and name the --store")
        self._local = True

    def open(self) -> AbstractContextManager[SyncSessions]:
        """The store, to change something in it."""
        from sessionry.sync import connect_sync, open_sync

        self._log()
        if self.remote:
            return connect_sync(self.remote, token=self.token)
        return open_sync(worker=False, scope=self.scope, settings=self.settings)

    def open_async(self, **options: Any) -> AbstractAsyncContextManager[Sessions]:
        """The store, to follow something, or to work on it: that is done where it is. Options as of `open_sessions`."""
        self._log()
        if self.remote and not options.get("worker", True):
            from sessionry.client import connect

            return connect(self.remote, token=self.token)
        from sessionry.compose import open_sessions

        return open_sessions(scope=self.scope, settings=self.settings, **options)

    def _log(self) -> None:
        from sessionry.cli.logs import log_to_stderr

        log_to_stderr("debug" if self.debug else self.settings.log_level)


_pass_invocation: Callable[[Any], Any] = click.make_pass_decorator(Invocation, ensure=True)


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value not in (None, False):
        setattr(context.ensure_object(Invocation), str(parameter.name), value)


@cache
def _options(*, hidden: bool) -> list[click.Parameter]:
    def option(*names: str, **settings: Any) -> click.Option:
        return click.Option(names, expose_value=False, callback=_remember, **settings)

    return [
        option("--json", is_flag=True, help="Print JSON: a line for each thing, errors too."),
        option("--store", metavar="URL", hidden=hidden, help="The store; else SESSIONRY_STORE, else a file of yours."),
        option("--tenant", metavar="NAME", hidden=hidden, help="Whose sessions: the tenant."),
        option("--user", metavar="NAME", hidden=hidden, help="Whose sessions: the user; all of the tenant without."),
        option("--agents", metavar="FILE", hidden=hidden, help="The agent catalog, an agents.toml."),
        option("--server", metavar="URL", hidden=hidden, help="Ask this server, not a store; else SESSIONRY_SERVER."),
        option("--token", metavar="TOKEN", hidden=hidden, help="The token for the server; better SESSIONRY_TOKEN."),
        option("-q", "--quiet", is_flag=True, hidden=hidden, help="Print results and errors only."),
        option("--debug", is_flag=True, hidden=hidden, help="Log everything; show where an error came from."),
    ]


#: The options of the program; each command takes them too, but shows only --json in its help.
GLOBAL_OPTIONS = _options(hidden=False)


def command(name: str | None = None, **settings: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """`click.command` with the options that all commands take. One of its own goes before one of the same name: the common
    one is then taken before the command only.
    """

    def decorate(function: Callable[..., Any]) -> click.Command:
        made: click.Command = click.command(name, cls=click.Command, **settings)(_pass_invocation(function))
        own = {name for parameter in made.params for name in parameter.opts}
        made.params += [option for option in _options(hidden=True) if own.isdisjoint(option.opts)]
        return made

    return decorate
