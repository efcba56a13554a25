"""The benchmarks: their pictures can be looked at, and every question can be asked. `.ci/run` asks them all."""

from __future__ import annotations

from importlib import import_module
from xml.etree import ElementTree

import pytest
from benchmarks.__main__ import QUESTIONS
from benchmarks.answers import Answer, Bars, Lines, at_least, told
from benchmarks.harness import Side, interleaved, number
from benchmarks.pictures import drawn
from benchmarks.report import page

BARS = Bars("bars", "Events <and> more", "events", [("Sessionry", 120.0), ("another", 3.0)], log=True, bound=50)
LINES = Lines(
    "lines", "Growth", "events", "us", [("Sessionry", [(100, 20.0), (10_000, 21.0)]), ("another", [(100, 300.0)])]
)


@pytest.mark.parametrize("picture", [BARS, LINES], ids=lambda picture: picture.name)
def test_a_picture_is_well_formed_and_says_what_it_shows(picture: Bars | Lines) -> None:
    root = ElementTree.fromstring(drawn(picture))
    words = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {picture.title, "Sessionry", "another"} <= set(words)


def test_the_page_tells_targets_first_and_what_was_missed() -> None:
    answer = Answer(
        "Append", "How to read.", [at_least("share", 0.5, 0.6, "1/s of 2/s"), told("other", "3 s")], [BARS], ["Why."]
    )
    text = page([answer])
    assert text.index("## Targets") < text.index("## Append") < text.index("Why.")
    assert text.count("| share | 0.500 | >= 0.6 | **missed** | 1/s of 2/s |") == 2
    assert "![Events <and> more](plots/bars.svg)" in text


def test_sides_take_turns() -> None:
    turns: list[str] = []

    def side(name: str) -> Side:
        def work() -> float:
            turns.append(name)
            return len(turns)

        return Side(name, work)

    sides = [side("a"), side("b")]
    assert str(interleaved(sides, 3)["a"]) == "3.00 (1.00 to 5.00)"
    assert turns == list("ababab")


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_can_be_asked(question: str) -> None:
    assert callable(import_module(f"benchmarks.{question}").measure)


@pytest.mark.parametrize(
    ("value", "words"), [(0, "0"), (0.01234, "0.0123"), (1.234, "1.23"), (56.78, "56.8"), (12_345, "12,345")]
)
def test_numbers_have_three_digits_that_count(value: float, words: str) -> None:
    assert number(value) == words
