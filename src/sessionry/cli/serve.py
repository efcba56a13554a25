"""`sessionry serve`: the HTTP server and its worker, until it is told to end; and the tokens that open it."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sessionry.cli.asynchronous import ENDING, run_async
from sessionry.cli.identify import one_of
from sessionry.cli.invocation import Invocation, command
from sessionry.cli.options import Seconds
from sessionry.cli.render import Column, age, table
from sessionry.settings import MOST
from sessionry.store.address import without_password

if TYPE_CHECKING:
    from sessionry.runtime.sessions import Sessions
    from sessionry.server.listening import Listener

PORT = 7433
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_TOKEN_COLUMNS = (
    Column("TOKEN"),
    Column("NAME", least=8),
    Column("ALLOWS"),
    Column("USER"),
    Column("MADE"),
    Column(""),
)


@command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65_535), default=PORT, show_default=True, help="The port; 0 takes any.")
@click.option(
    "--allow-host", "hosts", metavar="NAME", multiple=True, help="Another name of this server; may be repeated."
)
@click.option("--trust-proxy", "proxy", metavar="ADDRESS", help="A proxy whose X-Forwarded-For is believed.")
@click.option("--tls-cert", type=click.Path(exists=True, dir_okay=False), help="The certificate (PEM), for https.")
@click.option("--tls-key", type=click.Path(exists=True, dir_okay=False), help="The key of the certificate (PEM).")
@click.option("--worker/--no-worker", default=True, show_default=True, help="Work on runs in this process as well.")
@click.option("--slots", type=click.IntRange(1, MOST), help="How many runs to work on at once.")
@click.option(
    "--grace", type=Seconds(), help="Seconds for runs at work to end when it is to leave; else until they have."
)
def serve(
    invocation: Invocation,
    host: str,
    port: int,
    hosts: tuple[str, ...],
    proxy: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    worker: bool,
    slots: int | None,
    grace: float | None,
) -> int:
    """Serve the HTTP interface and the dashboard.

    The first start makes a token and keeps it in a file that only you can read; the address that is printed holds it.
    Ctrl-C ends the server when the requests and the runs at work have ended; a second one gives the runs back and leaves.
    """
    invocation.stay_local()
    if (tls_key is None) != (tls_cert is None):
        raise click.UsageError("--tls-cert and --tls-key belong together")
    _check_installed()
    if tls_cert is not None:
        _check_certificate(tls_cert, tls_key)
    names = {*_LOOPBACK, *hosts, *([] if host in ("0.0.0.0", "::") else [host])}  # noqa: S104  compared, not bound
    config = {"host": host, "port": port, "ssl_certfile": tls_cert, "ssl_keyfile": tls_key}
    config |= {"forwarded_allow_ips": proxy} if proxy else {}
    serving = _Serving(invocation, config, names)
    return run_async(invocation, serving.work(worker=worker, slots=slots, grace=grace), interrupted=serving.interrupted)


def _check_installed() -> None:
    from importlib.util import find_spec

    from sessionry.domain.errors import SessionryError

    for package in ("litestar", "uvicorn"):
        if find_spec(package) is None:
            raise SessionryError(
                "dependency_not_available",
                f"the server needs {package}; install it with: pip install 'sessionry[server]'",
                details={"package": package},
            )


def _check_certificate(cert: str, key: str | None) -> None:
    import ssl

    from sessionry.domain.errors import InvalidInput

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except (ssl.SSLError, OSError) as error:
        problem = f"{cert} and {key} are no certificate and its key (PEM): {error}"
        raise InvalidInput("invalid_configuration", problem, details={"option": "--tls-cert"}) from None


class _Serving:
    """A server from its first line to its last."""

    def __init__(self, invocation: Invocation, config: dict[str, Any], hosts: set[str]) -> None:
        self._invocation = invocation
        self._config = config
        self._hosts = hosts
        self._server: Listener | None = None
        self._code = 0

    async def work(self, *, worker: bool, slots: int | None, grace: float | None) -> int:
        from sessionry.server.app import create_app
        from sessionry.server.listening import Listener

        async with self._invocation.open_async(worker=worker, slots=slots, grace=grace, notify=True) as sessions:
            secret = await local_token(sessions, token_file(self._invocation))
            secure = self._config["ssl_certfile"] is not None
            quota = self._invocation.settings.quota
            served = create_app(sessions, hosts=self._hosts, quota=quota)
            self._server = server = Listener(
                served, began=lambda port: self._tell(port, secret, secure=secure), **self._config
            )
            try:
                await server.serve()
            except SystemExit:  # it has said why: the port is taken, for example
                return 7
            self._invocation.output.note("waits for the runs that are at work; once more gives them back and leaves")
        return self._code

    def interrupted(self, number: signal.Signals, end: Callable[[], None]) -> None:
        if self._server is None or self._server.should_exit:
            return end()
        self._server.should_exit = True
        # as of a worker: who is told to end and does so in order has succeeded, but a person has interrupted it
        self._code = ENDING[signal.SIGINT] if number == signal.SIGINT else 0
        return None

    def _tell(self, port: int, secret: str, *, secure: bool) -> None:
        host = self._config["host"]
        shown = f"[{host}]" if ":" in host else host
        base = f"{'https' if secure else 'http'}://{shown}:{port}"
        output = self._invocation.output
        if output.json:
            output.object({"url": base, "token": secret})
        else:
            output.line(f"{base}/login?token={secret}")
        output.flush()
        output.note(f"serves {without_password(self._invocation.settings.store)} at {base}")
        if host not in _LOOPBACK and not secure:
            output.note("others can reach it, and read what goes over the wire: use --tls-cert and --tls-key")


# --- tokens -----------------------------------------------------------------------------------------------------------


def token_file(invocation: Invocation) -> Path:
    """Where the secret of this machine's own token is, for this store, tenant and user: only its owner can read it."""
    from sessionry.settings import data_home

    settings = invocation.settings
    whose = "\n".join([settings.store, settings.tenant, *([settings.user] if settings.user else [])])
    key = hashlib.sha256(whose.encode()).hexdigest()[:16]
    return data_home(os.environ) / f"server-{key}.token"


