"""What the environment says of a model's server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec

from sessionry.agents.discovery import Found
from sessionry.agents.models.wire import Wire


def found_by(wire: Wire, environ: Mapping[str, str] | None = None) -> Found | None:
    """None when nothing is configured, or the packages are missing. Nobody is asked: a key may be wrong all the same."""
    variables = os.environ if environ is None else environ
    if find_spec("httpx") is None or find_spec("httpx_sse") is None:
        return None
    if variables.get(wire.key_variable):
        return Found(program=None, version=None, logged_in=True, how=f"{wire.key_variable} is set")
    if variables.get(wire.url_variable):
        return Found(program=None, version=None, logged_in=None, how=f"{wire.url_variable} is set")
    return None
