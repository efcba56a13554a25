"""What an agent is asked: every bad input is refused by the name of its field, and a good one comes back from the store."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from sessionry.agents import prompts
from sessionry.agents.prompts import Image, Prompt, chosen, image_bytes, prompt_of
from sessionry.domain.errors import InvalidInput, NotFound
from sessionry.testing.context import RecordingContext

PNG = b"\x89PNG\r\n\x1a\n"
DATA = base64.b64encode(PNG).decode()
HASH = "0" * 64


@pytest.mark.parametrize(
    ("input", "stored"),
    [
        ("Fix it", "Fix it"),
        ({"prompt": "Fix it"}, "Fix it"),
        ({"prompt": "Fix it", "images": []}, "Fix it"),
        ({"prompt": "Fix it", "model": "opus"}, {"prompt": "Fix it", "model": "opus"}),
        (
            {"prompt": "Look", "images": [{"path": "a.png"}], "model": None},
            {"prompt": "Look", "images": [{"path": "a.png"}], "model": None},
        ),
        ({"text": "Fix it"}, "Fix it"),
        ({"role": "user", "content": [{"type": "text", "text": "Fix it"}]}, "Fix it"),
        ({"messages": [{"role": "user", "content": "Fix it"}]}, "Fix it"),
    ],
)
def test_an_input_is_kept_in_its_shortest_form_and_read_again_the_same(input: Any, stored: Any) -> None:
    prompt = prompt_of(input, {"model"}, images=True)
    assert prompt.to_input() == stored
    assert prompt_of(stored, {"model"}, images=True) == prompt


@pytest.mark.parametrize(
    ("input", "path"),
    [
        (None, "input"),
        ("", "input"),
        ("  \n", "input"),
        ({"prompt": ""}, "input.prompt"),
        ({"prompt": None}, "input.prompt"),
        ({"prompt": 5}, "input.prompt"),
        ({}, "input.prompt"),
        ({"model": "opus"}, "input.prompt"),
        ({"promt": "x"}, "input.promt"),
        ({"text": "x", "cwd": "/"}, "input.text"),
        ({"prompt": "x", "modle": "opus"}, "input.modle"),
        ({"prompt": "x", "cwd": "/"}, "input.cwd"),
        ({"prompt": "x", "images": "a.png"}, "input.images"),
        ({"prompt": "x", "images": [{"path": "a.png"}, {}]}, "input.images[1]"),
        ({"prompt": "x", "images": [{"path": "a.png", "hash": HASH}]}, "input.images[0]"),
        ({"prompt": "x", "images": [{"path": "a.pdf"}]}, "input.images[0].media_type"),
        ({"prompt": "x", "images": [{"path": "a"}]}, "input.images[0].media_type"),
        ({"prompt": "x", "images": [{"data": DATA}]}, "input.images[0].media_type"),
        ({"prompt": "x", "images": [{"hash": HASH, "media_type": "text/html"}]}, "input.images[0].media_type"),
        ({"prompt": "x", "images": [{"data": "%%%", "media_type": "image/png"}]}, "input.images[0].data"),
        ({"prompt": "x", "images": [{"data": "äöü", "media_type": "image/png"}]}, "input.images[0].data"),
        ({"prompt": "x", "images": [{"path": "a.png", "alt": "?"}]}, "input.images[0].alt"),
        ({"prompt": "x", "images": [{"path": 5}]}, "input.images[0].path"),
    ],
)
def test_a_bad_input_is_refused_by_the_name_of_its_field(input: Any, path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        prompt_of(input, {"model"}, images=True)
    assert caught.value.code == "validation_error"
    assert caught.value.details["path"] == path
    assert path.rpartition(".")[2] in caught.value.message or path in caught.value.message


def test_an_unknown_option_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InvalidInput, match="its options are effort, model"):
        prompt_of({"prompt": "x", "sandbox": "off"}, {"model", "effort"})
    with pytest.raises(InvalidInput, match="its options are none"):
        prompt_of({"prompt": "x", "sandbox": "off"})


def test_an_agent_without_eyes_refuses_images() -> None:
    with pytest.raises(InvalidInput, match="takes text only") as caught:
        prompt_of({"prompt": "x", "images": [{"path": "a.png"}]})
    assert caught.value.details["path"] == "input.images"


def test_an_image_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "LARGEST_IMAGE", len(PNG) - 1)
    with pytest.raises(InvalidInput) as caught:
        prompt_of({"prompt": "x", "images": [{"data": DATA, "media_type": "image/png"}]}, images=True)
    assert caught.value.details["path"] == "input.images[0].data"


def test_the_options_of_a_run_go_before_those_of_the_agent() -> None:
    prompt = Prompt(prompt="x", options={"model": "small"})
    assert chosen({"model": "large", "effort": "low"}, prompt) == {"model": "small", "effort": "low"}


async def test_images_are_read_from_data_from_files_and_from_blobs(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    context = RecordingContext("x", cwd=tmp_path)
    context.blobs[HASH] = b"blob"
    assert await image_bytes(context, Image(path="a.png")) == (PNG, "image/png")
    assert await image_bytes(context, Image(path=str(tmp_path / "a.png"), media_type="image/webp")) == (
        PNG,
        "image/webp",
    )
    assert await image_bytes(context, Image(data=DATA, media_type="image/png")) == (PNG, "image/png")
    assert await image_bytes(context, Image(hash=HASH, media_type="image/gif")) == (b"blob", "image/gif")


async def test_an_image_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    context = RecordingContext("x", cwd=tmp_path)
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        await image_bytes(context, Image(path="b.png"))
    with pytest.raises(NotFound):
        await image_bytes(context, Image(hash=HASH, media_type="image/png"))
    monkeypatch.setattr(prompts, "LARGEST_IMAGE", 3)
    with pytest.raises(InvalidInput, match="is larger than"):
        await image_bytes(context, Image(path="a.png"))
