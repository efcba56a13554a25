"""strands: `FileSessionManager`, a file for each message. It does not wait for the disk."""

from __future__ import annotations

from strands.session.file_session_manager import FileSessionManager
from strands.types.session import Session, SessionAgent, SessionMessage, SessionType
from worker import TEXT, Peer, main, role

AGENT = "bench"


class Strands(Peer):
    async def open(self, sessions: int) -> None:
        self._managers = [FileSessionManager(f"s{number}", storage_dir=self.place) for number in range(sessions)]
        for number, manager in enumerate(self._managers):
            if manager.read_session(f"s{number}") is None:
                manager.create_session(Session(f"s{number}", SessionType.AGENT))
            manager.create_agent(f"s{number}", SessionAgent(AGENT, {}, {}))

    async def append(self, session: int, number: int) -> None:
        speaker = "user" if role(number) in ("user", "tool") else "assistant"
        message = SessionMessage.from_message({"role": speaker, "content": [{"text": TEXT}]}, number)
        self._managers[session].create_message(f"s{session}", AGENT, message)

    async def load(self, session: int) -> int:
        return len(self._managers[session].list_messages(f"s{session}", AGENT))


if __name__ == "__main__":
    main(Strands)
