"""CRDs that are deleted under a running operator, missing at its start, or older than the operator.

The operator process goes on in each case: it is not ready, says why, and all heals when the CRD is there again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from agentex_dev import demo_access
from agentex_dev.controlplane import ControlPlane
from agentex_dev.programs import Programs
from agentex_simulator import Settings, SimulatorThread
from agentex_testkit import builders, ledger
from agentex_testkit.api_server import OURS_ARE_SERVED, Object, condition, eventually, gone, ready, says
from agentex_testkit.cluster_fixture import TIME_SCALE
from agentex_testkit.clusters import ClusterUnderTest
from agentex_testkit.installation import Installation, installed
from agentex_testkit.operator_process import Operator

TEAM = "undefined"
NOTICED = 30.0  # seconds: the interval of the check, and a start of the operator
INSTALL = "kubectl apply --server-side -f crds/"
KINDS = ("AgentBuild", "AgentDeployment", "AgentexAccount", "ClusterAgentexAccount")


class Cluster:
    """A control plane of its own, because its CRDs come and go; `operator` runs on it."""

    def __init__(self, installation: Installation, operator: Operator, simulator: SimulatorThread) -> None:
        self.installation, self.operator, self.simulator = installation, operator, simulator
        self.api = installation.api

    def account(self) -> None:
        self.api.apply(builders.a_secret(), TEAM)
        self.api.apply(builders.an_account(self.simulator.url), TEAM)
        self.wait("AgentexAccount", "default")

    def apply(self, *objects: Object) -> None:
        for obj in objects:
            self.api.apply(obj, TEAM)

    def wait(self, kind: str, name: str, until: Any = ready) -> Object:
        found: Object = eventually(lambda: self.api.get(kind, name, TEAM), until, 60)
        return found

    def delete_crd(self, kind: str, *, wait: bool = True) -> None:
        name = f"{kind.lower()}s.agentex.scale.com"
        self.installation.cluster.kubectl("delete", "crd", name, f"--wait={wait}".lower(), "--timeout=60s")

    def install(self) -> None:
        kubectl = self.installation.cluster.kubectl
        kubectl("apply", "--server-side", "--force-conflicts", "-f", str(demo_access.CRDS))
        kubectl("wait", "--for=condition=Established", "-f", str(demo_access.CRDS), "--timeout=60s")
        eventually(lambda: [self.api.http.get(path).status_code for path in OURS_ARE_SERVED],
                   lambda seen: set(seen) == {200})

    def install_older(self, kind: str, *path: str) -> None:
        """The CRD of a kind as an older version had it: without the field of the status at this path."""
        crd = yaml.safe_load((demo_access.CRDS / f"agentex.scale.com_{kind.lower()}s.yaml").read_text())
        (version,) = crd["spec"]["versions"]
        schema = version["schema"]["openAPIV3Schema"]["properties"]["status"]
        for name in path[:-1]:
            schema = schema["properties"][name]
        del schema["properties"][path[-1]]
        del version["selectableFields"]
        kubectl = self.installation.cluster.kubectl
        kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=json.dumps(crd))

    def not_ready(self, *words: str) -> None:
        """Wait until /readyz is 503 for no other reason than CRDs, and its text has the words and the next step."""
        told = (*words, INSTALL)
        eventually(self.operator.readiness, lambda it: it[0] == 503 and all(word in it[1] for word in told)
                   and it[1].startswith("CRDs:"), NOTICED)

    def is_ready(self) -> None:
        eventually(self.operator.readiness, lambda it: it == (200, "ok\n"), NOTICED)

    def owner(self, kind: str, name: str = "quote") -> str:
        obj = self.api.get(kind, name, TEAM)
        assert obj is not None
        return ledger.Tracked(kind, name, obj["metadata"]["uid"]).owner(self.installation.uid)

    def living(self, owner: str) -> list[str]:
        return [one["id"] for one in ledger.remotes(self.simulator, owner) if ledger.is_alive(one)]

    def created(self, owner: str) -> int:
        return len(ledger.created(self.simulator, owner))

    def said(self, words: str) -> int:
        """How many lines of the log have these words."""
        return sum(words in line for line in self.operator.log.splitlines())


@pytest.fixture(scope="module")
def installation(programs: Programs) -> Iterator[Installation]:
    with ControlPlane(programs) as plane, installed(
            ClusterUnderTest(plane.admin_kubeconfig, plane.folder, plane)) as found:
        found.cluster.kubectl("create", "namespace", TEAM)
        yield found


@pytest.fixture
def cluster(installation: Installation) -> Iterator[Cluster]:
    """All CRDs are installed, and no resource is there; the operator does not run yet."""
    operator = Operator(installation.kubeconfig, (TEAM,), installation.cluster.workspace)
    with SimulatorThread(Settings(time_scale=TIME_SCALE)) as simulator:
        found = Cluster(installation, operator, simulator)
        found.install()
        try:
            yield found
        finally:
            operator.end()
            found.install()
            for kind in KINDS:
                for obj in found.api.list(kind, TEAM if kind != "ClusterAgentexAccount" else None):
                    found.api.patch(kind, obj["metadata"]["name"], {"metadata": {"finalizers": None}}, TEAM)
                    found.api.delete(kind, obj["metadata"]["name"], TEAM)


def test_the_operator_goes_on_without_a_kind_that_nothing_needs(cluster: Cluster) -> None:
    cluster.operator.start()
    cluster.account()
    cluster.apply(builders.an_image())
    cluster.wait("AgentBuild", "quote")

    cluster.delete_crd("ClusterAgentexAccount")
    cluster.not_ready("ClusterAgentexAccount")
    cluster.apply(builders.an_image("second", accountRef={"name": "default"}), builders.a_deployment())
    cluster.wait("AgentBuild", "second")
    cluster.wait("AgentDeployment", "quote")

    assert cluster.operator.running
    assert cluster.said("does not serve the kind ClusterAgentexAccount") == 1
    cluster.install()
    cluster.is_ready()
    cluster.wait("AgentBuild", "quote")
    assert [cluster.created(cluster.owner("AgentBuild", name)) for name in ("quote", "second")] == [1, 1]
    assert cluster.created(cluster.owner("AgentDeployment")) == 1


def test_resources_survive_the_crd_of_their_account(cluster: Cluster) -> None:
    cluster.operator.start()
    cluster.account()
    cluster.apply(builders.an_image(), builders.a_deployment())
    cluster.wait("AgentDeployment", "quote")
    owners = [cluster.owner("AgentBuild"), cluster.owner("AgentDeployment")]
    living = [cluster.living(owner) for owner in owners]

    cluster.delete_crd("AgentexAccount", wait=False)
    held = cluster.wait("AgentexAccount", "default", says("Ready", "False", "Deleting"))
    assert "Held by 1 AgentBuild and 1 AgentDeployment" in condition(held, "Ready")["message"]
    cluster.wait("AgentBuild", "quote", says("Ready", "False", "AccountDeleting"))
    cluster.api.patch("AgentexAccount", "default", {"metadata": {"finalizers": None}}, TEAM)
    cluster.not_ready("AgentexAccount")
    for kind in ("AgentBuild", "AgentDeployment"):
        told = cluster.wait(kind, "quote", says("Ready", "False", "CRDMissing"))
        assert INSTALL in condition(told, "Ready")["message"]

    cluster.install()
    cluster.is_ready()
    cluster.account()
    for kind in ("AgentBuild", "AgentDeployment"):
        cluster.wait(kind, "quote")
    assert cluster.operator.running
    assert [cluster.living(owner) for owner in owners] == living
    assert [cluster.created(owner) for owner in owners] == [1, 1]


@pytest.mark.parametrize("kind", ["AgentBuild", "AgentDeployment"])
def test_the_crd_of_a_resource_takes_with_it_what_the_resource_made(cluster: Cluster, kind: str) -> None:
    """As `docs/operations.md` says: a CRD that is deleted deletes its resources, each as if it were deleted itself."""
    cluster.operator.start()
    cluster.account()
    cluster.apply(builders.an_image(), builders.a_deployment(), builders.an_image("kept"),
                  builders.a_deployment("kept", deletionPolicy="Orphan"))
    cluster.wait("AgentDeployment", "quote")
    cluster.wait("AgentDeployment", "kept")
    owner, kept = cluster.owner("AgentDeployment"), cluster.owner("AgentDeployment", "kept")

    cluster.delete_crd(kind)
    cluster.not_ready(kind)
    if kind == "AgentDeployment":
        assert cluster.living(owner) == []
    else:
        cluster.apply(builders.a_deployment("later", buildRef={"name": "later"}))
        told = cluster.wait("AgentDeployment", "later", says("Ready", "False", "CRDMissing"))
        assert INSTALL in condition(told, "Ready")["message"]
        assert len(cluster.living(owner)) == 1
    assert len(cluster.living(kept)) == 1

    cluster.install()
    cluster.is_ready()
    cluster.apply(builders.an_image("later"), builders.a_deployment("later", buildRef={"name": "later"}))
    cluster.wait("AgentDeployment", "later")
    assert cluster.created(cluster.owner("AgentDeployment", "later")) == 1
    assert cluster.created(owner) == 1


@pytest.mark.parametrize("kinds", [(kind,) for kind in KINDS] + [KINDS], ids=" and ".join)
def test_an_operator_that_starts_without_a_kind_is_complete_when_the_kind_comes(
    cluster: Cluster, kinds: tuple[str, ...]
) -> None:
    for kind in kinds:
        cluster.delete_crd(kind)
    cluster.operator.start_unready()
    cluster.not_ready(*kinds)
    if "AgentBuild" not in kinds:
        cluster.apply(builders.an_image())
    if "AgentexAccount" in kinds and "AgentBuild" not in kinds:
        cluster.wait("AgentBuild", "quote", says("Ready", "False", "CRDMissing"))

    cluster.install()
    cluster.is_ready()
    cluster.account()
    cluster.apply(builders.an_image(), builders.a_deployment())
    cluster.wait("AgentDeployment", "quote")

    assert cluster.operator.running
    assert all(cluster.said(f"does not serve the kind {kind}:") == 1 for kind in kinds)
    assert cluster.created(cluster.owner("AgentBuild")) == 1


def test_nothing_is_created_while_a_crd_is_older_than_the_operator(cluster: Cluster) -> None:
    cluster.install_older("AgentBuild", "operator", "pendingCreate")
    cluster.operator.start_unready()
    cluster.not_ready("AgentBuild", "status.operator.pendingCreate")
    cluster.account()
    cluster.apply(builders.an_image())
    told = cluster.wait("AgentBuild", "quote", says("Ready", "False", "CRDOutdated"))
    assert INSTALL in condition(told, "Ready")["message"]
    owner = cluster.owner("AgentBuild")
    assert cluster.created(owner) == 0

    cluster.install()
    cluster.is_ready()
    cluster.wait("AgentBuild", "quote")
    assert cluster.created(owner) == 1


def test_nothing_is_made_twice_when_an_older_crd_is_applied_under_a_running_operator(cluster: Cluster) -> None:
    cluster.operator.start()
    cluster.account()
    cluster.install_older("AgentBuild", "buildID")
    cluster.apply(builders.an_image())
    cluster.wait("AgentBuild", "quote", says("Ready", "False", "CRDOutdated"))
    cluster.not_ready("status.buildID")

    cluster.install()
    cluster.is_ready()
    cluster.wait("AgentBuild", "quote")
    assert cluster.created(cluster.owner("AgentBuild")) == 1


@pytest.mark.parametrize("after", [0, 0.5, 1, 1.5, 2, 2.5])
def test_an_operator_stops_at_sigterm_while_it_starts_anew(cluster: Cluster, after: float) -> None:
    """`after`: seconds from the moment when the vanished CRD is known; it has started anew 2 s later."""
    cluster.operator.start()
    cluster.delete_crd("ClusterAgentexAccount")
    cluster.not_ready("ClusterAgentexAccount")
    time.sleep(after)

    assert cluster.operator.stop() == 0
    assert gone(cluster.api.get("AgentexAccount", "default", TEAM))
