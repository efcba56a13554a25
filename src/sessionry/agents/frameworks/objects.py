"""What a framework agent is made of: an object, the name of one, or a function that makes one for each run."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from sessionry.agents.entries import imported, unusable
from sessionry.domain.errors import SessionryError

_NAME = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
#: Says whether something is what the framework runs.
Fits = Callable[[Any], bool]


def require(module: str, extra: str) -> None:
    """Raises `dependency_not_available` when the framework is not installed."""
    if find_spec(module) is None:
        raise SessionryError(
            "dependency_not_available",
            f"{extra} is not installed; pip install 'sessionry[{extra}]'",
            details={"extra": extra},
        )


class Source:
    """Where the object of each run comes from. A function that makes one may be async, and is called for every run."""

    def __init__(self, id: str, given: Any, fits: Fits, what: str) -> None:
        self._id, self._fits, self._what = id, fits, what
        self._given = imported(given) if isinstance(given, str) else given
        if not fits(self._given) and not callable(self._given):
            raise self._unfit(self._given)

    async def get(self) -> Any:
        if self._fits(self._given):
            return self._given
        made = self._given()
        if inspect.isawaitable(made):
            made = await made
        if not self._fits(made):
            raise self._unfit(made)
        return made

    def _unfit(self, found: Any) -> SessionryError:
        return unusable(
            f"agent {self._id!r}: option 'object' must be {self._what}, or a function that makes one,"
            f" not a {type(found).__name__}",
            option="object",
        )


def made_of(given: Any) -> Any:
    """An option that is an object, the `module:name` of one, or a function of nothing that makes it for a run."""
    value = imported(given) if isinstance(given, str) and _NAME.fullmatch(given) else given
    return value() if inspect.isfunction(value) or inspect.isclass(value) else value


def package_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
