"""A small agent that speaks the Agent Client Protocol and plays what its prompt tells it, every kind of frame.

    acp_agent.py OFFER      with the answer to `initialize` in parts, as JSON: {"version": 1, "load": true, ...}

A prompt is a list of steps in JSON, between `<<<` and `>>>`; without one the prompt is echoed. It needs nothing but Python
itself, so that a hundred of them start in no time. What it received is written to the file `ACP_SAW`, a line for each
frame; sessions are kept in the folder `ACP_STATE`, so that another process can load them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from queue import Queue
from typing import Any

OFFER = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
MODES = {"currentModeId": "ask", "availableModes": [{"id": "ask", "name": "Ask"}, {"id": "yolo", "name": "All"}]}
SETTINGS = [
    {
        "id": "model",
        "name": "Model",
        "category": "model",
        "type": "select",
        "currentValue": "small",
        "options": [{"value": "small", "name": "Small"}, {"value": "large", "name": "Large"}],
    },
    {"id": "fast", "name": "Fast", "type": "boolean", "currentValue": False},
]
LISTED = {
    "currentModelId": "small",
    "availableModels": [{"modelId": "small", "name": "Small"}, {"modelId": "large", "name": "Large"}],
}
_lock = threading.Lock()
_answers: dict[str, Queue[Any]] = {}
_cancelled = threading.Event()
_steered: Queue[str] = Queue()
_children: list[subprocess.Popen[bytes]] = []
#: what was told in this step
_told: list[dict[str, Any]] = []


class Refusal(Exception):
    """An error of JSON-RPC: its code, message and data."""


def send(frame: Any) -> None:
    with _lock:
        sys.stdout.write((frame if isinstance(frame, str) else json.dumps(frame)) + "\n")
        sys.stdout.flush()


def ask(method: str, params: dict[str, Any]) -> Any:
    id = f"ask-{len(_answers) + 1}"
    _answers[id] = Queue()
    send({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
    return _answers[id].get()


def update(session_id: str, **told: Any) -> None:
    _told.append(told)
    send({"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": session_id, "update": told}})


def chunk(session_id: str, kind: str, text: str, **more: Any) -> None:
    update(session_id, sessionUpdate=f"{kind}_chunk", content={"type": "text", "text": text}, **more)


# --- sessions ---------------------------------------------------------------------------------------------------------


def kept(session_id: str) -> Path:
    return Path(os.environ["ACP_STATE"]) / f"{session_id}.json"


def known(session_id: str) -> bool:
    return "ACP_STATE" in os.environ and kept(session_id).exists()


def read(session_id: str) -> Any:
    if not kept(session_id).exists():
        raise Refusal(-32002, "Resource not found", {"uri": session_id})
    return json.loads(kept(session_id).read_text())


def write(session_id: str, turns: Any) -> None:
    if "ACP_STATE" in os.environ:
        kept(session_id).write_text(json.dumps(turns))


def setup() -> dict[str, Any]:
    found: dict[str, Any] = {}
    if OFFER.get("modes", True):
        found["modes"] = MODES
    if OFFER.get("settings", True):
        found["configOptions"] = SETTINGS
    elif OFFER.get("listed"):
        found["models"] = LISTED
    return found


def new(params: dict[str, Any]) -> dict[str, Any]:
    if OFFER.get("login") and not OFFER.get("logged_in"):
        raise Refusal(-32000, "Authentication required")
    session_id = str(uuid.uuid4())
    write(session_id, [])
    return {"sessionId": session_id, **setup()}


def load(params: dict[str, Any]) -> dict[str, Any]:
    for turn in read(params["sessionId"])[OFFER.get("forgets", 0) :]:
        chunk(params["sessionId"], "user_message", turn["prompt"])
        for told in turn["told"][: OFFER.get("remembers")]:
            update(params["sessionId"], **told)
    if OFFER.get("strays"):
        chunk("another", "user_message", "whose is this?")
    return setup()


def resume(params: dict[str, Any]) -> dict[str, Any]:
    read(params["sessionId"])
    return setup()


def fork(params: dict[str, Any]) -> dict[str, Any]:
    turns = read(params["sessionId"])
    session_id = params["sessionId"] if OFFER.get("forks_badly") else str(uuid.uuid4())
    write(session_id, turns)
    return {"sessionId": session_id, **setup()}


# --- a turn -----------------------------------------------------------------------------------------------------------


def prompt(params: dict[str, Any]) -> dict[str, Any]:
    """A turn is kept step by step. Asked to go on, it does what is left of the last one."""
    text = "\n".join(block.get("text", "") for block in params["prompt"])
    script = re.findall(r"<<<(.*?)>>>", text, re.DOTALL)
    turn: dict[str, Any] = {"prompt": text, "told": [], "left": [{"say": f"you said {text}"}]}
    if script:
        turn["left"] = json.loads(script[-1])
    elif text.startswith("Your work was interrupted"):
        turn["left"] = read(params["sessionId"])[-1]["left"] or [{"say": text.rpartition(" ")[2]}]
    _cancelled.clear()
    before = read(params["sessionId"]) if known(params["sessionId"]) else []
    keep(params["sessionId"], before, turn)
    answer: dict[str, Any] = {"stopReason": "end_turn"}
    while turn["left"]:
        step = turn["left"][0]
        _told.clear()
        play(params["sessionId"], step, answer)
        if _cancelled.is_set() and OFFER.get("breaks"):  # off: the first piece is kept, and the step is done again
            turn["told"] += _told[:1]
        elif not (_cancelled.is_set() and {"ask", "run", "hang"} & set(step)):
            turn |= {"told": turn["told"] + _told, "left": turn["left"][1:]}
        keep(params["sessionId"], before, turn)
        if _cancelled.is_set():
            return {"stopReason": "cancelled"}
    return answer


def keep(session_id: str, before: list[Any], turn: dict[str, Any]) -> None:
    """A `forgetful` agent keeps its sessions, and no turns."""
    if known(session_id) and not OFFER.get("forgetful"):
        write(session_id, [*before, turn])


def play(session_id: str, step: dict[str, Any], answer: dict[str, Any]) -> None:
    for name, value in step.items():
        STEPS[name](session_id, value, answer)


def say(session_id: str, value: Any, answer: dict[str, Any]) -> None:
    for word in re.findall(r"\S+\s*", value):
        chunk(session_id, "agent_message", word)


def permission(session_id: str, value: Any, answer: dict[str, Any]) -> None:
    """Asks for a call of a tool, and does it when it may: `run` is a command of the shell."""
    call = {"toolCallId": "call-1", "title": value.get("run", "a tool"), "kind": "execute", "status": "pending"}
    call |= {"rawInput": {"command": value["run"]}} if "run" in value else {}
    call |= value.get("call", {})
    if value.get("announce", True):
        update(session_id, sessionUpdate="tool_call", **call)
    kinds = value.get("kinds", ["allow_always", "allow_once", "reject_once"])
    options = [{"optionId": f"{kind}-id", "name": kind, "kind": kind} for kind in kinds]
    result = ask("session/request_permission", {"sessionId": session_id, "toolCall": call, "options": options})
    outcome = result["result"]["outcome"]
    if not outcome.get("optionId", "").startswith("allow"):
        update(session_id, sessionUpdate="tool_call_update", toolCallId=call["toolCallId"], status="failed")
        chunk(session_id, "agent_message", outcome["outcome"] if "optionId" not in outcome else outcome["optionId"])
        return
    if "run" in value:
        run(session_id, {"command": value["run"], "id": call["toolCallId"]}, answer)
    else:
        update(session_id, sessionUpdate="tool_call_update", toolCallId=call["toolCallId"], status="completed")


def run(session_id: str, value: Any, answer: dict[str, Any]) -> None:
    """Runs a command, tells its output as it grows, and how it ended."""
    told = {"toolCallId": value.get("id", "call-1"), "kind": "execute", "title": value["command"]}
    update(session_id, sessionUpdate="tool_call_update", status="in_progress", **told)
    process = subprocess.Popen(
        ["sh", "-c", value["command"]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    _children.append(process)
    output = ""
    assert process.stdout is not None
    for line in iter(process.stdout.readline, b""):
        output += line.decode()
        content = [{"type": "content", "content": {"type": "text", "text": output}}]
        update(session_id, sessionUpdate="tool_call_update", status="in_progress", content=content, **told)
    code = process.wait()
    if _cancelled.is_set():
        return
    status = "failed" if code else "completed"
    update(
        session_id,
        sessionUpdate="tool_call_update",
        status=status,
        rawOutput={"output": output, "exitCode": code},
        **told,
    )


def hang(session_id: str, value: Any, answer: dict[str, Any]) -> None:
    """Until it is told to stop; `deaf` does not even hear that."""
    while value == "deaf" or not _cancelled.wait(0.02):
        time.sleep(0.02)


def client(session_id: str, value: Any, answer: dict[str, Any]) -> None:
    """Asks something of the client, and says what it answered."""
    result = ask(value["method"], {"sessionId": session_id, **value.get("params", {})})
    text = json.dumps(result.get("result", result.get("error")), sort_keys=True)
    chunk(session_id, "agent_message", text)


def terminal(session_id: str, value: Any, answer: dict[str, Any]) -> None:
    """Lets the client run a command in a terminal, and says what came of it."""
    made = ask("terminal/create", {"sessionId": session_id, **value})["result"]
    of = {"sessionId": session_id, **made}
    ended = ask("terminal/wait_for_exit", of)["result"]
    output = ask("terminal/output", of)["result"]
    ask("terminal/release", of)
    gone = ask("terminal/output", of)["error"]["code"]
    chunk(session_id, "agent_message", json.dumps([ended, output, gone], sort_keys=True))


def in_terminal(session_id: str, value: Any, answer: dict[str, Any]) -> None:
    """A call of a tool that works in a terminal of the client; what it wrote is not told otherwise."""
    made = ask("terminal/create", {"sessionId": session_id, **value})["result"]
    content = [{"type": "terminal", **made}]
    told = {"toolCallId": "call-t", "kind": "execute", "title": value["command"], "rawInput": value}
    update(session_id, sessionUpdate="tool_call", status="in_progress", content=content, **told)
    ask("terminal/wait_for_exit", {"sessionId": session_id, **made})
    ask("terminal/release", {"sessionId": session_id, **made})
    update(session_id, sessionUpdate="tool_call_update", toolCallId="call-t", status="completed")


def fail(session_id: str, value: Any, answer: dict[str, Any]) -> None:
    raise Refusal(value["code"], value["message"], value.get("data"))


def steer(session_id: str, value: Any, answer: dict[str, Any]) -> None:
    chunk(session_id, "agent_message", f"heard {_steered.get(timeout=10)}")


def end(session_id: str, value: Any, answer: dict[str, Any]) -> None:
    sys.stderr.write("it broke\n")
    sys.stderr.flush()
    os._exit(value)


def flood(session_id: str, value: Any, answer: dict[str, Any]) -> None:
    for _ in range(value):
        chunk(session_id, "agent_message", ".")


def half(session_id: str, value: Any, answer: dict[str, Any]) -> None:
    sys.stdout.write('{"jsonrpc": "2.0", "method": "session/upd')
    sys.stdout.flush()
    os._exit(0)


def shut(session_id: str, value: Any, answer: dict[str, Any]) -> None:
    """Reads no more, and does not even notice that nothing comes."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)


