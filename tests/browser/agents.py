"""Agents that do what the tests of the dashboard want to see. A copy of this file is imported by the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

from sessionry import AgentContext
from sessionry.domain import events as ev
from sessionry.domain.run import ErrorInfo
from sessionry.domain.usage import Usage

RED = "\x1b[31mF\x1b[0m\x1b[32m...\x1b[0m [100%]\n\x1b[1m\x1b[31mFAILED\x1b[0m \x1b[38;5;208mtest_empty_name\x1b[0m\n"
DIFF = """\
--- a/greeting.py
+++ b/greeting.py
@@ -1,2 +1,3 @@
 def greet(name):
-    return name[0]
+    name = name.strip()
+    return name[:1]
"""


async def counts(context: AgentContext, message: str) -> AsyncIterator[str]:
    for number in range(int(message.split()[-1])):
        yield f"number {number} "
        await asyncio.sleep(0.05)


async def asks(context: AgentContext, message: str) -> AsyncIterator[str]:
    if await context.approve("deploy", {"to": message}, reason="it is live"):
        yield "deployed"
    else:
        yield "left alone"


async def says(context: AgentContext, message: str) -> AsyncIterator[Any]:
    """The message as everything that an agent can say."""
    yield ev.ReasoningReceived(text=message)
    yield ev.PlanUpdated(entries=[{"text": message, "status": "pending"}])
    yield ev.ToolCallStarted(tool_call_id="t", tool_name=message, tool_input={"x": message, message: 1})
    yield ev.ToolOutputStreamed(tool_call_id="t", text=message)
    yield ev.ToolCallCompleted(tool_call_id="t", tool_name=message, tool_output=message)
    yield ev.ToolCallStarted(tool_call_id="u", tool_name=message, tool_input=message)
    yield ev.ToolCallFailed(tool_call_id="u", tool_name=message, error=ErrorInfo(code="agent_failed", message=message))
    yield ev.MessageReceived(text=message)


async def works(context: AgentContext, message: str) -> AsyncIterator[Any]:
    """A run as agents have them: thoughts, a plan, tools that write in colours, fail and change a file; and its price."""
    yield ev.AgentSessionLinked(native_session_id=f"native-{context.run.id}", model="large-1")
    yield ev.ReasoningReceived(text="An empty name has no first letter. I look at the test before I change anything.")
    yield ev.PlanUpdated(
        entries=[
            {"text": "find the failing test", "status": "completed"},
            {"text": "mend greet()", "status": "in_progress"},
            {"text": "run the tests again", "status": "pending"},
        ]
    )
    yield ev.MessageReceived(text="I look for the **failing test** first, and then at `greet()` itself.")
    yield ev.ToolCallStarted(tool_call_id="1", tool_name="Bash", tool_input={"command": "pytest -q"})
    await asyncio.sleep(0.3)
    yield ev.ToolCallCompleted(tool_call_id="1", tool_name="Bash", tool_output=RED)
    yield ev.ToolCallStarted(tool_call_id="2", tool_name="Read", tool_input={"file_path": "src/greeting.py"})
    missing = ErrorInfo(code="agent_failed", message="src/greeting.py does not exist")
    yield ev.ToolCallFailed(tool_call_id="2", tool_name="Read", error=missing)
    yield ev.ToolCallStarted(tool_call_id="3", tool_name="Edit", tool_input={"file_path": "greeting.py"})
    changes = {"changes": [{"path": "greeting.py", "kind": "update", "diff": DIFF}]}
    yield ev.ToolCallCompleted(tool_call_id="3", tool_name="Edit", tool_output=changes)
    used = Usage(input_tokens=2_410, output_tokens=388, cache_read_tokens=18_000)
    yield ev.TokenUsageUpdated(usage=used, cost=Decimal("0.0142"), model="large-1")
    asked = {"command": "git push origin main"}
    if "ship" in message and not await context.approve("git push", asked, reason="It leaves this machine."):
        yield ev.MessageReceived(text="Then it stays here.")
        return
    yield ev.MessageReceived(text="Done: `greet()` takes an empty name.\n\n```python\nreturn name[:1]\n```\n")


async def talks(context: AgentContext, message: str) -> AsyncIterator[Any]:
    """So many messages."""
    for number in range(int(message)):
        yield ev.MessageReceived(text=f"message {number}" + " and more words" * (number % 40))


async def silent(context: AgentContext, message: str) -> None:
    await asyncio.Event().wait()


async def fails(context: AgentContext, message: str) -> None:
    raise RuntimeError(message)


async def listens(context: AgentContext, message: str) -> AsyncIterator[str]:
    yield f"heard: {await context.next_steering()}"


async def floods(context: AgentContext, message: str) -> AsyncIterator[Any]:
    for number in range(int(message)):
        yield ev.CustomRecorded(name="tick", value=number)
    yield ev.MessageReceived(text="all of them")
