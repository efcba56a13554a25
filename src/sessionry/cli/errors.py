"""How an error is told: one line with what to do about it, or one object of JSON; and the exit code that follows."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from sessionry.cli.output import coloured
from sessionry.cli.render import one_line
from sessionry.domain.errors import SessionryError

#: What to do about an error whose message does not say it.
REMEDIES: Mapping[str, str] = {
    "session_not_found": "`sessionry ls` lists the sessions",
    "run_not_found": "`sessionry runs` lists the runs",
    "approval_not_found": "`sessionry approvals` lists what waits for an answer",
    "agent_not_found": "`sessionry agents` lists the agents",
    "worker_not_found": "`sessionry workers` lists the workers",
    "token_not_found": "`sessionry tokens` lists the tokens",
    "webhook_not_found": "`sessionry webhooks` lists the webhooks",
    "notice_not_found": "`sessionry webhooks dead WEBHOOK` lists what was given up",
    "already_decided": "`sessionry show` tells how it was decided",
    "invalid_status": "see the command's --help",
    "fenced": "the run is another worker's now; `sessionry show` tells whose",
    "store_corrupt": "`sessionry doctor` tells what is wrong",
    "internal_error": "this is a mistake in Sessionry: say so, with what the command prints after --debug",
}


def report(error: Exception, words: Sequence[str]) -> int:
    """Tell the error on stderr, as the words want it; the exit code."""
    flags = _before_dashes(words)
    if "--debug" in flags:
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    known = _as_known(error)
    if sys.stderr is None:
        return known.exit_code
    if "--json" in flags:
        import msgspec

        told = msgspec.json.encode({"error": known.to_dict() | _remedy(known)}).decode()
    else:
        head = click.style("error:", fg="red", bold=True) if coloured(sys.stderr) else "error:"
        told = f"{head} {sentence(known)}"
    sys.stderr.write(told + "\n")
    sys.stderr.flush()
    return known.exit_code


def sentence(error: SessionryError) -> str:
    """The message, what to do about it, and the code, without a line break."""
    remedy = _remedy(error).get("remedy")
    return f"{one_line(error.message)}{f'; {remedy}' if remedy else ''} [{error.code}]"


def _remedy(error: SessionryError) -> dict[str, str]:
    """What to do, unless the message says it: then it has a second part, or names a command."""
    remedy = REMEDIES.get(error.code)
    return {"remedy": remedy} if remedy and not any(mark in error.message for mark in ("; ", "`sessionry")) else {}


def _before_dashes(words: Sequence[str]) -> Sequence[str]:
    """The words that can be options."""
    return words[: words.index("--")] if "--" in words else words


def _as_known(error: Exception) -> SessionryError:
    """The error as one of ours. One of the command line is a `validation_error`; any other is a mistake of ours."""
    if isinstance(error, SessionryError):
        return error
    if isinstance(error, click.ClickException):
        return SessionryError("validation_error", _usage_message(error))
    if isinstance(error, OSError) and error.filename is None and error.errno is not None:
        return SessionryError(
            "internal_error", f"the output could not be written: {error.strerror}; look where it goes"
        )
    details: dict[str, Any] = {"type": type(error).__name__}
    return SessionryError("internal_error", f"{type(error).__name__}: {error}", details=details)


def _usage_message(error: click.ClickException) -> str:
    message = error.format_message().rstrip(".").replace("\n", " ").replace(". (Did", " (did")
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "sessionry"
    remedy = f"see `{path} --help`"
    if isinstance(error, click.NoSuchOption) and any(path.endswith(f" {name}") for name in ("run", "send", "steer")):
        remedy = "if it belongs to what is to be done, put -- before that"
    return f"{message[:1].lower()}{message[1:]}; {remedy}"