STEPS: dict[str, Callable[..., Any]] = {
    "say": say,
    "think": lambda session_id, value, *_: chunk(session_id, "agent_thought", value),
    "update": lambda session_id, value, *_: update(session_id, **value),
    "raw": lambda session_id, value, *_: send(value),
    "ask": permission,
    "run": run,
    "answer": lambda session_id, value, answer: answer.update(value),
    "hang": hang,
    "pause": lambda session_id, value, answer: _cancelled.wait(value),
    "client": client,
    "terminal": terminal,
    "in_terminal": in_terminal,
    "flood": flood,
    "half": half,
    "shut": shut,
    "fail": fail,
    "steer": steer,
    "exit": end,
}


# --- the protocol -----------------------------------------------------------------------------------------------------


def initialize(params: dict[str, Any]) -> dict[str, Any]:
    session: dict[str, Any] = {
        name: {} for name in ("resume", "fork", "close", "additionalDirectories") if OFFER.get(name)
    }
    return {
        "protocolVersion": OFFER.get("version", 1),
        "agentInfo": {"name": "player", "version": "1.2.3"},
        "authMethods": [{"id": "key", "name": "Key"}] if OFFER.get("login") else [],
        "agentCapabilities": {
            "loadSession": OFFER.get("load", False),
            "promptCapabilities": {"image": OFFER.get("images", False)},
            "mcpCapabilities": {"http": OFFER.get("http", False), "sse": OFFER.get("sse", False)},
            "sessionCapabilities": session,
            "_meta": {"claudeCode": {"promptQueueing": OFFER.get("queues", False)}},
        },
        "_meta": {"steering": {"supported": OFFER.get("steers", False)}},
    }


