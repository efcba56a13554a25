"""What providers send, frame by frame, without the secrets in it.

A model's words come in pieces, one in each frame, and so do the secrets in them. So all texts at the same place of frames
count as the pieces of one text. A frame waits until it is decided of each of its texts what of it goes; then it is as it
was sent, but for the secrets: what is shown instead of one stands where it began, and later pieces lose their part.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from itertools import islice
from typing import Final

import msgspec

from sessionry.domain.codec import encode_json
from sessionry.domain.events import FrameReceived
from sessionry.domain.json_text import JsonText, Span
from sessionry.domain.json_values import Json
from sessionry.domain.redaction import Redactor, Stream, hidden, is_secret_name

#: Texts of which the end is remembered, frames that wait, and characters of them. Of more, the oldest wait no longer.
MOST_TEXTS = 1024
MOST_HELD = 512
MOST_CHARACTERS = 8 * 1024 * 1024
#: Of the texts whose ends are remembered, so many are looked at to find one that may be forgotten.
MOST_LOOKED_AT = 32
#: Characters of a text that is looked at more closely only if it may hold a secret at all.
LARGE = 16 * 1024

#: Fields that name something in one word: each is a text of its own.
_NAMES: Final = frozenset(
    {"type", "subtype", "object", "method", "sessionUpdate", "role", "status", "model", "id", "uuid", "name", "title"}
    | {"jsonrpc", "version", "service_tier", "finish_reason", "stop_reason", "stopReason", "created_at", "timestamp"}
)
#: Fields that say which text of several a frame belongs to; and others that look like them, but are new in each frame.
_KINDS: Final = frozenset({"type", "subtype", "method", "sessionUpdate"})
_NEW_EACH_TIME: Final = frozenset({"event_id", "eventId", "request_id", "requestId"})
_WHICH: Final = ("_id", "Id", "_index", "Index")

Place = tuple[object, ...]


class Frames:
    """The frames of one attempt. What follows a frame that could not wait any longer is still known to follow it."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._texts: dict[Place, _Text] = {}
        self._held: dict[int, _Held] = {}
        self._characters = 0

    def received(self, data: FrameReceived, *, anew: bool = False) -> list[FrameReceived]:
        """What can be told now: the new frame in its place, and `late` ones that have waited.

        `anew`: all texts before it are over.
        """
        late = self.rest() if anew else []
        if anew:
            self._texts.clear()
        held = _Held(data)
        held.frame = self._read(data.frame, (data.source,), held)
        late += self._decided()
        if held.open:
            self._held[data.number] = held
            held.size = len(encode_json(data.frame))
            self._characters += held.size
            return [*late, msgspec.structs.replace(data, frame=None), *self._too_many()]
        return [*late, msgspec.structs.replace(data, frame=_whole(held.frame))]

    def rest(self) -> list[FrameReceived]:
        """All that has waited."""
        for text in self._texts.values():
            text.cut()
        return self._decided()

    def _decided(self) -> list[FrameReceived]:
        done = [held for held in self._held.values() if not held.open]
        for held in done:
            del self._held[held.data.number]
            self._characters -= held.size
        return [msgspec.structs.replace(held.data, frame=_whole(held.frame), late=True) for held in done]

    def _too_many(self) -> list[FrameReceived]:
        full = len(self._held) > MOST_HELD or self._characters > MOST_CHARACTERS
        return self.rest() if full else []

    def _read(self, value: Json, place: Place, held: _Held, name: str = "") -> Json:
        """The value with a `_Piece` for each text of which more may come."""
        if isinstance(value, str):
            return self._piece(value, place, held) if _may_go_on(name) and value else self._redactor.text(value)
        if isinstance(value, dict):
            place = (*place, *_which(value, in_list="[]" in place))
            return {self._redactor.text(key): self._field(key, item, place, held) for key, item in value.items()}
        if isinstance(value, list):
            place = (*place, "[]")
            return [self._read(item, (*place, _position(index, item)), held, name) for index, item in enumerate(value)]
        return value

    def _field(self, key: str, value: Json, place: Place, held: _Held) -> Json:
        if isinstance(value, str | list) and is_secret_name(key):
            return hidden(value)
        return self._read(value, (*place, key), held, key)

    def _piece(self, value: str, place: Place, held: _Held) -> _Piece:
        text = self._texts.pop(place, None) or _Text(self._redactor)
        self._texts[place] = text  # the newest is the last
        piece = text.feed(value, held)
        if len(self._texts) > MOST_TEXTS:
            self._forget()
        return piece

    def _forget(self) -> None:
        """The first of the oldest texts of which nothing waits, or else the oldest."""
        oldest = islice(self._texts.items(), MOST_LOOKED_AT)
        place = next((place for place, text in oldest if not text.waits), next(iter(self._texts)))
        self._texts.pop(place).cut()


