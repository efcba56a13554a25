"""From the words on the command line to a run in a session's queue."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from sessionry.cli.options import Json, JsonFile, Seconds, Setting, stacked
from sessionry.cli.render import cut, one_line
from sessionry.domain.errors import InvalidInput, NotFound, SessionryError

if TYPE_CHECKING:
    from sessionry.agents.catalog import Catalog
    from sessionry.ports import Agent
    from sessionry.runtime.handles import RunHandle, SessionHandle
    from sessionry.runtime.sessions import Sessions

F = TypeVar("F", bound=Callable[..., Any])

#: How much of a prompt becomes the title of a session that is given none.
_TITLE = 80


class Order(NamedTuple):
    """A run as it is wanted. `piped`: the words are one text that came from stdin. `asked` goes into the input with the
    prompt: images, and what the agent may be told for this run alone.
    """

    words: Sequence[str]
    piped: bool
    agent: str | None
    options: dict[str, Any]
    asked: dict[str, Any]


prompt_argument: Callable[[F], F] = click.argument("words", metavar="PROMPT...", nargs=-1)

order_options: Callable[[F], F] = stacked(
    click.option("-a", "--agent", metavar="ID", help="The agent; else the session's, or the catalog's default."),
    click.option(
        "-o",
        "--option",
        "settings",
        type=Setting(),
        metavar="NAME=VALUE",
        multiple=True,
        help="Tell the agent something for this run: model=opus, max_turns=3. JSON where it is JSON; may be repeated.",
    ),
    click.option(
        "--image",
        "images",
        type=click.Path(exists=True, dir_okay=False, resolve_path=True),
        metavar="FILE",
        multiple=True,
        help="An image that belongs to the prompt; may be repeated.",
    ),
    click.option(
        "--output-schema",
        type=JsonFile(),
        metavar="FILE",
        help="A JSON Schema, or a file with one: the answer is to follow it.",
    ),
    click.option("--timeout", type=Seconds(), metavar="TIME", help="End the run after this long: 90, 5m, 2h."),
    click.option("--idle-timeout", type=Seconds(), metavar="TIME", help="End it after this long a silence."),
    click.option("--stall-after", type=Seconds(), metavar="TIME", help="Tell of this long a silence: run_stalled."),
    click.option(
        "--on-stall", type=click.Choice(["tell", "fail"]), help="What follows then; else what the agent says."
    ),
    click.option(
        "--continuation",
        type=click.Choice(["auto", "native", "replay", "fork", "fresh"]),
        help="How it goes on with the conversation: in the agent's own session, with the transcript, or anew.",
    ),
    click.option("--priority", type=int, default=0, help="Higher ones are begun first, among sessions."),
    click.option(
        "--takeover",
        type=click.Choice(["resume", "restart", "stop"]),
        help="What becomes of it when its worker is lost; else what the agent says.",
    ),
    click.option(
        "--takeover-waiting",
        type=click.Choice(["resume", "restart", "stop"]),
        help="The same, if it waits for a person then.",
    ),
    click.option("--max-attempts", type=click.IntRange(1), help="How often it is tried; else 3."),
    click.option("--require", metavar="CAPABILITY", multiple=True, help="Refuse an agent that cannot do this."),
    click.option("--queue", metavar="NAME", help="Only for workers that serve the queue of this name; else default."),
    click.option("--keep-raw", is_flag=True, help="Keep what the agent's provider really sends, beside the events."),
    click.option("--metadata", type=Json(), metavar="JSON", help="Your own data, kept with the run."),
    click.option("--idempotency-key", metavar="KEY", help="The same key again gives the same run again."),
)


def order_of(words: Sequence[str], agent: str | None, options: dict[str, Any]) -> Order:
    """The order, with the prompt read from stdin when it is `-`, or when there is none and stdin is no terminal."""
    wanted = {name: value for name, value in options.items() if value is not None}
    asked = dict(wanted.pop("settings", ()))
    if images := wanted.pop("images", ()):
        asked["images"] = [{"path": path} for path in images]
    if "output_schema" in wanted:
        asked["output_schema"] = wanted.pop("output_schema")
    if any(words) and tuple(words) != ("-",):
        return Order(words, False, agent, wanted, asked)
    if sys.stdin is None or (not any(words) and sys.stdin.isatty()):
        raise click.UsageError("no prompt: say what is to be done, or give - to read it from stdin")
    text = sys.stdin.read().strip("\n")
    if not text.strip():
        raise click.UsageError("no prompt: stdin is empty")
    return Order([text], True, agent, wanted, asked)


def known_agent(catalog: Catalog, id: str) -> Agent | None:
    """The agent, if this process knows it. Raises `invalid_configuration` when it cannot be made."""
    return catalog.agent(id) if id in catalog.ids() else None


def input_of(agent: Agent | None, order: Order) -> Any:
    """What the agent is given: text, or the words of a command for the shell agent. Raises what the agent refuses."""
    text = " ".join(order.words)
    if agent is not None and agent.facts.type == "shell" and not order.piped:
        one_text = len(order.words) == 1 and any(character.isspace() for character in text)
        if not (one_text and not order.asked and _takes(agent, text)):
            return agent.check({"argv": list(order.words), **order.asked})
    input = {"prompt": text, **order.asked} if order.asked else text
    return input if agent is None else agent.check(input)


def _takes(agent: Agent, text: str) -> bool:
    try:
        agent.check(text)
    except InvalidInput:
        return False
    return True


async def queue(session: SessionHandle, order: Order, input: Any) -> RunHandle:
    """Put the run into the session's queue."""
    try:
        return await session.run(input, agent=order.agent, **order.options)
    except NotFound as error:
        raise with_advice(error, order.agent) from None


def with_advice(error: NotFound, agent_id: str | None) -> NotFound:
    """How to get an agent that nobody has, where that is known."""
    from sessionry.agents.discovery import how_to_get

    agent_id = str(error.details.get("agent_id") or agent_id)
    advice = how_to_get(agent_id) if error.code == "agent_not_found" else None
    if advice is None:
        return error
    message = f"the agent {agent_id!r} is not here, and no worker has it; {advice}"
    return NotFound("agent_not_found", message, details=error.details)


async def begin_session(
    sessions: Sessions, agent_id: str, order: Order, about: dict[str, Any]
) -> tuple[SessionHandle, RunHandle]:
    """A new session with the run as its first. When the run is refused, there is no session either."""
    input = input_of(known_agent(sessions.catalog, agent_id), order)
    title = about.pop("title", None) or cut(one_line(title_of(input)), _TITLE) or None
    session = await sessions.create(agent_id, title=title, **about)
    try:
        return session, await queue(session, order._replace(agent=agent_id), input)
    except SessionryError:
        with suppress(SessionryError):  # over a server, a token that may only run leaves it hidden
            await session.delete("its first run was refused")
            await session.purge()
        raise


def title_of(input: Any) -> str:
    from sessionry.cli.details import prompt

    return prompt(input).removeprefix("$ ")
