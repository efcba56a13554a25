"""Every store that ships keeps the contract of stores."""

from __future__ import annotations

from sessionry.testing import store_contract as contract


class TestSessions(contract.SessionContract):
    pass


class TestQueue(contract.QueueContract):
    pass


class TestBegin(contract.BeginContract):
    pass


class TestAppend(contract.AppendContract):
    pass


class TestFinish(contract.FinishContract):
    pass


class TestApprovals(contract.ApprovalContract):
    pass


class TestTakeover(contract.TakeoverContract):
    pass


class TestDeadlines(contract.DeadlineContract):
    pass


class TestWorkers(contract.WorkerContract):
    pass


class TestIdempotency(contract.IdempotencyContract):
    pass


class TestReading(contract.ReadingContract):
    pass


class TestListing(contract.ListingContract):
    pass


class TestIsolation(contract.IsolationContract):
    pass


class TestValues(contract.ValuesContract):
    pass


class TestPruning(contract.PruningContract):
    pass


def test_no_contract_is_left_out() -> None:
    kept = {base for kind in globals().values() if isinstance(kind, type) for base in kind.__bases__}
    assert kept >= set(contract.CONTRACTS)


class TestTokens(contract.TokenContract):
    pass


class TestContinuity(contract.ContinuityContract):
    pass


class TestUsage(contract.UsageContract):
    pass


class TestWebhooks(contract.WebhookContract):
    pass
