"""Secrets in what people and agents say, found and replaced by `[redacted:KIND]` before anything keeps it.

Text is read from left to right. A rule begins with a literal, its trigger, and has a head of bounded length; once the head
has matched, the secret goes on for as long as its characters do. So it is always known how much of the end of a text may
still become a secret, and a text that comes in pieces gives the same as the whole: `Stream` keeps that end back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, Final

import msgspec

from sessionry.domain import events as ev
from sessionry.domain.codec import encode_payload
from sessionry.domain.events import EventData
from sessionry.domain.json_values import Json
from sessionry.domain.redaction_rules import CONTEXT, NOTICED, PEM, PEM_END, RULES, Literal, Rule
from sessionry.domain.run import ErrorInfo

#: Characters that a value has at least before it is looked for everywhere.
SHORTEST_VALUE = 8
#: Characters in which the last line of a private key is found.
_LAST_LINE = 96

#: Fields of events and requests that name something, or are matched with something else: they stay as they are.
KEPT_FIELDS: Final = frozenset(
    {"id", "key", "hash", "ref", "cwd", "scope", "host", "program", "mode", "role", "status", "stream", "code"}
    | {"tool_name", "idempotency_key"}
)
_FINAL_WORDS = ("password", "passwd", "passphrase", "secret", "apikey", "authorization")
_SECRET_WORDS = frozenset({*_FINAL_WORDS, "token", "secrets", "passwords", "cookie", "cookies", "credentials"})
_KEYS = frozenset({"api", "private", "secret", "access", "signing", "encryption", "auth", "master"})
_TOKENS_OF_OTHERS = frozenset(
    {"page", "next", "continuation", "cursor", "stop", "eos", "bos", "pad", "unk", "mask", "cancel", "cancellation"}
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
REFERENCE = re.compile(r"\$\{?[A-Za-z_][\w:.]*\}?|\[redacted:[a-z_]+\]")
_MAY_BE_NAME = re.compile(r"pass|secret|token|cookie|credential|authoriz|key", re.IGNORECASE)

#: One of these is in every text that has a secret: the words in any case; the others by a character that they have.
_TELLING = ("passw", "passp", "secret", "token", "key", "credential", "uthoriz", "bearer ", "ookie")
_MARKED = (
    ("-", ("sk-", "glpat-", "xox", "xapp-", "pypi-", "-----BEGIN ")),
    ("_", ("sk_", "rk_", "whsec_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "sry_", "hf_", "npm_")),
    ("A", ("AKIA", "ASIA", "AIza")),
    ("eyJ", ("eyJ",)),
    ("ya29.", ("ya29.",)),
    ("://", ("://",)),
)
#: Events that hold no words of anybody.
_WORDLESS = (ev.TokenUsageUpdated, ev.AgentProcessStarted, ev.RunStarted, ev.AgentSessionLinked, ev.TurnCompleted)


def is_secret_name(name: str) -> bool:
    """Whether what has this name, a key or a variable, is a secret: `password`, `OPENAI_API_KEY`, `clientSecret`."""
    if not _MAY_BE_NAME.search(name):
        return False
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words:
        return False
    last = words[-1]
    if last == "token":
        return not (len(words) > 1 and words[-2] in _TOKENS_OF_OTHERS)
    if last in ("key", "keys"):
        return any(pair[0] in _KEYS for pair in pairwise(words))
    return last in _SECRET_WORDS or last.endswith(_FINAL_WORDS)


def secret_values(environ: Mapping[str, str], others: Iterable[str] = ()) -> set[str]:
    """The values of the variables whose names look secret, and of `others`, as far as they can be told from other text."""
    named = [value for name, value in environ.items() if is_secret_name(name)]
    used = [environ[name] for name in others if name in environ]
    return {
        value
        for value in map(str.strip, (*named, *used))
        if len(value) >= SHORTEST_VALUE and not value.startswith(("/", "~", "./", "http://", "https://", "sqlite:"))
    }


def named_secrets(value: Json, name: str = "") -> list[str]:
    """The texts under telling keys, wherever they are in a value."""
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in named_secrets(item, key)]
    if isinstance(value, list):
        return [found for item in value for found in named_secrets(item, name)]
    return [value] if isinstance(value, str) and is_secret_name(name) and not REFERENCE.fullmatch(value) else []


class Redactor:
    """Replaces secrets: those that look like one, those under a telling key, and `values`, wherever they are."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        given = {form for value in values if len(value) >= SHORTEST_VALUE for form in _forms(value)}
        known = sorted(given, key=lambda value: (-len(value), value))
        rules: dict[str, list[Rule | Literal]] = {}
        for value in known:
            rules.setdefault(value[:NOTICED], []).append(Literal("known_value", value))
        for rule in RULES:
            for trigger in rule.triggers:
                rules.setdefault(trigger, []).append(rule)
        triggers = sorted(rules, key=lambda trigger: (-len(trigger), trigger))
        self.trigger = re.compile(_tree(triggers))
        #: the rules that may apply where a trigger was found, also those of the shorter triggers that it begins with
        self.rules = {
            found: [rule for each in triggers if found.startswith(each) for rule in rules[each]] for found in triggers
        }
        #: what a text may end with that the next piece makes a trigger
        self.beginnings = frozenset(trigger[:end] for trigger in triggers for end in range(1, len(trigger)))
        self.longest_beginning = max(map(len, triggers)) - 1
        noticed = {value[:NOTICED] for value in known}
        self._known = tuple(noticed | {msgspec.json.encode(start).decode()[1:-1] for start in noticed})

    def may_hold(self, text: str) -> bool:
        """Whether there may be a secret in a text, which may be JSON. Most texts are told apart from those fast."""
        low = text.lower()
        for word in _TELLING:
            if word in low:
                return True
        for mark, starts in _MARKED:
            if mark in text:
                for start in starts:
                    if start in text:
                        return True
        return any(start in text for start in self._known)

    def text(self, text: str) -> str:
        """The text without its secrets; the very same if there is none."""
        if not self.may_hold(text):
            return text
        stream = Stream(self)
        return stream.feed(text) + stream.finish()

    def value(self, value: Json) -> Json:
        """A JSON value without its secrets, in the keys of objects too; the very same if there is none."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            clean = {self.text(key): self._under(key, item) for key, item in value.items()}
            return value if _same(clean, value) else clean
        if isinstance(value, list):
            items = [self.value(item) for item in value]
            return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
        return value

    def _under(self, key: str, value: Json) -> Json:
        if isinstance(value, str | list) and is_secret_name(key):
            return hidden(value)
        return self.value(value)

    def event(self, data: EventData) -> EventData:
        """The event without the secrets in it."""
        if type(data) in _WORDLESS or not self.may_hold(encode_payload(data)):
            return data
        redacted: EventData = self.struct(data)
        return redacted

    def struct(self, data: Any) -> Any:
        """A struct of ours without the secrets in it; ids and names that something refers to stay."""
        changes = {}
        for name in data.__struct_fields__:
            value = getattr(data, name)
            if name in KEPT_FIELDS or name.endswith("_id"):
                continue
            if isinstance(value, str | dict | list) and type(value) in (str, dict, list):
                clean = self.value(value)
            elif isinstance(value, ErrorInfo):
                clean = self.struct(value)
            else:
                continue
            if clean is not value:
                changes[name] = clean
        return msgspec.structs.replace(data, **changes) if changes else data


def _forms(value: str) -> set[str]:
    """A value as it is, and as it stands in a text that is JSON."""
    return {value, msgspec.json.encode(value).decode()[1:-1], json.dumps(value)[1:-1]}


def _tree(words: Iterable[str]) -> str:
    """An expression for the longest of the words: a tree, since alternatives are tried one by one."""
    rests: dict[str, list[str]] = {}
    for word in words:
        rests.setdefault(word[0], []).append(word[1:])
    branches = []
    for first, after in sorted(rests.items()):
        longer = [rest for rest in after if rest]
        more = f"(?:{_tree(longer)}){'' if len(longer) == len(after) else '?'}" if longer else ""
        branches.append(re.escape(first) + more)
    return "|".join(branches)


def _same(clean: dict[str, Json], value: dict[str, Json]) -> bool:
    return len(clean) == len(value) and all(key in clean and clean[key] is value[key] for key in value)


def hidden(value: Json) -> Json:
    """What is under a telling key: every text of it goes, references to where it can be found stay."""
    if isinstance(value, str):
        return value if not value or REFERENCE.fullmatch(value) else "[redacted:secret]"
    if isinstance(value, list):
        return [hidden(item) for item in value]
    if isinstance(value, dict):
        return {key: hidden(item) for key, item in value.items()}
    return value


class Stream:
    """One text that comes in pieces: what `feed` gives of each, and `finish` at the end, make the redacted whole."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._buffer = ""
        #: where the text begins that was not given yet; what is before it is context
        self._start = 0
        #: the secret that we are in
        self._inside: Rule | None = None
        #: how much of the text is not in the buffer any more
        self._gone = 0

    @property
    def held(self) -> str:
        """What was kept back."""
        return self._buffer[self._start :]

    def feed(self, piece: str) -> str:
        """As much of the text as can be told now."""
        return self._read(piece, final=False)

    def finish(self) -> str:
        """The rest: nothing follows any more."""
        return self._read("", final=True)

    def _read(self, piece: str, *, final: bool) -> str:
        self._buffer += piece
        out: list[str] = []
        at = given = self._start
        while True:
            if self._inside is not None:
                end = self._passed(given, final=final)
                if end is None:
                    break
                self._ended(self._gone + end)
                self._inside, at, given = None, end, end
            found = self._redactor.trigger.search(self._buffer, at)
            if found is None:
                end = len(self._buffer) - (0 if final else self._beginning(given))
                out.append(self._buffer[given:end])
                self._keep_from(end)
                break
            begin = found.start()
            match self._decided(found, final=final):
                case None:
                    out.append(self._buffer[given:begin])
                    self._keep_from(begin)
                    break
                case (rule, shown, end):
                    out.append(f"{self._buffer[given:begin]}{shown}[redacted:{rule.kind}]")
                    self._inside = rule if isinstance(rule, Rule) and rule.more is not None else None
                    self._began(self._gone + begin + len(shown), rule.kind)
                    if self._inside is None:
                        self._ended(self._gone + end)
                    at = given = end
                case _:
                    at = begin + 1
        return "".join(out)

    def _decided(self, found: re.Match[str], *, final: bool) -> tuple[Rule | Literal, str, int] | bool | None:
        """The rule that applies at a trigger, what it leaves, and where its head ends; False: none; None: who knows."""
        begin = found.start()
        near_end = len(self._buffer) - begin <= self._redactor.longest_beginning
        if near_end and not final and self._buffer[begin:] in self._redactor.beginnings:
            return None  # of a longer trigger
        for rule in self._redactor.rules[found[0]]:
            if (head := rule.match(self._buffer, begin)) is not None:
                return rule, *head
            if not final and rule.may_match(self._buffer, begin):
                return None
            if final and isinstance(rule, Literal) and rule.is_cut(self._buffer, begin):
                return rule, "", len(self._buffer)
        return False

    def _beginning(self, given: int) -> int:
        """How many characters at the end may be the beginning of a trigger."""
        most = min(len(self._buffer) - given, self._redactor.longest_beginning)
        for length in range(most, 0, -1):
            if self._buffer[-length:] in self._redactor.beginnings:
                return length
        return 0

    def _passed(self, at: int, *, final: bool) -> int | None:
        """Where the secret ends that we are in; None when it goes on, and then what was seen of it is forgotten."""
        rule = self._inside
        assert rule is not None
        assert rule.more is not None
        run = rule.more.match(self._buffer, at)
        end = at if run is None else run.end()
        if rule is PEM and (last := PEM_END.search(self._buffer, at)) is not None and last.start() <= end:
            return last.end()
        if end < len(self._buffer) or final:
            return end
        self._keep_from(max(at, end - _LAST_LINE) if rule is PEM else end)
        return None

    def _keep_from(self, start: int) -> None:
        """Forget what is before, but for what the next rule may look back at."""
        cut = max(start - CONTEXT, 0)
        self._buffer, self._start, self._gone = self._buffer[cut:], start - cut, self._gone + cut

    def _began(self, at: int, kind: str) -> None:
        """A secret of that kind begins at that character of the whole text."""

    def _ended(self, at: int) -> None:
        """The last secret that has begun ends before that one."""
