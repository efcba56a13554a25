"""The conversation of a session as a model is shown it, and the prompt with its images."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from sessionry.agents.handover import hand_over
from sessionry.agents.models.calling import told
from sessionry.agents.models.resuming import restored
from sessionry.agents.models.talk import Assistant, Call, Item, Picture, Result, Results, User
from sessionry.agents.prompts import IMAGE_TYPES, Prompt, image_bytes
from sessionry.domain import events as ev
from sessionry.domain.codec import encode_json
from sessionry.domain.continuity import Conversation
from sessionry.domain.errors import AgentFailed, InvalidInput, NotFound
from sessionry.domain.events import ContinuityReport
from sessionry.domain.json_values import Json
from sessionry.domain.run import Continuation
from sessionry.domain.transcript import Message
from sessionry.ports import AgentContext

#: What the first words are when the beginning had to go: a conversation begins with the user.
BEGINNING = "[The beginning of this conversation is left out.]"


class Before(NamedTuple):
    """The conversation before the run: system prompts, the rest, and what the log is told; no report, no conversation."""

    system: list[str]
    items: list[Item]
    report: ContinuityReport | None


async def before(context: AgentContext, tools: Collection[str], max_tokens: int) -> Before:
    """What was said in the session, as far as it fits. Images are shown again."""
    conversation = await context.conversation()
    _check_mode(conversation)
    if not conversation.missed.messages:
        return Before([], [], None)
    handover = hand_over(conversation, context.session, max_tokens=max_tokens)
    items = [item async for item in _items(context, _once(handover.messages), tools)]
    if items and not isinstance(items[0], User):
        items.insert(0, User(BEGINNING))
    kept = [entry for entry in handover.report.left_out if not _is_image(entry)]
    system = [message.text for message in handover.messages if message.role == "system" and message.text]
    spoken = any(message.role != "system" for message in conversation.missed.messages)
    return Before(system, items, msgspec.structs.replace(handover.report, left_out=kept) if spoken else None)


def _check_mode(conversation: Conversation) -> None:
    """The conversation is in our log and nowhere else."""
    if conversation.mode is Continuation.FORK:
        message = "this agent has no session of its own to copy; fork the session instead"
        raise InvalidInput("capability_not_supported", message, details={"continuation": "fork"})
    if conversation.mode is Continuation.NATIVE and conversation.missed.messages:
        raise AgentFailed("resume_failed", "this agent has no session of its own; use auto or replay")


def _is_image(entry: dict[str, Json]) -> bool:
    return str(entry.get("what")).startswith("images of ")


def _once(messages: Sequence[Message]) -> list[Message]:
    """Without what was streamed of a message before a worker was lost, when the message came whole after that."""
    newest = {message.message_id: message.seq for message in messages if message.message_id}
    return [one for one in messages if not one.message_id or newest[one.message_id] == one.seq]


async def _items(context: AgentContext, messages: Iterable[Message], tools: Collection[str]) -> Any:
    """Calls of tools that the model has stay calls; of others, of other agents, it reads."""
    text, run, batch = "", None, list[tuple[Call, Result]]()
    for message in messages:
        own_tool = message.role == "tool" and message.tool_name in tools
        if (batch or text) and not (own_tool and message.run_id == run):
            for item in _answer(text, batch):
                yield item
            text, batch = "", []
        if own_tool:
            run = message.run_id
            batch.append(await _call(context, message))
        elif message.role == "assistant":
            text, run = message.text or "", message.run_id
        elif message.role == "tool":
            yield User(await _read(context, message))
        elif message.role == "user":
            yield User(message.text or "", await _pictures(context, message.content))
    for item in _answer(text, batch):
        yield item


def _answer(text: str, batch: list[tuple[Call, Result]]) -> list[Item]:
    if not batch:
        return [Assistant(text)] if text.strip() else []
    calls, results = zip(*batch, strict=True)
    return [Assistant(text, tuple(calls)), Results(tuple(results))]


async def _call(context: AgentContext, message: Message) -> tuple[Call, Result]:
    name = re.sub(r"[^A-Za-z0-9_-]", "_", message.tool_name or "tool")[:64]
    call = Call(id=str(message.tool_call_id), name=name, input=await restored(context, message.tool_input))
    return call, Result(call, await _came_of(context, message), failed=message.failed)


async def _read(context: AgentContext, message: Message) -> str:
    given = "" if message.tool_input is None else f" with {encode_json(message.tool_input)}"
    return f"[The assistant used the tool {message.tool_name}{given}]\n{await _came_of(context, message)}"


async def _came_of(context: AgentContext, message: Message) -> str:
    if message.failed:
        return message.text or "failed"
    return told(await restored(context, message.tool_output))


# --- images -----------------------------------------------------------------------------------------------------------


async def prompt_pictures(context: AgentContext, prompt: Prompt) -> tuple[tuple[Picture, ...], ev.MessageSent | None]:
    """The images of a prompt, put into the blobs, and the event that tells of them by their hashes."""
    pictures, kept = [], []
    for image in prompt.images:
        content, media_type = await image_bytes(context, image)
        hash = image.hash
        if hash is None:
            added = await context.add_artifact(content, name=image.path or "image", media_type=media_type)
            hash = added.hash
        pictures.append(Picture(content, media_type))
        kept.append({"hash": hash, "media_type": media_type})
    sent = ev.MessageSent(content={"prompt": prompt.prompt, "images": kept}) if kept else None
    return tuple(pictures), sent


async def _pictures(context: AgentContext, content: Json) -> tuple[Picture, ...]:
    """The images of an earlier message that are still kept."""
    images = content.get("images") if isinstance(content, dict) else None
    found = []
    for image in images if isinstance(images, list) else []:
        hash, media_type = (image.get("hash"), image.get("media_type")) if isinstance(image, dict) else (None, None)
        if isinstance(hash, str) and media_type in IMAGE_TYPES:
            try:
                found.append(Picture(await context.blob(hash), media_type))
            except NotFound:
                continue  # it was deleted, as old artifacts may be
    return tuple(found)
