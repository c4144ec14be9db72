"""Fixtures: what an administrator installs, and a world to test in (the parts are in agentex_testkit).

- `world`         a ClusterFixture of this test alone, with an account `default`; judged at the end of the test
- `shared`        the ClusterFixture of the whole module: cheap; use names of your own in it; judged after each test
- `make_world`    for worlds with other settings: `make_world(time_scale=1, flags=("--resync=1m",))`
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from agentex_testkit.cluster_fixture import ClusterFixture, opened
from agentex_testkit.clusters import ClusterUnderTest
from agentex_testkit.installation import Installation, installed

FAILED = pytest.StashKey[bool]()
MakeWorld = Callable[..., ClusterFixture]
Reporting = Generator[None, pytest.TestReport, pytest.TestReport]


@pytest.fixture(scope="session")
def installation(cluster: ClusterUnderTest) -> Iterator[Installation]:
    """What an administrator installs before the operator starts."""
    with installed(cluster) as found:
        yield found


@contextmanager
def _judged(world: ClusterFixture, request: pytest.FixtureRequest) -> Iterator[None]:
    """The judge speaks at the end of a test that passed."""
    yield
    if not request.node.stash.get(FAILED, False):
        world.judge()


@pytest.fixture
def make_world(
    installation: Installation, namespace: str, request: pytest.FixtureRequest
) -> Iterator[MakeWorld]:
    """Make a world for this test alone, with settings of its own; judged at the end, then emptied."""
    with ExitStack() as stack:

        def make(**wish: Any) -> ClusterFixture:
            world = stack.enter_context(opened(installation, namespace, **wish))
            request.node.stash.setdefault(WORLDS, []).append(world)
            stack.callback(lambda: world.discard() if request.node.stash.get(FAILED, False) else world.close())
            stack.enter_context(_judged(world, request))
            return world

        yield make


@pytest.fixture
def world(make_world: MakeWorld) -> ClusterFixture:
    """A world for this test alone, with an account `default`."""
    return make_world()


@pytest.fixture(scope="module")
def module_world(installation: Installation, request: pytest.FixtureRequest) -> Iterator[ClusterFixture]:
    """The world of a whole module; tests take it as `shared`."""
    readable = re.sub(r"[^a-z0-9]+", "-", request.module.__name__.rpartition(".")[2].lower())
    name = f"{readable}-{secrets.token_hex(3)}"
    installation.cluster.kubectl("create", "namespace", name)
    try:
        with opened(installation, name, **getattr(request.module, "WORLD", {})) as world:
            yield world
            world.close()
    finally:
        installation.cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def shared(module_world: ClusterFixture, request: pytest.FixtureRequest) -> Iterator[ClusterFixture]:
    """The module's world, judged after each test; take names that no other test of the module takes."""
    request.node.stash.setdefault(WORLDS, []).append(module_world)
    module_world.tracked.clear()
    with _judged(module_world, request):
        yield module_world


# --- what a failing test shows --------------------------------------------------------------------------------------

WORLDS = pytest.StashKey[list[ClusterFixture]]()
SHOWN = 12_000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Reporting:
    """Beside a failure stand the operator's log and the resources."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
        for world in item.stash.get(WORLDS, []):
            report.sections += [("the operator's log", world.operator.log[-SHOWN:]), ("resources", _resources(world))]
    return report


def _resources(world: ClusterFixture) -> str:
    found = (one for kind in ("AgentexAccount", "AgentBuild", "AgentDeployment") for one in
             world.api.list(kind, world.namespace))
    return "\n".join(f"{one['kind']} {one['metadata']['name']}: {json.dumps(one.get('status'))}" for one in found)
