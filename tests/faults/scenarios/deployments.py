"""What users do with AgentDeployments: apply, edit, preview, expire, delete, recreate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.faults.runner.reusable_fixture import ReusableFixture
from tests.faults.scenarios.scenario import BUILD, DEPLOYMENT, on_record, wait, written_down

from agentex_testkit.api_server import Object, condition, gone, ready, remembered, says
from agentex_testkit.builders import (
    DOCKERFILE,
    ENVIRONMENTS,
    a_build,
    a_context,
    a_deployment,
    a_manifest,
    a_preview,
)


def image_of(tag: str = "1") -> dict[str, Any]:
    """The spec of a deployment of an existing image."""
    return {"buildRef": None, "image": {"name": "quote", "tag": tag}}


def with_an_agent(world: ReusableFixture) -> str:
    """Register an image for the agent `quote` as another client; the id of the build."""
    with world.sdk() as sdk:
        made = sdk.build.create(agent_name="quote", image_name="quote", image_tag="1",
                                image_url="elsewhere.invalid/quote:1")
    return str(made.id)


def of_build(world: ReusableFixture) -> dict[str, Any]:
    """The spec of a deployment of an existing remote build."""
    return {"buildRef": None, "buildID": with_an_agent(world)}


def deployed(world: ReusableFixture) -> dict[str, Any]:
    """Apply a production deployment and wait for it; what it is made from."""
    build = of_build(world)
    world.apply(a_deployment("quote", **build))
    wait(world, DEPLOYMENT, "quote")
    return build


def a_deployment_gets_healthy(world: ReusableFixture) -> None:
    deployed(world)


def a_build_is_deployed(world: ReusableFixture) -> None:
    world.apply(a_context("quote"), a_build("quote"), a_deployment("quote", manifest={"fromBuild": True}))
    wait(world, BUILD, "quote")
    wait(world, DEPLOYMENT, "quote")


def a_deployment_follows(world: ReusableFixture) -> None:
    """Change the context of the deployment's build, and then the text in its ConfigMap."""
    named = {"configMapKeyRef": {"name": "quote", "key": "environments.yaml"}}
    world.apply(a_context("quote"), a_build("quote"), a_deployment("quote", environments=named))
    wait(world, DEPLOYMENT, "quote")
    another = a_context("quote", f"{DOCKERFILE}RUN more\n")
    for changed in (another, {**another, "data": {"environments.yaml": f"{ENVIRONMENTS}# more\n"}}):
        before = remembered(world.status(DEPLOYMENT, "quote"))["configurationDigest"]
        world.apply(changed)
        wait(world, DEPLOYMENT, "quote", configured_otherwise(before))


def configured_otherwise(before: str) -> Callable[[Object | None], bool]:
    """Whether a deployment is Ready with another configuration than before."""
    return lambda obj: ready(obj) and remembered(obj["status"])["configurationDigest"] != before


def a_rollout_fails(world: ReusableFixture) -> None:
    sad = {"inline": a_manifest("quote", "simulate: unhealthy")}
    world.apply(a_deployment("quote", **of_build(world), manifest=sad))
    wait(world, DEPLOYMENT, "quote", lambda obj: condition(obj, "Stalled").get("status") == "True")


def production_is_edited(world: ReusableFixture) -> None:
    build = deployed(world)
    world.apply(a_deployment("quote", **build, manifest={"inline": a_manifest("quote", "answers better")}))
    wait(world, DEPLOYMENT, "quote")


def edited_during_the_rollout(world: ReusableFixture) -> None:
    build = of_build(world)
    world.apply(a_deployment("quote", **build, manifest={"inline": a_manifest("quote", "simulate: stuck")}))
    wait(world, DEPLOYMENT, "quote", on_record(DEPLOYMENT))
    world.apply(a_deployment("quote", **build))
    wait(world, DEPLOYMENT, "quote")
    recorded = world.status(DEPLOYMENT, "quote")["deploymentID"]
    for one in world.living(DEPLOYMENT, "quote"):
        if one["id"] != recorded:  # a twin of the first that came late; no rollout of the real remote lasts for ever
            world.simulator.actor("fail-deployment", id=one["id"])


def a_preview_gets_healthy(world: ReusableFixture) -> None:
    world.apply(a_preview("quote", **of_build(world)))
    wait(world, DEPLOYMENT, "quote")


def a_preview_is_edited(world: ReusableFixture) -> None:
    build = of_build(world)
    world.apply(a_preview("quote", **build))
    wait(world, DEPLOYMENT, "quote")
    world.apply(a_preview("quote", **build, manifest={"inline": a_manifest("quote", "answers better")}))
    wait(world, DEPLOYMENT, "quote")


def a_preview_expires(world: ReusableFixture) -> None:
    a_preview_gets_healthy(world)
    serving = world.status(DEPLOYMENT, "quote")["deploymentID"]
    world.simulator.actor("expire-preview", id=serving, sweep=False)
    wait(world, DEPLOYMENT, "quote", says("Expired", "True"))


def a_preview_goes_when_it_expires(world: ReusableFixture) -> None:
    wish = a_preview("quote", **of_build(world))
    wish["spec"]["preview"]["onExpiry"] = "Delete"
    world.apply(wish)
    wait(world, DEPLOYMENT, "quote")
    serving = world.status(DEPLOYMENT, "quote")["deploymentID"]
    world.simulator.actor("expire-preview", id=serving, sweep=False)
    wait(world, DEPLOYMENT, "quote", gone)


def production_is_deleted(world: ReusableFixture) -> None:
    deployed(world)
    world.delete(DEPLOYMENT, "quote")
    wait(world, DEPLOYMENT, "quote", gone)


def a_preview_is_deleted_while_created(world: ReusableFixture) -> None:
    build = of_build(world)
    world.simulator.fault("slow", match={"method": "POST", "path": "/v5/agentex/deployments"}, header_delay=0.7)
    world.apply(a_preview("quote", **build))
    wait(world, DEPLOYMENT, "quote", written_down)
    world.delete(DEPLOYMENT, "quote")
    wait(world, DEPLOYMENT, "quote", gone)


def deleted_during_the_rollout(world: ReusableFixture) -> None:
    world.apply(a_deployment("quote", **of_build(world), manifest={"inline": a_manifest("quote", "simulate: stuck")}))
    wait(world, DEPLOYMENT, "quote", on_record(DEPLOYMENT))
    world.delete(DEPLOYMENT, "quote")
    wait(world, DEPLOYMENT, "quote", gone)


def a_preview_is_deleted(world: ReusableFixture) -> None:
    a_preview_gets_healthy(world)
    world.delete(DEPLOYMENT, "quote")
    wait(world, DEPLOYMENT, "quote", gone)


def a_deployment_is_recreated(world: ReusableFixture) -> None:
    build = deployed(world)
    world.delete(DEPLOYMENT, "quote")
    wait(world, DEPLOYMENT, "quote", gone)
    world.apply(a_deployment("quote", **build))
    wait(world, DEPLOYMENT, "quote")
