"""No secret reaches the store, a reader or a log, from whomever it comes."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.conftest import until

import sessionry
from sessionry import AgentContext, Sessions
from sessionry.agents.catalog import Catalog
from sessionry.agents.function import FunctionAgent
from sessionry.domain import events as ev
from sessionry.domain.codec import encode_json
from sessionry.domain.redaction import Redactor
from sessionry.domain.run import ErrorInfo
from sessionry.runtime.execution import LONGEST_MESSAGE
from sessionry.runtime.redacting import LOGGERS, MOST_OPEN, WORDY, Speech, guard_logs
from sessionry.settings import load_settings

KEY = "sk-ant-api03-" + "aB3-" * 10
VALUE = "value-of-the-environment"
SHOWN = "[redacted:anthropic_key]"


async def speaks(context: AgentContext, message: str) -> AsyncIterator[Any]:
    """Says the key in every way there is, cut into pieces."""
    text = f"the key {KEY} and {VALUE} s"
    for at in range(0, len(text), 3):
        yield ev.MessageStreamed(text=text[at : at + 3], message_id="m")
        yield ev.ToolOutputStreamed(text=text[at : at + 3], tool_call_id="c")
        if at == 12:
            yield ev.ToolCallStarted(tool_call_id="c", tool_name="bash", tool_input={"command": f"echo {KEY}"})
    yield ev.MessageReceived(text=text, message_id="m")
    yield ev.ToolCallCompleted(tool_call_id="c", tool_name="bash", tool_output={"out": text * 400})
    yield ev.CustomRecorded(name="mine", value={"password": "1234"})
    yield ev.ErrorOccurred(error=ErrorInfo(code="agent_failed", message=f"refused {KEY}"))

    async def work() -> Any:
        return {"found": KEY}

    assert await context.step(f"find {KEY}", work) == {"found": SHOWN}
    await context.add_artifact(b"x", name=f"{KEY}.txt")
    decision = await context.approve("send", {"header": f"Bearer {KEY}"}, reason=f"with {KEY}")
    yield ev.RunCompleted(text=f"{message}: {decision.note}", output={"token": KEY})


async def fails() -> None:
    raise RuntimeError(f"cannot use {KEY}")


async def fails_at_length() -> None:
    raise RuntimeError(f"{'x' * (LONGEST_MESSAGE - len(VALUE) + 2)}{VALUE}")


async def hears(context: AgentContext, message: str) -> str:
    return f"{message}, {await context.next_steering()}"


async def hangs(context: AgentContext) -> AsyncIterator[Any]:
    yield ev.MessageStreamed(text="the end is s", message_id="m")
    raise RuntimeError("no")


AGENTS = {
    "speaks": speaks,
    "fails": fails,
    "fails_at_length": fails_at_length,
    "hangs": hangs,
    "hears": FunctionAgent("hears", hears, capabilities=["steer"]),
}


@pytest.fixture
async def opened(url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sessions]:
    monkeypatch.setenv("MY_SERVICE_TOKEN", VALUE)
    async with sessionry.open(url, agents=AGENTS) as sessions:
        yield sessions


async def everything(sessions: Sessions, session: sessionry.SessionHandle) -> str:
    """All that the store holds of a session, as text."""
    events = [event.to_dict() async for event in session.events()]
    runs = [run.to_dict() for run in (await session.runs()).items]
    approvals = [(await each.get()).to_dict() for each in await sessions.approvals(session=session.id, status=())]
    return encode_json([events, runs, approvals, (await session.get()).to_dict()])


async def test_what_an_agent_says_is_stored_without_secrets(opened: Sessions) -> None:
    session = await opened.create("speaks")
    run = await session.run("hello")
    question = (await until(lambda: run.approvals(status="pending")))[0]
    await question.approve(by="ann", note=f"use {KEY}")
    result = await run.result(timeout=60)
    assert result.text == f"hello: use {SHOWN}"
    assert result.output == {"token": "[redacted:secret]"}
    kept = await everything(opened, session)
    assert KEY not in kept
    assert KEY[:24] not in kept
    assert VALUE not in kept
    events = [event.data async for event in session.events()]
    whole = f"the key {SHOWN} and [redacted:known_value] s"
    assert whole in [data.text for data in events if isinstance(data, ev.MessageReceived)]
    assert "".join(data.text for data in events if isinstance(data, ev.MessageStreamed)) == whole
    assert "".join(data.text for data in events if isinstance(data, ev.ToolOutputStreamed)) == whole


async def test_what_was_moved_out_of_the_log_has_no_secrets_either(opened: Sessions) -> None:
    session = await opened.create("speaks")
    run = await session.run("hello")
    await until(lambda: run.approvals(status="pending"))
    blobs = [event.data async for event in session.events(types=["artifact_added"])]
    moved = [blob for blob in blobs if isinstance(blob, ev.ArtifactAdded) and blob.size > 1]
    assert moved
    for blob in moved:
        content = b"".join([piece async for piece in opened.blobs.open(blob.hash)])
        assert KEY.encode() not in content
    await run.cancel()
    await run.result(timeout=60)


async def test_what_people_say_is_stored_without_secrets(opened: Sessions) -> None:
    session = await opened.create("hears", title=f"with {KEY}", metadata={"password": "x1"}, context={"note": VALUE})
    await session.update(title=f"again {KEY}", context={"api_key": "abcdefgh", "cwd": KEY})
    run = await session.run({"prompt": f"use {KEY}"}, metadata={"why": VALUE}, idempotency_key=KEY)
    await until(lambda: _running(run))
    await run.steer(f"rather {VALUE}")
    result = await run.result(timeout=60)
    assert result.text == f"use {SHOWN}, rather [redacted:known_value]"
    await session.cancel(reason=f"because of {KEY}")
    kept = await everything(opened, session)
    assert KEY not in kept
    assert VALUE not in kept


async def _running(run: sessionry.RunHandle) -> bool:
    return (await run.get()).live


async def test_the_same_request_with_a_secret_is_the_same_request(opened: Sessions) -> None:
    session = await opened.create("echo")
    first, second = [await session.run(KEY, idempotency_key="k") for _ in range(2)]
    assert first.id == second.id


async def test_a_failure_tells_no_secret(opened: Sessions) -> None:
    session = await opened.create("fails")
    result = await (await session.run("x")).result(timeout=60)
    assert result.error is not None
    assert result.error.message == f"RuntimeError: cannot use {SHOWN}"


async def test_nothing_that_was_kept_back_is_lost_when_the_agent_fails(opened: Sessions) -> None:
    session = await opened.create("hangs")
    await (await session.run("x")).result(timeout=60)
    pieces = [event.data async for event in session.events(types=["message_streamed"])]
    assert "".join(data.text for data in pieces if isinstance(data, ev.MessageStreamed)) == "the end is s"


async def test_the_title_of_a_fork_holds_no_secret(opened: Sessions) -> None:
    session = await opened.create("echo", title="x")
    assert KEY not in str((await (await session.fork(title=f"with {KEY}")).get()).title)


async def test_the_description_of_a_webhook_holds_no_secret_and_its_address_stays(opened: Sessions) -> None:
    address = f"https://agents.example/hook?key={KEY}"
    webhook, _ = await opened.create_webhook(address, description=f"with {KEY}")
    assert (webhook.url, webhook.description) == (address, f"with {SHOWN}")
    changed = await opened.webhook(webhook.id).update(url=f"{address}2", description=f"now {KEY}")
    assert (changed.url, changed.description) == (f"{address}2", f"now {SHOWN}")


async def test_redaction_can_be_switched_off() -> None:
    settings = load_settings({"SESSIONRY_REDACT": "off", "HOME": "/nowhere"})
    async with sessionry.open("memory://", settings=settings) as sessions:
        session = await sessions.create("echo", title=KEY)
        assert (await session.get()).title == KEY
        assert (await (await session.run(KEY)).result(timeout=60)).text == KEY


def test_what_the_catalog_takes_from_the_environment_is_secret(tmp_path: Path) -> None:
    file = tmp_path / "agents.toml"
    file.write_text(
        '[a]\ntype = "shell"\nenv = { WHATEVER = "${env:PLAIN}", API_KEY = "written-here" }\ncwd = "${env:HOME}"\n'
    )
    found = Catalog.load(file).secrets({"PLAIN": "in-the-environment", "HOME": "/home/ann", "OTHER": "not-referred-to"})
    assert found == {"in-the-environment", "written-here"}


def test_every_operation_that_writes_words_is_known() -> None:
    from sessionry.store.operations import (
        approvals,
        leases,
        pruning,
        recovery,
        runs,
        secrets,
        sessions,
        tokens,
        webhooks,
    )

    wordless = {
        *(approvals.go_on, approvals.expire, leases.register, leases.renew, leases.leave, leases.begin),
        *(leases.drain, leases.ask_to_drain),
        *(leases.limit_store, leases.append, recovery.take_over, recovery.give_back, recovery.end_overdue),
        *(
            recovery.promote_again,
            recovery.forget_workers,
            sessions.restore,
            sessions.purge,
            tokens.create,
            tokens.revoke,
        ),
        *(webhooks.delete, webhooks.retry, webhooks.replay, webhooks.lead, webhooks.resign, webhooks.enter),
        *(webhooks.settle, secrets.secret, pruning.prune, pruning.forget_notices),
    }
    for module in (approvals, leases, pruning, recovery, runs, secrets, sessions, tokens, webhooks):
        for name, found in vars(module).items():
            function = getattr(found, "__wrapped__", None)
            if function is None or function.__module__ != module.__name__ or not _writes(found):
                continue
            assert (function in WORDY) != (found in wordless), f"{name}: does it write what somebody said?"


def _writes(operation: Any) -> bool:
    made = operation.__closure__
    return any(cell.cell_contents is True for cell in made)


def test_every_logger_is_guarded_also_one_that_is_made_later() -> None:
    sources = Path(sessionry.__file__).parent.rglob("*.py")
    used = {name for path in sources for name in re.findall(r'getLogger\("(.*?)"\)', path.read_text("utf-8"))}
    assert "sessionry.dispatch" in used
    assert used <= {*LOGGERS}


def test_no_secret_gets_into_a_log(caplog: pytest.LogCaptureFixture) -> None:
    guard_logs(Redactor([VALUE]))
    log = logging.getLogger("sessionry.worker")
    try:
        raise ValueError(f"bad {KEY}")
    except ValueError:
        log.warning("could not use %s and %s", KEY, VALUE, exc_info=True)
    assert KEY not in caplog.text
    assert VALUE not in caplog.text
    assert f"could not use {SHOWN} and [redacted:known_value]" in caplog.text
    assert "ValueError" in caplog.text


async def test_a_secret_that_is_cut_off_is_none_less(opened: Sessions) -> None:
    session = await opened.create("fails_at_length")
    run = await session.run("x")
    await until(lambda: _ended(run))
    kept = await everything(opened, session)
    assert VALUE[:12] not in kept
    assert "[redacted:known_value]" in kept


async def _ended(run: sessionry.RunHandle) -> bool:
    return (await run.get()).ended


def test_a_text_that_goes_on_is_watched_however_many_others_begin() -> None:
    speech = Speech(Redactor([VALUE]))

    def heard(text: str, message_id: str) -> list[ev.EventData]:
        return speech.heard(ev.MessageStreamed(text=text, message_id=message_id))

    told = heard(VALUE[:9], "first")
    for number in range(MOST_OPEN - 1):
        told += heard("s", str(number))
    told += [*heard(VALUE[9:12], "first"), *heard("s", "another"), *heard(VALUE[12:], "first"), *speech.rest()]
    pieces = [data for data in told if isinstance(data, ev.MessageStreamed) and data.message_id == "first"]
    assert [data.text for data in pieces] == ["[redacted:known_value]"]
