"""What users do while things go wrong: short stories, each from an empty namespace to a state that can be told.

A story acts, and waits for what must come of it however often the operator dies meanwhile. Its resources are small
and its remote is quick, so that a story takes seconds. `creates` and `beside` say what the judge shall expect.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tests.faults.stage import Stage

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
class Story:
    """One scenario. `creates` by (kind, name) where it is not one; `beside` where more than one may be alive."""

    name: str
    tell: Callable[[Stage], None]
    creates: dict[tuple[str, str], int] = field(default_factory=dict)
    swept: bool = False      # the remote's own clean-up or ours ends it, whichever comes first
    restless: bool = False   # what was refused is tried again, slowly, for ever
    beside: dict[tuple[str, str], int] = field(default_factory=dict)


def wait(world: Stage, kind: str, name: str, until: Callable[[Object | None], bool] = ready) -> Object:
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


def a_build_runs(world: Stage) -> None:
    world.apply(a_context("quote", STUCK), a_build("quote"))
    wait(world, BUILD, "quote", lambda obj: building(obj) and on_record(BUILD)(obj))


def a_build_succeeds(world: Stage) -> None:
    world.apply(a_context("quote"), a_build("quote"))
    wait(world, BUILD, "quote")


def a_build_fails(world: Stage) -> None:
    world.apply(a_context("quote", FAILING), a_build("quote"))
    wait(world, BUILD, "quote", stalled("BuildFailed"))


def a_tag_is_pinned(world: Stage) -> None:
    world.apply(a_context("quote"), a_build("quote", image={"name": "quote", "tag": "v1"}))
    wait(world, BUILD, "quote")


def an_image_is_registered(world: Stage) -> None:
    world.apply(an_image("quote"))
    wait(world, BUILD, "quote")


def edited_while_queued(world: Stage) -> None:
    world.apply(a_context("quote"), a_build("quote"))
    wait(world, BUILD, "quote", on_record(BUILD))
    world.apply(a_build("quote", **ANOTHER))
    wait(world, BUILD, "quote")


def edited_while_running(world: Stage) -> None:
    a_build_runs(world)
    world.apply(a_build("quote", **ANOTHER))
    the_next_one_succeeds(world)


def the_next_one_succeeds(world: Stage) -> None:
    """The build of an edit runs, and then somebody at the provider lets it end."""
    wait(world, BUILD, "quote", lambda obj: building(obj) and on_record(BUILD)(obj) and _attempt(obj) > 1)
    world.simulator.actor("finish-build", id=world.status(BUILD, "quote")["buildID"])
    wait(world, BUILD, "quote")


def _attempt(obj: Object | None) -> int:
    return int((obj or {})["status"]["attempt"])


def edited_when_finished(world: Stage) -> None:
    a_build_succeeds(world)
    world.apply(a_build("quote", **ANOTHER))
    wait(world, BUILD, "quote")


def the_context_changes(world: Stage) -> None:
    a_build_succeeds(world)
    before = world.status(BUILD, "quote")["inputsDigest"]
    world.apply(a_context("quote", f"{DOCKERFILE}RUN more\n"))
    wait(world, BUILD, "quote", lambda obj: ready(obj) and (obj or {})["status"]["inputsDigest"] != before)


def cancelled(world: Stage) -> None:
    a_build_runs(world)
    world.apply(a_build("quote", cancel=True))
    wait(world, BUILD, "quote", stalled("Cancelled"))


def deleted_at_once(world: Stage) -> None:
    world.apply(a_context("quote", STUCK), a_build("quote"))
    world.delete(BUILD, "quote")
    wait(world, BUILD, "quote", gone)


def deleted_while_creating(world: Stage) -> None:
    world.simulator.fault("slow", match={"method": "POST", "path": "/v5/builds"}, header_delay=0.7)
    world.apply(a_context("quote", STUCK), a_build("quote"))
    wait(world, BUILD, "quote", written_down)
    world.delete(BUILD, "quote")
    wait(world, BUILD, "quote", gone)


def deleted_while_queued(world: Stage) -> None:
    world.apply(a_context("quote"), a_build("quote"))
    wait(world, BUILD, "quote", on_record(BUILD))
    world.delete(BUILD, "quote")
    wait(world, BUILD, "quote", gone)


def deleted_while_running(world: Stage) -> None:
    a_build_runs(world)
    world.delete(BUILD, "quote")
    wait(world, BUILD, "quote", gone)


def deleted_when_finished(world: Stage) -> None:
    a_build_succeeds(world)
    world.delete(BUILD, "quote")
    wait(world, BUILD, "quote", gone)


def deleted_while_cancelling(world: Stage) -> None:
    a_build_runs(world)
    world.apply(a_build("quote", cancel=True))
    world.delete(BUILD, "quote")
    wait(world, BUILD, "quote", gone)


def recreated(world: Stage) -> None:
    a_build_runs(world)
    world.delete(BUILD, "quote")
    wait(world, BUILD, "quote", gone)
    a_build_runs(world)


def the_name_is_taken(world: Stage) -> None:
    world.simulator.actor("take-name", account="acct-1", name="quote", build=True)
    a_build_succeeds(world)


def the_name_is_taken_invisibly(world: Stage) -> None:
    world.simulator.actor("take-name", account="acct-1", name="quote")
    world.apply(a_context("quote"), a_build("quote"))
    wait(world, BUILD, "quote", stalled("AgentNameTaken"))


def the_key_is_rotated(world: Stage) -> None:
    a_build_runs(world)
    world.simulator.set_keys("acct-1", "key-2")
    world.apply(a_secret(key="key-2"))
    world.apply(a_build("quote", **ANOTHER))
    the_next_one_succeeds(world)


def an_account_is_made(world: Stage) -> None:
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


def five_megabytes_are_sent(world: Stage) -> None:
    world.apply(a_build("quote", source=world.depot.serve("/five", five_megabytes())))
    wait(world, BUILD, "quote")


# --- deployments ----------------------------------------------------------------------------------------------------


def image_of(tag: str = "1") -> dict[str, Any]:
    """A deployment's image: nothing to build."""
    return {"buildRef": None, "image": {"name": "quote", "tag": tag}}