def authenticate(params: dict[str, Any]) -> dict[str, Any]:
    OFFER["logged_in"] = True
    return {}


def steered(params: dict[str, Any]) -> dict[str, Any]:
    if OFFER.get("steers") == "late":
        return {"outcome": "promptRequired"}
    _steered.put(params["prompt"][0]["text"])
    return {"outcome": "injected"}


METHODS: dict[str, Callable[..., Any]] = {
    "initialize": initialize,
    "authenticate": authenticate,
    "session/new": new,
    "session/load": load,
    "session/resume": resume,
    "session/fork": fork,
    "session/prompt": prompt,
    "session/set_mode": lambda params: {},
    "session/set_model": lambda params: {},
    "session/set_config_option": lambda params: {"configOptions": SETTINGS},
    "_session/steering": steered,
}


def work(frame: dict[str, Any]) -> None:
    try:
        if OFFER.get("silent") == frame["method"]:
            return
        if frame["method"] not in METHODS:
            raise Refusal(-32601, "Method not found")
        send({"jsonrpc": "2.0", "id": frame["id"], "result": METHODS[frame["method"]](frame.get("params") or {})})
    except Refusal as refusal:
        error = dict(zip(("code", "message", "data"), refusal.args, strict=False))
        send({"jsonrpc": "2.0", "id": frame["id"], "error": error})


def main() -> None:
    saw = os.environ.get("ACP_SAW")
    for line in sys.stdin:
        frame = json.loads(line)
        if saw:
            with Path(saw).open("a") as file:
                file.write(line)
        if frame.get("method") == "session/cancel":
            _cancelled.set()
            for child in _children if OFFER.get("tidy") else []:
                child.kill()
        elif "method" in frame:
            threading.Thread(target=work, args=(frame,), daemon=True).start()
        elif frame.get("id") in _answers:
            _answers[frame["id"]].put(frame)


main()
