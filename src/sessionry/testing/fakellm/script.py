"""Scripts: what the model answers, step by step, one step for each of its turns.

A script stands in the prompt itself, `<<<SCRIPT [{"shell": "make"}, {"text": "done: {last_tool}"}] >>>`, or is named there,
`#script:NAME`, and lies in the server. The newest prompt counts. Which step is due follows from the request alone, from the
tool results since that prompt; so retries, resumed and forked conversations all find their place.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from sessionry.agents.handover import GO_ON, IF_FINISHED

OPENING, CLOSING = "<<<SCRIPT", ">>>"
#: Some agents put the prompt into such a tag; it is still the prompt.
_WRAPPERS = re.compile(r"</?(?:USER_REQUEST|user_request|user_query|user_message|task|pr_description|instructions)>")
#: What agents say in the name of the user.
_NOTES = re.compile(r"\[Request interrupted|# AGENTS\.md")
#: How agents put the result of a tool call that an interruption broke off.
BROKEN_OFF = re.compile(
    r"\[Tool call interrupted|The user doesn't want to proceed|Tool permission request failed|Exit code 137\b"
    r"|(?:Wall time: [\d.]+ seconds\n)?aborted|\[?Tool execution was interrupted|[^\0]*\bUser aborted the command"
    r"|(?:<\w+>\s*)?Command was cancelled by user"
)
_NAMED = re.compile(r"#script:([\w.-]+)")
_MARK = re.compile(rf"{OPENING}|<([a-zA-Z][\w-]*)[^<>]*>")


class BadScript(ValueError):
    """A script that cannot be played. The agent gets the sentence as the answer of status 400."""


class Usage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tokens in buckets that do not overlap, as Sessionry counts them; each protocol adds them up in its own way.

    `reasoning` is a part of `output`.
    """

    input: int | None = None
    output: int | None = None
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0


class Call(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call of any tool, word for word. A text as input is a free-form call, where the protocol has them.

    `namespace` is what some tools of the Responses API are in, those of MCP servers and sub-agents among them.
    """

    name: str
    input: dict[str, Any] | str = {}
    id: str | None = None
    namespace: str | None = None


class Written(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file for the agent's own writing tool."""

    path: str
    content: str


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One turn of the model. Everything is optional; `{}` says "ok"."""

    #: a text comes in words, a list in its pieces; {last_tool} {last_user} {turn} {model} {images} are filled in
    text: str | list[str] | None = None
    #: the answer as JSON: a call of the agent's answering tool if it has one, else the text
    json: Any = msgspec.UNSET
    thinking: str | None = None
    #: a command for the agent's own shell tool, whatever its name is
    shell: str | None = None
    write: Written | None = None
    tools: list[Call] = []
    usage: Usage = Usage()
    #: the reason to stop, in the words of the protocol
    stop: str | None = None
    #: seconds before each piece of the text; before the first byte; after the first piece
    delay: float = 0
    hang: float = 0
    stall: float = 0
    #: the connection is cut after the first piece
    drop: bool = False
    #: after the text comes an error, in the stream of an answer that began well
    sse_error: bool = False
    #: an HTTP status instead of an answer; what is said with it
    error: int | None = None
    message: str | None = None
    code: str | None = None
    retry_after: float | None = None
    headers: dict[str, str] = {}
    #: only the first so many tries of the same request hang or fail
    times: int | None = None

    def after_failures(self) -> Step:
        """The step once `times` has passed."""
        return msgspec.structs.replace(self, hang=0, stall=0, drop=False, sse_error=False, error=None)

    def repeated(self) -> Step:
        """What the model says when it is asked again after its last step."""
        return Step(text=self.text, json=self.json, thinking=self.thinking)


Script = Sequence[Step]


def parsed(steps: Any) -> Script:
    """A script from JSON values. Raises `BadScript`, which says where it is wrong."""
    try:
        script = msgspec.convert(steps, list[Step])
    except msgspec.ValidationError as error:
        raise BadScript(f"this script is wrong: {error}") from None
    if not script:
        raise BadScript("this script is wrong: it has no step")
    return script


def prompt_in(text: str) -> str:
    """What a person said in a message of the user: without the blocks in tags and the notes that agents put around it."""
    prompt = (
        "".join(piece if isinstance(piece, str) else piece[0] for piece in _pieces(_WRAPPERS.sub("", text)))
        .replace(GO_ON, "")
        .replace(IF_FINISHED, "")
        .strip()
    )
    return "" if _NOTES.match(prompt) else prompt


def script_in(prompt: str, scenarios: Mapping[str, Script]) -> tuple[str, Script]:
    """The name and the script that the prompt asks for: its last one, else the one called `default`."""
    inline = [piece[1] for piece in _pieces(prompt) if not isinstance(piece, str)]
    if inline:
        return "inline", _decoded(inline[-1])
    name = named[-1] if (named := _NAMED.findall(prompt)) else "default"
    if name not in scenarios:
        raise BadScript(f"there is no script {name!r}; there are: {', '.join(sorted(scenarios))}")
    return name, scenarios[name]


def _pieces(text: str) -> Iterator[str | tuple[str, str]]:
    """The text without its blocks in tags; a script is a pair of all of it and what is inside."""
    at = 0
    while mark := _MARK.search(text, at):
        if mark[1] is None:
            yield text[at : mark.start()]
            at = _end_of_script(text, mark.end())
            yield text[mark.start() : at], text[mark.end() : at].removesuffix(CLOSING)
        else:
            closing = text.find(f"</{mark[1]}>", mark.end())
            yield text[at : mark.end() if closing < 0 else mark.start()]
            at = mark.end() if closing < 0 else closing + len(mark[1]) + 3
    yield text[at:]


def _end_of_script(text: str, begin: int) -> int:
    # A script may hold whatever a JSON text may, another script for a sub-agent too.
    begin += len(text[begin:]) - len(text[begin:].lstrip())
    with contextlib.suppress(ValueError):
        begin = json.JSONDecoder(strict=False).raw_decode(text, begin)[1]
    closing = text.find(CLOSING, begin)
    return len(text) if closing < 0 else closing + len(CLOSING)


def _decoded(inside: str) -> Script:
    try:
        steps = json.loads(inside, strict=False)
    except json.JSONDecodeError as error:
        try:  # some agents put what they were given on the command line into quotes
            steps = json.loads(json.loads(f'"{inside}"', strict=False), strict=False)
        except json.JSONDecodeError:
            raise BadScript(f"the script in the prompt is no JSON: {error}: {inside.strip()[:200]}") from None
    return parsed(steps)
