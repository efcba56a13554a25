"""The contract of stores, as a suite of tests that anybody can run over a store of their own.

    # conftest.py
    @pytest_asyncio.fixture
    async def store():
        store = await MyStore.open(...)          # empty for every test
        yield store
        await store.close()

    # test_my_store.py
    from sessionry.testing import store_contract

    class TestSessions(store_contract.SessionContract):
        pass                                     # and so on, for each class in `CONTRACTS`

Every test ends with `check_log` on each session it made: see there for what is true of every log, whatever happened to it.
"""

from __future__ import annotations

from sessionry.testing.store_contract.approvals import ApprovalContract
from sessionry.testing.store_contract.continuity import ContinuityContract
from sessionry.testing.store_contract.idempotency import IdempotencyContract
from sessionry.testing.store_contract.invariants import check_log, read_log
from sessionry.testing.store_contract.isolation import IsolationContract
from sessionry.testing.store_contract.leases import AppendContract, BeginContract, FinishContract
from sessionry.testing.store_contract.listing import ListingContract
from sessionry.testing.store_contract.pruning import PruningContract
from sessionry.testing.store_contract.queue import QueueContract
from sessionry.testing.store_contract.reading import ReadingContract
from sessionry.testing.store_contract.recovery import DeadlineContract, TakeoverContract, WorkerContract
from sessionry.testing.store_contract.scenario import Claim, Contract, Scenario
from sessionry.testing.store_contract.sessions import SessionContract
from sessionry.testing.store_contract.tokens import TokenContract
from sessionry.testing.store_contract.usage import UsageContract
from sessionry.testing.store_contract.values import ValuesContract
from sessionry.testing.store_contract.webhooks import WebhookContract

#: All of them, in the order in which a new store is best made to pass them.
CONTRACTS: tuple[type[Contract], ...] = (
    SessionContract,
    QueueContract,
    BeginContract,
    AppendContract,
    FinishContract,
    ReadingContract,
    ListingContract,
    ApprovalContract,
    TakeoverContract,
    DeadlineContract,
    WorkerContract,
    IdempotencyContract,
    IsolationContract,
    ValuesContract,
    PruningContract,
    ContinuityContract,
    TokenContract,
    UsageContract,
    WebhookContract,
)

__all__ = [
    "CONTRACTS",
    "AppendContract",
    "ApprovalContract",
    "BeginContract",
    "Claim",
    "ContinuityContract",
    "Contract",
    "DeadlineContract",
    "FinishContract",
    "IdempotencyContract",
    "IsolationContract",
    "ListingContract",
    "PruningContract",
    "QueueContract",
    "ReadingContract",
    "Scenario",
    "SessionContract",
    "TakeoverContract",
    "TokenContract",
    "UsageContract",
    "ValuesContract",
    "WebhookContract",
    "WorkerContract",
    "check_log",
    "read_log",
]
