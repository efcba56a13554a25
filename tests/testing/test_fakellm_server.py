"""The scripted model as a server: what it remembers, what it bears, and that nothing of it is left."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from sessionry.testing.fakellm import BadScript, ModelServer
from sessionry.testing.fakellm.body import LARGEST_BODY
from sessionry.testing.fakellm.connection import unread

#: Without certificates, which take longer to load than all the rest of a test.
post, Client = partial(httpx.post, verify=False, timeout=30), partial(httpx.Client, verify=False, timeout=30)


def body(prompt: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": prompt}], **more}


def ask(server: ModelServer, prompt: str, **more: Any) -> httpx.Response:
    return post(f"{server.url}/v1/chat/completions", json=body(prompt, **more))


def said(answer: httpx.Response) -> str:
    return str(answer.raise_for_status().json()["choices"][0]["message"]["content"])


@contextmanager
def raw_request(server: ModelServer, prompt: str) -> Iterator[socket.socket]:
    """A connection over which a request was sent, and nothing was read."""
    content = json.dumps(body(prompt, stream=True)).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n"
    host, port = server.url.removeprefix("http://").split(":")
    with closing(socket.create_connection((host, int(port)), timeout=30)) as connection:
        connection.sendall(head.encode() + content)
        yield connection


def server_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "model-server"]


def test_what_came_is_remembered(model_server: ModelServer) -> None:
    post(
        f"{model_server.url}/v1/messages?beta=true",
        headers={"X-Api-Key": "k", "X-Session": "s"},
        json=body("hi", max_tokens=1, tools=[{"name": "Read"}]),
    ).raise_for_status()
    request = model_server.wait_for(lambda request: request.ended is not None)
    assert model_server.requests == [request]
    assert (request.method, request.path, request.protocol) == ("POST", "/v1/messages?beta=true", "anthropic")
    assert (request.headers["x-api-key"], request.headers["x-session"]) == ("k", "s")
    assert request.body["max_tokens"] == 1
    assert (request.model, request.prompt, request.tools, request.stream) == ("m", "hi", ["Read"], False)
    assert (request.script, request.turn, request.status, request.ended) == ("default", 0, 200, "answered")
    model_server.reset()
    assert model_server.requests == []


def test_a_client_that_goes_is_noticed_at_once(model_server: ModelServer) -> None:
    for step in ({"hang": 600}, {"text": "a b", "stall": 600}, {"text": "a b", "delay": 600}):
        with raw_request(model_server, f"<<<SCRIPT [{json.dumps(step)}] >>>"):
            model_server.wait_for(lambda request: request.script == "inline")
        assert model_server.wait_for(lambda request: request.ended is not None).ended == "client_gone"
        model_server.reset()


def test_a_stall_comes_after_the_first_piece(model_server: ModelServer) -> None:
    with raw_request(model_server, '<<<SCRIPT [{"text": "first second", "stall": 60}] >>>') as connection:
        heard = b""
        while b"first" not in heard:
            heard += connection.recv(4096)
    assert b"second" not in heard


def test_closing_ends_everything() -> None:
    # There may be other servers, of fixtures.
    threads, open_files = server_threads(), psutil.Process().num_fds()
    server = ModelServer().start()
    with raw_request(server, '<<<SCRIPT [{"hang": 600}] >>>') as connection:
        server.wait_for(lambda request: request.script == "inline")
        with Client() as idle:
            idle.get(f"{server.url}/v1/models").raise_for_status()
            server.close()
        assert connection.recv(10) == b""
    assert [request.ended for request in server.requests] == ["stopped", "answered"]
    server.close()
    assert server_threads() == threads
    assert psutil.Process().num_fds() == open_files
    with pytest.raises(RuntimeError, match="does not run"):
        _ = server.url


def test_a_server_that_never_ran_can_be_closed() -> None:
    open_files = psutil.Process().num_fds()
    ModelServer().close()
    assert psutil.Process().num_fds() == open_files


def test_many_ask_at_once(model_server: ModelServer) -> None:
    with ThreadPoolExecutor(20) as threads, Client(base_url=model_server.url) as client:
        asking = (threads.submit(client.post, "/v1/chat/completions", json=body(f"number {n}")) for n in range(60))
        heard = [said(asked.result()) for asked in list(asking)]
    assert heard == [f"echo: number {number}" for number in range(60)]
    assert [request.number for request in model_server.requests] == list(range(60))


def test_scripts_by_name() -> None:
    with ModelServer({"hi": [{"text": "hello"}], "default": [{"text": "what?"}]}) as server:
        assert said(ask(server, "#script:hi")) == "hello"
        assert said(ask(server, "anything")) == "what?"
        server.script("more", [{"text": "later"}])
        assert said(ask(server, "#script:more")) == "later"
        with pytest.raises(BadScript, match="unknown field"):
            server.script("bad", [{"foo": 1}])
    with pytest.raises(BadScript, match="no step"):
        ModelServer({"empty": []})


def test_a_key_can_be_wanted() -> None:
    with ModelServer(key="secret") as server:
        url, asking = f"{server.url}/v1/chat/completions", body("hi")
        assert post(url, json=asking).status_code == 401
        assert post(url, json=asking, headers={"Authorization": "Bearer secret"}).status_code == 200
        assert post(url, json=asking, headers={"x-api-key": "secret"}).status_code == 200
        assert [request.status for request in server.requests] == [401, 200, 200]


def test_models_are_listed_and_tokens_counted(model_server: ModelServer) -> None:
    with Client(base_url=model_server.url) as client:
        assert client.head("/").status_code == 200
        assert "gpt-5" in [model["id"] for model in client.get("/v1/models").json()["data"]]
        assert client.get("/v1/models/any").json()["id"] == "any"
        assert client.get("/v1beta/models").json()["models"][0]["name"].startswith("models/")
        assert client.post("/v1/messages/count_tokens", json=body("x" * 400)).json()["input_tokens"] > 100
        assert client.post("/v1beta/models/m:countTokens", json={"contents": []}).json()["totalTokens"] > 0
        assert client.get("/v1/nowhere").status_code == 404
        assert client.post("/v1/nowhere", json={}).status_code == 404


def test_side_requests_of_agents_take_no_step(model_server: ModelServer) -> None:
    headers = {"user-agent": "opencode/1.18"}
    prompt = body('<<<SCRIPT [{"error": 500}] >>>')
    answered = post(f"{model_server.url}/v1/chat/completions", json=prompt, headers=headers)
    assert said(answered) == "A title"
    assert [request.aside for request in model_server.requests] == [True]
    assert model_server.asked == []


@pytest.mark.parametrize("content", [b"[1]", b'{"model": "m"}', b'{"model": "m", "messages": 7}', b"{"])
def test_what_is_no_request_is_refused(content: bytes, model_server: ModelServer) -> None:
    for path in ("/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1beta/models/m:generateContent"):
        assert post(model_server.url + path, content=content).status_code == 400
    model_server.wait_for(lambda request: request is model_server.requests[-1] and request.ended is not None)
    assert {request.ended for request in model_server.requests} == {"refused"}


def test_bodies_come_compressed_and_in_chunks(model_server: ModelServer) -> None:
    url, content = f"{model_server.url}/v1/chat/completions", json.dumps(body("hi")).encode()
    zipped = post(url, content=gzip.compress(content), headers={"content-encoding": "gzip"})
    assert said(zipped) == "echo: hi"
    assert said(post(url, content=iter([content[:7], content[7:]]))) == "echo: hi"
    assert post(url, content=content, headers={"content-encoding": "gzip"}).status_code == 400
    assert post(url, content=content, headers={"content-encoding": "br"}).status_code == 415


def test_bodies_are_bounded(model_server: ModelServer) -> None:
    url = f"{model_server.url}/v1/chat/completions"
    bomb = gzip.compress(b"[" + b" " * (LARGEST_BODY + 10))
    assert post(url, content=bomb, headers={"content-encoding": "gzip"}).status_code == 413
    host, port = model_server.url.removeprefix("http://").split(":")
    for promise in (f"Content-Length: {LARGEST_BODY + 1}", f"Transfer-Encoding: chunked\r\n\r\n{LARGEST_BODY + 1:x}"):
        with closing(socket.create_connection((host, int(port)), timeout=30)) as connection:
            connection.sendall(f"POST /v1/messages HTTP/1.1\r\nHost: x\r\n{promise}\r\n\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("header", ["Content-Length: -1", "Content-Length: x", "Transfer-Encoding: chunked\r\n\r\nzz"])
def test_a_body_of_no_length_is_refused(header: str, model_server: ModelServer) -> None:
    host, port = model_server.url.removeprefix("http://").split(":")
    with closing(socket.create_connection((host, int(port)), timeout=30)) as connection:
        connection.sendall(f"POST /v1/messages HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


def test_waiting_says_what_came_instead(model_server: ModelServer) -> None:
    ask(model_server, "hi")
    with pytest.raises(TimeoutError, match="/v1/chat/completions"):
        model_server.wait_for(lambda request: request.model == "other", timeout=0.05)


def test_it_runs_as_a_program(tmp_path: Path) -> None:
    scenarios = tmp_path / "scripts.json"
    scenarios.write_text('{"hi": [{"text": "hello"}]}')
    command = [sys.executable, "-m", "sessionry.testing.fakellm", "--port", "0", "--scenarios", str(scenarios)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            with Client(base_url=program.stdout.readline().strip()) as client:
                assert said(client.post("/v1/chat/completions", json=body("#script:hi"))) == "hello"
                client.post("/__scenarios", json={"ho": [{"text": "later"}]}).raise_for_status()
                assert said(client.post("/v1/chat/completions", json=body("#script:ho"))) == "later"
                assert client.post("/__scenarios", json={"bad": [{"x": 1}]}).status_code == 400
                assert [request["script"] for request in client.get("/__log").json()] == ["hi", "ho"]
                client.post("/__reset").raise_for_status()
                assert client.get("/__log").json() == []
        finally:
            program.send_signal(2)
        assert program.wait(60) == 0


def test_the_program_tells_what_is_wrong(tmp_path: Path) -> None:
    scenarios = tmp_path / "scripts.json"
    scenarios.write_text('{"hi": [{"texd": "hello"}]}')
    command = [sys.executable, "-m", "sessionry.testing.fakellm", "--scenarios", str(scenarios)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "unknown field `texd`" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux tells")
def test_it_knows_what_the_other_end_has_not_read() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as client,
    ):
        server, _ = listening.accept()
        with server:
            assert unread(server) == 0
            server.sendall(b"some words")
            end = time.monotonic() + 60
            while unread(server) != 10 and time.monotonic() < end:
                time.sleep(0.001)  # it may be on its way for a moment
            assert unread(server) == 10
            assert client.recv(4) == b"some"
            assert unread(server) == 6
            assert client.recv(100) == b" words"
            assert unread(server) == 0
