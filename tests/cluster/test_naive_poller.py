"""The naive poller, which benchmarks compare the operator with, does its work on a real API server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.implementations import ITEM, NAIVE_PROGRAM

from agentex_dev.parts import Part
from agentex_simulator import Settings, SimulatorThread
from agentex_testkit.api_server import ApiServer, Object, eventually, ready
from agentex_testkit.builders import a_build, a_context, a_secret, an_account
from agentex_testkit.installation import Installation

BUILDS = 6
AGENTS = 2  # an agent has several builds, and a name can be taken once


@contextmanager
def polling(installation: Installation, namespace: str, log: Path) -> Iterator[None]:
    flags = (f"--kubeconfig={installation.kubeconfig}", f"--namespace={namespace}")
    part = Part("naive-poller", [sys.executable, str(NAIVE_PROGRAM), *flags], log)
    part.start()
    try:
        yield
    finally:
        part.end()


def apply_all(api: ApiServer, namespace: str, endpoint: str) -> None:
    agents = [f"agent-{number}" for number in range(AGENTS)]
    builds = [{**a_build(agents[number % AGENTS]), "metadata": {"name": f"build-{number}"}} for number in range(BUILDS)]
    for obj in (a_secret(), an_account(endpoint), *map(a_context, agents), *builds):
        api.apply(obj, namespace)


def versions(found: list[Object]) -> dict[str, str]:
    return {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in found}


def creates(simulator: SimulatorThread) -> int:
    return sum((one["verb"], one["kind"]) == ("create", "build") for one in simulator.ledger())


def builds_read(simulator: SimulatorThread) -> set[str]:
    return {one["path"] for one in simulator.calls() if (one["method"], one["template"]) == ("GET", ITEM)}


def test_it_makes_each_build_once_reads_it_by_its_id_and_creates_none_after_a_restart(
    installation: Installation, namespace: str, tmp_path: Path
) -> None:
    api = installation.api
    with SimulatorThread(Settings(time_scale=60)) as simulator:
        apply_all(api, namespace, simulator.url)
        with polling(installation, namespace, tmp_path / "log"):
            eventually(lambda: api.list("AgentBuild", namespace), lambda found: all(map(ready, found)))
        before, read_before = versions(api.list("AgentBuild", namespace)), len(simulator.calls())
        with polling(installation, namespace, tmp_path / "log"):
            eventually(lambda: len(simulator.calls()) - read_before, lambda calls: calls >= BUILDS)

        assert creates(simulator) == BUILDS
        assert len(builds_read(simulator)) == BUILDS
        assert versions(api.list("AgentBuild", namespace)) == before
