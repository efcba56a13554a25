"""What Codex asks while it works: may it run this, change that, have more rights? A person answers; no answer is a no.

What a person cannot be asked by yes or no (a form of an MCP server, a choice, a login) is declined.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessionry.agents.codex.items import PATCH, SHELL, Items
from sessionry.agents.jsonrpc import Message, Peer
from sessionry.domain.json_values import Json
from sessionry.ports import AgentContext, Decision

NETWORK, PERMISSIONS = "network_access", "permissions"

#: What is declined without asking, and how.
_DECLINED: Mapping[str, dict[str, Any]] = {
    "item/tool/requestUserInput": {"answers": {}},
    "item/tool/call": {"contentItems": [], "success": False},
    "mcpServer/elicitation/request": {"action": "decline"},
    "applyPatchApproval": {"decision": "denied"},
    "execCommandApproval": {"decision": "denied"},
}


class Question:
    """A request that a person decides on, in the words of `AgentContext.approve`."""

    def __init__(self, tool_name: str, tool_input: Json, *, item: str | None, reason: str | None) -> None:
        self.tool_name = tool_name
        self.tool_input = tool_input
        self.item = item
        self.reason = reason


def question_of(message: Message, items: Items) -> Question | None:
    """What a person is to be asked; None for what is declined, or not understood."""
    params = message.params
    item, reason = params.get("itemId"), params.get("reason")
    match message.method:
        case "item/commandExecution/requestApproval":
            return Question(*_command(params), item=item, reason=reason)
        case "item/fileChange/requestApproval":
            begun = items.call(str(item))
            input = begun[1] if begun else None
            if isinstance(input, dict) and params.get("grantRoot"):
                input = {**input, "grant_root": params["grantRoot"]}
            return Question(PATCH, input, item=item, reason=reason)
        case "item/permissions/requestApproval":
            return Question(PERMISSIONS, _without_nulls(params.get("permissions")), item=item, reason=reason)
        case "mcpServer/elicitation/request":
            return _mcp_question(params, items)
    return None


async def ask(
    context: AgentContext, question: Question, items: Items, turn: str | None, timeout: float | None
) -> Decision:
    return await context.approve(
        question.tool_name,
        question.tool_input,
        tool_call_id=None if question.item is None else items.id_of(question.item, turn),
        reason=question.reason,
        timeout=timeout,
    )


async def answer(peer: Peer, message: Message, decision: Decision) -> None:
    """Tell Codex. It goes on with its turn, also after a no."""
    assert message.id is not None
    match message.method:
        case "item/permissions/requestApproval":
            granted = message.params.get("permissions") or {} if decision else {}
            await peer.answer(message.id, {"permissions": granted, "scope": "turn"})
        case "mcpServer/elicitation/request":
            await peer.answer(message.id, {"action": "accept", "content": {}} if decision else {"action": "decline"})
        case _:
            await peer.answer(message.id, {"decision": "accept" if decision else "decline"})


async def decline(peer: Peer, message: Message) -> None:
    """Answer what nobody is asked about."""
    assert message.id is not None
    if message.method in _DECLINED:
        await peer.answer(message.id, _DECLINED[message.method])
    else:
        await peer.refuse(message.id, f"{message.method} is not offered here")


def _command(params: Mapping[str, Any]) -> tuple[str, Json]:
    """With nothing in it that is another time, when the run is attempted again."""
    network = params.get("networkApprovalContext")
    if isinstance(network, dict):
        return NETWORK, {"host": network.get("host"), "protocol": network.get("protocol")}
    input: dict[str, Json] = {"command": params.get("command"), "cwd": params.get("cwd")}
    if params.get("kind") == "writeStdin":
        input["stdin"] = True
    if more := _without_nulls(params.get("additionalPermissions")):
        input["additional_permissions"] = more
    return SHELL, input


def _mcp_question(params: Mapping[str, Any], items: Items) -> Question | None:
    """A tool of an MCP server that wants to be used. It comes as a form without fields, which names the tool's input only:
    the call is the one of that server that was begun with it.
    """
    meta = params.get("_meta")
    if not isinstance(meta, dict) or meta.get("codex_approval_kind") != "mcp_tool_call":
        return None
    server, input, message = params.get("serverName"), meta.get("tool_params"), params.get("message")
    item = items.begun(f"mcp__{server}__", input)
    name = items.call(item) if item is not None else None
    return Question(name[0] if name else f"mcp__{server}", input, item=item, reason=str(message) if message else None)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return value
