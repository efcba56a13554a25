"""What the README, the guide and the examples show is what happens: all of it is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.agents.real.hermetic import Hermetic, claude_program, codex_program

from sessionry.testing.fakellm import ModelServer

from .pages import ROOT, Block, Ids, Shown, blocks, commands

PAGES = ["README.md", "docs/guide.md"]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PICTURE = ROOT / "docs" / "pictures" / "terminal.svg"
#: Ends what a block has printed.
MARK = "\x1e"

#: Runs blocks one after another as one program, in which `await` may stand anywhere.
RUNNER = f"""
import ast, asyncio, inspect, json, pathlib, sys
scope = {{"__name__": "__main__"}}
async def main():
    for name, code in json.loads(pathlib.Path(sys.argv[1]).read_text()):
        result = eval(compile(code, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), scope)
        if inspect.iscoroutine(result):
            await result
        print({MARK!r}, flush=True)
asyncio.run(main())
"""


def environment(home: Path) -> dict[str, str]:
    """Of somebody who has just installed it."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("SESSIONRY_", "XDG_", "COLUMNS"))}
    return ours | {"HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def is_program(block: Block) -> bool:
    """It runs by itself; other blocks of a page go on where the one before ended."""
    return "open_sync(" in block.code or "asyncio.run(" in block.code


def run(command: list[str], home: Path) -> str:
    done = subprocess.run(
        command, cwd=home, env=environment(home), capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check(block: Block, printed: str) -> None:
    if block.prints is not None:
        assert Ids().agree(block.prints.splitlines(), printed.splitlines()), f"{block} prints\n{printed}"


@pytest.mark.parametrize("page", PAGES)
def test_the_python_blocks_of_a_page_do_what_it_says(page: str, tmp_path: Path) -> None:
    found = blocks(page, "python")
    together = [block for block in found if not is_program(block)]
    if together:
        program = tmp_path / "blocks.json"
        program.write_text(json.dumps([(str(block), block.code) for block in together]))
        printed = run([sys.executable, "-W", "error", "-c", RUNNER, str(program)], tmp_path).split(MARK)
        for block, text in zip(together, printed[:-1], strict=True):
            check(block, text)
    for block in filter(is_program, found):
        file = tmp_path / "program.py"
        file.write_text(block.code)
        check(block, run([sys.executable, "-W", "error", str(file)], tmp_path))


def test_the_commands_of_the_readme_do_what_it_says(tmp_path: Path) -> None:
    """The real Claude Code and the real Codex, with a model that is scripted."""
    claude_program(), codex_program()
    ids = Ids()
    with ModelServer({"default": [{"text": "The word is heron."}]}) as server:
        agents = logged_in(Hermetic(tmp_path / "agents", server))
        for block in blocks("README.md", "console"):
            for shown in commands(block):
                if not shown.words.startswith(("make ", "pip ")):
                    type_command(shown, ids, tmp_path, agents)
        asked = [json.dumps(each.body) for each in server.requests]
    assert any("Which word was it?" in each and "The word is heron. Say it." in each for each in asked), (
        "the second agent was told what the first was asked"
    )


def logged_in(hermetic: Hermetic) -> dict[str, str]:
    """The environment of somebody who can use Claude Code and Codex."""
    codex = hermetic.codex(config={"model_providers": {"scripted": {"env_key": "CODEX_API_KEY"}}})
    return codex | hermetic.claude() | {"CODEX_API_KEY": "dummy"}


def type_command(shown: Shown, ids: Ids, home: Path, agents: dict[str, str]) -> None:
    """Type it until it says what the page shows: what goes on in the background takes its time."""
    deadline = time.monotonic() + 30
    while True:
        done = subprocess.run(
            ["/bin/sh", "-c", f"exec 2>&1; {ids.real(shown.words)}"],
            cwd=home,
            env=environment(home) | agents,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if ids.agree(shown.output, done.stdout.splitlines()):
            return
        assert only_looks(shown.words), done.stdout
        assert time.monotonic() < deadline, done.stdout
        time.sleep(0.1)


def only_looks(words: str) -> bool:
    return words.split()[1] in {"ls", "approvals", "runs", "show", "events"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_says_what_it_did(example: Path, tmp_path: Path) -> None:
    assert run([sys.executable, "-W", "error", str(example)], tmp_path)


def test_there_are_examples() -> None:
    names = ["approval_across_processes", "fan_out_readers", "product_backend", "small_model"]
    assert [path.stem for path in EXAMPLES] == names


def test_the_make_words_of_the_readme_exist() -> None:
    known = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    used = {shown.words for block in blocks("README.md", "console") for shown in commands(block)}
    words = {each.split()[1] for each in used if each.startswith("make ")}
    assert {"demo", "test"} <= words
    assert all(f"make {word} " in known for word in words)


# --- the picture ---


def texts(picture: Path) -> Iterator[str]:
    for element in ElementTree.parse(picture).iter("{http://www.w3.org/2000/svg}text"):
        yield (element.text or "").replace("\xa0", " ")


def test_the_picture_shows_the_demo_as_it_is() -> None:
    assert f'src="{PICTURE.relative_to(ROOT)}"' in (ROOT / "README.md").read_text()
    demo = "".join(path.read_text() for path in (ROOT / "src" / "sessionry" / "cli").glob("demo*.py"))
    heads = [text[3:].strip() for text in texts(PICTURE) if text[:1].isdigit() and text[1:3] == "  "]
    assert len(heads) >= 3
    assert all(head in demo for head in heads), "the demo has changed: python scripts/draw_terminal.py"


def test_the_picture_loads_nothing_from_elsewhere() -> None:
    text = PICTURE.read_text().replace("http://www.w3.org/2000/svg", "")
    assert "http" not in text
    assert "<script" not in text
