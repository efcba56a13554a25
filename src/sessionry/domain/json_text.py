"""JSON inside of a text, as models send the arguments of tool calls: which of its characters are under a telling name.

The text may come in pieces that are cut anywhere. One that turns out to be no JSON is looked at no further.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from sessionry.domain.redaction import REFERENCE, is_secret_name

#: Characters of a name, and of a reference such as `${TOKEN}`, that are looked at.
_LONGEST = 128
_SPACE = " \t\r\n"
#: What ends a string, or is said in another way in it.
_SPECIAL = re.compile(r'["\\\x00-\x1f]')
#: What numbers and the three words of JSON are made of.
_BARE = frozenset("+-.0123456789eEtrufalsn")


class Span(NamedTuple):
    """Characters of a text that go, and what is shown in their place. `end`: None while they go on."""

    start: int
    end: int | None
    shown: str


class _Container:
    """An object or a list that is open. `hidden`: every text in it goes."""

    def __init__(self, *, is_object: bool, hidden: bool) -> None:
        self.is_object = is_object
        self.hidden = hidden
        #: an object: a name is next
        self.names = is_object
        #: the name of the value that is next
        self.name = ""


class JsonText:
    """One text. `spans` are what was found of it so far; before `decided` nothing more will be found."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._read = 0
        self._is_json = True
        self._open: list[_Container] = []
        #: the string that we are in: where its content begins, and the beginning of that
        self._start: int | None = None
        self._content = ""
        self._escaped = False
        self._hides = False

    @property
    def decided(self) -> int:
        return self._start if self._waits and self._start is not None else self._read

    @property
    def _waits(self) -> bool:
        """For the end of what may be a reference, which stays."""
        return self._hides and self._content[:1] in ("", "$", "[") and not self._going_on

    @property
    def _going_on(self) -> bool:
        return bool(self.spans) and self.spans[-1].end is None

    @property
    def is_over(self) -> bool:
        """No object and no list is open."""
        return not self._open

    def feed(self, piece: str) -> None:
        before, at = self._read, 0
        if self.is_over and piece.lstrip(_SPACE)[:1] not in ("", "{", "["):
            self._is_json = False
        while self._is_json and at < len(piece):
            self._read = before + at
            plain = self._start is not None and not self._escaped
            found = _SPECIAL.search(piece, at) if plain else None
            end = at if not plain else len(piece) if found is None else found.start()
            if end > at:
                self._grow(piece[at:end])
                at = end
            else:
                self._take(piece[at])
                at += 1
        self._read = before + len(piece)

    def skip(self, piece: str) -> None:
        """Of this piece, and of what follows, nothing is under a telling name."""
        self._is_json = False
        self._read += len(piece)

    def finish(self) -> None:
        """Nothing follows any more: a string that was cut off counts as it is."""
        if self._start is not None and self._hides and not self._going_on and self._content:
            self._hide(self._start)
        self._end()

    def _take(self, character: str) -> None:
        if self._start is not None:
            self._in_string(character)
        elif character in "{[":
            self._begin(is_object=character == "{")
        elif not self._open:
            self._is_json = character in _SPACE
        elif character == '"':
            self._start, self._content = self._read + 1, ""
            self._hides = not self._open[-1].names and self._is_secret()
        elif character in "}]":
            self._is_json = self._open.pop().is_object == (character == "}")
        elif character == ",":
            self._open[-1].names = self._open[-1].is_object
        elif character == ":":
            self._open[-1].names = False
        elif character not in _SPACE:
            self._is_json = character in _BARE and not self._open[-1].names

    def _begin(self, *, is_object: bool) -> None:
        inner = bool(self._open)
        hidden = inner and (self._open[-1].hidden or (not is_object and self._is_secret()))
        self._open.append(_Container(is_object=is_object, hidden=hidden))

    def _is_secret(self) -> bool:
        inside = self._open[-1]
        return inside.hidden or (inside.is_object and is_secret_name(inside.name))

    def _in_string(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif character == '"':
            self._end_string()
            return
        elif character == "\\":
            self._escaped = True
        elif character < " ":
            self._is_json = False
            self._end()
            return
        self._grow(character)

    def _grow(self, text: str) -> None:
        self._content += text[: max(_LONGEST + 1 - len(self._content), 0)]
        if self._hides and not self._going_on and (self._content[0] not in "$[" or len(self._content) > _LONGEST):
            assert self._start is not None
            self._hide(self._start)

    def _end_string(self) -> None:
        assert self._start is not None
        if self._open[-1].names:
            self._open[-1].name = _unescaped(self._content)
        elif self._hides and not self._going_on and self._content and not REFERENCE.fullmatch(self._content):
            self._hide(self._start)
        self._end()

    def _hide(self, start: int) -> None:
        self.spans.append(Span(start, None, "[redacted:secret]"))

    def _end(self) -> None:
        """Of the string, and of what is hidden of it."""
        if self._going_on:
            self.spans[-1] = self.spans[-1]._replace(end=self._read)
        self._start, self._hides = None, False


def _unescaped(name: str) -> str:
    try:
        return msgspec.json.decode(f'"{name}"', type=str) if "\\" in name else name
    except msgspec.DecodeError:
        return name
