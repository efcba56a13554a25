"""The program: its commands, which are loaded when they are called, and what becomes of errors."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import click

from sessionry.cli.invocation import GLOBAL_OPTIONS
from sessionry.cli.output import Output, width_of

#: The help gets no wider than this, however wide the terminal is.
_WIDEST = 100

_HELP = """\
  Durable sessions for AI agents: run, watch, approve, resume, recover.

  sessionry run --agent shell -- git status
  sessionry ls
  sessionry watch SESSION

  An id may be shortened to any beginning that only one thing has. Exit codes:
  0 done, 1 failed, 2 wrong usage or input, 3 cancelled, 4 timeout, 5 not
  found, 6 conflict, 7 store or environment, 130 interrupted."""

#: Heading -> command -> the module that it is in, and the first line of its help.
COMMANDS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "Work": {
        "run": ("running", "Run an agent and stream what it does."),
        "send": ("runs", "Queue another run in a session."),
        "steer": ("runs", "Say something to an agent while it works."),
        "cancel": ("runs", "Cancel a run, or a session with all its runs."),
        "runs": ("runs", "List runs, the newest first."),
    },
    "Sessions": {
        "ls": ("sessions", "List sessions, the latest first."),
        "show": ("sessions", "Show a session, a run or an approval."),
        "tree": ("sessions", "Show a session and its descendants."),
        "fork": ("lifecycle", "Begin a new session that goes on from another one."),
        "update": ("lifecycle", "Change a session's title, tags and so on."),
        "pause": ("lifecycle", "Begin no more runs of a session for now."),
        "resume": ("lifecycle", "Go on with the runs of a paused session."),
        "complete": ("lifecycle", "End a session well."),
        "fail": ("lifecycle", "End a session as failed."),
        "rm": ("lifecycle", "Hide sessions, until they are restored or purged."),
        "restore": ("lifecycle", "Bring hidden sessions back."),
        "purge": ("lifecycle", "Remove hidden sessions for ever."),
    },
    "What happened": {
        "events": ("events", "Print the log of a session, a run or the whole store."),
        "watch": ("events", "Watch a session live, from any terminal."),
        "transcript": ("events", "Print a session's conversation."),
        "usage": ("usage", "Add up the tokens and the money that runs used."),
        "deeds": ("deeds", "List what was done beside the sessions, the newest first."),
    },
    "Approvals": {
        "approvals": ("approvals", "List the questions that wait for an answer."),
        "approve": ("approvals", "Say yes to what an agent asks."),
        "deny": ("approvals", "Say no to what an agent asks."),
    },
    "Agents and workers": {
        "agents": ("agents", "List the agents that can be used, or could be."),
        "workers": ("workers", "List the processes that work on runs, or let some go."),
        "worker": ("workers", "Work on the runs that wait in the store."),
    },
    "Server": {
        "serve": ("serve", "Serve the HTTP interface and the dashboard."),
        "tokens": ("serve", "List, create or revoke the tokens of servers."),
        "webhooks": ("webhooks", "List, add or remove webhooks, and see to what they have not taken."),
    },
    "This program": {
        "demo": ("first_steps", "See the main job done in under a minute."),
        "doctor": ("doctor", "Check the store and its surroundings."),
        "backup": ("backing_up", "Copy the store while it is in use."),
        "migrate": ("migrating", "Move everything into another store."),
        "completion": ("first_steps", "Print what makes your shell complete commands."),
    },
}
_MODULES = {name: module for commands in COMMANDS.values() for name, (module, _) in commands.items()}


class Program(click.Group):
    """The group of all commands. A command's module is imported when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's
        if cmd_name not in _MODULES:
            return None
        command: click.Command = getattr(import_module(f"sessionry.cli.{_MODULES[cmd_name]}"), cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            return _reader_left()

    def get_help(self, ctx: click.Context) -> str:
        """What click would say, but for the headings. No line needs folding, and what folds lines is slow to load."""
        records = [record for param in self.get_params(ctx) if (record := param.get_help_record(ctx))]
        sections = {"Options": dict(records)}
        sections |= {heading: {name: line for name, (_, line) in named.items()} for heading, named in COMMANDS.items()}
        lines = [" ".join(["Usage:", ctx.command_path, *self.collect_usage_pieces(ctx)]), "", self.help or ""]
        for heading, rows in sections.items():
            wide = max(map(len, rows))
            lines += ["", f"{heading}:", *(f"  {name:<{wide}}  {text}" for name, text in rows.items())]
        return "\n".join(lines)


def _print_version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        click.echo(f"sessionry {version('sessionry')}")
        context.exit()


def _program() -> Program:
    version = click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_print_version,
        help="Print the version.",
    )
    return Program(
        "sessionry",
        help=_HELP,
        params=[*GLOBAL_OPTIONS, version],
        context_settings={"help_option_names": ["-h", "--help"]},
    )


program = _program()


def perform(words: Sequence[str]) -> int:
    """Do what the words say; the exit code. Errors are told on stderr."""
    try:
        width = width_of(sys.stdout) if sys.stdout is not None else None
        code = program.main(
            list(words), prog_name="sessionry", standalone_mode=False, terminal_width=min(width or 80, _WIDEST)
        )
        _flush()
    except (KeyboardInterrupt, click.Abort):
        return 130
    except (BrokenPipeError, SystemExit):  # click exits like this when the help meets a broken pipe
        return _reader_left()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except Exception as error:
        from sessionry.cli.errors import report

        return report(error, words)
    return code if isinstance(code, int) else 0


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _reader_left() -> int:
    """Nobody reads any more: end as if SIGPIPE had ended us."""
    Output().abandon()
    return 141
