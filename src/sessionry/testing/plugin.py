"""The pytest plugin of Sessionry: what tests of stores and agents need, offered as fixtures."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("sessionry.testing.store_contract", "sessionry.testing.agent_contract")