class _Held:
    """A frame, and how many of its texts are not decided yet."""

    def __init__(self, data: FrameReceived) -> None:
        self.data = data
        self.frame: Json = None
        self.open = 0
        self.size = 0


class _Piece:
    """A text in a frame: the characters from `start` to `end` of the whole."""

    def __init__(self, start: int, text: str, held: _Held) -> None:
        self.start, self.end = start, start + len(text)
        self.text = text
        self.held = held
        held.open += 1

    def clean(self, spans: Iterable[Span]) -> None:
        """It is known what of it goes."""
        shown: list[str] = []
        at = self.start
        for span in sorted(spans, key=lambda span: span.start):
            end = self.end if span.end is None else min(span.end, self.end)
            if end <= at or span.start >= self.end:
                continue
            if span.start >= at:
                shown += [self._between(at, span.start), span.shown]
            at = end
        self.text = "".join([*shown, self._between(at, self.end)])
        self.held.open -= 1

    def _between(self, start: int, end: int) -> str:
        return self.text[start - self.start : end - self.start]


class _Text:
    """The pieces of one text."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._words = _Words(redactor)
        self._json = JsonText()
        self._pieces: list[_Piece] = []
        self._length = 0

    @property
    def waits(self) -> bool:
        return self._words.waits or self._words.decided < self._length or self._json.decided < self._length

    def feed(self, text: str, held: _Held) -> _Piece:
        piece = _Piece(self._length, text, held)
        self._pieces.append(piece)
        self._length = piece.end
        self._words.feed(text)
        if len(text) > LARGE and self._json.is_over and not self._redactor.may_hold(text):
            self._json.skip(text)
        else:
            self._json.feed(text)
        self._tell(self._words, self._json)
        return piece

    def cut(self) -> None:
        """Wait no longer. What follows is still read as the same text."""
        if self._pieces:
            words, json = copy.copy(self._words), copy.copy(self._json)
            words.spans, json.spans = list(words.spans), list(json.spans)
            words.finish()
            json.finish()
            self._tell(words, json)

    def _tell(self, words: _Words, json: JsonText) -> None:
        decided = min(words.decided, json.decided)
        done = 0
        while done < len(self._pieces) and self._pieces[done].end <= decided:
            self._pieces[done].clean([*json.spans, *words.spans])
            done += 1
        del self._pieces[:done]
        first = self._pieces[0].start if self._pieces else decided
        for found in (self._words.spans, self._json.spans):
            found[:] = [span for span in found if span.end is None or span.end > first]


class _Words(Stream):
    """A text in pieces, and where in it the secrets are."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__(redactor)
        self.spans: list[Span] = []

    @property
    def decided(self) -> int:
        return self._gone + self._start

    @property
    def waits(self) -> bool:
        """A secret goes on."""
        return self._inside is not None

    def _began(self, at: int, kind: str) -> None:
        self.spans.append(Span(at, None, f"[redacted:{kind}]"))

    def _ended(self, at: int) -> None:
        self.spans[-1] = self.spans[-1]._replace(end=at)


def _may_go_on(name: str) -> bool:
    return name not in _NAMES and not name.endswith(("_id", "Id"))


def _which(value: dict[str, Json], *, in_list: bool) -> Iterable[object]:
    """What tells the texts of an object from those of its like.

    Where it has an index, that alone, and in a list no kind: the first piece may say more of itself than those after it.
    """
    if "index" in value and not isinstance(value["index"], dict | list):
        return ("index", value["index"])
    return [
        (name, item)
        for name, item in value.items()
        if isinstance(item, str | int) and ((name in _KINDS and not in_list) or _is_id(name))
    ]


def _is_id(name: str) -> bool:
    return name.endswith(_WHICH) and name not in _NEW_EACH_TIME


def _position(index: int, item: Json) -> int | None:
    return None if isinstance(item, dict) and "index" in item else index


def _whole(value: Json) -> Json:
    if isinstance(value, _Piece):
        return value.text
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return value
