"""The stores that ship, each empty and open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sessionry.ports import Store
from sessionry.store.open import open_store
from tests.store.jobs import assert_heads_have_jobs


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    match request.param:
        case "memory":
            return "memory://"
        case "sqlite":
            return f"sqlite:///{tmp_path / 'store.db'}"
        case _:
            url: str = request.getfixturevalue("postgres_url")
            return url


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    opened = await open_store(store_url)
    yield opened
    await opened.close()
    if store_url.startswith("postgres"):
        assert_heads_have_jobs(store_url)
