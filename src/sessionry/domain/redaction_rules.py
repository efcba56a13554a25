"""What secrets look like: `RULES`, each with its triggers, a head of bounded length, and the characters that may follow.

A head is given as items in a row, from which two expressions are made: one for the head, and one for whatever may still
become it at the end of a text. No head may depend on more than what its items name and `CONTEXT` characters before it.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Final, NamedTuple, TypeAlias

#: Characters before a trigger that a rule may look back at.
CONTEXT = 16
#: Characters of a known value by which it is noticed.
NOTICED = 8
#: Characters in which a value must have a digit and a letter to count as a secret.
_WINDOW = 64


class Run(NamedTuple):
    """From `least` to `most` characters of a class."""

    kind: str
    least: int
    most: int


class Mixed(NamedTuple):
    """At least eight characters of a class, letters and digits among the first of them. The last item, if any."""

    kind: str


class Ahead(NamedTuple):
    """A literal that must follow and is no part of the secret. The last item, if any."""

    literal: str


class Shown(NamedTuple):
    """What is before it stays."""


Item: TypeAlias = str | tuple[str, ...] | Run | Mixed | Ahead | Shown


def _head(items: list[Item]) -> str:
    parts: list[str] = []
    for item in items:
        match item:
            case Run(kind, least, most):
                parts.append(f"{kind}{{{least},{most}}}")
            case Mixed(kind):
                parts.append(f"(?={kind}{{0,{_WINDOW - 1}}}[0-9])(?={kind}{{0,{_WINDOW - 1}}}[A-Za-z]){kind}{{8}}")
            case Ahead(literal):
                parts.append(f"(?={re.escape(literal)})")
            case Shown():
                parts = [f"({''.join(parts)})"]
            case str():
                parts.append(re.escape(item))
            case _:
                parts.append(f"(?:{'|'.join(map(re.escape, item))})")
    return "".join(parts)


def _beginning(items: list[Item]) -> str:
    """An expression for what may become the head, up to the end of the text."""
    if not items:
        return "(?!)"
    first, rest = items[0], items[1:]
    match first:
        case Shown():
            return _beginning(rest)
        case Run(kind, least, most):
            return f"(?:{kind}{{0,{most}}}\\Z|{kind}{{{least},{most}}}{_beginning(rest)})"
        case Mixed(kind):
            return f"{kind}{{0,{_WINDOW - 1}}}\\Z"
        case Ahead(literal):
            return _beginning([literal])
    options = (first,) if isinstance(first, str) else first
    begun = {re.escape(option[:end]) for option in options for end in range(len(option))}
    whole = "|".join(map(re.escape, options))
    return f"(?:(?:{'|'.join(sorted(begun))})\\Z|(?:{whole}){_beginning(rest)})"


class Rule:
    """How one kind of secret begins. `more`: what it goes on with."""

    def __init__(
        self, kind: str, triggers: str, *items: Item, more: str | None = None, after: str = r"(?<![A-Za-z0-9])"
    ) -> None:
        self.kind = kind
        self.triggers = triggers.split("|")
        self._items, self._after = list(items), after
        self.more = None if more is None else re.compile(f"{more}*")

    @cached_property  # most programs meet few kinds of secrets
    def _head(self) -> re.Pattern[str]:
        return re.compile(self._after + _head(self._items))

    @cached_property
    def _beginning(self) -> re.Pattern[str]:
        return re.compile(self._after + _beginning(self._items))

    def match(self, text: str, at: int) -> tuple[str, int] | None:
        """What of the head is shown, and where it ends."""
        found = self._head.match(text, at)
        return None if found is None else (found[1] if self._head.groups else "", found.end())

    def may_match(self, text: str, at: int) -> bool:
        """Whether what is there may become a head when more follows."""
        return self._beginning.match(text, at) is not None


class Literal:
    """A value that is known to be secret."""

    more = None

    def __init__(self, kind: str, value: str) -> None:
        self.kind = kind
        self._value = value

    def match(self, text: str, at: int) -> tuple[str, int] | None:
        return ("", at + len(self._value)) if text.startswith(self._value, at) else None

    def may_match(self, text: str, at: int) -> bool:
        return len(text) - at < len(self._value) and self._value.startswith(text[at:])

    def is_cut(self, text: str, at: int) -> bool:
        """Whether the text ends in the middle of the value, and tells more of it than by what it is noticed."""
        told = len(text) - at
        return told > NOTICED and told * 2 >= len(self._value) and self.may_match(text, at)


_ID, _ALNUM, _URLSAFE = "[A-Za-z0-9_-]", "[A-Za-z0-9]", "[A-Za-z0-9._~+/=-]"
_SPACE = r"[ \t]"
_QUOTED, _BARE, _PLAIN = r"""[^\s"'\\$<{(\[]""", r"[A-Za-z0-9+/=_.~@!%^&*-]", r"[A-Za-z0-9+/=!@#%^&*-]"

PEM: Final = Rule(
    "private_key",
    "-----BEGIN ",
    "-----BEGIN ",
    Run("[A-Z0-9 ]", 0, 30),
    ("PRIVATE KEY-----", "PRIVATE KEY BLOCK-----"),
    Run(r"[\s\\nrt+>|]", 1, 16),
    ("Proc-Type", "DEK-Info", "Version", "Comment", *"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"),
    more=r"[A-Za-z0-9+/=\s\\:,.>|-]",
    after="",
)
PEM_END: Final = re.compile(r"-----END [A-Z0-9 ]{0,40}-----")

_QUOTE = ("", '"', "'", '\\"', "\\'")
_ENDINGS = ("", "_ACCESS_KEY", "_KEY", "_access_key", "_key", "AccessKey", "Key", "1", "2", "_V2")
_SEPARATOR: tuple[Item, ...] = (Run(_SPACE, 0, 2), (":=", "=>", ":", "="), Run(_SPACE, 0, 2))
_WORDS = (
    "password|Password|passwd|passphrase|secret|Secret|token|Token|api_key|api-key|apikey|apiKey|ApiKey|Api-Key|API-Key"
    "|private_key|privateKey|access_key|accessKey|accessKeyId"
)
_LOUD = "PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|API_KEY|APIKEY|PRIVATE_KEY|ACCESS_KEY"
_NOT_OTHERS = r"(?<!page_)(?<!Page)(?<!page)(?<!next_)(?<!PAGE_)(?<!NEXT_)(?<!next)(?<!Next)"


def _assigned(words: str) -> list[Rule]:
    """`password = "..."` in code, JSON and YAML. Without quotes it is often code: a name or a call, which stays."""
    names, quotes = tuple(words.split("|")), ('"', "'", '\\"', "\\'")
    bare = _BARE if words == _LOUD else _PLAIN
    before: tuple[Item, ...] = (names, _ENDINGS, _QUOTE, *_SEPARATOR)
    return [
        Rule("secret", words, *before, quotes, Shown(), Mixed(_QUOTED), more=r"""[^\s"'\\]""", after=_NOT_OTHERS),
        Rule("secret", words, *before, Shown(), Mixed(bare), more=r"""[^\s"'\\,;)}\]]""", after=_NOT_OTHERS),
    ]


_LONG = Run(_ALNUM, 30, 30)


def _vendors() -> list[Rule]:
    """The formats that vendors gave their keys so that they are found."""
    return [
        Rule("anthropic_key", "sk-", "sk-ant-", Run(_ID, 16, 16), more=_ID),
        Rule("openai_key", "sk-", ("sk-proj-", "sk-svcacct-", "sk-admin-", "sk-or-v1-"), Run(_ID, 20, 20), more=_ID),
        Rule("api_key", "sk-", "sk-", Run(_ALNUM, 20, 20), more=_ID),
        Rule("stripe_key", "sk_|rk_", ("sk_", "rk_"), ("live_", "test_"), Run(_ALNUM, 16, 16), more=_ALNUM),
        Rule("stripe_key", "whsec_", "whsec_", Run("[A-Za-z0-9+/]", 20, 20), more="[A-Za-z0-9+/=]"),
        Rule("github_token", "ghp_|gho_|ghu_|ghs_|ghr_", "gh", ("p_", "o_", "u_", "s_", "r_"), _LONG, more=_ALNUM),
        Rule("github_token", "github_pat_", "github_pat_", Run("[A-Za-z0-9_]", 30, 30), more="[A-Za-z0-9_]"),
        Rule("gitlab_token", "glpat-", "glpat-", Run(_ID, 20, 20), more=_ID),
        Rule("aws_key", "AKIA|ASIA", ("AKIA", "ASIA"), Run("[A-Z0-9]", 16, 16), more="[A-Z0-9]"),
        Rule("slack_token", "xox", "xox", Run("[a-z]", 1, 1), "-", Run("[A-Za-z0-9-]", 10, 10), more="[A-Za-z0-9-]"),
        Rule("slack_token", "xapp-", "xapp-", Run("[A-Za-z0-9-]", 20, 20), more="[A-Za-z0-9-]"),
        Rule("google_key", "AIza", "AIza", Run(_ID, 30, 30), more=_ID),
        Rule("google_key", "ya29.", "ya29.", Run(_ID, 20, 20), more=_ID),
        Rule("sessionry_token", "sry_", "sry_", Run(_ID, 32, 32), more=_ID),
        Rule("huggingface_token", "hf_", "hf_", _LONG, more=_ALNUM),
        Rule("npm_token", "npm_", "npm_", _LONG, more=_ALNUM),
        Rule("pypi_token", "pypi-", "pypi-", Run(_ID, 40, 40), more=_ID),
        Rule("jwt", "eyJ", "eyJ", Run(_ID, 7, 200), ".", Run(_ID, 8, 8), more="[A-Za-z0-9_.-]"),
    ]  # fmt: skip


def _spelled() -> list[Rule]:
    """What is told to be a secret by the words before it."""
    bearer, basic = ("Bearer ", "bearer ", "BEARER "), ("Basic ", "basic ")
    named = ("uthorization", (": ", ":", '": "', "': '", "="))
    cookies = ("ookie: ", 'ookie": "', "ookie': '")
    login, password = Run(r"""[^\s/@:'"<>]""", 0, 64), r"""[^\s/@'"<>]"""
    return [
        Rule("bearer_token", "|".join(bearer), bearer, Shown(), Mixed(_URLSAFE), more=_URLSAFE),
        Rule("basic_auth", named[0], *named, basic, Shown(), Run(_URLSAFE, 8, 8), more=_URLSAFE, after=""),
        Rule("bearer_token", named[0], *named, bearer, Shown(), Run(_URLSAFE, 8, 8), more=_URLSAFE, after=""),
        Rule(
            "cookie",
            "|".join(cookies),
            cookies,
            Run("[A-Za-z0-9_.%-]", 1, 64),
            "=",
            Shown(),
            Run(r"""[^\s;,"']""", 4, 4),
            more=r"""[^\r\n"']""",
            after="",
        ),
        Rule(
            "url_password",
            "://",
            "://",
            login,
            ":",
            Shown(),
            Run(r"""[^\s/@'"<>${\[*]""", 1, 1),
            Run(password, 0, 128),
            Ahead("@"),
            after="",
        ),
    ]


RULES: Final = (PEM, *_vendors(), *_spelled(), *_assigned(_LOUD), *_assigned(_WORDS))
