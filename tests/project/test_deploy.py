"""The files in deploy/ say what this program understands: commands, options, variables, addresses, times."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
import yaml
from tests.cli.program import SESSIONRY

from sessionry.cli.options import span
from sessionry.cli.program import program
from sessionry.dispatch import notify, procrastinate
from sessionry.runtime import hub
from sessionry.runtime.worker import LAST_MOMENT
from sessionry.settings import SETTINGS, Settings
from sessionry.store.postgres import CONNECTIONS, PATIENCE

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
PAGE = ROOT / "docs" / "deployment.md"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
#: Seconds that a worker may take, after its grace, to end the programs of its agents and to say good-bye.
LEAVING = 15


class Started(NamedTuple):
    """A process as a file starts it. `patience`: seconds from SIGTERM to SIGKILL."""

    name: str
    words: Sequence[str]
    variables: frozenset[str]
    patience: float | None


def documents(name: str) -> list[Any]:
    return [*yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8"))]


def of_units() -> Iterator[Started]:
    settings = (DEPLOY / "systemd" / "sessionry.env").read_text(encoding="utf-8")
    for file in UNITS:
        text = file.read_text(encoding="utf-8")
        (command,) = re.findall(r"^ExecStart=\S+/sessionry (.*)$", text, re.MULTILINE)
        (patience,) = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
        variables = re.findall(r"^#? ?(SESSIONRY_\w+)=", settings, re.MULTILINE)
        yield Started(file.name, command.replace("%i", "gpu").split(), frozenset(variables), float(patience))


def of_compose() -> Iterator[Started]:
    (found,) = documents("compose.yaml")
    for name, service in found["services"].items():
        if "build" in service:
            variables = frozenset(service["environment"])
            yield Started(f"compose {name}", service["command"], variables, span(service["stop_grace_period"]))


def containers() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(pod, its container) of each deployment."""
    pods = [
        each["spec"]["template"]["spec"]
        for each in documents("kubernetes/sessionry.yaml")
        if each["kind"] == "Deployment"
    ]
    return [(pod, container) for pod in pods for container in pod["containers"]]


def of_kubernetes() -> Iterator[Started]:
    for pod, container in containers():
        variables = frozenset(variable["name"] for variable in container["env"])
        yield Started(container["name"], container["args"], variables, pod["terminationGracePeriodSeconds"])


def of_the_image() -> Iterator[Started]:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    (command,) = re.findall(r"^CMD (.*)$", text, re.MULTILINE)
    yield Started("the image", yaml.safe_load(command), frozenset(), None)


ALL = [*of_units(), *of_compose(), *of_kubernetes(), *of_the_image()]


def parsed(words: Sequence[str]) -> click.Context:
    """The command with what it is given. Raises for what it does not know."""
    name, *rest = words
    command = program.get_command(click.Context(program), name)
    assert command is not None, name
    return command.make_context(name, rest, parent=click.Context(program))


@pytest.mark.parametrize("started", ALL, ids=lambda started: started.name)
def test_it_is_started_with_what_the_program_knows(started: Started) -> None:
    assert parsed(started.words).command.name in ("serve", "worker")
    assert started.variables <= {setting.env for setting in SETTINGS}


@pytest.mark.parametrize("started", ALL, ids=lambda started: started.name)
def test_nothing_is_killed_before_its_grace_is_over(started: Started) -> None:
    context = parsed(started.words)
    if context.command.name == "worker":
        assert started.patience is not None
        assert context.params["grace"] is not None
        assert started.patience >= context.params["grace"] + LEAVING


