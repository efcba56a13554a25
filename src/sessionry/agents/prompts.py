"""What an agent that talks with a model is asked: a prompt, images, and options for this run alone.

    "Fix the failing test"
    {"prompt": "What is on it?", "images": [{"path": "plan.png"}], "model": "opus", "output_schema": {...}}

`images` are `{"path"}` (read when the run begins), `{"data": base64, "media_type"}` or `{"hash", "media_type"}` of a blob.
Every other key is an option; an adapter names those that a run may set, and any other one is refused by its name.
"""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec

from sessionry.domain import records
from sessionry.domain.errors import InvalidInput
from sessionry.domain.json_values import Json, json_object
from sessionry.domain.transcript import text_of
from sessionry.ports import AgentContext

#: What models commonly look at.
IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")
#: Bytes of one image.
LARGEST_IMAGE = 20 << 20


class Image(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of `path`, `data` (base64) and `hash` (of a blob); the media type is guessed for a path only."""

    path: str | None = None
    data: str | None = None
    hash: str | None = None
    media_type: str | None = None


class Prompt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A checked input."""

    prompt: str
    images: list[Image] = []
    options: dict[str, Json] = {}

    def to_input(self) -> Json:
        """As it is stored: the bare text where there is nothing else."""
        if not self.images and not self.options:
            return self.prompt
        images = {"images": msgspec.to_builtins(self.images)} if self.images else {}
        return {"prompt": self.prompt, **images, **self.options}


def prompt_of(input: Json, allowed: Collection[str] = (), *, images: bool = False) -> Prompt:
    """The input as a prompt, with none but the allowed options. Raises `validation_error` naming the field."""
    if not isinstance(input, dict) or not _is_prompt(input):
        return Prompt(prompt=_text(text_of(input) if input is not None else "", "input"))
    fields = dict(json_object(input, "input"))
    prompt = fields.pop("prompt", None)
    given = fields.pop("images", [])
    if given and not images:
        raise records.invalid("input.images", "cannot be given to this agent, which takes text only")
    for name in fields:
        if name not in allowed:
            may = ", ".join(sorted(allowed)) or "none"
            raise records.invalid(f"input.{name}", f"is no option of a run of this agent; its options are {may}")
    return Prompt(prompt=_text(prompt, "input.prompt"), images=_images(given), options=fields)


def _is_prompt(input: dict[str, Json]) -> bool:
    """Whether it is to be read field by field; else it is a message, in one of the forms that `text_of` knows."""
    return "prompt" in input or set(input) - {"role"} not in ({"text"}, {"content"}, {"messages"})


def chosen(configured: Mapping[str, Any], prompt: Prompt) -> dict[str, Any]:
    """The options that count for a run: its own before the agent's."""
    return {**configured, **prompt.options}


async def image_bytes(context: AgentContext, image: Image) -> tuple[bytes, str]:
    """The content and the media type of an image. Raises `validation_error` when it cannot be read."""
    if image.hash is not None:
        return await context.blob(image.hash), str(image.media_type)
    if image.data is not None:
        return base64.b64decode(image.data), str(image.media_type)
    path = context.cwd / str(image.path)
    try:
        if path.stat().st_size > LARGEST_IMAGE:
            raise records.invalid("input.images", f"{path} is larger than {LARGEST_IMAGE >> 20} MiB")
        return path.read_bytes(), image.media_type or str(mimetypes.guess_type(path.name)[0])
    except OSError as error:
        raise records.invalid("input.images", f"{path} cannot be read: {error.strerror}") from error


def _images(value: Any) -> list[Image]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise records.invalid("input.images", "must be a list of objects")
    paths = [f"input.images[{index}]" for index in range(len(value))]
    images = [records.convert(each, Image, path, prefix=path) for path, each in zip(paths, value, strict=True)]
    for path, image in zip(paths, images, strict=True):
        _check(image, path)
    return images


def _check(image: Image, path: str) -> None:
    if sum(part is not None for part in (image.path, image.data, image.hash)) != 1:
        raise records.invalid(path, "needs exactly one of path, data and hash")
    guessed = mimetypes.guess_type(Path(image.path).name)[0] if image.path else None
    if (image.media_type or guessed) not in IMAGE_TYPES:
        raise records.invalid(f"{path}.media_type", f"must be one of {', '.join(IMAGE_TYPES)}")
    if image.data is not None:
        try:
            size = len(base64.b64decode(image.data, validate=True))
        except ValueError:  # also what is not ASCII
            raise records.invalid(f"{path}.data", "is no base64") from None
        if size > LARGEST_IMAGE:
            raise records.invalid(f"{path}.data", f"is larger than {LARGEST_IMAGE >> 20} MiB")


def _text(value: Json, path: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput(
            "validation_error", f"{path} must be a text that is not empty; say what to do", details={"path": path}
        )
    return value
