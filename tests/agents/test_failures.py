"""What providers and agents really write, and what it is to us."""

from __future__ import annotations

import ast
import inspect
from datetime import UTC, datetime

import pytest

from sessionry.agents import failures
from sessionry.agents.failures import code_of, failure, http_failure, retry_after, waiting_time
from sessionry.domain.errors import CODES

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)

#: (HTTP status, what was said, the code)
SAID: list[tuple[int | None, str, str]] = [
    # Anthropic
    (401, '{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}', "auth"),
    (403, "Your API key does not have permission to use the specified resource. (permission_error)", "auth"),
    (400, "Your credit balance is too low to access the Anthropic API. Go to Plans & Billing.", "quota"),
    (400, "prompt is too long: 214318 tokens > 200000 maximum", "context_too_long"),
    (413, "Request exceeds the maximum allowed number of bytes.", "context_too_long"),
    (429, "This request would exceed your organization's rate limit of 50,000 input tokens per minute", "rate_limited"),
    (500, "Internal server error", "overloaded"),
    (529, "Overloaded", "overloaded"),
    (404, "not_found_error: model: claude-nonesuch", "request_rejected"),
    (400, "messages: text content blocks must be non-empty", "request_rejected"),
    # OpenAI
    (401, "Incorrect API key provided: sk-***. You can find your API key at your account page.", "auth"),
    (429, "You exceeded your current quota, please check your plan and billing details. insufficient_quota", "quota"),
    (429, "Rate limit reached for gpt-x in organization org-x on tokens per min (TPM): Limit 30000", "rate_limited"),
    (429, "Too Many Requests", "rate_limited"),
    (400, "This model's maximum context length is 128000 tokens. However, you requested 130512", "context_too_long"),
    (400, "context_length_exceeded", "context_too_long"),
    (400, "Your request was rejected as a result of our safety system.", "refused"),
    (400, "The response was filtered due to the prompt triggering content management policy.", "refused"),
    (503, "The engine is currently overloaded, please try again later", "overloaded"),
    (404, "The model `gpt-nonesuch` does not exist or you do not have access to it.", "request_rejected"),
    (400, "Invalid schema for response_format 'answer'", "request_rejected"),
    (402, "Payment Required", "quota"),
    (408, "Request Timeout", "overloaded"),
    # Gemini
    (400, "API key not valid. Please pass a valid API key.", "auth"),
    (
        400,
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "context_too_long",
    ),
    (
        429,
        "You exceeded your current quota, check your plan and billing details. Please retry in 34.07s.",
        "rate_limited",
    ),
    (429, "You exceeded your current quota, please check your plan and billing details.", "quota"),
    (503, "The model is overloaded. Please try again later.", "overloaded"),
    (None, "Response was blocked: PROHIBITED_CONTENT", "refused"),
    # Codex
    (None, "unexpected status 401 Unauthorized: scripted 401, url: http://127.0.0.1:1/v1/responses", "auth"),
    (None, "exceeded retry limit, last status: 429 Too Many Requests", "rate_limited"),
    (None, "unexpected status 500 Internal Server Error: scripted", "overloaded"),
    (None, "unexpected status 400 Bad Request: unsupported parameter", "request_rejected"),
    (None, "You've hit your usage limit. Upgrade to Pro or try again in 3 days 4 hours 5 minutes.", "quota"),
    (
        None,
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
        "context_too_long",
    ),
    (None, "We're currently experiencing high demand, which may cause temporary errors.", "overloaded"),
    (None, "stream disconnected before completion: error sending request", "agent_unavailable"),
    # Claude Code
    (None, "Invalid API key · Please run /login", "auth"),
    (None, "OAuth token has expired. Please obtain a new token or refresh your existing token.", "auth"),
    (None, 'API Error: 401 {"error":{"type":"authentication_error"}} · Please run /login', "auth"),
    (None, "Credit balance is too low", "quota"),
    (None, "Claude AI usage limit reached|1893500000", "quota"),
    (None, "5-hour limit reached ∙ resets 3pm", "quota"),
    (None, "You've hit your limit · resets 3pm (Europe/Berlin)", "quota"),
    (None, "API Error: Repeated 529 Overloaded errors", "overloaded"),
    (None, "API Error: 500 Internal server error", "overloaded"),
    (None, "API Error: 400 messages.1: tool_use ids were found without tool_result blocks", "request_rejected"),
    (None, "Prompt is too long", "context_too_long"),
    (None, "Claude Code is unable to respond to this request, which appears to violate our Usage Policy", "refused"),
    (None, "API Error: Connection error.", "agent_unavailable"),
    (None, "API Error: Request timed out.", "agent_unavailable"),
    # others
    (None, "fetch failed: connect ECONNREFUSED 127.0.0.1:11434", "agent_unavailable"),
    (None, "something went wrong", "agent_failed"),
    (None, "", "agent_failed"),
    (418, "", "request_rejected"),
]


@pytest.mark.parametrize(("status", "said", "code"), SAID)
def test_what_is_really_said_has_its_code(status: int | None, said: str, code: str) -> None:
    assert code_of(status, said) == code


@pytest.mark.parametrize("status", [None, *range(400, 600)])
def test_every_status_has_a_code_of_the_table(status: int | None) -> None:
    assert code_of(status, "whatever") in CODES


def test_the_table_of_the_module_is_what_the_errors_say() -> None:
    doc = ast.get_docstring(ast.parse(inspect.getsource(failures))) or ""
    rows = [line.split("|")[1:4] for line in doc.splitlines() if line.startswith("| `")]
    assert len(rows) >= 13
    for code, _, retryable in rows:
        assert CODES[code.strip(" `")].retryable is (retryable.strip() == "yes")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after": "Tue, 01 Jan 2030 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Tue, 01 Jan 2030 11:00:00 GMT"}, 0.0),
        ({"retry-after": "in a while"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_the_headers_say_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOON) == seconds


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("Please retry in 34.07s.", 34.07),
        ("Please try again in 6ms.", 0.006),
        ("Please try again in 1m12s.", 72.0),
        ("Please try again in 1.5s. Visit the page to learn more.", 1.5),
        ("try again in 3 days 4 hours 5 minutes.", 3 * 86_400 + 4 * 3_600 + 300.0),
        ("Please retry after 20 seconds", 20.0),
        ('"retryDelay": "34s"', 34.0),
        ("Claude AI usage limit reached|1893499260", 60.0),
        ("Claude AI usage limit reached|1893400000", 0.0),
        ("Please try again later", None),
        ("retry in a moment", None),
        ("", None),
    ],
)
def test_the_words_say_how_long_to_wait_where_no_header_does(said: str, seconds: float | None) -> None:
    assert waiting_time(said, now=NOON) == pytest.approx(seconds)


def test_a_header_goes_before_the_words() -> None:
    assert waiting_time("try again in 5s", {"retry-after": "9"}) == 9.0


def test_a_failure_carries_what_is_known_and_nothing_else() -> None:
    error = failure("rate_limited", "slow down", retry_after=3, status=429, request_id=None)
    assert (error.code, error.message, error.retryable, error.retry_after) == ("rate_limited", "slow down", True, 3)
    assert error.details == {"status": 429}


def test_an_answer_of_a_server_becomes_an_error() -> None:
    error = http_failure(429, "slow down", {"retry-after": "2"})
    assert (error.code, error.retry_after, error.details) == ("rate_limited", 2.0, {"status": 429})
    assert http_failure(502, "").message == "HTTP status 502"
    assert http_failure(None, "Connection error.").details == {}


def test_a_code_outside_the_table_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        failure("made_up", "x")
