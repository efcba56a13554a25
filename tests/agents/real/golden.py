"""What a real agent left in the log, kept as a file: one line for each event, without what differs from run to run.

Ids become `<id 1>`, `<id 2>` in the order in which they are met, so that it can be seen where one comes again; times,
durations, process ids, ports and folders become words. Pieces of one message that follow each other are put together: where
a stream is cut is chance. `pytest --renew-golden` writes the files anew; read the difference before it is committed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from difflib import unified_diff
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sessionry.domain.codec import encode_payload
from sessionry.domain.events import Event, EventData

FOLDER = Path(__file__).resolve().parents[2] / "golden" / "agents"

#: Ours are a word and a ULID; agents have UUIDs, and words with letters and digits after a `_` or `-`.
_ID = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
    r"|\b[a-z]{2,12}_(?=[0-9A-Za-z]*\d)[0-9A-Za-z]{10,64}\b"
    r"|\b[0-9a-f]{32,64}\b"
)
_TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?")
_PORT = re.compile(r"\b(127\.0\.0\.1|localhost):\d+")
#: Keys whose values are chance, whatever they are.
_CHANCE = re.compile(
    r"(^|_)(pid|ppid|pgid|version|host|hostname|worker_id|created|timestamp|started_at|at|expires_at)$"
)
#: Keys whose numbers are chance.
_MEASURED = re.compile(r"(^|_)(ms|seconds|duration|elapsed|wait|latency|digest)(_|$)|(Ms|Seconds)$")
_PIECES = {"message_streamed", "reasoning_streamed", "tool_output_streamed"}


def check_golden(
    path: Path, events: Iterable[Event | EventData], names: Mapping[str, str] | None = None, *, renew: bool = False
) -> None:
    """The events are those of the file. `names` are further words for what differs: `{str(tmp_path): "<tmp>"}`."""
    lines = normal_lines(events, names or {})
    if renew:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return
    if not path.exists():
        pytest.fail(f"{path} is not there yet; `pytest --renew-golden` writes it")
    kept = path.read_text(encoding="utf-8").splitlines()
    difference = "\n".join(unified_diff(kept, lines, "the file", "the log", lineterm="", n=1))
    assert lines == kept, f"the log is not that of {path}; `pytest --renew-golden` writes it anew\n{difference}"


def normal_lines(events: Iterable[Event | EventData], names: Mapping[str, str]) -> list[str]:
    """One line of JSON for each event, as a file has them."""
    normal = _Normal(names)
    payloads = [normal.value("", _payload(event)) for event in events]
    return [json.dumps(payload, ensure_ascii=False) for payload in _joined(payloads)]


def _payload(event: Event | EventData) -> dict[str, Any]:
    data = event.data if isinstance(event, Event) else event
    return {"type": data.type, **msgspec.json.decode(encode_payload(data))}


class _Normal:
    def __init__(self, names: Mapping[str, str]) -> None:
        # The longest first: a folder may lie in another one.
        self._names = sorted(names.items(), key=lambda name: -len(name[0]))
        self._ids: dict[str, str] = {}

    def value(self, key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {self._text(name): self.value(name, inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.value(key, inner) for inner in value]
        if value is not None and _CHANCE.search(key):
            return f"<{key}>"
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and _MEASURED.search(key):
            return f"<{key}>"
        return value

    def _text(self, text: str) -> str:
        for name, word in self._names:
            text = text.replace(name, word)
        text = _TIME.sub("<time>", _PORT.sub(r"\1:<port>", text))
        return _ID.sub(lambda found: self._ids.setdefault(found[0], f"<id {len(self._ids) + 1}>"), text)


def _joined(payloads: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    joined: list[dict[str, Any]] = []
    for payload in payloads:
        before = joined[-1] if joined else {}
        rest = {key: value for key, value in payload.items() if key != "text"}
        if payload["type"] in _PIECES and rest == {key: value for key, value in before.items() if key != "text"}:
            before["text"] += payload["text"]
        else:
            joined.append(dict(payload))
    return joined
