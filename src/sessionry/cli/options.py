"""Options that several commands take, and how what is typed becomes a value."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")


#: A hundred years: more than that is meant by nobody, and no date can hold it.
_LONGEST = 36_525 * 86_400.0


class Seconds(click.ParamType[float]):
    """A span of time: seconds, or a number with a unit, such as 90s, 5m, 2h, 1d."""

    name = "seconds"

    def convert(self, value: Any, *_: Any) -> float:
        try:
            seconds: float | None = float(value)
        except ValueError:
            seconds = span(str(value))
        if seconds is None or not 0 <= seconds <= _LONGEST:
            return self.fail(f"{value!r} is no span of time; write 90, 90s, 5m, 2h or 1d")
        return seconds


class Names(click.ParamType[tuple[str, ...]]):
    """Several names, with commas between them."""

    name = "names"

    def convert(self, value: Any, *_: Any) -> tuple[str, ...]:
        names = tuple(name.strip() for name in str(value).split(","))
        return names if all(names) else self.fail(f"{value!r} must be names with commas between them, such as a,b")


class Address(click.ParamType[tuple[str, int]]):
    """HOST:PORT, or a port of this machine's loopback."""

    name = "address"

    def convert(self, value: Any, *_: Any) -> tuple[str, int]:
        parts = str(value).rpartition(":")
        if not parts[2].isdecimal() or int(parts[2]) > 65_535:
            self.fail(f"{value!r} is no address; write HOST:PORT, or PORT for 127.0.0.1")
        return parts[0].strip("[]") or "127.0.0.1", int(parts[2])


class When(click.ParamType[datetime]):
    """A moment: a date or a time as in RFC 3339, local unless it has a zone; or how long ago, such as 2h."""

    name = "time"

    def convert(self, value: Any, *_: Any) -> datetime:
        if (seconds := span(str(value))) is not None:
            return datetime.now(UTC) - timedelta(seconds=seconds)
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time; write 2026-05-01, 2026-05-01T12:30, or how long ago: 2h")


class Json(click.ParamType[dict[str, Any]]):
    """An object, written as JSON."""

    name = "json"

    def convert(self, value: Any, *_: Any) -> dict[str, Any]:
        import msgspec

        try:
            found: dict[str, Any] = msgspec.json.decode(value, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            self.fail(f"{value!r} is no JSON object: {error}")
        return found


class JsonFile(click.ParamType[dict[str, Any]]):
    """An object in a file of JSON, or written as JSON."""

    name = "file"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> dict[str, Any]:
        if str(value).lstrip().startswith("{"):
            return Json().convert(value, parameter, context)
        from pathlib import Path

        import msgspec

        try:
            found: dict[str, Any] = msgspec.json.decode(Path(value).read_bytes(), type=dict[str, Any])
        except OSError as error:
            self.fail(f"{value} cannot be read: {error.strerror}")
        except msgspec.MsgspecError as error:
            self.fail(f"{value} has no JSON object: {error}")
        return found


class Setting(click.ParamType[tuple[str, Any]]):
    """NAME=VALUE. The value is JSON where it is JSON, else it is the text itself."""

    name = "setting"

    def convert(self, value: Any, *_: Any) -> tuple[str, Any]:
        import msgspec

        from sessionry.domain.codec import NO_JSON

        name, separator, text = str(value).partition("=")
        if not separator or not name.isidentifier():
            self.fail(f"{value!r} is no option; write it as name=value, such as model=opus")
        if name in ("prompt", "images", "argv"):
            self.fail(f"{name} is no option of an agent, but a part of what it is asked")
        try:
            return name, msgspec.json.decode(text)
        except NO_JSON:
            return name, text


def span(text: str) -> float | None:
    """`1h30m` in seconds; None when it is no span."""
    parts = _SPAN.findall(text)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != text.replace(" ", ""):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts) if all(u in _UNITS for _, u in parts) else None


def stacked(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, shown in this order."""

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def id_argument(name: str, kinds: Sequence[str], **settings: Any) -> Callable[[F], F]:
    """An argument that is an id; the shell can complete it."""

    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[Any]:
        from sessionry.cli.completing import ids_that_begin_with

        return ids_that_begin_with(context, incomplete, kinds)

    metavar = f"[{name.upper()}]" if settings.get("required") is False else name.upper()
    if settings.get("nargs") == -1:
        metavar += "..."
    return click.argument(name, metavar=metavar, shell_complete=complete, **settings)


def session_argument(name: str = "session", **settings: Any) -> Callable[[F], F]:
    return id_argument(name, ["session"], **settings)
