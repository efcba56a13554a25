"""The language of the scripted agent: a list of steps in YAML or JSON, read and checked as a whole.

A step is a word, or an object with one key, which is the word: `turn`, `say: hello`, `say: {text: hello, delay: 0.1}`.
`STEPS` are the words; the fields of their structs are what may stand in the object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal

import msgspec

from sessionry.domain import records
from sessionry.domain.errors import CODES, InvalidInput
from sessionry.domain.json_values import Json, json_value
from sessionry.domain.usage import Usage

#: The scripts that ship with the product: `<name>.yaml`.
READY = Path(__file__).parent / "scripts"


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step. `short` is the field that is meant by a value which is no object."""

    short: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        for field in ("delay", "seconds"):
            value = getattr(self, field, 0.0)
            if not 0 <= value <= 86_400:
                raise records.invalid(field, f"must be from 0 to 86400 seconds, not {value}")


class Say(Step, frozen=True):
    """A message, streamed in that many pieces (default: a word each), `delay` seconds apart."""

    short = "text"
    text: str
    pieces: int | None = None
    delay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pieces is not None and self.pieces < 1:
            raise records.invalid("pieces", f"must be at least 1, not {self.pieces}")


class Think(Say, frozen=True):
    """Reasoning, streamed like a message."""


class Echo(Step, frozen=True):
    """Say the input back."""

    pieces: int | None = None
    delay: float = 0.0


class Tool(Step, frozen=True):
    """A tool call that takes `delay` seconds and ends with `output`, or fails with `error`."""

    short = "name"
    name: str
    input: Json = None
    output: Json = None
    error: str | None = None
    delay: float = 0.0


class Write(Step, frozen=True):
    """Really write a file below the working directory, as a tool call."""

    path: str
    text: str

    def __post_init__(self) -> None:
        path = PurePosixPath(self.path)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise records.invalid("path", f"must be below the working directory, not {self.path!r}")


class Approve(Step, frozen=True):
    """Ask a person. Denied, the run fails, or does the steps of `if_denied` and then goes on."""

    short = "tool"
    tool: str
    input: Json = None
    reason: str | None = None
    timeout: float | None = None
    if_denied: Literal["fail"] | list[Any] = "fail"


class WaitForInput(Step, frozen=True):
    """Wait so many seconds for a person to say something, and say it back."""

    short = "seconds"
    seconds: float


class Sleep(Step, frozen=True):
    """Do nothing for so many seconds."""

    short = "seconds"
    seconds: float


