"""The backend of a product, without async: a small HTTP service for support tickets that an agent answers.

    python examples/product_backend.py

    POST /tickets              {"key": ..., "text": ...}   a session and a run; the same key twice is the same ticket
    GET  /tickets/ID                                       where it is, and what is being asked
    POST /tickets/ID/approve   {"by": ...}                 say yes to what the agent asks

It is served by threads, and all of them share one store. Nothing is kept in the process: kill it, start it, and the
tickets are where they were. The program ends by being its own customer.
"""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import Request, urlopen

import sessionry
from sessionry import AgentContext, SessionryError
from sessionry.sync import SyncSessions


async def support(context: AgentContext, message: str) -> str:
    if "refund" not in message:
        return "Have you tried to turn it off and on again?"
    if await context.approve("refund", {"amount": "20.00"}, reason="The customer asks for money."):
        return "You get your money back."
    return "I am sorry, we cannot do that."


class Tickets:
    """What the product does, in its own words."""

    def __init__(self, sessions: SyncSessions) -> None:
        self._sessions = sessions

    def open(self, key: str, text: str) -> dict[str, Any]:
        session = self._sessions.create("support", title=text[:60], tags=["ticket"], idempotency_key=key)
        session.run(text, idempotency_key=f"{key}/answer")
        return self.show(session.id)

    def show(self, id: str) -> dict[str, Any]:
        session = self._sessions.session(id)
        run = session.runs(limit=1).items[0]
        asked = [approval.get() for approval in self._sessions.approvals(session=id)]
        answer = run.output.get("text") if isinstance(run.output, dict) else None
        return {"id": id, "status": run.status, "answer": answer, "asks": [each.tool_name for each in asked]}

    def approve(self, id: str, by: str) -> dict[str, Any]:
        for approval in self._sessions.approvals(session=id):
            approval.approve(by=by)
        return self.show(id)


def service(tickets: Tickets) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(lambda parts, _: tickets.show(parts[1]))

        def do_POST(self) -> None:
            self._answer(
                lambda parts, given: tickets.approve(parts[1], **given) if parts[2:] else tickets.open(**given)
            )

        def _answer(self, act: Any) -> None:
            given = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
            try:
                status, body = 200, act(self.path.strip("/").split("/"), given)
            except SessionryError as error:
                status, body = error.http_status, {"error": error.to_dict()}
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: Any) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def customer(host: str) -> None:
    def call(path: str, body: dict[str, str] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(host + path, data)) as answer:
            return json.load(answer)

    def until(id: str, ready: str) -> Any:
        deadline = time.monotonic() + 10
        while not (ticket := call(f"/tickets/{id}"))[ready]:
            assert time.monotonic() < deadline, ticket
            time.sleep(0.02)
        return ticket

    first = call("/tickets", {"key": "mail-1", "text": "I want a refund"})
    again = call("/tickets", {"key": "mail-1", "text": "I want a refund"})
    print("sent twice, one ticket:", first["id"] == again["id"])
    print("asks:", *until(first["id"], "asks")["asks"])
    call(f"/tickets/{first['id']}/approve", {"by": "ann"})
    print("answer:", until(first["id"], "answer")["answer"])


def main() -> None:
    with sessionry.open_sync("memory://", agents={"support": support}) as sessions:
        server = service(Tickets(sessions))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        customer(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    main()