def with_an_agent(world: Stage) -> str:
    """The agent quote, with an image of somebody else's: its build."""
    with world.sdk() as sdk:
        image = {"image_name": "quote", "image_tag": "1", "image_url": "elsewhere.invalid/quote:1"}
        made = sdk.build.create(agent_name="quote", **image)
    return str(made.id)


def of_build(world: Stage) -> dict[str, Any]:
    """A deployment's remote build."""
    return {"buildRef": None, "buildID": with_an_agent(world)}


def deployed(world: Stage) -> dict[str, Any]:
    """A production deployment that is Ready; what it was made from."""
    build = of_build(world)
    world.apply(a_deployment("quote", **build))
    wait(world, DEPLOYMENT, "quote")
    return build


def a_deployment_gets_healthy(world: Stage) -> None:
    deployed(world)


def a_build_is_deployed(world: Stage) -> None:
    world.apply(a_context("quote"), a_build("quote"), a_deployment("quote", manifest={"fromBuild": True}))
    wait(world, BUILD, "quote")
    wait(world, DEPLOYMENT, "quote")


def a_deployment_follows(world: Stage) -> None:
    """First its build is built from another context, then another text lies in the ConfigMap that it names."""
    named = {"configMapKeyRef": {"name": "quote", "key": "environments.yaml"}}
    world.apply(a_context("quote"), a_build("quote"), a_deployment("quote", environments=named))
    wait(world, DEPLOYMENT, "quote")
    another = a_context("quote", f"{DOCKERFILE}RUN more\n")
    for changed in (another, {**another, "data": {"environments.yaml": f"{ENVIRONMENTS}# more\n"}}):
        before = world.status(DEPLOYMENT, "quote")["configurationDigest"]
        world.apply(changed)
        wait(world, DEPLOYMENT, "quote",
             lambda obj, old=before: ready(obj) and (obj or {})["status"]["configurationDigest"] != old)


def a_rollout_fails(world: Stage) -> None:
    sad = {"inline": a_manifest("quote", "simulate: unhealthy")}
    world.apply(a_deployment("quote", **of_build(world), manifest=sad))
    wait(world, DEPLOYMENT, "quote", lambda obj: condition(obj, "Stalled").get("status") == "True")


def production_is_edited(world: Stage) -> None:
    build = deployed(world)
    world.apply(a_deployment("quote", **build, manifest={"inline": a_manifest("quote", "answers better")}))
    wait(world, DEPLOYMENT, "quote")


def edited_during_the_rollout(world: Stage) -> None:
    build = of_build(world)
    world.apply(a_deployment("quote", **build, manifest={"inline": a_manifest("quote", "simulate: stuck")}))
    wait(world, DEPLOYMENT, "quote", on_record(DEPLOYMENT))
    world.apply(a_deployment("quote", **build))
    wait(world, DEPLOYMENT, "quote")
    recorded = world.status(DEPLOYMENT, "quote")["deploymentID"]
    for one in world.living(DEPLOYMENT, "quote"):
        if one["id"] != recorded:  # a twin of the first that came late; no rollout of the real remote lasts for ever
            world.simulator.actor("fail-deployment", id=one["id"])


def a_preview_gets_healthy(world: Stage) -> None:
    world.apply(a_preview("quote", **of_build(world)))
    wait(world, DEPLOYMENT, "quote")


def a_preview_is_edited(world: Stage) -> None:
    build = of_build(world)
    world.apply(a_preview("quote", **build))
    wait(world, DEPLOYMENT, "quote")
    world.apply(a_preview("quote", **build, manifest={"inline": a_manifest("quote", "answers better")}))
    wait(world, DEPLOYMENT, "quote")


