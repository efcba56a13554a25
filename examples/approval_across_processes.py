"""An agent asks before it deploys, its process is killed, and a person says yes from another one.

    python examples/approval_across_processes.py

A second process does the work and is killed with -9 while it waits for the answer. A third one gives the answer. This one
finishes the run; what was done before the question is not done again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading

import sessionry
from sessionry import AgentContext, Takeover
from sessionry.agents.function import FunctionAgent


def say(what: str) -> None:
    print(f"process {os.getpid()} {what}", flush=True)


async def build() -> str:
    say("builds")
    return "build 42"


async def release(context: AgentContext, message: str) -> str:
    """A finished step is remembered, so that another attempt does not repeat it."""
    built = await context.step("build", build)
    decision = await context.approve("deploy", {"build": built, "to": message}, reason="This goes to customers.")
    say("goes on after the answer")
    return f"{built} is in {message}, {decision.by} agreed" if decision else f"{decision.by} said no: {decision.note}"


AGENTS = {"release": FunctionAgent("release", release, takeover=Takeover.RESUME)}


def work(url: str) -> None:
    with sessionry.open_sync(url, agents=AGENTS):
        threading.Event().wait()


def answer(url: str) -> None:
    with sessionry.open_sync(url, worker=False) as sessions:
        for approval in sessions.approvals():
            asked = approval.get()
            say(f"is asked: {asked.tool_name} {asked.tool_input}?")
            approval.approve(by="ann", note="on my way home anyway")


def main(url: str) -> None:
    with sessionry.open_sync(url, agents=AGENTS, worker=False) as sessions:
        run = sessions.create("release").run("production")
        worker = subprocess.Popen([sys.executable, __file__, "work", url])
        for event in run.events():
            if event.type == "run_waiting":
                break
        worker.kill()
        worker.wait()
        say(f"killed process {worker.pid}; the question is still there")
        subprocess.run([sys.executable, __file__, "answer", url], check=True)
    with sessionry.open_sync(url, agents=AGENTS) as sessions:
        say(f"has the result: {sessions.run(run.id).result().text}")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        {"work": work, "answer": answer}[sys.argv[1]](sys.argv[2])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(f"sqlite:///{folder}/store.db")
