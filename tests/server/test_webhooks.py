"""Webhooks: signed, in their scope, at least once with the same id, and one that is dead holds up nobody."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from sessionry import Sessions
from sessionry.domain import webhook as domain
from sessionry.domain.errors import InvalidInput
from sessionry.domain.scope import Scope
from sessionry.domain.token import Permission
from sessionry.runtime.posting import Poster, is_public
from sessionry.runtime.webhooks import Notifier, Policy

from .conftest import Server, serving, until
from .receiver import Receiver, receiving

QUICK = Policy(timeout=30.0, first=0.02, factor=1.0, tries=3, look=0.05, poll=0.05, lease=30.0)


@asynccontextmanager
async def notifying(sessions: Sessions, policy: Policy = QUICK, *, private: bool = True) -> AsyncIterator[Notifier]:
    notifier = Notifier(sessions.store, sessions._bus, private=private, policy=policy)
    notifier.start()
    try:
        yield notifier
    finally:
        await notifier.close()


@pytest.fixture
async def server(tmp_path: Any) -> AsyncIterator[Server]:
    async with serving(f"sqlite:///{tmp_path}/server.db", notify=False) as running:
        yield running


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


async def made(client: httpx.AsyncClient, url: str, *types: str) -> dict[str, Any]:
    answer = await client.post("/v1/webhooks", json={"url": url, "types": list(types)})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def state(client: httpx.AsyncClient, webhook: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"/v1/webhooks/{webhook['id']}")).json()
    return found


async def nothing_owed(client: httpx.AsyncClient, webhook: dict[str, Any]) -> bool:
    return bool((await state(client, webhook))["pending"] == 0)


def got(receiver: Receiver, count: int) -> Any:
    async def enough() -> bool:
        return len(receiver.got) >= count

    return until(enough)


async def test_a_message_is_signed_so_that_others_can_verify_it(
    server: Server, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    webhook = await made(client, receiver.url)
    async with notifying(server.sessions):
        session = await server.sessions.create("echo", title="Fix auth")
        await got(receiver, 1)
    (message,) = receiver.got
    told = message.verified(webhook["secret"])
    assert (told["type"], told["data"]["session_id"]) == ("session_created", session.id)
    assert message.id == told["data"]["id"]
    assert "position" not in told["data"]
    with pytest.raises(Exception, match="signature"):
        message.verified(domain.new_webhook_secret())


async def test_the_secret_is_told_once(server: Server, client: httpx.AsyncClient, receiver: Receiver) -> None:
    webhook = await made(client, receiver.url)
    assert webhook["secret"].startswith("whsec_")
    url = f"/v1/webhooks/{webhook['id']}"
    changed = await client.patch(url, json={"description": "ours"})
    assert changed.json()["description"] == "ours"
    for answer in (await client.get("/v1/webhooks"), await client.get(url), changed, await client.delete(url)):
        assert answer.status_code == 200
        assert "whsec_" not in answer.text
        assert "secret" not in answer.text
    assert (await client.get(url)).status_code == 404


async def test_only_the_wanted_types_are_told(server: Server, client: httpx.AsyncClient, receiver: Receiver) -> None:
    await made(client, receiver.url, "run_completed", "session_completed")
    async with notifying(server.sessions):
        session = await server.sessions.create("echo")
        await (await session.run("x")).result(timeout=30)
        await session.complete()
        await got(receiver, 2)
    assert sorted(receiver.types()) == ["run_completed", "session_completed"]


async def test_a_person_is_told_that_a_run_waits(server: Server, client: httpx.AsyncClient, receiver: Receiver) -> None:
    webhook = await made(client, receiver.url, "person_needed")
    async with notifying(server.sessions):
        session = await server.sessions.create("asks", title="Clean up")
        run = await session.run("notes.txt")
        await got(receiver, 1)
    told = receiver.got[0].verified(webhook["secret"])
    (approval,) = await server.sessions.approvals()
    assert told["type"] == "person_needed"
    assert receiver.got[0].id == approval.id
    expected = {"session_id": session.id, "run_id": run.id, "title": "Clean up", "approval_id": approval.id}
    assert expected.items() <= told["data"].items()
    assert (told["data"]["tool_name"], told["data"]["tool_input"]) == ("delete", {"path": "notes.txt"})


async def test_what_fails_is_tried_again_under_the_same_id(
    server: Server, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    answers = iter(["500 Oops", "302 Found\r\nLocation: /elsewhere", "200 OK"])
    receiver.answers = lambda _: next(answers)
    webhook = await made(client, receiver.url)
    async with notifying(server.sessions):
        await server.sessions.create("echo")
        await got(receiver, 3)
        await until(lambda: nothing_owed(client, webhook))
    assert len({message.id for message in receiver.got}) == 1
    assert (await state(client, webhook))["failing_since"] is None


async def test_what_never_succeeds_is_given_up_and_can_be_tried_again(
    server: Server, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    receiver.answers = lambda _: "500 Oops"
    webhook = await made(client, receiver.url)
    url = f"/v1/webhooks/{webhook['id']}"
    async with notifying(server.sessions):
        await server.sessions.create("echo")

        async def given_up() -> list[dict[str, Any]]:
            items: list[dict[str, Any]] = (await client.get(f"{url}/notices?status=dead")).json()["items"]
            return items

        (dead,) = await until(given_up)
        assert (dead["tries"], dead["http_status"], dead["problem"]) == (3, 500, "it answered 500")
        assert len(receiver.got) == 3
        receiver.answers = lambda _: "200 OK"
        retried = await client.post(f"{url}/notices/{dead['id']}/retry")
        assert retried.json() == {"notices": 1}
        await got(receiver, 4)
        await until(lambda: nothing_owed(client, webhook))
    assert len({message.id for message in receiver.got}) == 1
    assert (await client.post(f"{url}/notices/{dead['id']}/retry")).json()["code"] == "notice_not_found"
    assert (await client.post(f"{url}/retry")).json() == {"notices": 0}


async def test_a_replay_tells_again_what_is_in_the_log(
    server: Server, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    webhook = await made(client, receiver.url, "session_created", "session_started")
    async with notifying(server.sessions):
        session = await server.sessions.create("echo")
        await session.start()
        await got(receiver, 2)
        await client.post(f"/v1/webhooks/{webhook['id']}/replay", json={"after": 0})
        await got(receiver, 4)
    ids = [message.id for message in receiver.got]
    assert sorted(ids[:2]) == sorted(ids[2:])


async def test_one_that_asks_for_time_gets_it(server: Server, client: httpx.AsyncClient, receiver: Receiver) -> None:
    receiver.answers = lambda _: "429 Too Many Requests\r\nRetry-After: 3000"
    webhook = await made(client, receiver.url)
    async with notifying(server.sessions):
        await server.sessions.create("echo")

        async def tried() -> list[dict[str, Any]]:
            found = (await client.get(f"/v1/webhooks/{webhook['id']}/notices")).json()["items"]
            return [each for each in found if each["tries"]]

        (notice,) = await until(tried)
    assert notice["due_at"] > notice["created_at"]
    assert len(receiver.got) == 1
    assert QUICK.pause(1, 3000.0) == 3000.0
    assert QUICK.pause(3, 3000.0) is None


async def test_one_that_is_gone_is_disabled(server: Server, client: httpx.AsyncClient, receiver: Receiver) -> None:
    receiver.answers = lambda _: "410 Gone"
    webhook = await made(client, receiver.url)
    async with notifying(server.sessions):
        await server.sessions.create("echo")

        async def disabled() -> bool:
            return not (await state(client, webhook))["enabled"]

        await until(disabled)
        await server.sessions.create("echo")
        receiver.answers = lambda _: "200 OK"
        await client.patch(f"/v1/webhooks/{webhook['id']}", json={"enabled": True})
        await got(receiver, 3)
    assert len({message.id for message in receiver.got}) == 2, "both, and the first one twice"


async def test_one_that_is_dead_holds_up_nobody(server: Server, client: httpx.AsyncClient, receiver: Receiver) -> None:
    async with receiving() as dead:
        dead.answers = lambda _: None
        for _ in range(6):
            await made(client, dead.url)
        await made(client, receiver.url)
        narrow = QUICK._replace(well=25, failing=2)
        async with notifying(server.sessions, narrow):
            for _ in range(20):
                await server.sessions.create("echo")
            await got(receiver, 20)
            assert dead.most_at_once <= 6 * narrow.at_once


async def test_what_one_is_sent_at_once_is_bounded(
    server: Server, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    await made(client, receiver.url)
    for _ in range(40):
        await server.sessions.create("echo")
    async with notifying(server.sessions):
        await got(receiver, 40)
    assert receiver.most_at_once <= QUICK.at_once


async def test_of_several_processes_one_notifies(tmp_path: Any, receiver: Receiver) -> None:
    store = f"sqlite:///{tmp_path}/two.db"
    async with serving(store, notify=False) as one, serving(store, notify=False) as two:
        client = await one.client()
        webhook = await made(client, receiver.url)
        async with notifying(one.sessions) as first:
            for _ in range(10):
                await one.sessions.create("echo")
            await got(receiver, 10)
            async with notifying(two.sessions) as second:
                for _ in range(10):
                    await two.sessions.create("echo")
                await got(receiver, 20)
                assert first._lanes
                assert not second._lanes
                # the next one sends again what this one has sent, and not written down that it was taken
                await until(lambda: nothing_owed(client, webhook))
                await first.close()
                await two.sessions.create("echo")
                await got(receiver, 21)
    assert len({message.id for message in receiver.got}) == len(receiver.got) == 21


async def test_what_a_tenant_does_is_told_to_its_own_alone(
    server: Server, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    stranger = await server.client(scope=Scope("b"))
    await made(stranger, receiver.url)
    webhook = await made(client, receiver.url)
    url = f"/v1/webhooks/{webhook['id']}"
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"url": "https://evil.example"}),
        ("DELETE", "", None),
        ("GET", "/notices", None),
        ("POST", "/retry", None),
        ("POST", "/replay", {"after": 0}),
        ("POST", "/notices/ntc_x/retry", None),
    ):
        assert (await stranger.request(method, url + path, json=body)).json()["code"] == "webhook_not_found"
    async with notifying(server.sessions):
        await server.sessions.create("echo")
        await got(receiver, 1)
        await server.sessions.of(Scope("b")).create("echo")
        await got(receiver, 2)
    receiver.got[0].verified(webhook["secret"])
    with pytest.raises(Exception, match="signature"):
        receiver.got[1].verified(webhook["secret"])


async def test_a_webhook_is_an_administrators(server: Server) -> None:
    runner = await server.client(Permission.RUN, Permission.APPROVE)
    assert (await runner.get("/v1/webhooks")).status_code == 403
    assert (await runner.post("/v1/webhooks", json={"url": "https://a.example"})).status_code == 403
    asked = {"operation": "webhooks.of_scope", "arguments": {}}
    assert (await runner.post("/v1/operations", json=asked)).status_code == 403


@pytest.mark.parametrize(
    "url",
    ["ftp://a.example", "https://", "javascript:alert(1)", "http://u:p@a.example", "http://a b", "http://a:99999"],
)
async def test_an_address_that_is_none_is_refused(server: Server, client: httpx.AsyncClient, url: str) -> None:
    answer = await client.post("/v1/webhooks", json={"url": url})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    with pytest.raises(InvalidInput):
        await server.sessions.create_webhook(url)


async def test_what_is_no_type_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/webhooks", json={"url": "https://a.example", "types": ["odd"]})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_event_type")


# --- where messages may go --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("192.168.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("fec0::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_only_public_addresses_are_posted_to(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


async def test_a_name_that_leads_to_this_machine_is_not_posted_to(receiver: Receiver) -> None:
    poster = Poster(timeout=30, private=False)
    port = receiver.url.split(":")[2]
    for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:7f00:1]", "127.1", "2130706433"):
        answer = await poster.post(f"http://{host}:{port}", {}, b"{}")
        assert "not a public one" in str(answer.problem), answer
    await poster.close()
    assert receiver.got == []


async def test_the_address_that_was_looked_at_is_the_one_that_is_posted_to(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name whose address changes after the look leads nowhere else: it is asked for once."""
    asked: list[str] = []
    loop = asyncio.get_running_loop()
    resolve = loop.getaddrinfo

    async def changing(host: str, port: int, **options: Any) -> Any:
        asked.append(host)
        return await resolve("127.0.0.1" if host == "agents.example" else host, port, **options)

    monkeypatch.setattr(loop, "getaddrinfo", changing)
    poster = Poster(timeout=30, private=True)
    port = receiver.url.split(":")[2].split("/")[0]
    answer = await poster.post(f"http://agents.example:{port}/hook", {"x": "y"}, b"{}")
    await poster.close()
    assert answer.problem is None
    assert asked.count("agents.example") == 1
    assert receiver.got[0].headers["host"] == f"agents.example:{port}"


async def test_the_setting_keeps_messages_out_of_our_networks(
    server: Server, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    webhook = await made(client, receiver.url)
    async with notifying(server.sessions, private=False):
        await server.sessions.create("echo")

        async def given_up() -> bool:
            return bool((await state(client, webhook))["dead"])

        await until(given_up)
    (dead,) = (await client.get(f"/v1/webhooks/{webhook['id']}/notices")).json()["items"]
    assert "not a public one" in dead["problem"]
    assert receiver.got == []
