"""What users do while things go wrong: short scenarios, each from an empty namespace to a state that can be told.

A scenario acts, and waits for what must come of it however often the operator dies meanwhile. Its resources are small
and its remote is quick, so that a scenario takes seconds. `creates` and `extra_alive` say what the judge shall expect.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tests.faults.runner.reusable_world import ReusableWorld

from agentex_testkit.api_server import Object, condition, gone, ready, says, stalled
from agentex_testkit.builders import (
    DOCKERFILE,
    ENVIRONMENTS,
    FAILING,
    STUCK,
    a_build,
    a_context,
    a_deployment,
    a_manifest,
    a_preview,
    a_secret,
    an_account,
    an_archive,
    an_image,
)

BUILD, DEPLOYMENT = "AgentBuild", "AgentDeployment"
ANOTHER = {"buildArgs": [{"name": "ANOTHER", "value": "1"}]}
PATIENCE = 45.0
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Scenario:
    """One scenario. `creates` by (kind, name) where it is not one; `extra_alive` where more than one may be alive."""

    name: str
    run: Callable[[ReusableWorld], None]
    creates: dict[tuple[str, str], int] = field(default_factory=dict)
    swept: bool = False      # the remote's own clean-up or ours ends it, whichever comes first
    never_rests: bool = False   # what was refused is tried again, slowly, for ever
    extra_alive: dict[tuple[str, str], int] = field(default_factory=dict)


def wait(world: ReusableWorld, kind: str, name: str, until: Callable[[Object | None], bool] = ready) -> Object:
    """As World.wait, with the patience that a death and a restart need."""
    return world.wait(kind, name, until, PATIENCE)


def on_record(kind: str) -> Callable[[Object | None], bool]:
    """Whether the remote id is on record."""
    key = {BUILD: "buildID", DEPLOYMENT: "deploymentID"}[kind]
    return lambda obj: bool(((obj or {}).get("status") or {}).get(key))


def written_down(obj: Object | None) -> bool:
    """Whether a create was announced, whatever became of it."""
    return bool(((obj or {}).get("status") or {}).get("attempt"))


building = says("Ready", "Unknown", "Building")


# --- builds ---------------------------------------------------------------------------------------------------------


def a_build_runs(world: ReusableWorld) -> None:
    world.apply(a_context("quote", STUCK), a_build("quote"))
    wait(world, BUILD, "quote", lambda obj: building(obj) and on_record(BUILD)(obj))


def a_build_succeeds(world: ReusableWorld) -> None:
    world.apply(a_context("quote"), a_build("quote"))
    wait(world, BUILD, "quote")


def a_build_fails(world: ReusableWorld) -> None:
    world.apply(a_context("quote", FAILING), a_build("quote"))
    wait(world, BUILD, "quote", stalled("BuildFailed"))


def a_tag_is_pinned(world: ReusableWorld) -> None:
    world.apply(a_context("quote"), a_build("quote", image={"name": "quote", "tag": "v1"}))
    wait(world, BUILD, "quote")


def an_image_is_registered(world: ReusableWorld) -> None:
    world.apply(an_image("quote"))
    wait(world, BUILD, "quote")


def edited_while_queued(world: ReusableWorld) -> None:
    world.apply(a_context("quote"), a_build("quote"))
    wait(world, BUILD, "quote", on_record(BUILD))
    world.apply(a_build("quote", **ANOTHER))
    wait(world, BUILD, "quote")


def edited_while_running(world: ReusableWorld) -> None:
    a_build_runs(world)
    world.apply(a_build("quote", **ANOTHER))
    the_next_one_succeeds(world)


def the_next_one_succeeds(world: ReusableWorld) -> None:
    """The build of an edit runs, and then somebody at the provider lets it end."""
    wait(world, BUILD, "quote", lambda obj: building(obj) and on_record(BUILD)(obj) and _attempt(obj) > 1)
    world.simulator.actor("finish-build", id=world.status(BUILD, "quote")["buildID"])
    wait(world, BUILD, "quote")


def _attempt(obj: Object | None) -> int:
    return int((obj or {})["status"]["attempt"])


def edited_when_finished(world: ReusableWorld) -> None:
    a_build_succeeds(world)
    world.apply(a_build("quote", **ANOTHER))
    wait(world, BUILD, "quote")


def the_context_changes(world: ReusableWorld) -> None:
    a_build_succeeds(world)
    before = world.status(BUILD, "quote")["inputsDigest"]
    world.apply(a_context("quote", f"{DOCKERFILE}RUN more\n"))
    wait(world, BUILD, "quote", lambda obj: ready(obj) and (obj or {})["status"]["inputsDigest"] != before)


def cancelled(world: ReusableWorld) -> None:
    a_build_runs(world)
    world.apply(a_build("quote", cancel=True))
    wait(world, BUILD, "quote", stalled("Cancelled"))


def deleted_at_once(world: ReusableWorld) -> None:
    world.apply(a_context("quote", STUCK), a_build("quote"))
    world.delete(BUILD, "quote")
    wait(world, BUILD, "quote", gone)


def deleted_while_creating(world: ReusableWorld) -> None:
    world.simulator.fault("slow", match={"method": "POST", "path": "/v5/builds"}, header_delay=0.7)
    world.apply(a_context("quote", STUCK), a_build("quote"))
    wait(world, BUILD, "quote", written_down)
    world.delete(BUILD, "quote")
    wait(world, BUILD, "quote", gone)


def deleted_while_queued(world: ReusableWorld) -> None:
    world.apply(a_context("quote"), a_build("quote"))
    wait(world, BUILD, "quote", on_record(BUILD))
    world.delete(BUILD, "quote")
    wait(world, BUILD, "quote", gone)


def deleted_while_running(world: ReusableWorld) -> None:
    a_build_runs(world)
    world.delete(BUILD, "quote")
    wait(world, BUILD, "quote", gone)


def deleted_when_finished(world: ReusableWorld) -> None:
    a_build_succeeds(world)
    world.delete(BUILD, "quote")
    wait(world, BUILD, "quote", gone)


def deleted_while_cancelling(world: ReusableWorld) -> None:
    a_build_runs(world)
    world.apply(a_build("quote", cancel=True))
    world.delete(BUILD, "quote")
    wait(world, BUILD, "quote", gone)


def recreated(world: ReusableWorld) -> None:
    a_build_runs(world)
    world.delete(BUILD, "quote")
    wait(world, BUILD, "quote", gone)
    a_build_runs(world)


def the_name_is_taken(world: ReusableWorld) -> None:
    world.simulator.actor("take-name", account="acct-1", name="quote", build=True)
    a_build_succeeds(world)


def the_name_is_taken_invisibly(world: ReusableWorld) -> None:
    world.simulator.actor("take-name", account="acct-1", name="quote")
    world.apply(a_context("quote"), a_build("quote"))
    wait(world, BUILD, "quote", stalled("AgentNameTaken"))


def the_key_is_rotated(world: ReusableWorld) -> None:
    a_build_runs(world)
    world.simulator.set_keys("acct-1", "key-2")
    world.apply(a_secret(key="key-2"))
    world.apply(a_build("quote", **ANOTHER))
    the_next_one_succeeds(world)


def an_account_is_made(world: ReusableWorld) -> None:
    world.delete("AgentexAccount", "default")
    wait(world, "AgentexAccount", "default", gone)
    world.apply(an_account(world.endpoint), an_image("quote"))
    wait(world, "AgentexAccount", "default")
    wait(world, BUILD, "quote")


@cache
def five_megabytes() -> bytes:
    """A context of five megabytes that no compression makes smaller; the same bytes every time."""
    filler = random.Random(5).randbytes(5 * MEGABYTE).decode("latin-1")  # noqa: S311 - the same every time
    return an_archive({"Dockerfile": DOCKERFILE, "manifest.yaml": a_manifest("quote"), "project/filler": filler})


def five_megabytes_are_sent(world: ReusableWorld) -> None:
    world.apply(a_build("quote", source=world.sources.serve("/five", five_megabytes())))
    wait(world, BUILD, "quote")


# --- deployments ----------------------------------------------------------------------------------------------------


def image_of(tag: str = "1") -> dict[str, Any]:
    """A deployment's image: nothing to build."""
    return {"buildRef": None, "image": {"name": "quote", "tag": tag}}


