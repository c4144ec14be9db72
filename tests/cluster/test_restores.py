"""A backup that is restored on a real API server: the resource has a new uid, and takes its remote object over."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from agentex_testkit import builders
from agentex_testkit.api_server import Object, gone, ready, remembered, stalled
from agentex_testkit.cluster_fixture import ClusterFixture
from agentex_testkit.clusters import ClusterUnderTest
from agentex_testkit.ledger import REMOTE

WANTED = ("apiVersion", "kind", "metadata", "spec")
MEMBER = {"AgentBuild": "buildID", "AgentDeployment": "deploymentID"}


def a_resource(kind: str, name: str) -> Object:
    made = builders.an_image(name) if kind == "AgentBuild" else builders.a_deployment("agent", deletionPolicy="Delete")
    return {**made, "metadata": {"name": name}}


def backed_up(world: ClusterFixture, kind: str, name: str) -> Object:
    """The resource, Ready, as a backup has it."""
    if kind == "AgentDeployment":
        world.apply(builders.an_image("agent"))
        world.wait("AgentBuild", "agent")
    world.apply(a_resource(kind, name))
    return world.wait(kind, name)


def lose(world: ClusterFixture, kind: str, name: str) -> None:
    """Delete it by force: the finalizer is taken away, and the remote object stays."""
    world.leaves_behind(kind, name)
    world.operator.kill()
    world.patch(kind, name, metadata={"finalizers": None})
    world.delete(kind, name)
    world.wait(kind, name, gone)


def remotes(world: ClusterFixture, kind: str) -> list[str]:
    """The ids of all remote objects of the kind in the account, whoever made them."""
    return [one["id"] for one in world.simulator.state()[f"{REMOTE[kind]}s"]]


def with_its_status(cluster: ClusterUnderTest, world: ClusterFixture, backup: Object) -> None:
    """Create it, and write the status back, as `velero restore --status-include-resources` does."""
    kind, name = backup["kind"], backup["metadata"]["name"]
    world.apply(a_resource(kind, name))
    cluster.kubectl("patch", kind, name, "-n", world.namespace, "--subresource=status", "--type=merge",
                    f"--patch={json.dumps({'status': backup['status']})}")


def with_spec_adopt(_cluster: ClusterUnderTest, world: ClusterFixture, backup: Object) -> None:
    """Create it without a status, and name the remote object."""
    kind, name = backup["kind"], backup["metadata"]["name"]
    wish = a_resource(kind, name)
    adopt = {MEMBER[kind]: backup["status"][MEMBER[kind]]}
    world.apply({**wish, "spec": {**wish["spec"], "adopt": adopt}})


@pytest.mark.parametrize("restore", [with_its_status, with_spec_adopt])
@pytest.mark.parametrize("kind", MEMBER)
def test_a_restored_resource_takes_its_object_over(
    cluster: ClusterUnderTest, world: ClusterFixture, kind: str,
    restore: Callable[[ClusterUnderTest, ClusterFixture, Object], None],
) -> None:
    backup = backed_up(world, kind, "quote")
    before = remotes(world, kind)
    lose(world, kind, "quote")
    restore(cluster, world, backup)
    world.explain(kind, "quote", creates=0)
    world.inherits(kind, "quote", backup["status"][MEMBER[kind]])
    world.operator.start()

    found = world.wait(
        kind, "quote", lambda obj: ready(obj) and remembered(obj["status"]).get("writtenFor") == uid(obj))

    assert uid(found) != uid(backup)
    assert (found["status"][MEMBER[kind]], remotes(world, kind)) == (backup["status"][MEMBER[kind]], before)


def test_a_copy_beside_the_living_resource_is_refused(cluster: ClusterUnderTest, world: ClusterFixture) -> None:
    backup = backed_up(world, "AgentDeployment", "quote")
    copy = {**backup, "metadata": {"name": "copy"}}
    with_spec_adopt(cluster, world, copy)
    world.explain("AgentDeployment", "copy", creates=0)

    world.wait("AgentDeployment", "copy", stalled("AdoptionTargetHeld"))
    world.remove("AgentDeployment", "copy")

    assert [one["status"] for one in world.simulator.state()["deployments"]] == ["healthy"]


def uid(obj: Object) -> str:
    return str(obj["metadata"]["uid"])
