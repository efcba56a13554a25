"""A chat model of LangChain that speaks the Chat Completions API: enough for graphs in tests, with real requests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage, ToolMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

MODEL = "gpt-5-mini"


class Chat(BaseChatModel):
    client: Any

    @property
    def _llm_type(self) -> str:
        return "test"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, Any]:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError("it streams")

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        stream = await self.client.chat.completions.create(
            model=MODEL,
            messages=convert_to_openai_messages([_plain(message) for message in messages]),
            stream=True,
            stream_options={"include_usage": True},
            **kwargs,
        )
        async for piece in stream:
            chunk = ChatGenerationChunk(message=_chunk(piece))
            if run_manager is not None:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


def _plain(message: BaseMessage) -> BaseMessage:
    if isinstance(message, ToolMessage):
        return message
    return message.model_copy(update={"content": message.text})


def _chunk(piece: Any) -> AIMessageChunk:
    usage: Any = None
    if piece.usage is not None:
        read = piece.usage.prompt_tokens_details.cached_tokens if piece.usage.prompt_tokens_details else 0
        usage = {
            "input_tokens": piece.usage.prompt_tokens,
            "output_tokens": piece.usage.completion_tokens,
            "total_tokens": piece.usage.total_tokens,
            "input_token_details": {"cache_read": read or 0},
        }
    delta = piece.choices[0].delta if piece.choices else None
    calls: Any = [
        {
            "name": call.function.name,
            "args": call.function.arguments,
            "id": call.id,
            "index": call.index,
            "type": "tool_call_chunk",
        }
        for call in (delta.tool_calls or [] if delta else [])
    ]
    thought = getattr(delta, "reasoning_content", None)
    return AIMessageChunk(
        content=[{"type": "reasoning", "reasoning": thought}] if thought else (delta.content or "" if delta else ""),
        tool_call_chunks=calls,
        usage_metadata=usage,
        response_metadata={"model_name": piece.model} if usage else {},
    )


def looping(chat: Chat, tools: list[Any], saver: Any = None) -> Any:
    """The usual graph: the model is asked, its tools run, and the model is asked again."""
    model = chat.bind_tools(tools)

    async def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("ask", ask)
    builder.add_node("tools", ToolNode(tools))
    builder.add_edge(START, "ask")
    builder.add_conditional_edges("ask", tools_condition)
    builder.add_edge("tools", "ask")
    return builder.compile(checkpointer=saver)
