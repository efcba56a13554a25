"""Whose words these are, and how pieces become whole messages.

A model's answer comes in blocks: pieces of each while it is streamed, then the whole. When the stream breaks, Claude Code
asks again, and what comes then is another message to its server but the same one to whoever listens: it keeps the id of
the one that broke, and what was told of that is not told again.
"""

from __future__ import annotations


class Block:
    """A block that is being said. `told` is what has been passed on of it."""

    def __init__(self, id: str, kind: str) -> None:
        self.id = id
        self.kind = kind
        self.told = ""
        self._text = ""

    def again(self) -> None:
        self._text = ""

    def more(self, piece: str) -> str:
        """What is new in this piece. Nothing while the words of a broken try come again, or when others come instead."""
        self._text += piece
        return self.rest(self._text)

    def rest(self, whole: str) -> str:
        if not whole.startswith(self.told):
            return ""
        fresh = whole[len(self.told) :]
        self.told = whole
        return fresh


class Voice:
    """The agent itself, or one of its sub-agents: one message at a time."""

    def __init__(self) -> None:
        self._message = ""
        self._next = 0
        self._blocks: dict[int, Block] = {}
        self._orphans: list[Block] = []

    def begin(self, message: str) -> None:
        """A message begins, or goes on. Blocks of an earlier one that were never whole wait for their second try."""
        if message != self._message:
            self._orphans += self._blocks.values()
            self._message, self._next, self._blocks = message, 0, {}

    def block(self, index: int, kind: str) -> Block:
        if index not in self._blocks:
            self._blocks[index] = self._adopted(kind) or Block(f"{self._message}.{index}", kind)
        return self._blocks[index]

    def streamed(self, index: int) -> Block | None:
        return self._blocks.get(index)

    def whole(self, message: str, kind: str) -> Block:
        """The block that is whole now: they come in order."""
        self.begin(message)
        block = self.block(self._next, kind)
        del self._blocks[self._next]
        self._next += 1
        return block

    def forget(self) -> None:
        """The turn is over: whatever broke in it will not come again."""
        self._orphans.clear()
        self._blocks.clear()

    def _adopted(self, kind: str) -> Block | None:
        for block in self._orphans:
            if block.kind == kind:
                self._orphans.remove(block)
                block.again()
                return block
        return None