class UseTokens(Step, frozen=True):
    """Report the use of tokens and money."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost: Decimal | None = None
    model: str | None = None

    @property
    def usage(self) -> Usage:
        return Usage(**{field: getattr(self, field) for field in Usage.__struct_fields__})


class PlanEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str
    status: Literal["pending", "in_progress", "completed"] = "pending"


class Plan(Step, frozen=True):
    """The list of things to do: texts, or objects of text and status."""

    short = "entries"
    entries: list[str | PlanEntry]


class Artifact(Step, frozen=True):
    """Put something into the blob store."""

    short = "content"
    content: str
    name: str | None = None
    media_type: str | None = "text/plain"


class Turn(Step, frozen=True):
    """The turn is over."""

    stop_reason: str | None = "end_turn"


class Repeat(Step, frozen=True):
    """Do the steps several times."""

    times: int
    steps: list[Any]

    def __post_init__(self) -> None:
        if not 0 <= self.times <= 1_000_000:
            raise records.invalid("times", f"must be from 0 to 1000000, not {self.times}")


class Exit(Step, frozen=True):
    """The run is completed, here and now."""

    short = "text"
    text: str | None = None
    output: Json = None
    stop_reason: str | None = "exit"


class Fail(Step, frozen=True):
    """The run has failed."""

    short = "message"
    message: str
    code: str = "agent_failed"

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise records.invalid("code", f"must be an error code such as agent_failed, not {self.code!r}")


class Raise(Step, frozen=True):
    """The agent breaks: a RuntimeError."""

    short = "message"
    message: str = "the script says so"


class Hang(Step, frozen=True):
    """Nothing more happens, for ever."""


STEPS: Mapping[str, type[Step]] = {
    "say": Say,
    "think": Think,
    "echo": Echo,
    "tool": Tool,
    "write": Write,
    "approve": Approve,
    "wait_for_input": WaitForInput,
    "sleep": Sleep,
    "usage": UseTokens,
    "plan": Plan,
    "artifact": Artifact,
    "turn": Turn,
    "repeat": Repeat,
    "exit": Exit,
    "fail": Fail,
    "raise": Raise,
    "hang": Hang,
}


def load_script(script: str | Path | Sequence[Json]) -> list[Step]:
    """The steps of a script: a list, the text of one, the path of a file, or the name of one that is ready.

    Raises `invalid_configuration` with the path of the first bad step.
    """
    if isinstance(script, str | Path):
        text, source = _text(script)
        script = _parsed(text, source)
    if not isinstance(script, list | tuple):
        raise _wrong("script", f"must be a list of steps, not {type(script).__name__}")
    try:
        steps = json_value(list(script), "script")
    except InvalidInput as error:
        raise _wrong(error.details["path"], error.message.partition(" ")[2]) from None
    return parse_steps(steps, "script")


def ready_scripts() -> list[str]:
    return sorted(file.stem for file in READY.glob("*.yaml"))


def parse_steps(values: Sequence[Json], path: str) -> list[Step]:
    return [_step(value, f"{path}[{index}]") for index, value in enumerate(values)]


def _step(value: Json, path: str) -> Step:
    word, given = _word(value, path)
    kind = STEPS.get(word)
    if kind is None:
        close = get_close_matches(word, STEPS, n=1)
        meant = f"did you mean {close[0]}? the" if close else "the"
        raise _wrong(path, f"is {word!r}, which is no step; {meant} steps are {', '.join(STEPS)}")
    path = f"{path}.{word}"
    fields = _fields(kind, given, path)
    try:
        step = msgspec.convert(fields, kind)
    except InvalidInput as error:  # of the step's own __post_init__
        raise _wrong(f"{path}.{error.details['path']}", error.message.partition(" ")[2]) from None
    except msgspec.ValidationError as error:
        problem, _, inner = str(error).partition(" - at `$")
        raise _wrong(path + inner.rstrip("`"), f"is wrong: {problem}") from None
    if isinstance(step, Repeat):
        return msgspec.structs.replace(step, steps=parse_steps(step.steps, f"{path}.steps"))
    if isinstance(step, Approve) and isinstance(step.if_denied, list):
        return msgspec.structs.replace(step, if_denied=parse_steps(step.if_denied, f"{path}.if_denied"))
    return step


def _word(value: Json, path: str) -> tuple[str, Json]:
    """A step's word and what is given with it."""
    if isinstance(value, str):
        return value, None
    if isinstance(value, dict) and len(value) == 1:
        return next(iter(value.items()))
    raise _wrong(path, "must be a word, or an object with one key, such as `say: hello`")


def _fields(kind: type[Step], given: Json, path: str) -> dict[str, Json]:
    if isinstance(given, dict):
        return given
    if given is None or given is True:
        return {}
    if kind.short is None:
        raise _wrong(path, f"must be an object, not {given!r}")
    return {kind.short: given}


def _text(script: str | Path) -> tuple[str, str]:
    """The script's text and what to call it in an error."""
    if isinstance(script, str) and ("\n" in script or script.lstrip()[:1] in ("-", "[")):
        return script, "the script"
    file = READY / f"{script}.yaml" if script in ready_scripts() else Path(script).expanduser()
    try:
        return file.read_text(encoding="utf-8"), str(file)
    except (OSError, UnicodeDecodeError) as error:
        names = ", ".join(ready_scripts())
        problem = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise _wrong("script", f"cannot be read from {file}: {problem}; give a file or one of {names}") from error


def _parsed(text: str, source: str) -> Any:
    import yaml  # slow to import, and only scripts need it

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it is no YAML"
        raise _wrong("script", f"cannot be read from {source}{where}: {problem}") from None


def _wrong(path: str, problem: str) -> InvalidInput:
    return InvalidInput("invalid_configuration", f"{path} {problem}", details={"path": path})
