"""SIGKILL at every point of a create and of a removal, and answers that get lost: never twice, never lost, never stuck.

The points are exact: a proxy holds the call, before or after it takes effect, and the operator dies while it is held.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.conftest import MakeWorld

from agentex_testkit.api_server import Object, eventually, gone, ready, remembered, says
from agentex_testkit.builders import STUCK, a_build, a_context, a_deployment, a_preview, an_image
from agentex_testkit.cluster_fixture import ClusterFixture
from agentex_testkit.installation import Installation, kubeconfig_through
from agentex_testkit.proxy import Held, Point, Proxy

KINDS = ("AgentBuild", "AgentDeployment")
PLURAL = {"AgentBuild": "agentbuilds", "AgentDeployment": "agentdeployments"}
POSTS = {"AgentBuild": "/v5/builds$", "AgentDeployment": "/v5/agentex/deployments$"}


@dataclass
class Proxies:
    """One before the API server, one before Agentex; both outlive the world that uses them."""

    kube: Proxy
    kubeconfig: Path
    stack: ExitStack
    remote: list[Proxy] = field(default_factory=list)

    def front(self, url: str) -> str:
        """Stand before the simulator."""
        self.remote.append(self.stack.enter_context(Proxy(url)))
        return self.remote[-1].url


@dataclass
class Between:
    """A world whose operator speaks to everybody through our proxies."""

    world: ClusterFixture
    kube: Proxy
    remote: Proxy

    def hold_create(self, kind: str, point: Point) -> Held:
        """Hold the next POST of this kind."""
        return self.remote.hold("POST", POSTS[kind], point)

    def hold_write(self, kind: str, name: str, point: Point, what: str = "/status$") -> Held:
        """Hold the next write of this object's status, or of the object itself."""
        return self.kube.hold("PATCH", f"/{PLURAL[kind]}/{name}{what}", point)

    def crash(self, *held: Held) -> None:
        """SIGKILL while these calls are held."""
        for one in held:
            one.wait()
        self.world.operator.kill()
        for one in held:
            one.drop()


@pytest.fixture
def proxies(installation: Installation, tmp_path: Path) -> Iterator[Proxies]:
    server = installation.cluster.server
    with ExitStack() as stack:
        kube = stack.enter_context(Proxy(server.url, server.ca))
        yield Proxies(kube, kubeconfig_through(kube.url, installation, tmp_path / "kubeconfig"), stack)


@pytest.fixture
def between(proxies: Proxies, make_world: MakeWorld) -> Between:
    world = make_world(kubeconfig=proxies.kubeconfig, front=proxies.front)
    return Between(world, proxies.kube, proxies.remote[0])


def a_remote_build(world: ClusterFixture) -> str:
    """A build that somebody made before: its id."""
    with world.sdk() as sdk:
        image: dict[str, Any] = {"image_name": "made", "image_tag": "1", "image_url": "elsewhere.invalid/made:1"}
        return str(sdk.build.create(agent_name="made", **image).id)


def one_of_each(world: ClusterFixture) -> tuple[Object, ...]:
    """A build of a new agent; a production deployment of an agent that is there."""
    deployment = a_deployment("made", buildRef=None, buildID=a_remote_build(world))
    return a_context("made-here"), a_build("made-here"), deployment


NAMES = {"AgentBuild": "made-here", "AgentDeployment": "made"}


def crash_before_the_post(between: Between, objects: tuple[Object, ...]) -> None:
    posts = [between.hold_create(kind, "before") for kind in KINDS]
    between.world.apply(*objects)
    between.crash(*posts)
    assert [between.world.creates(kind, NAMES[kind]) for kind in KINDS] == [0, 0]


def crash_committed_but_unanswered(between: Between, objects: tuple[Object, ...]) -> None:
    posts = [between.hold_create(kind, "after") for kind in KINDS]
    between.world.apply(*objects)
    between.crash(*posts)
    assert [between.world.creates(kind, NAMES[kind]) for kind in KINDS] == [1, 1]
    assert all("pendingCreate" in remembered(between.world.status(kind, NAMES[kind])) for kind in KINDS)


def crash_answered_but_unrecorded(between: Between, objects: tuple[Object, ...]) -> None:
    between.crash(*answered(between, objects, "before"))
    assert all("pendingCreate" in remembered(between.world.status(kind, NAMES[kind])) for kind in KINDS)


def crash_when_recorded(between: Between, objects: tuple[Object, ...]) -> None:
    between.crash(*answered(between, objects, "after"))
    assert not any("pendingCreate" in remembered(between.world.status(kind, NAMES[kind])) for kind in KINDS)