def test_probes_ask_where_the_process_answers() -> None:
    for _, container in containers():
        given = parsed(container["args"]).params
        host, port = given["health"] if "health" in given else (given["host"], given["port"])
        assert host == "0.0.0.0", "a probe comes from outside of the container"
        ports = {named["name"]: named["containerPort"] for named in container["ports"]}
        for probe, path in (("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
            asked = container[probe]["httpGet"]
            assert (ports[asked["port"]], asked["path"]) == (port, path)


def test_what_is_kept_can_be_written_by_the_user_of_the_image() -> None:
    """A volume belongs to root unless the image has that folder, or the pod says whose it is."""
    image = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    (user,) = re.findall(r"useradd .*--uid (\d+) sessionry", image)
    (owned,) = re.findall(r"install -d -o sessionry -m 0700 (.*)$", image, re.MULTILINE)
    (found,) = documents("compose.yaml")
    mounted = [volume for service in found["services"].values() if "build" in service for volume in service["volumes"]]
    assert {volume.split(":")[1] for volume in mounted} <= set(owned.split())
    for pod, container in containers():
        assert container["volumeMounts"]
        assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsUser"] == int(user)


def test_the_scraped_port_is_that_of_the_metrics() -> None:
    (worker,) = [
        each
        for each in documents("kubernetes/sessionry.yaml")
        if each["metadata"]["name"] == "sessionry-worker" and each["kind"] == "Deployment"
    ]
    template = worker["spec"]["template"]
    health = parsed(template["spec"]["containers"][0]["args"]).params["health"]
    assert template["metadata"]["annotations"]["prometheus.io/port"] == str(health[1])


def test_every_selector_finds_its_pods() -> None:
    found = documents("kubernetes/sessionry.yaml")
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in found if each["kind"] == "Deployment"]
    for each in found:
        selector = each["spec"].get("selector")
        if selector is not None:
            assert selector.get("matchLabels", selector) in labels


def test_the_compose_file_s_own_check_asks_the_address_of_the_worker() -> None:
    (found,) = documents("compose.yaml")
    worker = found["services"]["worker"]
    _, port = parsed(worker["command"]).params["health"]
    assert f":{port}/healthz" in worker["healthcheck"]["test"][-1]
    compile(worker["healthcheck"]["test"][-1], "healthcheck", "exec")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_the_unit(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    text = unit.read_text(encoding="utf-8").replace("/opt/sessionry/bin/sessionry", SESSIONRY)
    copy = tmp_path / unit.name.replace("@.", "@gpu.")
    copy.write_text(re.sub(r"^(User|Group)=sessionry$", r"\1=root", text, flags=re.MULTILINE), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_page_shows_commands_that_there_are() -> None:
    commands = re.findall(
        r"^(?:sudo -u sessionry )?(?:/opt/sessionry/bin/)?sessionry (.+)$", PAGE.read_text(), re.MULTILINE
    )
    assert len(commands) > 3
    for command in commands:
        parsed(command.split(" #")[0].split())


def section(heading: str) -> dict[str, list[str]]:
    """The rows of the table below a heading of the page, by their first cell."""
    text = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    assert all(len(row) == 3 for row in rows)
    return {what: rest for what, *rest in rows[2:]}


def test_the_page_says_of_each_failure_what_it_does_and_how_long_that_takes() -> None:
    told = section("What each failure does")
    assert all(does and how_long for does, how_long in told.values())
    ours = Settings(store="memory://")
    for failure, said in {
        "a worker is killed": f"lease ({ours.lease:.0f} s) and less than 2 s",
        "a worker is told to leave": "gives back after `--grace`",
        "a worker cannot reach the database": f"{LAST_MOMENT} of the lease",
        "PostgreSQL restarts or fails over": f"tried again for {PATIENCE:.0f} s",
        "PostgreSQL took none from the beginning": "`store_read_only`",
        "a poke is lost": f"{max(notify.POLL, hub.POLL, procrastinate.POLL):.0f} s",
        "a wake is lost": f"{ours.sweep:.0f} s",
    }.items():
        assert said in " | ".join(told[failure]), failure


def test_the_page_counts_the_connections_of_a_process() -> None:
    (said, counted) = section("Sizes")["connections to PostgreSQL"]
    assert counted == "counted"
    assert said.startswith(f"up to {CONNECTIONS + 1} for each process, {CONNECTIONS + 2} for a worker")


def test_the_page_names_every_file() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for file in DEPLOY.rglob("*"):
        if file.is_file():
            assert f"../deploy/{file.relative_to(DEPLOY)}" in text, file
