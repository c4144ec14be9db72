"""A ConfigMap that resources name, changed in place on a real API server: with the chart's rights, and without one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from tests.cluster.conftest import MakeWorld

from agentex_dev import demo_access
from agentex_testkit.api_server import Object, condition
from agentex_testkit.builders import a_build, a_context
from agentex_testkit.cluster_fixture import ClusterFixture
from agentex_testkit.installation import Installation

RARELY = ("--resync=1h", "--reference-resync=1h")
OFTEN = ("--resync=1h", "--reference-resync=3s")
POLLING = "agentex-operator-polling"


def attempt(number: int) -> Callable[[Object | None], bool]:
    return lambda obj: (obj or {}).get("status", {}).get("attempt") == number


def another_context(text: str) -> Object:
    return a_context(**{"project/note.txt": text})


def change(world: ClusterFixture, text: str, second: int) -> float:
    """Change the ConfigMap in place, and see the build of this number begin; the seconds that this took."""
    world.apply(another_context(text))
    began = time.monotonic()
    world.wait("AgentBuild", "quote", attempt(second), seconds=20)
    return time.monotonic() - began


def built(world: ClusterFixture) -> None:
    world.apply(a_context(), a_build())
    world.wait("AgentBuild", "quote")


def test_with_the_rights_of_the_chart_a_change_is_acted_on_at_once(make_world: MakeWorld) -> None:
    world = make_world(flags=RARELY)
    built(world)

    took = [change(world, "second", 2)]
    world.wait("AgentBuild", "quote")
    world.delete("ConfigMap", "quote")
    world.wait("AgentBuild", "quote", lambda obj: condition(obj, "SourceReady").get("status") == "False")
    took.append(change(world, "third", 3))
    world.wait("AgentBuild", "quote")

    assert max(took) < 2  # well under a second; the machine of the tests may be busy
    world.explain("AgentBuild", "quote", creates=3)


@pytest.fixture
def without_the_watch(installation: Installation) -> str:
    """A service account with all rights of the chart but to list and watch ConfigMaps."""
    objects = [one for one in demo_access.service_account() if one["kind"] != "Namespace"]
    role = next(one for one in objects if one["kind"] == "ClusterRole")
    role["rules"] = [one for one in role["rules"] if one["resources"] != ["configmaps"] or one["verbs"] == ["get"]]
    renamed = json.dumps(objects).replace(f'"name": "{demo_access.ACCOUNT}"', f'"name": "{POLLING}"')
    installation.cluster.kubectl("apply", "-f", "-", input=json.dumps(
        {"apiVersion": "v1", "kind": "List", "items": json.loads(renamed)}))
    return POLLING


def test_without_the_right_a_change_is_found_by_polling(
        make_world: MakeWorld, installation: Installation, without_the_watch: str) -> None:
    kubeconfig = installation.cluster.service_account_kubeconfig(demo_access.NAMESPACE, without_the_watch)
    world = make_world(flags=OFTEN, kubeconfig=kubeconfig)
    built(world)

    change(world, "second", 2)
    world.wait("AgentBuild", "quote")

    assert world.operator.log.count("ConfigMaps are polled instead of watched") == 1
    world.explain("AgentBuild", "quote", creates=2)
