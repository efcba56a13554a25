"""How values and tables look."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionry.cli.options import span
from sessionry.cli.render import (
    SHORT_ID,
    Column,
    age,
    cells,
    cut,
    duration,
    money,
    one_line,
    printable,
    short_ids,
    table,
    tokens,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def plain(text: str, **_: object) -> str:
    return text


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-1, "0.00 s"),
        (0.004, "0.00 s"),
        (0.25, "0.25 s"),
        (0.999, "1.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3599.9, "1 h"),
        (3660, "1 h 1 min"),
        (86_400 * 3 + 3600 * 4, "3 d 4 h"),
    ],
)
def test_durations_are_told_in_two_units_at_most(seconds: float, told: str) -> None:
    assert duration(seconds) == told


@pytest.mark.parametrize(
    ("ago", "told"),
    [
        (timedelta(0), "now"),
        (timedelta(seconds=-5), "now"),
        (timedelta(seconds=59), "59 s ago"),
        (timedelta(minutes=5, seconds=59), "5 min ago"),
        (timedelta(hours=23), "23 h ago"),
        (timedelta(days=30), "30 d ago"),
    ],
)
def test_ages_are_told_in_one_unit(ago: timedelta, told: str) -> None:
    assert age(NOW - ago, NOW) == told


def test_what_is_older_than_a_month_has_a_date() -> None:
    assert age(NOW - timedelta(days=31), NOW).startswith("2026-0")
    assert age(None) == ""


@pytest.mark.parametrize(("count", "told"), [(0, "0"), (9999, "9,999"), (12_345, "12.3k"), (2_500_000, "2.5M")])
def test_tokens_are_counted_roughly_when_there_are_many(count: int, told: str) -> None:
    assert tokens(count) == told


@pytest.mark.parametrize(("cost", "told"), [(None, ""), ("0", "$0.00"), ("0.0142", "$0.0142"), ("12.345", "$12.34")])
def test_money(cost: str | None, told: str) -> None:
    assert money(None if cost is None else Decimal(cost)) == told


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), ("2d", 172_800), ("5 m", 300), ("1w", 604_800)],
)
def test_spans_of_time_are_understood(text: str, seconds: float) -> None:
    assert span(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "5x", "5mm", "h5", "2026-05-01", "5m!"])
def test_what_is_no_span_is_none(text: str) -> None:
    assert span(text) is None


def test_wide_characters_take_two_columns_and_accents_none() -> None:
    assert (cells("abc"), cells("日本"), cells("e\u0301"), cells("🙂")) == (3, 4, 1, 2)


def test_a_text_is_cut_between_its_characters() -> None:
    assert cut("日本語", 5) == "日本…"
    assert cut("日本語", 4) == "日…"
    assert cut("abc", 3) == "abc"
    assert cut("abc", 0) == ""


def test_what_a_terminal_would_obey_is_made_visible() -> None:
    assert printable("a\x1b[31mb\x07\u202ec\x9b\x7f") == "a\ufffd[31mb\ufffd\ufffdc\ufffd\ufffd"
    assert printable("lines\nand\ttabs") == "lines\nand\ttabs"
    assert one_line(" a \n b\r\n\tc ") == "a b c"


def test_ids_are_cut_as_short_as_they_are_told_apart() -> None:
    one, other, third = "ses_" + "a" * 32, "ses_" + "a" * 20 + "b" * 12, "ses_" + "c" * 32
    assert short_ids([one, other, third]) == {one: one[:25], other: other[:25], third: third[:SHORT_ID]}


def test_an_id_that_begins_another_one_is_kept_whole() -> None:
    assert short_ids(["my-session", "my-session-2", "my-session"]) == {
        "my-session": "my-session",
        "my-session-2": "my-session-2",
    }


COLUMNS = (
    Column("ID"),
    Column("TITLE", least=8),
    Column("TAGS", least=4, extra=True),
    Column("RUNS", right=True, extra=True),
)
ROWS = st.lists(st.tuples(st.just("ses_0123456789"), st.text(max_size=60), st.text(max_size=30), st.integers(0, 10**6)))


@given(rows=ROWS, width=st.integers(1, 200))
def test_no_line_of_a_table_is_wider_than_the_terminal(rows: list[tuple[str, str, str, int]], width: int) -> None:
    for line in table(COLUMNS, rows, width=width, style=plain):
        assert cells(line) <= max(width, 1)
        assert "\n" not in line


def test_a_table_that_is_not_for_a_terminal_is_not_cut() -> None:
    rows = [("ses_1", "t" * 500, "", 1)]
    assert "t" * 500 in list(table(COLUMNS, rows, width=None, style=plain))[1]


def test_titles_shrink_before_columns_go_and_ids_stay_whole() -> None:
    rows = [("ses_0123456789", "a rather long title of a session", "tag", 7)]
    wide, narrow = (list(table(COLUMNS, rows, width=width, style=plain)) for width in (46, 24))
    assert wide[0].split() == ["ID", "TITLE", "TAGS", "RUNS"]
    assert "…" in wide[1]
    assert narrow[0].split() == ["ID", "TITLE"]
    assert narrow[1].startswith("ses_0123456789  ")


def test_a_column_without_content_is_left_out_and_numbers_stand_on_the_right() -> None:
    head, first, second = table(COLUMNS, [("a", "x", "", 5), ("b", "yy", "", 1000)], width=80, style=plain)
    assert head == "ID  TITLE  RUNS"
    assert first == "a   x         5"
    assert second == "b   yy     1000"
