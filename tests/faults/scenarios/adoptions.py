"""What users do with remote objects that exist already: name them in spec.adopt, or restore a backup."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.faults.runner.reusable_fixture import ReusableFixture
from tests.faults.scenarios.deployments import of_build, with_an_agent
from tests.faults.scenarios.scenario import BUILD, DEPLOYMENT, building, on_record, wait

from agentex_testkit.api_server import Object, condition, gone, ready, stalled
from agentex_testkit.builders import (
    ENVIRONMENTS,
    FAILING,
    STUCK,
    a_build,
    a_context,
    a_deployment,
    a_manifest,
    a_preview,
)
from agentex_testkit.ledger import is_alive

MEMBER = {BUILD: "buildID", DEPLOYMENT: "deploymentID"}
RIVALS = ("one", "two")
HELD = "AdoptionTargetHeld"


def running(obj: Object | None) -> bool:
    """Whether a build is on record, and runs."""
    return building(obj) and on_record(BUILD)(obj)


def named(name: str, wish: Object, **spec: Any) -> Object:
    """The same wish under another name, with these members."""
    return {**wish, "metadata": {"name": name}, "spec": {**wish["spec"], **spec}}


def left_behind(world: ReusableFixture, wish: Object, until: Callable[[Object | None], bool] = ready) -> Object:
    """Have a resource that leaves its remote object behind when it goes; the resource as a backup has it."""
    kind, name = wish["kind"], wish["metadata"]["name"]
    world.apply(named(name, wish, deletionPolicy="Orphan"))
    world.leaves_behind(kind, name)
    backup = wait(world, kind, name, until)
    world.delete(kind, name)
    wait(world, kind, name, gone)
    world.plan_from_here()
    return backup


def id_in(backup: Object) -> str:
    """The remote id that a backup names."""
    return str(backup["status"][MEMBER[backup["kind"]]])


def adopt(world: ReusableFixture, wish: Object, id_: str, *, alone: bool = True) -> None:
    """Create a resource that names a remote object in spec.adopt."""
    kind, name = wish["kind"], wish["metadata"]["name"]
    world.apply(named(name, wish, adopt={MEMBER[kind]: id_}))
    world.inherits(kind, name, id_, alone=alone)


def restore(world: ReusableFixture, wish: Object, backup: Object) -> None:
    """Create a resource again, suspended, until the status of its backup is written back."""
    kind, name = wish["kind"], wish["metadata"]["name"]
    world.apply(named(name, wish, suspend=True))
    world.inherits(kind, name, id_in(backup))
    world.write_status(kind, name, backup["status"])
    world.apply(wish)


def removed(world: ReusableFixture, kind: str, name: str) -> None:
    """Delete a resource and see it go."""
    world.delete(kind, name)
    wait(world, kind, name, gone)


# --- spec.adopt -------------------------------------------------------------------------------------------------------


def a_finished_build_is_adopted(world: ReusableFixture) -> None:
    world.apply(a_context("quote"))
    backup = left_behind(world, named("before", a_build("quote")))
    adopt(world, a_build("quote"), id_in(backup))
    wait(world, BUILD, "quote")


def a_running_build_is_adopted(world: ReusableFixture) -> None:
    """The build that runs is cancelled with its heir."""
    world.apply(a_context("quote", STUCK))
    backup = left_behind(world, named("before", a_build("quote")), running)
    adopt(world, a_build("quote"), id_in(backup))
    wait(world, BUILD, "quote", running)
    removed(world, BUILD, "quote")


def production_of_a_stranger_is_adopted(world: ReusableFixture) -> None:
    """The deployment carries no token: another client of the remote API made it."""
    build = with_an_agent(world)
    with world.sdk() as sdk:
        made = sdk.deploy.create(build_id=build, manifest_file=a_manifest("quote"), environment_config=ENVIRONMENTS)
    world.plan_from_here()
    adopt(world, a_deployment("quote", buildRef=None, buildID=build), str(made.id))
    wait(world, DEPLOYMENT, "quote")
    removed(world, DEPLOYMENT, "quote")


def a_preview_is_adopted(world: ReusableFixture) -> None:
    wish = a_preview("quote", **of_build(world))
    backup = left_behind(world, named("before", wish))
    adopt(world, wish, id_in(backup))
    wait(world, DEPLOYMENT, "quote")
    removed(world, DEPLOYMENT, "quote")


def two_adopt_one_preview(world: ReusableFixture) -> None:
    """One of the two takes it over; the other one says who holds it, and leaves it alone when it is deleted."""
    wish = a_preview("quote", **of_build(world))
    id_ = id_in(left_behind(world, named("before", wish)))
    world.simulator.fault("slow", match={"method": "GET", "path": f"/v5/agentex/deployments/{id_}"}, header_delay=0.5)
    for name in RIVALS:
        adopt(world, named(name, wish), id_, alone=False)
    holder, other = decided(world)
    wait(world, DEPLOYMENT, other, lambda obj: stalled(HELD)(obj) and
         f"{DEPLOYMENT} {world.namespace}/{holder} holds" in condition(obj, "Stalled")["message"])
    removed(world, DEPLOYMENT, other)
    assert [one["id"] for one in world.simulator.state()["deployments"] if is_alive(one)] == [id_]


def decided(world: ReusableFixture) -> tuple[str, str]:
    """Wait until one of the rivals is Ready, and return its name and that of the other one."""
    first, second = RIVALS
    wait(world, DEPLOYMENT, first, lambda obj: ready(obj) or stalled(HELD)(obj))
    wait(world, DEPLOYMENT, second, lambda obj: ready(obj) or stalled(HELD)(obj))
    return RIVALS if ready(world.get(DEPLOYMENT, first)) else (second, first)


def what_is_named_cannot_be_adopted(world: ReusableFixture) -> None:
    """A failed build is refused, one that is not there too; without spec.adopt a new one is built."""
    world.apply(a_context("quote", FAILING))
    backup = left_behind(world, named("before", a_build("quote")), stalled("BuildFailed"))
    world.apply(a_context("quote"), named("quote", a_build("quote"), adopt={"buildID": id_in(backup)}))
    wait(world, BUILD, "quote", stalled("AdoptionTargetEnded"))
    world.apply(named("quote", a_build("quote"), adopt={"buildID": "nobody"}))
    wait(world, BUILD, "quote", stalled("AdoptionTargetNotFound"))
    world.apply(a_build("quote"))
    wait(world, BUILD, "quote")


# --- a restored status ------------------------------------------------------------------------------------------------


def a_running_build_is_restored(world: ReusableFixture) -> None:
    world.apply(a_context("quote", STUCK))
    backup = left_behind(world, a_build("quote"), running)
    restore(world, a_build("quote"), backup)
    wait(world, BUILD, "quote", running)
    world.simulator.actor("finish-build", id=id_in(backup))
    wait(world, BUILD, "quote")


def production_is_restored(world: ReusableFixture) -> None:
    wish = a_deployment("quote", **of_build(world))
    backup = left_behind(world, wish)
    restore(world, wish, backup)
    wait(world, DEPLOYMENT, "quote")


def a_preview_that_is_gone_is_restored(world: ReusableFixture) -> None:
    """Somebody deleted the preview after the backup: the resource says so, and the next change is deployed."""
    build = of_build(world)
    wish = a_preview("quote", **build)
    backup = left_behind(world, wish)
    world.simulator.actor("delete-deployment", id=id_in(backup))
    restore(world, wish, backup)
    wait(world, DEPLOYMENT, "quote", stalled("DeletedExternally"))
    world.apply(a_preview("quote", **build, manifest={"inline": a_manifest("quote", "answers better")}))
    wait(world, DEPLOYMENT, "quote")
