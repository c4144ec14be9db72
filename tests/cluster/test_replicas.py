"""Two operators, one of which knows less than the other: what it remembers undoes nothing that is on record.

A second replica, or the next leader beside one that wakes up late, may have read a ConfigMap a moment ago, or be behind
with the watch of one kind, when the other's write arrives.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agentex_operator.reconcile.engine import Engine
from agentex_testkit.api_server import Object, handled, ready, remembered
from agentex_testkit.builders import DOCKERFILE, ENVIRONMENTS, a_build, a_context, a_deployment, an_image, from_build
from agentex_testkit.clocks import HandClock
from agentex_testkit.cluster_fixture import ClusterFixture
from agentex_testkit.embedded_operator import operator_without_watch
from agentex_testkit.installation import Installation

OTHER = f"{DOCKERFILE}RUN other\n"


@asynccontextmanager
async def behind(installation: Installation, world: ClusterFixture, folder: Path) -> AsyncIterator[Engine]:
    """An operator that knows what is there now, has no watch, and believes each ConfigMap it has read for ever."""
    world.operator.stop()
    async with operator_without_watch(installation.kubeconfig, world.namespace, folder, HandClock(0.0)) as engine:
        yield engine


async def done(act: Callable[..., Any], *told: Any) -> Any:
    """Have this done while the operator beside us works."""
    return await asyncio.to_thread(act, *told)


def by_the_other(world: ClusterFixture, changed: Object, *kinds: str) -> None:
    """The other operator brings this about for the resources of these kinds, to the end, and leaves."""
    before = {kind: digest_of(world.status(kind, "quote")) for kind in kinds}
    world.apply(changed)
    world.operator.start()
    for kind, digest in before.items():
        world.wait(kind, "quote", became_another(digest))
    world.operator.stop()


def became_another(digest: str) -> Callable[[Object | None], bool]:
    """Whether it is Ready with another digest than this one."""
    return lambda obj: ready(obj) and digest_of(obj["status"]) != digest


def digest_of(status: Object) -> str:
    return str(status.get("inputsDigest") or remembered(status)["configurationDigest"])


async def shown(engine: Engine, world: ClusterFixture, kind: str, name: str) -> None:
    """Show it this object as it is now, and nothing else; return when it has said all it has to say."""
    asked = str(time.time_ns())
    await done(lambda: world.annotate(kind, name, reconcile_requested_at=asked))
    engine.observe(kind, "MODIFIED", await done(world.get, kind, name))
    await done(world.wait, kind, name, lambda obj: ready(obj) and handled(asked)(obj))


async def test_a_context_read_before_the_other_built_its_successor_is_not_built_again(
    installation: Installation, world: ClusterFixture, tmp_path: Path
) -> None:
    await done(world.apply, a_context(), a_build())
    async with behind(installation, world, tmp_path) as engine:
        await done(world.wait, "AgentBuild", "quote")
        await shown(engine, world, "AgentBuild", "quote")
        await done(by_the_other, world, a_context(dockerfile=OTHER), "AgentBuild")

        await shown(engine, world, "AgentBuild", "quote")

    assert world.creates("AgentBuild", "quote") == 2
    world.explain("AgentBuild", "quote", creates=2)
    world.operator.start()


async def test_environments_read_before_the_other_rolled_out_their_successors_are_not_rolled_out_again(
    installation: Installation, world: ClusterFixture, tmp_path: Path
) -> None:
    named = {"configMapKeyRef": {"name": "quote", "key": "environments.yaml"}}
    other = {**a_context(), "data": {"environments.yaml": f"{ENVIRONMENTS}# other\n"}}
    await done(world.apply, a_context(), an_image(), a_deployment(environments=named))
    await done(world.wait, "AgentBuild", "quote")
    async with behind(installation, world, tmp_path) as engine:
        await done(world.wait, "AgentDeployment", "quote")
        await shown(engine, world, "AgentDeployment", "quote")
        await done(by_the_other, world, other, "AgentDeployment")

        await shown(engine, world, "AgentDeployment", "quote")

    assert world.creates("AgentDeployment", "quote") == 2
    world.explain("AgentDeployment", "quote", creates=2)
    world.operator.start()


async def test_a_build_seen_before_the_other_deployed_its_successor_is_not_deployed_again(
    installation: Installation, world: ClusterFixture, tmp_path: Path
) -> None:
    await done(world.apply, a_context(), a_build(), from_build())
    async with behind(installation, world, tmp_path) as engine:
        await done(world.wait, "AgentDeployment", "quote")
        await shown(engine, world, "AgentDeployment", "quote")
        await done(by_the_other, world, a_context(dockerfile=OTHER), "AgentBuild", "AgentDeployment")

        await shown(engine, world, "AgentDeployment", "quote")

    assert (world.creates("AgentBuild", "quote"), world.creates("AgentDeployment", "quote")) == (2, 2)
    world.explain("AgentBuild", "quote", creates=2)
    world.explain("AgentDeployment", "quote", creates=2)
    world.operator.start()
