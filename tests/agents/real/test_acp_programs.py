"""Programs of the presets that are not there, speak another version of the protocol, or are not logged in."""

from __future__ import annotations

import pytest

from sessionry.agents.acp import PRESETS, AcpAgent
from sessionry.agents.discovery import KNOWN
from sessionry.domain import events as ev
from tests.agents.acp.player import spy
from tests.agents.real.acp import NAMES, data, kept, log_of
from tests.agents.real.conftest import Golden, OpenSessions
from tests.agents.real.hermetic import Hermetic
from tests.agents.real.npm import installed


async def played(agent: AcpAgent, hermetic: Hermetic, sessions: OpenSessions) -> list[ev.Event]:
    async with sessions({"acp": agent}) as opened:
        session = await opened.create("acp", cwd=hermetic.work)
        return await log_of(await session.run("hello"))


@pytest.mark.parametrize("name", NAMES)
async def test_a_missing_program_is_named_with_what_installs_it(
    name: str, hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    missing = str(hermetic.home / f"no-{name}")
    events = await played(AcpAgent(preset=name, command=missing), hermetic, sessions)
    (failed,) = data(events, ev.RunFailed)
    assert failed.error.code == "command_not_found"
    assert missing in failed.error.message
    assert str(PRESETS[name].install) in failed.error.message
    golden(f"acp-{name}/program_missing", kept(events))


@pytest.mark.parametrize("name", NAMES)
async def test_a_program_of_another_version_of_the_protocol_is_not_spoken_with(
    name: str, hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    program = spy(hermetic.home, name, {"version": 2})
    events = await played(AcpAgent(preset=name, command=str(program)), hermetic, sessions)
    (failed,) = data(events, ev.RunFailed)
    assert (failed.error.code, failed.error.retryable) == ("protocol", False)
    assert failed.error.details == {"version": 2, "wanted": 1}
    assert not data(events, ev.AgentSessionLinked)
    golden(f"acp-{name}/version_other", kept(events))


@pytest.mark.slow
async def test_copilot_without_a_login_says_how_to_log_in(
    hermetic: Hermetic, sessions: OpenSessions, golden: Golden
) -> None:
    agent = AcpAgent(preset="copilot", command=str(installed("copilot")), env=hermetic.env(COPILOT_AUTO_UPDATE="false"))
    events = await played(agent, hermetic, sessions)
    (failed,) = data(events, ev.RunFailed)
    assert (failed.error.code, failed.error.retryable) == ("auth", False)
    assert failed.error.message == f"Authentication required; {KNOWN['copilot'].login}"
    golden("acp-copilot/no_login", kept(events))
