"""Secrets are found wherever they are, in pieces too, and what is no secret stays."""

from __future__ import annotations

import base64
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionry.domain import events as ev
from sessionry.domain import ids
from sessionry.domain.redaction import Redactor, Stream, is_secret_name, named_secrets, secret_values
from sessionry.domain.redaction_rules import RULES
from sessionry.domain.run import ErrorInfo
from sessionry.domain.token import new_secret
from sessionry.domain.usage import Usage

KNOWN = {"correct horse 9 battery", "zebra-crossing", 'quote"and\\slash', "sk-known-value"}
REDACTOR = Redactor(KNOWN)
PEM = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEowIBAAKCAQEA+/==\nabc\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcDEF_123-45"

#: a text, what of it must go, and what comes of it
SECRETS = [
    ("key sk-ant-api03-abcdefghijklmnop_-qrst end", "key [redacted:anthropic_key] end"),
    ("sk-proj-" + "a1B2" * 12, "[redacted:openai_key]"),
    ("(sk-" + "a1B2" * 8 + ")", "([redacted:api_key])"),
    ("sk_live_" + "a1B2" * 6, "[redacted:stripe_key]"),
    ("ghp_" + "a1" * 18, "[redacted:github_token]"),
    ("github_pat_" + "a1_b" * 12, "[redacted:github_token]"),
    ("glpat-" + "a1-b" * 5, "[redacted:gitlab_token]"),
    ("AWS AKIAIOSFODNN7EXAMPLE.", "AWS [redacted:aws_key]."),
    ("xoxb-1234567890-abcdef", "[redacted:slack_token]"),
    ("AIza" + "a1B2_" * 7, "[redacted:google_key]"),
    ("hf_" + "aB" * 17, "[redacted:huggingface_token]"),
    (f"?token=sry_{'q7-Z' * 10}abc", "?token=[redacted:sessionry_token]"),
    (f"<{'sry_' + 'a1-B' * 11}>", "<[redacted:sessionry_token]>"),
    (f"jwt {JWT}\nnext", "jwt [redacted:jwt]\nnext"),
    (f"a\n{PEM}\nb", "a\n[redacted:private_key]\nb"),
    (PEM.replace("\n", "\\n") + '"', '[redacted:private_key]"'),
    ("Authorization: Bearer abcdefghijkl", "Authorization: Bearer [redacted:bearer_token]"),
    ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [redacted:basic_auth]"),
    ("Bearer abc123def456", "Bearer [redacted:bearer_token]"),
    ("postgres://ann:pw@host/db", "postgres://ann:[redacted:url_password]@host/db"),
    ('password = "hunter22x"', 'password = "[redacted:secret]"'),
    ("export DB_PASSWORD=abc12345; ls", "export DB_PASSWORD=[redacted:secret]; ls"),
    ("AWS_SECRET_ACCESS_KEY=wJalr/XUtnF3MI", "AWS_SECRET_ACCESS_KEY=[redacted:secret]"),
    ('{"api_key": "abcd1234efgh", "n": 1}', '{"api_key": "[redacted:secret]", "n": 1}'),
    ('{\\"token\\": \\"abcd1234efgh\\"}', '{\\"token\\": \\"[redacted:secret]\\"}'),
    ("Cookie: session=abcdefgh; b=2\nnext", "Cookie: session=[redacted:cookie]\nnext"),
    ("it is correct horse 9 battery.", "it is [redacted:known_value]."),
    ("azebra-crossingb", "a[redacted:known_value]b"),
    ("sk-known-value and sk-known", "[redacted:known_value] and sk-known"),
    ("cut off: correct horse", "cut off: [redacted:known_value]"),
    ("cut off: correct ho", "cut off: correct ho"),
]
ORDINARY = [
    "550e8400-e29b-41d4-a716-446655440000",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "task-force, disk-abcdefghijklmnopqrstuvwxyz, sk-learn and scikit-learn",
    "password: str | None = None",
    "token = request.headers['x']; api_key=os.environ['KEY']; secret = get_secret2(name)",
    'token_id = "tok_01a203d524dd7586"',
    "max_tokens=4096, total_tokens: 12345, page_token=abcd1234",
    "https://example.org:8080/@scope/package and http://host/a:b",
    "postgres://$USER:$PASSWORD@host and https://${USER}:${TOKEN}@host",
    "The bearer of this letter; basic authentication; a secret: tell nobody",
    'if "-----BEGIN PRIVATE KEY-----" in text:',
    "eyJust a word. And eyJ",
]


@pytest.mark.parametrize(("text", "redacted"), SECRETS)
def test_a_secret_is_replaced_by_its_kind(text: str, redacted: str) -> None:
    assert REDACTOR.text(text) == redacted


@pytest.mark.parametrize(("text", "redacted"), SECRETS)
def test_what_is_redacted_stays_as_it_is(text: str, redacted: str) -> None:
    assert REDACTOR.text(redacted) == redacted


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays(text: str) -> None:
    assert REDACTOR.text(text) is text or REDACTOR.text(text) == text


@given(st.binary(min_size=32, max_size=4000), st.uuids())
def test_images_uuids_and_our_own_ids_stay(image: bytes, uuid: Any) -> None:
    text = f"{uuid} {uuid.hex} {ids.new_id(ids.SESSION)} {ids.new_id(ids.RUN)} {base64.b64encode(image).decode()}"
    assert REDACTOR.text(text) == text


def test_the_source_of_this_project_stays() -> None:
    folder = Path(ev.__file__).parent
    for file in folder.glob("*.py"):
        text = file.read_text()
        assert REDACTOR.text(text) == text, file.name


