"""Rows of the fault matrix about removals: cancels that come to nothing, deletes that are refused or over already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from tests.faults.remote_stage import Scene, Story
from tests.faults.remote_walks import DELETES, OFTEN, Trouble, a_resource, at_a_delete, ends, ends_well, lists

from agentex_testkit.api_server import ready
from agentex_testkit.builders import STUCK, a_build, a_context

Rows = Iterator[tuple[str, Callable[[Scene], Story]]]
NOTHING = Trouble({})


def cancels() -> Rows:
    for often in ("once", "3-times"):
        for way in ("deleted", "edited"):
            yield f"202-and-nothing-happens/cancel/{way}-{often}", partial(ignored, way=way, often=often)
    yield "202-and-it-succeeds/cancel/once", won_by_the_build
    yield "cancelled-by-another/cancel/once", cancelled_by_another


def running(scene: Scene) -> Story:
    """A build that never ends by itself."""
    scene.open()
    scene.apply(a_context(scene.name, STUCK), a_build(scene.name, **scene.ref))
    yield scene.until("a build that runs", lambda: scene.remote_id and any(
        one["status"] == "running" for one in scene.remotes))


def ignored(scene: Scene, *, way: str, often: str) -> Story:
    """The cancel is accepted and comes to nothing: it is asked for again."""
    yield from running(scene)
    times = {"once": 1, "3-times": 3}[often]
    cancel = scene.go_wrong("cancel-ignored", count=times)
    if way == "deleted":
        scene.delete()
        yield scene.is_hit(cancel, times)
        return (yield from ends(scene, NOTHING))
    scene.creates = 2
    scene.apply(a_context(scene.name))
    yield scene.is_hit(cancel, times)
    return (yield from ends_well(scene, NOTHING))


def won_by_the_build(scene: Scene) -> Story:
    """The cancel is accepted, and the build succeeds all the same: what is done is done."""
    yield from running(scene)
    cancel = scene.go_wrong("cancel-ignored", forever=True)
    scene.world.patch(scene.kind, scene.name, spec={"cancel": True})
    yield scene.is_hit(cancel)
    scene.world.simulator.actor("finish-build", id=scene.remote_id)
    yield from ends_well(scene, NOTHING)


def cancelled_by_another(scene: Scene) -> Story:
    """It was over when it was to be cancelled."""
    yield from running(scene)
    late = scene.go_wrong("stale-list", lists(scene.kind), seconds=3600, forever=True)
    scene.world.simulator.actor("finish-build", id=scene.remote_id, status="cancelled")
    scene.delete()
    yield from ends(scene, NOTHING)
    scene.heal(late)


def deletes() -> Rows:
    for status in (400, 404, 409, 422):
        fault = {"kind": "commit-then-500", "status": status, "body": {"detail": "it is over already"}}
        for often in ("once", "3-times"):
            how = {"once": {}, "3-times": {"count": 3}}[often]
            yield f"{status}-already-over/delete/{often}", partial(at_a_delete, trouble=Trouble(fault, **how))
    for often, how in OFTEN.items():
        trouble = Trouble({"kind": "teardown-failure"}, **how)
        yield f"a-teardown-that-fails/delete/{often}", partial(at_a_delete, trouble=trouble)
    for policy in ("seen", "unseen"):
        yield f"deleted-by-another/delete/{policy}", partial(deleted_by_another, seen=policy == "seen")
    yield "refused-and-still-there/delete/3-times", refused_and_still_there


def deleted_by_another(scene: Scene, *, seen: bool) -> Story:
    """Somebody deletes it first; the lists may not show that yet."""
    scene.open()
    scene.apply(*a_resource(scene))
    yield scene.becomes(ready, "Ready")
    if not seen:
        scene.set_the_scene("status-words", lists(scene.kind), map={"deleted": "healthy"}, forever=True)
    scene.world.simulator.actor("delete-deployment", id=scene.remote_id)
    scene.delete()
    yield from ends(scene, NOTHING)


def refused_and_still_there(scene: Scene) -> Story:
    """A refusal that lies: the record is as alive as before, and is deleted in the end."""
    scene.open()
    scene.apply(*a_resource(scene))
    yield scene.becomes(ready, "Ready")
    refused = scene.go_wrong("status", DELETES, status=400, count=3)
    scene.delete()
    yield scene.is_hit(refused, 3)
    yield from ends(scene, NOTHING)