def a_preview_expires(world: Stage) -> None:
    a_preview_gets_healthy(world)
    serving = world.status(DEPLOYMENT, "quote")["deploymentID"]
    world.simulator.actor("expire-preview", id=serving, sweep=False)
    wait(world, DEPLOYMENT, "quote", says("Expired", "True"))


def a_preview_goes_when_it_expires(world: Stage) -> None:
    wish = a_preview("quote", **of_build(world))
    wish["spec"]["preview"]["onExpiry"] = "Delete"
    world.apply(wish)
    wait(world, DEPLOYMENT, "quote")
    serving = world.status(DEPLOYMENT, "quote")["deploymentID"]
    world.simulator.actor("expire-preview", id=serving, sweep=False)
    wait(world, DEPLOYMENT, "quote", gone)


def production_is_deleted(world: Stage) -> None:
    deployed(world)
    world.delete(DEPLOYMENT, "quote")
    wait(world, DEPLOYMENT, "quote", gone)


def a_preview_is_deleted_while_created(world: Stage) -> None:
    build = of_build(world)
    world.simulator.fault("slow", match={"method": "POST", "path": "/v5/agentex/deployments"}, header_delay=0.7)
    world.apply(a_preview("quote", **build))
    wait(world, DEPLOYMENT, "quote", written_down)
    world.delete(DEPLOYMENT, "quote")
    wait(world, DEPLOYMENT, "quote", gone)


def deleted_during_the_rollout(world: Stage) -> None:
    world.apply(a_deployment("quote", **of_build(world), manifest={"inline": a_manifest("quote", "simulate: stuck")}))
    wait(world, DEPLOYMENT, "quote", on_record(DEPLOYMENT))
    world.delete(DEPLOYMENT, "quote")
    wait(world, DEPLOYMENT, "quote", gone)


def a_preview_is_deleted(world: Stage) -> None:
    a_preview_gets_healthy(world)
    world.delete(DEPLOYMENT, "quote")
    wait(world, DEPLOYMENT, "quote", gone)


def a_deployment_is_recreated(world: Stage) -> None:
    build = deployed(world)
    world.delete(DEPLOYMENT, "quote")
    wait(world, DEPLOYMENT, "quote", gone)
    world.apply(a_deployment("quote", **build))
    wait(world, DEPLOYMENT, "quote")


TWICE = {(BUILD, "quote"): 2}
DEPLOYED_TWICE = {(DEPLOYMENT, "quote"): 2}
STORIES = {story.name: story for story in (
    Story("build-runs", a_build_runs),
    Story("build-succeeds", a_build_succeeds),
    Story("build-fails", a_build_fails),
    Story("build-pinned", a_tag_is_pinned),
    Story("build-registered", an_image_is_registered),
    Story("build-edited-queued", edited_while_queued, TWICE),
    Story("build-edited-running", edited_while_running, TWICE),
    Story("build-edited-finished", edited_when_finished, TWICE),
    Story("build-context-changes", the_context_changes, TWICE),
    Story("build-cancelled", cancelled),
    Story("build-deleted-at-once", deleted_at_once),
    Story("build-deleted-creating", deleted_while_creating),
    Story("build-deleted-queued", deleted_while_queued),
    Story("build-deleted-running", deleted_while_running),
    Story("build-deleted-finished", deleted_when_finished),
    Story("build-deleted-cancelling", deleted_while_cancelling),
    Story("build-recreated", recreated),
    Story("build-name-taken", the_name_is_taken),
    Story("build-name-hidden", the_name_is_taken_invisibly, restless=True),
    Story("build-key-rotated", the_key_is_rotated, TWICE),
    Story("build-account-made", an_account_is_made),
    Story("build-five-megabytes", five_megabytes_are_sent),
    Story("deployment-healthy", a_deployment_gets_healthy),
    Story("deployment-of-a-build", a_build_is_deployed),
    Story("deployment-follows", a_deployment_follows, {(BUILD, "quote"): 2, (DEPLOYMENT, "quote"): 3}),
    Story("deployment-fails", a_rollout_fails),
    Story("deployment-edited", production_is_edited, DEPLOYED_TWICE),
    Story("deployment-edited-rolling", edited_during_the_rollout, DEPLOYED_TWICE),
    Story("deployment-deleted", production_is_deleted),
    Story("deployment-deleted-rolling", deleted_during_the_rollout),
    Story("deployment-recreated", a_deployment_is_recreated),
    Story("preview-healthy", a_preview_gets_healthy),
    Story("preview-edited", a_preview_is_edited, DEPLOYED_TWICE),
    Story("preview-expires", a_preview_expires, swept=True),
    Story("preview-expires-and-goes", a_preview_goes_when_it_expires, swept=True),
    Story("preview-deleted", a_preview_is_deleted),
    Story("preview-deleted-creating", a_preview_is_deleted_while_created),
)}