async def local_token(sessions: Sessions, file: Path) -> str:
    """The secret in the file; a new one, for a new token, where there is none that is good."""
    from sessionry.domain.errors import InvalidInput
    from sessionry.domain.token import Permission, new_secret, secret_hash
    from sessionry.store.operations import tokens

    secret = _kept(file)
    if secret is not None and await sessions.execute(tokens.of_hash(secret_hash(secret))) is not None:
        return secret
    secret = new_secret()
    try:
        _keep(file, secret)
    except OSError as error:
        problem = f"the token of this machine cannot be kept in {file}: {error.strerror}; set XDG_DATA_HOME"
        raise InvalidInput("invalid_configuration", problem, details={"file": str(file)}) from None
    await sessions.execute(tokens.create(sessions.scope, "this machine", [Permission.ADMIN], secret_hash(secret)))
    return secret


def _kept(file: Path) -> str | None:
    return file.read_text(encoding="utf-8").strip() if file.is_file() else None


def _keep(file: Path, secret: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = file.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as written:
        written.write(secret + "\n")
    unfinished.replace(file)


@command()
@click.argument("what", type=click.Choice(["list", "create", "revoke"]), default="list")
@click.argument("name", required=False)
@click.option("-p", "--permission", "permissions", multiple=True, help="read, run, approve or admin; may be repeated.")
@click.option("--expires", type=Seconds(), help="Seconds for which it is good; else until it is revoked.")
def tokens(
    invocation: Invocation, what: str, name: str | None, permissions: tuple[str, ...], expires: float | None
) -> None:
    """List, create or revoke the tokens of servers.

    \b
    sessionry tokens create ci --permission run --expires 86400
    sessionry tokens revoke tok_01a2

    A token acts for the --tenant and --user that it was created with. Its secret is printed once.
    """
    invocation.stay_local()
    if what != "list" and name is None:
        raise click.UsageError(f"say which: sessionry tokens {what} {'NAME' if what == 'create' else 'TOKEN'}")
    from sessionry.domain import token as domain
    from sessionry.domain.records import utc_now
    from sessionry.store.operations import tokens as operations

    output = invocation.output
    with invocation.open() as sessions:
        if what == "create":
            secret = domain.new_secret()
            allowed = domain.permissions(permissions or ("read",))
            until = utc_now() + timedelta(seconds=expires) if expires is not None else None
            making = operations.create(
                invocation.scope, str(name), allowed, domain.secret_hash(secret), expires_at=until
            )
            made = sessions.execute(making)
            output.object(made.to_dict() | {"secret": secret}) if output.json else output.line(secret)
        elif what == "revoke":
            known = [token.id for token in sessions.execute(operations.of_scope(invocation.scope))]
            output.line(sessions.execute(operations.revoke(invocation.scope, one_of(known, str(name), "token"))).id)
        else:
            _list(invocation, sessions.execute(operations.of_scope(invocation.scope)))


def _list(invocation: Invocation, found: list[Any]) -> None:
    from sessionry.domain.records import utc_now

    output, now = invocation.output, utc_now()
    if output.json:
        for token in found:
            output.object(token.to_dict())
        return
    rows = [
        (
            token.id,
            token.name,
            " ".join(token.permissions),
            token.scope.user or "",
            age(token.created_at, now),
            "" if token.good_at(now) else "revoked" if token.revoked_at else "expired",
        )
        for token in found
    ]
    for line in table(_TOKEN_COLUMNS, rows, width=output.width, style=output.style):
        output.line(line)