def answered(between: Between, objects: tuple[Object, ...], record: Point) -> list[Held]:
    """Both creates are answered; the write that records the answer is to be held."""
    posts = [between.hold_create(kind, "after") for kind in KINDS]
    between.world.apply(*objects)
    for post in posts:
        post.wait()
    records = [between.hold_write(kind, NAMES[kind], record) for kind in KINDS]
    for post in posts:
        post.release()
    return records


@pytest.mark.parametrize(
    "crash",
    [crash_before_the_post, crash_committed_but_unanswered, crash_answered_but_unrecorded, crash_when_recorded],
)
def test_killed_during_a_create_it_ends_with_exactly_one_each(between: Between, crash) -> None:
    world = between.world

    crash(between, one_of_each(world))
    world.operator.start()

    for kind in KINDS:
        world.wait(kind, NAMES[kind])
        assert [one["id"] for one in world.remotes(kind, NAMES[kind])] == [remote_id(world, kind)]
        assert world.creates(kind, NAMES[kind]) == 1


def remote_id(world: ClusterFixture, kind: str) -> str:
    status = world.status(kind, NAMES[kind])
    return str(status.get("deploymentID") or status["buildID"])


def being_removed(world: ClusterFixture) -> None:
    """A build that never ends and a deployment, both on record."""
    _, _, deployment = one_of_each(world)
    world.apply(a_context("made-here", STUCK), a_build("made-here"), deployment)
    world.wait("AgentDeployment", NAMES["AgentDeployment"])
    world.wait("AgentBuild", NAMES["AgentBuild"], says("Ready", "Unknown", "Building"))


def removals(between: Between, point: Point) -> list[Held]:
    cancel, delete = "/v5/builds/[^/]+/cancel$", "/v5/agentex/deployments/[^/]+$"
    return [between.remote.hold("POST", cancel, point), between.remote.hold("DELETE", delete, point)]


def finalizers(between: Between, point: Point) -> list[Held]:
    return [between.hold_write(kind, NAMES[kind], point, "$") for kind in KINDS]


@pytest.mark.parametrize("point", ["before", "after"])
@pytest.mark.parametrize("call", [removals, finalizers])
def test_killed_during_a_removal_it_leaves_nothing(between: Between, call, point: Point) -> None:
    world = between.world
    being_removed(world)

    held = call(between, point)
    for kind in KINDS:
        world.delete(kind, NAMES[kind])
    between.crash(*held)
    world.operator.start()

    for kind in KINDS:
        world.wait(kind, NAMES[kind], gone)
        assert world.living(kind, NAMES[kind]) == []


# --- answers that get lost while it lives ---------------------------------------------------------------------------

LOST = {
    "the answer is cut off": {"kind": "commit-then-drop-response"},
    "the answer is a 500 after the commit": {"kind": "commit-then-500"},
    "the answer is cut in half": {"kind": "truncated"},
    "the connection breaks before the commit": {"kind": "drop-before-commit", "after_body": True},
}


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_a_lost_answer_to_a_create_is_looked_for_and_nothing_is_made_twice(
    world: ClusterFixture, fault: Object
) -> None:
    deployment = one_of_each(world)[2]
    for path in ("/v5/builds", "/v5/agentex/deployments"):
        script = {**fault, "match": {"method": "POST", "path": path}}
        world.simulator.fault(script.pop("kind"), **script)

    world.apply(a_context("made-here"), a_build("made-here"), deployment)

    for kind in KINDS:
        world.wait(kind, NAMES[kind])
        assert world.creates(kind, NAMES[kind]) == 1


def test_a_create_that_commits_too_late_leaves_one_preview_alive(world: ClusterFixture) -> None:
    world.apply(an_image())
    world.wait("AgentBuild", "quote")
    path = {"method": "POST", "path": "/v5/agentex/deployments"}
    world.simulator.fault("delayed-commit", match=path, delay=4)

    world.apply(a_preview())
    world.explain("AgentDeployment", "quote", unanswered=1)
    world.wait("AgentDeployment", "quote")
    eventually(lambda: world.creates("AgentDeployment", "quote"), lambda seen: seen == 2)
    eventually(lambda: len(world.living("AgentDeployment", "quote")), lambda seen: seen == 1)

    left = world.living("AgentDeployment", "quote")
    assert ready(world.wait("AgentDeployment", "quote"))
    assert [one["id"] for one in left] == [world.status("AgentDeployment", "quote")["deploymentID"]]
