"""An etcd that is put back to an older copy under a running operator: it ends, and its next start mends the rest."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agentex_dev.controlplane import ControlPlane
from agentex_dev.programs import Programs
from agentex_simulator import Settings, SimulatorThread
from agentex_testkit import builders, ledger
from agentex_testkit.api_server import eventually, ready
from agentex_testkit.cluster_fixture import TIME_SCALE
from agentex_testkit.clusters import ClusterUnderTest
from agentex_testkit.installation import Installation, installed
from agentex_testkit.operator_process import Operator

TEAM = "restored"
DETECTION = 60.0  # seconds: two intervals of the check


@pytest.fixture(scope="module")
def plane(programs: Programs) -> Iterator[ControlPlane]:
    with ControlPlane(programs) as plane:
        yield plane


@pytest.fixture(scope="module")
def installation(plane: ControlPlane) -> Iterator[Installation]:
    cluster = ClusterUnderTest(plane.admin_kubeconfig, plane.folder, plane)
    with installed(cluster) as found:
        cluster.kubectl("create", "namespace", TEAM)
        yield found


@pytest.fixture
def operator(installation: Installation) -> Iterator[Operator]:
    operator = Operator(installation.kubeconfig, (TEAM,), installation.cluster.workspace)
    try:
        yield operator
    finally:
        operator.end()


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread(Settings(time_scale=TIME_SCALE)) as simulator:
        yield simulator


@contextmanager
def stopped(plane: ControlPlane) -> Iterator[Path]:
    """The folder of etcd's data, with etcd and the API server stopped; both start again afterwards."""
    plane.halt_apiserver()
    plane.halt_etcd()
    yield plane.folder / "etcd"
    plane.etcd.start()
    plane.resume_apiserver()


def test_the_operator_ends_and_its_next_start_adopts_what_is_remote(
    plane: ControlPlane, installation: Installation, operator: Operator, simulator: SimulatorThread, tmp_path: Path
) -> None:
    api = installation.api
    operator.start()
    api.apply(builders.a_secret(), TEAM)
    api.apply(builders.an_account(simulator.url), TEAM)
    eventually(lambda: api.get("AgentexAccount", "default", TEAM), ready, 60)
    api.apply(builders.a_context(), TEAM)
    build = api.apply(builders.a_build(suspend=True), TEAM)
    with stopped(plane) as data:
        shutil.copytree(data, tmp_path / "copy")
    api.patch("AgentBuild", "quote", {"spec": {"suspend": False}}, TEAM)
    eventually(lambda: api.get("AgentBuild", "quote", TEAM), ready, 60)

    with stopped(plane) as data:
        shutil.rmtree(data)
        shutil.copytree(tmp_path / "copy", data)
    assert operator.wait_for_its_end(DETECTION) == 1
    assert "restored from an older copy" in operator.log

    api.patch("AgentBuild", "quote", {"spec": {"suspend": False}}, TEAM)
    operator.start()
    eventually(lambda: api.get("AgentBuild", "quote", TEAM), ready, 60)
    owner = ledger.Tracked("AgentBuild", "quote", build["metadata"]["uid"]).owner(installation.uid)
    assert len(ledger.created(simulator, owner)) == 1
