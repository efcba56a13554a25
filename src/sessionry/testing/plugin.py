"""The pytest plugin of Sessionry: fixtures for the tests of whoever uses it or plugs something into it.

`sessionry_store_url` is the URL of an empty store, `sessionry_store` that store, open. Override either in a `conftest.py`,
or name a URL on the command line with `--sessionry-store`. `model_server` is a language model that says what scripts tell
it, for tests of agents. The contract suites are `sessionry.testing.store_contract` and
`sessionry.testing.agent_contract`. Every run of pytest loads this file, so it loads nothing before it is used.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sessionry.ports import Store
    from sessionry.testing.fakellm import ModelServer

pytest.register_assert_rewrite("sessionry.testing.store_contract", "sessionry.testing.agent_contract")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("sessionry").addoption(
        "--sessionry-store",
        default="memory://",
        metavar="URL",
        help="the store of the fixture sessionry_store: memory:// (default), sqlite:///path or postgresql://...",
    )


@pytest.fixture
def sessionry_store_url(request: pytest.FixtureRequest) -> str:
    """The URL of a store for this test. It should be empty; one in memory always is."""
    url: str = request.config.getoption("--sessionry-store")
    return url


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    """A language model of this test's own, by the APIs of Anthropic, OpenAI and Google. Prompts bring their scripts."""
    from sessionry.testing.fakellm import ModelServer

    with ModelServer() as server:
        yield server


try:
    import pytest_asyncio
except ImportError:
    pass  # whoever has no use for asynchronous tests need not install it
else:

    @pytest_asyncio.fixture
    async def sessionry_store(sessionry_store_url: str) -> AsyncIterator[Store]:
        """The store of `sessionry_store_url`, open; it is closed after the test."""
        from sessionry.store.open import open_store

        store = await open_store(sessionry_store_url)
        yield store
        await store.close()
