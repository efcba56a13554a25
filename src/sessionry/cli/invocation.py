"""What all commands share: the options that say which store, whose sessions and in which form, and how to open them."""

from __future__ import annotations

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
        self.json = False
        self.quiet = False
        self.debug = False

    @cached_property
    def settings(self) -> Settings:
        from sessionry.settings import load_settings

        return load_settings(store=self.store, tenant=self.tenant, user=self.user, agents=self.agents)

    @cached_property
    def scope(self) -> Scope:
        from sessionry.domain.scope import Scope

        return Scope(self.settings.tenant, self.settings.user)

    @cached_property
    def output(self) -> Output:
        return Output(json=self.json, quiet=self.quiet)

    def open(self) -> AbstractContextManager[SyncSessions]:
        """The store, to change something in it."""
        from sessionry.sync import open_sync

        self._log()
        return open_sync(worker=False, settings=self.settings)

    def open_async(self, **options: Any) -> AbstractAsyncContextManager[Sessions]:
        """The store, to follow or to work on something. Options as of `open_sessions`."""
        from sessionry.compose import open_sessions

        self._log()
        return open_sessions(settings=self.settings, **options)

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
