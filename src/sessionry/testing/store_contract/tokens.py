"""Tokens: known by their hash alone, good until they expire or are revoked, and nobody else's business."""

from __future__ import annotations

from datetime import timedelta

from sessionry.domain.records import utc_now
from sessionry.domain.scope import Scope
from sessionry.domain.token import Permission, new_secret, secret_hash
from sessionry.store.operations import tokens
from sessionry.testing.store_contract.scenario import Contract, Scenario

_ANN = Scope("a", "ann")


class TokenContract(Contract):
    """Tokens: known by their hash alone, good until they expire or are revoked, and nobody else's business."""

    async def test_a_token_is_found_by_the_hash_of_its_secret(self, scenario: Scenario) -> None:
        secret = new_secret()
        made = await scenario.do(tokens.create(_ANN, "ci", [Permission.RUN], secret_hash(secret)))
        found = await scenario.do(tokens.of_hash(secret_hash(secret)))
        assert found == made
        assert found.scope == _ANN
        assert await scenario.do(tokens.of_hash(secret_hash(new_secret()))) is None

    async def test_a_revoked_token_is_good_for_nothing(self, scenario: Scenario) -> None:
        secret = new_secret()
        made = await scenario.do(tokens.create(_ANN, "ci", [Permission.ADMIN], secret_hash(secret)))
        revoked = await scenario.do(tokens.revoke(_ANN, made.id))
        assert revoked.revoked_at is not None
        assert await scenario.do(tokens.of_hash(secret_hash(secret))) is None
        assert (await scenario.do(tokens.revoke(_ANN, made.id))).revoked_at == revoked.revoked_at
        async with scenario.refused("token_not_found"):
            await scenario.store.execute(tokens.revoke(_ANN, "tok_none"))

    async def test_an_expired_token_is_good_for_nothing(self, scenario: Scenario) -> None:
        early, late = utc_now() - timedelta(hours=1), utc_now() + timedelta(hours=1)
        for expires_at, good in ((early, False), (late, True)):
            hash = secret_hash(new_secret())
            await scenario.do(tokens.create(_ANN, "ci", [Permission.READ], hash, expires_at=expires_at))
            assert (await scenario.do(tokens.of_hash(hash)) is not None) is good

    async def test_tokens_are_seen_and_revoked_in_their_scope_only(self, scenario: Scenario) -> None:
        made = await scenario.do(tokens.create(_ANN, "ci", [Permission.READ], secret_hash(new_secret())))
        for scope, sees in ((_ANN, True), (Scope("a"), True), (Scope("a", "bob"), False), (Scope("b"), False)):
            assert (made in await scenario.do(tokens.of_scope(scope))) is sees
            if not sees:
                async with scenario.refused("token_not_found"):
                    await scenario.store.execute(tokens.revoke(scope, made.id))
