"""What a tool gave back, as the log keeps it: text, or the changes to files as unified diffs."""

from __future__ import annotations

from typing import Any

from sessionry.domain.json_values import Json

#: The rest of a text that is longer is in the agent's own session.
LONGEST_TEXT = 200_000


def output_of(content: Any, result: Any) -> Json:
    """The output of a tool: `content` is what its model was told, `result` what Claude Code knows besides."""
    if isinstance(result, dict) and isinstance(result.get("filePath"), str) and "structuredPatch" in result:
        return {"changes": [_change(result)]}
    return text_of(content)


def text_of(content: Any) -> str:
    if isinstance(content, str):
        return content[:LONGEST_TEXT]
    if not isinstance(content, list):
        return ""
    parts = [part.get("text") or f"[{part.get('type')}]" for part in content if isinstance(part, dict)]
    return "\n".join(parts)[:LONGEST_TEXT]


def _change(result: dict[str, Any]) -> dict[str, Json]:
    path = result["filePath"]
    before = result.get("originalFile")
    kind = "add" if before is None and result.get("type") == "create" else "update"
    hunks = [_hunk(hunk) for hunk in result.get("structuredPatch") or []]
    if not hunks and kind == "add":
        hunks = [_whole(str(result.get("content") or ""))]
    head = [f"--- {'/dev/null' if kind == 'add' else f'a/{path}'}", f"+++ b/{path}"]
    return {"path": path, "kind": kind, "diff": "\n".join([*head, *filter(None, hunks)]) + "\n"}


def _hunk(hunk: dict[str, Any]) -> str:
    old, new = (f"{hunk.get(f'{side}Start')},{hunk.get(f'{side}Lines')}" for side in ("old", "new"))
    return "\n".join([f"@@ -{old} +{new} @@", *map(str, hunk.get("lines") or [])])


def _whole(content: str) -> str:
    if not content:
        return ""
    lines = content.split("\n")
    ends = lines[-1] == ""
    lines = lines[:-1] if ends else lines
    added = [f"+{line}" for line in lines]
    return "\n".join([f"@@ -0,0 +1,{len(lines)} @@", *added, *([] if ends else ["\\ No newline at end of file"])])
