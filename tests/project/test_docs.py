"""The documentation is true: generated pages are fresh, links lead somewhere, examples compile and run."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple, get_args, get_origin

import pytest

from sessionry import ports
from sessionry.store import transaction
from sessionry.testing import store_contract

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
RUN_MARK = "<!-- run -->"

#: Runs a file in which `await` may stand at the outermost level, as in the examples of the documentation.
RUNNER = """
import ast, asyncio, inspect, sys
from pathlib import Path
path = sys.argv[1]
code = compile(Path(path).read_text(), path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
result = eval(code, {"__name__": "__main__"})
if inspect.iscoroutine(result):
    asyncio.run(result)
"""


class Example(NamedTuple):
    """A Python block of a page."""

    page: str
    line: int
    code: str
    runs: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def examples() -> list[Example]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"(<!-- run -->\s*\n)?^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            line = text.count("\n", 0, match.start(2)) + 1
            found.append(Example(name_of(page), line, match[2], runs=bool(match[1])))
    return found


def test_generated_pages_are_what_the_code_says() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "generate_docs.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_somewhere(page: Path) -> None:
    broken = [link for link in links(page) if not leads_somewhere(page, link)]
    assert not broken


def links(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def leads_somewhere(page: Path, link: str) -> bool:
    file, _, anchor = link.partition("#")
    target = (page.parent / file).resolve() if file else page
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(page: Path) -> set[str]:
    """The names by which the headings of a page can be linked to, as code hosts make them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("example", examples(), ids=str)
def test_examples_compile(example: Example) -> None:
    compile(example.code, str(example), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("example", [each for each in examples() if each.runs], ids=str)
def test_examples_run(example: Example, tmp_path: Path) -> None:
    path = tmp_path / "example.py"
    path.write_text(example.code, encoding="utf-8")
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SESSIONRY_")} | home
    command = [sys.executable, "-W", "error", "-c", RUNNER, str(path)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_what_a_store_has_to_do_is_told_whole() -> None:
    page = (ROOT / "docs" / "testing-a-store.md").read_text(encoding="utf-8")
    yielded = [kind.__name__ for kind in get_args(ports.Request) if get_origin(kind) is None]
    assert "Rest" in yielded
    assert [name for name in yielded if f"`{name}(" not in page] == []
    assert [mark for mark in (transaction.LOCK, transaction.SETTLED, transaction.OWN_KEYS) if mark not in page] == []
    assert [kind.__name__ for kind in store_contract.CONTRACTS if f"`{kind.__name__}`" not in page] == []


def test_decisions_are_numbered_one_after_the_other() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    assert all(page.read_text().startswith(f"# {int(page.name[:4])}. ") for page in pages)