def with_an_agent(world: ReusableWorld) -> str:
    """The agent quote, with an image of somebody else's: its build."""
    with world.sdk() as sdk:
        made = sdk.build.create(agent_name="quote", image_name="quote", image_tag="1",
                                image_url="elsewhere.invalid/quote:1")
    return str(made.id)


def of_build(world: ReusableWorld) -> dict[str, Any]:
    """A deployment's remote build."""
    return {"buildRef": None, "buildID": with_an_agent(world)}


def deployed(world: ReusableWorld) -> dict[str, Any]:
    """A production deployment that is Ready; what it was made from."""
    build = of_build(world)
    world.apply(a_deployment("quote", **build))
    wait(world, DEPLOYMENT, "quote")
    return build


def a_deployment_gets_healthy(world: ReusableWorld) -> None:
    deployed(world)


def a_build_is_deployed(world: ReusableWorld) -> None:
    world.apply(a_context("quote"), a_build("quote"), a_deployment("quote", manifest={"fromBuild": True}))
    wait(world, BUILD, "quote")
    wait(world, DEPLOYMENT, "quote")


def a_deployment_follows(world: ReusableWorld) -> None:
    """First its build is built from another context, then another text lies in the ConfigMap that it names."""
    named = {"configMapKeyRef": {"name": "quote", "key": "environments.yaml"}}
    world.apply(a_context("quote"), a_build("quote"), a_deployment("quote", environments=named))
    wait(world, DEPLOYMENT, "quote")
    another = a_context("quote", f"{DOCKERFILE}RUN more\n")
    for changed in (another, {**another, "data": {"environments.yaml": f"{ENVIRONMENTS}# more\n"}}):
        before = world.status(DEPLOYMENT, "quote")["configurationDigest"]
        world.apply(changed)
        wait(world, DEPLOYMENT, "quote", configured_otherwise(before))