def test_every_trigger_is_noticed() -> None:
    for rule in RULES:
        for trigger in rule.triggers:
            assert REDACTOR.may_hold(f"{trigger}-"), trigger


# --- pieces -----------------------------------------------------------------------------------------------------------

_PARTS = [text for text, _ in SECRETS] + ORDINARY + [" ", "\n", ".", "s", "sk-", "ey", '"', "a", "-----BEGIN ", "pass"]
_texts = st.lists(st.sampled_from(_PARTS) | st.text(max_size=8), min_size=1, max_size=4).map("".join)


def streamed(text: str, cuts: list[int]) -> list[str]:
    stream = Stream(REDACTOR)
    edges = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    return [*(stream.feed(text[a:b]) for a, b in pairwise(edges)), stream.finish()]


@given(_texts, st.integers(0, 200), st.lists(st.integers(1, 400), max_size=40))
def test_pieces_are_redacted_as_the_whole_is(text: str, dropped: int, cuts: list[int]) -> None:
    text = text[: max(len(text) - dropped, 1)]
    assert "".join(streamed(text, cuts)) == REDACTOR.text(text)


@pytest.mark.parametrize(("text", "redacted"), SECRETS)
def test_single_characters_are_redacted_as_the_whole_is(text: str, redacted: str) -> None:
    assert "".join(streamed(text, list(range(len(text))))) == redacted


def test_of_ordinary_words_no_more_than_a_letter_is_kept_back() -> None:
    stream = Stream(REDACTOR)
    assert stream.feed("I looked at the filed") == "I looked at the filed"
    assert stream.feed(" papers") == " paper"
    assert stream.feed(" and") == "s and"


def test_what_is_kept_back_is_bounded_however_long_the_secret_is() -> None:
    stream, longest = Stream(REDACTOR), 0
    for piece in ["-----BEGIN PRIVATE KEY-----\n", *["MIIE" * 16 + "\n"] * 1000, "-----END PRIVATE KEY-----"]:
        stream.feed(piece)
        longest = max(longest, len(stream.held))
    assert longest <= 256


@pytest.mark.parametrize(
    "part", ["token ", "://", " eyJ", "sk-", "password: ", "-----BEGIN ", "Bearer ", "correct ", "'secret':"]
)
def test_a_long_text_full_of_triggers_takes_time_in_proportion(part: str) -> None:
    def spent(text: str) -> float:
        begin = time.thread_time()
        REDACTOR.text(text)
        return time.thread_time() - begin

    def least(text: str) -> float:
        return min(spent(text) for _ in range(5))

    assert least(part * 20_000) < 40 * least(part * 2_000)


# --- values and events ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["password", "OPENAI_API_KEY", "clientSecret", "x-api-key", "Authorization", "set-cookie", "PGPASSWORD"]
)
def test_a_telling_name_is_known(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["key", "max_tokens", "next_page_token", "token_count", "keyboard", "TOKEN_FILE", "id"]
)
def test_another_name_is_not(name: str) -> None:
    assert not is_secret_name(name)


def test_values_under_telling_keys_go_and_references_stay() -> None:
    value = {"password": "x", "n": [{"apiKey": ["y"], "token": "${env:X}", "tokens": 5}], "secret": True, "path": "a"}
    clean = {
        "password": "[redacted:secret]",
        "n": [{"apiKey": ["[redacted:secret]"], "token": "${env:X}", "tokens": 5}],
    }
    assert REDACTOR.value(value) == clean | {"secret": True, "path": "a"}


def test_the_environment_gives_values() -> None:
    environ = {
        "MY_TOKEN": "abcdefgh1",
        "API_KEY": "short",
        "HOME": "/home/ann",
        "OTHER": "used-by-agents",
        "X": "longer-one",
    }
    assert secret_values(environ, ["OTHER", "HOME", "GONE"]) == {"abcdefgh1", "used-by-agents"}
    assert named_secrets({"env": {"API_KEY": "a", "TOKEN": "${env:T}"}, "model": "b"}) == ["a"]


def test_an_event_keeps_its_ids_and_loses_its_secrets() -> None:
    event = ev.ToolCallFailed(
        tool_call_id="zebra-crossing",
        tool_name="zebra-crossing",
        error=ErrorInfo(code="tool_failed", message="no zebra-crossing", details={"token": "x"}),
        tool_output={'quote"and\\slash': 'quote"and\\slash'},
    )
    redacted = REDACTOR.event(event)
    assert redacted == ev.ToolCallFailed(
        tool_call_id="zebra-crossing",
        tool_name="zebra-crossing",
        error=ErrorInfo(
            code="tool_failed", message="no [redacted:known_value]", details={"token": "[redacted:secret]"}
        ),
        tool_output={"[redacted:known_value]": "[redacted:known_value]"},
    )


def test_an_event_without_secrets_is_the_very_same_and_costs_little() -> None:
    events: list[ev.EventData] = [
        ev.MessageReceived(text="I looked at the files and all of it is right now.", message_id="m1"),
        ev.ToolCallStarted(tool_call_id="c1", tool_name="bash", tool_input={"command": "ls -la && cat foo.py"}),
        ev.TokenUsageUpdated(usage=Usage(input_tokens=5)),
    ]
    assert all(REDACTOR.event(event) is event for event in events)
    spent = []
    for _ in range(5):
        begin = time.thread_time()
        for _ in range(1000):
            for event in events:
                REDACTOR.event(event)
        spent.append((time.thread_time() - begin) / 3000)
    assert min(spent) < 50e-6, "about 3 microseconds on an idle machine"


def test_a_fresh_token_is_redacted() -> None:
    assert REDACTOR.text(f"?token={new_secret()}") == "?token=[redacted:sessionry_token]"
