"""An agent that is made with the agent's side of the package `agent-client-protocol`: it echoes, and asks once."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from acp import (
    PROTOCOL_VERSION,
    InitializeResponse,
    NewSessionResponse,
    PromptResponse,
    run_agent,
    start_tool_call,
    text_block,
    update_agent_message,
    update_agent_thought,
    update_plan,
    update_tool_call,
)
from acp.schema import Implementation, PermissionOption, PlanEntry, ToolCallUpdate, Usage


class Echo:
    def on_connect(self, conn: Any) -> None:
        self.client = conn

    async def initialize(self, protocol_version: int, **_: Any) -> InitializeResponse:
        return InitializeResponse(
            protocol_version=PROTOCOL_VERSION, agent_info=Implementation(name="echo", version="1.0")
        )

    async def new_session(self, cwd: str, **_: Any) -> NewSessionResponse:
        return NewSessionResponse(session_id=uuid.uuid4().hex)

    async def cancel(self, session_id: str, **_: Any) -> None:
        pass

    async def prompt(self, prompt: list[Any], session_id: str, **_: Any) -> PromptResponse:
        async def tell(update: Any) -> None:
            await self.client.session_update(session_id=session_id, update=update)

        await tell(update_agent_thought(text_block("hm")))
        await tell(update_plan([PlanEntry(content="echo", priority="low", status="in_progress")]))
        await tell(start_tool_call("call-1", "echo", kind="execute", raw_input={"command": "echo"}))
        options = [
            PermissionOption(option_id="a", name="Always", kind="allow_always"),
            PermissionOption(option_id="o", name="Once", kind="allow_once"),
            PermissionOption(option_id="r", name="No", kind="reject_once"),
        ]
        asked = ToolCallUpdate(tool_call_id="call-1", title="echo")
        answer = await self.client.request_permission(session_id=session_id, tool_call=asked, options=options)
        await tell(update_tool_call("call-1", status="completed", raw_output="echoed"))
        await tell(update_agent_message(text_block(f"{answer.outcome.option_id}: {prompt[0].text}")))
        return PromptResponse(stop_reason="end_turn", usage=Usage(total_tokens=3, input_tokens=2, output_tokens=1))


asyncio.run(run_agent(Echo()))  # type: ignore[arg-type]  # it has what is asked of it here