def configured_otherwise(before: str) -> Callable[[Object | None], bool]:
    """Whether a deployment is Ready with another configuration than before."""
    return lambda obj: ready(obj) and (obj or {})["status"]["configurationDigest"] != before


def a_rollout_fails(world: ReusableWorld) -> None:
    sad = {"inline": a_manifest("quote", "simulate: unhealthy")}
    world.apply(a_deployment("quote", **of_build(world), manifest=sad))
    wait(world, DEPLOYMENT, "quote", lambda obj: condition(obj, "Stalled").get("status") == "True")


def production_is_edited(world: ReusableWorld) -> None:
    build = deployed(world)
    world.apply(a_deployment("quote", **build, manifest={"inline": a_manifest("quote", "answers better")}))
    wait(world, DEPLOYMENT, "quote")


def edited_during_the_rollout(world: ReusableWorld) -> None:
    build = of_build(world)
    world.apply(a_deployment("quote", **build, manifest={"inline": a_manifest("quote", "simulate: stuck")}))
    wait(world, DEPLOYMENT, "quote", on_record(DEPLOYMENT))
    world.apply(a_deployment("quote", **build))
    wait(world, DEPLOYMENT, "quote")
    recorded = world.status(DEPLOYMENT, "quote")["deploymentID"]
    for one in world.living(DEPLOYMENT, "quote"):
        if one["id"] != recorded:  # a twin of the first that came late; no rollout of the real remote lasts for ever
            world.simulator.actor("fail-deployment", id=one["id"])


def a_preview_gets_healthy(world: ReusableWorld) -> None:
    world.apply(a_preview("quote", **of_build(world)))
    wait(world, DEPLOYMENT, "quote")


def a_preview_is_edited(world: ReusableWorld) -> None:
    build = of_build(world)
    world.apply(a_preview("quote", **build))
    wait(world, DEPLOYMENT, "quote")
    world.apply(a_preview("quote", **build, manifest={"inline": a_manifest("quote", "answers better")}))
    wait(world, DEPLOYMENT, "quote")


def a_preview_expires(world: ReusableWorld) -> None:
    a_preview_gets_healthy(world)
    serving = world.status(DEPLOYMENT, "quote")["deploymentID"]
    world.simulator.actor("expire-preview", id=serving, sweep=False)
    wait(world, DEPLOYMENT, "quote", says("Expired", "True"))


def a_preview_goes_when_it_expires(world: ReusableWorld) -> None:
    wish = a_preview("quote", **of_build(world))
    wish["spec"]["preview"]["onExpiry"] = "Delete"
    world.apply(wish)
    wait(world, DEPLOYMENT, "quote")
    serving = world.status(DEPLOYMENT, "quote")["deploymentID"]
    world.simulator.actor("expire-preview", id=serving, sweep=False)
    wait(world, DEPLOYMENT, "quote", gone)


def production_is_deleted(world: ReusableWorld) -> None:
    deployed(world)
    world.delete(DEPLOYMENT, "quote")
    wait(world, DEPLOYMENT, "quote", gone)


def a_preview_is_deleted_while_created(world: ReusableWorld) -> None:
    build = of_build(world)
    world.simulator.fault("slow", match={"method": "POST", "path": "/v5/agentex/deployments"}, header_delay=0.7)
    world.apply(a_preview("quote", **build))
    wait(world, DEPLOYMENT, "quote", written_down)
    world.delete(DEPLOYMENT, "quote")
    wait(world, DEPLOYMENT, "quote", gone)


def deleted_during_the_rollout(world: ReusableWorld) -> None:
    world.apply(a_deployment("quote", **of_build(world), manifest={"inline": a_manifest("quote", "simulate: stuck")}))
    wait(world, DEPLOYMENT, "quote", on_record(DEPLOYMENT))
    world.delete(DEPLOYMENT, "quote")
    wait(world, DEPLOYMENT, "quote", gone)


def a_preview_is_deleted(world: ReusableWorld) -> None:
    a_preview_gets_healthy(world)
    world.delete(DEPLOYMENT, "quote")
    wait(world, DEPLOYMENT, "quote", gone)


def a_deployment_is_recreated(world: ReusableWorld) -> None:
    build = deployed(world)
    world.delete(DEPLOYMENT, "quote")
    wait(world, DEPLOYMENT, "quote", gone)
    world.apply(a_deployment("quote", **build))
    wait(world, DEPLOYMENT, "quote")


TWICE = {(BUILD, "quote"): 2}
DEPLOYED_TWICE = {(DEPLOYMENT, "quote"): 2}
SCENARIOS = {scenario.name: scenario for scenario in (
    Scenario("build-runs", a_build_runs),
    Scenario("build-succeeds", a_build_succeeds),
    Scenario("build-fails", a_build_fails),
    Scenario("build-pinned", a_tag_is_pinned),
    Scenario("build-registered", an_image_is_registered),
    Scenario("build-edited-queued", edited_while_queued, TWICE),
    Scenario("build-edited-running", edited_while_running, TWICE),
    Scenario("build-edited-finished", edited_when_finished, TWICE),
    Scenario("build-context-changes", the_context_changes, TWICE),
    Scenario("build-cancelled", cancelled),
    Scenario("build-deleted-at-once", deleted_at_once),
    Scenario("build-deleted-creating", deleted_while_creating),
    Scenario("build-deleted-queued", deleted_while_queued),
    Scenario("build-deleted-running", deleted_while_running),
    Scenario("build-deleted-finished", deleted_when_finished),
    Scenario("build-deleted-cancelling", deleted_while_cancelling),
    Scenario("build-recreated", recreated),
    Scenario("build-name-taken", the_name_is_taken),
    Scenario("build-name-hidden", the_name_is_taken_invisibly, never_rests=True),
    Scenario("build-key-rotated", the_key_is_rotated, TWICE),
    Scenario("build-account-made", an_account_is_made),
    Scenario("build-five-megabytes", five_megabytes_are_sent),
    Scenario("deployment-healthy", a_deployment_gets_healthy),
    Scenario("deployment-of-a-build", a_build_is_deployed),
    Scenario("deployment-follows", a_deployment_follows, {(BUILD, "quote"): 2, (DEPLOYMENT, "quote"): 3}),
    Scenario("deployment-fails", a_rollout_fails),
    Scenario("deployment-edited", production_is_edited, DEPLOYED_TWICE),
    Scenario("deployment-edited-rolling", edited_during_the_rollout, DEPLOYED_TWICE),
    Scenario("deployment-deleted", production_is_deleted),
    Scenario("deployment-deleted-rolling", deleted_during_the_rollout),
    Scenario("deployment-recreated", a_deployment_is_recreated),
    Scenario("preview-healthy", a_preview_gets_healthy),
    Scenario("preview-edited", a_preview_is_edited, DEPLOYED_TWICE),
    Scenario("preview-expires", a_preview_expires, swept=True),
    Scenario("preview-expires-and-goes", a_preview_goes_when_it_expires, swept=True),
    Scenario("preview-deleted", a_preview_is_deleted),
    Scenario("preview-deleted-creating", a_preview_is_deleted_while_created),
)}
